"""The `ipam` object of a configuration, with the fields of host-local, as values.

Never claims an address: that is `plugin.ipam`.
"""

from __future__ import annotations

from plugin import ranges
from plugin.address import parse_address
from plugin.fields import Problems, is_absolute, member, read_fields
from plugin.protocol import IMPLIED, at_least
from plugin.result import ROUTE_OPTIONS, parse_route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from plugin.ranges import Range
    from plugin.result import Route

_FIELDS = (
    ("type", "type", str, ""),
    ("ranges", "ranges", list, ()),
    ("routes", "routes", list, ()),
    ("dataDir", "data_dir", str, ""),
    ("resolvConf", "resolv_conf", str, ""),
)
# The types of ipam that this file is itself; any other is another plugin's (DG1).
_OWN_TYPES = ("host-local", "pycni")
_RANGE_KEYS = (
    "subnet",
    "rangeStart",
    "rangeEnd",
    "gateway",
    "gatewayOnLink",
    "exclude",
)
_ROUTE_KEYS = ("dst", "gw", *ROUTE_OPTIONS)


class IPAMConfig:
    """Range sets in order of allocation, routes, and the addresses asked for."""

    type: str
    routes: list[Route]
    data_dir: str
    resolv_conf: str

    def __init__(self) -> None:
        self.range_sets: list[list[Range]] = []
        self.requested: list[bytes] = []

    @property
    def is_foreign(self) -> bool:
        """Whether another plugin gives the addresses (DG1)."""
        return self.type not in _OWN_TYPES


def parse_ipam(
    document: dict[str, Any],
    ipam: dict[str, Any],
    args: dict[str, str],
    gateway_needed: bool,
    problems: Problems,
) -> IPAMConfig:
    """Read the `ipam` object of a configuration `document`; `args` is CNI_ARGS."""
    config = IPAMConfig()
    read_fields(config, ipam, _FIELDS, "ipam.", problems)
    if not config.type:
        problems.invalid("ipam.type: the name of the IPAM plugin is missing")
    if config.is_foreign:
        config.routes = []
        return config
    try:
        config.range_sets = _range_sets(document, ipam, gateway_needed)
        _check_sets(config.range_sets)
    except TypeError as error:
        problems.wrong_shape(f"ipam: {error}")
    except ValueError as error:
        problems.invalid(f"ipam: {error}")
    _check_families(document, config.range_sets, problems)
    config.routes = _routes(config.routes, problems)
    config.requested = _requested(document, args, problems)
    for key, path in (("dataDir", config.data_dir), ("resolvConf", config.resolv_conf)):
        if path and not is_absolute(path):
            problems.invalid(f"ipam.{key}: {path!r} is not an absolute path")
    return config


def _range_sets(
    document: dict[str, Any], ipam: dict[str, Any], gateway_needed: bool
) -> list[list[Range]]:
    """runtimeConfig.ipRanges, then the single form, then `ranges`, as host-local."""
    runtime = member(document, "runtimeConfig")
    sets = list(_list(member(runtime, "ipRanges"), "runtimeConfig.ipRanges"))
    if member(ipam, "subnet"):
        sets.append([ipam])
    sets += _list(member(ipam, "ranges"), "ranges")
    parsed = []
    for entry in sets:
        range_set = [
            ranges.parse_range(_exact_keys(part, _RANGE_KEYS), gateway_needed)
            for part in _list(entry, "ranges")
        ]
        ranges.check_set(range_set)
        parsed.append(range_set)
    return parsed


def _check_sets(range_sets: list[list[Range]]) -> None:
    if not range_sets:
        raise ValueError("no IP ranges specified")
    ranges.check_sets(range_sets)


def _check_families(
    document: dict[str, Any], range_sets: list[list[Range]], problems: Problems
) -> None:
    """Refuse what an old result can't hold, in host-local's very words (CV7)."""
    version = member(document, "cniVersion") or IMPLIED
    sizes = [range_set[0].size for range_set in range_sets]
    crowded = sizes.count(4) > 1 or sizes.count(16) > 1
    if crowded and not at_least(version, "0.3.0"):
        problems.invalid(
            f"CNI version {version} does not support more than 1 address per family"
        )


def _exact_keys(document: Any, keys: tuple[str, ...]) -> Any:
    """An object with these keys in the case of the documentation (CF11)."""
    if not isinstance(document, dict):
        return document
    return {key: member(document, key) for key in keys}


def _list(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(f"{name}: {value!r} is not a list")
    return value


def _routes(entries: Any, problems: Problems) -> list[Route]:
    routes = []
    for entry in entries:
        try:
            routes.append(parse_route(_exact_keys(entry, _ROUTE_KEYS)))
        except ValueError as error:
            problems.invalid(f"ipam.routes: {error}")
    return routes


def _requested(
    document: dict[str, Any], args: dict[str, str], problems: Problems
) -> list[bytes]:
    """Addresses of CNI_ARGS IP, args.cni.ips and runtimeConfig.ips, added up.

    A prefix length behind an address is ignored: the subnet's mask counts.
    """
    cni_args = member(member(document, "args"), "cni")
    runtime = member(document, "runtimeConfig")
    requested: list[bytes] = []
    for field, texts, report in (
        (
            "CNI_ARGS IP",
            [args["IP"]] if args.get("IP") else (),
            problems.bad_environment,
        ),
        ("args.cni.ips", member(cni_args, "ips") or (), problems.invalid),
        ("runtimeConfig.ips", member(runtime, "ips") or (), problems.invalid),
    ):
        if not isinstance(texts, (list, tuple)):
            problems.wrong_shape(f"{field}: {texts!r} is not a list")
            continue
        for text in texts:
            try:
                address = parse_address(text.partition("/")[0])
            except (AttributeError, ValueError):
                report(f"{field}: {text!r} is not an IP address")
                continue
            if address not in requested:
                requested.append(address)
    return requested
