"""The pages of docs: what they show runs, and what they point to is there."""

import functools
import importlib
import itertools
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textenv.cli import COMMANDS as ALL_COMMANDS
from textenv.cli import main
from textenv.rewards.loading import load_reward

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "own_environment.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, flags=re.DOTALL)
MODULE = "".join(text for kind, text in BLOCKS[: [kind for kind, _ in BLOCKS].index("sh")])
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.replace("\\\n", "").splitlines()]
SMALL = {"list": [], "check": [], "train": ["--num-envs", "32", "--eval-prompts", "2"], "sample": [], "eval": []}
"""Options that the test adds to those of the page."""

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
IN_ORDER = ("README.md", "rlhf.md", "own_environment.md")
"""Pages to be typed from top to bottom: what a command reads is in the repository, or an earlier one has made it."""
WRITES = ("--out", "--export")
A_FILE = re.compile(r"(?!--)(?:.*/.*|.*\.(?:db|jsonl|csv|parquet|txt|toml|html))")


def commands_of(page: Path) -> list[list[str]]:
    """Split the commands of textenv in blocks of sh into words, but for those that only show their options."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", "").splitlines()]
    split = [shlex.split(line.removeprefix(".venv/bin/"), comments=True) for line in lines]
    return [words for words in split if words[:1] == ["textenv"] and not {"--help", "--print-config"} & {*words}]


def named_in(commands: list[list[str]]) -> dict[str, set[str]]:
    """Collect what commands name as module:name, by module."""
    modules = dict[str, set[str]]()
    for words in commands:
        for word in words:
            if named := re.fullmatch(r"([a-z_]+):([\w-]+)", word):
                modules.setdefault(named[1], set()).add(named[2])
    return modules


def stand_in(names: set[str]) -> str:
    """Write a module with environments, agents and functions of these names, as a command may ask for their options."""
    lines = ["import textenv", "from textenv.agents import PPO", "def score(completions): return [0.0] * len(completions)"]
    for name in sorted(names):
        if re.search(r"-v\d+$", name):
            lines.append(f"textenv.register({name!r}, prompts=['a'], reward=score)")
        elif name[0].isupper():
            lines.append(f"class {name}(PPO): pass")
        else:
            lines.append(f"{name} = score")
    return "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one_that_can_be_typed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options are read as ever; only what the commands then do is left out."""
    read = list[str]()

    def leaving_out(name: str, run: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(run)
        def noted(config: Any, **_: Any) -> None:
            read.append(name)

        return noted

    for name in ALL_COMMANDS:
        module = importlib.import_module(f"textenv.commands.{name}")
        monkeypatch.setattr(module, "run", leaving_out(name, module.run))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, options in re.findall(r"`(\w+\.toml)`:\n\n```toml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        (tmp_path / name).write_text(options, encoding="utf-8")
    commands = commands_of(page)
    for own, names in named_in(commands).items():
        monkeypatch.delitem(sys.modules, own, raising=False)
        (tmp_path / f"{own}.py").write_text(stand_in(names), encoding="utf-8")
    for words in commands:
        main(words[1:])
    assert read == [words[1] for words in commands]


def test_every_option_in_running_text_is_one_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    running = re.sub(r"```.*?```", "", "".join(page.read_text(encoding="utf-8") for page in PAGES), flags=re.DOTALL)
    spans = re.findall(r"`textenv\s+([a-z]+)\s+([^`]*--[^`]*)`", running)
    assert spans
    for command, rest in spans:
        agent = re.findall(r"--agent [a-z_]+", rest)
        with pytest.raises(SystemExit):
            main([command, *" ".join(agent).split(), "--help"])
        options = re.findall(r"--[a-z0-9-]+", capsys.readouterr().out)
        assert set(re.findall(r"--[a-z0-9-]+", rest)) <= {*options, "--help"}, (command, rest)


@pytest.mark.parametrize("name", IN_ORDER)
def test_every_command_finds_what_it_reads_and_overwrites_nothing(name: str) -> None:
    (page,) = [page for page in PAGES if page.name == name]
    made = set[str]()
    for words in commands_of(page):
        for before, word in itertools.pairwise(words):
            if before in WRITES:
                assert word not in made, words
                made.add(word)
            elif A_FILE.fullmatch(word):
                assert word in made or (ROOT / word).is_file(), (word, words)


@pytest.mark.parametrize("name", ["agents.md", "dpo.md", "reward_models.md", "sft.md"])
def test_python_of_pages_about_training_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    for block in blocks:
        exec(compile(block, name, "exec"), {})
    assert blocks


def test_the_demonstrations_are_what_the_chain_begins_with() -> None:
    rows = [json.loads(line) for line in (ROOT / "examples" / "demonstrations.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 258
    assert all(row.keys() == {"prompt", "response"} for row in rows)
    scores = load_reward("tiny-sentiment")(prompts=[row["prompt"] for row in rows], completions=[row["response"] for row in rows])
    assert min(scores) > 0.8


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which one works, with the module that the page writes."""
    (tmp_path / "haiku.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "haiku", raising=False)
    return tmp_path


def test_python(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "own_environment.md", "exec"), names)
    info = names["info"]
    assert isinstance(info, dict)
    assert (info["score"], info["finish_reason"]) == (1.0, "stop")
    assert "water and water" in capsys.readouterr().out


@pytest.mark.slow
def test_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for line in COMMANDS:
        _, command, *arguments = re.sub(r"--episodes \d+", "--episodes 32", line).split()
        main([command, *arguments, *SMALL[command]])
        said[command] = capsys.readouterr().out
    assert list(said) == list(SMALL)
    assert "MyHaiku-v0" in said["list"]
    assert said["check"].startswith("haiku:MyHaiku-v0 keeps the contract.\nConstant answers earn ")
    assert (folder / "runs" / "haiku" / "report.html").is_file()
    assert "Haiku about" in said["sample"]
    assert "distinct-2" in said["eval"]


def test_the_example_is_what_the_page_builds(folder: Path) -> None:
    names: dict[str, object] = {}
    example: dict[str, object] = {}
    exec(compile(MODULE, "own_environment.md", "exec"), names)
    exec(compile((ROOT / "examples" / "haiku.py").read_text(encoding="utf-8"), "haiku.py", "exec"), example)
    assert names["PROMPTS"] == example["PROMPTS"]
    texts = ["an old silent pond\nthe frog jumps in and is not\nwater and water", "snow\nsnow", ""]
    for name in ("form", "strict"):
        ours, theirs = names[name], example[name]
        assert callable(ours)
        assert callable(theirs)
        assert ours(texts) == theirs(texts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists() or link.endswith("suite.json"), link


def test_what_the_page_of_lora_says_is_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "lora.md").read_text(encoding="utf-8")
    (block,), (printed,) = (re.findall(rf"```{kind}\n(.*?)```", page, flags=re.DOTALL) for kind in ("python", "text"))
    exec(compile(block, "lora.md", "exec"), {})
    assert capsys.readouterr().out == printed


@pytest.mark.slow
def test_the_command_of_lora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "lora.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^textenv (.*)$", page, flags=re.MULTILINE)
    main([*line.split(), "--episodes", "32", *SMALL["train"]])
    assert (tmp_path / "runs" / "lora" / "model" / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_toy_of_evaluation_is_over_optimised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (module,), (options,) = (re.findall(rf"```{kind}\n(.*?)```", page, flags=re.DOTALL) for kind in ("python", "toml"))
    (tmp_path / "hacked.py").write_text(module, encoding="utf-8")
    (tmp_path / "hacked.toml").write_text(options, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "hacked", raising=False)
    commands = re.findall(r"^textenv (.*(?:hacked:Hacked-v0|report\.html).*)$", page, flags=re.MULTILINE)
    assert [line.split()[0] for line in commands] == ["train", "train", "duel", "report"]
    for line in commands:
        main(line.split())
    shown = capsys.readouterr()
    assert "Stopped for over-optimisation; the model is that of update" in shown.err
    assert "95 % interval, over prompts" in " ".join(shown.out.split())
    assert "Score and judge over the distance" in (tmp_path / "report.html").read_text(encoding="utf-8")
