"""The bridge of a network and its gateway addresses: observe, ensure, check.

Ensuring a bridge that is as it should be sends no change to the kernel, but for one
with an alias of somebody else's: nothing says then that its MAC is fixed. A bridge that
somebody else made is taken over: it keeps its MAC, its addresses and its ports.
"""

from __future__ import annotations

import posix
from errno import EEXIST, ENODEV, EOPNOTSUPP
from time import monotonic, sleep

from plugin import errors, sysctl
from plugin.address import Prefix, is_link_local, render_address
from plugin.errors import CNIError, NetlinkError
from plugin.netlink import routes, rtnetlink
from plugin.netlink.rtnetlink import IFF_PROMISC, IFLA_ADDRESS, IFLA_MTU

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from plugin.netlink.channel import Channel
    from plugin.netlink.codec import Message
    from plugin.netlink.rtnetlink import Link

# The alias of a bridge whose MAC we have fixed.
ALIAS = "pycni"
_LOCAL_TIMEOUT_S = 5.0


class BridgeConfig:
    """What a bridge has to be; `mtu` 0 leaves the kernel's, or what is there."""

    __slots__ = (
        "force_address",
        "gateways",
        "mtu",
        "name",
        "promiscuous",
        "vlan_filtering",
    )

    def __init__(self, name: str, mtu: int = 0) -> None:
        self.name = name
        self.mtu = mtu
        self.promiscuous = False
        self.vlan_filtering = False
        self.force_address = False
        self.gateways: list[Prefix] = []


def find_link(channel: Channel, name: str) -> Link | None:
    """The link of a name, None if there is none."""
    answer = channel.exchange([rtnetlink.link_by_name(name)])[0]
    if answer.error:
        if answer.error.errno == ENODEV:
            return None
        raise answer.error
    return rtnetlink.parse_link(answer.payloads[0])


def random_mac() -> bytes:
    """A locally administered unicast address."""
    mac = bytearray(posix.urandom(6))
    mac[0] = mac[0] & 0xFE | 0x02
    return bytes(mac)


def link_local(mac: bytes) -> Prefix:
    """The link-local address that the kernel makes from a MAC (RFC 4291, EUI-64)."""
    middle = bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]
    return Prefix(b"\xfe\x80" + bytes(6) + middle, 64)


def ensure_bridge(channel: Channel, config: BridgeConfig) -> tuple[Link, bool]:
    """Make the bridge, or bring one that exists to what it has to be.

    Returns the bridge, and whether it was made here.
    """
    link = find_link(channel, config.name)
    made = False
    if link is None:
        made = _make(channel, config)
        link = find_link(channel, config.name)
        if link is None:
            raise _vanished(config.name)
    if link.kind != "bridge":
        raise CNIError(
            errors.INVALID_CONFIGURATION,
            f"bridge: {config.name} exists and is {link.kind or 'no bridge'}, "
            "not a bridge",
        )
    try:
        _bring_up_to_date(channel, link, config)
    except (CNIError, NetlinkError):
        if made:
            channel.execute([rtnetlink.delete_link(link.index, link.name)])
        raise
    return link, made


def _bring_up_to_date(channel: Channel, link: Link, config: BridgeConfig) -> None:
    if config.vlan_filtering and not link.vlan_filtering:
        # Before any other change: not every kernel has it.
        request = rtnetlink.set_vlan_filtering(link.index, link.name)
        answer = channel.exchange([request])[0]
        if answer.error:
            raise _explained(answer.error, vlan_filtering=True)
    if link.alias != ALIAS:
        # Before the alias, which says that it is done.
        sysctl.ensure(sysctl.path_of(config.name, "ipv6", "accept_ra"), "0")
    changes = _changes(link, config)
    if changes:
        channel.execute(changes)


def _make(channel: Channel, config: BridgeConfig) -> bool:
    request = rtnetlink.new_bridge(config.name, random_mac(), config.vlan_filtering)
    answer = channel.exchange([request])[0]
    if answer.error and answer.error.errno != EEXIST:
        raise _explained(answer.error, config.vlan_filtering)
    # EEXIST: another ADD was faster, which is as good (D2).
    return answer.error is None


def _explained(error: NetlinkError, vlan_filtering: bool) -> Exception:
    if not vlan_filtering or error.errno != EOPNOTSUPP:
        return error
    return CNIError(
        errors.KERNEL_REFUSED,
        "vlan and vlanTrunk: this kernel's bridge has no VLAN filtering",
        "CONFIG_BRIDGE_VLAN_FILTERING is needed",
    )


def _vanished(name: str) -> CNIError:
    return CNIError(
        errors.TRY_AGAIN_LATER, f"bridge: {name} was deleted while it was being made"
    )


def _changes(link: Link, config: BridgeConfig) -> list[Message]:
    name, index = link.name, link.index
    changes = []
    if link.alias != ALIAS:
        # Setting its own MAC makes it fixed: a bridge without one takes the lowest of
        # its ports, and changes it with them (D1).
        fix = f"fix the MAC of bridge {name}"
        changes.append(rtnetlink.set_attribute(index, IFLA_ADDRESS, link.mac, fix))
        changes.append(rtnetlink.set_up_announcing(index, name))
        if not link.alias:
            changes.append(rtnetlink.set_alias(index, name, ALIAS))
    elif not link.is_up:
        changes.append(rtnetlink.set_up(index, name))
    if config.mtu and link.mtu != config.mtu:
        # Fixed by being set; a bridge that was made with it follows its ports (D8).
        mtu = config.mtu.to_bytes(4, "little")
        operation = f"set MTU of bridge {name}"
        changes.append(rtnetlink.set_attribute(index, IFLA_MTU, mtu, operation))
        link.mtu = config.mtu
    if config.promiscuous and not link.flags & IFF_PROMISC:
        operation = f"set bridge {name} promiscuous"
        changes.append(rtnetlink.set_flags(index, IFF_PROMISC, IFF_PROMISC, operation))
    return changes


def ensure_gateways(
    channel: Channel, link: Link, gateways: list[Prefix], force: bool
) -> list[Prefix]:
    """Give the link its gateway addresses; returns those that were added here.

    An IPv4 address that is none of them, or an IPv6 one whose subnet overlaps, is an
    error, or with `force` is deleted; other IPv6 subnets live side by side.
    """
    present = addresses_of(channel, link.index)
    missing = [gateway for gateway in gateways if gateway not in present]
    if not missing:
        return []
    others = [prefix for prefix in present if _conflicts(prefix, gateways)]
    if others and not force:
        raise CNIError(
            errors.BRIDGE_ADDRESS_DIFFERS,
            f"{link.name} already has an IP address different from {missing[0]}",
            f"it has {', '.join(map(str, others))}; forceAddress replaces it",
        )
    changes = [rtnetlink.delete_address(link.index, prefix) for prefix in others]
    # Without duplicate detection the gateway answers at once (D5).
    no_dad = rtnetlink.IFA_F_NODAD
    for gateway in missing:
        flags = no_dad if len(gateway.address) == 16 else 0
        if flags:
            sysctl.ensure(sysctl.path_of(link.name, "ipv6", "disable_ipv6"), "0")
        changes.append(rtnetlink.new_address(link.index, gateway, flags))
    if any(len(gateway.address) == 16 for gateway in missing):
        # By this one the node asks for its pods; the kernel would probe for it first.
        changes.append(rtnetlink.link_local_address(link.index, link_local(link.mac)))
    for answer in channel.exchange(changes):
        if answer.error and answer.error.errno != EEXIST:
            raise answer.error
    await_local(channel, link.index, [gateway.address for gateway in missing])
    return missing


def await_local(channel: Channel, index: int, addresses: list[bytes]) -> None:
    """Wait until an interface takes packets to its new addresses.

    For IPv6 that is a moment later: even without duplicate detection a worker of the
    kernel makes the local route, and what arrives before it is lost (D5).
    """
    deadline = monotonic() + _LOCAL_TIMEOUT_S
    pause = 0.0001
    for address in addresses:
        while len(address) == 16:
            answer = channel.exchange([routes.route_to(address, index)])[0]
            if not answer.error and routes.is_local(answer.payloads[0]):
                break
            if monotonic() > deadline:
                raise CNIError(
                    errors.KERNEL_REFUSED,
                    f"{render_address(address)} is not in use {_LOCAL_TIMEOUT_S:g} s "
                    "after it was added",
                )
            sleep(pause)
            pause = min(pause * 2, 0.01)


def _conflicts(present: Prefix, gateways: Iterable[Prefix]) -> bool:
    if is_link_local(present.address) or present in gateways:
        return False
    same_family = [g for g in gateways if len(g.address) == len(present.address)]
    if len(present.address) == 4:
        return bool(same_family)
    return any(present.overlaps(gateway) for gateway in same_family)


def addresses_of(channel: Channel, index: int) -> list[Prefix]:
    """The addresses of a link."""
    payloads = channel.dump(rtnetlink.addresses_of(index))
    # An older kernel answers with the addresses of all links.
    return [
        address.prefix
        for address in rtnetlink.parse_addresses(payloads)
        if address.index == index
    ]


def ensure_route(channel: Channel, link: Link, subnet: Prefix) -> None:
    """Reach a subnet on the link although no address of the link is in it."""
    request = routes.new_route(
        link.index, subnet, None, {}, protocol=routes.RTPROT_PYCNI
    )
    answer = channel.exchange([request])[0]
    if answer.error and answer.error.errno != EEXIST:
        raise answer.error


def ensure_forwarding(gateways: list[Prefix]) -> None:
    """Let the node forward the families that have a gateway."""
    sizes = {len(gateway.address) for gateway in gateways}
    for size, key in ((4, "ipv4/ip_forward"), (16, "ipv6/conf/all/forwarding")):
        if size in sizes and not sysctl.ensure(key, "1"):
            raise CNIError(
                errors.KERNEL_REFUSED, f"this kernel has no {key.partition('/')[0]}"
            )


def check_bridge(channel: Channel, config: BridgeConfig) -> list[str]:
    """What differs from the configuration, as sentences."""
    link = find_link(channel, config.name)
    if link is None:
        return [f"bridge {config.name} is gone"]
    if link.kind != "bridge":
        return [f"{config.name} is {link.kind or 'no bridge'}, not a bridge"]
    problems = []
    if not link.is_up:
        problems.append(f"bridge {config.name} is down")
    if config.mtu and link.mtu != config.mtu:
        problems.append(f"bridge {config.name} has MTU {link.mtu}, not {config.mtu}")
    if config.promiscuous and not link.flags & IFF_PROMISC:
        problems.append(f"bridge {config.name} is not promiscuous")
    if config.vlan_filtering and not link.vlan_filtering:
        problems.append(f"bridge {config.name} does not filter VLANs")
    present = addresses_of(channel, link.index)
    problems += [
        f"bridge {config.name} has lost the gateway address {gateway}"
        for gateway in config.gateways
        if gateway not in present
    ]
    return problems
