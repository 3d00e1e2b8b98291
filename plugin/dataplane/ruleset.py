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

from errno import EBUSY, EEXIST, ENOENT, ENOTEMPTY

from plugin import errors
from plugin.dataplane.masquerade import (
    FAMILIES,
    covers,
    is_between,
    is_inside,
    overlap,
)
from plugin.errors import CNIError, NetlinkError
from plugin.netlink import nftables as nft
from plugin.netlink.codec import all_attributes, attributes, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugin.address import Prefix
    from plugin.dataplane.masquerade import Family, Interval, Masquerade, Pair
    from plugin.netlink.channel import Channel
    from plugin.netlink.codec import Message

    # A masquerade's source (None), or one of its exempt pairs.
    _Part = tuple[Masquerade, Pair | None]

TABLE = "pycni"
_FAMILY = nft.NFPROTO_INET
_CHAIN = "postrouting"
# A message has so many elements (its attributes end at 64 kB), a transaction so many
# bytes and messages: they and their answers have to fit into the socket's buffers.
_MOST_ELEMENTS = 400
_MOST_BYTES = 100_000
_MOST_MESSAGES = 40


def ensure_masquerade(channel: Channel, wanted: list[Masquerade]) -> None:
    """Masquerade these subnets; sends no change when all of it is there."""
    missing = _missing(channel, wanted)
    if not missing:
        return
    if _make(channel, missing, []) is None:
        return
    refusal = _make(channel, missing, _widen(channel, missing))
    if refusal:
        subnets = ", ".join([str(masquerade.source) for masquerade in wanted])
        raise CNIError(
            errors.KERNEL_REFUSED,
            f"ipMasq: {subnets} overlaps a subnet that is masqueraded for another "
            "network",
            str(refusal),
        )


def _make(
    channel: Channel, missing: list[_Part], before: list[Message]
) -> NetlinkError | None:
    """Add what is missing, after some requests; the refusal of what overlaps."""
    messages = _skeleton() + before
    # What is exempt comes first: nothing is masqueraded that must not be.
    for family in FAMILIES:
        pairs = [pair for m, pair in missing if m.family is family and pair]
        messages += _add(family.exempt, [nft.element(*pair) for pair in pairs])
    for masquerade, pair in missing:
        if pair is None:
            name, elements = masquerade.family.masquerade, masquerade.source_elements()
            messages += _add(name, elements)
    for batch in _batches(messages):
        try:
            channel.transaction(nft.batch_begin(), batch, nft.batch_end())
        except NetlinkError as error:
            if error.errno not in (EEXIST, ENOTEMPTY):
                raise
            return error
    return None


def _add(name: str, elements: list[bytes]) -> list[Message]:
    return [
        nft.new_elements(_FAMILY, TABLE, name, part) for part in _portions(elements)
    ]


def _batches(messages: list[Message]) -> Iterator[list[Message]]:
    batch: list[Message] = []
    size = 0
    for message in messages:
        if size > _MOST_BYTES or len(batch) == _MOST_MESSAGES:
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += len(message.body)
    yield batch


def _delete(name: str, elements: list[bytes]) -> list[Message]:
    return [
        nft.delete_elements(_FAMILY, TABLE, name, part) for part in _portions(elements)
    ]


def _portions(elements: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(elements), _MOST_ELEMENTS):
        yield elements[start : start + _MOST_ELEMENTS]


def _widen(channel: Channel, wanted: list[_Part]) -> list[Message]:
    """Requests that make room for subnets that have grown: a set of intervals refuses
    what overlaps, so the narrower ones inside of them go in the same transaction."""
    messages = []
    for family in FAMILIES:
        sources = [m.source for m, pair in wanted if m.family is family and not pair]
        elements = [
            element
            for first, after in (_present_sources(channel, family) if sources else ())
            for element in nft.bounds(first, after)
            if any(is_inside(source, (first, after)) for source in sources)
        ]
        messages += _delete(family.masquerade, elements)
        pairs = [pair for m, pair in wanted if m.family is family and pair]
        elements = [
            nft.element(*present)
            for present in (_present_pairs(channel, family) if pairs else ())
            if any(covers(pair, present, family.size) for pair in pairs)
        ]
        messages += _delete(family.exempt, elements)
    return messages


def _present_sources(channel: Channel, family: Family) -> list[Interval]:
    """The intervals that are masqueraded: first address, and the one after the last."""
    payloads = _elements_of(channel, family.masquerade)
    bounds = [bound for payload in payloads for bound in nft.parse_bounds(payload)]
    ends = sorted(key for key, is_end in bounds if is_end)
    return [
        (first, next((end for end in ends if end > first), None))
        for first, is_end in bounds
        if not is_end
    ]


def _present_pairs(channel: Channel, family: Family) -> list[Pair]:
    payloads = _elements_of(channel, family.exempt)
    return [pair for payload in payloads for pair in nft.parse_pairs(payload)]


def _elements_of(channel: Channel, name: str) -> list[bytes]:
    """The payloads that list a set; none if there is no such set."""
    try:
        return channel.dump(nft.elements_of(_FAMILY, TABLE, name))
    except NetlinkError as error:
        if error.errno != ENOENT:
            raise
        return []


def missing_masquerades(channel: Channel, wanted: list[Masquerade]) -> list[Masquerade]:
    """Those of the subnets that are not masqueraded as wanted."""
    missing = _missing(channel, wanted)
    return [m for m in wanted if any(owner is m for owner, _ in missing)]


def _missing(channel: Channel, wanted: list[Masquerade]) -> list[_Part]:
    """What is not there, or in parts: a source, or a pair of it and a destination."""
    queries: list[Message] = []
    asked: list[_Part] = []
    for masquerade in wanted:
        family = masquerade.family
        for element in masquerade.source_elements():
            queries.append(nft.get_element(_FAMILY, TABLE, family.masquerade, element))
            asked.append((masquerade, None))
        for pair in masquerade.exempt_pairs():
            element = nft.element(*pair)
            queries.append(nft.get_element(_FAMILY, TABLE, family.exempt, element))
            asked.append((masquerade, pair))
    missing: list[_Part] = []
    for part, answer in zip(asked, channel.exchange(queries), strict=True):
        if answer.error and answer.error.errno != ENOENT:
            raise answer.error
        masquerade, wish = part
        # The kernel looks up the first address alone: the rest may not be there.
        found = [p for payload in answer.payloads for p in nft.parse_pairs(payload)]
        size = masquerade.family.size
        short = wish is not None and not any(covers(p, wish, size) for p in found)
        if (answer.error or short) and part not in missing[-1:]:
            missing.append(part)
    return missing


def _skeleton() -> list[Message]:
    """Table, sets, chain and rules, whatever of them there is already."""
    messages = [nft.new_table(_FAMILY, TABLE)]
    for family in FAMILIES:
        pair = nft.concat_type(family.type, family.type)
        for name, key in (
            (family.masquerade, (family.type, (family.size,))),
            (family.exempt, (pair, (family.size, family.size))),
        ):
            messages.append(nft.new_set(_FAMILY, TABLE, name, key, interval=True))
    hook = ("nat", nft.NF_INET_POST_ROUTING, nft.NF_IP_PRI_NAT_SRC)
    messages.append(nft.new_base_chain(_FAMILY, TABLE, _CHAIN, hook))
    messages.append(nft.flush_chain(_FAMILY, TABLE, _CHAIN))
    for family in FAMILIES:
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


def remove_masquerade(
    channel: Channel, sources: list[Prefix], held: list[bytes]
) -> None:
    """Stop masquerading what overlaps these subnets, also from before they grew or
    shrank, except where an address is held; with the last subnet all that is ours goes.
    """
    for family in FAMILIES:
        ours = [s for s in sources if len(s.address) == family.size]
        gone = [
            interval
            for interval in (_present_sources(channel, family) if ours else ())
            if any(overlap(source, interval) for source in ours)
            and not any(is_between(address, interval) for address in held)
        ]
        bounds = [element for interval in gone for element in nft.bounds(*interval)]
        pairs = [
            nft.element(*pair)
            for pair in (_present_pairs(channel, family) if gone else ())
            if any(is_between(pair[0][: family.size], interval) for interval in gone)
        ]
        requests = _delete(family.masquerade, bounds) + _delete(family.exempt, pairs)
        for batch in _batches(requests) if requests else ():
            _change(channel, batch)
    _remove_empty(channel)


def _remove_empty(channel: Channel) -> None:
    """Remove chain, sets and table, each only if nothing is in it: the kernel looks
    and removes in one transaction, and what others put into our table stays."""
    names = [name for f in FAMILIES for name in (f.masquerade, f.exempt)]
    requests = [
        nft.flush_chain(_FAMILY, TABLE, _CHAIN),
        nft.delete_chain(_FAMILY, TABLE, _CHAIN),
        *[nft.delete_empty_set(_FAMILY, TABLE, name) for name in names],
    ]
    if _change(channel, requests):
        _change(channel, [nft.delete_empty_table(_FAMILY, TABLE)])


def _change(channel: Channel, messages: list[Message]) -> bool:
    """One transaction; that there is nothing to change is success (trap 15). False if
    something was in use."""
    try:
        channel.transaction(nft.batch_begin(), messages, nft.batch_end())
    except NetlinkError as error:
        if error.errno == EBUSY:
            return False
        if error.errno != ENOENT:
            raise
    return True


def check_masquerade(channel: Channel, wanted: list[Masquerade]) -> list[str]:
    """What differs from the wanted state, as sentences."""
    problems = [
        f"masquerade of {masquerade.source} is gone from nftables table {TABLE}"
        for masquerade in missing_masquerades(channel, wanted)
    ]
    expected = [
        _outline_of(b"".join(rule)) for family in FAMILIES for rule in _rules(family)
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
