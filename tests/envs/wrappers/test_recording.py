"""The recorder: a row a token, on one environment and many, in memory and in files."""

from collections.abc import Callable
from math import log
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from textenv import LanguagePolicy, wrappers
from textenv.envs.single import TextEnv
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv
from textenv.envs.wrappers import recording
from textenv.errors import ArgumentError, SaveError
from textenv.rewards.protocol import Scores
from textenv.rollouts.collect import collect

A, B, DOT, END = range(4)
PLAIN = ["episode", "t", "token", "text", "reward", "score"]


class Table:
    """The same distribution in every state."""

    def __init__(self, *probs: float) -> None:
        self.log_probs = torch.tensor(probs).log()

    def next_log_probs(self, observations: NDArray[np.int32]) -> torch.Tensor:
        return self.log_probs.expand(len(observations), -1)


def in_parts(completions: list[str]) -> Scores:
    return Scores([float(len(text)) for text in completions], parts={"a": [float(text.count("a")) for text in completions]})


def play(env: Any, *actions: int) -> None:
    env.reset(seed=0)
    for action in actions:
        env.step(np.int64(action))


def test_a_row_a_token_by_hand(toy: Callable[..., Task]) -> None:
    env = wrappers.RecordEpisodes(
        TextEnv(toy(reward=in_parts)), policy=Table(0.25, 0.25, 0.25, 0.25), reference=Table(0.5, 0.25, 0.125, 0.125)
    )
    assert list(env.frame()) == ["episode", "t", "token", "text", "log_prob", "ref_log_prob", "kl", "reward", "score"]
    play(env, A, END)
    play(env, B, DOT, A)
    frame = env.frame()
    assert frame["episode"].tolist() == [0, 0, 1, 1, 1]
    assert frame["t"].tolist() == [0, 1, 0, 1, 2]
    assert frame["token"].tolist() == [A, END, B, DOT, A]
    assert frame["text"].tolist() == ["a", "", "b", ".", "a"]
    np.testing.assert_allclose(frame["log_prob"], log(1 / 4), atol=1e-6)
    np.testing.assert_allclose(frame["ref_log_prob"], np.log([1 / 2, 1 / 8, 1 / 4, 1 / 8, 1 / 2]), atol=1e-6)
    np.testing.assert_allclose(frame["kl"], np.log([1 / 2, 2, 1, 2, 1 / 2]), atol=1e-6)
    assert frame["reward"].tolist() == [0.0, 1.0, 0.0, 0.0, 3.0]
    assert frame["score"].tolist() == [1.0] * 2 + [3.0] * 3
    assert frame["score_a"].tolist() == [1.0] * 5


def test_what_is_not_known_is_absent(toy: Callable[..., Task]) -> None:
    env = wrappers.RecordEpisodes(TextEnv(toy()))
    assert list(env.frame()) == PLAIN
    play(env, A, END)
    assert list(env.frame()) == PLAIN
    env = wrappers.RecordEpisodes(TextEnv(toy()), reference=Table(0.5, 0.25, 0.125, 0.125))
    play(env, A, END)
    assert list(env.frame()) == [*PLAIN[:4], "ref_log_prob", *PLAIN[4:]]


def test_only_finished_episodes_are_kept(toy: Callable[..., Task]) -> None:
    env = wrappers.RecordEpisodes(TextEnv(toy()))
    play(env, A, A)
    assert env.frame().empty
    play(env, B, END)
    assert env.frame()["text"].tolist() == ["b", ""]


def test_an_episode_that_is_cut_off_has_no_score(toy: Callable[..., Task]) -> None:
    env = wrappers.RecordEpisodes(gymnasium.wrappers.TimeLimit(TextEnv(toy()), 2))
    play(env, A, B)
    frame = env.frame()
    assert frame["text"].tolist() == ["a", "b"]
    assert frame["score"].isna().all()


@pytest.mark.parametrize("mode", AutoresetMode)
def test_many_are_recorded_as_one_by_one(mode: AutoresetMode) -> None:
    def recorded(env: Any) -> Any:
        reference = LanguagePolicy.for_rules(env.unwrapped.rules)
        return wrappers.RecordEpisodes(wrappers.KLShaping(env, 0.1), reference=reference)

    envs = recorded(gymnasium.make_vec("TextCopy-v0", num_envs=2, autoreset_mode=mode))
    singles = [recorded(gymnasium.make("TextCopy-v0")) for _ in range(2)]
    envs.reset(seed=0)
    for row, env in enumerate(singles):
        env.reset(seed=row)
    ended = np.zeros(2, dtype=np.bool_)
    for actions in np.random.default_rng(1).integers(5, size=(20, 2)):
        if mode is AutoresetMode.DISABLED and ended.any():
            envs.reset(options={"reset_mask": ended})
        for row in range(2):
            if ended[row]:
                singles[row].reset()
            if not (ended[row] and mode is AutoresetMode.NEXT_STEP):
                singles[row].step(actions[row])
        ended = envs.step(actions)[2]
    found, expected = envs.frame(), [env.frame() for env in singles]
    assert len(found) == sum(len(frame) for frame in expected) > 20
    assert set(found["episode"]) == set(range(sum(frame["episode"].nunique() for frame in expected)))

    def by_text(*frames: pd.DataFrame) -> pd.DataFrame:
        episodes = [group.drop(columns="episode") for frame in frames for _, group in frame.groupby("episode")]
        episodes.sort(key=lambda group: (group["token"].tolist(), round(group["ref_log_prob"].sum(), 2)))
        return pd.concat(episodes, ignore_index=True)

    pd.testing.assert_frame_equal(by_text(found), by_text(*expected), check_exact=False, rtol=0, atol=1e-5)


def test_collect_is_recorded_with_the_log_probs_it_drew_with(toy: Callable[..., Task]) -> None:
    inner = TextVectorEnv(toy(min_new_tokens=1), 3)
    policy = LanguagePolicy.for_rules(inner.rules)
    envs = wrappers.RecordEpisodes(inner, policy=policy)
    episodes = collect(policy, envs, 9, seed=0)
    frame = envs.frame()
    assert frame["episode"].nunique() == 9
    drawn = episodes.log_probs[episodes.mask].numpy()
    np.testing.assert_allclose(np.sort(frame["log_prob"]), np.sort(drawn), atol=1e-5)
    assert sorted(frame.groupby("episode")["text"].sum()) == sorted(episodes.completions)


def test_files_hold_what_memory_held(toy: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "PART_ROWS", 4)
    folder = tmp_path / "new" / "episodes"
    filed, kept = wrappers.RecordEpisodes(TextEnv(toy()), folder=folder), wrappers.RecordEpisodes(TextEnv(toy()))
    for env in (filed, kept):
        play(env, A, END)
        play(env, B, END)
        play(env, A, A, A)
    assert [file.name for file in folder.iterdir()] == ["part-00000.parquet"]
    pd.testing.assert_frame_equal(filed.frame(), kept.frame())
    filed.close()
    filed.close()
    assert sorted(file.name for file in folder.iterdir()) == ["part-00000.parquet", "part-00001.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(folder), kept.frame())
    pd.testing.assert_frame_equal(filed.frame(), kept.frame())
    with pytest.raises(ArgumentError, match="is not empty"):
        wrappers.RecordEpisodes(TextEnv(toy()), folder=folder)


def test_a_vector_env_is_written_when_it_is_closed(toy: Callable[..., Task], tmp_path: Path) -> None:
    envs = wrappers.RecordEpisodes(TextVectorEnv(toy(), 2), folder=tmp_path / "episodes")
    envs.reset(seed=0)
    envs.step(np.array([END, A]))
    envs.close()
    assert pd.read_parquet(tmp_path / "episodes")["token"].tolist() == [END]


def test_a_place_that_cannot_be_written_is_said(toy: Callable[..., Task], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="cannot be written"):
        wrappers.RecordEpisodes(TextEnv(toy()), folder=tmp_path / "file" / "episodes")
