"""The log: one line of JSON a run, appended with one write.

Rotated daily, or earlier when large; old files go by age and by the bytes of all.
Never makes a call fail: a full or read-only disk costs the line, not the pod (F18).
"""

from __future__ import annotations

import posix
import time
from fcntl import LOCK_EX, LOCK_NB, flock
from posix import O_CLOEXEC, O_RDONLY

from plugin import jsonio
from plugin.fields import is_absolute, member
from plugin.state import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_PATH = "/var/log/pycni/pycni.log"
DEFAULT_MAX_BYTES = 10 << 20
DEFAULT_MAX_AGE_DAYS = 60
_MOST_DAYS = 36500
_LEVELS = ("debug", "info", "error", "off")
# Of stdin and result so much is kept in a line.
_LONGEST = 8192
_DAY_S = 86400
# linux/stat.h
_S_IFMT, _S_IFREG = 0o170000, 0o100000


class LogConfig:
    """Where to log, how much, and for how long."""

    __slots__ = ("level", "max_age_days", "max_bytes", "path")

    def __init__(self, document: Any = None) -> None:
        """Read the keys of a configuration; one of a wrong type counts as missing."""
        self.path: str = _typed(document, "logFile", str, DEFAULT_PATH)
        self.level: str = _typed(document, "logLevel", str, "debug")
        self.max_bytes: int = _typed(document, "logMaxBytes", int, DEFAULT_MAX_BYTES)
        days = _typed(document, "logMaxAgeDays", int, DEFAULT_MAX_AGE_DAYS)
        self.max_age_days: int = min(max(days, 0), _MOST_DAYS)

    @property
    def current_bytes(self) -> int:
        """How large the file that is written to may grow; those put aside have the
        rest. Less than half, as calls that write at once may each add a line to it,
        and it has to fit into the rest."""
        return self.max_bytes * 7 // 16

    def wants(self, level: str) -> bool:
        """Whether a line of this level is written."""
        if self.level not in _LEVELS or not is_absolute(self.path):
            return False
        return _LEVELS.index(level) >= _LEVELS.index(self.level) != 3


def _typed(document: Any, key: str, kind: type, default: Any) -> Any:
    value = member(document, key)
    return value if type(value) is kind else default


def write_line(config: LogConfig, level: str, entry: dict[str, Any]) -> None:
    """Append one line; the entry's keys follow time and level. Never raises OSError."""
    if not config.wants(level):
        return
    if level != "debug" and config.level != "debug":
        entry = {key: entry[key] for key in entry if key not in ("stdin", "result")}
    now = time.time()
    head = {"time": render_time(now), "level": level}
    shortened = {
        key: value[:_LONGEST] if isinstance(value, str) else value
        for key, value in entry.items()
    }
    line = f"{jsonio.dumps({**head, **shortened})}\n".encode("utf-8", "replace")
    try:
        _rotate(config, now, len(line))
        files.append(config.path, line)
    except FileNotFoundError:
        try:
            files.make_folder(config.path.rpartition("/")[0])
            files.append(config.path, line)
        except OSError:
            pass
    except OSError:
        pass


def render_time(seconds: float) -> str:
    """`2026-11-25T13:40:20.123Z` from seconds since the epoch."""
    t = time.gmtime(seconds)
    milliseconds = int(seconds * 1000) % 1000
    return (
        f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}"
        f".{milliseconds:03d}Z"
    )


def _rotate(config: LogConfig, now: float, coming: int) -> None:
    """Put a file of another day, or one that would grow too large, aside; prune.

    One call at a time: else the second one would put a file aside that is just begun.
    """
    if not _is_full(config, now, coming):
        return
    descriptor = posix.open(config.path.encode(), O_RDONLY | O_CLOEXEC)
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
        # It may have been put aside since, by the call that had the lock before.
        if _is_full(config, now, coming):
            _put_aside(config, now)
            _prune(config, now)
    except BlockingIOError:
        pass
    finally:
        posix.close(descriptor)


def _is_full(config: LogConfig, now: float, coming: int) -> bool:
    state = posix.stat(config.path.encode())
    if state.st_mode & _S_IFMT != _S_IFREG:
        return False  # /dev/stderr, say
    same_day = int(state.st_mtime) // _DAY_S == int(now) // _DAY_S
    return not same_day or state.st_size + coming > config.current_bytes


def _put_aside(config: LogConfig, now: float) -> None:
    day = render_time(posix.stat(config.path.encode()).st_mtime)[:10]
    aside = f"{config.path}.{day}.{int(now * 1000)}.{posix.getpid()}"
    posix.rename(config.path.encode(), aside.encode())


def _prune(config: LogConfig, now: float) -> None:
    """Remove files put aside that are too old, and the oldest until the rest fits."""
    folder, _, name = config.path.rpartition("/")
    found = []
    for other in files.names(folder):
        if other.startswith(f"{name}."):
            path = f"{folder}/{other}"
            state = posix.stat(path.encode())
            found.append((state.st_mtime, state.st_size, path))
    oldest_kept = now - config.max_age_days * _DAY_S
    room = config.max_bytes - config.current_bytes
    for modified, size, path in sorted(found, reverse=True):
        room -= size
        if modified < oldest_kept or room < 0:
            files.remove(path)
