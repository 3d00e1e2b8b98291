"""Sizes, names and docstrings of all Python files."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

from . import source

MODULE_LINES = 400
FUNCTION_LINES = 40
EMPTY_NAMES = {"utils", "helpers", "common", "manager", "base"}
LONGEST_SLEEP_S = 0.3
NEXT_SENTENCE = re.compile(r"[.!?] +[A-Z]")


def test_modules_are_short() -> None:
    """A module has 400 lines at most."""
    lines = {path: source.text(path).count("\n") + 1 for path in source.python_files()}

    assert {path: n for path, n in lines.items() if n > MODULE_LINES + 1} == {}


def test_functions_are_short() -> None:
    """A function has 40 lines at most."""
    long = [
        f"{path}:{function.lineno}: {function.name} has {length} lines"
        for path in source.python_files()
        for function in source.functions(path)
        if (length := _length(function)) > FUNCTION_LINES
    ]

    assert long == []


def _length(function: source.Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_module_names_say_something() -> None:
    """No module or package is named after a drawer, such as `utils` or `common`."""
    named = [
        path
        for path in source.python_files()
        if EMPTY_NAMES.intersection(PurePath(path).with_suffix("").parts)
    ]

    assert named == []


def test_every_module_has_a_docstring() -> None:
    """Each module's docstring says what the module is for."""
    silent = [
        path
        for path in source.python_files()
        if not ast.get_docstring(source.tree(path))
    ]

    assert silent == []


def test_every_test_is_a_sentence() -> None:
    """Each test states its requirement as a docstring of one sentence."""
    wrong = [
        f"{path}:{test.lineno}: {test.name}"
        for path in source.python_files("tests")
        for test in source.tests(path)
        if not _is_sentence(ast.get_docstring(test) or "")
    ]

    assert wrong == []


def _is_sentence(docstring: str) -> bool:
    return docstring.endswith(".") and not NEXT_SENTENCE.search(
        " ".join(docstring.split())
    )


def test_tests_wait_for_conditions() -> None:
    """No test sleeps for 0.3 s or more, since it can wait for what it needs."""
    sleeping = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for path in source.python_files("tests")
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.Call) and _sleeps_long(node)
    ]

    assert sleeping == []


def _sleeps_long(call: ast.Call) -> bool:
    if not ast.unparse(call.func).endswith("sleep") or not call.args:
        return False
    duration = call.args[0]
    return (
        isinstance(duration, ast.Constant)
        and isinstance(duration.value, int | float)
        and duration.value >= LONGEST_SLEEP_S
    )
