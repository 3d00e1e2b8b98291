"""VLANs of the bridge, on a kernel that has VLAN filtering.

Rows A7 to A12 are the reference plugin's own acceptance list.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from . import cases
from .report import Parts, Report, added

pytestmark = pytest.mark.timeout(300)  # the first one boots

BRIDGE = {"bridge0": ["1 PVID Egress Untagged"]}
V6_LINK = "fe80::/64 dev eth0 proto kernel metric 256 pref medium"


class Expected(NamedTuple):
    """What the first pod of a kind of subnets gets."""

    ips: list[tuple[str, str, int]]
    gateways: list[str]
    pod: list[str]
    routes: list[str]


EXPECTED = {
    "v4": Expected(
        ips=[("10.1.2.2/24", "10.1.2.1", 2)],
        gateways=["10.1.2.1/24"],
        pod=["10.1.2.2/24", "link-local"],
        routes=[
            "10.1.2.0/24 dev eth0 proto kernel scope link src 10.1.2.2",
            "default via 10.1.2.1 dev eth0",
            V6_LINK,
        ],
    ),
    "v6": Expected(
        ips=[("2001:db8::2/64", "2001:db8::1", 2)],
        gateways=["2001:db8::1/64"],
        pod=["2001:db8::2/64", "link-local"],
        routes=[
            "2001:db8::/64 dev eth0 proto kernel metric 256 pref medium",
            "default via 2001:db8::1 dev eth0 metric 1024 pref medium",
            V6_LINK,
        ],
    ),
    "dual": Expected(
        ips=[("192.168.0.2/24", "192.168.0.1", 2), ("fd00::2/64", "fd00::1", 2)],
        gateways=["192.168.0.1/24", "fd00::1/64"],
        pod=["192.168.0.2/24", "fd00::2/64", "link-local"],
        routes=[
            "192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.2",
            "default via 192.168.0.1 dev eth0",
            "default via fd00::1 dev eth0 metric 1024 pref medium",
            "fd00::/64 dev eth0 proto kernel metric 256 pref medium",
            V6_LINK,
        ],
    ),
    "three": Expected(
        ips=[
            ("192.168.0.2/24", "192.168.0.1", 2),
            ("fd00::2/64", "fd00::1", 2),
            ("2001:db8::2/64", "2001:db8::1", 2),
        ],
        gateways=["192.168.0.1/24", "2001:db8::1/64", "fd00::1/64"],
        pod=["192.168.0.2/24", "2001:db8::2/64", "fd00::2/64", "link-local"],
        routes=[
            "192.168.0.0/24 dev eth0 proto kernel scope link src 192.168.0.2",
            "2001:db8::/64 dev eth0 proto kernel metric 256 pref medium",
            "default via 192.168.0.1 dev eth0",
            "default via fd00::1 dev eth0 metric 1024 pref medium",
            "fd00::/64 dev eth0 proto kernel metric 256 pref medium",
            V6_LINK,
        ],
    ),
}


@pytest.mark.parametrize("case", cases.PORT_CASES)
def test_a_layer_2_result_lists_bridge_host_end_and_container_end(
    first_boot: Parts, case: str
) -> None:
    """ADD without IPAM gives three interfaces and no address (A7 to A10)."""
    report = Report(first_boot, case)

    assert report.result()["cniVersion"] == case.rpartition("-")[2]
    assert report.ips() == []
    assert report.interfaces() == [
        ("bridge0", True, ""),
        ("HOST", True, ""),
        ("eth0", True, f"/run/netns/pod-{case}"),
    ]


@pytest.mark.parametrize("case", cases.PORT_CASES)
def test_a_vlan_turns_filtering_on(first_boot: Parts, case: str) -> None:
    """A bridge with a VLAN or a trunk filters by VLAN (A7)."""
    assert Report(first_boot, case).text("filtering") == "1"


@pytest.mark.parametrize("case", cases.PORT_CASES)
def test_a_layer_2_pod_has_a_link_local_address_alone(
    first_boot: Parts, case: str
) -> None:
    """Node and pod hold no link and no address beyond the pod's own (A7 to A10)."""
    report = Report(first_boot, case)

    assert report.node() == {"lo": [], "bridge0": [], "HOST": []}
    assert report.addresses("pod") == {"lo": [], "eth0": ["link-local"]}


@pytest.mark.parametrize("version", cases.VERSIONS)
def test_vlan_makes_an_access_port(first_boot: Parts, version: str) -> None:
    """With vlan 100 the port has VLAN 100, untagged (A7)."""
    assert Report(first_boot, f"access-{version}").vlans() == {
        **BRIDGE,
        "HOST": ["1 Egress Untagged", "100 PVID Egress Untagged"],
    }


@pytest.mark.parametrize("version", cases.VERSIONS)
def test_vlan_trunk_makes_a_trunk_port(first_boot: Parts, version: str) -> None:
    """With a trunk alone each id is on the port, tagged, and 1 is native (A8)."""
    assert Report(first_boot, f"trunk-{version}").vlans() == {
        **BRIDGE,
        "HOST": ["1 PVID Egress Untagged", "101", "200-210"],
    }


@pytest.mark.parametrize("version", cases.VERSIONS)
def test_vlan_is_the_native_one_of_a_trunk(first_boot: Parts, version: str) -> None:
    """With vlan 100 and a trunk, 100 is native and the trunk's ids are tagged (A9)."""
    assert Report(first_boot, f"access-and-trunk-{version}").vlans() == {
        **BRIDGE,
        "HOST": ["1 Egress Untagged", "100 PVID Egress Untagged", "101", "200-210"],
    }


@pytest.mark.parametrize("version", cases.VERSIONS)
def test_the_default_vlan_can_be_removed(first_boot: Parts, version: str) -> None:
    """With preserveDefaultVlan false the port has exactly VLAN 100 (A10)."""
    assert Report(first_boot, f"access-alone-{version}").vlans() == {
        **BRIDGE,
        "HOST": ["100 PVID Egress Untagged"],
    }


def test_the_default_vlan_is_removed_by_default(first_boot: Parts) -> None:
    """Without preserveDefaultVlan the port has exactly VLAN 100 (A10)."""
    assert Report(first_boot, "access-by-default-1.1.0").vlans() == {
        **BRIDGE,
        "HOST": ["100 PVID Egress Untagged"],
    }


def test_a_trunk_keeps_its_native_vlan(first_boot: Parts) -> None:
    """Without preserveDefaultVlan too, VLAN 1 is native in a trunk alone (A8)."""
    assert Report(first_boot, "trunk-by-default-1.1.0").vlans() == {
        **BRIDGE,
        "HOST": ["1 PVID Egress Untagged", "101", "200-210"],
    }


@pytest.mark.parametrize("case", cases.PORT_CASES)
def test_delete_leaves_the_bridge_alone(first_boot: Parts, case: str) -> None:
    """After DEL neither the node nor the pod has a link of the pod (A7 to A10)."""
    report = Report(first_boot, case)

    assert report.text("delete") == "exit 0"
    assert report.node("node after") == {"lo": [], "bridge0": []}
    assert report.addresses("pod after") == {"lo": []}


@pytest.mark.parametrize(("kind", "version"), cases.GATEWAYS)
@pytest.mark.parametrize("preserve", ["preserved", "alone"])
def test_a_gateway_gives_a_fourth_interface(
    first_boot: Parts, kind: str, version: str, preserve: str
) -> None:
    """With vlan and addresses the result ends with the VLAN's gateway (A11)."""
    case = f"gateway-{kind}-{preserve}"
    report = Report(first_boot, case)

    assert report.result()["cniVersion"] == version
    assert report.ips() == EXPECTED[kind].ips
    assert report.interfaces() == [
        ("bridge0", True, ""),
        ("HOST", True, ""),
        ("eth0", True, f"/run/netns/pod-{case}"),
        ("bridge0.100", True, ""),
    ]


@pytest.mark.parametrize("case", cases.GATEWAY_CASES)
def test_a_gateway_is_on_a_veth_pair_of_its_own(first_boot: Parts, case: str) -> None:
    """The node has five links, and BRIDGE.VLAN alone has the gateway (A11)."""
    kind = case.split("-")[1]

    assert Report(first_boot, case).node() == {
        "lo": [],
        "bridge0": [],
        "HOST": [],
        "PEER@bridge0.100": [],
        "bridge0.100@PEER": EXPECTED[kind].gateways,
    }


@pytest.mark.parametrize("kind", cases.SUBNETS)
def test_pod_and_gateway_are_in_one_vlan(first_boot: Parts, kind: str) -> None:
    """Both ports have VLAN 100, untagged (A11)."""
    access = ["1 Egress Untagged", "100 PVID Egress Untagged"]

    assert Report(first_boot, f"gateway-{kind}-preserved").vlans() == {
        **BRIDGE,
        "HOST": access,
        "PEER": access,
    }


@pytest.mark.parametrize("kind", cases.SUBNETS)
def test_pod_and_gateway_are_in_that_vlan_alone(first_boot: Parts, kind: str) -> None:
    """With preserveDefaultVlan false both ports have exactly one VLAN (A12)."""
    assert Report(first_boot, f"gateway-{kind}-alone").vlans() == {
        **BRIDGE,
        "HOST": ["100 PVID Egress Untagged"],
        "PEER": ["100 PVID Egress Untagged"],
    }


@pytest.mark.parametrize("case", cases.GATEWAY_CASES)
def test_a_pod_in_a_vlan_has_addresses_and_routes(first_boot: Parts, case: str) -> None:
    """The pod has its addresses and a default route a family (A11, A12)."""
    report = Report(first_boot, case)
    expected = EXPECTED[case.split("-")[1]]

    assert report.addresses("pod") == {"lo": [], "eth0": expected.pod}
    assert report.routes() == expected.routes


@pytest.mark.parametrize("case", cases.GATEWAY_CASES)
def test_delete_leaves_the_gateway(first_boot: Parts, case: str) -> None:
    """After DEL the pod's links are gone, the VLAN's gateway stays (A11, A12)."""
    report = Report(first_boot, case)

    assert report.text("delete") == "exit 0"
    assert report.addresses("pod after") == {"lo": []}
    assert report.node("node after") == {
        "lo": [],
        "bridge0": [],
        "PEER@bridge0.100": [],
        "bridge0.100@PEER": EXPECTED[case.split("-")[1]].gateways,
    }


def test_a_vlan_is_a_network_of_its_own(first_boot: Parts) -> None:
    """Pods reach gateway and pods of their VLAN and none of another (A11)."""
    for pod in ("red1", "red2", "blue"):
        assert added(first_boot[f"traffic add {pod}"])[1] == 0

    assert first_boot["traffic pings"].splitlines() == [
        "blue does not reach 10.1.2.1",
        "blue does not reach 10.1.2.2",
        "red1 does not reach 10.1.2.100",
        "red1 reaches 10.1.2.1",
        "red1 reaches 10.1.2.3",
        "red2 reaches 10.1.2.2",
    ]
