"""Networks that the agent of the node wrote: which one a pod gets, and without it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from plugin.state.node import ANNOTATION, NodeState, render_state

if TYPE_CHECKING:
    from tests.kernel.node import Answer, Namespace, Node

DONE = "Answer(0, '', '')"
ANNOTATIONS = "io.kubernetes.cri.pod-annotations"


def write_state(node: Node, name: str, subnet: str, **attributes: Any) -> None:
    """Write a network as the agent does; its bridge is named after it."""
    config = {
        "bridge": f"br-{name}",
        "isGateway": True,
        "ipam": {
            "type": "pycni",
            "subnet": subnet,
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    state = NodeState(name, config)
    for key, value in attributes.items():
        setattr(state, key, value)
    folder = node.folder / "state" / "networks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(render_state(state))


@pytest.fixture
def networks(node: Node) -> Node:
    """A node with four networks: one default, one of two namespaces, two others."""
    write_state(node, "main", "10.61.0.0/24", is_default=True)
    write_state(node, "team", "10.62.0.0/24", namespaces=["red", "blue"])
    write_state(node, "noted", "10.63.0.0/24")
    write_state(node, "named", "10.64.0.0/24")
    return node


def config(node: Node, **changes: Any) -> dict[str, Any]:
    """The configuration of a conflist: nothing but where the node state lies."""
    keys = {"bridge": None, "isGateway": None, "ipMasq": None, "ipam": None}
    return node.config(**{"name": "pods", "cniVersion": "1.1.0", **keys, **changes})


def kubelet(namespace: str = "default") -> str:
    """CNI_ARGS of a kubelet for a pod of a namespace."""
    return f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME=web"


def message(answer: Answer) -> tuple[int, str]:
    """Code and message of an error."""
    return answer.code, answer.json["msg"]


NOTED = {ANNOTATIONS: {ANNOTATION: "noted"}}


@pytest.mark.parametrize(
    ("changes", "args", "want"),
    [
        ({}, None, "10.61.0.2/24"),
        ({}, kubelet(), "10.61.0.2/24"),
        ({}, kubelet("blue"), "10.62.0.2/24"),
        ({"runtimeConfig": NOTED}, kubelet("blue"), "10.63.0.2/24"),
        ({"RuntimeConfig": NOTED}, kubelet("blue"), "10.63.0.2/24"),
        ({"runtimeConfig": {ANNOTATIONS: {}}}, kubelet("red"), "10.62.0.2/24"),
        (
            {"network": "named", "runtimeConfig": NOTED},
            kubelet("blue"),
            "10.64.0.2/24",
        ),
    ],
    ids=[
        "default",
        "default by kubelet",
        "namespace",
        "annotation",
        "in capitals",
        "no annotation",
        "network",
    ],
)
def test_the_network_is_chosen_in_order(
    networks: Node, changes: dict[str, Any], args: str | None, want: str
) -> None:
    """`network`, then the annotation, the namespace, the default, in this order."""
    pod = networks.pod()

    result = networks.add(config(networks, **changes), "c1", pod, args=args)

    assert [ip["address"] for ip in result["ips"]] == [want]
    assert pod.addresses("eth0") == [want]
    name = result["interfaces"][0]["name"].removeprefix("br-")
    assert networks.leases(name) == [want.partition("/")[0]]
    assert networks.records(name) == ["c1@eth0"]


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"network": "nowhere"}, "network: this node has no network 'nowhere'"),
        (
            {"runtimeConfig": {ANNOTATIONS: {ANNOTATION: "nowhere"}}},
            "annotation pycni.dev/network: this node has no network 'nowhere'",
        ),
    ],
    ids=["network", "annotation"],
)
def test_an_unknown_network_is_code_7(
    networks: Node, changes: dict[str, Any], want: str
) -> None:
    """A network that the node does not have is named, beside those that it has."""
    before = networks.snapshot()

    answer = networks.call("ADD", config(networks, **changes), "c1", networks.pod())

    assert message(answer) == (7, want)
    assert answer.json["details"] == "networks of this node: main, named, noted, team"
    assert networks.snapshot() == before


def test_no_network_for_a_namespace_is_code_7(node: Node) -> None:
    """Without a default, a pod of another namespace is refused with its name."""
    write_state(node, "team", "10.62.0.0/24", namespaces=["red"])

    answer = node.call("ADD", config(node), "c1", node.pod(), args=kubelet("green"))

    assert message(answer) == (
        7,
        "no network is the default, and none is for namespace 'green'",
    )


@pytest.mark.parametrize("folder", ["nothing", "networks", "a temporary file"])
def test_no_node_state_is_code_11_and_status_50(node: Node, folder: str) -> None:
    """Before the agent wrote a network ADD says try again, and STATUS why (F7, J2)."""
    networks = node.folder / "state" / "networks"
    if folder != "nothing":
        networks.mkdir(parents=True)
    if folder == "a temporary file":
        (networks / ".17.1.tmp").write_bytes(b"{")
    before = node.snapshot()
    sentence = (
        f"no network in {networks}: the agent of this node has not written one yet"
    )

    assert message(node.call("ADD", config(node), "c1", node.pod())) == (11, sentence)
    assert message(node.call("STATUS", config(node))) == (50, sentence)
    assert repr(node.call("DEL", config(node), "c1")) == DONE
    empty: dict[str, Any] = {"cni.dev/valid-attachments": []}
    assert repr(node.call("GC", config(node, **empty))) == DONE
    assert node.snapshot() == before


def attach(node: Node, container_id: str = "c1", **changes: Any) -> Namespace:
    """A pod that is attached."""
    pod = node.pod()
    node.add(config(node, **changes), container_id, pod)
    return pod


@pytest.mark.parametrize("args", [None, kubelet()], ids=["runtime", "kubelet"])
@pytest.mark.parametrize("lost", ["networks", "the network", "all"])
def test_del_works_after_the_node_state_is_gone(
    networks: Node, lost: str, args: str | None
) -> None:
    """DEL finds a pod by its container id, whatever the agent removed (B5)."""
    pod = attach(networks)
    state = networks.folder / "state"
    if lost == "the network":
        (state / "networks" / "main.json").unlink()
    else:
        shutil.rmtree(state if lost == "all" else state / "networks")

    answer = networks.call("DEL", config(networks), "c1", pod, args=args)

    assert repr(answer) == DONE
    assert (networks.leases("main"), networks.records("main")) == ([], [])
    in_use = [n for n, link in networks.links().items() if "master" in link]
    assert in_use == []


def test_del_finds_the_network_that_the_pod_had(networks: Node) -> None:
    """DEL does not ask again which network is a pod's: it may be another by now."""
    pod = attach(networks, network="named")
    other = attach(networks, "c2", network="main")

    answer = networks.call("DEL", config(networks, network="main"), "c1", pod)

    assert repr(answer) == DONE
    assert (networks.leases("named"), networks.leases("main")) == ([], ["10.61.0.2"])
    assert other.ping("10.61.0.1")


def test_the_bridge_stays_after_the_last_pod(networks: Node) -> None:
    """What the agent looks after stays when a network has no pod left."""
    pod = attach(networks)

    networks.call("DEL", config(networks), "c1", pod)

    assert sorted(networks.links()) == ["br-main", "lo"]
    assert networks.addresses("br-main") == ["10.61.0.1/24"]


@pytest.mark.parametrize("state", ["there", "gone"])
def test_gc_undoes_what_is_not_valid_in_every_network(
    networks: Node, state: str
) -> None:
    """GC keeps the listed attachments of all networks, with node state or without."""
    kept = attach(networks, "kept", network="team")
    for name in ("main", "team", "named"):
        attach(networks, f"lost-{name}", network=name)
    if state == "gone":
        shutil.rmtree(networks.folder / "state")
    valid = [{"containerID": "kept", "ifname": "eth0"}]

    answer = networks.call(
        "GC", config(networks, **{"cni.dev/valid-attachments": valid})
    )

    assert repr(answer) == DONE
    records = {name: networks.records(name) for name in ("main", "team", "named")}
    assert records == {"main": [], "team": ["kept@eth0"], "named": []}
    assert networks.leases("team") == ["10.62.0.2"]
    assert kept.ping("10.62.0.1")


def test_gc_of_one_configuration_leaves_the_pods_of_another(networks: Node) -> None:
    """Two configurations can share a network: GC of one is about its own pods (GC1)."""
    mine = attach(networks, "mine")
    others = attach(networks, "others", name="more-pods")

    answer = networks.call("GC", config(networks, **{"cni.dev/valid-attachments": []}))

    assert repr(answer) == DONE
    assert networks.records("main") == ["others@eth0"]
    assert (sorted(mine.links()), others.ping("10.61.0.1")) == (["lo"], True)


def test_check_and_status_in_node_state_mode(networks: Node) -> None:
    """CHECK compares with the chosen network, STATUS with what it has left (CK2)."""
    pod = networks.pod()
    document = config(networks)
    result = networks.add(document, "c1", pod)
    checked = {**document, "prevResult": result}

    assert repr(networks.call("CHECK", checked, "c1", pod)) == DONE
    assert repr(networks.call("STATUS", document)) == DONE
    networks.run("ip", "link", "delete", "br-main")
    assert message(networks.call("STATUS", document)) == (
        51,
        "pods of network main may be cut off: bridge br-main is gone",
    )
    code, text = message(networks.call("CHECK", checked, "c1", pod))
    assert (code, "bridge br-main is gone" in text) == (107, True)


def test_check_of_a_pod_that_was_never_added_is_code_3(networks: Node) -> None:
    """CHECK of an unknown container names it and its network."""
    document = {**config(networks), "prevResult": {"cniVersion": "1.1.0"}}

    answer = networks.call("CHECK", document, "c9", networks.pod())

    assert message(answer) == (3, "eth0 of c9 is not attached to network main")


def test_a_full_network_is_status_50(node: Node) -> None:
    """STATUS tells of the network that a pod would get (ST3)."""
    write_state(node, "main", "10.61.0.0/30", is_default=True)
    attach(node)

    sentence = (
        "failed to allocate for range 0: no IP addresses available in range set: "
        "10.61.0.1-10.61.0.2"
    )
    assert message(node.call("STATUS", config(node))) == (50, sentence)
    assert message(node.call("ADD", config(node), "c2", node.pod())) == (101, sentence)


DAMAGE = {
    "empty": b"",
    "half": b'{"version":1,"na',
    "a list": b"[]",
    "no config": b'{"version":1,"reads":1,"name":"main"}',
    "config a list": b'{"name":"main","config":[]}',
    "newer": b'{"version":9,"reads":9,"name":"main","config":{}}',
    "reads a word": b'{"reads":"new","name":"main","config":{}}',
    "name a path": b'{"name":"../../x","default":true,"config":{}}',
    "no name": b'{"default":true,"config":{}}',
    "namespaces a number": b'{"name":"main","namespaces":5,"config":{}}',
    "no UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_node_state_is_code_102(networks: Node, kind: str) -> None:
    """A file that can't be read is named; ADD makes nothing, DEL still works (J2)."""
    pod = attach(networks)
    path = networks.folder / "state" / "networks" / "main.json"
    path.write_bytes(DAMAGE[kind])
    before = networks.snapshot()
    sentence = f"the node state {path} can't be read"

    added = networks.call("ADD", config(networks), "c2", networks.pod())

    assert message(added) == (102, sentence)
    assert added.json["details"]
    assert message(networks.call("STATUS", config(networks))) == (50, sentence)
    assert networks.snapshot() == before
    assert repr(networks.call("DEL", config(networks), "c1", pod)) == DONE
    assert networks.records("main") == []


def test_a_state_file_that_a_newer_agent_wrote_is_read(node: Node) -> None:
    """Keys that this plugin does not know are ignored while `reads` fits (CF5)."""
    write_state(node, "main", "10.61.0.0/24", is_default=True)
    path = node.folder / "state" / "networks" / "main.json"
    newer = {**json.loads(path.read_bytes()), "version": 7, "color": "red"}
    path.write_text(json.dumps(newer))

    attach(node)

    assert node.leases("main") == ["10.61.0.2"]
