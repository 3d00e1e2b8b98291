"""CHECK: silent over what ADD made, and one sentence for each thing that is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kernel.node import Answer, Node

VERSIONS = ["0.4.0", "1.0.0", "1.1.0"]


class Attached:
    """An attachment with everything that CHECK looks at."""

    def __init__(self, node: Node, version: str = "1.1.0") -> None:
        self.node = node
        self.pod = node.pod()
        ipam = {
            "type": "host-local",
            "ranges": [[{"subnet": "10.60.0.0/24"}], [{"subnet": "fd60::/64"}]],
            "routes": [
                {"dst": "0.0.0.0/0"},
                {"dst": "::/0"},
                {"dst": "203.0.113.0/24", "gw": "10.60.0.1"},
            ],
        }
        self.config = node.config(
            cniVersion=version,
            ipam=ipam,
            hairpinMode=True,
            portIsolation=True,
            macspoofchk=True,
            mtu=1400,
        )
        self.result = node.add(self.config, "c1", self.pod)
        self.veth = self.result["interfaces"][1]["name"]

    def check(self, previous: Any = None) -> Answer:
        """CHECK with the result of ADD, or with another one."""
        config = {**self.config, "prevResult": previous or self.result}
        return self.node.call("CHECK", config, "c1", self.pod)

    def lease(self) -> Any:
        """The file of its IPv4 lease."""
        return self.node.run_dir / "blue" / "10.60.0.2"


@pytest.mark.parametrize("version", VERSIONS)
def test_check_succeeds_right_after_add(node: Node, version: str) -> None:
    """J3, CK4: CHECK right after ADD is silent, in every version that has it."""
    attached = Attached(node, version)

    answers = [attached.check() for _ in range(3)]

    assert [(a.exit_code, a.stdout) for a in answers] == [(0, "")] * 3


@pytest.mark.parametrize("version", VERSIONS)
def test_check_ignores_what_other_plugins_added(node: Node, version: str) -> None:
    """J3, CK3: interfaces, addresses and routes of a later plugin are no difference."""
    attached = Attached(node, version)
    pod, previous = attached.pod, {**attached.result}
    pod.run("ip", "link", "add", "tun0", "type", "veth", "peer", "tun1")
    pod.run("ip", "address", "add", "10.99.0.2/24", "dev", "tun0")
    pod.run("ip", "address", "add", "10.98.0.2/24", "dev", "eth0")
    pod.run("ip", "route", "add", "198.51.100.0/24", "via", "10.60.0.1")
    foreign = {"name": "tun0", "mac": "02:00:00:00:00:99", "sandbox": pod.path}
    ips: dict[str, Any] = {"interface": 3, "address": "10.99.0.2/24"}
    if version == "0.4.0":
        ips["version"] = "4"
    previous["interfaces"] = [*previous["interfaces"], foreign]
    previous["ips"] = [*previous["ips"], ips]
    previous["routes"] = [*previous["routes"], {"dst": "198.51.100.0/24"}]

    answer = attached.check(previous)

    assert (answer.exit_code, answer.stdout) == (0, "")


def in_pod(*command: str) -> Callable[[Attached], None]:
    """Break by a command in the pod."""
    return lambda attached: _run(attached.pod, attached, command)


def on_node(*command: str) -> Callable[[Attached], None]:
    """Break by a command on the node; VETH stands for the host end."""
    return lambda attached: _run(attached.node, attached, command)


def _run(place: Any, attached: Attached, command: tuple[str, ...]) -> None:
    place.run(*[word.replace("VETH", attached.veth) for word in command])


def delete_rule(attached: Attached) -> None:
    """Delete the rule that masquerades IPv4."""
    listing = attached.node.run("nft", "-a", "list", "chain", "inet pycni postrouting")
    line = next(li for li in listing.splitlines() if "@masquerade4" in li)
    attached.node.run(
        "nft", f"delete rule inet pycni postrouting {line[line.index('handle') :]}"
    )


def end_netns(attached: Attached) -> None:
    """End the pod's namespace, and wait until its interface is gone with it."""
    attached.pod.delete()
    wait_until(lambda: attached.veth not in attached.node.links())


BREAKS = {
    "address": in_pod("ip", "address", "delete", "10.60.0.2/24", "dev", "eth0"),
    "IPv6 address": in_pod("ip", "address", "delete", "fd60::2/64", "dev", "eth0"),
    "default route": in_pod("ip", "route", "delete", "default"),
    "IPv6 default route": in_pod("ip", "-6", "route", "delete", "default"),
    "other route": in_pod("ip", "route", "delete", "203.0.113.0/24"),
    "pod's end down": in_pod("ip", "link", "set", "eth0", "down"),
    "host end down": on_node("ip", "link", "set", "VETH", "down"),
    "interface gone": in_pod("ip", "link", "delete", "eth0"),
    "off the bridge": on_node("ip", "link", "set", "VETH", "nomaster"),
    "bridge gone": on_node("ip", "link", "delete", "pyc0"),
    "bridge down": on_node("ip", "link", "set", "pyc0", "down"),
    "gateway address": on_node(
        "ip", "address", "delete", "10.60.0.1/24", "dev", "pyc0"
    ),
    "IPv6 gateway": on_node("ip", "address", "delete", "fd60::1/64", "dev", "pyc0"),
    "forwarding": on_node("sysctl", "-q", "net.ipv4.ip_forward=0"),
    "MAC": in_pod("ip", "link", "set", "eth0", "address", "02:00:00:00:00:07"),
    "MTU in the pod": in_pod("ip", "link", "set", "eth0", "mtu", "1300"),
    "MTU of the host end": on_node("ip", "link", "set", "VETH", "mtu", "1300"),
    "MTU of the bridge": on_node("ip", "link", "set", "pyc0", "mtu", "1300"),
    "hairpin": on_node("bridge", "link", "set", "dev", "VETH", "hairpin", "off"),
    "isolation": on_node("bridge", "link", "set", "dev", "VETH", "isolated", "off"),
    "masquerade element": on_node(
        "nft", "delete element inet pycni masquerade4 { 10.60.0.0/24 }"
    ),
    "exempt element": on_node(
        "nft", "delete element inet pycni exempt6 { fd60::/64 . ff00::/8 }"
    ),
    "table flushed": on_node("nft", "flush table inet pycni"),
    "table gone": on_node("nft", "delete table inet pycni"),
    "rule deleted": delete_rule,
    "spoof check gone": on_node("nft", "delete table bridge pycni"),
    "spoof check flushed": on_node("nft", "flush chain bridge pycni prerouting"),
    "port not checked": on_node("nft", 'delete element bridge pycni ports { "VETH" }'),
    "lease gone": lambda attached: attached.lease().unlink(),
    "lease of another": lambda attached: attached.lease().write_bytes(b"c9\r\neth0"),
    "netns gone": end_netns,
}
GATEWAY_LOST = "bridge pyc0 has lost the gateway address"
MASQUERADE_GONE = "masquerade of {} is gone from nftables table pycni"
RULES_CHANGED = "the rules of nftables chain pycni postrouting were changed"
SPOOF_GONE = "the MAC spoof check of VETH is gone from nftables"
NO_LEASE = "no lease of 10.60.0.2/24 for this attachment"
ROUTES_GONE = [
    "route 0.0.0.0/0 of eth0 is gone",
    "route ::/0 of eth0 is gone",
    "route 203.0.113.0/24 of eth0 is gone",
]
# What CHECK says; things that the kernel takes along are named as well.
SENTENCES = {
    "address": ["interface eth0 has lost address 10.60.0.2/24", *ROUTES_GONE[::2]],
    "IPv6 address": ["interface eth0 has lost address fd60::2/64"],
    "default route": ROUTES_GONE[:1],
    "IPv6 default route": ROUTES_GONE[1:2],
    "other route": ROUTES_GONE[2:],
    "pod's end down": ["interface eth0 is down", *ROUTES_GONE],
    "host end down": ["host interface VETH is down"],
    "interface gone": [
        "host interface VETH is gone",
        "interface eth0 is gone from POD",
    ],
    "off the bridge": ["host interface VETH is no port of bridge pyc0"],
    "bridge gone": [
        "bridge pyc0 is gone",
        "host interface VETH is no port of bridge pyc0",
    ],
    "bridge down": ["bridge pyc0 is down", f"{GATEWAY_LOST} fd60::1/64"],
    "gateway address": [f"{GATEWAY_LOST} 10.60.0.1/24"],
    "IPv6 gateway": [f"{GATEWAY_LOST} fd60::1/64"],
    "forwarding": ["sysctl net/ipv4/ip_forward is off"],
    "MAC": ["interface eth0 has MAC 02:00:00:00:00:07, not MAC"],
    "MTU in the pod": ["interface eth0 has MTU 1300, not 1400"],
    "MTU of the host end": ["host interface VETH has MTU 1300, not 1400"],
    "MTU of the bridge": ["bridge pyc0 has MTU 1300, not 1400"],
    "hairpin": ["hairpin mode of VETH is off"],
    "isolation": ["port isolation of VETH is off"],
    "masquerade element": [MASQUERADE_GONE.format("10.60.0.0/24")],
    "exempt element": [MASQUERADE_GONE.format("fd60::/64")],
    "table flushed": [RULES_CHANGED],
    "table gone": [
        MASQUERADE_GONE.format("10.60.0.0/24"),
        MASQUERADE_GONE.format("fd60::/64"),
    ],
    "rule deleted": [RULES_CHANGED],
    "spoof check gone": [SPOOF_GONE],
    "spoof check flushed": ["the MAC spoof check has 0 rules in nftables, not 1"],
    "port not checked": [SPOOF_GONE],
    "lease gone": [NO_LEASE],
    "lease of another": [NO_LEASE],
    "netns gone": ["host interface VETH is gone", "CNI_NETNS: POD is gone"],
}


@pytest.mark.parametrize("broken", BREAKS)
def test_check_names_what_is_broken(node: Node, broken: str) -> None:
    """J3, B3, CK2: one thing broken after ADD makes CHECK fail with its name."""
    attached = Attached(node)
    BREAKS[broken](attached)

    answer = attached.check()

    sentence = "; ".join(SENTENCES[broken])
    for word, text in (
        ("VETH", attached.veth),
        ("POD", attached.pod.path),
        ("not MAC", f"not {attached.result['interfaces'][2]['mac']}"),
    ):
        sentence = sentence.replace(word, text) if word in sentence else sentence
    assert answer.exit_code == 1
    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 107,
        "msg": sentence,
        "details": "eth0 of c1 in network blue",
    }


def test_check_names_an_address_that_is_not_the_lease(node: Node) -> None:
    """J3: a prevResult with another address is told from the address of the lease."""
    attached = Attached(node)
    first = {**attached.result["ips"][0], "address": "10.60.0.77/24"}

    answer = attached.check({**attached.result, "ips": [first]})

    assert (answer.code, answer.json["msg"].split("; ")[:3]) == (
        107,
        [
            "no lease of 10.60.0.77/24 for this attachment",
            "prevResult lacks the address 10.60.0.2 of this attachment",
            "prevResult lacks the address fd60::2 of this attachment",
        ],
    )


def test_check_changes_nothing(node: Node) -> None:
    """CK4: CHECK of a broken attachment leaves it as it is."""
    attached = Attached(node)
    attached.pod.run("ip", "route", "delete", "default")
    attached.node.run("nft", "delete", "table", "bridge", "pycni")

    def observe() -> list[Any]:
        files = sorted(path for path in node.run_dir.rglob("*") if path.is_file())
        return [
            node.ruleset(),
            node.run("ip", "-brief", "address", "show", "scope", "global"),
            attached.pod.run("ip", "-brief", "address", "show", "scope", "global"),
            attached.pod.routes(),
            [(path, path.read_bytes()) for path in files],
        ]

    before = observe()
    answers = [attached.check() for _ in range(3)]

    assert [answer.code for answer in answers] == [107] * 3
    assert observe() == before
