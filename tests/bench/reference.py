"""The reference CNI plugins and the programs that they run: found, built or installed.

Never measures anything, and must be done before the lab closes: it needs the network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MODULE = "github.com/containernetworking/plugins"
# The first four are measured; tests/acceptance chains pycni with all of them.
BINARIES = {
    "bridge": "plugins/main/bridge",
    "host-local": "plugins/ipam/host-local",
    "portmap": "plugins/meta/portmap",
    "bandwidth": "plugins/meta/bandwidth",
    "firewall": "plugins/meta/firewall",
    "ptp": "plugins/main/ptp",
    "static": "plugins/ipam/static",
    "tuning": "plugins/meta/tuning",
}
SOURCE = Path(__file__).parent / "reference-go"
GO = str(Path(__file__).parents[2] / "scripts" / "go")
DEBIAN_FOLDER = "usr/lib/cni"


class BenchError(Exception):
    """The benchmark cannot go on; the text says why."""


@dataclass(frozen=True)
class Reference:
    """The folder with the reference plugins and what they are."""

    folder: Path
    version: str
    origin: str
    has_nft_backend: bool  # ipMasqBackend came long after Debian 12's 1.1.1


def obtain(build: Path) -> Reference:
    """Build the plugins from their Go module, or else take Debian's package."""
    try:
        return build_plugins(build)
    except (OSError, subprocess.CalledProcessError, BenchError) as error:
        print(f"reference: no build from the Go module ({error})", file=sys.stderr)
        return _debian(build / "reference-debian")


def build_plugins(build: Path) -> Reference:
    """Build the plugins from their Go module."""
    folder = build / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    version = _pinned(rf"{re.escape(MODULE)} (\S+)")
    _build(folder, version)
    return Reference(folder, version, f"built from {MODULE} {version}", True)


def ensure_programs() -> None:
    """Have iptables and nft, which the reference runs to masquerade."""
    packages = {"iptables": "iptables", "nft": "nftables"}
    missing = [name for program, name in packages.items() if not shutil.which(program)]
    if not missing:
        return
    apt_get = _apt_get(", ".join(missing))
    print(f"reference: installing {' '.join(missing)}", file=sys.stderr)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = [apt_get, "install", "-y", "-qq", *missing]
    subprocess.run(command, check=True, env=environ, stdout=sys.stderr)


def _pinned(pattern: str) -> str:
    found = re.search(pattern, (SOURCE / "go.mod").read_text())
    if not found:
        raise BenchError(f"go.mod does not match {pattern}")
    return found[1]


def _build(folder: Path, version: str) -> None:
    """Leave the plugins in the folder; a stamp says which inputs made them."""
    stamp = folder / "stamp"
    inputs = _digest(SOURCE / "go.mod", SOURCE / "go.sum", Path(__file__))
    built = all((folder / name).exists() for name in BINARIES)
    if built and stamp.exists() and stamp.read_text() == inputs:
        return
    print(f"reference: building {MODULE} {version}", file=sys.stderr)
    define = f"-X {MODULE}/pkg/utils/buildversion.BuildVersion={version}"
    for name, package in BINARIES.items():
        command = [GO, "build", "-trimpath", "-buildvcs=false"]
        command += ["-ldflags", f"-s -w {define}", "-o", str(folder.resolve() / name)]
        environ = {**os.environ, "CGO_ENABLED": "0"}
        subprocess.run(
            [*command, f"{MODULE}/{package}"], check=True, cwd=SOURCE, env=environ
        )
    stamp.write_text(inputs)


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _debian(folder: Path) -> Reference:
    """Unpack Debian's older package, without installing it."""
    name = "containernetworking-plugins"
    apt_get = _apt_get(name)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([apt_get, "download", "-qq", name], check=True, cwd=folder)
    package = max(folder.glob(f"{name}_*.deb"), key=lambda path: path.stat().st_mtime)
    dpkg = Path(apt_get).with_name("dpkg")
    subprocess.run([dpkg, "-x", package.name, "."], check=True, cwd=folder)
    version = package.name.split("_")[1]
    print(f"reference: Debian's {version}, no nftables backend", file=sys.stderr)
    return Reference(folder / DEBIAN_FOLDER, version, "Debian package", False)


def _apt_get(wanted: str) -> str:
    program = shutil.which("apt-get")
    if not program:
        raise BenchError(f"{wanted}: not here, and no apt-get to fetch it with")
    return program
