"""The configuration of the walkthrough that pycni began with, as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.kernel.node import Node

WALKTHROUGH = {
    "cniVersion": "0.2.0",
    "name": "mybridge",
    "type": "pycni",
    "bridge": "cni_bridge0",
    "isGateway": True,
    "ipMasq": True,
    "hairpinMode": True,
    "ipam": {
        "type": "host-local",
        "subnet": "10.15.20.0/24",
        "routes": [
            {"dst": "0.0.0.0/0"},
            {"dst": "1.1.1.1/32", "gw": "10.15.20.1"},
        ],
    },
}


def test_walkthrough_connects_two_pods_and_leaves_nothing(node: Node) -> None:
    """Two pods get addresses, reach each other, and DEL leaves only the bridge."""
    config = node.config(**WALKTHROUGH)
    one, two = node.pod(), node.pod()

    first = node.add(config, "1234567890", one)
    node.add(config, "1234567891", two)

    assert first == {
        "cniVersion": "0.2.0",
        "ip4": {
            "ip": "10.15.20.2/24",
            "gateway": "10.15.20.1",
            "routes": [
                {"dst": "0.0.0.0/0"},
                {"dst": "1.1.1.1/32", "gw": "10.15.20.1"},
            ],
        },
        "dns": {},
    }
    assert one.routes() == [
        "default via 10.15.20.1 dev eth0 proto static",
        "1.1.1.1 via 10.15.20.1 dev eth0 proto static",
        "10.15.20.0/24 dev eth0 proto kernel scope link src 10.15.20.2",
    ]
    assert one.ping("10.15.20.3")
    assert one.ping("10.15.20.1")

    assert node.call("DEL", config, "1234567890", one).exit_code == 0
    assert node.call("DEL", config, "1234567891", two).exit_code == 0
    assert sorted(node.links()) == ["cni_bridge0", "lo"]
    assert list(one.links()) == ["lo"]
    assert node.leases("mybridge") == []
    assert node.records("mybridge") == []
    assert node.ruleset() == ""
