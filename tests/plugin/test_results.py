"""Results in each version of the specification, rendered and read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.address import parse_address, parse_prefix
from plugin.errors import CNIError
from plugin.protocol import VERSIONS
from plugin.result import (
    Interface,
    IPConfig,
    Result,
    Route,
    parse_result,
    render_result,
)

DNS = {
    "nameservers": ["10.60.0.10"],
    "domain": "cluster.local",
    "search": ["svc.cluster.local"],
    "options": ["ndots:5"],
}
RICH = {
    "cniVersion": "1.1.0",
    "interfaces": [
        {"name": "pyc0", "mac": "02:00:00:00:00:01", "mtu": 1500},
        {
            "name": "eth0",
            "mac": "02:00:00:00:00:02",
            "mtu": 1400,
            "socketPath": "/run/vhost.sock",
            "pciID": "0000:00:02.0",
            "sandbox": "/run/netns/n1",
        },
    ],
    "ips": [
        {"interface": 1, "address": "10.60.0.2/24", "gateway": "10.60.0.1"},
        {"interface": 1, "address": "10.61.0.2/24"},
        {"interface": 0, "address": "fd00::2/64", "gateway": "fd00::1"},
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "10.60.0.1",
            "mtu": 1400,
            "advmss": 1360,
            "priority": 10,
            "table": 100,
            "scope": 0,
        },
        {"dst": "::/0"},
    ],
    "dns": DNS,
}
FLAT = {
    "interfaces": [
        {"name": "pyc0", "mac": "02:00:00:00:00:01"},
        {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/n1"},
    ],
    "routes": [{"dst": "0.0.0.0/0", "gw": "10.60.0.1"}, {"dst": "::/0"}],
    "dns": DNS,
}
IPS = [
    {"interface": 1, "address": "10.60.0.2/24", "gateway": "10.60.0.1"},
    {"interface": 1, "address": "10.61.0.2/24"},
    {"interface": 0, "address": "fd00::2/64", "gateway": "fd00::1"},
]
BY_FAMILY = {
    "ip4": {
        "ip": "10.60.0.2/24",
        "gateway": "10.60.0.1",
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.60.0.1"}],
    },
    "ip6": {"ip": "fd00::2/64", "gateway": "fd00::1", "routes": [{"dst": "::/0"}]},
    "dns": DNS,
}
FAMILIES = ["4", "4", "6"]
NO_PREFIX = "is not an address with a prefix length"
NO_NUMBER = "is not a whole number"
NO_OPTION = "is not a number that a route can have"
NO_KIN = "is not of the family of dst"


def converted(document: Any, version: str) -> Any:
    """A result read and rendered in another version."""
    return render_result(parse_result(document, document["cniVersion"]), version)


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_the_oldest_results_are_by_family(version: str) -> None:
    """0.1.0 and 0.2.0 have the first address of each family, and dns (RF1, CV1)."""
    assert converted(RICH, version) == {"cniVersion": version, **BY_FAMILY}


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0"])
def test_results_with_the_family_of_each_address(version: str) -> None:
    """0.3.0 to 0.4.0 name the family and have no field of 1.1.0 (RF2, CV2)."""
    ips = [{"version": family, **ip} for family, ip in zip(FAMILIES, IPS, strict=True)]

    assert converted(RICH, version) == {"cniVersion": version, **FLAT, "ips": ips}


def test_results_of_1_0_0() -> None:
    """1.0.0 names no family, and has no field of 1.1.0 either (RF3, CV3)."""
    assert converted(RICH, "1.0.0") == {"cniVersion": "1.0.0", **FLAT, "ips": IPS}


def test_results_of_1_1_0() -> None:
    """1.1.0 has all: mtu, socketPath, pciID and the options of routes (RF4)."""
    assert converted(RICH, "1.1.0") == RICH


@pytest.mark.parametrize(
    ("version", "dns"),
    [(v, {} if v < "1" else None) for v in VERSIONS],
)
def test_empty_dns(version: str, dns: Any) -> None:
    """An empty dns is there before 1.0.0, and left out from then on (RF1, RF2, RF3)."""
    result = Result()
    result.ips = [IPConfig(parse_prefix("10.0.0.2/24"))]

    assert render_result(result, version).get("dns") == dns


def test_an_empty_result_has_no_empty_lists() -> None:
    """A result without addresses, interfaces and routes has none of the keys (RF3)."""
    assert render_result(Result(), "1.0.0") == {"cniVersion": "1.0.0"}


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_no_address_is_no_result_of_the_oldest_versions(version: str) -> None:
    """Without an address there is no result of 0.1.0 or 0.2.0 (CV1, its wording)."""
    result = Result()
    result.interfaces = [Interface("eth0")]
    result.routes = [Route(parse_prefix("0.0.0.0/0"))]

    with pytest.raises(CNIError) as caught:
        render_result(result, version)

    assert (caught.value.code, caught.value.message) == (
        7,
        "cannot convert: no valid IP addresses",
    )


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
@pytest.mark.parametrize("target", VERSIONS)
def test_the_oldest_results_are_converted_up(version: str, target: str) -> None:
    """Upwards routes are joined, and no interface or index appears (CV4, 3.5 F)."""
    old = {"cniVersion": version, **BY_FAMILY}

    got = converted(old, target)

    ips: list[dict[str, str]] = [
        {"version": "4", "address": "10.60.0.2/24", "gateway": "10.60.0.1"},
        {"version": "6", "address": "fd00::2/64", "gateway": "fd00::1"},
    ]
    if target >= "1":
        for ip in ips:
            del ip["version"]
    new = {"ips": ips, "routes": FLAT["routes"], "dns": DNS}
    want = BY_FAMILY if target < "0.3" else new
    assert got == {"cniVersion": target, **want}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("target", VERSIONS)
def test_a_result_survives_the_way_there_and_back(version: str, target: str) -> None:
    """What two versions both have survives a conversion there and back (CV1 to CV4)."""
    start = converted(RICH, version)
    smallest = min(version, target)

    back = converted(converted(start, target), version)

    assert converted(back, smallest) == converted(start, smallest)


@pytest.mark.parametrize(
    ("entry", "want"),
    [
        ({"address": "10.0.0.2/24", "interface": 0}, 0),
        ({"address": "10.0.0.2/24", "interface": 1}, 1),
        ({"address": "10.0.0.2/24", "interface": None}, None),
        ({"address": "10.0.0.2/24"}, None),
    ],
)
def test_the_index_of_an_interface(entry: dict[str, Any], want: int | None) -> None:
    """The index 0 survives, and one that is absent stays absent (CV6)."""
    document = {"cniVersion": "1.0.0", "ips": [entry]}

    ip = converted(document, "1.1.0")["ips"][0]

    assert ip.get("interface") == want
    assert ("interface" in ip) == (want is not None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("own", [None, ""])
def test_a_result_without_a_version_is_of_the_given_one(
    version: str, own: str | None
) -> None:
    """A result without cniVersion is of the configuration's version (CV5, CV8)."""
    document = {**converted(RICH, version), "cniVersion": own}

    assert render_result(parse_result(document, version), version) == converted(
        RICH, version
    )


def test_a_result_of_another_version_is_read_as_that() -> None:
    """A result with a cniVersion of its own is read as of that version (CV5)."""
    old = {"cniVersion": "0.2.0", **BY_FAMILY}

    assert parse_result(old, "1.0.0").ips[0].gateway == parse_address("10.60.0.1")


@pytest.mark.parametrize(
    ("document", "details"),
    [
        (None, "the result: None is not an object"),
        ([], "the result: [] is not an object"),
        ({"cniVersion": "7"}, "cniVersion: '7' is not supported"),
        ({"cniVersion": ["1.0.0"]}, "cniVersion: ['1.0.0'] is not supported"),
        ({"interfaces": 5}, "interfaces: 5 is not a list"),
        ({"interfaces": [5]}, "interfaces: 5 is not an object"),
        ({"interfaces": [{}]}, "None is not a string"),
        ({"interfaces": [{"name": 5}]}, "5 is not a string"),
        ({"interfaces": [{"name": "a", "mtu": "x"}]}, "'x' is not a whole number"),
        ({"interfaces": [{"name": "a", "pciID": 1.5}]}, "1.5 is not a string"),
        ({"ips": [{"address": "x"}]}, f"'x' {NO_PREFIX}"),
        ({"ips": [{"address": "::1/64", "gateway": "x"}]}, "'x' is not an IP address"),
        ({"ips": [{"address": "::1/64", "interface": True}]}, f"True {NO_NUMBER}"),
        ({"routes": [5]}, "routes: 5 is not an object"),
        ({"routes": [{}]}, "None is not a string"),
        ({"routes": [{"dst": "::/0", "gw": "1.2.3.4"}]}, f"gw: 1.2.3.4 {NO_KIN}"),
        ({"routes": [{"dst": "::/0", "mtu": -1}]}, f"mtu: -1 {NO_OPTION}"),
        ({"routes": [{"dst": "::/0", "scope": 256}]}, f"scope: 256 {NO_OPTION}"),
        ({"dns": [["a", "b"]]}, "dns: [['a', 'b']] is not an object"),
        ({"cniVersion": "0.2.0", "ip4": {}, "ip6": {"ip": 5}}, "5 is not a string"),
        ({"cniVersion": "0.2.0", "ip4": {"ip": "x"}}, f"'x' {NO_PREFIX}"),
    ],
    ids=range(21),
)  # fmt: skip
def test_what_is_no_result(document: Any, details: str) -> None:
    """A prevResult, or a delegate's answer, that is no result is code 6 (CF10)."""
    with pytest.raises(CNIError) as caught:
        parse_result(document, "1.0.0")

    assert caught.value.code == 6
    assert caught.value.message.startswith("not a result of CNI ")
    assert caught.value.details == details


def test_routes_lose_the_host_bits_of_their_destination() -> None:
    """The destination of a route is a subnet, whatever host bits it came with."""
    document = {"cniVersion": "1.0.0", "routes": [{"dst": "10.1.2.3/16"}]}

    assert converted(document, "1.0.0")["routes"] == [{"dst": "10.1.0.0/16"}]


@pytest.mark.parametrize(
    ("destination", "want"),
    [("0.0.0.0/0", True), ("::/0", True), ("0.0.0.0/1", False), ("10.0.0.0/8", False)],
)
def test_default_routes(destination: str, want: bool) -> None:
    """A route to everywhere is the default route of its family."""
    assert Route(parse_prefix(destination)).is_default is want


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.data())
def test_a_mutated_result_is_read_or_is_code_6(data: st.DataObject) -> None:
    """Whatever stands at whichever place of a prevResult, it is read or code 6."""
    version = data.draw(st.sampled_from(VERSIONS))
    document = json.loads(json.dumps(converted(RICH, version)))
    place: Any = document
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
        inner = place[key]
        if not inner or not isinstance(inner, dict | list) or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(JSON)

    assert _code_of(document, version) in (0, 6, 7)


def _code_of(document: Any, version: str) -> int:
    try:
        rendered = render_result(parse_result(document, version), version)
    except CNIError as error:
        return error.code
    return 0 if rendered["cniVersion"] == version else -1
