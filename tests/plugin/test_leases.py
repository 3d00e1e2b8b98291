"""Leases and records on disk: host-local's layout, and what a killed call leaves."""

from __future__ import annotations

import json
import os
import posix
from typing import TYPE_CHECKING, Any

import pytest

from plugin.address import parse_address, render_address
from plugin.state import files, leases
from plugin.state.leases import Record, Store, parse_record

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = parse_address("10.60.0.2"), parse_address("fd00::2")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The store of a network that has no folder yet."""
    return Store(str(tmp_path / "run" / "blue"))


@pytest.fixture
def made(store: Store) -> Store:
    """A store with its folder."""
    posix.close(store.lock(1))
    return store


def record_of(container_id: str, *addresses: bytes) -> Record:
    """The record of an attachment by eth0."""
    record = Record("blue", container_id, "eth0")
    record.addresses = list(addresses)
    return record


def put(store: Store, record: Record) -> None:
    """Write record and leases as ADD does, and end."""
    posix.close(store.put(record))
    for address in record.addresses:
        assert store.claim(address, record)


def texts(addresses: Any) -> list[str]:
    """Addresses as sorted text."""
    return sorted(render_address(address) for address in addresses)


def test_a_lease_has_the_layout_of_host_local(made: Store) -> None:
    """A lease is a file named after its address, with id, CR LF and interface (3.2)."""
    assert made.claim(ONE, record_of("c1"))
    made.set_cursor(0, ONE)

    assert files.read(f"{made.folder}/10.60.0.2") == b"c1\r\neth0"
    assert files.read(f"{made.folder}/last_reserved_ip.0") == b"10.60.0.2"


def test_an_address_is_held_by_one(made: Store) -> None:
    """A second claim of an address fails, and only its holder gives it back."""
    assert made.claim(ONE, record_of("c1"))

    assert not made.claim(ONE, record_of("c2"))
    assert made.holder(ONE) == ("c1", "eth0")
    assert not made.release(ONE, "c2", "eth0")
    assert not made.release(ONE, "c1", "eth1")
    assert made.is_taken(ONE)
    assert made.release(ONE, "c1", "eth0")
    assert not made.is_taken(ONE)


@pytest.mark.parametrize("content", [b"c1", b" c1 \n", b"c1\r\n"])
def test_an_old_lease_counts_by_its_container(made: Store, content: bytes) -> None:
    """A lease without an interface is of the container's any interface (3.5 B)."""
    files.replace(f"{made.folder}/10.60.0.2", content)

    assert made.holder(ONE) == ("c1", "")
    assert made.find("c1", "eth0") == [ONE]
    assert made.find("c2", "eth0") == []
    assert made.release(ONE, "c1", "eth0")


def test_all_leases_are_listed_and_nothing_else(made: Store) -> None:
    """Lock, cursors, records and temporary files are no leases."""
    put(made, record_of("c1", ONE, TWO))
    made.set_cursor(0, ONE)

    assert texts(made.leases()) == ["10.60.0.2", "fd00::2"]
    assert {"10.60.0.2", "fd00::2"} <= made.taken()


@pytest.mark.parametrize(
    ("content", "want"),
    [(None, None), (b"", None), (b"x", None), (b"\xff", None), (b" 10.60.0.2\n", ONE)],
)
def test_cursors(made: Store, content: bytes | None, want: bytes | None) -> None:
    """A cursor that is missing or damaged is no cursor."""
    if content is not None:
        files.replace(f"{made.folder}/last_reserved_ip.0", content)

    assert made.cursor(0) == want


def test_a_record_comes_back(store: Store) -> None:
    """A record is read as it was written, with a folder made for it."""
    record = record_of("c1", ONE, TWO)
    record.bridge, record.veth, record.netns = "pyc0", "veth0", "/run/netns/n1"
    record.pod, record.mac, record.spoof_check = "shop/web", "02:00:00:00:00:01", True
    record.masquerade = [["10.60.0.0/24", "10.0.0.0/8"], ["fd00::/64"]]

    posix.close(store.put(record))
    read = store.get("c1", "eth0")

    assert read is not None
    keys = Record.__slots__
    assert {k: getattr(read, k) for k in keys} == {k: getattr(record, k) for k in keys}
    assert store.attachments() == [("c1", "eth0")]


def test_a_record_is_written_once(store: Store) -> None:
    """A record that is there is not written again, until it is forgotten."""
    put(store, record_of("c1"))

    assert store.put(record_of("c1")) == -1
    store.forget("c1", "eth0")
    assert not store.has("c1", "eth0")
    assert store.get("c1", "eth0") is None
    put(store, record_of("c1"))


def test_a_record_is_locked_by_the_call_that_works_on_it(store: Store) -> None:
    """Another call waits for the record, and -1 says that there is none."""
    descriptor = store.put(record_of("c1"))

    with pytest.raises(TimeoutError):
        store.lock_record("c1", "eth0", 0.01)
    posix.close(descriptor)
    posix.close(store.lock_record("c1", "eth0", 0.01))
    assert store.lock_record("c2", "eth0", 0.01) == -1


WHOLE = {"name": "blue", "container_id": "c1", "ifname": "eth0", "addresses": []}


def test_a_record_of_an_older_plugin_is_read() -> None:
    """A record that lacks what came later has the defaults."""
    record = parse_record(json.dumps(WHOLE).encode())

    assert record.render() == Record("blue", "c1", "eth0").render()
    assert (record.veth, record.masquerade, record.spoof_check) == ("", [], False)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"5", b"null", b"[]", b"{}"]
    + [
        json.dumps({**WHOLE, **change}).encode()
        for change in (
            {"addresses": 5},
            {"addresses": [5]},
            {"addresses": ["x"]},
            {"container_id": 5},
            {"veth": None},
            {"mac": 5},
            {"mac": "02:00"},
            {"veth": "a/b"},
            {"masquerade": 5},
            {"masquerade": [[5]]},
        )
    ],
)
def test_a_damaged_record_is_a_value_error(data: bytes) -> None:
    """A record that is cut short or of another shape is ValueError (B5)."""
    with pytest.raises(ValueError, match=r"not a record|is not|line 1|mac: |veth: "):
        parse_record(data)


def test_a_record_of_another_attachment_is_a_value_error(made: Store) -> None:
    """A record under another name than its own is damaged (B5)."""
    put(made, record_of("c1"))
    posix.rename(
        f"{made.folder}/attachments/c1@eth0", f"{made.folder}/attachments/c2@eth0"
    )

    with pytest.raises(ValueError, match="it is of eth0 of c1"):
        made.get("c2", "eth0")


def reboot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """Give the machine another boot id."""
    path = tmp_path / f"boot-{name}"
    path.write_text(name)
    monkeypatch.setattr(leases, "_BOOT_ID", str(path))


def test_leases_of_another_boot_are_void(
    made: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After a reboot only what still lives keeps its addresses (A1, B4)."""
    reboot(monkeypatch, tmp_path, "first")
    made.settle(lambda record: False)
    put(made, record_of("alive", ONE))
    put(made, record_of("dead", TWO))
    files.append(f"{made.folder}/attachments/damaged@eth0", b"{")
    made.claim(parse_address("10.60.0.3"), record_of("damaged"))

    made.settle(lambda record: False)
    assert len(texts(made.leases())) == 3

    reboot(monkeypatch, tmp_path, "second")
    made.settle(lambda record: record.container_id == "alive")
    assert texts(made.leases()) == ["10.60.0.2"]
    assert made.attachments() == [("alive", "eth0")]
    assert not made.has_foreign()


def test_a_folder_that_another_program_filled_keeps_its_leases(
    made: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Leases that were there before us are kept in this boot, and noted (B21)."""
    reboot(monkeypatch, tmp_path, "first")
    files.replace(f"{made.folder}/10.60.0.2", b"c1\r\neth0")

    made.settle(lambda record: False)

    assert made.has_foreign()
    assert texts(made.leases()) == ["10.60.0.2"]


def test_a_machine_without_a_boot_id(
    made: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel has no boot id, it is the empty one."""
    monkeypatch.setattr(leases, "_BOOT_ID", "/nowhere")

    assert leases.boot_id() == b""


def test_what_killed_calls_left_is_swept(made: Store) -> None:
    """Temporary files of processes that are gone go, others' stay (B8)."""
    living = f".{posix.getpid()}.1.tmp"
    for folder in (made.folder, f"{made.folder}/attachments"):
        dead = [f".999999999.{number}.tmp" for number in range(9)]
        for name in (*dead, living, ".hidden", ".a.b.txt", "x.1.2.tmp"):
            files.append(f"{folder}/{name}", b"")

    made.sweep()

    for folder in (made.folder, f"{made.folder}/attachments"):
        left = {name for name in os.listdir(folder) if name.startswith((".", "x"))}
        assert left == {living, ".hidden", ".a.b.txt", "x.1.2.tmp"}


def test_a_store_that_is_not_there_has_nothing_to_sweep(store: Store) -> None:
    """Sweeping a store without a folder makes none."""
    store.sweep()

    assert not os.path.exists(store.folder)


def test_a_record_is_alone_until_there_is_another(tmp_path: Path) -> None:
    """A store says whether it has a record beside a given one, or any at all."""
    store = Store(str(tmp_path / "blue"))
    first, second = Record("blue", "c1", "eth0"), Record("blue", "c2", "eth0")

    empty = store.has_others()
    posix.close(store.put(first))
    (tmp_path / "blue" / "attachments" / ".7.1.tmp").touch()
    alone = (store.has_others(first), store.has_others())
    posix.close(store.put(second))

    assert (empty, alone, store.has_others(first)) == (False, (False, True), True)
