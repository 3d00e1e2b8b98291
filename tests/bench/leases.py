"""A store with many leases, written straight to disk.

Never knows a plugin's format: it copies the files of a pod that the plugin attached
itself, with that pod's container id and address replaced in names and contents.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING

from .reference import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .side import Pod, Side

CURSOR = "last_reserved_ip.0"


def fill(side: Side, held: int) -> None:
    """Bring the store to this many leases, in a row from the last resident's on."""
    pattern = side.residents[-1]
    first = ipaddress.IPv4Address(pattern.address) + 1
    last = first + (held - len(side.residents) - 1)
    files = list(_files_of(side.store, pattern))
    if not files or not (side.store / CURSOR).exists():
        raise BenchError(f"{side.plugin.label}: no host-local store in {side.store}")
    for number in range(int(first), int(last) + 1):
        address = str(ipaddress.IPv4Address(number))
        container_id = hashlib.sha256(address.encode()).hexdigest()
        for name, text in files:
            copy = _replaced(name, pattern, container_id, address)
            (side.store / copy).write_text(
                _replaced(text, pattern, container_id, address), newline=""
            )
    if last >= first:
        (side.store / CURSOR).write_text(str(last))


def _files_of(store: Path, pod: Pod) -> Iterator[tuple[str, str]]:
    """Name and text of each file that is this pod's alone."""
    for path in store.rglob("*"):
        if path.name == pod.address or pod.container_id in path.name:
            yield str(path.relative_to(store)), path.read_bytes().decode()


def _replaced(text: str, pod: Pod, container_id: str, address: str) -> str:
    return text.replace(pod.container_id, container_id).replace(pod.address, address)
