"""The one nftables table of a node: source NAT for all networks in four sets.

`masquerade4` and `masquerade6` hold the source subnets, `exempt4` and `exempt6` pairs
of a source subnet and destinations that it reaches with its own address. Four rules
serve every pod, and a pod costs none:

    table inet pycni {
        chain postrouting {
            type nat hook postrouting priority srcnat
            ip saddr . ip daddr @exempt4 return
            ip saddr @masquerade4 masquerade fully-random
            ip6 saddr . ip6 daddr @exempt6 return
            ip6 saddr @masquerade6 masquerade fully-random
        }
    }

Never touches a table of somebody else. Each change is one transaction.
"""

from __future__ import annotations

from errno import EEXIST, ENOENT, ENOTEMPTY

from plugin import errors
from plugin.address import Prefix, parse_prefix
from plugin.errors import CNIError, NetlinkError
from plugin.netlink import nftables as nft
from plugin.netlink.codec import all_attributes, attributes, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.netlink.channel import Channel
    from plugin.netlink.codec import Message

TABLE = "pycni"
_FAMILY = nft.NFPROTO_INET
_CHAIN = "postrouting"
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


_FAMILIES = (
    Family("4", nft.NFPROTO_IPV4, 4, nft.TYPE_IPV4),
    Family("6", nft.NFPROTO_IPV6, 16, nft.TYPE_IPV6),
)


class Masquerade:
    """One source subnet, and the destinations it reaches with its own address."""

    __slots__ = ("exempt", "source")

    def __init__(self, source: Prefix, exempt: list[Prefix]) -> None:
        self.source = source.subnet()
        self.exempt = _widest(
            [p.subnet() for p in (*exempt, *_MULTICAST)], len(source.address)
        )

    @property
    def family(self) -> Family:
        """The sets that it belongs to."""
        return _FAMILIES[0] if len(self.source.address) == 4 else _FAMILIES[1]

    def source_elements(self) -> list[bytes]:
        """Its elements of the set of sources."""
        return nft.interval(self.source.network, self.source.broadcast)

    def exempt_elements(self) -> list[bytes]:
        """Its elements of the set of pairs."""
        return [
            nft.element(
                self.source.network + prefix.network,
                self.source.broadcast + prefix.broadcast,
            )
            for prefix in self.exempt
        ]


def _widest(prefixes: list[Prefix], size: int) -> list[Prefix]:
    """Those of one family that lie in no other: a set refuses what overlaps."""
    widest: list[Prefix] = []
    for prefix in sorted(prefixes, key=lambda p: p.length):
        if len(prefix.address) == size and not any(
            other.overlaps(prefix) for other in widest
        ):
            widest.append(prefix)
    return widest


def ensure_masquerade(channel: Channel, wanted: list[Masquerade]) -> None:
    """Masquerade these subnets; sends no change when all of it is there."""
    if not missing_elements(channel, wanted):
        return
    messages = _skeleton()
    for masquerade in wanted:
        family = masquerade.family
        messages.append(_add(family.masquerade, masquerade.source_elements()))
        messages.append(_add(family.exempt, masquerade.exempt_elements()))
    try:
        channel.transaction(nft.batch_begin(), messages, nft.batch_end())
    except NetlinkError as error:
        if error.errno not in (EEXIST, ENOTEMPTY):
            raise
        subnets = ", ".join([str(masquerade.source) for masquerade in wanted])
        raise CNIError(
            errors.KERNEL_REFUSED,
            f"ipMasq: {subnets} overlaps a subnet that is masqueraded for another "
            "network",
            str(error),
        ) from None


def _add(name: str, elements: list[bytes]) -> Message:
    return nft.new_elements(_FAMILY, TABLE, name, elements)


def missing_elements(channel: Channel, wanted: list[Masquerade]) -> list[Masquerade]:
    """Those of the subnets that are not masqueraded as wanted."""
    queries, owners = [], []
    for masquerade in wanted:
        family = masquerade.family
        for name, elements in (
            (family.masquerade, masquerade.source_elements()[:1]),
            (family.exempt, masquerade.exempt_elements()),
        ):
            for element in elements:
                queries.append(nft.get_element(_FAMILY, TABLE, name, element))
                owners.append(masquerade)
    missing = []
    for owner, answer in zip(owners, channel.exchange(queries), strict=True):
        if answer.error and answer.error.errno != ENOENT:
            raise answer.error
        if answer.error and owner not in missing:
            missing.append(owner)
    return missing


def _skeleton() -> list[Message]:
    """Table, sets, chain and rules, whatever of them there is already."""
    messages = [nft.new_table(_FAMILY, TABLE)]
    for family in _FAMILIES:
        pair = nft.concat_type(family.type, family.type)
        for name, key in (
            (family.masquerade, (family.type, (family.size,))),
            (family.exempt, (pair, (family.size, family.size))),
        ):
            messages.append(nft.new_set(_FAMILY, TABLE, name, key, interval=True))
    hook = ("nat", nft.NF_INET_POST_ROUTING, nft.NF_IP_PRI_NAT_SRC)
    messages.append(nft.new_base_chain(_FAMILY, TABLE, _CHAIN, hook))
    messages.append(nft.flush_chain(_FAMILY, TABLE, _CHAIN))
    for family in _FAMILIES:
        messages += [
            nft.new_rule(_FAMILY, TABLE, _CHAIN, *expressions)
            for expressions in _rules(family)
        ]
    return messages


def _rules(family: Family) -> list[list[bytes]]:
    is_family = [
        nft.meta(nft.NFT_META_NFPROTO, nft.REG_1),
        nft.equals(nft.REG_1, bytes((family.protocol,))),
    ]
    header = nft.NFT_PAYLOAD_NETWORK_HEADER
    source = nft.payload(header, family.saddr, family.size, nft.REG_1)
    second = nft.REG32_01 if family.size == 4 else nft.REG_2
    destination = nft.payload(header, family.daddr, family.size, second)
    return [
        [
            *is_family,
            source,
            destination,
            nft.lookup(family.exempt, nft.REG_1),
            nft.verdict(nft.NFT_RETURN),
        ],
        [
            *is_family,
            source,
            nft.lookup(family.masquerade, nft.REG_1),
            nft.masquerade(nft.NF_NAT_RANGE_PROTO_RANDOM_FULLY),
        ],
    ]


def remove_masquerade(channel: Channel, unwanted: list[Masquerade]) -> None:
    """Stop masquerading these subnets; the last one takes the table with it.

    The caller keeps others from adding a subnet meanwhile.
    """
    for masquerade in unwanted:
        family = masquerade.family
        for name, elements in (
            (family.masquerade, masquerade.source_elements()),
            (family.exempt, masquerade.exempt_elements()),
        ):
            request = nft.delete_elements(_FAMILY, TABLE, name, elements)
            _change(channel, request)
    if is_idle(channel):
        _change(channel, nft.delete_table(_FAMILY, TABLE))


def _change(channel: Channel, message: Message) -> None:
    """One change; that there is nothing to change is success (trap 15)."""
    try:
        channel.transaction(nft.batch_begin(), [message], nft.batch_end())
    except NetlinkError as error:
        if error.errno != ENOENT:
            raise


def is_idle(channel: Channel) -> bool:
    """Whether no subnet is masqueraded."""
    for family in _FAMILIES:
        query = nft.elements_of(_FAMILY, TABLE, family.masquerade)
        try:
            payloads = channel.dump(query)
        except NetlinkError as error:
            if error.errno != ENOENT:
                raise
            continue
        # NFTA_SET_ELEM_LIST_ELEMENTS is there, and empty, in an empty set.
        if any(attributes(payload, 4).get(3) for payload in payloads):
            return False
    return True


def check_masquerade(channel: Channel, wanted: list[Masquerade]) -> list[str]:
    """What differs from the wanted state, as sentences."""
    problems = [
        f"masquerade of {masquerade.source} is gone from nftables table {TABLE}"
        for masquerade in missing_elements(channel, wanted)
    ]
    expected = [
        _outline_of(b"".join(rule)) for family in _FAMILIES for rule in _rules(family)
    ]
    if wanted and not problems and _present_rules(channel) != expected:
        problems.append(f"the rules of nftables chain {TABLE} {_CHAIN} were changed")
    return problems


def _present_rules(channel: Channel) -> list[list[str]]:
    payloads = channel.dump(nft.rules_of(_FAMILY, TABLE, _CHAIN))
    return [_outline_of(attributes(payload, 4).get(4, b"")) for payload in payloads]


def _outline_of(expressions: bytes) -> list[str]:
    """The names of the expressions of a rule, of a lookup with its set."""
    outline = []
    for _, expression in all_attributes(expressions):
        parts = attributes(expression)
        name = string(parts[1])
        if name == "lookup":
            name = f"lookup {string(attributes(parts[2])[1])}"
        outline.append(name)
    return outline
