"""Node state: the networks of this node, written by the agent, read by the plugin.

One file a network, `NETWORK.json`, with a schema version and, under `config`, the
very keys of a network configuration, so that there is one reader for both. Never
decides which network a pod gets beyond the order stated at `choose`.
"""

from __future__ import annotations

from plugin import errors, jsonio
from plugin.errors import CNIError
from plugin.protocol import is_name
from plugin.state import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A reader takes any file whose `reads` is not newer than this.
SCHEMA_VERSION = 1
ANNOTATION = "pycni.dev/network"


class NodeState:
    """One network as the agent wants it on this node."""

    __slots__ = ("config", "is_default", "name", "namespaces")

    def __init__(self, name: str, config: dict[str, Any]) -> None:
        self.name = name
        self.config = config
        self.is_default = False
        # Namespaces whose pods use this network.
        self.namespaces: list[str] = []


def folder_of(state_dir: str) -> str:
    """Where the files lie."""
    return f"{state_dir}/networks"


def render_state(state: NodeState) -> bytes:
    """The file of one network."""
    return jsonio.dumps(
        {
            "version": SCHEMA_VERSION,
            "reads": SCHEMA_VERSION,
            "name": state.name,
            "default": state.is_default,
            "namespaces": state.namespaces,
            "config": state.config,
        }
    ).encode()


def parse_state(data: bytes) -> NodeState:
    """A network from its file; ValueError says what is wrong with it."""
    document = jsonio.loads(data)
    if not isinstance(document, dict) or type(document.get("config")) is not dict:
        raise ValueError("not the state of a network")
    reads = document.get("reads", SCHEMA_VERSION)
    if type(reads) is not int or reads > SCHEMA_VERSION:
        raise ValueError(f"it needs a plugin that reads schema version {reads}")
    name = document.get("name")
    # A part of the path of its store.
    if not isinstance(name, str) or not is_name(name):
        raise ValueError(f"name: {name!r} is not the name of a network")
    namespaces = document.get("namespaces", [])
    if not isinstance(namespaces, list):
        raise ValueError(f"namespaces: {namespaces!r} is no list")
    state = NodeState(name, document["config"])
    state.is_default = document.get("default") is True
    state.namespaces = namespaces
    return state


def read_states(state_dir: str) -> list[NodeState]:
    """All networks of the node; CNIError if there is none, or one can't be read."""
    folder = folder_of(state_dir)
    states = []
    for name in sorted(files.names(folder)):
        if not name.endswith(".json"):
            continue
        data = files.read(f"{folder}/{name}")
        try:
            states.append(parse_state(data or b""))
        except ValueError as error:
            raise CNIError(
                errors.NODE_STATE_MISSING,
                f"the node state {folder}/{name} can't be read",
                str(error),
            ) from None
    if not states:
        raise CNIError(
            errors.TRY_AGAIN_LATER,
            f"no network in {folder}: the agent of this node has not written one yet",
        )
    return states


def choose(
    states: list[NodeState], wanted: str, annotation: str, namespace: str
) -> NodeState:
    """The network of a pod: `network` of the configuration, the pod's annotation, the
    networks of its namespace, the default network; in this order."""
    for source, name in (
        ("network", wanted),
        (f"annotation {ANNOTATION}", annotation),
    ):
        if name:
            for state in states:
                if state.name == name:
                    return state
            known = ", ".join([state.name for state in states])
            raise CNIError(
                errors.INVALID_CONFIGURATION,
                f"{source}: this node has no network {name!r}",
                f"networks of this node: {known}",
            )
    for state in states:
        if namespace and namespace in state.namespaces:
            return state
    for state in states:
        if state.is_default:
            return state
    raise CNIError(
        errors.INVALID_CONFIGURATION,
        f"no network is the default, and none is for namespace {namespace!r}",
    )
