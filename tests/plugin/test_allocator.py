"""The allocator on a real store: round robin, requested addresses, a full range."""

from __future__ import annotations

import posix
from typing import TYPE_CHECKING

import pytest

from plugin import ipam
from plugin.address import packed, parse_address, render_address
from plugin.errors import CNIError
from plugin.ipamconfig import IPAMConfig
from plugin.ranges import Range, parse_range
from plugin.state import files
from plugin.state.leases import Record, Store

if TYPE_CHECKING:
    from pathlib import Path


def range_set(*subnets: str) -> list[Range]:
    """A range set of these subnets."""
    return [parse_range({"subnet": text}, gateway_needed=False) for text in subnets]


def config(*sets: list[Range], requested: tuple[str, ...] = ()) -> IPAMConfig:
    """What `ipam` says: these range sets, these addresses asked for."""
    made = IPAMConfig()
    made.range_sets = list(sets)
    made.requested = [parse_address(text) for text in requested]
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in which no address is held."""
    store = Store(f"{tmp_path}/blue")
    files.make_folder(f"{store.folder}/attachments")
    return store


def hold(store: Store, *texts: str, container_id: str = "other") -> None:
    """Let another attachment hold these addresses."""
    for text in texts:
        record = Record("blue", container_id, "eth0")
        assert store.claim(parse_address(text), record)


def dead(record: Record) -> bool:
    """No interface lives."""
    return False


def claim(store: Store, wanted: IPAMConfig, container_id: str = "c1") -> list[str]:
    """Claim addresses for an attachment; they, with their prefix lengths."""
    record = Record("blue", container_id, "eth0")
    given, descriptor = ipam.claim(store, wanted, record, dead)
    posix.close(descriptor)
    return [str(ip.address) for ip in given]


def failure(
    store: Store, wanted: IPAMConfig, container_id: str = "c1"
) -> tuple[int, str, str]:
    """Code, message and details of a claim that has to fail."""
    with pytest.raises(CNIError) as caught:
        claim(store, wanted, container_id)
    return caught.value.code, caught.value.message, caught.value.details


@pytest.mark.parametrize(
    ("subnets", "held", "last", "want"),
    [
        (["10.0.0.0/29"], [], "", "10.0.0.2/29"),
        (["2001:db8:1::/64"], [], "", "2001:db8:1::2/64"),
        (["10.0.0.0/30"], [], "", "10.0.0.2/30"),
        (["10.0.0.0/29"], ["10.0.0.2"], "", "10.0.0.3/29"),
        (["10.0.0.0/29"], [], "10.0.0.5", "10.0.0.6/29"),
        (["10.0.0.0/29"], ["10.0.0.4", "10.0.0.5"], "10.0.0.3", "10.0.0.6/29"),
        (["10.0.0.0/29"], ["10.0.0.6"], "10.0.0.5", "10.0.0.2/29"),
        (["10.0.0.0/29"], ["10.0.0.2"], "10.0.0.128", "10.0.0.3/29"),
        (
            ["10.0.0.0/29"],
            ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"],
            "10.0.0.3",
            "10.0.0.3/29",
        ),
        (["10.0.0.0/30", "10.0.1.0/30"], [], "", "10.0.0.2/30"),
        (["10.0.0.0/30", "10.0.1.0/30"], [], "10.0.0.2", "10.0.1.2/30"),
        (
            ["10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30"],
            [],
            "10.0.2.2",
            "10.0.0.2/30",
        ),
    ],
    ids=str,
)
def test_addresses_go_round(
    store: Store, subnets: list[str], held: list[str], last: str, want: str
) -> None:
    """The next address is the first free one after the last one given (3.5 B)."""
    hold(store, *held)
    if last:
        store.set_cursor(0, parse_address(last))

    got = claim(store, config(range_set(*subnets)))

    assert got == [want]


@pytest.mark.parametrize(
    ("last", "want"),
    [
        (None, [2, 3, 4, 5, 6]),
        ("192.168.1.6", [2, 3, 4, 5, 6]),
        ("192.168.1.3", [4, 5, 6, 2, 3]),
    ],
    ids=["begin", "end", "middle"],
)
def test_candidates_are_every_address_once(last: str | None, want: list[int]) -> None:
    """The search goes once round the set and ends at the last address given (3.5 B)."""
    parts = range_set("192.168.1.0/29")

    found = ipam.candidates(parts, parse_address(last) if last else None)

    assert [render_address(packed(value, part.size)) for part, value in found] == [
        f"192.168.1.{n}" for n in want
    ]


@pytest.mark.parametrize(
    ("last", "want"),
    [
        ("192.168.1.6", ["192.168.2.2", "192.168.2.3"]),
        (None, ["192.168.1.2", "192.168.1.3"]),
        ("10.9.9.9", ["192.168.1.2", "192.168.1.3"]),
    ],
    ids=["the end of a range", "nothing", "another network's"],
)
def test_the_search_begins_behind_the_last_address(
    last: str | None, want: list[str]
) -> None:
    """After the end of one range the next one follows, without a last the first."""
    parts = range_set("192.168.1.0/29", "192.168.2.0/29")

    found = ipam.candidates(parts, parse_address(last) if last else None)

    first_two = [next(found), next(found)]
    assert [render_address(packed(value, p.size)) for p, value in first_two] == want


def test_the_range_is_given_out_without_its_broadcast_address(store: Store) -> None:
    """A /29 gives five addresses, each once, and not its broadcast (3.5 B)."""
    wanted = config(range_set("192.168.1.0/29"))

    got = [claim(store, wanted, f"c{n}")[0] for n in range(5)]

    assert got == [f"192.168.1.{n}/29" for n in (2, 3, 4, 5, 6)]
    assert failure(store, wanted, "c9")[0] == 101


def test_a_released_address_comes_last(store: Store) -> None:
    """An address given back is not given again before all others (row 30)."""
    wanted = config(range_set("192.168.1.0/29"))
    claim(store, wanted)
    ipam.release(store, store.get("c1", "eth0") or Record("", "", ""))

    assert claim(store, wanted) == ["192.168.1.3/29"]


def test_the_order_survives_another_process(store: Store) -> None:
    """The cursor is on disk, so that a new store goes on behind it (3.5 B)."""
    wanted = config(range_set("192.168.1.0/29"))
    claim(store, wanted)

    assert claim(Store(store.folder), wanted, "c2") == ["192.168.1.3/29"]


def test_each_set_has_a_cursor_of_its_own(store: Store) -> None:
    """One address of each range set is given, and each set remembers its last."""
    wanted = config(range_set("10.0.0.0/29"), range_set("fd00::/64"))
    store.set_cursor(1, parse_address("fd00::9"))

    assert claim(store, wanted) == ["10.0.0.2/29", "fd00::a/64"]
    assert [render_address(store.cursor(n) or b"") for n in (0, 1)] == [
        "10.0.0.2",
        "fd00::a",
    ]


def test_a_damaged_cursor_counts_as_none(store: Store) -> None:
    """A cursor that is no address costs the order, not the address."""
    files.replace(f"{store.folder}/last_reserved_ip.0", b"\xff\0")

    assert claim(store, config(range_set("10.0.0.0/29"))) == ["10.0.0.2/29"]


def test_a_requested_address_is_given(store: Store) -> None:
    """An address asked for is given, with the mask of its subnet (3.2)."""
    wanted = config(range_set("192.168.1.0/29"), requested=("192.168.1.5",))

    assert claim(store, wanted) == ["192.168.1.5/29"]
    assert store.cursor(0) is None


def test_a_requested_address_is_of_one_set(store: Store) -> None:
    """Sets that no requested address lies in give their next one (3.2)."""
    sets = range_set("10.0.0.0/29"), range_set("10.0.1.0/29"), range_set("fd00::/64")
    wanted = config(*sets, requested=("fd00::5", "10.0.1.4"))

    assert claim(store, wanted) == ["10.0.0.2/29", "10.0.1.4/29", "fd00::5/64"]


def test_a_requested_address_that_is_held_says_by_whom(store: Store) -> None:
    """An address taken is code 103, in host-local's words, with its holder (C4)."""
    hold(store, "192.168.1.5", container_id="c9")
    wanted = config(range_set("192.168.1.0/29"), requested=("192.168.1.5",))

    assert failure(store, wanted) == (
        103,
        "requested IP address 192.168.1.5 is not available in range set "
        "192.168.1.1-192.168.1.6",
        "held by eth0 of c9",
    )


@pytest.mark.parametrize(
    ("requested", "want"),
    [
        ("192.168.1.8", "failed to allocate all requested IPs: 192.168.1.8"),
        ("192.168.1.0", "failed to allocate all requested IPs: 192.168.1.0"),
        ("192.168.1.7", "failed to allocate all requested IPs: 192.168.1.7"),
        ("fd00::1", "failed to allocate all requested IPs: fd00::1"),
        ("192.168.1.1", "requested ip 192.168.1.1 is subnet's gateway"),
    ],
    ids=["behind", "network", "broadcast", "family", "gateway"],
)
def test_a_requested_address_has_to_be_in_a_range(
    store: Store, requested: str, want: str
) -> None:
    """An address that no set could give is code 7, in host-local's words (C4)."""
    wanted = config(range_set("192.168.1.0/29"), requested=(requested,))

    assert failure(store, wanted)[:2] == (7, want)


def test_an_excluded_address_is_not_given_on_request(store: Store) -> None:
    """An address that the configuration excludes is nobody's, asked for or not (A5)."""
    excluding = {"subnet": "192.168.1.0/29", "exclude": ["192.168.1.5"]}
    parts = [parse_range(excluding, gateway_needed=False)]

    assert failure(store, config(parts, requested=("192.168.1.5",))) == (
        103,
        "requested IP address 192.168.1.5 is not available in range set "
        "192.168.1.1-192.168.1.6",
        "the configuration keeps it from being given out",
    )


def test_more_requested_addresses_than_sets_are_refused(store: Store) -> None:
    """One address of a set is one too many for a second request in it (3.2)."""
    wanted = config(
        range_set("192.168.1.0/29"), requested=("192.168.1.5", "192.168.1.6")
    )

    assert failure(store, wanted)[:2] == (
        7,
        "failed to allocate all requested IPs: 192.168.1.6",
    )
    assert list(store.leases()) == []


@pytest.mark.parametrize(
    ("subnets", "held"),
    [
        (["10.0.0.0/30"], ["10.0.0.2"]),
        (["10.0.0.0/29"], [f"10.0.0.{n}" for n in range(2, 7)]),
        (["10.0.0.0/30", "10.0.1.0/30"], ["10.0.0.2", "10.0.1.2"]),
    ],
    ids=str,
)
def test_a_full_set_is_code_101(
    store: Store, subnets: list[str], held: list[str]
) -> None:
    """A full range set is code 101, and the message has the ranges (3.5 B)."""
    hold(store, *held)
    parts = range_set(*subnets)
    names = ",".join(str(part) for part in parts)

    assert failure(store, config(parts)) == (
        101,
        "failed to allocate for range 0: no IP addresses available in range set: "
        f"{names}",
        f"all {len(held)} addresses are held, by the files in {store.folder}",
    )


def test_a_full_second_set_takes_nothing_of_the_first(store: Store) -> None:
    """A claim has all of its addresses or none, and leaves no record (3.2)."""
    hold(store, "10.0.1.2")

    code, message, _ = failure(
        store, config(range_set("10.0.0.0/29"), range_set("10.0.1.0/30"))
    )

    assert (code, message[:31]) == (101, "failed to allocate for range 1:")
    assert [render_address(a) for a in store.leases()] == ["10.0.1.2"]
    assert (store.attachments(), store.cursor(0)) == ([], None)


def test_the_same_attachment_has_no_second_address(store: Store) -> None:
    """A second claim of an attachment is refused in host-local's words (B4, AD5)."""
    wanted = config(range_set("10.0.0.0/29"))
    claim(store, wanted)

    assert failure(store, wanted)[:2] == (
        106,
        "10.0.0.2 has been allocated to c1, duplicate allocation is not allowed",
    )
    assert [render_address(a) for a in store.leases()] == ["10.0.0.2"]


def test_a_lease_of_host_local_is_no_second_address_either(store: Store) -> None:
    """An attachment whose lease another program wrote is not given a second one."""
    hold(store, "10.0.0.2", container_id="c1")
    wanted = config(range_set("10.0.0.0/29"))

    assert failure(store, wanted)[:2] == (
        106,
        "10.0.0.2 has been allocated to c1, duplicate allocation is not allowed",
    )


def test_a_stuck_lock_is_code_11(store: Store) -> None:
    """A lock that is held for too long ends in code 11 and its path (A7)."""
    holder = store.lock(1)

    with pytest.raises(CNIError) as caught:
        ipam.locked(store, timeout_s=0.01)

    assert (caught.value.code, caught.value.message) == (
        11,
        f"{store.folder}/lock: held by another call for more than 0.01 s",
    )
    posix.close(holder)
    posix.close(ipam.locked(store, timeout_s=0.01))
