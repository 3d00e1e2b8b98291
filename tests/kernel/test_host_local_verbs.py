"""The file called as host-local: refusals, CHECK, GC, STATUS, and its lock."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.waiting import feed, lock_holders, lock_waiters, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.node import Answer, Node

NETNS = "/some/where"


def config(node: Node, **changes: Any) -> dict[str, Any]:
    """A /29 from host-local: five addresses."""
    return {
        "cniVersion": "1.1.0",
        "name": "mynet",
        "type": "ipvlan",
        "ipam": {
            "type": "host-local",
            "dataDir": str(node.folder / "leases"),
            "subnet": "10.1.2.0/29",
        },
        "logFile": str(node.log),
        **changes,
    }


def call(
    node: Node,
    command: str,
    document: dict[str, Any],
    container_id: str = "dummy",
    **options: Any,
) -> Answer:
    """Call the file as host-local."""
    return node.call(
        command, document, container_id, NETNS, called_as="host-local", **options
    )


def fill(node: Node) -> None:
    """Give all five addresses of the /29 to c2 to c6."""
    for number in range(2, 7):
        assert call(node, "ADD", config(node), f"c{number}").exit_code == 0


def held(node: Node) -> list[str]:
    """The addresses held, sorted."""
    return node.leases("mynet", node.folder / "leases")


def message(answer: Answer) -> tuple[int, str]:
    """Code and message of an error."""
    return answer.code, answer.json["msg"]


def test_check_tells_a_container_that_has_no_address(node: Node) -> None:
    """CHECK succeeds while the container has an address, and is code 3 after DEL."""
    document = config(node)
    call(node, "ADD", document)

    assert repr(call(node, "CHECK", document)) == "Answer(0, '', '')"
    call(node, "DEL", document)
    assert message(call(node, "CHECK", document)) == (
        3,
        "host-local: Failed to find address added by container dummy",
    )


def test_check_knows_a_lease_of_another_program(node: Node) -> None:
    """CHECK goes by the lease, whoever wrote it (3.2)."""
    path = node.folder / "leases" / "mynet" / "10.1.2.5"
    path.parent.mkdir(parents=True)
    path.write_text("dummy\r\neth0")

    assert call(node, "CHECK", config(node)).exit_code == 0
    assert call(node, "CHECK", config(node), ifname="eth1").code == 3


def test_a_full_range_is_code_101_and_status_50(node: Node) -> None:
    """A full range refuses ADD with code 101, and STATUS says so with 50 (ST3)."""
    assert call(node, "STATUS", config(node)).exit_code == 0
    fill(node)
    before = node.files()
    sentence = (
        "failed to allocate for range 0: no IP addresses available in range set: "
        "10.1.2.1-10.1.2.6"
    )

    assert message(call(node, "ADD", config(node), "c7")) == (101, sentence)
    assert message(call(node, "STATUS", config(node))) == (50, sentence)
    assert node.files() == before
    call(node, "DEL", config(node), "c4")
    assert call(node, "STATUS", config(node)).exit_code == 0
    assert call(node, "ADD", config(node), "c7").exit_code == 0


def test_status_ignores_what_one_pod_asked_for(node: Node) -> None:
    """STATUS is about any pod, so a requested address that is held is no reason."""
    fill_one = config(node, runtimeConfig={"ips": ["10.1.2.2"]})
    call(node, "ADD", fill_one)

    assert call(node, "STATUS", fill_one).exit_code == 0


def test_gc_frees_what_is_not_valid(node: Node) -> None:
    """GC frees the addresses of attachments that are not listed, old ones too (GC1)."""
    fill(node)
    folder = node.folder / "leases" / "mynet"
    for address, content in (("10.1.9.2", "c2"), ("10.1.9.3", "c9"), ("lock2", "c9")):
        (folder / address).write_text(content)
    valid = [{"containerID": "c2", "ifname": "eth0"}]
    older = [{"containerID": "c5", "ifname": "eth0"}]
    keys = {"cni.dev/valid-attachments": valid, "cni.dev/attachments": older}

    answer = call(node, "GC", config(node, **keys))

    assert repr(answer) == "Answer(0, '', '')"
    assert held(node) == ["10.1.2.2", "10.1.2.5", "10.1.9.2"]
    assert (folder / "lock2").exists()
    assert call(node, "DEL", config(node), "c5").exit_code == 0


def test_gc_without_a_list_frees_nothing(node: Node) -> None:
    """GC without the key of valid attachments is code 7 and changes nothing (GC5)."""
    fill(node)
    before = node.files()

    assert message(call(node, "GC", config(node))) == (
        7,
        "cni.dev/valid-attachments: missing, so nothing was removed; an empty list "
        "removes all",
    )
    assert node.files() == before


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"ipam": None}, (7, "IPAM config missing 'ipam' key")),
        ({"ipam": {"type": "host-local"}}, (7, "ipam: no IP ranges specified")),
        (
            {"ipam": {"type": "host-local", "subnet": "10.1.2.0/31"}},
            (7, "ipam: subnet: Network 10.1.2.0/31 too small to allocate from"),
        ),
        (
            {"ipam": {"type": "host-local", "subnet": "10.1.2.3/24"}},
            (
                7,
                "ipam: subnet: 10.1.2.3/24: Network has host bits set. For a subnet "
                "mask of length 24 the network address is 10.1.2.0",
            ),
        ),
        (
            {
                "ipam": {
                    "type": "host-local",
                    "subnet": "10.1.2.0/24",
                    "rangeStart": "10.1.3.2",
                }
            },
            (7, "ipam: rangeStart: RangeStart 10.1.3.2 not in network 10.1.2.0/24"),
        ),
        (
            {
                "ipam": {
                    "type": "host-local",
                    "subnet": "10.1.2.0/24",
                    "ranges": [[{"subnet": "10.1.0.0/16"}]],
                }
            },
            (7, "ipam: range set 0 overlaps with 1"),
        ),
    ],
    ids=["no ipam", "no ranges", "small", "host bits", "start", "overlap"],
)
def test_a_wrong_configuration_is_refused_in_host_locals_words(
    node: Node, changes: dict[str, Any], want: tuple[int, str]
) -> None:
    """Each refusal of host-local is code 7 in its words, and nothing is made (3.2)."""
    code, text = message(call(node, "ADD", config(node, **changes)))

    assert (code, text[: len(want[1])]) == want
    assert node.files() == {}


def test_two_ranges_of_a_subnet_are_used_one_after_the_other(node: Node) -> None:
    """Ranges of one subnet in one set are given out one behind the other (3.5 B)."""
    parts = [("10.1.2.9", "10.1.2.10"), ("10.1.2.50", "10.1.2.51")]
    document = config(node)
    del document["ipam"]["subnet"]
    document["ipam"]["ranges"] = [
        [
            {"subnet": "10.1.2.0/24", "rangeStart": first, "rangeEnd": last}
            for first, last in parts
        ]
    ]

    for number in range(4):
        assert call(node, "ADD", document, f"c{number}").exit_code == 0

    assert held(node) == ["10.1.2.10", "10.1.2.50", "10.1.2.51", "10.1.2.9"]
    assert call(node, "ADD", document, "c9").code == 101


@pytest.fixture
def lock(node: Node) -> Path:
    """The lock file of the network, made by a first call."""
    call(node, "ADD", config(node), "c1")
    return node.folder / "leases" / "mynet" / "lock"


def test_flock_of_util_linux_keeps_us_out(node: Node, lock: Path) -> None:
    """ADD waits while another program has the lock file, and goes on after it (A7)."""
    holder = subprocess.Popen(["flock", lock, "cat"], stdin=subprocess.PIPE)
    wait_until(lambda: lock_holders(lock))
    process = node.start("ADD", "c2", NETNS, called_as="host-local")
    feed(process, config(node))
    wait_until(lambda: lock_waiters(lock) == [process.pid])

    assert held(node) == ["10.1.2.2"]
    holder.communicate()
    process.communicate(timeout=30)
    assert (process.returncode, held(node)) == (0, ["10.1.2.2", "10.1.2.3"])


def test_our_lock_keeps_flock_out(node: Node, lock: Path) -> None:
    """While an ADD has the lock file, `flock --nonblock` is refused (3.5 B)."""
    stop_with_lock = ("strace", "-qq", "-e", "inject=flock:signal=STOP:when=1")
    process = node.start(
        "ADD", "c2", NETNS, called_as="host-local", wrapper=stop_with_lock
    )
    feed(process, config(node))
    wait_until(lambda: lock_holders(lock))
    stopped = lock_holders(lock)[0]

    assert (flock_succeeds(lock), held(node)) == (False, ["10.1.2.2"])
    os.kill(stopped, signal.SIGCONT)
    process.communicate(timeout=30)
    assert (process.returncode, held(node)) == (0, ["10.1.2.2", "10.1.2.3"])
    assert flock_succeeds(lock)


def flock_succeeds(lock: Path) -> bool:
    """Whether util-linux flock gets a lock at once."""
    command = ["flock", "--nonblock", str(lock), "true"]
    return subprocess.run(command, check=False).returncode == 0
