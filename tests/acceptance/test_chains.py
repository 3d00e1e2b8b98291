"""pycni in one list with the reference plugins, as cnitool runs it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.host import Host, ask
from tests.acceptance.programs import BUILT, REFERENCE

if TYPE_CHECKING:
    from pathlib import Path

PYCNI = {
    "type": "pycni",
    "bridge": "pyc0",
    "isDefaultGateway": True,
    "hairpinMode": True,
    "ipam": {"type": "host-local", "subnet": "10.60.0.0/24"},
}
BURST = 1 << 20
BANDWIDTH = {
    "type": "bandwidth",
    "ingressRate": 8_000_000,
    "ingressBurst": BURST,
    "egressRate": 16_000_000,
    "egressBurst": BURST,
}
SYSCTL = "net.ipv4.conf.IFNAME.log_martians"


def assert_gone(host: Host, bridge: str = "pyc0") -> None:
    """Nothing of a pod is in the kernel, in our store or in libcni's cache."""
    assert sorted(host.links()) == sorted(["lo", bridge])
    assert (host.leases(), host.records(), host.cached()) == ([], [], [])


def walk_through(host: Host, *between: Any) -> list[Any]:
    """Add a pod, look, check, delete: result, what was seen, and both answers."""
    pod = host.pod()
    result = host.attach(pod)
    seen = [look(pod, result) for look in between]
    checked, deleted = host.cnitool("check", pod), host.cnitool("del", pod)
    assert [(a.exit_code, a.stderr) for a in (checked, deleted)] == [(0, ""), (0, "")]
    return [result, *seen]


# With iptables the reference masquerades all that a pod's subnet sends to the port.
@pytest.mark.parametrize(
    ("backend", "client_seen"), [("iptables", "10.60.0.1"), ("nftables", "10.60.0.2")]
)
@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_the_reference_portmap_maps_a_port(
    host: Host, backend: str, client_seen: str, version: str
) -> None:
    """A hostPort by the reference portmap leads other pods to ours until DEL (M 10)."""
    host.install_ours("pycni")
    host.install(portmap=REFERENCE / "portmap")
    portmap = {"type": "portmap", "backend": backend, "snat": True}
    portmap["capabilities"] = {"portMappings": True}
    host.write_list(PYCNI, portmap, version=version)
    server, client = host.pod(), host.pod()
    host.attach(client)
    mapping = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
    mapped = {"CAP_ARGS": json.dumps({"portMappings": [mapping]})}

    result = host.attach(server, **mapped)
    host.serve(server, "10.60.0.3", 80)
    seen = [ask(client, "10.60.0.1", 8080), ask(host, "127.0.0.1", 8080)]
    checked = host.cnitool("check", server, **mapped) if version > "0.4" else None
    deleted = host.cnitool("del", server, **mapped)

    assert [ip["address"] for ip in result["ips"]] == ["10.60.0.3/24"]
    assert seen == [client_seen, "10.60.0.1"]
    assert checked is None or (checked.exit_code, checked.stderr) == (0, "")
    assert (deleted.exit_code, deleted.stderr) == (0, "")
    assert "10.60.0.3" not in host.ruleset()
    assert host.leases() == ["10.60.0.2"]


def test_the_reference_bandwidth_shapes(host: Host) -> None:
    """The reference bandwidth finds and shapes our host veth in both directions."""
    host.install_ours("pycni")
    host.install(bandwidth=REFERENCE / "bandwidth")
    host.write_list(PYCNI, BANDWIDTH)

    result, rates = walk_through(host, lambda _, result: _rates(host, result))

    names = [interface["name"] for interface in result["interfaces"]]
    assert [names[0], names[2]] == ["pyc0", "eth0"]
    assert rates == {names[1]: 1_000_000, names[3]: 2_000_000}
    assert_gone(host)


def _rates(host: Host, result: Any) -> dict[str, int]:
    """Bytes a second of each token bucket, by interface of the result."""
    queues = json.loads(host.run("tc", "-json", "qdisc", "show"))
    names = [interface["name"] for interface in result["interfaces"]]
    return {
        queue["dev"]: queue["options"]["rate"]
        for queue in queues
        if queue["kind"] == "tbf" and queue["dev"] in names
    }


def test_the_reference_tuning_changes_the_interface(host: Host) -> None:
    """A MAC, MTU and sysctl set by a later plugin don't fail our CHECK (CK3)."""
    host.install_ours("pycni")
    host.install(tuning=REFERENCE / "tuning")
    mac = "02:00:5e:10:00:09"
    tuning = {"type": "tuning", "mac": mac, "mtu": 1400, "sysctl": {SYSCTL: "1"}}
    host.write_list(PYCNI, tuning)
    path = "/proc/sys/net/ipv4/conf/eth0/log_martians"

    result, link, sysctl = walk_through(
        host,
        lambda pod, _: pod.links()["eth0"],
        lambda pod, _: pod.run("cat", path),
    )

    assert result["interfaces"][2]["mac"] == mac
    assert (link["address"], link["mtu"], sysctl) == (mac, 1400, "1")
    assert_gone(host)


def test_the_reference_firewall_lets_the_pod_through(host: Host) -> None:
    """The reference firewall accepts our pod's traffic where the node drops it."""
    host.install_ours("pycni")
    host.install(firewall=REFERENCE / "firewall")
    host.write_list(PYCNI, {"type": "firewall", "backend": "iptables"})
    host.run("iptables", "-P", "FORWARD", "DROP")
    outside = host.pod()
    host.run("ip", "link", "add", "up0", "type", "veth", "peer", "eth0", "netns",
             outside.name)  # fmt: skip
    host.run("ip", "address", "add", "192.0.2.1/24", "dev", "up0")
    host.run("ip", "link", "set", "up0", "up")
    outside.run("ip", "address", "add", "192.0.2.9/24", "dev", "eth0")
    outside.run("ip", "link", "set", "eth0", "up")
    outside.run("ip", "route", "add", "10.60.0.0/24", "via", "192.0.2.1")

    _, pinged = walk_through(host, lambda pod, _: pod.ping("192.0.2.9"))

    assert pinged
    assert not any("10.60.0.2" in line for line in host.ruleset().splitlines())
    assert (host.leases(), host.records(), host.cached()) == ([], [], [])


def test_our_other_names_behind_the_reference_ptp(host: Host) -> None:
    """Our file is host-local, portmap and bandwidth behind the reference ptp (B18)."""
    host.install_ours("host_local", "portmap", "bandwidth")
    host.install(ptp=REFERENCE / "ptp")
    ipam = {
        "type": "host-local",
        "subnet": "10.60.0.0/24",
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    bandwidth = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
    host.write_list({"type": "ptp", "ipam": ipam}, portmap, bandwidth)

    result, pinged, leases = walk_through(
        host,
        lambda pod, _: pod.ping("10.60.0.1"),
        lambda *_: host.leases(data_dir=host.folder / "var/lib/cni/networks"),
    )

    assert [ip["address"] for ip in result["ips"]] == ["10.60.0.2/24"]
    assert (pinged, leases) == (True, ["10.60.0.2"])
    assert host.leases(data_dir=host.folder / "var/lib/cni/networks") == []
    assert list(host.links()) == ["lo"]


@pytest.mark.parametrize(
    ("plugin", "wish"),
    [
        ("portmap", {"portMappings": [{"hostPort": 8080, "containerPort": 80}]}),
        ("bandwidth", {"bandwidth": {"ingressRate": 8000, "ingressBurst": 8000}}),
    ],
)
def test_our_other_names_refuse_work(
    host: Host, plugin: str, wish: dict[str, Any]
) -> None:
    """A hostPort or a rate that our file can't do is refused, not ignored (CF12)."""
    host.install_ours("pycni", plugin)
    host.write_list(PYCNI, {"type": plugin, "capabilities": dict.fromkeys(wish, True)})
    pod = host.pod()

    refused = host.cnitool("add", pod, CAP_ARGS=json.dumps(wish))
    deleted = host.cnitool("del", pod, CAP_ARGS=json.dumps(wish))

    assert refused.exit_code == 1
    assert "is not supported by this version" in refused.stderr
    assert (deleted.exit_code, deleted.stderr) == (0, "")
    assert (host.leases(), host.records(), list(pod.links())) == ([], [], ["lo"])


def test_the_reference_bridge_with_our_host_local(host: Host) -> None:
    """The reference bridge gets its address, STATUS and CHECK from our file (DG1)."""
    host.install_ours("host_local")
    host.install(bridge=REFERENCE / "bridge")
    ipam = {"type": "host-local", "subnet": "10.60.0.0/30"}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": ipam}
    host.write_list(bridge)
    before = host.cnitool("status")
    pod = host.pod()

    result = host.attach(pod)
    checked, full = host.cnitool("check", pod), host.cnitool("status")
    deleted, after = host.cnitool("del", pod), host.cnitool("status")

    assert [ip["address"] for ip in result["ips"]] == ["10.60.0.2/30"]
    answers = [before, checked, deleted, after]
    assert [(a.exit_code, a.stderr) for a in answers] == [(0, "")] * 4
    assert full.exit_code == 1
    assert "no IP addresses available in range set: 10.60.0.1-10.60.0.2" in full.stderr


def test_a_foreign_ipam_gives_us_addresses(host: Host) -> None:
    """The reference static serves pycni as its IPAM plugin (DG1)."""
    host.install_ours("pycni")
    host.install(static=REFERENCE / "static")
    address = {"address": "10.61.0.9/24", "gateway": "10.61.0.1"}
    ipam = {"type": "static", "addresses": [address]}
    host.write_list({**PYCNI, "ipam": ipam})

    result, pinged = walk_through(host, lambda pod, _: pod.ping("10.61.0.1"))

    assert [ip["address"] for ip in result["ips"]] == ["10.61.0.9/24"]
    assert pinged
    assert_gone(host)


def test_a_later_plugin_gets_our_result(host: Host) -> None:
    """The plugin after ours gets our whole result, and may add DNS to it (CK3)."""
    debug = _chain_with_noop(host, ReportResult="INJECT-DNS")

    [result, seen] = walk_through(host, lambda *_: json.loads(debug.read_text()))

    stdin = json.loads(base64.b64decode(seen["CmdArgs"]["StdinData"]))
    assert result.pop("dns") == {"nameservers": ["1.2.3.4"]}
    assert stdin["prevResult"] == result
    assert_gone(host)


def _chain_with_noop(host: Host, **behaviour: str) -> Path:
    """Put the specification's own noop behind pycni; the file that it obeys."""
    debug = host.folder / "noop.json"
    debug.write_text(json.dumps(behaviour))
    host.install_ours("pycni")
    host.install(noop=BUILT / "noop")
    host.write_list(PYCNI, {"type": "noop", "debugFile": str(debug)})
    return debug


def test_a_later_plugin_that_fails_costs_no_address(host: Host) -> None:
    """Rounds of an ADD that a later plugin fails, and its DEL, leak nothing (B2)."""
    debug = _chain_with_noop(host)
    pods = [host.pod() for _ in range(5)]

    for pod in pods:
        debug.write_text(json.dumps({"ReportError": "no, thanks"}))
        added = host.cnitool("add", pod)
        assert (added.exit_code, "no, thanks" in added.stderr) == (1, True), added
        debug.write_text(json.dumps({"ReportResult": "{}"}))
        deleted = host.cnitool("del", pod)
        assert (deleted.exit_code, deleted.stderr) == (0, ""), deleted

    assert [list(pod.links()) for pod in pods] == [["lo"]] * 5
    assert_gone(host)
