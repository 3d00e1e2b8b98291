"""Network configurations of the scenarios, by name.

The tests of a scenario and the boot that plays it both read this table.
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

DATA_DIR = "/var/lib/cni/networks"  # on disk, where no reboot clears it
VERSIONS = ("0.4.0", "1.0.0", "1.1.0")
TRUNK = [{"id": 101}, {"minID": 200, "maxID": 210}]
PORTS: dict[str, Config] = {
    "access": {"vlan": 100, "preserveDefaultVlan": True},
    "trunk": {"vlanTrunk": TRUNK, "preserveDefaultVlan": True},
    "access-and-trunk": {"vlan": 100, "vlanTrunk": TRUNK, "preserveDefaultVlan": True},
    "access-alone": {"vlan": 100, "preserveDefaultVlan": False},
}
PORTS_BY_DEFAULT: dict[str, Config] = {
    "access-by-default": {"vlan": 100},
    "trunk-by-default": {"vlanTrunk": TRUNK},
}
SUBNETS = {
    "v4": ("10.1.2.0/24",),
    "v6": ("2001:db8::/64",),
    "dual": ("192.168.0.0/24", "fd00::/64"),
    "three": ("192.168.0.0/24", "fd00::/64", "2001:db8::/64"),
}
# Each kind of subnets once, each version at least once: a boot has to stay short.
GATEWAYS = (("v4", "1.0.0"), ("v6", "1.1.0"), ("dual", "0.4.0"), ("three", "1.0.0"))


def _bridge(name: str, version: str, **options: object) -> Config:
    """Return the configuration of a network on bridge0."""
    fixed = {"cniVersion": version, "name": name, "type": "bridge", "bridge": "bridge0"}
    return {**fixed, **options}


def _host_local(*subnets: str, **limits: str) -> Config:
    """Return the configuration of addresses from each subnet."""
    ranges = [[{"subnet": subnet, **limits}] for subnet in subnets]
    return {"type": "host-local", "dataDir": DATA_DIR, "ranges": ranges}


def _port(kind: str, version: str) -> tuple[str, Config]:
    """Return a case without addresses."""
    name = f"{kind}-{version}"
    return name, _bridge(name, version, **(PORTS | PORTS_BY_DEFAULT)[kind])


def _gateway(kind: str, version: str, preserve: bool) -> tuple[str, Config]:
    """Return a case with a VLAN, addresses and a gateway for them."""
    name = f"gateway-{kind}-{'preserved' if preserve else 'alone'}"
    options = {"vlan": 100, "preserveDefaultVlan": preserve, "isDefaultGateway": True}
    addresses = _host_local(*SUBNETS[kind])
    return name, _bridge(name, version, **options, ipam=addresses)


PORT_CASES: dict[str, Config] = dict(
    [_port(kind, version) for kind in PORTS for version in VERSIONS]
    + [_port(kind, VERSIONS[-1]) for kind in PORTS_BY_DEFAULT]
)
GATEWAY_CASES: dict[str, Config] = dict(
    [_gateway(*kind, preserve) for kind in GATEWAYS for preserve in (True, False)]
)
OTHERS: dict[str, Config] = {
    "red": _bridge(
        "red", "1.0.0", vlan=100, isDefaultGateway=True, ipam=_host_local("10.1.2.0/24")
    ),
    "blue": _bridge(
        "blue",
        "1.0.0",
        vlan=200,
        ipam=_host_local("10.1.2.0/24", rangeStart="10.1.2.100"),
    ),
    "masquerade": _bridge(
        "masquerade",
        "1.0.0",
        isDefaultGateway=True,
        ipMasq=True,
        ipam=_host_local("10.1.3.0/24"),
    ),
    "small": _bridge(
        "small",
        "1.0.0",
        isGateway=True,
        ipMasq=True,
        ipam=_host_local("10.60.0.0/28"),
    ),
}
