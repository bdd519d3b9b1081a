"""Control characters in texts, names and arguments, on the way to a terminal through every command."""

import dataclasses
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from benchmarks.attack.models import tiny_language_model
from benchmarks.attack.outcomes import Row, Try, fault_of, outcome_of_call, outcome_of_command
from benchmarks.attack.runs import command as train_command
from textenv.cli import COMMANDS
from textenv.preferences.comparison import Comparison
from textenv.preferences.store import ComparisonStore, Item

ESCAPES: Final = {
    "a title": "\x1b]0;title\x07",
    "clearing": "\x1b[2J\x1b[H",
    "a colour": "\x1b[31m",
    "C1": "\x9b31m",
    "a bell": "\x07",
    "backspaces": "\b\b\b",
    "a carriage return": "\rtextenv: done",
    "DEL": "\x7f",
    "a link": "\x1b]8;;http://evil.com\x1b\\",
}


def _try(name: str, arguments: Sequence[object], limit: float = 60.0) -> Try:
    return Try(name, fault_of(outcome_of_command([str(word) for word in arguments], limit)))


def arguments(folder: Path, seed: int) -> Iterator[Try]:
    """Put escapes into every kind of argument: what is refused is shown without them."""
    for shown, escape in ESCAPES.items():
        text = f"a{escape}b"
        yield _try(f"a command, {shown}", [text])
        for command in COMMANDS:
            yield _try(f"{command} with an option, {shown}", [command, f"--{text}"])
            yield _try(f"{command} with an argument, {shown}", [command, text, text, text])
        given: dict[str, Sequence[object]] = {
            "an environment": ["train", text],
            "a model": ["sample", text, "TextSentiment-v0"],
            "an agent": ["train", "TextCopy-v0", "--agent", text],
            "a number": ["train", "TextCopy-v0", "--episodes", text],
            "a choice": ["train", "TextCopy-v0", "--device", text],
            "a reward": ["train", "TextCopy-v0", "--reward", text, "--out", folder / "run"],
            "a file of options": ["train", "TextCopy-v0", "--config", folder / text],
            "a run": ["report", folder / text],
            "a store": ["label", folder / text],
            "a file": ["sft", folder / f"{text}.jsonl", "--model", "tiny-en", "--out", folder / "run"],
            "a prompt": ["sample", "tiny-en", "TextCopy-v0", "--prompt", text],
            "a module": ["check", f"{text}:x-v0"],
            "a judge": ["duel", "tiny-en", "tiny-en", "TextCopy-v0", "--by", text],
        }
        for name, words in given.items():
            yield _try(f"{name}, {shown}", words)


def files(folder: Path, seed: int) -> Iterator[Try]:
    """Put escapes into the content of files that are refused or shown."""
    model = tiny_language_model(folder / "model")
    for number, (shown, escape) in enumerate(ESCAPES.items()):
        text = f"a{escape}b"
        bad = folder / f"{number}.jsonl"
        bad.write_text(json.dumps({"prompt": "p", "response": {text: text}}) + "\n")
        yield _try(f"sft, a value, {shown}", ["sft", bad, "--model", model, "--out", folder / "run"])
        bad.write_text(json.dumps({text: "p"}) + "\n")
        yield _try(f"sft, a column, {shown}", ["sft", bad, "--model", model, "--out", folder / "run"])
        for name, row in {
            "a column": {"prompt": "p", "responses": ["a", "b"], text: 1},
            "a rank": {"prompt": "p", "responses": ["a", "b"], "ranks": [text, 1]},
            "equal texts": {"prompt": "p", "chosen": text, "rejected": text},
            "a role": {"chosen": [{"role": text, "content": "a"}], "rejected": [{"role": text, "content": "b"}]},
        }.items():
            bad.write_text(json.dumps(row) + "\n")
            yield _try(f"comparisons --add, {name}, {shown}", ["comparisons", folder / "x.db", "--add", bad])
        options = folder / f"{number}.toml"
        for name, content in {
            "a value": f"episodes = {json.dumps(text)}",
            "a name": f"{json.dumps(text)} = 1",
            "no TOML": f"= {escape}",
        }.items():
            options.write_text(content)
            yield _try(f"--config, {name}, {shown}", ["train", "TextCopy-v0", "--config", options])
            yield _try(f"--config --print-config, {name}, {shown}", ["train", "TextCopy-v0", "--config", options, "--print-config"])


def stores(folder: Path, seed: int) -> Iterator[Try]:
    """Put escapes into a store: prompts, responses, sources, and the names of one that was made before they were refused."""
    for number, (shown, escape) in enumerate(ESCAPES.items()):
        text = f"a{escape}b"
        path = folder / f"{number}.db"
        judged = [
            Comparison(prompt=f"{text} {i}", responses=(f"{text}1", f"{text}2"), ranks=(1, 2), annotator=name, sources=(text, text))
            for i in range(3)
            for name in ("anna", "ben")
        ]
        with ComparisonStore(path, create=True) as store:
            store.add_comparisons(judged)
            store.add([Item(prompt=text, responses=(text, f"{text}!"))])
            named = dataclasses.replace(judged[0], annotator=f"carl {text}")
            refused = outcome_of_call(lambda store=store, named=named: store.add_comparisons([named]))
            # In a name all white space becomes a space.
            yield Try(f"a name, {shown}", fault_of(refused, may=("taken", "refused") if escape[0].isspace() else ("refused",)))
        with closing(sqlite3.connect(path)) as connection, connection:
            for table in ("labels", "annotators"):
                connection.execute(f"UPDATE {table} SET annotator = annotator || ?", (f" {text}",))
        yield _try(f"comparisons, {shown}", ["comparisons", path])
        yield _try(f"comparisons --json, {shown}", ["comparisons", path, "--json"])
        yield _try(f"comparisons --export, {shown}", ["comparisons", path, "--export", folder / f"{text}.jsonl"])
        yield _try(f"label --simulate --annotator, {shown}", ["label", path, "--simulate", "tiny-sentiment", "--annotator", text])
        contrary = folder / f"{number}.jsonl"
        for name in ("dora", f"anna {text}"):
            row = {"prompt": f"{text} 0", "responses": [f"{text}1", f"{text}2"], "ranks": [2, 1], "annotator": name}
            contrary.write_text("".join(json.dumps({**row, "ranks": ranks}) + "\n" for ranks in ([2, 1], [1, 2])))
            yield _try(f"comparisons --add, a contradiction of {name.partition(' ')[0]}, {shown}", ["comparisons", path, "--add", contrary])


def runs(folder: Path, seed: int) -> Iterator[Try]:
    """Put escapes into what a run folder holds, and into its own name."""
    base = folder / "base"
    outcome = outcome_of_command(train_command(base, 2), 120)
    yield Try("train", fault_of(outcome, may=("taken",)))
    for number, (shown, escape) in enumerate(ESCAPES.items()):
        text = f"a{escape}b"
        run = folder / f"{number} {text}"
        shutil.copytree(base, run)
        yield _try(f"report of a run of that name, {shown}", ["report", run, "--out", folder / f"{text}.html"])
        yield _try(f"train --resume of a run of that name, {shown}", train_command(run, 2))
        yield _try(f"sample from a run of that name, {shown}", ["sample", run, "TextCopy-v0", "--n", "1"])
        for file in ("config.json", "summary.json"):
            content = json.loads((run / file).read_text())
            (run / file).write_text(json.dumps(_with_text(content, text)))
            yield _try(f"report, {file}, {shown}", ["report", run, "--out", folder / "report.html"])
            yield _try(f"train --resume, {file}, {shown}", train_command(run, 2))
            shutil.copyfile(base / file, run / file)
        head = (run / "metrics.csv").read_text()
        (run / "metrics.csv").write_text(head.replace("score", f"{text.replace(chr(13), '')}score", 1))
        yield _try(f"report, metrics.csv, {shown}", ["report", run, "--out", folder / "report.html"])


def _with_text(node: Any, text: str) -> Any:
    """Put a text into every text of a tree."""
    if isinstance(node, dict):
        return {name: _with_text(value, text) for name, value in node.items()}
    if isinstance(node, list):
        return [_with_text(value, text) for value in node]
    return text if isinstance(node, str) else node


def texts(folder: Path, seed: int) -> Iterator[Try]:
    """Show prompts and completions with escapes in the tables of the commands."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        # A module of its own for each, as a module is imported once.
        for number, (shown, escape) in enumerate(ESCAPES.items()):
            prompts = [f"a{escape}b {i}" for i in range(4)]
            name = f"escaping_{number}"
            (folder / f"{name}.py").write_text(
                "import textenv\n\n\n"
                "def ones(completions):\n    return [1.0] * len(completions)\n\n\n"
                f"textenv.register('Escaping{number}-v0', prompts={prompts!r}, reward=ones, max_new_tokens=4, on_long_prompt='widen')\n"
            )
            env = f"{name}:Escaping{number}-v0"
            small = ["--num-envs", "8", "--episodes", "16", "--eval-prompts", "2"]
            yield _try(f"sample, {shown}", ["sample", "tiny-en", env, "--n", "2"])
            yield _try(f"sample --prompt, {shown}", ["sample", "tiny-en", env, "--prompt", prompts[0]])
            yield _try(
                f"compare, {shown}", ["compare", "tiny-en", env, "--responses", "2", "--prompts", "2", "--out", folder / f"{number}.db"]
            )
            if number % 3 == seed % 3:
                yield _try(f"train, {shown}", ["train", env, *small, "--episodes-per-update", "16", "--out", folder / f"run-{number}"], 120)
                yield _try(f"eval, {shown}", ["eval", "tiny-en", env, "--episodes", "8"])
    finally:
        os.chdir(before)


ROWS: Final = (
    Row("escapes in arguments", "no control character reaches the terminal", arguments),
    Row("escapes in files", "no control character reaches the terminal", files),
    Row("escapes in stores", "no control character reaches the terminal", stores),
    Row("escapes in runs", "no control character reaches the terminal", runs),
    Row("escapes in prompts", "no control character reaches the terminal", texts),
)
