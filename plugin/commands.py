"""ADD, DEL, CHECK, GC, STATUS of the plugin, each a page that reads as its steps.

Returns a Result or nothing; never prints.
"""

from __future__ import annotations

from plugin import errors, plan, reclaim
from plugin.call import (
    known_run_dir,
    known_stores,
    managed_networks,
    open_network,
)
from plugin.errors import CNIError
from plugin.fields import member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.call import Call
    from plugin.config import NetworkConfig
    from plugin.result import Result

_VALID = "cni.dev/valid-attachments"
_VALID_OLDER = "cni.dev/attachments"


def add(call: Call) -> Result:
    """Give a pod its interface, addresses and routes."""
    # Loaded here, as for the other commands: what DEL does not need costs it nothing.
    from plugin.setup import attach_pod

    return attach_pod(call, open_network(call))


def delete(call: Call) -> None:
    """Take everything of an attachment back, as far as it is there (DE1 to DE4)."""
    request = call.request
    failures = reclaim.Failures()
    foreign = ""
    fallback = reclaim.Fallback([], True, call.notes)
    if call.is_standalone:
        network = open_network(call)
        stores = [network.store]
        run_dir = network.config.run_dir
        foreign = _foreign_ipam(network.config)
        fallback = _fallback(call, network.config)
    else:
        stores = known_stores(call)
        run_dir = known_run_dir(call)
    for store in stores:
        failures.attempt(
            reclaim.take_back_known,
            store,
            request,
            run_dir,
            request.by_kubelet,
            fallback,
        )
    if foreign:
        failures.attempt(_delegate, call, foreign, b"DEL")
    failures.raise_first()


def check(call: Call) -> None:
    """Compare an attachment with what ADD made of it (CK1 to CK4)."""
    from plugin.inspection import attachment_problems

    network = open_network(call)
    problems = attachment_problems(call, network)
    if problems:
        raise CNIError(
            errors.CHECK_FAILED,
            "; ".join(problems),
            f"{call.request.ifname} of {call.request.container_id} in network "
            f"{network.name}",
        )
    foreign = _foreign_ipam(network.config)
    if foreign:
        _delegate(call, foreign, b"CHECK")


def collect_garbage(call: Call) -> None:
    """Undo all attachments of this network that the runtime does not list (GC1)."""
    valid = parse_valid(call.document)
    failures = reclaim.Failures()
    name: str = call.document["name"]
    foreign = ""
    fallback = reclaim.Fallback([], True, call.notes)
    if call.is_standalone:
        network = open_network(call)
        stores, run_dir = [network.store], network.config.run_dir
        foreign = _foreign_ipam(network.config)
        fallback = _fallback(call, network.config)
        owned = {name}
    else:
        stores, run_dir = known_stores(call), known_run_dir(call)
        owned = managed_networks(call)
    for store in stores:
        is_owned = store.network in owned
        failures.attempt(
            reclaim.collect, store, valid, run_dir, name, fallback, is_owned
        )
    if foreign:
        failures.attempt(_delegate, call, foreign, b"GC")
    failures.raise_first()


def status(call: Call) -> None:
    """Raise code 50 or 51 unless an ADD could succeed now (ST1 to ST3)."""
    from plugin.inspection import require_ready

    network = require_ready(call)
    foreign = _foreign_ipam(network.config)
    if foreign:
        _delegate(call, foreign, b"STATUS")


def parse_valid(document: dict[str, object]) -> set[tuple[str, str]]:
    """The attachments that GC must leave alone, as (container id, interface).

    Both the key of the specification and the older one of libcni count (GC6); without
    either there is nothing to go by, which is code 7, not "nothing is valid" (GC5).
    """
    valid: set[tuple[str, str]] = set()
    found = False
    for key in (_VALID, _VALID_OLDER):
        entries = member(document, key)
        if entries is None:
            continue
        found = True
        for entry in entries if isinstance(entries, list) else [entries]:
            container_id, ifname = member(entry, "containerID"), member(entry, "ifname")
            if not isinstance(container_id, str) or not isinstance(ifname, str):
                raise CNIError(
                    errors.DECODING_FAILURE,
                    f"{key}: {entry!r} is not an object with containerID and ifname",
                )
            valid.add((container_id, ifname))
    if not found:
        raise CNIError(
            errors.INVALID_CONFIGURATION,
            f"{_VALID}: missing, so nothing was removed; an empty list removes all",
        )
    return valid


def _fallback(call: Call, config: NetworkConfig) -> reclaim.Fallback:
    """What an attachment of a standalone network has, where its record is lost."""
    masquerade = plan.plan_masquerade(config, [])
    return reclaim.Fallback(masquerade, config.mac_spoof_check, call.notes)


def _foreign_ipam(config: NetworkConfig) -> str:
    return config.ipam.type if config.ipam and config.ipam.is_foreign else ""


def _delegate(call: Call, name: str, command: bytes) -> None:
    from plugin import delegate

    delegate.call(name, command, call.environ, call.stdin)
