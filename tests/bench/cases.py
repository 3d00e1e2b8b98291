"""What is measured: a table of small functions, each making rows of the report.

Never judges: a goal stands beside a figure, and a missed one is no failure.
A new case is a function and a line in CASES.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .leases import fill
from .report import Figure, Row, milliseconds
from .rounds import Times, take_turns
from .side import Plugin, Side

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HELD = (10, 1_000, 60_000)
BURST = 50
NODE_DRAIN_S = 1.0  # for the kernel to take a node with its bridge and residents apart


@dataclass(frozen=True)
class Setup:
    """The two plugins and how often each case is measured."""

    pycni: Plugin
    reference: Plugin
    has_nft_backend: bool
    rounds: int


@dataclass(frozen=True)
class Case:
    """A name for `--only`, what it is about, and the function that measures it."""

    name: str
    about: str
    measure: Callable[[Setup], list[Row]]


def plain(setup: Setup) -> list[Row]:
    """No masquerade, DEL as kubelet calls it."""
    ours, theirs = _measured(_pair(setup), setup.rounds)
    return [
        _row("ADD", ours.add, theirs.add, 0.55),
        _row("DEL by kubelet", ours.delete, theirs.delete, 0.40),
    ]


def masquerade(setup: Setup) -> list[Row]:
    """Masquerade, beside both backends of the reference."""
    backends = ["iptables", "nftables"] if setup.has_nft_backend else ["iptables"]
    sides = [Side(setup.pycni, ipMasq=True)]
    for backend in backends:
        sides.append(Side(setup.reference, ipMasq=True, ipMasqBackend=backend))
    ours, *others = _measured(sides, setup.rounds)
    rows = []
    for backend, theirs in zip(backends, others, strict=True):
        goal = {"iptables": 0.22, "nftables": 0.15}[backend]
        title = f"masquerade, beside {backend}"
        rows.append(_row(f"ADD, {title}", ours.add, theirs.add, goal))
        rows.append(_row(f"DEL by kubelet, {title}", ours.delete, theirs.delete, 0.12))
    return rows


def lives_on(setup: Setup) -> list[Row]:
    """DEL of a container whose namespace stays: the link must go before the answer."""
    ours, theirs = _measured(_pair(setup), setup.rounds, kubelet=False)
    return [_row("DEL, namespace lives on", ours.delete, theirs.delete, 1.10)]


def held_leases(setup: Setup) -> list[Row]:
    """A store with few and with many leases: what does each plugin pay for them?"""
    plugins = (setup.pycni, setup.reference)
    sides = [_filled(Side(plugin), held) for held in HELD for plugin in plugins]
    times = _measured(sides, max(setup.rounds // 2, 4))
    ours, theirs = times[0::2], times[1::2]
    rows = []
    for held, our, their in zip(HELD, ours, theirs, strict=True):
        rows.append(_row(f"ADD, {held:,} leases held", our.add, their.add))
        rows.append(_row(f"DEL, {held:,} leases held", our.delete, their.delete))
    for verb in ("add", "delete"):
        our_growth = _growth(getattr(ours[0], verb), getattr(ours[-1], verb))
        their_growth = _growth(getattr(theirs[0], verb), getattr(theirs[-1], verb))
        name = {"add": "ADD", "delete": "DEL"}[verb]
        title = f"{name}, {HELD[-1]:,} leases to {HELD[0]}"
        rows.append(Row(title, "x", our_growth, their_growth, our_growth.median, 1.15))
    return rows


def burst(setup: Setup) -> list[Row]:
    """Many pods at once, from the first start to the last exit."""
    rounds = max(setup.rounds // 6, 3)
    ours, theirs = _measured(_pair(setup), rounds, pods=BURST)
    return [
        _row(f"{BURST} ADDs at once", ours.add, theirs.add, 0.70),
        _row(f"{BURST} DELs at once", ours.delete, theirs.delete),
    ]


def size(setup: Setup) -> list[Row]:
    """Bytes on disk: pycni is one file, the reference needs bridge and host-local."""
    folder = setup.reference.path.parent
    ours = _megabytes(setup.pycni.path)
    theirs = _megabytes(setup.reference.path, folder / "host-local")
    title = "file size, beside bridge + host-local"
    return [Row(title, "MB", ours, theirs, ours.median / theirs.median, None)]


CASES = (
    Case("plain", "ADD and DEL without masquerade", plain),
    Case("masquerade", "ADD and DEL with ipMasq", masquerade),
    Case("lives-on", "DEL of a namespace that lives on", lives_on),
    Case("leases", "ADD and DEL with many leases held", held_leases),
    Case("burst", "many ADDs and DELs at once", burst),
    Case("size", "file sizes", size),
)


def _pair(setup: Setup) -> list[Side]:
    return [Side(setup.pycni), Side(setup.reference)]


def _filled(side: Side, held: int) -> Side:
    fill(side, held)
    return side


def _measured(
    sides: list[Side], rounds: int, *, kubelet: bool = True, pods: int = 1
) -> list[Times]:
    """Take turns on these sides, then give them back."""
    try:
        return take_turns(sides, rounds, kubelet=kubelet, pods=pods)
    finally:
        for side in sides:
            side.close()
        time.sleep(NODE_DRAIN_S)


def _row(
    title: str, ours: list[int], theirs: list[int], goal: float | None = None
) -> Row:
    our, their = milliseconds(ours), milliseconds(theirs)
    return Row(title, "ms", our, their, our.median / their.median, goal)


def _growth(few: list[int], many: list[int]) -> Figure:
    return Figure.single(milliseconds(many).median / milliseconds(few).median)


def _megabytes(*paths: Path) -> Figure:
    return Figure.single(sum(path.stat().st_size for path in paths) / 1e6)
