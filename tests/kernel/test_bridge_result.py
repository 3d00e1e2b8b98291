"""What the result of ADD says beside our own work: DNS, prevResult; and its indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.expected import (
    FLAT_VERSIONS,
    POOLS,
    VERSIONS,
    bridge_config,
    expected_interfaces,
)

if TYPE_CHECKING:
    from tests.kernel.node import Node

OF_CONFIG = {
    "nameservers": ["192.0.2.1"],
    "domain": "example.net",
    "search": ["a.example.net", "b.example.net"],
    "options": ["ndots:2"],
}
OF_IPAM = {"nameservers": ["192.0.2.2"], "search": ["c.example.net"]}
OF_PREVIOUS = {"nameservers": ["192.0.2.3"]}


def config_of(node: Node, version: str, *sources: str) -> dict[str, Any]:
    """A configuration with DNS settings from some of config, ipam and prevResult."""
    config = bridge_config(node, "bridge", version, POOLS["v4"])
    if "config" in sources:
        config["dns"] = OF_CONFIG
    if "ipam" in sources:
        path = node.folder / "resolv.conf"
        path.write_text("nameserver 192.0.2.2\nsearch c.example.net\n")
        config["ipam"]["resolvConf"] = str(path)
    if "previous" in sources:
        config["prevResult"] = {"cniVersion": version, "dns": OF_PREVIOUS}
    return config


DNS = {
    "all": (["config", "ipam", "previous"], OF_CONFIG),
    "config and ipam": (["config", "ipam"], OF_CONFIG),
    "ipam and previous": (["ipam", "previous"], OF_IPAM),
    "config": (["config"], OF_CONFIG),
    "ipam": (["ipam"], OF_IPAM),
    "previous": (["previous"], OF_PREVIOUS),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("sources", "dns"), DNS.values(), ids=DNS)
def test_dns_of_the_configuration_wins(
    node: Node, sources: list[str], dns: dict[str, Any], version: str
) -> None:
    """dns of the configuration wins over IPAM's, that over prevResult's (AD4, CF7)."""
    config = config_of(node, version, *sources)

    result = node.add(config, "c1", node.pod(), called_as="bridge")

    assert result["dns"] == dns


@pytest.mark.parametrize("version", VERSIONS)
def test_no_dns(node: Node, version: str) -> None:
    """Without DNS settings the key is empty, from 1.0.0 on left out (RF1, RF3)."""
    config = config_of(node, version)

    result = node.add(config, "c1", node.pod(), called_as="bridge")

    assert result.get("dns") == (None if version >= "1.0.0" else {})


PREVIOUS: dict[str, Any] = {
    "interfaces": [
        {"name": "tap0", "mac": "02:00:00:00:00:07", "sandbox": "/run/netns/x"},
        {"name": "up0"},
    ],
    "ips": [
        {"interface": 0, "address": "10.99.0.2/24", "gateway": "10.99.0.1"},
        {"address": "fd99::2/64"},
    ],
    "routes": [{"dst": "10.98.0.0/16", "gw": "10.99.0.1"}],
    "dns": {"domain": "example.org"},
}


def previous_of(version: str) -> dict[str, Any]:
    """The result of an earlier plugin in the shape of a version."""
    if version >= "1.0.0":
        return {"cniVersion": version, **PREVIOUS}
    families = ["4", "6"]
    ips = [
        {"version": family, **ip}
        for family, ip in zip(families, PREVIOUS["ips"], strict=True)
    ]
    return {"cniVersion": version, **PREVIOUS, "ips": ips}


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
@pytest.mark.parametrize("version", FLAT_VERSIONS)
def test_prev_result_is_merged(node: Node, version: str, called_as: str) -> None:
    """ADD prints what a prevResult has, then its own, with moved indexes (AD3)."""
    pod = node.pod()
    previous = previous_of(version)
    config = bridge_config(node, called_as, version, POOLS["v4"], prevResult=previous)

    result = node.add(config, "c1", pod, called_as=called_as)

    family = {} if version >= "1.0.0" else {"version": "4"}
    ours = {"address": "10.1.2.2/24", "gateway": "10.1.2.1"}
    assert result == {
        "cniVersion": version,
        "interfaces": [
            *previous["interfaces"],
            *expected_interfaces(node, pod, version),
        ],
        "ips": [*previous["ips"], {**family, "interface": 4, **ours}],
        "routes": [*previous["routes"], {"dst": "0.0.0.0/0"}],
        "dns": previous["dns"],
    }


def test_prev_result_of_another_version(node: Node) -> None:
    """A prevResult is read by its own cniVersion and printed in ours (CV4, CV5)."""
    pod = node.pod()
    previous = {"cniVersion": "0.2.0", "ip4": {"ip": "10.99.0.2/24"}}
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"], prevResult=previous)

    result = node.add(config, "c1", pod, called_as="bridge")

    assert result["ips"] == [
        {"address": "10.99.0.2/24"},
        {"interface": 2, "address": "10.1.2.2/24", "gateway": "10.1.2.1"},
    ]


@pytest.mark.parametrize("command", ["ADD", "CHECK"])
def test_prev_result_that_is_none(node: Node, command: str) -> None:
    """A prevResult that is no result is code 6, and nothing is left (CF10, AD6)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"])
    config["prevResult"] = {"ips": [{"address": "10.99.0"}]}

    answer = node.call(command, config, "c1", pod, called_as="bridge")

    assert answer.code == 6
    assert list(node.links()) == ["lo"]
    assert list(pod.links()) == ["lo"]


INDEXES: dict[str, tuple[dict[str, Any], bool]] = {
    "absent": ({"ips": [{"address": "10.1.2.2/24", "gateway": "10.1.2.1"}]}, True),
    "right": ({}, True),
    "of the bridge": ({"interface": 0}, False),
    "of the host end": ({"interface": 1}, False),
    "too big": ({"interface": 3}, False),
    "too small": ({"interface": -1}, False),
    "no interfaces": ({"interfaces": []}, False),
}


@pytest.mark.parametrize(("change", "is_ours"), INDEXES.values(), ids=INDEXES)
def test_check_goes_by_the_index_of_an_address(
    node: Node, change: dict[str, Any], is_ours: bool
) -> None:
    """CHECK takes an address of prevResult for ours by its interface index (E, CK3)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"])
    result = node.add(config, "c1", pod, called_as="bridge")
    if "interface" in change:
        result["ips"][0].update(change)
    else:
        result.update(change)

    config["prevResult"] = result
    answer = node.call("CHECK", config, "c1", pod, called_as="bridge")

    if is_ours:
        assert (answer.exit_code, answer.stdout) == (0, "")
    else:
        assert answer.json["msg"].split("; ")[0] == (
            "prevResult lacks the address 10.1.2.2 of this attachment"
        )
