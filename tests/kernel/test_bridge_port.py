"""Options of a pod's port and interface: MTU, hairpin, isolation, DAD, up or down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.expected import (
    CALLS,
    CHECK_VERSIONS,
    FLAT_VERSIONS,
    POOLS,
    VERSIONS,
    Pool,
    assert_attached,
    assert_detached,
    assert_nothing_made,
    bridge_config,
    default_routes,
    delete,
    expected_result,
    host_end,
)

if TYPE_CHECKING:
    from tests.kernel.node import Answer, Namespace, Node

LAYER_2 = Pool([], [], [], [])


def port_flag(node: Node, flag: str) -> bool:
    """A flag of the one bridge port of a node."""
    port = node.links()[host_end(node)]
    value: bool = port["linkinfo"]["info_slave_data"][flag]
    return value


@pytest.mark.parametrize("kind", ["v4", "v6", "dual"])
@pytest.mark.parametrize("version", FLAT_VERSIONS)
def test_check_of_what_was_added(node: Node, version: str, kind: str) -> None:
    """CHECK right after ADD succeeds in silence, before 0.4.0 is code 1 (A21, CK4)."""
    pool, pod = POOLS[kind], node.pod()
    config = bridge_config(node, "bridge", version, pool)
    result = node.add(config, "c1", pod, called_as="bridge")
    previous = {**config, "prevResult": result}

    answer = node.call("CHECK", previous, "c1", pod, called_as="bridge")

    if version in CHECK_VERSIONS:
        assert (answer.exit_code, answer.stdout) == (0, "")
    else:
        assert answer.code == 1
        assert answer.json["msg"].endswith("has no CHECK, it came with 0.4.0")
    assert result == expected_result(node, pod, pool, version, {})
    assert_attached(node, pod, pool)

    delete(node, previous, pod, called_as="bridge")
    assert_detached(node, pod)


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
def test_check_of_layer_2(node: Node, called_as: str) -> None:
    """CHECK of an attachment without addresses succeeds after ADD (A21)."""
    pod = node.pod()
    config = bridge_config(node, called_as, "1.0.0", None, hairpinMode=True)
    config["prevResult"] = node.add(config, "c1", pod, called_as=called_as)

    answer = node.call("CHECK", config, "c1", pod, called_as=called_as)

    assert (answer.exit_code, answer.stdout) == (0, "")


@pytest.mark.parametrize("mtu", [1300, 1450, 9000])
@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
def test_mtu_is_set_everywhere(node: Node, called_as: str, mtu: int) -> None:
    """Bridge and both ends of the pair have the MTU asked for, as told (D8)."""
    pod = node.pod()
    config = bridge_config(node, called_as, "1.1.0", POOLS["v4"], mtu=mtu)

    result = node.add(config, "c1", pod, called_as=called_as)

    assert mtus(node, pod) == [mtu, mtu, mtu]
    assert [interface["mtu"] for interface in result["interfaces"]] == [mtu, mtu, mtu]


def mtus(node: Node, pod: Namespace) -> list[int]:
    """The MTUs of bridge, host end and container end."""
    here = node.links()
    links = [here["bridge0"], here[host_end(node)], pod.links()["eth0"]]
    return [link["mtu"] for link in links]


def test_mtu_of_an_existing_bridge(node: Node) -> None:
    """Without an mtu a pod gets that of the bridge it joins (D8)."""
    node.run("ip", "link", "add", "bridge0", "mtu", "1380", "type", "bridge")
    pod = node.pod()

    config = bridge_config(node, "bridge", "1.1.0", POOLS["v4"])
    node.add(config, "c1", pod, called_as="bridge")

    assert mtus(node, pod) == [1380, 1380, 1380]


def test_mtu_of_an_existing_bridge_is_changed(node: Node) -> None:
    """An mtu in the configuration wins over that of an existing bridge (D8)."""
    node.run("ip", "link", "add", "bridge0", "mtu", "1380", "type", "bridge")
    pod = node.pod()

    config = bridge_config(node, "bridge", "1.1.0", POOLS["v4"], mtu=1420)
    node.add(config, "c1", pod, called_as="bridge")

    assert mtus(node, pod) == [1420, 1420, 1420]


@pytest.mark.parametrize("mtu", [-1, 67, 65536])
def test_mtu_is_refused(node: Node, mtu: int) -> None:
    """An mtu that a bridge cannot have is code 7 before anything is made (D8)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", "1.1.0", POOLS["v4"], mtu=mtu)

    answer = node.call("ADD", config, "c1", pod, called_as="bridge")

    assert answer.json == {
        "cniVersion": "1.1.0",
        "code": 7,
        "msg": f"mtu: {mtu} is not between 68 and 65535",
    }
    assert_nothing_made(node, pod)


@pytest.mark.parametrize("hairpin", [False, True])
@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
def test_hairpin(node: Node, called_as: str, hairpin: bool) -> None:
    """hairpinMode is the hairpin flag of the port (A5)."""
    config = bridge_config(node, called_as, "1.0.0", POOLS["v4"], hairpinMode=hairpin)

    node.add(config, "c1", node.pod(), called_as=called_as)

    assert port_flag(node, "hairpin") == hairpin


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize(("called_as", "version"), CALLS)
def test_port_isolation(
    node: Node, called_as: str, version: str, isolated: bool
) -> None:
    """portIsolation is the isolation flag of the port (A26)."""
    pool, pod = POOLS["v4"], node.pod()
    config = bridge_config(node, called_as, version, pool, portIsolation=isolated)

    result = node.add(config, "c1", pod, called_as=called_as)

    assert port_flag(node, "isolated") == isolated
    assert result == expected_result(node, pod, pool, version, {})
    assert_attached(node, pod, pool)

    delete(node, config, pod, called_as=called_as)
    assert_detached(node, pod)


@pytest.mark.parametrize("isolated", [False, True])
def test_port_isolation_isolates(node: Node, isolated: bool) -> None:
    """Isolated pods reach the bridge and not each other (A26)."""
    one, two = node.pod(), node.pod()
    config = bridge_config(
        node, "bridge", "1.0.0", POOLS["dual"], portIsolation=isolated
    )

    node.add(config, "c1", one, called_as="bridge")
    node.add(config, "c2", two, called_as="bridge")

    targets = ["192.168.0.1", "fd00::1", "192.168.0.3", "fd00::3"]
    reached = [target for target in targets if one.ping(target)]
    assert reached == (targets[:2] if isolated else targets)


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
@pytest.mark.parametrize("version", FLAT_VERSIONS)
def test_container_interface_stays_down(
    node: Node, version: str, called_as: str
) -> None:
    """disableContainerInterface keeps the pod's end down, the others come up (A25)."""
    pod = node.pod()
    config = bridge_config(
        node, called_as, version, None, disableContainerInterface=True
    )

    result = node.add(config, "c1", pod, called_as=called_as)

    assert "UP" not in pod.links()["eth0"]["flags"]
    assert result == expected_result(node, pod, LAYER_2, version, {})
    assert_attached(node, pod, LAYER_2)

    delete(node, config, pod, called_as=called_as)
    assert_detached(node, pod)


@pytest.mark.parametrize("version", VERSIONS)
def test_container_interface_is_up_by_default(node: Node, version: str) -> None:
    """Without disableContainerInterface the pod's end and its lo are up (A25)."""
    pod = node.pod()
    config = bridge_config(node, "bridge", version, POOLS["v4"])

    node.add(config, "c1", pod, called_as="bridge")

    links = pod.links()
    assert "UP" in links["eth0"]["flags"]
    assert "UP" in links["lo"]["flags"]


def flags_of(pod: Namespace) -> dict[str, list[str]]:
    """Scope of each IPv6 address of eth0 -> its flags of address detection."""
    found = pod.ip("-6", "address", "show", "dev", "eth0")[0]["addr_info"]
    known = ("tentative", "dadfailed", "nodad")
    return {
        address["scope"]: [flag for flag in known if address.get(flag)]
        for address in found
    }


@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
@pytest.mark.parametrize("options", [{}, {"enabledad": False}], ids=["unset", "off"])
def test_addresses_are_usable_at_once(
    node: Node, called_as: str, options: dict[str, Any]
) -> None:
    """Without enabledad no address is ever tentative, also with hairpin (D5)."""
    pod = node.pod()
    config = bridge_config(
        node, called_as, "1.0.0", POOLS["dual"], hairpinMode=True, **options
    )

    node.add(config, "c1", pod, called_as=called_as)

    assert flags_of(pod) == {"global": ["nodad"], "link": ["nodad"]}
    assert accept_dad(pod) == "0"
    assert pod.ping("fd00::1")


def accept_dad(pod: Namespace) -> str:
    """Whether the kernel looks for duplicates of the addresses of eth0."""
    return pod.run("sysctl", "-n", "net.ipv6.conf.eth0.accept_dad")


@pytest.mark.parametrize("hairpin", [False, True])
@pytest.mark.parametrize("called_as", ["bridge", "pycni"])
def test_addresses_are_probed_with_enabledad(
    node: Node, called_as: str, hairpin: bool
) -> None:
    """With enabledad ADD waits until the kernel has found no duplicate (D5)."""
    pod = node.pod()
    config = bridge_config(
        node,
        called_as,
        "1.0.0",
        POOLS["dual"],
        enabledad=True,
        hairpinMode=hairpin,
    )

    node.add(config, "c1", pod, called_as=called_as)

    assert flags_of(pod) == {"global": [], "link": []}
    assert accept_dad(pod) == "1"
    assert pod.ping("fd00::1")


def add_duplicate(node: Node, **options: Any) -> tuple[Answer, Namespace]:
    """ADD of a pod whose IPv6 address somebody on the bridge has already."""
    squatter, pod = node.pod(), node.pod()
    layer2 = bridge_config(node, "bridge", "1.0.0", None, name="green")
    node.add(layer2, "c1", squatter, called_as="bridge")
    squatter.run("ip", "address", "add", "fd00::2/64", "dev", "eth0", "nodad")
    config = bridge_config(node, "bridge", "1.0.0", POOLS["dual"], **options)
    return node.call("ADD", config, "c2", pod, called_as="bridge"), pod


def test_a_duplicate_address_is_found_with_enabledad(node: Node) -> None:
    """With enabledad an address that somebody else has fails ADD, undone (D5, AD6)."""
    answer, pod = add_duplicate(node, enabledad=True)

    assert answer.json == {
        "cniVersion": "1.0.0",
        "code": 103,
        "msg": "fd00::2/64 of eth0 is in use by another machine on the link: "
        "duplicate address detection failed",
    }
    assert list(pod.links()) == ["lo"]
    assert node.leases("blue", node.folder / "data") == []
    assert node.records("blue", node.folder / "data") == []


def test_a_duplicate_address_is_not_looked_for_by_default(node: Node) -> None:
    """Without enabledad the address is taken as the store gives it (D5)."""
    answer, pod = add_duplicate(node)

    assert answer.exit_code == 0
    assert default_routes(pod) == POOLS["dual"].defaults
