"""From what is wanted and what is there to steps; a steady node has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.model import Desired, NodeNetwork, Observed, ObservedBridge, Problem, Step
from agent.plan import plan

BLUE = NodeNetwork(
    name="blue",
    generation=1,
    state=b"{}",
    bridge="blue0",
    mtu=1500,
    promiscuous=False,
    gateways=("10.60.3.1/24", "fd00:60::1/64"),
    masquerade=(("10.60.3.0/24", ()),),
)
BRIDGE = ObservedBridge(
    is_up=True, mtu=1500, promiscuous=False, addresses=("10.60.3.1/24", "fd00:60::1/64")
)
DESIRED = Desired((BLUE,))
STEADY = Observed(
    states=(("blue", b"{}"),),
    bridges=(("blue0", BRIDGE),),
    masqueraded=("blue",),
    sysctls=(
        ("ipv4/ip_forward", "1"),
        ("ipv6/conf/all/forwarding", "1"),
        ("bridge/bridge-nf-call-iptables", "1"),
        ("bridge/bridge-nf-call-ip6tables", "1"),
    ),
)


def test_steady_node_has_no_steps() -> None:
    """Where everything is as wanted nothing is done."""
    assert plan(DESIRED, STEADY) == ()


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"states": ()}, Step("write-state", "blue", "blue")),
        ({"states": (("blue", b"old"),)}, Step("write-state", "blue", "blue")),
        ({"bridges": ()}, Step("ensure-bridge", "blue0", "blue")),
        (
            {"bridges": (("blue0", replace(BRIDGE, is_up=False)),)},
            Step("ensure-bridge", "blue0", "blue"),
        ),
        (
            {"bridges": (("blue0", replace(BRIDGE, mtu=1400)),)},
            Step("ensure-bridge", "blue0", "blue"),
        ),
        (
            {"bridges": (("blue0", replace(BRIDGE, addresses=("10.60.3.1/24",))),)},
            Step("ensure-bridge", "blue0", "blue"),
        ),
        ({"masqueraded": ()}, Step("ensure-ruleset", "blue", "blue")),
        ({"stray_ports": (("veth1", "blue0"),)}, Step("attach-port", "veth1", "blue")),
        (
            {"sysctls": (("ipv4/ip_forward", "0"),)},
            Step("set-sysctl", "ipv4/ip_forward=1"),
        ),
        ({"plugin_is_current": False}, Step("install-plugin", "plugin")),
        ({"conflist_is_current": False}, Step("write-conflist", "conflist")),
        (
            {"states": (("blue", b"{}"), ("old", b"{}"))},
            Step("remove-network", "old", "old"),
        ),
    ],
)
def test_one_difference_is_one_step(change: dict[str, Any], step: Step) -> None:
    """Each difference alone leads to the one step that mends it."""
    assert plan(DESIRED, replace(STEADY, **change)) == (step,)


def test_conflist_comes_last() -> None:
    """On an empty node the plugin comes before the networks and the conflist last."""
    empty = Observed(plugin_is_current=False, conflist_is_current=False)

    kinds = [step.kind for step in plan(DESIRED, empty)]

    assert kinds == [
        "install-plugin",
        "write-state",
        "ensure-bridge",
        "ensure-ruleset",
        "write-conflist",
    ]


def test_conflist_waits_for_a_network() -> None:
    """Without a network in place the runtime is not told to call us (F1)."""
    observed = replace(STEADY, states=(), conflist_is_current=False)

    assert plan(Desired(), observed) == ()


def test_network_in_conflict_keeps_what_it_had() -> None:
    """A network that has become a problem is not taken from its pods."""
    desired = Desired((), (Problem("blue", "Conflict", "overlaps"),))

    assert plan(desired, STEADY) == ()
