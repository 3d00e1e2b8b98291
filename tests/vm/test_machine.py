"""What the machine says when a boot does not end well, without a boot."""

from __future__ import annotations

import pytest

from .cpio import archive
from .machine import MachineError, stdout_of


def test_a_finished_script_gives_its_stdout() -> None:
    """The marker with the exit status is no part of the stdout."""
    assert stdout_of("one\ntwo\n\n--- exit 0 ---\n", "", "") == "one\ntwo\n"


@pytest.mark.parametrize(
    ("output", "console", "problem"),
    [
        ("\n--- exit 3 ---\n", "x: not found\n", "the script's exit status is 3"),
        ("one\n", "x: not found\n", "not finished after 5 s"),
        ("", "x: not found\nKernel panic - not syncing", "the kernel panicked"),
    ],
)
def test_a_bad_end_is_told_with_the_console(
    output: str, console: str, problem: str
) -> None:
    """Exit status, lack of time and panic are told, then the console's last lines."""
    with pytest.raises(MachineError) as raised:
        stdout_of(output, console, "not finished after 5 s")

    want = f"{problem}\nlast lines of the console:\n{console.strip()}"
    assert str(raised.value) == want


def test_an_archive_has_the_kernels_format() -> None:
    """Folders come before what they hold, and every part begins at a multiple of 4."""
    made = archive({"a/b": b"hello"}, {"c": "a/b"})

    assert made == b"".join(
        [
            b"070701" + _fields(0o040755, 0, 2) + b"a\0",
            b"070701" + _fields(0o100755, 5, 4) + b"a/b\0\0\0hello\0\0\0",
            b"070701" + _fields(0o120777, 3, 2) + b"c\0a/b\0",
            b"070701" + _fields(0, 0, 11) + b"TRAILER!!!\0\0\0\0",
        ]
    )


def _fields(mode: int, size: int, name_size: int) -> bytes:
    """Return the thirteen fields of a header with those that differ."""
    values = (0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0)
    return "".join(f"{value:08X}" for value in values).encode()
