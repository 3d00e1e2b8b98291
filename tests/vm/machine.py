"""A small machine with the distribution's kernel, emulated: one script a boot.

Shows what this host's own kernel lacks, and what only a reboot can show. The machine
is emulated in software, so it needs no privileges and runs inside any other machine.

Its first serial line is the console, its second carries the script's stdout, so no
message of the kernel is ever among the lines that a test compares.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from . import cpio, image

if TYPE_CHECKING:
    from collections.abc import Mapping

CONSOLE_LINES = 40
MEMORY_MIB = "512"
# A panic reboots at once, and QEMU stops instead. Self tests of ciphers, calibration of
# the clock and mitigations only take time. Programs lie at fixed addresses, since QEMU
# translates code again at each new address: that alone halves a scenario's time.
KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet panic=-1 nokaslr norandmaps mitigations=off "
    "tsc=reliable no_timer_check cryptomgr.notests random.trust_cpu=on"
)
FINISHED = re.compile(r"\n--- exit (\d+) ---\n\Z")


class MachineError(Exception):
    """The script did not come to a good end; the message ends with the console."""


def run(script: str, files: Mapping[str, Path], timeout_s: float = 60.0) -> str:
    """Boot, run a shell script as root and return its stdout.

    The files are copied to the given paths in the machine and can be executed.
    Raises MachineError if the script fails, the kernel panics or time is up.
    """
    with TemporaryDirectory() as folder:
        return _run(Path(folder), script, files, timeout_s)


def _run(folder: Path, script: str, files: Mapping[str, Path], timeout_s: float) -> str:
    """Run a script with the machine's files in a folder."""
    made = image.prepare()
    content = {path.lstrip("/"): source.read_bytes() for path, source in files.items()}
    overlay = cpio.archive({**content, "scenario": script.encode()})
    (folder / "initrd").write_bytes(made.base.read_bytes() + overlay)
    command = _command(folder, made.kernel)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s
        )
        end = done.stderr or "it stopped early"
    except subprocess.TimeoutExpired:
        end = f"not finished after {timeout_s:g} s"
    output, console = (_text(folder / name) for name in ("output", "console"))
    return stdout_of(output, console, end)


def stdout_of(output: str, console: str, end: str) -> str:
    """Return the script's stdout, or raise what went wrong; `end` is QEMU's side."""
    finished = FINISHED.search(output)
    if finished and finished[1] == "0":
        return output[: finished.start()]
    problem = f"the script's exit status is {finished[1]}" if finished else end
    if "Kernel panic" in console:
        problem = "the kernel panicked"
    tail = "\n".join(console.splitlines()[-CONSOLE_LINES:])
    raise MachineError(f"{problem}\nlast lines of the console:\n{tail}")


def _command(folder: Path, kernel: Path) -> list[str]:
    """Return how QEMU is called: no devices but two serial lines, into files."""
    return [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot"),
        *("-accel", "tcg", "-cpu", "max", "-m", MEMORY_MIB, "-display", "none"),
        *("-kernel", str(kernel), "-initrd", str(folder / "initrd")),
        *("-append", KERNEL_ARGUMENTS),
        *("-serial", f"file:{folder / 'console'}"),
        *("-serial", f"file:{folder / 'output'}"),
    ]


def _text(path: Path) -> str:
    """Return what came over a serial line, nothing if it was never opened."""
    return (
        path.read_text(errors="replace").replace("\r\n", "\n") if path.exists() else ""
    )
