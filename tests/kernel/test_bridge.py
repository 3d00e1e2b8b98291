"""Attachments to a bridge in every version of the specification.

Rows A3 to A19 are the reference plugin's own acceptance list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.expected import (
    CALLS,
    FLAT_VERSIONS,
    POOLS,
    VERSIONS,
    Pool,
    assert_attached,
    assert_detached,
    assert_no_trace,
    assert_nothing_made,
    bridge_config,
    delete,
    expected_interfaces,
    expected_result,
)

if TYPE_CHECKING:
    from tests.kernel.node import Node

NOTHING = Pool([], [], [], [])


@pytest.mark.parametrize("version", VERSIONS)
def test_add_makes_the_bridge(node: Node, version: str) -> None:
    """ADD makes a bridge of the name asked for, which is not promiscuous (A3)."""
    config = bridge_config(node, "bridge", version, POOLS["v4"])

    node.add(config, "c1", node.pod(), called_as="bridge")

    bridge = node.links()["bridge0"]
    assert bridge["linkinfo"]["info_kind"] == "bridge"
    assert bridge["promiscuity"] == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_add_takes_an_existing_bridge(node: Node, version: str) -> None:
    """A bridge that exists is used, not made anew (A4)."""
    node.run("ip", "link", "add", "bridge0", "type", "bridge")
    before = node.links()["bridge0"]["ifindex"]
    config = bridge_config(node, "bridge", version, POOLS["v4"])

    node.add(config, "c1", node.pod(), called_as="bridge")

    assert node.links()["bridge0"]["ifindex"] == before


@pytest.mark.parametrize(("called_as", "version"), CALLS)
@pytest.mark.parametrize("kind", ["v4", "v6", "dual"])
def test_attachment_with_a_default_route(
    node: Node, kind: str, called_as: str, version: str
) -> None:
    """ADD with ranges gives a pod all that the result says, DEL takes it (A5, A13)."""
    pool, pod = POOLS[kind], node.pod()
    config = bridge_config(node, called_as, version, pool)

    result = node.add(config, "c1", pod, called_as=called_as)

    assert result == expected_result(node, pod, pool, version, {})
    assert_attached(node, pod, pool)

    delete(node, config, pod, called_as=called_as)
    assert_detached(node, pod)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["v4", "v6"])
def test_attachment_by_a_single_subnet(node: Node, kind: str, version: str) -> None:
    """The old form of ipam, one subnet without ranges, gives the same (A5)."""
    pool, pod = POOLS[kind], node.pod()
    config = bridge_config(node, "bridge", version, pool)
    del config["ipam"]["ranges"]
    config["ipam"]["subnet"] = pool.subnets[0]

    result = node.add(config, "c1", pod, called_as="bridge")

    assert result == expected_result(node, pod, pool, version, {})
    assert_attached(node, pod, pool)

    delete(node, config, pod, called_as="bridge")
    assert_detached(node, pod)


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
@pytest.mark.parametrize("version", FLAT_VERSIONS)
def test_attachment_with_two_addresses_of_a_family(
    node: Node, version: str, called_as: str
) -> None:
    """One IPv4 and two IPv6 subnets give a pod three addresses (A5, A13)."""
    pool, pod = POOLS["three"], node.pod()
    config = bridge_config(node, called_as, version, pool)

    result = node.add(config, "c1", pod, called_as=called_as)

    assert result == expected_result(node, pod, pool, version, {})
    assert_attached(node, pod, pool)

    delete(node, config, pod, called_as=called_as)
    assert_detached(node, pod)


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_old_versions_have_one_address_a_family(
    node: Node, command: str, version: str
) -> None:
    """Before 0.3.0 two subnets of a family are refused by ADD and DEL (A5, CV7)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", version, POOLS["three"])

    answer = node.call(command, config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": version,
        "code": 7,
        "msg": f"CNI version {version} does not support more than 1 address per family",
    }
    assert_nothing_made(node, pod)


@pytest.mark.parametrize("version", VERSIONS)
def test_dns_of_resolv_conf(node: Node, version: str) -> None:
    """The result has the name servers of ipam.resolvConf (A5)."""
    pool, pod = POOLS["v4"], node.pod()
    resolv_conf = node.folder / "resolv.conf"
    resolv_conf.write_text("nameserver 192.0.2.53\n")
    config = bridge_config(node, "bridge", version, pool)
    config["ipam"]["resolvConf"] = str(resolv_conf)

    result = node.add(config, "c1", pod, called_as="bridge")

    dns = {"nameservers": ["192.0.2.53"]}
    assert result == expected_result(node, pod, pool, version, dns)
    assert_attached(node, pod, pool)

    delete(node, config, pod, called_as="bridge")
    assert_detached(node, pod)


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
@pytest.mark.parametrize("version", FLAT_VERSIONS)
def test_attachment_of_layer_2(node: Node, version: str, called_as: str) -> None:
    """Without addresses a pod gets a bridge port and no more (A6)."""
    pod = node.pod()
    config = bridge_config(node, called_as, version, None)

    result = node.add(config, "c1", pod, called_as=called_as)

    assert result == expected_result(node, pod, NOTHING, version, {})
    assert_attached(node, pod, NOTHING)

    delete(node, config, pod, called_as=called_as)
    assert_detached(node, pod)


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_old_versions_have_no_layer_2(node: Node, version: str) -> None:
    """Before 0.3.0 an ADD without addresses is refused, undone, and DEL works (A6)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", version, None)

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": version,
        "code": 7,
        "msg": "cannot convert: no valid IP addresses",
        "details": f"cniVersion {version} has no result without an address",
    }
    assert_nothing_made(node, pod)
    delete(node, config, pod, called_as="bridge")


@pytest.mark.parametrize(("called_as", "version"), CALLS)
def test_delete_of_what_was_never_added(
    node: Node, called_as: str, version: str
) -> None:
    """DEL of an unknown attachment succeeds and makes nothing (A14, DE1)."""
    pod = node.pod()
    config = bridge_config(node, called_as, version, POOLS["v4"])

    delete(node, config, pod, called_as=called_as)

    assert_nothing_made(node, pod)


@pytest.mark.parametrize("version", VERSIONS)
def test_promiscuous_bridge(node: Node, version: str) -> None:
    """With promiscMode the bridge is promiscuous, once, for any pods (A16)."""
    config = bridge_config(node, "bridge", version, POOLS["v4"], promiscMode=True)

    node.add(config, "c1", node.pod(), called_as="bridge")
    node.add(config, "c2", node.pod(), called_as="bridge")

    assert node.links()["bridge0"]["promiscuity"] == 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["v4", "v6"])
def test_bridge_mac_is_stable(node: Node, kind: str, version: str) -> None:
    """The bridge's MAC does not change as pods with any MAC come and go (A17, D1)."""
    config = bridge_config(node, "bridge", version, POOLS[kind])
    node.add(config, "c1", node.pod(), called_as="bridge")
    before = node.links()["bridge0"]["address"]
    pod = node.pod()

    node.add(config, "c2", pod, called_as="bridge")
    node.run(
        "ip",
        "link",
        "add",
        "low",
        "address",
        "02:00:00:00:00:01",
        "type",
        "veth",
        "peer",
        "name",
        "high",
    )
    node.run("ip", "link", "set", "low", "master", "bridge0")

    assert node.links()["bridge0"]["address"] == before
    delete(node, config, pod, container_id="c2", called_as="bridge")
    assert node.links()["bridge0"]["address"] == before


MACS = {
    "CNI_ARGS": "c2:11:22:33:44:55",
    "args.cni": "c2:11:22:33:44:66",
    "runtimeConfig": "c2:11:22:33:44:77",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source", list(MACS))
def test_mac_is_chosen(node: Node, source: str, version: str) -> None:
    """runtimeConfig's MAC wins over that of args, which wins over CNI_ARGS (A18)."""
    pool, pod = POOLS["v4"], node.pod()
    config = bridge_config(node, "bridge", version, pool)
    if source != "CNI_ARGS":
        config["args"] = {"cni": {"mac": MACS["args.cni"]}}
    if source == "runtimeConfig":
        config["runtimeConfig"] = {"mac": MACS["runtimeConfig"]}

    args = f"IgnoreUnknown=true;MAC={MACS['CNI_ARGS']}"
    result = node.add(config, "c1", pod, called_as="bridge", args=args)

    assert pod.links()["eth0"]["address"] == MACS[source]
    assert result == expected_result(node, pod, pool, version, {})
    delete(node, config, pod, called_as="bridge", args=args)
    assert_detached(node, pod)


@pytest.mark.parametrize("version", VERSIONS)
def test_addresses_are_freed_when_the_interface_fails(node: Node, version: str) -> None:
    """A pod that has the interface already costs no address and no port (A19, AD6)."""
    pod = node.pod()
    pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    config = bridge_config(node, "bridge", version, POOLS["dual"])

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": version,
        "code": 106,
        "msg": f"CNI_IFNAME: eth0 exists already in {pod.path}",
    }
    assert (node.folder / "data" / "blue" / "last_reserved_ip.0").exists()
    assert_no_trace(node)
    assert list(node.links()) == ["lo"]
    assert sorted(pod.links()) == ["eth0", "lo", "other"]


@pytest.mark.parametrize("version", VERSIONS)
def test_addresses_are_freed_when_the_bridge_fails(node: Node, version: str) -> None:
    """A device of the bridge's name that is none costs no address (A19, AD6)."""
    pod = node.pod()
    node.run("ip", "link", "add", "bridge0", "type", "veth", "peer", "name", "other")
    config = bridge_config(node, "bridge", version, POOLS["v4"])

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": version,
        "code": 7,
        "msg": "bridge: bridge0 exists and is veth, not a bridge",
    }
    assert (node.folder / "data" / "blue" / "last_reserved_ip.0").exists()
    assert_no_trace(node)
    assert sorted(node.links()) == ["bridge0", "lo", "other"]


@pytest.mark.parametrize("version", FLAT_VERSIONS)
def test_result_names_what_was_made(node: Node, version: str) -> None:
    """The result lists bridge, host end and container end with their MACs (AD4)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", version, POOLS["v4"], mtu=1400)

    result = node.add(config, "c1", pod, called_as="bridge")

    assert result["interfaces"] == expected_interfaces(node, pod, version)
    assert [len(interface["mac"]) for interface in result["interfaces"]] == [17] * 3
