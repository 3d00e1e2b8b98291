"""What an attachment to a bridge has to be: pools of addresses, result, kernel.

The expectation of a result is read from the kernel (names and MACs) and from a pool
(addresses), so that a result which does not tell what was made differs from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tests.kernel.node import Namespace, Node

VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
# More than one address of a family, and interfaces in the result, came with 0.3.0.
FLAT_VERSIONS = VERSIONS[2:]
CHECK_VERSIONS = VERSIONS[4:]
# Under the reference's name every version, under our own the oldest and the newest.
CALLS = [("bridge", version) for version in VERSIONS] + [
    ("pycni", "0.1.0"),
    ("pycni", "1.1.0"),
]


class Pool(NamedTuple):
    """Subnets, and what the first pod gets of each."""

    subnets: list[str]
    addresses: list[str]
    gateways: list[str]
    defaults: list[str]


POOLS = {
    "v4": Pool(
        subnets=["10.1.2.0/24"],
        addresses=["10.1.2.2/24"],
        gateways=["10.1.2.1/24"],
        defaults=["default via 10.1.2.1 dev eth0 proto static"],
    ),
    "v6": Pool(
        subnets=["2001:db8::/64"],
        addresses=["2001:db8::2/64"],
        gateways=["2001:db8::1/64"],
        defaults=[
            "default via 2001:db8::1 dev eth0 proto static metric 1024 pref medium"
        ],
    ),
    "dual": Pool(
        subnets=["192.168.0.0/24", "fd00::/64"],
        addresses=["192.168.0.2/24", "fd00::2/64"],
        gateways=["192.168.0.1/24", "fd00::1/64"],
        defaults=[
            "default via 192.168.0.1 dev eth0 proto static",
            "default via fd00::1 dev eth0 proto static metric 1024 pref medium",
        ],
    ),
    "three": Pool(
        subnets=["192.168.0.0/24", "fd00::/64", "2001:db8::/64"],
        addresses=["192.168.0.2/24", "fd00::2/64", "2001:db8::2/64"],
        gateways=["192.168.0.1/24", "fd00::1/64", "2001:db8::1/64"],
        defaults=[
            "default via 192.168.0.1 dev eth0 proto static",
            "default via fd00::1 dev eth0 proto static metric 1024 pref medium",
        ],
    ),
}


def bridge_config(
    node: Node, called_as: str, version: str, pool: Pool | None, **changes: Any
) -> dict[str, Any]:
    """A configuration of network `blue` on `bridge0`; without a pool, of layer 2."""
    ipam: dict[str, Any] = {}
    if pool:
        destinations = {"::/0" if ":" in net else "0.0.0.0/0" for net in pool.subnets}
        ipam = {
            "type": "host-local",
            "ranges": [[{"subnet": subnet}] for subnet in pool.subnets],
            "routes": [{"dst": destination} for destination in sorted(destinations)],
            "dataDir": str(node.folder / "data"),
        }
    options = {
        "type": called_as,
        "bridge": "bridge0",
        "ipMasq": None,
        "isGateway": bool(pool),
    }
    return node.config(cniVersion=version, ipam=ipam, **{**options, **changes})


def host_end(node: Node) -> str:
    """The name of the one veth of a node."""
    names = [name for name in node.links() if name.startswith("veth")]
    assert len(names) == 1, names
    return names[0]


def expected_result(
    node: Node, pod: Namespace, pool: Pool, version: str, dns: dict[str, Any]
) -> dict[str, Any]:
    """The whole result of ADD for the first pod of a pool, in a version."""
    ips = [
        {"address": address, "gateway": gateway.partition("/")[0]}
        for address, gateway in zip(pool.addresses, pool.gateways, strict=True)
    ]
    routes = [{"dst": dst} for dst in ("0.0.0.0/0", "::/0") if _has(pool, dst)]
    if version in VERSIONS[:2]:
        families = {
            "ip6" if ":" in ip["address"] else "ip4": {
                "ip": ip["address"],
                "gateway": ip["gateway"],
                "routes": [r for r in routes if _alike(r["dst"], ip["address"])],
            }
            for ip in ips
        }
        return {"cniVersion": version, **families, "dns": dns}
    document: dict[str, Any] = {
        "cniVersion": version,
        "interfaces": expected_interfaces(node, pod, version),
    }
    if ips:
        old = version < "1.0.0"
        document["ips"] = [{**_family(ip, old), "interface": 2, **ip} for ip in ips]
        document["routes"] = routes
    if dns or version < "1.0.0":
        document["dns"] = dns
    return document


def _has(pool: Pool, destination: str) -> bool:
    return any(_alike(destination, subnet) for subnet in pool.subnets)


def _alike(one: str, other: str) -> bool:
    return (":" in one) == (":" in other)


def _family(ip: dict[str, str], is_told: bool) -> dict[str, str]:
    return {"version": "6" if ":" in ip["address"] else "4"} if is_told else {}


def expected_interfaces(
    node: Node, pod: Namespace, version: str
) -> list[dict[str, Any]]:
    """Bridge, host end and container end, as the kernel has them."""
    here, there = node.links(), pod.links()
    links = [here["bridge0"], here[host_end(node)], there["eth0"]]
    interfaces = [{"name": link["ifname"], "mac": link["address"]} for link in links]
    if version >= "1.1.0":
        for interface, link in zip(interfaces, links, strict=True):
            interface["mtu"] = link["mtu"]
    interfaces[2]["sandbox"] = pod.path
    return interfaces


def assert_attached(node: Node, pod: Namespace, pool: Pool) -> None:
    """Node and pod hold the first attachment of a pool, and nothing else.

    The common assertions of the reference plugin's rows A5 to A13, A21, A25, A26.
    """
    name, links = host_end(node), node.links()
    assert sorted(links) == ["bridge0", "lo", name]  # no helper link stays
    bridge, port, end = links["bridge0"], links[name], pod.links()["eth0"]
    assert bridge["linkinfo"]["info_kind"] == "bridge"
    assert bridge["linkinfo"]["info_data"]["vlan_filtering"] == 0
    assert port["linkinfo"]["info_kind"] == "veth"
    assert port["master"] == "bridge0"
    assert port["address"] != bridge["address"]
    assert "UP" in bridge["flags"]
    assert "UP" in port["flags"]
    assert sorted(pod.links()) == ["eth0", "lo"]
    assert end["linkinfo"]["info_kind"] == "veth"
    assert sorted(global_addresses(node, "bridge0")) == sorted(pool.gateways)
    assert sorted(global_addresses(pod, "eth0")) == sorted(pool.addresses)
    if "UP" in end["flags"]:
        assert len(link_local_addresses(pod, "eth0")) == 1
    assert default_routes(pod) == pool.defaults


def global_addresses(namespace: Namespace, ifname: str) -> list[str]:
    """`ADDRESS/LENGTH` of an interface, of both families."""
    return namespace.addresses(ifname) + namespace.addresses(ifname, "inet6")


def link_local_addresses(namespace: Namespace, ifname: str) -> list[str]:
    """The link-local IPv6 addresses of an interface."""
    found = namespace.ip("address", "show", "dev", ifname)[0]["addr_info"]
    return [
        address["local"]
        for address in found
        if address["family"] == "inet6" and address["scope"] == "link"
    ]


def default_routes(namespace: Namespace) -> list[str]:
    """The lines of all default routes, IPv4 first."""
    lines = namespace.routes() + namespace.routes("-6")
    return [line for line in lines if line.startswith("default")]


def assert_detached(node: Node, pod: Namespace) -> None:
    """Of an attachment nothing is left in node, pod and store but the bridge."""
    assert sorted(node.links()) == ["bridge0", "lo"]
    assert list(pod.links()) == ["lo"]
    assert_no_trace(node)


def assert_nothing_made(node: Node, pod: Namespace) -> None:
    """A failed ADD left neither bridge nor link, lease, record or rule."""
    assert list(node.links()) == ["lo"]
    assert list(pod.links()) == ["lo"]
    assert_no_trace(node)


def assert_no_trace(node: Node) -> None:
    """There is neither lease nor record nor rule of network `blue`."""
    data = node.folder / "data"
    assert node.leases("blue", data) + node.leases() == []
    assert node.records("blue", data) + node.records() == []
    assert node.ruleset() == ""


def delete(
    node: Node, config: dict[str, Any], pod: Namespace | None, **options: Any
) -> None:
    """DEL that has to succeed without a word on stdout (OU1)."""
    answer = node.call("DEL", config, netns=pod, **options)
    assert (answer.exit_code, answer.stdout) == (0, ""), answer
