"""The routes of a pod, with all that the configuration says of them (B19, RF4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.expected import POOLS, bridge_config, default_routes, host_end

if TYPE_CHECKING:
    from tests.kernel.node import Answer, Namespace, Node


def config_with(node: Node, routes: list[dict[str, Any]]) -> dict[str, Any]:
    """A dual-stack configuration with these routes."""
    config = bridge_config(node, "bridge", "1.1.0", POOLS["dual"])
    config["ipam"]["routes"] = routes
    return config


def routes_to(pod: Namespace, destination: str) -> list[str]:
    """The lines of `ip route` for a destination, in whatever table."""
    family = "-6" if ":" in destination else "-4"
    listed = pod.run("ip", family, "route", "show", "table", "all", destination)
    return [line.strip() for line in listed.splitlines()]


ROUTES: dict[str, tuple[dict[str, Any], str]] = {
    "plain": (
        {"dst": "192.0.2.0/24"},
        "192.0.2.0/24 via 192.168.0.1 dev eth0 proto static",
    ),
    "gateway": (
        {"dst": "192.0.2.0/24", "gw": "192.168.0.9"},
        "192.0.2.0/24 via 192.168.0.9 dev eth0 proto static",
    ),
    "mtu": (
        {"dst": "192.0.2.0/24", "mtu": 1300},
        "192.0.2.0/24 via 192.168.0.1 dev eth0 proto static mtu 1300",
    ),
    "advmss": (
        {"dst": "192.0.2.0/24", "advmss": 1200},
        "192.0.2.0/24 via 192.168.0.1 dev eth0 proto static advmss 1200",
    ),
    "priority": (
        {"dst": "192.0.2.0/24", "priority": 77},
        "192.0.2.0/24 via 192.168.0.1 dev eth0 proto static metric 77",
    ),
    "table": (
        {"dst": "192.0.2.0/24", "table": 100},
        "192.0.2.0/24 via 192.168.0.1 dev eth0 table 100 proto static",
    ),
    "large table": (
        {"dst": "192.0.2.0/24", "table": 70000},
        "192.0.2.0/24 via 192.168.0.1 dev eth0 table 70000 proto static",
    ),
    "scope": (
        {"dst": "192.0.2.0/24", "scope": 253},
        "192.0.2.0/24 dev eth0 proto static scope link",
    ),
    "site scope": (
        {"dst": "192.0.2.0/24", "scope": 200},
        "192.0.2.0/24 via 192.168.0.1 dev eth0 proto static scope site",
    ),
    "all": (
        {
            "dst": "192.0.2.0/24",
            "gw": "192.168.0.9",
            "mtu": 1300,
            "advmss": 1200,
            "priority": 77,
            "table": 100,
            "scope": 0,
        },
        "192.0.2.0/24 via 192.168.0.9 dev eth0 table 100 proto static metric 77 "
        "mtu 1300 advmss 1200",
    ),
    "v6": (
        {"dst": "2001:db8:9::/48"},
        "2001:db8:9::/48 via fd00::1 dev eth0 proto static metric 1024 pref medium",
    ),
    "all of v6": (
        {
            "dst": "2001:db8:9::/48",
            "gw": "fd00::9",
            "mtu": 1300,
            "advmss": 1200,
            "priority": 77,
            "table": 100,
        },
        "2001:db8:9::/48 via fd00::9 dev eth0 table 100 proto static metric 77 "
        "mtu 1300 advmss 1200 pref medium",
    ),
    "host": (
        {"dst": "1.1.1.1/32", "gw": "192.168.0.1"},
        "1.1.1.1 via 192.168.0.1 dev eth0 proto static",
    ),
}


@pytest.mark.parametrize(("route", "line"), ROUTES.values(), ids=ROUTES)
def test_route_is_set_as_configured(
    node: Node, route: dict[str, Any], line: str
) -> None:
    """Gateway, mtu, advmss, priority, table and scope are really set (B19, E)."""
    pod = node.pod()
    config = config_with(node, [route])

    result = node.add(config, "c1", pod, called_as="bridge")

    assert routes_to(pod, route["dst"]) == [line]
    assert result["routes"] == [route]
    assert default_routes(pod) == []


@pytest.mark.parametrize(("route", "line"), ROUTES.values(), ids=ROUTES)
def test_check_sees_a_route_as_it_is(
    node: Node, route: dict[str, Any], line: str
) -> None:
    """CHECK accepts each route right after ADD and misses it when gone (CK2, CK4)."""
    pod = node.pod()
    config = config_with(node, [route])
    config["prevResult"] = node.add(config, "c1", pod, called_as="bridge")

    fresh = check(node, config, pod)
    family = "-6" if ":" in route["dst"] else "-4"
    pod.run("ip", family, "route", "delete", *line.removesuffix(" pref medium").split())

    assert (fresh.exit_code, fresh.stdout) == (0, "")
    assert check(node, config, pod).json["msg"] == (
        f"route {route['dst']} of eth0 is gone"
    )


def check(node: Node, config: dict[str, Any], pod: Namespace) -> Answer:
    """CHECK of the first pod."""
    return node.call("CHECK", config, "c1", pod, called_as="bridge")


@pytest.mark.parametrize("option", ["mtu", "advmss"])
def test_check_sees_a_changed_metric(node: Node, option: str) -> None:
    """CHECK misses a route whose mtu or advmss is another than asked for (CK2, B19)."""
    pod = node.pod()
    config = config_with(node, [{"dst": "192.0.2.0/24", "mtu": 1300, "advmss": 1200}])
    config["prevResult"] = node.add(config, "c1", pod, called_as="bridge")

    line = ROUTES["all"][1].split()
    values = {"mtu": "1300", "advmss": "1200", option: "999"}
    pod.run(
        "ip",
        "route",
        "replace",
        line[0],
        "via",
        "192.168.0.1",
        "dev",
        "eth0",
        "proto",
        "static",
        "mtu",
        values["mtu"],
        "advmss",
        values["advmss"],
    )

    assert check(node, config, pod).json["msg"] == (
        "route 192.0.2.0/24 of eth0 is gone"
    )


def test_several_next_hops_of_a_route(node: Node) -> None:
    """Routes to one destination by several gateways are all there (E)."""
    pod = node.pod()
    gateways = ["192.168.0.8", "192.168.0.9"]
    config = config_with(node, [{"dst": "192.0.2.0/24", "gw": gw} for gw in gateways])

    config["prevResult"] = node.add(config, "c1", pod, called_as="bridge")

    assert routes_to(pod, "192.0.2.0/24") == [
        "192.0.2.0/24 via 192.168.0.8 dev eth0 proto static",
        "192.0.2.0/24 via 192.168.0.9 dev eth0 proto static",
    ]
    assert check(node, config, pod).exit_code == 0


def test_several_next_hops_of_a_v6_route(node: Node) -> None:
    """IPv6 routes to one destination become one with several next hops (E)."""
    pod = node.pod()
    gateways = ["fd00::8", "fd00::9"]
    config = config_with(
        node, [{"dst": "2001:db8:9::/48", "gw": gw} for gw in gateways]
    )

    config["prevResult"] = node.add(config, "c1", pod, called_as="bridge")

    assert routes_to(pod, "2001:db8:9::/48") == [
        "2001:db8:9::/48 proto static metric 1024 pref medium",
        "nexthop via fd00::8 dev eth0 weight 1",
        "nexthop via fd00::9 dev eth0 weight 1",
    ]
    assert check(node, config, pod).exit_code == 0


def test_a_route_takes_the_gateway_of_its_family(node: Node) -> None:
    """Routes without a gateway take the one of the address of their family (E)."""
    pod = node.pod()
    destinations = ["192.0.2.0/24", "2001:db8:9::/48", "0.0.0.0/0", "::/0"]
    config = config_with(node, [{"dst": destination} for destination in destinations])

    result = node.add(config, "c1", pod, called_as="bridge")

    assert routes_to(pod, "192.0.2.0/24") == [ROUTES["plain"][1]]
    assert routes_to(pod, "2001:db8:9::/48") == [ROUTES["v6"][1]]
    assert default_routes(pod) == POOLS["dual"].defaults
    assert result["routes"] == config["ipam"]["routes"]


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
def test_route_options_are_set_in_every_version(node: Node, version: str) -> None:
    """Before 1.1.0 the result leaves out a route's options, the pod has them (CV2)."""
    pod = node.pod()
    config = config_with(node, [ROUTES["all"][0]])
    config["cniVersion"] = version

    result = node.add(config, "c1", pod, called_as="bridge")

    assert result["routes"] == [{"dst": "192.0.2.0/24", "gw": "192.168.0.9"}]
    assert routes_to(pod, "192.0.2.0/24") == [ROUTES["all"][1]]


def test_a_route_that_the_kernel_refuses(node: Node) -> None:
    """A gateway that the pod does not reach is code 100, named, and undone (AD6)."""
    pod = node.pod()
    config = config_with(node, [{"dst": "192.0.2.0/24", "gw": "203.0.113.1"}])

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 100,
        "msg": "add route 192.0.2.0/24: Nexthop has invalid gateway",
    }
    assert list(node.links()) == ["lo"]
    assert list(pod.links()) == ["lo"]
    assert node.leases("blue", node.folder / "data") == []


def test_the_node_gets_no_route_of_a_pod(node: Node) -> None:
    """A pod's routes stay in its namespace (E)."""
    config = config_with(node, [{"dst": "0.0.0.0/0"}, {"dst": "192.0.2.0/24"}])

    node.add(config, "c1", node.pod(), called_as="bridge")

    assert node.routes() == [
        "192.168.0.0/24 dev bridge0 proto kernel scope link src 192.168.0.1"
    ]
    assert host_end(node) not in "".join(node.routes())
