"""Whatever comes in, what comes out is the protocol's: a result, nothing, or an error.

Never a traceback, never code 999, never text beside the one object. The kernel behind
is a fake one that refuses at random.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import tempfile
from errno import EEXIST, ENODEV, ENOENT, EPERM
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin import netns, sysctl
from plugin.dataplane import attachment, bridge
from plugin.netlink import channel, codec
from tests.plugin.fakes import FakeKernel, Request, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Boot = Callable[[Callable[[Request], list[bytes]]], None]

SEEDS = st.integers(0, 1 << 32)
COMMANDS = st.sampled_from(["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"])
NAMES = st.sampled_from(
    ["pycni", "bridge", "host-local", "portmap", "bandwidth", "loopback"]
)
TEXTS = st.text(max_size=6) | st.sampled_from(
    [
        *("10.60.0.0/29", "10.60.0.1", "fd00::/64", "::", "fe80::1", "0.0.0.0/0", "/"),
        *("0.4.0", "1.1.0", "host-local", "other", "iptables", "02:00:00:00:00:01"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 4095, 1 << 32, 10**400])
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
VALID: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "blue",
    "type": "bridge",
    "bridge": "pyc0",
    "isGateway": True,
    "isDefaultGateway": True,
    "forceAddress": True,
    "ipMasq": True,
    "ipMasqBackend": "nftables",
    "ipMasqExceptCIDRs": ["10.0.0.0/8"],
    "mtu": 1400,
    "hairpinMode": True,
    "promiscMode": False,
    "vlan": 0,
    "vlanTrunk": [{"minID": 5, "maxID": 7}, {"id": 9}],
    "macspoofchk": True,
    "enabledad": False,
    "portIsolation": True,
    "dns": {"nameservers": ["10.0.0.10"]},
    "ipam": {
        "type": "host-local",
        "ranges": [
            [
                {
                    "subnet": "10.60.0.0/28",
                    "rangeStart": "10.60.0.2",
                    "rangeEnd": "10.60.0.9",
                    "gateway": "10.60.0.1",
                    "exclude": ["10.60.0.4/31", "10.60.0.7-10.60.0.8"],
                }
            ],
            [{"subnet": "fd00::/64", "gateway": "fe80::1"}],
        ],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.60.0.1", "mtu": 1400}],
    },
    "runtimeConfig": {
        "ips": ["10.60.0.9"],
        "mac": "02:00:00:00:00:02",
        "portMappings": [],
        "bandwidth": {"ingressRate": 0},
        "io.kubernetes.cri.pod-annotations": {"pycni.dev/network": "blue"},
    },
    "args": {"cni": {"ips": ["fd00::9"], "mac": "02:00:00:00:00:03"}},
    "prevResult": {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "pyc0", "mac": "02:00:00:00:00:04", "mtu": 1400},
            {"name": "eth0", "sandbox": "/proc/self/ns/net"},
        ],
        "ips": [{"interface": 1, "address": "10.60.0.9/28", "gateway": "10.60.0.1"}],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {},
    },
    "logLevel": "debug",
    "logMaxBytes": 100000,
    "logMaxAgeDays": 3,
    "network": "blue",
    "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}],
}
STATE = {
    "version": 1,
    "reads": 1,
    "name": "blue",
    "default": True,
    "namespaces": ["shop"],
    "config": VALID,
}
OVERRIDE = {"CNI_NETNS_OVERRIDE": "1"}
# What the fake kernel has: a bridge, its port with our alias and without, an address
# and a route of either family, a rule, a set element.
_NAME = "0900 0300 70796330 00 000000 0a00 0100 02005e100001 0000"
_KIND = "0900 0100 76657468 00 000000 0b00 0400 627269646765 00 00"
BRIDGE = (
    f"00000100 07000000 43110100 00000000 {_NAME}"
    "1c00 1200 0b00 0100 62726964676500 00 0c00 0200 0500 0700 01000000"
)
VETH = (
    f"00000100 09000000 43110100 00000000 {_NAME} 0800 0a00 07000000"
    f"2800 1200 {_KIND} 0c00 0500 0500 0100 03 000000"
)
OWNED = f"{VETH} 1600 1400 {b'pycni blue c1 eth0'.hex()} 0000"
PAYLOADS = {
    kind: [bytes.fromhex(text) for text in texts]
    for kind, texts in {
        18: [VETH, OWNED, BRIDGE],
        22: [
            "021c0000 07000000 0800 0200 0a3c0001",
            f"0a400000 07000000 1400 0200 fe80{13 * '00'}01",
        ],
        26: [
            "02000000 fe040001 00000000 0800 0500 0a3c0001 0800 0400 07000000",
            "0a800000 ff020002 00000000",
        ],
        0xA07: ["01000000", "01000000 0800 0400 0400 0100"],
        0xA0D: ["01000000", "01000000 0800 0300 0400 0100"],
    }.items()
}


class Places:
    """Folders for one example: it is over when it is left."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.runtime = Runtime(Path(self._folder.name))
        delegate = self.runtime.folder / "bin" / "other"
        delegate.parent.mkdir()
        delegate.write_text("#!/bin/sh\nexec echo '{\"ips\": []}'\n")
        delegate.chmod(0o755)

    def __enter__(self) -> Runtime:
        return self.runtime

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def confined(document: Any, runtime: Runtime) -> Any:
    """The document with its folders where the test has its own."""
    if not isinstance(document, dict):
        return document
    for key in list(document):
        if key.lower() in ("rundir", "statedir", "logfile"):
            del document[key]
        elif key.lower() == "ipam" and isinstance(document[key], dict):
            ipam = document[key]
            for inner in [k for k in ipam if k.lower() == "datadir"]:
                del ipam[inner]
            ipam["dataDir"] = str(runtime.folder / "data")
    document["runDir"] = str(runtime.folder / "run")
    document["stateDir"] = str(runtime.folder / "state")
    document["logFile"] = str(runtime.log)
    return document


@st.composite
def mutations(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """Copies of a document with values dropped or replaced at random places."""
    whole: dict[str, Any] = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(0, 3))):
        place: Any = whole
        key: Any = draw(st.sampled_from(list(place)))
        while (
            isinstance(place[key], dict | list) and place[key] and draw(st.booleans())
        ):
            place = place[key]
            keys = place if isinstance(place, dict) else range(len(place))
            key = draw(st.sampled_from(list(keys)))
        if draw(st.booleans()):
            place[key] = draw(JSON)
        else:
            del place[key]
        if not whole:
            break
    return whole


class Refusing:
    """A kernel that does as asked, or refuses, at random; some refuse never."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - nothing secret here
        self._refusals = self._random.choice([0, 0.02, 0.2])
        self._surprises = self._random.choice([0, 0.02, 0.5])

    def __call__(self, request: Request) -> list[bytes]:
        """Answer a request."""
        if not request.flags & codec.NLM_F_ACK:
            return []
        if self._random.random() < self._refusals:
            errno = self._random.choice([ENODEV, EEXIST, EPERM, ENOENT])
            return [request.refuse(errno, self._random.choice(["", "no"]))]
        found = []
        if request.kind in PAYLOADS:
            payload = self._payload(request)
            found.append(request.reply(16, payload, codec.NLM_F_MULTI))
        is_dump = request.flags & codec.NLM_F_DUMP == codec.NLM_F_DUMP
        return [*found, request.done() if is_dump else request.acknowledge()]

    def _payload(self, request: Request) -> bytes:
        payloads = PAYLOADS[request.kind]
        if self._random.random() < self._surprises:
            return self._random.choice(payloads)
        # The last is what the plugin expects, the one before if it is about a pod.
        words = (b"veth", b"eth0", b"\x09\0\0\0")
        about_a_pod = any(word in request.payload for word in words)
        return payloads[-2] if about_a_pod else payloads[-1]


@pytest.fixture(scope="module")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boot]:
    """Makes a function the kernel, for one example after the other."""
    stack: list[FakeKernel] = []
    sysctls = tmp_path_factory.mktemp("sysctl")
    for key in ("ipv4", "ipv6/conf/all", "ipv6/conf/pyc0", "ipv6/conf/eth0"):
        (sysctls / key).mkdir(parents=True)
        for name in ("ip_forward", "forwarding", "disable_ipv6", "accept_ra"):
            (sysctls / key / name).write_text("1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel, "socket", lambda *a: stack[-1].socket(*a))
        patch.setattr(netns, "setns", lambda descriptor, kind: None)
        for module in (attachment, bridge):
            # A look at the clock is all that a wait takes.
            patch.setattr(module, "monotonic", itertools.count().__next__)
            patch.setattr(module, "sleep", lambda seconds: None)
        patch.setattr(sysctl, "_ROOT", str(sysctls))
        yield lambda answer: stack.append(FakeKernel(answer))


def speaks_the_protocol(runtime: Runtime, command: str, *arguments: Any) -> None:
    """One call, whose answer has to be one that a runtime understands."""
    environ = arguments[-1]
    answer = runtime.call(command, *arguments[:-1], **environ)

    if answer.exit_code == 0:
        silent = command in ("DEL", "CHECK", "GC", "STATUS")
        assert (answer.stdout == b"") if silent else "cniVersion" in answer.json
        return
    error = answer.json
    assert answer.exit_code == 1
    assert answer.stdout.count(b"\n") == 1
    assert error["code"] != 999, (error, runtime.log_lines()[-1].get("traceback"))
    assert isinstance(error["code"], int)
    assert error["msg"]
    assert "Traceback" not in error["msg"]
    assert set(error) <= {"cniVersion", "code", "msg", "details"}


@settings(max_examples=60)
@given(COMMANDS, NAMES, JSON | st.binary(max_size=20))
def test_any_document(boot: Boot, command: str, name: str, document: Any) -> None:
    """Any text as configuration, for any command, is answered by the protocol (B9)."""
    with Places() as runtime:
        boot(lambda request: [request.refuse(EPERM)])
        document = confined(document, runtime)

        speaks_the_protocol(runtime, command, document, name, {})


@settings(max_examples=150)
@given(SEEDS, st.lists(COMMANDS, min_size=1, max_size=4), NAMES, mutations(VALID))
def test_a_mutated_configuration(
    boot: Boot,
    seed: int,
    commands: list[str],
    name: str,
    document: dict[str, Any],
) -> None:
    """A configuration with anything at any place is answered by the protocol (B9)."""
    with Places() as runtime:
        boot(Refusing(seed))
        document = confined(document, runtime)

        for command in commands:
            speaks_the_protocol(runtime, command, document, name, OVERRIDE)


@settings(max_examples=60)
@given(SEEDS, st.lists(COMMANDS, min_size=1, max_size=3), mutations(STATE))
def test_a_mutated_node_state(
    boot: Boot, seed: int, commands: list[str], state: dict[str, Any]
) -> None:
    """A network of the node with anything at any place is no bug either (B5)."""
    with Places() as runtime:
        boot(Refusing(seed))
        if "config" in state:
            state["config"] = confined(state["config"], runtime)
        file = runtime.folder / "state" / "networks" / "blue.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(state))
        conflist = {"cniVersion": "1.1.0", "name": "a", "type": "pycni"}
        document = confined(conflist, runtime)

        for command in commands:
            speaks_the_protocol(runtime, command, document, "pycni", OVERRIDE)


ARGS = st.sampled_from(
    ["", "IP=", "IP=10.60.0.9", "MAC=x", "K8S_POD_NAME=web", "a=b=c"]
)
VALUES = st.binary(max_size=20).filter(lambda value: b"\0" not in value)


@settings(max_examples=80)
@given(
    COMMANDS,
    NAMES,
    st.dictionaries(
        st.sampled_from(["CNI_CONTAINERID", "CNI_IFNAME", "CNI_ARGS", "TRACEPARENT"]),
        st.none() | VALUES | ARGS,
    ),
    st.none() | st.sampled_from(["", "/", "/nowhere", "/etc/passwd", "x" * 5000]),
)
def test_any_environment(
    boot: Boot,
    command: str,
    name: str,
    environ: dict[str, Any],
    path: str | None,
) -> None:
    """Any value of any variable is answered by the protocol (EN1 to EN6, B9)."""
    with Places() as runtime:
        boot(lambda request: [request.refuse(ENODEV)])
        document = confined(json.loads(json.dumps(VALID)), runtime)
        variables = {**environ, "CNI_NETNS": path}

        speaks_the_protocol(runtime, command, document, name, variables)
        assert os.listdir(runtime.folder)
