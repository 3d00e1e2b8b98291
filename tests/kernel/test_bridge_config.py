"""Options of the bridge that are refused, with the reference plugin's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.expected import (
    POOLS,
    VERSIONS,
    assert_no_trace,
    assert_nothing_made,
    bridge_config,
    delete,
)

if TYPE_CHECKING:
    from tests.kernel.node import Node

TRUNKS: dict[str, tuple[list[dict[str, int]], str]] = {
    "none": ([], ""),
    "range": ([{"minID": 101, "maxID": 104}], "1, 101, 102, 103, 104"),
    "one": ([{"id": 101}], "1, 101"),
    "both": ([{"id": 104}, {"minID": 101, "maxID": 103}], "1, 101, 102, 103, 104"),
    "twice": ([{"id": 102}, {"minID": 101, "maxID": 103}], "1, 101, 102, 103"),
    "ends": ([{"id": 4094}, {"id": 2}], "1, 2, 4094"),
}
BAD_TRUNKS: dict[str, tuple[dict[str, int], str]] = {
    "maxID missing": (
        {"minID": 100},
        "minID and maxID should be configured simultaneously, maxID is missing",
    ),
    "minID missing": (
        {"maxID": 100},
        "minID and maxID should be configured simultaneously, minID is missing",
    ),
    "minID negative": (
        {"minID": -1, "maxID": 100},
        "incorrect trunk minID parameter: -1",
    ),
    "minID zero": ({"minID": 0, "maxID": 9}, "incorrect trunk minID parameter: 0"),
    "minID too big": (
        {"minID": 4095, "maxID": 4096},
        "incorrect trunk minID parameter: 4095",
    ),
    "maxID too big": (
        {"minID": 100, "maxID": 4095},
        "incorrect trunk maxID parameter: 4095",
    ),
    "maxID negative": (
        {"minID": 1, "maxID": -5},
        "incorrect trunk maxID parameter: -5",
    ),
    "id too big": ({"id": 4095}, "incorrect trunk id parameter: 4095"),
    "id negative": ({"id": -1}, "incorrect trunk id parameter: -1"),
    "id zero": ({"id": 0}, "incorrect trunk id parameter: 0"),
    "order": (
        {"minID": 200, "maxID": 100},
        "minID is greater than maxID in trunk parameter: 200 and 100",
    ),
}


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
@pytest.mark.parametrize("trunk", [trunk for trunk, _ in TRUNKS.values()], ids=TRUNKS)
def test_trunk_is_accepted(
    node: Node, trunk: list[dict[str, int]], called_as: str
) -> None:
    """A vlanTrunk of ids and ranges is no configuration error (A1)."""
    pod = node.pod()
    config = bridge_config(node, called_as, "1.1.0", None, vlanTrunk=trunk)

    delete(node, config, pod, called_as=called_as)

    assert_nothing_made(node, pod)


@pytest.mark.parametrize(("trunk", "ids"), TRUNKS.values(), ids=TRUNKS)
def test_trunk_is_sorted(node: Node, trunk: list[dict[str, int]], ids: str) -> None:
    """CHECK misses each id of a vlanTrunk once, in order, on a port without (A1)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.1.0", None)
    config["prevResult"] = node.add(config, "c1", pod, called_as="bridge")
    config["vlanTrunk"] = trunk

    answer = node.call("CHECK", config, "c1", pod, called_as="bridge")

    port = config["prevResult"]["interfaces"][1]["name"]
    message = (
        "bridge bridge0 does not filter VLANs; "
        f"host interface {port} is in VLANs none, not {ids}"
    )
    assert answer.code == (107 if ids else 0)
    assert answer.exit_code == 0 or answer.json["msg"] == message


@pytest.mark.parametrize("command", ["ADD", "DEL"])
@pytest.mark.parametrize(("entry", "words"), BAD_TRUNKS.values(), ids=BAD_TRUNKS)
def test_trunk_is_refused(
    node: Node, entry: dict[str, int], words: str, command: str
) -> None:
    """A vlanTrunk entry that makes no sense is code 7 with the reason (A2)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", None, vlanTrunk=[entry])

    answer = node.call(command, config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": "1.0.0",
        "code": 7,
        "msg": f"vlanTrunk: {words}",
    }
    assert_nothing_made(node, pod)


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
def test_vlan_0_is_no_vlan(node: Node, version: str) -> None:
    """With vlan 0 the bridge does not filter (A23)."""
    config = bridge_config(node, "bridge", version, POOLS["v4"], vlan=0)

    node.add(config, "c1", node.pod(), called_as="bridge")

    filtering = node.links()["bridge0"]["linkinfo"]["info_data"]["vlan_filtering"]
    assert filtering == 0


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
@pytest.mark.parametrize("vlan", [-100, 5000, 4095])
@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_vlan_is_refused(node: Node, command: str, vlan: int, version: str) -> None:
    """A vlan below 0 or above 4094 is code 7 with the reason (A23)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", version, POOLS["v4"], vlan=vlan)

    answer = node.call(command, config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": version,
        "code": 7,
        "msg": f"vlan: invalid VLAN ID {vlan} (must be between 0 and 4094)",
    }
    assert_nothing_made(node, pod)


VLANS: dict[str, dict[str, Any]] = {
    "access": {"vlan": 100},
    "trunk": {"vlanTrunk": [{"minID": 101, "maxID": 103}]},
}


@pytest.mark.parametrize("options", VLANS.values(), ids=VLANS)
@pytest.mark.parametrize("kind", [None, "dual"])
@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
def test_a_kernel_without_vlan_filtering(
    node: Node, called_as: str, kind: str | None, options: dict[str, Any]
) -> None:
    """Where bridges have no VLAN filtering, a VLAN is code 100 and undone (A7, AD6)."""
    pod, pool = node.pod(), POOLS[kind] if kind else None
    config = bridge_config(node, called_as, "1.1.0", pool, **options)

    answer = node.call("ADD", config, "c1", pod, called_as=called_as)

    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 100,
        "msg": "vlan and vlanTrunk: this kernel's bridge has no VLAN filtering",
        "details": "CONFIG_BRIDGE_VLAN_FILTERING is needed",
    }
    assert_nothing_made(node, pod)


def test_an_existing_bridge_without_vlan_filtering(node: Node) -> None:
    """A VLAN on a bridge that cannot have it leaves the bridge as it was (A7, AD6)."""
    pod = node.pod()
    node.run("ip", "link", "add", "bridge0", "mtu", "1400", "type", "bridge")
    before = node.ip("address", "show", "dev", "bridge0")
    config = bridge_config(node, "bridge", "1.1.0", POOLS["v4"], vlan=100)

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.json["msg"].endswith("this kernel's bridge has no VLAN filtering")
    assert list(pod.links()) == ["lo"]
    assert sorted(node.links()) == ["bridge0", "lo"]
    after = node.ip("address", "show", "dev", "bridge0")
    assert _settings(after) == _settings(before)
    assert_no_trace(node)


def _settings(shown: list[dict[str, Any]]) -> dict[str, Any]:
    """What does not change by itself: a bridge's timers do."""
    link = {key: value for key, value in shown[0].items() if key != "linkinfo"}
    return {**link, "addr_info": [a["local"] for a in link["addr_info"]]}


@pytest.mark.parametrize("version", VERSIONS)
def test_addresses_need_an_interface_that_is_up(node: Node, version: str) -> None:
    """disableContainerInterface together with ipam is code 7 (A24)."""
    pod = node.pod()
    config = bridge_config(
        node, "bridge", version, POOLS["v4"], disableContainerInterface=True
    )

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": version,
        "code": 7,
        "msg": "disableContainerInterface: true, and ipam is set: an interface that "
        "stays down cannot have addresses",
    }
    assert_nothing_made(node, pod)


@pytest.mark.parametrize("version", VERSIONS)
def test_hairpin_and_promiscuous_exclude_each_other(node: Node, version: str) -> None:
    """hairpinMode together with promiscMode is code 7 (A16)."""
    pod = node.pod()
    config = bridge_config(
        node, "bridge", version, POOLS["v4"], hairpinMode=True, promiscMode=True
    )

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": version,
        "code": 7,
        "msg": "hairpinMode and promiscMode: both true, only one of them is possible",
    }
    assert_nothing_made(node, pod)


def test_unknown_masquerade_backend_is_refused(node: Node) -> None:
    """An ipMasqBackend that nobody knows is code 7 (A20)."""
    pod = node.pod()
    config = bridge_config(
        node, "bridge", "1.0.0", POOLS["v4"], ipMasq=True, ipMasqBackend="ipfw"
    )

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": "1.0.0",
        "code": 7,
        "msg": "ipMasqBackend: unrecognized backend 'ipfw', iptables and nftables are "
        "known (both mean nftables here)",
    }
    assert_nothing_made(node, pod)
