"""Network namespaces: open one by its path, enter it, come back.

Never makes or deletes one. What is opened in a namespace, a socket or a file below
/proc/sys/net, stays of that namespace.
"""

from __future__ import annotations

import posix
from fcntl import ioctl
from posix import O_CLOEXEC, O_NONBLOCK, O_RDONLY

from plugin import errors
from plugin.errors import CNIError

try:
    from posix import setns  # type: ignore[attr-defined]  # Python 3.12
except ImportError:
    from _setns import setns

# linux/nsfs.h: _IO(0xb7, 0x3); linux/sched.h
_NS_GET_NSTYPE = 0xB703
_CLONE_NEWNET = 0x40000000
_OWN = b"/proc/self/ns/net"


def open_own() -> int:
    """A descriptor of the namespace that we are in."""
    return posix.open(_OWN, O_RDONLY | O_CLOEXEC)


def open_netns(path: str) -> int:
    """A descriptor of the namespace at CNI_NETNS; code 4 if it is none.

    FileNotFoundError is left to the caller: for DEL it is no error.
    """
    try:
        # O_NONBLOCK: a FIFO without a writer must not hold us.
        descriptor = posix.open(path.encode(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _bad(path, error.strerror) from None
    try:
        kind = ioctl(descriptor, _NS_GET_NSTYPE)
    except OSError:
        kind = 0
    if kind != _CLONE_NEWNET:
        posix.close(descriptor)
        raise _bad(path, "not a network namespace")
    return descriptor


def require_netns(path: str) -> int:
    """Like open_netns, where the namespace has to be there: code 4 without a file."""
    try:
        return open_netns(path)
    except FileNotFoundError:
        raise _bad(path, "no such file") from None


def _bad(path: str, why: str | None) -> CNIError:
    return CNIError(errors.INVALID_ENVIRONMENT, f"CNI_NETNS: {path}: {why}")


def is_own(descriptor: int) -> bool:
    """Whether the descriptor is of the namespace that we are in."""
    there, here = posix.fstat(descriptor), posix.stat(_OWN)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def enter(descriptor: int) -> None:
    """Move this process into a namespace."""
    setns(descriptor, _CLONE_NEWNET)
