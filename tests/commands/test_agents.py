"""Every agent by its name on the command line: a run folder, options of its own, and a run that is resumed."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from textenv.agents import AGENTS, agent_class
from textenv.cli import main
from textenv.reports.loading import load_run

OPTIONS = {
    "ppo": ["--form", "penalty", "--group-size", "4", "--minibatch-size", "8"],
    "reinforce": ["--baseline", "value", "--separate-critic"],
    "actor_critic": ["--critic", "q"],
    "trpo": ["--layers", "1", "--group-size", "4"],
    "rloo": ["--group-size", "2"],
    "scst": [],
    "grpo": ["--dr-grpo", "--minibatch-size", "8"],
    "online_dpo": ["--group-size", "4", "--judge-temperature", "0"],
    "dqn": ["--top-k", "3", "--minibatch-size", "8", "--replay-size", "32"],
    "best_of_n": ["--n", "8"],
}
COMMON = ["--episodes", "48", "--episodes-per-update", "16", "--num-envs", "16", "--eval-prompts", "2", "--seed", "3"]


@pytest.mark.parametrize("name", OPTIONS)
def test_trains_and_resumes(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / name
    command = ["train", "TextCopy-v0", "--agent", name, *COMMON, *OPTIONS[name], "--out", str(run)]
    main(command)
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["agent"], summary["episodes"]) == (name, 48)
    config = json.loads((run / "config.json").read_text())
    kind = agent_class(name)
    assert config["agent"] == name
    assert config["algorithm"].keys() == vars(kind.Config()).keys()
    assert config["algorithm"]["episodes_per_update"] == 16
    assert len(load_run(run).metrics) == 3
    AutoModelForCausalLM.from_pretrained(run / "model")
    assert (run / "report.html").is_file()
    capsys.readouterr()
    main([*command, "--resume"])
    assert "is finished already" in capsys.readouterr().err


def test_best_of_n_is_shown_as_what_it_picks(tmp_path: Path) -> None:
    run = tmp_path / "run"
    main(["train", "TextCopy-v0", "--agent", "best_of_n", *COMMON, "--n", "8", "--out", str(run)])
    table = json.loads((run / "summary.json").read_text())["table"]
    assert list(table) == ["before", "after", "best of 8", "exp(score/0.035)"]
    assert table["after"]["score"] > 2 * table["before"]["score"]
    assert table["after"]["kl_exact"] == pytest.approx(1.2044415)


def test_help_and_options_are_those_of_the_agent(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--agent", "trpo", "--help"])
    shown = capsys.readouterr().out
    assert "--max-kl" in shown
    assert "--clip-range" not in shown
    with pytest.raises(SystemExit) as caught:
        main(["train", "TextCopy-v0", "--agent", "rloo", "--clip-range", "0.1"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "textenv: --clip-range is an option of ppo and grpo, not of rloo.\n"
    with pytest.raises(SystemExit) as caught:
        main(["train", "TextCopy-v0", "--agent", "pppo"])
    assert (
        capsys.readouterr().err
        == 'textenv: There is no agent "pppo". Did you mean "ppo"? One of your own is called with its module: "my_module:MyAgent".\n'
    )


def test_a_file_names_the_agent_and_its_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "train.toml"
    file.write_text('agent = "grpo"\nepisodes = 32\n[algorithm]\ndr_grpo = true\ngroup_size = 4\n')
    main(["train", "TextCopy-v0", "--config", str(file), "--print-config"])
    printed = capsys.readouterr().out
    assert 'agent = "grpo"' in printed
    assert "dr_grpo = true" in printed
    file.write_text(printed)
    main(["train", "--config", str(file), "--print-config"])
    assert capsys.readouterr().out == printed
    file.write_text('agent = "rloo"\n[algorithm]\ndr_grpo = true\n')
    with pytest.raises(SystemExit):
        main(["train", "TextCopy-v0", "--config", str(file)])
    assert capsys.readouterr().err.startswith(f'textenv: {file}: there is no option "algorithm.dr_grpo". Known: episodes_per_update, ')


def test_every_agent_is_tried() -> None:
    assert {*OPTIONS, "expert_iteration", "guided"} == set(AGENTS)
