"""Addresses from another IPAM plugin: it is asked, heard, and told of the end (DG1)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.expected import (
    VERSIONS,
    Pool,
    assert_attached,
    assert_no_trace,
    assert_nothing_made,
    bridge_config,
    expected_result,
)
from tests.kernel.foreign import NAME, ForeignIPAM

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.node import Answer, Namespace, Node

POOL = Pool(
    subnets=["10.44.0.0/16", "fd44::/64"],
    addresses=["10.44.7.7/16", "fd44::7/64"],
    gateways=["10.44.0.1/16", "fd44::1/64"],
    defaults=[
        "default via 10.44.0.1 dev eth0 proto static",
        "default via fd44::1 dev eth0 proto static metric 1024 pref medium",
    ],
)
IPS: list[dict[str, Any]] = [
    {"address": "10.44.7.7/16", "gateway": "10.44.0.1"},
    {"address": "fd44::7/64", "gateway": "fd44::1"},
]
RESULT: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "ips": IPS,
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    "dns": {"nameservers": ["10.44.0.53"]},
}
OLD_RESULT = {
    "ip4": {
        "ip": "10.44.7.7/16",
        "gateway": "10.44.0.1",
        "routes": [{"dst": "0.0.0.0/0"}],
    },
    "ip6": {"ip": "fd44::7/64", "gateway": "fd44::1", "routes": [{"dst": "::/0"}]},
    "dns": {"nameservers": ["10.44.0.53"]},
}
BUSY = {"cniVersion": "1.1.0", "code": 11, "msg": "busy", "details": "ask later"}
BUSY_ANSWER = {**BUSY, "msg": "elsewhere: busy"}


@pytest.fixture
def ipam(tmp_path: Path) -> ForeignIPAM:
    """A foreign IPAM plugin that gives the pool's addresses."""
    plugin = ForeignIPAM(tmp_path)
    plugin.prints("ADD", RESULT)
    return plugin


def config_of(node: Node, version: str = "1.1.0", **changes: Any) -> dict[str, Any]:
    """A configuration whose addresses come from elsewhere."""
    changes = {"ipam": {"type": NAME, "zone": "b"}, "isGateway": True, **changes}
    config = bridge_config(node, "bridge", version, None)
    return {**config, **changes}


def call(
    node: Node,
    ipam: ForeignIPAM,
    command: str,
    config: dict[str, Any],
    pod: Namespace | None,
    **options: Any,
) -> Answer:
    """One call with the foreign plugin in CNI_PATH."""
    options = {"called_as": "bridge", "CNI_PATH": ipam.path, **options}
    return node.call(command, config, "c1", pod, **options)


@pytest.mark.parametrize("version", VERSIONS)
def test_addresses_come_from_another_plugin(
    node: Node, ipam: ForeignIPAM, version: str
) -> None:
    """A pod has the addresses, routes and DNS that another plugin gave (DG1)."""
    pod = node.pod()
    if version < "0.3.0":
        ipam.prints("ADD", {"cniVersion": version, **OLD_RESULT})

    answer = call(node, ipam, "ADD", config_of(node, version), pod)

    assert answer.exit_code == 0, answer
    dns = RESULT["dns"]
    assert answer.json == expected_result(node, pod, POOL, version, dns)
    assert_attached(node, pod, POOL)
    assert pod.ping("10.44.0.1")


def test_another_plugin_gets_what_we_got(node: Node, ipam: ForeignIPAM) -> None:
    """The other plugin has our stdin and variables, we have its stderr (DG1, OU4)."""
    pod, config = node.pod(), config_of(node)
    args = "IgnoreUnknown=1;COLOR=red"

    answer = call(node, ipam, "ADD", config, pod, args=args)

    assert ipam.stdin("ADD") == json.dumps(config).encode()
    assert ipam.environ("ADD") == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": pod.path,
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": args,
        "CNI_PATH": ipam.path,
    }
    assert answer.stderr == "ADD by elsewhere\n"


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
def test_every_command_is_delegated(
    node: Node, ipam: ForeignIPAM, called_as: str
) -> None:
    """Each command asks the other plugin, prints no word of it (CK4, ST2, GC3, OU4)."""
    pod, config = node.pod(), config_of(node, type=called_as)
    for command in ("CHECK", "STATUS", "GC", "DEL"):
        ipam.prints(command, RESULT)
    added = call(node, ipam, "ADD", config, pod, called_as=called_as)
    config["prevResult"] = added.json
    config["cni.dev/valid-attachments"] = [{"containerID": "c1", "ifname": "eth0"}]

    answers = [
        call(node, ipam, command, config, pod, called_as=called_as)
        for command in ("CHECK", "STATUS", "GC", "DEL")
    ]

    assert [(a.exit_code, a.stdout) for a in answers] == [(0, "")] * 4
    assert ipam.calls == ["ADD", "CHECK", "STATUS", "GC", "DEL"]
    assert ipam.stdin("GC") == json.dumps(config).encode()
    assert sorted(node.links()) == ["bridge0", "lo"]
    assert_no_trace(node)


@pytest.mark.parametrize("netns", ["missing", "gone"])
def test_delete_without_a_namespace_is_delegated(
    node: Node, ipam: ForeignIPAM, netns: str
) -> None:
    """DEL asks the other plugin also when the namespace is gone or unknown (DE3)."""
    pod, config = node.pod(), config_of(node, ipMasq=True)
    call(node, ipam, "ADD", config, pod)
    pod.delete()

    answer = call(node, ipam, "DEL", config, pod if netns == "gone" else None)

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert ipam.calls == ["ADD", "DEL"]
    assert_no_trace(node)


def test_delete_of_what_was_never_added_is_delegated(
    node: Node, ipam: ForeignIPAM
) -> None:
    """DEL of an unknown attachment asks the other plugin each time (DE1)."""
    config = config_of(node)

    answers = [call(node, ipam, "DEL", config, None) for _ in range(2)]

    assert [(a.exit_code, a.stdout) for a in answers] == [(0, "")] * 2
    assert ipam.calls == ["DEL", "DEL"]


def test_a_failed_add_of_another_plugin_is_undone(
    node: Node, ipam: ForeignIPAM
) -> None:
    """If the other plugin's ADD fails, its DEL is called, its error passed on (AD6)."""
    pod = node.pod()
    ipam.fails("ADD", BUSY)

    answer = call(node, ipam, "ADD", config_of(node), pod)

    assert answer.json == BUSY_ANSWER
    assert ipam.calls == ["ADD", "DEL"]
    assert_nothing_made(node, pod)


def test_a_failure_of_ours_is_told_to_another_plugin(
    node: Node, ipam: ForeignIPAM
) -> None:
    """If our own work fails after its ADD, the other plugin's DEL is called (AD6)."""
    pod = node.pod()
    pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")

    answer = call(node, ipam, "ADD", config_of(node), pod)

    assert answer.code == 106
    assert ipam.calls == ["ADD", "DEL"]
    assert list(node.links()) == ["lo"]
    assert_no_trace(node)


def test_both_failures_of_add_and_undo(node: Node, ipam: ForeignIPAM) -> None:
    """If its DEL fails as well, the first error is reported (AD6)."""
    pod = node.pod()
    ipam.fails("ADD", BUSY)
    ipam.fails("DEL", {"code": 5, "msg": "disk"})

    answer = call(node, ipam, "ADD", config_of(node), pod)

    assert answer.json == BUSY_ANSWER
    assert_nothing_made(node, pod)
    assert node.log_lines()[-1]["notes"] == ["undo: elsewhere: disk"]


def test_no_address_from_another_plugin(node: Node, ipam: ForeignIPAM) -> None:
    """A result without an address is an error, and undone on both sides (AD6)."""
    pod = node.pod()
    ipam.prints("ADD", {"cniVersion": "1.1.0", "dns": {}})

    answer = call(node, ipam, "ADD", config_of(node), pod)

    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 7,
        "msg": "ipam.type: elsewhere gave no address",
    }
    assert ipam.calls == ["ADD", "DEL"]
    assert_nothing_made(node, pod)


BAD_OUTPUT = {
    "no JSON": ("oops", 109, "printed no JSON"),
    "nothing": ("", 6, "not a result of CNI 1.1.0"),
    "a list": ("[]", 6, "not a result of CNI 1.1.0"),
    "no address": ('{"ips": [{"address": "10.44.7"}]}', 6, "not a result of CNI 1.1.0"),
    "version": ('{"cniVersion": "9.9.9"}', 6, "not a result of CNI 9.9.9"),
}


@pytest.mark.parametrize(
    ("output", "code", "words"), BAD_OUTPUT.values(), ids=BAD_OUTPUT
)
def test_a_result_that_is_none(
    node: Node, ipam: ForeignIPAM, output: str, code: int, words: str
) -> None:
    """What is not a result is an error with a code, and undone (DG1, AD6)."""
    pod = node.pod()
    ipam.prints("ADD", output)

    answer = call(node, ipam, "ADD", config_of(node), pod)

    assert answer.code == code
    assert answer.json["msg"].endswith(words)
    assert ipam.calls == ["ADD", "DEL"]
    assert_nothing_made(node, pod)


@pytest.mark.parametrize("command", ["CHECK", "STATUS", "GC", "DEL"])
def test_a_failure_of_another_plugin(
    node: Node, ipam: ForeignIPAM, command: str
) -> None:
    """An error of the other plugin is ours, with its code and details (DG1)."""
    pod, config = node.pod(), config_of(node)
    config["prevResult"] = call(node, ipam, "ADD", config, pod).json
    config["cni.dev/valid-attachments"] = []
    ipam.fails(command, BUSY)

    answer = call(node, ipam, command, config, pod)

    assert answer.json == BUSY_ANSWER


@pytest.mark.parametrize("command", ["DEL", "GC"])
def test_our_part_is_done_when_another_plugin_fails(
    node: Node, ipam: ForeignIPAM, command: str
) -> None:
    """A failing plugin does not keep DEL and GC from their own steps (DE2, GC2)."""
    pod, config = node.pod(), config_of(node, ipMasq=True)
    call(node, ipam, "ADD", config, pod)
    config["cni.dev/valid-attachments"] = []
    ipam.fails(command, BUSY)

    answer = call(node, ipam, command, config, pod)

    assert answer.code == 11
    assert sorted(node.links()) == ["bridge0", "lo"]
    assert list(pod.links()) == ["lo"]
    assert_no_trace(node)


def test_a_plugin_that_dies(node: Node, ipam: ForeignIPAM) -> None:
    """A plugin that fails without an error object is named with its exit code (DG1)."""
    pod = node.pod()
    ipam.fails("ADD", "", exit_code=3)

    answer = call(node, ipam, "ADD", config_of(node), pod)

    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 109,
        "msg": f"{ipam.folder}/elsewhere failed with exit code 3",
    }
    assert_nothing_made(node, pod)


@pytest.mark.parametrize("path", ["", None, "/nowhere", "/nowhere::/proc"])
def test_a_plugin_that_is_not_there(node: Node, path: str | None) -> None:
    """A plugin that is in no folder of CNI_PATH is an error that says so (DG1)."""
    pod = node.pod()

    config = config_of(node)
    answer = node.call("ADD", config, "c1", pod, called_as="bridge", CNI_PATH=path)

    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 109,
        "msg": "ipam.type: failed to find plugin 'elsewhere' in CNI_PATH",
        "details": f"CNI_PATH is {path or ''!r}",
    }
    assert_nothing_made(node, pod)


@pytest.mark.parametrize("name", ["../elsewhere", "", None, "a/b"])
def test_a_plugin_name_that_is_a_path(node: Node, name: str | None) -> None:
    """An ipam without type, or with a path for it, is code 7 (DG1, C5)."""
    pod = node.pod()
    config = config_of(node, ipam={"type": name, "subnet": "10.44.0.0/16"})

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.code == 7
    assert answer.json["msg"].startswith("ipam.type: ")
    assert_nothing_made(node, pod)


@pytest.mark.parametrize("index", [None, 0, 7, -1])
def test_an_interface_index_of_another_plugin(
    node: Node, ipam: ForeignIPAM, index: int | None
) -> None:
    """Whatever index the other plugin gives, addresses are of our interface (E)."""
    pod = node.pod()
    ipam.prints("ADD", {**RESULT, "ips": [{**ip, "interface": index} for ip in IPS]})

    answer = call(node, ipam, "ADD", config_of(node), pod)

    assert [ip["interface"] for ip in answer.json["ips"]] == [2, 2]
    assert_attached(node, pod, POOL)


def test_a_gateway_that_another_plugin_leaves_out(
    node: Node, ipam: ForeignIPAM
) -> None:
    """With isGateway a missing gateway is the address after the network (DG1)."""
    pod = node.pod()
    ips = [{"address": ip["address"]} for ip in IPS]
    ipam.prints("ADD", {**RESULT, "ips": ips})

    answer = call(node, ipam, "ADD", config_of(node), pod)

    assert [ip["gateway"] for ip in answer.json["ips"]] == ["10.44.0.1", "fd44::1"]
    assert_attached(node, pod, POOL)
