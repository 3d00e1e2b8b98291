"""Files that are never seen half written: replace, claim, read, lock.

Paths are str here and bytes below: the frozen interpreter starts without a file
system codec. A temporary name begins with a dot, so that no reader takes it for a
lease or a record.
"""

from __future__ import annotations

import posix
from _signal import ITIMER_REAL, SIGALRM, setitimer, signal
from errno import EROFS
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from posix import (
    O_APPEND,
    O_CLOEXEC,
    O_CREAT,
    O_EXCL,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
)

# linux/stat.h
_S_IFMT, _S_IFREG = 0o170000, 0o100000

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SEEK_CUR = 1
_serial = 0


def read(path: str, most: int = 1 << 24) -> bytes | None:
    """The content of a file, None if it does not exist."""
    try:
        # O_NONBLOCK: a FIFO without a writer must not hold us.
        descriptor = posix.open(path.encode(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return read_all(descriptor, most)
    except OSError as error:
        error.filename = path
        raise
    finally:
        posix.close(descriptor)


def read_all(descriptor: int, most: int = 1 << 24) -> bytes:
    """What a descriptor has up to its end, `most` bytes of it."""
    parts = []
    while most > 0:
        part = posix.read(descriptor, min(most, 65536))
        if not part:
            break
        most -= len(part)
        parts.append(part)
    return b"".join(parts)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data."""
    while data:
        data = data[posix.write(descriptor, data) :]


def names(folder: str) -> list[str]:
    """The names in a folder that do not begin with a dot; empty if there is none."""
    try:
        found = posix.listdir(folder.encode())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name.decode("utf-8", "replace") for name in found if name[:1] != b"."]


def each_name(folder: str) -> Iterator[str]:
    """The names in a folder as `names` has them, as the kernel gives them."""
    try:
        with posix.scandir(folder.encode()) as entries:
            for entry in entries:
                if entry.name[:1] != b".":
                    yield entry.name.decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return


def exists(path: str) -> bool:
    """Whether there is a file or folder of that name."""
    try:
        posix.stat(path.encode())
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_program(path: str) -> bool:
    """Whether a path leads to a file that we may run."""
    try:
        mode = posix.stat(path.encode()).st_mode
    except OSError:
        return False
    return mode & _S_IFMT == _S_IFREG and posix.access(path.encode(), posix.X_OK)


def require_writable(folder: str) -> None:
    """Raise OSError if a folder is there and nothing can be written in it."""
    if exists(folder) and not posix.access(folder.encode(), posix.W_OK | posix.X_OK):
        raise OSError(EROFS, posix.strerror(EROFS), folder)


def make_folder(path: str) -> None:
    """Make a folder and those above it, for the owner alone."""
    try:
        _make_one(path)
    except FileNotFoundError:
        parent = path.rpartition("/")[0]
        if not parent:
            raise
        make_folder(parent)
        # Once more only: below /proc, and in a link to nowhere, it stays not found.
        _make_one(path)


def _make_one(path: str) -> None:
    try:
        posix.mkdir(path.encode(), 0o700)
    except FileExistsError:
        pass


def remove(path: str) -> bool:
    """Remove a file; False if there was none."""
    try:
        posix.unlink(path.encode())
    except FileNotFoundError:
        return False
    return True


def _temporary(path: str, data: bytes) -> tuple[bytes, int]:
    """A new file beside `path` with the data: its name, and its open descriptor."""
    global _serial
    _serial += 1
    folder = path.rpartition("/")[0]
    name = f"{folder}/.{posix.getpid()}.{_serial}.tmp".encode()
    flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC
    try:
        descriptor = posix.open(name, flags, 0o600)
    except FileExistsError:
        # A process of this number was killed here before.
        posix.unlink(name)
        descriptor = posix.open(name, flags, 0o600)
    try:
        write_all(descriptor, data)
    except OSError as error:
        error.filename = path
        posix.close(descriptor)
        posix.unlink(name)
        raise
    return name, descriptor


def replace(path: str, data: bytes, durable: bool = False) -> None:
    """Put data in the place of a file; `durable` also survives a loss of power."""
    temporary, descriptor = _temporary(path, data)
    try:
        if durable:
            posix.fsync(descriptor)
        posix.rename(temporary, path.encode())
    except OSError:
        posix.unlink(temporary)
        raise
    finally:
        posix.close(descriptor)


def claim(path: str, data: bytes) -> bool:
    """Make a file that did not exist, whole from its first moment; False if it did."""
    temporary, descriptor = _temporary(path, data)
    posix.close(descriptor)
    try:
        posix.link(temporary, path.encode())
    except FileExistsError:
        return False
    finally:
        posix.unlink(temporary)
    return True


def claim_locked(path: str, data: bytes) -> int:
    """Like claim, but locked from its first moment: a descriptor, -1 if it existed.

    The lock ends with the process, however that ends.
    """
    temporary, descriptor = _temporary(path, data)
    try:
        flock(descriptor, LOCK_EX)
        posix.link(temporary, path.encode())
    except FileExistsError:
        posix.close(descriptor)
        return -1
    finally:
        posix.unlink(temporary)
    return descriptor


def append(path: str, data: bytes) -> None:
    """Append with a single write, so that lines of parallel runs do not mix; all of
    it or nothing."""
    # O_NONBLOCK: neither a FIFO without a reader nor a full one may hold us.
    flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK
    descriptor = posix.open(path.encode(), flags, 0o640)
    try:
        written = posix.write(descriptor, data)
        if written < len(data):
            # A full disk took half a line: without it the next one stays whole.
            end = posix.lseek(descriptor, 0, SEEK_CUR)
            if posix.fstat(descriptor).st_size == end:
                posix.ftruncate(descriptor, end - written)
    finally:
        posix.close(descriptor)


def lock(path: str, timeout_s: float, shared: bool = False, make: bool = True) -> int:
    """Lock a file and return its descriptor; close it to unlock.

    Raises TimeoutError after timeout_s (at once if that is 0), FileNotFoundError if it
    may not be made.
    """
    flags = O_RDWR | O_CREAT if make else O_RDWR
    descriptor = posix.open(path.encode(), flags | O_CLOEXEC, 0o600)
    how = LOCK_SH if shared else LOCK_EX
    try:
        try:
            flock(descriptor, how | LOCK_NB)
        except BlockingIOError:
            _wait(descriptor, how, timeout_s)
    except BaseException:
        posix.close(descriptor)
        raise
    return descriptor


def _wait(descriptor: int, how: int, timeout_s: float) -> None:
    """Wait in the kernel's queue; an alarm ends it (flock has no time limit).

    It comes again, for the first one may come before flock waits, and end nothing.
    """
    if not timeout_s:
        raise TimeoutError

    def give_up(*_: Any) -> None:
        _, interval = setitimer(ITIMER_REAL, 0)
        if interval:
            raise TimeoutError

    signal(SIGALRM, give_up)
    setitimer(ITIMER_REAL, timeout_s, 0.05)
    try:
        flock(descriptor, how)
    finally:
        setitimer(ITIMER_REAL, 0)
