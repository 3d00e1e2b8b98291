"""What a node should have, from its networks; what it can't have, and why."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network

from agent.desired import matches, work_out
from agent.model import (
    Bridge,
    HostRange,
    Inputs,
    Namespace,
    Network,
    Node,
    Problem,
    Requirement,
    Route,
)
from plugin.config import parse_config
from plugin.state.node import parse_state

BLUE = Network("blue", (ip_network("10.60.0.0/16"),), bridge=Bridge("blue0"))
GREEN = Network("green", (ip_network("10.61.0.0/16"),), bridge=Bridge("green0"))
BLUE_BLOCK = ("blue", (ip_network("10.60.3.0/24"),))
GREEN_BLOCK = ("green", (ip_network("10.61.5.0/24"),))


def test_node_state_is_a_configuration_of_the_plugin() -> None:
    """What the agent writes, the plugin reads as one of its configurations."""
    inputs = Inputs(Node("n1"), (BLUE,), (BLUE_BLOCK,))

    state = parse_state(work_out(inputs).networks[0].state)
    document = {"cniVersion": "1.0.0", "name": "x", "type": "pycni", **state.config}
    config = parse_config(document, {}, layer2_by_default=False)

    assert config.ipam is not None
    assert [str(part) for part in config.ipam.range_sets[0]] == [
        "10.60.3.1-10.60.3.254"
    ]
    assert (config.bridge, config.mtu, config.is_gateway) == ("blue0", 1500, True)


def test_pods_and_nodes_are_never_masqueraded() -> None:
    """All networks, all node addresses and the exceptions keep the pod's address."""
    node_address = ip_address("192.0.2.11")
    inputs = Inputs(
        Node("n1"),
        (BLUE, GREEN),
        (BLUE_BLOCK, GREEN_BLOCK),
        node_addresses=(node_address,),
    )

    network = work_out(inputs).networks[0]

    exempt = ("10.60.0.0/16", "10.61.0.0/16", "192.0.2.11/32")
    assert network.masquerade == (("10.60.3.0/24", exempt),)
    assert json.loads(network.state)["config"]["ipMasqExceptCIDRs"] == list(exempt)


def test_overlay_leaves_room_in_the_mtu() -> None:
    """The MTU is the uplink's less the overlay, or the one asked for (D8)."""
    overlay = Network("blue", BLUE.cidrs, bridge=Bridge("blue0"), routing="VXLAN")
    chosen = Network("blue", BLUE.cidrs, bridge=Bridge("blue0", mtu=1234))
    node = Node("n1", uplink_mtu=9000)

    mtus = [
        work_out(Inputs(node, (network,), (BLUE_BLOCK,))).networks[0].mtu
        for network in (BLUE, overlay, chosen)
    ]

    assert mtus == [9000, 8930, 1234]


def test_derived_mtu_is_one_that_a_bridge_can_have() -> None:
    """An uplink of 65,536 bytes gives what a bridge can do, not what it can't."""
    inputs = Inputs(Node("n1", uplink_mtu=65536), (BLUE,), (BLUE_BLOCK,))

    assert work_out(inputs).networks[0].mtu == 65535


def test_overlapping_network_is_a_conflict_that_names_the_other() -> None:
    """Of two networks that overlap the older one stays and the other is told why."""
    late = Network(
        "azure",
        (ip_network("10.60.128.0/17"),),
        created="2026-01-02T00:00:00Z",
        bridge=Bridge("azure0"),
    )
    inputs = Inputs(Node("n1"), (late, BLUE), (BLUE_BLOCK,))

    desired = work_out(inputs)

    assert [network.name for network in desired.networks] == ["blue"]
    assert desired.problems == (
        Problem(
            "azure", "Conflict", "10.60.128.0/17 overlaps 10.60.0.0/16 of network blue"
        ),
    )


def test_addresses_of_the_node_are_a_conflict() -> None:
    """A network that overlaps what the node uses otherwise is not installed."""
    used = HostRange(ip_network("10.60.9.0/24"), "the subnet of eth0")
    other = HostRange(ip_network("192.0.2.0/24"), "the subnet of eth1")
    inputs = Inputs(Node("n1", ranges=(other, used)), (BLUE,), (BLUE_BLOCK,))

    assert work_out(inputs).problems == (
        Problem(
            "blue",
            "Conflict",
            "10.60.0.0/16 overlaps 10.60.9.0/24, the subnet of eth0",
        ),
    )


def test_routes_of_a_network_follow_the_default_routes() -> None:
    """Node state has a default route for each family, then the network's own (B19)."""
    network = Network(
        "blue",
        (*BLUE.cidrs, ip_network("fd00:60::/48")),
        bridge=Bridge("blue0"),
        routes=(
            Route(ip_network("1.1.1.1/32"), ip_address("10.60.3.9"), (("mtu", 1300),)),
            Route(ip_network("192.0.2.0/24")),
        ),
    )
    blocks = (*BLUE_BLOCK[1], ip_network("fd00:60:0:3::/64"))

    state = (
        work_out(Inputs(Node("n1"), (network,), (("blue", blocks),))).networks[0].state
    )

    assert parse_state(state).config["ipam"]["routes"] == [
        {"dst": "0.0.0.0/0"},
        {"dst": "::/0"},
        {"dst": "1.1.1.1/32", "gw": "10.60.3.9", "mtu": 1300},
        {"dst": "192.0.2.0/24"},
    ]


def test_a_shared_bridge_is_a_conflict() -> None:
    """Two networks can't have the same bridge."""
    other = Network("green", GREEN.cidrs, bridge=Bridge("blue0"))
    inputs = Inputs(Node("n1"), (BLUE, other), (BLUE_BLOCK, GREEN_BLOCK))

    assert work_out(inputs).problems == (
        Problem("green", "Conflict", "bridge blue0 is that of network blue"),
    )


def test_network_without_a_block_waits() -> None:
    """A network of which the node has no block is a problem with a reason."""
    assert work_out(Inputs(Node("n1"), (BLUE,))).problems == (
        Problem("blue", "NoSubnet", "node n1 has no block of the network yet"),
    )


def test_selector_picks_namespaces() -> None:
    """Node state names the namespaces whose labels match the selector."""
    selector = (Requirement("team", "In", ("a", "b")),)
    network = Network("blue", BLUE.cidrs, namespaces=selector, bridge=Bridge("blue0"))
    namespaces = (
        Namespace("one", (("team", "a"),)),
        Namespace("two", (("team", "c"),)),
        Namespace("three"),
    )
    inputs = Inputs(Node("n1"), (network,), (BLUE_BLOCK,), namespaces)

    assert parse_state(work_out(inputs).networks[0].state).namespaces == ["one"]


def test_each_operator_of_a_selector() -> None:
    """In, NotIn, Exists and DoesNotExist mean what they mean to Kubernetes."""
    labelled = Namespace("one", (("team", "a"),))
    bare = Namespace("two")
    cases = {
        ("In", ("a",)): (True, False),
        ("NotIn", ("a",)): (False, True),
        ("Exists", ()): (True, False),
        ("DoesNotExist", ()): (False, True),
    }

    got = {
        case: tuple(
            matches((Requirement("team", *case),), namespace)
            for namespace in (labelled, bare)
        )
        for case in cases
    }

    assert got == cases
