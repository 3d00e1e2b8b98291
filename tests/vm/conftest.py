"""The boots that the tests of this folder share: a boot costs seconds.

The plugin is the built file under the name `bridge`. With CNI_PLUGINS=FOLDER it is that
folder's, so that the reference plugins can be seen in the same scenarios.
"""

from __future__ import annotations

import base64
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import cases, image, machine
from .report import Parts, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / "build" / "pycni"
BOOT_TIMEOUT_S = 120.0


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The plugins, the scenarios and their configurations, by path in the machine."""
    folder = tmp_path_factory.mktemp("configs")
    found = {f"/scenarios/{each.name}": each for each in (HERE / "scenarios").iterdir()}
    found |= _plugins()
    for name, config in (cases.PORT_CASES | cases.GATEWAY_CASES | cases.OTHERS).items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(config) + "\n")  # `read` wants the line's end
        found[f"/configs/{name}.json"] = path
    return found


@pytest.fixture(scope="session")
def first_boot(files: dict[str, Path]) -> Parts:
    """What the scenarios printed, played in two machines side by side."""
    scripts = [
        _script(*map(_vlan, cases.PORT_CASES), "traffic.sh", "masquerade.sh"),
        _script(*map(_vlan, cases.GATEWAY_CASES), "fill.sh"),
    ]
    image.prepare()  # once, not twice side by side
    with ThreadPoolExecutor() as pool:
        outputs = pool.map(lambda script: _boot(script, files), scripts)
        return {title: text for parts in outputs for title, text in parts.items()}


@pytest.fixture(scope="session")
def second_boot(
    files: dict[str, Path], first_boot: Parts, tmp_path_factory: pytest.TempPathFactory
) -> Parts:
    """What the boot after it printed, with the disk that it left."""
    disk = tmp_path_factory.mktemp("disk") / "disk.tar.gz"
    disk.write_bytes(base64.b64decode(first_boot["fill disk"]))
    return _boot(_script("refill.sh"), {**files, "/disk.tar.gz": disk})


def _plugins() -> dict[str, Path]:
    """Return the plugins by path in the machine."""
    folder = os.environ.get("CNI_PLUGINS")
    if folder:
        return {f"/opt/cni/bin/{each.name}": each for each in Path(folder).iterdir()}
    if not BUILT.exists():
        pytest.fail(f"{BUILT} is missing: build the plugin first")
    return {"/opt/cni/bin/bridge": BUILT}


def _vlan(case: str) -> str:
    """Return the call of the VLAN scenario for one case."""
    return f"vlan.sh /configs/{case}.json"


def _script(*scenarios: str) -> str:
    """Return a script that plays each scenario on a node of its own."""
    lines = [f"on_node node{n} {call}" for n, call in enumerate(scenarios)]
    return "\n".join([". /scenarios/words.sh", *lines]) + "\n"


def _boot(script: str, files: Mapping[str, Path]) -> Parts:
    """Return what a script printed, part by part."""
    return parts_of(machine.run(script, files, BOOT_TIMEOUT_S))
