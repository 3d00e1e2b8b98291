"""CNINetwork manifests to values: the only file that knows the camelCase keys.

The API server has checked a manifest by the CRD's rules; one from a folder comes as its
author wrote it, so everything is checked here again, with the field in the message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

from agent.model import Bridge, Masquerade, Network, Requirement, Route, Subnet

API_VERSION = "pycni.dev/v1alpha1"
KIND = "CNINetwork"
_MODES = ("HostRoutes", "VXLAN", "CrossSubnet", "None")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
T = TypeVar("T")


class InvalidManifestError(ValueError):
    """A manifest that is no CNINetwork; the message names the field."""


def parse_network(manifest: Any) -> Network:
    """A network from its manifest, with the defaults of the CRD."""
    if not isinstance(manifest, Mapping) or manifest.get("kind") != KIND:
        raise InvalidManifestError(f"not a {KIND}")
    if manifest.get("apiVersion") != API_VERSION:
        raise InvalidManifestError(
            f"apiVersion: {manifest.get('apiVersion')!r}, {API_VERSION} is known"
        )
    metadata = _mapping(manifest, "metadata", "metadata")
    spec = _mapping(manifest, "spec", "spec")
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidManifestError("metadata.name: missing")
    prefix = _mapping(spec, "subnetPrefix", "spec.subnetPrefix")
    routing = _mapping(spec, "routing", "spec.routing")
    selector = spec.get("namespaceSelector")
    network = Network(
        name=name,
        generation=metadata.get("generation") or 0,
        created=metadata.get("creationTimestamp") or "",
        cidrs=_cidrs(spec, "cidrs", "spec.cidrs"),
        prefix_v4=_number(prefix, "ipv4", 24, (8, 30), "spec.subnetPrefix.ipv4"),
        prefix_v6=_number(prefix, "ipv6", 64, (16, 126), "spec.subnetPrefix.ipv6"),
        from_node=_choice(spec, "subnetSource", ("Pool", "NodePodCIDR"), "spec")
        == "NodePodCIDR",
        max_blocks=_number(
            spec, "maxBlocksPerNode", 1, (1, 16), "spec.maxBlocksPerNode"
        ),
        reserved=tuple(_texts(spec, "reserved", "spec.reserved")),
        is_default=_flag(spec, "default", False, "spec.default"),
        namespaces=None if selector is None else _selector(selector),
        bridge=_bridge(_mapping(spec, "bridge", "spec.bridge")),
        masquerade=_masquerade(_mapping(spec, "masquerade", "spec.masquerade")),
        routing=_choice(routing, "mode", _MODES, "spec.routing"),
        routes=tuple(map(_route, _items(spec, "routes", "spec.routes"))),
    )
    _check(network)
    return network


def _check(network: Network) -> None:
    if not network.cidrs:
        raise InvalidManifestError("spec.cidrs: at least one network is needed")
    for index, cidr in enumerate(network.cidrs):
        if cidr.prefixlen > network.prefix_of(cidr):
            raise InvalidManifestError(
                f"spec.subnetPrefix.ipv{cidr.version}: {network.prefix_of(cidr)} is "
                f"less than the prefix length of {cidr}: a block is a part of it"
            )
        for other in network.cidrs[:index]:
            if cidr.version == other.version and cidr.overlaps(other):
                raise InvalidManifestError(f"spec.cidrs: {other} and {cidr} overlap")
    if network.bridge.hairpin and network.bridge.promiscuous:
        raise InvalidManifestError(
            "spec.bridge: hairpin and promiscuous are both true, only one is possible"
        )


def _bridge(document: Mapping[str, Any]) -> Bridge:
    name = document.get("name", "pycni0")
    if not isinstance(name, str) or not 0 < len(name.encode()) <= 15 or "/" in name:
        raise InvalidManifestError(
            f"spec.bridge.name: {name!r} is not 1 to 15 bytes long"
        )
    return Bridge(
        name=name,
        mtu=_number(document, "mtu", 0, (0, 65535), "spec.bridge.mtu"),
        hairpin=_flag(document, "hairpin", True, "spec.bridge.hairpin"),
        promiscuous=_flag(document, "promiscuous", False, "spec.bridge.promiscuous"),
    )


def _masquerade(document: Mapping[str, Any]) -> Masquerade:
    where = "spec.masquerade"
    return Masquerade(
        enabled=_flag(document, "enabled", True, f"{where}.enabled"),
        except_cidrs=_cidrs(document, "exceptCIDRs", f"{where}.exceptCIDRs"),
    )


def _route(document: Any) -> Route:
    if not isinstance(document, Mapping):
        raise InvalidManifestError(f"spec.routes: {document!r} is not a route object")
    gateway = document.get("gw")
    options = {
        key: _number(document, key, 0, (0, 2**31 - 1), f"spec.routes.{key}")
        for key in ("mtu", "advmss", "priority")
        if document.get(key) is not None
    }
    return Route(
        destination=_parse(ip_network, document.get("dst"), "spec.routes.dst"),
        gateway=None
        if gateway is None
        else _parse(ip_address, gateway, "spec.routes.gw"),
        options=tuple(options.items()),
    )


def _selector(document: Any) -> tuple[Requirement, ...]:
    where = "spec.namespaceSelector"
    if not isinstance(document, Mapping):
        raise InvalidManifestError(f"{where}: {document!r} is not a selector object")
    labels = _mapping(document, "matchLabels", f"{where}.matchLabels")
    requirements = [
        Requirement(key, "In", (str(labels[key]),)) for key in sorted(labels)
    ]
    for entry in _items(document, "matchExpressions", f"{where}.matchExpressions"):
        operator = entry.get("operator") if isinstance(entry, Mapping) else None
        if operator not in _OPERATORS:
            raise InvalidManifestError(
                f"{where}.matchExpressions: {entry!r} has none of "
                f"{', '.join(_OPERATORS)}"
            )
        values = tuple(map(str, entry.get("values") or ()))
        requirements.append(Requirement(str(entry.get("key")), operator, values))
    return tuple(requirements)


def _cidrs(document: Mapping[str, Any], key: str, where: str) -> tuple[Subnet, ...]:
    return tuple(
        _parse(ip_network, text, where) for text in _texts(document, key, where)
    )


def _parse(parser: Callable[[str], T], text: Any, where: str) -> T:
    try:
        return parser(text if isinstance(text, str) else "")
    except ValueError as error:
        raise InvalidManifestError(f"{where}: {text!r}: {error}") from None


def _mapping(document: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidManifestError(f"{where}: {value!r} is not an object")
    return value


def _items(document: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = document.get(key) or []
    if not isinstance(value, list):
        raise InvalidManifestError(f"{where}: {value!r} is not a list")
    return value


def _texts(document: Mapping[str, Any], key: str, where: str) -> list[str]:
    items = _items(document, key, where)
    for item in items:
        if not isinstance(item, str):
            raise InvalidManifestError(f"{where}: {item!r} is not a string")
    return items


def _flag(document: Mapping[str, Any], key: str, default: bool, where: str) -> bool:
    value = document.get(key, default)
    if not isinstance(value, bool):
        raise InvalidManifestError(f"{where}: {value!r} is not true or false")
    return value


def _number(
    document: Mapping[str, Any],
    key: str,
    default: int,
    bounds: tuple[int, int],
    where: str,
) -> int:
    value = document.get(key, default)
    low, high = bounds
    if type(value) is not int or not low <= value <= high:
        raise InvalidManifestError(
            f"{where}: {value!r} is not a number from {low} to {high}"
        )
    return value


def _choice(
    document: Mapping[str, Any], key: str, known: tuple[str, ...], where: str
) -> str:
    value = document.get(key, known[0])
    if value not in known:
        raise InvalidManifestError(
            f"{where}.{key}: {value!r} is none of {', '.join(known)}"
        )
    return str(value)
