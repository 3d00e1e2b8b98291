"""Requests for routes, and what the kernel answers.

Functions that return messages; nothing is sent here. Numbers and layouts are those of
linux/rtnetlink.h.
"""

from __future__ import annotations

from _struct import Struct

from plugin.address import Prefix
from plugin.netlink import codec
from plugin.netlink.codec import (
    Message,
    attribute,
    attributes,
    nested,
    number,
    u32_attribute,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
AF_INET, AF_INET6 = 2, 10
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY = 1, 4, 5, 6
RTA_METRICS, RTA_MULTIPATH, RTA_TABLE = 8, 9, 15
_METRICS = {"mtu": 2, "advmss": 8}  # RTAX_MTU, RTAX_ADVMSS
RT_TABLE_MAIN, RT_TABLE_LOCAL = 254, 255
RTPROT_STATIC = 4
# Ours, for routes on the host; free in /etc/iproute2/rt_protos.
RTPROT_PYCNI = 83
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
RTN_UNICAST, RTN_LOCAL = 1, 2
RTNH_F_ONLINK = 4
RTM_F_CLONED = 0x200

# struct rtmsg { u8 family, dst_len, src_len, tos, table, protocol, scope, type;
#                u32 flags; };
_RTMSG = Struct("=BBBBBBBBI")
# struct rtnexthop { u16 len; u8 flags; u8 hops; int ifindex; };
_RTNEXTHOP = Struct("=HBBi")


class InstalledRoute:
    """A route of the kernel; `hops` is a list of (gateway or None, link index)."""

    __slots__ = ("destination", "hops", "options", "protocol")

    def __init__(self, destination: Prefix, protocol: int) -> None:
        self.destination = destination
        self.protocol = protocol
        self.hops: list[tuple[bytes | None, int]] = []
        self.options: dict[str, int] = {}


def new_route(
    index: int,
    destination: Prefix,
    gateway: bytes | None,
    options: Mapping[str, int],
    on_link: bool = False,
    protocol: int = RTPROT_STATIC,
) -> Message:
    """Add a route through an interface; further next hops of it are appended.

    `options` may have mtu and advmss (bytes), priority, table, scope. With `on_link`
    the gateway need not be in a subnet of the interface.
    """
    family = AF_INET if len(destination.address) == 4 else AF_INET6
    table = options.get("table", RT_TABLE_MAIN)
    scope = RT_SCOPE_UNIVERSE if gateway or family == AF_INET6 else RT_SCOPE_LINK
    body = _RTMSG.pack(
        family,
        destination.length,
        0,
        0,
        table if table < 256 else 0,
        protocol,
        options.get("scope", scope),
        RTN_UNICAST,
        RTNH_F_ONLINK if on_link else 0,
    )
    if destination.length:
        body += attribute(RTA_DST, destination.address)
    body += u32_attribute(RTA_OIF, index) + u32_attribute(RTA_TABLE, table)
    if gateway:
        body += attribute(RTA_GATEWAY, gateway)
    if "priority" in options:
        body += u32_attribute(RTA_PRIORITY, options["priority"])
    body += _metrics(options)
    flags = codec.NLM_F_CREATE | codec.NLM_F_APPEND
    return Message(RTM_NEWROUTE, flags, body, f"add route {destination}")


def _metrics(options: Mapping[str, int]) -> bytes:
    """Those of the options that are metrics, as one attribute; nothing without any."""
    parts = [u32_attribute(_METRICS[k], options[k]) for k in _METRICS if options.get(k)]
    return nested(RTA_METRICS, *parts) if parts else b""


def all_routes(family: int) -> Message:
    """Ask for all routes of a family, of every table."""
    body = _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    return Message(RTM_GETROUTE, codec.NLM_F_DUMP, body, "list routes")


def route_to(address: bytes, index: int) -> Message:
    """Ask for the route that a packet to an address takes from an interface."""
    family = AF_INET if len(address) == 4 else AF_INET6
    body = _RTMSG.pack(family, len(address) * 8, 0, 0, 0, 0, 0, 0, 0)
    body += attribute(RTA_DST, address) + u32_attribute(RTA_OIF, index)
    return Message(RTM_GETROUTE, 0, body, "look up a route")


def is_local(payload: bytes) -> bool:
    """Whether a route leads to this machine itself."""
    return bool(_RTMSG.unpack_from(payload)[7] == RTN_LOCAL)


def parse_routes(payloads: Iterable[bytes]) -> list[InstalledRoute]:
    """Unicast routes from the payloads of RTM_NEWROUTE; cached ones are left out."""
    found = []
    for payload in payloads:
        family, length, _, _, table, protocol, scope, kind, flags = _RTMSG.unpack_from(
            payload
        )
        if kind != RTN_UNICAST or flags & RTM_F_CLONED:
            continue
        parts = attributes(payload, 12)
        empty = bytes(4 if family == AF_INET else 16)
        route = InstalledRoute(Prefix(parts.get(RTA_DST, empty), length), protocol)
        route.hops = _hops(parts)
        route.options = {"scope": scope, "table": table}
        if RTA_TABLE in parts:
            route.options["table"] = number(parts[RTA_TABLE])
        if RTA_PRIORITY in parts:
            route.options["priority"] = number(parts[RTA_PRIORITY])
        metrics = attributes(parts.get(RTA_METRICS, b""))
        for key, metric in _METRICS.items():
            if metric in metrics:
                route.options[key] = number(metrics[metric])
        found.append(route)
    return found


def _hops(parts: dict[int, bytes]) -> list[tuple[bytes | None, int]]:
    if RTA_OIF in parts:
        return [(parts.get(RTA_GATEWAY), number(parts[RTA_OIF]))]
    hops = []
    data = parts.get(RTA_MULTIPATH, b"")
    offset = 0
    while offset + 8 <= len(data):
        length, _, _, index = _RTNEXTHOP.unpack_from(data, offset)
        if length < 8:
            break
        hop = attributes(data[offset + 8 : offset + length])
        hops.append((hop.get(RTA_GATEWAY), index))
        offset += (length + 3) & ~3
    return hops
