"""The gateway addresses of a bridge: made, kept, refused, replaced; and the routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.kernel.expected import (
    POOLS,
    VERSIONS,
    bridge_config,
    default_routes,
    delete,
    global_addresses,
)
from tests.kernel.waiting import wait_until

if TYPE_CHECKING:
    from tests.kernel.node import Namespace, Node


class Change(NamedTuple):
    """A first and a second subnet on one bridge, each with its gateway."""

    first: dict[str, str]
    second: dict[str, str]
    before: str
    wanted: str


CONFLICTS = {
    "v4": Change(
        {"subnet": "10.0.0.0/8", "gateway": "10.0.0.1"},
        {"subnet": "10.1.0.0/16", "gateway": "10.1.2.3"},
        "10.0.0.1/8",
        "10.1.2.3/16",
    ),
    "v4 apart": Change(
        {"subnet": "10.60.1.0/24"},
        {"subnet": "10.60.2.0/24"},
        "10.60.1.1/24",
        "10.60.2.1/24",
    ),
    "v6 overlapping": Change(
        {"subnet": "2001:db8:1::/48"},
        {"subnet": "2001:db8:1:2::/64"},
        "2001:db8:1::1/48",
        "2001:db8:1:2::1/64",
    ),
}
V6_APART = Change(
    {"subnet": "2001:db8:1::/64"},
    {"subnet": "fd00:1234::/64"},
    "2001:db8:1::1/64",
    "fd00:1234::1/64",
)


def config_of(
    node: Node, version: str, subnet: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    """A configuration of one range with its gateway on the bridge."""
    config = bridge_config(node, "bridge", version, POOLS["v4"], **changes)
    destination = "::/0" if ":" in subnet["subnet"] else "0.0.0.0/0"
    config["ipam"]["ranges"] = [[subnet]]
    config["ipam"]["routes"] = [{"dst": destination}]
    return config


def on_bridge(node: Node) -> list[str]:
    """The addresses of the bridge, but for its link-local one."""
    return sorted(global_addresses(node, "bridge0"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", CONFLICTS.values(), ids=CONFLICTS)
def test_another_gateway_is_refused(node: Node, change: Change, version: str) -> None:
    """By default a bridge keeps its gateway, and the other ADD leaves nothing (A15)."""
    pod, other = node.pod(), node.pod()
    config = config_of(node, version, change.second, name="green")
    node.add(config_of(node, version, change.first), "c1", pod, called_as="bridge")

    answer = node.call("ADD", config, "c2", other, called_as="bridge")

    assert answer.json == {
        "cniVersion": version,
        "code": 104,
        "msg": f"bridge0 already has an IP address different from {change.wanted}",
        "details": f"it has {change.before}; forceAddress replaces it",
    }
    assert on_bridge(node) == [change.before]
    assert list(other.links()) == ["lo"]
    assert node.leases("green", node.folder / "data") == []
    assert pod.ping(change.before.partition("/")[0])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", CONFLICTS.values(), ids=CONFLICTS)
def test_another_gateway_is_forced(node: Node, change: Change, version: str) -> None:
    """With forceAddress the bridge changes its gateway, and pods reach it (A15)."""
    config = config_of(node, version, change.second, name="green", forceAddress=True)
    first = config_of(node, version, change.first)
    node.add(first, "c1", node.pod(), called_as="bridge")
    pod = node.pod()

    node.add(config, "c2", pod, called_as="bridge")

    assert on_bridge(node) == [change.wanted]
    assert pod.ping(change.wanted.partition("/")[0])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("force", [False, True])
def test_v6_gateways_live_side_by_side(node: Node, force: bool, version: str) -> None:
    """Two IPv6 gateways whose subnets lie apart are both kept (A15)."""
    first, second = node.pod(), node.pod()
    green = config_of(node, version, V6_APART.second, name="green", forceAddress=force)
    blue = config_of(node, version, V6_APART.first)
    node.add(blue, "c1", first, called_as="bridge")

    node.add(green, "c2", second, called_as="bridge")

    assert on_bridge(node) == [V6_APART.before, V6_APART.wanted]
    assert first.ping("2001:db8:1::1")
    assert second.ping("fd00:1234::1")


def test_a_dual_stack_gateway_replaces_one_family(node: Node) -> None:
    """forceAddress replaces the IPv4 gateway alone when the IPv6 one is right (A15)."""
    config = bridge_config(node, "bridge", "1.0.0", POOLS["dual"])
    node.add(config, "c1", node.pod(), called_as="bridge")
    changed = {**config, "name": "green", "forceAddress": True}
    changed["ipam"] = {
        **config["ipam"],
        "ranges": [[{"subnet": "10.9.0.0/24"}], [{"subnet": "fd00::/64"}]],
    }

    node.add(changed, "c2", node.pod(), called_as="bridge")

    assert on_bridge(node) == ["10.9.0.1/24", "fd00::1/64"]


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
def test_an_existing_bridge_keeps_its_addresses(node: Node, called_as: str) -> None:
    """A bridge taken over keeps addresses and ports, and gets a fixed MAC (D1)."""
    node.run("ip", "link", "add", "bridge0", "type", "bridge")
    node.run("ip", "link", "add", "port", "type", "veth", "peer", "name", "far")
    node.run("ip", "link", "set", "port", "master", "bridge0", "up")
    node.run("ip", "address", "add", "10.60.1.1/24", "dev", "bridge0")
    node.run("ip", "address", "add", "10.60.1.9/24", "dev", "bridge0")
    node.run("ip", "address", "add", "fd99::1/64", "dev", "bridge0", "nodad")
    before = node.links()["bridge0"]["address"]
    config = config_of(node, "1.0.0", {"subnet": "10.60.1.0/24"}, type=called_as)
    pod = node.pod()

    node.add(config, "c1", pod, called_as=called_as)
    node.run("ip", "link", "delete", "port")
    delete(node, config, pod, called_as=called_as)

    assert on_bridge(node) == ["10.60.1.1/24", "10.60.1.9/24", "fd99::1/64"]
    assert node.links()["bridge0"]["address"] == before
    assert "UP" in node.links()["bridge0"]["flags"]


def test_a_bridge_that_is_down_comes_up(node: Node) -> None:
    """ADD brings up a bridge that somebody set down (A4)."""
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"])
    node.add(config, "c1", node.pod(), called_as="bridge")
    node.run("ip", "link", "set", "bridge0", "down")
    pod = node.pod()

    node.add(config, "c2", pod, called_as="bridge")

    assert pod.ping("10.1.2.1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["v4", "v6", "dual"])
def test_is_default_gateway(node: Node, kind: str, version: str) -> None:
    """isDefaultGateway gives the bridge the gateway, and pods a default route (A5)."""
    pool, pod = POOLS[kind], node.pod()
    config = bridge_config(
        node, "bridge", version, pool, isGateway=False, isDefaultGateway=True
    )
    del config["ipam"]["routes"]

    result = node.add(config, "c1", pod, called_as="bridge")

    assert default_routes(pod) == pool.defaults
    assert on_bridge(node) == sorted(pool.gateways)
    gateways = [gateway.partition("/")[0] for gateway in pool.gateways]
    assert gateways_of(result) == gateways


def gateways_of(result: dict[str, Any]) -> list[str]:
    """The gateways of the default routes in a result of any version."""
    routes = list(result.get("routes", []))
    for family in ("ip4", "ip6"):
        routes += result.get(family, {}).get("routes", [])
    return [route["gw"] for route in routes if route["dst"] in ("0.0.0.0/0", "::/0")]


def test_is_default_gateway_leaves_a_default_route_of_ipam(node: Node) -> None:
    """A default route with a gateway from IPAM is kept, not doubled (AD4)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"], isDefaultGateway=True)
    config["ipam"]["routes"] = [{"dst": "0.0.0.0/0", "gw": "10.1.2.9"}]

    result = node.add(config, "c1", pod, called_as="bridge")

    assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.1.2.9"}]
    assert default_routes(pod) == ["default via 10.1.2.9 dev eth0 proto static"]


ON_LINK: dict[str, tuple[dict[str, Any], str]] = {
    "link-local": ({"subnet": "fd00:7::/64", "gateway": "fe80::1"}, "fe80::1"),
    "off-prefix": (
        {"subnet": "fd00:7::/64", "gateway": "fd00:8::1", "gatewayOnLink": True},
        "fd00:8::1",
    ),
}


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
@pytest.mark.parametrize(("subnet", "gateway"), ON_LINK.values(), ids=ON_LINK)
def test_a_gateway_outside_of_the_subnet(
    node: Node, subnet: dict[str, Any], gateway: str, called_as: str
) -> None:
    """A gateway on the link serves pods though it is not in their subnet (C1)."""
    one, two = node.pod(), node.pod()
    config = config_of(node, "1.0.0", subnet, type=called_as)

    first = node.add(config, "c1", one, called_as=called_as)
    second = node.add(config, "c2", two, called_as=called_as)

    assert [ip["gateway"] for ip in first["ips"]] == [gateway]
    assert default_routes(one)[0].startswith(f"default via {gateway} dev eth0 ")
    scoped = f"{gateway}%eth0" if gateway.startswith("fe80") else gateway
    addresses = [ip["address"].partition("/")[0] for ip in first["ips"] + second["ips"]]
    assert one.ping(scoped)
    assert one.ping(addresses[1])
    assert node.ping(addresses[0])
    assert reaches_outside(node, one)


def reaches_outside(node: Node, pod: Namespace) -> bool:
    """Whether a pod reaches an address of its node that is not on the bridge."""
    outside = "2001:db8:99::9"
    node.run("ip", "address", "replace", f"{outside}/128", "dev", "lo", "nodad")
    route = ("ip", "-6", "route", "get", outside)
    wait_until(lambda: node.run(*route).startswith("local"))
    return pod.ping(outside)


def test_a_link_local_gateway_is_on_the_bridge(node: Node) -> None:
    """The gateway fe80::1 is an address of the bridge, usable at once (C1, D5)."""
    config = config_of(node, "1.0.0", {"subnet": "fd00:7::/64", "gateway": "fe80::1"})

    node.add(config, "c1", node.pod(), called_as="bridge")

    shown = node.run("ip", "-6", "-oneline", "address", "show", "dev", "bridge0")
    assert "inet6 fe80::1/64 scope link nodad" in shown
    assert on_bridge(node) == []


BAD_GATEWAYS: dict[str, dict[str, Any]] = {
    "elsewhere": {"subnet": "10.60.0.0/24", "gateway": "10.61.0.1"},
    "elsewhere in v6": {"subnet": "fd00:7::/64", "gateway": "fd00:8::1"},
    "of the other family": {"subnet": "10.60.0.0/24", "gateway": "fd00::1"},
    "on the link in v4": {
        "subnet": "10.60.0.0/24",
        "gateway": "192.0.2.1",
        "gatewayOnLink": True,
    },
}


@pytest.mark.parametrize("subnet", BAD_GATEWAYS.values(), ids=BAD_GATEWAYS)
def test_a_gateway_elsewhere_is_refused(node: Node, subnet: dict[str, Any]) -> None:
    """A gateway that no pod could reach is code 7 and names itself (C1)."""
    config = config_of(node, "1.0.0", subnet)

    answer = node.call("ADD", config, "c1", node.pod(), called_as="bridge")

    assert answer.code == 7
    assert answer.json["msg"].startswith(f"ipam: gateway: {subnet['gateway']} is ")
    assert list(node.links()) == ["lo"]
