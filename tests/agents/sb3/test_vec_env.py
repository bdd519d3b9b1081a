"""The native vector env as a VecEnv of Stable-Baselines3: the rows of DummyVecEnv, and what its agents ask of it."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import VectorWrapper
from gymnasium.wrappers import TimeLimit
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from textenv.agents.sb3.vec_env import TextVecEnv, Tokens, as_vec_env
from textenv.envs.wrappers import ActionMask, EmbeddingObservation, KLShaping, TextObservation, TopKActions
from textenv.errors import ArgumentError

N = 3
WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "none": lambda env: env,
    "embedding": EmbeddingObservation,
    "top k": lambda env: TopKActions(env, 3),
    "shaped": lambda env: KLShaping(env, 0.1),
    "mask, shaped, top k": lambda env: TopKActions(KLShaping(ActionMask(env, ban=["a"], top_p=0.9), 0.1, per="sequence"), 2),
}


def many(id: str = "TextCopy-v0", wrapper: str = "none", **options: Any) -> TextVecEnv:
    return as_vec_env(WRAPPERS[wrapper](gymnasium.make_vec(id, num_envs=N, **options)))


def single(id: str = "TextCopy-v0", wrapper: str = "none", **options: Any) -> DummyVecEnv:
    return DummyVecEnv([lambda: WRAPPERS[wrapper](gymnasium.make(id, **options)) for _ in range(N)])


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal in keys, types and values; floats of models to 1e-5."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for name in theirs:
            assert_same(ours[name], theirs[name])
    elif isinstance(theirs, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 if theirs.dtype.kind == "f" else 0)
    elif isinstance(theirs, float):
        assert type(ours) is float
        assert ours == pytest.approx(theirs, abs=1e-5)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs


@pytest.mark.parametrize(
    ("id", "wrapper", "options"),
    [
        *(("TextCopy-v0", wrapper, {}) for wrapper in WRAPPERS),
        ("TextGridWorld-v0", "none", {}),
        ("TextCount-v0", "none", {"min_new_tokens": 1}),
        ("TextCount-v0", "top k", {"min_new_tokens": 1}),
    ],
)
def test_rows_are_those_of_single_environments(id: str, wrapper: str, options: dict[str, Any]) -> None:
    ours, theirs = many(id, wrapper, **options), single(id, wrapper, **options)
    assert ours.action_space == theirs.action_space
    assert ours.observation_space == theirs.observation_space
    assert ours.seed(7) == theirs.seed(7)
    assert_same(ours.reset(), theirs.reset())
    generator, ended = np.random.default_rng(0), 0
    for _ in range(60):
        masks = get_action_masks(theirs)
        assert_same(get_action_masks(ours), masks)
        actions = np.array([generator.choice(np.flatnonzero(mask)) for mask in masks])
        found, expected = ours.step(actions), theirs.step(actions)
        for mine, yours in zip(found[:3], expected[:3], strict=True):
            assert_same(mine, yours)
        for mine, yours in zip(found[3], expected[3], strict=True):
            assert_same(mine, yours)
        assert_same(dict(enumerate(ours.reset_infos)), dict(enumerate(theirs.reset_infos)))
        ended += int(found[2].sum())
    assert ended > 20
    assert_same(ours.reset(), theirs.reset())  # without a seed the generators go on
    assert_same(dict(enumerate(ours.reset_infos)), dict(enumerate(theirs.reset_infos)))


def test_rows_with_a_model_as_reward() -> None:
    ours, theirs = (make("TextSentiment-v0", max_new_tokens=3) for make in (many, single))
    for env in (ours, theirs):
        env.seed(1)
        env.reset()
    told: list[set[str]] = []
    for step in range(6):
        actions = np.array([5 + step, 300, 4000])
        found, expected = ours.step(actions), theirs.step(actions)
        assert_same(dict(enumerate(found[3])), dict(enumerate(expected[3])))
        told.append(set(found[3][0]))
    assert told[2] == told[5] > {"score", "finish_reason", "terminal_observation", "TimeLimit.truncated"}


def test_options_choose_prompts_once() -> None:
    ours, theirs = many(), single()
    for env in (ours, theirs):
        env.seed(3)
        env.set_options({"prompt_index": 5})
        env.reset()
        assert [info["prompt_index"] for info in env.reset_infos] == [5] * N
        env.set_options([{"prompt_index": row} for row in range(N)])
        env.reset()
        assert [info["prompt_index"] for info in env.reset_infos] == [0, 1, 2]
    assert_same(ours.reset(), theirs.reset())
    ours.set_options({"prompt": 5})
    with pytest.raises(ArgumentError, match=r'no option "prompt"\. Did you mean "prompt_index"'):
        ours.reset()
    ours.set_options([{"prompt_index": 1}, {}, {}])
    with pytest.raises(ArgumentError, match="for each of the 3 rows, or for none"):
        ours.reset()


class CutShort(VectorWrapper[Any, Any, Any, Any, Any]):
    """Ends the first row's episodes after a step, as a time limit of Gymnasium would."""

    def step(self, actions: Any) -> Any:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if not terminated[0]:
            final = np.full(N, None, dtype=object)
            final[0] = observations[0].copy()
            at = np.array([True, False, False])
            infos |= {"final_obs": final, "_final_obs": at, "final_info": {}, "_final_info": at}
            truncated = at
        return observations, rewards, terminated, truncated, infos


def test_an_end_by_a_time_limit_is_told_from_one_of_the_text() -> None:
    envs = as_vec_env(CutShort(gymnasium.make_vec("TextCopy-v0", num_envs=N)))
    envs.reset()
    theirs = DummyVecEnv([lambda: TimeLimit(gymnasium.make("TextCopy-v0"), 1)])
    theirs.reset()
    observations, _, dones, infos = envs.step(np.zeros(N, dtype=np.int64))
    assert isinstance(observations, np.ndarray)
    expected = theirs.step(np.zeros(1, dtype=np.int64))
    assert dones.tolist() == [True, False, False]
    assert [info["TimeLimit.truncated"] for info in infos] == [True, False, False]
    assert set(infos[0]) == set(expected[3][0]) == {"TimeLimit.truncated", "terminal_observation"}
    np.testing.assert_array_equal(infos[0]["terminal_observation"], observations[0])


def test_attributes_are_found_through_the_wrappers() -> None:
    envs = as_vec_env(TopKActions(KLShaping(ActionMask(gymnasium.make_vec("TextCopy-v0", num_envs=N), top_p=0.9), 0.1), 3))
    shaping = envs.get_attr("kl_shaping", indices=[0, 2])
    assert len(shaping) == 2
    assert shaping[0] is shaping[1]
    assert shaping[0].kl_coef == 0.1
    assert envs.get_attr("action_space", 1) == [gymnasium.spaces.Discrete(3)]
    assert envs.get_attr("rules")[0].prompt_columns > 0
    assert envs.has_attr("action_masks")
    assert not envs.has_attr("action_mask")
    with pytest.raises(AttributeError, match="no attribute 'action_mask'"):
        envs.get_attr("action_mask")
    envs.set_attr("label", "mine")
    assert envs.get_attr("label") == ["mine"] * N
    with pytest.raises(ArgumentError, match="All rows share one label; set it for all of them"):
        envs.set_attr("label", "yours", indices=0)
    for wrapper, wrapped in (
        (TopKActions, True),
        (KLShaping, True),
        (VectorWrapper, True),
        (EmbeddingObservation, False),
        (Monitor, False),
    ):
        assert envs.env_is_wrapped(wrapper) == [wrapped] * N
    assert envs.env_is_wrapped(TopKActions, indices=1) == [True]


def test_methods_are_called_once_and_split() -> None:
    envs = many("TextCount-v0", min_new_tokens=1)
    assert is_masking_supported(envs)
    envs.reset()
    envs.step(np.array([0, 1, 2]))
    masks = envs.unwrapped.envs.unwrapped.action_masks()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(get_action_masks(envs), masks)
    np.testing.assert_array_equal(envs.env_method("action_masks", indices=[2, 0]), masks[[2, 0]])
    (mask_of_a_row,) = envs.get_attr("action_masks", 1)
    np.testing.assert_array_equal(mask_of_a_row(), masks[1])
    with pytest.raises(ArgumentError, match="step moves all rows together"):
        envs.env_method("step", 0)


def test_render(capsys: pytest.CaptureFixture[str]) -> None:
    envs = many(render_mode="ansi")
    envs.seed(0)
    envs.reset()
    assert (envs.render_mode, envs.metadata) == ("ansi", {"render_modes": ["ansi"]})
    frames = envs.env_method("render")
    assert len(frames) == N
    assert all(info["prompt"] in frame for frame, info in zip(frames, envs.reset_infos, strict=True))
    assert envs.render() is None
    shown = many(render_mode="human")
    shown.seed(0)
    shown.reset()
    assert shown.render() is None
    assert capsys.readouterr().out == "\n".join(frames) + "\n"


def test_close_reaches_the_environment() -> None:
    envs = many()
    envs.close()
    assert envs.envs.closed


def test_the_action_space_knows_the_task() -> None:
    space = many("TextSentiment-v0").action_space
    assert isinstance(space, Tokens)
    assert space.n == 4096
    assert space.model == "tiny-en"
    assert space.contract.tokenizer.eos_token == "<|endoftext|>"
    assert not isinstance(many(wrapper="top k").action_space, Tokens)


def test_what_cannot_be_served_is_refused() -> None:
    for mode in ("NEXT_STEP", "DISABLED"):
        with pytest.raises(ArgumentError, match=f'autoreset_mode="SAME_STEP", not "{mode}"'):
            many(autoreset_mode=mode)
    with pytest.raises(ArgumentError, match="reads no strings; take EmbeddingObservation"):
        as_vec_env(TextObservation(gymnasium.make_vec("TextCopy-v0", num_envs=N)))
    others: list[Any] = [gymnasium.make("TextCopy-v0"), gymnasium.make_vec("CartPole-v1", num_envs=2)]
    for env in others:
        with pytest.raises(ArgumentError, match=r"needs the vector env of a text environment, from gymnasium\.make_vec"):
            as_vec_env(env)


def test_agents_run_on_it() -> None:
    PPO("MlpPolicy", VecMonitor(many()), n_steps=8, batch_size=12, n_epochs=1, device="cpu").learn(48)
    A2C("MlpPolicy", VecNormalize(many(wrapper="embedding"), norm_obs=False), device="cpu").learn(30)
    DQN("MultiInputPolicy", many(wrapper="top k"), learning_starts=8, buffer_size=64, device="cpu").learn(24)
    masked = MaskablePPO("MlpPolicy", many("TextCount-v0", min_new_tokens=1), n_steps=8, batch_size=12, n_epochs=1, device="cpu").learn(48)
    lengths = evaluate_masked(masked, VecMonitor(many("TextCount-v0", min_new_tokens=1)), 6, return_episode_rewards=True)[1]
    assert isinstance(lengths, list)
    assert min(lengths) > 1


def test_episodes_are_monitored_as_single_ones_are() -> None:
    agent = PPO("MlpPolicy", many(), n_steps=8, batch_size=24, n_epochs=1, seed=0, device="cpu")
    both = []
    for envs in (many(), single()):
        envs.seed(0)
        both.append(evaluate_policy(agent, VecMonitor(envs), 9, return_episode_rewards=True))
    assert both[0] == both[1]
    assert isinstance(both[0][0], list)
    assert len(both[0][0]) == 9
