"""The run folder can be read back by other tools, and nothing is written over."""

import json
import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from textenv.agents.ppo import PPO, PPOConfig
from textenv.checkpoint import load_state
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.reports.evaluation import measure
from textenv.reports.run import Run, versions

CONFIG = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8)


def make_agent(seed: int = 0) -> PPO:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=16)
    inner: Any = envs.unwrapped
    return PPO(LanguagePolicy.for_rules(inner.rules), envs, CONFIG, seed=seed)


def strict(file: Path) -> Any:
    """Read JSON as other languages do, without NaN."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    return json.loads(file.read_text(), parse_constant=refuse)


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    agent = make_agent()
    run = Run(tmp_path / "a" / "run", {"env": "TextCopy-v0", "ppo": {"kl_coef": 0.05}})
    batches = []
    for _ in range(2):
        batches.append(agent.collect())
        run.record({**agent.update(batches[-1]), "alarm": 'k1, "odd"'}, batches[-1], agent.policy.tokenizer)
    run.finish(
        agent, {"score": 0.5, "judge": None, "kl_k1": math.nan, "table": {"best": {"n": 4, "kl": math.inf}}, "list": [(math.nan, 1)]}
    )

    names = {"config.json", "metrics.csv", "episodes", "checkpoint", "model", "summary.json"}
    assert {path.name for path in run.folder.iterdir()} == names
    assert strict(run.folder / "config.json") == {"env": "TextCopy-v0", "ppo": {"kl_coef": 0.05}, "versions": versions()}
    table = {"best": {"n": 4, "kl": None}}
    assert strict(run.folder / "summary.json") == {
        "score": 0.5,
        "judge": None,
        "kl_k1": None,
        "table": table,
        "list": [[None, 1]],
        "versions": versions(),
    }

    metrics = pd.read_csv(run.folder / "metrics.csv")
    assert metrics["update"].tolist() == [1, 2]
    assert metrics["episodes"].tolist() == [16, 32]
    assert metrics["score"].tolist() == pytest.approx([float(batch.scores.mean()) for batch in batches])
    assert metrics["alarm"].tolist() == ['k1, "odd"'] * 2

    assert sorted(path.name for path in (run.folder / "episodes").iterdir()) == ["part-00001.parquet", "part-00002.parquet"]
    second = pd.read_parquet(run.folder / "episodes" / "part-00002.parquet")
    assert set(second["update"]) == {2}
    assert second["completion"].tolist() == batches[1].completions

    state = load_state(run.folder / "checkpoint")
    assert state["updates"] == 2
    restored = make_agent(seed=9)
    restored.load_state_dict(state)
    assert torch.equal(restored.collect().tokens, agent.collect().tokens)
    model = AutoModelForCausalLM.from_pretrained(run.folder / "model")
    assert all(torch.equal(model.state_dict()[name], value) for name, value in agent.policy.model.state_dict().items())


def test_a_checkpoint_in_between_is_replaced(tmp_path: Path) -> None:
    agent, run = make_agent(), Run(tmp_path / "run", {})
    for expected in (1, 2):
        batch = agent.collect()
        run.record(agent.update(batch), batch, agent.policy.tokenizer)
        run.checkpoint(agent)
        state = load_state(run.folder / "checkpoint")
        assert (state["updates"], state["episodes"]) == (expected, 16 * expected)
    assert not list(run.folder.glob("checkpoint.*"))


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    Run(tmp_path, {"seed": 3})
    assert strict(tmp_path / "config.json")["seed"] == 3


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for place in ("run", "file"):
        with pytest.raises(ArgumentError, match=f"{place} exists already; choose another --out or remove it"):
            Run(tmp_path / place, {})
    with pytest.raises(ArgumentError, match=r"file/run cannot be written: .*; choose another --out"):
        Run(tmp_path / "file" / "run", {})
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["file", "run", "notes.txt"]
    assert (tmp_path / "run" / "notes.txt").read_text() == (tmp_path / "file").read_text() == "mine"


def test_evaluations_are_kept(tmp_path: Path) -> None:
    agent, run = make_agent(), Run(tmp_path / "run", {})
    measured = {"before": measure(agent.policy, agent.reference, agent.envs, np.arange(8), seed=0)}
    run.evaluation("before", measured["before"], agent.policy.tokenizer)
    batch = agent.collect()
    run.record(agent.update(batch), batch, agent.policy.tokenizer)
    measured["after"] = measure(agent.policy, agent.reference, agent.envs, np.arange(8), seed=1)
    run.evaluation("after", measured["after"], agent.policy.tokenizer)
    assert {file.name for file in (run.folder / "evaluation").iterdir()} == {"before.parquet", "after.parquet"}
    for updates, (name, expected) in enumerate(measured.items()):
        frame = pd.read_parquet(run.folder / "evaluation" / f"{name}.parquet")
        assert frame["completion"].tolist() == expected.episodes.completions
        assert frame["kl_exact"].tolist() == expected.divergence.exact.tolist()
        assert set(frame["update"]) == {updates}


def test_versions_name_what_results_depend_on() -> None:
    assert set(versions()) == {"python", "textenv", "gymnasium", "numpy", "torch", "transformers"}
    assert versions()["torch"].split("+")[0] == torch.__version__.split("+")[0]
