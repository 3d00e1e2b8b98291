"""Taking turns: every side does the same once a round, so that all share each minute.

Never measures one side after another: on a busy machine that compares the neighbours.
The side that begins changes from round to round.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .side import Pod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .side import Side

PAUSE_S = 0.01  # between calls, for what the kernel still has to do after the last
SETTLE_S = 0.05  # after a round, for the namespaces whose links had gone already


@dataclass
class Times:
    """One side's nanoseconds, round by round."""

    add: list[int] = field(default_factory=list)
    delete: list[int] = field(default_factory=list)


def take_turns(
    sides: Sequence[Side], rounds: int, *, kubelet: bool = True, pods: int = 1
) -> list[Times]:
    """ADD and DEL that many pods at once on each side, round by round.

    The first round warms caches and is dropped. A pod's namespace goes after its DEL,
    and the next round waits until the kernel is done with it.
    """
    times = [Times() for _ in sides]
    for number in range(rounds + 1):
        first = number % len(sides)
        order = [*range(first, len(sides)), *range(first)]
        measured = _round(sides, order, kubelet, pods)
        if number:
            for side_times, (added, deleted) in zip(times, measured, strict=True):
                side_times.add.append(added)
                side_times.delete.append(deleted)
    return times


def _round(
    sides: Sequence[Side], order: list[int], kubelet: bool, pods: int
) -> list[tuple[int, int]]:
    groups = [[Pod(kubelet) for _ in range(pods)] for _ in sides]
    added, deleted = [0] * len(sides), [0] * len(sides)
    for index in order:
        time.sleep(PAUSE_S)
        added[index] = sides[index].add_all(groups[index])
    for index in order:
        time.sleep(PAUSE_S)
        deleted[index] = sides[index].delete_all(groups[index])
    _retire(sides, groups)
    return list(zip(added, deleted, strict=True))


def _retire(sides: Sequence[Side], groups: list[list[Pod]]) -> None:
    """Remove the pods and let the kernel finish, so that the next round starts even."""
    for pod in (pod for group in groups for pod in group):
        pod.netns.remove()
    for side, group in zip(sides, groups, strict=True):
        side.await_gone(group)
    time.sleep(SETTLE_S)
