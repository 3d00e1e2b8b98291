"""What the plugin may import: its start is most of its run time."""

from __future__ import annotations

import re
import subprocess
import sys

from . import source

STDLIB = "plugin/freeze/stdlib.txt"
MOCK_IMPORT = re.compile(r"^\s*(?:from|import) .*mock.*", re.MULTILINE)
# An unfrozen Python lacks the modules that the freeze step brings along.
LOADED = """
import sys
root, optional, ours = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()
for name in optional:
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = type(sys)(name)
        sys.modules[name].setns = None
sys.path.insert(0, root)
before = set(sys.modules)
for name in ours:
    __import__(name)
print(*sorted(set(sys.modules) - before))
"""


def _stdlib() -> dict[str, bool]:
    """The modules that the plugin may import; True for one that can be missing."""
    lines = [line.partition("#")[0].strip() for line in source.text(STDLIB).split("\n")]
    return {line.rstrip("?"): line.endswith("?") for line in lines if line}


def _plugin_files() -> list[str]:
    """The files that are frozen, so not those that do the freezing."""
    files = source.python_files("plugin")
    return [path for path in files if not path.startswith("plugin/freeze/")]


def _is_plugin(module: str) -> bool:
    return module == "plugin" or module.startswith("plugin.")


def test_the_plugin_imports_itself_and_the_listed_modules_alone() -> None:
    """The plugin imports modules of its own and of `stdlib.txt`, nothing else."""
    allowed = {"__future__", *_stdlib()}

    foreign = [
        f"{path}:{line}: {module}"
        for path in _plugin_files()
        for line, module in source.imports(path)
        if module not in allowed and not _is_plugin(module)
    ]

    assert foreign == []


def test_every_listed_module_is_imported() -> None:
    """What `stdlib.txt` lists is imported somewhere, or else it is dead weight."""
    imported = {
        module for path in _plugin_files() for _, module in source.imports(path)
    }

    assert sorted(set(_stdlib()) - imported - {"marshal", "sys"}) == []


def test_running_the_plugin_loads_the_listed_modules_alone() -> None:
    """Importing all modules of the plugin loads none but them and the listed ones."""
    listed = _stdlib()
    optional = " ".join(name for name, missing in listed.items() if missing)
    ours = " ".join(path[:-3].replace("/", ".") for path in _plugin_files())
    command = [sys.executable, "-I", "-S", "-c", LOADED]

    done = subprocess.run(
        [*command, str(source.ROOT), optional, ours],
        check=True,
        capture_output=True,
        text=True,
    )

    foreign = [name for name in done.stdout.split() if not _is_plugin(name)]
    assert sorted({*foreign} - {"__future__", *listed}) == []


def test_the_plugin_tests_use_no_mocks() -> None:
    """Fakes in `tests/plugin` are small classes, so no mock library is imported."""
    mocking = [
        f"{path}: {line}"
        for path in source.python_files("tests/plugin")
        for line in MOCK_IMPORT.findall(source.text(path))
    ]

    assert mocking == []
