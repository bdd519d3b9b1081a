"""Every example runs, as a user would run it."""

import importlib
import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch

from textenv.cli import main

EXAMPLES = Path(__file__).parent.parent / "examples"
ARGUMENTS = {
    "cleanrl_ppo.py": "--total-timesteps=4096",
    "other_agents.py": "128",
    "own_environment.py": "256",
    "own_reward.py": "32",
    "sb3_language_model.py": "1",
    "small_agent.py": "ppo 1536",
}
SAYS = {
    "cleanrl_ppo.py": "textenv:TextCopy-v0: score ",
    "other_agents.py": "MaskablePPO: ",
    "own_environment.py": "after: asks in ",
    "own_reward.py": "(sentiment ",
    "sb3_language_model.py": "after: score ",
    "small_agent.py": "after: 0.",
}
HERE = {"cleanrl_ppo.py": "--total-timesteps=1024", "other_agents.py": "128", "own_environment.py": "16", "own_reward.py": "8"}
"""Examples that are quick in this process, and the least that each of them can do."""
MODULES = {"haiku": "MyHaiku-v0", "toxicity": "Kind-v0"}
"""Examples that are imported for the environment they register."""
CHAIN = "rlhf.py"
"""Runs in `tests/benchmarks/test_rlhf.py`, which measures what comes of it."""
LINES = {"cleanrl_ppo.py": 160, "own_environment.py": 40, "haiku.py": 50, "toxicity.py": 40, "small_agent.py": 66}
LIBRARIES = {
    "agilerl_ppo.py": "agilerl",
    "rllib_ppo.py": "ray",
    "skrl_ppo.py": "skrl",
    "tianshou_ppo.py": "tianshou",
    "torchrl_ppo.py": "torchrl",
}
"""Examples of `examples/libraries` and the package that each of them needs."""


def test_all_are_known_and_short() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.name for file in files] == sorted([*ARGUMENTS, CHAIN, *(f"{name}.py" for name in MODULES)])
    libraries = sorted((EXAMPLES / "libraries").glob("*.py"))
    assert [file.name for file in libraries] == sorted(LIBRARIES)
    assert not [file.name for file in files + libraries if len(file.read_text().splitlines()) > LINES.get(file.name, 60)]


@pytest.mark.parametrize("name", HERE)
def test_runs_here(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *HERE[name].split()])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert SAYS[name] in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ARGUMENTS)
def test_runs(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / name), *ARGUMENTS[name].split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_agents_of_other_libraries_learn(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(LIBRARIES[name]) is None:
        pytest.skip(f"{LIBRARIES[name]} is not installed; docs/libraries.md tells how")
    command = [sys.executable, str(EXAMPLES / "libraries" / name), "65536"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = re.search(r"score (\S+) -> (\S+)", done.stdout)
    assert found is not None, done.stdout
    before, after = float(found[1]), float(found[2])
    assert 0 < before < 0.2
    assert after > (0.2 if name == "agilerl_ppo.py" else 0.9)


@pytest.mark.parametrize("name", MODULES)
def test_environments_keep_the_contract_and_are_warned_of_games_at_most(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, name, raising=False)
    main(["check", f"{name}:{MODULES[name]}"])
    first, *others = capsys.readouterr().out.splitlines()
    assert first == f"{name}:{MODULES[name]} keeps the contract."
    # Rewards that read no prompt, or only tell rude texts from others, pay some texts wherever they stand.
    assert all("The reward pays" in line for line in others if line.startswith("Warning"))


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, name, raising=False)  # another test may have imported a module of that name
    return importlib.import_module(name)


def test_what_the_haiku_earn(monkeypatch: pytest.MonkeyPatch) -> None:
    haiku = example("haiku", monkeypatch)
    pond = "an old silent pond\nthe frog jumps in and is not\nwater and water"
    assert haiku.syllables(pond) == [5, 7, 5]
    texts = [pond, pond.removesuffix(" water"), "", "an old silent pond", pond + "\nwater"]
    assert haiku.form(texts) == pytest.approx([1, (1 + 1 + 1 / 3) / 3, 1 / 6 / 3, 1 / 3, 3 / 4])
    assert haiku.strict(texts) == [1, 0, 0, 0, 0]
    assert [haiku.three_lines(text) for text in (pond, pond + "\n")] == [False, True]


def test_what_kind_and_harsh_words_earn(monkeypatch: pytest.MonkeyPatch) -> None:
    toxicity = example("toxicity", monkeypatch)
    texts = ["", "a good friend", "an idiot", "a kind idiot", "a passing STUPID fool"]
    assert toxicity.kindness(texts) == pytest.approx([1 / 2, 3 / 4, 1 / 4, 2 / 5, 1 / 6])
    assert len(set(toxicity.PROMPTS)) == 100


@pytest.mark.parametrize(("mode", "trained"), [("NEXT_STEP", 4 * 8), ("SAME_STEP", 4 * 10)])
def test_cleanrl_trains_on_no_step_that_resets(mode: str, trained: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cleanrl = example("cleanrl_ppo", monkeypatch)
    torch.manual_seed(0)
    # Four tokens an episode, so that in NEXT_STEP mode every fifth step resets.
    envs: Any = gymnasium.make_vec("textenv:TextCopy-v0", num_envs=4, autoreset_mode=mode, min_new_tokens=4)
    agent = cleanrl.Agent(5, 8)
    optimizer = torch.optim.Adam(agent.parameters())
    rollout = cleanrl.collect(agent, envs, torch.as_tensor(envs.reset(seed=0)[0]), torch.zeros(4, dtype=torch.bool), 10)
    assert cleanrl.update(agent, optimizer, rollout, cleanrl.Args(autoreset_mode=mode))["transitions"] == trained
    last = rollout.dones[1:].any(dim=1).nonzero().flatten().tolist()
    assert last == ([3, 8] if mode == "NEXT_STEP" else [3, 7])


def test_cleanrl_trains_on_every_token_that_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    cleanrl = example("cleanrl_ppo", monkeypatch)
    torch.manual_seed(0)
    envs: Any = gymnasium.make_vec("textenv:TextCopy-v0", num_envs=16, autoreset_mode="NEXT_STEP")
    agent = cleanrl.Agent(5, 8)
    optimizer = torch.optim.Adam(agent.parameters())
    rollout = cleanrl.collect(agent, envs, torch.as_tensor(envs.reset(seed=0)[0]), torch.zeros(16, dtype=torch.bool), 32)
    texts = (rollout.obs >= 0).sum(dim=2)
    written = texts[1:] - texts[:-1] == 1  # a reset leaves fewer tokens, or as many
    assert 0 < written.sum() < 16 * 32
    assert cleanrl.update(agent, optimizer, rollout, cleanrl.Args())["transitions"] == written.sum()


def test_cleanrl_advantages(monkeypatch: pytest.MonkeyPatch) -> None:
    cleanrl = example("cleanrl_ppo", monkeypatch)
    nothing = torch.zeros(3, 1)
    dones, values = torch.tensor([[False], [False], [True], [False]]), torch.tensor([[0.1], [0.2], [0.3], [0.4]])
    rollout = cleanrl.Rollout(torch.zeros(4, 1, 8), dones, values, nothing, nothing, torch.tensor([[0.0], [1.0], [0.0]]))
    # The second step ends the episode, 1 - .2; the first, .2 - .1, passes on half of that; the third only resets.
    torch.testing.assert_close(cleanrl.gae(rollout, 1.0, 0.5), torch.tensor([[0.5], [0.8], [0.1]]))


@pytest.mark.parametrize(("steps", "least"), [(12_288, 0.3), pytest.param(49_152, 0.8, marks=pytest.mark.slow)])
def test_cleanrl_learns(steps: int, least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    cleanrl = example("cleanrl_ppo", monkeypatch)
    before, after = cleanrl.train(cleanrl.Args(total_timesteps=steps))
    assert 0.1 < before < 0.2
    assert after > least


def test_cleanrl_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    cleanrl = example("cleanrl_ppo", monkeypatch)
    small = cleanrl.Args(total_timesteps=4096, autoreset_mode="SAME_STEP")
    assert cleanrl.train(small) == cleanrl.train(small)
