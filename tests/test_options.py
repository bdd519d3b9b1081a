"""Options from files and command lines, and what is said of those that do not fit."""

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pytest
from tyro.conf import Positional, UseAppendAction

import textenv
from textenv.agents.ppo import PPOConfig
from textenv.commands.check import CheckConfig
from textenv.commands.compare import CompareConfig
from textenv.commands.duel import DuelConfig
from textenv.commands.eval import EvalConfig
from textenv.commands.frontier import FrontierConfig
from textenv.commands.sample import SampleConfig
from textenv.errors import ArgumentError
from textenv.options import as_options, env_of, for_env, read_options, to_toml
from textenv.training import TrainConfig, command, for_agent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learner:
    """How it learns."""

    rate: float = 0.1
    """Of learning."""
    batch: int = 8
    """Episodes a step."""
    decay: bool = True
    """Whether the rate falls."""

    def __post_init__(self) -> None:
        if self.batch % 4:
            raise ArgumentError(f"batch={self.batch} must be a multiple of 4.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What to do."""

    env: Positional[str]
    """Where."""
    episodes: int = 64
    """How many."""
    model: str | None = None
    """With what."""
    device: Literal["cpu", "cuda"] = "cpu"
    """On what."""
    out: Path = Path("runs")
    """Where to."""
    betas: tuple[float, ...] = (0.1, 0.2)
    """How strongly."""
    prompt: UseAppendAction[tuple[str, ...]] = ()
    """From what."""
    learner: Learner = dataclasses.field(default_factory=Learner)

    def __post_init__(self) -> None:
        if self.episodes % self.learner.batch:
            raise ArgumentError(f"batch={self.learner.batch} must divide episodes={self.episodes}.")


def read(line: str) -> tuple[Config, dict[str, Any]]:
    return read_options("do", Config, line.split(), common=("config", "print_config", "json"))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a file in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path("do.toml")


def test_the_command_line_fills_the_dataclass() -> None:
    line = "Here-v0 --episodes 32 --model m --device cuda --out a/b --betas 1 2.5 --prompt x --prompt y --rate 1e-3 --no-decay --json"
    learner = Learner(rate=1e-3, decay=False)
    expected = Config(
        env="Here-v0", episodes=32, model="m", device="cuda", out=Path("a/b"), betas=(1.0, 2.5), prompt=("x", "y"), learner=learner
    )
    assert read(line) == (expected, {"config": None, "print_config": False, "json": True})
    assert read("Here-v0") == (Config(env="Here-v0"), {"config": None, "print_config": False, "json": False})
    assert read("Here-v0 --episodes=16 --episodes=24")[0].episodes == 24


def test_a_file_fills_it_too_and_the_command_line_comes_first(file: Path) -> None:
    file.write_text('env = "There-v0"\nepisodes = 32\nbetas = [1, 2.5]\nout = "a/b"\n[learner]\nrate = 1\nbatch = 16\n')
    learner = Learner(rate=1.0, batch=16)
    expected = Config(env="There-v0", episodes=32, betas=(1.0, 2.5), out=Path("a/b"), learner=learner)
    assert read("--config do.toml") == (expected, {"config": file, "print_config": False, "json": False})
    found, _ = read("Here-v0 --config=do.toml --batch 4 --betas 3")
    assert found == dataclasses.replace(expected, env="Here-v0", betas=(3.0,), learner=Learner(rate=1.0, batch=4))


def test_only_the_whole_must_be_valid(file: Path) -> None:
    file.write_text('env = "There-v0"\n[learner]\nbatch = 48\n')  # does not divide the default of episodes
    assert read("--config do.toml --episodes 96")[0].episodes == 96
    with pytest.raises(ArgumentError, match=r"^batch=48 must divide episodes=64\.$"):
        read("--config do.toml")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("Here-v0 --episods 3", 'do has no option "--episods". Did you mean "--episodes"?'),
        ("--episods 3", 'do has no option "--episods". Did you mean "--episodes"?'),
        ("Here-v0 --no-episodes", 'do has no option "--no-episodes". Did you mean "--episodes"?'),
        ("Here-v0 --no-json", 'do has no option "--no-json"'),
        ("Here-v0 --zzz", 'do has no option "--zzz"; see textenv do --help.'),
        ("Here-v0 -x", 'do has no option "-x"; see textenv do --help.'),
        ("Here-v0 There-v0", 'do does not know what to do with "There-v0"; see textenv do --help.'),
        ("", "do needs ENV; see textenv do --help."),
        ("Here-v0 --episodes three", '--episodes needs an integer, got "three".'),
        ("Here-v0 --episodes=1.5", '--episodes needs an integer, got "1.5".'),
        ("Here-v0 --episodes", "--episodes needs an integer, got nothing."),
        ("Here-v0 --episodes --device cpu", "--episodes needs an integer, got nothing."),
        ("Here-v0 --rate fast", '--rate needs a number, got "fast".'),
        ("Here-v0 --betas 1 two", '--betas needs a list, each a number, got "1 two".'),
        ("Here-v0 --device tpu", '--device needs "cpu" or "cuda", got "tpu".'),
        ("Here-v0 --config", "--config needs a path, got nothing."),
        ("Here-v0 --batch 6", "batch=6 must be a multiple of 4."),
        ("Here-v0 --episodes 60", "batch=8 must divide episodes=60."),
    ],
)
def test_bad_options_end_in_one_sentence(line: str, sentence: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArgumentError) as caught:
        read(line)
    assert str(caught.value).startswith(sentence)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("episods = 3", 'do.toml: there is no option "episods". Did you mean "episodes"?'),
        ("num-envs = 3", 'do.toml: there is no option "num-envs". Known: '),
        ("[learner]\nbatches = 3", 'do.toml: there is no option "learner.batches". Did you mean "batch"?'),
        ("batch = 3", 'do.toml: there is no option "batch".'),
        ('episodes = "three"', 'do.toml: episodes needs an integer, got "three".'),
        ("episodes = 1.0", "do.toml: episodes needs an integer, got 1.0."),
        ("episodes = true", "do.toml: episodes needs an integer, got True."),
        ("[learner]\nrate = false", "do.toml: learner.rate needs a number, got False."),
        ("[learner]\ndecay = 1", "do.toml: learner.decay needs true or false, got 1."),
        ("learner = 3", "do.toml: learner needs a table, got 3."),
        ("betas = 0.1", "do.toml: betas needs a list, each a number, got 0.1."),
        ('betas = ["x"]', "do.toml: betas needs a list, each a number, got ['x']."),
        ('device = "tpu"', 'do.toml: device needs "cpu" or "cuda", got "tpu".'),
        ("out = 3", "do.toml: out needs a path, got 3."),
        ("model = 3", "do.toml: model needs a text, got 3."),
        ("episodes", "do.toml is no TOML: "),
    ],
)
def test_bad_files_end_in_one_sentence(text: str, sentence: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(ArgumentError) as caught:
        read("Here-v0 --config do.toml")
    assert str(caught.value).startswith(sentence)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ArgumentError, match=r"^do\.toml cannot be read: No such file or directory; give --config a TOML file\.$"):
        read("Here-v0 --config do.toml")


@pytest.mark.parametrize(
    "config",
    [
        Config(env="Here-v0"),
        Config(
            env='"quoted"\n',
            episodes=24,
            model="m",
            device="cuda",
            out=Path("a b"),
            betas=(),
            prompt=("é", "[b]"),
            learner=Learner(batch=4, rate=1e-7),
        ),
    ],
)
def test_what_is_written_reads_back(config: Config, file: Path) -> None:
    file.write_text(to_toml(config), encoding="utf-8")
    assert read("--config do.toml")[0] == config


def test_a_training_reads_back(file: Path) -> None:
    config = for_agent(TrainConfig, "ppo")(
        env="TextCopy-v0", seed=3, out=Path("run"), algorithm=PPOConfig(micro_batch_size=32, kl_target=6.0, linear_decay=False)
    )
    file.write_text(to_toml(config), encoding="utf-8")
    made = for_env(for_agent(TrainConfig, "ppo"), ["--config", "do.toml"])
    read_back, common = read_options("train", made, ["--config", "do.toml"], common=("config",))
    assert (dataclasses.asdict(read_back), common) == (dataclasses.asdict(config), {"config": file})


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_options("do", Config, ["--help"], common=("json",), description="Do it.\n\nExample: textenv do Here-v0")
    shown = capsys.readouterr().out
    assert not caught.value.code
    assert all(word in shown for word in ("usage: textenv do", "Example: textenv do Here-v0", "ENV", "--rate FLOAT", "--json"))
    assert "--config" not in shown


def config_of(line: str, agent: str = "ppo") -> TrainConfig:
    words = line.split()
    made: type[TrainConfig] = for_env(for_agent(TrainConfig, agent), words)
    return read_options("train", made, words, common=("config",))[0]


def test_options_of_the_environment(file: Path) -> None:
    words = "--episodes 8 TextSentiment-v0 --target negative --max-new-tokens 8 --stop . --stop ! --no-linear-decay"
    task = {"target": "negative", "max_new_tokens": 8, "stop": [".", "!"]}
    assert config_of(words).task == task
    file.write_text(to_toml(config_of(words)), encoding="utf-8")
    assert "[task]" in file.read_text()
    assert dataclasses.asdict(config_of("--config do.toml")) == dataclasses.asdict(config_of(words))
    assert config_of("--config do.toml --target neutral").task == {**task, "target": "neutral"}
    again = "--episodes 8 --no-linear-decay --max-new-tokens 8 --stop . --stop ! --target negative"
    assert shlex.split(command(config_of(words))) == ["textenv", "train", "TextSentiment-v0", *again.split()]


@pytest.mark.parametrize(
    ("line", "agent", "sentence"),
    [
        ("TextSentiment-v0 --targt negative", "ppo", 'train has no option "--targt". Did you mean "--target"?'),
        ("TextSentiment-v0 --max-new-tokns 3", "ppo", 'Did you mean "--max-new-tokens"?'),
        ("TextCopy-v0 --target negative", "ppo", "--target is an option of TextSentiment-v0, not of TextCopy-v0."),
        ("TextCopy-v0 --clip-range 0.1 --agent dqn", "dqn", "--clip-range is an option of ppo and grpo, not of dqn."),
        ("TextSentiment-v0 --max-new-tokens many", "ppo", '--max-new-tokens needs an integer, got "many".'),
        ("TextSentimnt-v0 --target negative", "ppo", 'There is no environment "TextSentimnt-v0". Did you mean "TextSentiment-v0"?'),
    ],
)
def test_whose_option_it_is(line: str, agent: str, sentence: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        config_of(line, agent)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("command_config", "line", "env"),
    [
        (TrainConfig, "--episodes 5 TextCopy-v0 --resume", "TextCopy-v0"),
        (TrainConfig, "--resume TextCopy-v0 --episodes=5", "TextCopy-v0"),
        (TrainConfig, "--unknown 5 TextCopy-v0", "TextCopy-v0"),
        (TrainConfig, "--json TextCopy-v0", "TextCopy-v0"),
        (TrainConfig, "--print-config TextCopy-v0", "TextCopy-v0"),
        (TrainConfig, "--config a.toml --json TextCopy-v0", "TextCopy-v0"),
        (TrainConfig, "--help TextCopy-v0", "TextCopy-v0"),
        (TrainConfig, "-h TextCopy-v0", "TextCopy-v0"),
        (EvalConfig, "--json runs/first --print-config TextCopy-v0", "TextCopy-v0"),
        (DuelConfig, "--json a b TextCopy-v0", "TextCopy-v0"),
        (TrainConfig, "", None),
        (EvalConfig, "runs/first --seed 3 TextCopy-v0", "TextCopy-v0"),
        (EvalConfig, "runs/first", None),
        (SampleConfig, "--prompt TextHaiku-v0 runs/first --greedy TextCopy-v0 --prompt x", "TextCopy-v0"),
        (DuelConfig, "a b c TextCopy-v0 --by judge", "TextCopy-v0"),
        (FrontierConfig, "TextCopy-v0 --betas 0.1 0.2", "TextCopy-v0"),
        (CheckConfig, "--all", None),
    ],
)
def test_the_environment_is_seen_before_its_options(command_config: Any, line: str, env: str | None) -> None:
    hints = {field.name: field.type for field in dataclasses.fields(command_config) if field.name != "task"}
    assert env_of(line.split(), {**hints, **{name: get_type_hints(command_config)[name] for name in hints}}) == env


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("num_envs must be at least 1, got 0.", "--num-envs must be at least 1, got 0."),
        ("3 prompts lose their beginning; set max_prompt_tokens=34.", "3 prompts lose their beginning; set --max-prompt-tokens 34."),
        ("lower learning_rate or max_grad_norm.", "lower --learning-rate or --max-grad-norm."),
        ("runs/a was started with task.max_new_tokens=2, not 3;", "runs/a was started with --max-new-tokens 2, not 3;"),
        ("go on with resume=True.", "go on with --resume."),
        ('There is no column "max_new_tokens".', 'There is no column "max_new_tokens".'),
        ('The column "a num_envs of seed=3" is none.', 'The column "a num_envs of seed=3" is none.'),
        ("/tmp/num_envs/seed=1.txt is no file.", "/tmp/num_envs/seed=1.txt is no file."),
        ("A model of the seed is agent of episodes.", "A model of the seed is agent of episodes."),
        ("do.toml: num_envs needs an integer.", "do.toml: num_envs needs an integer."),
    ],
)
def test_messages_name_options_as_the_command_line_does(text: str, says: str) -> None:
    config = for_env(for_agent(TrainConfig, "ppo"), ["TextSentiment-v0"])
    assert as_options(text, ["TextSentiment-v0", "--config", "do.toml"], config) == says


def test_a_file_with_a_byte_order_mark_is_read(file: Path) -> None:
    file.write_bytes("﻿".encode() + b'env = "There-v0"\n')
    assert read("--config do.toml")[0].env == "There-v0"


def test_what_is_printed_holds_no_control_character_and_reads_back(file: Path) -> None:
    config = Config(env="There-v0", model="".join(map(chr, range(1, 0x2100))) + "\u202e")
    file.write_text(to_toml(config), encoding="utf-8")
    assert read("--config do.toml")[0] == config
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]", to_toml(config))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("env = 3", "do.toml: env needs a text, got 3."),
        ("env = true", "do.toml: env needs a text, got True."),
        ('env = ["TextCopy-v0"]', "do.toml: env needs a text, got ['TextCopy-v0']."),
        ("env = {}", "do.toml: env needs a text, got {}."),
    ],
)
def test_an_environment_that_is_no_text(text: str, sentence: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(ArgumentError) as caught:
        config_of("--config do.toml --max-new-tokens 3")
    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", ["names = 3", "names = []", "names = [1, 2, 3]", "names = [['a']]"])
def test_players_that_are_no_texts(text: str, file: Path) -> None:
    file.write_text(text)
    words = ["--config", "do.toml"]
    with pytest.raises(ArgumentError, match=r"^(do\.toml: names needs a list, each a text, got|duel needs two players)"):
        read_options("duel", for_env(DuelConfig, words), words, common=("config",))


def test_an_option_with_a_prefix_reads_back(file: Path) -> None:
    words = "tiny-en TextSentiment-v0 --out a.db --prompts 3 --env-prompts own.txt".split()
    config, _ = read_options("compare", for_env(CompareConfig, words), words)
    file.write_text(to_toml(config), encoding="utf-8")
    words = ["--config", "do.toml"]
    read_back, _ = read_options("compare", for_env(CompareConfig, words), words, common=("config",))
    assert dataclasses.asdict(read_back) == dataclasses.asdict(config)
    assert (read_back.prompts, read_back.task) == (3, {"prompts": "own.txt"})


def test_lists_of_the_command_line_replace_those_of_the_file(file: Path) -> None:
    file.write_text('env = "TextCopy-v0"\n[task]\nstop = ["a", "b"]\nend_tokens = ["c"]\n')
    assert config_of("--config do.toml").task == {"stop": ["a", "b"], "end_tokens": ["c"]}
    assert config_of("--config do.toml --stop x --stop y").task == {"stop": ["x", "y"], "end_tokens": ["c"]}
    file.write_text('env = "There-v0"\nprompt = ["a"]\n')
    assert read("--config do.toml --prompt=b")[0].prompt == ("b",)
    assert read("--config do.toml --episodes 8")[0].prompt == ("a",)


def test_values_that_look_like_options_are_written_so_that_they_read_back() -> None:
    task = {"stop": ["--x", "-", "-1", ""], "missing_eos_penalty": 0.5}
    line = shlex.split(command(TrainConfig(env="TextCopy-v0", model="-m", task=task)))[2:]
    config, _ = read_options("train", for_env(for_agent(TrainConfig, "ppo"), line), line)
    assert (config.model, config.task) == ("-m", task)


# The environment's own training


SUITED = {"episodes": 96, "kl_coef": 1, "minibatch_size": 32, "clip_range": 0.1}
"""The integer stands for a number. DQN has no clip range, and 0 as its own kl_coef."""


def nothing(completions: list[str]) -> list[float]:
    return [0.0 for _ in completions]


@pytest.fixture
def suited_env() -> str:
    textenv.register("Suited-v0", prompts=["a"], reward=nothing, training=SUITED)
    return "Suited-v0"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", (96, 1.0, 32, 0.1)),
        # What a user gives wins, also where it is the general default.
        ("--episodes 6144 --kl-coef 0.035", (6144, 0.035, 32, 0.1)),
        ("--config do.toml", (7, 1.0, 64, 0.1)),
        ("--config do.toml --minibatch-size 128", (7, 1.0, 128, 0.1)),
    ],
)
def test_an_environments_training_stands_in_for_defaults(line: str, expected: tuple[float, ...], suited_env: str, file: Path) -> None:
    file.write_text("episodes = 7\n[algorithm]\nminibatch_size = 64\n", encoding="utf-8")
    config: Any = config_of(f"{suited_env} {line}")
    ppo = config.algorithm
    assert (config.episodes, ppo.kl_coef, ppo.minibatch_size, ppo.clip_range) == expected
    assert (config.seed, ppo.epochs) == (0, 1)


def test_an_agent_takes_of_a_training_what_it_has(suited_env: str) -> None:
    config = config_of(f"{suited_env} --agent dqn", agent="dqn")
    own: Any = config.algorithm
    assert (config.episodes, own.kl_coef, own.minibatch_size) == (96, 0.0, 64)
    assert not hasattr(own, "clip_range")
    with_grpo: Any = config_of(f"{suited_env} --agent grpo", agent="grpo").algorithm
    assert (with_grpo.kl_coef, with_grpo.minibatch_size, with_grpo.clip_range) == (1.0, 32, 0.1)


def test_a_settled_training_reads_back(suited_env: str, file: Path) -> None:
    config = config_of(f"{suited_env} --kl-coef 0.035")
    file.write_text(to_toml(config), encoding="utf-8")
    assert {"episodes = 96", "kl_coef = 0.035"} <= set(file.read_text().splitlines())
    assert dataclasses.asdict(config_of("--config do.toml")) == dataclasses.asdict(config)


def test_help_shows_the_environments_training(suited_env: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        config_of(f"{suited_env} --help")
    assert "(default: 96)" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        config_of("TextCopy-v0 --help")
    assert "(default: 6144)" in capsys.readouterr().out


def test_only_commands_that_train_take_it(suited_env: str) -> None:
    words = ["runs/first", suited_env]
    config, _ = read_options("eval", for_env(EvalConfig, words), words)
    assert config.episodes == EvalConfig.episodes


def test_a_training_of_the_wrong_type_is_named() -> None:
    textenv.register("Wrong-v0", prompts=["a"], reward=nothing, training={"kl_coef": "low"})
    with pytest.raises(ArgumentError, match='The training of Wrong-v0: kl_coef needs a number, got "low"'):
        config_of("Wrong-v0")
