"""Addresses and prefixes: text and value, and the arithmetic beside `ipaddress`."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.address import (
    Prefix,
    family_name,
    is_link_local,
    number,
    packed,
    parse_address,
    parse_prefix,
    render_address,
)

ADDRESSES = [
    ("0.0.0.1", "00000001"),
    ("10.60.0.1", "0a3c0001"),
    ("255.255.255.255", "ffffffff"),
    ("::", "00" * 16),
    ("fd00::1", "fd" + "00" * 14 + "01"),
    ("2001:db8::1:0:0:1", "20010db8000000000001000000000001"),
]
ANY = st.ip_addresses()
NETWORKS = st.builds(
    lambda address, share: ipaddress.ip_network(
        (address, round(share * address.max_prefixlen)), strict=False
    ),
    ANY,
    st.floats(0, 1),
)


@pytest.mark.parametrize(("text", "data"), ADDRESSES)
def test_text_and_bytes_say_the_same(text: str, data: str) -> None:
    """An address is parsed to its bytes, and they are rendered as its text."""
    address = parse_address(text)

    assert address.hex() == data
    assert render_address(address) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "1.2.3", "1.2.3.4.5", "256.0.0.1", " 10.0.0.1", "10.0.0.1/8", "1"),
        *(":", ":::", "fe80::1%eth0", "::1/64", "1:2:3:4:5:6:7:8:9", "10.0.0.1\0"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    """Text that is no address is refused with that text."""
    with pytest.raises(ValueError, match="is not an IP address") as caught:
        parse_address(text)

    assert str(caught.value) == f"{text!r} is not an IP address"


def test_ipv4_in_ipv6_form_is_ipv4() -> None:
    """An IPv4 address written in IPv6 form is IPv4, as in Go."""
    assert render_address(parse_address("::ffff:10.0.0.1")) == "10.0.0.1"
    assert str(parse_prefix("::ffff:10.0.0.1/120")) == "10.0.0.1/24"


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1", "1.2.3.4/2 "),
        *("10.0.0.1/x", "1.2.3.4/99999", "::/129", "::ffff:1.2.3.4/90", "1.2.3.4/٣"),
    ],
)
def test_what_is_no_prefix(text: str) -> None:
    """Text that is no address with a prefix length is refused with that text."""
    with pytest.raises(ValueError, match="is not an address with a prefix length"):
        parse_prefix(text)


@given(ANY)
def test_any_address_comes_back(address: ipaddress.IPv4Address) -> None:
    """Any address comes back, as the same number and text that ipaddress has."""
    data = parse_address(str(address))

    if data[:12] != bytes(10) + b"\xff\xff" and len(data) == len(address.packed):
        assert data == address.packed
        assert number(data) == int(address)
        assert packed(int(address), len(data)) == data
        assert ipaddress.ip_address(render_address(data)) == address


@given(NETWORKS, ANY)
def test_the_arithmetic_is_that_of_ipaddress(
    network: ipaddress.IPv4Network, other: ipaddress.IPv4Address
) -> None:
    """Network, broadcast, membership and rendering agree with ipaddress."""
    prefix = Prefix(network.broadcast_address.packed, network.prefixlen)

    assert prefix.network == network.network_address.packed
    assert prefix.broadcast == network.broadcast_address.packed
    assert str(prefix.subnet()) == str(network) or ":ffff:" in str(network)
    assert prefix.contains(other.packed) == (other in network)


@given(NETWORKS, NETWORKS)
def test_overlap_is_that_of_ipaddress(
    one: ipaddress.IPv4Network, other: ipaddress.IPv4Network
) -> None:
    """Two subnets overlap if ipaddress says so, those of two families never."""
    first = Prefix(one.network_address.packed, one.prefixlen)
    second = Prefix(other.network_address.packed, other.prefixlen)
    want = one.version == other.version and one.overlaps(other)

    assert first.overlaps(second) is want
    assert second.overlaps(first) is want


def test_prefixes_are_values() -> None:
    """Two prefixes are the same if address and length are."""
    one = parse_prefix("10.0.0.1/24")

    assert {one, parse_prefix("10.0.0.1/24")} == {one}
    assert one != parse_prefix("10.0.0.2/24")
    assert one != parse_prefix("10.0.0.1/25")
    assert one != "10.0.0.1/24"
    assert repr(one) == "Prefix(10.0.0.1/24)"


@pytest.mark.parametrize(
    ("text", "family", "link_local"),
    [
        ("10.0.0.1", "IPv4", False),
        ("169.254.0.1", "IPv4", False),
        ("fe80::1", "IPv6", True),
        ("febf::1", "IPv6", True),
        ("fec0::1", "IPv6", False),
        ("fd00::1", "IPv6", False),
    ],
)
def test_kinds_of_addresses(text: str, family: str, link_local: bool) -> None:
    """An address has a family, and fe80::/10 is link-local."""
    address = parse_address(text)

    assert (family_name(address), is_link_local(address)) == (family, link_local)
