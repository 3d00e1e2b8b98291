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

    from plugin.protocol import Request

_RECORD_TIMEOUT_S = 10.0
_DATAPLANE_TIMEOUT_S = 2.0


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


class Fallback:
    """What helps where a record is lost or damaged (B5): what an attachment has by its
    configuration, and a list that takes a sentence for the log."""

    __slots__ = ("masquerade", "notes", "spoof_check")

    def __init__(
        self,
        masquerade: list[ruleset.Masquerade],
        spoof_check: bool,
        notes: list[str],
    ) -> None:
        self.masquerade = render_masquerade(masquerade)
        self.spoof_check = spoof_check
        self.notes = notes


def lock_dataplane(run_dir: str, shared: bool, timeout_s: float) -> int:
    """Keep bridge and ruleset from being taken away (shared), or take them away.

    ADD holds it shared while it works in the kernel. Close the descriptor to unlock.
    """
    # The dot: no network can have that name, whose folder would be in its place.
    path = f"{run_dir}/.dataplane.lock"
    try:
        return files.lock(path, timeout_s, shared)
    except FileNotFoundError:
        files.make_folder(run_dir)
        return files.lock(path, timeout_s, shared)
    except TimeoutError:
        raise CNIError(
            errors.TRY_AGAIN_LATER,
            f"{path}: held by another call for more than {timeout_s:g} s",
        ) from None


def take_back_known(
    store: Store, request: Request, run_dir: str, leave_link: bool, fallback: Fallback
) -> None:
    """Undo the attachment that a DEL is about, with or without a record of it."""
    container_id, ifname = request.container_id, request.ifname
    if store.has(container_id, ifname):
        try:
            take_back(store, container_id, ifname, run_dir, fallback, leave_link)
        except TimeoutError:
            raise CNIError(
                errors.TRY_AGAIN_LATER,
                f"{ifname} of {container_id}: another call works on it for more than "
                f"{_RECORD_TIMEOUT_S:g} s",
            ) from None
    else:
        record = _lost_record(store, container_id, ifname, fallback)
        take_back_unrecorded(store, record, run_dir, leave_link)


def take_back(
    store: Store,
    container_id: str,
    ifname: str,
    run_dir: str,
    fallback: Fallback,
    leave_link: bool = False,
    timeout_s: float = _RECORD_TIMEOUT_S,
) -> None:
    """Undo an attachment that has a record, whether it was finished or not.

    With `leave_link` the host end is only taken off the bridge and down: its namespace
    is about to die and takes it along. TimeoutError if another call works on it.
    """
    descriptor = store.lock_record(container_id, ifname, timeout_s)
    if descriptor < 0:
        return
    try:
        record = read_record(store, container_id, ifname, fallback)
        if record is not None:
            _undo(store, record, run_dir, leave_link)
    finally:
        posix.close(descriptor)


def read_record(
    store: Store, container_id: str, ifname: str, fallback: Fallback | None = None
) -> Record | None:
    """The record of an attachment; a damaged one is rebuilt from the leases (B5)."""
    try:
        return store.get(container_id, ifname)
    except ValueError as error:
        record = _lost_record(store, container_id, ifname, fallback)
        record.addresses = store.find(container_id, ifname)
        if fallback:
            fallback.notes.append(
                f"the record of {ifname} of {container_id} in {store.folder} is "
                f"damaged ({error}): what it had is found by its name"
            )
        return record


def _lost_record(
    store: Store, container_id: str, ifname: str, fallback: Fallback | None
) -> Record:
    """What an attachment may have that can be told without its record."""
    record = Record("", container_id, ifname)
    record.veth = naming.host_name(store.network, container_id, ifname)
    if fallback is not None:
        record.masquerade = fallback.masquerade
        record.spoof_check = fallback.spoof_check
    return record


def _undo(store: Store, record: Record, run_dir: str, leave_link: bool) -> None:
    failures = Failures()
    host = Channel(netlink.ROUTE)
    failures.attempt(_remove_port, host, record, leave_link)
    if not failures.errors:
        # A port that could not be taken away may still send from the address.
        failures.attempt(ipam.release_addresses, store, record)
    if record.spoof_check:
        failures.attempt(remove_spoof_check, record)
        failures.attempt(_remove_spoof_table, run_dir)
    alone = not _others(store, record)
    if record.masquerade and alone:
        failures.attempt(_remove_last, host, store, record, run_dir)
    if not failures.errors:
        store.forget(record.container_id, record.ifname)
    if record.masquerade and not alone:
        # Two that go at once see each other: the later one finds that it was the last.
        failures.attempt(_remove_last, host, store, record, run_dir)
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
    channel.close()


def _remove_spoof_table(run_dir: str) -> None:
    """The last port that is checked takes the table along."""
    channel = Channel(netlink.NETFILTER)
    if spoofcheck.is_idle(channel):
        lock = lock_dataplane(run_dir, shared=False, timeout_s=_DATAPLANE_TIMEOUT_S)
        try:
            if spoofcheck.is_idle(channel):
                spoofcheck.remove_table(channel)
        finally:
            posix.close(lock)
    channel.close()


def _others(store: Store, record: Record) -> bool:
    """Whether the network has an attachment beside that of the record."""
    own = (record.container_id, record.ifname)
    return any(other != own for other in store.attachments())


def _remove_last(host: Channel, store: Store, record: Record, run_dir: str) -> None:
    """The last attachment of a standalone network takes its masquerade along."""
    if _others(store, record):
        return
    lock = lock_dataplane(run_dir, shared=False, timeout_s=_DATAPLANE_TIMEOUT_S)
    try:
        if not _others(store, record):
            remove_masquerade(host, record)
    finally:
        posix.close(lock)


def remove_masquerade(host: Channel, record: Record) -> None:
    """Stop masquerading the subnets of a record, except where a pod of another network
    has an address of them. The caller has the lock of bridge and ruleset."""
    if not record.masquerade:
        return
    held = held_addresses(host)
    unwanted = [
        masquerade
        for masquerade in parse_masquerade(record.masquerade)
        if not any(map(masquerade.source.contains, held))
    ]
    channel = Channel(netlink.NETFILTER)
    ruleset.remove_masquerade(channel, unwanted)
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


def render_masquerade(masquerades: list[ruleset.Masquerade]) -> list[list[str]]:
    """Subnets as a record keeps them: each with its exempt destinations behind it."""
    return [[str(m.source), *map(str, m.exempt)] for m in masquerades]


def parse_masquerade(texts: list[list[str]]) -> list[ruleset.Masquerade]:
    """Subnets from a record."""
    parsed = [[parse_prefix(text) for text in row] for row in texts if row]
    return [ruleset.Masquerade(row[0], row[1:]) for row in parsed]


def take_back_unrecorded(
    store: Store, record: Record, run_dir: str, leave_link: bool
) -> None:
    """Undo an attachment whose record is lost: by the name and alias of its host end,
    and where another program kept leases in this store, by reading them (B5)."""
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
        _undo(store, record, run_dir, leave_link)


def collect(
    store: Store,
    valid: set[tuple[str, str]],
    run_dir: str,
    name: str,
    fallback: Fallback,
    owned: bool,
) -> None:
    """Undo every attachment of a network that is not valid any more (GC1, GC2).

    Only those of the configuration `name`, by their records. What has lost its record
    goes with them if the store is `owned` by that configuration and serves no other.
    What another call works on is left to it.
    """
    failures = Failures()
    records = [read_record(store, *attachment) for attachment in store.attachments()]
    owned = owned and all(r.name in (name, "") for r in records if r is not None)
    for record in records:
        if record is None or (record.container_id, record.ifname) in valid:
            continue
        if record.name == name or (owned and not record.name):
            whose = (record.container_id, record.ifname)
            failures.attempt(_collect_one, store, *whose, run_dir, fallback)
    if owned:
        failures.attempt(_collect_lost, store, valid, run_dir, fallback)
        failures.attempt(_collect_leases, store, valid)
    failures.attempt(store.sweep)
    failures.raise_first()


def _collect_lost(
    store: Store, valid: set[tuple[str, str]], run_dir: str, fallback: Fallback
) -> None:
    failures = Failures()
    for owner in _lost_owners(store):
        if (owner.container_id, owner.ifname) not in valid:
            lost = _lost_record(store, owner.container_id, owner.ifname, fallback)
            failures.attempt(take_back_unrecorded, store, lost, run_dir, False)
    failures.raise_first()


def _collect_one(
    store: Store, container_id: str, ifname: str, run_dir: str, fallback: Fallback
) -> None:
    try:
        take_back(store, container_id, ifname, run_dir, fallback, timeout_s=0)
    except TimeoutError:
        pass  # an ADD or DEL has it in hand


def _lost_owners(store: Store) -> list[naming.Owner]:
    """The attachments whose host ends are there, and whose records are lost."""
    host = Channel(netlink.ROUTE)
    links = [rtnetlink.parse_link(p) for p in host.dump(rtnetlink.all_links())]
    host.close()
    owners = [naming.parse_alias(link.alias) for link in links]
    return [
        owner
        for owner in owners
        if owner is not None
        and owner.network == store.network
        and not store.has(owner.container_id, owner.ifname)
    ]


def _collect_leases(store: Store, valid: set[tuple[str, str]]) -> None:
    """Leases whose record is lost; an old-style one counts by its container id."""
    valid_ids = {container_id for container_id, _ in valid}

    def is_lost(address: bytes) -> bool:
        container_id, ifname = store.holder(address)
        kept = (container_id, ifname) in valid if ifname else container_id in valid_ids
        return not kept and not store.has(container_id, ifname)

    lost = [address for address in store.leases() if is_lost(address)]
    if not lost:
        return
    # Under the lock nobody can claim an address between the look and the removal.
    lock = ipam.locked(store)
    try:
        for address in lost:
            if is_lost(address):
                store.drop(address)
    finally:
        posix.close(lock)
