"""The distribution's kernel and modules, taken out of its packages.

Nothing is installed: the packages are fetched, opened and read.
"""

from __future__ import annotations

import lzma
import re
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

META_PACKAGES = ("linux-image-amd64", "linux-image-virtual")  # Debian, Ubuntu
KERNEL_PACKAGE = re.compile(r"Depends: (linux-(?:image|modules)-\d\S+)")
MODULE_PATH = re.compile(
    r"/kernel/(?:net|lib|crypto|arch/x86|drivers/net)/.*\.ko(?:\.|$)"
)
MODULE_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
XZ_MAGIC = b"\xfd7zXZ\0"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ELF_MAGIC = b"\x7fELF"


class KernelError(Exception):
    """No kernel can be had on this host; the message says what is missing."""


@dataclass
class Kernel:
    """A boot image, its modules by name as packed, and the names of built-in ones."""

    image: bytes = b""
    modules: dict[str, bytes] = field(default_factory=dict)
    builtin: frozenset[str] = frozenset()


def download(folder: Path) -> None:
    """Fetch the kernel's packages: the image, and its modules where they are apart."""
    wanted = next(filter(None, map(_kernel_packages, META_PACKAGES)), [])
    if not wanted:
        raise KernelError("apt knows no kernel package: run 'apt-get update' first")
    for name in wanted:
        wanted += [more for more in _kernel_packages(name) if more not in wanted]
    command = ["apt-get", "-o", "APT::Sandbox::User=root", "download", *wanted]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise KernelError(f"apt-get download {' '.join(wanted)}: {done.stderr}")


def read(folder: Path) -> Kernel:
    """Return what the packages in a folder hold, of all modules those for networks."""
    kernel = Kernel()
    for package in sorted(folder.glob("*.deb")):
        for path, content in _package_files(package):
            if "/boot/vmlinuz-" in path:
                kernel.image = content
            elif path.endswith("/modules.builtin"):
                kernel.builtin = frozenset(map(_module_name, content.decode().split()))
            elif MODULE_PATH.search(path):
                kernel.modules[_module_name(path)] = content
    return kernel


def uncompressed_image(image: bytes) -> bytes:
    """Return the kernel inside a boot image, or the boot image if it cannot be had.

    The emulated processor takes seconds to unpack what this host unpacks at once.
    """
    setup_sectors = image[0x1F1]
    offset = (setup_sectors + 1) * 512 + int.from_bytes(image[0x248:0x24C], "little")
    length = int.from_bytes(image[0x24C:0x250], "little")
    payload = image[offset : offset + length - 4]  # the last four bytes are its size
    kernel = _unpacked(payload)
    return kernel if kernel.startswith(ELF_MAGIC) else image


def in_load_order(wanted: Iterable[str], kernel: Kernel) -> dict[str, bytes]:
    """Return the wanted modules and those that they need, each after its needs.

    A name that begins with "?" may be absent.
    """
    loaded: dict[str, bytes] = {}
    for name in wanted:
        optional = name.startswith("?")
        if not optional or name[1:] in kernel.modules:
            _load(name.lstrip("?"), kernel, loaded)
    return loaded


def _load(name: str, kernel: Kernel, loaded: dict[str, bytes]) -> None:
    """Add one module after those that it depends on."""
    if name in loaded or name in kernel.builtin:
        return
    if name not in kernel.modules:
        raise KernelError(f"this kernel has no module {name}")
    content = _unpacked(kernel.modules[name])
    found = MODULE_DEPENDS.search(content)
    for needed in filter(None, found[1].decode().split(",") if found else []):
        _load(needed.replace("-", "_"), kernel, loaded)
    loaded[name] = content


def _kernel_packages(name: str) -> list[str]:
    """Return the kernel packages that a package depends on."""
    command = ["env", "LC_ALL=C", "apt-cache", "depends", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return KERNEL_PACKAGE.findall(done.stdout)


def _package_files(package: Path) -> Iterator[tuple[str, bytes]]:
    """Return the path and content of each regular file in a package."""
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as members,
    ):
        for member in members:
            content = members.extractfile(member) if member.isfile() else None
            if content:
                yield member.name, content.read()
    if unpacking.returncode:
        raise KernelError(f"{package} cannot be read")


def _module_name(path: str) -> str:
    """Return the name by which modules call each other: no folder, no hyphens."""
    return PurePosixPath(path).name.split(".")[0].replace("-", "_")


def _unpacked(data: bytes) -> bytes:
    """Return data as it was before packing with xz or zstd, or unchanged."""
    if data.startswith(XZ_MAGIC):
        return lzma.decompress(data)
    if data.startswith(ZSTD_MAGIC):
        command = ["zstd", "--decompress", "--stdout", "--quiet"]
        return subprocess.run(
            command, input=data, stdout=subprocess.PIPE, check=True
        ).stdout
    return data
