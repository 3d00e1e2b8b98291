"""Which addresses pods get: small subnets, bounds, exclusions, requests, families."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kernel.node import Node


def ipam(**fields: Any) -> dict[str, Any]:
    """An `ipam` object of host-local."""
    return {"type": "host-local", **fields}


def fill(node: Node, config: dict[str, Any]) -> tuple[list[str], int]:
    """ADD pods until one is refused: the addresses given, and the code at the end."""
    given: list[str] = []
    while True:
        answer = node.call("ADD", config, f"c{len(given)}", node.pod())
        if answer.exit_code:
            return given, answer.code
        given.append(answer.json["ips"][0]["address"])


@pytest.mark.parametrize(
    ("subnet", "gateway", "want"),
    [
        ("10.60.0.0/30", True, ["10.60.0.2/30"]),
        ("10.60.0.0/30", False, ["10.60.0.2/30"]),
        ("10.60.0.0/31", False, ["10.60.0.0/31", "10.60.0.1/31"]),
        ("10.60.0.9/32", False, ["10.60.0.9/32"]),
        ("fd00:60::/126", True, ["fd00:60::2/126", "fd00:60::3/126"]),
        ("fd00:60::/127", False, ["fd00:60::/127", "fd00:60::1/127"]),
        ("fd00:60::9/128", False, ["fd00:60::9/128"]),
    ],
    ids=str,
)
def test_a_small_subnet_gives_all_that_it_has(
    node: Node, subnet: str, gateway: bool, want: list[str]
) -> None:
    """/30, /31 and /32 give 1, 2 and 1 addresses, then code 101 (A4)."""
    config = node.config(ipam=ipam(subnet=subnet), isGateway=gateway)

    assert fill(node, config) == (want, 101)


@pytest.mark.parametrize(
    ("subnet", "usable"), [("10.60.0.0/31", 1), ("10.60.0.9/32", 0)], ids=str
)
def test_a_subnet_without_room_for_a_gateway_is_refused(
    node: Node, subnet: str, usable: int
) -> None:
    """/31 and /32 with isGateway are code 7 with the usable count (A4)."""
    config = node.config(ipam=ipam(subnet=subnet))

    answer = node.call("ADD", config, "c1", node.pod())

    assert answer.json == {
        "cniVersion": "1.0.0",
        "code": 7,
        "msg": f"ipam: subnet: Network {subnet} too small to allocate from: beside the "
        f"gateway it has {usable} addresses, and a prefix length of at most 30 is "
        "needed",
    }
    assert node.files() == {}


def test_network_broadcast_and_gateway_are_never_given(node: Node) -> None:
    """Bounds that name network and broadcast address do not give them out (A4)."""
    fields = {"rangeStart": "10.60.0.0", "rangeEnd": "10.60.0.7"}
    config = node.config(ipam=ipam(subnet="10.60.0.0/29", **fields))

    assert fill(node, config) == ([f"10.60.0.{n}/29" for n in (2, 3, 4, 5, 6)], 101)


def test_addresses_that_look_like_a_broadcast_are_given(node: Node) -> None:
    """In a /22 the addresses .0.255 and .1.0 are pods' like any other (A4)."""
    fields = {"rangeStart": "10.60.0.254", "rangeEnd": "10.60.1.1"}
    config = node.config(ipam=ipam(subnet="10.60.0.0/22", **fields))

    given, code = fill(node, config)

    assert given == [f"10.60.{n}/22" for n in ("0.254", "0.255", "1.0", "1.1")]
    assert code == 101


def test_the_last_addresses_of_a_22_are_found(node: Node) -> None:
    """Of a /22 whose pods have all but two, these two are given, then none (A4)."""
    fields = {"rangeStart": "10.60.0.0", "rangeEnd": "10.60.3.255"}
    config = node.config(ipam=ipam(subnet="10.60.0.0/22", **fields))
    folder = node.run_dir / "blue"
    folder.mkdir(parents=True)
    kept_free = {"0.0", "0.1", "0.255", "1.0", "3.255"}
    for tail in {f"{n // 256}.{n % 256}" for n in range(1024)} - kept_free:
        (folder / f"10.60.{tail}").write_text("other\r\neth0")

    assert fill(node, config) == (["10.60.0.255/22", "10.60.1.0/22"], 101)


def test_excluded_addresses_are_never_given(node: Node) -> None:
    """Exactly .32 to .127 are given where the rest of a /24 is excluded (A5)."""
    excluded = ["10.60.0.1-10.60.0.31", "10.60.0.128/25", "fd00::/8"]
    config = node.config(
        ipam=ipam(
            subnet="10.60.0.0/24", exclude=excluded, dataDir=str(node.folder / "leases")
        )
    )

    answers = [
        node.call("ADD", config, f"c{n}", "/gone", called_as="host-local")
        for n in range(97)
    ]

    given = [answer.json["ips"][0]["address"] for answer in answers[:96]]
    assert given == [f"10.60.0.{n}/24" for n in range(32, 128)]
    assert answers[96].json == {
        "cniVersion": "1.0.0",
        "code": 101,
        "msg": "failed to allocate for range 0: no IP addresses available in range "
        "set: 10.60.0.1-10.60.0.254",
        "details": f"all 96 addresses are held, by the files in {node.folder}/leases/"
        "blue",
    }


def test_a_pod_keeps_an_address_that_is_excluded_later(node: Node) -> None:
    """A range excluded under a running pod is not given again after its DEL (A5)."""
    before = node.config(ipam=ipam(subnet="10.60.0.0/29"))
    after = node.config(ipam=ipam(subnet="10.60.0.0/29", exclude=["10.60.0.2"]))
    pod = node.pod()
    node.add(before, "keeper", pod)

    given, code = fill(node, after)

    assert (given, code) == ([f"10.60.0.{n}/29" for n in (3, 4, 5, 6)], 101)
    assert pod.addresses("eth0") == ["10.60.0.2/29"]
    assert node.call("DEL", after, "keeper", pod).exit_code == 0
    assert node.call("ADD", after, "c9", node.pod()).code == 101


def test_ranges_of_a_set_follow_each_other(node: Node) -> None:
    """A full first range of a set hands over to the second, with its gateway."""
    parts = [{"subnet": "10.60.0.0/30"}, {"subnet": "10.60.9.0/30"}]
    config = node.config(ipam=ipam(ranges=[parts]), forceAddress=True)

    given = [
        node.add(config, name, node.pod())["ips"][0]["gateway"] for name in ("c1", "c2")
    ]

    assert given == ["10.60.0.1", "10.60.9.1"]
    assert node.call("ADD", config, "c3", node.pod()).code == 101


@pytest.mark.parametrize(
    ("changes", "args"),
    [
        ({}, "COLOR=red;IP=10.60.0.9"),
        ({}, "IP=10.60.0.9/24"),
        ({"args": {"cni": {"ips": ["10.60.0.9"]}}}, None),
        ({"runtimeConfig": {"ips": ["10.60.0.9/24"]}}, None),
        ({"RuntimeConfig": {"IPs": ["10.60.0.9"]}}, "IP="),
    ],
    ids=["CNI_ARGS", "with a prefix", "args", "runtimeConfig", "in capitals"],
)
def test_a_requested_address_is_the_pods(
    node: Node, changes: dict[str, Any], args: str | None
) -> None:
    """An address asked for in any of the three ways is the pod's (C4, 3.2)."""
    pod = node.pod()

    result = node.add(node.config(**changes), "c1", pod, args=args)

    assert [ip["address"] for ip in result["ips"]] == ["10.60.0.9/24"]
    assert pod.addresses("eth0") == ["10.60.0.9/24"]
    assert node.leases() == ["10.60.0.9"]


def test_requested_addresses_of_both_families_are_the_pods(node: Node) -> None:
    """Requests of different sources and families are added up (3.2)."""
    ranges = [[{"subnet": "10.60.0.0/24"}], [{"subnet": "fd00:60::/64"}]]
    config = node.config(
        ipam=ipam(ranges=ranges), runtimeConfig={"ips": ["fd00:60::99"]}
    )
    pod = node.pod()

    node.add(config, "c1", pod, args="IgnoreUnknown=1;IP=10.60.0.9")

    assert pod.addresses("eth0") == ["10.60.0.9/24"]
    assert pod.addresses("eth0", "inet6") == ["fd00:60::99/64"]


def test_an_address_taken_and_one_outside_have_different_messages(node: Node) -> None:
    """A request that is held is code 103, one that no range has is code 7 (C4)."""
    node.add(node.config(), "c1", node.pod(), args="IP=10.60.0.9")
    before = node.snapshot()

    taken = node.call("ADD", node.config(), "c2", node.pod(), args="IP=10.60.0.9")
    outside = node.call("ADD", node.config(), "c2", node.pod(), args="IP=10.99.0.1")

    assert (taken.code, taken.json["msg"], taken.json["details"]) == (
        103,
        "requested IP address 10.60.0.9 is not available in range set "
        "10.60.0.1-10.60.0.254",
        "held by eth0 of c1",
    )
    assert (outside.code, outside.json["msg"]) == (
        7,
        "failed to allocate all requested IPs: 10.99.0.1",
    )
    assert node.snapshot() == before


def test_a_full_range_is_code_101_and_status_50(node: Node) -> None:
    """A full network refuses ADD with code 101 and STATUS with 50, until DEL (ST3)."""
    config = node.config(ipam=ipam(subnet="10.60.0.0/30"), cniVersion="1.1.0")
    assert node.call("STATUS", config).exit_code == 0
    node.add(config, "c1", node.pod())
    before = node.snapshot()

    full = node.call("ADD", config, "c2", node.pod())
    status = node.call("STATUS", config)

    sentence = (
        "failed to allocate for range 0: no IP addresses available in range set: "
        "10.60.0.1-10.60.0.2"
    )
    assert (full.code, full.json["msg"]) == (101, sentence)
    assert (status.code, status.json["msg"]) == (50, sentence)
    assert node.snapshot() == before
    node.call("DEL", config, "c1")
    assert node.call("STATUS", config).exit_code == 0
    node.add(config, "c2", node.pod())
