"""From a configuration to what has to be in the kernel: pure, nothing is done here."""

from __future__ import annotations

from plugin import errors, ipam
from plugin.address import Prefix, number, packed, parse_prefix
from plugin.dataplane import vlan
from plugin.dataplane.attachment import AttachmentConfig
from plugin.dataplane.bridge import BridgeConfig
from plugin.dataplane.masquerade import Masquerade
from plugin.errors import CNIError
from plugin.netlink.rtnetlink import parse_mac
from plugin.result import IPConfig, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.config import NetworkConfig
    from plugin.protocol import Request


def plan_bridge(config: NetworkConfig, ips: list[IPConfig]) -> BridgeConfig:
    """The bridge of a network; its gateway addresses if it is their gateway."""
    bridge = BridgeConfig(config.bridge, config.mtu)
    bridge.promiscuous = config.promiscuous
    bridge.vlan_filtering = bool(config.vlan or config.vlan_trunk)
    bridge.force_address = config.force_address
    if config.is_gateway:
        bridge.gateways = plan_gateways(ips)
    return bridge


def plan_gateways(ips: list[IPConfig]) -> list[Prefix]:
    """The gateway of each address with its prefix length, each once.

    A missing one is the address after the network address. One outside of the subnet
    gets the length of a single host, a link-local one that of its own subnet.
    """
    gateways: list[Prefix] = []
    for ip in ips:
        subnet = ip.address
        ip.gateway = ip.gateway or _address_after(subnet)
        length = subnet.length
        if not subnet.contains(ip.gateway):
            length = 64 if ip.gateway[:2] == b"\xfe\x80" else len(ip.gateway) * 8
        gateway = Prefix(ip.gateway, length)
        if gateway not in gateways:
            gateways.append(gateway)
    return gateways


def _address_after(subnet: Prefix) -> bytes:
    if subnet.length == len(subnet.address) * 8:
        raise CNIError(
            errors.INVALID_CONFIGURATION,
            f"isGateway: {subnet} came without a gateway, and has no room for one",
        )
    return packed(number(subnet.network) + 1, len(subnet.address))


def plan_host_routes(config: NetworkConfig, ips: list[IPConfig]) -> list[Prefix]:
    """Subnets that the node reaches on the bridge although no gateway is in them."""
    if not config.is_gateway:
        return []
    return [
        ip.address.subnet()
        for ip in ips
        if ip.gateway and not ip.address.contains(ip.gateway)
    ]


def plan_routes(
    config: NetworkConfig, ips: list[IPConfig], given: list[Route]
) -> list[Route]:
    """The routes of a pod: those given, and with isDefaultGateway a default route for
    each family that has none with a gateway."""
    routes = list(given)
    if not config.is_default_gateway:
        return routes
    for ip in ips:
        size = len(ip.address.address)
        if not any(
            route.is_default and route.gateway and len(route.gateway) == size
            for route in routes
        ):
            # A default route without a gateway gives way to the one with it.
            routes = [
                route
                for route in routes
                if not (route.is_default and len(route.destination.address) == size)
            ]
            routes.append(Route(Prefix(bytes(size), 0), ip.gateway))
    return routes


def plan_masquerade(config: NetworkConfig, ips: list[IPConfig]) -> list[Masquerade]:
    """The subnets to masquerade, and where each keeps its source address: the subnets
    of the same network, and those that the configuration excepts."""
    if not config.ip_masq or config.ipam is None:
        return []
    if config.ipam.is_foreign:
        subnets = [ip.address.subnet() for ip in ips]
    else:
        subnets = [part.subnet for parts in config.ipam.range_sets for part in parts]
    excepted = [parse_prefix(text) for text in config.ip_masq_except]
    return [Masquerade(s, subnets + excepted) for s in dict.fromkeys(subnets)]


def plan_attachment(
    config: NetworkConfig,
    request: Request,
    network: str,
    ips: list[IPConfig],
    routes: list[Route],
) -> AttachmentConfig:
    """The veth pair of a pod; MTU and MAC stay open where nothing asks for one."""
    attachment = AttachmentConfig(network, request.container_id, request.ifname)
    attachment.netns_path = request.netns
    attachment.mac = parse_mac(config.mac) if config.mac else b""
    attachment.mtu = config.mtu
    attachment.hairpin = config.hairpin
    attachment.isolated = config.port_isolation
    attachment.container_up = not config.disable_container_interface
    attachment.enable_dad = config.enable_dad
    attachment.ips = ips
    attachment.routes = routes
    attachment.on_link = ipam.gateways_on_link(config.ipam)
    attachment.vlans = vlan.expected_vlans(
        config.vlan, config.vlan_trunk, config.preserve_default_vlan
    )
    return attachment
