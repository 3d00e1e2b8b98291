"""Leases: which attachment holds which address, one file a lease.

The store of a network is a folder with host-local's layout, so that either can read
the other's: a file per address that holds `CONTAINERID CR LF IFNAME`, a cursor
`last_reserved_ip.N` per range set, and `lock`. Ours beside it: `attachments/ID@IFNAME`,
one record per attachment, which makes release independent of the number of leases,
and `boot_id`. Leases of another boot are void unless their interface lives: that way
nothing has to reach the disk before an answer is given, and no lease outlives its pod.

Never looks at the kernel: a lease without a link is the garbage collector's business.
"""

from __future__ import annotations

import posix

from plugin import jsonio
from plugin.address import parse_address, parse_prefix, render_address
from plugin.protocol import ifname_problems
from plugin.state import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_RECORD_VERSION = 1


class Record:
    """What an attachment has: written before anything is made, read to undo it."""

    __slots__ = (
        "addresses",
        "bridge",
        "container_id",
        "ifname",
        "mac",
        "masquerade",
        "name",
        "netns",
        "pod",
        "spoof_check",
        "veth",
    )

    def __init__(self, name: str, container_id: str, ifname: str) -> None:
        self.name = name
        self.container_id = container_id
        self.ifname = ifname
        self.addresses: list[bytes] = []
        self.bridge = ""
        self.veth = ""
        self.netns = ""
        self.pod = ""
        # Subnets whose masquerade goes with the last attachment, each with its exempt
        # destinations behind it.
        self.masquerade: list[list[str]] = []
        # MAC address in the pod, and whether the port is bound to it.
        self.mac = ""
        self.spoof_check = False

    @property
    def holder(self) -> bytes:
        """The content of a lease file of this attachment."""
        return f"{self.container_id}\r\n{self.ifname}".encode()

    def render(self) -> bytes:
        """The record as JSON."""
        document: dict[str, Any] = {"version": _RECORD_VERSION}
        for key in self.__slots__:
            document[key] = getattr(self, key)
        document["addresses"] = [render_address(a) for a in self.addresses]
        return jsonio.dumps(document).encode()


def parse_record(data: bytes) -> Record:
    """A record from its JSON; ValueError if it is damaged."""
    document = jsonio.loads(data)
    try:
        whose = [_text(document[key]) for key in ("name", "container_id", "ifname")]
        record = Record(*whose)
        record.addresses = [parse_address(text) for text in document["addresses"]]
        for key in ("bridge", "veth", "netns", "pod", "mac"):
            setattr(record, key, _text(document.get(key, "")))
        record.masquerade = [
            [str(parse_prefix(_text(text))) for text in row]
            for row in document.get("masquerade", ())
        ]
        pairs = record.mac.split(":")
        if record.mac and (len(pairs), len(bytes.fromhex("".join(pairs)))) != (6, 6):
            raise ValueError(f"mac: {record.mac!r} is not a MAC address")
        if record.veth and ifname_problems("veth", record.veth):
            raise ValueError(f"veth: {record.veth!r} is not an interface name")
        record.spoof_check = document.get("spoof_check") is True
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a record: {error}") from None
    return record


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def boot_id() -> bytes:
    """The id of this boot of the machine."""
    return files.read(_BOOT_ID) or b""


class Store:
    """The leases and records of one network, in one folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.network = folder.rpartition("/")[2]
        self._attachments = f"{folder}/attachments"

    def lock(self, timeout_s: float) -> int:
        """Lock the store, making it if need be; close the descriptor to unlock."""
        try:
            return files.lock(f"{self.folder}/lock", timeout_s)
        except FileNotFoundError:
            files.make_folder(self._attachments)
            return files.lock(f"{self.folder}/lock", timeout_s)

    def is_taken(self, address: bytes) -> bool:
        """Whether an attachment holds the address."""
        return files.exists(self._lease(address))

    def taken(self) -> set[str]:
        """The texts of all addresses held, for when probing one by one is slower."""
        return set(files.names(self.folder))

    def leases(self) -> Iterator[bytes]:
        """All addresses held."""
        for name in files.names(self.folder):
            try:
                yield parse_address(name)
            except ValueError:
                continue

    def holder(self, address: bytes) -> tuple[str, str]:
        """Container id and interface of a lease; an old-style file has the id only."""
        data = (files.read(self._lease(address)) or b"").decode("utf-8", "replace")
        container_id, _, ifname = data.strip().partition("\n")
        return container_id.strip(), ifname.strip()

    def claim(self, address: bytes, record: Record) -> bool:
        """Take an address for an attachment; False if somebody holds it."""
        return files.claim(self._lease(address), record.holder)

    def release(self, address: bytes, container_id: str, ifname: str) -> bool:
        """Give an address back if this attachment holds it."""
        held_by = self.holder(address)
        if held_by[0] != container_id or held_by[1] not in (ifname, ""):
            return False
        return files.remove(self._lease(address))

    def drop(self, address: bytes) -> None:
        """Give an address back, whoever holds it."""
        files.remove(self._lease(address))

    def find(self, container_id: str, ifname: str) -> list[bytes]:
        """All addresses of an attachment, by reading every lease: without a record."""
        return [
            address
            for address in self.leases()
            if self.holder(address) in ((container_id, ifname), (container_id, ""))
        ]

    def cursor(self, index: int) -> bytes | None:
        """The address last given out of a range set."""
        data = files.read(f"{self.folder}/last_reserved_ip.{index}")
        try:
            return parse_address((data or b"").decode("utf-8", "replace").strip())
        except ValueError:
            return None

    def set_cursor(self, index: int, address: bytes) -> None:
        """Remember the address last given out of a range set."""
        path = f"{self.folder}/last_reserved_ip.{index}"
        files.replace(path, render_address(address).encode())

    def put(self, record: Record) -> int:
        """Write a record that is not there yet, locked: a descriptor, else -1."""
        path = self._record(record.container_id, record.ifname)
        try:
            return files.claim_locked(path, record.render())
        except FileNotFoundError:
            files.make_folder(self._attachments)
            return files.claim_locked(path, record.render())

    def has(self, container_id: str, ifname: str) -> bool:
        """Whether there is a record of the attachment."""
        return files.exists(self._record(container_id, ifname))

    def get(self, container_id: str, ifname: str) -> Record | None:
        """The record of an attachment; None if there is none, ValueError if damaged."""
        data = files.read(self._record(container_id, ifname))
        record = None if data is None else parse_record(data)
        if record and (record.container_id, record.ifname) != (container_id, ifname):
            raise ValueError(f"it is of {record.ifname} of {record.container_id}")
        return record

    def lock_record(self, container_id: str, ifname: str, timeout_s: float) -> int:
        """Wait until no other call works on the attachment; -1 without a record."""
        path = self._record(container_id, ifname)
        try:
            return files.lock(path, timeout_s, make=False)
        except (FileNotFoundError, NotADirectoryError):
            return -1

    def forget(self, container_id: str, ifname: str) -> None:
        """Remove the record of an attachment, after everything it names is gone."""
        files.remove(self._record(container_id, ifname))

    def attachments(self) -> list[tuple[str, str]]:
        """Container id and interface of every record."""
        found = []
        for name in files.names(self._attachments):
            container_id, _, ifname = name.partition("@")
            found.append((container_id, ifname))
        return found

    def has_others(self, record: Record | None = None) -> bool:
        """Whether there is a record, other than this one; stops at the first."""
        own = f"{record.container_id}@{record.ifname}" if record else ""
        return any(name != own for name in files.each_name(self._attachments))

    def require_writable(self) -> None:
        """Raise OSError if a claim could not be written."""
        for folder in (self.folder, self._attachments):
            files.require_writable(folder)

    def settle(self, alive: Callable[[Record], bool]) -> None:
        """Void the leases of another boot, except where `alive` says its link lives.

        The caller holds the lock. A folder that somebody else filled keeps its leases
        in this boot, and a note that some have no record.
        """
        now = boot_id()
        path = f"{self.folder}/boot_id"
        then = files.read(path)
        if then == now:
            return
        if then is not None:
            self._void(alive)
        elif any(True for _ in self.leases()):
            files.replace(f"{self.folder}/foreign", b"")
        files.replace(path, now)

    def is_of_another_boot(self) -> bool:
        """Whether the next ADD voids the leases that are here."""
        return files.read(f"{self.folder}/boot_id") not in (None, boot_id())

    def has_foreign(self) -> bool:
        """Whether the folder has, or had, leases that another program wrote."""
        return files.exists(f"{self.folder}/foreign")

    def _void(self, alive: Callable[[Record], bool]) -> None:
        kept: set[bytes] = set()
        for container_id, ifname in self.attachments():
            try:
                record = self.get(container_id, ifname)
            except ValueError:
                record = None
            if record and alive(record):
                kept.update(record.addresses)
            else:
                self.forget(container_id, ifname)
        for address in self.leases():
            if address not in kept:
                self.drop(address)

    def sweep(self) -> None:
        """Remove what killed calls left: temporary files of processes that are gone."""
        for folder in (self.folder, self._attachments):
            try:
                found = posix.listdir(folder.encode())
            except FileNotFoundError:
                continue
            for name in found:
                parts = name.split(b".")
                if len(parts) != 4 or parts[0] or parts[3] != b"tmp":
                    continue
                if not files.exists(f"/proc/{parts[1].decode()}"):
                    files.remove(f"{folder}/{name.decode()}")

    def _lease(self, address: bytes) -> str:
        return f"{self.folder}/{render_address(address)}"

    def _record(self, container_id: str, ifname: str) -> str:
        return f"{self._attachments}/{container_id}@{ifname}"
