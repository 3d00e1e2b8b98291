"""Statements of the specification that need a kernel, on one real node."""

from __future__ import annotations

import fcntl
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.waiting import feed, lock_waiters, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.node import Node

VALID = "cni.dev/valid-attachments"
VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]


def _interfaces(node: Node, path: str, mtu: dict[str, int]) -> list[dict[str, Any]]:
    """What the result lists, seen from the kernel."""
    links = node.links()
    port = next(name for name in links if name.startswith("veth"))
    pod = node.pods[0].links()["eth0"]
    return [
        {"name": "pyc0", "mac": links["pyc0"]["address"], **mtu},
        {"name": port, "mac": links[port]["address"], **mtu},
        {"name": "eth0", "mac": pod["address"], **mtu, "sandbox": path},
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_result_has_the_shape_of_its_version(node: Node, version: str) -> None:
    """ADD answers in the version that it was asked in (RF1 to RF4, AD1, AD4, CV8)."""
    pod = node.pod()

    result = node.add(node.config(cniVersion=version), "c1", pod)

    dns: dict[str, Any] = {} if version >= "1" else {"dns": {}}
    route = {"dst": "0.0.0.0/0"}
    if version < "0.3":
        family = {"ip": "10.60.0.2/24", "gateway": "10.60.0.1", "routes": [route]}
        assert result == {"cniVersion": version, "ip4": family, "dns": {}}
        return
    ip = {"interface": 2, "address": "10.60.0.2/24", "gateway": "10.60.0.1"}
    assert result == {
        "cniVersion": version,
        "interfaces": _interfaces(
            node, pod.path, {"mtu": 1500} if version == "1.1.0" else {}
        ),
        "ips": [{"version": "4", **ip} if version < "1" else ip],
        "routes": [route],
        **dns,
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("previous", [True, False])
def test_del_works_in_every_version(node: Node, version: str, previous: bool) -> None:
    """DEL takes all back in every version, with a prevResult or without (DE4, DE5)."""
    config, pod = node.config(cniVersion=version), node.pod()
    result = node.add(config, "c1", pod)
    if previous:
        config["prevResult"] = result

    answer = node.call("DEL", config, "c1", pod)

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert sorted(node.links()) == ["lo", "pyc0"]
    assert list(pod.links()) == ["lo"]
    assert node.leases() == []
    assert node.records() == []
    assert node.ruleset() == ""


@pytest.mark.parametrize("change", [{}, {"ips": []}, {"interfaces": [], "ips": []}])
def test_del_does_not_lean_on_the_rest_of_the_chain(
    node: Node, change: dict[str, Any]
) -> None:
    """DEL takes all back though later plugins changed the result or the pod (DE5)."""
    config, pod = node.config(), node.pod()
    result = node.add(config, "c1", pod)
    pod.run("ip", "address", "flush", "dev", "eth0")
    pod.run("ip", "link", "set", "eth0", "down")

    answer = node.call("DEL", {**config, "prevResult": {**result, **change}}, "c1", pod)

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert sorted(node.links()) == ["lo", "pyc0"]
    assert node.leases() == []


def test_a_namespace_may_be_any_path(node: Node) -> None:
    """CNI_NETNS may lie anywhere, below /proc or behind a link (EN8)."""
    config, pod = node.config(), node.pod()
    inside = ["nsenter", f"--net={pod.path}", "cat"]
    link = node.folder / "elsewhere"
    link.symlink_to(pod.path)
    with subprocess.Popen(inside, stdin=subprocess.PIPE) as process:
        path = f"/proc/{process.pid}/ns/net"
        wait_until(lambda: os.readlink(path) != os.readlink("/proc/self/ns/net"))

        result = node.call("ADD", config, "c1", path).json
        checked = node.call("CHECK", {**config, "prevResult": result}, "c1", str(link))
        process.kill()

    assert result["interfaces"][2]["sandbox"] == path
    assert checked.code == 0
    assert pod.addresses("eth0") == ["10.60.0.2/24"]


def test_add_into_the_nodes_own_namespace(node: Node) -> None:
    """The namespace that the plugin runs in is code 8, with nothing done (EN7)."""
    before = node.links()

    answer = node.call("ADD", node.config(), "c1", node.path)

    assert answer.code == 8
    assert node.links() == before
    assert not node.run_dir.exists()


@pytest.mark.parametrize("override", ["1", "true", "TRUE"])
def test_the_override_allows_the_nodes_own_namespace(node: Node, override: str) -> None:
    """With CNI_NETNS_OVERRIDE the plugin's own namespace is a pod (EN7)."""
    answer = node.call(
        "ADD", node.config(), "c1", node.path, CNI_NETNS_OVERRIDE=override
    )

    assert answer.code == 0
    assert node.addresses("eth0") == ["10.60.0.2/24"]


def test_check_needs_the_result_of_add(node: Node) -> None:
    """CHECK without prevResult is code 7 that names it (CK1)."""
    config, pod = node.config(), node.pod()
    node.add(config, "c1", pod)

    answer = node.call("CHECK", config, "c1", pod)

    assert answer.json == {
        "cniVersion": "1.0.0",
        "code": 7,
        "msg": "prevResult: CHECK needs the result of ADD",
    }


def test_check_of_what_was_never_added(node: Node) -> None:
    """CHECK of an attachment that we never made is code 3 (2.3, CK2)."""
    config, pod = node.config(), node.pod()
    result = node.add(config, "c1", pod)

    answer = node.call("CHECK", {**config, "prevResult": result}, "c9", pod)

    assert answer.code == 3
    assert answer.json["msg"] == "eth0 of c9 is not attached to network blue"


def test_status_when_pods_may_be_cut_off(node: Node) -> None:
    """STATUS is code 51 when pods are there and their bridge is not (ST1, 2.3)."""
    config = node.config(cniVersion="1.1.0")
    node.add(config, "c1", node.pod())
    node.run("ip", "link", "delete", "pyc0")

    answer = node.call("STATUS", config)

    assert answer.code == 51
    assert answer.json["msg"] == (
        "pods of network blue may be cut off: bridge pyc0 is gone"
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock as another call of the plugin would."""
    descriptor = os.open(path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


def test_gc_leaves_an_add_that_is_under_way(node: Node) -> None:
    """GC beside an ADD that is not finished keeps its address and record (GC4)."""
    config, pod = node.config(cniVersion="1.1.0"), node.pod()
    node.add(config, "c0", node.pod())
    lock = node.run_dir / ".dataplane.lock"
    with locked(lock):
        call = node.start("ADD", "c1", pod)
        feed(call, config)
        wait_until(lambda: lock_waiters(lock))
        collected = node.call("GC", {**config, VALID: []})
    call.communicate(timeout=60)

    assert (collected.code, call.returncode) == (0, 0)
    assert node.leases() == ["10.60.0.3"]
    assert node.records() == ["c1@eth0"]
    assert pod.addresses("eth0") == ["10.60.0.3/24"]
    assert pod.ping("10.60.0.1")


def test_gc_leaves_what_another_call_works_on(node: Node) -> None:
    """GC beside a DEL leaves that attachment to it, and takes the others (GC4)."""
    config, pod = node.config(cniVersion="1.1.0"), node.pod()
    node.add(config, "c0", node.pod())
    node.add(config, "c1", pod)
    with locked(node.run_dir / "blue" / "attachments" / "c1@eth0"):
        collected = node.call("GC", {**config, VALID: []})

    assert collected.code == 0
    assert node.records() == ["c1@eth0"]
    assert node.leases() == ["10.60.0.3"]
    assert node.call("GC", {**config, VALID: []}).code == 0
    assert node.leases() == []


def test_gc_of_everything_at_once_with_adds(node: Node) -> None:
    """However GCs and ADDs meet, each pod that was added is whole (GC4, CC1)."""
    config = node.config(cniVersion="1.1.0")
    pods = {f"c{number}": node.pod() for number in range(6)}
    valid = [{"containerID": name, "ifname": "eth0"} for name in pods]
    calls: list[dict[str, Any]] = []
    for name, pod in pods.items():
        calls.append({"command": "ADD", "config": config, "container_id": name,
                      "netns": pod})  # fmt: skip
        calls.append({"command": "GC", "config": {**config, VALID: valid}})

    answers = node.call_together(calls)

    assert [answer.code for answer in answers] == [0] * len(calls)
    assert len(node.leases()) == len(node.records()) == len(pods)
    assert all(pod.ping("10.60.0.1") for pod in pods.values())
