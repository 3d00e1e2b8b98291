"""The log: one line a run, put aside by day and by size, bounded by age and bytes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import posix
from typing import TYPE_CHECKING, Any

import pytest

from plugin import logfile
from plugin.logfile import LogConfig, write_line

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86400
# 2026-11-25T13:40:20.123Z
NOW = 1795614020.123


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin.logfile.time.time", lambda: NOW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The log file, whose folder is not there yet."""
    return tmp_path / "log" / "pycni.log"


def config_of(path: Path, **keys: Any) -> LogConfig:
    """A log configuration with changes."""
    return LogConfig({"logFile": str(path), **keys})


def old(path: Path, name: str, days: float, size: int) -> Path:
    """A file beside the log, so many days old and so large."""
    path.parent.mkdir(exist_ok=True)
    file = path.with_name(name)
    file.write_bytes(b"x" * size)
    os.utime(file, (NOW - days * DAY_S, NOW - days * DAY_S))
    return file


def names(path: Path) -> list[str]:
    """Names in the folder of the log, without what differs from run to run."""
    ours = f".{int(NOW * 1000)}.{posix.getpid()}"
    return sorted(name.replace(ours, ".NOW") for name in os.listdir(path.parent))


def test_a_line_has_time_and_level_first(path: Path) -> None:
    """A line is one JSON object that begins with its time and level."""
    write_line(config_of(path), "info", {"command": "ADD", "code": 0})
    write_line(config_of(path), "info", {"command": "DEL", "code": 0})

    assert path.read_text() == (
        '{"time":"2026-11-25T13:40:20.123Z","level":"info","command":"ADD","code":0}\n'
        '{"time":"2026-11-25T13:40:20.123Z","level":"info","command":"DEL","code":0}\n'
    )


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (NOW, "2026-11-25T13:40:20.123Z"),
        (951782400.9999, "2000-02-29T00:00:00.999Z"),
    ],
)
def test_times(seconds: float, want: str) -> None:
    """A time is UTC with milliseconds."""
    assert logfile.render_time(seconds) == want


@pytest.mark.parametrize(
    ("level", "info", "error"),
    [
        ("debug", {"stdin", "result"}, {"stdin", "result"}),
        ("info", set(), set()),
        ("error", None, set()),
        ("off", None, None),
        ("odd", None, None),
    ],
)
def test_levels(path: Path, level: str, info: Any, error: Any) -> None:
    """Below debug stdin and result are left out, below info the successes too."""
    for wanted, kept in (("info", info), ("error", error)):
        path.unlink(missing_ok=True)
        entry = {"code": 0, "stdin": "{}", "result": ""}

        write_line(config_of(path, logLevel=level), wanted, entry)

        written = json.loads(path.read_text()) if path.exists() else None
        assert (written is None) == (kept is None)
        assert kept is None or {"stdin", "result"} & set(written or ()) == kept


def test_a_long_text_is_cut(path: Path) -> None:
    """Of a long stdin or result the beginning is kept (F18)."""
    write_line(config_of(path), "info", {"stdin": "x" * 100000, "code": 5})

    line = json.loads(path.read_text())
    assert (len(line["stdin"]), line["code"]) == (8192, 5)


@pytest.mark.parametrize("document", [None, [], {"logFile": 5, "logMaxBytes": "x"}])
def test_keys_of_a_wrong_type_count_as_missing(document: Any, tmp_path: Path) -> None:
    """A configuration that is none does not keep its own error from the log."""
    config = LogConfig(document)

    assert config.path == str(tmp_path / "default.log")
    assert (config.level, config.max_bytes) == ("debug", 10 << 20)
    assert config.max_age_days == 60


@pytest.mark.parametrize("path", ["", "pycni.log", "/a\0b"])
def test_a_log_that_is_no_absolute_path_is_none(path: str, tmp_path: Path) -> None:
    """A log file must be an absolute path, or nothing is logged."""
    write_line(LogConfig({"logFile": path}), "info", {})

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("days", "aside"), [(0.1, False), (0.6, True), (30, True)])
def test_a_file_of_another_day_is_put_aside(
    path: Path, days: float, aside: bool
) -> None:
    """The first line of a day begins a new file; the old one is named by its day."""
    file = old(path, "pycni.log", days, 10)
    day = logfile.render_time(file.stat().st_mtime)[:10]

    write_line(config_of(path), "info", {})

    put_aside = [f"pycni.log.{day}.NOW"] if aside else []
    assert names(path) == ["pycni.log", *put_aside]


@pytest.mark.parametrize(("size", "aside"), [(380, False), (400, True)])
def test_a_file_that_would_grow_too_large_is_put_aside(
    path: Path, size: int, aside: bool
) -> None:
    """The file that is written to stays below seven sixteenths of logMaxBytes (F18)."""
    old(path, "pycni.log", 0, size)

    write_line(config_of(path, logMaxBytes=1000), "info", {})

    put_aside = ["pycni.log.2026-11-25.NOW"] if aside else []
    assert names(path) == ["pycni.log", *put_aside]


def test_a_file_that_another_call_puts_aside_is_left_to_it(path: Path) -> None:
    """While another call has the lock of a full log, a line is just added (F18)."""
    old(path, "pycni.log", 1, 10)

    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        write_line(config_of(path), "info", {})

    assert names(path) == ["pycni.log"]
    assert path.read_text().startswith('xxxxxxxxxx{"time"')


def test_a_file_that_is_just_begun_is_not_put_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full log that is a new one once we have the lock stays in its place (F18)."""
    old(path, "pycni.log", 1, 10)

    def put_aside_meanwhile(descriptor: int, how: int) -> None:
        path.rename(path.with_name("pycni.log.other"))
        old(path, "pycni.log", 0, 1)

    monkeypatch.setattr(logfile, "flock", put_aside_meanwhile)
    write_line(config_of(path), "info", {})

    assert names(path) == ["pycni.log", "pycni.log.other"]
    assert path.read_text().startswith('x{"time"')


def test_files_go_by_age(path: Path) -> None:
    """What is older than logMaxAgeDays goes when a file is put aside."""
    old(path, "pycni.log", 1, 10)
    old(path, "pycni.log.young", 6, 10)
    old(path, "pycni.log.old", 8, 10)

    write_line(config_of(path, logMaxAgeDays=7), "info", {})

    assert names(path) == ["pycni.log", "pycni.log.2026-11-24.NOW", "pycni.log.young"]


def test_files_go_by_the_bytes_of_all(path: Path) -> None:
    """The oldest files go until all fit into logMaxBytes with the current one (F18)."""
    old(path, "pycni.log", 1, 200)
    old(path, "pycni.log.b", 2, 250)
    old(path, "pycni.log.c", 3, 150)
    old(path, "pycni.log.d", 4, 1)
    old(path, "other.log.a", 99, 5000)

    write_line(config_of(path, logMaxBytes=1000), "info", {})

    kept = ["pycni.log", "pycni.log.2026-11-24.NOW", "pycni.log.b"]
    assert names(path) == ["other.log.a", *kept]


def test_the_bytes_of_all_stay_bounded(path: Path) -> None:
    """However many lines are written, the folder stays below logMaxBytes (F18)."""
    config = config_of(path, logMaxBytes=2000)

    for number in range(200):
        write_line(config, "info", {"number": number, "stdin": "x" * 100})

        total = sum(file.stat().st_size for file in path.parent.iterdir())
        assert total <= 2000
    assert json.loads(path.read_text().splitlines()[-1])["number"] == 199


@pytest.mark.parametrize("value", [0, -1, 10**400, -(10**400)])
def test_absurd_bounds(path: Path, value: int) -> None:
    """A bound that nobody meant costs old lines at most, never the call."""
    old(path, "pycni.log", 1, 10)
    config = config_of(path, logMaxBytes=value, logMaxAgeDays=value)

    write_line(config, "info", {})

    assert path.exists()


def test_a_device_is_never_put_aside(path: Path) -> None:
    """A log that is no file, /dev/stderr say, is written to and left in its place."""
    path.parent.mkdir()
    posix.mkfifo(path)
    reader = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK)
    os.utime(path, (0, 0))

    write_line(config_of(path, logMaxBytes=0), "info", {})

    assert posix.read(reader, 100).startswith(b'{"time"')
    assert os.listdir(path.parent) == ["pycni.log"]
    posix.close(reader)


def test_a_log_that_cannot_be_written_costs_the_line(path: Path) -> None:
    """A log file that is a folder costs the line, not the call (F18)."""
    path.mkdir(parents=True)

    write_line(config_of(path), "info", {})

    assert os.listdir(path) == []


def test_a_folder_that_cannot_be_made_costs_the_line(tmp_path: Path) -> None:
    """A log below a file costs the line, not the call (F18)."""
    (tmp_path / "file").touch()

    write_line(config_of(tmp_path / "file" / "a" / "pycni.log"), "info", {})

    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_costs_the_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk without room costs the line, with or without the folder (F18)."""

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(posix, "write", fail)
    write_line(config_of(path), "info", {})
    write_line(config_of(path), "info", {})
    monkeypatch.undo()

    assert path.read_text() == ""
