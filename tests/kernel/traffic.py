"""Packets between namespaces: sockets opened there by the test itself, and an outside.

Opening a socket inside a namespace keeps it there, so one thread can talk to itself
across a network. Never knows what the plugin should do.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from tests.kernel.node import Namespace
from tests.kernel.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.node import Node

_CLONE_NEWNET = 0x40000000
_ETH_P_ALL = 3
_libc = ctypes.CDLL(None, use_errno=True)

# The uplink of a node, and what stands for the rest of the world behind it.
NODE = {"4": "192.0.2.11", "6": "2001:db8:2::11"}
ROUTER = {"4": "192.0.2.1", "6": "2001:db8:2::1"}
OUTSIDE = {"4": "198.51.100.9", "6": "2001:db8:9::9"}
LENGTH = {"4": 24, "6": 64}


@contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """Be in a namespace; sockets opened meanwhile stay there."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(namespace.path, os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(own)
        os.close(there)
        os.close(own)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def udp(namespace: Namespace, address: str, port: int = 0) -> socket.socket:
    """A UDP socket bound to an address of a namespace."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(namespace):
        opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.settimeout(2)
    opened.bind((address, port))
    return opened


def source_seen(
    sender: Namespace, source: str, receiver: Namespace, address: str
) -> str:
    """Who a datagram seems to come from where it arrives."""
    with (
        closing(udp(receiver, address)) as there,
        closing(udp(sender, source)) as here,
    ):
        here.sendto(b"who am I", (address, there.getsockname()[1]))
        return str(there.recvfrom(100)[1][0])


def packets(namespace: Namespace, ifname: str) -> socket.socket:
    """A socket that receives every frame of an interface."""
    with inside(namespace):
        opened = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)
        )
    opened.bind((ifname, 0))
    opened.settimeout(2)
    return opened


def has_tentative(namespace: Namespace) -> bool:
    """Whether an IPv6 address of a namespace is still being probed for."""
    return "tentative" in namespace.run("ip", "-6", "address")


def add_uplink(node: Node) -> Namespace:
    """Give a node an uplink to a router, behind which the outside lies.

    The router knows the way to the pods, as a node's neighbours do.
    """
    router = Namespace()
    node.pods.append(router)
    node.run("ip", "link", "add", "up0", "type", "veth", "peer", "down0")
    node.run("ip", "link", "set", "down0", "netns", router.name)
    router.run("ip", "link", "set", "lo", "up")
    for family, flag in (("4", "-4"), ("6", "-6")):
        for place, device, addresses in (
            (node, "up0", NODE),
            (router, "down0", ROUTER),
            (router, "lo", OUTSIDE),
        ):
            length = (
                (32 if family == "4" else 128) if device == "lo" else LENGTH[family]
            )
            address = f"{addresses[family]}/{length}"
            options = () if family == "4" else ("nodad",)
            place.run("ip", flag, "address", "add", address, "dev", device, *options)
    node.run("ip", "link", "set", "up0", "up")
    router.run("ip", "link", "set", "down0", "up")
    for family, pods in (("4", "10.60.0.0/16"), ("6", "fd60::/16")):
        node.run("ip", f"-{family}", "route", "add", "default", "via", ROUTER[family])
        router.run("ip", f"-{family}", "route", "add", pods, "via", NODE[family])
    # Until their link-local addresses are settled, neither can ask for neighbours.
    wait_until(lambda: not has_tentative(node) and not has_tentative(router))
    return router


def route_multicast(node: Node, source: str, group: str) -> socket.socket:
    """Have a node forward what a pod sends to a group from its bridge to its uplink,
    as long as the socket is open."""
    bridge, uplink = (node.links()[name]["ifindex"] for name in ("pyc0", "up0"))
    six = ":" in group
    family = socket.AF_INET6 if six else socket.AF_INET
    level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_IGMP
    with inside(node):
        daemon = socket.socket(family, socket.SOCK_RAW, protocol)
    # linux/mroute.h, linux/mroute6.h: MRT_INIT 200, MRT_ADD_VIF 202, MRT_ADD_MFC 204.
    daemon.setsockopt(level, 200, struct.pack("i", 1))
    for number, index in enumerate((bridge, uplink)):
        # struct mif6ctl; struct vifctl with VIFF_USE_IFINDEX, 8.
        four = struct.pack("HBBIiI", number, 8, 1, 0, index, 0)
        daemon.setsockopt(
            level, 202, struct.pack("HBBHI", number, 0, 1, index, 0) if six else four
        )
    origin, mcast = (socket.inet_pton(family, text) for text in (source, group))
    if six:
        # struct mf6cctl: two struct sockaddr_in6, the parent, a set of outgoing ones.
        ends = [struct.pack("HHI16sI", family, 0, 0, a, 0) for a in (origin, mcast)]
        entry = b"".join(ends) + struct.pack("HxxI28x", 0, 1 << 1)
    else:
        # struct mfcctl: a time to live for each of 32 outgoing interfaces.
        entry = origin + mcast + struct.pack("HBB30xIIIi", 0, 0, 1, 0, 0, 0, 0)
    daemon.setsockopt(level, 204, entry)
    return daemon
