"""Address management: claim the addresses of an attachment, and give them back.

The order of host-local (round robin from a cursor per range set), the cost of none of
its scans: claim and release do not depend on how many leases there are. The store's
lock is held for the claim alone, never for work in the kernel.
"""

from __future__ import annotations

import posix

from plugin import errors
from plugin.address import Prefix, number, packed, render_address
from plugin.errors import CNIError
from plugin.ranges import name_of_set
from plugin.result import IPConfig
from plugin.state import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plugin.ipamconfig import IPAMConfig
    from plugin.ranges import Range
    from plugin.state.leases import Record, Store

LOCK_TIMEOUT_S = 10.0
# So many addresses are probed one by one before all leases are listed at once.
_PROBES = 64


def locked(store: Store, timeout_s: float = LOCK_TIMEOUT_S) -> int:
    """Lock a store, or raise code 11 when another call holds it for too long (A7)."""
    try:
        return store.lock(timeout_s)
    except TimeoutError:
        raise CNIError(
            errors.TRY_AGAIN_LATER,
            f"{store.folder}/lock: held by another call for more than {timeout_s:g} s",
        ) from None


def claim(
    store: Store,
    ipam: IPAMConfig | None,
    record: Record,
    alive: Callable[[Record], bool],
) -> tuple[list[IPConfig], int]:
    """Claim one address of each range set for an attachment, all or none.

    Fills `record.addresses` and writes the record first, so that a call killed
    between the two leaves nothing that its DEL would not find. Returns the addresses
    and the descriptor that keeps the record locked.
    """
    lock = locked(store)
    try:
        store.settle(alive)
        _refuse_second(store, record)
        chosen = choose(store, ipam) if ipam else []
        record.addresses = [ip.address.address for _, ip in chosen]
        descriptor = store.put(record)
        if descriptor < 0:
            raise CNIError(
                errors.TRY_AGAIN_LATER,
                f"{record.ifname} of {record.container_id}: another call is adding it",
            )
        _take(store, record, chosen)
        return [ip for _, ip in chosen], descriptor
    finally:
        posix.close(lock)


def _refuse_second(store: Store, record: Record) -> None:
    """Raise if the attachment has something already (AD5), be it of another program."""
    container_id, ifname = record.container_id, record.ifname
    held: list[bytes] = []
    known = store.has(container_id, ifname)
    if known or store.has_foreign():
        held = store.find(container_id, ifname)
    if known or held:
        what = ", ".join([render_address(address) for address in held]) or ifname
        raise CNIError(
            errors.ALREADY_ATTACHED,
            f"{what} has been allocated to {container_id}, "
            "duplicate allocation is not allowed",
        )


def _take(
    store: Store, record: Record, chosen: list[tuple[int | None, IPConfig]]
) -> None:
    try:
        for index, ip in chosen:
            address = ip.address.address
            if not store.claim(address, record):
                raise CNIError(
                    errors.TRY_AGAIN_LATER,
                    f"{render_address(address)}: taken this moment by a program that "
                    "does not heed the lock of the store",
                )
            if index is not None:
                store.set_cursor(index, address)
    except BaseException:
        release(store, record)
        raise


def release_addresses(store: Store, record: Record) -> None:
    """Give back the addresses of a record; those that others hold by now are theirs."""
    for address in record.addresses:
        store.release(address, record.container_id, record.ifname)


def release(store: Store, record: Record) -> None:
    """Give back the addresses of a record, then the record: killed between, it can be
    done again."""
    release_addresses(store, record)
    store.forget(record.container_id, record.ifname)


def choose(store: Store, ipam: IPAMConfig) -> list[tuple[int | None, IPConfig]]:
    """A free address of each range set, those asked for first; nothing is claimed.

    Beside each address the number of its set if it came by round robin.
    """
    wanted = list(ipam.requested)
    chosen: list[tuple[int | None, IPConfig]] = []
    for index, range_set in enumerate(ipam.range_sets):
        found = _requested(store, range_set, wanted)
        if found:
            chosen.append((None, found))
        else:
            chosen.append((index, _next_free(store, range_set, index)))
    if wanted:
        texts = " ".join([render_address(address) for address in wanted])
        sets = "; ".join([name_of_set(range_set) for range_set in ipam.range_sets])
        raise CNIError(
            errors.INVALID_CONFIGURATION,
            f"failed to allocate all requested IPs: {texts}",
            f"they are in none of the range sets {sets}, or there are more of them "
            "than sets",
        )
    return chosen


def _requested(
    store: Store, range_set: list[Range], wanted: list[bytes]
) -> IPConfig | None:
    for address in wanted:
        for part in range_set:
            if not part.holds(address):
                continue
            text = render_address(address)
            if address == part.gateway:
                raise CNIError(
                    errors.INVALID_CONFIGURATION,
                    f"requested ip {text} is subnet's gateway",
                )
            if store.is_taken(address) or not part.usable(number(address)):
                raise CNIError(
                    errors.ADDRESS_TAKEN,
                    f"requested IP address {text} is not available in range set "
                    f"{name_of_set(range_set)}",
                    _taken_by(store, address),
                )
            wanted.remove(address)
            return _ip_config(part, address)
    return None


def _taken_by(store: Store, address: bytes) -> str:
    container_id, ifname = store.holder(address)
    if not container_id:
        return "the configuration keeps it from being given out"
    return f"held by {ifname or 'an interface'} of {container_id}"


def _next_free(store: Store, range_set: list[Range], index: int) -> IPConfig:
    taken: set[str] | None = None
    probes = 0
    for part, value in candidates(range_set, store.cursor(index)):
        address = packed(value, part.size)
        probes += 1
        if probes > _PROBES and taken is None:
            taken = store.taken()
        if taken is None:
            held = store.is_taken(address)
        else:
            held = render_address(address) in taken
        if not held:
            return _ip_config(part, address)
    raise CNIError(
        errors.NO_FREE_ADDRESS,
        f"failed to allocate for range {index}: no IP addresses available in range "
        f"set: {name_of_set(range_set)}",
        f"all {probes} addresses are held, by the files in {store.folder}",
    )


def candidates(
    range_set: list[Range], last: bytes | None
) -> Iterator[tuple[Range, int]]:
    """Every usable address of a set once, from the one after `last` round to it."""
    first, begin = 0, range_set[0].start
    for position, part in enumerate(range_set):
        if last is not None and part.holds(last):
            first, begin = position, number(last) + 1
    order = range_set[first:] + range_set[:first]
    yield from _usable(order[0], begin, order[0].end)
    for part in order[1:]:
        yield from _usable(part, part.start, part.end)
    yield from _usable(order[0], order[0].start, begin - 1)


def _usable(part: Range, value: int, end: int) -> Iterator[tuple[Range, int]]:
    value = part.next_usable(value)
    while value <= end:
        yield part, value
        value = part.next_usable(value + 1)


def _ip_config(part: Range, address: bytes) -> IPConfig:
    return IPConfig(Prefix(address, part.subnet.length), part.gateway)


def gateways_on_link(ipam: IPAMConfig | None) -> set[bytes]:
    """The gateways that are reached on the link although outside of their subnet."""
    if ipam is None:
        return set()
    return {
        part.gateway
        for range_set in ipam.range_sets
        for part in range_set
        if part.gateway and part.on_link
    }


def parse_resolv_conf(path: str) -> dict[str, list[str] | str]:
    """The DNS settings of a resolv.conf, as the `dns` of a result."""
    data = files.read(path)
    if data is None:
        raise CNIError(
            errors.INVALID_CONFIGURATION, f"ipam.resolvConf: {path}: no such file"
        )
    dns: dict[str, list[str] | str] = {}
    nameservers: list[str] = []
    options: list[str] = []
    for line in data.decode("utf-8", "replace").split("\n"):
        words = line.split()
        if len(words) < 2 or words[0][0] in "#;":
            continue
        if words[0] == "nameserver":
            nameservers.append(words[1])
        elif words[0] == "domain":
            dns["domain"] = words[1]
        elif words[0] == "search":
            dns["search"] = words[1:]
        elif words[0] == "options":
            options += words[1:]
    if nameservers:
        dns["nameservers"] = nameservers
    if options:
        dns["options"] = options
    return dns
