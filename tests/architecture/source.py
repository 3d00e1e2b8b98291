"""The repository's files and their syntax trees, read once.

Never imports what it looks at.
"""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tracked() -> tuple[str, ...]:
    """Paths of all files but the ignored ones, below the root."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    command += ["--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    paths = sorted(set(listed.stdout.decode().split("\0")) - {""})
    return tuple(path for path in paths if (ROOT / path).is_file())


def python_files(*folders: str) -> list[str]:
    """Our Python files, those below the given folders alone if there are any."""
    return [
        path
        for path in tracked()
        if path.endswith(".py")
        and (not folders or path.startswith(tuple(f"{name}/" for name in folders)))
    ]


@cache
def text(path: str) -> str:
    return (ROOT / path).read_text()


@cache
def tree(path: str) -> ast.Module:
    return ast.parse(text(path), path)


def functions(path: str) -> Iterator[Function]:
    for node in ast.walk(tree(path)):
        if isinstance(node, Function):
            yield node


def tests(path: str) -> Iterator[Function]:
    for function in functions(path):
        if function.name.startswith("test_"):
            yield function


def imports(path: str) -> Iterator[tuple[int, str]]:
    """Line and module of each import that happens at run time."""
    yield from _imports(tree(path))


def _imports(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Import):
        yield from ((node.lineno, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.lineno, "." * node.level + (node.module or "")
    elif isinstance(node, ast.If) and _is_type_checking(node.test):
        children: list[ast.stmt] = node.orelse
        for child in children:
            yield from _imports(child)
    else:
        for inner in ast.iter_child_nodes(node):
            yield from _imports(inner)


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"
