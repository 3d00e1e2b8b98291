"""CHECK's and STATUS's work: look, and say what is not as it should be.

Changes nothing.
"""

from __future__ import annotations

import posix

from plugin import errors, ipam, netns, plan, reclaim, sysctl
from plugin.address import render_address
from plugin.call import open_network
from plugin.config import is_unicast_mac
from plugin.dataplane import bridge, checks, naming, ruleset, spoofcheck, vlan
from plugin.errors import CNIError
from plugin.netlink import channel as netlink
from plugin.netlink import rtnetlink
from plugin.netlink.channel import Channel
from plugin.result import IPConfig, Result, Route, parse_result
from plugin.state.leases import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.call import Call, Network
    from plugin.config import NetworkConfig
    from plugin.dataplane.attachment import AttachmentConfig
    from plugin.protocol import Request


def attachment_problems(call: Call, network: Network) -> list[str]:
    """Everything of one attachment that differs from what ADD made (CK2)."""
    request, config = call.request, network.config
    previous = _previous(config)
    record = _find_record(network, request)
    ips = _own_ips(previous, request.ifname)
    wanted = plan.plan_bridge(config, ips)
    host = Channel(netlink.ROUTE)
    problems = _lease_problems(network, record, ips)
    problems += _bridge_problems(host, config, wanted)
    routes = _own_routes(config, ips, previous)
    wish = plan.plan_attachment(config, request, network.name, ips, routes)
    wish.mac = _expected_mac(previous, request.ifname, record)
    record.mac = record.mac or rtnetlink.render_mac(wish.mac)
    problems += checks.check_port(host, record.veth, config.bridge, wish)
    problems += _pod_problems(request, wish)
    problems += _ruleset_problems(config, ips, record)
    host.close()
    return problems


def _previous(config: NetworkConfig) -> Result:
    if not config.prev_result:
        raise CNIError(
            errors.INVALID_CONFIGURATION, "prevResult: CHECK needs the result of ADD"
        )
    return parse_result(config.prev_result, config.version)


def _find_record(network: Network, request: Request) -> Record:
    scope = reclaim.Scope(network.store, network.name, network.config.run_dir, [])
    record = reclaim.read_record(scope, request.container_id, request.ifname)
    if record is not None:
        return record
    name = naming.host_name(network.name, request.container_id, request.ifname)
    host = Channel(netlink.ROUTE)
    port = bridge.find_link(host, name)
    host.close()
    if port is None or not naming.is_owner(
        port.alias, request.container_id, request.ifname
    ):
        raise CNIError(
            errors.UNKNOWN_CONTAINER,
            f"{request.ifname} of {request.container_id} is not attached to network "
            f"{network.name}",
        )
    record = Record(network.name, request.container_id, request.ifname)
    record.veth = name
    return record


def _own_ips(previous: Result, ifname: str) -> list[IPConfig]:
    """The addresses of our interface; those of other plugins' interfaces are theirs."""
    ours = [
        index
        for index, interface in enumerate(previous.interfaces)
        if interface.name == ifname and interface.sandbox
    ]
    return [ip for ip in previous.ips if ip.interface is None or ip.interface in ours]


def _expected_mac(previous: Result, ifname: str, record: Record) -> bytes:
    """The MAC of our interface in the result: a later plugin may have set it (CK3)."""
    for interface in previous.interfaces:
        named = interface.name == ifname and interface.sandbox
        if named and is_unicast_mac(interface.mac):
            return rtnetlink.parse_mac(interface.mac.replace("-", ":"))
    return rtnetlink.parse_mac(record.mac) if record.mac else b""


def _own_routes(
    config: NetworkConfig, ips: list[IPConfig], previous: Result
) -> list[Route]:
    """The routes of the configuration; with a foreign IPAM those of the result."""
    if config.ipam is None:
        return []
    given = previous.routes if config.ipam.is_foreign else config.ipam.routes
    return plan.plan_routes(config, ips, given)


def _lease_problems(network: Network, record: Record, ips: list[IPConfig]) -> list[str]:
    config = network.config
    if config.ipam is None or config.ipam.is_foreign:
        return []
    wanted = [ip.address.address for ip in ips]
    problems = []
    for ip in ips:
        held = network.store.holder(ip.address.address)
        if held != (record.container_id, record.ifname):
            problems.append(f"no lease of {ip.address} for this attachment")
    for address in record.addresses:
        if address not in wanted:
            text = render_address(address)
            problems.append(f"prevResult lacks the address {text} of this attachment")
    return problems


def _bridge_problems(
    host: Channel, config: NetworkConfig, wanted: bridge.BridgeConfig
) -> list[str]:
    gateways = wanted.gateways
    forwarding = [
        f"sysctl net/{key} is off"
        for size, key in ((4, "ipv4/ip_forward"), (16, "ipv6/conf/all/forwarding"))
        if any(len(g.address) == size for g in gateways) and sysctl.read(key) != "1"
    ]
    if not config.vlan or not gateways:
        return bridge.check_bridge(host, wanted) + forwarding
    wanted.gateways = []
    problems = bridge.check_bridge(host, wanted) + forwarding
    name = vlan.gateway_device(config.bridge, config.vlan)
    link = bridge.find_link(host, name)
    if link is None:
        return [*problems, f"the gateway device {name} is gone"]
    present = bridge.addresses_of(host, link.index)
    return problems + [
        f"{name} has lost the gateway address {gateway}"
        for gateway in gateways
        if gateway not in present
    ]


def _pod_problems(request: Request, wish: AttachmentConfig) -> list[str]:
    try:
        wish.netns = netns.open_netns(request.netns)
    except FileNotFoundError:
        return [f"CNI_NETNS: {request.netns} is gone"]
    try:
        return checks.check_pod(wish)
    finally:
        posix.close(wish.netns)


def _ruleset_problems(
    config: NetworkConfig, ips: list[IPConfig], record: Record
) -> list[str]:
    wanted = plan.plan_masquerade(config, ips)
    if not wanted and not config.mac_spoof_check:
        return []
    channel = Channel(netlink.NETFILTER)
    problems = ruleset.check_masquerade(channel, wanted) if wanted else []
    if config.mac_spoof_check and record.mac:
        mac = rtnetlink.parse_mac(record.mac)
        problems += spoofcheck.check_spoof_check(channel, record.veth, mac)
    channel.close()
    return problems


def require_ready(call: Call) -> Network:
    """The network, if an ADD could succeed now; else code 50 or 51 (ST1, ST3)."""
    try:
        network = open_network(call)
    except CNIError as error:
        if error.code in (errors.TRY_AGAIN_LATER, errors.NODE_STATE_MISSING):
            error.code = errors.NOT_AVAILABLE
        raise
    if _require_addresses(network) and network.store.has_others():
        _require_bridge(network)
    return network


def _require_addresses(network: Network) -> bool:
    """Raise code 50 if no address is free; False if what is there is of another boot,
    and void with the next ADD."""
    own, store = network.config.ipam, network.store
    try:
        if store.is_of_another_boot():
            return False
        store.require_writable()
        if own is not None and not own.is_foreign:
            own.requested = []
            ipam.choose(store, own)
    except CNIError as error:
        raise CNIError(errors.NOT_AVAILABLE, error.message, error.details) from None
    except OSError as error:
        raise CNIError(
            errors.NOT_AVAILABLE,
            f"{store.folder} can't be read: {error.strerror}",
        ) from None
    return True


def _require_bridge(network: Network) -> None:
    """Where pods are attached, their bridge has to be there with its gateway."""
    ips = _sample_ips(network.config)
    wanted = plan.plan_bridge(network.config, ips)
    host = Channel(netlink.ROUTE)
    problems = _bridge_problems(host, network.config, wanted)
    host.close()
    if problems:
        raise CNIError(
            errors.NOT_AVAILABLE_LIMITED,
            f"pods of network {network.name} may be cut off: {'; '.join(problems)}",
        )


def _sample_ips(config: NetworkConfig) -> list[IPConfig]:
    """An address of each range, with its gateway: what every pod expects."""
    if config.ipam is None or config.ipam.is_foreign:
        return []
    return [
        IPConfig(part.subnet, part.gateway)
        for range_set in config.ipam.range_sets
        for part in range_set[:1]
    ]
