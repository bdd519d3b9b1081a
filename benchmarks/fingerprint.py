"""Tell whether what made a stored result has changed since: hashes of code and of the assets that it names.

Code is compared as it is parsed, without docstrings and comments, so that whoever writes a card's line trains nothing anew.
"""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import textenv
from textenv.envs.registry import BUILT_IN

PACKAGE: Final = Path(textenv.__file__).parent


def code_hash(*files: Path) -> str:
    """Return a hash of the code of some files."""
    return _hash(ast.dump(_parsed(file)).encode() for file in files)


def training_hash(id: str, package: Path = PACKAGE) -> str:
    """Return a hash of what a training hangs on: all modules of textenv that it imports, and their assets.

    Args:
        id: of the environment; of one that is not built in, textenv's part only.
        package: folder of textenv.
    """
    trees = list(training_modules(id, package).values())
    named = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assets = [file for file in sorted((package / "assets").rglob("*")) if file.is_file() and _asset(file, package) in named]
    parts = [ast.dump(tree).encode() for tree in trees] + [file.read_bytes() for file in assets if file.suffix != ".md"]
    return _hash(iter(parts))


def _asset(file: Path, package: Path) -> str:
    """Return the name by which code calls what a file belongs to: a prompt set, or else a folder."""
    room, *names = file.relative_to(package / "assets").parts
    return names[0] if room == "prompts" else room


def training_modules(id: str, package: Path = PACKAGE) -> dict[Path, ast.Module]:
    """Parse the files of textenv that a training imports, found by reading them; imports by name, as of agents, are not seen."""
    waiting = ["textenv.training", *filter(None, [BUILT_IN.get(id)])]
    modules: dict[Path, ast.Module] = {}
    while waiting:
        parts = waiting.pop().split(".")[1:]
        for depth in range(len(parts) + 1):  # a module's packages are run too
            place = package.joinpath(*parts[:depth])
            file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            if file.is_file() and file not in modules:
                modules[file] = _parsed(file)
                waiting += _imports(modules[file])
    return dict(sorted(modules.items()))


def _parsed(file: Path) -> ast.Module:
    """Parse a file and take its docstrings out, and what is for type checkers only."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_silent(statement)]
    return tree


def _is_silent(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    return isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"


def _imports(tree: ast.Module) -> Iterator[str]:
    """Name what a module imports from textenv, at its top or later: modules, and for `from a import b` both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] == "textenv")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "textenv":
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _hash(parts: Iterator[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()
