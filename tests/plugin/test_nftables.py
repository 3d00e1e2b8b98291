"""Requests for nf_tables as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plugin.address import parse_address
from plugin.netlink import nftables as nft

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin.netlink.codec import Message

TEN = nft.interval(parse_address("10.0.0.0"), parse_address("10.0.0.255"))

# Request, operation, type, flags, body: struct nfgenmsg, then length, type and payload
# of each attribute with its padding; a nested one in parentheses, with 80 in its type.
# fmt: off
ROWS = [
    (
        nft.batch_begin(),
        "change the nftables ruleset", 16, 0x0,
        "0000000a",
    ),
    (
        nft.new_table(1, "t"),
        "add nftables table t", 2560, 0x400,
        "01000000 0600 0100 7400 0000",
    ),
    (
        nft.delete_empty_table(1, "t"),
        "delete nftables table t", 2562, 0x100,
        "01000000 0600 0100 7400 0000",
    ),
    (
        nft.delete_empty_set(1, "t", "s"),
        "delete nftables set t s", 2571, 0x100,
        "01000000 0600 0100 7400 0000 0600 0200 7300 0000",
    ),
    (
        nft.delete_chain(1, "t", "c"),
        "delete nftables chain t c", 2565, 0x100,
        "01000000 0600 0100 7400 0000 0600 0300 6300 0000",
    ),
    (
        nft.new_set(1, "t", "s", (7, (4,)), True),
        "add nftables set t s", 2569, 0x400,
        "01000000 0600 0100 7400 0000 0600 0200 7300 0000 0800 0300 00000004"
        "0800 0400 00000007 0800 0500 00000004 0800 0a00 00000001",
    ),
    (
        nft.new_set(7, "t", "s", (41, (16,)), False),
        "add nftables set t s", 2569, 0x400,
        "07000000 0600 0100 7400 0000 0600 0200 7300 0000 0800 0300 00000000"
        "0800 0400 00000029 0800 0500 00000010 0800 0a00 00000001 0a00 0d00"
        "000401000000 0000",
    ),
    (
        nft.new_set(1, "t", "s", (nft.concat_type(41, 9), (16, 6)), True),
        "add nftables set t s", 2569, 0x400,
        "01000000 0600 0100 7400 0000 0600 0200 7300 0000 0800 0300 00000084"
        "0800 0400 00000a49 0800 0500 00000018 0800 0a00 00000001 2000 0980"
        "(1c00 0280 (0c00 0180 (0800 0100 00000010) 0c00 0180 (0800 0100"
        "00000006)))",
    ),
    (
        nft.new_base_chain(1, "t", "c", ("nat", 4, 100)),
        "add nftables chain t c", 2563, 0x400,
        "01000000 0600 0100 7400 0000 0600 0300 6300 0000 1400 0480 (0800 0100"
        "00000004 0800 0200 00000064) 0800 0700 6e617400",
    ),
    (
        nft.new_base_chain(7, "t", "c", ("filter", 0, -300)),
        "add nftables chain t c", 2563, 0x400,
        "07000000 0600 0100 7400 0000 0600 0300 6300 0000 1400 0480 (0800 0100"
        "00000000 0800 0200 fffffed4) 0b00 0700 66696c74657200 00",
    ),
    (
        nft.flush_chain(1, "t", "c"),
        "flush nftables chain t c", 2568, 0x0,
        "01000000 0600 0100 7400 0000 0600 0200 6300 0000",
    ),
    (
        nft.rules_of(1, "t", "c"),
        "list nftables rules of t c", 2567, 0x300,
        "01000000 0600 0100 7400 0000 0600 0200 6300 0000",
    ),
    (
        nft.new_elements(1, "t", "s", TEN),
        "add to nftables set s", 2572, 0x400,
        "01000000 0600 0100 7400 0000 0600 0200 7300 0000 2c00 0380 (1000 0180"
        "(0c00 0180 (0800 0100 0a000000)) 1800 0180 (0c00 0180 (0800 0100"
        "0a000100) 0800 0300 00000001))",
    ),
    (
        nft.delete_elements(1, "t", "s", [nft.element(b"aaaa", b"bbbb")]),
        "delete from nftables set s", 2574, 0x0,
        "01000000 0600 0100 7400 0000 0600 0200 7300 0000 2000 0380 (1c00 0180"
        "(0c00 0180 (0800 0100 61616161) 0c00 0a80 (0800 0100 62626262)))",
    ),
    (
        nft.get_element(1, "t", "s", nft.element(b"aaaa")),
        "look up in nftables set s", 2573, 0x0,
        "01000000 0600 0100 7400 0000 0600 0200 7300 0000 1400 0380 (1000 0180"
        "(0c00 0180 (0800 0100 61616161)))",
    ),
    (
        nft.elements_of(1, "t", "s"),
        "list nftables set s", 2573, 0x300,
        "01000000 0600 0100 7400 0000 0600 0200 7300 0000",
    ),
    (
        nft.new_rule(1, "t", "c", nft.meta(15, 1), nft.equals(1, b"\2")),
        "add nftables rule to t c", 2566, 0xc00,
        "01000000 0600 0100 7400 0000 0600 0200 6300 0000 5400 0480 (2400 0180"
        "(0900 0100 6d65746100 000000 1400 0280 (0800 0100 00000001 0800 0200"
        "0000000f)) 2c00 0180 (0800 0100 636d7000 2000 0280 (0800 0100 00000001"
        "0800 0200 00000000 0c00 0380 (0500 0100 02 000000))))",
    ),
    (
        nft.new_rule(1, "t", "c", nft.payload(1, 12, 4, 1), nft.lookup("s", 1)),
        "add nftables rule to t c", 2566, 0xc00,
        "01000000 0600 0100 7400 0000 0600 0200 6300 0000 5c00 0480 (3400 0180"
        "(0c00 0100 7061796c6f616400 2400 0280 (0800 0100 00000001 0800 0200"
        "00000001 0800 0300 0000000c 0800 0400 00000004)) 2400 0180 (0b00 0100"
        "6c6f6f6b757000 00 1400 0280 (0600 0100 7300 0000 0800 0200 00000001)))",
    ),
    (
        nft.new_rule(1, "t", "c", nft.lookup("s", 1, True), nft.masquerade(16)),
        "add nftables rule to t c", 2566, 0xc00,
        "01000000 0600 0100 7400 0000 0600 0200 6300 0000 4c00 0480 (2c00 0180"
        "(0b00 0100 6c6f6f6b757000 00 1c00 0280 (0600 0100 7300 0000 0800 0200"
        "00000001 0800 0500 00000001)) 1c00 0180 (0900 0100 6d61737100 000000"
        "0c00 0280 (0800 0100 00000010)))",
    ),
    (
        nft.new_rule(1, "t", "c", nft.verdict(-5)),
        "add nftables rule to t c", 2566, 0xc00,
        "01000000 0600 0100 7400 0000 0600 0200 6300 0000 3400 0480 (3000 0180"
        "(0e00 0100 696d6d65646961746500 0000 1c00 0280 (0800 0100 00000000"
        "1000 0280 (0c00 0280 (0800 0100 fffffffb)))))",
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
    """Each request has the type, flags and bytes that linux/nf_tables.h asks for."""
    assert message.body.hex() == bytes_of(body).hex()
    assert (message.operation, message.kind, message.flags) == (operation, kind, flags)


HEADER = "01000000 0600 0100 74000000"
ONE = "0c00 0100 (0800 0100 0a000000)"
END = "0c00 0100 (0800 0100 0a000100) 0800 0300 00000001"
PAIR = "0c00 0100 (0800 0100 0a000001) 0c00 0a00 (0800 0100 0a0000ff)"


@pytest.mark.parametrize(
    ("read", "elements", "want"),
    [
        (nft.parse_keys, f"1000 0100 ({ONE})", [b"\x0a\0\0\0"]),
        (
            nft.parse_bounds,
            f"1000 0100 ({ONE}) 1800 0100 ({END})",
            [(b"\x0a\0\0\0", False), (b"\x0a\0\1\0", True)],
        ),
        (nft.parse_pairs, f"1c00 0100 ({PAIR})", [(b"\x0a\0\0\1", b"\x0a\0\0\xff")]),
    ],
    ids=["keys", "bounds", "pairs"],
)
def test_the_elements_of_a_set_are_read(
    read: Callable[[bytes], list[object]], elements: str, want: list[object]
) -> None:
    """An answer has the keys of each element, of some kernels with nothing in it."""
    data = bytes_of(elements)
    length = (4 + len(data)).to_bytes(2, "little").hex()

    assert read(bytes_of(f"{HEADER} {length} 0300 {elements}")) == want
    assert read(bytes_of(HEADER)) == []


def test_an_interval_to_the_last_address_has_no_end() -> None:
    """An interval has a first key and one after its last, which the last one lacks."""
    first, last = parse_address("255.0.0.0"), parse_address("255.255.255.255")

    assert nft.interval(first, last) == [nft.element(first)]
    assert len(TEN) == 2
