"""The foreign programs of these tests: built from their Go modules, kept in build/.

Never falls back to anything else: without its module a test fails and says why.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.bench import reference

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).parent / "go"
PLUGIN = ROOT / "build" / "pycni"
REFERENCE = ROOT / "build" / "reference"
BUILT = ROOT / "build" / "acceptance"
GO = ROOT / "scripts" / "go"

DRIVERS = (
    "github.com/containernetworking/cni/cnitool",
    "github.com/containernetworking/cni/plugins/test/noop",
    "./runtime",
)
# Packages of the reference module whose tests run a plugin that they find in PATH.
SUITES = (
    "integration",
    "plugins/main/bridge",
    "plugins/meta/firewall",
    "plugins/meta/portmap",
)
BUILD_TIMEOUT_S = 400


def build_plugins() -> None:
    """Have the reference plugins in REFERENCE."""
    reference.build_plugins(ROOT / "build")


def build_drivers() -> None:
    """Have cnitool, the plugin noop and our own runtime in BUILT."""
    go("build", "-trimpath", "-buildvcs=false", "-o", f"{BUILT}/", *DRIVERS, cwd=SOURCE)


def build_suites() -> None:
    """Have the reference's tests in BUILT, each as NAME.test."""
    packages = [f"{reference.MODULE}/{package}" for package in SUITES]
    go("test", "-c", "-o", f"{BUILT}/", *packages, cwd=reference.SOURCE)


def module_folder() -> Path:
    """Where Go keeps the source of the reference plugins."""
    command = ("list", "-m", "-f", "{{.Dir}}", reference.MODULE)
    return Path(go(*command, cwd=reference.SOURCE).strip())


def go(*arguments: str, cwd: Path) -> str:
    """Run Go on one of our modules and return what it prints."""
    BUILT.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [GO, *arguments],
        cwd=cwd,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
    )
    if done.returncode:
        call = f"go {' '.join(arguments)} in {cwd.relative_to(ROOT)}"
        raise AssertionError(f"{call}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout
