"""Leases over a reboot of the machine: another boot id, no interface of old (A1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.node import Answer, Namespace, Node

SMALL = {"type": "host-local", "subnet": "10.60.0.0/28"}
# Another boot id for one program, in a mount namespace of its own.
_MOUNT = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'


@pytest.fixture
def next_boot(tmp_path: Path) -> dict[str, Any]:
    """Options of a call that runs it in the machine's next boot."""
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("00000000-1111-2222-3333-444444444444\n")
    wrapper = ("unshare", "--mount", "sh", "-c", _MOUNT, str(boot_id))
    return {"wrapper": wrapper}


def add_many(
    node: Node, config: dict[str, Any], names: list[str], **options: Any
) -> list[tuple[Namespace, Answer]]:
    """ADD of a pod of its own for each name."""
    pods = [node.pod() for _ in names]
    answers = [
        node.call("ADD", config, name, pod, **options)
        for name, pod in zip(names, pods, strict=True)
    ]
    return list(zip(pods, answers, strict=True))


def forget_kernel_state(node: Node) -> None:
    """What a loss of power does to the kernel: no link and no ruleset is left."""
    for name in node.links():
        if name != "lo" and name in node.links():
            node.run("ip", "link", "delete", name)
    node.run("nft", "flush", "ruleset")


def test_a_reboot_frees_every_address(node: Node, next_boot: dict[str, Any]) -> None:
    """After a reboot all 13 addresses of a /28 are there for new pods (A1)."""
    config = node.config(ipam=SMALL)
    old = add_many(node, config, [f"c{n}" for n in range(10)])
    assert [answer.code for _, answer in old] == [0] * 10
    forget_kernel_state(node)

    new = add_many(node, config, [f"d{n}" for n in range(13)], **next_boot)

    assert [answer.code for _, answer in new] == [0] * 13
    assert len(node.leases()) == 13
    assert node.records() == sorted(f"d{n}@eth0" for n in range(13))
    assert node.call("ADD", config, "d13", node.pod(), **next_boot).code == 101
    asking = {**config, "cniVersion": "1.1.0"}
    assert node.call("STATUS", asking, **next_boot).code == 50


def test_the_same_boot_keeps_the_leases_of_dead_pods(node: Node) -> None:
    """Within a boot a lease without an interface stays until DEL or GC (A1)."""
    config = node.config(ipam=SMALL)
    add_many(node, config, ["c1"])
    forget_kernel_state(node)

    add_many(node, config, ["c2"])

    assert node.leases() == ["10.60.0.2", "10.60.0.3"]


def test_a_living_pod_keeps_its_lease_over_a_change_of_boot_id(
    node: Node, next_boot: dict[str, Any]
) -> None:
    """A lease of another boot whose interface lives is kept, with its record (A1)."""
    config = node.config(ipam=SMALL)
    (_, _), (dead, _) = add_many(node, config, ["alive", "dead"])
    dead.run("ip", "link", "delete", "eth0")

    added = add_many(node, config, ["new"], **next_boot)

    assert added[0][1].json["ips"][0]["address"] == "10.60.0.4/28"
    assert node.leases() == ["10.60.0.2", "10.60.0.4"]
    assert node.records() == ["alive@eth0", "new@eth0"]


def test_a_reboot_is_noticed_once(node: Node, next_boot: dict[str, Any]) -> None:
    """The first ADD of a boot cleans up, and the pods of this boot stay (A1)."""
    config = node.config(ipam=SMALL)
    add_many(node, config, ["c1", "c2"])
    forget_kernel_state(node)

    add_many(node, config, ["d1", "d2", "d3"], **next_boot)

    assert node.records() == ["d1@eth0", "d2@eth0", "d3@eth0"]
    assert node.leases() == ["10.60.0.4", "10.60.0.5", "10.60.0.6"]


def test_a_pod_of_the_last_boot_can_be_added_again(
    node: Node, next_boot: dict[str, Any]
) -> None:
    """A container with the id of one of the last boot is no duplicate (A1, B4)."""
    config = node.config(ipam=SMALL)
    add_many(node, config, ["c1"])
    forget_kernel_state(node)

    added = add_many(node, config, ["c1"], **next_boot)

    assert added[0][1].exit_code == 0
    assert node.leases() == ["10.60.0.3"]


def test_a_full_network_is_ready_after_a_reboot(
    node: Node, next_boot: dict[str, Any]
) -> None:
    """STATUS does not count the leases of another boot as held (A1, ST1)."""
    ipam = {"type": "host-local", "subnet": "10.60.0.0/30"}
    config = node.config(ipam=ipam, cniVersion="1.1.0")
    add_many(node, config, ["c1"])
    assert node.call("STATUS", config).code == 50
    forget_kernel_state(node)

    assert repr(node.call("STATUS", config, **next_boot)) == "Answer(0, '', '')"


def test_del_of_a_pod_of_the_last_boot_succeeds(
    node: Node, next_boot: dict[str, Any]
) -> None:
    """The runtime's late DEL of a pod of the last boot frees it alone (A1, DE1)."""
    config = node.config(ipam=SMALL)
    add_many(node, config, ["c1", "c2"])
    forget_kernel_state(node)

    answer = node.call("DEL", config, "c1", "/run/netns/gone", **next_boot)

    assert repr(answer) == "Answer(0, '', '')"
    assert node.leases() == ["10.60.0.3"]


def test_host_local_frees_the_last_boot_too(
    node: Node, next_boot: dict[str, Any]
) -> None:
    """Called as host-local, leases whose namespace is gone are void after a boot."""
    config = node.config(ipam={**SMALL, "dataDir": str(node.folder / "leases")})
    pod = node.pod()
    for container_id, netns in (("c1", pod.path), ("c2", "/run/netns/gone")):
        call = node.call("ADD", config, container_id, netns, called_as="host-local")
        assert call.exit_code == 0

    node.call("ADD", config, "d1", pod, called_as="host-local", **next_boot)

    assert node.leases(data_dir=node.folder / "leases") == ["10.60.0.2", "10.60.0.4"]


def test_leases_of_another_program_are_kept_in_this_boot(node: Node) -> None:
    """Leases that host-local wrote before we came are held, and DEL frees them."""
    folder = node.run_dir / "blue"
    folder.mkdir(parents=True)
    (folder / "10.60.0.2").write_text("old\r\neth0")
    config = node.config(ipam=SMALL)

    add_many(node, config, ["c1"])

    assert node.leases() == ["10.60.0.2", "10.60.0.3"]
    assert node.call("DEL", config, "old", "").exit_code == 0
    assert node.leases() == ["10.60.0.3"]
