"""Frames of episodes: nothing is padded, and the pieces are what the tokens wrote."""

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import torch

from textenv.agents.ppo import PPO, PPOConfig
from textenv.models.loading import load_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.reports.evaluation import measure
from textenv.reports.frames import episode_frame, measured_frame, token_texts
from textenv.rollouts.collect import collect
from textenv.types import Episodes

COLUMNS = ["update", "prompt_index", "prompt", "completion", "finish_reason", "score", "length", "pieces", "tokens"]
PLAYED = ["log_probs", "values", "rewards"]


def make_agent(learning_rate: float = 3e-4) -> PPO:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=16)
    inner: Any = envs.unwrapped
    config = PPOConfig(episodes_per_update=16, group_size=4, minibatch_size=8, learning_rate=learning_rate)
    return PPO(LanguagePolicy.for_rules(inner.rules), envs, config, seed=0)


def written(rows: list[tuple[str, list[int]]], tokenizer: Any) -> Episodes:
    """Make episodes of prompts and response tokens."""
    prompts = [tokenizer.encode(prompt) for prompt, _ in rows]
    columns, width = max(map(len, prompts)), max(len(ids) for _, ids in rows)
    tokens = torch.full((len(rows), columns + width), -1)
    for row, (prompt, (_, ids)) in enumerate(zip(prompts, rows, strict=True)):
        tokens[row, columns - len(prompt) : columns] = torch.tensor(prompt)
        tokens[row, columns : columns + len(ids)] = torch.tensor(ids)
    nothing = torch.zeros(len(rows), width)
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for _, ids in rows]
    return Episodes(
        tokens=tokens,
        prompt_columns=columns,
        log_probs=nothing,
        values=nothing,
        rewards=nothing,
        scores=nothing[:, 0].double(),
        prompt_index=torch.arange(len(rows)),
        prompts=[prompt for prompt, _ in rows],
        completions=texts,
        finish_reasons=["length"] * len(rows),
    )


def test_frames_have_no_padding(tmp_path: Path) -> None:
    agent = make_agent()
    plain = collect(agent.policy, agent.envs, 12, seed=0, prompt_index=np.arange(3).repeat(4))
    assert list(episode_frame(plain, 1, agent.policy.tokenizer)) == [*COLUMNS, *PLAYED]
    episodes = agent.estimate(plain)
    episode_frame(episodes, 7, agent.policy.tokenizer).to_parquet(tmp_path / "frame.parquet")
    frame = pd.read_parquet(tmp_path / "frame.parquet")
    assert list(frame) == [*COLUMNS, *PLAYED, "ref_log_probs", "advantages"]
    assert frame["update"].tolist() == [7] * 12
    assert frame["prompt"].tolist() == episodes.prompts
    assert frame["completion"].tolist() == episodes.completions
    assert frame["finish_reason"].tolist() == episodes.finish_reasons
    assert frame["prompt_index"].tolist() == episodes.prompt_index.tolist()
    assert frame["score"].tolist() == episodes.scores.tolist()
    assert len(set(frame["length"])) > 1
    for row in range(12):
        length = int(frame["length"][row])
        assert frame["tokens"][row].tolist() == episodes.tokens[row, 4 : 4 + length].tolist()
        assert len(frame["pieces"][row]) == length
        for name in (*PLAYED, "ref_log_probs", "advantages"):
            np.testing.assert_allclose(frame[name][row], getattr(episodes, name)[row, :length].numpy(), atol=1e-7)


def test_parts_of_the_score_are_columns() -> None:
    agent = make_agent()
    plain = collect(agent.policy, agent.envs, 3, seed=0)
    frame = episode_frame(dataclasses.replace(plain, score_parts={"tone": plain.scores / 2}), 1, agent.policy.tokenizer)
    assert frame["score_tone"].tolist() == (plain.scores / 2).tolist()


def test_pieces_are_what_each_token_added() -> None:
    tokenizer: Any = load_tokenizer("tiny-en")
    end = tokenizer.eos_token_id
    film, snowman = tokenizer.encode(" was good. 5 < 6"), tokenizer.encode(" a ☃!")
    assert len(film) > 4
    assert len(snowman) > 5  # the snowman is three bytes in several tokens
    episodes = written([("The film", [*film, end]), ("I saw", snowman), ("Cut", snowman[:-2])], tokenizer)
    ended, whole, cut = token_texts(episodes, tokenizer)
    assert ended == [tokenizer.decode([id]) for id in film] + [""]
    assert "".join(whole) == " a ☃!"
    assert "" in whole
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in whole)
    assert "".join(cut) == " a \N{REPLACEMENT CHARACTER}"  # what is there of the character, at its last token
    assert [len(pieces) for pieces in (ended, whole, cut)] == episodes.lengths.tolist()


def test_pieces_of_a_policys_own_texts_join_to_them() -> None:
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=8)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    episodes = collect(policy, envs, 8, seed=0)
    assert ["".join(pieces) for pieces in token_texts(episodes, policy.tokenizer)] == episodes.completions


def test_an_evaluation_brings_judge_and_divergence() -> None:
    agent = make_agent(learning_rate=0.1)
    measured = measure(agent.policy, agent.reference, agent.envs, np.arange(6), seed=0)
    assert measured.judge is None
    frame = measured_frame(measured, 2, agent.policy.tokenizer)
    assert list(frame) == [*COLUMNS, *PLAYED, "ref_log_probs", "judge", "kl_k1", "kl_k2", "kl_k3", "kl_exact"]
    assert frame["judge"].isna().all()
    agent.update(agent.collect())
    measured = measure(agent.policy, agent.reference, agent.envs, np.arange(6), seed=0)._replace(judge=np.arange(6.0))
    frame = measured_frame(measured, 2, agent.policy.tokenizer)
    assert frame["judge"].tolist() == [0, 1, 2, 3, 4, 5]
    for name in ("k1", "k2", "k3", "exact"):
        assert frame[f"kl_{name}"].tolist() == getattr(measured.divergence, name).tolist()
        assert frame[f"kl_{name}"].abs().max() > 0.01
    sums = [sum(a) - sum(b) for a, b in zip(frame["log_probs"], frame["ref_log_probs"], strict=True)]
    np.testing.assert_allclose(frame["kl_k1"], sums, atol=1e-5)
