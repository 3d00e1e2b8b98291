"""Archives in the "newc" format of cpio, which the kernel unpacks at boot.

Never touches a disk: an archive holds what the caller names, needs no root to make
and no cpio program.

Two archives one after the other count as one: later files replace earlier ones.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FOLDER = 0o040755
PROGRAM = 0o100755  # all files are executable: nothing in the machine minds
LINK = 0o120777


def archive(
    files: Mapping[str, bytes],
    links: Mapping[str, str] | None = None,
    folders: Iterable[str] = (),
) -> bytes:
    """Return an archive of files, symbolic links and folders, by path in the machine.

    Missing parent folders are made.
    """
    links = links or {}
    parents = {
        parent for path in [*files, *links, *folders] for parent in _parents(path)
    }
    entries = [_entry(path, FOLDER, b"") for path in sorted({*parents, *folders})]
    entries += [_entry(path, PROGRAM, content) for path, content in files.items()]
    entries += [_entry(path, LINK, to.encode()) for path, to in links.items()]
    return b"".join(entries) + _entry("TRAILER!!!", 0, b"")


def _parents(path: str) -> list[str]:
    """Return the folders above a path, without the root."""
    return [str(parent) for parent in PurePosixPath(path).parents][:-1]


def _entry(path: str, mode: int, content: bytes) -> bytes:
    """Return one entry: thirteen hex fields, the name, the content, each padded."""
    name = path.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor,
    # rdevminor, namesize, check
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(content)


def _padded(data: bytes) -> bytes:
    """Return data filled up with zeros to a multiple of four bytes."""
    return data + bytes(-len(data) % 4)
