"""The log on a small disk: bounded, of whole lines, and never in the way (F18)."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.node import Node

DAY_S = 86400


@pytest.fixture
def disk(node: Node) -> Iterator[Path]:
    """A disk of 256 kB where the node's log lies."""
    folder = node.log.parent
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    subprocess.run(["mount", *options], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def status_calls(node: Node, count: int, **keys: Any) -> list[dict[str, Any]]:
    """So many STATUS calls, each with a line of its own in the log."""
    return [
        {
            "command": "STATUS",
            "config": node.config(cniVersion="1.1.0", number=number, **keys),
            "container_id": "",
            "ifname": "",
        }
        for number in range(count)
    ]


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Every line of every file, parsed."""
    texts = [path.read_text() for path in sorted(folder.iterdir())]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def bytes_of(folder: Path) -> int:
    """The bytes of all files."""
    return sum(path.stat().st_size for path in folder.iterdir())


def fill(folder: Path) -> Path:
    """Fill a disk up, with a file that can be removed."""
    path = folder / "something-else"
    with path.open("wb", buffering=0) as file:
        file.write(b"x" * (1 << 20))
    return path


def test_log_is_bounded(node: Node, disk: Path) -> None:
    """F18: with logMaxBytes all log files together stay within it, and the disk."""
    most = 60_000
    longest = 0

    for _ in range(15):
        node.call_together(status_calls(node, 20, logMaxBytes=most))
        longest = max(len(json.dumps(line)) for line in lines_of(disk))
        # Twenty that look at the size at once may each add their line.
        assert bytes_of(disk) <= most + 20 * longest

    assert len(list(disk.iterdir())) > 1
    assert len(lines_of(disk)) < 300


def test_rotation_loses_no_line(node: Node, disk: Path) -> None:
    """F18: lines of parallel calls are neither mixed nor lost when a file is full."""
    for _ in range(10):
        for path in disk.iterdir():
            path.unlink()
        # A few of the twenty fit: the others meet a file that is full.
        first = json.dumps({"stdin": '{"number": -1}', "padding": "x" * 24_000})
        node.log.write_text(f"{first}\n")
        calls = status_calls(node, 20, logMaxBytes=60_000)
        answers = node.call_together(calls)

        assert [answer.exit_code for answer in answers] == [0] * 20
        numbers = sorted(json.loads(line["stdin"])["number"] for line in lines_of(disk))
        assert len(list(disk.iterdir())) > 1
        assert numbers == [*range(-1, 20)]


def test_parallel_lines_are_whole(node: Node) -> None:
    """F18: long lines of 20 calls at once each parse, and each is there."""
    calls = status_calls(node, 20, label="x" * 7000)

    for _ in range(3):
        node.call_together(calls)

    lines = node.log_lines()
    assert len(lines) == 60
    assert {len(json.loads(line["stdin"])["label"]) for line in lines} == {7000}


def test_full_disk_never_fails_a_call(node: Node, disk: Path) -> None:
    """F18: on a full disk ADD, CHECK and DEL succeed; later lines are whole again."""
    config, pod = node.config(), node.pod()
    node.add(config, "before", node.pod())
    filler = fill(disk)

    # The last page of the log has room for some lines, and then for half a line.
    for _ in range(4):
        result = node.add(config, "c1", pod)
        checked = node.call("CHECK", {**config, "prevResult": result}, "c1", pod)
        deleted = node.call("DEL", config, "c1", pod)

        assert (checked.exit_code, checked.stdout) == (0, "")
        assert (deleted.exit_code, deleted.stdout) == (0, "")
    filler.unlink()
    node.add(config, "after", node.pod())

    containers = [line["container"] for line in node.log_lines()]
    assert [containers[0], containers[-1]] == ["before", "after"]
    assert 2 <= len(containers) < 14


def test_log_that_cannot_be_made_never_fails_a_call(node: Node) -> None:
    """F18: a log below a file, or with a folder in its place, costs the line alone."""
    (node.folder / "file").write_text("")
    (node.folder / "taken").mkdir()

    for name in ("file/pycni.log", "taken"):
        config, pod = node.config(logFile=str(node.folder / name)), node.pod()
        node.add(config, "c1", pod)
        answer = node.call("DEL", config, "c1", pod)

        assert (answer.exit_code, answer.stdout) == (0, "")


KEYS = ["time", "level", "command", "network", "container", "ifname", "ms", "code"]


@pytest.mark.parametrize(
    ("level", "added", "refused"),
    [
        ("debug", [*KEYS, "stdin", "result"], True),
        ("info", KEYS, True),
        ("error", None, True),
        ("off", None, False),
    ],
)
def test_log_level(
    node: Node, level: str, added: list[str] | None, refused: bool
) -> None:
    """F18: debug has input and result, info one short line, error failures alone."""
    config, pod = node.config(logLevel=level), node.pod()
    node.add(config, "c1", pod)
    assert node.call("ADD", config, "c1", pod).code == 106

    lines = node.log_lines() if node.log.exists() else []

    good = [list(line) for line in lines if line["code"] == 0]
    bad = [(line["level"], line["error"]) for line in lines if line["code"]]
    assert good == ([added] if added else [])
    sentence = (
        "eth0 of c1 is attached to network blue already, "
        "duplicate allocation is not allowed"
    )
    assert bad == ([("error", sentence)] if refused else [])


def test_log_rotates_daily_and_forgets_by_age(node: Node) -> None:
    """F18: yesterday's log is put aside, and what is older than logMaxAgeDays goes."""
    config = node.config(logMaxAgeDays=3)
    node.add(config, "c1", node.pod())
    old = node.log.with_name("pycni.log.2026-01-01.1.1")
    old.write_text("{}\n")
    os.utime(old, (time.time() - 4 * DAY_S,) * 2)
    os.utime(node.log, (time.time() - DAY_S,) * 2)

    node.add(config, "c2", node.pod())

    wait_until(lambda: node.log.exists())
    names = sorted(path.name for path in node.log.parent.iterdir())
    yesterday = time.strftime("%Y-%m-%d", time.gmtime(time.time() - DAY_S))
    assert [name.rpartition(".")[0].rpartition(".")[0] for name in names[1:]] == [
        f"pycni.log.{yesterday}"
    ]
    assert [line["container"] for line in node.log_lines()] == ["c2"]
