"""Capabilities, args and CNI_ARGS: what a value is taken from, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from plugin.config import is_unicast_mac, parse_config

if TYPE_CHECKING:
    from tests.plugin.fakes import Runtime

MINIMAL = {"cniVersion": "1.0.0", "name": "blue", "type": "bridge"}
FIRST, SECOND, THIRD = (f"02:00:00:00:00:0{digit}" for digit in "123")


def _trunk(*entries: dict[str, Any]) -> list[int]:
    document = {**MINIMAL, "vlanTrunk": list(entries)}
    return parse_config(document, {}, layer2_by_default=True).vlan_trunk


@pytest.mark.parametrize(
    ("entries", "want"),
    [
        ([], []),
        ([{"minID": 101, "maxID": 103}], [101, 102, 103]),
        ([{"id": 101}], [101]),
        ([{"id": 200}, {"minID": 100, "maxID": 101}, {"ID": 101}], [100, 101, 200]),
        ([{"id": 5, "minID": 1, "maxID": 2}], [1, 2, 5]),
        ([{}], []),
        ([{"minID": 1, "maxID": 1}, {"id": 4094}], [1, 4094]),
    ],
)
def test_a_trunk_is_a_sorted_list_without_doubles(
    entries: list[dict[str, Any]], want: list[int]
) -> None:
    """A vlanTrunk of ids and ranges is the sorted list of its ids (A1)."""
    assert _trunk(*entries) == want


@pytest.mark.parametrize(
    ("entry", "want"),
    [
        ({"minID": -1, "maxID": 5}, "incorrect trunk minID parameter: -1"),
        ({"minID": 4095, "maxID": 5000}, "incorrect trunk minID parameter: 4095"),
        ({"minID": 1, "maxID": 5000}, "incorrect trunk maxID parameter: 5000"),
        ({"minID": 1, "maxID": -5}, "incorrect trunk maxID parameter: -5"),
        ({"minID": 0, "maxID": 5}, "incorrect trunk minID parameter: 0"),
        ({"minID": 1, "maxID": True}, "incorrect trunk maxID parameter: True"),
        ({"id": 4095}, "incorrect trunk id parameter: 4095"),
        ({"id": -1}, "incorrect trunk id parameter: -1"),
        ({"id": "1"}, "incorrect trunk id parameter: '1'"),
        (
            {"minID": 20, "maxID": 10},
            "minID is greater than maxID in trunk parameter: 20 and 10",
        ),
    ],
)
def test_a_bad_trunk(runtime: Runtime, entry: dict[str, Any], want: str) -> None:
    """A bad entry of vlanTrunk is code 7 in the reference's words (A2)."""
    config = runtime.config(vlanTrunk=[entry])

    answer = runtime.call("STATUS", config, "bridge")

    assert (answer.code, answer.message) == (7, f"vlanTrunk: {want}")


@pytest.mark.parametrize(
    ("runtime_config", "args", "variable", "want"),
    [
        (FIRST, SECOND, THIRD, FIRST),
        (None, SECOND, THIRD, SECOND),
        ("", "", THIRD, THIRD),
        (None, None, None, ""),
        ("02-00-00-00-00-0A", None, None, "02:00:00:00:00:0a"),
    ],
)
def test_the_order_of_the_sources_of_a_mac(
    runtime_config: Any, args: Any, variable: Any, want: str
) -> None:
    """runtimeConfig wins over args, and args over CNI_ARGS (CO1, CO2, CO4)."""
    document = {
        **MINIMAL,
        "runtimeConfig": {"mac": runtime_config},
        "args": {"cni": {"mac": args}},
    }
    variables = {"MAC": variable} if variable else {}

    assert parse_config(document, variables, layer2_by_default=True).mac == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("02:00:5e:10:00:01", True),
        ("02-00-5E-10-00-01", True),
        ("01:00:5e:10:00:01", False),
        ("00:00:00:00:00:00", False),
        ("02:00:5e:10:00", False),
        ("02:00:5e:10:00:01:02", False),
        ("02:00:5e:10:00:1", False),
        ("02:00:5e:10:00:+1", False),
        ("02:00:5e:10:00:zz", False),
        ("", False),
    ],
)
def test_macs_of_one_interface(text: str, want: bool) -> None:
    """A MAC is six bytes, of one interface and not zero."""
    assert is_unicast_mac(text) is want


def test_addresses_asked_for_are_added_up(runtime: Runtime) -> None:
    """As in host-local CNI_ARGS, args and runtimeConfig are added up (CO1 to CO3)."""
    config = runtime.config(
        ipam={
            "type": "host-local",
            "ranges": [[{"subnet": f"10.{n}.0.0/24"}] for n in (1, 2, 3)],
            "dataDir": str(runtime.folder / "data"),
        },
        args={"cni": {"ips": ["10.2.0.20/24"], "labels": [{"key": "a", "value": "b"}]}},
        runtimeConfig={"ips": ["10.3.0.30"]},
    )

    answer = runtime.call("ADD", config, CNI_ARGS="IP=10.1.0.10;IgnoreUnknown=1")

    assert [ip["address"] for ip in answer.json["ips"]] == [
        "10.1.0.10/24",
        "10.2.0.20/24",
        "10.3.0.30/24",
    ]


def test_ranges_of_the_runtime_come_first(runtime: Runtime) -> None:
    """The capability ipRanges puts its range sets before all others (CO1)."""
    config = runtime.config(runtimeConfig={"ipRanges": [[{"subnet": "10.70.0.0/24"}]]})

    answer = runtime.call("ADD", config)

    assert [ip["address"] for ip in answer.json["ips"]] == [
        "10.70.0.2/24",
        "10.60.0.2/29",
    ]


@pytest.mark.parametrize(
    ("version", "exit_code"), [("0.1.0", 1), ("0.2.0", 1), ("0.3.0", 0), ("1.1.0", 0)]
)
@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_several_addresses_a_family(
    runtime: Runtime, command: str, version: str, exit_code: int
) -> None:
    """Before 0.3.0 a second address of a family is refused at once (CV7)."""
    config = runtime.config(
        cniVersion=version, runtimeConfig={"ipRanges": [[{"subnet": "10.70.0.0/24"}]]}
    )

    answer = runtime.call(command, config)

    assert answer.exit_code == exit_code
    if exit_code:
        assert answer.message == (
            f"CNI version {version} does not support more than 1 address per family"
        )


PREVIOUS = {
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "eth0", "sandbox": "/run/netns/n1"}],
    "ips": [{"interface": 0, "address": "10.60.0.2/24"}],
}


@pytest.mark.parametrize("called_as", ["portmap", "bandwidth"])
def test_a_plugin_of_the_chain_passes_the_result_on(
    runtime: Runtime, called_as: str
) -> None:
    """With nothing to do a chained plugin prints the prevResult (AD3, CV5)."""
    config = runtime.config(cniVersion="1.0.0", prevResult=PREVIOUS)

    answer = runtime.call("ADD", config, called_as)

    assert answer.json == {**PREVIOUS, "cniVersion": "1.0.0"}


@pytest.mark.parametrize("called_as", ["portmap", "bandwidth"])
def test_a_plugin_of_the_chain_is_never_first(runtime: Runtime, called_as: str) -> None:
    """Without a prevResult a chained plugin refuses ADD in the reference's words."""
    answer = runtime.call("ADD", runtime.config(), called_as)

    assert (answer.code, answer.message) == (7, "must be called as chained plugin")


@pytest.mark.parametrize("command", ["DEL", "CHECK", "GC", "STATUS"])
@pytest.mark.parametrize("called_as", ["portmap", "bandwidth"])
def test_a_plugin_of_the_chain_that_made_nothing_has_nothing_to_undo(
    runtime: Runtime, called_as: str, command: str
) -> None:
    """The other commands of a plugin that maps and shapes nothing succeed (DE1)."""
    answer = runtime.call(command, runtime.config(), called_as)

    assert (answer.exit_code, answer.stdout) == (0, b"")


@pytest.mark.parametrize(
    ("called_as", "changes", "want"),
    [
        (
            "portmap",
            {"runtimeConfig": {"portMappings": [{"hostPort": 80}]}},
            "runtimeConfig.portMappings: [{'hostPort': 80}]",
        ),
        ("bandwidth", {"ingressRate": 1000}, "ingressRate: 1000"),
        (
            "bandwidth",
            {"runtimeConfig": {"bandWidth": {"egressBurst": 5}}},
            "egressBurst: 5",
        ),
    ],
)
def test_what_is_known_and_not_supported_is_code_2(
    runtime: Runtime, called_as: str, changes: dict[str, Any], want: str
) -> None:
    """A field that is known and not supported is code 2 with its value (CF12, CO1)."""
    config = runtime.config(prevResult=PREVIOUS, **changes)

    answer = runtime.call("ADD", config, called_as)

    assert (answer.code, answer.message) == (
        2,
        f"{want} is not supported by this version",
    )
