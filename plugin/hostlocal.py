"""What the file does when it is called `host-local`: address management alone.

The reference's configuration, store and answers; leases are found by record, and where
another program wrote them, by reading all of them.
"""

from __future__ import annotations

import posix

from plugin import errors, ipam
from plugin.call import parse_valid
from plugin.errors import CNIError
from plugin.fields import Problems, member
from plugin.ipamconfig import IPAMConfig, parse_ipam
from plugin.result import Result
from plugin.state import files
from plugin.state.leases import Record, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.call import Call

_DATA_DIR = "/var/lib/cni/networks"


def _open(call: Call) -> tuple[IPAMConfig, Store]:
    problems = Problems()
    document = member(call.document, "ipam")
    if not isinstance(document, dict):
        raise CNIError(errors.INVALID_CONFIGURATION, "IPAM config missing 'ipam' key")
    config = parse_ipam(
        call.document,
        document,
        call.request.args,
        gateway_needed=True,
        problems=problems,
    )
    problems.raise_if_any()
    return config, Store(f"{config.data_dir or _DATA_DIR}/{call.name}")


def add(call: Call) -> Result:
    """Claim an address of each range set."""
    config, store = _open(call)
    request = call.request
    result = Result()
    result.routes = list(config.routes)
    if config.resolv_conf:
        result.dns = dict(ipam.parse_resolv_conf(config.resolv_conf))
    record = Record(call.name, request.container_id, request.ifname)
    record.netns = request.netns
    result.ips, descriptor = ipam.claim(store, config, record, _is_alive)
    posix.close(descriptor)
    return result


def _is_alive(record: Record) -> bool:
    """After a reboot a namespace's path is gone, or leads to a plain file."""
    return bool(record.netns) and files.exists(record.netns)


def delete(call: Call) -> None:
    """Give the addresses back."""
    _, store = _open(call)
    if not files.exists(store.folder):
        return
    # Two calls for one attachment, and a third that claims what the first gave back:
    # the lock keeps the second from taking that away.
    lock = ipam.locked(store)
    try:
        _release(store, call.request.container_id, call.request.ifname)
    finally:
        posix.close(lock)


def _release(store: Store, container_id: str, ifname: str) -> None:
    try:
        record = store.get(container_id, ifname)
    except ValueError:
        record = None
    if record is None:
        record = Record("", container_id, ifname)
        record.addresses = store.find(container_id, ifname)
    ipam.release(store, record)


def check(call: Call) -> None:
    """Raise unless the attachment holds an address."""
    _, store = _open(call)
    container_id, ifname = call.request.container_id, call.request.ifname
    if not store.has(container_id, ifname) and not store.find(container_id, ifname):
        raise CNIError(
            errors.UNKNOWN_CONTAINER,
            f"host-local: Failed to find address added by container {container_id}",
        )


def collect_garbage(call: Call) -> None:
    """Give back every address whose attachment is not valid."""
    _, store = _open(call)
    valid = parse_valid(call.document)
    for container_id, ifname in store.attachments():
        if (container_id, ifname) not in valid:
            _release(store, container_id, ifname)
    valid_ids = {container_id for container_id, _ in valid}
    for address in store.leases():
        container_id, ifname = store.holder(address)
        kept = (container_id, ifname) in valid if ifname else container_id in valid_ids
        if not kept:
            store.drop(address)
    store.sweep()


def status(call: Call) -> None:
    """Raise code 50 unless an address could be claimed now."""
    config, store = _open(call)
    config.requested = []
    if store.is_of_another_boot():
        return
    try:
        ipam.choose(store, config)
    except CNIError as error:
        raise CNIError(errors.NOT_AVAILABLE, error.message, error.details) from None
