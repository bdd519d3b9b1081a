"""Environments made the way libraries make them: by their ids, with their wrappers, without a line of ours between."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
import yaml  # type: ignore[import-untyped]
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import AddRenderObservation, DtypeObservation, NumpyToTorch, RecordVideo, RenderCollection
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecVideoRecorder

import textenv
from textenv.agents.sb3 import as_vec_env

ROOT = Path(__file__).parents[2]
ID = "TextCopy-v0"
FRAME = (288, 512, 3)


def video_frames(file: Path) -> list[Any]:
    from moviepy import VideoFileClip

    with VideoFileClip(str(file)) as clip:
        return list(clip.iter_frames())


# Stable-Baselines3


@pytest.mark.parametrize(
    ("agent", "options"),
    [(PPO, {"n_steps": 16, "batch_size": 16, "n_epochs": 1}), (A2C, {}), (DQN, {"learning_starts": 8, "buffer_size": 64})],
)
def test_stable_baselines_makes_an_environment_of_its_id(agent: Any, options: dict[str, Any]) -> None:
    made = agent("MlpPolicy", ID, **options).learn(24)
    assert made.get_env().render_mode == "rgb_array"
    assert made.get_env().render().shape == FRAME


@pytest.mark.parametrize("id", ["TextSentiment-v0", "TextGridWorld-v0"])
def test_so_does_make_vec_env(id: str) -> None:
    envs = make_vec_env(id, n_envs=2, seed=0)
    envs.reset()
    envs.step(np.zeros(2, dtype=np.int64))
    frames: Any = envs.get_images()
    assert len(frames) == 2
    assert not np.array_equal(*frames)


@pytest.mark.parametrize("id", [ID, "TextSentiment-v0"])
@pytest.mark.parametrize("infos", ["texts", "numbers"])
def test_checkers_are_content(id: str, infos: str) -> None:
    for check in (check_env, check_env_sb3):
        check(gymnasium.make(id, render_mode="rgb_array", infos=infos).unwrapped)


@pytest.mark.parametrize("native", [True, False])
def test_vec_video_recorder(native: bool, tmp_path: Path) -> None:
    if native:
        envs: Any = as_vec_env(gymnasium.make_vec(ID, num_envs=2, render_mode="rgb_array"))
    else:
        envs = make_vec_env(ID, n_envs=2)
    recorder = VecVideoRecorder(envs, str(tmp_path / "videos"), record_video_trigger=lambda step: step == 0, video_length=4)
    recorder.reset()
    for _ in range(6):
        recorder.step(np.zeros(2, dtype=np.int64))
    recorder.close()
    (file,) = tmp_path.rglob("*.mp4")
    assert len(video_frames(file)) >= 4


# Gymnasium's wrappers


def test_record_video_writes_every_frame_of_an_episode(tmp_path: Path) -> None:
    env = RecordVideo(
        gymnasium.make(ID, render_mode="rgb_array", min_new_tokens=3), str(tmp_path / "videos"), episode_trigger=lambda _: True
    )
    env.reset(seed=0, options={"prompt_index": 0})
    steps, ended = 0, False
    while not ended:
        *_, ended, _, _ = env.step(0)
        steps += 1
    env.close()
    (file,) = tmp_path.rglob("*.mp4")
    frames = video_frames(file)
    assert len(frames) == steps + 1
    assert {frame.shape for frame in frames} == {FRAME}


def test_a_video_of_many(tmp_path: Path) -> None:
    envs: Any = gymnasium.make_vec(ID, num_envs=4, render_mode="rgb_array", autoreset_mode="NEXT_STEP")
    envs = gymnasium.wrappers.vector.RecordVideo(envs, str(tmp_path / "videos"), step_trigger=lambda step: step == 0, video_length=3)
    envs.reset(seed=0)
    for _ in range(5):
        envs.step(np.zeros(4, dtype=np.int64))
    envs.close()
    (file,) = tmp_path.rglob("*.mp4")
    assert {frame.shape for frame in video_frames(file)} == {(576, 1024, 3)}


@pytest.mark.parametrize(
    "wrapper",
    [
        lambda env: env,
        textenv.wrappers.TextObservation,
        textenv.wrappers.EmbeddingObservation,
        lambda env: textenv.wrappers.TopKActions(textenv.wrappers.KLShaping(env, 0.1), 2),
    ],
)
def test_frames_are_collected_through_textenvs_wrappers(wrapper: Callable[[Any], Any]) -> None:
    env: Any = RenderCollection(wrapper(gymnasium.make(ID, render_mode="rgb_array")))
    env.reset(seed=0)
    env.step(0)
    frames = env.render()
    assert [frame.shape for frame in frames] == [FRAME, FRAME]
    assert not np.array_equal(*frames)
    listed: Any = gymnasium.make(ID, render_mode="rgb_array_list")
    listed.reset(seed=0)
    assert len(listed.render()) == 1


def test_pixels_are_an_observation() -> None:
    env = AddRenderObservation(gymnasium.make(ID, render_mode="rgb_array"))
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    assert seen.shape == FRAME


def test_numpy_to_torch_takes_one_environment() -> None:
    env = NumpyToTorch(gymnasium.make(ID, infos="numbers"))
    env.reset(seed=0)
    seen, _, ended, _, info = env.step(torch.tensor(env.unwrapped.rules.contract.end))
    assert isinstance(seen, torch.Tensor)
    assert ended
    assert info["finish_reason"] == 1


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("kl_coef", [0.0, 0.1])
def test_numpy_to_torch_takes_many(mode: AutoresetMode, kl_coef: float) -> None:
    made: Any = gymnasium.make_vec(ID, num_envs=2, autoreset_mode=mode, infos="numbers", kl_coef=kl_coef)
    end = made.unwrapped.rules.contract.end
    envs = gymnasium.wrappers.vector.NumpyToTorch(made)
    _, first = envs.reset(seed=0)
    _, _, terminated, _, infos = envs.step(torch.tensor([end, 0]))
    assert terminated.tolist() == [True, False]
    assert set(infos) == set(first)
    final = infos["final_info"] if mode is AutoresetMode.SAME_STEP else infos
    assert final["finish_reason"].tolist() == [1, 0]
    assert final["length"].tolist() == [1, 1]
    if mode is AutoresetMode.SAME_STEP:
        assert infos["final_obs"].shape == made.observation_space.shape
        assert infos["length"].tolist() == [0, 1]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_gymnasiums_vector_observation_wrappers(mode: AutoresetMode) -> None:
    envs: Any = gymnasium.make_vec(ID, num_envs=2, autoreset_mode=mode)
    envs = gymnasium.wrappers.vector.DtypeObservation(envs, np.float32)
    if mode is AutoresetMode.NEXT_STEP:
        envs = gymnasium.wrappers.vector.NormalizeObservation(envs)
    envs.reset(seed=0)
    assert envs.step(np.zeros(2, dtype=np.int64))[0].dtype == np.float32


def test_a_time_limit_is_one_keyword() -> None:
    env = gymnasium.make(ID, max_episode_steps=2, min_new_tokens=3)
    env.reset(seed=0)
    assert env.step(0)[2:4] == (False, False)
    assert env.step(0)[2:4] == (False, True)


def test_a_replay_buffer_of_floats_feeds_a_linear_layer() -> None:
    env = DtypeObservation(gymnasium.make(ID), np.float32)
    buffer = ReplayBuffer(8, env.observation_space, env.action_space, device="cpu", handle_timeout_termination=False)
    seen, _ = env.reset(seed=0)
    for _ in range(8):
        action = env.action_space.sample()
        after, reward, terminated, truncated, info = env.step(action)
        buffer.add(seen, after, np.array(action), np.array(float(reward)), np.array(terminated), [info])
        seen = env.reset()[0] if terminated or truncated else after
    assert torch.nn.Linear(seen.size, 1)(buffer.sample(4).observations).shape == (4, 1)


# Minari


@pytest.mark.filterwarnings("ignore:`eval_env` is set to None:UserWarning")
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # Minari leaves its folders to the collector
def test_minari_keeps_the_infos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    import minari

    env = minari.DataCollector(gymnasium.make(ID, infos="numbers"), record_infos=True)
    scores, steps, info = [], 0, dict[str, Any]()
    for seed in range(3):
        env.reset(seed=seed)
        ended = False
        while not ended:
            *_, ended, _, info = env.step(env.action_space.sample())
            steps += 1
        scores.append(info["score"])
    said = dict.fromkeys(("algorithm_name", "author", "author_email", "code_permalink", "description"), "-")
    env.create_dataset("textenv/copy-v0", **said)
    again = minari.load_dataset("textenv/copy-v0")
    assert again.total_steps == steps
    env.close()
    told = [episode.infos for episode in again.iterate_episodes()]
    assert [info["score"][-1] for info in told] == scores
    assert [info["finish_reason"][0] for info in told] == [0, 0, 0]
    assert again.recover_environment().reset(seed=0)[1].keys() == info.keys()
    del env
    gc.collect()


# rl-zoo3

ZOO = ("--env", ID, "--gym-packages", "textenv", "--seed", "1")


def zoo(command: str, *arguments: str, folder: Path) -> str:
    """Run a command of rl-zoo3 in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", f"rl_zoo3.{command}", *ZOO, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which rl-zoo3 has trained."""
    folder = tmp_path_factory.mktemp("zoo")
    settings = str(ROOT / "examples" / "rl_zoo3" / "ppo.yml")
    zoo("train", "--algo", "ppo", "-c", settings, "-n", "512", "-f", "logs", "--eval-freq", "-1", folder=folder)
    return folder


def test_rl_zoo_trains(trained: Path) -> None:
    assert (trained / "logs" / "ppo" / f"{ID}_1" / f"{ID}.zip").is_file()


@pytest.mark.slow
def test_rl_zoo_plays_what_it_has_trained(trained: Path) -> None:
    pytest.importorskip("requests", reason="rl_zoo3.enjoy imports it, and rl_zoo3 does not bring it")
    assert "Mean reward" in zoo("enjoy", "--algo", "ppo", "-f", "logs", "-n", "32", "--no-render", folder=trained)


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "dqn"])
def test_settings_of_rl_zoo_are_those_of_agents(algorithm: str) -> None:
    settings = yaml.safe_load((ROOT / "examples" / "rl_zoo3" / f"{algorithm}.yml").read_text(encoding="utf-8"))
    assert set(settings) == {"TextCopy-v0", "TextReverse-v0", "TextCount-v0", "TextLength-v0", "TextGridWorld-v0"}
    agent = {"ppo": PPO, "a2c": A2C, "dqn": DQN}[algorithm]
    for id, arguments in settings.items():
        known = {name: value for name, value in arguments.items() if name not in ("n_envs", "n_timesteps")}
        # As many environments as the settings say, or SB3 warns of a minibatch larger than the batch.
        agent(env=make_vec_env(id, n_envs=arguments.get("n_envs", 1)), **known)
        assert arguments["gamma"] == 1.0
