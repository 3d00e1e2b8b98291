"""The network configuration of stdin: each key with its default, checked, as values.

One table names the keys; anything else in the configuration is ignored
(CF5), and the case of a key does not matter (CF11). All problems are reported at
once. Never looks at the machine.
"""

from __future__ import annotations

from plugin import errors
from plugin.address import parse_prefix
from plugin.errors import CNIError
from plugin.fields import TYPE_NAMES, Problems, is_absolute, member, read_fields
from plugin.ipamconfig import parse_ipam
from plugin.protocol import IMPLIED, NETWORK_NAME_LENGTH, ifname_problems, is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from plugin.fields import Field
    from plugin.ipamconfig import IPAMConfig

# Key of the configuration, attribute, type, default. The reference bridge's names and
# defaults; the log keys and runDir are ours.
_FIELDS: tuple[Field, ...] = (
    ("type", "type", str, ""),
    ("bridge", "bridge", str, "cni0"),
    ("isGateway", "is_gateway", bool, False),
    ("isDefaultGateway", "is_default_gateway", bool, False),
    ("forceAddress", "force_address", bool, False),
    ("ipMasq", "ip_masq", bool, False),
    ("ipMasqBackend", "ip_masq_backend", str, ""),
    ("ipMasqExceptCIDRs", "ip_masq_except", list, ()),
    ("mtu", "mtu", int, 0),
    ("hairpinMode", "hairpin", bool, False),
    ("promiscMode", "promiscuous", bool, False),
    ("vlan", "vlan", int, 0),
    ("vlanTrunk", "vlan_trunk", list, ()),
    ("preserveDefaultVlan", "preserve_default_vlan", bool, False),
    ("macspoofchk", "mac_spoof_check", bool, False),
    ("enabledad", "enable_dad", bool, False),
    ("disableContainerInterface", "disable_container_interface", bool, False),
    ("portIsolation", "port_isolation", bool, False),
    ("dns", "dns", dict, {}),
    ("ipam", "ipam_document", dict, {}),
    ("runtimeConfig", "runtime_config", dict, {}),
    ("args", "args", dict, {}),
    ("prevResult", "prev_result", dict, {}),
    ("logFile", "log_file", str, "/var/log/pycni/pycni.log"),
    ("logLevel", "log_level", str, "debug"),
    ("logMaxBytes", "log_max_bytes", int, 10 << 20),
    ("logMaxAgeDays", "log_max_age_days", int, 60),
    ("network", "network", str, ""),
    ("runDir", "run_dir", str, "/run/pycni"),
    ("stateDir", "state_dir", str, "/var/lib/pycni"),
)


class NetworkConfig:
    """One network configuration, checked; attributes are those of the table above."""

    type: str
    bridge: str
    is_gateway: bool
    is_default_gateway: bool
    force_address: bool
    ip_masq: bool
    ip_masq_backend: str
    ip_masq_except: list[str]
    mtu: int
    hairpin: bool
    promiscuous: bool
    vlan: int
    preserve_default_vlan: bool
    mac_spoof_check: bool
    enable_dad: bool
    disable_container_interface: bool
    port_isolation: bool
    dns: dict[str, Any]
    ipam_document: dict[str, Any]
    runtime_config: dict[str, Any]
    args: dict[str, Any]
    prev_result: dict[str, Any]
    log_file: str
    log_level: str
    log_max_bytes: int
    log_max_age_days: int
    network: str
    run_dir: str
    state_dir: str

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.mac = ""
        self.vlan_trunk: list[int] = []
        self.ipam: IPAMConfig | None = None


def parse_header(document: Any) -> tuple[str, str]:
    """The name and the version of a configuration, before anything else is read."""
    if not isinstance(document, dict):
        raise CNIError(
            errors.DECODING_FAILURE,
            f"stdin: {TYPE_NAMES.get(type(document), 'null')}, not a network "
            "configuration object",
        )
    version = member(document, "cniVersion") or IMPLIED
    if not isinstance(version, str):
        raise CNIError(
            errors.DECODING_FAILURE, f"cniVersion: {version!r} is not a string"
        )
    name = member(document, "name")
    if not isinstance(name, str) or not is_name(name):
        raise CNIError(
            errors.INVALID_CONFIGURATION,
            f"name: {name!r} must begin with a letter or digit and go on with "
            "letters, digits, '_', '.' or '-'",
        )
    if len(name) > NETWORK_NAME_LENGTH:
        raise CNIError(
            errors.INVALID_CONFIGURATION,
            f"name: {len(name)} characters, {NETWORK_NAME_LENGTH} are possible",
        )
    return name, version


def parse_config(
    document: dict[str, Any], args: dict[str, str], layer2_by_default: bool
) -> NetworkConfig:
    """Check a configuration whose header was read; one error names all that is wrong.

    `args` is CNI_ARGS. With `layer2_by_default` a missing `ipam` means a network
    without addresses, as for the reference bridge.
    """
    name, version = parse_header(document)
    config = NetworkConfig(name, version)
    problems = Problems()
    read_fields(config, document, _FIELDS, "", problems)
    if not config.type:
        problems.invalid("type: the name of the plugin is missing")
    config.is_gateway = config.is_gateway or config.is_default_gateway
    _check_bridge(config, problems)
    config.vlan_trunk = _trunk(config.vlan_trunk, problems)
    config.mac = _chosen_mac(config, args, problems)
    if config.ipam_document:
        config.ipam = parse_ipam(
            document, config.ipam_document, args, config.is_gateway, problems
        )
        _check_ipv6_mtu(config.mtu, config.ipam, problems)
        if config.disable_container_interface:
            problems.invalid(
                "disableContainerInterface: true, and ipam is set: an interface "
                "that stays down cannot have addresses"
            )
    elif not layer2_by_default and member(document, "ipam") is None:
        problems.invalid("ipam: missing")
    problems.raise_if_any()
    return config


def _check_ipv6_mtu(mtu: int, ipam: IPAMConfig, problems: Problems) -> None:
    """The kernel takes IPv6 from a link with less than RFC 8200 asks for."""
    has_ipv6 = any(part.size == 16 for parts in ipam.range_sets for part in parts)
    if has_ipv6 and 0 < mtu < 1280:
        problems.invalid(f"mtu: {mtu} is less than 1280, which IPv6 needs")


def _check_bridge(config: NetworkConfig, problems: Problems) -> None:
    for sentence in ifname_problems("bridge", config.bridge or ""):
        problems.invalid(sentence)
    if not config.bridge:
        problems.invalid("bridge: an empty name")
    if config.hairpin and config.promiscuous:
        problems.invalid(
            "hairpinMode and promiscMode: both true, only one of them is possible"
        )
    if not 0 <= config.vlan <= 4094:
        problems.invalid(
            f"vlan: invalid VLAN ID {config.vlan} (must be between 0 and 4094)"
        )
    vlan_device = f"{config.bridge}.{config.vlan}"
    if config.vlan and config.is_gateway and len(vlan_device.encode()) > 15:
        problems.invalid(
            f"bridge: {config.bridge!r} is too long: the VLAN's gateway device would "
            f"be {vlan_device!r}, 15 bytes are possible"
        )
    if config.mtu and not 68 <= config.mtu <= 65535:
        problems.invalid(f"mtu: {config.mtu} is not between 68 and 65535")
    if config.ip_masq_backend not in ("", "iptables", "nftables"):
        problems.invalid(
            f"ipMasqBackend: unrecognized backend {config.ip_masq_backend!r}, "
            "iptables and nftables are known (both mean nftables here)"
        )
    for text in config.ip_masq_except:
        try:
            parse_prefix(text)
        except (AttributeError, ValueError):
            problems.invalid(
                f"ipMasqExceptCIDRs: {text!r} is not an address with a prefix length"
            )
    for key, path in (("runDir", config.run_dir), ("stateDir", config.state_dir)):
        if not is_absolute(path):
            problems.invalid(f"{key}: {path!r} is not an absolute path")
    if config.log_level not in ("debug", "info", "error", "off"):
        problems.invalid(
            f"logLevel: {config.log_level!r} is none of debug, info, error, off"
        )


def _trunk(entries: Any, problems: Problems) -> list[int]:
    """The VLAN ids of vlanTrunk, sorted and without doubles."""
    ids: set[int] = set()
    for entry in entries:
        if not isinstance(entry, dict):
            problems.wrong_shape(f"vlanTrunk: {entry!r} is not an object")
            continue
        low, high, single = (member(entry, k) for k in ("minID", "maxID", "id"))
        sentence = _trunk_problem(low, high, single)
        if sentence:
            problems.invalid(f"vlanTrunk: {sentence}")
            continue
        if low is not None:
            ids.update(range(low, high + 1))
        if single is not None:
            ids.add(single)
    return sorted(ids)


def _trunk_problem(low: Any, high: Any, single: Any) -> str:
    def bad(value: Any) -> bool:
        return value is not None and (type(value) is not int or not 1 <= value <= 4094)

    if low is not None and high is None:
        return "minID and maxID should be configured simultaneously, maxID is missing"
    if low is None and high is not None:
        return "minID and maxID should be configured simultaneously, minID is missing"
    if bad(low):
        return f"incorrect trunk minID parameter: {low!r}"
    if bad(high):
        return f"incorrect trunk maxID parameter: {high!r}"
    if low is not None and low > high:
        return f"minID is greater than maxID in trunk parameter: {low} and {high}"
    if bad(single):
        return f"incorrect trunk id parameter: {single!r}"
    return ""


def _chosen_mac(config: NetworkConfig, args: dict[str, str], problems: Problems) -> str:
    """The MAC asked for: runtimeConfig.mac, then args.cni.mac, then CNI_ARGS MAC."""
    cni_args = member(config.args, "cni")
    invalid = problems.invalid
    for field, value, report in (
        ("runtimeConfig.mac", member(config.runtime_config, "mac"), invalid),
        ("args.cni.mac", member(cni_args, "mac"), invalid),
        ("CNI_ARGS MAC", args.get("MAC"), problems.bad_environment),
    ):
        if not value:
            continue
        if isinstance(value, str) and is_unicast_mac(value):
            return value.lower().replace("-", ":")
        report(f"{field}: {value!r} is not a unicast MAC address")
    return ""


def is_unicast_mac(text: str) -> bool:
    """Whether the text is a MAC address of one interface: `02:00:5e:10:00:01`."""
    parts = text.replace("-", ":").split(":")
    try:
        values = [int(part, 16) for part in parts if len(part) == 2]
    except ValueError:
        return False
    whole = len(parts) == len(values) == 6 and "".join(parts).isalnum()
    return whole and not values[0] & 1 and any(values)
