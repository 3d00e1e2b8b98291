"""An attachment in the kernel: a veth pair, one end a bridge port, one in the pod.

`attach` makes it, `detach` and `delete` take it back. What has to be undone is handed
to the caller as soon as it is made. Never looks at leases or records.
"""

from __future__ import annotations

import posix
from errno import EEXIST, ENODEV
from time import monotonic, sleep

from plugin import errors, netns, sysctl
from plugin.dataplane import naming, vlan
from plugin.dataplane.bridge import await_local, find_link, link_local, random_mac
from plugin.errors import CNIError
from plugin.netlink import channel as netlink
from plugin.netlink import routes, rtnetlink
from plugin.netlink.channel import Channel
from plugin.netlink.rtnetlink import IFA_F_NODAD, IFLA_ADDRESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin.netlink.codec import Message
    from plugin.netlink.rtnetlink import Link
    from plugin.result import IPConfig, Route

_LOOPBACK = 1  # the index of lo, in every namespace
# linux/if_addr.h
_IFA_F_DADFAILED, _IFA_F_TENTATIVE = 0x08, 0x40
_SCOPE_LINK = 253
_PORT_TIMEOUT_S = 2.5
_DAD_TIMEOUT_S = 5.0


class AttachmentConfig:
    """What an attachment has to be."""

    __slots__ = (
        "container_id",
        "container_up",
        "enable_dad",
        "hairpin",
        "ifname",
        "ips",
        "isolated",
        "mac",
        "mtu",
        "netns",
        "netns_path",
        "network",
        "on_link",
        "routes",
        "vlans",
    )

    def __init__(self, network: str, container_id: str, ifname: str) -> None:
        self.network = network
        self.container_id = container_id
        self.ifname = ifname
        # A descriptor of the pod's network namespace, and its path for messages.
        self.netns = -1
        self.netns_path = ""
        self.mac = b""
        self.mtu = 0
        self.hairpin = False
        self.isolated = False
        self.container_up = True
        self.enable_dad = False
        self.vlans: dict[int, int] = {}
        self.ips: list[IPConfig] = []
        self.routes: list[Route] = []
        # Gateways outside of the subnet, reached on the link.
        self.on_link: set[bytes] = set()


def attach(
    host: Channel,
    bridge: Link,
    config: AttachmentConfig,
    undo: list[Callable[[], object]],
) -> Link:
    """Make the attachment; returns its host end. The alias, written last, says that
    it is finished."""
    port = _make_pair(host, bridge, config, undo)
    vlan.ensure_port_vlans(host, port, config.vlans)
    pod = _configure_pod(config, port.peer)
    try:
        if config.container_up:
            _await_port(host, port)
            await_local(pod, port.peer, [ip.address.address for ip in config.ips])
            _announce(pod, config, port.peer)
    finally:
        pod.close()
    owner = naming.Owner(
        config.network,
        config.container_id,
        config.ifname,
        [ip.address.address for ip in config.ips],
    )
    alias = naming.render_alias(owner)
    host.execute([rtnetlink.set_alias(port.index, port.name, alias)])
    return port


def _make_pair(
    host: Channel,
    bridge: Link,
    config: AttachmentConfig,
    undo: list[Callable[[], object]],
) -> Link:
    name = naming.host_name(config.network, config.container_id, config.ifname)
    peer = (config.ifname, config.mac, config.netns)
    messages = [
        rtnetlink.new_veth(name, random_mac(), config.mtu, bridge.index, peer),
        rtnetlink.link_by_name(name),
    ]
    answers = host.exchange(messages)
    made = answers[0].error
    if made and made.errno == EEXIST:
        _make_room(host, name, config)
        answers = host.exchange(messages)
        made = answers[0].error
    if made:
        raise made
    if answers[1].error:
        raise answers[1].error
    port = rtnetlink.parse_link(answers[1].payloads[0])
    undo.append(lambda: delete_port(host, port.index, port.name))
    if config.hairpin or config.isolated:
        # Apart from the first message: had that failed, it would be another's port.
        flags = rtnetlink.set_bridge_port(name, config.hairpin, config.isolated)
        host.execute([flags])
    return port


def _make_room(host: Channel, name: str, config: AttachmentConfig) -> None:
    """Delete a leftover that has the name of the host end. If none has, the pod has an
    interface of the name asked for, which is an error (AD2)."""
    link = find_link(host, name)
    if link is None:
        raise CNIError(
            errors.ALREADY_ATTACHED,
            f"CNI_IFNAME: {config.ifname} exists already in {config.netns_path}",
        )
    mine = naming.is_owner(link.alias, config.container_id, config.ifname)
    leftover = not link.alias or mine or naming.is_released(link.alias)
    if leftover and link.kind == "veth":
        delete_port(host, link.index, link.name)


def _configure_pod(config: AttachmentConfig, index: int) -> Channel:
    """Bring the pod's end up with its addresses and routes; returns a channel there."""
    own = netns.open_own()
    netns.enter(config.netns)
    try:
        families = {len(ip.address.address) for ip in config.ips}
        if 16 in families:
            _prepare_ipv6(config)
        pod = Channel(netlink.ROUTE)
        try:
            pod.execute(_pod_messages(config, index))
            if config.enable_dad and 16 in families:
                _await_dad(pod, config, index)
        except BaseException:
            pod.close()
            raise
    finally:
        netns.enter(own)
        posix.close(own)
    return pod


def _prepare_ipv6(config: AttachmentConfig) -> None:
    """Sysctls that have to be set before the interface comes up."""
    values = [
        ("disable_ipv6", "0"),
        ("accept_ra", "0"),
        ("keep_addr_on_down", "1"),
        ("ndisc_notify", "1"),
    ]
    if not config.enable_dad:
        values.append(("accept_dad", "0"))
    sysctl.ensure(sysctl.path_of("lo", "ipv6", "disable_ipv6"), "0")
    for key, value in values:
        known = sysctl.ensure(sysctl.path_of(config.ifname, "ipv6", key), value)
        if not known and key == "disable_ipv6":
            raise CNIError(errors.KERNEL_REFUSED, "this kernel has no IPv6")


def _pod_messages(config: AttachmentConfig, index: int) -> list[Message]:
    messages = [rtnetlink.set_up(_LOOPBACK, "lo")]
    if not config.container_up:
        return messages
    messages.append(rtnetlink.set_up_announcing(index, config.ifname))
    no_dad = 0 if config.enable_dad else IFA_F_NODAD
    if no_dad and any(len(ip.address.address) == 16 for ip in config.ips):
        # The kernel would make the same one later, and probe for it first.
        messages.append(rtnetlink.link_local_address(index, link_local(config.mac)))
    for ip in config.ips:
        flags = no_dad if len(ip.address.address) == 16 else 0
        messages.append(rtnetlink.new_address(index, ip.address, flags))
    for route in config.routes:
        gateway = route.gateway or default_gateway(config.ips, route)
        on_link = gateway in config.on_link
        messages.append(
            routes.new_route(index, route.destination, gateway, route.options, on_link)
        )
    return messages


def default_gateway(ips: list[IPConfig], route: Route) -> bytes | None:
    """The gateway of a route that names none: that of the first address of its family,
    unless the route's scope says that it needs no gateway."""
    if route.options.get("scope") == _SCOPE_LINK:
        return None
    for ip in ips:
        if ip.gateway and len(ip.gateway) == len(route.destination.address):
            return ip.gateway
    return None


def _await_dad(pod: Channel, config: AttachmentConfig, index: int) -> None:
    """Wait until no address is tentative any more, as enabledad asks."""
    deadline = monotonic() + _DAD_TIMEOUT_S
    while True:
        payloads = pod.dump(rtnetlink.addresses_of(index))
        found = rtnetlink.parse_addresses(payloads)
        flags = {a.prefix: a.flags for a in found if a.index == index}
        for prefix in flags:
            if flags[prefix] & _IFA_F_DADFAILED:
                raise CNIError(
                    errors.ADDRESS_TAKEN,
                    f"{prefix} of {config.ifname} is in use by another machine on the "
                    "link: duplicate address detection failed",
                )
        if not any(value & _IFA_F_TENTATIVE for value in flags.values()):
            return
        if monotonic() > deadline:
            raise CNIError(
                errors.KERNEL_REFUSED,
                f"an address of {config.ifname} is still tentative after "
                f"{_DAD_TIMEOUT_S:g} s of duplicate address detection",
            )
        sleep(0.02)


def _await_port(host: Channel, port: Link) -> None:
    """Wait until the bridge has let the port in, which it does a moment after both
    ends are up: what the pod sends before is lost."""
    deadline = monotonic() + _PORT_TIMEOUT_S
    pause = 0.0001
    while True:
        answer = host.execute([rtnetlink.link_by_index(port.index)])[0]
        link = rtnetlink.parse_link(answer.payloads[0])
        if not link.master:
            raise CNIError(
                errors.TRY_AGAIN_LATER,
                f"{port.name} is in no bridge any more: was that deleted meanwhile?",
            )
        # With spanning tree on, a port may listen for long: that is no failure.
        if link.port_state != rtnetlink.BR_STATE_DISABLED:
            return
        if monotonic() > deadline:
            raise CNIError(
                errors.KERNEL_REFUSED,
                f"bridge port {port.name} is not up after {_PORT_TIMEOUT_S:g} s",
            )
        sleep(pause)
        pause = min(pause * 2, 0.01)


def _announce(pod: Channel, config: AttachmentConfig, index: int) -> None:
    """Tell neighbours who has the addresses now (D7): setting its own MAC makes an
    interface with arp_notify and ndisc_notify send a gratuitous ARP and an unsolicited
    neighbour advertisement. A packet socket would cost an RCU grace period at exit."""
    if config.ips:
        operation = f"announce the addresses of {config.ifname}"
        pod.execute(
            [rtnetlink.set_attribute(index, IFLA_ADDRESS, config.mac, operation)]
        )


def detach(host: Channel, index: int, name: str, alias: str) -> None:
    """Take a host end out of its bridge, down, and mark it: its netns takes it along.

    Deleting a veth waits for the kernel to unregister it, 17 to 28 ms; a dying
    namespace does that in batches. No packet passes from here on.
    """
    answer = host.exchange(
        [
            rtnetlink.detach_port(index, name),
            rtnetlink.set_alias(index, name, naming.released_alias(alias)),
        ]
    )[0]
    if answer.error and answer.error.errno != ENODEV:
        raise answer.error


def delete_port(host: Channel, index: int, name: str) -> None:
    """Delete a veth pair by its host end; that it is gone already is success."""
    answer = host.exchange([rtnetlink.delete_link(index, name)])[0]
    if answer.error and answer.error.errno != ENODEV:
        raise answer.error


def find_port(host: Channel, name: str, container_id: str, ifname: str) -> Link | None:
    """The host end of an attachment by its name, if it is still that attachment's:
    finished and ours by its alias, or never finished."""
    link = find_link(host, name) if name else None
    if link is None or link.kind != "veth":
        return None
    if not link.alias or naming.is_owner(link.alias, container_id, ifname):
        return link
    return None
