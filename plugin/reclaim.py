"""Taking an attachment back, whole or what is left of it.

Every step is tried, "not there" is success, and the first failure is raised at the
end (DE2). A record goes last, so that a call killed in between can be done again.
"""

from __future__ import annotations

import posix

from plugin import errors, ipam
from plugin.address import parse_prefix
from plugin.dataplane import attachment, naming, ruleset, spoofcheck
from plugin.errors import CNIError, NetlinkError
from plugin.netlink import channel as netlink
from plugin.netlink import rtnetlink
from plugin.netlink.channel import Channel
from plugin.state import files
from plugin.state.leases import Record, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin.dataplane.masquerade import Masquerade
    from plugin.protocol import Request

_RECORD_TIMEOUT_S = 10.0
# Longer than ADD may wait for duplicate address detection while it has the lock.
_DATAPLANE_TIMEOUT_S = 10.0


class Failures:
    """Runs steps one after the other and keeps what failed."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def attempt(self, step: Callable[..., object], *arguments: object) -> None:
        """Run a step; a failure does not stop the next one."""
        try:
            step(*arguments)
        except (CNIError, NetlinkError, OSError) as error:
            self.errors.append(error)

    def raise_first(self) -> None:
        """Raise the first failure, if any."""
        if self.errors:
            raise self.errors[0]


class Scope:
    """Where attachments of a configuration are kept, and what helps where the record of
    one is lost or damaged (B5)."""

    __slots__ = (
        "is_owned",
        "masquerade",
        "name",
        "notes",
        "run_dir",
        "spoof_check",
        "store",
    )

    def __init__(self, store: Store, name: str, run_dir: str, notes: list[str]) -> None:
        self.store = store
        # The name of the configuration, which its records have.
        self.name = name
        self.run_dir = run_dir
        # Takes sentences for the log.
        self.notes = notes
        # Whether the store is that of the configuration, and serves no other.
        self.is_owned = False
        # What an attachment has by its configuration.
        self.masquerade: list[list[str]] = []
        self.spoof_check = True


def lock_dataplane(run_dir: str, shared: bool) -> int:
    """Keep bridge and ruleset from being taken away (shared), or take them away.

    ADD holds it shared while it works in the kernel. Close the descriptor to unlock.
    """
    # The dot: no network can have that name, whose folder would be in its place.
    path = f"{run_dir}/.dataplane.lock"
    try:
        return files.lock(path, _DATAPLANE_TIMEOUT_S, shared)
    except FileNotFoundError:
        files.make_folder(run_dir)
        return files.lock(path, _DATAPLANE_TIMEOUT_S, shared)
    except TimeoutError:
        raise CNIError(
            errors.TRY_AGAIN_LATER,
            f"{path}: held by another call for more than {_DATAPLANE_TIMEOUT_S:g} s",
        ) from None


def take_back_known(scope: Scope, request: Request) -> None:
    """Undo the attachment that a DEL is about, with or without a record of it."""
    container_id, ifname = request.container_id, request.ifname
    if scope.store.has(container_id, ifname):
        try:
            take_back(scope, container_id, ifname, request.by_kubelet)
        except TimeoutError:
            raise CNIError(
                errors.TRY_AGAIN_LATER,
                f"{ifname} of {container_id}: another call works on it for more than "
                f"{_RECORD_TIMEOUT_S:g} s",
            ) from None
    else:
        record = lost_record(scope, container_id, ifname)
        take_back_unrecorded(scope, record, request.by_kubelet)


def take_back(
    scope: Scope,
    container_id: str,
    ifname: str,
    leave_link: bool = False,
    timeout_s: float = _RECORD_TIMEOUT_S,
    unless: Callable[[Record], None] | None = None,
) -> None:
    """Undo an attachment that has a record, whether it was finished or not.

    With `leave_link` the host end is only taken off the bridge and down: its namespace
    is about to die and takes it along. `unless` may raise to leave the attachment as it
    is. TimeoutError if another call works on it.
    """
    descriptor = scope.store.lock_record(container_id, ifname, timeout_s)
    if descriptor < 0:
        return
    try:
        record = read_record(scope, container_id, ifname)
        if record is not None:
            if unless is not None:
                unless(record)
            _undo(scope, record, leave_link)
    finally:
        posix.close(descriptor)


def read_record(scope: Scope, container_id: str, ifname: str) -> Record | None:
    """The record of an attachment; a damaged one is rebuilt from the leases (B5)."""
    store = scope.store
    try:
        return store.get(container_id, ifname)
    except ValueError as error:
        record = lost_record(scope, container_id, ifname)
        record.addresses = store.find(container_id, ifname)
        scope.notes.append(
            f"the record of {ifname} of {container_id} in {store.folder} is damaged "
            f"({error}): what it had is found by its name"
        )
        return record


def lost_record(scope: Scope, container_id: str, ifname: str) -> Record:
    """What an attachment may have that can be told without its record."""
    record = Record("", container_id, ifname)
    record.veth = naming.host_name(scope.store.network, container_id, ifname)
    record.masquerade = scope.masquerade
    record.spoof_check = scope.spoof_check
    return record


def _undo(scope: Scope, record: Record, leave_link: bool) -> None:
    failures = Failures()
    store = scope.store
    host = Channel(netlink.ROUTE)
    failures.attempt(_remove_port, host, record, leave_link)
    if not failures.errors:
        # A port that could not be taken away may still send from the address.
        failures.attempt(ipam.release_addresses, store, record)
    if record.spoof_check:
        failures.attempt(remove_spoof_check, record)
    alone = not store.has_others(record)
    if record.masquerade and alone:
        failures.attempt(_remove_last, host, scope, record)
    if not failures.errors:
        store.forget(record.container_id, record.ifname)
    if record.masquerade and not alone:
        # Two that go at once see each other: the later one finds that it was the last.
        failures.attempt(_remove_last, host, scope, record)
    host.close()
    failures.raise_first()


def _remove_port(host: Channel, record: Record, leave_link: bool) -> None:
    port = attachment.find_port(host, record.veth, record.container_id, record.ifname)
    if port is None:
        return
    if leave_link:
        attachment.detach(host, port.index, port.name, port.alias)
    else:
        attachment.delete_port(host, port.index, port.name)


def remove_spoof_check(record: Record) -> None:
    """Free the port of an attachment from its MAC address, known or not."""
    channel = Channel(netlink.NETFILTER)
    macs = [rtnetlink.parse_mac(record.mac)] if record.mac else []
    for mac in macs or spoofcheck.bound_macs(channel, record.veth):
        spoofcheck.remove_spoof_check(channel, record.veth, mac)
    spoofcheck.remove_empty(channel)
    channel.close()


def _remove_last(host: Channel, scope: Scope, record: Record) -> None:
    """The last attachment of a standalone network takes its masquerade along."""
    if scope.store.has_others(record):
        return
    lock = lock_dataplane(scope.run_dir, shared=False)
    try:
        if not scope.store.has_others(record):
            remove_masquerade(host, record)
    finally:
        posix.close(lock)


def remove_masquerade(host: Channel, record: Record) -> None:
    """Stop masquerading the subnets of a record, except where a pod of another network
    has an address of them. The caller has the lock of bridge and ruleset."""
    if record.masquerade:
        sources = [parse_prefix(row[0]) for row in record.masquerade if row]
        channel = Channel(netlink.NETFILTER)
        ruleset.remove_masquerade(channel, sources, held_addresses(host))
        channel.close()


def is_alive(host: Channel, record: Record) -> bool:
    """Whether the interface of a record is there, finished and ours."""
    port = attachment.find_port(host, record.veth, record.container_id, record.ifname)
    return port is not None and bool(port.alias)


def held_addresses(host: Channel) -> list[bytes]:
    """The addresses that finished attachments have, by the aliases of their links."""
    held = []
    for payload in host.dump(rtnetlink.all_links()):
        owner = naming.parse_alias(rtnetlink.parse_link(payload).alias)
        held += owner.addresses if owner else []
    return held


def render_masquerade(masquerades: list[Masquerade]) -> list[list[str]]:
    """Subnets as a record keeps them: each with its exempt destinations behind it."""
    return [[str(m.source), *map(str, m.exempt)] for m in masquerades]


def take_back_unrecorded(scope: Scope, record: Record, leave_link: bool) -> None:
    """Undo an attachment whose record is lost: by the name and alias of its host end,
    and where another program kept leases in this store, by reading them (B5)."""
    store = scope.store
    container_id, ifname = record.container_id, record.ifname
    host = Channel(netlink.ROUTE)
    port = attachment.find_port(host, record.veth, container_id, ifname)
    host.close()
    # Without an alias it may be anybody's.
    is_ours = port is not None and bool(port.alias)
    owner = naming.parse_alias(port.alias) if port is not None else None
    if owner is not None:
        record.addresses = owner.addresses
    if store.has_foreign() or (is_ours and not record.addresses):
        record.addresses = record.addresses + store.find(container_id, ifname)
    if is_ours or record.addresses:
        _undo(scope, record, leave_link)
