"""Requests for nf_tables: tables, sets, chains, rules, elements.

Functions that return messages and the expressions inside; nothing is sent here.
Numbers and layouts are those of linux/netfilter/nf_tables.h and nfnetlink.h.
"""

from __future__ import annotations

from plugin.netlink import codec
from plugin.netlink.codec import (
    BE32,
    U32,
    Message,
    all_attributes,
    attribute,
    attributes,
    nested,
    text_attribute,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NFPROTO_INET, NFPROTO_IPV4, NFPROTO_BRIDGE, NFPROTO_IPV6 = 1, 2, 7, 10
_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
(NEWTABLE, GETTABLE, DELTABLE, NEWCHAIN, GETCHAIN, DELCHAIN, NEWRULE, GETRULE) = range(
    8
)
(DELRULE, NEWSET, GETSET, DELSET, NEWSETELEM, GETSETELEM, DELSETELEM) = range(8, 15)

NFT_SET_INTERVAL, NFT_SET_CONCAT = 0x4, 0x80
NFT_SET_ELEM_INTERVAL_END = 1
REG_VERDICT, REG_1, REG_2, REG32_01 = 0, 1, 2, 9
NF_DROP, NF_ACCEPT = 0, 1
NFT_RETURN = -5
NFT_META_IIFNAME, NFT_META_NFPROTO = 6, 15
NFT_PAYLOAD_LL_HEADER, NFT_PAYLOAD_NETWORK_HEADER = 0, 1
NFT_LOOKUP_F_INV = 1
NF_NAT_RANGE_PROTO_RANDOM_FULLY = 0x10
NF_INET_POST_ROUTING, NF_BR_PRE_ROUTING = 4, 0
NF_IP_PRI_NAT_SRC, NF_BR_PRI_NAT_DST_BRIDGED = 100, -300

# Types by which nft prints the keys of a set (nftables, include/datatype.h).
TYPE_IPV4, TYPE_IPV6, TYPE_ETHER, TYPE_IFNAME = 7, 8, 9, 41


def concat_type(*types: int) -> int:
    """The type number of a concatenation: six bits a part."""
    result = 0
    for part in types:
        result = result << 6 | part
    return result


def batch_begin() -> Message:
    """The message that opens a transaction."""
    return Message(_BATCH_BEGIN, 0, b"\0\0\0\x0a", "change the nftables ruleset")


def batch_end() -> Message:
    """The message that closes a transaction."""
    return Message(_BATCH_END, 0, b"\0\0\0\x0a", "change the nftables ruleset")


def _message(
    kind: int, flags: int, family: int, body: bytes, operation: str
) -> Message:
    # struct nfgenmsg { u8 family; u8 version; be16 res_id; };
    header = bytes((family, 0, 0, 0))
    return Message(_SUBSYSTEM | kind, flags, header + body, operation)


def new_table(family: int, table: str) -> Message:
    """Make a table unless it is there."""
    body = text_attribute(1, table)
    return _message(
        NEWTABLE, codec.NLM_F_CREATE, family, body, f"add nftables table {table}"
    )


def delete_empty_table(family: int, table: str) -> Message:
    """Delete a table; EBUSY if something is in it."""
    body = text_attribute(1, table)
    operation = f"delete nftables table {table}"
    return _message(DELTABLE, codec.NLM_F_NONREC, family, body, operation)


def delete_empty_set(family: int, table: str, name: str) -> Message:
    """Delete a set; EBUSY if it has an element."""
    body = text_attribute(1, table) + text_attribute(2, name)
    operation = f"delete nftables set {table} {name}"
    return _message(DELSET, codec.NLM_F_NONREC, family, body, operation)


def delete_chain(family: int, table: str, chain: str) -> Message:
    """Delete a chain without rules."""
    body = text_attribute(1, table) + text_attribute(3, chain)
    operation = f"delete nftables chain {table} {chain}"
    return _message(DELCHAIN, codec.NLM_F_NONREC, family, body, operation)


def new_set(
    family: int,
    table: str,
    name: str,
    key: tuple[int, tuple[int, ...]],
    interval: bool,
) -> Message:
    """Make a set unless it is there; `key` is (type number, length of each part)."""
    key_type, lengths = key
    flags = NFT_SET_INTERVAL if interval else 0
    total = sum([(length + 3) & ~3 for length in lengths])
    body = text_attribute(1, table) + text_attribute(2, name)
    if len(lengths) > 1:
        flags |= NFT_SET_CONCAT
    body += attribute(3, BE32.pack(flags)) + attribute(4, BE32.pack(key_type))
    body += attribute(5, BE32.pack(total)) + attribute(10, BE32.pack(1))
    if key_type == TYPE_IFNAME:
        # For nft's eyes: NFTNL_UDATA_SET_KEYBYTEORDER, 4 bytes, BYTEORDER_HOST_ENDIAN.
        body += attribute(13, b"\0\4" + U32.pack(1))
    if len(lengths) > 1:
        fields = [nested(1, attribute(1, BE32.pack(length))) for length in lengths]
        body += nested(9, nested(2, *fields))
    return _message(
        NEWSET, codec.NLM_F_CREATE, family, body, f"add nftables set {table} {name}"
    )


def new_base_chain(
    family: int, table: str, name: str, hook: tuple[str, int, int]
) -> Message:
    """Make a base chain unless it is there; `hook` is (type, hook number, priority)."""
    kind, number, priority = hook
    body = text_attribute(1, table) + text_attribute(3, name)
    body += nested(
        4,
        attribute(1, BE32.pack(number)),
        attribute(2, BE32.pack(priority & 0xFFFFFFFF)),
    )
    body += text_attribute(7, kind)
    return _message(
        NEWCHAIN, codec.NLM_F_CREATE, family, body, f"add nftables chain {table} {name}"
    )


def flush_chain(family: int, table: str, chain: str) -> Message:
    """Delete all rules of a chain."""
    body = text_attribute(1, table) + text_attribute(2, chain)
    return _message(DELRULE, 0, family, body, f"flush nftables chain {table} {chain}")


def new_rule(family: int, table: str, chain: str, *expressions: bytes) -> Message:
    """Append a rule."""
    body = text_attribute(1, table) + text_attribute(2, chain)
    body += nested(4, *expressions)
    flags = codec.NLM_F_CREATE | codec.NLM_F_APPEND
    return _message(
        NEWRULE, flags, family, body, f"add nftables rule to {table} {chain}"
    )


def rules_of(family: int, table: str, chain: str) -> Message:
    """Ask for the rules of a chain."""
    body = text_attribute(1, table) + text_attribute(2, chain)
    operation = f"list nftables rules of {table} {chain}"
    return _message(GETRULE, codec.NLM_F_DUMP, family, body, operation)


def new_elements(family: int, table: str, name: str, elements: list[bytes]) -> Message:
    """Add elements to a set; those that are there already stay."""
    body = _elements(table, name, elements)
    return _message(
        NEWSETELEM, codec.NLM_F_CREATE, family, body, f"add to nftables set {name}"
    )


def delete_elements(
    family: int, table: str, name: str, elements: list[bytes]
) -> Message:
    """Delete elements from a set; an error if one is missing."""
    body = _elements(table, name, elements)
    return _message(DELSETELEM, 0, family, body, f"delete from nftables set {name}")


def get_element(family: int, table: str, name: str, element: bytes) -> Message:
    """Ask for one element of a set."""
    body = _elements(table, name, [element])
    return _message(GETSETELEM, 0, family, body, f"look up in nftables set {name}")


def elements_of(family: int, table: str, name: str) -> Message:
    """Ask for all elements of a set."""
    body = text_attribute(1, table) + text_attribute(2, name)
    operation = f"list nftables set {name}"
    return _message(GETSETELEM, codec.NLM_F_DUMP, family, body, operation)


def parse_bounds(payload: bytes) -> list[tuple[bytes, bool]]:
    """Key, and whether it ends an interval, of the elements in an answer to
    `elements_of`, for a set of intervals of one part."""
    found = attributes(payload, 4).get(3, b"")
    elements = [attributes(element) for _, element in all_attributes(found)]
    end = BE32.pack(NFT_SET_ELEM_INTERVAL_END)
    return [
        (attributes(element.get(1, b"")).get(1, b""), element.get(3) == end)
        for element in elements
    ]


def parse_pairs(payload: bytes) -> list[tuple[bytes, bytes]]:
    """First and last key of the elements in an answer to `elements_of` or
    `get_element`, for a set of intervals of several parts."""
    found = attributes(payload, 4).get(3, b"")
    elements = [attributes(element) for _, element in all_attributes(found)]
    return [
        (
            attributes(element.get(1, b"")).get(1, b""),
            attributes(element.get(10, b"")).get(1, b""),
        )
        for element in elements
    ]


def parse_keys(payload: bytes) -> list[bytes]:
    """The keys of the elements in an answer to `elements_of`."""
    found = attributes(payload, 4).get(3, b"")
    elements = [attributes(element) for _, element in all_attributes(found)]
    return [attributes(element.get(1, b"")).get(1, b"") for element in elements]


def _elements(table: str, name: str, elements: Iterable[bytes]) -> bytes:
    body = text_attribute(1, table) + text_attribute(2, name)
    return body + nested(3, *[nested(1, element) for element in elements])


def element(key: bytes, key_end: bytes | None = None, flags: int = 0) -> bytes:
    """An element of a set, with the last key of its interval in a concatenation."""
    data = nested(1, attribute(1, key))
    if flags:
        data += attribute(3, BE32.pack(flags))
    if key_end is not None:
        data += nested(10, attribute(1, key_end))
    return data


def interval(first: bytes, last: bytes) -> list[bytes]:
    """The two elements of an interval in a set of one part: its start, its end + 1."""
    return bounds(first, after(last))


def bounds(first: bytes, end: bytes | None) -> list[bytes]:
    """The elements of an interval, with the address after its last one."""
    elements = [element(first)]
    if end is not None:
        elements.append(element(end, flags=NFT_SET_ELEM_INTERVAL_END))
    return elements


def after(last: bytes) -> bytes | None:
    """The address after another; None after the last one of all."""
    value = int.from_bytes(last, "big") + 1
    return value.to_bytes(len(last), "big") if value < 1 << len(last) * 8 else None


def _expression(name: str, *parts: bytes) -> bytes:
    return nested(1, text_attribute(1, name), nested(2, *parts))


def payload(base: int, offset: int, length: int, register: int) -> bytes:
    """Load `length` bytes of a header into a register."""
    values = (register, base, offset, length)
    return _expression(
        "payload", *[attribute(i + 1, BE32.pack(v)) for i, v in enumerate(values)]
    )


def meta(key: int, register: int) -> bytes:
    """Load a packet's meta data into a register."""
    return _expression(
        "meta", attribute(1, BE32.pack(register)), attribute(2, BE32.pack(key))
    )


def equals(register: int, value: bytes) -> bytes:
    """Go on only if a register has this value."""
    return _expression(
        "cmp",
        attribute(1, BE32.pack(register)),
        attribute(2, BE32.pack(0)),
        nested(3, attribute(1, value)),
    )


def lookup(name: str, register: int, inverted: bool = False) -> bytes:
    """Go on only if the registers are in a set, or with `inverted` if they are not."""
    parts = [text_attribute(1, name), attribute(2, BE32.pack(register))]
    if inverted:
        parts.append(attribute(5, BE32.pack(NFT_LOOKUP_F_INV)))
    return _expression("lookup", *parts)


def masquerade(flags: int) -> bytes:
    """Replace the source address by that of the outgoing interface."""
    return _expression("masq", attribute(1, BE32.pack(flags)))


def verdict(code: int) -> bytes:
    """End with a verdict: NF_DROP, NF_ACCEPT, NFT_RETURN."""
    data = nested(2, attribute(1, BE32.pack(code & 0xFFFFFFFF)))
    return _expression(
        "immediate", attribute(1, BE32.pack(REG_VERDICT)), nested(2, data)
    )
