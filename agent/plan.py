"""From what is wanted and what is there to the steps between: pure.

    found                                         step
    sysctl differs                                set-sysctl
    plugin file missing or different              install-plugin
    node state missing or different               write-state
    bridge missing, down, other MTU or flags      ensure-bridge
    gateway address missing                       ensure-bridge
    port of a pod outside of its bridge           attach-port
    masquerade missing or changed                 ensure-ruleset
    state of a network that is not wanted         remove-state, remove-network
    conflist missing or different, network ready  write-conflist
    no network at all, conflist there             remove-conflist

A steady node has no steps. The conflist comes last: it makes the runtime call us.
"""

from __future__ import annotations

from agent.model import Desired, NodeNetwork, Observed, ObservedBridge, Step

# Pods of one bridge reach each other by services only if kube-proxy sees bridged
# packets; a node that forwards is what a gateway is.
SYSCTLS_V4 = (("ipv4/ip_forward", "1"),)
SYSCTLS_V6 = (("ipv6/conf/all/forwarding", "1"),)
SYSCTLS_BRIDGE = (
    ("bridge/bridge-nf-call-iptables", "1"),
    ("bridge/bridge-nf-call-ip6tables", "1"),
)


def plan(desired: Desired, observed: Observed) -> tuple[Step, ...]:
    """The steps that make the node what is wanted, in the order to do them."""
    steps = [
        Step("set-sysctl", f"{key}={value}")
        for key, value in wanted_sysctls(desired)
        if dict(observed.sysctls).get(key, value) != value
    ]
    if not observed.plugin_is_current:
        steps.append(Step("install-plugin", "plugin"))
    for network in desired.networks:
        steps += _network_steps(network, observed)
    steps += _removals(desired, observed)
    if desired.networks and not observed.conflist_is_current:
        steps.append(Step("write-conflist", "conflist"))
    return tuple(steps)


def wanted_sysctls(desired: Desired) -> list[tuple[str, str]]:
    """Sysctls that the families in use need."""
    gateways = [g for network in desired.networks for g in network.gateways]
    wanted: list[tuple[str, str]] = []
    if any("." in gateway for gateway in gateways):
        wanted += SYSCTLS_V4
    if any(":" in gateway for gateway in gateways):
        wanted += SYSCTLS_V6
    return wanted + list(SYSCTLS_BRIDGE) if gateways else wanted


def _network_steps(network: NodeNetwork, observed: Observed) -> list[Step]:
    steps = []
    if dict(observed.states).get(network.name) != network.state:
        steps.append(Step("write-state", network.name, network.name))
    bridge = dict(observed.bridges).get(network.bridge)
    if bridge is None or differs(network, bridge):
        steps.append(Step("ensure-bridge", network.bridge, network.name))
    steps += [
        Step("attach-port", port, network.name)
        for port, of_bridge in observed.stray_ports
        if of_bridge == network.bridge
    ]
    if network.masquerade and network.name not in observed.masqueraded:
        steps.append(Step("ensure-ruleset", network.name, network.name))
    return steps


def differs(network: NodeNetwork, bridge: ObservedBridge) -> bool:
    """Whether a bridge is not as its network wants it."""
    return (
        not bridge.is_up
        or bridge.mtu != network.mtu
        or (network.promiscuous and not bridge.promiscuous)
        or not set(network.gateways) <= set(bridge.addresses)
    )


def _removals(desired: Desired, observed: Observed) -> list[Step]:
    wanted = {network.name for network in desired.networks}
    # A network in conflict, or that can't be read, keeps what it had: its pods live.
    kept = {problem.network for problem in desired.problems}
    return [
        Step("remove-network", name, name)
        for name, _ in observed.states
        if name not in wanted | kept
    ]
