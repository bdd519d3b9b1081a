"""`textenv sample`: what it shows is what the policy wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textenv.cli import main
from textenv.commands.sample import SampleConfig, sample
from textenv.envs.copying import copied_share
from textenv.envs.registry import task_of
from textenv.errors import ArgumentError


def samples(run: Path, **options: Any) -> list[dict[str, Any]]:
    return sample(SampleConfig(policy=str(run), env="TextCopy-v0", **options))


def test_completions_of_the_environments_prompts(run: Path, call: Callable[..., str]) -> None:
    rows = json.loads(call("sample", str(run), "TextCopy-v0", "--n", "6", "--json"))
    assert rows == samples(run, n=6)
    assert len({row["prompt"] for row in rows}) == 6
    assert {row["prompt"] for row in rows} <= set(task_of("TextCopy-v0").prompts)
    for row in rows:
        assert list(row) == ["prompt", "completion", "score", "judge", "finish_reason"]
        assert row["score"] == copied_share([row["prompt"]], [row["completion"]])[0]
        assert row["finish_reason"] == ("length" if len(row["completion"]) == 4 else "eos")
        assert row["judge"] is None
    assert samples(run, n=6, seed=1) != rows


def test_completions_of_prompts_of_ones_own(run: Path) -> None:
    rows = samples(run, n=3, prompt=("cab>", "ba>"))
    assert [row["prompt"] for row in rows] == ["cab>"] * 3 + ["ba>"] * 3


def test_greedy_completions_are_equal(run: Path) -> None:
    drawn, greedy = (samples(run, n=20, prompt=("cab>",), greedy=greedy) for greedy in (False, True))
    assert len({row["completion"] for row in drawn}) > 1
    assert len({row["completion"] for row in greedy}) == 1
    assert greedy == samples(run, n=20, prompt=("cab>",), greedy=True, seed=9, temperature=3.0)


def test_a_temperature_near_0_is_greedy(run: Path) -> None:
    assert samples(run, n=5, prompt=("cab>",), temperature=1e-4) == samples(run, n=5, prompt=("cab>",), greedy=True)


def test_the_table(call: Callable[..., str], run: Path) -> None:
    shown = call("sample", str(run), "TextCopy-v0", "--prompt", "cab>", "--prompt", "ba>", "--n", "2")
    assert [shown.count(prompt) for prompt in ("│ cab>", "│ ba>")] == [2, 2]
    assert "score" in shown


def test_the_judge_is_asked() -> None:
    (row,) = sample(SampleConfig(policy="tiny-en", env="TextSentiment-v0", n=1, prompt=("The film",)))
    assert 0 < row["judge"] < 1


def test_a_prompt_beyond_the_models_context_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sample", str(run), "TextCopy-v0", "--prompt", "abcab>"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("textenv: The environment's texts have up to 10 tokens, but the model reads only 8;")


def test_options_of_prompts_count_for_prompts_of_ones_own_too(run: Path, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("ba>\n")
    with pytest.raises(ArgumentError, match=r"^Either --prompt or --prompts says what to continue; leave one out\.$"):
        SampleConfig(policy=str(run), env="TextCopy-v0", prompt=("ab>",), task={"prompts": str(tmp_path / "own.txt")})
    for options in ({"on_long_prompt": "error"}, {"max_prompt_tokens": 3}):
        with pytest.raises(ArgumentError, match="has 4 tokens, more than max_prompt_tokens=3"):
            samples(run, n=1, prompt=("cab>",), task={"max_prompt_tokens": 3, **options})
    (row,) = samples(run, n=1, prompt=("cab>",), task={"max_prompt_tokens": 3, "on_long_prompt": "truncate"})
    assert row["prompt"] == "ab>"
