"""The repository's own shape: layers, public names, lengths, words and files."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

import textenv

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "textenv"

# The order in which data passes; imports point up. The package itself, which offers everything, comes last.
ROOMS: Final = (
    ("types", "errors", "files", "interrupts", "checkpoint", "importing", "terminal"),
    ("assets",),
    ("models",),
    ("data", "formats"),
    ("world",),
    ("rewards",),
    ("envs",),
    ("rollouts",),
    ("preferences",),
    ("agents",),
    ("reports",),
    ("web",),
    ("build",),
    ("options",),
    ("training", "quick"),
    ("commands",),
    ("cli", "__main__"),
    ("textenv",),
)
LEVEL: Final = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}

MODULE_LINES: Final = 500
MODULE_STATEMENTS: Final = 300
FUNCTION_LINES: Final = 50

# Modules with functions that need no test file of their own, and why.
UNTESTED: Final = {
    "textenv/errors.py": "its one function is a doctest",
    "textenv/__main__.py": "one call of cli.main",
}

# Written so that this file does not match itself.
FORBIDDEN: Final = re.compile(
    rb"""(?<![\w.~$)}/-])/(?:work|root|home|Users|opt|mnt)/   # a path of one machine
    | --(?:extra-)?index-url | --(?:find-links|trusted-host)  # a package index
    | https?://[^\s"'<>)]+/simple\b | file:/{3}""",
    re.VERBOSE,
)

MODULES: Final = sorted(PACKAGE.rglob("*.py"))
SOURCES: Final = [*MODULES, *sorted((ROOT / "scripts").glob("*.py"))]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True)


# Imports


def room_of(module: str) -> str:
    """Name the room of a dotted module name: "textenv.envs.task" -> "envs"."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_from_package(node: ast.ImportFrom, importer: Path) -> Iterator[str]:
    """Resolve `from x import y`, relative or not; a name of the package that is no module is the package's."""
    folder = dotted(importer.parent / "__init__.py").split(".")
    base = folder[: len(folder) - node.level + 1] if node.level else []
    module = ".".join([*base, *([node.module] if node.module else [])])
    if module != "textenv":
        yield module
        return
    for alias in node.names:
        if alias.name != "__version__":
            yield f"textenv.{alias.name}" if alias.name in LEVEL else "textenv"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """List the line and the module of every import in a file, wherever it stands."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, module) for module in imported_from_package(node, path))
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


def test_every_module_is_in_a_room() -> None:
    strangers = [relative(path) for path in MODULES if room_of(dotted(path)) not in LEVEL]
    assert not strangers, f"Not in the table of rooms: {strangers}"


def test_imports_point_up() -> None:
    wrong = [
        f"{relative(path)}:{line} imports {module}"
        for path in MODULES
        for line, module in imports(path)
        if module.split(".")[0] == "textenv" and LEVEL.get(room_of(module), 0) > LEVEL.get(room_of(dotted(path)), 0)
    ]
    assert not wrong, "Imports that point down the list of rooms:\n" + "\n".join(wrong)


def test_import_is_light_and_registers() -> None:
    done = python(
        "import sys, textenv, gymnasium\n"
        "print(*sorted({'jinja2', 'matplotlib', 'pandas', 'torch', 'transformers'} & set(sys.modules)))\n"
        "print(*(id for id, spec in gymnasium.registry.items() if str(spec.entry_point).startswith('textenv.')))"
    )
    assert done.returncode == 0, done.stderr
    heavy, ids = done.stdout.split("\n")[:2]
    assert not heavy, f"import textenv imports {heavy}; import it where it is used."
    assert "TextSentiment-v0" in ids.split()


@pytest.mark.parametrize("room", ["agents", "envs"])
def test_root_link_is_guarded(room: str) -> None:
    link = ROOT / room
    if not link.is_symlink():
        pytest.skip("no symbolic links in this checkout")
    assert link.readlink().as_posix() == f"textenv/{room}"
    done = python(f"import {room}")
    last_line = done.stderr.strip().rpartition("\n")[2]
    assert last_line.startswith("ImportError:"), f"import {room} must fail, as {room} is a link: {last_line or 'it did not fail'}"
    assert f"textenv.{room}" in last_line


# Public names


def test_public_names_are_sorted_and_resolve() -> None:
    names = list(textenv.__all__)
    assert names == sorted(set(names))
    assert not set(names) - set(dir(textenv)), "dir(textenv) misses public names"
    for name in names:
        getattr(textenv, name)


def test_version_is_the_same_everywhere() -> None:
    changelog = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    project = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert [changelog[0], *project] == [textenv.__version__] * 2


def test_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


# Files


def mirror_of(path: Path) -> Path:
    """Name the test file of a module."""
    return ROOT / "tests" / path.relative_to(PACKAGE).parent / f"test_{path.stem.strip('_')}.py"


def has_code(path: Path) -> bool:
    """Tell whether a module holds functions; constants, records and error classes are tested by their users."""
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(parse(path)))


def test_tests_mirror_the_package() -> None:
    modules = [path for path in MODULES if path.name != "__init__.py" and has_code(path)]
    missing = {relative(path): relative(mirror_of(path)) for path in modules if not mirror_of(path).is_file()}
    untested = [f"{module} has no {test}" for module, test in missing.items() if module not in UNTESTED]
    assert not untested, "\n".join(untested)


def test_pytest_looks_into_every_folder(pytestconfig: pytest.Config) -> None:
    folders = {folder for path in [*MODULES, *(ROOT / "tests").rglob("*.py")] for folder in path.relative_to(ROOT).parent.parts}
    passed_by = [folder for folder in folders for pattern in pytestconfig.getini("norecursedirs") if fnmatch(folder, pattern)]
    assert not passed_by, f"norecursedirs of pyproject.toml leaves out {passed_by}"


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, source: list[str]) -> int:
    """Count a function's lines without its docstring, blank lines and comments."""
    lines = set(range(function.lineno, (function.end_lineno or function.lineno) + 1))
    if ast.get_docstring(function) is not None:
        lines -= set(range(function.body[0].lineno, (function.body[0].end_lineno or 0) + 1))
    return sum(bool(source[line - 1].strip()) and not source[line - 1].lstrip().startswith("#") for line in lines)


def test_modules_and_functions_are_short() -> None:
    long = []
    for path in SOURCES:
        source = path.read_text(encoding="utf-8").splitlines()
        if len(source) > MODULE_LINES:
            long.append(f"{relative(path)} has {len(source)} lines")
        nodes = list(ast.walk(parse(path)))
        statements = sum(isinstance(node, ast.stmt) for node in nodes)
        if statements > MODULE_STATEMENTS:
            long.append(f"{relative(path)} has {statements} statements")
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and code_lines(node, source) > FUNCTION_LINES:
                long.append(f"{relative(path)}:{node.lineno} {node.name} has {code_lines(node, source)} lines of code")
    assert not long, "\n".join(long)


def repository_files() -> list[Path]:
    """List the files that git has or would add."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_machine_is_named() -> None:
    found = []
    for path in repository_files():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            found += [f"{relative(path)}: {match.group().decode()}" for match in FORBIDDEN.finditer(content)]
    assert not found, "Paths of one machine, or package indexes:\n" + "\n".join(found)
