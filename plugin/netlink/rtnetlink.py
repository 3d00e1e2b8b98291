"""Requests for links and addresses, and what the kernel answers.

Functions that return messages; nothing is sent here. Numbers and layouts are those of
linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h and linux/if_bridge.h.
"""

from __future__ import annotations

from _struct import Struct

from plugin.address import Prefix
from plugin.netlink import codec
from plugin.netlink.codec import (
    Message,
    attribute,
    attributes,
    nested,
    number,
    string,
    text_attribute,
    u32_attribute,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22

AF_UNSPEC, AF_INET, AF_BRIDGE, AF_INET6 = 0, 2, 7, 10

# struct ifinfomsg { u8 family; u8 pad; u16 type; int index; u32 flags; u32 change; };
_IFINFOMSG = Struct("=BxHiII")
# struct ifaddrmsg { u8 family, prefixlen, flags, scope; u32 index; };
_IFADDRMSG = Struct("=BBBBI")
# struct bridge_vlan_info { __u16 flags; __u16 vid; };
_BRIDGE_VLAN_INFO = Struct("=HH")

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK = 1, 3, 4, 5
IFLA_MASTER, IFLA_PROTINFO, IFLA_OPERSTATE, IFLA_LINKINFO = 10, 12, 16, 18
IFLA_IFALIAS, IFLA_AF_SPEC, IFLA_NET_NS_FD, IFLA_EXT_MASK = 20, 26, 28, 29
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
IFLA_BR_VLAN_FILTERING = 7
IFLA_BRPORT_STATE, IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED = 1, 4, 33
IFLA_BRIDGE_VLAN_INFO = 2
VETH_INFO_PEER = 1
IFLA_INET_CONF = 1
IPV4_DEVCONF_ARP_NOTIFY = 22
RTEXT_FILTER_BRVLAN, RTEXT_FILTER_SKIP_STATS = 2, 8
BRIDGE_VLAN_INFO_PVID, BRIDGE_VLAN_INFO_UNTAGGED = 2, 4
BR_STATE_DISABLED = 0

IFF_UP = 0x1
IFF_PROMISC = 0x100
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS = 1, 2, 4, 8
IFA_F_NODAD = 0x02
RT_SCOPE_LINK = 253
NEW = codec.NLM_F_CREATE | codec.NLM_F_EXCL


class Link:
    """A link as the kernel describes it; `master`, `peer` are indexes, 0 for none."""

    __slots__ = (
        "alias",
        "flags",
        "hairpin",
        "index",
        "isolated",
        "kind",
        "mac",
        "master",
        "mtu",
        "name",
        "peer",
        "port_state",
        "vlan_filtering",
    )

    index: int
    flags: int
    name: str
    kind: str
    mac: bytes
    mtu: int
    master: int
    peer: int
    alias: str
    vlan_filtering: bool
    hairpin: bool
    isolated: bool
    port_state: int

    @property
    def is_up(self) -> bool:
        """Whether the link is administratively up."""
        return bool(self.flags & IFF_UP)


class Address:
    """An address that an interface has."""

    __slots__ = ("flags", "index", "prefix")

    def __init__(self, index: int, prefix: Prefix, flags: int) -> None:
        self.index = index
        self.prefix = prefix
        self.flags = flags


def parse_mac(text: str) -> bytes:
    """Six bytes from `02:00:5e:10:00:01`."""
    return bytes([int(part, 16) for part in text.split(":")])


def render_mac(mac: bytes) -> str:
    """`02:00:5e:10:00:01` from six bytes."""
    return ":".join([f"{byte:02x}" for byte in mac])


def link_by_name(name: str) -> Message:
    """Ask for a link by its name."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, 0, 0, 0) + text_attribute(IFLA_IFNAME, name)
    body += u32_attribute(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    return Message(RTM_GETLINK, 0, body, f"look up link {name}")


def link_by_index(index: int) -> Message:
    """Ask for a link by its index."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, index, 0, 0)
    body += u32_attribute(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    return Message(RTM_GETLINK, 0, body, f"look up link number {index}")


def all_links() -> Message:
    """Ask for all links of the namespace."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, 0, 0, 0)
    body += u32_attribute(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    return Message(RTM_GETLINK, codec.NLM_F_DUMP, body, "list links")


def parse_link(payload: bytes) -> Link:
    """A link from the payload of RTM_NEWLINK."""
    link = Link()
    _, _, link.index, link.flags, _ = _IFINFOMSG.unpack_from(payload)
    found = attributes(payload, 16)
    link.name = string(found.get(IFLA_IFNAME, b""))
    link.mac = found.get(IFLA_ADDRESS, b"")
    link.mtu = number(found.get(IFLA_MTU, b""))
    link.master = number(found.get(IFLA_MASTER, b""))
    link.peer = number(found.get(IFLA_LINK, b""))
    link.alias = string(found.get(IFLA_IFALIAS, b""))
    info = attributes(found.get(IFLA_LINKINFO, b""))
    link.kind = string(info.get(IFLA_INFO_KIND, b""))
    data = attributes(info.get(IFLA_INFO_DATA, b"")) if link.kind == "bridge" else {}
    link.vlan_filtering = bool(number(data.get(IFLA_BR_VLAN_FILTERING, b"")))
    port = {}
    if string(info.get(IFLA_INFO_SLAVE_KIND, b"")) == "bridge":
        port = attributes(info.get(IFLA_INFO_SLAVE_DATA, b""))
    link.port_state = number(port.get(IFLA_BRPORT_STATE, b""))
    link.hairpin = bool(number(port.get(IFLA_BRPORT_MODE, b"")))
    link.isolated = bool(number(port.get(IFLA_BRPORT_ISOLATED, b"")))
    return link


def new_bridge(name: str, mac: bytes, vlan_filtering: bool) -> Message:
    """Make a bridge that is up, with a MAC that its ports do not change."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, 0, IFF_UP, IFF_UP)
    body += text_attribute(IFLA_IFNAME, name) + attribute(IFLA_ADDRESS, mac)
    data = attribute(IFLA_BR_VLAN_FILTERING, b"\1") if vlan_filtering else b""
    body += nested(
        IFLA_LINKINFO,
        text_attribute(IFLA_INFO_KIND, "bridge"),
        nested(IFLA_INFO_DATA, data),
    )
    return Message(RTM_NEWLINK, NEW, body, f"add bridge {name}")


def set_vlan_filtering(index: int, name: str) -> Message:
    """Switch VLAN filtering of a bridge on."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, index, 0, 0) + nested(
        IFLA_LINKINFO,
        text_attribute(IFLA_INFO_KIND, "bridge"),
        nested(IFLA_INFO_DATA, attribute(IFLA_BR_VLAN_FILTERING, b"\1")),
    )
    return Message(RTM_NEWLINK, 0, body, f"switch VLAN filtering of bridge {name} on")


def new_veth(
    name: str,
    mac: bytes,
    mtu: int,
    master: int,
    peer: tuple[str, bytes, int],
) -> Message:
    """Make a veth pair: this end up and in the bridge `master` (an index).

    `peer` is (name, MAC, descriptor of the network namespace it is made in).
    """
    peer_name, peer_mac, netns = peer
    common = u32_attribute(IFLA_MTU, mtu) if mtu else b""
    far = _IFINFOMSG.pack(AF_UNSPEC, 0, 0, 0, 0) + common
    far += text_attribute(IFLA_IFNAME, peer_name) + attribute(IFLA_ADDRESS, peer_mac)
    if netns >= 0:
        far += u32_attribute(IFLA_NET_NS_FD, netns)
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, 0, IFF_UP, IFF_UP) + common
    body += text_attribute(IFLA_IFNAME, name) + attribute(IFLA_ADDRESS, mac)
    if master:
        body += u32_attribute(IFLA_MASTER, master)
    body += nested(
        IFLA_LINKINFO,
        text_attribute(IFLA_INFO_KIND, "veth"),
        nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, far)),
    )
    return Message(RTM_NEWLINK, NEW, body, f"add veth {name} with peer {peer_name}")


def set_bridge_port(name: str, hairpin: bool, isolated: bool) -> Message:
    """Set the flags of a bridge port that exists, by its name."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, 0, 0, 0) + text_attribute(IFLA_IFNAME, name)
    body += nested(
        IFLA_LINKINFO,
        text_attribute(IFLA_INFO_SLAVE_KIND, "bridge"),
        nested(
            IFLA_INFO_SLAVE_DATA,
            attribute(IFLA_BRPORT_MODE, bytes([hairpin])),
            attribute(IFLA_BRPORT_ISOLATED, bytes([isolated])),
        ),
    )
    return Message(RTM_NEWLINK, 0, body, f"set port flags of {name}")


def set_flags(index: int, flags: int, change: int, operation: str) -> Message:
    """Set the flags of a link under the mask `change`: IFF_UP, IFF_PROMISC."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, index, flags, change)
    return Message(RTM_SETLINK, 0, body, operation)


def set_up(index: int, name: str) -> Message:
    """Bring a link up."""
    return set_flags(index, IFF_UP, IFF_UP, f"set {name} up")


def set_attribute(index: int, kind: int, payload: bytes, operation: str) -> Message:
    """Set one attribute of a link."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, index, 0, 0) + attribute(kind, payload)
    return Message(RTM_SETLINK, 0, body, operation)


def detach_port(index: int, name: str) -> Message:
    """Take a link out of its bridge and set it down."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, index, 0, IFF_UP)
    body += u32_attribute(IFLA_MASTER, 0)
    return Message(RTM_SETLINK, 0, body, f"take {name} out of its bridge")


def set_up_announcing(index: int, name: str) -> Message:
    """Bring a link up that announces its addresses by ARP."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, index, IFF_UP, IFF_UP)
    option = u32_attribute(IPV4_DEVCONF_ARP_NOTIFY, 1)
    body += nested(IFLA_AF_SPEC, nested(AF_INET, nested(IFLA_INET_CONF, option)))
    return Message(RTM_SETLINK, 0, body, f"set {name} up")


def set_alias(index: int, name: str, alias: str) -> Message:
    """Set the alias of a link: free text of up to 255 bytes."""
    return set_attribute(index, IFLA_IFALIAS, alias.encode(), f"set alias of {name}")


def delete_link(index: int, name: str) -> Message:
    """Delete a link, and with a veth its peer."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, index, 0, 0)
    return Message(RTM_DELLINK, 0, body, f"delete link {name}")


def add_port_vlan(index: int, name: str, vlan: int, flags: int) -> Message:
    """Put a bridge port into a VLAN; `flags` are BRIDGE_VLAN_INFO_*."""
    return _port_vlan(RTM_SETLINK, index, vlan, flags, f"put {name} into VLAN {vlan}")


def delete_port_vlan(index: int, name: str, vlan: int) -> Message:
    """Take a bridge port out of a VLAN."""
    return _port_vlan(RTM_DELLINK, index, vlan, 0, f"take {name} out of VLAN {vlan}")


def _port_vlan(kind: int, index: int, vlan: int, flags: int, operation: str) -> Message:
    info = attribute(IFLA_BRIDGE_VLAN_INFO, _BRIDGE_VLAN_INFO.pack(flags, vlan))
    body = _IFINFOMSG.pack(AF_BRIDGE, 0, index, 0, 0) + nested(IFLA_AF_SPEC, info)
    return Message(kind, 0, body, operation)


def all_bridge_vlans() -> Message:
    """Ask for all bridge ports with their VLANs."""
    body = _IFINFOMSG.pack(AF_BRIDGE, 0, 0, 0, 0)
    body += u32_attribute(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN)
    return Message(RTM_GETLINK, codec.NLM_F_DUMP, body, "list bridge VLANs")


def parse_bridge_vlans(specification: bytes) -> dict[int, int]:
    """VLAN id -> flags from the IFLA_AF_SPEC of a bridge port."""
    vlans = {}
    for kind, value in codec.all_attributes(specification):
        if kind == IFLA_BRIDGE_VLAN_INFO:
            flags, vlan = _BRIDGE_VLAN_INFO.unpack(value)
            vlans[vlan] = flags
    return vlans


def new_address(index: int, prefix: Prefix, flags: int = 0, scope: int = 0) -> Message:
    """Give an interface an address; an IPv4 one with its broadcast address."""
    return _address(RTM_NEWADDR, NEW, index, prefix, flags, scope)


def link_local_address(index: int, prefix: Prefix) -> Message:
    """Give an interface its link-local address, usable at once."""
    modifier = codec.NLM_F_CREATE | codec.NLM_F_REPLACE
    return _address(RTM_NEWADDR, modifier, index, prefix, IFA_F_NODAD, RT_SCOPE_LINK)


def delete_address(index: int, prefix: Prefix) -> Message:
    """Take an address from an interface."""
    return _address(RTM_DELADDR, 0, index, prefix, 0, 0)


def _address(
    kind: int, modifier: int, index: int, prefix: Prefix, flags: int, scope: int
) -> Message:
    family = AF_INET if len(prefix.address) == 4 else AF_INET6
    body = _IFADDRMSG.pack(family, prefix.length, 0, scope, index)
    body += attribute(IFA_LOCAL, prefix.address)
    body += attribute(IFA_ADDRESS, prefix.address)
    if kind == RTM_NEWADDR:
        if family == AF_INET and prefix.length < 31:
            body += attribute(IFA_BROADCAST, prefix.broadcast)
        if flags:
            body += u32_attribute(IFA_FLAGS, flags)
    verb = "add" if kind == RTM_NEWADDR else "delete"
    return Message(kind, modifier, body, f"{verb} address {prefix}")


def addresses_of(index: int) -> Message:
    """Ask for the addresses of an interface, of both families."""
    body = _IFADDRMSG.pack(AF_UNSPEC, 0, 0, 0, index)
    operation = f"list addresses of link number {index}"
    return Message(RTM_GETADDR, codec.NLM_F_DUMP, body, operation)


def parse_addresses(payloads: Iterable[bytes]) -> list[Address]:
    """Addresses from the payloads of RTM_NEWADDR."""
    found = []
    for payload in payloads:
        _, length, _, _, index = _IFADDRMSG.unpack_from(payload)
        parts = attributes(payload, 8)
        packed = parts.get(IFA_LOCAL) or parts.get(IFA_ADDRESS, b"")
        flags = number(parts.get(IFA_FLAGS, b""))
        found.append(Address(index, Prefix(packed, length), flags))
    return found
