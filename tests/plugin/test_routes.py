"""Requests for routes as bytes, and what the kernel answers as values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plugin.address import parse_address, parse_prefix
from plugin.netlink import routes

if TYPE_CHECKING:
    from plugin.netlink.codec import Message

VIA = parse_address("fe80::1")
ALL = {"mtu": 1400, "advmss": 1360, "priority": 10, "table": 1000, "scope": 0}

# Request, operation, type, flags, body: struct rtmsg, then length, type and payload of
# each attribute with its padding; a nested one in parentheses, with 80 in its type.
# fmt: off
ROWS = [
    (
        routes.new_route(7, parse_prefix("0.0.0.0/0"), parse_address("10.0.0.1"), {}),
        "add route 0.0.0.0/0", 24, 0xc00,
        "02000000fe04000100000000 0800 0400 07000000 0800 0f00 fe000000 0800"
        "0500 0a000001",
    ),
    (
        routes.new_route(7, parse_prefix("10.1.0.0/16"), None, {}, protocol=83),
        "add route 10.1.0.0/16", 24, 0xc00,
        "02100000fe53fd0100000000 0800 0100 0a010000 0800 0400 07000000 0800"
        "0f00 fe000000",
    ),
    (
        routes.new_route(7, parse_prefix("fd00::/64"), VIA, ALL, True),
        "add route fd00::/64", 24, 0xc00,
        "0a4000000004000104000000 1400 0100 fd000000000000000000000000000000"
        "0800 0400 07000000 0800 0f00 e8030000 1400 0500"
        "fe800000000000000000000000000001 0800 0600 0a000000 1400 0880 (0800"
        "0200 78050000 0800 0800 50050000)",
    ),
    (
        routes.all_routes(2),
        "list routes", 26, 0x300,
        "020000000000000000000000",
    ),
    (
        routes.route_to(parse_address("fd00::2"), 7),
        "look up a route", 26, 0,
        "0a8000000000000000000000 1400 0100 fd000000000000000000000000000002"
        "0800 0400 07000000",
    ),
]
# fmt: on


def bytes_of(text: str) -> bytes:
    """Bytes from their hexadecimal digits, spaces and parentheses left out."""
    return bytes.fromhex(text.replace("(", "").replace(")", ""))


@pytest.mark.parametrize(
    ("message", "operation", "kind", "flags", "body"),
    ROWS,
    ids=range(len(ROWS)),
)
def test_requests_are_these_bytes(
    message: Message, operation: str, kind: int, flags: int, body: str
) -> None:
    """Each request has the type, flags and bytes that linux/rtnetlink.h asks for."""
    assert message.body.hex() == bytes_of(body).hex()
    assert (message.operation, message.kind, message.flags) == (operation, kind, flags)


def _read(*texts: str) -> list[tuple[object, ...]]:
    return [
        (str(route.destination), route.protocol, route.hops, route.options)
        for route in routes.parse_routes([bytes_of(text) for text in texts])
    ]


def test_a_route_is_read() -> None:
    """A route has a destination, next hop, table, scope and metrics."""
    data = (
        "0a400000 00040001 00000000 1400 0100 fd000000000000000000000000000000"
        "0800 0f00 e8030000 0800 0600 0a000000 0800 0400 07000000"
        "1400 0500 fe800000000000000000000000000001"
        "1400 0800 (0800 0200 78050000 0800 0800 50050000)"
    )

    assert _read(data) == [
        (
            "fd00::/64",
            4,
            [(parse_address("fe80::1"), 7)],
            {"scope": 0, "table": 1000, "priority": 10, "mtu": 1400, "advmss": 1360},
        )
    ]


def test_a_default_route_has_no_destination() -> None:
    """Without RTA_DST a route is the default route, without RTA_GATEWAY on the link."""
    data = "02000000 fe03fd01 00000000 0800 0400 07000000"

    assert _read(data) == [("0.0.0.0/0", 3, [(None, 7)], {"scope": 253, "table": 254})]


def test_a_route_with_several_next_hops_is_read() -> None:
    """Each next hop of a multipath route is one, up to where it is cut short."""
    hops = "1000 00 00 07000000 0800 0500 0a000001 0800 00 00 09000000"
    data = f"02000000 fe040001 00000000 1c00 0900 ({hops})"
    broken = f"02000000 fe040001 00000000 2400 0900 ({hops} 0400 00 00 0a000000)"
    want = [(parse_address("10.0.0.1"), 7), (None, 9)]

    assert _read(data)[0][2] == want
    assert _read(broken)[0][2] == want


def test_other_routes_are_left_out() -> None:
    """Local routes and cached ones are nobody's configuration."""
    local = "02200000 ff02fe02 00000000 0800 0100 0a000001 0800 0400 07000000"
    cached = "0a800000 fe020001 00020000 0800 0400 07000000"

    assert _read(local, cached) == []


@pytest.mark.parametrize(
    ("kind", "local"),
    [("01", False), ("02", True), ("07", False)],
    ids=["unicast", "local", "unreachable"],
)
def test_a_route_is_local_by_its_type(kind: str, local: bool) -> None:
    """A route to this machine itself has the type RTN_LOCAL (D5)."""
    data = bytes_of(f"0a800000 ff0200{kind} 00000000")

    assert routes.is_local(data) is local
