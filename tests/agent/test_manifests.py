"""The CRDs in crds/ say what the agent reads: fields, defaults, descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.crd import parse_network

CRDS = Path(__file__).parents[2] / "crds"
NAMES = ("cninetworks", "cnisubnets")
# What Kubernetes itself describes.
_KNOWN = {"apiVersion", "kind", "metadata", "spec", "status"}


def crd(name: str) -> dict[str, Any]:
    """A CRD as a value."""
    document: dict[str, Any] = yaml.safe_load(
        (CRDS / f"{name}.pycni.dev.yaml").read_text()
    )
    return document


def schema(name: str) -> dict[str, Any]:
    """The schema of the one version of a CRD."""
    version: dict[str, Any] = crd(name)["spec"]["versions"][0]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def undescribed(node: dict[str, Any], path: str) -> list[str]:
    """The paths of fields below a schema that have no description."""
    found = []
    for name, child in node.get("properties", {}).items():
        if "description" not in child and name not in _KNOWN and "metadata" not in path:
            found.append(f"{path}.{name}")
        found += undescribed(child, f"{path}.{name}")
    if "items" in node:
        found += undescribed(node["items"], f"{path}[]")
    return found


def with_defaults(node: dict[str, Any], value: Any) -> Any:
    """A value with the defaults that the API server would put into it."""
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, child in node.get("properties", {}).items():
        if name not in filled and "default" in child:
            filled[name] = child["default"]
        if name in filled:
            filled[name] = with_defaults(child, filled[name])
    return filled


@pytest.mark.parametrize("name", NAMES)
def test_every_field_has_a_description(name: str) -> None:
    """`kubectl explain` has a sentence for every field."""
    assert undescribed(schema(name), "") == []


@pytest.mark.parametrize(
    ("name", "short"), [("cninetworks", "cninet"), ("cnisubnets", "cnisub")]
)
def test_status_is_a_subresource(name: str, short: str) -> None:
    """A CRD has its status apart from its spec, and a short name."""
    spec = crd(name)["spec"]

    assert spec["versions"][0]["subresources"] == {"status": {}}
    assert spec["names"]["shortNames"] == [short]


def test_defaults_of_the_crd_are_those_of_the_agent() -> None:
    """A manifest with the CRD's defaults filled in is the same network as without."""
    bare = {
        "apiVersion": "pycni.dev/v1alpha1",
        "kind": "CNINetwork",
        "metadata": {"name": "blue"},
        "spec": {"cidrs": ["10.60.0.0/16"]},
    }

    filled = with_defaults(schema("cninetworks"), bare)

    assert filled != bare
    assert parse_network(filled) == parse_network(bare)
