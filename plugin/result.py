"""The result of ADD: values, and their JSON in each version of the specification.

Knows nothing of how it is printed or of who made it. RF and CV name the statements
on formats and conversions.
"""

from __future__ import annotations

from plugin import errors
from plugin.address import (
    Prefix,
    parse_address,
    parse_prefix,
    render_address,
)
from plugin.errors import CNIError
from plugin.protocol import VERSIONS, at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# JSON keys of a route that came with 1.1.0 (RF4), in the order of the specification.
ROUTE_OPTIONS = ("mtu", "advmss", "priority", "table", "scope")
_INTERFACE_OPTIONS = (
    ("mtu", "mtu"),
    ("socketPath", "socket_path"),
    ("pciID", "pci_id"),
)


class Interface:
    """An interface that the plugin made; `sandbox` is empty on the host."""

    __slots__ = ("mac", "mtu", "name", "pci_id", "sandbox", "socket_path")

    def __init__(
        self, name: str, mac: str = "", mtu: int = 0, sandbox: str = ""
    ) -> None:
        self.name = name
        self.mac = mac
        self.mtu = mtu
        self.sandbox = sandbox
        self.socket_path = ""
        self.pci_id = ""


class IPConfig:
    """An address of an interface; `interface` is an index into Result.interfaces."""

    __slots__ = ("address", "gateway", "interface")

    def __init__(
        self,
        address: Prefix,
        gateway: bytes | None = None,
        interface: int | None = None,
    ) -> None:
        self.address = address
        self.gateway = gateway
        self.interface = interface


class Route:
    """A route in the pod; `options` are the keys of ROUTE_OPTIONS that are set."""

    __slots__ = ("destination", "gateway", "options")

    def __init__(
        self,
        destination: Prefix,
        gateway: bytes | None = None,
        options: dict[str, int] | None = None,
    ) -> None:
        self.destination = destination
        self.gateway = gateway
        self.options = options or {}

    @property
    def is_default(self) -> bool:
        """Whether the route is the default route of its family."""
        return self.destination.length == 0 and not any(self.destination.address)


class Result:
    """What ADD made: interfaces, addresses, routes, and the DNS settings."""

    __slots__ = ("dns", "interfaces", "ips", "routes")

    def __init__(self) -> None:
        self.interfaces: list[Interface] = []
        self.ips: list[IPConfig] = []
        self.routes: list[Route] = []
        self.dns: dict[str, Any] = {}


def render_result(result: Result, version: str) -> dict[str, Any]:
    """Render a result in the shape of a version (RF1 to RF4); CV1 can refuse it."""
    if not at_least(version, "0.3.0"):
        return _render_by_family(result, version)
    rich = at_least(version, "1.1.0")
    document: dict[str, Any] = {"cniVersion": version}
    if result.interfaces:
        document["interfaces"] = [_render_interface(i, rich) for i in result.interfaces]
    if result.ips:
        with_family = not at_least(version, "1.0.0")
        document["ips"] = [_render_ip(ip, with_family) for ip in result.ips]
    if result.routes:
        document["routes"] = [render_route(route, rich) for route in result.routes]
    if result.dns or not at_least(version, "1.0.0"):
        document["dns"] = result.dns
    return document


def _render_by_family(result: Result, version: str) -> dict[str, Any]:
    document: dict[str, Any] = {"cniVersion": version}
    for ip in result.ips:
        size = len(ip.address.address)
        key = "ip4" if size == 4 else "ip6"
        if key in document:
            continue
        family: dict[str, Any] = {"ip": str(ip.address)}
        if ip.gateway:
            family["gateway"] = render_address(ip.gateway)
        routes = [r for r in result.routes if len(r.destination.address) == size]
        if routes:
            family["routes"] = [render_route(route, rich=False) for route in routes]
        document[key] = family
    if len(document) == 1:
        raise CNIError(
            errors.INVALID_CONFIGURATION,
            "cannot convert: no valid IP addresses",
            f"cniVersion {version} has no result without an address",
        )
    document["dns"] = result.dns
    return document


def _render_interface(interface: Interface, rich: bool) -> dict[str, Any]:
    document: dict[str, Any] = {"name": interface.name}
    if interface.mac:
        document["mac"] = interface.mac
    for key, attribute in _INTERFACE_OPTIONS if rich else ():
        value = getattr(interface, attribute)
        if value:
            document[key] = value
    if interface.sandbox:
        document["sandbox"] = interface.sandbox
    return document


def _render_ip(ip: IPConfig, with_family: bool) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if with_family:
        document["version"] = "4" if len(ip.address.address) == 4 else "6"
    if ip.interface is not None:
        document["interface"] = ip.interface
    document["address"] = str(ip.address)
    if ip.gateway:
        document["gateway"] = render_address(ip.gateway)
    return document


def render_route(route: Route, rich: bool) -> dict[str, Any]:
    """Render a route; without `rich` the keys of 1.1.0 are left out (CV2, CV3)."""
    document: dict[str, Any] = {"dst": str(route.destination)}
    if route.gateway:
        document["gw"] = render_address(route.gateway)
    if rich:
        document.update(route.options)
    return document


def parse_result(document: Any, version: str) -> Result:
    """Parse a result of any version, a prevResult or a delegate's; code 6 if none."""
    try:
        entry = _object(document, "the result")
        version = entry.get("cniVersion") or version
        if version not in VERSIONS:
            raise ValueError(f"cniVersion: {version!r} is not supported")
        result = Result()
        if at_least(version, "0.3.0"):
            _parse_flat(entry, result)
        else:
            _parse_by_family(entry, result)
        result.dns = dict(_object(entry.get("dns") or {}, "dns"))
    except ValueError as error:
        raise CNIError(
            errors.DECODING_FAILURE, f"not a result of CNI {version}", str(error)
        ) from None
    return result


def _parse_flat(document: dict[str, Any], result: Result) -> None:
    for entry in _objects(document, "interfaces"):
        interface = Interface(_text(entry.get("name")), _text(entry.get("mac") or ""))
        interface.sandbox = _text(entry.get("sandbox") or "")
        interface.mtu = _number(entry.get("mtu") or 0)
        interface.socket_path = _text(entry.get("socketPath") or "")
        interface.pci_id = _text(entry.get("pciID") or "")
        result.interfaces.append(interface)
    for entry in _objects(document, "ips"):
        ip = _parse_ip(entry, "address")
        index = entry.get("interface")
        ip.interface = None if index is None else _number(index)
        result.ips.append(ip)
    result.routes = [parse_route(entry) for entry in _objects(document, "routes")]


def _parse_by_family(document: dict[str, Any], result: Result) -> None:
    for key in ("ip4", "ip6"):
        if document.get(key):
            entry = _object(document[key], key)
            result.ips.append(_parse_ip(entry, "ip"))
            result.routes += [parse_route(route) for route in _objects(entry, "routes")]


def _parse_ip(document: dict[str, Any], key: str) -> IPConfig:
    gateway = document.get("gateway")
    return IPConfig(
        parse_prefix(_text(document.get(key))),
        parse_address(_text(gateway)) if gateway else None,
    )


def parse_route(document: Any) -> Route:
    """Parse one route; ValueError names the key at fault."""
    document = _object(document, "route")
    destination = parse_prefix(_text(document.get("dst")))
    gateway = None
    if document.get("gw"):
        gateway = parse_address(_text(document["gw"]))
        if len(gateway) != len(destination.address):
            raise ValueError(f"gw: {document['gw']} is not of the family of dst")
    options = {}
    for key in ROUTE_OPTIONS:
        value = document.get(key)
        if value is None:
            continue
        if type(value) is not int or not 0 <= value < 1 << (
            8 if key == "scope" else 32
        ):
            raise ValueError(f"{key}: {value!r} is not a number that a route can have")
        options[key] = value
    return Route(destination.subnet(), gateway, options)


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name}: {value!r} is not an object")
    return value


def _objects(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = document.get(key) or []
    if not isinstance(value, list):
        raise ValueError(f"{key}: {value!r} is not a list")
    return [_object(entry, key) for entry in value]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is not a whole number")
    return value
