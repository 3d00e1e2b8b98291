"""Netlink messages and attributes to bytes and back.

No socket, no clock. Layouts are those of linux/netlink.h.
"""

from __future__ import annotations

from _struct import Struct

# struct nlmsghdr { __u32 len; __u16 type; __u16 flags; __u32 seq; __u32 pid; };
HEADER = Struct("=IHHII")
# struct nlattr { __u16 nla_len; __u16 nla_type; };
_ATTRIBUTE = Struct("=HH")
U32 = Struct("=I")
S32 = Struct("=i")
BE32 = Struct(">I")

NLM_F_REQUEST = 0x1
NLM_F_MULTI = 0x2
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_NONREC = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

NLMSG_ERROR = 0x2
NLMSG_DONE = 0x3

NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF
# enum nlmsgerr_attrs
_NLMSGERR_ATTR_MSG = 1


class Message:
    """One request, with the words that an error will begin with."""

    __slots__ = ("body", "flags", "kind", "operation")

    def __init__(self, kind: int, flags: int, body: bytes, operation: str) -> None:
        self.kind = kind
        self.flags = flags
        self.body = body
        self.operation = operation


def encode(message: Message, sequence: int) -> bytes:
    """The message as bytes; every request asks for an acknowledgement."""
    flags = message.flags | NLM_F_REQUEST | NLM_F_ACK
    length = 16 + len(message.body)
    header = HEADER.pack(length, message.kind, flags, sequence, 0)
    return header + message.body + bytes(-length % 4)


def decode(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Split a datagram into (type, flags, sequence, payload), up to a cut message."""
    messages = []
    offset = 0
    while offset + 16 <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if length < 16 or offset + length > len(data):
            break
        messages.append((kind, flags, sequence, data[offset + 16 : offset + length]))
        # NLMSG_ALIGN(len)
        offset += (length + 3) & ~3
    return messages


def decode_error(kind: int, flags: int, payload: bytes) -> tuple[int, str]:
    """Errno of an NLMSG_ERROR or NLMSG_DONE, 0 for success, and its text, if any."""
    code = -S32.unpack_from(payload)[0]
    if not flags & NLM_F_ACK_TLVS:
        return code, ""
    # NLMSG_DONE has the error alone: int error;
    start = 4
    if kind == NLMSG_ERROR:
        # struct nlmsgerr { int error; struct nlmsghdr msg; }; the request's body
        # follows unless the kernel capped it.
        length = 16 if flags & NLM_F_CAPPED else U32.unpack_from(payload, 4)[0]
        start += (length + 3) & ~3
    text = attributes(payload, start).get(_NLMSGERR_ATTR_MSG, b"")
    return code, string(text)


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = 4 + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NLA_F_NESTED, b"".join(parts))


def text_attribute(kind: int, text: str) -> bytes:
    """An attribute with a string and its closing zero."""
    return attribute(kind, text.encode() + b"\0")


def u32_attribute(kind: int, value: int) -> bytes:
    """An attribute with a number of the machine's byte order."""
    return attribute(kind, U32.pack(value))


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes from `offset` on, by type without its flags; the last one wins."""
    return dict(all_attributes(data, offset))


def all_attributes(data: bytes, offset: int = 0) -> list[tuple[int, bytes]]:
    """Type, without its flags, and payload of each attribute from `offset` on."""
    found = []
    end, unpack = len(data), _ATTRIBUTE.unpack_from
    while offset + 4 <= end:
        length, kind = unpack(data, offset)
        if length < 4 or offset + length > end:
            break
        found.append((kind & _NLA_TYPE_MASK, data[offset + 4 : offset + length]))
        # NLA_ALIGN(len)
        offset += (length + 3) & ~3
    return found


def string(payload: bytes) -> str:
    """The text of a string attribute, up to its closing zero."""
    return payload.partition(b"\0")[0].decode("utf-8", "replace")


def number(payload: bytes) -> int:
    """The value of a number attribute of any size, in the machine's byte order."""
    return int.from_bytes(payload, "little")
