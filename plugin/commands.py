"""ADD, DEL, CHECK, GC, STATUS of the plugin, each a page that reads as its steps.

Returns a Result or nothing; never prints.
"""

from __future__ import annotations

from plugin import errors, garbage, plan, reclaim
from plugin.call import (
    known_run_dir,
    known_stores,
    managed_networks,
    open_network,
    parse_valid,
)
from plugin.errors import CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.call import Call
    from plugin.config import NetworkConfig
    from plugin.result import Result


def add(call: Call) -> Result:
    """Give a pod its interface, addresses and routes."""
    # Loaded here, as for the other commands: what DEL does not need costs it nothing.
    from plugin.setup import attach_pod

    return attach_pod(call, open_network(call))


def delete(call: Call) -> None:
    """Take everything of an attachment back, as far as it is there (DE1 to DE4)."""
    failures = reclaim.Failures()
    scopes, foreign = _scopes(call)
    for scope in scopes:
        failures.attempt(reclaim.take_back_known, scope, call.request)
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
    scopes, foreign = _scopes(call)
    for scope in scopes:
        failures.attempt(garbage.collect, scope, valid)
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


def _scopes(call: Call) -> tuple[list[reclaim.Scope], str]:
    """Where the attachments of a configuration are, and its foreign IPAM plugin.

    Without a network in the configuration that is every store of the run folder, which
    holds even when the node state is gone.
    """
    if not call.is_standalone:
        managed, run_dir = managed_networks(call), known_run_dir(call)
        scopes = []
        for store in known_stores(call):
            scope = reclaim.Scope(store, call.name, run_dir, call.notes)
            scope.is_owned = store.network in managed
            scopes.append(scope)
        return scopes, ""
    network = open_network(call)
    config = network.config
    scope = reclaim.Scope(network.store, network.name, config.run_dir, call.notes)
    scope.is_owned = True
    scope.masquerade = reclaim.render_masquerade(plan.plan_masquerade(config, []))
    scope.spoof_check = config.mac_spoof_check
    return [scope], _foreign_ipam(config)


def _foreign_ipam(config: NetworkConfig) -> str:
    return config.ipam.type if config.ipam and config.ipam.is_foreign else ""


def _delegate(call: Call, name: str, command: bytes) -> None:
    from plugin import delegate

    delegate.call(name, command, call.environ, call.stdin)
