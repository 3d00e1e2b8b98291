"""A place of our own to measure in: own network, own /run, own /var/log.

Never leaves anything behind, not even after a kill: everything hangs on the network and
mount namespaces of this one process, and the kernel removes it together with them.
The machine's interfaces, routes and firewall cannot be seen from inside.

One process enters many network namespaces in turn, since changing over costs a
microsecond and starting another program would be in every figure.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import socket
import struct
import time
from pathlib import Path

# sched.h and sys/mount.h
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
# net/if.h and linux/sockios.h
IFF_UP = 1
SIOCSIFFLAGS = 0x8914

RUN = Path("/run/pycni-bench")
TMPFS = b"mode=755,size=3g,nr_inodes=0"  # 60,000 leases take 720 MB on both sides
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def enter() -> None:
    """Leave the machine's network, /run, /var/log and /sys/class/net for good.

    /sys shows the interfaces of an empty network, so that a plugin which looked there
    would find nothing rather than the machine's own.
    """
    _call("unshare", CLONE_NEWNS | CLONE_NEWNET)
    _call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    for folder in (b"/run", b"/var/log"):
        _call("mount", b"tmpfs", folder, b"tmpfs", MS_NOSUID | MS_NODEV, TMPFS)
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _call("mount", b"sysfs", b"/sys", b"sysfs", flags, None)
    (RUN / "netns").mkdir(parents=True)


class Namespace:
    """A network namespace with a path, as `ip netns add` makes it; loopback is up."""

    def __init__(self) -> None:
        """Make it, and enter it."""
        self.path = RUN / "netns" / str(next(_numbers))
        _call("unshare", CLONE_NEWNET)
        self.path.touch()
        source, target = b"/proc/self/ns/net", os.fsencode(self.path)
        _call("mount", source, target, b"none", MS_BIND, None)
        _loopback_up()

    def enter(self) -> None:
        """Be in it, with every process that is started from now on."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("setns", fd, CLONE_NEWNET)
        finally:
            os.close(fd)

    def remove(self) -> None:
        """Let go of it; the kernel then cleans up in its own time."""
        _call("umount2", os.fsencode(self.path), MNT_DETACH)
        self.path.unlink()


def has_link(name: str) -> bool:
    """Whether the namespace that we are in has this interface."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def await_gone(names: list[str], timeout_s: float = 60) -> list[str]:
    """Wait until these interfaces are gone from here; return those that stay."""
    deadline = time.monotonic() + timeout_s
    while names and time.monotonic() < deadline:
        names = [name for name in names if has_link(name)]
        if names:
            time.sleep(0.005)
    return names


def _loopback_up() -> None:
    request = struct.pack("16sH14x", b"lo", IFF_UP)  # struct ifreq
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, request)


def _call(function: str, *arguments: object) -> None:
    """Call the C library; os.unshare and os.setns are there from Python 3.12 only."""
    if getattr(_libc, function)(*arguments) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{function}: {os.strerror(errno)}")
