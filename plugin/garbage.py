"""GC's work: attachments that no runtime knows any more, and what has lost its record.

Never takes what another configuration keeps in the same place.
"""

from __future__ import annotations

import posix

from plugin import ipam
from plugin.dataplane import naming
from plugin.netlink import channel as netlink
from plugin.netlink import rtnetlink
from plugin.netlink.channel import Channel
from plugin.reclaim import (
    Failures,
    Scope,
    lost_record,
    read_record,
    take_back,
    take_back_unrecorded,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.state.leases import Store


def collect(scope: Scope, valid: set[tuple[str, str]]) -> None:
    """Undo every attachment of a network that is not valid any more (GC1, GC2).

    Only those of the configuration, by their records. What has lost its record goes
    with them if the store serves no other configuration. What another call works on is
    left to it.
    """
    failures = Failures()
    store, name = scope.store, scope.name
    # A damaged record is told once, by the one that takes it back.
    quiet = Scope(store, name, scope.run_dir, [])
    records = [read_record(quiet, *attachment) for attachment in store.attachments()]
    owned = scope.is_owned and all(r.name in (name, "") for r in records if r)
    for record in records:
        if record is None or (record.container_id, record.ifname) in valid:
            continue
        if record.name == name or (owned and not record.name):
            whose = (record.container_id, record.ifname)
            failures.attempt(_collect_one, scope, *whose)
    if owned:
        failures.attempt(_collect_lost, scope, valid)
        failures.attempt(_collect_leases, store, valid)
    failures.attempt(store.sweep)
    failures.raise_first()


def _collect_lost(scope: Scope, valid: set[tuple[str, str]]) -> None:
    failures = Failures()
    for owner in _lost_owners(scope.store):
        if (owner.container_id, owner.ifname) not in valid:
            lost = lost_record(scope, owner.container_id, owner.ifname)
            failures.attempt(take_back_unrecorded, scope, lost, False)
    failures.raise_first()


def _collect_one(scope: Scope, container_id: str, ifname: str) -> None:
    try:
        take_back(scope, container_id, ifname, timeout_s=0)
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
