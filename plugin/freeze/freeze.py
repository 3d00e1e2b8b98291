"""Turn the plugin's Python source into C: code objects and the built-in table.

Runs under the very Python that is linked, for a code object fits no other one.
Never runs the plugin's code, and never writes down where it was built.
"""

from __future__ import annotations

import argparse
import ast
import marshal
import sys
import sysconfig
import tomllib
from pathlib import Path

# What the interpreter itself imports while it starts, with the C initialiser where
# that is not PyInit_NAME; an empty one means "made by the interpreter, listed only".
CORE: dict[str, str | None] = {
    "_imp": None,
    "_thread": None,
    "_warnings": "_PyWarnings_Init",
    "_weakref": None,
    "builtins": "",
    "gc": None,
    "marshal": "PyMarshal_Init",
    "sys": "",
}
# What the whole initialisation (build.sh, FULL_INIT=1) imports besides.
FULL_CORE = {"_abc", "_codecs", "_io"}
FULL_SOURCES = ("encodings/__init__.py", "encodings/aliases.py", "encodings/utf_8.py")

OURS = "_setns"  # setns.c, for Pythons whose posix has no setns

# Module name -> marshalled code, and whether it is a package.
Frozen = dict[str, tuple[bytes, bool]]


class FreezeError(Exception):
    """Every problem that was found, one a line."""


class StripTypes(ast.NodeTransformer):
    """Remove what only a type checker reads, so that types cost nothing at run time."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._keep_body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._keep_body(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if node.value is None:
            return None
        plain = ast.Assign(targets=[node.target], value=node.value)
        return ast.copy_location(plain, node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        return None if names == ["TYPE_CHECKING"] else self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "__future__" else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            return self._keep_body(node)
        self.generic_visit(node)
        return node.orelse

    def _keep_body(self, node: ast.FunctionDef | ast.ClassDef | ast.If) -> ast.AST:
        self.generic_visit(node)
        if not node.body:
            node.body = [ast.copy_location(ast.Pass(), node)]
        return node


def read_allowed(path: Path) -> dict[str, bool]:
    """The modules of stdlib.txt; True where the Python that is linked has it."""
    allowed = {}
    for line in path.read_text().splitlines():
        name = line.partition("#")[0].strip()
        if name:
            allowed[name.rstrip("?")] = has_builtin(name.rstrip("?"))
            if not name.endswith("?") and not allowed[name]:
                raise FreezeError(f"{path.name}: {name} is not built into this Python")
    return allowed


def has_builtin(name: str) -> bool:
    if name == OURS:
        return sys.version_info < (3, 12)
    return name in sys.builtin_module_names


def find_modules(package: Path) -> dict[str, Path]:
    """Module name -> source file, of the package and its packages, sorted."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        folders = path.relative_to(package.parent).parent
        if (package.parent / folders / "__init__.py").exists():
            parts = [*folders.parts, path.stem]
            modules[".".join(parts).removesuffix(".__init__")] = path
    return modules


def parse_module(path: Path, shown: str) -> ast.Module:
    tree = ast.parse(path.read_text(), shown)
    StripTypes().visit(tree)
    return ast.fix_missing_locations(tree)


def imports_of(tree: ast.Module) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, "." * node.level + (node.module or "")))
    return found


def check_imports(
    trees: dict[str, ast.Module], shown: dict[str, str], allowed: set[str]
) -> None:
    """Refuse, all at once, what is neither one of our modules nor in stdlib.txt."""
    problems = [
        f"{shown[name]}:{line}: {wanted} is neither ours nor in stdlib.txt"
        for name, tree in trees.items()
        for line, wanted in imports_of(tree)
        if wanted not in trees and wanted not in allowed
    ]
    if problems:
        raise FreezeError("\n".join(problems))


def dump_code(source: ast.Module, shown: str) -> bytes:
    code = compile(source, f"<pycni>/{shown}", "exec", dont_inherit=True, optimize=2)
    return marshal.dumps(code)


def compile_modules(package: Path, allowed: set[str], version: str) -> Frozen:
    paths = find_modules(package)
    shown = {n: p.relative_to(package.parent).as_posix() for n, p in paths.items()}
    trees = {name: parse_module(path, shown[name]) for name, path in paths.items()}
    trees[f"{package.name}._version"] = ast.parse(f"VERSION = {version!r}")
    check_imports(trees, shown, allowed)
    frozen = {}
    for name, tree in sorted(trees.items()):
        label = shown.get(name, name).partition("/")[2]
        is_package = name in paths and paths[name].name == "__init__.py"
        frozen[name] = (dump_code(tree, label), is_package)
    return frozen


def compile_encodings() -> Frozen:
    library = Path(sysconfig.get_path("stdlib"))
    frozen = {}
    for file in FULL_SOURCES:
        name = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        tree = ast.parse((library / file).read_text())
        frozen[name] = (dump_code(tree, file), name == "encodings")
    return frozen


def render_array(name: str, data: bytes) -> str:
    rows = [
        ",".join(map(str, data[start : start + 24])) + ","
        for start in range(0, len(data), 24)
    ]
    return f"static const unsigned char {name}[] = {{\n" + "\n".join(rows) + "\n};\n"


def render_frozen(frozen: Frozen) -> str:
    arrays, entries = [], []
    for number, (name, (data, is_package)) in enumerate(frozen.items()):
        arrays.append(render_array(f"code_{number}", data))
        entries.append(f'    {{.name = "{name}", .code = code_{number}, ')
        entries.append(f".size = {len(data)}, .is_package = {int(is_package)}}},\n")
    table = "const struct _frozen pycni_modules[] = {\n" + "".join(entries)
    return "".join(arrays) + table + "    {0},\n};\n"


def render_builtins(names: list[str]) -> str:
    """_PyImport_Inittab: the built-in modules; the linker drops all others."""
    declared, entries = [], []
    for name in names:
        init = CORE.get(name)
        init = f"PyInit_{name}" if init is None else init
        declared += [f"extern PyObject *{init}(void);\n"] if init else []
        entries.append(f'    {{"{name}", {init or "NULL"}}},\n')
    table = "struct _inittab _PyImport_Inittab[] = {\n" + "".join(entries)
    return "".join(declared) + table + "    {0},\n};\n"


def read_version(pyproject: Path) -> str:
    version = tomllib.loads(pyproject.read_text())["project"]["version"]
    if not isinstance(version, str):
        raise FreezeError(f"{pyproject.name}: [project] version is not a text")
    return version


def freeze(package: Path, stdlib: Path, pyproject: Path, full: bool = False) -> str:
    """The text of a C file with all of it; the same for the same source."""
    allowed = read_allowed(stdlib)
    frozen = compile_modules(package, set(allowed), read_version(pyproject))
    linked = {name for name, present in allowed.items() if present} | CORE.keys()
    if full:
        frozen |= compile_encodings()
        linked |= FULL_CORE
    head = "/* Made by freeze.py. */\n#include <Python.h>\n\n"
    return head + render_builtins(sorted(linked)) + "\n" + render_frozen(frozen)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("pyproject", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--full-init", action="store_true")
    given = parser.parse_args()
    stdlib = Path(__file__).with_name("stdlib.txt")
    try:
        text = freeze(given.package, stdlib, given.pyproject, given.full_init)
        given.output.write_text(text)
    except (FreezeError, SyntaxError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
