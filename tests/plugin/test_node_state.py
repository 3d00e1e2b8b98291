"""Node state: what the agent writes, the plugin reads, and which network it means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from plugin.call import (
    Call,
    known_run_dir,
    known_stores,
    managed_networks,
    open_network,
)
from plugin.errors import CNIError
from plugin.protocol import parse_request
from plugin.state import node
from plugin.state.node import NodeState

if TYPE_CHECKING:
    from tests.plugin.fakes import Runtime

NEEDS = "it needs a plugin that reads schema version"
RANGE = {"type": "host-local", "ranges": [[{"subnet": "10.60.0.0/24"}]]}


def state_of(name: str, **config: Any) -> NodeState:
    """A network of a node."""
    return NodeState(name, {"bridge": f"br-{name}", "ipam": RANGE, **config})


def write(runtime: Runtime, *states: NodeState) -> None:
    """Write networks as the agent does."""
    folder = runtime.folder / "state" / "networks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a-note.txt").touch()
    for state in states:
        (folder / f"{state.name}.json").write_bytes(node.render_state(state))


def call_of(
    runtime: Runtime, args: str = "", called_as: str = "pycni", **changes: Any
) -> Call:
    """A call of the plugin with the conflist's configuration: no ipam of its own."""
    environ = {"CNI_COMMAND": "STATUS", "CNI_ARGS": args}
    config = runtime.config(**{"ipam": None, "bridge": None, **changes})
    return Call({}, parse_request(environ), called_as, config, b"")


def test_a_network_comes_back() -> None:
    """A network is read as it was written, with version and defaults (rule 2)."""
    state = state_of("blue")
    state.is_default, state.namespaces = True, ["shop", "bank"]

    data = node.render_state(state)
    read = node.parse_state(data)

    assert json.loads(data) == {
        "version": 1,
        "reads": 1,
        "name": "blue",
        "default": True,
        "namespaces": ["shop", "bank"],
        "config": {"bridge": "br-blue", "ipam": RANGE},
    }
    assert {key: getattr(read, key) for key in NodeState.__slots__} == {
        key: getattr(state, key) for key in NodeState.__slots__
    }


def test_a_newer_file_is_read_if_it_says_so() -> None:
    """A file of a newer schema that this one can read is read."""
    data = b'{"version": 7, "reads": 1, "name": "blue", "new": 5, "config": {}}'

    assert node.parse_state(data).name == "blue"


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"", "line 1 column 1: the text ends early"),
        (b"[]", "not the state of a network"),
        (b'{"name": "blue"}', "not the state of a network"),
        (b'{"config": {}, "reads": 2}', f"{NEEDS} 2"),
        (b'{"config": {}, "reads": "1"}', f"{NEEDS} 1"),
        (b'{"config": {}}', "name: None is not the name of a network"),
        (b'{"config": {}, "name": "/"}', "name: '/' is not the name of a network"),
        (b'{"config": {}, "name": "a", "namespaces": 5}', "namespaces: 5 is no list"),
    ],
    ids=range(8),
)
def test_a_damaged_file_is_code_102(runtime: Runtime, data: bytes, want: str) -> None:
    """A file that can't be read is code 102 with its path and the reason (B5)."""
    write(runtime, state_of("blue"))
    path = runtime.folder / "state" / "networks" / "red.json"
    path.write_bytes(data)

    with pytest.raises(CNIError) as caught:
        open_network(call_of(runtime))

    error = caught.value
    assert (error.code, error.details) == (102, want)
    assert error.message == f"the node state {path} can't be read"


def test_a_node_without_networks(runtime: Runtime) -> None:
    """Before the agent has written a network, ADD is code 11 (F7)."""
    folder = runtime.folder / "state" / "networks"
    folder.mkdir(parents=True)
    (folder / "note.txt").touch()

    with pytest.raises(CNIError) as caught:
        open_network(call_of(runtime))

    assert (caught.value.code, caught.value.message) == (
        11,
        f"no network in {folder}: the agent of this node has not written one yet",
    )


BLUE, RED, SHOP = state_of("blue"), state_of("red"), state_of("shop")
RED.is_default = True
SHOP.namespaces = ["shop"]
ALL = [BLUE, RED, SHOP]


@pytest.mark.parametrize(
    ("wanted", "annotation", "namespace", "want"),
    [
        ("blue", "red", "shop", BLUE),
        ("", "blue", "shop", BLUE),
        ("", "", "shop", SHOP),
        ("", "", "bank", RED),
        ("", "", "", RED),
    ],
)
def test_the_network_of_a_pod(
    wanted: str, annotation: str, namespace: str, want: NodeState
) -> None:
    """Configuration, annotation, namespace and default count in this order."""
    assert node.choose(ALL, wanted, annotation, namespace) is want


@pytest.mark.parametrize(
    ("states", "wanted", "annotation", "message", "details"),
    [
        (
            ALL,
            "green",
            "",
            "network: this node has no network 'green'",
            "blue, red, shop",
        ),
        (
            [BLUE],
            "",
            "green",
            "annotation pycni.dev/network: this node has no network 'green'",
            "blue",
        ),
        (
            [BLUE, SHOP],
            "",
            "",
            "no network is the default, and none is for namespace 'bank'",
            "",
        ),
    ],
)
def test_a_network_that_the_node_lacks(
    states: list[NodeState], wanted: str, annotation: str, message: str, details: str
) -> None:
    """A network that is not there is code 7, with those that are."""
    with pytest.raises(CNIError) as caught:
        node.choose(states, wanted, annotation, "bank")

    error = caught.value
    assert (error.code, error.message) == (7, message)
    assert error.details == (details and f"networks of this node: {details}")


@pytest.mark.parametrize(
    ("args", "changes", "want"),
    [
        ("", {}, "red"),
        ("K8S_POD_NAMESPACE=shop", {}, "shop"),
        ("", {"network": "blue"}, "blue"),
        (
            "",
            {
                "capabilities": {"io.kubernetes.cri.pod-annotations": True},
                "runtimeConfig": {
                    "io.kubernetes.cri.pod-annotations": {"pycni.dev/network": "blue"}
                },
            },
            "blue",
        ),
    ],
)
def test_a_call_finds_its_network(
    runtime: Runtime, args: str, changes: dict[str, Any], want: str
) -> None:
    """The configuration of a call is that of its network, its store too (CO1)."""
    write(runtime, *ALL)

    network = open_network(call_of(runtime, args, **changes))

    assert (network.name, network.managed) == (want, True)
    assert network.config.bridge == f"br-{want}"
    assert network.store.folder == f"{runtime.folder}/run/{want}"


def test_a_configuration_with_ipam_stands_for_itself(runtime: Runtime) -> None:
    """With `ipam`, or as the bridge, a configuration needs no node state (B18)."""
    own = {"type": "host-local", "subnet": "10.60.0.0/24"}
    elsewhere = {**own, "dataDir": "/data"}
    run = f"{runtime.folder}/run"

    for called_as, ipam, folder in (
        ("pycni", own, f"{run}/blue"),
        ("pycni", elsewhere, "/data/blue"),
        ("pycni", {}, f"{run}/blue"),
        ("pycni", {"type": "dhcp", "dataDir": "/data"}, f"{run}/blue"),
        ("bridge", None, f"{run}/blue"),
    ):
        network = open_network(call_of(runtime, called_as=called_as, ipam=ipam))
        assert (network.managed, network.store.folder) == (False, folder)


def test_the_stores_below_the_run_folder(runtime: Runtime) -> None:
    """Without node state the stores that have records are found by looking (B5)."""
    for name in ("blue", "red"):
        (runtime.folder / "run" / name / "attachments").mkdir(parents=True)
    (runtime.folder / "run" / "other").mkdir()

    stores = known_stores(call_of(runtime))

    assert [store.folder for store in stores] == [
        f"{runtime.folder}/run/{name}" for name in ("blue", "red")
    ]


@pytest.mark.parametrize("content", [None, "{"])
def test_networks_that_the_agent_manages(runtime: Runtime, content: str | None) -> None:
    """Node state that is missing or can't be read names no network (B5)."""
    folder = runtime.folder / "state" / "networks"
    if content:
        folder.mkdir(parents=True)
        (folder / "blue.json").write_text(content)

    assert managed_networks(call_of(runtime)) == set()
    write(runtime, BLUE, RED)
    assert managed_networks(call_of(runtime)) == {"blue", "red"}


def test_folders_have_defaults(runtime: Runtime) -> None:
    """A configuration that names no run folder has the default one."""
    assert known_run_dir(call_of(runtime, runDir=None)) == "/run/pycni"


@pytest.mark.parametrize("path", ["run", "./run", "/a\0b"])
def test_a_folder_that_is_no_absolute_path(runtime: Runtime, path: str) -> None:
    """A folder that depends on where the plugin is started is code 7."""
    for read in (lambda: known_run_dir(call_of(runtime, runDir=path)),
                 lambda: open_network(call_of(runtime, stateDir=path))):  # fmt: skip
        with pytest.raises(CNIError) as caught:
            read()
        assert caught.value.code == 7
        assert caught.value.message.endswith(f": {path!r} is not an absolute path")
