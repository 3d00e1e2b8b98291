"""The test machine's kernel and base file system, made once and kept.

Never starts the machine.

    build/vm/packages/  the kernel's packages, as fetched
    build/vm/RECIPE/    vmlinux and base.cpio, made of them by these sources

Each is made beside its place and then renamed into it, so it is whole or absent.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import kernel
from .cpio import archive

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / "build" / "vm"
RECIPE = ("image.py", "kernel.py", "cpio.py", "init", "modules.txt")
PROGRAMS = ("bridge", "ip", "nft", "dash")  # with their shared libraries
FOLDERS = ("dev", "etc", "proc", "run", "sys", "tmp", "var/lib")
SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
LIBRARY = re.compile(r"(/\S+) \(0x")


@dataclass(frozen=True)
class Image:
    """What a boot needs: the kernel, uncompressed, and the first archive."""

    kernel: Path
    base: Path


def prepare() -> Image:
    """Return the image, made first if there is none of the present recipe."""
    folder = CACHE / _recipe()
    if not folder.exists():
        _make(CACHE / "packages", kernel.download)
        _make(folder, _build)
    return Image(kernel=folder / "vmlinux", base=folder / "base.cpio")


def _recipe() -> str:
    """Return a name that changes with what the image is made of."""
    parts = [HERE / name for name in RECIPE]
    parts += [_program(name) for name in ("busybox", *PROGRAMS)]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes())
    return digest.hexdigest()[:12]


def _make(place: Path, fill: Callable[[Path], None]) -> None:
    """Have a new folder filled and put in its place, unless one is there already."""
    if place.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=CACHE, prefix="new-"))
    try:
        fill(folder)
        folder.rename(place)
    except OSError:
        if not place.exists():  # another run may have been faster
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build(folder: Path) -> None:
    """Write the two files of the image."""
    packed = kernel.read(CACHE / "packages")
    (folder / "vmlinux").write_bytes(kernel.uncompressed_image(packed.image))
    files, links = _busybox()
    for name in PROGRAMS:
        files |= _with_libraries(name)
        links.pop(f"bin/{name}", None)
    files |= _modules(packed)
    files["init"] = (HERE / "init").read_bytes()
    (folder / "base.cpio").write_bytes(archive(files, links, FOLDERS))


def _modules(packed: kernel.Kernel) -> dict[str, bytes]:
    """Return the files of the wanted modules and a list of them in load order."""
    lines = (HERE / "modules.txt").read_text().splitlines()
    wanted = [line.partition(" ") for line in lines if not line.startswith("#")]
    found = kernel.in_load_order([name for name, _, _ in wanted], packed)
    parameters = {name: rest for name, _, rest in wanted}
    files = {f"lib/modules/{name}.ko": content for name, content in found.items()}
    order = [f"/lib/modules/{name}.ko {parameters.get(name, '')}\n" for name in found]
    return {**files, "lib/modules/order": "".join(order).encode()}


def _busybox() -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the one program behind the small commands, and their links to it."""
    program = _program("busybox")
    listed = subprocess.run([program, "--list"], capture_output=True, check=True)
    names = listed.stdout.decode().split()
    links = {f"bin/{name}": "busybox" for name in names if name != "busybox"}
    links["bin/sh"] = "dash"  # busybox's own shell prefers its own ip to /bin/ip
    return {"bin/busybox": program.read_bytes()}, links


def _with_libraries(name: str) -> dict[str, bytes]:
    """Return a program of this host and each library that it is linked to."""
    program = _program(name)
    listed = subprocess.run(["ldd", program], capture_output=True, check=True)
    libraries = LIBRARY.findall(listed.stdout.decode())
    files = {library.lstrip("/"): Path(library).read_bytes() for library in libraries}
    return {**files, f"bin/{name}": program.read_bytes()}


def _program(name: str) -> Path:
    """Return where a program of this host lies."""
    found = shutil.which(name, path=SEARCH_PATH)
    if not found:
        raise kernel.KernelError(f"{name} is missing: install tests/vm/packages.txt")
    return Path(found)
