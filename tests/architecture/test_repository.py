"""What is true of the repository's files, whatever their language."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from . import source

# In two parts, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
HOMES = ("/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/")
MAKE_TARGET = re.compile(r"\bmake ([a-z]+)\b")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.M | re.S)
FENCED = re.compile(r"^```(?:sh|bash|console|shell)\n(.*?)^```", re.M | re.S)
DEPENDENCIES = re.compile(r"^dependencies = \[\n(.*?)^\]", re.M | re.S)
EXPLAINED_PIN = re.compile(r'  "\S+==\S+",  # .+')
PINNED = re.compile(r"^([a-zA-Z0-9.-]+==\S+)", re.M)


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    """Place and text of each line that matches, in all files that are text."""
    found = []
    for path in source.tracked():
        content = (source.ROOT / path).read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode().splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path}:{number}: {line.strip()}")
    return found


def _pyproject() -> dict[str, Any]:
    return tomllib.loads(source.text("pyproject.toml"))


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", source.text("Makefile"), re.M))


def test_nothing_is_left_unfinished() -> None:
    """No file carries a note on what is still to be done: that is an issue."""
    assert _lines_with(UNFINISHED) == []


def test_no_file_names_a_place_of_one_machine() -> None:
    """No file names a home directory or the folder where it was written."""
    places = "|".join(map(re.escape, (*HOMES, f"{source.ROOT}/")))
    start = r"(?<![\w.})/-])"  # not in the middle of another path

    assert _lines_with(re.compile(f"{start}({places})")) == []


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_targets_that_exist(path: str) -> None:
    """Each `make` target that a document names is one of the Makefile's."""
    code = "\n".join(CODE.findall(source.text(path)))
    named = set(MAKE_TARGET.findall(code))

    assert named
    assert sorted(named - _targets()) == []


def test_the_readme_begins_with_demo_and_test() -> None:
    """The first two commands of the README are the demo and the tests."""
    blocks = "".join(FENCED.findall(source.text("README.md")))
    lines = [line.partition("#")[0].strip() for line in blocks.splitlines()]

    assert [line for line in lines if line][:2] == ["sudo make demo", "sudo make test"]


def test_help_lists_every_target() -> None:
    """`make help` has a line for each target that a person would type."""
    listed = re.findall(r"^([a-z]+):.*## ", source.text("Makefile"), re.M)

    assert sorted(_targets() - set(listed)) == []


@pytest.mark.parametrize("group", ["dev", "go"])
def test_the_lock_has_what_pyproject_asks_for(group: str) -> None:
    """Each version that `pyproject.toml` pins is the one in the lock file."""
    wanted = set(_pyproject()["dependency-groups"][group])
    locked = set(PINNED.findall(source.text(f"requirements/{group}.txt")))

    assert sorted(wanted - locked) == []


def test_every_dependency_is_pinned_and_explained() -> None:
    """Each dependency of the agent has one version and a comment why it is there."""
    listed = DEPENDENCIES.search(source.text("pyproject.toml"))
    assert listed
    lines = listed[1].splitlines()

    assert [line for line in lines if not EXPLAINED_PIN.fullmatch(line)] == []


def test_version_is_written_once() -> None:
    """The source's version is that of `pyproject.toml`, marked as not frozen."""
    version = _pyproject()["project"]["version"]

    assert f'"{version}+source"' in source.text("plugin/_version.py")
