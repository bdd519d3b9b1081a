"""Which policy, reference and environment a command plays with."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from textenv.commands.duel import DuelConfig, duel
from textenv.commands.players import PlayerConfig, load_player, options_of
from textenv.errors import ArgumentError, LoadError
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.reports.fitted import write_fitted


def weights(policy: LanguagePolicy) -> torch.Tensor:
    found: torch.Tensor = policy.state_dict()["model.transformer.wte.weight"]
    return found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of its own vocabulary."""
    tokenizer = toy_tokenizer("(>cba")
    toy_causal_lm(tokenizer, 8, seed=5).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_run_is_its_model_against_its_start(run: Path) -> None:
    policy, reference, envs = load_player(PlayerConfig(policy=str(run), env="TextCopy-v0"), 4)
    assert torch.equal(weights(policy), weights(LanguagePolicy.from_pretrained(run / "model")))
    start = LanguagePolicy.for_rules(envs.unwrapped.rules)
    assert torch.equal(weights(reference), weights(start))
    assert not torch.equal(weights(policy), weights(start))
    assert policy.temperature == reference.temperature == 0.8  # the run's
    assert envs.num_envs == 4
    assert envs.unwrapped.rules.reward.__name__ == "copied_share"


def test_a_fitted_model_is_a_run_without_environment(run: Path, tmp_path: Path) -> None:
    fitted = tmp_path / "fitted"
    start = LanguagePolicy.from_pretrained(run)  # a run's folder is its model's name anywhere
    start.value_head.bias.data.fill_(0.25)
    write_fitted(fitted, config={"model": str(run)}, history=[], summary={}, save_model=start.save_pretrained)
    policy, reference, envs = load_player(PlayerConfig(policy=str(fitted), env="TextCopy-v0"), 1)
    assert torch.equal(weights(policy), weights(start))
    assert policy.value_head.bias.item() == 0.25
    assert torch.equal(weights(reference), weights(start))
    assert reference.value_head.bias.item() != 0.25  # it is what fitting started from
    assert policy.temperature == 1.0
    assert envs.unwrapped.rules.reward.__name__ == "copied_share"


def test_options_come_before_the_run(run: Path, model: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    other = run.with_name("other")
    shutil.copytree(run, other)
    (other / "config.json").write_text(json.dumps({**config, "reward": "tiny-sentiment-judge", "judge": "tiny-toxicity-judge"}))
    chosen = PlayerConfig(policy=str(other), env="TextCopy-v0", reference=str(run / "model"), temperature=1.5)
    policy, reference, envs = load_player(chosen, 1)
    assert torch.equal(weights(policy), weights(reference))
    assert policy.temperature == reference.temperature == 1.5
    assert envs.unwrapped.rules.reward.name == "tiny-sentiment-judge"
    assert envs.unwrapped.rules.task.judge.name == "tiny-toxicity-judge"
    again = load_player(PlayerConfig(policy=str(other), env="TextCopy-v0", reward="tiny-sentiment"), 1)
    assert again.envs.unwrapped.rules.reward.name == "tiny-sentiment"


def test_a_model_is_its_own_reference_and_brings_its_tokenizer(model: Path) -> None:
    policy, reference, envs = load_player(PlayerConfig(policy=str(model), env="TextCopy-v0"), 1, prompts=["ab>"])
    assert torch.equal(weights(policy), weights(reference))
    assert policy.temperature == 1.0
    assert envs.unwrapped.rules.tokenizer.get_vocab() == policy.tokenizer.get_vocab()
    assert envs.unwrapped.rules.prompts.texts == ["ab>"]


def test_a_run_plays_in_another_environment_with_its_own_tokens(run: Path, model: Path, tmp_path: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    tiny = LanguagePolicy.from_pretrained("tiny-en")
    tiny.save_pretrained(tmp_path / "run" / "model")
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, "env": "TextSentiment-v0"}))
    policy, reference, envs = load_player(PlayerConfig(policy=str(tmp_path / "run"), env="TextHaiku-v0"), 1)
    assert policy.vocabulary == reference.vocabulary == 4096
    _, _, envs = load_player(PlayerConfig(policy=str(tmp_path / "run"), env="TextSentimentZh-v0"), 1)
    assert envs.unwrapped.rules.vocabulary == 4096


def test_a_run_of_a_model_brings_that_models_tokenizer(run: Path, model: Path, tmp_path: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    shutil.copytree(model, tmp_path / "run" / "model")
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, "model": str(model)}))
    policy, reference, envs = load_player(PlayerConfig(policy=str(tmp_path / "run"), env="TextCopy-v0"), 1)
    assert torch.equal(weights(policy), weights(reference))
    assert envs.unwrapped.rules.tokenizer.get_vocab() == policy.tokenizer.get_vocab()


def test_what_cannot_play_is_refused(run: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copy(run / "config.json", tmp_path / "run")
    with pytest.raises(LoadError, match=r"run has no model yet; finish its training first\.$"):
        load_player(PlayerConfig(policy=str(tmp_path / "run"), env="TextCopy-v0"), 1)
    (tmp_path / "run" / "config.json").write_text("{")
    with pytest.raises(LoadError, match=r"config\.json is no JSON: "):
        load_player(PlayerConfig(policy=str(tmp_path / "run"), env="TextCopy-v0"), 1)
    with pytest.raises(ArgumentError, match="has 6 tokens, the environment 5; use one tokenizer"):
        load_player(PlayerConfig(policy=str(run), env="TextCopy-v0", reference=str(model)), 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused() -> None:
    with pytest.raises(ArgumentError, match="torch sees no GPU; use device=cpu"):
        PlayerConfig(policy="tiny-en", env="TextSentiment-v0", device="cuda")


def test_a_run_plays_with_the_options_it_was_trained_with(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((run / "config.json").read_text())
    shutil.copytree(run / "model", tmp_path / "run" / "model")
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, "task": {"max_new_tokens": 2, "missing_eos_penalty": 0.5}}))
    chosen = PlayerConfig(policy=str(tmp_path / "run"), env="TextCopy-v0")
    capsys.readouterr()
    task = load_player(chosen, 1).envs.unwrapped.rules.task
    assert (task.max_new_tokens, task.missing_eos_penalty) == (2, 0.5)
    assert capsys.readouterr().err.startswith(f"As in {tmp_path / 'run'}: --max-new-tokens 2 --missing-eos-penalty 0.5.\n")
    task = load_player(dataclasses.replace(chosen, task={"max_new_tokens": 3}), 1, missing_eos_penalty=0.1).envs.unwrapped.rules.task
    assert (task.max_new_tokens, task.missing_eos_penalty) == (3, 0.1)
    assert "As in" not in capsys.readouterr().err
    task = load_player(chosen, 1, as_in_run=False).envs.unwrapped.rules.task
    assert task.missing_eos_penalty == 0
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert options_of(stored, "TextReverse-v0") == options_of(config, "TextCopy-v0") == {}


def test_what_is_no_plain_file_is_not_read(model: Path) -> None:
    (model / "config.json").unlink()
    (model / "config.json").symlink_to("/dev/null")
    with pytest.raises(LoadError, match=r"config\.json is no plain file"):
        load_player(PlayerConfig(policy=str(model), env="TextCopy-v0"), 4)


def test_an_id_with_its_module_is_the_same_environment(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_copies.py").write_text("import textenv\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = json.loads((run / "config.json").read_text())
    for trained, played in (("TextCopy-v0", "own_copies:TextCopy-v0"), ("own_copies:TextCopy-v0", "TextCopy-v0")):
        folder = tmp_path / trained.replace(":", "-")
        shutil.copytree(run / "model", folder / "model")
        (folder / "config.json").write_text(json.dumps({**config, "env": trained, "task": {"max_new_tokens": 2}}))
        _, _, envs = load_player(PlayerConfig(policy=str(folder), env=played), 1)
        assert envs.unwrapped.rules.task.max_new_tokens == 2
        shutil.copytree(folder, f"{folder}-b")
        capsys.readouterr()
        duel(DuelConfig(names=(str(folder), f"{folder}-b", played), episodes=4))
        assert "As in the runs: --max-new-tokens 2." in capsys.readouterr().err
