"""libcni, by the specification's own cnitool, with pycni alone in the list."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.acceptance.host import Host, container_id

VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
PYCNI = {
    "type": "pycni",
    "bridge": "pyc0",
    "isDefaultGateway": True,
    "ipMasq": True,
    "ipam": {"type": "host-local", "subnet": "10.60.0.0/29"},
    "capabilities": {"ips": True, "mac": True},
}


@pytest.fixture
def blue(host: Host) -> Host:
    """A node whose only network is pycni's, with five addresses for pods."""
    host.install_ours("pycni")
    host.write_list(PYCNI)
    return host


def test_a_pod_comes_and_goes(blue: Host) -> None:
    """ADD, CHECK and DEL succeed and nothing but the bridge stays (AD4, CK4, OU1)."""
    pod = blue.pod()

    result = blue.attach(pod)
    pinged = pod.ping("10.60.0.1")
    checked = blue.cnitool("check", pod)
    deleted = blue.cnitool("del", pod)

    mac = result["interfaces"][2]["mac"]
    assert result == {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "pyc0", "mac": result["interfaces"][0]["mac"], "mtu": 1500},
            {**result["interfaces"][1], "mtu": 1500},
            {"name": "eth0", "mac": mac, "mtu": 1500, "sandbox": pod.path},
        ],
        "ips": [{"interface": 2, "address": "10.60.0.2/29", "gateway": "10.60.0.1"}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.60.0.1"}],
    }
    assert pinged
    assert [(a.exit_code, a.stdout, a.stderr) for a in (checked, deleted)] == [
        (0, "", ""),
        (0, "", ""),
    ]
    assert_only_the_bridge_is_left(blue)


def assert_only_the_bridge_is_left(host: Host) -> None:
    """Nothing of a pod is in the kernel, in our store or in libcni's cache."""
    assert sorted(host.links()) == ["lo", "pyc0"]
    assert host.ruleset() == ""
    assert (host.leases(), host.records(), host.cached()) == ([], [], [])


@pytest.mark.parametrize("version", VERSIONS)
def test_libcni_reads_the_result_of_each_version(blue: Host, version: str) -> None:
    """libcni takes the result of each version and prints it in that version (RF1)."""
    pod = blue.pod()
    blue.write_list(PYCNI, version=version)

    result = blue.attach(pod)
    deleted = blue.cnitool("del", pod)

    assert result["cniVersion"] == version
    assert addresses(result) == ["10.60.0.2/29"]
    assert (deleted.exit_code, deleted.stderr) == (0, "")
    assert_only_the_bridge_is_left(blue)


def addresses(result: Any) -> list[str]:
    """The addresses of a result of any version."""
    if "ip4" in result:
        return [result["ip4"]["ip"]]
    return [ip["address"] for ip in result["ips"]]


@pytest.mark.parametrize("version", VERSIONS[4:])
def test_check_finds_a_pod_without_its_address(blue: Host, version: str) -> None:
    """A CHECK through libcni passes after ADD and names what is gone later (CK2)."""
    pod = blue.pod()
    blue.write_list(PYCNI, version=version)
    blue.attach(pod)
    before = blue.cnitool("check", pod)
    pod.ip("address", "delete", "10.60.0.2/29", "dev", "eth0")

    after = blue.cnitool("check", pod)

    assert (before.exit_code, before.stderr) == (0, "")
    assert after.exit_code == 1
    assert "interface eth0 has lost address 10.60.0.2/29" in after.stderr


def test_capabilities_reach_the_plugin(blue: Host) -> None:
    """An address and a MAC asked for as capabilities are what the pod gets (CO1)."""
    wish = {"ips": ["10.60.0.5"], "mac": "02:00:5e:10:00:05"}

    result = blue.attach(blue.pod(), CAP_ARGS=json.dumps(wish))

    assert addresses(result) == ["10.60.0.5/29"]
    assert result["interfaces"][2]["mac"] == "02:00:5e:10:00:05"


def test_a_pod_that_is_gone_is_deleted(blue: Host) -> None:
    """DEL succeeds when the namespace is gone already, and again after that (DE1)."""
    pod = blue.pod()
    blue.attach(pod)
    pod.delete()

    answers = [blue.cnitool("del", pod), blue.cnitool("del", pod)]

    assert [(a.exit_code, a.stderr) for a in answers] == [(0, ""), (0, "")]
    assert_only_the_bridge_is_left(blue)


def test_a_second_add_is_refused(blue: Host) -> None:
    """ADD over a live attachment fails and leaves it as it was (AD5)."""
    pod = blue.pod()
    blue.attach(pod)

    again = blue.cnitool("add", pod)

    assert again.exit_code == 1
    assert "duplicate allocation is not allowed" in again.stderr
    assert blue.leases() == ["10.60.0.2"]
    assert blue.cnitool("check", pod).exit_code == 0


def test_pods_come_and_go_at_once(blue: Host) -> None:
    """Five ADDs at once give five addresses, five DELs at once free them (CC1)."""
    pods = [blue.pod() for _ in range(5)]

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(blue.attach, pods))
        answers = list(pool.map(lambda pod: blue.cnitool("del", pod), pods))

    given = sorted(address for result in results for address in addresses(result))
    assert given == [f"10.60.0.{number}/29" for number in range(2, 7)]
    assert [(a.exit_code, a.stderr) for a in answers] == [(0, "")] * 5
    assert_only_the_bridge_is_left(blue)


def test_status_is_ready_until_the_network_is_full(blue: Host) -> None:
    """STATUS succeeds while an address is free and says what is full then (ST3)."""
    before = blue.cnitool("status")
    for _ in range(5):
        blue.attach(blue.pod())

    after = blue.cnitool("status")

    assert (before.exit_code, before.stdout, before.stderr) == (0, "", "")
    assert (after.exit_code, after.stdout) == (1, "")
    assert "no IP addresses available in range set: 10.60.0.1-10.60.0.6" in after.stderr


def test_gc_without_a_list_deletes_what_libcni_knows_and_no_more(blue: Host) -> None:
    """`cnitool gc` sends no list, so only libcni's own DELs remove a pod (GC5)."""
    known, forgotten = blue.pod(), blue.pod()
    blue.attach(known)
    blue.attach(forgotten)
    name = f"blue-{container_id(forgotten)}-eth0"
    (blue.folder / "var/lib/cni/results" / name).unlink()

    answer = blue.cnitool("gc")

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "cni.dev/valid-attachments: missing, so nothing was removed" in answer.stderr
    assert list(known.links()) == ["lo"]
    assert blue.records() == [f"{container_id(forgotten)}@eth0"]
    assert forgotten.ping("10.60.0.1")


def test_gc_removes_what_is_not_valid(blue: Host) -> None:
    """A GC through libcni removes unlisted pods, in its cache or not (GC1, GC6)."""
    valid, stale, forgotten = blue.pod(), blue.pod(), blue.pod()
    for pod in (valid, stale, forgotten):
        blue.attach(pod)
    name = f"blue-{container_id(forgotten)}-eth0"
    (blue.folder / "var/lib/cni/results" / name).unlink()
    listed = f"{container_id(valid)}/eth0"

    answer = blue.runtime("gc", "blue", listed, CNI_PATH="/opt/cni/bin")

    assert (answer.exit_code, answer.stdout, answer.stderr) == (0, "", "")
    assert blue.leases() == ["10.60.0.2"]
    assert blue.records() == [f"{container_id(valid)}@eth0"]
    assert [list(pod.links()) for pod in (stale, forgotten)] == [["lo"], ["lo"]]
    assert blue.cnitool("check", valid).exit_code == 0


def test_gc_with_an_empty_list_removes_all(blue: Host) -> None:
    """A GC whose list is empty leaves nothing of the network (GC1)."""
    blue.attach(blue.pod())
    blue.attach(blue.pod())

    answer = blue.runtime("gc", "blue", CNI_PATH="/opt/cni/bin")

    assert (answer.exit_code, answer.stdout, answer.stderr) == (0, "", "")
    assert_only_the_bridge_is_left(blue)
