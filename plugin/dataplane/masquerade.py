"""What is masqueraded: subnets and their exempt destinations, as elements of sets.

Pure: values and arithmetic on them. `plugin.dataplane.ruleset` brings them into the
kernel.
"""

from __future__ import annotations

from plugin.address import Prefix, parse_prefix
from plugin.netlink import nftables as nft

TYPE_CHECKING = False
if TYPE_CHECKING:
    # First and last of a pair of source and destination.
    Pair = tuple[bytes, bytes]
    # First address of an interval and the one after its last, None after all.
    Interval = tuple[bytes, bytes | None]

# Never masqueraded: groups reach their members with the sender's address (E1).
_MULTICAST = (parse_prefix("224.0.0.0/4"), parse_prefix("ff00::/8"))


class Family:
    """What differs between the families: names, types, and where addresses lie."""

    __slots__ = ("daddr", "exempt", "masquerade", "protocol", "saddr", "size", "type")

    def __init__(self, digit: str, protocol: int, size: int, key_type: int) -> None:
        self.masquerade = f"masquerade{digit}"
        self.exempt = f"exempt{digit}"
        self.protocol = protocol
        self.size = size
        self.type = key_type
        # Offsets in the header: RFC 791 and RFC 8200.
        self.saddr = 12 if size == 4 else 8
        self.daddr = self.saddr + size


FAMILIES = (
    Family("4", nft.NFPROTO_IPV4, 4, nft.TYPE_IPV4),
    Family("6", nft.NFPROTO_IPV6, 16, nft.TYPE_IPV6),
)


class Masquerade:
    """One source subnet, and the destinations it reaches with its own address."""

    __slots__ = ("exempt", "source")

    def __init__(self, source: Prefix, exempt: list[Prefix]) -> None:
        self.source = source.subnet()
        self.exempt = widest(
            [p.subnet() for p in (*exempt, *_MULTICAST)], len(source.address)
        )

    @property
    def family(self) -> Family:
        """The sets that it belongs to."""
        return FAMILIES[0] if len(self.source.address) == 4 else FAMILIES[1]

    def source_elements(self) -> list[bytes]:
        """Its elements of the set of sources."""
        return nft.interval(self.source.network, self.source.broadcast)

    def exempt_pairs(self) -> list[tuple[bytes, bytes]]:
        """First and last of each pair of source and destination that is exempt."""
        first, last = self.source.network, self.source.broadcast
        return [(first + p.network, last + p.broadcast) for p in self.exempt]


def widest(prefixes: list[Prefix], size: int) -> list[Prefix]:
    """Those of one family that lie in no other: a set refuses what overlaps."""
    widest: list[Prefix] = []
    for prefix in sorted(prefixes, key=lambda p: p.length):
        if len(prefix.address) == size and not any(
            other.overlaps(prefix) for other in widest
        ):
            widest.append(prefix)
    return widest


def covers(wide: Pair, narrow: Pair, size: int) -> bool:
    """Whether a pair of source and destination lies inside of another."""
    return all(
        wide[0][part] <= narrow[0][part] and narrow[1][part] <= wide[1][part]
        for part in (slice(size), slice(size, None))
    )


def is_inside(source: Prefix, interval: Interval) -> bool:
    """Whether the subnet holds an interval and is larger than it."""
    first, after = interval
    bounds = nft.after(source.broadcast)
    if after is None or not source.contains(first):
        return False
    smaller = bounds is None or after <= bounds
    return smaller and interval != (source.network, bounds)


def is_between(address: bytes, interval: Interval) -> bool:
    """Whether an address lies in an interval of its family."""
    first, after = interval
    return (
        len(address) == len(first)
        and first <= address
        and (after is None or address < after)
    )


def overlap(source: Prefix, interval: Interval) -> bool:
    """Whether a subnet and an interval share an address."""
    return source.contains(interval[0]) or is_between(source.network, interval)
