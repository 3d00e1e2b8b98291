"""One call: what came in, and the network that it is about.

Reads the node state where the configuration does not hold everything itself.
"""

from __future__ import annotations

from plugin import errors
from plugin.config import NetworkConfig, parse_config, parse_header
from plugin.errors import CNIError
from plugin.fields import is_absolute, member
from plugin.state import files, node
from plugin.state.leases import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from plugin.protocol import Request

ANNOTATIONS = "io.kubernetes.cri.pod-annotations"
_VALID = "cni.dev/valid-attachments"
_VALID_OLDER = "cni.dev/attachments"


class Call:
    """The request, its configuration as sent, and under which name we were called."""

    __slots__ = (
        "document",
        "environ",
        "name",
        "notes",
        "personality",
        "request",
        "stdin",
        "version",
    )

    def __init__(
        self,
        environ: Mapping[bytes, bytes],
        request: Request,
        personality: str,
        document: dict[str, Any],
        stdin: bytes,
    ) -> None:
        self.environ = environ
        self.request = request
        self.personality = personality
        self.document = document
        self.name, self.version = parse_header(document)
        self.stdin = stdin
        # Sentences for the log.
        self.notes: list[str] = []

    @property
    def is_standalone(self) -> bool:
        """Whether the configuration holds everything, as for the reference bridge."""
        has_ipam = member(self.document, "ipam") is not None
        return self.personality == "bridge" or has_ipam


class Network:
    """A network: its name, its configuration, its store."""

    __slots__ = ("config", "managed", "name", "store")

    def __init__(self, name: str, config: NetworkConfig, managed: bool) -> None:
        self.name = name
        self.config = config
        # The agent looks after bridge and ruleset, also when no pod is left.
        self.managed = managed
        base = config.run_dir
        if not managed and config.ipam is not None and not config.ipam.is_foreign:
            base = config.ipam.data_dir or base
        self.store = Store(f"{base}/{name}")


def open_network(call: Call) -> Network:
    """The network of a call, its configuration checked."""
    if call.is_standalone:
        layer2 = call.personality == "bridge"
        config = parse_config(call.document, call.request.args, layer2)
        return Network(config.name, config, managed=False)
    document = call.document
    states = node.read_states(_folder(document, "stateDir", "/var/lib/pycni"))
    annotations = member(member(document, "runtimeConfig"), ANNOTATIONS)
    state = node.choose(
        states,
        _text(member(document, "network")),
        _text(member(annotations, node.ANNOTATION)),
        call.request.args.get("K8S_POD_NAMESPACE", ""),
    )
    merged = {**document, **state.config}
    config = parse_config(merged, call.request.args, layer2_by_default=True)
    return Network(state.name, config, managed=True)


def known_stores(call: Call) -> list[Store]:
    """The stores of all networks whose attachments lie below the run folder.

    What DEL and GC need: it holds even when the node state is gone (B5).
    """
    run_dir = known_run_dir(call)
    return [
        Store(f"{run_dir}/{name}")
        for name in sorted(files.names(run_dir))
        if files.exists(f"{run_dir}/{name}/attachments")
    ]


def managed_networks(call: Call) -> set[str]:
    """The networks that the agent manages on this node; none if that can't be read."""
    try:
        states = node.read_states(_folder(call.document, "stateDir", "/var/lib/pycni"))
    except (CNIError, OSError):
        return set()
    return {state.name for state in states}


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


def known_run_dir(call: Call) -> str:
    """The run folder that the configuration names, else the default."""
    return _folder(call.document, "runDir", "/run/pycni")


def _folder(document: dict[str, Any], key: str, default: str) -> str:
    path = _text(member(document, key)) or default
    if not is_absolute(path):
        raise CNIError(
            errors.INVALID_CONFIGURATION, f"{key}: {path!r} is not an absolute path"
        )
    return path


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
