"""What the last DEL of a network takes along, and what it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kernel.node import Node

SMALL, LARGE = "10.60.0.0/24", "10.60.0.0/16"


def config_of(node: Node, subnet: str) -> dict[str, Any]:
    """The base configuration with another subnet."""
    return node.config(ipam={"type": "host-local", "subnet": subnet})


@pytest.mark.parametrize(("before", "after"), [(SMALL, LARGE), (LARGE, SMALL)])
@pytest.mark.parametrize("first", ["c1", "c2"])
def test_a_subnet_that_changed_leaves_nothing(
    node: Node, before: str, after: str, first: str
) -> None:
    """The last DEL takes the masquerade of a subnet that grew or shrank (B1)."""
    pods = {"c1": node.pod(), "c2": node.pod()}
    node.add(config_of(node, before), "c1", pods["c1"])
    changed = {**config_of(node, after), "forceAddress": True}
    node.add(changed, "c2", pods["c2"])

    for container_id in (first, "c1" if first == "c2" else "c2"):
        answer = node.call("DEL", changed, container_id, pods[container_id])
        assert answer.exit_code == 0, answer

    assert node.ruleset() == ""


def test_a_foreign_chain_in_our_table_stays(node: Node) -> None:
    """The last DEL removes what is ours and leaves the chain of somebody else."""
    config, pod = node.config(), node.pod()
    node.add(config, "c1", pod)
    node.run("nft", "add chain inet pycni theirs")

    answer = node.call("DEL", config, "c1", pod)

    assert answer.exit_code == 0, answer
    assert node.ruleset() == "table inet pycni {\n\tchain theirs {\n\t}\n}"


def test_the_table_comes_back_around_a_foreign_chain(node: Node) -> None:
    """An ADD after that makes its sets and rules beside the foreign chain."""
    config, pod = node.config(), node.pod()
    node.run("nft", "add table inet pycni; add chain inet pycni theirs")

    node.add(config, "c1", pod)

    ruleset = node.ruleset()
    assert "chain theirs" in ruleset
    assert "ip saddr @masquerade4 masquerade fully-random" in ruleset


def test_status_of_a_store_that_is_read_only(node: Node) -> None:
    """STATUS is 50 where the store can't be written, since no ADD can succeed (ST1)."""
    config = node.config(cniVersion="1.1.0")
    pod = node.pod()
    node.add(config, "c1", pod)
    store = node.run_dir / "blue"
    read_only = f"mount --bind {store} {store} && mount -o remount,ro,bind {store}"
    wrapper = ("unshare", "-m", "sh", "-c", f'{read_only} && exec "$0"')

    answer = node.call("STATUS", config, wrapper=wrapper)

    assert (answer.code, answer.json["msg"]) == (
        50,
        f"{store} can't be read: Read-only file system",
    )


def test_mtu_too_small_for_ipv6(node: Node) -> None:
    """An IPv6 network with an MTU below 1280 is refused at once (B9)."""
    config = node.config(
        mtu=1000, ipam={"type": "host-local", "subnet": "fd00:60::/64"}
    )

    answer = node.call("ADD", config, "c1", node.pod())

    assert (answer.code, answer.json["msg"]) == (
        7,
        "mtu: 1000 is less than 1280, which IPv6 needs",
    )
    assert sorted(node.links()) == ["lo"]


def test_a_folder_is_no_ipam_plugin(node: Node) -> None:
    """A folder in CNI_PATH is not taken for the IPAM plugin of its name (DG1)."""
    plugins = node.folder / "plugins"
    (plugins / "odd").mkdir(parents=True)
    config = node.config(ipam={"type": "odd"})

    answer = node.call("ADD", config, "c1", node.pod(), CNI_PATH=str(plugins))

    assert (answer.code, answer.json["msg"]) == (
        109,
        "ipam.type: failed to find plugin 'odd' in CNI_PATH",
    )


def test_a_long_value_is_not_repeated_whole(node: Node) -> None:
    """An error that repeats a value of a megabyte stays a sentence (B9)."""
    answer = node.call("ADD", node.config(name="x/" * 500_000), "c1", node.pod())

    assert answer.code == 7
    assert len(answer.stdout) < 5000


def test_a_bridge_that_can_not_be_finished_is_taken_back(node: Node) -> None:
    """A bridge that was just made goes when its settings are refused (AD6)."""
    config = node.config(mtu=65535, promiscMode=True)
    read_only = "mount --bind /proc/sys/net /proc/sys/net"
    remount = "mount -o remount,ro,bind /proc/sys/net"
    wrapper = ("unshare", "-m", "sh", "-c", f'{read_only} && {remount} && exec "$0"')

    answer = node.call("ADD", config, "c1", node.pod(), wrapper=wrapper)

    assert answer.code == 100
    assert sorted(node.links()) == ["lo"]
    assert node.ruleset() == ""
