"""Addresses and prefixes as plain values.

An address is its packed bytes (4 for IPv4, 16 for IPv6), so its length is its
family; an IPv4 address written in IPv6 form is IPv4, as in Go. A prefix is an
address with a length in bits; host bits are the caller's business.
Never resolves a name.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

_MAPPED = bytes(10) + b"\xff\xff"


class Prefix:
    """An address and a length in bits: `10.1.2.3/24`."""

    __slots__ = ("address", "length")

    def __init__(self, address: bytes, length: int) -> None:
        self.address = address
        self.length = length

    def __str__(self) -> str:
        return f"{render_address(self.address)}/{self.length}"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Prefix)
            and self.address == other.address
            and self.length == other.length
        )

    def __hash__(self) -> int:
        return hash((self.address, self.length))

    def __repr__(self) -> str:
        return f"Prefix({self})"

    @property
    def network(self) -> bytes:
        """The address with its host bits cleared."""
        return packed(number(self.address) & ~self._host_mask(), len(self.address))

    @property
    def broadcast(self) -> bytes:
        """The address with its host bits set: the last one of the subnet."""
        return packed(number(self.address) | self._host_mask(), len(self.address))

    def subnet(self) -> Prefix:
        """The prefix with its host bits cleared: `10.1.2.0/24`."""
        return Prefix(self.network, self.length)

    def contains(self, address: bytes) -> bool:
        """Whether the address is of this family and inside the subnet."""
        return (
            len(address) == len(self.address)
            and (number(address) ^ number(self.address)) <= self._host_mask()
        )

    def overlaps(self, other: Prefix) -> bool:
        """Whether the two subnets share an address."""
        return self.contains(other.network) or other.contains(self.network)

    def _host_mask(self) -> int:
        return (1 << (len(self.address) * 8 - self.length)) - 1


def number(address: bytes) -> int:
    """The address as an integer, for arithmetic."""
    return int.from_bytes(address, "big")


def packed(value: int, size: int) -> bytes:
    """The integer as an address of `size` bytes."""
    return value.to_bytes(size, "big")


def parse_address(text: str) -> bytes:
    """Parse an IPv4 or IPv6 address; ValueError says what it is not."""
    try:
        if ":" not in text:
            return inet_pton(AF_INET, text)
        address = inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        raise ValueError(f"{text!r} is not an IP address") from None
    return address[12:] if address.startswith(_MAPPED) else address


def render_address(address: bytes) -> str:
    """The usual text of an address (RFC 5952)."""
    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)


def parse_prefix(text: str) -> Prefix:
    """Parse `ADDRESS/LENGTH`; ValueError says what it is not."""
    address_text, slash, length_text = text.partition("/")
    if slash and length_text.isascii() and length_text.isdigit():
        address = parse_address(address_text)
        length = int(length_text[:4])
        if ":" in address_text and len(address) == 4:
            length -= 96
        if 0 <= length <= len(address) * 8:
            return Prefix(address, length)
    raise ValueError(f"{text!r} is not an address with a prefix length")


def family_name(address: bytes) -> str:
    """`IPv4` or `IPv6`."""
    return "IPv4" if len(address) == 4 else "IPv6"


def is_link_local(address: bytes) -> bool:
    """Whether an IPv6 address is in fe80::/10."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80
