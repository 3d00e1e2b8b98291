"""The network configuration: names, reserved keys, every field and its rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from plugin.config import parse_config
from plugin.errors import CNIError
from plugin.fields import member

if TYPE_CHECKING:
    from tests.plugin.fakes import Runtime

IPAM = {"type": "host-local", "subnet": "10.60.0.0/24"}
MINIMAL = {"cniVersion": "1.0.0", "name": "blue", "type": "bridge"}
TRUNK = "vlanTrunk: "
PAIR = "minID and maxID should be configured simultaneously"


def parsed(**changes: Any) -> Any:
    """The configuration with changes, read under the name `bridge`."""
    return parse_config({**MINIMAL, **changes}, {}, layer2_by_default=True)


def refused(**changes: Any) -> tuple[int, str]:
    """Code and sentence with which a configuration is refused."""
    with pytest.raises(CNIError) as caught:
        parsed(**changes)
    return caught.value.code, caught.value.message


def test_the_defaults_are_those_of_the_reference_bridge() -> None:
    """A configuration without options has the reference's defaults (3.1)."""
    config = parsed()

    assert {key: getattr(config, key) for key in sorted(vars(config))} == {
        "args": {},
        "bridge": "cni0",
        "disable_container_interface": False,
        "dns": {},
        "enable_dad": False,
        "force_address": False,
        "hairpin": False,
        "ip_masq": False,
        "ip_masq_backend": "",
        "ip_masq_except": (),
        "ipam": None,
        "ipam_document": {},
        "is_default_gateway": False,
        "is_gateway": False,
        "log_file": "/var/log/pycni/pycni.log",
        "log_level": "debug",
        "log_max_age_days": 60,
        "log_max_bytes": 10 << 20,
        "mac": "",
        "mac_spoof_check": False,
        "mtu": 0,
        "name": "blue",
        "network": "",
        "port_isolation": False,
        "preserve_default_vlan": False,
        "prev_result": {},
        "promiscuous": False,
        "run_dir": "/run/pycni",
        "runtime_config": {},
        "state_dir": "/var/lib/pycni",
        "type": "bridge",
        "version": "1.0.0",
        "vlan": 0,
        "vlan_trunk": [],
    }


def test_the_plugin_gets_its_own_object(runtime: Runtime) -> None:
    """A list of plugins is the runtime's: it is no configuration of a plugin (CF1)."""
    config = {
        "cniVersion": "1.1.0",
        "name": "blue",
        "disableCheck": True,
        "plugins": [runtime.config()],
    }

    answer = runtime.call("ADD", config, "bridge")

    assert (answer.code, answer.message) == (
        7,
        "type: the name of the plugin is missing",
    )


@pytest.mark.parametrize("name", ["a", "0", "Blue-net_1.0", "a" * 200])
def test_names(runtime: Runtime, name: str) -> None:
    """A name begins with a letter or digit, then also `_`, `.` and `-` (CF3)."""
    assert runtime.call("ADD", runtime.config(name=name)).exit_code == 0


@pytest.mark.parametrize(
    "name", [None, "", 5, "_a", ".", "..", "-a", "a/b", "x y", "ä", "a" * 201]
)
@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK", "GC", "STATUS"])
def test_bad_names(runtime: Runtime, command: str, name: Any) -> None:
    """A name that is missing or bad is code 7 for every command (CF3, C5)."""
    answer = runtime.call(command, runtime.config(name=name))

    assert answer.code == 7
    assert answer.message.startswith("name: ")


@pytest.mark.parametrize("kind", [None, ""])
def test_a_type_is_required(runtime: Runtime, kind: str | None) -> None:
    """Without the plugin's name in `type` a configuration is code 7 (CF4)."""
    answer = runtime.call("STATUS", runtime.config(type=kind), "pycni")

    assert (answer.code, answer.message) == (
        7,
        "type: the name of the plugin is missing",
    )


def test_unknown_and_reserved_keys_are_ignored(runtime: Runtime) -> None:
    """Keys that we do not know, or that are reserved, are no error (CF5)."""
    config = runtime.config(
        capabilities={"ips": True},
        **{
            "cni.dev/anything": [1],
            "io.kubernetes.cri.pod-annotations": {},
            "keyOfTomorrow": {"deep": [None]},
        },
        runtimeConfig={"keyOfTomorrow": 5},
        args={"cni": {"keyOfTomorrow": 5}, "other.org": 5},
    )

    assert runtime.call("ADD", config).exit_code == 0


def test_capabilities_are_a_request_to_the_runtime(runtime: Runtime) -> None:
    """What `capabilities` says is not read, runtimeConfig alone is (CF6)."""
    config = runtime.config(capabilities={"ips": ["10.60.0.6"]})
    asking = runtime.config(runtimeConfig={"ips": ["10.60.0.6"]})

    first = runtime.call("ADD", config).json["ips"][0]["address"]
    second = runtime.call("ADD", asking, CNI_CONTAINERID="c2").json["ips"][0]["address"]

    assert (first, second) == ("10.60.0.2/29", "10.60.0.6/29")


def test_well_known_keys_are_honoured() -> None:
    """ipMasq, ipam.type and dns mean what the conventions say (CF7)."""
    dns = {"nameservers": ["10.0.0.10"], "domain": "d", "search": ["s"], "options": []}

    config = parsed(ipMasq=True, ipam={"type": "dhcp"}, dns=dns)

    assert (config.ip_masq, config.ipam.type, config.dns) == (True, "dhcp", dns)
    assert config.ipam.is_foreign


@pytest.mark.parametrize(
    "runtime_config",
    [
        {"RuntimeConfig": {"IPs": ["10.60.0.5"]}},
        {"RUNTIMECONFIG": {"ips": ["10.60.0.5"]}},
        {"runtimeConfig": {"ips": ["10.60.0.5"]}, "RuntimeConfig": {"ips": ["::1"]}},
        {"runtimeConfig": {"IPS": ["10.60.0.6"], "ips": ["10.60.0.5"]}},
    ],
)
def test_keys_in_any_case(runtime: Runtime, runtime_config: dict[str, Any]) -> None:
    """A key counts in any case, and the exact one wins (CF11)."""
    answer = runtime.call("ADD", runtime.config(**runtime_config))

    assert answer.json["ips"][0]["address"] == "10.60.0.5/29"


def test_every_key_of_a_configuration_counts_in_any_case(runtime: Runtime) -> None:
    """Name, version, ipam, ranges, routes, list for GC count in any case (CF11)."""
    ipam = {
        "TYPE": "host-local",
        "Subnet": "10.60.0.0/29",
        "Routes": [{"DST": "0.0.0.0/0"}],
        "DATADIR": str(runtime.folder / "data"),
    }
    config = {"CNIVersion": "1.1.0", "Name": "blue", "IPAM": ipam, "logLevel": "off"}

    added = runtime.call("ADD", config)
    collected = runtime.call("GC", {**config, "CNI.dev/valid-attachments": []})

    assert added.json["routes"] == [{"dst": "0.0.0.0/0"}]
    assert collected.exit_code == 0
    assert not (runtime.folder / "data" / "blue" / "10.60.0.2").exists()


def test_an_exact_key_wins_over_a_folded_one() -> None:
    """Of two keys that differ in case, the one as documented counts (CF11)."""
    document = {"BandWidth": 1, "bandwidth": 2, "ipMasq": 3, "ipmasq": 4}

    assert [member(document, key) for key in ("bandWidth", "ipMasq", "mtu")] == [
        2,
        3,
        None,
    ]
    assert member(None, "mtu") is None


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"bridge": ""}, "bridge: an empty name"),
        ({"bridge": "a/b"}, "bridge: 'a/b' has '/', ':' or white space in it"),
        ({"bridge": "b" * 16}, f"bridge: '{'b' * 16}' is longer than 15 bytes"),
        (
            {"hairpinMode": True, "promiscMode": True},
            "hairpinMode and promiscMode: both true, only one of them is possible",
        ),
        ({"vlan": -100}, "vlan: invalid VLAN ID -100 (must be between 0 and 4094)"),
        ({"vlan": 5000}, "vlan: invalid VLAN ID 5000 (must be between 0 and 4094)"),
        (
            {"vlan": 4094, "isGateway": True, "bridge": "b" * 11},
            f"bridge: '{'b' * 11}' is too long: the VLAN's gateway device would be "
            f"'{'b' * 11}.4094', 15 bytes are possible",
        ),
        ({"mtu": 67}, "mtu: 67 is not between 68 and 65535"),
        ({"mtu": 65536}, "mtu: 65536 is not between 68 and 65535"),
        ({"mtu": -1}, "mtu: -1 is not between 68 and 65535"),
        (
            {"mtu": 1279, "ipam": {"type": "host-local", "subnet": "fd00:60::/64"}},
            "mtu: 1279 is less than 1280, which IPv6 needs",
        ),
        (
            {"ipMasqBackend": "ipfw"},
            "ipMasqBackend: unrecognized backend 'ipfw', iptables and nftables are "
            "known (both mean nftables here)",
        ),
        (
            {"ipMasqExceptCIDRs": ["10.0.0.0/8", "10.0.0.1", 5]},
            "ipMasqExceptCIDRs: '10.0.0.1' is not an address with a prefix length; "
            "ipMasqExceptCIDRs: 5 is not an address with a prefix length",
        ),
        ({"runDir": "run"}, "runDir: 'run' is not an absolute path"),
        ({"stateDir": "/a\0b"}, "stateDir: '/a\\x00b' is not an absolute path"),
        ({"logLevel": "all"}, "logLevel: 'all' is none of debug, info, error, off"),
        (
            {"disableContainerInterface": True, "ipam": IPAM},
            "disableContainerInterface: true, and ipam is set: an interface that stays "
            "down cannot have addresses",
        ),
        (
            {"runtimeConfig": {"mac": "01:00:5e:00:00:01"}},
            "runtimeConfig.mac: '01:00:5e:00:00:01' is not a unicast MAC address",
        ),
        ({"args": {"cni": {"mac": 5}}}, "args.cni.mac: 5 is not a unicast MAC address"),
        ({"vlanTrunk": [{"minID": 1}]}, f"{TRUNK}{PAIR}, maxID is missing"),
        ({"vlanTrunk": [{"maxID": 1}]}, f"{TRUNK}{PAIR}, minID is missing"),
    ],
    ids=range(21),
)
def test_a_value_that_cannot_be(changes: dict[str, Any], want: str) -> None:
    """A value that a field can't have is code 7, named with its key (3.1, B9)."""
    assert refused(**changes) == (7, want)


@pytest.mark.parametrize(
    "changes",
    [
        {"bridge": "b" * 15},
        {"vlan": 4094, "isGateway": False, "bridge": "b" * 15},
        {"vlan": 4094, "isGateway": True, "bridge": "b" * 10},
        {"mtu": 68},
        {"mtu": 65535},
        {"ipMasqBackend": "iptables"},
        {"ipMasqBackend": "nftables"},
        {"logLevel": "off"},
    ],
)
def test_a_value_that_may_be(changes: dict[str, Any]) -> None:
    """A value at the edge of what a field may have is taken (3.1)."""
    assert parsed(**changes).name == "blue"


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"mtu": "1500"}, "mtu: '1500' is not a number"),
        ({"mtu": True}, "mtu: True is not a number"),
        ({"mtu": 1500.5}, "mtu: 1500.5 is not a number"),
        ({"isGateway": 1}, "isGateway: 1 is not true or false"),
        ({"bridge": 5}, "bridge: 5 is not a string"),
        ({"ipam": []}, "ipam: [] is not an object"),
        ({"ipMasqExceptCIDRs": "x"}, "ipMasqExceptCIDRs: 'x' is not a list"),
        (
            {"vlanTrunk": [5, {"id": 7}, "x"]},
            "vlanTrunk: 5 is not an object; vlanTrunk: 'x' is not an object",
        ),
        ({"runtimeConfig": []}, "runtimeConfig: [] is not an object"),
        ({"prevResult": "x"}, "prevResult: 'x' is not an object"),
    ],
)
def test_a_value_of_the_wrong_type(changes: dict[str, Any], want: str) -> None:
    """A value of the wrong JSON type is code 6, named with its key (CF10)."""
    assert refused(**changes) == (6, want)


def test_null_counts_as_missing() -> None:
    """A key whose value is null has its default."""
    assert parsed(mtu=None, bridge=None, ipam=None).bridge == "cni0"


def test_all_problems_make_one_error() -> None:
    """All that is wrong stands in one error, of code 7 if anything is (B9)."""
    assert refused(mtu="x", vlan=-1, ipam={"type": "host-local"}) == (
        7,
        "mtu: 'x' is not a number; "
        "vlan: invalid VLAN ID -1 (must be between 0 and 4094); "
        "ipam: no IP ranges specified",
    )


def test_a_bad_variable_beside_a_bad_value_is_code_7() -> None:
    """A malformed IP in CNI_ARGS is code 4 alone, and 7 beside a bad value (EN5)."""
    document = {**MINIMAL, "ipam": IPAM}

    codes = []
    for vlan in (0, -1):
        with pytest.raises(CNIError) as caught:
            parse_config({**document, "vlan": vlan}, {"IP": "x"}, True)
        codes.append(caught.value.code)
    assert codes == [4, 7]


def test_a_missing_ipam_is_layer_2_for_the_bridge_alone() -> None:
    """Without `ipam` a bridge has no addresses; elsewhere that is code 7."""
    assert parsed().ipam is None
    assert (
        parse_config({**MINIMAL, "ipam": {}}, {}, layer2_by_default=False).ipam is None
    )

    with pytest.raises(CNIError) as caught:
        parse_config(MINIMAL, {}, layer2_by_default=False)
    assert (caught.value.code, caught.value.message) == (7, "ipam: missing")


def test_a_default_gateway_is_a_gateway() -> None:
    """isDefaultGateway implies isGateway (3.1)."""
    assert parsed(isDefaultGateway=True).is_gateway
