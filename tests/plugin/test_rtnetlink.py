"""Requests for links and addresses as bytes, and what the kernel answers as values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plugin.address import parse_prefix
from plugin.netlink import rtnetlink

if TYPE_CHECKING:
    from plugin.netlink.codec import Message

MAC = bytes.fromhex("02005e100001")

# Request, operation, type, flags, body: the header, then length, type and payload of
# each attribute with its padding; a nested one in parentheses, with 80 in its type.
# fmt: off
ROWS = [
    (
        rtnetlink.link_by_name("eth0"),
        "look up link eth0", 18, 0x0,
        "00000000000000000000000000000000 0900 0300 6574683000 000000 0800 1d00"
        "08000000",
    ),
    (
        rtnetlink.link_by_index(7),
        "look up link number 7", 18, 0x0,
        "00000000070000000000000000000000 0800 1d00 08000000",
    ),
    (
        rtnetlink.all_links(),
        "list links", 18, 0x300,
        "00000000000000000000000000000000 0800 1d00 08000000",
    ),
    (
        rtnetlink.new_bridge("br0", MAC, True),
        "add bridge br0", 16, 0x600,
        "00000000000000000100000001000000 0800 0300 62723000 0a00 0100"
        "02005e100001 0000 1c00 1280 (0b00 0100"
        "62726964676500 00 0c00 0280 (0500 0700 01 000000))",
    ),
    (
        rtnetlink.new_bridge("br0", MAC, False),
        "add bridge br0", 16, 0x600,
        "00000000000000000100000001000000 0800 0300 62723000 0a00 0100"
        "02005e100001 0000 1400 1280 (0b00 0100 62726964676500 00 0400 0280)",
    ),
    (
        rtnetlink.set_vlan_filtering(7, "br0"),
        "switch VLAN filtering of bridge br0 on", 16, 0x0,
        "00000000070000000000000000000000 1c00 1280 (0b00 0100 62726964676500"
        "00 0c00 0280 (0500 0700 01 000000))",
    ),
    (
        rtnetlink.new_veth("va", MAC, 0, 0, ("eth0", MAC, -1)),
        "add veth va with peer eth0", 16, 0x600,
        "00000000000000000100000001000000 0700 0300 766100 00 0a00 0100"
        "02005e100001 0000 4000 1280 (0900 0100 7665746800 000000 3000 0280"
        "(2c00 0180 (00000000000000000000000000000000 0900 0300 6574683000"
        "000000 0a00 0100 02005e100001 0000)))",
    ),
    (
        rtnetlink.new_veth("va", MAC, 1400, 7, ("eth0", MAC, 5)),
        "add veth va with peer eth0", 16, 0x600,
        "00000000000000000100000001000000 0800 0400 78050000 0700 0300 766100"
        "00 0a00 0100 02005e100001 0000 0800 0a00 07000000 5000 1280 (0900 0100"
        "7665746800 000000 4000 0280 (3c00 0180"
        "(00000000000000000000000000000000 0800 0400 78050000 0900 0300"
        "6574683000 000000 0a00 0100 02005e100001 0000 0800 1c00 05000000)))",
    ),
    (
        rtnetlink.set_bridge_port("va", True, False),
        "set port flags of va", 16, 0x0,
        "00000000000000000000000000000000 0700 0300 766100 00 2400 1280 (0b00"
        "0400 62726964676500 00 1400 0580 (0500 0400 01 000000 0500 2100 00"
        "000000))",
    ),
    (
        rtnetlink.set_up(7, "va"),
        "set va up", 19, 0x0,
        "00000000070000000100000001000000",
    ),
    (
        rtnetlink.set_flags(7, 0, rtnetlink.IFF_PROMISC, "be still"),
        "be still", 19, 0x0,
        "00000000070000000000000000010000",
    ),
    (
        rtnetlink.detach_port(7, "va"),
        "take va out of its bridge", 19, 0x0,
        "00000000070000000000000001000000 0800 0a00 00000000",
    ),
    (
        rtnetlink.set_up_announcing(7, "va"),
        "set va up", 19, 0x0,
        "00000000070000000100000001000000 1400 1a80 (1000 0280 (0c00 0180 (0800"
        "1600 01000000)))",
    ),
    (
        rtnetlink.set_alias(7, "va", "pycni"),
        "set alias of va", 19, 0x0,
        "00000000070000000000000000000000 0900 1400 7079636e69 000000",
    ),
    (
        rtnetlink.delete_link(7, "va"),
        "delete link va", 17, 0x0,
        "00000000070000000000000000000000",
    ),
    (
        rtnetlink.add_port_vlan(7, "va", 100, 6),
        "put va into VLAN 100", 19, 0x0,
        "07000000070000000000000000000000 0c00 1a80 (0800 0200 06006400)",
    ),
    (
        rtnetlink.delete_port_vlan(7, "va", 1),
        "take va out of VLAN 1", 17, 0x0,
        "07000000070000000000000000000000 0c00 1a80 (0800 0200 00000100)",
    ),
    (
        rtnetlink.all_bridge_vlans(),
        "list bridge VLANs", 18, 0x300,
        "07000000000000000000000000000000 0800 1d00 02000000",
    ),
    (
        rtnetlink.new_address(7, parse_prefix("10.0.0.1/24")),
        "add address 10.0.0.1/24", 20, 0x600,
        "0218000007000000 0800 0200 0a000001 0800 0100 0a000001 0800 0400"
        "0a0000ff",
    ),
    (
        rtnetlink.new_address(7, parse_prefix("10.0.0.1/31")),
        "add address 10.0.0.1/31", 20, 0x600,
        "021f000007000000 0800 0200 0a000001 0800 0100 0a000001",
    ),
    (
        rtnetlink.new_address(7, parse_prefix("fd00::1/64"), rtnetlink.IFA_F_NODAD),
        "add address fd00::1/64", 20, 0x600,
        "0a40000007000000 1400 0200 fd000000000000000000000000000001 1400 0100"
        "fd000000000000000000000000000001 0800 0800 02000000",
    ),
    (
        rtnetlink.link_local_address(7, parse_prefix("fe80::1/64")),
        "add address fe80::1/64", 20, 0x500,
        "0a4000fd07000000 1400 0200 fe800000000000000000000000000001 1400 0100"
        "fe800000000000000000000000000001 0800 0800 02000000",
    ),
    (
        rtnetlink.delete_address(7, parse_prefix("10.0.0.1/24")),
        "delete address 10.0.0.1/24", 21, 0x0,
        "0218000007000000 0800 0200 0a000001 0800 0100 0a000001",
    ),
    (
        rtnetlink.addresses_of(7),
        "list addresses of link number 7", 22, 0x300,
        "0000000007000000",
    ),
]
# fmt: on

BRIDGE = (
    "00000100 07000000 43110100 00000000"
    "0900 0300 70796330 00 000000"
    "0a00 0100 02005e100001 0000"
    "0800 0400 78050000"
    "0a00 1400 7079636e69 00 0000"
    "1c00 1200 (0b00 0100 627269646765 00 00 0c00 0200 (0500 0700 01 000000))"
)
PORT = (
    "00000100 09000000 43100100 00000000"
    "0700 0300 7661 00 00"
    "0800 0400 dc050000"
    "0800 0500 02000000"
    "0800 0a00 07000000"
    "3800 1200 (0900 0100 76657468 00 000000 0b00 0400 627269646765 00 00"
    "1c00 0500 (0500 0100 03 000000 0500 0400 01 000000 0500 2100 01 000000))"
)
DUMMY = (
    "00000100 0a000000 82000000 00000000"
    "0700 0300 6430 00 00"
    "1000 1200 (0a00 0100 64756d6d79 00 0000)"
)


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


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (
            BRIDGE,
            {
                "index": 7, "flags": 0x11143, "name": "pyc0", "kind": "bridge",
                "mac": MAC, "mtu": 1400, "master": 0, "peer": 0, "alias": "pycni",
                "vlan_filtering": True, "hairpin": False, "isolated": False,
                "port_state": 0, "is_up": True,
            },
        ),
        (
            PORT,
            {
                "index": 9, "flags": 0x11043, "name": "va", "kind": "veth",
                "mac": b"", "mtu": 1500, "master": 7, "peer": 2, "alias": "",
                "vlan_filtering": False, "hairpin": True, "isolated": True,
                "port_state": 3, "is_up": True,
            },
        ),
        (
            DUMMY,
            {
                "index": 10, "flags": 0x82, "name": "d0", "kind": "dummy",
                "mac": b"", "mtu": 0, "master": 0, "peer": 0, "alias": "",
                "vlan_filtering": False, "hairpin": False, "isolated": False,
                "port_state": 0, "is_up": False,
            },
        ),
    ],
    ids=["bridge", "port", "dummy"],
)  # fmt: skip
def test_a_link_is_read(data: str, want: dict[str, object]) -> None:
    """A link is what its attributes say; those that are missing have a default."""
    link = rtnetlink.parse_link(bytes_of(data))

    assert {key: getattr(link, key) for key in want} == want


@pytest.mark.parametrize("data", [BRIDGE, PORT])
def test_a_link_cut_short_is_read_as_far_as_it_goes(data: str) -> None:
    """Of a link cut after its header, the whole attributes are read."""
    whole = bytes_of(data)
    index = rtnetlink.parse_link(whole).index

    for end in range(16, len(whole)):
        assert rtnetlink.parse_link(whole[:end]).index == index


def test_addresses_are_read() -> None:
    """An address is IFA_LOCAL, or IFA_ADDRESS where there is none, with its flags."""
    four = "02180000 07000000 0800 0100 0a000002 0800 0200 0a000001 0800 0800 80000000"
    six = "0a400000 08000000 1400 0100 fd000000000000000000000000000001"

    found = rtnetlink.parse_addresses([bytes_of(four), bytes_of(six)])

    assert [(a.index, str(a.prefix), a.flags) for a in found] == [
        (7, "10.0.0.1/24", 0x80),
        (8, "fd00::1/64", 0),
    ]


def test_vlans_of_a_port_are_read() -> None:
    """Each VLAN of a port has its flags; other attributes are left out."""
    data = "0800 0200 0600 0100 0800 0200 0000 6400 0600 0000 0200 0000"

    assert rtnetlink.parse_bridge_vlans(bytes_of(data)) == {1: 6, 100: 0}


def test_macs_have_a_text() -> None:
    """A MAC address is read from its text and rendered as the same text."""
    assert rtnetlink.parse_mac("02:00:5e:10:00:01") == MAC
    assert rtnetlink.render_mac(MAC) == "02:00:5e:10:00:01"
