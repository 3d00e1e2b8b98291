"""Ginkgo suites of the reference plugins, run on the plugins that PATH leads to.

Never builds anything: `programs` has left each suite in build/.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from tests.acceptance import programs
from tests.acceptance.programs import BUILT, ROOT
from tests.bench import reference

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.host import Host

REPORTS = ROOT / "build" / "reports"
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT_S = 120


class Outcome(NamedTuple):
    """How many specs of a suite passed, and what the others said."""

    passed: int
    failures: dict[str, str]


def run(host: Host, suite: str, folder: Path, *selection: str) -> Outcome:
    """Run the selected specs of a suite with the host's plugins first in PATH."""
    report = host.folder / "report.json"
    program = "/mnt" / (BUILT / f"{suite}.test").relative_to(ROOT)
    go = programs.go("env", "GOROOT", cwd=reference.SOURCE).strip()
    settings = {key: value for key, value in os.environ.items() if key[:2] == "GO"}
    path = f"/opt/cni/bin:{go}/bin:{SYSTEM_PATH}"
    REPORTS.mkdir(parents=True, exist_ok=True)
    answer = host.run_inside(
        str(program),
        f"--ginkgo.json-report={report}",
        f"--ginkgo.junit-report={REPORTS}/acceptance-{suite}.xml",
        "--ginkgo.no-color",
        f"--ginkgo.timeout={TIMEOUT_S - 10}s",
        *selection,
        own_pods=True,
        cwd=folder,
        timeout_s=TIMEOUT_S,
        environ={**settings, "PATH": path, "CGO_ENABLED": "0"},
    )
    assert report.exists(), answer
    return _outcome(report)


def _outcome(report: Path) -> Outcome:
    passed, failures = 0, {}
    for spec in json.loads(report.read_text())[0]["SpecReports"]:
        state = spec["State"]
        if state == "passed":
            passed += spec["LeafNodeType"] == "It"  # others set up or take down
        elif state != "skipped":
            name = " ".join([*spec["ContainerHierarchyTexts"], spec["LeafNodeText"]])
            failures[name] = f"{state}: {spec['Failure']['Message']}"[:2000]
    return Outcome(passed, failures)


def lay_out(host: Host) -> Path:
    """A folder like that of the suite `integration`, which any of them can run in.

    Plugins are in ../bin, configurations beside it, with a dataDir in the host's folder
    instead of /tmp, and two programs of the module can be built in it.
    """
    folder = host.folder / "integration"
    module = programs.module_folder()
    for source in module.glob("integration/testdata/**/*.*"):
        target = host.folder / source.relative_to(module)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text().replace('"/tmp/', f'"{host.folder}/'))
    for name in ("go.mod", "go.sum", "tools.go"):
        shutil.copy(reference.SOURCE / name, folder)
    (host.folder / "bin").symlink_to("/opt/cni/bin")
    return folder
