"""Ranges as host-local configures them: defaults, validation, membership, overlap."""

from __future__ import annotations

from typing import Any

import pytest

from plugin.address import number, packed, parse_address, render_address
from plugin.ranges import Range, check_set, check_sets, name_of_set, parse_range


def outline(part: Range) -> tuple[str, str, str | None]:
    """First and last address of a range with its subnet, and its gateway."""
    gateway = render_address(part.gateway) if part.gateway else None
    return f"{part}", f"{part.subnet}", gateway


def given_out(part: Range) -> list[str]:
    """Every address that the range may give to a pod, in order."""
    return [
        render_address(packed(value, part.size))
        for value in range(part.start, part.end + 1)
        if part.usable(value)
    ]


@pytest.mark.parametrize(
    ("document", "want"),
    [
        (
            {"subnet": "192.0.2.0/24"},
            ("192.0.2.1-192.0.2.254", "192.0.2.0/24", "192.0.2.1"),
        ),
        (
            {"subnet": "192.0.2.128/25"},
            ("192.0.2.129-192.0.2.254", "192.0.2.128/25", "192.0.2.129"),
        ),
        (
            {"subnet": "2001:DB8:1::/64"},
            (
                "2001:db8:1::1-2001:db8:1:0:ffff:ffff:ffff:ffff",
                "2001:db8:1::/64",
                "2001:db8:1::1",
            ),
        ),
        (
            {
                "subnet": "192.0.2.0/24",
                "rangeStart": "192.0.2.40",
                "rangeEnd": "192.0.2.50",
                "gateway": "192.0.2.254",
            },
            ("192.0.2.40-192.0.2.50", "192.0.2.0/24", "192.0.2.254"),
        ),
        (
            {"subnet": "10.0.0.0/31"},
            ("10.0.0.0-10.0.0.1", "10.0.0.0/31", None),
        ),
        (
            {"subnet": "fd00::/64", "gateway": "fe80::1"},
            ("fd00::1-fd00::ffff:ffff:ffff:ffff", "fd00::/64", "fe80::1"),
        ),
        (
            {"subnet": "fd00::/64", "gateway": "fd01::1", "gatewayOnLink": True},
            ("fd00::1-fd00::ffff:ffff:ffff:ffff", "fd00::/64", "fd01::1"),
        ),
    ],
    ids=["IPv4", "a /25", "IPv6", "all fields", "a /31", "fe80", "on-link"],
)
def test_a_range_has_the_defaults_of_host_local(
    document: dict[str, Any], want: tuple[str, str, str | None]
) -> None:
    """Start, end and gateway that are not given are those of host-local (3.5 B)."""
    assert outline(parse_range(document, gateway_needed=False)) == want


@pytest.mark.parametrize(
    ("document", "want"),
    [
        (
            {"subnet": "192.0.2.12/24"},
            "Network has host bits set. For a subnet mask of length 24 the network "
            "address is 192.0.2.0",
        ),
        (
            {"subnet": "2001:DB8:1::24:19ff:fee1:c44a/64"},
            "Network has host bits set. For a subnet mask of length 64 the network "
            "address is 2001:db8:1::",
        ),
        (
            {"subnet": "2001:DB8:24:19ff::/63"},
            "Network has host bits set. For a subnet mask of length 63 the network "
            "address is 2001:db8:24:19fe::",
        ),
        (
            {"subnet": "192.168.127.0/23"},
            "Network has host bits set. For a subnet mask of length 23 the network "
            "address is 192.168.126.0",
        ),
        ({"subnet": "192.0.2.0/31"}, "Network 192.0.2.0/31 too small to allocate from"),
        ({"subnet": "fd00::/127"}, "Network fd00::/127 too small to allocate from"),
        (
            {"subnet": "192.0.2.0/24", "rangeStart": "192.0.3.0"},
            "RangeStart 192.0.3.0 not in network 192.0.2.0/24",
        ),
        (
            {"subnet": "192.0.2.0/24", "rangeEnd": "192.0.4.0"},
            "RangeEnd 192.0.4.0 not in network 192.0.2.0/24",
        ),
        (
            {"subnet": "192.0.2.0/24", "rangeEnd": "fd00::5"},
            "RangeEnd fd00::5 not in network 192.0.2.0/24",
        ),
        (
            {
                "subnet": "192.0.2.0/24",
                "rangeStart": "192.0.2.50",
                "rangeEnd": "192.0.2.40",
            },
            "RangeEnd 192.0.2.40 not in network 192.0.2.0/24",
        ),
        (
            {"subnet": "192.0.2.0/24", "rangeStart": "192.0.2.255"},
            "RangeStart 192.0.2.255 not in network 192.0.2.0/24",
        ),
        (
            {"subnet": "192.0.2.0/24", "gateway": "192.0.3.1"},
            "gateway: 192.0.3.1 is not in the subnet 192.0.2.0/24",
        ),
        (
            {"subnet": "192.0.2.0/24", "gateway": "fd00::1"},
            "gateway: fd00::1 is IPv6, the subnet 192.0.2.0/24 is IPv4",
        ),
        (
            {"subnet": "192.0.2.0/24", "gateway": "192.0.3.1", "gatewayOnLink": True},
            "gateway: 192.0.3.1 is not in the subnet 192.0.2.0/24",
        ),
        (
            {"subnet": "fd00::/64", "gateway": "fd01::1"},
            "gateway: fd01::1 is not in the subnet fd00::/64",
        ),
        (
            {
                "subnet": "192.0.2.0/24",
                "rangeStart": "192.0.2.1",
                "rangeEnd": "192.0.2.1",
            },
            "no usable address in 192.0.2.0/24 from 192.0.2.1-192.0.2.1",
        ),
        (
            {"subnet": "192.0.2.0/24", "exclude": ["192.0.2.9-192.0.2.5"]},
            "exclude: 192.0.2.9-192.0.2.5 ends before it begins",
        ),
        (
            {"subnet": "192.0.2.0/24", "exclude": ["five"]},
            "exclude: 'five' is not an IP address",
        ),
        ({"subnet": "192.0.2.0"}, "'192.0.2.0' is not an address with a prefix length"),
        (
            {"subnet": "192.0.2.0/33"},
            "'192.0.2.0/33' is not an address with a prefix length",
        ),
        (
            {"subnet": "192.0.2.0/24", "rangeStart": "here"},
            "rangeStart: 'here' is not an IP address",
        ),
    ],
    ids=str,
)
def test_a_wrong_range_is_refused_with_a_sentence(
    document: dict[str, Any], want: str
) -> None:
    """A range that cannot be is refused in the words of host-local (3.2, C1, A4)."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared
        parse_range(document, gateway_needed=True)

    assert want in str(caught.value)


@pytest.mark.parametrize(
    ("document", "want"),
    [
        ([], "[] is not a range object"),
        ({}, "subnet: None is not an address with a prefix length"),
        ({"subnet": 5}, "subnet: 5 is not an address with a prefix length"),
        (
            {"subnet": "192.0.2.0/24", "gateway": 5},
            "gateway: 5 is not an IP address",
        ),
        (
            {"subnet": "192.0.2.0/24", "rangeStart": ["192.0.2.5"]},
            "rangeStart: ['192.0.2.5'] is not an IP address",
        ),
        (
            {"subnet": "192.0.2.0/24", "exclude": "192.0.2.9"},
            "exclude: '192.0.2.9' is not a list",
        ),
        ({"subnet": "192.0.2.0/24", "exclude": [9]}, "exclude: 9 is not a string"),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_a_type_error(document: object, want: str) -> None:
    """What has the wrong JSON type is told apart from a wrong value (CF10)."""
    with pytest.raises(TypeError) as caught:
        parse_range(document, gateway_needed=False)

    assert str(caught.value) == want


def test_a_small_subnet_says_how_much_it_has_beside_the_gateway() -> None:
    """A /31 that needs a gateway is refused with its usable count (A4)."""
    with pytest.raises(ValueError, match="too small") as caught:
        parse_range({"subnet": "10.0.0.0/31"}, gateway_needed=True)

    assert str(caught.value) == (
        "subnet: Network 10.0.0.0/31 too small to allocate from: beside the gateway "
        "it has 1 addresses, and a prefix length of at most 30 is needed"
    )


@pytest.mark.parametrize(
    ("document", "want"),
    [
        ({"subnet": "10.0.0.0/29"}, [f"10.0.0.{n}" for n in (2, 3, 4, 5, 6)]),
        ({"subnet": "10.0.0.0/30"}, ["10.0.0.2"]),
        ({"subnet": "10.0.0.0/31"}, ["10.0.0.0", "10.0.0.1"]),
        ({"subnet": "10.0.0.0/31", "gateway": "10.0.0.0"}, ["10.0.0.1"]),
        ({"subnet": "10.0.0.9/32"}, ["10.0.0.9"]),
        ({"subnet": "fd00::/126"}, ["fd00::2", "fd00::3"]),
        ({"subnet": "fd00::/127"}, ["fd00::", "fd00::1"]),
        ({"subnet": "fd00::9/128"}, ["fd00::9"]),
        (
            {"subnet": "10.0.0.0/29", "rangeStart": "10.0.0.0", "rangeEnd": "10.0.0.7"},
            [f"10.0.0.{n}" for n in (2, 3, 4, 5, 6)],
        ),
        (
            {"subnet": "10.0.0.0/28", "exclude": ["10.0.0.4/30", "10.0.0.9-10.0.0.12"]},
            [f"10.0.0.{n}" for n in (2, 3, 8, 13, 14)],
        ),
        (
            {"subnet": "10.0.0.0/29", "exclude": ["10.0.0.3", "fd00::/64"]},
            [f"10.0.0.{n}" for n in (2, 4, 5, 6)],
        ),
    ],
    ids=str,
)
def test_network_broadcast_gateway_and_excluded_are_never_given(
    document: dict[str, Any], want: list[str]
) -> None:
    """A range gives out exactly what is no pod's to avoid (A4, A5)."""
    assert given_out(parse_range(document, gateway_needed=False)) == want


def test_an_excluded_block_is_one_step() -> None:
    """The address behind an excluded half of a /64 is found without a walk (B10)."""
    half = {"subnet": "fd00::/64", "exclude": ["fd00::/65"]}
    part = parse_range(half, gateway_needed=False)

    found = part.next_usable(part.start)

    assert found == number(parse_address("fd00::8000:0:0:0"))


@pytest.mark.parametrize(
    ("document", "inside", "outside"),
    [
        (
            {
                "subnet": "192.0.2.0/24",
                "rangeStart": "192.0.2.40",
                "rangeEnd": "192.0.2.50",
            },
            ["192.0.2.40", "192.0.2.50"],
            ["192.0.3.0", "192.0.2.39", "192.0.2.51", "::c000:228"],
        ),
        (
            {
                "subnet": "2001:db8:1::/64",
                "rangeStart": "2001:db8:1::40",
                "rangeEnd": "2001:db8:1::50",
            },
            ["2001:db8:1::40", "2001:db8:1::50"],
            ["2001:db8:2::", "2001:db8:1::39", "2001:db8:1::51", "0.0.0.64"],
        ),
    ],
    ids=["IPv4", "IPv6"],
)
def test_a_range_holds_what_lies_between_its_bounds(
    document: dict[str, Any], inside: list[str], outside: list[str]
) -> None:
    """An address belongs to a range from its start to its end, both included."""
    part = parse_range(document, gateway_needed=False)

    held = [text for text in inside + outside if part.holds(parse_address(text))]

    assert held == inside


@pytest.mark.parametrize(
    ("one", "other", "want"),
    [
        ({"subnet": "10.0.0.0/24"}, {"subnet": "10.0.1.0/24"}, False),
        ({"subnet": "0.0.0.0/24"}, {"subnet": "::/24"}, False),
        ({"subnet": "10.0.0.0/24"}, {"subnet": "10.0.0.0/24"}, True),
        ({"subnet": "10.0.0.0/20"}, {"subnet": "10.0.1.0/24"}, True),
        (
            {"subnet": "10.0.0.0/24", "rangeEnd": "10.0.0.127"},
            {"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.128"},
            False,
        ),
        (
            {"subnet": "10.0.0.0/24", "rangeEnd": "10.0.0.127"},
            {"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.127"},
            True,
        ),
    ],
    ids=["apart", "families", "same", "inside", "one subnet shared", "one address"],
)
def test_ranges_overlap_by_their_addresses(
    one: dict[str, str], other: dict[str, str], want: bool
) -> None:
    """Two ranges overlap if they share an address; a subnet may be shared (3.5 B)."""
    first, second = (parse_range(d, gateway_needed=False) for d in (one, other))

    assert (first.overlaps(second), second.overlaps(first)) == (want, want)


def range_set(*documents: dict[str, str]) -> list[Range]:
    """A range set of these ranges."""
    return [parse_range(document, gateway_needed=False) for document in documents]


@pytest.mark.parametrize(
    ("parts", "want"),
    [
        ([], "ranges: an empty range set"),
        (
            [{"subnet": "10.1.0.0/22"}, {"subnet": "10.1.2.0/24"}],
            "ranges: 10.1.0.1-10.1.3.254 and 10.1.2.1-10.1.2.254 overlap in one range "
            "set",
        ),
        (
            [{"subnet": "10.1.2.0/24"}, {"subnet": "fd00::/64"}],
            "ranges: 10.1.2.0/24 and fd00::/64 are of two families in one range set",
        ),
    ],
    ids=["empty", "overlap", "families"],
)
def test_a_wrong_range_set_is_refused(parts: list[dict[str, str]], want: str) -> None:
    """A range set has one family and no address twice (3.5 B)."""
    with pytest.raises(ValueError, match="ranges") as caught:
        check_set(range_set(*parts))

    assert str(caught.value) == want


def test_sets_that_share_addresses_are_refused() -> None:
    """Two range sets of one network must not overlap (3.2, its wording)."""
    first = range_set({"subnet": "10.1.2.0/24", "rangeEnd": "10.1.2.128"})
    second = range_set({"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.15"})

    with pytest.raises(ValueError, match="overlaps") as caught:
        check_sets([range_set({"subnet": "fd00::/64"}), first, second])

    assert str(caught.value) == "range set 1 overlaps with 2"


def test_sets_that_share_a_subnet_alone_are_fine() -> None:
    """Two range sets may lie in one subnet, one behind the other (3.5 B)."""
    first = range_set({"subnet": "10.1.2.0/24", "rangeEnd": "10.1.2.127"})
    second = range_set({"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.128"})

    check_sets([first, second])

    assert name_of_set(first + second) == ("10.1.2.1-10.1.2.127,10.1.2.128-10.1.2.254")
