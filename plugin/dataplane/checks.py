"""What differs between an attachment in the kernel and what it has to be.

Only looks. More than we made is no difference: a later plugin may have added it (CK3).
"""

from __future__ import annotations

import posix

from plugin import netns
from plugin.dataplane import vlan
from plugin.dataplane.attachment import default_gateway
from plugin.dataplane.bridge import addresses_of, find_link
from plugin.netlink import channel as netlink
from plugin.netlink import routes, rtnetlink
from plugin.netlink.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.dataplane.attachment import AttachmentConfig
    from plugin.netlink.rtnetlink import Link
    from plugin.result import Route


def check_port(
    host: Channel, name: str, bridge: str, config: AttachmentConfig
) -> list[str]:
    """What differs at the host end, as sentences."""
    link = find_link(host, name)
    if link is None:
        return [f"host interface {name} is gone"]
    problems = []
    master = find_link(host, bridge)
    if master is None or link.master != master.index:
        problems.append(f"host interface {name} is no port of bridge {bridge}")
    if not link.is_up:
        problems.append(f"host interface {name} is down")
    if config.hairpin != link.hairpin and link.master:
        problems.append(f"hairpin mode of {name} is {_on(link.hairpin)}")
    if config.isolated != link.isolated and link.master:
        problems.append(f"port isolation of {name} is {_on(link.isolated)}")
    if config.mtu and link.mtu != config.mtu:
        problems.append(f"host interface {name} has MTU {link.mtu}, not {config.mtu}")
    if config.vlans:
        found = vlan.port_vlans(host, link.index)
        if found != config.vlans:
            problems.append(
                f"host interface {name} is in VLANs {_ids(found)}, "
                f"not {_ids(config.vlans)}"
            )
    return problems


def _on(flag: bool) -> str:
    return "on" if flag else "off"


def _ids(vlans: dict[int, int]) -> str:
    return ", ".join([str(vlan_id) for vlan_id in sorted(vlans)]) or "none"


def check_pod(config: AttachmentConfig) -> list[str]:
    """What differs in the pod's namespace, as sentences; more than we made is fine."""
    own = netns.open_own()
    netns.enter(config.netns)
    try:
        pod = Channel(netlink.ROUTE)
        try:
            link = find_link(pod, config.ifname)
            if link is None:
                return [f"interface {config.ifname} is gone from {config.netns_path}"]
            return _pod_problems(pod, config, link)
        finally:
            pod.close()
    finally:
        netns.enter(own)
        posix.close(own)


def _pod_problems(pod: Channel, config: AttachmentConfig, link: Link) -> list[str]:
    name = config.ifname
    problems = []
    if config.container_up and not link.is_up:
        problems.append(f"interface {name} is down")
    if config.mac and link.mac != config.mac:
        problems.append(
            f"interface {name} has MAC {rtnetlink.render_mac(link.mac)}, "
            f"not {rtnetlink.render_mac(config.mac)}"
        )
    if config.mtu and link.mtu != config.mtu:
        problems.append(f"interface {name} has MTU {link.mtu}, not {config.mtu}")
    present = addresses_of(pod, link.index)
    problems += [
        f"interface {name} has lost address {ip.address}"
        for ip in config.ips
        if ip.address not in present
    ]
    return problems + _route_problems(pod, config, link.index)


def _route_problems(pod: Channel, config: AttachmentConfig, index: int) -> list[str]:
    if not config.routes:
        return []
    installed = []
    for family in {len(route.destination.address) for route in config.routes}:
        code = routes.AF_INET if family == 4 else routes.AF_INET6
        installed += routes.parse_routes(pod.dump(routes.all_routes(code)))
    problems = []
    for route in config.routes:
        hop = (route.gateway or default_gateway(config.ips, route), index)
        if not any(_same_route(route, hop, other) for other in installed):
            problems.append(f"route {route.destination} of {config.ifname} is gone")
    return problems


def _same_route(
    route: Route, hop: tuple[bytes | None, int], other: routes.InstalledRoute
) -> bool:
    same = other.destination == route.destination and hop in other.hops
    return same and all(
        other.options.get(key) == value for key, value in route.options.items()
    )
