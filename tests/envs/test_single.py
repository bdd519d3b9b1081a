"""One row as a plain Gymnasium environment, and what stock agents make of it."""

import copy
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, PPO

from tests.envs.sizes import by_id
from textenv.envs.registry import BUILT_IN
from textenv.envs.single import TextEnv
from textenv.envs.task import Task
from textenv.errors import ActionError, ArgumentError, OrderError, RewardError

EOS = 3


@pytest.fixture
def env(toy: Callable[..., Task]) -> TextEnv:
    return TextEnv(toy(missing_eos_penalty=0.25))


def test_an_episode_by_hand(env: TextEnv) -> None:
    assert env.observation_space == gymnasium.spaces.Box(-1, 3, (6,), np.int32)
    assert env.action_space == gymnasium.spaces.Discrete(4)
    observation, info = env.reset(seed=0, options={"prompt_index": 1})
    assert observation.tolist() == [-1, 0, 1, -1, -1, -1]
    assert observation.dtype == np.int32
    assert info == {"prompt": "ab", "prompt_index": 1, "prompt_tokens_dropped": 0}
    observation, reward, terminated, truncated, info = env.step(np.int64(0))
    assert (observation.tolist(), reward, terminated, truncated, info) == ([-1, 0, 1, 0, -1, -1], 0.0, False, False, {})
    env.step(np.int64(0))
    observation, reward, terminated, truncated, info = env.step(np.int64(2))
    assert (observation.tolist(), reward, terminated, truncated) == ([-1, 0, 1, 0, 0, 2], 1.75, True, False)
    assert info == {
        "prompt": "ab",
        "prompt_index": 1,
        "completion": "aa.",
        "score": 2.0,
        "finish_reason": "length",
        "length": 3,
        "special_tokens": 0,
    }
    assert [type(value) for value in info.values()] == [str, int, str, float, str, int, int]
    assert type(reward) is float
    assert type(terminated) is bool


def test_an_end_of_text_ends_and_costs_nothing(env: TextEnv) -> None:
    env.reset(seed=0)
    env.step(np.int64(0))
    _, reward, terminated, _, info = env.step(np.int64(EOS))
    assert (reward, terminated, info["finish_reason"], info["completion"], info["length"]) == (1.0, True, "eos", "a", 2)


def test_order_of_calls(env: TextEnv) -> None:
    with pytest.raises(OrderError, match=r"Call reset\(\) before"):
        env.step(np.int64(0))
    env.reset(seed=0)
    env.step(np.int64(EOS))
    with pytest.raises(OrderError, match=r"episode has ended; call reset\(\)"):
        env.step(np.int64(0))
    env.reset()
    assert not env.step(np.int64(0))[2]


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([4, -1], "is no token id; they go from 0 to 3"),
        ([0.0, np.float32(1), None], "Actions are token ids, so integers"),
        ([True, np.True_, "a", [0], np.array([0]), [0, 1]], "step needs one token id from 0 to 3, got"),
    ],
)
def test_impossible_actions_are_refused(env: TextEnv, actions: list[Any], message: str) -> None:
    for action in actions:
        assert_refused(env, action, message)


def assert_refused(env: TextEnv, action: Any, message: str) -> None:
    before, _ = env.reset(seed=0)
    with pytest.raises(ActionError, match=message):
        env.step(action)
    after = env.step(np.int64(1))[0]
    before[3] = 1
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("action", [1, np.int32(1), np.uint8(1), np.array(1), torch.tensor(1)])
def test_any_integer_is_an_action(env: TextEnv, action: Any) -> None:
    env.reset(seed=0)
    assert env.step(action)[0][3] == 1


@pytest.mark.parametrize("prompt_index", [2, np.int64(2), [2], np.array([2])])
def test_prompt_index_chooses_the_prompt(env: TextEnv, prompt_index: Any) -> None:
    assert env.reset(seed=0, options={"prompt_index": prompt_index})[1]["prompt"] == "bab"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_indices": 0}, 'Did you mean "prompt_index"'),
        ({"reset_mask": np.array([True])}, 'no option "reset_mask"'),
        ({"prompt_index": 3}, "integers from 0 to 2"),
        ({"prompt_index": "ab"}, "integers from 0 to 2"),
        ({"prompt_index": [0, 1]}, r"shape \(1,\), got \(2,\)"),
        ({"prompt_index": []}, "prompt_index"),
    ],
)
def test_wrong_reset_options_are_refused(env: TextEnv, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        env.reset(seed=0, options=options)


def test_seeds_repeat_and_no_seed_goes_on(toy: Callable[..., Task]) -> None:
    env = TextEnv(toy(prompts=[letter * n for letter in "ab" for n in (1, 2, 3)]))

    def prompts(seed: int) -> list[str]:
        return [env.reset(seed=seed)[1]["prompt"], *(env.reset()[1]["prompt"] for _ in range(5))]

    assert prompts(3) == prompts(3)
    assert len(set(prompts(3))) > 1
    assert prompts(3) != prompts(4)
    env.reset(seed=3)
    assert env.np_random_seed == 3


@by_id
def test_a_pickled_copy_goes_on_alike(id: str, fields: dict[str, Any]) -> None:
    env: Any = gymnasium.make(id, **fields).unwrapped
    env.reset(seed=1)
    generator = np.random.default_rng(0)
    env.step(next(token for token in range(env.rules.vocabulary) if env.rules.allowed[token] and token != env.rules.contract.end))
    other = pickle.loads(pickle.dumps(env))
    for _ in range(2 * env.rules.response_columns):
        action = generator.choice(np.flatnonzero(env.action_masks()))
        found, expected = other.step(action), env.step(action)
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[1:] == expected[1:]
        if expected[2]:
            np.testing.assert_array_equal(other.reset()[0], env.reset()[0])


def test_a_failing_reward_leaves_the_episode_as_it_was(toy: Callable[..., Task]) -> None:
    faults = [True]

    def moody(completions: Sequence[str]) -> list[float]:
        return [float("nan") if faults else 2.0] * len(completions)

    env = TextEnv(toy(reward=moody))
    observation, _ = env.reset(seed=0, options={"prompt_index": 2})
    with pytest.raises(RewardError, match=r"moody returned nan.*'bab'.*''"):
        env.step(np.int64(EOS))
    faults.clear()
    after, reward, terminated, _, info = env.step(np.int64(EOS))
    observation[3] = EOS
    np.testing.assert_array_equal(after, observation)
    assert (reward, terminated, info["score"]) == (2.0, True, 2.0)


# Making


def test_truncation_comes_only_from_a_time_limit() -> None:
    env: Any = gymnasium.make("TextCopy-v0", max_episode_steps=2)
    env.reset(seed=0)
    assert env.step(0)[2:4] == (False, False)
    assert env.step(0)[2:4] == (False, True)
    for id in BUILT_IN:
        assert gymnasium.spec(id).max_episode_steps is None


@pytest.mark.parametrize("keyword", [{"autoreset_mode": "SAME_STEP"}, {"num_envs": 2}])
def test_keywords_of_make_vec_are_refused(keyword: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"{next(iter(keyword))} is a keyword of gymnasium.make_vec"):
        gymnasium.make("TextCopy-v0", **keyword)


def test_module_prefix_registers() -> None:
    env: Any = gymnasium.make("textenv:TextCopy-v0")
    assert isinstance(env.unwrapped, TextEnv)


class Uncopied:
    """A model that is too big to copy."""

    def __call__(self, completions: Sequence[str]) -> list[float]:
        return [0.0] * len(completions)

    def next_log_probs(self, observations: Any) -> torch.Tensor:
        return torch.full((len(observations), 5), 0.2).log()

    def __deepcopy__(self, memo: Any) -> "Uncopied":
        raise MemoryError("a model was copied")


def test_models_in_keywords_are_never_copied() -> None:
    model = Uncopied()
    env: Any = gymnasium.make("TextCopy-v0", reward=model, reference=model, kl_coef=0.1, stop=lambda text: "b" in text)
    assert env.spec.id == env.unwrapped.spec.id == "TextCopy-v0"
    assert copy.deepcopy(env.spec).kwargs["kl_coef"] == 0.1
    again: Any = gymnasium.make(env.spec)
    assert again.unwrapped.rules.reward is model
    assert again.unwrapped.kl_shaping.reference is model
    assert again.unwrapped.rules.stop is env.unwrapped.rules.stop


def test_render(toy: Callable[..., Task], capsys: pytest.CaptureFixture[str]) -> None:
    env = TextEnv(toy(), render_mode="ansi")
    env.reset(seed=0, options={"prompt_index": 1})
    env.step(np.int64(0))
    assert env.render() == "\x1b[2mab\x1b[0ma"
    env.step(np.int64(EOS))
    assert env.render() == "\x1b[2mab\x1b[0m\x1b[38;2;60;220;60ma\x1b[0m  \x1b[1m+1.000\x1b[0m"
    assert capsys.readouterr().out == ""
    human = TextEnv(toy(), render_mode="human")
    human.reset(seed=0, options={"prompt_index": 0})
    assert human.render() is None
    assert capsys.readouterr().out == "\x1b[2mb\x1b[0m\n"


# Stock agents, unmodified, without a warning


@pytest.mark.parametrize(
    ("id", "algorithm"),
    [
        *((id, PPO) for id in BUILT_IN),
        *(("TextCopy-v0", algorithm) for algorithm in (A2C, MaskablePPO)),
        *(
            pytest.param(id, algorithm, marks=pytest.mark.slow)
            for id in BUILT_IN
            if id != "TextCopy-v0"
            for algorithm in (A2C, MaskablePPO)
        ),
    ],
)
def test_stock_agents_learn(id: str, algorithm: Any) -> None:
    env: Any = gymnasium.make(id, max_new_tokens=4)
    sizes: dict[str, Any] = {} if algorithm is A2C else {"batch_size": 24, "n_epochs": 1}
    agent: Any = algorithm("MlpPolicy", env, n_steps=24, policy_kwargs={"net_arch": [8]}, device="cpu", seed=0, **sizes)
    before = copy.deepcopy(agent.policy.state_dict())
    agent.learn(48)
    assert agent.num_timesteps == 48
    assert any(not torch.equal(value, before[name]) for name, value in agent.policy.state_dict().items())
    episodes = [*agent.ep_info_buffer]
    assert len(episodes) >= 10
    least, most = {"TextGridWorld-v0": (-6, 4), "TextLength-v0": (0, 2)}.get(id, (0, 1))
    assert all(1 <= episode["l"] <= 4 and least <= episode["r"] <= most for episode in episodes)


def test_maskable_ppo_keeps_to_the_masks() -> None:
    env: Any = gymnasium.make("TextCopy-v0", min_new_tokens=3, action_mask=lambda observation: np.arange(5) != 1)
    agent = MaskablePPO("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=1, policy_kwargs={"net_arch": [8]}, device="cpu", seed=0)
    agent.learn(64)
    assert {episode["l"] for episode in agent.ep_info_buffer or []} <= {3, 4}
    actions = agent.rollout_buffer.actions.ravel()
    assert set(actions.tolist()) == {0, 2, 3, 4}
