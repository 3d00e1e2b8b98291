"""From networks and node to what the node should have: pure.

A network is installed when it has a block and shares no address and no bridge with
somebody else; otherwise it becomes a Problem that names the other side:

    reason      when
    Invalid     the manifest can't be read
    Conflict    another network, an address or route of the node overlaps its CIDRs,
                or another network has its bridge
    NoSubnet    no block of it is this node's yet
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from agent.model import (
    Desired,
    Inputs,
    Namespace,
    Network,
    NodeNetwork,
    Problem,
    Requirement,
    Subnet,
)
from plugin.state.node import NodeState, render_state

# What VXLAN puts around a packet: outer IPv6, UDP, VXLAN and Ethernet headers.
_OVERLAY_BYTES = 70
# The least that IPv6 needs (RFC 8200) and the most that a bridge can do.
_MTU_BOUNDS = (1280, 65535)


def work_out(inputs: Inputs) -> Desired:
    """What the node should have, and which networks it can't have."""
    problems = [Problem(name, "Invalid", why) for name, why in inputs.refused]
    installed: list[NodeNetwork] = []
    accepted: list[Network] = []
    for network in sorted(inputs.networks, key=lambda n: (n.created, n.name)):
        conflict = _conflict(network, accepted, inputs)
        if conflict:
            problems.append(Problem(network.name, "Conflict", conflict))
            continue
        accepted.append(network)
    for network in accepted:
        if inputs.blocks_of(network.name):
            installed.append(_install(network, accepted, inputs))
        else:
            message = f"node {inputs.node.name} has no block of the network yet"
            problems.append(Problem(network.name, "NoSubnet", message))
    return Desired(
        tuple(sorted(installed, key=lambda n: n.name)),
        tuple(sorted(problems, key=lambda p: p.network)),
    )


def _conflict(network: Network, accepted: list[Network], inputs: Inputs) -> str:
    for other in accepted:
        for cidr in network.cidrs:
            for theirs in other.cidrs:
                if cidr.version == theirs.version and cidr.overlaps(theirs):
                    return f"{cidr} overlaps {theirs} of network {other.name}"
        if network.bridge.name == other.bridge.name:
            return f"bridge {network.bridge.name} is that of network {other.name}"
    for used in inputs.node.ranges:
        for cidr in network.cidrs:
            if cidr.version == used.subnet.version and cidr.overlaps(used.subnet):
                return f"{cidr} overlaps {used.subnet}, {used.what}"
    return ""


def _install(network: Network, accepted: list[Network], inputs: Inputs) -> NodeNetwork:
    blocks = inputs.blocks_of(network.name)
    mtu = _mtu(network, inputs)
    exempt = _exempt(network, accepted, inputs)
    state = NodeState(network.name, _config(network, blocks, mtu, exempt))
    state.is_default = network.is_default
    state.namespaces = [
        namespace.name
        for namespace in inputs.namespaces
        if network.namespaces is not None and matches(network.namespaces, namespace)
    ]
    masquerade = tuple(
        (str(block), tuple(str(e) for e in exempt if e.version == block.version))
        for block in blocks
        if network.masquerade.enabled
    )
    return NodeNetwork(
        name=network.name,
        generation=network.generation,
        state=render_state(state),
        bridge=network.bridge.name,
        mtu=mtu,
        promiscuous=network.bridge.promiscuous,
        gateways=tuple(f"{block[1]}/{block.prefixlen}" for block in blocks),
        masquerade=masquerade,
    )


def _config(
    network: Network, blocks: tuple[Subnet, ...], mtu: int, exempt: list[Subnet]
) -> dict[str, Any]:
    """The keys of a network configuration, as docs/configuration.md has them."""
    versions = [v for v in (4, 6) if any(block.version == v for block in blocks)]
    ranges = [
        [
            {"subnet": str(block), "exclude": list(network.reserved)}
            for block in blocks
            if block.version == version
        ]
        for version in versions
    ]
    routes: list[dict[str, Any]] = [
        {"dst": "0.0.0.0/0" if version == 4 else "::/0"} for version in versions
    ]
    for route in network.routes:
        gateway = {"gw": str(route.gateway)} if route.gateway else {}
        routes.append({"dst": str(route.destination), **gateway, **dict(route.options)})
    return {
        "bridge": network.bridge.name,
        "isGateway": True,
        "hairpinMode": network.bridge.hairpin,
        "promiscMode": network.bridge.promiscuous,
        "mtu": mtu,
        "ipMasq": network.masquerade.enabled,
        "ipMasqExceptCIDRs": [str(cidr) for cidr in exempt],
        "ipam": {"type": "pycni", "ranges": ranges, "routes": routes},
    }


def _mtu(network: Network, inputs: Inputs) -> int:
    """The MTU asked for, or the uplink's less what the overlay needs, within bounds."""
    if network.bridge.mtu:
        return network.bridge.mtu
    overlay = _OVERLAY_BYTES if network.routing in ("VXLAN", "CrossSubnet") else 0
    low, high = _MTU_BOUNDS
    return max(low, min(inputs.node.uplink_mtu - overlay, high))


def _exempt(network: Network, accepted: list[Network], inputs: Inputs) -> list[Subnet]:
    """Destinations that see a pod's own address: all pods, all nodes, exceptions."""
    wanted = [cidr for other in accepted for cidr in other.cidrs]
    wanted += network.masquerade.except_cidrs
    wanted += [ip_network(address) for address in inputs.node_addresses]
    return sorted(set(wanted), key=str)


def matches(requirements: tuple[Requirement, ...], namespace: Namespace) -> bool:
    """Whether a namespace's labels meet every requirement of a selector."""
    labels = dict(namespace.labels)
    for requirement in requirements:
        value = labels.get(requirement.key)
        held = {
            "In": value in requirement.values,
            "NotIn": value not in requirement.values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not held[requirement.operator]:
            return False
    return True
