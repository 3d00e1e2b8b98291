"""What packets do: who reaches whom, seen as whom, and how soon."""

from __future__ import annotations

import socket
import struct
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.traffic import (
    NODE,
    OUTSIDE,
    add_uplink,
    packets,
    route_multicast,
    source_seen,
    udp,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kernel.node import Namespace, Node

ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
POD = {"4": "10.60.0.2", "6": "fd60::2"}
PEER = {"4": "10.60.0.3", "6": "fd60::3"}
GATEWAY = {"4": "10.60.0.1", "6": "fd60::1"}
FAMILIES = pytest.mark.parametrize("family", ["4", "6"])


def dual(node: Node, **changes: Any) -> dict[str, Any]:
    """The network blue with both families."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": "10.60.0.0/24"}], [{"subnet": "fd60::/64"}]],
        "routes": ROUTES,
    }
    return node.config(**{"ipam": ipam, **changes})


class Pings:
    """Twenty pings a second from a pod to the outside, until it is told to stop."""

    def __init__(self, pod: Namespace) -> None:
        command = ["ping", "-i0.05", OUTSIDE["4"]]
        self._process = subprocess.Popen(
            ["nsenter", f"--net={pod.path}", *command],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        # Its head, and the first answer: it is under way.
        assert "PING" in self._process.stdout.readline()
        assert "bytes from" in self._process.stdout.readline()

    def lost(self) -> int:
        """Stop, and say how many were not answered."""
        self._process.send_signal(2)
        output, _ = self._process.communicate(timeout=10)
        summary = next(line for line in output.splitlines() if "transmitted" in line)
        words = summary.split()
        assert int(words[0]) > 20
        return int(words[0]) - int(words[3])


@pytest.mark.parametrize(
    "existing", [False, True], ids=["our bridge", "a bridge before"]
)
def test_bridge_keeps_its_mac_and_traffic_while_pods_come_and_go(
    node: Node, existing: bool
) -> None:
    """D1: while 30 pods come and go no ping is lost, the bridge's MAC is constant."""
    add_uplink(node)
    if existing:
        node.run("ip", "link", "add", "pyc0", "type", "bridge")
        node.run("ip", "link", "set", "pyc0", "up")
    config = dual(node)
    first = node.pod()
    node.add(config, "first", first)
    mac = node.links()["pyc0"]["address"]
    pings = Pings(first)

    seen = set()
    for i in range(30):
        pod = node.pod()
        node.add(config, f"c{i}", pod)
        seen.add(node.links()["pyc0"]["address"])
        assert node.call("DEL", config, f"c{i}", pod).exit_code == 0
        seen.add(node.links()["pyc0"]["address"])

    assert pings.lost() == 0
    assert seen == {mac}


@pytest.mark.parametrize("hairpin", [False, True], ids=["plain", "hairpin"])
def test_ipv6_works_at_once(node: Node, hairpin: bool) -> None:
    """D5: right after ADD no address is tentative, the first ping is answered."""
    config = dual(node, hairpinMode=hairpin)

    for i in range(10):
        pod = node.pod()
        node.add(config, f"c{i}", pod)
        answered = [pod.ping("fd60::1"), pod.ping("10.60.0.1")]
        infos = pod.ip("-6", "address", "show", "dev", "eth0")[0]["addr_info"]

        assert answered == [True, True]
        assert [bool(info.get("tentative")) for info in infos] == [False, False]
        assert [bool(info.get("dadfailed")) for info in infos] == [False, False]
    infos = node.ip("-6", "address", "show", "dev", "pyc0")[0]["addr_info"]
    gateway = next(info for info in infos if info["local"] == "fd60::1")
    assert [gateway.get("tentative"), gateway.get("dadfailed")] == [None, None]


def test_first_pod_reaches_its_gateway_at_once(node: Node) -> None:
    """D5: a bridge that has just got its first port answers the pod's first ping."""
    config, pod = node.config(), node.pod()

    answered = []
    for _ in range(40):
        node.add(config, "c1", pod)
        answered.append(pod.ping("10.60.0.1"))
        assert node.call("DEL", config, "c1", pod).exit_code == 0

    assert answered == [True] * 40


ONE_ADDRESS = {
    "4": [{"subnet": "10.60.0.0/24", "rangeStart": POD["4"], "rangeEnd": POD["4"]}],
    "6": [{"subnet": "fd60::/64", "rangeStart": POD["6"], "rangeEnd": POD["6"]}],
}


def announces(frame: bytes, family: str) -> bool:
    """Whether a frame is a gratuitous ARP, or an unsolicited advertisement, for POD."""
    address = socket.inet_pton(
        socket.AF_INET if family == "4" else socket.AF_INET6, POD[family]
    )
    kind = struct.unpack_from("!H", frame, 12)[0]
    if family == "4":
        # Sender and target are the same (RFC 5227), in an ARP packet of 28 bytes.
        return kind == 0x0806 and frame[28:32] == frame[38:42] == address
    # Neighbour advertisement is 136; the solicited flag is 0x40 (RFC 4861).
    advert = kind == 0x86DD and frame[20] == 58 and frame[54] == 136
    return advert and not frame[58] & 0x40 and frame[62:78] == address


def mac_of(frame: bytes, family: str) -> str:
    """The MAC address that an announcement names."""
    return (frame[22:28] if family == "4" else frame[80:86]).hex(":")


def await_frame(listener: socket.socket, wanted: Callable[[bytes], bool]) -> bytes:
    """The first frame that is wanted; times out with the socket."""
    while True:
        frame = listener.recv(2000).ljust(100, b"\0")
        if wanted(frame):
            return frame


@FAMILIES
def test_reused_address_is_reachable_at_once(node: Node, family: str) -> None:
    """D7: a new pod with an old address is announced, and answers the first ping."""
    other = node.config(
        name="peers",
        ipam={
            **dual(node)["ipam"],
            "ranges": [
                [{"subnet": "10.60.0.0/24", "rangeStart": PEER["4"]}],
                [{"subnet": "fd60::/64", "rangeStart": PEER["6"]}],
            ],
        },
        ipMasq=False,
    )
    config = node.config(
        ipam={"type": "host-local", "ranges": [ONE_ADDRESS[family]]}, ipMasq=False
    )
    peer, old, new = node.pod(), node.pod(), node.pod()
    node.add(other, "peer", peer)
    node.add(config, "old", old)
    assert node.ping(POD[family])
    assert peer.ping(POD[family])
    assert node.call("DEL", config, "old", old).exit_code == 0

    with closing(packets(peer, "eth0")) as listener:
        result = node.add(config, "new", new)
        answered = [peer.ping(POD[family]), node.ping(POD[family])]
        frame = await_frame(listener, lambda frame: announces(frame, family))

    assert answered == [True, True]
    assert mac_of(frame, family) == result["interfaces"][2]["mac"]
    assert mac_of(frame, family) != old.name


class Lab:
    """Two pods of a masqueraded network, their node, and the outside."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.router = add_uplink(node)
        for address in ("203.0.113.9/32", "2001:db8:f::9/128"):
            self.router.run("ip", "address", "add", address, "dev", "lo")
        self.config = dual(
            node, ipMasqExceptCIDRs=["203.0.113.0/24", "2001:db8:f::/48"]
        )
        self.pod, self.peer = node.pod(), node.pod()
        node.add(self.config, "c1", self.pod)
        node.add(self.config, "c2", self.peer)


EXCEPTED = {"4": "203.0.113.9", "6": "2001:db8:f::9"}


@FAMILIES
def test_only_what_goes_outside_is_masqueraded(node: Node, family: str) -> None:
    """E1: pods keep their address towards pods, the node and excepted CIDRs."""
    lab = Lab(node)

    def seen(receiver: Namespace, address: str) -> str:
        return source_seen(lab.pod, POD[family], receiver, address)

    assert {
        "pod": seen(lab.peer, PEER[family]),
        "gateway": seen(node, GATEWAY[family]),
        "node": seen(node, NODE[family]),
        "excepted": seen(lab.router, EXCEPTED[family]),
        "outside": seen(lab.router, OUTSIDE[family]),
    } == {
        "pod": POD[family],
        "gateway": POD[family],
        "node": POD[family],
        "excepted": POD[family],
        "outside": NODE[family],
    }


@FAMILIES
def test_inbound_traffic_keeps_its_source(node: Node, family: str) -> None:
    """E1: a pod sees who from outside, by route, talks to it; its answers get there."""
    lab = Lab(node)

    with (
        closing(udp(lab.router, OUTSIDE[family])) as client,
        closing(udp(lab.pod, POD[family], 53)) as server,
    ):
        client.sendto(b"question", (POD[family], 53))
        seen = server.recvfrom(100)[1]
        server.sendto(b"answer", seen)
        answer = client.recvfrom(100)

    assert seen[0] == OUTSIDE[family]
    assert (answer[0], answer[1][:2]) == (b"answer", (POD[family], 53))


GROUP = {"4": "239.60.0.9", "6": "ff0e::60:9"}
HOPS = {
    "4": (socket.IPPROTO_IP, socket.IP_MULTICAST_TTL),
    "6": (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS),
}


def sender_of(frame: bytes, family: str) -> str:
    """The source address of a packet."""
    if family == "4":
        return socket.inet_ntop(socket.AF_INET, frame[26:30])
    return socket.inet_ntop(socket.AF_INET6, frame[22:38])


@FAMILIES
def test_multicast_keeps_its_source(node: Node, family: str) -> None:
    """E1: what a pod sends to a group leaves the node with the pod's address."""
    lab = Lab(node)
    group = socket.inet_pton(
        socket.AF_INET if family == "4" else socket.AF_INET6, GROUP[family]
    )
    end = {"4": 34, "6": 54}[family]

    with (
        closing(route_multicast(node, POD[family], GROUP[family])),
        closing(packets(lab.router, "down0")) as listener,
        closing(udp(lab.pod, POD[family])) as sender,
    ):
        sender.setsockopt(*HOPS[family], 8)
        sender.sendto(b"to all", (GROUP[family], 5353))
        frame = await_frame(
            listener, lambda frame: frame[end - len(group) : end] == group
        )

    assert sender_of(frame, family) == POD[family]


def test_every_address_of_a_pod_is_masqueraded(node: Node) -> None:
    """G1: with two IPv4 ranges and one IPv6 range each address gets outside."""
    router = add_uplink(node)
    subnets = ("10.60.0.0/24", "10.60.1.0/24", "fd60::/64")
    ranges = [[{"subnet": subnet}] for subnet in subnets]
    config = node.config(
        ipam={"type": "host-local", "ranges": ranges, "routes": ROUTES}
    )
    pod = node.pod()
    node.add(config, "c1", pod)

    seen = [
        source_seen(pod, source, router, OUTSIDE["6" if ":" in source else "4"])
        for source in ("10.60.0.2", "10.60.1.2", "fd60::2")
    ]

    assert seen == [NODE["4"], NODE["4"], NODE["6"]]
    assert node.call("DEL", config, "c1", pod).exit_code == 0
    assert node.ruleset() == ""


def receives(receiver: socket.socket, timeout_s: float) -> tuple[bytes, str] | None:
    """A datagram and its source address, None if there is none in time."""
    receiver.settimeout(timeout_s)
    try:
        data, source = receiver.recvfrom(100)
    except TimeoutError:
        return None
    return data, source[0]


@pytest.mark.parametrize(("hairpin", "timeout_s"), [(True, 2), (False, 0.2)])
def test_bridge_sends_back_to_the_pod_with_hairpin_alone(
    node: Node, hairpin: bool, timeout_s: float
) -> None:
    """A frame that the bridge redirects to its own sender arrives with hairpinMode."""
    pod = node.pod()
    result = node.add(dual(node, hairpinMode=hairpin), "c1", pod)
    mac = result["interfaces"][2]["mac"]
    pod.run(
        "ip",
        "neighbour",
        "add",
        PEER["4"],
        "lladdr",
        "02:00:00:00:00:09",
        "dev",
        "eth0",
    )
    node.run("nft", "add", "table", "bridge", "mirror")
    hook = "{ type filter hook prerouting priority dstnat; }"
    node.run("nft", f"add chain bridge mirror back {hook}")
    node.run(
        "nft",
        f"add rule bridge mirror back ip daddr {PEER['4']} ether daddr set {mac} "
        f"ip saddr set {PEER['4']} ip daddr set {POD['4']}",
    )

    with closing(udp(pod, POD["4"], 53)) as both:
        both.sendto(b"me?", (PEER["4"], 53))
        got = receives(both, timeout_s)

    assert got == ((b"me?", PEER["4"]) if hairpin else None)


@FAMILIES
def test_pod_reaches_itself_by_an_address_of_the_node(node: Node, family: str) -> None:
    """A port of the node that leads to a pod works from that pod too."""
    pod = node.pod()
    node.add(dual(node, hairpinMode=True), "c1", pod)
    ip, own = {"4": "ip", "6": "ip6"}[family], POD[family]
    target = own if family == "4" else f"[{own}]"
    node.run("nft", "add", "table", ip, "ports")
    node.run(
        "nft",
        f"add chain {ip} ports in {{ type nat hook prerouting priority dstnat; }}; "
        f"add chain {ip} ports out "
        "{ type nat hook postrouting priority srcnat - 1; }; "
        f"add rule {ip} ports in {ip} daddr {GATEWAY[family]} udp dport 80 "
        f"dnat to {target}:8080; "
        f"add rule {ip} ports out {ip} saddr {own} {ip} daddr {own} masquerade",
    )

    with (
        closing(udp(pod, own, 8080)) as server,
        closing(udp(pod, own)) as client,
    ):
        client.sendto(b"me?", (GATEWAY[family], 80))
        asked = server.recvfrom(100)
        server.sendto(b"yes", asked[1])
        answered = client.recvfrom(100)

    assert (asked[0], asked[1][0]) == (b"me?", GATEWAY[family])
    assert (answered[0], answered[1][:2]) == (b"yes", (GATEWAY[family], 80))
