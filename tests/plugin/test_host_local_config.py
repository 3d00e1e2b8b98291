"""The `ipam` object as host-local reads it: old, new and runtime ranges, requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from plugin import ipam
from plugin.address import render_address
from plugin.errors import CNIError
from plugin.fields import Problems
from plugin.ipamconfig import IPAMConfig, parse_ipam
from plugin.ranges import name_of_set

if TYPE_CHECKING:
    from pathlib import Path

OLD = {
    "type": "host-local",
    "subnet": "10.1.2.0/24",
    "rangeStart": "10.1.2.9",
    "rangeEnd": "10.1.2.20",
    "gateway": "10.1.2.30",
}
NEW = {
    "type": "host-local",
    "ranges": [
        [
            {
                "subnet": "10.1.2.0/24",
                "rangeStart": "10.1.2.9",
                "rangeEnd": "10.1.2.20",
                "gateway": "10.1.2.30",
            },
            {"subnet": "10.1.4.0/24"},
        ],
        [
            {
                "subnet": "11.1.2.0/24",
                "rangeStart": "11.1.2.9",
                "rangeEnd": "11.1.2.20",
                "gateway": "11.1.2.30",
            }
        ],
    ],
}


def parse(
    ipam_document: dict[str, Any],
    cni_args: dict[str, str] | None = None,
    **document: Any,
) -> IPAMConfig:
    """Parse the `ipam` object of a configuration that has to be right."""
    document = {"cniVersion": "0.3.1", "name": "mynet", **document}
    problems = Problems()
    config = parse_ipam(document, ipam_document, cni_args or {}, True, problems)
    problems.raise_if_any()
    return config


def failure(
    ipam_document: dict[str, Any],
    cni_args: dict[str, str] | None = None,
    **document: Any,
) -> tuple[int, str]:
    """Code and message of a configuration that has to be refused."""
    with pytest.raises(CNIError) as caught:
        parse(ipam_document, cni_args, **document)
    return caught.value.code, caught.value.message


def sets(config: IPAMConfig) -> list[str]:
    """The range sets in the order of allocation."""
    return [name_of_set(parts) for parts in config.range_sets]


def requested(config: IPAMConfig) -> list[str]:
    """The addresses asked for, in order."""
    return [render_address(address) for address in config.requested]


def test_the_old_form_is_one_set() -> None:
    """A subnet beside `type` is a range set of its own (3.5 B)."""
    config = parse(OLD)

    assert sets(config) == ["10.1.2.9-10.1.2.20"]
    assert render_address(config.range_sets[0][0].gateway or b"") == "10.1.2.30"


def test_the_new_form_is_a_list_of_sets() -> None:
    """Each entry of `ranges` is a range set of one or more ranges (3.5 B)."""
    assert sets(parse(NEW)) == [
        "10.1.2.9-10.1.2.20,10.1.4.1-10.1.4.254",
        "11.1.2.9-11.1.2.20",
    ]


def test_runtime_ranges_come_first_then_the_old_form() -> None:
    """All three ways of naming ranges are added up in host-local's order (3.2)."""
    config = parse(
        {**OLD, "ranges": [[{"subnet": "12.1.2.0/24"}]]},
        runtimeConfig={"ipRanges": [[{"subnet": "11.1.2.0/24"}]]},
    )

    assert sets(config) == [
        "11.1.2.1-11.1.2.254",
        "10.1.2.9-10.1.2.20",
        "12.1.2.1-12.1.2.254",
    ]


def test_keys_are_read_in_any_case() -> None:
    """Keys count whatever their case, as runtimes send them capitalised (CF11)."""
    config = parse(
        {"Type": "host-local", "RANGES": [[{"Subnet": "10.1.2.0/24"}]]},
        RuntimeConfig={"IPs": ["10.1.2.9"]},
        ARGS={"CNI": {"Ips": ["10.1.2.8"]}},
    )

    assert sets(config) == ["10.1.2.1-10.1.2.254"]
    assert requested(config) == ["10.1.2.8", "10.1.2.9"]


@pytest.mark.parametrize("text", ["10.1.2.10", "10.1.2.10/24", "10.1.2.10/8"])
def test_cni_args_ask_for_an_address(text: str) -> None:
    """CNI_ARGS IP is read with a prefix length or without (3.5 B, C4)."""
    assert requested(parse(OLD, {"IP": text})) == ["10.1.2.10"]


def test_an_empty_request_is_none() -> None:
    """An empty IP in CNI_ARGS asks for nothing (C4)."""
    assert requested(parse(OLD, {"IP": ""})) == []


def test_args_ask_for_addresses_of_both_families() -> None:
    """args.cni.ips is read with prefix lengths or without (3.5 B)."""
    config = parse(
        NEW, args={"cni": {"ips": ["10.1.2.11/24", "11.1.2.11", "2001:db8:1::11/64"]}}
    )

    assert requested(config) == ["10.1.2.11", "11.1.2.11", "2001:db8:1::11"]


def test_all_three_ways_of_asking_are_added_up() -> None:
    """CNI_ARGS, args.cni and runtimeConfig are joined, each address once (3.2)."""
    config = parse(
        NEW,
        {"IP": "10.1.2.10"},
        args={"cni": {"ips": ["10.1.2.11", "10.1.2.10"]}},
        runtimeConfig={"ips": ["11.1.2.12/24", "10.1.2.11"]},
    )

    assert requested(config) == ["10.1.2.10", "10.1.2.11", "11.1.2.12"]


def test_two_sets_of_a_family_need_0_3_0() -> None:
    """More than one address a family is refused below 0.3.0 (CV7, its wording)."""
    assert failure(NEW, cniVersion="0.2.0") == (
        7,
        "CNI version 0.2.0 does not support more than 1 address per family",
    )


def test_one_set_of_each_family_is_fine_for_0_2_0() -> None:
    """One IPv4 and one IPv6 set are possible in every version (3.5 B)."""
    ranges = [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8:1::/48"}]]

    config = parse({"type": "host-local", "ranges": ranges}, cniVersion="0.2.0")

    assert [name.partition("-")[0] for name in sets(config)] == [
        "10.1.2.1",
        "2001:db8:1::1",
    ]


@pytest.mark.parametrize(
    ("ipam_document", "document", "want"),
    [
        ({"type": "host-local"}, {}, (7, "ipam: no IP ranges specified")),
        (
            {"subnet": "10.1.2.0/24"},
            {},
            (7, "ipam.type: the name of the IPAM plugin is missing"),
        ),
        (
            {"type": "host-local", "ranges": [[]]},
            {},
            (7, "ipam: ranges: an empty range set"),
        ),
        (
            {"type": "host-local", "ranges": [{"subnet": "10.1.2.0/24"}]},
            {},
            (6, "ipam: ranges: {'subnet': '10.1.2.0/24'} is not a list"),
        ),
        (
            {"type": "host-local", "ranges": "10.1.2.0/24"},
            {},
            (6, "ipam.ranges: '10.1.2.0/24' is not a list"),
        ),
        (
            {"type": "host-local", "ranges": [["10.1.2.0/24"]]},
            {},
            (6, "ipam: '10.1.2.0/24' is not a range object"),
        ),
        (
            {"type": "host-local"},
            {"runtimeConfig": {"ipRanges": "all"}},
            (6, "ipam: runtimeConfig.ipRanges: 'all' is not a list"),
        ),
        (OLD, {"args": {"cni": {"ips": "10.1.2.9"}}}, (6, "args.cni.ips: '10.1.2.9'")),
        (OLD, {"args": {"cni": {"ips": [9]}}}, (7, "args.cni.ips: 9 is not an IP")),
        (
            OLD,
            {"runtimeConfig": {"ips": ["here"]}},
            (7, "runtimeConfig.ips: 'here' is not an IP address"),
        ),
        (
            {**OLD, "routes": [{"dst": "default"}]},
            {},
            (7, "ipam.routes: 'default' is not an address with a prefix length"),
        ),
        (
            {**OLD, "routes": [{"dst": "0.0.0.0/0", "gw": "fd00::1"}]},
            {},
            (7, "ipam.routes: gw: fd00::1 is not of the family of dst"),
        ),
        (
            {**OLD, "routes": [{"dst": "0.0.0.0/0", "mtu": -1}]},
            {},
            (7, "ipam.routes: mtu: -1 is not a number that a route can have"),
        ),
        (
            {**OLD, "dataDir": "leases"},
            {},
            (7, "ipam.dataDir: 'leases' is not an absolute path"),
        ),
        (
            {**OLD, "resolvConf": "resolv.conf"},
            {},
            (7, "ipam.resolvConf: 'resolv.conf' is not an absolute path"),
        ),
    ],
    ids=str,
)
def test_a_wrong_ipam_object_is_refused(
    ipam_document: dict[str, Any], document: dict[str, Any], want: tuple[int, str]
) -> None:
    """What is wrong in `ipam` is named with its key and value, code 6 or 7."""
    code, message = failure(ipam_document, **document)

    assert (code, message[: len(want[1])]) == want


def test_a_malformed_ip_of_cni_args_is_code_4() -> None:
    """What is wrong in the environment is code 4, as EN5 (C4)."""
    assert failure(OLD, {"IP": "here"}) == (
        4,
        "CNI_ARGS IP: 'here' is not an IP address",
    )


def test_all_that_is_wrong_is_said_at_once() -> None:
    """One error names every problem of the `ipam` object (B9)."""
    wrong = {**OLD, "subnet": "10.1.2.3/24", "routes": [{"dst": "x"}], "dataDir": "y"}

    assert failure(wrong) == (
        7,
        "ipam: subnet: 10.1.2.3/24: Network has host bits set. For a subnet mask of "
        "length 24 the network address is 10.1.2.0; ipam.routes: 'x' is not an address "
        "with a prefix length; ipam.dataDir: 'y' is not an absolute path",
    )


def test_another_plugins_ipam_is_left_to_it() -> None:
    """The object of a foreign IPAM plugin is not looked into (DG1)."""
    config = parse({"type": "dhcp", "routes": [{"dst": "x"}], "ranges": []})

    assert (config.is_foreign, config.routes, config.range_sets) == (True, [], [])


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("nameserver 192.0.2.3", {"nameservers": ["192.0.2.3"]}),
        (
            "# a comment\n; another\n\nnameserver 192.0.2.3\nnonsense\noptions\n",
            {"nameservers": ["192.0.2.3"]},
        ),
        (
            "domain example.org\nnameserver 192.0.2.3\nnameserver\t2001:db8::53\n"
            "search a.example b.example\noptions ndots:5 edns0\noptions trust-ad\n",
            {
                "domain": "example.org",
                "search": ["a.example", "b.example"],
                "nameservers": ["192.0.2.3", "2001:db8::53"],
                "options": ["ndots:5", "edns0", "trust-ad"],
            },
        ),
        ("", {}),
    ],
    ids=["simple", "comments", "all fields", "empty"],
)
def test_resolv_conf_becomes_dns(
    tmp_path: Path, text: str, want: dict[str, Any]
) -> None:
    """nameserver, domain, search and options of a resolv.conf are the DNS (3.5 B)."""
    path = tmp_path / "resolv.conf"
    path.write_text(text)

    assert ipam.parse_resolv_conf(f"{path}") == want


def test_a_missing_resolv_conf_is_code_7(tmp_path: Path) -> None:
    """A resolvConf that is not there is named with its path."""
    with pytest.raises(CNIError) as caught:
        ipam.parse_resolv_conf(f"{tmp_path}/resolv.conf")

    assert (caught.value.code, caught.value.message) == (
        7,
        f"ipam.resolvConf: {tmp_path}/resolv.conf: no such file",
    )
