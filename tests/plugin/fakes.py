"""Fakes for the plugin's tests: a runtime that calls it, and a kernel behind netlink.

Small classes in the place of a process and of a socket. Never knows what the plugin
should do.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from plugin.__main__ import main
from plugin.netlink import codec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWN_NAMESPACE = "/proc/self/ns/net"


class Answer:
    """Exit code and stdout of one call."""

    def __init__(self, exit_code: int, stdout: bytes) -> None:
        self.exit_code = exit_code
        self.stdout = stdout

    @property
    def json(self) -> Any:
        """The object on stdout."""
        return json.loads(self.stdout)

    @property
    def code(self) -> int:
        """The code of the error on stdout; 0 when the call succeeded."""
        return 0 if self.exit_code == 0 else self.json["code"]

    @property
    def message(self) -> str:
        """The sentence of the error on stdout."""
        return str(self.json["msg"])

    def __repr__(self) -> str:
        return f"Answer({self.exit_code}, {self.stdout!r})"


class Runtime:
    """Calls the plugin as a container runtime does, with folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log" / "pycni.log"
        self.reads = 0

    def config(self, **changes: Any) -> dict[str, Any]:
        """A configuration for any of the plugin's names, with changes; None removes."""
        base = {
            "cniVersion": "1.1.0",
            "name": "blue",
            "type": "pycni",
            "bridge": "pyc0",
            "isGateway": True,
            "ipMasq": True,
            "ipam": {
                "type": "host-local",
                "subnet": "10.60.0.0/29",
                "dataDir": str(self.folder / "data"),
            },
            "runDir": str(self.folder / "run"),
            "stateDir": str(self.folder / "state"),
            "logFile": str(self.log),
            **changes,
        }
        return {key: value for key, value in base.items() if value is not None}

    def call(
        self,
        command: str | None,
        config: Any = None,
        called_as: str = "host-local",
        **environ: str | bytes | None,
    ) -> Answer:
        """Run main() once. In `environ`, None removes a variable."""
        variables = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": OWN_NAMESPACE,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(self.folder / "bin"),
            **environ,
        }
        stdin = config if isinstance(config, bytes) else json.dumps(config).encode()
        written: list[bytes] = []
        opened = set(os.listdir("/proc/self/fd"))
        exit_code = main(
            {
                name.encode(): value if isinstance(value, bytes) else value.encode()
                for name, value in variables.items()
                if value is not None
            },
            f"/opt/cni/bin/{called_as}",
            lambda: self._read(stdin),
            written.append,
        )
        _close_what_is_new(opened)
        return Answer(exit_code, b"".join(written))

    def _read(self, stdin: bytes) -> bytes:
        self.reads += 1
        return stdin

    def log_lines(self) -> list[dict[str, Any]]:
        """The lines of the plugin's log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def _close_what_is_new(opened: set[str]) -> None:
    """What the end of a process does to its descriptors, and so to its locks."""
    for name in set(os.listdir("/proc/self/fd")) - opened:
        try:
            os.close(int(name))
        except OSError:
            continue  # that of the listing itself


class Request:
    """One message that was sent to the kernel."""

    def __init__(self, kind: int, flags: int, sequence: int, payload: bytes) -> None:
        self.kind = kind
        self.flags = flags
        self.sequence = sequence
        self.payload = payload

    def reply(self, kind: int, payload: bytes, flags: int = 0) -> bytes:
        """A message in answer to this one."""
        length = codec.HEADER.size + len(payload)
        header = codec.HEADER.pack(length, kind, flags, self.sequence, 0)
        return header + payload + bytes(-length % 4)

    def acknowledge(self) -> bytes:
        """That it was done."""
        return self.refuse(0)

    def refuse(self, errno: int, text: str = "", capped: bool = True) -> bytes:
        """That it failed, with an extended-ack text if there is one."""
        flags = codec.NLM_F_CAPPED if capped else 0
        length = codec.HEADER.size + len(self.payload)
        body = codec.S32.pack(-errno)
        body += codec.HEADER.pack(length, self.kind, self.flags, self.sequence, 0)
        if not capped:
            body += self.payload + bytes(-len(self.payload) % 4)
        if text:
            flags |= codec.NLM_F_ACK_TLVS
            body += codec.text_attribute(1, text)
        return self.reply(codec.NLMSG_ERROR, body, flags)

    def done(self, errno: int = 0, text: str = "") -> bytes:
        """That a dump has ended."""
        body, flags = codec.S32.pack(-errno), codec.NLM_F_MULTI
        if text:
            flags |= codec.NLM_F_ACK_TLVS
            body += codec.text_attribute(1, text)
        return self.reply(codec.NLMSG_DONE, body, flags)


class FakeKernel:
    """A kernel: a function from a request to the datagrams that it answers with."""

    def __init__(self, answer: Callable[[Request], list[bytes]]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.options: list[int] = []
        self.closed = 0
        self._datagrams: list[bytes] = []

    def socket(self, family: int, kind: int, protocol: int) -> FakeKernel:
        """Stands in for the socket: there is one kernel, so one serves all."""
        self._datagrams.clear()
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options.append(option)

    def send(self, data: bytes) -> int:
        for message in codec.decode(data):
            kind, flags, sequence, payload = message
            request = Request(kind, flags, sequence, payload)
            self.requests.append(request)
            self._datagrams += self.answer(request)
        return len(data)

    def recv(self, size: int) -> bytes:
        return self._datagrams.pop(0)

    def close(self) -> None:
        self.closed += 1
