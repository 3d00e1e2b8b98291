"""ADD's work: addresses, bridge, ruleset, veth pair; and back again when a step fails.

Everything is validated before the first change. What was made is undone in reverse;
what other pods may use meanwhile (bridge, gateway, ruleset) goes only if nobody does.
"""

from __future__ import annotations

import posix
from fcntl import LOCK_EX, LOCK_NB, flock

from plugin import delegate, errors, ipam, netns, plan, reclaim
from plugin.dataplane import attachment, bridge, naming, ruleset, spoofcheck, vlan
from plugin.errors import CNIError, NetlinkError
from plugin.netlink import channel as netlink
from plugin.netlink import rtnetlink
from plugin.netlink.channel import Channel
from plugin.result import Interface, IPConfig, Result, parse_result, render_result
from plugin.state.leases import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin.address import Prefix
    from plugin.call import Call, Network
    from plugin.dataplane.attachment import AttachmentConfig
    from plugin.dataplane.masquerade import Masquerade
    from plugin.netlink.rtnetlink import Link


class Setup:
    """One ADD on its way: what it works on, and what it has made so far."""

    __slots__ = (
        "added_gateways",
        "call",
        "gateway",
        "held",
        "host",
        "lock",
        "made_bridge",
        "made_gateway",
        "master",
        "network",
        "pod",
        "record",
        "undo",
    )

    master: Link
    gateway: Link
    record: Record

    def __init__(self, call: Call, network: Network, pod: int) -> None:
        self.call = call
        self.network = network
        # A descriptor of the pod's network namespace.
        self.pod = pod
        self.host = Channel(netlink.ROUTE)
        self.lock = -1
        # Keeps the record locked while we work on the attachment.
        self.held = -1
        self.made_bridge = False
        self.made_gateway = False
        self.added_gateways: list[Prefix] = []
        self.undo: list[Callable[[], object]] = []


def attach_pod(call: Call, network: Network) -> Result:
    """Give a pod its interface, addresses and routes; all of it or nothing."""
    if network.config.ipam is None:
        # An old version has no result without an address: refused now, not when all
        # is made and can't be told (CV1).
        render_result(Result(), network.config.version)
    setup = Setup(call, network, _open_pod(call))
    try:
        _make_way(setup)
        setup.undo.append(lambda: _withdraw(setup))
        setup.record = _new_record(setup)
        given = _claim_addresses(setup)
        setup.lock = reclaim.lock_dataplane(network.config.run_dir, shared=True)
        result = _wire(setup, given)
        posix.close(setup.lock)
        posix.close(setup.held)
        return result
    except BaseException:
        for step in reversed(setup.undo):
            try:
                step()
            except (CNIError, NetlinkError, OSError) as error:
                call.notes.append(f"undo: {error}")
        raise


def _open_pod(call: Call) -> int:
    path = call.request.netns
    descriptor = netns.require_netns(path)
    override = call.environ.get(b"CNI_NETNS_OVERRIDE", b"")
    if netns.is_own(descriptor) and override.lower() not in (b"1", b"true"):
        raise CNIError(
            errors.OWN_NAMESPACE,
            f"CNI_NETNS: {path} is the network namespace that the plugin runs in",
        )
    return descriptor


def _make_way(setup: Setup) -> None:
    """Refuse a second ADD over a live attachment (AD5), undo what a dead one left."""
    request, network = setup.call.request, setup.network
    container_id, ifname = request.container_id, request.ifname
    if not network.store.has(container_id, ifname):
        return
    config = network.config
    scope = reclaim.Scope(network.store, network.name, config.run_dir, setup.call.notes)
    scope.spoof_check = config.mac_spoof_check

    def refuse_if_alive(record: Record) -> None:
        if reclaim.is_alive(setup.host, record):
            raise CNIError(
                errors.ALREADY_ATTACHED,
                f"{ifname} of {container_id} is attached to network {network.name} "
                "already, duplicate allocation is not allowed",
            )
        setup.call.notes.append("undid an ADD, not finished or without its netns")

    try:
        reclaim.take_back(
            scope, container_id, ifname, timeout_s=0, unless=refuse_if_alive
        )
    except TimeoutError:
        raise CNIError(
            errors.TRY_AGAIN_LATER,
            f"{ifname} of {container_id}: another call works on it",
        ) from None


def _new_record(setup: Setup) -> Record:
    request, config = setup.call.request, setup.network.config
    record = Record(config.name, request.container_id, request.ifname)
    record.bridge = config.bridge
    record.veth = naming.host_name(
        setup.network.name, request.container_id, request.ifname
    )
    record.netns = request.netns
    record.pod = request.pod
    record.mac = config.mac or rtnetlink.render_mac(bridge.random_mac())
    record.spoof_check = config.mac_spoof_check
    return record


def _claim_addresses(setup: Setup) -> Result:
    """Addresses, routes and DNS from our store or from the IPAM plugin named; the
    record is written before anything is made."""
    config, store = setup.network.config, setup.network.store
    own = config.ipam if config.ipam and not config.ipam.is_foreign else None
    given = Result()
    if config.ipam is not None and own is None:
        setup.undo.append(lambda: _delegate(setup, b"DEL"))
        given = parse_result(_delegate(setup, b"ADD"), config.version)
    elif own is not None:
        given.routes = list(own.routes)
        if own.resolv_conf:
            given.dns = dict(ipam.parse_resolv_conf(own.resolv_conf))
    if not setup.network.managed:
        setup.record.masquerade = reclaim.render_masquerade(
            plan.plan_masquerade(config, given.ips)
        )
    ips, setup.held = ipam.claim(
        store, own, setup.record, lambda other: reclaim.is_alive(setup.host, other)
    )
    setup.undo.append(lambda: ipam.release(store, setup.record))
    given.ips = ips or given.ips
    if config.ipam is not None and not given.ips:
        raise CNIError(
            errors.INVALID_CONFIGURATION,
            f"ipam.type: {config.ipam.type} gave no address",
        )
    return given


def _delegate(setup: Setup, command: bytes) -> object:
    call, ipam_config = setup.call, setup.network.config.ipam
    name = ipam_config.type if ipam_config else ""
    return delegate.call(name, command, call.environ, call.stdin)


def _wire(setup: Setup, given: Result) -> Result:
    """Bridge, gateway, ruleset, veth pair: what is missing of them is made."""
    config, ips = setup.network.config, given.ips
    wanted = plan.plan_bridge(config, ips)
    setup.master, setup.made_bridge = bridge.ensure_bridge(setup.host, wanted)
    setup.gateway = _gateway_link(setup, wanted)
    setup.added_gateways = bridge.ensure_gateways(
        setup.host, setup.gateway, wanted.gateways, wanted.force_address
    )
    for subnet in plan.plan_host_routes(config, ips):
        bridge.ensure_route(setup.host, setup.gateway, subnet)
    bridge.ensure_forwarding(wanted.gateways)
    _ensure_masquerade(plan.plan_masquerade(config, ips))
    routes = plan.plan_routes(config, ips, given.routes)
    wish = plan.plan_attachment(
        config, setup.call.request, setup.network.name, ips, routes
    )
    wish.netns = setup.pod
    wish.mac = rtnetlink.parse_mac(setup.record.mac)
    wish.mtu = wish.mtu or setup.master.mtu
    if config.mac_spoof_check:
        _ensure_spoof_check(setup)
    port = attachment.attach(setup.host, setup.master, wish, setup.undo)
    return _result(setup, port, wish, given)


def _gateway_link(setup: Setup, wanted: bridge.BridgeConfig) -> Link:
    """The link that holds the gateway addresses: the bridge, or the VLAN's device."""
    config = setup.network.config
    if not config.vlan or not wanted.gateways:
        return setup.master
    link, setup.made_gateway = vlan.ensure_gateway_device(
        setup.host, setup.master, config.vlan, config.preserve_default_vlan
    )
    return link


def _ensure_masquerade(wanted: list[Masquerade]) -> None:
    if wanted:
        channel = Channel(netlink.NETFILTER)
        ruleset.ensure_masquerade(channel, wanted)
        channel.close()


def _ensure_spoof_check(setup: Setup) -> None:
    """Bind the port before it exists, so that it never sends unchecked."""
    record = setup.record
    setup.undo.append(lambda: reclaim.remove_spoof_check(record))
    channel = Channel(netlink.NETFILTER)
    mac = rtnetlink.parse_mac(record.mac)
    spoofcheck.ensure_spoof_check(channel, record.veth, mac)
    channel.close()


def _withdraw(setup: Setup) -> None:
    """Take back what other attachments could share, if there are none.

    Runs last. Nobody can begin to use it meanwhile: every ADD holds the lock shared.
    """
    if setup.lock < 0:
        return
    try:
        flock(setup.lock, LOCK_EX | LOCK_NB)
        if setup.network.store.has_others():
            return
        made = setup.made_bridge or setup.made_gateway or setup.added_gateways
        if made and not _has_other_ports(setup):
            _remove_made(setup)
        reclaim.remove_masquerade(setup.host, setup.record)
    except BlockingIOError:
        pass  # another ADD is in the kernel: it goes on with what we made
    finally:
        posix.close(setup.lock)


def _has_other_ports(setup: Setup) -> bool:
    """Whether the bridge has a port, of another network then: pods that use it."""
    own = setup.gateway.peer if setup.made_gateway else 0
    links = map(rtnetlink.parse_link, setup.host.dump(rtnetlink.all_links()))
    return any(
        link.master == setup.master.index and link.index != own for link in links
    )


def _remove_made(setup: Setup) -> None:
    """Remove bridge, gateway device and gateway addresses, as far as we made them."""
    host = setup.host
    if setup.made_gateway:
        attachment.delete_port(host, setup.gateway.index, setup.gateway.name)
    if setup.made_bridge:
        attachment.delete_port(host, setup.master.index, setup.master.name)
    elif not setup.made_gateway:
        changes = [
            rtnetlink.delete_address(setup.gateway.index, prefix)
            for prefix in setup.added_gateways
        ]
        host.exchange(changes)


def _result(setup: Setup, port: Link, wish: AttachmentConfig, given: Result) -> Result:
    """The result of ADD; a prevResult comes first in it (AD3)."""
    config, master = setup.network.config, setup.master
    result = Result()
    if config.prev_result:
        result = parse_result(config.prev_result, config.version)
    first = len(result.interfaces)
    mac = rtnetlink.render_mac
    result.interfaces += [
        Interface(master.name, mac(master.mac), master.mtu),
        Interface(port.name, mac(port.mac), port.mtu),
        Interface(wish.ifname, mac(wish.mac), port.mtu, wish.netns_path),
    ]
    if setup.gateway is not master:
        gateway = setup.gateway
        result.interfaces.append(Interface(gateway.name, mac(gateway.mac), gateway.mtu))
    result.ips += [IPConfig(ip.address, ip.gateway, first + 2) for ip in given.ips]
    result.routes += wish.routes
    result.dns = config.dns or given.dns or result.dns
    return result
