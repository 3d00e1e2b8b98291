"""Calls that wait: for conditions, and for locks as /proc/locks shows them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

_PAUSE_S = 0.005


def wait_until(condition: Callable[[], object], timeout_s: float = 30) -> None:
    """Return once the condition holds; it has to within the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(_PAUSE_S)


def lock_holders(path: Path) -> list[int]:
    """The processes that have a file locked."""
    return _processes(path, waiting=False)


def lock_waiters(path: Path) -> list[int]:
    """The processes that wait for the lock of a file."""
    return _processes(path, waiting=True)


def _processes(path: Path, waiting: bool) -> list[int]:
    if not path.exists():
        return []
    inode = str(path.stat().st_ino)
    found = []
    for line in Path("/proc/locks").read_text().splitlines():
        # `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF`, waiters with `->`.
        words = line.replace("-> ", "").split()
        if words[5].rpartition(":")[2] == inode and ("->" in line) == waiting:
            found.append(int(words[4]))
    return found


def feed(process: subprocess.Popen[bytes], document: object) -> None:
    """Give a call its configuration, without waiting for its answer."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(document).encode())
    process.stdin.close()
    process.stdin = None
