"""Plans: what a configuration and its addresses mean for the kernel, as values."""

from __future__ import annotations

from typing import Any

import pytest

from plugin import plan
from plugin.address import parse_address, parse_prefix, render_address
from plugin.config import parse_config
from plugin.errors import CNIError
from plugin.protocol import parse_request
from plugin.result import IPConfig, Route

MINIMAL = {"cniVersion": "1.0.0", "name": "blue", "type": "bridge"}
DUAL = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.60.0.0/24"}], [{"subnet": "fd00::/64"}]],
}


def config_of(**changes: Any) -> Any:
    """A configuration of the bridge with changes."""
    return parse_config({**MINIMAL, **changes}, {}, layer2_by_default=True)


def ip_of(text: str, gateway: str = "") -> IPConfig:
    """An address, with a gateway if it has one."""
    return IPConfig(parse_prefix(text), parse_address(gateway) if gateway else None)


def route_of(text: str, gateway: str = "", **options: int) -> Route:
    """A route, with a gateway if it has one."""
    address = parse_address(gateway) if gateway else None
    return Route(parse_prefix(text), address, options)


def test_a_bridge_is_what_the_configuration_says() -> None:
    """Name, MTU, promiscuity, filter, force and gateways come from their keys (3.1)."""
    config = config_of(
        bridge="pyc0", mtu=1400, promiscMode=True, forceAddress=True, isGateway=True,
        vlanTrunk=[{"id": 5}],
    )  # fmt: skip

    bridge = plan.plan_bridge(config, [ip_of("10.60.0.2/24", "10.60.0.1")])

    assert (bridge.name, bridge.mtu, bridge.promiscuous) == ("pyc0", 1400, True)
    assert (bridge.vlan_filtering, bridge.force_address) == (True, True)
    assert [str(gateway) for gateway in bridge.gateways] == ["10.60.0.1/24"]


def test_a_bridge_that_is_no_gateway_has_no_address() -> None:
    """Without isGateway the bridge gets no address (3.1)."""
    bridge = plan.plan_bridge(config_of(vlan=5), [ip_of("10.60.0.2/24", "10.60.0.1")])

    assert (bridge.gateways, bridge.vlan_filtering) == ([], True)


@pytest.mark.parametrize(
    ("ips", "want"),
    [
        ([], []),
        ([ip_of("10.60.0.2/24")], ["10.60.0.1/24"]),
        ([ip_of("10.60.0.2/24", "10.60.0.254")], ["10.60.0.254/24"]),
        ([ip_of("10.60.0.2/31")], ["10.60.0.3/31"]),
        ([ip_of("10.60.0.2/32", "10.60.0.1")], ["10.60.0.1/32"]),
        ([ip_of("fd00::2/64", "fe80::1")], ["fe80::1/64"]),
        ([ip_of("fd00::2/64", "fd01::1")], ["fd01::1/128"]),
        ([ip_of("10.60.0.2/24"), ip_of("10.60.0.3/24")], ["10.60.0.1/24"]),
        (
            [ip_of("10.60.0.2/24"), ip_of("fd00::2/64"), ip_of("fd01::2/64")],
            ["10.60.0.1/24", "fd00::1/64", "fd01::1/64"],
        ),
    ],
)
def test_gateways(ips: list[IPConfig], want: list[str]) -> None:
    """Each address has a gateway, and the bridge has each of them once (3.1, C1)."""
    assert [str(gateway) for gateway in plan.plan_gateways(ips)] == want
    assert all(ip.gateway for ip in ips)


@pytest.mark.parametrize("text", ["10.60.0.2/32", "255.255.255.255/32", "fd00::2/128"])
def test_a_subnet_without_room_for_a_gateway(text: str) -> None:
    """A single address without a gateway is code 7, as nothing is left for one."""
    with pytest.raises(CNIError) as caught:
        plan.plan_gateways([ip_of(text)])

    assert (caught.value.code, caught.value.message) == (
        7,
        f"isGateway: {text} came without a gateway, and has no room for one",
    )


def test_subnets_whose_gateway_is_elsewhere_are_reached_by_a_route() -> None:
    """With a gateway outside the subnet the node needs a route to the pods (C1)."""
    ips = [
        ip_of("fd00::2/64", "fe80::1"),
        ip_of("10.60.0.2/24", "10.60.0.1"),
        ip_of("10.61.0.2/24"),
    ]

    routes = plan.plan_host_routes(config_of(isGateway=True), ips)

    assert [str(route) for route in routes] == ["fd00::/64"]
    assert plan.plan_host_routes(config_of(), ips) == []


V4, V6 = ip_of("10.60.0.2/24", "10.60.0.1"), ip_of("fd00::2/64", "fd00::1")


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ([], ["0.0.0.0/0 via 10.60.0.1", "::/0 via fd00::1"]),
        (
            [route_of("0.0.0.0/0")],
            ["0.0.0.0/0 via 10.60.0.1", "::/0 via fd00::1"],
        ),
        (
            [route_of("0.0.0.0/0", "10.60.0.9"), route_of("10.0.0.0/8")],
            ["0.0.0.0/0 via 10.60.0.9", "10.0.0.0/8", "::/0 via fd00::1"],
        ),
    ],
)
def test_default_routes(given: list[Route], want: list[str]) -> None:
    """isDefaultGateway gives each family a default route, unless IPAM did (3.1)."""
    config = config_of(isDefaultGateway=True)

    assert _lines(plan.plan_routes(config, [V4, V6], given)) == want
    assert plan.plan_routes(config_of(), [V4, V6], given) == given


def test_one_default_route_for_several_addresses() -> None:
    """Two addresses of a family share the default route by the first one."""
    second = ip_of("10.61.0.2/24", "10.61.0.1")

    routes = plan.plan_routes(config_of(isDefaultGateway=True), [V4, second], [])

    assert _lines(routes) == ["0.0.0.0/0 via 10.60.0.1"]


def _lines(routes: list[Route]) -> list[str]:
    return [
        f"{route.destination} via {render_address(route.gateway)}"
        if route.gateway
        else str(route.destination)
        for route in routes
    ]


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"ipam": DUAL}, []),
        ({"ipMasq": True}, []),
        (
            {"ipMasq": True, "ipam": DUAL, "ipMasqExceptCIDRs": ["10.0.0.0/8"]},
            [
                ("10.60.0.0/24", ["224.0.0.0/4", "10.0.0.0/8"]),
                ("fd00::/64", ["ff00::/8", "fd00::/64"]),
            ],
        ),
        (
            {"ipMasq": True, "ipam": {"type": "dhcp"}},
            [
                ("10.60.0.0/24", ["224.0.0.0/4", "10.60.0.0/24"]),
                ("fd00::/64", ["ff00::/8", "fd00::/64"]),
            ],
        ),
    ],
)
def test_masquerade(changes: dict[str, Any], want: list[tuple[str, list[str]]]) -> None:
    """Subnets are masqueraded, except to each other, to groups, or as asked (E1)."""
    got = plan.plan_masquerade(config_of(**changes), [V4, V6])

    assert [(str(m.source), [str(p) for p in m.exempt]) for m in got] == want


def test_an_attachment_is_what_the_configuration_says() -> None:
    """MAC, MTU, port flags, VLANs, addresses and routes come from their keys (3.1)."""
    ipam = {"type": "host-local", "subnet": "fd00::/64", "gateway": "fe80::1"}
    config = config_of(
        mtu=1400, hairpinMode=True, portIsolation=True, enabledad=True, vlan=5,
        ipam=ipam, runtimeConfig={"mac": "02:00:00:00:00:01"},
    )  # fmt: skip
    environ = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/n1",
        "CNI_IFNAME": "eth0",
    }
    routes = [route_of("::/0")]

    got = plan.plan_attachment(config, parse_request(environ), "blue", [V6], routes)

    assert {key: getattr(got, key) for key in got.__slots__} == {
        "network": "blue", "container_id": "c1", "ifname": "eth0", "netns": -1,
        "netns_path": "/run/netns/n1", "mac": b"\2\0\0\0\0\1", "mtu": 1400,
        "hairpin": True, "isolated": True, "container_up": True, "enable_dad": True,
        "ips": [V6], "routes": routes, "on_link": {parse_address("fe80::1")},
        "vlans": {5: 6},
    }  # fmt: skip


def test_an_attachment_without_wishes() -> None:
    """Without a MAC in the configuration it stays open, and without VLANs none are."""
    request = parse_request({"CNI_COMMAND": "STATUS"})

    got = plan.plan_attachment(
        config_of(disableContainerInterface=True), request, "blue", [], []
    )

    assert (got.mac, got.vlans, got.on_link, got.container_up) == (
        b"",
        {},
        set(),
        False,
    )
