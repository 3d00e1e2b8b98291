"""DEL in every order, failed ADDs, and attachments that are there already."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.node import KUBELET_ARGS
from tests.kernel.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kernel.node import Node

DONE = "Answer(0, '', '')"
ONE_ADDRESS = {"type": "host-local", "subnet": "10.60.0.0/30"}


def host_links(node: Node) -> list[str]:
    """The links of the node that are neither the loopback nor a bridge."""
    return sorted(set(node.links()) - {"lo", "pyc0"})


def left_over(node: Node) -> tuple[list[str], list[str], str]:
    """What is left of attachments: leases, records, ruleset."""
    return node.leases(), node.records(), node.ruleset()


NOTHING: tuple[list[str], list[str], str] = ([], [], "")


@pytest.mark.parametrize("args", [None, KUBELET_ARGS], ids=["runtime", "kubelet"])
@pytest.mark.parametrize("called_as", ["pycni", "bridge"])
@pytest.mark.parametrize("spoof_check", [False, True], ids=["plain", "spoof check"])
@pytest.mark.parametrize("way", ["empty", "unset", "gone", "no file"])
def test_del_without_a_namespace_frees_everything(
    node: Node, way: str, spoof_check: bool, called_as: str, args: str | None
) -> None:
    """DEL without CNI_NETNS or with a vanished one leaves nothing of the pod (B1)."""
    config, pod = node.config(macspoofchk=spoof_check), node.pod()
    node.add(config, "c1", pod, called_as=called_as, args=args)
    netns = {"empty": "", "unset": None, "gone": pod.path, "no file": "/no/such/file"}
    if way == "gone":
        pod.delete()

    answer = node.call("DEL", config, "c1", netns[way], called_as=called_as, args=args)

    assert repr(answer) == DONE
    assert left_over(node) == NOTHING
    links = node.links()
    del links["lo"], links["pyc0"]
    # With a kubelet the namespace takes the host end along, which is out of use.
    up = [name for name, link in links.items() if "UP" in link["flags"]]
    ports = [name for name, link in links.items() if "master" in link]
    assert (up, ports) == ([], [])
    if not args:
        assert links == {}


@pytest.mark.parametrize("args", [None, KUBELET_ARGS], ids=["runtime", "kubelet"])
def test_del_twice_succeeds(node: Node, args: str | None) -> None:
    """The second DEL of an attachment prints nothing and exits 0 (DE1, B1)."""
    config, pod = node.config(), node.pod()
    node.add(config, "c1", pod)

    answers = [node.call("DEL", config, "c1", pod, args=args) for _ in range(3)]

    assert [repr(answer) for answer in answers] == [DONE] * 3
    assert left_over(node) == NOTHING


@pytest.mark.parametrize("netns", [None, "", "/no/such/file", "a pod"])
def test_del_of_what_was_never_added_changes_nothing(
    node: Node, netns: str | None
) -> None:
    """DEL of an unknown container succeeds on an empty node and on a busy one (DE1)."""
    there = node.pod().path if netns == "a pod" else netns
    assert repr(node.call("DEL", node.config(), "c9", there)) == DONE
    node.add(node.config(), "c1", node.pod())
    before = node.snapshot()

    answer = node.call("DEL", node.config(), "c9", there)

    assert repr(answer) == DONE
    assert node.snapshot() == before


def test_del_of_one_pod_leaves_the_others(node: Node) -> None:
    """DEL takes away what is the pod's own; its neighbours keep what they share."""
    config = node.config()
    one, two = node.pod(), node.pod()
    node.add(config, "c1", one)
    node.add(config, "c2", two)
    ruleset = node.ruleset()

    node.call("DEL", config, "c1", one)

    assert (node.leases(), node.records()) == (["10.60.0.3"], ["c2@eth0"])
    assert node.ruleset() == ruleset
    assert two.ping("10.60.0.1")
    assert len(host_links(node)) == 1


def test_del_of_one_interface_leaves_the_other(node: Node) -> None:
    """Two interfaces of a container are two attachments, deleted one by one."""
    config, pod = node.config(), node.pod()
    node.add(config, "c1", pod)
    node.add(config, "c1", pod, ifname="net1")

    node.call("DEL", config, "c1", pod)

    assert (sorted(pod.links()), node.leases()) == (["lo", "net1"], ["10.60.0.3"])
    assert repr(node.call("DEL", config, "c1", pod, ifname="net1")) == DONE
    assert (sorted(pod.links()), left_over(node)) == (["lo"], NOTHING)


def test_a_failed_add_leaves_nothing(node: Node) -> None:
    """An ADD without a free address leaves the second pod as it was (B2)."""
    config = node.config(ipam=ONE_ADDRESS)
    first, second = node.pod(), node.pod()
    node.add(config, "c1", first)
    before = node.snapshot()

    answer = node.call("ADD", config, "c2", second)

    assert answer.code == 101
    assert sorted(second.links()) == ["lo"]
    assert node.snapshot() == before
    assert repr(node.call("DEL", config, "c2", second)) == DONE
    assert node.snapshot() == before


def test_a_first_add_that_fails_takes_the_bridge_back(node: Node) -> None:
    """An ADD that fails in the pod undoes bridge, ruleset, link and lease (AD6)."""
    pod = node.pod()
    pod.run("ip", "link", "add", "eth0", "type", "bridge")

    answer = node.call("ADD", node.config(), "c1", pod)

    assert (answer.code, answer.json["msg"]) == (
        106,
        f"CNI_IFNAME: eth0 exists already in {pod.path}",
    )
    assert sorted(node.links()) == ["lo"]
    assert left_over(node) == NOTHING
    assert pod.links()["eth0"]["linkinfo"]["info_kind"] == "bridge"


def test_an_add_over_a_live_attachment_is_refused(node: Node) -> None:
    """A second ADD is an error and leaves the first attachment as it is (B4, AD5)."""
    config, pod = node.config(), node.pod()
    node.add(config, "c1", pod)
    before = node.snapshot()

    answer = node.call("ADD", config, "c1", pod)

    assert answer.json == {
        "cniVersion": "1.0.0",
        "code": 106,
        "msg": "eth0 of c1 is attached to network blue already, duplicate allocation "
        "is not allowed",
    }
    assert node.snapshot() == before
    assert pod.ping("10.60.0.1")
    assert repr(node.call("DEL", config, "c1", pod)) == DONE
    assert left_over(node) == NOTHING


def test_an_add_from_another_namespace_is_refused_while_the_first_lives(
    node: Node,
) -> None:
    """A live attachment is not taken over by an ADD with another namespace (B4)."""
    config, first, second = node.config(), node.pod(), node.pod()
    node.add(config, "c1", first)

    answer = node.call("ADD", config, "c1", second)

    assert (answer.code, sorted(second.links())) == (106, ["lo"])
    assert first.addresses("eth0") == ["10.60.0.2/24"]


def test_an_attachment_whose_namespace_is_gone_is_replaced(node: Node) -> None:
    """ADD after the namespace died without a DEL has one lease at its end (B4)."""
    config, first, second = node.config(), node.pod(), node.pod()
    node.add(config, "c1", first)
    first.delete()
    wait_until(lambda: host_links(node) == [])

    result = node.add(config, "c1", second)

    assert node.leases() == [result["ips"][0]["address"].partition("/")[0]]
    assert (node.records(), len(host_links(node))) == (["c1@eth0"], 1)
    assert second.ping("10.60.0.1")


def changed(data: bytes, **changes: Any) -> bytes:
    """A record with some of its keys changed."""
    return json.dumps({**json.loads(data), **changes}).encode()


DAMAGE: dict[str, bytes | Callable[[bytes], bytes]] = {
    "empty": b"",
    "truncated": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "a list": b"[]",
    "no addresses": b'{"name":"blue","container_id":"c1","ifname":"eth0"}',
    "odd types": b'{"name":5,"container_id":{},"ifname":null,"addresses":[],"veth":5}',
    "odd masquerade": lambda data: changed(data, masquerade=[["10.60.0.0"]]),
    "odd MAC": lambda data: changed(data, mac="zz"),
    "odd link": lambda data: changed(data, veth=["veth0"]),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("netns", ["there", "gone"])
def test_del_with_a_damaged_record_frees_everything(
    node: Node, kind: str, netns: str
) -> None:
    """A record that can't be read costs nothing but a line in the log (B5)."""
    config, pod = node.config(macspoofchk=True), node.pod()
    node.add(config, "c1", pod)
    path = node.run_dir / "blue" / "attachments" / "c1@eth0"
    damage = DAMAGE[kind]
    path.write_bytes(damage if isinstance(damage, bytes) else damage(path.read_bytes()))
    if netns == "gone":
        pod.delete()
        wait_until(lambda: host_links(node) == [])

    answer = node.call("DEL", config, "c1", pod)

    assert repr(answer) == DONE
    assert (left_over(node), host_links(node)) == (NOTHING, [])
    (note,) = node.log_lines()[-1]["notes"]
    assert note.startswith(
        f"the record of eth0 of c1 in {node.run_dir}/blue is damaged"
    )
    assert note.endswith("what it had is found by its name")


@pytest.mark.parametrize("spoof_check", [False, True], ids=["plain", "spoof check"])
def test_del_without_a_record_goes_by_the_interface(
    node: Node, spoof_check: bool
) -> None:
    """A lost store is no reason to leave link, ruleset or lease of a pod (B5, A3)."""
    config, pod = node.config(macspoofchk=spoof_check), node.pod()
    node.add(config, "c1", pod)
    (node.run_dir / "blue" / "attachments" / "c1@eth0").unlink()

    answer = node.call("DEL", config, "c1", pod)

    assert repr(answer) == DONE
    assert (left_over(node), host_links(node)) == (NOTHING, [])


def test_del_after_the_store_is_gone_leaves_the_neighbours_their_masquerade(
    node: Node,
) -> None:
    """With all records lost, the ruleset goes with the last pod, not before (B5)."""
    config = node.config()
    node.add(config, "c1", node.pod())
    node.add(config, "c2", node.pod())
    ruleset = node.ruleset()
    shutil.rmtree(node.run_dir / "blue")

    assert repr(node.call("DEL", config, "c1")) == DONE
    assert (node.ruleset(), len(host_links(node))) == (ruleset, 1)
    assert repr(node.call("DEL", config, "c2")) == DONE
    assert (left_over(node), host_links(node)) == (NOTHING, [])


def test_gc_frees_what_lost_its_record(node: Node) -> None:
    """GC finds links, rules and leases whose record is lost or damaged (B1)."""
    config = node.config(macspoofchk=True, cniVersion="1.1.0")
    for name in ("lost", "broken"):
        node.add(config, name, node.pod())
    (node.run_dir / "blue" / "attachments" / "lost@eth0").unlink()
    (node.run_dir / "blue" / "attachments" / "broken@eth0").write_bytes(b"{")

    answer = node.call("GC", {**config, "cni.dev/valid-attachments": []})

    assert repr(answer) == DONE
    assert (left_over(node), host_links(node)) == (NOTHING, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"prevResult": None},
        {"prevResult": {}},
        {"prevResult": {"cniVersion": "9.9", "ips": 5}},
        {"futureKey": {"a": [1]}, "cni.dev/future": True},
        {"dns": {"nameservers": ["192.0.2.53"]}, "capabilities": {"mac": True}},
        {"runtimeConfig": {"future": 1}, "args": {"cni": {"labels": []}}},
    ],
    ids=str,
)
def test_del_does_not_lean_on_prev_result_or_known_keys(
    node: Node, changes: dict[str, Any]
) -> None:
    """DEL works without a prevResult, with a bad one, and with unknown keys (B5)."""
    config, pod = node.config(), node.pod()
    node.add(config, "c1", pod)

    answer = node.call("DEL", {**config, **changes}, "c1", pod)

    assert repr(answer) == DONE
    assert (left_over(node), host_links(node)) == (NOTHING, [])
