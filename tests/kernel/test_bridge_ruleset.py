"""What a bridge attachment puts into nftables, and that it goes with the last one.

Masquerade is asserted by the whole ruleset; the MAC spoof check by frames as well.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kernel.expected import (
    CALLS,
    FLAT_VERSIONS,
    POOLS,
    assert_detached,
    bridge_config,
    delete,
    host_end,
)

if TYPE_CHECKING:
    from tests.kernel.node import Namespace, Node

MASQUERADE = """\
table inet pycni {
    set masquerade4 {
        type ipv4_addr
        flags interval
        elements = { 192.168.0.0/24 }
    }
    set exempt4 {
        type ipv4_addr . ipv4_addr
        flags interval
        elements = { 192.168.0.0/24 . 192.168.0.0/24, 192.168.0.0/24 . 224.0.0.0/4 }
    }
    set masquerade6 {
        type ipv6_addr
        flags interval
        elements = { fd00::/64 }
    }
    set exempt6 {
        type ipv6_addr . ipv6_addr
        flags interval
        elements = { fd00::/64 . fd00::/64, fd00::/64 . ff00::/8 }
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr . ip daddr @exempt4 return
        ip saddr @masquerade4 masquerade fully-random
        ip6 saddr . ip6 daddr @exempt6 return
        ip6 saddr @masquerade6 masquerade fully-random
    }
}
"""


def plain(ruleset: str) -> str:
    """A ruleset on one line, the elements of each set in order."""

    def in_order(braces: re.Match[str]) -> str:
        elements = sorted(element.strip() for element in braces[1].split(","))
        return f"{{ {', '.join(elements)} }}"

    return re.sub(r"\{([^{}]*)\}", in_order, " ".join(ruleset.split()))


@pytest.mark.parametrize("version", FLAT_VERSIONS)
@pytest.mark.parametrize("backend", [None, "iptables", "nftables"])
def test_masquerade_comes_and_goes(
    node: Node, backend: str | None, version: str
) -> None:
    """Each ipMasqBackend masquerades by one table, gone after DEL (A20)."""
    pod, pool = node.pod(), POOLS["dual"]
    config = bridge_config(
        node, "bridge", version, pool, ipMasq=True, ipMasqBackend=backend
    )

    node.add(config, "c1", pod, called_as="bridge")

    assert plain(node.ruleset()) == plain(MASQUERADE)

    delete(node, config, pod, called_as="bridge")
    assert_detached(node, pod)


def test_masquerade_stays_until_the_last_pod_is_gone(node: Node) -> None:
    """DEL of one of two pods keeps the masquerade, DEL of the other ends it (A20)."""
    one, two = node.pod(), node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["dual"], ipMasq=True)
    node.add(config, "c1", one, called_as="bridge")
    node.add(config, "c2", two, called_as="bridge")

    delete(node, config, one, called_as="bridge")

    assert plain(node.ruleset()) == plain(MASQUERADE)

    delete(node, config, two, container_id="c2", called_as="bridge")
    assert_detached(node, two)


def test_masquerade_is_of_each_network(node: Node) -> None:
    """The last DEL of one network leaves the masquerade of another (A20)."""
    one, two = node.pod(), node.pod()
    blue = bridge_config(node, "bridge", "1.0.0", POOLS["dual"], ipMasq=True)
    green = bridge_config(
        node, "bridge", "1.0.0", POOLS["v6"], name="green", bridge="br1", ipMasq=True
    )
    node.add(blue, "c1", one, called_as="bridge")
    node.add(green, "c2", two, called_as="bridge")

    delete(node, green, two, container_id="c2", called_as="bridge")

    assert plain(node.ruleset()) == plain(MASQUERADE)


def test_masquerade_goes_with_a_pod_whose_namespace_is_gone(node: Node) -> None:
    """DEL without a namespace ends the masquerade too (A20, DE3)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["dual"], ipMasq=True)
    node.add(config, "c1", pod, called_as="bridge")
    pod.delete()

    delete(node, config, None, called_as="bridge")

    assert node.ruleset() == ""
    assert sorted(node.links()) == ["bridge0", "lo"]


@pytest.mark.parametrize(("called_as", "version"), CALLS)
def test_spoof_check_comes_and_goes(node: Node, called_as: str, version: str) -> None:
    """macspoofchk binds the port to its MAC in one table, gone after DEL (A22)."""
    pod = node.pod()
    config = bridge_config(node, called_as, version, POOLS["v4"], macspoofchk=True)

    node.add(config, "c1", pod, called_as=called_as)

    port, mac = host_end(node), pod.links()["eth0"]["address"]
    assert (
        node.ruleset()
        == f"""\
table bridge pycni {{
	set ports {{
		type ifname
		elements = {{ "{port}" }}
	}}

	set bound {{
		type ifname . ether_addr
		elements = {{ "{port}" . {mac} }}
	}}

	chain prerouting {{
		type filter hook prerouting priority dstnat; policy accept;
		iifname @ports iifname . ether saddr != @bound drop
	}}
}}"""
    )

    delete(node, config, pod, called_as=called_as)
    assert_detached(node, pod)


def test_spoof_check_is_of_each_port(node: Node) -> None:
    """DEL of one checked pod leaves the check of the other (A22)."""
    one, two = node.pod(), node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"], macspoofchk=True)
    node.add(config, "c1", one, called_as="bridge")
    result = node.add(config, "c2", two, called_as="bridge")

    delete(node, config, one, called_as="bridge")

    port, mac = result["interfaces"][1]["name"], two.links()["eth0"]["address"]
    assert f'elements = {{ "{port}" . {mac} }}' in node.ruleset()
    assert not pings_with_another_mac(two)


def test_spoof_check_leaves_a_foreign_table(node: Node) -> None:
    """The reference plugin's own table of the bridge family is not touched (A22)."""
    node.run("nft", "add", "table", "bridge", "nat")
    before = node.ruleset()
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"], macspoofchk=True)

    node.add(config, "c1", pod, called_as="bridge")
    delete(node, config, pod, called_as="bridge")

    assert node.ruleset() == before


def pings_with_another_mac(pod: Namespace) -> bool:
    """Whether a pod reaches its gateway once it sends with a MAC that it made up."""
    pod.run("ip", "link", "set", "eth0", "address", "02:de:ad:be:ef:01")
    pod.run("ip", "neighbour", "flush", "all")
    return pod.ping("10.1.2.1")


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
def test_spoof_check_drops_another_mac(node: Node, called_as: str) -> None:
    """A checked pod is heard with its own MAC and with no other (A22)."""
    pod = node.pod()
    config = bridge_config(node, called_as, "1.0.0", POOLS["v4"], macspoofchk=True)
    node.add(config, "c1", pod, called_as=called_as)
    mac = pod.links()["eth0"]["address"]

    heard_as_itself = pod.ping("10.1.2.1")
    heard_as_another = pings_with_another_mac(pod)
    pod.run("ip", "link", "set", "eth0", "address", mac)

    assert (heard_as_itself, heard_as_another) == (True, False)
    assert pod.ping("10.1.2.1")


def test_without_spoof_check_any_mac_passes(node: Node) -> None:
    """Without macspoofchk a pod may change its MAC (A22)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"])
    node.add(config, "c1", pod, called_as="bridge")

    assert pings_with_another_mac(pod)


# Prints the sources of the frames that come in, up to the one that ends it.
RECEIVE = """
import socket, sys
opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
opened.bind(("eth0", 0x88B5))
opened.settimeout(10)
print("ready", flush=True)
source = ""
while source != sys.argv[1]:
    source = opened.recv(100)[6:12].hex(":")
    print(source, flush=True)
"""
# Broadcasts a frame with each source in turn.
SEND = """
import socket, sys
opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
opened.bind(("eth0", 0))
for source in sys.argv[1:]:
    source = bytes.fromhex(source.replace(":", ""))
    opened.send(b"\\xff" * 6 + source + bytes.fromhex("88b5") + bytes(46))
"""


def python_in(pod: Namespace, program: str, *arguments: str) -> list[str]:
    """A command that runs Python in a pod."""
    inside = ["nsenter", f"--net={pod.path}", sys.executable, "-I", "-c", program]
    return [*inside, *arguments]


@pytest.mark.parametrize("is_checked", [True, False])
def test_spoof_check_drops_single_frames(node: Node, is_checked: bool) -> None:
    """A frame with a forged source reaches no other pod, a right one does (A22)."""
    sender, receiver = node.pod(), node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"])
    config["macspoofchk"] = is_checked
    node.add(config, "c1", sender, called_as="bridge")
    node.add(config, "c2", receiver, called_as="bridge")
    forged, own = "02:de:ad:be:ef:01", sender.links()["eth0"]["address"]

    with subprocess.Popen(
        python_in(receiver, RECEIVE, own), stdout=subprocess.PIPE, text=True
    ) as receiving:
        assert receiving.stdout
        assert receiving.stdout.readline() == "ready\n"
        subprocess.run(python_in(sender, SEND, forged, own), check=True)
        heard = receiving.stdout.read().split()

    assert heard == ([own] if is_checked else [forged, own])


@pytest.mark.parametrize("option", ["ipMasq", "macspoofchk"])
@pytest.mark.parametrize("lost", ["flush ruleset", "delete table", "flush chain"])
def test_delete_where_rules_are_gone(node: Node, lost: str, option: str) -> None:
    """DEL succeeds where somebody has removed our rules before it (E, trap 15)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"], **{option: True})
    node.add(config, "c1", pod, called_as="bridge")
    table = "inet pycni" if option == "ipMasq" else "bridge pycni"
    chain = "postrouting" if option == "ipMasq" else "prerouting"
    objects = {"delete table": table, "flush chain": f"{table} {chain}"}
    node.run("nft", *lost.split(), *objects.get(lost, "").split())

    delete(node, config, pod, called_as="bridge")

    assert_detached(node, pod)


# A set of a name that we use, with a type that we do not.
BLOCKED = {
    "ipMasq": ("inet", "masquerade4", "{ type inet_service; }"),
    "macspoofchk": ("bridge", "bound", "{ type ether_addr; }"),
}


@pytest.mark.parametrize("option", list(BLOCKED))
def test_rules_that_cannot_be_made(node: Node, option: str) -> None:
    """If the kernel refuses our rules, ADD is code 100 and leaves nothing (E, AD6)."""
    pod = node.pod()
    family, name, kind = BLOCKED[option]
    node.run("nft", "add", "table", family, "pycni")
    node.run("nft", "add", "set", family, "pycni", name, kind)
    before = node.ruleset()
    config = bridge_config(node, "bridge", "1.0.0", POOLS["v4"], **{option: True})

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.code == 100
    assert node.ruleset() == before
    assert list(node.links()) == ["lo"]
    assert list(pod.links()) == ["lo"]
    assert node.leases("blue", node.folder / "data") == []


def test_the_same_masquerade_again(node: Node) -> None:
    """A second pod of a network adds nothing to the ruleset (E)."""
    config = bridge_config(node, "bridge", "1.0.0", POOLS["dual"], ipMasq=True)
    node.add(config, "c1", node.pod(), called_as="bridge")

    node.add(config, "c2", node.pod(), called_as="bridge")

    assert plain(node.ruleset()) == plain(MASQUERADE)
