"""What goes in on stdin and comes out on stdout, through main() alone."""

from __future__ import annotations

import json
import posix
import sys
from typing import TYPE_CHECKING, Any

import pytest

from plugin import __main__ as program
from plugin import protocol
from plugin.errors import NetlinkError

if TYPE_CHECKING:
    from tests.plugin.fakes import Runtime

VALID = "cni.dev/valid-attachments"
COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS"]
SUPPORTED = "supported versions: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"


def test_success_of_add_is_one_object(runtime: Runtime) -> None:
    """ADD prints one result object and a line end, and exits with 0 (OU1)."""
    answer = runtime.call("ADD", runtime.config())

    assert answer.exit_code == 0
    assert answer.stdout == (
        b'{"cniVersion":"1.1.0","ips":'
        b'[{"address":"10.60.0.2/29","gateway":"10.60.0.1"}]}\n'
    )


@pytest.mark.parametrize("command", ["DEL", "CHECK", "GC", "STATUS"])
def test_success_of_the_others_is_silent(runtime: Runtime, command: str) -> None:
    """DEL, CHECK, GC and STATUS print nothing and exit with 0 (OU1)."""
    config = runtime.config(**{VALID: []})
    runtime.call("ADD", config)

    answer = runtime.call(command, config)

    assert (answer.exit_code, answer.stdout) == (0, b"")


def test_a_failure_is_one_object_and_exit_code_1(
    runtime: Runtime, capfd: pytest.CaptureFixture[str]
) -> None:
    """A failure is cniVersion, code, msg and details on stdout, and exit 1 (OU2)."""
    config = runtime.config(cniVersion="1.0.0")
    runtime.call("ADD", config)

    answer = runtime.call("ADD", config, CNI_ARGS="IP=10.60.0.2", CNI_CONTAINERID="c2")

    assert answer.exit_code == 1
    assert answer.stdout.endswith(b"\n")
    assert answer.json == {
        "cniVersion": "1.0.0",
        "code": 103,
        "msg": "requested IP address 10.60.0.2 is not available in range set "
        "10.60.0.1-10.60.0.6",
        "details": "held by eth0 of c1",
    }
    assert capfd.readouterr() == ("", "")


def test_a_failure_without_details_has_none(runtime: Runtime) -> None:
    """The details are left out of an error that has none (OU2)."""
    answer = runtime.call("STATUS", runtime.config(ipam=None))

    assert sorted(answer.json) == ["cniVersion", "code", "msg"]


def refuse(data: bytes) -> None:
    """A stdout that is closed."""
    raise OSError(32, "Broken pipe")


def call_unheard(runtime: Runtime, config: dict[str, Any], command: bytes) -> int:
    """The exit code of a call whose answer can't be written."""
    environ = {
        b"CNI_COMMAND": command,
        b"CNI_CONTAINERID": b"c1",
        b"CNI_NETNS": b"/proc/self/ns/net",
        b"CNI_IFNAME": b"eth0",
    }
    stdin = json.dumps(config).encode()
    return program.main(environ, "host-local", lambda: stdin, refuse)


def test_an_add_that_nobody_hears_is_taken_back(runtime: Runtime) -> None:
    """An ADD whose result can't be written is a failure, and undone (OU2, AD6)."""
    assert call_unheard(runtime, runtime.config(), b"ADD") == 1

    assert runtime.log_lines()[0]["error"] == "Broken pipe"
    assert not (runtime.folder / "data" / "blue" / "10.60.0.2").exists()


def test_an_error_that_nobody_hears_is_the_one_in_the_log(runtime: Runtime) -> None:
    """A failure whose object can't be written is still the failure (OU2)."""
    runtime.call("ADD", runtime.config())

    assert call_unheard(runtime, runtime.config(), b"ADD") == 1
    assert call_unheard(runtime, runtime.config(), b"VERSION") == 1

    second, third = runtime.log_lines()[1:], runtime.folder / "default.log"
    assert second[0]["code"] == 106
    assert json.loads(third.read_text())["error"] == "Broken pipe"
    assert (runtime.folder / "data" / "blue" / "10.60.0.2").exists()


def test_what_fails_while_an_add_is_taken_back_is_a_note(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A DEL that fails after an ADD that nobody hears is noted in the log (AD6)."""

    def fail(call: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("plugin.hostlocal.delete", fail)

    assert call_unheard(runtime, runtime.config(), b"ADD") == 1
    assert runtime.log_lines()[0]["notes"] == ["undo: [Errno 5] Input/output error"]


def test_stdin_that_cannot_be_read(runtime: Runtime) -> None:
    """A stdin that can't be read is code 5 (3.5 F)."""

    def fail() -> bytes:
        raise OSError(5, "Input/output error")

    written: list[bytes] = []
    environ = {b"CNI_COMMAND": b"STATUS"}

    exit_code = program.main(environ, "pycni", fail, written.append)

    assert exit_code == 1
    assert json.loads(b"".join(written)) == {
        "cniVersion": "1.1.0",
        "code": 5,
        "msg": "stdin can't be read: Input/output error",
    }


def test_version_needs_no_stdin(runtime: Runtime) -> None:
    """VERSION prints the newest and all versions, and reads nothing (VE1)."""
    answer = runtime.call("VERSION")

    assert answer.exit_code == 0
    assert answer.json == {
        "cniVersion": "1.1.0",
        "supportedVersions": [
            "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"
        ],
    }  # fmt: skip
    assert runtime.reads == 0


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("version", ["9.9.9", "1.2.0", "0.9", "1.0", "v1.0.0", "x"])
def test_an_unknown_version(runtime: Runtime, command: str, version: str) -> None:
    """A version that is not ours is code 1 with both sides in it (CF9, C3)."""
    answer = runtime.call(command, runtime.config(cniVersion=version))

    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 1,
        "msg": f"cniVersion: {version!r} is not supported",
        "details": SUPPORTED,
    }


@pytest.mark.parametrize(
    ("command", "since"), [("CHECK", "0.4.0"), ("GC", "1.1.0"), ("STATUS", "1.1.0")]
)
@pytest.mark.parametrize("version", [None, *protocol.VERSIONS])
@pytest.mark.parametrize("called_as", ["pycni", "host-local", "portmap", "loopback"])
def test_a_command_that_the_version_lacks(
    runtime: Runtime, called_as: str, command: str, since: str, version: str | None
) -> None:
    """CHECK below 0.4.0, GC and STATUS below 1.1.0 are code 1 (CK5, 3.5 F)."""
    answer = runtime.call(command, runtime.config(cniVersion=version), called_as)

    effective = version or "0.1.0"
    if protocol.at_least(effective, since):
        assert answer.code != 1
    else:
        assert answer.json == {
            "cniVersion": "1.1.0",
            "code": 1,
            "msg": f"cniVersion: {effective} has no {command}, it came with {since}",
            "details": SUPPORTED,
        }


@pytest.mark.parametrize("version", [None, ""])
def test_no_version_is_the_first_one(runtime: Runtime, version: str | None) -> None:
    """Without cniVersion the result is of 0.1.0, as with the Go library (CF8)."""
    answer = runtime.call("ADD", runtime.config(cniVersion=version))

    assert answer.json == {
        "cniVersion": "0.1.0",
        "ip4": {"ip": "10.60.0.2/29", "gateway": "10.60.0.1"},
        "dns": {},
    }


def test_a_list_of_versions_is_the_runtimes_business(runtime: Runtime) -> None:
    """The runtime chooses out of cniVersions; the answer is of cniVersion (CF2)."""
    config = runtime.config(cniVersion="0.4.0", cniVersions=["0.4.0", "1.1.0"])

    assert runtime.call("ADD", config).json["cniVersion"] == "0.4.0"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("stdin", "want"),
    [
        (b"", "stdin: not JSON"),
        (b"{", "stdin: not JSON"),
        (b"\xff", "stdin: not JSON"),
        (b"[]", "stdin: a list, not a network configuration object"),
        (b"null", "stdin: null, not a network configuration object"),
        (b"true", "stdin: true or false, not a network configuration object"),
        (b"5", "stdin: a number, not a network configuration object"),
        (b'"x"', "stdin: a string, not a network configuration object"),
        (b'{"cniVersion": 5, "name": "a"}', "cniVersion: 5 is not a string"),
    ],
)
def test_what_is_no_configuration(
    runtime: Runtime, command: str, stdin: bytes, want: str
) -> None:
    """What is not JSON, or not an object, is code 6 for every command (CF10)."""
    answer = runtime.call(command, stdin)

    assert (answer.code, answer.message) == (6, want)


def test_malformed_json_is_shown_with_its_place(runtime: Runtime) -> None:
    """The error about malformed JSON has line and column in its details (CF10)."""
    answer = runtime.call("ADD", b'{\n  "name": "blue",\n}')

    assert answer.json["details"] == "line 3 column 1: expected a key in double quotes"


def test_what_is_known_is_logged(runtime: Runtime) -> None:
    """Each call has one line in the log, with pod, code and trace context (OU3)."""
    args = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web"
    runtime.call("ADD", runtime.config(), CNI_ARGS=args, TRACEPARENT="00-4bf9-01")
    runtime.call("ADD", runtime.config(), CNI_ARGS=args)

    first, second = runtime.log_lines()
    assert first.pop("time") <= second.pop("time")
    assert first.pop("ms") >= 0
    assert first == {
        "level": "info",
        "command": "ADD",
        "network": "blue",
        "container": "c1",
        "ifname": "eth0",
        "pod": "shop/web",
        "code": 0,
        "traceparent": "00-4bf9-01",
        "stdin": json.dumps(runtime.config()),
        "result": '{"cniVersion":"1.1.0","ips":'
        '[{"address":"10.60.0.2/29","gateway":"10.60.0.1"}]}\n',
    }
    assert (second["level"], second["code"], second["result"]) == ("error", 106, "")


def test_what_nobody_foresaw_is_999_with_its_place_in_the_log(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug is code 999 without a traceback on stdout; the log has it (2.3)."""

    def fail(*_: Any) -> None:
        raise LookupError("no such bug")

    monkeypatch.setattr(program, "handler_of", fail)

    answer = runtime.call("STATUS", runtime.config())

    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 999,
        "msg": "LookupError: no such bug",
    }
    assert "_answer; " in runtime.log_lines()[0]["traceback"]


@pytest.mark.parametrize(
    ("error", "code", "want"),
    [
        (OSError(13, "Permission denied", "/a"), 5, "/a: Permission denied"),
        (OSError(13, "Permission denied", b"/a"), 5, "/a: Permission denied"),
        (OSError(28, "No space left on device"), 5, "No space left on device"),
        (OSError("odd"), 5, "odd"),
        (NetlinkError("add veth a", 17, "File exists"), 100, "add veth a: File exists"),
        (ValueError("bug"), 999, "ValueError: bug"),
    ],
)
def test_any_failure_has_a_code(error: Exception, code: int, want: str) -> None:
    """I/O is code 5, the kernel's refusal 100, and a bug alone is 999 (2.3)."""
    failure = program.to_cni_error(error)

    assert (failure.code, failure.message) == (code, want)


def test_the_process_reads_and_writes_its_own(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As a process the plugin takes environment, name and stdin that it has (VE1)."""
    monkeypatch.setattr(posix, "environ", {b"CNI_COMMAND": b"VERSION"})
    monkeypatch.setattr(sys, "argv", [])

    assert program.start() == 0
    assert json.loads(capfd.readouterr().out)["cniVersion"] == "1.1.0"
