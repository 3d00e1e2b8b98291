"""Files that are never seen half written, and locks that end with their holder."""

from __future__ import annotations

import errno
import os
import posix
import signal
from typing import TYPE_CHECKING, Any

import pytest

from plugin.state import files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The path of a file that is not there."""
    return str(tmp_path / "file")


def test_what_is_not_there(path: str) -> None:
    """A file or folder that is not there is no error, but nothing."""
    assert files.read(path) is None
    assert files.read(f"{path}/below") is None
    assert files.names(path) == []
    assert files.exists(path) is False
    assert files.remove(path) is False
    assert list(files.each_name(path)) == []


def test_a_file_in_the_place_of_a_folder(path: str) -> None:
    """Nothing is below a file."""
    files.replace(path, b"x")

    assert files.read(f"{path}/below") is None
    assert files.names(path) == []
    assert files.exists(f"{path}/below") is False


@pytest.mark.parametrize("durable", [False, True])
def test_replace(path: str, durable: bool) -> None:
    """A file is replaced as a whole, and nothing else is left beside it."""
    files.replace(path, b"old", durable)
    files.replace(path, b"new", durable)

    assert files.read(path) == b"new"
    assert os.listdir(os.path.dirname(path)) == ["file"]


def test_read_ends_where_it_is_told(path: str) -> None:
    """Of a large file no more than asked for is read."""
    files.replace(path, b"x" * 200000)

    assert len(files.read(path) or b"") == 200000
    assert len(files.read(path, 70000) or b"") == 70000


def test_a_claim_is_made_once(path: str) -> None:
    """The first claim of a name makes the file, the second one leaves it."""
    assert files.claim(path, b"first") is True
    assert files.claim(path, b"second") is False

    assert files.read(path) == b"first"
    assert os.listdir(os.path.dirname(path)) == ["file"]


def test_a_locked_claim_is_locked_from_its_first_moment(path: str) -> None:
    """A claim that is locked can't be locked by another until it is closed."""
    descriptor = files.claim_locked(path, b"mine")

    assert files.claim_locked(path, b"theirs") == -1
    with pytest.raises(TimeoutError):
        files.lock(path, 0.01)
    posix.close(descriptor)
    posix.close(files.lock(path, 0.01))
    assert os.listdir(os.path.dirname(path)) == ["file"]


def test_a_lock_that_is_held_is_waited_for(path: str) -> None:
    """A lock ends in TimeoutError when another holds it for too long (A7)."""
    holder = files.lock(path, 1)

    with pytest.raises(TimeoutError):
        files.lock(path, 0.01)
    with pytest.raises(TimeoutError):
        files.lock(path, 0.01, shared=True)
    posix.close(holder)
    posix.close(files.lock(path, 0.01))


def test_a_shared_lock_has_many_holders(path: str) -> None:
    """Shared locks live side by side, and keep an exclusive one away."""
    one = files.lock(path, 1, shared=True)
    two = files.lock(path, 1, shared=True)

    with pytest.raises(TimeoutError):
        files.lock(path, 0.01)
    posix.close(one)
    posix.close(two)


def test_a_lock_of_a_file_that_is_not_made(path: str) -> None:
    """A lock that may not make its file needs it to be there."""
    with pytest.raises(FileNotFoundError):
        files.lock(path, 1, make=False)

    assert not os.path.exists(path)


def test_an_alarm_that_comes_late_is_nothing(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alarm that comes when the wait is over stops nothing else (A7)."""
    handlers: list[Any] = []

    def keep(number: int, handler: Any) -> None:
        handlers.append(handler)
        signal.signal(number, handler)

    monkeypatch.setattr(files, "signal", keep)
    holder = files.lock(path, 1)
    with pytest.raises(TimeoutError):
        files.lock(path, 0.01)
    posix.close(holder)

    for handler in handlers:
        handler()
    assert len(handlers) == 1


def test_a_lock_that_may_not_be_waited_for(path: str) -> None:
    """Without any time a lock that is held is refused at once."""
    holder = files.lock(path, 1)

    with pytest.raises(TimeoutError):
        files.lock(path, 0)
    posix.close(holder)


def test_an_error_while_reading_has_the_path(tmp_path: Path) -> None:
    """A folder in the place of a file is an error that names it."""
    with pytest.raises(IsADirectoryError) as caught:
        files.read(str(tmp_path))

    assert caught.value.filename == str(tmp_path)


def test_append(path: str) -> None:
    """What is appended stands behind what is there."""
    files.append(path, b"one\n")
    files.append(path, b"two\n")

    assert files.read(path) == b"one\ntwo\n"


@pytest.mark.parametrize(
    ("behind", "left"),
    [(b"", b"one\n"), (b"three\n", b"one\ntwthree\n")],
    ids=["alone", "another behind"],
)
def test_half_a_line_is_taken_back(
    path: str, monkeypatch: pytest.MonkeyPatch, behind: bytes, left: bytes
) -> None:
    """What a full disk took of a line goes, unless somebody wrote behind it (F18)."""
    files.append(path, b"one\n")
    write = posix.write

    def take_half(descriptor: int, data: bytes) -> int:
        written = write(descriptor, data[: len(data) // 2])
        with open(path, "ab") as other:
            other.write(behind)
        return written

    monkeypatch.setattr(posix, "write", take_half)
    files.append(path, b"two\n")

    assert files.read(path) == left


def test_folders_are_made_with_those_above(tmp_path: Path) -> None:
    """A folder is made with those above it, for the owner alone, and only once."""
    path = f"{tmp_path}/a/b/c"

    files.make_folder(path)
    files.make_folder(path)

    assert os.path.isdir(path)
    assert os.stat(f"{tmp_path}/a").st_mode & 0o777 == 0o700


def test_a_relative_folder_without_a_parent_is_refused() -> None:
    """A folder that has no name can't be made."""
    with pytest.raises(FileNotFoundError):
        files.make_folder("")


def test_a_folder_that_can_not_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that can't be written is an error with its path."""
    monkeypatch.setattr(posix, "access", lambda path, mode: False)

    files.require_writable(str(tmp_path / "none"))
    with pytest.raises(OSError, match="Read-only file system") as caught:
        files.require_writable(str(tmp_path))

    assert caught.value.filename == str(tmp_path)


def test_hidden_names_are_left_out(tmp_path: Path) -> None:
    """Temporary files, whose names begin with a dot, are not listed."""
    for name in ("10.0.0.1", ".77.1.tmp", "lock"):
        (tmp_path / name).touch()

    assert sorted(files.names(str(tmp_path))) == ["10.0.0.1", "lock"]


def test_a_leftover_of_a_process_of_this_number_is_no_obstacle(path: str) -> None:
    """A temporary name that a killed process left is used again."""
    folder = os.path.dirname(path)
    leftover = f"{folder}/.{posix.getpid()}.{files._serial + 1}.tmp"
    files.append(leftover, b"garbage")

    files.replace(path, b"whole")

    assert files.read(path) == b"whole"
    assert os.listdir(folder) == ["file"]


def test_a_full_disk_leaves_nothing_half_written(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that fails leaves the old file, and no temporary one (B8)."""
    files.replace(path, b"old")

    def fail(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(posix, "write", fail)
    for attempt in (files.replace, files.claim, files.claim_locked):
        with pytest.raises(OSError, match="No space left"):
            attempt(path, b"new")
    monkeypatch.undo()

    assert files.read(path) == b"old"
    assert os.listdir(os.path.dirname(path)) == ["file"]


def test_a_rename_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A file that can't take its place is removed again."""
    path = tmp_path / "folder"
    (path / "inside").mkdir(parents=True)

    with pytest.raises(IsADirectoryError):
        files.replace(str(path), b"new")

    assert os.listdir(tmp_path) == ["folder"]


def test_a_short_write_is_continued(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel takes in parts is written whole."""
    whole = posix.write
    monkeypatch.setattr(posix, "write", lambda fd, data: whole(fd, data[:3]))

    files.replace(path, b"0123456789")

    assert files.read(path) == b"0123456789"
