"""VLANs of bridge ports, and the gateway device of a VLAN.

A VLAN's gateway address lies on `BRIDGE.VLAN`, one end of a veth pair whose other end
is a port of the bridge in that VLAN. Never made without a VLAN in the configuration.
"""

from __future__ import annotations

from errno import ENOENT

from plugin import errors
from plugin.dataplane.bridge import find_link, random_mac
from plugin.dataplane.naming import free_name
from plugin.errors import CNIError
from plugin.netlink import codec, rtnetlink
from plugin.netlink.rtnetlink import (
    AF_BRIDGE,
    BRIDGE_VLAN_INFO_PVID,
    BRIDGE_VLAN_INFO_UNTAGGED,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.netlink.channel import Channel
    from plugin.netlink.rtnetlink import Link

_DEFAULT_VLAN = 1
_UNTAGGED = BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED


def expected_vlans(vlan: int, trunk: list[int], keep_default: bool) -> dict[int, int]:
    """VLAN id -> flags that a port has to have; empty without VLANs.

    The VLAN of the port is native (untagged); a trunk without one keeps VLAN 1 native.
    """
    if not vlan and not trunk:
        return {}
    wanted = dict.fromkeys(trunk, 0)
    if vlan:
        wanted[vlan] = _UNTAGGED
        if keep_default and vlan != _DEFAULT_VLAN:
            wanted.setdefault(_DEFAULT_VLAN, BRIDGE_VLAN_INFO_UNTAGGED)
    else:
        wanted[_DEFAULT_VLAN] = _UNTAGGED
    return wanted


def ensure_port_vlans(channel: Channel, port: Link, wanted: dict[int, int]) -> None:
    """Give a new port its VLANs, and take the default one away unless wanted."""
    if not wanted:
        return
    messages = [
        rtnetlink.add_port_vlan(port.index, port.name, vlan, flags)
        for vlan, flags in sorted(wanted.items())
    ]
    channel.execute(messages)
    if _DEFAULT_VLAN not in wanted:
        request = rtnetlink.delete_port_vlan(port.index, port.name, _DEFAULT_VLAN)
        answer = channel.exchange([request])[0]
        if answer.error and answer.error.errno != ENOENT:
            raise answer.error


def port_vlans(channel: Channel, index: int) -> dict[int, int]:
    """VLAN id -> flags that a port has."""
    body = rtnetlink.all_bridge_vlans()
    found: dict[int, int] = {}
    for payload in channel.dump(body):
        if int.from_bytes(payload[4:8], "little") == index and payload[0] == AF_BRIDGE:
            specification = codec.attributes(payload, 16).get(
                rtnetlink.IFLA_AF_SPEC, b""
            )
            found.update(rtnetlink.parse_bridge_vlans(specification))
    return found


def gateway_device(bridge: str, vlan: int) -> str:
    """The name of the device that holds a VLAN's gateway address."""
    return f"{bridge}.{vlan}"


def ensure_gateway_device(
    channel: Channel, bridge: Link, vlan: int, keep_default: bool
) -> tuple[Link, bool]:
    """Make the gateway device of a VLAN; returns it, and whether it was made here."""
    name = gateway_device(bridge.name, vlan)
    link = find_link(channel, name)
    if link is not None:
        return link, False
    port_name = free_name(channel, f"gateway {name}")
    # The peer of the message is the port, so that it gets the lower index.
    channel.execute(
        [
            rtnetlink.new_veth(
                name, random_mac(), bridge.mtu, 0, (port_name, random_mac(), -1)
            )
        ]
    )
    link, port = find_link(channel, name), find_link(channel, port_name)
    if link is None or port is None:
        raise CNIError(
            errors.TRY_AGAIN_LATER, f"{name} was deleted while it was being made"
        )
    master = bridge.index.to_bytes(4, "little")
    operation = f"put {port_name} into bridge {bridge.name}"
    channel.execute(
        [
            rtnetlink.set_attribute(
                port.index, rtnetlink.IFLA_MASTER, master, operation
            ),
            rtnetlink.set_up(port.index, port_name),
        ]
    )
    ensure_port_vlans(channel, port, expected_vlans(vlan, [], keep_default))
    return link, True
