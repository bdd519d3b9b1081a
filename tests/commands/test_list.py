"""`textenv list`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import polars
import pyarrow
import pytest

import textenv
from textenv.cli import main
from textenv.commands.list import describe
from textenv.envs.registry import BUILT_IN, registered_ids, task_of

COPYING = {
    "id": "TextCopy-v0",
    "task": "copy a word, then end.",
    "reward": "copied_share",
    "judge": None,
    "model": None,
    "prompts": 36,
    "max_prompt_tokens": 4,
    "max_new_tokens": 4,
}


def test_every_id_with_what_it_asks_for(call: Callable[..., str]) -> None:
    shown = call("list")
    assert all(id in shown for id in registered_ids())
    assert "copy a word, then" in shown
    assert "copied_share; no" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_as_json(call: Callable[..., str]) -> None:
    rows = json.loads(call("list", "--json"))
    assert [row["id"] for row in rows] == registered_ids()
    assert COPYING in rows


@pytest.mark.parametrize("id", BUILT_IN)
def test_what_is_read_is_what_is_made(id: str) -> None:
    env: Any = gymnasium.make(id)
    rules, task, told = env.unwrapped.rules, task_of(id), describe(id)
    assert told["prompts"] == len(rules.prompts.texts)
    assert (told["max_prompt_tokens"], told["max_new_tokens"]) == (rules.prompt_columns, rules.response_columns)
    assert told["model"] == task.model
    assert (told["judge"] is None) == (task.judge is None)
    for name in ("reward", "judge"):
        if isinstance(getattr(task, name), str):
            assert told[name] == getattr(task, name)
    assert told["reward"]
    assert told["task"].endswith(".")


def test_nothing_heavy_is_imported() -> None:
    code = "import sys; from textenv.cli import main; main(['list']); print(*{'torch', 'transformers', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def judge_of_whistles(completions: Any) -> list[float]:
    return [0.0 for _ in completions]


def test_registered_tasks_are_looked_at(tmp_path: Path) -> None:
    textenv.register("Whistle-v0", prompts=["a", "b"], reward="tiny-sentiment", judge=judge_of_whistles, max_new_tokens=7)
    assert describe("Whistle-v0") == {
        "id": "Whistle-v0",
        "task": "registered with textenv.register.",
        "reward": "tiny-sentiment",
        "judge": "judge_of_whistles",
        "model": "tiny-en",
        "prompts": 2,
        "max_prompt_tokens": 32,
        "max_new_tokens": 7,
    }
    textenv.register("Whistle-v0", prompts=str(tmp_path / "whistles.txt"), reward=judge_of_whistles, model=None)
    told = describe("Whistle-v0")
    assert (told["prompts"], told["reward"], told["judge"], told["model"]) == (None, "judge_of_whistles", None, None)


def test_modules_are_imported_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hummings.py").write_text("import textenv\ntextenv.register('Hum-v0', prompts=['a'], reward='tiny-sentiment')\n")
    monkeypatch.chdir(tmp_path)  # where a command is called, modules are found
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert "Hum-v0" in call("list", "hummings")
    with pytest.raises(SystemExit) as stopped:
        main(["list", "hummingz"])
    assert stopped.value.code == 2
    assert '"hummingz" cannot be imported: it is neither in this folder nor' in capsys.readouterr().err


def test_of_a_module_only_its_own_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., str]) -> None:
    (tmp_path / "own_list.py").write_text("import textenv\ntextenv.register('Own-v0', prompts=['a'], reward=len)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_list", raising=False)
    assert [row["id"] for row in json.loads(call("list", "own_list", "--json"))] == ["Own-v0"]


@pytest.mark.parametrize(
    "prompts",
    [
        ["a", "b", "c"],
        {"prompt": ["a", "b", "c"], "answer": [1, 2, 3]},
        polars.DataFrame({"prompt": ["a", "b", "c"]}),
        polars.DataFrame({"prompt": ["a", "b", "c"]}).lazy(),
        pyarrow.table({"prompt": ["a", "b", "c"]}),
    ],
    ids=lambda prompts: type(prompts).__name__,
)
def test_prompts_are_counted_whatever_they_are_in(prompts: Any) -> None:
    textenv.register("Counted-v0", prompts=prompts, reward=judge_of_whistles)
    assert describe("Counted-v0")["prompts"] == 3
