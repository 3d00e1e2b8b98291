"""The file from a newer Debian's Python: other library, other start, same plugin."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kernel.node import Node
from tests.kernel.test_walkthrough import WALKTHROUGH

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DEBIAN_13 = ROOT / "build" / "debian13"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = "gcc,libc6-dev,python3-dev"

# The first test waits for a Debian to be unpacked.
pytestmark = pytest.mark.timeout(600)


def run(*command: str | Path) -> str:
    """Run a program that has to succeed; its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{command}: {output[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def debian_13() -> Path:
    """A minimal Debian 13 with its python3-dev, unpacked once and kept in build/."""
    if not (DEBIAN_13 / "usr" / "include").exists():
        fresh = DEBIAN_13.with_suffix(f".{os.getpid()}")
        options = ("--variant=minbase", f"--include={PACKAGES}")
        run("debootstrap", *options, "trixie", fresh, MIRROR)
        fresh.rename(DEBIAN_13)
    return DEBIAN_13


@pytest.fixture(scope="module")
def plugin(debian_13: Path) -> Path:
    """The static file, built inside of Debian 13."""
    source = debian_13 / "pycni"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(
        ROOT / "plugin", source / "plugin", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", source)
    run("chroot", debian_13, "/pycni/plugin/freeze/build.sh", "/pycni/build/pycni")
    return source / "build" / "pycni"


@pytest.fixture
def node(tmp_path: Path, plugin: Path) -> Iterator[Node]:
    """A node that runs the file from Debian 13."""
    node = Node(tmp_path, plugin)
    yield node
    node.delete()


def test_file_from_a_newer_python_is_static(plugin: Path) -> None:
    """The file built with Debian 13's Python needs nothing on the node."""
    assert "statically linked" in run("file", plugin)


def test_file_from_a_newer_python_connects_pods(node: Node) -> None:
    """The file built with Debian 13's Python does ADD, CHECK, GC and DEL."""
    config = node.config(cniVersion="1.1.0")
    one, two = node.pod(), node.pod()

    first = node.add(config, "c1", one)
    node.add(config, "c2", two)
    checked = node.call("CHECK", {**config, "prevResult": first}, "c1", one)
    valid = [{"containerID": "c1", "ifname": "eth0"}]
    collected = node.call("GC", {**config, "cni.dev/valid-attachments": valid})

    assert checked.exit_code == 0, checked
    assert collected.exit_code == 0, collected
    assert one.ping("10.60.0.1")
    assert node.leases() == ["10.60.0.2"]
    assert node.call("DEL", config, "c1", one).exit_code == 0
    assert node.leases() == []
    assert node.ruleset() == ""


def test_file_from_a_newer_python_answers_errors(node: Node) -> None:
    """The file built with Debian 13's Python refuses what the other one refuses."""
    broken = node.call("ADD", b'{"cniVersion": "1.0.0", "name": }', "c1", node.pod())
    walkthrough = node.config(**WALKTHROUGH)
    missing = node.call("ADD", walkthrough, "c1", "/run/netns/none")

    assert broken.json == {
        "cniVersion": "1.1.0",
        "code": 6,
        "msg": "stdin: not JSON",
        "details": "line 1 column 33: expected a value",
    }
    assert missing.json == {
        "cniVersion": "0.2.0",
        "code": 4,
        "msg": "CNI_NETNS: /run/netns/none: no such file",
    }
