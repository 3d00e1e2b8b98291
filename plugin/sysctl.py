"""Network sysctls of the namespace that we are in.

Never writes a value that is there already, so that a read-only /proc/sys is no
obstacle where nothing has to change.
"""

from __future__ import annotations

import posix
from posix import O_CLOEXEC, O_WRONLY

from plugin import errors
from plugin.errors import CNIError
from plugin.state import files

_ROOT = "/proc/sys/net"


def read(key: str) -> str | None:
    """The value of `ipv4/ip_forward`; None if the kernel has no such key."""
    data = files.read(f"{_ROOT}/{key}")
    return None if data is None else data.decode().strip()


def ensure(key: str, value: str) -> bool:
    """Give a key its value; False if the kernel has no such key."""
    current = read(key)
    if current is None or current == value:
        return current is not None
    try:
        descriptor = posix.open(f"{_ROOT}/{key}".encode(), O_WRONLY | O_CLOEXEC)
        try:
            posix.write(descriptor, value.encode())
        finally:
            posix.close(descriptor)
    except OSError as error:
        raise CNIError(
            errors.KERNEL_REFUSED,
            f"sysctl net/{key} is {current} and can't be set to {value}",
            str(error.strerror),
        ) from None
    return True


def path_of(ifname: str, family: str, key: str) -> str:
    """The key of one interface: `ipv6/conf/eth0/accept_ra`."""
    return f"{family}/conf/{ifname}/{key}"
