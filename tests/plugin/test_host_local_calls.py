"""Calls under the name host-local, each of which ends its process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from plugin.state import files, leases

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.fakes import Runtime

VALID = "cni.dev/valid-attachments"


@pytest.fixture
def folder(runtime: Runtime) -> Path:
    """The folder of the network's leases, which is not there yet."""
    return runtime.folder / "data" / "blue"


def add(runtime: Runtime, container_id: str, **environ: str) -> str:
    """The address that an ADD gives."""
    answer = runtime.call(
        "ADD", runtime.config(), "host-local", CNI_CONTAINERID=container_id, **environ
    )
    assert answer.exit_code == 0, answer
    return str(answer.json["ips"][0]["address"])


def held(folder: Path) -> list[str]:
    """The addresses that are held."""
    return sorted(name for name in os.listdir(folder) if name.startswith("10."))


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK", "GC", "STATUS"])
@pytest.mark.parametrize("ipam", [None, [], "x"])
def test_without_an_ipam_object(runtime: Runtime, command: str, ipam: Any) -> None:
    """A configuration without `ipam` is refused in host-local's words (3.2)."""
    answer = runtime.call(command, runtime.config(ipam=ipam))

    assert (answer.code, answer.message) == (7, "IPAM config missing 'ipam' key")


def test_dns_of_a_resolv_conf(runtime: Runtime) -> None:
    """resolvConf gives name servers, domain, search list and options (3.2)."""
    path = runtime.folder / "resolv.conf"
    path.write_text(
        "# a comment\n; more\nnameserver\nnameserver 10.0.0.10\nnameserver fd00::10\n"
        "domain cluster.local\nsearch a b c\noptions ndots:5\noptions edns0 rotate\n"
        "sortlist 10.0.0.0\n"
    )
    config = runtime.config()
    config["ipam"]["resolvConf"] = str(path)

    assert runtime.call("ADD", config).json["dns"] == {
        "domain": "cluster.local",
        "search": ["a", "b", "c"],
        "nameservers": ["10.0.0.10", "fd00::10"],
        "options": ["ndots:5", "edns0", "rotate"],
    }
    path.write_text("")
    assert "dns" not in runtime.call("ADD", config, CNI_CONTAINERID="c2").json


def test_a_resolv_conf_that_is_not_there(runtime: Runtime, folder: Path) -> None:
    """A resolvConf that is missing is code 7, before anything is claimed (3.2)."""
    config = runtime.config()
    config["ipam"]["resolvConf"] = "/nowhere/resolv.conf"

    answer = runtime.call("ADD", config)

    assert (answer.code, answer.message) == (
        7,
        "ipam.resolvConf: /nowhere/resolv.conf: no such file",
    )
    assert not folder.exists()


def test_del_gives_back_what_add_took(runtime: Runtime, folder: Path) -> None:
    """DEL frees the addresses of its attachment alone, also twice (DE1, 3.5 B)."""
    add(runtime, "c1")
    add(runtime, "c1", CNI_IFNAME="eth1")
    add(runtime, "c2")

    for _ in range(2):
        assert runtime.call("DEL", runtime.config(), CNI_NETNS=None).exit_code == 0
        assert held(folder) == ["10.60.0.3", "10.60.0.4"]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"name": 5}', None])
def test_del_with_a_damaged_record(
    runtime: Runtime, folder: Path, damage: bytes | None
) -> None:
    """DEL finds the addresses of a damaged or lost record by reading all (B5)."""
    add(runtime, "c1")
    record = folder / "attachments" / "c1@eth0"
    record.unlink()
    if damage is not None:
        record.write_bytes(damage)

    assert runtime.call("DEL", runtime.config()).exit_code == 0
    assert held(folder) == []
    assert not record.exists()


def test_check_finds_an_address_or_says_so(runtime: Runtime, folder: Path) -> None:
    """CHECK succeeds with an address, also a foreign one, else it is code 3 (CK2)."""
    add(runtime, "c1")
    files.replace(f"{folder}/10.60.0.5", b"c5")

    for container_id, code in (("c1", 0), ("c5", 0), ("c9", 3)):
        answer = runtime.call("CHECK", runtime.config(), CNI_CONTAINERID=container_id)
        assert answer.code == code
    assert answer.message == (
        "host-local: Failed to find address added by container c9"
    )


def test_gc_keeps_what_is_valid(runtime: Runtime, folder: Path) -> None:
    """GC frees what is not listed, records and foreign leases alike (GC1, J1)."""
    add(runtime, "c1")
    add(runtime, "c2")
    add(runtime, "c2", CNI_IFNAME="eth1")
    files.replace(f"{folder}/10.60.0.5", b"c1")
    files.replace(f"{folder}/10.60.0.6", b"gone")
    valid = [
        {"containerID": "c1", "ifname": "eth0"},
        {"containerID": "c2", "ifname": "eth1"},
    ]

    answer = runtime.call("GC", runtime.config(**{VALID: valid}))

    assert (answer.exit_code, answer.stdout) == (0, b"")
    assert held(folder) == ["10.60.0.2", "10.60.0.4", "10.60.0.5"]


def test_gc_sweeps_what_killed_calls_left(runtime: Runtime, folder: Path) -> None:
    """GC removes temporary files, and keeps lock and cursor (B8, J1)."""
    add(runtime, "c1")
    (folder / ".999999999.1.tmp").touch()

    runtime.call("GC", runtime.config(**{VALID: []}))

    assert sorted(os.listdir(folder)) == [
        "attachments",
        "boot_id",
        "last_reserved_ip.0",
        "lock",
    ]


@pytest.mark.parametrize("key", [VALID, "cni.dev/attachments"])
def test_gc_reads_both_keys(runtime: Runtime, folder: Path, key: str) -> None:
    """An attachment that either key lists is valid: the union counts (GC6)."""
    add(runtime, "c1")
    add(runtime, "c2")
    lists: dict[str, Any] = {VALID: [], "cni.dev/attachments": []}
    one = [{"containerID": "c1", "ifname": "eth0"}]

    runtime.call("GC", runtime.config(**{**lists, key: one}))

    assert held(folder) == ["10.60.0.2"]


def test_gc_without_a_list_removes_nothing(runtime: Runtime, folder: Path) -> None:
    """A missing list is code 7 and not "nothing is valid", an empty one is (GC5)."""
    add(runtime, "c1")

    answer = runtime.call("GC", runtime.config())

    assert (answer.code, answer.message) == (
        7,
        "cni.dev/valid-attachments: missing, so nothing was removed; an empty list "
        "removes all",
    )
    assert held(folder) == ["10.60.0.2"]
    assert runtime.call("GC", runtime.config(**{VALID: []})).exit_code == 0
    assert held(folder) == []


@pytest.mark.parametrize(
    "entry", [5, "c1", {}, {"containerID": "c1"}, {"containerID": 5, "ifname": "eth0"}]
)
@pytest.mark.parametrize("listed", [True, False])
def test_gc_with_a_list_of_something_else(
    runtime: Runtime, folder: Path, entry: Any, listed: bool
) -> None:
    """A list that is none of attachments is code 6, and removes nothing (GC1)."""
    add(runtime, "c1")

    answer = runtime.call("GC", runtime.config(**{VALID: [entry] if listed else entry}))

    assert (answer.code, answer.message) == (
        6,
        f"{VALID}: {entry!r} is not an object with containerID and ifname",
    )
    assert held(folder) == ["10.60.0.2"]


def test_status_says_when_the_range_is_full(runtime: Runtime) -> None:
    """STATUS is code 50 while no address is free (ST1, ST3)."""
    config = runtime.config(runtimeConfig={"ips": ["10.60.0.2"]})
    for number in range(5):
        assert runtime.call("STATUS", config).exit_code == 0
        add(runtime, f"c{number}")

    full = runtime.call("STATUS", config)
    runtime.call("DEL", config, CNI_CONTAINERID="c3")

    assert (full.code, full.message) == (
        50,
        "failed to allocate for range 0: no IP addresses available in range set: "
        "10.60.0.1-10.60.0.6",
    )
    assert runtime.call("STATUS", config).exit_code == 0


def test_a_large_range_is_searched_past_what_is_held(
    runtime: Runtime, folder: Path
) -> None:
    """Where many addresses in a row are held, the first free one is found (B10)."""
    folder.mkdir(parents=True)
    for number in range(2, 200):
        (folder / f"10.60.0.{number}").write_text("other")
    config = runtime.config()
    config["ipam"]["subnet"] = "10.60.0.0/24"

    answer = runtime.call("ADD", config)

    assert answer.json["ips"][0]["address"] == "10.60.0.200/24"


def test_a_reboot_frees_the_addresses(
    runtime: Runtime, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot addresses whose namespace is gone are free (A1, B4)."""
    for number in range(5):
        netns = {"CNI_NETNS": "/nowhere"} if number else {}
        add(runtime, f"c{number}", **netns)
    boot_id = runtime.folder / "boot_id"
    boot_id.write_text("another")
    monkeypatch.setattr(leases, "_BOOT_ID", str(boot_id))

    assert runtime.call("STATUS", runtime.config()).exit_code == 0
    add(runtime, "d1")
    assert len(held(folder)) == 2


def test_what_a_loser_of_a_race_took_is_given_back(
    runtime: Runtime, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that a program without the lock takes is code 11, all given back."""
    config = runtime.config(runtimeConfig={"ipRanges": [[{"subnet": "10.61.0.0/24"}]]})
    folder.mkdir(parents=True)
    files.replace(f"{folder}/10.60.0.2", b"other")
    monkeypatch.setattr(leases.Store, "is_taken", lambda store, address: False)

    answer = runtime.call("ADD", config)

    assert (answer.code, answer.message) == (
        11,
        "10.60.0.2: taken this moment by a program that does not heed the lock of the "
        "store",
    )
    assert held(folder) == ["10.60.0.2"]
    assert os.listdir(folder / "attachments") == []


def test_a_record_that_appears_meanwhile(
    runtime: Runtime, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that another call writes this moment is code 11 (CC1)."""
    monkeypatch.setattr(leases.Store, "put", lambda store, record: -1)

    answer = runtime.call("ADD", runtime.config())

    assert (answer.code, answer.message) == (
        11,
        "eth0 of c1: another call is adding it",
    )
    assert held(folder) == []


def test_a_folder_that_cannot_be_written(runtime: Runtime) -> None:
    """A dataDir that is below a file is code 5 with its path (2.3)."""
    (runtime.folder / "data").touch()

    for command in ("ADD", "GC"):
        answer = runtime.call(command, runtime.config(**{VALID: []}))
        if command == "ADD":
            assert answer.code == 5
            assert answer.message.endswith("Not a directory")
