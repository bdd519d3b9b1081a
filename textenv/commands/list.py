"""`textenv list`."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from textenv.commands.output import print_json, results
from textenv.envs.registry import BUILT_IN, card, registered_ids, source, task_of
from textenv.envs.task import Task
from textenv.importing import import_from_user
from textenv.terminal import visible


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListConfig:
    """What to list."""

    modules: Positional[tuple[str, ...]] = ()
    """Modules that register environments; then only those of theirs are listed."""


def describe(id: str) -> dict[str, Any]:
    """Tell what an environment asks for and its defaults; a built-in one is read, not imported, which would take seconds.

    Returns:
        id; task, a sentence; reward, judge, model, None without one; prompts, their number, None where it is not known
        without loading them; max_prompt_tokens and max_new_tokens.
    """
    told = _read(id) if id in BUILT_IN else _look(task_of(id))
    return {"id": id, "task": card(id).splitlines()[0].partition(": ")[2], **told}


def _look(task: Task) -> dict[str, Any]:
    """Look at a task that is there already."""
    from textenv.data import read_columns
    from textenv.rewards.protocol import reward_name

    named = {
        name: reward_name(value) if callable(value) else value and str(value)
        for name, value in (("reward", task.reward), ("judge", task.judge), ("model", task.model))
    }
    elsewhere = isinstance(task.prompts, str | Path)
    prompts = None if elsewhere else len(read_columns(task.prompts, "prompts").places)
    return {**named, "prompts": prompts, "max_prompt_tokens": task.max_prompt_tokens, "max_new_tokens": task.max_new_tokens}


def _read(id: str) -> dict[str, Any]:
    """Read the call of `Task` in a module, and the numbers from the module's card, which tests hold to the truth."""
    tree = ast.parse(source(id).read_text(encoding="utf-8"))
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Task")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    fields: Any = dataclasses.fields(Task)
    default: Any = {field.name: ast.Constant(field.default) for field in fields if field.name in ("judge", "model")}
    text = card(id)
    count = re.search(r"\b\d[\d,]*\b", text.partition("\nPrompts:")[2])
    columns = re.search(r"(\d+) prompt and (\d+) response columns", text)
    return {
        **{name: _name({**default, **given}[name], tree) for name in ("reward", "judge", "model")},
        "prompts": int(count[0].replace(",", "")) if count else None,
        "max_prompt_tokens": int(columns[1]) if columns else None,
        "max_new_tokens": int(columns[2]) if columns else None,
    }


def _name(node: ast.expr, tree: ast.Module) -> str | None:
    """Name a reward or model by the expression that makes it.

    A text names itself, also where a function makes a reward of it, and a product is named by what it is made of.

    >>> _name(ast.parse('Product({"length": Length(40, 60), "fluency": Fluency()})', mode="eval").body, ast.Module([], []))
    'Product(length, fluency)'
    >>> tree = ast.parse('PARTS: dict = {"topic": 1}; REWARD = Product({**PARTS, "end": 2})')
    >>> _name(ast.parse("REWARD", mode="eval").body, tree)
    'Product(topic, end)'
    >>> _name(ast.parse('load_reward("tiny-toxicity", label="neutral")', mode="eval").body, ast.Module([], []))
    'tiny-toxicity'
    """
    node = _value(node, tree)
    if isinstance(node, ast.Constant):
        return None if node.value is None else str(node.value)
    if isinstance(node, ast.Call) and node.args:
        first = _value(node.args[0], tree)
        if isinstance(first, ast.Constant) and ast.unparse(node.func).islower():
            return _name(first, tree)
        if isinstance(first, ast.Dict):
            return f"{ast.unparse(node.func)}({', '.join(_keys(first, tree))})"
    return ast.unparse(node).removesuffix("()")


def _keys(node: ast.expr, tree: ast.Module) -> Iterator[str]:
    """List the keys of a dictionary and of those that it takes in by **."""
    node = _value(node, tree)
    for key, value in zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ():
        yield from _keys(value, tree) if key is None else [str(_name(key, tree))]


def _value(node: ast.expr, tree: ast.Module) -> ast.expr:
    """Find what a name stands for where the module, or a default of its function `task`, says so; all else stays as it is."""
    if isinstance(node, ast.Name):
        for line in tree.body:
            if isinstance(line, ast.FunctionDef) and line.name == "task":
                for argument, default in zip(line.args.kwonlyargs, line.args.kw_defaults, strict=True):
                    if argument.arg == node.id and default is not None:
                        return default
            if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
                target = line.target if isinstance(line, ast.AnnAssign) else line.targets[0]
                if ast.unparse(target) == node.id:
                    return line.value
    return node


def run(config: ListConfig, *, json: bool) -> None:
    """Print a row per environment."""
    before = set(registered_ids())
    for module in config.modules:
        import_from_user(module)
    ids = sorted(set(registered_ids()) - before) if config.modules else registered_ids()
    rows = [describe(id) for id in ids]
    if json:
        print_json(rows)
        return
    from rich.table import Table
    from rich.text import Text

    # A cell of two lines, so that the table fits 80 columns.
    table = Table("id", "task, reward and judge", "model", "prompts", "P", "T", caption="P, T: most tokens of a prompt and of a completion")
    for row in rows:
        scorers = f"{row['reward']}; {row['judge'] or 'no judge'}"
        numbers = ("" if row[name] is None else str(row[name]) for name in ("prompts", "max_prompt_tokens", "max_new_tokens"))
        described = Text.assemble(visible(row["task"]), "\n", (visible(scorers), "dim"))
        table.add_row(row["id"], described, row["model"] or "random", *numbers)
    table.columns[0].no_wrap = True
    results().print(table)
