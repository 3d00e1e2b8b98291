"""CNINetwork manifests become values, or an error that names the field."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.crd import InvalidManifestError, parse_network
from agent.model import Bridge, Masquerade, Network, Requirement, Route

EXAMPLES = Path(__file__).parents[2] / "examples" / "networks"


def manifest(**spec: Any) -> dict[str, Any]:
    """A CNINetwork with one CIDR, and more."""
    return {
        "apiVersion": "pycni.dev/v1alpha1",
        "kind": "CNINetwork",
        "metadata": {"name": "blue", "generation": 3},
        "spec": {"cidrs": ["10.60.0.0/16"], **spec},
    }


EVERY_FIELD: dict[str, Any] = dict(
    cidrs=["10.60.0.0/16", "fd00:60::/48"],
    subnetPrefix={"ipv4": 26, "ipv6": 80},
    subnetSource="NodePodCIDR",
    maxBlocksPerNode=3,
    reserved=["10.60.0.0/28"],
    default=True,
    namespaceSelector={
        "matchLabels": {"team": "a"},
        "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}],
    },
    bridge={"name": "b0", "mtu": 1400, "hairpin": False, "promiscuous": True},
    masquerade={"enabled": False, "exceptCIDRs": ["192.168.0.0/16"]},
    routing={"mode": "VXLAN"},
    routes=[{"dst": "1.1.1.1/32", "gw": "10.60.0.1", "mtu": 1300}],
)


def test_defaults_are_those_of_the_crd() -> None:
    """A manifest with nothing but a CIDR is a network with the CRD's defaults."""
    network = parse_network(manifest())

    assert network == Network(
        name="blue", generation=3, cidrs=(ip_network("10.60.0.0/16"),)
    )


def test_every_field_is_read() -> None:
    """Each field of a manifest reaches the network."""
    network = parse_network(manifest(**EVERY_FIELD))

    assert network == Network(
        name="blue",
        generation=3,
        cidrs=(ip_network("10.60.0.0/16"), ip_network("fd00:60::/48")),
        prefix_v4=26,
        prefix_v6=80,
        from_node=True,
        max_blocks=3,
        reserved=("10.60.0.0/28",),
        is_default=True,
        namespaces=(
            Requirement("team", "In", ("a",)),
            Requirement("old", "DoesNotExist"),
        ),
        bridge=Bridge("b0", 1400, hairpin=False, promiscuous=True),
        masquerade=Masquerade(False, (ip_network("192.168.0.0/16"),)),
        routing="VXLAN",
        routes=(
            Route(ip_network("1.1.1.1/32"), ip_address("10.60.0.1"), (("mtu", 1300),)),
        ),
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"cidrs": []}, "spec.cidrs: at least one network is needed"),
        (
            {"cidrs": ["10.60.0.17/24"]},
            "spec.cidrs: '10.60.0.17/24': 10.60.0.17/24 has host bits set",
        ),
        (
            {"cidrs": ["10.60.0.0/16", "10.60.1.0/24"]},
            "spec.cidrs: 10.60.0.0/16 and 10.60.1.0/24 overlap",
        ),
        (
            {"cidrs": ["10.60.0.0/28"]},
            "spec.subnetPrefix.ipv4: 24 is less than the prefix length of "
            "10.60.0.0/28: a block is a part of it",
        ),
        (
            {"bridge": {"name": "a-name-far-too-long"}},
            "spec.bridge.name: 'a-name-far-too-long' is not 1 to 15 bytes long",
        ),
        (
            {"bridge": {"mtu": "big"}},
            "spec.bridge.mtu: 'big' is not a number from 0 to 65535",
        ),
        (
            {"routing": {"mode": "Magic"}},
            "spec.routing.mode: 'Magic' is none of HostRoutes, VXLAN, CrossSubnet, "
            "None",
        ),
        ({"default": "yes"}, "spec.default: 'yes' is not true or false"),
        ({"routes": ["all"]}, "spec.routes: 'all' is not a route object"),
        ({"cidrs": "10.60.0.0/16"}, "spec.cidrs: '10.60.0.0/16' is not a list"),
        ({"cidrs": [10]}, "spec.cidrs: 10 is not a string"),
        ({"bridge": "b0"}, "spec.bridge: 'b0' is not an object"),
        (
            {"namespaceSelector": "all"},
            "spec.namespaceSelector: 'all' is not a selector object",
        ),
        (
            {"namespaceSelector": {"matchExpressions": [{"operator": "Like"}]}},
            "spec.namespaceSelector.matchExpressions: {'operator': 'Like'} has none of "
            "In, NotIn, Exists, DoesNotExist",
        ),
        (
            {"bridge": {"promiscuous": True}},
            "spec.bridge: hairpin and promiscuous are both true, only one is possible",
        ),
    ],
)
def test_a_bad_field_is_named(spec: dict[str, Any], message: str) -> None:
    """A manifest with a bad field is refused with a sentence that names it."""
    with pytest.raises(InvalidManifestError) as refused:
        parse_network(manifest(**spec))

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("text", "not a CNINetwork"),
        ({**manifest(), "kind": "Pod"}, "not a CNINetwork"),
        (
            {**manifest(), "apiVersion": "v1"},
            "apiVersion: 'v1', pycni.dev/v1alpha1 is known",
        ),
        ({**manifest(), "metadata": {}}, "metadata.name: missing"),
    ],
)
def test_what_is_no_network_is_refused(document: Any, message: str) -> None:
    """A document of another kind, or without a name, is refused with the reason."""
    with pytest.raises(InvalidManifestError) as refused:
        parse_network(document)

    assert str(refused.value) == message


def test_examples_are_networks() -> None:
    """Every manifest in examples/networks is a valid network."""
    names = [
        parse_network(yaml.safe_load(path.read_text())).name
        for path in sorted(EXAMPLES.iterdir())
    ]

    assert names == ["blue", "green"]
