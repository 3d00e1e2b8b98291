"""MAC spoof check: a port sends with the MAC address of its pod, or not at all.

One table of the bridge family serves every port: `ports` holds the ports that are
checked, `bound` the pairs of a port and its MAC. Never touches a table of somebody
else.
"""

from __future__ import annotations

from errno import EBUSY, ENOENT

from plugin.errors import NetlinkError
from plugin.netlink import nftables as nft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.netlink.channel import Channel
    from plugin.netlink.codec import Message

TABLE = "pycni"
_FAMILY = nft.NFPROTO_BRIDGE
_CHAIN = "prerouting"
_PORTS, _BOUND = "ports", "bound"
_IFNAMSIZ, _ETH_ALEN = 16, 6
# Offset of the source in struct ethhdr, linux/if_ether.h.
_ETHER_SOURCE = 6


def _elements(port: str, mac: bytes) -> list[tuple[str, bytes]]:
    name = port.encode().ljust(_IFNAMSIZ, b"\0")
    # Parts of a concatenation are padded to four bytes.
    pair = name + mac.ljust(8, b"\0")
    return [(_PORTS, nft.element(name)), (_BOUND, nft.element(pair))]


def _skeleton() -> list[Message]:
    pair = nft.concat_type(nft.TYPE_IFNAME, nft.TYPE_ETHER)
    hook = ("filter", nft.NF_BR_PRE_ROUTING, nft.NF_BR_PRI_NAT_DST_BRIDGED)
    link_header = nft.NFT_PAYLOAD_LL_HEADER
    return [
        nft.new_table(_FAMILY, TABLE),
        nft.new_set(_FAMILY, TABLE, _PORTS, (nft.TYPE_IFNAME, (_IFNAMSIZ,)), False),
        nft.new_set(_FAMILY, TABLE, _BOUND, (pair, (_IFNAMSIZ, _ETH_ALEN)), False),
        nft.new_base_chain(_FAMILY, TABLE, _CHAIN, hook),
        nft.flush_chain(_FAMILY, TABLE, _CHAIN),
        nft.new_rule(
            _FAMILY,
            TABLE,
            _CHAIN,
            nft.meta(nft.NFT_META_IIFNAME, nft.REG_1),
            nft.lookup(_PORTS, nft.REG_1),
            nft.payload(link_header, _ETHER_SOURCE, _ETH_ALEN, nft.REG_2),
            nft.lookup(_BOUND, nft.REG_1, inverted=True),
            nft.verdict(nft.NF_DROP),
        ),
    ]


def ensure_spoof_check(channel: Channel, port: str, mac: bytes) -> None:
    """Bind a port to a MAC address."""
    messages = [
        nft.new_elements(_FAMILY, TABLE, name, [element])
        for name, element in _elements(port, mac)
    ]
    channel.transaction(nft.batch_begin(), _skeleton() + messages, nft.batch_end())


def remove_spoof_check(channel: Channel, port: str, mac: bytes) -> None:
    """Free a port; that it was not bound is success."""
    for name, element in _elements(port, mac):
        request = nft.delete_elements(_FAMILY, TABLE, name, [element])
        try:
            channel.transaction(nft.batch_begin(), [request], nft.batch_end())
        except NetlinkError as error:
            if error.errno != ENOENT:
                raise


def bound_macs(channel: Channel, port: str) -> list[bytes]:
    """The MAC addresses that a port is bound to, for when nobody knows them."""
    try:
        payloads = channel.dump(nft.elements_of(_FAMILY, TABLE, _BOUND))
    except NetlinkError as error:
        if error.errno != ENOENT:
            raise
        return []
    name = port.encode().ljust(_IFNAMSIZ, b"\0")
    keys = [key for payload in payloads for key in nft.parse_keys(payload)]
    return [
        key[_IFNAMSIZ : _IFNAMSIZ + _ETH_ALEN] for key in keys if key.startswith(name)
    ]


def remove_empty(channel: Channel) -> None:
    """Remove chain, sets and table, each only if nothing is in it: the kernel looks
    and removes in one transaction."""
    for requests in (
        [
            nft.flush_chain(_FAMILY, TABLE, _CHAIN),
            nft.delete_chain(_FAMILY, TABLE, _CHAIN),
            nft.delete_empty_set(_FAMILY, TABLE, _PORTS),
            nft.delete_empty_set(_FAMILY, TABLE, _BOUND),
        ],
        [nft.delete_empty_table(_FAMILY, TABLE)],
    ):
        try:
            channel.transaction(nft.batch_begin(), requests, nft.batch_end())
        except NetlinkError as error:
            if error.errno == EBUSY:
                return
            if error.errno != ENOENT:
                raise


def check_spoof_check(channel: Channel, port: str, mac: bytes) -> list[str]:
    """What differs from the wanted state, as sentences."""
    queries = [
        nft.get_element(_FAMILY, TABLE, name, element)
        for name, element in _elements(port, mac)
    ]
    for answer in channel.exchange(queries):
        if answer.error and answer.error.errno != ENOENT:
            raise answer.error
        if answer.error:
            return [f"the MAC spoof check of {port} is gone from nftables"]
    try:
        rules = channel.dump(nft.rules_of(_FAMILY, TABLE, _CHAIN))
    except NetlinkError as error:
        if error.errno != ENOENT:
            raise
        rules = []
    if len(rules) != 1:
        return [f"the MAC spoof check has {len(rules)} rules in nftables, not 1"]
    return []
