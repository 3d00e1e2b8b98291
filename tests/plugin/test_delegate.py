"""Delegation to another plugin, which is a script here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from plugin import delegate
from plugin.errors import CNIError

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = {"cniVersion": "1.0.0", "ips": [{"address": "10.9.0.2/24"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of plugins."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def install(folder: Path, script: str, name: str = "other") -> None:
    """Put a plugin into a folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(folder: Path, stdin: bytes = b"{}", name: str = "other") -> object:
    """Ask the plugin for ADD."""
    environ = {
        b"CNI_COMMAND": b"STATUS",
        b"CNI_PATH": f"/nowhere::{folder}".encode(),
        b"CNI_IFNAME": b"eth0",
        b"PATH": b"/usr/bin:/bin",
    }
    return delegate.call(name, b"ADD", environ, stdin)


def failure(folder: Path, script: str) -> CNIError:
    """The error that a script's failure becomes."""
    install(folder, script)
    with pytest.raises(CNIError) as caught:
        run(folder)
    return caught.value


def test_a_delegate_gets_all_that_we_got(folder: Path) -> None:
    """A delegate gets the whole stdin and our environment, and its command (DG1)."""
    stdin = json.dumps({"name": "blue", "long": "x" * 300000}).encode()
    install(folder, f"env >{folder}/env; cat >{folder}/stdin; echo '{{}}'")

    assert run(folder, stdin) == {}
    assert (folder / "stdin").read_bytes() == stdin
    lines = (folder / "env").read_text().splitlines()
    assert {"CNI_COMMAND=ADD", "CNI_IFNAME=eth0", f"CNI_PATH=/nowhere::{folder}"} <= {
        *lines
    }


def test_the_result_of_a_delegate_is_its_stdout(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its stdout is taken, its stderr passed on, ours stays empty (DG1, OU3, OU4)."""
    install(folder, f"echo noise >&2; echo '{json.dumps(ANSWER)}'")

    assert run(folder) == ANSWER
    assert capfd.readouterr() == ("", "noise\n")


def test_a_delegate_may_print_nothing(folder: Path) -> None:
    """A command without an answer has none (DG1)."""
    install(folder, "exit 0")

    assert run(folder) is None


def test_a_delegate_need_not_read_its_stdin(folder: Path) -> None:
    """What a delegate does not read is no failure (DG1)."""
    install(folder, "exec 0<&-; echo '{}'")

    assert run(folder, b"x" * 300000) == {}


def test_the_first_folder_that_has_the_plugin_counts(folder: Path) -> None:
    """CNI_PATH is searched in its order, past what can't be run (DG1)."""
    first, second = folder / "first", folder / "second"
    for each in (first, second):
        each.mkdir()
        install(each, f"echo '\"{each.name}\"'")
    (folder / "other").touch(0o600)

    environ = {b"CNI_PATH": f"{folder}:{second}:{first}".encode()}
    assert delegate.call("other", b"ADD", environ, b"") == "second"


@pytest.mark.parametrize("name", ["", "a/b", "../other", "/bin/true"])
def test_what_is_no_name_of_a_plugin(folder: Path, name: str) -> None:
    """A type that is empty or a path is code 7, and nothing is run (DG1)."""
    with pytest.raises(CNIError) as caught:
        run(folder, name=name)

    assert (caught.value.code, caught.value.message) == (
        7,
        f"ipam.type: {name!r} is not a plugin's name",
    )


def test_a_delegate_that_is_not_there(folder: Path) -> None:
    """A plugin that no folder has is code 109 with the folders (DG1)."""
    with pytest.raises(CNIError) as caught:
        run(folder)

    error = caught.value
    assert (error.code, error.message, error.details) == (
        109,
        "ipam.type: failed to find plugin 'other' in CNI_PATH",
        f"CNI_PATH is '/nowhere::{folder}'",
    )


def test_the_error_of_a_delegate_is_passed_on(folder: Path) -> None:
    """A delegate's own code, message and details are the error (DG1, 2.3)."""
    error = failure(
        folder, """echo '{"code": 11, "msg": "later", "details": "busy"}'; exit 1"""
    )

    assert (error.code, error.message, error.details) == (11, "other: later", "busy")


@pytest.mark.parametrize(
    ("script", "message", "details"),
    [
        ("exit 3", "failed with exit code 3", ""),
        ("kill -9 $$", "failed with exit code -9", ""),
        ("echo '[]'; exit 1", "failed with exit code 1", ""),
        ("""echo '{"code": "x"}'; exit 1""", "failed with exit code 1", ""),
        ("""echo '{"code": 0}'; exit 1""", "failed with exit code 1", ""),
        ("echo oops", "printed no JSON", "line 1 column 1: expected a value"),
    ],
)
def test_a_delegate_that_breaks_the_protocol(
    folder: Path, script: str, message: str, details: str
) -> None:
    """A delegate that fails without an error object is code 109 with its path (DG1)."""
    error = failure(folder, script)

    assert (error.code, error.message, error.details) == (
        109,
        f"{folder}/other {message}",
        details,
    )


def test_a_delegate_that_cannot_be_run(folder: Path) -> None:
    """A file that is no program is code 109 with the reason (DG1)."""
    path = folder / "other"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)

    with pytest.raises(CNIError) as caught:
        run(folder)

    assert (caught.value.code, caught.value.message) == (
        109,
        f"{path} can't be run: Exec format error",
    )
