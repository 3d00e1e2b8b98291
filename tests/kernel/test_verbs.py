"""GC and STATUS: take away what nobody uses, and say whether ADD can work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kernel.node import Answer, Namespace, Node

VALID = "cni.dev/valid-attachments"
VALID_OLDER = "cni.dev/attachments"


def names(*container_ids: str, ifname: str = "eth0") -> list[dict[str, str]]:
    """Attachments as GC takes them."""
    return [{"containerID": name, "ifname": ifname} for name in container_ids]


def state_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with what is in it."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def snapshot(node: Node) -> list[Any]:
    """All that a call could change on a node."""
    sysctls = node.run("sysctl", "-a", "--pattern", r"^net\.ipv[46]\.(ip_fo|conf\.all)")
    links = {
        name: [link["flags"], link["mtu"], link.get("master"), link.get("ifalias")]
        for name, link in node.links().items()
    }
    addresses = node.run("ip", "-brief", "address", "show", "scope", "global")
    return [state_of(node.run_dir), links, addresses, node.ruleset(), sysctls]


class Five:
    """Five attachments of blue with all the trimmings, and one of green."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.blue = node.config(cniVersion="1.1.0", macspoofchk=True)
        green_ipam = {"type": "host-local", "subnet": "10.61.0.0/24"}
        self.green = node.config(
            cniVersion="1.1.0", name="green", bridge="pyc1", ipam=green_ipam
        )
        self.pods = {f"c{i}": node.pod() for i in range(1, 6)}
        for name, pod in self.pods.items():
            node.add(self.blue, name, pod)
        self.other = node.pod()
        node.add(self.green, "c3", self.other)

    def collect(self, **keys: Any) -> Answer:
        """GC of blue."""
        return self.node.call("GC", {**self.blue, **keys})

    def observe(self) -> dict[str, Any]:
        """Who of blue is still there, in each place where it could be."""
        links = self.node.links()
        aliases = [str(link.get("ifalias", "")).split() for link in links.values()]
        return {
            "leases": self.node.leases(),
            "records": self.node.records(),
            "host ends": sorted(a[2] for a in aliases if a[1:2] == ["blue"]),
            "pods": [name for name, pod in self.pods.items() if "eth0" in pod.links()],
            "checked ports": self.node.ruleset().count("veth") // 2,
        }

    def require(self, *kept: str) -> None:
        """These are whole, the others gone; green and what is shared is untouched."""
        numbers = [int(name[1:]) + 1 for name in kept]
        assert self.observe() == {
            "leases": [f"10.60.0.{number}" for number in numbers],
            "records": [f"{name}@eth0" for name in kept],
            "host ends": list(kept),
            "pods": list(kept),
            "checked ports": len(kept),
        }
        for name in kept:
            assert self.pods[name].ping("10.60.0.1")
        ruleset = self.node.ruleset()
        assert ("10.60.0.0/24" in ruleset) == bool(kept)
        assert "10.61.0.0/24" in ruleset
        assert self.node.leases("green") == ["10.61.0.2"]
        assert self.other.ping("10.61.0.1")


GIVEN: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "two are valid": ({VALID: names("c1", "c2")}, ("c1", "c2")),
    "the older key alone": ({VALID_OLDER: names("c4")}, ("c4",)),
    "either key counts": (
        {VALID: names("c1"), VALID_OLDER: names("c5")},
        ("c1", "c5"),
    ),
    "another interface is another attachment": (
        {VALID: names("c1", ifname="net1") + names("c2")},
        ("c2",),
    ),
    "nothing is valid": ({VALID: []}, ()),
    "nobody knows them": ({VALID: names("x1", "x2")}, ()),
}


@pytest.mark.parametrize("given", GIVEN)
def test_gc_takes_what_is_not_valid_and_nothing_else(node: Node, given: str) -> None:
    """J1, GC1, GC6: GC takes address, veth and rules of all that is not valid."""
    keys, kept = GIVEN[given]
    five = Five(node)
    helpers = [node.run_dir / "blue" / name for name in ("lock", "last_reserved_ip.0")]

    answer = five.collect(**keys)

    assert (answer.exit_code, answer.stdout) == (0, "")
    five.require(*kept)
    assert [path.exists() for path in helpers] == [True, True]
    if kept:
        assert five.collect(**keys).exit_code == 0
        five.require(*kept)


@pytest.mark.parametrize(
    ("keys", "code"),
    [({}, 7), ({VALID: None}, 7), ({VALID: ["c1"]}, 6), ({VALID: [{}]}, 6)],
    ids=["missing", "null", "not objects", "empty objects"],
)
def test_gc_without_a_list_removes_nothing(
    node: Node, keys: dict[str, Any], code: int
) -> None:
    """J1, GC5: without a list that can be read GC is an error and removes nothing."""
    five = Five(node)
    before = snapshot(node)

    answer = five.collect(**keys)

    assert answer.code == code, answer
    assert VALID in answer.json["msg"]
    assert snapshot(node) == before
    five.require("c1", "c2", "c3", "c4", "c5")


def test_gc_takes_leases_and_links_that_have_no_record(node: Node) -> None:
    """J1: what is left of an attachment without its record is collected too."""
    five = Five(node)
    for name in ("c1", "c2", "c3"):
        (node.run_dir / "blue" / "attachments" / f"{name}@eth0").unlink()
    lease = node.run_dir / "blue" / "10.60.0.200"
    lease.write_bytes(b"long-gone\r\neth0")

    answer = five.collect(**{VALID: names("c1", "c4", "c5")})

    assert answer.exit_code == 0, answer
    assert node.leases() == ["10.60.0.2", "10.60.0.5", "10.60.0.6"]
    assert five.observe()["pods"] == ["c1", "c4", "c5"]


def test_gc_goes_on_after_a_record_that_is_damaged(node: Node) -> None:
    """GC2: a damaged record does not keep GC from the other attachments."""
    five = Five(node)
    (node.run_dir / "blue" / "attachments" / "c1@eth0").write_bytes(b"{")

    answer = five.collect(**{VALID: names("c5")})

    assert five.observe()["pods"] == ["c5"], answer
    assert node.leases() == ["10.60.0.6"]


def status(node: Node, config: dict[str, Any]) -> tuple[int, str]:
    """Code and sentence of STATUS."""
    answer = node.call("STATUS", config, container_id="", ifname="")
    if answer.exit_code == 0:
        assert answer.stdout == ""
        return 0, ""
    return answer.code, answer.json["msg"]


def blue(node: Node, **changes: Any) -> dict[str, Any]:
    """The network blue with the version that brought STATUS."""
    return node.config(**{"cniVersion": "1.1.0", **changes})


def managed(node: Node) -> dict[str, Any]:
    """A configuration whose network the agent writes as node state."""
    return blue(node, ipam=None, bridge=None, isGateway=None, ipMasq=None)


def write_state(node: Node) -> Path:
    """What the agent writes for the network blue."""
    path = node.folder / "state" / "networks" / "blue.json"
    path.parent.mkdir(parents=True)
    config = {key: node.config()[key] for key in ("bridge", "isGateway", "ipam")}
    state = {"version": 1, "reads": 1, "name": "blue", "default": True}
    path.write_text(json.dumps({**state, "config": config}))
    return path


def test_status_is_good_before_the_first_pod(node: Node) -> None:
    """J2, ST1: STATUS succeeds on a node that has no pod and no bridge yet."""
    assert status(node, blue(node)) == (0, "")


def test_status_without_an_agent(node: Node) -> None:
    """J2: where no agent wrote a network STATUS is 50, once it did it is 0."""
    config = managed(node)
    folder = node.folder / "state" / "networks"

    before = status(node, config)
    write_state(node)

    assert before == (
        50,
        f"no network in {folder}: the agent of this node has not written one yet",
    )
    assert status(node, config) == (0, "")


def test_status_with_damaged_node_state(node: Node) -> None:
    """J2: STATUS is 50 while the node state can't be read; DEL works all the same."""
    config, pod = managed(node), node.pod()
    path = write_state(node)
    node.add(config, "c1", pod)
    path.write_text("{")

    assert status(node, config) == (50, f"the node state {path} can't be read")
    assert node.call("DEL", config, "c1", pod).exit_code == 0
    assert "eth0" not in pod.links()
    assert node.leases() == []


def test_status_says_that_the_range_is_full(node: Node) -> None:
    """J2, ST3: STATUS is 50 with the range when no address is left, then 0 again."""
    ipam = {"type": "host-local", "subnet": "10.60.0.0/30"}
    config, pod = blue(node, ipam=ipam), node.pod()
    node.add(config, "c1", pod)

    full = status(node, config)

    assert full == (
        50,
        "failed to allocate for range 0: no IP addresses available in range set: "
        "10.60.0.1-10.60.0.2",
    )
    assert node.call("DEL", config, "c1", pod).exit_code == 0
    assert status(node, config) == (0, "")


def _bridge_gone(node: Node) -> None:
    node.run("ip", "link", "delete", "pyc0")


def _gateway_gone(node: Node) -> None:
    node.run("ip", "address", "flush", "dev", "pyc0", "scope", "global")


def _bridge_down(node: Node) -> None:
    node.run("ip", "link", "set", "pyc0", "down")


CUT_OFF: dict[str, tuple[Callable[[Node], None], str]] = {
    "bridge gone": (_bridge_gone, "bridge pyc0 is gone"),
    "bridge down": (_bridge_down, "bridge pyc0 is down"),
    "gateway gone": (
        _gateway_gone,
        "bridge pyc0 has lost the gateway address 10.60.0.1/24",
    ),
}


@pytest.mark.parametrize("broken", CUT_OFF)
def test_status_says_that_pods_are_cut_off(node: Node, broken: str) -> None:
    """J2, B2: with pods there, STATUS is 51 and names what cuts them off."""
    config = blue(node)
    node.add(config, "c1", node.pod())
    cut, sentence = CUT_OFF[broken]
    cut(node)

    assert status(node, config) == (
        51,
        f"pods of network blue may be cut off: {sentence}",
    )


def test_status_is_good_without_a_bridge_where_no_pod_is(node: Node) -> None:
    """J2: without pods a missing bridge is no fault, as the next ADD makes it."""
    config, pod = blue(node), node.pod()
    node.add(config, "c1", pod)
    assert node.call("DEL", config, "c1", pod).exit_code == 0

    _bridge_gone(node)

    assert status(node, config) == (0, "")
    node.add(config, "c2", pod)


def attached_pod(node: Node) -> Namespace:
    """A pod of blue."""
    pod = node.pod()
    node.add(blue(node), "c1", pod)
    return pod


@pytest.mark.parametrize("pods", [0, 1])
def test_status_has_no_side_effect(node: Node, pods: int) -> None:
    """J2: asked a hundred times, STATUS answers alike and changes nothing."""
    for _ in range(pods):
        attached_pod(node)
    before = snapshot(node)

    answers = {status(node, blue(node)) for _ in range(100)}

    assert answers == {(0, "")}
    assert snapshot(node) == before
