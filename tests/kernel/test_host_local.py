"""The file called as host-local, against host-local's own list of tests (3.5 B)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.expected import FLAT_VERSIONS, VERSIONS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.node import Answer, Node

NETNS = "/some/where"


def config(node: Node, version: str, **ipam: Any) -> dict[str, Any]:
    """A configuration of another plugin that has its addresses from us."""
    return {
        "cniVersion": version,
        "name": "mynet",
        "type": "ipvlan",
        "master": "foo0",
        "ipam": {
            "type": "host-local",
            "dataDir": str(node.folder / "leases"),
            "ranges": [[{"subnet": "10.1.2.0/24"}]],
            **ipam,
        },
        "logFile": str(node.log),
    }


def call(
    node: Node,
    command: str,
    document: dict[str, Any],
    container_id: str = "dummy",
    **options: Any,
) -> Answer:
    """Call the file as host-local; the namespace does not matter to it."""
    return node.call(
        command, document, container_id, NETNS, called_as="host-local", **options
    )


def leases(node: Node, network: str = "mynet") -> dict[str, str]:
    """Name -> content of the lease files and the cursors."""
    folder = node.folder / "leases" / network
    names = node.leases(network, node.folder / "leases")
    names += [path.name for path in folder.glob("last_reserved_ip.*")]
    return {name: (folder / name).read_bytes().decode() for name in sorted(names)}


def write_lease(node: Node, address: str, content: str) -> Path:
    """A lease as another program would have written it."""
    path = node.folder / "leases" / "mynet" / address
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return path


ROUTES = [
    {"dst": "0.0.0.0/0"},
    {"dst": "::/0"},
    {"dst": "192.168.0.0/16", "gw": "1.1.1.1"},
    {"dst": "2001:db8:2::/64", "gw": "2001:db8:3::1"},
]


def result_of(version: str) -> dict[str, Any]:
    """The result for the first pod of two range sets, in the shape of a version."""
    dns = {"nameservers": ["192.0.2.3"]}
    four = {"ip": "10.1.2.2/24", "gateway": "10.1.2.1"}
    six = {"ip": "2001:db8:1::2/64", "gateway": "2001:db8:1::1"}
    if version < "0.3.0":
        return {
            "cniVersion": version,
            "ip4": {**four, "routes": [ROUTES[0], ROUTES[2]]},
            "ip6": {**six, "routes": [ROUTES[1], ROUTES[3]]},
            "dns": dns,
        }
    families = [{"version": "4"}, {"version": "6"}] if version < "1.0.0" else [{}, {}]
    ips = [
        {**family, "address": ip["ip"], "gateway": ip["gateway"]}
        for family, ip in zip(families, (four, six), strict=True)
    ]
    return {"cniVersion": version, "ips": ips, "routes": ROUTES, "dns": dns}


@pytest.mark.parametrize("version", VERSIONS)
def test_addresses_are_claimed_and_given_back(node: Node, version: str) -> None:
    """ADD has one address of each range set in result and store, DEL frees both."""
    resolv_conf = node.folder / "resolv.conf"
    resolv_conf.write_text("nameserver 192.0.2.3")
    document = config(
        node,
        version,
        resolvConf=str(resolv_conf),
        ranges=[
            [{"subnet": "10.1.2.0/24"}, {"subnet": "10.2.2.0/24"}],
            [{"subnet": "2001:db8:1::0/64"}],
        ],
        routes=ROUTES,
    )

    answer = call(node, "ADD", document)

    assert answer.json == result_of(version)
    cursors = {"last_reserved_ip.0": "10.1.2.2", "last_reserved_ip.1": "2001:db8:1::2"}
    holder = "dummy\r\neth0"
    held = {"10.1.2.2": holder, "2001:db8:1::2": holder}
    assert leases(node) == {**held, **cursors}
    assert repr(call(node, "DEL", document)) == "Answer(0, '', '')"
    assert leases(node) == cursors


@pytest.mark.parametrize("version", VERSIONS)
def test_an_interface_of_a_container_is_released_alone(
    node: Node, version: str
) -> None:
    """DEL of one interface leaves the other one of the same container its address."""
    document = config(node, version)
    call(node, "ADD", document)
    call(node, "ADD", document, ifname="eth1")

    call(node, "DEL", document)

    cursor = {"last_reserved_ip.0": "10.1.2.3"}
    assert leases(node) == {"10.1.2.3": "dummy\r\neth1", **cursor}
    call(node, "DEL", document, ifname="eth1")
    assert leases(node) == cursor


@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_add_is_refused(node: Node, version: str) -> None:
    """The same container and interface never get a second address (AD5, 3.2)."""
    document = config(node, version)
    call(node, "ADD", document)
    before = leases(node)

    answer = call(node, "ADD", document)

    assert answer.json == {
        "cniVersion": version,
        "code": 106,
        "msg": "10.1.2.2 has been allocated to dummy, duplicate allocation is not "
        "allowed",
    }
    assert leases(node) == before
    assert call(node, "ADD", document, "dummy1").exit_code == 0
    assert node.leases("mynet", node.folder / "leases") == ["10.1.2.2", "10.1.2.3"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "content",
    ["dummy", "dummy\r\neth0", "  dummy\n \r\n eth0 \n", "dummy\neth0"],
    ids=["id alone", "as host-local", "white space", "unix"],
)
def test_a_lease_of_another_program_is_released(
    node: Node, version: str, content: str
) -> None:
    """DEL frees leases that host-local wrote, also old ones with the id alone."""
    document = config(node, version)
    mine = write_lease(node, "10.1.2.2", content)
    others = write_lease(node, "10.1.2.3", "dummy2\r\neth0")

    answer = call(node, "DEL", document)

    assert repr(answer) == "Answer(0, '', '')"
    assert (mine.exists(), others.exists()) == (False, True)


@pytest.mark.parametrize("version", VERSIONS)
def test_del_of_an_unknown_container_succeeds(node: Node, version: str) -> None:
    """DEL of a container that has no address prints nothing and exits 0 (DE1)."""
    document = config(node, version)

    assert repr(call(node, "DEL", document, "unknown")) == "Answer(0, '', '')"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_folder_is_no_reason_to_complain(node: Node, version: str) -> None:
    """The first ADD, without a cursor to begin at, prints its result alone."""
    answer = call(node, "ADD", config(node, version))

    assert (answer.exit_code, answer.stderr) == (0, "")


def addresses_of(answer: Answer) -> list[str]:
    """The addresses of a result of any version."""
    document = answer.json
    flat = [ip["address"] for ip in document.get("ips", [])]
    return flat + [document[key]["ip"] for key in ("ip4", "ip6") if key in document]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("changes", "args"),
    [
        ({}, "IP=10.1.2.88"),
        ({}, "IP=10.1.2.88/16"),
        ({"args": {"cni": {"ips": ["10.1.2.88"]}}}, None),
        ({"runtimeConfig": {"ips": ["10.1.2.88/24"]}}, None),
    ],
    ids=["CNI_ARGS", "with a prefix", "args", "runtimeConfig"],
)
def test_a_requested_address_is_given(
    node: Node, version: str, changes: dict[str, Any], args: str | None
) -> None:
    """An address is asked for by CNI_ARGS, args.cni or runtimeConfig (3.2)."""
    answer = call(node, "ADD", {**config(node, version), **changes}, args=args)

    assert addresses_of(answer) == ["10.1.2.88/24"]
    assert leases(node) == {"10.1.2.88": "dummy\r\neth0"}


@pytest.mark.parametrize("version", FLAT_VERSIONS)
def test_requested_addresses_of_two_ranges_are_given(node: Node, version: str) -> None:
    """All three ways are added up, one address for each range set (3.2)."""
    ranges = [[{"subnet": f"10.1.{n}.0/24"}] for n in (2, 3, 4)]
    document = config(node, version, ranges=ranges)
    document["args"] = {"cni": {"ips": ["10.1.3.77"]}}
    document["runtimeConfig"] = {"ips": ["10.1.4.66/24"]}

    answer = call(node, "ADD", document, args="IgnoreUnknown=1;IP=10.1.2.88")

    assert addresses_of(answer) == ["10.1.2.88/24", "10.1.3.77/24", "10.1.4.66/24"]


@pytest.mark.parametrize("version", VERSIONS)
def test_requested_addresses_of_both_families_are_given(
    node: Node, version: str
) -> None:
    """Addresses of both families are asked for together, in any order (3.5 B)."""
    ranges = [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:d00::/24"}]]
    document = config(node, version, ranges=ranges)
    document["args"] = {"cni": {"ips": ["2001:db8:1::999", "10.1.2.88"]}}

    answer = call(node, "ADD", document)

    assert addresses_of(answer) == ["10.1.2.88/24", "2001:db8:1::999/24"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_requested_address_that_no_range_has_is_refused(
    node: Node, version: str
) -> None:
    """An address that is not in any range is refused, and nothing is kept (3.2)."""
    ranges = [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00::/64"}]]
    document = config(node, version, ranges=ranges)
    document["args"] = {"cni": {"ips": ["10.1.2.88", "10.1.2.77"]}}

    answer = call(node, "ADD", document)

    assert answer.json == {
        "cniVersion": version,
        "code": 7,
        "msg": "failed to allocate all requested IPs: 10.1.2.77",
        "details": "they are in none of the range sets 10.1.2.1-10.1.2.254; "
        "fd00::1-fd00::ffff:ffff:ffff:ffff, or there are more of them than sets",
    }
    assert leases(node) == {}
