"""Hostile callers, neighbours and names: nothing hangs, dies half-way or takes what is
another's."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from plugin.dataplane.naming import host_name
from tests.kernel.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.node import Answer, Namespace, Node

VALID = "cni.dev/valid-attachments"


def ports(node: Node) -> list[str]:
    """The host ends of all attachments."""
    return [name for name in node.links() if name.startswith("veth")]


def elements_of(node: Node, name: str) -> list[str]:
    """The elements of a set of our table, sorted."""
    listing = node.run("nft", "list", "set", "inet", "pycni", name)
    elements = listing.partition("elements = {")[2].partition("}")[0]
    return sorted(element.strip() for element in elements.split(","))


def call_in_shell(node: Node, script: str, pod: Namespace) -> int:
    """ADD of c1 by a shell line that has `$PLUGIN` and `$CONFIG`, and as stdout a pipe
    that nobody reads; its exit code."""
    config = node.folder / "config.json"
    config.write_text(json.dumps(node.config()))
    environ = {
        **{"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0"},
        **{"CNI_NETNS": pod.path, "PATH": os.environ["PATH"]},
        **{"PLUGIN": str(node.plugin), "CONFIG": str(config)},
    }
    command = ["nsenter", f"--net={node.path}", "bash", "-c", script]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command, env=environ, stdout=writer, check=False, timeout=60
        )
    finally:
        os.close(writer)
    return done.returncode


BROKEN_OUTPUTS = {
    "nobody reads": '"$PLUGIN" <"$CONFIG"',
    "full": '"$PLUGIN" <"$CONFIG" >/dev/full',
    "closed": '"$PLUGIN" <"$CONFIG" >&-',
    "only stdin is open": '"$PLUGIN" <"$CONFIG" >&- 2>&-',
}


@pytest.mark.parametrize("script", BROKEN_OUTPUTS.values(), ids=BROKEN_OUTPUTS)
def test_add_that_cannot_tell_its_result_is_taken_back(node: Node, script: str) -> None:
    """An ADD whose stdout can't be written fails, and leaves nothing (AD6, B8)."""
    pod = node.pod()

    assert call_in_shell(node, script, pod) == 1

    assert list(pod.links()) == ["lo"]
    assert (ports(node), node.leases(), node.records()) == ([], [], [])
    assert node.log_lines()[-1]["code"] == 5


def test_closed_descriptors_are_no_fault_of_ours(node: Node) -> None:
    """A call with nowhere to say what it is ends well (B9)."""
    script = 'env -u CNI_COMMAND "$PLUGIN" <&- >&- 2>&-'

    assert call_in_shell(node, script, node.pod()) == 0


def test_gc_of_node_state_leaves_a_standalone_network_alone(node: Node) -> None:
    """GC of a configuration for the networks of node state takes nothing of a network
    that has a configuration of its own beside it (GC1)."""
    blue = node.config(cniVersion="1.1.0")
    folder = node.folder / "state" / "networks"
    folder.mkdir(parents=True)
    red = {"bridge": "pyc1", "ipam": {"type": "host-local", "subnet": "10.61.0.0/24"}}
    state = {"version": 1, "name": "red", "default": True, "config": red}
    (folder / "red.json").write_text(json.dumps(state))
    managed = node.config(cniVersion="1.1.0", name="pycni", ipam=None)
    node.add(blue, "c1", node.pod())
    node.add(blue, "c2", node.pod())
    (node.run_dir / "blue" / "attachments" / "c2@eth0").unlink()
    node.add(managed, "d1", node.pod())

    answer = node.call("GC", {**managed, VALID: []})

    assert answer.exit_code == 0, answer
    assert (node.records("red"), node.leases("red")) == ([], [])
    assert node.records("blue") == ["c1@eth0"]
    assert node.leases("blue") == ["10.60.0.2", "10.60.0.3"]
    names = [host_name("blue", name, "eth0") for name in ("c1", "c2")]
    assert sorted(ports(node)) == sorted(names)


def test_names_too_long_for_an_alias_are_deleted_all_the_same(node: Node) -> None:
    """An attachment whose names do not fit into an alias is seen, and deleted (B1)."""
    config, pod, container_id = node.config(name="n" * 150), node.pod(), "c" * 150
    node.add(config, container_id, pod)

    assert node.call("ADD", config, container_id, pod).code == 106
    (node.run_dir / config["name"] / "attachments" / f"{container_id}@eth0").unlink()
    assert node.call("DEL", config, container_id, pod).exit_code == 0
    assert (ports(node), list(pod.links())) == ([], ["lo"])
    assert node.leases(config["name"]) == []


@pytest.mark.parametrize(
    ("ifname", "bridge", "code"), [("eth%d", "pyc0", 4), ("eth0", "pyc%d", 7)]
)
def test_patterns_are_no_names(node: Node, ifname: str, bridge: str, code: int) -> None:
    """A name with '%', of which the kernel would make another, is refused (C5)."""
    answer = node.call(
        "ADD", node.config(bridge=bridge), "c1", node.pod(), ifname=ifname
    )

    assert (answer.code, list(node.links())) == (code, ["lo"])


def test_a_thousand_routes_and_exceptions(node: Node) -> None:
    """More requests than a socket holds answers for are no trouble (L4)."""
    routes = [{"dst": f"20.{i // 256}.{i % 256}.0/24"} for i in range(1000)]
    config = node.config(
        ipam={"type": "host-local", "subnet": "10.60.0.0/24", "routes": routes},
        ipMasqExceptCIDRs=[route["dst"] for route in routes],
    )
    pod = node.pod()

    node.add(config, "c1", pod)

    assert len(pod.routes()) == 1001
    assert node.ruleset().count("10.60.0.0/24 . 20.") == 1000


def test_a_subnet_that_grows_is_masqueraded_whole(node: Node) -> None:
    """A configuration whose subnet and exception grow while pods live masquerades the
    larger one, and excepts the larger one (B5)."""

    def config(length: int, excepted: str) -> dict[str, Any]:
        ipam = {"type": "host-local", "subnet": f"10.60.0.0/{length}"}
        return node.config(ipam=ipam, isGateway=False, ipMasqExceptCIDRs=[excepted])

    node.add(config(24, "10.0.0.0/16"), "c1", node.pod())
    node.add(config(16, "10.0.0.0/12"), "c2", node.pod())
    node.add(config(24, "10.0.0.0/16"), "c3", node.pod())

    assert elements_of(node, "masquerade4") == ["10.60.0.0/16"]
    assert elements_of(node, "exempt4") == [
        "10.60.0.0/16 . 10.0.0.0/12",
        "10.60.0.0/16 . 10.60.0.0/16",
        "10.60.0.0/16 . 224.0.0.0/4",
    ]


def test_a_failed_add_leaves_the_bridge_to_another_network(node: Node) -> None:
    """An ADD that made the bridge and fails leaves it, with its address, to a pod of
    another network that came in between (B2)."""
    first = node.config(name="first", ipMasq=False)
    ipam = {"type": "host-local", "subnet": "10.60.0.0/24", "rangeStart": "10.60.0.9"}
    second, pod = node.config(name="second", ipMasq=False, ipam=ipam), node.pod()
    # As it enters the pod, all else is there.
    fault = "inject=setns:error=EIO:delay_enter=1500000:when=1"
    process = node.start(
        "ADD",
        netns=node.pod(),
        wrapper=("strace", "-o", "/dev/null", "-e", "trace=setns", "-e", fault),
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(first).encode())
    process.stdin.close()
    process.stdin = None
    wait_until(lambda: len(ports(node)) == 1)

    node.add(second, "c2", pod)
    process.communicate(timeout=60)

    assert process.returncode == 1
    assert ports(node) == [host_name("second", "c2", "eth0")]
    assert pod.ping("10.60.0.1")


FOREIGN = {"of another kind": ("bridge",), "with another's alias": ("veth",)}


@pytest.mark.parametrize("kind", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_link_of_our_name_stays(node: Node, kind: tuple[str]) -> None:
    """A link that has the host end's name and is not ours makes ADD fail, and is left
    as it is by ADD, DEL and GC (B8)."""
    config, pod = node.config(cniVersion="1.1.0", hairpinMode=True), node.pod()
    name = host_name("blue", "c1", "eth0")
    node.run("ip", "link", "add", "other", "type", "bridge")
    node.run("ip", "link", "add", name, "type", *kind)
    if kind == ("veth",):
        node.run("ip", "link", "set", name, "alias", "mine", "master", "other")
    before = node.ip("link", "show", name)

    answers: list[Answer] = [node.call("ADD", config, "c1", pod)]
    answers.append(node.call("DEL", config, "c1", pod))
    answers.append(node.call("GC", {**config, VALID: []}))

    assert [answer.code for answer in answers] == [100, 0, 0]
    assert node.ip("link", "show", name) == before
    assert (node.leases(), node.records()) == ([], [])


DAMAGES: dict[str, dict[str, Any]] = {
    "of another container": {"container_id": "c2"},
    "with a name that is none": {"veth": "v" * 40},
    "with a MAC that is none": {"mac": "zz"},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_record_that_is_not_right_counts_as_damaged(
    node: Node, damage: dict[str, Any]
) -> None:
    """CHECK and DEL of an attachment whose record says what can't be go by its name,
    and leave others alone (B5)."""
    config, pod = node.config(cniVersion="1.1.0", macspoofchk=True), node.pod()
    result = node.add(config, "c1", pod)
    node.add(config, "c2", node.pod())
    record = node.run_dir / "blue" / "attachments" / "c1@eth0"
    record.write_text(json.dumps({**json.loads(record.read_text()), **damage}))

    checked = node.call("CHECK", {**config, "prevResult": result}, "c1", pod)
    deleted = node.call("DEL", config, "c1", pod)

    assert (checked.code, deleted.code) == (0, 0), (checked, deleted)
    assert (node.records(), node.leases()) == (["c2@eth0"], ["10.60.0.3"])
    assert ports(node) == [host_name("blue", "c2", "eth0")]
    assert host_name("blue", "c1", "eth0") not in node.ruleset()


def test_a_fifo_holds_nobody_up(node: Node, tmp_path: Path) -> None:
    """A FIFO without its other end, as log, resolv.conf or namespace, does not make a
    call wait (F18)."""
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    ipam = {"type": "host-local", "subnet": "10.60.0.0/24", "resolvConf": fifo}
    config = node.config(logFile=fifo, ipam=ipam)

    assert node.call("ADD", config, "c1", node.pod()).code == 0
    assert node.call("ADD", config, "c2", fifo).code == 4


def test_a_network_may_have_the_name_of_our_lock(node: Node) -> None:
    """No name of a network is in the way of another network (C5)."""
    config = node.config(name="dataplane.lock", ipMasq=False)

    node.add(config, "c1", node.pod())
    node.add(node.config(bridge="pyc1"), "c2", node.pod())


PLUGINS = {
    "reads last": "yes '' | head -c 300000; cat >/dev/null",
    "reads nothing": "exec <&-",
}


@pytest.mark.parametrize("script", PLUGINS.values(), ids=PLUGINS)
def test_an_ipam_plugin_may_read_when_it_likes(node: Node, script: str) -> None:
    """When an IPAM plugin reads its stdin, and whether, stops neither side (DG1)."""
    plugin = node.folder / "plugins" / "odd"
    plugin.parent.mkdir()
    answer = '{"cniVersion":"1.0.0","ips":[{"address":"10.60.0.9/24"}]}'
    plugin.write_text(f"#!/bin/bash\n{script}\necho '{answer}'\n")
    plugin.chmod(0o755)
    config = node.config(ipam={"type": "odd"}, filler="x" * 300_000)

    result = node.add(config, "c1", node.pod(), CNI_PATH=str(plugin.parent))

    assert [ip["address"] for ip in result["ips"]] == ["10.60.0.9/24"]
