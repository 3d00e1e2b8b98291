"""The one static file and its making: what build/pycni is, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FREEZE = ROOT / "plugin" / "freeze"
PYCNI = ROOT / "build" / "pycni"
MEGABYTE = 1 << 20

Build = Callable[..., Path]


def system_python() -> Path:
    """The distribution's newest Python: build.sh takes the same."""
    found = Path("/usr/bin").glob("python3.[0-9]*[0-9]")
    return max(found, key=lambda path: int(path.name.rpartition(".")[2]))


def run(
    command: list[str | Path], **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def write_package(folder: Path, main: str) -> Path:
    package = folder / "plugin"
    package.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (package / "__init__.py").touch()
    (package / "_version.py").write_text('VERSION = "source"\n')
    (package / "__main__.py").write_text(main)
    return package


def freeze(package: Path) -> subprocess.CompletedProcess[str]:
    pyproject = package.with_name("pyproject.toml")
    output = package.with_name("frozen.c")
    script = FREEZE / "freeze.py"
    return run([system_python(), "-I", script, package, pyproject, output])


# Nine lines before report(); build.sh asks each new file for its versions.
PROLOGUE = """import posix
import sys

def start():
    asked = posix.environ.get(b"CNI_COMMAND")
    answer = "supportedVersions" if asked else report()
    posix.write(1, str(answer).encode())
    return 0

"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build a program that prints what the given report() returns."""

    def build_one(report: str, **environment: str) -> Path:
        folder = tmp_path_factory.mktemp("built")
        package = write_package(folder, PROLOGUE + report)
        output = folder / "pycni"
        done = run(
            [FREEZE / "build.sh", output],
            PATH=os.environ["PATH"],
            PACKAGE=str(package),
            PYPROJECT=str(folder / "pyproject.toml"),
            **environment,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return output

    return build_one


def test_the_file_needs_no_loader_and_no_library() -> None:
    """No program interpreter and no dynamic section: the kernel alone starts it."""
    listing = run(["readelf", "-lW", PYCNI], PATH=os.environ["PATH"]).stdout

    got = [word for word in ("INTERP", "DYNAMIC") if word in listing]
    assert got == []


def test_the_file_is_small() -> None:
    """The file is smaller than 12 MB."""
    got = PYCNI.stat().st_size

    assert got < 12 * MEGABYTE


def test_the_file_runs_where_nothing_else_is(tmp_path: Path) -> None:
    """VERSION is answered in an empty root directory, and stderr stays empty."""
    shutil.copy(PYCNI, tmp_path / "pycni")
    become_root = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    done = subprocess.run(
        [*become_root, "chroot", tmp_path, "/pycni"],
        env={"CNI_COMMAND": "VERSION", "PATH": os.environ["PATH"]},
        input="{}",
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "1.1.0" in json.loads(done.stdout)["supportedVersions"]


def test_the_file_does_not_tell_where_it_was_built() -> None:
    """No path of the build machine is in the file."""
    content = PYCNI.read_bytes()

    got = [p for p in (str(ROOT), str(Path.home()), "tmp.") if p.encode() in content]
    assert got == []


def test_foreign_imports_are_refused_all_at_once(tmp_path: Path) -> None:
    """An import that is neither ours nor listed stops the build, with its place."""
    package = write_package(tmp_path, "import posix\nimport json\n")
    (package / "more.py").write_text("def f():\n    from re import match\n")

    done = freeze(package)

    want = (
        "plugin/__main__.py:2: json is neither ours nor in stdlib.txt\n"
        "plugin/more.py:2: re is neither ours nor in stdlib.txt\n"
    )
    assert (done.returncode, done.stderr) == (1, want)


def test_freezing_twice_gives_the_same_text(tmp_path: Path) -> None:
    """The same source in two places gives the same C file."""
    texts = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        freeze(write_package(folder, "WORDS = {'a', 'b', 'c'} | {1, 2}\n"))
        texts.append((folder / "frozen.c").read_text())

    assert texts[0] == texts[1]


def test_building_twice_gives_the_same_file(build: Build) -> None:
    """The same source gives the same executable, saved interpreter and all."""
    report = "def report(): return 1\n"

    assert build(report).read_bytes() == build(report).read_bytes()


def test_types_are_stripped(build: Build) -> None:
    """Annotations and what only a type checker imports are gone at run time."""
    program = build(
        "from __future__ import annotations\n"
        "TYPE_CHECKING = False\n"
        "if TYPE_CHECKING:\n"
        "    from typing import Any\n"
        "class Box:\n"
        "    size: int\n"
        "NUMBER: int = 7\n"
        "def typed(a: Any, *, b: Box = None) -> Any: return NUMBER\n"
        "def report(): return [\n"
        "    typed.__annotations__, '__annotations__' in vars(Box), typed(1),\n"
        "    'TYPE_CHECKING' in globals(), 'annotations' in globals()]\n"
    )

    assert run([program]).stdout == "[{}, False, 7, False, False]"


def test_the_version_is_the_projects(build: Build) -> None:
    """plugin._version in the file is the version of pyproject.toml."""
    program = build(
        "from plugin._version import VERSION\ndef report(): return VERSION\n"
    )

    assert run([program]).stdout == "1.2.3"


def test_arguments_and_environment_are_the_runs(build: Build) -> None:
    """sys.argv and posix.environ are of this run, not of the build's."""
    program = build("def report(): return sys.argv[1:], posix.environ\n")

    got = run([program, "a", "ä"], ONE="1", EMPTY="").stdout
    assert got == "(['a', 'ä'], {b'ONE': b'1', b'EMPTY': b''})"


def test_only_the_core_phase_was_initialised(build: Build) -> None:
    """The interpreter stopped early: no streams but stderr, no importer of files."""
    program = build(
        "def report(): return [name for name in ('_io', 'encodings', 'site',\n"
        "    '_frozen_importlib_external') if name in sys.modules] + [\n"
        "    name for name in ('stdin', 'stdout') if hasattr(sys, name)]\n"
    )

    assert run([program]).stdout == "[]"


def test_a_python_without_the_early_stop_stops_the_build(tmp_path: Path) -> None:
    """Without PyConfig._init_main main.c does not compile, and names the way out."""
    headers = tmp_path / "include"
    shutil.copytree(Path("/usr/include") / system_python().name, headers)
    config = headers / "cpython" / "initconfig.h"
    config.write_text(config.read_text().replace("int _init_main;", ""))

    command: list[str | Path] = [
        "gcc",
        "-fsyntax-only",
        f"-I{headers}",
        FREEZE / "main.c",
    ]
    got = run(command, PATH=os.environ["PATH"])
    assert got.returncode == 1
    assert "FULL_INIT=1" in got.stderr
    full = run([*command, "-DFULL_INIT=1"], PATH=os.environ["PATH"])
    assert (full.returncode, full.stderr) == (0, "")


@pytest.mark.parametrize("image", ["0", "1"])
@pytest.mark.parametrize("full_init", ["0", "1"])
def test_each_way_to_build_works(build: Build, image: str, full_init: str) -> None:
    """With and without the saved interpreter, with and without all initialisation."""
    program = build("def report(): return 2\n", IMAGE=image, FULL_INIT=full_init)

    got = run([program])
    assert (got.returncode, got.stdout, got.stderr) == (0, "2", "")


def test_an_uncaught_exception_exits_70(build: Build) -> None:
    """An exception that start() lets out prints its traceback, and exits 70."""
    program = build("def report(): raise KeyError('gone')\n")

    got = run([program])
    want = (
        "Traceback (most recent call last):\n"
        '  File "<pycni>/__main__.py", line 6, in start\n'
        '  File "<pycni>/__main__.py", line 10, in report\n'
        "KeyError: 'gone'\n"
    )
    assert (got.returncode, got.stdout, got.stderr) == (70, "", want)


HARD_WORK = """
import _signal, _socket, errno, fcntl, time

def deep(n):
    return deep(n + 1)

def late(*args):
    raise TimeoutError("alarm")

def report():
    got = []
    grown = [{"number": i, "text": str(i) * 20} for i in range(200000)]
    got.append(len({entry["text"] for entry in grown}))
    del grown
    try:
        deep(0)
    except RecursionError as error:
        got.append(type(error).__name__)
    got.append(len(bytes(50 << 20)))
    child = posix.fork()
    if child == 0:
        posix._exit(len([str(i) for i in range(10000)]) // 1000)
    got.append(posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1]))
    child = posix.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], posix.environ)
    got.append(posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1]))
    left, right = _socket.socketpair()
    left.send(b"x" * 3000)
    got.append(len(right.recv(9000)))
    _signal.signal(_signal.SIGALRM, late)
    _signal.setitimer(_signal.ITIMER_REAL, 0.05)
    try:
        time.sleep(9)
    except TimeoutError as error:
        got.append(str(error))
    return got
"""


def test_a_saved_interpreter_is_a_whole_one(build: Build) -> None:
    """Memory, recursion, processes, sockets and signals work in it."""
    got = run([build(HARD_WORK)])

    want = [200000, "RecursionError", 50 << 20, 10, 3, 3000, "alarm"]
    assert (got.returncode, got.stdout, got.stderr) == (0, str(want), "")
