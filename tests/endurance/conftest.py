"""The fixtures of tests/kernel."""

from __future__ import annotations

from tests.kernel.conftest import _prepared, node

__all__ = ["_prepared", "node"]
