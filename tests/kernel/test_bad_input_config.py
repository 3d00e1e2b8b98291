"""Bad configurations: each key with values that it can't have, and what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.node import Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.node import Answer, Namespace

DONE = "Answer(0, '', '')"


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with a pod; all tests share it, since none may change it."""
    node = Node(tmp_path_factory.mktemp("busy"))
    node.add(node.config(), "first", node.pod())
    yield node
    node.delete()


@pytest.fixture(scope="module")
def pod(busy: Node) -> Namespace:
    """A pod that no call leaves attached."""
    return busy.pod()


def ipam(**fields: Any) -> dict[str, Any]:
    """An `ipam` object of host-local."""
    return {"type": "host-local", "subnet": "10.60.0.0/24", **fields}


@pytest.mark.parametrize("called_as", ["pycni", "bridge"])
@pytest.mark.parametrize(
    ("changes", "want"),
    [
        (
            {"ipam": ipam(subnet="10.60.0.17/24")},
            "ipam: subnet: 10.60.0.17/24: Network has host bits set. For a subnet mask "
            "of length 24 the network address is 10.60.0.0",
        ),
        (
            {"ipam": ipam(gateway="10.61.0.1")},
            "ipam: gateway: 10.61.0.1 is not in the subnet 10.60.0.0/24",
        ),
        (
            {"ipam": ipam(gateway="fd00::1")},
            "ipam: gateway: fd00::1 is IPv6, the subnet 10.60.0.0/24 is IPv4",
        ),
        (
            {"ipam": ipam(subnet="fd00::/64", gateway="fd01::1")},
            "ipam: gateway: fd01::1 is not in the subnet fd00::/64",
        ),
        (
            {"name": "x/y"},
            "name: 'x/y' must begin with a letter or digit and go on with letters, "
            "digits, '_', '.' or '-'",
        ),
        (
            {"name": ".."},
            "name: '..' must begin with a letter or digit and go on with letters, "
            "digits, '_', '.' or '-'",
        ),
        (
            {"name": None},
            "name: None must begin with a letter or digit and go on with letters, "
            "digits, '_', '.' or '-'",
        ),
        ({"name": "n" * 201}, "name: 201 characters, 200 are possible"),
        (
            {"bridge": "bridge_of_21_letters_"},
            "bridge: 'bridge_of_21_letters_' is longer than 15 bytes",
        ),
        (
            {"bridge": "../x"},
            "bridge: '../x' has '/', ':' or white space in it",
        ),
        ({"bridge": ""}, "bridge: an empty name"),
        ({"type": None}, "type: the name of the plugin is missing"),
        (
            {"ipMasqExceptCIDRs": ["10.0.0.0/8", "here"]},
            "ipMasqExceptCIDRs: 'here' is not an address with a prefix length",
        ),
        ({"runDir": "run"}, "runDir: 'run' is not an absolute path"),
        ({"stateDir": "state"}, "stateDir: 'state' is not an absolute path"),
        (
            {"logLevel": "loud"},
            "logLevel: 'loud' is none of debug, info, error, off",
        ),
        (
            {"runtimeConfig": {"mac": "01:00:5e:00:00:01"}},
            "runtimeConfig.mac: '01:00:5e:00:00:01' is not a unicast MAC address",
        ),
        (
            {"ipam": ipam(resolvConf="/no/such/resolv.conf")},
            "ipam.resolvConf: /no/such/resolv.conf: no such file",
        ),
    ],
    ids=str,
)
def test_a_bad_value_is_code_7_and_named(
    busy: Node, pod: Namespace, changes: dict[str, Any], want: str, called_as: str
) -> None:
    """An invalid value is code 7 with key and value, and nothing changes (C1, C5)."""
    before = busy.snapshot()

    answer = busy.call("ADD", busy.config(**changes), "c1", pod, called_as=called_as)

    assert (answer.code, answer.json["msg"]) == (7, want)
    assert busy.snapshot() == before
    assert sorted(pod.links()) == ["lo"]


def test_a_bridge_name_of_something_else_is_code_7(busy: Node, pod: Namespace) -> None:
    """A device that is no bridge is not taken for one, and stays as it is."""
    before = busy.snapshot()

    answer = busy.call("ADD", busy.config(name="other", bridge="lo"), "c1", pod)

    assert answer.code == 7
    assert answer.json["msg"].startswith("bridge: lo exists and is ")
    assert busy.snapshot()["kernel"] == before["kernel"]
    assert busy.leases("other") == []


def test_all_that_is_wrong_is_said_at_once(busy: Node, pod: Namespace) -> None:
    """One error names every problem of a configuration (B9)."""
    config = busy.config(
        mtu="big", vlan=-1, bridge="a b", ipam=ipam(subnet="10.0.0.1/8")
    )

    answer = busy.call("ADD", config, "c1", pod)

    assert (answer.code, answer.json["msg"]) == (
        7,
        "mtu: 'big' is not a number; bridge: 'a b' has '/', ':' or white space in it; "
        "vlan: invalid VLAN ID -1 (must be between 0 and 4094); ipam: subnet: "
        "10.0.0.1/8: Network has host bits set. For a subnet mask of length 8 the "
        "network address is 10.0.0.0",
    )


TYPES = {
    "a string": ["bridge", "ipMasqBackend", "logFile", "network", "runDir"],
    "true or false": [
        "isGateway",
        "isDefaultGateway",
        "forceAddress",
        "ipMasq",
        "hairpinMode",
        "promiscMode",
        "preserveDefaultVlan",
        "macspoofchk",
        "enabledad",
        "disableContainerInterface",
        "portIsolation",
    ],
    "a number": ["mtu", "vlan", "logMaxBytes"],
    "a list": ["vlanTrunk", "ipMasqExceptCIDRs"],
    "an object": ["dns", "ipam", "runtimeConfig", "args", "prevResult"],
}
OTHER: dict[str, list[Any]] = {
    "a string": [5, True, [], {}],
    "true or false": [1, "true", [], {}],
    "a number": ["5", True, 1.5, []],
    "a list": ["x", 5, {}],
    "an object": ["x", 5, [1], True],
}


@pytest.mark.parametrize("kind", TYPES)
def test_a_value_of_another_type_is_code_6(
    busy: Node, pod: Namespace, kind: str
) -> None:
    """A value of the wrong JSON type is code 6, and is named with its key (CF10)."""
    before = busy.snapshot()
    cases = [(key, value) for key in TYPES[kind] for value in OTHER[kind]]

    answers = [
        (key, value, busy.call("ADD", busy.config(**{key: value}), "c1", pod))
        for key, value in cases
    ]

    got = [(answer.code, answer.json["msg"]) for *_, answer in answers]
    assert got == [(6, f"{key}: {value!r} is not {kind}") for key, value in cases]
    assert busy.snapshot() == before


# A configuration without a log file of its own writes to the default one.
OWN_LOG = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs log /var/log; exec "$@"', "sh")
JUNK: list[Any] = [
    None,
    -1,
    1 << 70,
    "x",
    "\0",
    "/proc/x",
    [None],
    {"x": {"y": []}},
]
KEYS = [
    "cniVersion",
    "name",
    "type",
    "cni.dev/valid-attachments",
    *[key for keys in TYPES.values() for key in keys],
    *[
        f"ipam.{key}"
        for key in ("type", "subnet", "rangeStart", "rangeEnd", "gateway", "ranges")
    ],
    *[f"ipam.{key}" for key in ("routes", "exclude", "dataDir", "resolvConf")],
    *[f"runtimeConfig.{key}" for key in ("ips", "ipRanges", "mac")],
    *["args.cni", "prevResult.ips", "prevResult.interfaces", "prevResult.routes"],
    *["dns.nameservers", "logLevel", "logMaxAgeDays", "stateDir"],
]


def changed(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The configuration with a value put in the place of a key, maybe of an object."""
    first, _, second = key.partition(".")
    if not second or first == "cni":
        return {**config, key: value}
    return {**config, first: {**config.get(first, {}), second: value}}


def is_foreseen(answer: Answer) -> bool:
    """Whether a call succeeded, or failed with a sentence and a code of its own."""
    if answer.exit_code == 0:
        return True
    document = answer.json
    return 0 < document["code"] < 200 and len(document["msg"]) > 10


def remove_bridges(node: Node) -> None:
    """Remove the bridges that stay after DEL, but that of the first pod."""
    for name, link in node.links().items():
        if link.get("linkinfo", {}).get("info_kind") == "bridge" and name != "pyc0":
            node.run("ip", "link", "delete", name)


@pytest.mark.parametrize("key", KEYS)
def test_no_value_of_a_key_is_unforeseen(busy: Node, pod: Namespace, key: str) -> None:
    """Whatever a key holds, no command ends in code 999 or leaves a trace (B9)."""
    base = busy.config(cniVersion="1.1.0", bridge="fuzz0")
    before = busy.snapshot()
    options: dict[str, Any] = {"wrapper": OWN_LOG} if key == "logFile" else {}
    unforeseen = []
    # The default folder for what runs is this machine's.
    for value in JUNK[1:] if key == "runDir" else JUNK:
        config = changed(base, key, value)
        for command in ("ADD", "CHECK", "DEL"):
            answer = busy.call(command, config, "c1", pod, **options)
            if not is_foreseen(answer):
                unforeseen.append((command, value, answer))
        if "c1@eth0" in busy.records():
            busy.call("DEL", base, "c1", pod)
    remove_bridges(busy)

    assert unforeseen == []
    assert busy.snapshot()["kernel"] == before["kernel"]
    assert (busy.records(), sorted(pod.links())) == (["first@eth0"], ["lo"])
