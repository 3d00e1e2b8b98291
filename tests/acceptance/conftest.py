"""The foreign programs, built once a session, and a node for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance import programs
from tests.acceptance.host import Host
from tests.kernel.node import remove_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _prepared() -> None:
    assert programs.PLUGIN.exists(), "build/pycni is missing: run make plugin"
    remove_leftovers()
    programs.build_plugins()
    programs.build_drivers()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A node without plugins, configurations or pods."""
    host = Host(tmp_path)
    yield host
    host.delete()
