"""Leases in number: what a claim costs with many held, and a stuck lock."""

from __future__ import annotations

import os
import subprocess
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

import pytest

from plugin.state.leases import Record
from tests.kernel.waiting import feed, lock_holders, lock_waiters, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.node import Answer, Node


@pytest.fixture
def held(node: Node) -> Iterator[Path]:
    """The folder of a network, whose lease files are removed at the end."""
    folder = node.run_dir / "blue"
    (folder / "attachments").mkdir(parents=True)
    yield folder
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


def hold(folder: Path, first: IPv4Address | IPv6Address, count: int) -> None:
    """Let other attachments hold consecutive addresses, each with its record."""
    for number in range(count):
        record = Record("blue", f"other{first + number}".replace(":", "-"), "eth0")
        record.addresses = [(first + number).packed]
        (folder / str(first + number)).write_bytes(record.holder)
        path = folder / "attachments" / f"{record.container_id}@eth0"
        path.write_bytes(record.render())


def tracing(path: Path, kinds: str) -> dict[str, Any]:
    """Options of a call that writes its system calls of some kinds to a file."""
    return {"wrapper": ("strace", "-qq", "-e", f"trace={kinds}", "-o", str(path))}


def counting(path: Path) -> dict[str, Any]:
    """Options of a call that writes every use of a path and each look into a folder.

    Netlink is left out: waiting for the kernel has no fixed number of steps.
    """
    return tracing(path, "%file,getdents64")


def count(path: Path) -> int:
    """How many system calls were written."""
    return len(path.read_text().splitlines())


def cost(node: Node, config: dict[str, Any], container_id: str) -> tuple[int, int]:
    """How many system calls on files an ADD and the DEL after it make."""
    pod, path = node.pod(), node.folder / "log" / "calls"
    path.parent.mkdir(exist_ok=True)
    node.add(config, container_id, pod, **counting(path))
    add = count(path)
    node.call("DEL", config, container_id, pod, **counting(path))
    return add, count(path)


@pytest.mark.parametrize(
    "ipam",
    [
        {"type": "host-local", "subnet": "fd00:60::/64"},
        {"type": "host-local", "subnet": "10.60.0.0/16"},
    ],
    ids=["IPv6", "IPv4"],
)
def test_an_add_costs_the_same_with_10_and_with_5000_leases(
    node: Node, held: Path, ipam: dict[str, Any]
) -> None:
    """ADD and DEL do as much with files with 5,000 leases held as with 10 (B10)."""
    config = node.config(ipam=ipam)
    first = IPv6Address("fd00:60::2") if ":" in ipam["subnet"] else None
    begin = first or IPv4Address("10.60.0.2")
    node.add(config, "stays", node.pod())
    (held / str(begin)).unlink()
    hold(held, begin, 10)
    (held / "last_reserved_ip.0").write_text(str(begin + 9))
    with_10 = cost(node, config, "c1")
    hold(held, begin + 10, 4990)
    (held / "last_reserved_ip.0").write_text(str(begin + 4999))

    with_5000 = cost(node, config, "c2")

    assert with_5000 == with_10


def test_a_64_costs_as_a_24(node: Node, held: Path) -> None:
    """A claim in a /64 makes as many system calls as in a /24 (B10)."""
    costs = []
    for name, subnet in (("c1", "fd00:60::/120"), ("c2", "fd00:60::/64")):
        config = node.config(ipam={"type": "host-local", "subnet": subnet})
        config["ipam"]["dataDir"] = str(node.folder / name)
        path = node.folder / f"{name}.calls"
        for container_id in ("warm", name):
            answer = node.call(
                "ADD",
                config,
                container_id,
                "/gone",
                called_as="host-local",
                **counting(path),
            )
            assert answer.exit_code == 0
        costs.append(count(path))

    assert costs[1] == costs[0]


def test_a_crowd_is_passed_by_in_few_steps(node: Node, held: Path) -> None:
    """5,000 held addresses on the way are not looked at one by one (B10)."""
    config = node.config(ipam={"type": "host-local", "subnet": "fd00:60::/64"})
    node.add(config, "stays", node.pod())
    free = cost(node, config, "c1")
    hold(held, IPv6Address("fd00:60::4"), 5000)

    crowded = cost(node, config, "c2")

    # 64 probes, then the names of all: some 20 bytes each, 32 kB at a time.
    assert crowded[0] < free[0] + 100
    assert crowded[1] == free[1]


@pytest.mark.timeout(180)
def test_60000_leases_leave_the_rest_to_be_found(node: Node, held: Path) -> None:
    """With 60,000 addresses of a /16 held, an ADD gets a free one and DEL frees it."""
    config = node.config(ipam={"type": "host-local", "subnet": "10.60.0.0/16"})
    hold(held, IPv4Address("10.60.0.2"), 60000)
    pod = node.pod()

    result = node.add(config, "c1", pod)

    free = str(IPv4Address("10.60.0.2") + 60000)
    assert result["ips"][0]["address"] == f"{free}/16"
    assert (held / free).exists()
    assert node.call("DEL", config, "c1", pod).exit_code == 0
    assert not (held / free).exists()
    assert len(os.listdir(held)) > 60000


def start_holder(lock: Path) -> subprocess.Popen[bytes]:
    """A program that has the lock of the network until it is killed."""
    holder = subprocess.Popen(["flock", "--no-fork", lock, "sleep", "600"])
    wait_until(lambda: lock_holders(lock) == [holder.pid])
    return holder


def test_a_stuck_lock_ends_in_code_11_and_nothing_is_made(node: Node) -> None:
    """50 ADDs behind a stuck lock end with code 11, and work after its end (A7)."""
    config = node.config()
    first = node.pod()
    node.add(config, "first", first)
    lock = node.run_dir / "blue" / "lock"
    holder = start_holder(lock)
    before = node.snapshot()
    calls: list[dict[str, Any]] = [
        {"command": "ADD", "config": config, "container_id": f"c{n}", "netns": pod}
        for n, pod in enumerate([node.pod() for _ in range(50)])
    ]

    answers = node.call_together(calls)

    holder.kill()
    holder.wait()
    assert {describe(answer) for answer in answers} == {
        (11, f"{lock}: held by another call for more than 10 s")
    }
    assert node.snapshot() == before
    assert {answer.code for answer in node.call_together(calls)} == {0}
    assert len(node.leases()) == 51


def describe(answer: Answer) -> tuple[int, str]:
    """Code and message of an error."""
    return answer.code, answer.json["msg"]


def test_a_killed_holder_lets_the_next_one_in(node: Node) -> None:
    """An ADD that waits goes on when the holder of the lock is killed (A7)."""
    config = node.config()
    node.add(config, "first", node.pod())
    lock = node.run_dir / "blue" / "lock"
    holder = start_holder(lock)
    process = node.start("ADD", "c1", node.pod())
    feed(process, config)
    wait_until(lambda: lock_waiters(lock) == [process.pid])

    holder.kill()
    holder.wait()
    process.communicate(timeout=30)

    assert (process.returncode, node.leases()) == (0, ["10.60.0.2", "10.60.0.3"])


def test_del_does_not_wait_for_the_lock(node: Node) -> None:
    """DEL succeeds while the lock of the network is stuck (A7, DE2)."""
    config, pod = node.config(), node.pod()
    node.add(config, "c1", pod)
    holder = start_holder(node.run_dir / "blue" / "lock")

    answer = node.call("DEL", config, "c1", pod)

    holder.kill()
    holder.wait()
    assert repr(answer) == "Answer(0, '', '')"
    assert (node.leases(), node.records(), node.ruleset()) == ([], [], "")


def test_the_lock_is_not_held_during_work_in_the_kernel(node: Node) -> None:
    """Between taking and freeing the lock of the leases no message is sent (A7)."""
    path = node.folder / "calls"
    config = node.config()
    node.add(config, "first", node.pod())

    node.add(config, "c1", node.pod(), **tracing(path, "all"))

    lines = path.read_text().splitlines()
    opened = [n for n, line in enumerate(lines) if "/run/blue/lock" in line]
    descriptor = lines[opened[0]].rpartition("= ")[2]
    end = next(
        n
        for n, line in enumerate(lines)
        if n > opened[0] and line.startswith(f"close({descriptor})")
    )
    within = [line.partition("(")[0] for line in lines[opened[0] : end]]
    assert "flock" in within
    assert "link" in within or "linkat" in within
    assert not {"sendto", "sendmsg", "recvfrom", "recvmsg", "setns"} & set(within)
    after = {line.partition("(")[0] for line in lines[end:]}
    assert after & {"sendto", "sendmsg"}
