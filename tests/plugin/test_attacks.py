"""Hostile input, without a kernel: size, order and damage cost what they must."""

from __future__ import annotations

import json
import posix
from errno import EINTR
from typing import TYPE_CHECKING

import pytest

from plugin import delegate, garbage, ipam, jsonio, ranges
from plugin.__main__ import main
from plugin.address import number, parse_address
from plugin.dataplane import attachment
from plugin.errors import CNIError, NetlinkError
from plugin.netlink import codec, rtnetlink
from plugin.netlink.channel import ROUTE, Channel
from plugin.state import files
from plugin.state.leases import Record, Store
from tests.plugin.fakes import OWN_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.plugin.fakes import FakeKernel, Request, Runtime

    Install = Callable[[Callable[[Request], list[bytes]]], FakeKernel]


@pytest.mark.timeout(20)
def test_text_full_of_escapes_is_read_in_one_pass() -> None:
    """a string of two million escapes is read without searching it for each of them."""
    text = b'"' + b"\\n" * 2_000_000 + b'"'

    assert jsonio.loads(text) == "\n" * 2_000_000


@pytest.mark.timeout(20)
def test_exclusions_are_passed_in_one_pass() -> None:
    """Exclusions that stand in any order are passed in one pass over them (A5)."""
    last = number(parse_address("10.1.200.0"))
    texts = [
        f"10.1.{value >> 8 & 255}.{value & 255}"
        for value in range(last, last - 50_000, -1)
    ]
    document = {"subnet": "10.1.0.0/16", "exclude": texts}

    parsed = ranges.parse_range(document, gateway_needed=True)

    assert parsed.next_usable(last - 49_999) == last + 1


@pytest.mark.timeout(20)
def test_a_lock_that_is_not_to_be_waited_for(tmp_path: Path) -> None:
    """With no time to wait, a lock that is held is told at once (A7)."""
    path = str(tmp_path / "lock")
    holder = files.lock(path, timeout_s=1)

    with pytest.raises(TimeoutError):
        files.lock(path, timeout_s=0)
    posix.close(holder)
    posix.close(files.lock(path, timeout_s=0))


def test_an_error_of_writing_names_the_file(tmp_path: Path) -> None:
    """What can't be written or read is named, although the kernel names none."""
    folder = tmp_path / "folder"
    folder.mkdir()

    with pytest.raises(IsADirectoryError) as caught:
        files.read(str(folder))

    assert caught.value.filename == str(folder)


def test_requests_are_sent_in_portions(
    kernel: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More requests than the socket holds answers for are sent in portions (L4)."""
    fake = kernel(lambda request: [request.acknowledge()])
    sent: list[int] = []
    send = fake.send

    def count_and_send(data: bytes) -> int:
        sent.append(len(codec.decode(data)))
        return send(data)

    monkeypatch.setattr(fake, "send", count_and_send)
    messages = [rtnetlink.set_up(index, "eth0") for index in range(100)]

    answers = Channel(ROUTE).exchange(messages)

    assert sent == [32, 32, 32, 4]
    assert [answer.error for answer in answers] == [None] * 100


def test_a_dump_that_is_always_disturbed_ends(kernel: Install) -> None:
    """A dump that the kernel calls disturbed every time is an error in the end (L4)."""
    disturbed = codec.NLM_F_MULTI | codec.NLM_F_DUMP_INTR
    fake = kernel(
        lambda request: [request.reply(codec.NLMSG_DONE, bytes(4), disturbed)]
    )

    with pytest.raises(NetlinkError) as caught:
        Channel(ROUTE).dump(rtnetlink.all_links())

    assert (caught.value.errno, len(fake.requests)) == (EINTR, 20)


def test_a_port_without_its_bridge_is_no_success(kernel: Install) -> None:
    """A bridge that is deleted while a pod is added makes ADD fail with code 11."""
    link = bytes(16) + codec.text_attribute(rtnetlink.IFLA_IFNAME, "veth0")
    kernel(lambda request: [request.reply(16, link), request.acknowledge()])
    port = rtnetlink.parse_link(link)

    with pytest.raises(CNIError) as caught:
        attachment._await_port(Channel(ROUTE), port)

    assert (caught.value.code, caught.value.message) == (
        11,
        "veth0 is in no bridge any more: was that deleted meanwhile?",
    )


@pytest.mark.parametrize("name", ["", "a/b", "a\0b"])
def test_an_ipam_type_that_is_no_file_name(name: str) -> None:
    """An ipam.type that no file can have is code 7 (C5)."""
    with pytest.raises(CNIError) as caught:
        delegate.find_plugin(name, "/opt/cni/bin")

    assert caught.value.code == 7


def test_a_plugin_that_fails_with_code_0(tmp_path: Path) -> None:
    """A failed plugin's code 0, which means success, is not passed on (DG1)."""
    plugin = tmp_path / "odd"
    plugin.write_text('#!/bin/sh\necho \'{"code": 0, "msg": "odd"}\'\nexit 1\n')
    plugin.chmod(0o755)
    environ = {b"CNI_PATH": str(tmp_path).encode()}

    with pytest.raises(CNIError) as caught:
        delegate.call("odd", b"ADD", environ, b"")

    assert caught.value.code == 109


def test_a_record_of_another_attachment_is_damaged(tmp_path: Path) -> None:
    """A record whose content is another attachment's is none (B5)."""
    store = Store(str(tmp_path / "blue"))
    files.make_folder(f"{store.folder}/attachments")
    record = Record("blue", "c2", "eth0")
    files.replace(f"{store.folder}/attachments/c1@eth0", record.render())

    with pytest.raises(ValueError, match="it is of eth0 of c2"):
        store.get("c1", "eth0")


def test_gc_takes_a_lost_lease_under_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GC looks at a lease again under the lock: one that was claimed meanwhile by a
    living attachment stays (GC4)."""
    store = Store(str(tmp_path / "blue"))
    posix.close(store.lock(1))
    lost, new = Record("blue", "c1", "eth0"), Record("blue", "c2", "eth0")
    address = parse_address("10.60.0.2")
    store.claim(address, lost)
    locked = ipam.locked

    def meanwhile(store: Store) -> int:
        store.drop(address)
        posix.close(store.put(new))
        store.claim(address, new)
        return locked(store)

    monkeypatch.setattr(ipam, "locked", meanwhile)

    garbage._collect_leases(store, set())

    assert store.holder(address) == ("c2", "eth0")


def test_two_deletes_at_once_take_their_own(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """host-local gives addresses back under the lock of the store (CC1)."""
    config, locked = runtime.config(), ipam.locked
    runtime.call("ADD", config)
    holder = files.lock(str(runtime.folder / "data" / "blue" / "lock"), 1)
    monkeypatch.setattr(ipam, "locked", lambda store: locked(store, 0))

    busy = runtime.call("DEL", config)
    posix.close(holder)
    free = runtime.call("DEL", config)

    assert (busy.code, free.code) == (11, 0)


def test_a_result_that_cannot_be_written_is_taken_back(runtime: Runtime) -> None:
    """ADD of host-local gives its address back when its result can't be told (AD6)."""

    def write(data: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    environ = {
        **{b"CNI_COMMAND": b"ADD", b"CNI_CONTAINERID": b"c1", b"CNI_IFNAME": b"eth0"},
        **{b"CNI_NETNS": OWN_NAMESPACE.encode()},
    }
    stdin = json.dumps(runtime.config()).encode()

    assert main(environ, "host-local", lambda: stdin, write) == 1
    store = Store(str(runtime.folder / "data" / "blue"))
    assert (list(store.leases()), store.attachments()) == ([], [])
    assert runtime.log_lines()[-1]["error"] == "Broken pipe"
