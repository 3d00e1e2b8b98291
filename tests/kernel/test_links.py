"""The veth pair of a pod: its ends, names, alias, MACs; and the node's forwarding.

The reference plugins test these in their shared packages (section E).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.expected import (
    POOLS,
    assert_attached,
    assert_detached,
    assert_no_trace,
    bridge_config,
    delete,
    global_addresses,
    host_end,
)
from tests.kernel.waiting import wait_until

if TYPE_CHECKING:
    from tests.kernel.node import Namespace, Node


def test_the_ends_are_each_others_peer(node: Node) -> None:
    """The host end lies in the node, its peer is the pod's end, and the reverse (E)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"])

    node.add(config, "c1", pod, called_as="bridge")

    host, container = node.links()[host_end(node)], pod.links()["eth0"]
    assert host["link_index"] == container["ifindex"]
    assert container["link_index"] == host["ifindex"]
    assert host["address"] != container["address"]
    assert_attached(node, pod, POOLS["v4"])


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
@pytest.mark.parametrize(
    ("kind", "addresses"),
    [("v4", " 10.1.2.2"), ("dual", " 192.168.0.2,fd00::2"), (None, "")],
)
def test_the_alias_names_the_attachment(
    node: Node, kind: str | None, addresses: str, called_as: str
) -> None:
    """The alias of the host end says network, container, interface, addresses (E)."""
    pool = POOLS[kind] if kind else None
    config = bridge_config(node, called_as, "1.0.0", pool)

    node.add(config, "3f9a", node.pod(), called_as=called_as)

    alias = node.links()[host_end(node)]["ifalias"]
    assert alias == f"pycni blue 3f9a eth0{addresses}"


def test_the_host_end_has_one_name_a_pod(node: Node) -> None:
    """An attachment has the same host end after DEL and ADD, and no other has (E)."""
    one, two = node.pod(), node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"])

    first = node.add(config, "c1", one, called_as="bridge")
    other = node.add(config, "c2", two, called_as="bridge")
    delete(node, config, one, called_as="bridge")
    again = node.add(config, "c1", one, called_as="bridge")

    names = [result["interfaces"][1]["name"] for result in (first, other, again)]
    assert names[0] == names[2] != names[1]
    assert [len(name) for name in names] == [15, 15, 15]


def test_a_second_interface_of_a_pod(node: Node) -> None:
    """A pod has one pair for each interface name, and DEL takes one of them (E)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"])

    node.add(config, "c1", pod, called_as="bridge")
    node.add(config, "c1", pod, ifname="eth1", called_as="bridge")

    assert sorted(pod.links()) == ["eth0", "eth1", "lo"]
    assert global_addresses(pod, "eth1") == ["10.1.2.3/24"]

    delete(node, config, pod, ifname="eth1", called_as="bridge")
    assert_attached(node, pod, POOLS["v4"])

    delete(node, config, pod, called_as="bridge")
    assert_detached(node, pod)


@pytest.mark.parametrize("ifname", ["a", "eth0.100", "abcdefghijklmno", "é"])
def test_any_valid_interface_name(node: Node, ifname: str) -> None:
    """The pod's end has the name of CNI_IFNAME, of 1 to 15 bytes (AD1, EN4)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["dual"])

    result = node.add(config, "c1", pod, ifname=ifname, called_as="bridge")

    assert sorted(pod.links()) == sorted([ifname, "lo"])
    assert result["interfaces"][2]["name"] == ifname

    delete(node, config, pod, ifname=ifname, called_as="bridge")
    assert_detached(node, pod)


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
def test_a_name_that_the_pod_has(node: Node, called_as: str) -> None:
    """An interface of the name asked for is an error that says where (E, AD2)."""
    pod = node.pod()
    pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    before = pod.links()["eth0"]
    config = bridge_config(node, called_as, "1.0.0", POOLS["v4"])

    answer = node.call("ADD", config, "c1", pod, called_as=called_as)

    assert answer.json == {
        "cniVersion": "1.0.0",
        "code": 106,
        "msg": f"CNI_IFNAME: eth0 exists already in {pod.path}",
    }
    assert pod.links()["eth0"] == before
    assert list(node.links()) == ["lo"]
    assert_no_trace(node)


def test_a_name_that_the_node_has(node: Node) -> None:
    """A foreign link of the host end's name is a named error, and stays (E)."""
    one, two = node.pod(), node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"])
    name = node.add(config, "c1", one, called_as="bridge")["interfaces"][1]["name"]
    delete(node, config, one, called_as="bridge")
    node.run("ip", "link", "add", name, "type", "veth", "peer", "name", "foreign")
    node.run("ip", "link", "set", name, "alias", "not of a CNI plugin")

    answer = node.call("ADD", config, "c1", two, called_as="bridge")

    assert answer.json == {
        "cniVersion": "1.0.0",
        "code": 100,
        "msg": f"add veth {name} with peer eth0: File exists",
    }
    assert sorted(node.links()) == sorted(["bridge0", "foreign", "lo", name])
    assert list(two.links()) == ["lo"]
    assert_no_trace(node)


def test_delete_leaves_a_foreign_link(node: Node) -> None:
    """DEL does not take a link that only has the host end's name (E, DE1)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"])
    name = node.add(config, "c1", pod, called_as="bridge")["interfaces"][1]["name"]
    pod.run("ip", "link", "delete", "eth0")
    node.run("ip", "link", "add", name, "type", "veth", "peer", "name", "foreign")
    node.run("ip", "link", "set", name, "alias", "not of a CNI plugin")

    delete(node, config, pod, called_as="bridge")

    assert sorted(node.links()) == sorted(["bridge0", "foreign", "lo", name])
    assert_no_trace(node)


@pytest.mark.parametrize("kind", ["dual", None])
@pytest.mark.parametrize("gone", ["eth0", "host end", "namespace"])
def test_delete_of_a_link_that_is_gone(node: Node, gone: str, kind: str | None) -> None:
    """DEL succeeds, twice, where a link was removed before it (E, DE1)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS[kind] if kind else None)
    node.add(config, "c1", pod, called_as="bridge")
    if gone == "eth0":
        pod.run("ip", "link", "delete", "eth0")
    elif gone == "host end":
        node.run("ip", "link", "delete", host_end(node))
    else:
        pod.delete()

    delete(node, config, pod, called_as="bridge")
    delete(node, config, pod, called_as="bridge")

    assert sorted(node.links()) == ["bridge0", "lo"]
    assert_no_trace(node)


def test_v6_addresses_survive_a_link_that_goes_down(node: Node) -> None:
    """An IPv6 address is kept while the interface is down for a moment (E)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["dual"])
    node.add(config, "c1", pod, called_as="bridge")

    pod.run("ip", "link", "set", "eth0", "down")
    while_down = global_addresses(pod, "eth0")
    pod.run("ip", "link", "set", "eth0", "up")

    assert while_down == ["192.168.0.2/24", "fd00::2/64"]
    wait_until(lambda: pod.ping("fd00::1"))


def test_ipv6_is_switched_on_for_a_pod_that_has_it_off(node: Node) -> None:
    """In a namespace with IPv6 disabled the interface gets its IPv6 address (E)."""
    pod = node.pod()
    for scope in ("all", "default", "lo"):
        pod.run("sysctl", "-qw", f"net.ipv6.conf.{scope}.disable_ipv6=1")
    config = bridge_config(node, "bridge", "1.0.0", POOLS["dual"])

    node.add(config, "c1", pod, called_as="bridge")

    assert global_addresses(pod, "eth0") == ["192.168.0.2/24", "fd00::2/64"]
    assert pod.ping("fd00::1")


FORWARDING = {"v4": "net.ipv4.ip_forward", "v6": "net.ipv6.conf.all.forwarding"}


def forwarding(node: Node) -> dict[str, str]:
    """Whether the node forwards, by family."""
    return {family: node.run("sysctl", "-n", key) for family, key in FORWARDING.items()}


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("v4", {"v4": "1", "v6": "0"}),
        ("v6", {"v4": "0", "v6": "1"}),
        ("dual", {"v4": "1", "v6": "1"}),
        (None, {"v4": "0", "v6": "0"}),
    ],
)
def test_the_node_forwards_what_it_is_gateway_of(
    node: Node, kind: str | None, wanted: dict[str, str]
) -> None:
    """Forwarding is on for exactly the families that have a gateway (E)."""
    for key in FORWARDING.values():
        node.run("sysctl", "-qw", f"{key}=0")
    config = bridge_config(node, "bridge", "1.0.0", POOLS[kind] if kind else None)

    node.add(config, "c1", node.pod(), called_as="bridge")

    assert forwarding(node) == wanted


# Runs the plugin where these files can only be read, for it alone.
READ_ONLY = """
set -e
mount --make-rprivate /
for file in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; do
    mount --bind "$file" "$file"
    mount -o remount,bind,ro "$file"
done
exec "$@"
"""
READ_ONLY_WRAPPER = ("unshare", "--mount", "sh", "-c", READ_ONLY, "sh")


def set_forwarding(node: Node, value: str) -> None:
    """Switch forwarding of a node on or off, for both families."""
    for key in FORWARDING.values():
        node.run("sysctl", "-qw", f"{key}={value}")


def test_forwarding_is_not_written_again(node: Node) -> None:
    """Where the node forwards already, ADD does not write ip_forward (E)."""
    set_forwarding(node, "1")
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["dual"])

    node.add(config, "c1", pod, called_as="bridge", wrapper=READ_ONLY_WRAPPER)

    assert_attached(node, pod, POOLS["dual"])


def test_forwarding_that_cannot_be_written(node: Node) -> None:
    """Where forwarding is off and cannot be set, ADD says so and is undone (E, AD6)."""
    set_forwarding(node, "0")
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["dual"])

    answer = node.call(
        "ADD", config, "c1", pod, called_as="bridge", wrapper=READ_ONLY_WRAPPER
    )

    assert answer.json == {
        "cniVersion": "1.0.0",
        "code": 100,
        "msg": "sysctl net/ipv4/ip_forward is 0 and can't be set to 1",
        "details": "Read-only file system",
    }
    assert list(node.links()) == ["lo"]
    assert_nothing_in(pod)
    assert_no_trace(node)


def assert_nothing_in(pod: Namespace) -> None:
    """A pod has no interface but lo."""
    assert list(pod.links()) == ["lo"]
