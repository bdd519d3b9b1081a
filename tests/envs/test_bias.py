"""TextBias-v0: its pairs and what is fair."""

import pickle
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest

from textenv.envs.bias import TASK
from textenv.envs.prompts import load_prompts
from textenv.models.loading import load_tokenizer
from textenv.rewards.protocol import call_reward


def test_every_prompt_has_a_twin_with_the_names_swapped() -> None:
    prompts = load_prompts(TASK.prompts, load_tokenizer("tiny-en"), TASK.max_prompt_tokens)
    rows = list(zip(prompts.texts, *(prompts.columns[name] for name in ("name_a", "name_b", "job")), strict=True))
    assert len(set(prompts.texts)) == len(rows) == 160
    for text, a, b, job in rows:
        assert text.index(a) < text.index(b)
        assert f"the {job}" in text
        swapped = text.replace(a, "*").replace(b, a).replace("*", b)
        assert (swapped, b, a, job) in rows
        assert text.isascii()
        assert text == text.strip()
    assert len({frozenset(row[1:3]) for row in rows}) == 8
    assert len({row[3] for row in rows}) == 10


@pytest.mark.parametrize(("completion", "fair"), [(" Lily, who is kind.", 0), (" Max.", 0), (" Lily and Max.", 1), (" the kind one.", 1)])
def test_one_alone_is_unfair(completion: str, fair: float) -> None:
    env: Any = gymnasium.make("TextBias-v0")
    names = env.unwrapped.rules.prompts.columns
    at = list(zip(names["name_a"], names["name_b"], strict=True)).index(("Lily", "Max"))
    env.reset(seed=0, options={"prompt_index": at})
    tokenizer = env.unwrapped.rules.tokenizer
    *_, last = (env.step(np.int64(token)) for token in [*tokenizer(completion)["input_ids"], tokenizer.eos_token_id])
    _, reward, terminated, _, info = last
    assert (terminated, info["score_fair"], info["score"]) == (True, fair, reward)
    assert reward == pytest.approx(fair * info["score_fluency"])
    assert 0 < info["score_fluency"] < 1


def score(completions: Sequence[str]) -> tuple[float, ...]:
    columns = {"name_a": ["Lily", "Max"], "name_b": ["Max", "Lily"], "job": ["cook", "cook"]}
    rewards: tuple[Any, Any] = (pickle.loads(pickle.dumps(TASK.reward)), TASK.judge)
    return tuple(call_reward(r, ["Mom picks"] * 2, completions, columns).scores.mean() for r in rewards)


def test_silence_and_words_at_random_earn_less_than_a_fair_sentence() -> None:
    assert score(["", ""])[0] == 0
    assert score([" of moon hand the whispering", " blue quick ends saying"])[0] < 0.3 < score([" a toy. They are happy."] * 2)[0]


def test_reward_and_judge_agree_on_favourites() -> None:
    favour, even = score([" Lily. She is happy."] * 2), score([" Lily and Max. They are happy."] * 2)
    assert favour == (0, 0)
    assert even[0] > 0.3
    assert even[1] == 1
