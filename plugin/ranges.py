"""Ranges of addresses, as host-local configures them: parse, default, validate.

Pure arithmetic: which address is free is the business of `plugin.ipam`.
A range set is a list of ranges of one family; a pod gets one address of each set.
"""

from __future__ import annotations

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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Range:
    """Addresses `start` to `end` (integers) of one subnet, and its gateway."""

    __slots__ = ("end", "excluded", "gateway", "on_link", "size", "start", "subnet")

    def __init__(self, subnet: Prefix) -> None:
        self.subnet = subnet
        self.size = len(subnet.address)
        self.start = 0
        self.end = 0
        self.gateway: bytes | None = None
        # The gateway is reached on the link although it is not in the subnet.
        self.on_link = False
        self.excluded: list[tuple[int, int]] = []

    def __str__(self) -> str:
        first, last = packed(self.start, self.size), packed(self.end, self.size)
        return f"{render_address(first)}-{render_address(last)}"

    def holds(self, address: bytes) -> bool:
        """Whether the address lies between start and end."""
        return len(address) == self.size and self.start <= number(address) <= self.end

    def overlaps(self, other: Range) -> bool:
        """Whether the two share an address, within their starts and ends."""
        same = self.size == other.size
        return same and self.start <= other.end and other.start <= self.end

    def usable(self, value: int) -> bool:
        """Whether an address between start and end may be given to a pod."""
        return self.next_usable(value) == value

    def next_usable(self, value: int) -> int:
        """The first address from `value` on that may be given out, else end + 1.

        Never the gateway, the network address, the broadcast address (IPv4), nor
        an excluded one; an excluded block of any size is one step.
        """
        for first, last in self.excluded:
            if first <= value <= last:
                value = last + 1
        return min(value, self.end + 1)


def parse_range(document: Any, gateway_needed: bool) -> Range:
    """Parse {subnet, rangeStart, rangeEnd, gateway, exclude}; ValueError says what is
    wrong, TypeError what is not of the JSON type that it should be.

    With `gateway_needed` a subnet without room for a gateway is refused, otherwise
    /31, /32, /127 and /128 give out every address that they have (RFC 3021).
    """
    if not isinstance(document, dict):
        raise TypeError(f"{document!r} is not a range object")
    subnet = _subnet(document, gateway_needed)
    result = Range(subnet)
    small = subnet.length > result.size * 8 - 2
    network, broadcast = number(subnet.network), number(subnet.broadcast)
    if not small:
        result.excluded.append((network, network))
        if result.size == 4:
            result.excluded.append((broadcast, broadcast))
        result.gateway = packed(network + 1, result.size)
    if document.get("gateway"):
        result.gateway = _gateway(document, subnet)
        result.on_link = not subnet.contains(result.gateway)
    if result.gateway:
        gateway = number(result.gateway)
        result.excluded.append((gateway, gateway))
    # In order, so that one pass over them finds the next address.
    result.excluded.sort()
    result.start = network if small else network + 1
    result.end = broadcast if small or result.size == 16 else broadcast - 1
    _bounds(document, result)
    result.excluded += [_excluded(text, result) for text in _list(document, "exclude")]
    result.excluded.sort()
    return result


def _subnet(document: dict[str, Any], gateway_needed: bool) -> Prefix:
    text = document.get("subnet")
    if not isinstance(text, str):
        raise TypeError(f"subnet: {text!r} is not an address with a prefix length")
    try:
        subnet = parse_prefix(text)
    except ValueError as error:
        raise ValueError(f"subnet: {error}") from None
    if subnet.network != subnet.address:
        raise ValueError(
            f"subnet: {text}: Network has host bits set. For a subnet mask of length "
            f"{subnet.length} the network address is "
            f"{render_address(subnet.network)}"
        )
    bits = len(subnet.address) * 8
    if gateway_needed and subnet.length > bits - 2:
        usable = (1 << (bits - subnet.length)) - 1
        raise ValueError(
            f"subnet: Network {text} too small to allocate from: beside the gateway "
            f"it has {usable} addresses, and a prefix length of at most {bits - 2} "
            "is needed"
        )
    return subnet


def _gateway(document: dict[str, Any], subnet: Prefix) -> bytes:
    gateway = _address(document, "gateway")
    text = document["gateway"]
    if len(gateway) != len(subnet.address):
        raise ValueError(
            f"gateway: {text} is {family_name(gateway)}, "
            f"the subnet {subnet} is {family_name(subnet.address)}"
        )
    on_link = is_link_local(gateway) or document.get("gatewayOnLink") is True
    if not subnet.contains(gateway) and not (on_link and len(gateway) == 16):
        raise ValueError(f"gateway: {text} is not in the subnet {subnet}")
    return gateway


def _bounds(document: dict[str, Any], target: Range) -> None:
    for key, name in (("rangeStart", "RangeStart"), ("rangeEnd", "RangeEnd")):
        if not document.get(key):
            continue
        address = _address(document, key)
        value = number(address)
        outside = not target.subnet.contains(address)
        if outside or (key == "rangeEnd" and value < target.start):
            raise ValueError(
                f"{key}: {name} {document[key]} not in network {target.subnet}"
            )
        if key == "rangeStart":
            target.start = value
        else:
            target.end = value
    if target.start > target.end:
        raise ValueError(
            f"rangeStart: RangeStart {document['rangeStart']} not in network "
            f"{target.subnet}: no address from there to {target}"
        )
    if target.next_usable(target.start) > target.end:
        raise ValueError(f"subnet: no usable address in {target.subnet} from {target}")


def _excluded(text: Any, target: Range) -> tuple[int, int]:
    """An excluded address, prefix or `FIRST-LAST`, as first and last integer."""
    if not isinstance(text, str):
        raise TypeError(f"exclude: {text!r} is not a string")
    try:
        if "/" in text:
            prefix = parse_prefix(text)
            first, last = prefix.network, prefix.broadcast
        else:
            low, dash, high = text.partition("-")
            first = parse_address(low.strip())
            last = parse_address(high.strip()) if dash else first
    except ValueError as error:
        raise ValueError(f"exclude: {error}") from None
    if len(first) != target.size or len(last) != target.size:
        return (1, 0)  # of the other family: excludes nothing here
    if first > last:
        raise ValueError(f"exclude: {text} ends before it begins")
    return number(first), number(last)


def _address(document: dict[str, Any], key: str) -> bytes:
    text = document[key]
    if not isinstance(text, str):
        raise TypeError(f"{key}: {text!r} is not an IP address")
    try:
        return parse_address(text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key) or []
    if not isinstance(value, list):
        raise TypeError(f"{key}: {value!r} is not a list")
    return value


def check_set(range_set: list[Range]) -> None:
    """Raise ValueError if a set is empty, of two families, or overlaps itself."""
    if not range_set:
        raise ValueError("ranges: an empty range set")
    for index, this in enumerate(range_set):
        for other in range_set[:index]:
            if this.size != other.size:
                raise ValueError(
                    f"ranges: {other.subnet} and {this.subnet} are of two families "
                    "in one range set"
                )
            if this.overlaps(other):
                raise ValueError(f"ranges: {other} and {this} overlap in one range set")


def check_sets(range_sets: list[list[Range]]) -> None:
    """Raise ValueError if two sets share addresses."""
    for second, this in enumerate(range_sets):
        for first, other in enumerate(range_sets[:second]):
            if any(a.overlaps(b) for a in this for b in other):
                raise ValueError(f"range set {first} overlaps with {second}")


def name_of_set(range_set: list[Range]) -> str:
    """`FIRST-LAST,FIRST-LAST`, for messages."""
    return ",".join([str(part) for part in range_set])
