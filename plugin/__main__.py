"""The executable: environment and stdin in, one JSON object and an exit code out.

The one place where an error becomes JSON. Under the names of the reference plugins
(bridge, host-local, portmap, bandwidth, loopback) the same file behaves as they do;
under any other name it is pycni.
"""

from __future__ import annotations

import posix
import sys
import time

from plugin import errors, jsonio, protocol
from plugin._version import VERSION
from plugin.call import Call
from plugin.errors import CNIError, NetlinkError
from plugin.fields import member
from plugin.logfile import LogConfig, write_line
from plugin.result import render_result
from plugin.state import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from plugin.protocol import Request

# A configuration is at most this long: 64 kB of it are a large pod's annotations.
_STDIN_BYTES = 8 << 20
# A sentence that repeats a value of the configuration may be as long as that.
_LONGEST = 4096


def start() -> int:
    """Run as the process that we are; returns its exit code."""
    return main(
        posix.environ,
        sys.argv[0] if sys.argv else "",
        lambda: files.read_all(0, _STDIN_BYTES),
        lambda data: files.write_all(1, data),
    )


def main(
    environ: Mapping[bytes, bytes],
    called_as: str,
    read: Callable[[], bytes],
    write: Callable[[bytes], None],
) -> int:
    """Answer one call: `read` gives stdin, `write` takes what belongs on stdout.

    The contract is the specification's: environment CNI_*, configuration on stdin; a
    result, or an error {cniVersion, code, msg, details} with exit code 1, on stdout.
    """
    if not environ.get(b"CNI_COMMAND"):
        files.write_all(2, _about().encode())
        return 0
    run = Run(environ, called_as)
    try:
        output = _answer(run, read)
    except Exception as error:  # noqa: BLE001 - this is the funnel for all of them
        failure = to_cni_error(error)
        if failure.code == errors.INTERNAL:
            run.traceback = render_traceback(error)
        output = render_error(failure, run.version)
        run.failure = failure
    if output:
        try:
            write(output)
        except OSError as error:
            if not run.failure:
                run.failure = to_cni_error(error)
                run.take_back()
    run.log(output)
    return 1 if run.failure else 0


def _about() -> str:
    return (
        f"pycni {VERSION}: CNI plugin, protocol versions "
        f"{', '.join(protocol.VERSIONS)}\n"
    )


class Run:
    """What is known about the call so far: for the answer, and for the log."""

    def __init__(self, environ: Mapping[bytes, bytes], called_as: str) -> None:
        self.began = time.monotonic()
        self.environ = environ
        self.personality = called_as.rpartition("/")[2]
        self.version = protocol.NEWEST
        self.request: Request | None = None
        self.call: Call | None = None
        self.document: Any = None
        self.stdin = b""
        self.notes: list[str] = []
        self.failure: CNIError | None = None
        self.traceback = ""

    def take_back(self) -> None:
        """Undo an ADD whose result can't be told: to the runtime it failed (AD6)."""
        if self.call is None or self.call.request.command != "ADD":
            return
        try:
            handler_of(self.personality, "DEL")(self.call)
        except (CNIError, NetlinkError, OSError) as error:
            self.notes.append(f"undo: {error}")

    def log(self, output: bytes) -> None:
        """Write the line of this call."""
        failure = self.failure
        command = self.environ.get(b"CNI_COMMAND", b"").decode("utf-8", "replace")
        entry: dict[str, Any] = {"command": command}
        if isinstance(self.document, dict):
            entry["network"] = member(self.document, "name")
        if self.request:
            entry["container"] = self.request.container_id
            entry["ifname"] = self.request.ifname
            if self.request.pod:
                entry["pod"] = self.request.pod
        entry["ms"] = round((time.monotonic() - self.began) * 1000, 2)
        entry["code"] = failure.code if failure else 0
        if failure:
            entry["error"] = failure.message
            entry["details"] = failure.details
        if self.notes:
            entry["notes"] = self.notes
        if self.traceback:
            entry["traceback"] = self.traceback
        for name in (b"TRACEPARENT", b"TRACESTATE"):
            if name in self.environ:
                value = self.environ[name].decode("utf-8", "replace")
                entry[name.decode().lower()] = value
        entry["stdin"] = self.stdin.decode("utf-8", "replace")
        entry["result"] = "" if failure else output.decode("utf-8", "replace")
        level = "error" if failure else "info"
        write_line(LogConfig(self.document), level, entry)


def _answer(run: Run, read: Callable[[], bytes]) -> bytes:
    """Check what came in, run the command, render its result."""
    run.request = request = protocol.parse_request(_variables(run.environ))
    if request.command == "VERSION":
        return _render(
            {"cniVersion": protocol.NEWEST, "supportedVersions": protocol.VERSIONS}
        )
    run.stdin = _read_stdin(read)
    try:
        run.document = jsonio.loads(run.stdin)
    except jsonio.DecodeError as error:
        raise CNIError(errors.DECODING_FAILURE, "stdin: not JSON", str(error)) from None
    run.call = call = Call(
        run.environ, request, run.personality, run.document, run.stdin
    )
    protocol.check_version(request.command, call.version)
    run.version = call.version
    run.notes = call.notes
    result = handler_of(run.personality, request.command)(call)
    return b"" if result is None else _render(render_result(result, call.version))


def _variables(environ: Mapping[bytes, bytes]) -> dict[str, str]:
    """The variables of the specification as text."""
    found = {}
    for name in protocol.VARIABLES:
        found[name], wrong = jsonio.decode(environ.get(name.encode(), b""))
        if wrong >= 0:
            raise CNIError(
                errors.INVALID_ENVIRONMENT, f"{name}: byte {wrong} is not UTF-8"
            )
    return found


def _read_stdin(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except OSError as error:
        raise CNIError(
            errors.IO_FAILURE, f"stdin can't be read: {error.strerror}"
        ) from None


def handler_of(personality: str, command: str) -> Callable[[Call], Any]:
    """The function that answers a command under the name we were called by.

    Its module is loaded here, so that no call pays for another's.
    """
    module: Any
    if personality == "host-local":
        from plugin import hostlocal

        module = hostlocal
    elif personality in ("portmap", "bandwidth"):
        from plugin import chained

        module = chained
    elif personality == "loopback":
        from plugin import loopback

        module = loopback
    else:
        from plugin import commands

        module = commands
    names = {
        "ADD": "add",
        "DEL": "delete",
        "CHECK": "check",
        "GC": "collect_garbage",
        "STATUS": "status",
    }
    handler: Callable[[Call], Any] = getattr(module, names[command])
    return handler


def to_cni_error(error: BaseException) -> CNIError:
    """Any failure as one with a code; what nobody foresaw is 999."""
    if isinstance(error, CNIError):
        return error
    if isinstance(error, NetlinkError):
        return CNIError(errors.KERNEL_REFUSED, str(error))
    if isinstance(error, OSError):
        return CNIError(errors.IO_FAILURE, _os_error_sentence(error))
    return CNIError(errors.INTERNAL, f"{type(error).__name__}: {error}")


def _os_error_sentence(error: OSError) -> str:
    path = error.filename
    if isinstance(path, bytes):
        path = path.decode("utf-8", "replace")
    return f"{path}: {error.strerror}" if path else str(error.strerror or error)


def render_error(error: CNIError, version: str) -> bytes:
    """The error object of the specification, section "Error"."""
    document: dict[str, Any] = {
        "cniVersion": version,
        "code": error.code,
        "msg": _shortened(error.message),
    }
    if error.details:
        document["details"] = _shortened(error.details)
    return _render(document)


def _shortened(text: str) -> str:
    """A text without its end if nobody would read it whole."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def render_traceback(error: BaseException) -> str:
    """Where an error came from, outermost call first, for the log."""
    lines = []
    frame = error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        lines.append(f"{code.co_filename}:{frame.tb_lineno} {code.co_name}")
        frame = frame.tb_next
    return "; ".join(lines)


def _render(document: dict[str, Any]) -> bytes:
    return f"{jsonio.dumps(document)}\n".encode("utf-8", "replace")


if __name__ == "__main__":
    posix._exit(start())
