"""The plugin without its executable: what an unfrozen Python lacks, and a runtime."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import configuration, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugin.fakes import FakeKernel, Request, Runtime


def _stay(descriptor: int, kind: int) -> None:
    """Enter a namespace by staying in our own."""


if sys.version_info < (3, 12):
    # The freeze step links it in; see plugin/freeze/setns.c.
    module = sys.modules.setdefault("_setns", ModuleType("_setns"))
    module.setns = _stay  # type: ignore[attr-defined]

configuration.set_hypothesis_home_dir(
    Path(__file__).parents[2] / "build" / "cache" / "hypothesis"
)
# The same examples in every run: what fails here fails for everybody.
settings.register_profile("pycni", derandomize=True, deadline=None, database=None)
settings.load_profile("pycni")


@pytest.fixture(autouse=True)
def _no_log_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A call without a configuration has the default log: here one of the test."""
    path = str(tmp_path / "default.log")
    monkeypatch.setattr("plugin.logfile.DEFAULT_PATH", path)


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """A container runtime, with folders of its own."""
    from tests.plugin.fakes import Runtime

    return Runtime(tmp_path)


@pytest.fixture
def kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[Callable[[Request], list[bytes]]], FakeKernel]:
    """Makes a function the kernel: netlink ends there, sysctls in a folder."""
    from plugin import netns, sysctl
    from plugin.netlink import channel
    from tests.plugin.fakes import FakeKernel

    def install(answer: Callable[[Request], list[bytes]]) -> FakeKernel:
        fake = FakeKernel(answer)
        monkeypatch.setattr(channel, "socket", fake.socket)
        monkeypatch.setattr(netns, "setns", _stay)
        monkeypatch.setattr(sysctl, "_ROOT", str(tmp_path / "sysctl"))
        return fake

    return install
