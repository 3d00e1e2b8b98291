"""Many calls at once: each gets what it would have got alone."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.kernel.node import Answer, Namespace, Node

pytestmark = pytest.mark.timeout(120)

ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
IPAM: dict[str, dict[str, Any]] = {
    "inet": {"type": "host-local", "subnet": "10.60.0.0/24", "routes": ROUTES[:1]},
    "dual": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.60.0.0/24"}], [{"subnet": "fd60::/64"}]],
        "routes": ROUTES,
    },
}
GATEWAYS = {
    "inet": {"inet": ["10.60.0.1/24"], "inet6": []},
    "dual": {"inet": ["10.60.0.1/24"], "inet6": ["fd60::1/64"]},
}
ELEMENTS = {
    "masquerade4": "elements = { 10.60.0.0/24 }",
    "exempt4": "10.60.0.0/24 . 10.60.0.0/24",
}


def request(
    command: str, config: dict[str, Any], container_id: str, pod: Namespace
) -> dict[str, Any]:
    """One of many calls."""
    return {
        "command": command,
        "config": config,
        "container_id": container_id,
        "netns": pod,
    }


def require_success(answers: Iterable[Answer]) -> None:
    """All of the calls succeeded."""
    failed = [answer for answer in answers if answer.exit_code]
    assert failed == []


def addresses_of(answers: Iterable[Answer]) -> list[str]:
    """Every address that was given."""
    return sorted(ip["address"] for answer in answers for ip in answer.json["ips"])


def gateways(node: Node, bridge: str = "pyc0") -> dict[str, list[str]]:
    """The addresses of a bridge, by family."""
    return {family: node.addresses(bridge, family) for family in ("inet", "inet6")}


def ports_of(node: Node, bridge: str = "pyc0") -> list[str]:
    """The links whose master is a bridge."""
    links = node.links().values()
    return [link["ifname"] for link in links if link.get("master") == bridge]


def require_nothing_left(node: Node) -> None:
    """No lease, no record, no port, no rule."""
    found = [node.leases(), node.records(), ports_of(node), node.ruleset()]
    assert found == [[], [], [], ""]


@pytest.mark.parametrize("family", IPAM)
def test_64_pods_are_added_and_deleted_at_once(node: Node, family: str) -> None:
    """D2, CC1: 64 ADDs at once on a fresh node give 64 pods, 64 DELs take all back."""
    config = node.config(ipam=IPAM[family])
    pods = [node.pod() for _ in range(64)]

    answers = node.call_together(
        [request("ADD", config, f"c{i}", pod) for i, pod in enumerate(pods)]
    )

    require_success(answers)
    assert len(set(addresses_of(answers))) == 64 * len(IPAM[family].get("ranges", [0]))
    assert gateways(node) == GATEWAYS[family]
    assert len(ports_of(node)) == 64
    assert all(pod.ping("10.60.0.1") for pod in pods[::8])
    assert ELEMENTS["masquerade4"] in node.ruleset()
    answers = node.call_together(
        [request("DEL", config, f"c{i}", pod) for i, pod in enumerate(pods)]
    )
    require_success(answers)
    require_nothing_left(node)


@pytest.mark.parametrize("family", IPAM)
def test_first_pods_of_a_node_do_not_race_for_the_bridge(
    node: Node, family: str
) -> None:
    """D2: 30 ADDs at once without a bridge all succeed, with one gateway a family."""
    config = node.config(ipam=IPAM[family])
    pods = [node.pod() for _ in range(30)]

    for _ in range(4):
        answers = node.call_together(
            [request("ADD", config, f"c{i}", pod) for i, pod in enumerate(pods)]
        )

        require_success(answers)
        assert gateways(node) == GATEWAYS[family]
        links = node.links().values()
        bridges = [
            link["ifname"]
            for link in links
            if link.get("linkinfo", {}).get("info_kind") == "bridge"
        ]
        assert bridges == ["pyc0"]
        answers = node.call_together(
            [request("DEL", config, f"c{i}", pod) for i, pod in enumerate(pods)]
        )
        require_success(answers)
        require_nothing_left(node)
        node.run("ip", "link", "delete", "pyc0")


class Model:
    """Who holds which addresses, as the answers say."""

    def __init__(self, node: Node, config: dict[str, Any], pods: int) -> None:
        self.node = node
        self.config = config
        self.pods = {f"c{i}": node.pod() for i in range(pods)}
        self.held: dict[str, list[str]] = {}

    def step(self, chosen: list[str]) -> None:
        """Add those of the chosen that are absent and delete the others, at once."""
        commands = ["DEL" if name in self.held else "ADD" for name in chosen]
        answers = self.node.call_together(
            [
                request(command, self.config, name, self.pods[name])
                for command, name in zip(commands, chosen, strict=True)
            ]
        )
        require_success(answers)
        for command, name, answer in zip(commands, chosen, answers, strict=True):
            if command == "DEL":
                del self.held[name]
            else:
                self.held[name] = addresses_of([answer])

    def require(self) -> None:
        """The node is as the model says."""
        flat = sorted(a.partition("/")[0] for held in self.held.values() for a in held)
        assert self.node.leases() == flat
        assert self.node.records() == sorted(f"{name}@eth0" for name in self.held)
        found = {name: list(pod.links()) for name, pod in self.pods.items()}
        assert found == {
            name: ["lo", "eth0"] if name in self.held else ["lo"] for name in self.pods
        }
        assert len(set(flat)) == len(flat)
        assert ("masquerade4" in self.node.ruleset()) == bool(self.held)


@pytest.mark.parametrize("seed", range(3))
def test_adds_and_dels_mixed_at_random(node: Node, seed: int) -> None:
    """CC1: after any mixture of ADDs and DELs at once each pod has what it was told."""
    chance = random.Random(seed)  # noqa: S311 - a walk that can be repeated
    model = Model(node, node.config(ipam=IPAM["dual"]), 12)

    for _ in range(10):
        model.step(chance.sample(sorted(model.pods), chance.randint(1, 12)))

        model.require()
    model.step(sorted(model.held))
    require_nothing_left(node)


def test_add_beside_the_last_del_keeps_its_masquerade(node: Node) -> None:
    """CC1: an ADD that meets the DEL of the last pod is masqueraded in the end."""
    config = node.config(ipam=IPAM["inet"], macspoofchk=True)
    one, two = ("one", node.pod()), ("two", node.pod())
    node.add(config, *one)

    for _ in range(40):
        calls = [request("ADD", config, *two), request("DEL", config, *one)]
        require_success(node.call_together(calls))

        ruleset = node.ruleset()
        assert [text for text in ELEMENTS.values() if text not in ruleset] == []
        assert ruleset.count("veth") == 2
        one, two = two, one
    assert node.call("DEL", config, *one).exit_code == 0
    require_nothing_left(node)


def test_last_two_dels_at_once_leave_no_masquerade(node: Node) -> None:
    """CC1: the last two pods deleted at once leave neither masquerade nor table."""
    config = node.config(ipam=IPAM["inet"], macspoofchk=True)
    pods = {"one": node.pod(), "two": node.pod()}

    for _ in range(25):
        for command in ("ADD", "DEL"):
            calls = [request(command, config, *pod) for pod in pods.items()]
            require_success(node.call_together(calls))

        require_nothing_left(node)


def test_two_adds_of_one_container_at_once_attach_it_once(node: Node) -> None:
    """CC1, AD5: of two ADDs of one container at once one wins; DEL takes it back."""
    config = node.config(ipam=IPAM["dual"])
    pod = node.pod()

    for _ in range(20):
        answers = node.call_together([request("ADD", config, "c1", pod)] * 2)

        codes = sorted(answer.code for answer in answers)
        assert codes in ([0, 11], [0, 106]), answers
        won = next(answer for answer in answers if answer.code == 0)
        told = [text.partition("/")[0] for text in addresses_of([won])]
        assert node.leases() == told
        assert pod.addresses("eth0") + pod.addresses("eth0", "inet6") == addresses_of(
            [won]
        )
        assert pod.ping("10.60.0.1")
        assert node.call("DEL", config, "c1", pod).exit_code == 0
        require_nothing_left(node)


def test_add_and_del_of_one_container_at_once_agree(node: Node) -> None:
    """CC1: ADD and DEL of one container at once leave it whole, or nothing of it."""
    config = node.config(ipam=IPAM["dual"])
    pod = node.pod()

    for _ in range(20):
        calls = [request(command, config, "c1", pod) for command in ("ADD", "DEL")]
        added, deleted = node.call_together(calls)

        assert deleted.exit_code == 0, deleted
        if node.records():
            assert added.exit_code == 0, added
            assert pod.ping("10.60.0.1")
        assert node.call("DEL", config, "c1", pod).exit_code == 0
        require_nothing_left(node)


def other_network(node: Node, bridge: str) -> dict[str, Any]:
    """A second network beside blue."""
    ipam = {"type": "host-local", "subnet": "10.61.0.0/24", "routes": ROUTES[:1]}
    # One bridge has one IPv4 gateway address: the second network has none there.
    shared = bridge == "pyc0"
    return node.config(name="green", bridge=bridge, isGateway=not shared, ipam=ipam)


@pytest.mark.parametrize("bridge", ["pyc0", "pyc1"])
def test_two_networks_at_once_do_not_disturb_each_other(
    node: Node, bridge: str
) -> None:
    """CC1, D2: two networks grow at once, on bridges of their own or on the same."""
    blue, green = node.config(), other_network(node, bridge)
    pods = [node.pod() for _ in range(24)]
    mine = [(blue, green)[i % 2] for i in range(24)]

    def all_at_once(command: str) -> list[Answer]:
        return node.call_together(
            [
                request(command, config, f"c{i}", pod)
                for i, (config, pod) in enumerate(zip(mine, pods, strict=True))
            ]
        )

    answers = all_at_once("ADD")

    require_success(answers)
    assert node.leases("blue") == sorted(f"10.60.0.{i}" for i in range(2, 14))
    assert node.leases("green") == sorted(f"10.61.0.{i}" for i in range(2, 14))
    assert len(ports_of(node, "pyc0")) + len(ports_of(node, "pyc1")) == 24
    assert "elements = { 10.60.0.0/24, 10.61.0.0/24 }" in " ".join(
        node.ruleset().split()
    )
    assert all(pod.ping("10.60.0.1") for pod in pods[::6])
    require_success(all_at_once("DEL"))
    assert node.leases("green") == []
    require_nothing_left(node)
