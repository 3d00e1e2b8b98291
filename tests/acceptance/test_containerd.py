"""containerd's library go-cni, with our one file under four names in /opt/cni/bin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.acceptance.host import Host

NAMES = ("bridge", "host_local", "loopback", "portmap")
SUBNETS = ("10.88.0.0/16", "fd00:88::/64")
BRIDGE: dict[str, Any] = {
    "type": "bridge",
    "bridge": "con0",
    "isGateway": True,
    "ipMasq": True,
    "promiscMode": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": subnet}] for subnet in SUBNETS],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    },
}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}


@pytest.fixture
def blue(host: Host) -> Host:
    """A node set up as containerd's documentation has it, with our file for all."""
    host.install_ours(*NAMES)
    host.write_list(BRIDGE, PORTMAP, version="1.0.0")
    return host


def assert_nothing_of_a_pod_is_left(host: Host) -> None:
    """Nothing of a pod is in the kernel, in our store or in libcni's cache."""
    assert sorted(host.links()) == ["con0", "lo"]
    assert host.ruleset() == ""
    assert (host.leases(), host.records(), host.cached()) == ([], [], [])


@pytest.mark.parametrize("command", ["setup", "serially"])
@pytest.mark.parametrize("version", ["0.4.0", "1.0.0", "1.1.0"])
def test_a_sandbox_is_set_up_and_removed(
    blue: Host, version: str, command: str
) -> None:
    """Setup of lo and eth0, at once or in turn, Check and Remove work (AD1)."""
    blue.write_list(BRIDGE, PORTMAP, version=version)
    pod = blue.pod()

    setup = blue.runtime(command, "c1", pod.path)
    addresses = [pod.addresses("eth0"), pod.addresses("eth0", "inet6")]
    reached = [pod.ping("10.88.0.1"), pod.ping("fd00:88::1")]
    checked, removed = (
        blue.runtime(word, "c1", pod.path) for word in ("check", "remove")
    )

    assert (setup.exit_code, setup.stderr) == (0, "")
    interfaces = setup.json["Interfaces"]
    assert sorted(interfaces) == sorted(["con0", "eth0", "lo", _veth(interfaces)])
    assert _ips(interfaces["lo"]) == [("127.0.0.1", None), ("::1", None)]
    assert _ips(interfaces["eth0"]) == [
        ("10.88.0.2", "10.88.0.1"),
        ("fd00:88::2", "fd00:88::1"),
    ]
    assert addresses == [["10.88.0.2/16"], ["fd00:88::2/64"]]
    assert reached == [True, True]
    answers = [(a.exit_code, a.stdout, a.stderr) for a in (checked, removed)]
    assert answers == [(0, "", "")] * 2
    assert_nothing_of_a_pod_is_left(blue)


def _veth(interfaces: dict[str, Any]) -> str:
    """The host's end of the pair."""
    [name] = [name for name in interfaces if name.startswith("veth")]
    return name


def _ips(interface: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Address and gateway of each address of an interface."""
    ips = interface["IPConfigs"]
    return [(ip["IP"], ip["Gateway"] or None) for ip in ips]


def test_a_list_without_a_version_works(blue: Host) -> None:
    """A list that names no cniVersion is one of 0.1.0, with a family each (CF8)."""
    blue.write_list(BRIDGE, PORTMAP, version=None)
    pod = blue.pod()

    setup = blue.runtime("setup", "c1", pod.path)
    addresses = [pod.addresses("eth0"), pod.addresses("eth0", "inet6")]
    removed = blue.runtime("remove", "c1", pod.path)

    assert (setup.exit_code, setup.stderr) == (0, "")
    assert addresses == [["10.88.0.2/16"], ["fd00:88::2/64"]]
    assert (removed.exit_code, removed.stderr) == (0, "")
    assert_nothing_of_a_pod_is_left(blue)


def test_another_plugin_folder_works(blue: Host) -> None:
    """The plugins are found in a folder that the runtime chooses (DG1)."""
    folder = blue.folder / "plugins"
    (blue.folder / "opt/cni/bin").rename(folder)
    pod = blue.pod()

    answers = [
        blue.runtime(command, "c1", pod.path, CNI_PATH=str(folder))
        for command in ("setup", "check", "remove")
    ]

    assert [(a.exit_code, a.stderr) for a in answers] == [(0, "")] * 3
    assert_nothing_of_a_pod_is_left(blue)


def test_a_vanished_sandbox_is_removed(blue: Host) -> None:
    """Remove with an empty netns, as after a reboot, frees everything (DE1, DE3)."""
    pod = blue.pod()
    setup = blue.runtime("setup", "c1", pod.path)
    pod.delete()

    removed = blue.runtime("remove", "c1", "")

    assert (setup.exit_code, setup.stderr) == (0, "")
    assert (removed.exit_code, removed.stderr) == (0, "")
    assert_nothing_of_a_pod_is_left(blue)


def test_a_host_port_is_refused_aloud(blue: Host) -> None:
    """A hostPort fails Setup with our code's sentence, and Remove cleans up (CF12)."""
    pod = blue.pod()
    mapping = {"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp"}
    wish = {"CAPABILITIES": json.dumps({"portMappings": [mapping]})}

    setup = blue.runtime("setup", "c1", pod.path, **wish)
    removed = blue.runtime("remove", "c1", pod.path, **wish)

    assert (setup.exit_code, setup.stdout) == (1, "")
    assert "is not supported by this version" in setup.stderr
    assert (removed.exit_code, removed.stderr) == (0, "")
    assert_nothing_of_a_pod_is_left(blue)


def test_status_tells_containerd_that_the_network_is_full(blue: Host) -> None:
    """containerd's Status fails with our sentence once no address is free (ST3)."""
    ipam = {"type": "host-local", "subnet": "10.88.0.0/30"}
    blue.write_list({**BRIDGE, "ipam": ipam}, version="1.1.0")

    before = blue.runtime("status")
    setup = blue.runtime("setup", "c1", blue.pod().path)
    after = blue.runtime("status")

    assert [(a.exit_code, a.stderr) for a in (before, setup)] == [(0, "")] * 2
    assert (after.exit_code, after.stdout) == (1, "")
    assert "no IP addresses available in range set: 10.88.0.1-10.88.0.2" in after.stderr
