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
from textenv.reports.run import Run, episode_frame, versions
from textenv.rollouts.collect import collect

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
        run.record({**agent.update(batches[-1]), "alarm": 'k1, "odd"'}, batches[-1])
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
        run.record(agent.update(batch), batch)
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


def test_frames_have_no_padding(tmp_path: Path) -> None:
    agent = make_agent()
    plain = collect(agent.policy, agent.envs, 12, seed=0)
    assert "ref_log_probs" not in episode_frame(plain, 1)
    episodes = agent.refer(plain)
    frame = episode_frame(episodes, 7)
    frame.to_parquet(tmp_path / "frame.parquet")
    frame = pd.read_parquet(tmp_path / "frame.parquet")
    assert frame["update"].tolist() == [7] * 12
    assert frame["prompt"].tolist() == episodes.prompts
    assert frame["finish_reason"].tolist() == episodes.finish_reasons
    assert frame["prompt_index"].tolist() == episodes.prompt_index.tolist()
    assert frame["score"].tolist() == episodes.scores.tolist()
    assert len(set(frame["length"])) > 1
    tensors = {name: getattr(episodes, name) for name in ("log_probs", "values", "rewards", "ref_log_probs")}
    for row in range(12):
        length = int(frame["length"][row])
        assert frame["tokens"][row].tolist() == episodes.tokens[row, 4 : 4 + length].tolist()
        for name, tensor in tensors.items():
            assert tensor is not None
            np.testing.assert_allclose(frame[name][row], tensor[row, :length].numpy(), atol=1e-7)


def test_versions_name_what_results_depend_on() -> None:
    assert set(versions()) == {"python", "textenv", "gymnasium", "numpy", "torch", "transformers"}
    assert versions()["torch"].split("+")[0] == torch.__version__.split("+")[0]
