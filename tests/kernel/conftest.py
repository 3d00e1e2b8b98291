"""A node for each test, removed with its pods afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.node import PLUGIN, Node, remove_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _prepared() -> None:
    assert PLUGIN.exists(), "build/pycni is missing: run make plugin"
    remove_leftovers()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node without bridge, pods or leases."""
    node = Node(tmp_path)
    yield node
    node.delete()
