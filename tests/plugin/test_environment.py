"""The environment of a call: which variables it needs, and what they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plugin import chained, commands, hostlocal, loopback, protocol
from plugin.__main__ import handler_of
from tests.plugin.fakes import OWN_NAMESPACE

if TYPE_CHECKING:
    from types import ModuleType

    from tests.plugin.fakes import Runtime

REQUIRED = {
    "ADD": ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    "DEL": ["CNI_CONTAINERID", "CNI_IFNAME"],
    "CHECK": ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    "GC": ["CNI_PATH"],
    "STATUS": [],
    "VERSION": [],
}
VARIABLES = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]
ONE_EACH = [(command, name) for command, names in REQUIRED.items() for name in names]
KUBELET = (
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;"
    "K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=4e7b"
)


@pytest.mark.parametrize(("command", "name"), ONE_EACH)
@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_missing_is_named(
    runtime: Runtime, command: str, name: str, value: str | None
) -> None:
    """A required variable that is unset or empty is code 4 with its name (EN1)."""
    answer = runtime.call(command, runtime.config(), "host-local", **{name: value})

    assert answer.code == 4
    assert answer.message == f"required environment variables missing: {name}"


@pytest.mark.parametrize("command", REQUIRED)
def test_the_required_variables_are_enough(runtime: Runtime, command: str) -> None:
    """Each command works with its required variables alone (EN1)."""
    others = {name: None for name in VARIABLES if name not in REQUIRED[command]}
    config = runtime.config(**{"cni.dev/valid-attachments": []})
    if command == "CHECK":
        runtime.call("ADD", config)

    assert runtime.call(command, config, "host-local", **others).exit_code == 0


@pytest.mark.parametrize("command", [c for c in REQUIRED if len(REQUIRED[c]) > 1])
def test_all_missing_variables_are_named_at_once(
    runtime: Runtime, command: str
) -> None:
    """Several missing variables make one error of code 4 that names all (EN2)."""
    nothing = dict.fromkeys(VARIABLES)

    answer = runtime.call(command, runtime.config(), "host-local", **nothing)

    names = ", ".join(REQUIRED[command])
    assert answer.code == 4
    assert answer.message == f"required environment variables missing: {names}"


def test_all_problems_of_the_environment_make_one_error(runtime: Runtime) -> None:
    """What is missing and what is malformed stand in one error (EN2)."""
    answer = runtime.call(
        "ADD", {}, CNI_NETNS=None, CNI_CONTAINERID="-", CNI_IFNAME="a b", CNI_ARGS="x"
    )

    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 4,
        "msg": "required environment variables missing: CNI_NETNS; CNI_CONTAINERID: "
        "'-' must begin with a letter or digit and go on with letters, digits, '_', "
        "'.' or '-'; CNI_IFNAME: 'a b' has '/', ':' or white space in it; CNI_ARGS: "
        "'x' is not one KEY=VALUE pair",
    }


@pytest.mark.parametrize("container_id", ["c", "0", "A_b.c-D", "a" * 200])
def test_container_ids(runtime: Runtime, container_id: str) -> None:
    """A container id has letters, digits, `_`, `.` and `-`, up to 200 (EN3)."""
    answer = runtime.call("ADD", runtime.config(), CNI_CONTAINERID=container_id)

    assert answer.exit_code == 0


@pytest.mark.parametrize(
    "container_id", ["_a", ".a", "-a", ".", "..", "a/b", "../x", "a b", "ä", "a" * 201]
)
@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
def test_bad_container_ids(runtime: Runtime, command: str, container_id: str) -> None:
    """Any other container id is code 4, and nothing is touched (EN3, C5)."""
    answer = runtime.call(command, runtime.config(), CNI_CONTAINERID=container_id)

    assert answer.code == 4
    assert answer.message.startswith("CNI_CONTAINERID: ")
    assert not (runtime.folder / "data").exists()


@pytest.mark.parametrize("ifname", ["e", "eth0", "a.b", "a" * 15, "ä" * 7, "_-@"])
def test_interface_names(runtime: Runtime, ifname: str) -> None:
    """An interface name has 1 to 15 bytes (EN4)."""
    answer = runtime.call("ADD", runtime.config(), CNI_IFNAME=ifname)

    assert answer.exit_code == 0


@pytest.mark.parametrize(
    "ifname",
    [
        ".",
        "..",
        "eth/0",
        "eth:0",
        "a b",
        "a\tb",
        "a\n",
        "eth%d",
        "\x7f",
        "a" * 16,
        "ä" * 8,
    ],
)
@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
def test_bad_interface_names(runtime: Runtime, command: str, ifname: str) -> None:
    """A name with `/`, `:` or white space, `.`, `..` or 16 bytes is code 4 (EN4)."""
    answer = runtime.call(command, runtime.config(), CNI_IFNAME=ifname)

    assert answer.code == 4
    assert answer.message.startswith("CNI_IFNAME: ")


def test_a_variable_that_is_not_text_is_named(runtime: Runtime) -> None:
    """A variable that is not UTF-8 is code 4, not another name (EN4)."""
    answer = runtime.call("ADD", runtime.config(), CNI_IFNAME=b"eth\xff")

    assert answer.code == 4
    assert answer.message == "CNI_IFNAME: byte 3 is not UTF-8"


@pytest.mark.parametrize(
    ("args", "want"),
    [
        ("", {}),
        ("IP=10.60.0.9;COLOR=red", {"IP": "10.60.0.9", "COLOR": "red"}),
        ("IP=", {"IP": ""}),
        (
            KUBELET,
            {
                "IgnoreUnknown": "1",
                "K8S_POD_NAMESPACE": "shop",
                "K8S_POD_NAME": "web",
                "K8S_POD_INFRA_CONTAINER_ID": "c1",
                "K8S_POD_UID": "4e7b",
            },
        ),
    ],
)
def test_args(args: str, want: dict[str, str]) -> None:
    """CNI_ARGS are pairs parted by `;`, and unknown keys are no error (EN5, C4)."""
    assert protocol.parse_args(args) == want


@pytest.mark.parametrize("args", ["broken", "A=b=c", "A=b;", ";", "=b", "A=b;;C=d"])
@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
def test_bad_args(runtime: Runtime, command: str, args: str) -> None:
    """A pair without exactly one `=` is code 4 before anything is made (EN5, C4)."""
    answer = runtime.call(command, runtime.config(), CNI_ARGS=args)

    assert answer.code == 4
    assert "is not one KEY=VALUE pair" in answer.message
    assert not (runtime.folder / "data").exists()


@pytest.mark.parametrize(
    ("args", "pod", "by_kubelet"),
    [
        (KUBELET, "shop/web", True),
        ("K8S_POD_NAME=web", "/web", True),
        ("K8S_POD_NAMESPACE=shop", "", False),
    ],
)
def test_the_pod_of_a_call(args: str, pod: str, by_kubelet: bool) -> None:
    """A call with K8S_POD_NAME is a kubelet's, and of that pod (EN5)."""
    environ = {"CNI_COMMAND": "STATUS", "CNI_ARGS": args}

    request = protocol.parse_request(environ)

    assert (request.pod, request.by_kubelet) == (pod, by_kubelet)


@pytest.mark.parametrize("command", ["add", "Add", "ADD ", "REMOVE", " "])
def test_an_unknown_command(runtime: Runtime, command: str) -> None:
    """A command that nobody knows is code 4 with the known ones (EN6)."""
    answer = runtime.call(command, runtime.config())

    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 4,
        "msg": f"CNI_COMMAND: unknown command {command!r}",
        "details": "known commands: ADD, DEL, CHECK, GC, STATUS, VERSION",
    }


@pytest.mark.parametrize("command", [None, ""])
def test_without_a_command_the_plugin_says_what_it_is(
    runtime: Runtime, capfd: pytest.CaptureFixture[str], command: str | None
) -> None:
    """Without CNI_COMMAND an about line goes to stderr, and the exit is 0 (EN6)."""
    answer = runtime.call(command)

    captured = capfd.readouterr()
    assert (answer.exit_code, answer.stdout, captured.out) == (0, b"", "")
    assert captured.err.startswith("pycni ")
    assert captured.err.endswith(
        ": CNI plugin, protocol versions "
        "0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"
    )
    assert runtime.reads == 0


@pytest.mark.parametrize("override", [None, "", "0", "no"])
@pytest.mark.parametrize("called_as", ["pycni", "bridge"])
def test_the_plugins_own_namespace(
    runtime: Runtime, called_as: str, override: str | None
) -> None:
    """ADD into the plugin's own namespace is code 8, before any work (EN7)."""
    config = runtime.config()

    answer = runtime.call("ADD", config, called_as, CNI_NETNS_OVERRIDE=override)

    assert answer.code == 8
    assert answer.message == (
        f"CNI_NETNS: {OWN_NAMESPACE} is the network namespace that the plugin runs in"
    )
    assert not (runtime.folder / "run").exists()


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/nowhere", "CNI_NETNS: /nowhere: no such file"),
        ("/etc/passwd", "CNI_NETNS: /etc/passwd: not a network namespace"),
        ("/etc", "CNI_NETNS: /etc: not a network namespace"),
        ("/etc/passwd/ns", "CNI_NETNS: /etc/passwd/ns: Not a directory"),
        ("/proc/self/ns/mnt", "CNI_NETNS: /proc/self/ns/mnt: not a network namespace"),
    ],
)
def test_a_path_that_is_no_namespace(runtime: Runtime, path: str, want: str) -> None:
    """A CNI_NETNS that is no network namespace is code 4 with the path (EN8)."""
    answer = runtime.call("ADD", runtime.config(), "pycni", CNI_NETNS=path)

    assert (answer.code, answer.message) == (4, want)


@pytest.mark.parametrize(
    ("personality", "module", "names"),
    [
        ("pycni", commands, "add delete check collect_garbage status"),
        ("bridge", commands, "add delete check collect_garbage status"),
        ("anything", commands, "add delete check collect_garbage status"),
        ("host-local", hostlocal, "add delete check collect_garbage status"),
        ("portmap", chained, "add nothing nothing nothing nothing"),
        ("bandwidth", chained, "add nothing nothing nothing nothing"),
        ("loopback", loopback, "add delete check nothing nothing"),
    ],
)
def test_each_command_has_its_function(
    personality: str, module: ModuleType, names: str
) -> None:
    """Each command calls its own function and no other (3.5 F, B18)."""
    handlers = [
        handler_of(personality, command)
        for command in ("ADD", "DEL", "CHECK", "GC", "STATUS")
    ]

    assert handlers == [getattr(module, name) for name in names.split()]
