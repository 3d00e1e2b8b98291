"""Figures and rows: to a table for people and to JSON for programs.

Never measures, and touches nothing but the one file that it is told to write.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEADER = ("", "pycni", "reference", "ratio", "goal", "")


@dataclass(frozen=True)
class Figure:
    """The median of n values, with the least and the ninetieth percentile."""

    median: float
    minimum: float
    p90: float
    n: int

    @classmethod
    def single(cls, value: float) -> Figure:
        """A figure that is known, not sampled."""
        return cls(value, value, value, 1)


@dataclass(frozen=True)
class Row:
    """One line of the report; `ratio` is what the goal is for, at most so much."""

    title: str
    unit: str
    ours: Figure
    theirs: Figure
    ratio: float
    goal: float | None

    @property
    def verdict(self) -> str:
        """Whether the goal is met; nothing if there is none."""
        if self.goal is None:
            return ""
        return "met" if self.ratio <= self.goal else "missed"


def milliseconds(nanoseconds: Sequence[int]) -> Figure:
    """Sum up a series of measurements."""
    values = sorted(value / 1e6 for value in nanoseconds)
    p90 = values[min(len(values) - 1, len(values) * 9 // 10)]
    return Figure(statistics.median(values), values[0], p90, len(values))


def render_table(rows: Sequence[Row]) -> str:
    """The rows in columns: median, and in brackets minimum and 90th percentile."""
    lines = [HEADER, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(cells, widths) for cells in lines)


def write_json(path: Path, facts: dict[str, object], rows: Sequence[Row]) -> None:
    """Write what was measured, and on what."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cases = [{**asdict(row), "verdict": row.verdict} for row in rows]
    path.write_text(json.dumps({**facts, "cases": cases}, indent=2) + "\n")


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    first, *others = widths
    right = "  ".join(
        cell.rjust(width) for cell, width in zip(cells[1:], others, strict=True)
    )
    return f"{cells[0].ljust(first)}  {right}".rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    goal = "" if row.goal is None else f"{row.goal:.2f}"
    ours, theirs = _figure(row.ours, row.unit), _figure(row.theirs, row.unit)
    return row.title, ours, theirs, f"{row.ratio:.2f}", goal, row.verdict


def _figure(figure: Figure, unit: str) -> str:
    if figure.n == 1:
        return f"{figure.median:.2f} {unit}"
    spread = f"({figure.minimum:.1f}, {figure.p90:.1f})"
    return f"{figure.median:.2f} {unit} {spread}"
