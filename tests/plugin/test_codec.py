"""Netlink bytes: both directions, cut short, and errors with the kernel's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.netlink import codec
from plugin.netlink.codec import Message

# Type, flags, sequence, body; and the bytes, field by field.
MESSAGES = [
    (
        (18, 0, 1, b""),
        "10000000 1200 0500 01000000 00000000",
    ),
    (
        (16, 0x600, 2, b"\x01\x02\x03\x04"),
        "14000000 1000 0506 02000000 00000000 01020304",
    ),
    (
        (2571, 0x300, 0x01020304, b"\xff"),
        "11000000 0b0a 0503 04030201 00000000 ff 000000",
    ),
]

# Attributes with the flag of nested ones left out, as they are read; and the bytes.
ATTRIBUTES = [
    ([(3, b"eth0\0")], "0900 0300 6574683000 000000"),
    ([(4, b"\xdc\x05\0\0")], "0800 0400 dc050000"),
    ([(7, b"")], "0400 0700"),
    ([(1, b"\x0a"), (2, b"\x0b\x0c\x0d")], "0500 0100 0a 000000 0700 0200 0b0c0d 00"),
]


@pytest.mark.parametrize(("value", "data"), MESSAGES)
def test_messages_and_bytes_say_the_same(
    value: tuple[int, int, int, bytes], data: str
) -> None:
    """A request is encoded as its bytes, and they are decoded to the same request."""
    kind, flags, sequence, body = value

    encoded = codec.encode(Message(kind, flags, body, "ask"), sequence)
    assert encoded.hex() == data.replace(" ", "")
    assert codec.decode(encoded) == [(kind, flags | 5, sequence, body)]


def test_a_datagram_is_split_into_its_messages() -> None:
    """All messages of a datagram are found, whatever padding is between them."""
    data = bytes.fromhex("".join(text for _, text in MESSAGES))

    assert codec.decode(data) == [
        (kind, flags | 5, sequence, body)
        for (kind, flags, sequence, body), _ in MESSAGES
    ]


@pytest.mark.parametrize(("value", "data"), MESSAGES)
def test_a_message_cut_short_is_left_out(
    value: tuple[int, int, int, bytes], data: str
) -> None:
    """Of a datagram cut at any byte, the whole messages are decoded."""
    first = bytes.fromhex(MESSAGES[0][1])
    whole = bytes.fromhex(data)
    length = codec.HEADER.size + len(value[3])

    for end in range(length):
        assert len(codec.decode(first + whole[:end])) == 1
    assert len(codec.decode(first + whole[:length])) == 2


def test_a_message_shorter_than_its_header_ends_the_datagram() -> None:
    """A length that can't be one does not make the decoder go round for ever."""
    assert codec.decode(bytes(32)) == []


@pytest.mark.parametrize(("found", "data"), ATTRIBUTES)
def test_attributes_and_bytes_say_the_same(
    found: list[tuple[int, bytes]], data: str
) -> None:
    """Attributes are encoded with padding, and decoded without it."""
    encoded = b"".join(codec.attribute(kind, payload) for kind, payload in found)

    assert encoded.hex() == data.replace(" ", "")
    assert codec.all_attributes(encoded) == found


@pytest.mark.parametrize(("found", "data"), ATTRIBUTES)
def test_an_attribute_cut_short_is_left_out(
    found: list[tuple[int, bytes]], data: str
) -> None:
    """Of attributes cut at any byte, the whole ones are decoded."""
    encoded = bytes.fromhex(data)

    for end in range(len(encoded)):
        got = codec.all_attributes(encoded[:end])
        assert got == found[: len(got)]
        assert len(got) < len(found) or not any(encoded[end:])


def test_an_attribute_shorter_than_its_header_ends_the_list() -> None:
    """A length that can't be one does not make the decoder go round for ever."""
    assert codec.all_attributes(bytes(8)) == []


def test_kinds_of_attributes() -> None:
    """Texts end with a zero, numbers are of the machine's order, nested are marked."""
    data = codec.nested(
        18, codec.text_attribute(1, "veth"), codec.u32_attribute(4, 1500)
    )

    want = "1800 1280 0900 0100 7665746800 000000 0800 0400 dc050000"
    assert data.hex() == want.replace(" ", "")
    inner = codec.attributes(codec.attributes(data)[18])
    assert codec.string(inner[1]) == "veth"
    assert codec.number(inner[4]) == 1500


def test_the_last_of_two_equal_attributes_wins() -> None:
    """As a mapping, attributes of one type are the last of them."""
    data = codec.attribute(1, b"a") + codec.attribute(1, b"b")

    assert codec.attributes(data) == {1: b"b"}


@pytest.mark.parametrize(
    ("kind", "flags", "data", "want"),
    [
        (codec.NLMSG_ERROR, 0, "00000000" + "00" * 16, (0, "")),
        (codec.NLMSG_ERROR, 0x100, "efffffff" + "00" * 16, (17, "")),
        # Capped: the text follows the header of the request.
        (
            codec.NLMSG_ERROR,
            0x300,
            "efffffff" + "28000000" + "00" * 12 + "0800 0100 6e6f2100",
            (17, "no!"),
        ),
        # Not capped: it follows the whole request, here a body of five bytes.
        (
            codec.NLMSG_ERROR,
            0x200,
            "eaffffff" + "15000000" + "00" * 12 + "aaaaaaaaaa000000 0700 0100 6e6f0000",
            (22, "no"),
        ),
        # Only an offset, no text.
        (
            codec.NLMSG_ERROR,
            0x300,
            "eaffffff" + "10000000" + "00" * 12 + "0800 0200 14000000",
            (22, ""),
        ),
        (codec.NLMSG_DONE, 0, "00000000", (0, "")),
        (codec.NLMSG_DONE, 0x202, "fcffffff" + "0700 0100 6e6f00 00", (4, "no")),
    ],
)  # fmt: skip
def test_errors_have_the_words_of_the_kernel(
    kind: int, flags: int, data: str, want: tuple[int, str]
) -> None:
    """An answer is decoded to its errno and its extended-ack text, if there is one."""
    assert codec.decode_error(kind, flags, bytes.fromhex(data)) == want


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=20)), max_size=5))
def test_any_attributes_come_back(found: list[tuple[int, bytes]]) -> None:
    """Any attributes come back as they were encoded."""
    data = b"".join(codec.attribute(kind, payload) for kind, payload in found)

    assert codec.all_attributes(data) == found


@given(st.binary(max_size=80))
def test_no_bytes_make_a_decoder_fail(data: bytes) -> None:
    """Whatever the bytes, decoders find what is whole and never fail or read on."""
    for _, _, _, payload in codec.decode(data):
        assert payload in data
    for _, payload in codec.all_attributes(data):
        assert payload in data
