"""Delegation: run another plugin, found in CNI_PATH, with our stdin (DG1).

Never interprets an answer beyond error or result: its stdout is the result, its stderr
is passed on.
"""

from __future__ import annotations

import posix
from _signal import SIGPIPE
from posix import O_CLOEXEC

from plugin import errors, jsonio
from plugin.errors import CNIError
from plugin.state import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def find_plugin(name: str, path: str) -> str:
    """The file of a plugin in CNI_PATH, a list of folders parted by colons."""
    if not name or "/" in name or "\0" in name:
        raise CNIError(
            errors.INVALID_CONFIGURATION, f"ipam.type: {name!r} is not a plugin's name"
        )
    for folder in path.split(":"):
        candidate = f"{folder}/{name}"
        if folder and files.is_program(candidate):
            return candidate
    raise CNIError(
        errors.DELEGATE_FAILED,
        f"ipam.type: failed to find plugin {name!r} in CNI_PATH",
        f"CNI_PATH is {path!r}",
    )


def call(
    name: str, command: bytes, environ: Mapping[bytes, bytes], stdin: bytes
) -> Any:
    """Run a plugin as we were run; its result as a value, None if it printed nothing.

    A failure is raised with the plugin's own code and message.
    """
    path = find_plugin(name, environ.get(b"CNI_PATH", b"").decode("utf-8", "replace"))
    environ = {**environ, b"CNI_COMMAND": command}
    status, output = _run(path, environ, stdin)
    document = None
    if output.strip():
        try:
            document = jsonio.loads(output)
        except jsonio.DecodeError as error:
            raise CNIError(
                errors.DELEGATE_FAILED, f"{path} printed no JSON", str(error)
            ) from None
    if status == 0:
        return document
    answer = document if isinstance(document, dict) else {}
    code = answer.get("code")
    if type(code) is int and code > 0:
        raise CNIError(
            code,
            f"{name}: {answer.get('msg', '')}",
            str(answer.get("details", "")),
        )
    raise CNIError(errors.DELEGATE_FAILED, f"{path} failed with exit code {status}")


def _run(path: str, environ: Mapping[bytes, bytes], stdin: bytes) -> tuple[int, bytes]:
    """Start a program, feed it, and return its exit code and what it printed.

    It gets its stdin as a file: whether and when it reads that holds nobody up.
    """
    fed = posix.memfd_create("stdin")
    out_read, out_write = posix.pipe2(O_CLOEXEC)
    try:
        files.write_all(fed, stdin)
        posix.lseek(fed, 0, 0)
        child = posix.posix_spawn(
            path.encode(),
            [path.encode()],
            dict(environ),
            file_actions=[
                (posix.POSIX_SPAWN_DUP2, fed, 0),
                (posix.POSIX_SPAWN_DUP2, out_write, 1),
            ],
            setsigdef=[SIGPIPE],  # ignored by us, see freeze/main.c
        )
    except OSError as error:
        posix.close(out_read)
        raise CNIError(
            errors.DELEGATE_FAILED, f"{path} can't be run: {error.strerror}"
        ) from None
    finally:
        posix.close(fed)
        posix.close(out_write)
    output = files.read_all(out_read)
    posix.close(out_read)
    _, status = posix.waitpid(child, 0)
    return posix.waitstatus_to_exitcode(status), output
