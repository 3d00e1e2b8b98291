"""The built file on the distribution's kernel, and on its second boot.

The test machine's own kernel may be years younger.
"""

from __future__ import annotations

import pytest

from .report import Parts, Report, added

pytestmark = pytest.mark.timeout(300)  # the first one boots

PODS_BEFORE = [f"c{n}" for n in range(1, 11)]
PODS_AFTER = [f"d{n}" for n in range(1, 14)]


def test_add_check_and_delete_with_masquerade(first_boot: Parts) -> None:
    """ADD, CHECK and DEL succeed with ipMasq, and CHECK fails after DEL (A20, A21)."""
    result, status = added(first_boot["masquerade add"])

    assert status == 0
    assert [each["address"] for each in result["ips"]] == ["10.1.3.2/24"]
    assert first_boot["masquerade check"] == "exit 0"
    assert first_boot["masquerade delete"] == "exit 0"
    assert added(first_boot["masquerade check after"])[1] == 1


def test_delete_leaves_bridge_and_uplink(first_boot: Parts) -> None:
    """After DEL the pod's link is gone and all else is as it was (A5)."""
    report = Report(first_boot, "masquerade")
    left = {"lo": [], "uplink": ["192.0.2.1/24"], "bridge0": ["10.1.3.1/24"]}

    assert report.node() == {**left, "HOST": []}
    assert report.node("node after") == left


def test_a_masqueraded_pod_reaches_the_outside(first_boot: Parts) -> None:
    """With ipMasq a pod reaches hosts that know no way back to it (A20)."""
    assert first_boot["masquerade pings"].splitlines() == [
        "pod reaches 10.1.3.1",
        "pod reaches 192.0.2.2",
    ]


def test_addresses_of_pods_that_a_reboot_ended_are_free(
    first_boot: Parts, second_boot: Parts
) -> None:
    """After a reboot with no DEL, all thirteen of a /28 are given out (bug log A1)."""
    before = [_address(first_boot[f"fill {pod}"]) for pod in PODS_BEFORE]
    after = [_address(second_boot[f"refill {pod}"]) for pod in PODS_AFTER]

    assert first_boot["fill boot"] != second_boot["refill boot"]
    assert len(set(before)) == len(PODS_BEFORE)
    assert sorted(after) == sorted(f"10.60.0.{n}/28" for n in range(2, 15))


def test_a_full_subnet_refuses_the_next_pod(second_boot: Parts) -> None:
    """ADD fails with the code for "no free address" when all are taken (A1)."""
    error, status = added(second_boot["refill d14"])

    assert (status, error["code"]) == (1, 101)


def _address(part: str) -> str:
    """Return the one address that ADD gave, or what it printed instead."""
    result, status = added(part)
    return str(result["ips"][0]["address"]) if status == 0 else str(result)
