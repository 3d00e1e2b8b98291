"""What the agent thinks in: networks, blocks, and what one node is like.

Plain values; nothing here acts, reads a clock or imports a library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Bridge:
    """The bridge of a network; `mtu` 0 stands for the uplink's."""

    name: str = "pycni0"
    mtu: int = 0
    hairpin: bool = True
    promiscuous: bool = False


@dataclass(frozen=True)
class Masquerade:
    """Source NAT of a network."""

    enabled: bool = True
    except_cidrs: tuple[Subnet, ...] = ()


@dataclass(frozen=True)
class Route:
    """A further route in each pod; `options` are mtu, advmss, priority."""

    destination: Subnet
    gateway: Address | None = None
    options: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Requirement:
    """A condition of a label selector: In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """A CNINetwork as its user wrote it."""

    name: str
    cidrs: tuple[Subnet, ...]
    generation: int = 0
    # When it was made, as RFC 3339 text: of two that overlap the older one stays.
    created: str = ""
    prefix_v4: int = 24
    prefix_v6: int = 64
    from_node: bool = False
    max_blocks: int = 1
    reserved: tuple[str, ...] = ()
    is_default: bool = False
    # None matches no namespace, an empty selector all of them.
    namespaces: tuple[Requirement, ...] | None = None
    bridge: Bridge = field(default_factory=Bridge)
    masquerade: Masquerade = field(default_factory=Masquerade)
    routing: str = "HostRoutes"
    routes: tuple[Route, ...] = ()

    def prefix_of(self, cidr: Subnet) -> int:
        """The prefix length of a node's block out of one of the CIDRs."""
        return self.prefix_v4 if cidr.version == 4 else self.prefix_v6


@dataclass(frozen=True)
class Namespace:
    """A Kubernetes namespace with its labels."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class HostRange:
    """Addresses that the node uses for something else, and what for, in words."""

    subnet: Subnet
    what: str


@dataclass(frozen=True)
class Node:
    """What the agent knows of its node, beside what it manages."""

    name: str
    uplink_mtu: int = 1500
    addresses: tuple[Address, ...] = ()
    pod_cidrs: tuple[Subnet, ...] = ()
    ranges: tuple[HostRange, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """Everything that decides what a node should have."""

    node: Node
    networks: tuple[Network, ...] = ()
    # Network name -> blocks of this node, oldest first.
    blocks: tuple[tuple[str, tuple[Subnet, ...]], ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    # Addresses of all nodes of the cluster.
    node_addresses: tuple[Address, ...] = ()
    # Manifests that could not be read: name -> why.
    refused: tuple[tuple[str, str], ...] = ()

    def blocks_of(self, name: str) -> tuple[Subnet, ...]:
        """The blocks of this node in a network."""
        return dict(self.blocks).get(name, ())


@dataclass(frozen=True)
class NodeNetwork:
    """A network as this node has to have it."""

    name: str
    generation: int
    # The file that the plugin reads.
    state: bytes
    bridge: str
    mtu: int
    promiscuous: bool
    gateways: tuple[str, ...]
    # (source subnet, exempt destinations) as text.
    masquerade: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Problem:
    """Why a network is not installed: a reason in one word, and a sentence."""

    network: str
    reason: str
    message: str


@dataclass(frozen=True)
class Desired:
    """What the node should have, and which networks it can't have."""

    networks: tuple[NodeNetwork, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class ObservedBridge:
    """A bridge of the node."""

    is_up: bool
    mtu: int
    promiscuous: bool
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Observed:
    """What the node has of all that we look after."""

    # Network name -> node state as it is on disk.
    states: tuple[tuple[str, bytes], ...] = ()
    # Name -> bridge, of the bridges that are ours.
    bridges: tuple[tuple[str, ObservedBridge], ...] = ()
    # Names of networks whose masquerade is whole.
    masqueraded: tuple[str, ...] = ()
    # Sysctl key -> value; a key that the kernel lacks is not there.
    sysctls: tuple[tuple[str, str], ...] = ()
    # Ports of pods that are not in the bridge of their network: (port, bridge).
    stray_ports: tuple[tuple[str, str], ...] = ()
    plugin_is_current: bool = True
    conflist_is_current: bool = True


@dataclass(frozen=True)
class Step:
    """One change: what is done, to what, and for which network."""

    kind: str
    subject: str
    network: str = ""
