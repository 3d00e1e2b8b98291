"""Bad input: the code of the specification, a sentence, and nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.expected import VERSIONS
from tests.kernel.node import Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.node import Answer, Namespace

SUPPORTED = "supported versions: " + ", ".join(VERSIONS)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with a pod, so that there is something that could be changed.

    All tests share it, since none may change it.
    """
    node = Node(tmp_path_factory.mktemp("busy"))
    node.add(node.config(), "first", node.pod())
    yield node
    node.delete()


@pytest.fixture(scope="module")
def pod(busy: Node) -> Namespace:
    """A pod that no call attaches."""
    return busy.pod()


def refusal(answer: Answer) -> tuple[int, str]:
    """Code and message of an error, whose object has only what it should have."""
    assert answer.exit_code == 1
    assert answer.stderr == ""
    assert set(answer.json) <= {"cniVersion", "code", "msg", "details"}
    assert "Traceback" not in answer.stdout
    return answer.code, answer.json["msg"]


# Without a configuration the log is where it is by default: not in this machine's.
OWN_LOG = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs log /var/log; exec "$@"', "sh")
LONG = "c" * 300
BAD_NAME = "must begin with a letter or digit and go on with letters, digits, '_', '.'"
BAD_ID = f"CNI_CONTAINERID: {{!r}} {BAD_NAME} or '-'"


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
@pytest.mark.parametrize(
    ("container_id", "want"),
    [
        ("../../tmp/x", BAD_ID.format("../../tmp/x")),
        ("a/b", BAD_ID.format("a/b")),
        (".", BAD_ID.format(".")),
        ("-a", BAD_ID.format("-a")),
        ("a b", BAD_ID.format("a b")),
        ("ä", BAD_ID.format("ä")),
        ("a@eth0", BAD_ID.format("a@eth0")),
        ("a\n", BAD_ID.format("a\n")),
        ("", "required environment variables missing: CNI_CONTAINERID"),
        (LONG, "CNI_CONTAINERID: 300 characters, 200 are possible"),
    ],
    ids=lambda value: value[:12],
)
def test_a_bad_container_id_is_code_4(
    busy: Node, pod: Namespace, command: str, container_id: str, want: str
) -> None:
    """An id that could be a path or is too long never reaches the disk (C5, EN3)."""
    before = busy.snapshot()

    answer = busy.call(command, busy.config(), container_id, pod)

    assert refusal(answer) == (4, want)
    assert busy.snapshot() == before


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
@pytest.mark.parametrize(
    ("ifname", "want"),
    [
        ("eth/0", "'eth/0' has '/', ':' or white space in it"),
        ("eth:0", "'eth:0' has '/', ':' or white space in it"),
        ("a b", "'a b' has '/', ':' or white space in it"),
        ("..", "'..' is not an interface name"),
        (".", "'.' is not an interface name"),
        ("a\tb", "'a\\tb' is not an interface name"),
        ("eth\x01", "'eth\\x01' is not an interface name"),
        ("eth%d", "'eth%d' is not an interface name"),
        ("interface_of_16c", "'interface_of_16c' is longer than 15 bytes"),
        ("schnittstelleä", "'schnittstelleä' is longer than 15 bytes"),
    ],
    ids=str,
)
def test_a_bad_interface_name_is_code_4(
    busy: Node, pod: Namespace, command: str, ifname: str, want: str
) -> None:
    """A name that the kernel or a path could trip over is refused first (C5, EN4)."""
    before = busy.snapshot()
    ifname += "ß" * ifname.startswith("schnitt")
    want = want.replace("elleä'", "elleäß'")

    answer = busy.call(command, busy.config(), "c1", pod, ifname=ifname)

    assert refusal(answer) == (4, f"CNI_IFNAME: {want}")
    assert busy.snapshot() == before
    assert sorted(pod.links()) == ["lo"]


def test_an_interface_name_of_15_bytes_is_fine(node: Node) -> None:
    """The longest name that the kernel takes is taken (EN4)."""
    pod = node.pod()

    node.add(node.config(), "c1", pod, ifname="interface_of_15")

    assert sorted(pod.links()) == ["interface_of_15", "lo"]


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
@pytest.mark.parametrize(
    ("args", "want"),
    [
        ("broken", "CNI_ARGS: 'broken' is not one KEY=VALUE pair"),
        ("A=b=c;", "CNI_ARGS: 'A=b=c' is not one KEY=VALUE pair"),
        ("A=b;", "CNI_ARGS: '' is not one KEY=VALUE pair"),
        ("=b", "CNI_ARGS: '=b' is not one KEY=VALUE pair"),
        ("IP=here", "CNI_ARGS IP: 'here' is not an IP address"),
        ("IP=10.60.0.256/24", "CNI_ARGS IP: '10.60.0.256/24' is not an IP address"),
        ("MAC=here", "CNI_ARGS MAC: 'here' is not a unicast MAC address"),
    ],
    ids=str,
)
def test_malformed_cni_args_are_code_4(
    busy: Node, pod: Namespace, command: str, args: str, want: str
) -> None:
    """CNI_ARGS that can't be read are code 4 before anything is made (C4, EN5)."""
    before = busy.snapshot()

    answer = busy.call(command, busy.config(), "c1", pod, args=args)

    assert refusal(answer) == (4, want)
    assert busy.snapshot() == before


@pytest.mark.parametrize(
    "args",
    [
        None,
        "",
        "K8S_POD_NAME=a;K8S_POD_NAMESPACE=b",
        "IgnoreUnknown=1;COLOR=red",
        "IgnoreUnknown=false;COLOR=red",
        "COLOR=;IP=",
    ],
    ids=str,
)
def test_unknown_keys_of_cni_args_are_ignored(node: Node, args: str | None) -> None:
    """Keys of CNI_ARGS that are meant for others never fail a call (C4)."""
    pod = node.pod()

    node.add(node.config(), "c1", pod, args=args)

    assert pod.addresses("eth0") == ["10.60.0.2/24"]


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("ADD", "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME"),
        ("CHECK", "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME"),
        ("DEL", "CNI_CONTAINERID, CNI_IFNAME"),
        ("GC", "CNI_PATH"),
    ],
)
def test_all_missing_variables_are_named_at_once(
    busy: Node, command: str, missing: str
) -> None:
    """One error of code 4 names every variable that is missing (EN1, EN2)."""
    before = busy.snapshot()

    answer = busy.call(
        command,
        busy.config(cniVersion="1.1.0"),
        CNI_CONTAINERID=None,
        CNI_NETNS="",
        CNI_IFNAME="",
        CNI_PATH=None,
    )

    assert refusal(answer) == (4, f"required environment variables missing: {missing}")
    assert busy.snapshot() == before


@pytest.mark.parametrize("command", ["add", "UPDATE", " ADD"])
def test_an_unknown_command_is_code_4(busy: Node, pod: Namespace, command: str) -> None:
    """A command that is none is named, beside those that there are (EN6)."""
    answer = busy.call(command, busy.config(), "c1", pod)

    assert refusal(answer) == (4, f"CNI_COMMAND: unknown command {command!r}")
    assert (
        answer.json["details"] == "known commands: ADD, DEL, CHECK, GC, STATUS, VERSION"
    )


@pytest.mark.parametrize(
    ("netns", "want"),
    [
        ("/no/such/file", "/no/such/file: no such file"),
        ("/etc/hostname/ns", "/etc/hostname/ns: Not a directory"),
        ("/", "/: not a network namespace"),
        ("/proc/self/status", "/proc/self/status: not a network namespace"),
        ("/proc/self/ns/mnt", "/proc/self/ns/mnt: not a network namespace"),
        ("/" + "n" * 300, f"/{'n' * 300}: File name too long"),
    ],
    ids=lambda value: value[:12],
)
def test_a_namespace_that_is_none_is_code_4(busy: Node, netns: str, want: str) -> None:
    """A CNI_NETNS that is no network namespace is named with the reason (EN1)."""
    before = busy.snapshot()

    answer = busy.call("ADD", busy.config(), "c1", netns)

    assert refusal(answer) == (4, f"CNI_NETNS: {want}")
    assert busy.snapshot() == before


def test_the_nodes_own_namespace_is_code_8(busy: Node) -> None:
    """The namespace that the plugin runs in is refused before any work (EN7)."""
    before = busy.snapshot()

    answer = busy.call("ADD", busy.config(), "c1", busy)

    assert refusal(answer) == (
        8,
        f"CNI_NETNS: {busy.path} is the network namespace that the plugin runs in",
    )
    assert busy.snapshot() == before


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK", "GC", "STATUS"])
@pytest.mark.parametrize("version", ["9.9.9", "0.5.0", "1", "1.0", "v1.0.0"])
def test_an_unknown_version_is_code_1(
    busy: Node, pod: Namespace, command: str, version: str
) -> None:
    """A version that we do not have is named, beside those that we have (C3, CF9)."""
    before = busy.snapshot()

    answer = busy.call(command, busy.config(cniVersion=version), "c1", pod)

    assert refusal(answer) == (1, f"cniVersion: {version!r} is not supported")
    assert answer.json["details"] == SUPPORTED
    assert answer.json["cniVersion"] == "1.1.0"
    assert busy.snapshot() == before


@pytest.mark.parametrize(
    ("command", "version", "since"),
    [
        ("CHECK", "0.3.1", "0.4.0"),
        ("GC", "1.0.0", "1.1.0"),
        ("STATUS", "1.0.0", "1.1.0"),
    ],
)
def test_a_command_that_the_version_has_not_is_code_1(
    busy: Node, pod: Namespace, command: str, version: str, since: str
) -> None:
    """CHECK came with 0.4.0, GC and STATUS with 1.1.0 (C3, CK5)."""
    answer = busy.call(command, busy.config(cniVersion=version), "c1", pod)

    assert refusal(answer) == (
        1,
        f"cniVersion: {version} has no {command}, it came with {since}",
    )
    assert answer.json["details"] == SUPPORTED


@pytest.mark.parametrize("version", [None, ""], ids=["missing", "empty"])
def test_no_version_is_the_first_one(node: Node, version: str | None) -> None:
    """A configuration without cniVersion is answered as 0.1.0 (CF8, C3)."""
    result = node.add(node.config(cniVersion=version), "c1", node.pod())

    assert (result["cniVersion"], result["ip4"]["ip"]) == ("0.1.0", "10.60.0.2/24")


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK", "GC", "STATUS"])
@pytest.mark.parametrize(
    ("stdin", "want", "details"),
    [
        (b"", "stdin: not JSON", "line 1 column 1: the text ends early"),
        (b"\xff\xfe", "stdin: not JSON", "byte 0: not UTF-8"),
        (b'{"name":"\xe2\x82', "stdin: not JSON", "byte 9: not UTF-8"),
        (b'{"name":', "stdin: not JSON", "line 1 column 9: the text ends early"),
        (b"{}{}", "stdin: not JSON", "line 1 column 3: more text after the value"),
        (b"{'a':1}", "stdin: not JSON", "line 1 column 2: expected a key in double"),
        (b"[" * 500, "stdin: not JSON", "line 1 column 102: nested more than 100"),
        (b"[]", "stdin: a list, not a network configuration object", ""),
        (b"null", "stdin: null, not a network configuration object", ""),
        (b"5", "stdin: a number, not a network configuration object", ""),
        (b'"x"', "stdin: a string, not a network configuration object", ""),
        (b'{"name":"a","cniVersion":5}', "cniVersion: 5 is not a string", ""),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_no_configuration_is_code_6(
    busy: Node, pod: Namespace, command: str, stdin: bytes, want: str, details: str
) -> None:
    """Text that is not JSON, or not an object, is code 6 with its place (CF10)."""
    before = busy.snapshot()

    answer = busy.call(command, stdin, "c1", pod, wrapper=OWN_LOG)

    assert refusal(answer) == (6, want)
    assert answer.json.get("details", "").startswith(details)
    assert busy.snapshot() == before
