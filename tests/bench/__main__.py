"""Run the benchmark: `python -m tests.bench`, as root, from the top of the repository.

Never fails because a figure is bad: exit 1 means that something did not work.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from . import lab
from .cases import CASES, Case, Setup
from .reference import BenchError, Reference, ensure_programs, obtain
from .report import Row, render_table, write_json
from .side import Plugin

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"


def main() -> int:
    """Measure the cases asked for, print the table, write the JSON file."""
    options = _options()
    try:
        _check_start(options.plugin)
        ensure_programs()
        reference = obtain(BUILD)
        lab.enter()
    except (BenchError, OSError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    setup = _setup(options, reference)
    facts = _facts(setup, reference)
    _print_facts(facts)
    rows, failures = _measure(setup, [case for case in CASES if _wanted(case, options)])
    print(render_table(rows))
    write_json(options.json, {**facts, "failures": failures}, rows)
    print(f"\nMedians, in brackets least and 90th percentile; also in {options.json}.")
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="pycni / reference")
    parser.add_argument("--plugin", type=Path, default=BUILD / "pycni", metavar="PATH")
    parser.add_argument("-n", type=int, default=40, help="rounds of a case")
    parser.add_argument("--quick", action="store_true", help="8 rounds a case")
    parser.add_argument("--json", type=Path, default=BUILD / "bench.json")
    parser.add_argument(
        "--only", nargs="+", choices=[case.name for case in CASES], metavar="CASE"
    )
    options = parser.parse_args()
    options.plugin = options.plugin.resolve()
    options.json = options.json.resolve()
    return options


def _check_start(plugin: Path) -> None:
    if os.geteuid() != 0:
        raise BenchError("needs root, to make network namespaces")
    if not os.access(plugin, os.X_OK):
        raise BenchError(f"no plugin at {plugin}; build it with `make plugin`")


def _wanted(case: Case, options: argparse.Namespace) -> bool:
    return options.only is None or case.name in options.only


def _setup(options: argparse.Namespace, reference: Reference) -> Setup:
    folders = {options.plugin.parent: None, reference.folder.resolve(): None}
    bridge = reference.folder.resolve() / "bridge"
    search = os.pathsep.join(map(str, folders))
    return Setup(
        pycni=Plugin("pycni", options.plugin, "pycni", search),
        reference=Plugin("reference", bridge, "bridge", str(bridge.parent)),
        has_nft_backend=reference.has_nft_backend,
        rounds=8 if options.quick else options.n,
    )


def _measure(setup: Setup, cases: list[Case]) -> tuple[list[Row], list[str]]:
    """Measure the cases in turn; one that does not work does not stop the others."""
    rows: list[Row] = []
    failures: list[str] = []
    for case in cases:
        print(f"bench: {case.about}", file=sys.stderr)
        try:
            rows += case.measure(setup)
        except (BenchError, OSError) as error:
            print(f"bench: {case.name} failed: {error}", file=sys.stderr)
            failures.append(f"{case.name}: {error}")
    return rows, failures


def _facts(setup: Setup, reference: Reference) -> dict[str, object]:
    """What was measured, where and when."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} x {_processor()}",
        "kernel": platform.release(),
        "load_at_start": os.getloadavg()[0],
        "pycni": _about(setup.pycni.path),
        "reference": f"{_about(setup.reference.path)} ({reference.origin})",
        "iptables": _about(Path("iptables"), "--version"),
        "nft": _about(Path("nft"), "--version"),
        "rounds": setup.rounds,
    }


def _print_facts(facts: dict[str, object]) -> None:
    for name, value in facts.items():
        print(f"{name.replace('_', ' ')}: {value}")
    print()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _about(program: Path, *arguments: str) -> str:
    """The first line that a program says of itself, as plugins do without a command."""
    environ = {"PATH": os.environ.get("PATH", os.defpath)}
    done = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        env=environ,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    said = (done.stdout + done.stderr).strip().splitlines()
    if said and done.returncode == 0:
        return said[0]
    if not program.is_absolute():
        return "unknown"
    return f"sha256 {hashlib.sha256(program.read_bytes()).hexdigest()[:16]}"


if __name__ == "__main__":
    sys.exit(main())
