"""The plugin killed at every step of ADD and DEL: nothing is left half done (B8).

A step is a system call. strace kills the static file as it enters the Nth one, so that
the run with N sees all that the first N - 1 calls did, and nothing more.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.node import KUBELET_ARGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.node import Answer, Node

pytestmark = pytest.mark.timeout(240)

# What a killed run can leave changed behind it; states differ after these alone.
CHANGING = ("mkdir", "write", "link", "unlink", "rename", "sendto", "O_CREAT")
# Calls to die before, in a run of so many: (command, every step).
LEAST = {
    ("ADD", True): 150,
    ("ADD", False): 25,
    ("DEL", True): 80,
    ("DEL", False): 9,
}
BY = {"runtime": None, "kubelet": KUBELET_ARGS}


class Scene:
    """A node where calls for c1 are killed, alone or beside a pod that has to stay."""

    def __init__(self, node: Node, beside: bool) -> None:
        self.node = node
        self.config = node.config(
            cniVersion="1.1.0",
            hairpinMode=True,
            macspoofchk=True,
            ipam={
                "type": "host-local",
                # Five addresses each: one that is lost is missed soon.
                "ranges": [
                    [{"subnet": "10.60.0.0/29"}],
                    [{"subnet": "fd60::/64", "rangeEnd": "fd60::6"}],
                ],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        )
        self.beside = beside
        self.pod = node.pod()
        if beside:
            node.add(self.config, "c0", node.pod())
        self.clean = self.observe()

    def observe(self) -> dict[str, Any]:
        """What the attachments of a node have in the kernel and on disk."""
        return {
            "links": [name for name in self.node.links() if name != "pyc0"],
            "in the pod": list(self.pod.links()),
            "leases": self.node.leases(),
            "records": self.node.records(),
            "ruleset": self.node.ruleset(),
        }

    def call(self, command: str, container_id: str = "c1", **options: Any) -> Answer:
        """One call for c1, or another container in the same pod."""
        return self.node.call(command, self.config, container_id, self.pod, **options)

    def collect(self) -> Answer:
        """GC with nothing valid but the pod beside."""
        valid = [{"containerID": "c0", "ifname": "eth0"}] if self.beside else []
        config = {**self.config, "cni.dev/valid-attachments": valid}
        return self.node.call("GC", config)

    def trace(self, command: str, args: str | None = None) -> list[str]:
        """The system calls of a whole run, in order."""
        log = self.node.folder / "trace"
        wrapper = ("strace", "-f", "-o", str(log))
        assert self.call(command, args=args, wrapper=wrapper).exit_code == 0
        text = log.read_text()
        lines = [line.partition(" ")[2].strip() for line in text.splitlines()]
        return [line for line in lines if not line.startswith("+++")]

    def kill(self, command: str, step: Step, args: str | None) -> bool:
        """A run that dies as it enters a system call; False if it ends before, as
        it asks the kernel less often whether it is ready."""
        inject = f"inject={step.name}:signal=SIGKILL:when={step.ordinal}"
        wrapper = ("strace", "-f", "-o", "/dev/null", "-e", inject)
        exit_code = self.call(command, args=args, wrapper=wrapper).exit_code
        assert exit_code in (-9, 0), step.what
        return exit_code == -9

    def require_clean(self, step: Step) -> None:
        """The node is as before, also after the next pod has come and gone."""
        what = step.what
        assert {what: self.observe()} == {what: self.clean}
        if not step.follows_change:
            return  # the next pod came and went after the step before
        added = self.call("ADD", "c2")
        assert added.exit_code == 0, (what, added)
        deleted = self.call("DEL", "c2")
        assert deleted.exit_code == 0, (what, deleted)
        assert {what: self.observe()} == {what: self.clean}

    def require_addresses(self) -> None:
        """Every address of the range can still be had, each once; no file is left."""
        assert self.collect().exit_code == 0
        assert temporary_files(self.node.run_dir) == []
        pods = [self.node.pod() for _ in range(4 if self.beside else 5)]
        results = [self.node.add(self.config, f"d{i}", p) for i, p in enumerate(pods)]
        got = sorted(ip["address"] for result in results for ip in result["ips"])
        first = 3 if self.beside else 2
        assert got == [f"10.60.0.{i}/29" for i in range(first, 7)] + [
            f"fd60::{i}/64" for i in range(first, 7)
        ]

    def reset(self) -> None:
        """Without a pod beside: a node on which no plugin ever ran."""
        if not self.beside:
            shutil.rmtree(self.node.run_dir, ignore_errors=True)
            shutil.rmtree(self.node.log.parent, ignore_errors=True)
            self.node.run("ip", "link", "delete", "pyc0", check=False)
            keys = ("net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
            self.node.run("sysctl", "-q", *keys)

    def end_pod(self) -> None:
        """The pod's interface dies, as it does with its namespace."""
        self.pod.run("ip", "link", "delete", "eth0", check=False)

    def require_attached_or_attach(self, what: str) -> None:
        """ADD again attaches the pod, or is refused as it is attached, and whole."""
        answer = self.call("ADD")
        assert answer.code in (0, 106), (what, answer)
        assert self.pod.ping("10.60.0.1"), what
        assert self.pod.ping("fd60::1"), what
        assert len(self.node.leases()) == (4 if self.beside else 2), what


def temporary_files(folder: Path) -> list[str]:
    """Files that a killed run left beside the leases or records."""
    hidden = [path.name for path in folder.rglob(".*")]
    return sorted(name for name in hidden if name != ".dataplane.lock")


class Step:
    """A system call of a run: which one, and how many of its name up to it."""

    def __init__(self, calls: list[str], index: int) -> None:
        names = [call.partition("(")[0] for call in calls[: index + 1]]
        self.name = names[-1]
        self.ordinal = names.count(self.name)
        before = calls[index - 1].partition(" = -1")
        self.follows_change = not before[1] and any(c in before[0] for c in CHANGING)
        self.what = f"killed before call {index + 1}: {calls[index][:60]}"


def steps_of(calls: list[str], every: bool) -> Iterator[Step]:
    """The calls to die before, from the first that reads stdin; without `every`, those
    before which something has changed."""
    begin = next(i for i, call in enumerate(calls) if call.startswith("read(0"))
    for index in range(begin, len(calls)):
        step = Step(calls, index)
        if every or step.follows_change:
            yield step


def prepared(scene: Scene, command: str, args: str | None) -> list[str]:
    """The system calls of the run that is going to be killed."""
    scene.reset()
    if command == "DEL":
        assert scene.call("ADD").exit_code == 0
    calls = scene.trace(command, args)
    if command == "ADD":
        assert scene.call("DEL").exit_code == 0
    scene.end_pod()
    return calls


def killed(
    scene: Scene, command: str, every: bool, args: str | None = None
) -> Iterator[Step]:
    """Kill one run after the other; the test puts the node right after each."""
    calls = prepared(scene, command, args)
    count = 0
    for step in steps_of(calls, every):
        scene.reset()
        if command == "DEL":
            assert scene.call("ADD").exit_code == 0, step.what
        count += scene.kill(command, step, args)
        yield step
    # The run is neither so short, nor so far from its start, that this says nothing.
    assert count >= LEAST[command, every]


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a pod"])
def test_add_killed_at_any_step_is_undone_by_del(node: Node, beside: bool) -> None:
    """B8: whatever step ADD was killed at, DEL leaves the node as it was before."""
    scene = Scene(node, beside)

    for step in killed(scene, "ADD", every=not beside):
        deleted = scene.call("DEL")

        assert (deleted.exit_code, deleted.stdout) == (0, ""), (step.what, deleted)
        scene.require_clean(step)
    scene.require_addresses()


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a pod"])
def test_add_killed_at_any_step_is_collected(node: Node, beside: bool) -> None:
    """B8, B1: whatever step ADD was killed at, GC leaves the node as it was before."""
    scene = Scene(node, beside)

    for step in killed(scene, "ADD", every=False):
        collected = scene.collect()

        assert (collected.exit_code, collected.stdout) == (0, ""), (
            step.what,
            collected,
        )
        assert temporary_files(node.run_dir) == [], step.what
        scene.require_clean(step)
    scene.require_addresses()


def test_add_killed_at_any_step_can_be_called_again(node: Node) -> None:
    """B8: whatever step ADD was killed at, ADD again connects the pod, and once."""
    scene = Scene(node, beside=True)

    for step in killed(scene, "ADD", every=False):
        scene.require_attached_or_attach(step.what)

        assert scene.call("DEL").exit_code == 0, step.what
        scene.require_clean(step)
    scene.require_addresses()


@pytest.mark.parametrize("by", BY)
def test_del_killed_at_any_step_is_finished_by_del(node: Node, by: str) -> None:
    """B8: whatever step DEL was killed at, DEL again takes all that is left."""
    scene = Scene(node, beside=False)

    for step in killed(scene, "DEL", True, BY[by]):
        deleted = scene.call("DEL", args=BY[by])
        scene.end_pod()

        assert (deleted.exit_code, deleted.stdout) == (0, ""), (step.what, deleted)
        scene.require_clean(step)
    scene.require_addresses()


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a pod"])
def test_del_killed_at_any_step_is_finished_by_gc(
    node: Node, by: str, beside: bool
) -> None:
    """B8, B1: whatever step DEL was killed at, GC takes all that is left."""
    scene = Scene(node, beside)

    for step in killed(scene, "DEL", False, BY[by]):
        scene.end_pod()
        collected = scene.collect()

        assert (collected.exit_code, collected.stdout) == (0, ""), (
            step.what,
            collected,
        )
        assert temporary_files(node.run_dir) == [], step.what
        scene.require_clean(step)
    scene.require_addresses()


@pytest.mark.parametrize("by", BY)
def test_del_killed_at_any_step_can_be_followed_by_add(node: Node, by: str) -> None:
    """B8: whatever step DEL was killed at, the same ADD connects the pod, and once."""
    scene = Scene(node, beside=True)

    for step in killed(scene, "DEL", False, BY[by]):
        if by == "kubelet":
            scene.end_pod()
        scene.require_attached_or_attach(step.what)

        assert scene.call("DEL").exit_code == 0, step.what
        scene.require_clean(step)
    scene.require_addresses()
