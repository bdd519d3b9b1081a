"""The pages of docs: what they show runs, and what they point to is there."""

import re
import sys
from pathlib import Path

import pytest

from textenv.cli import main

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "own_environment.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, flags=re.DOTALL)
MODULE = "".join(text for kind, text in BLOCKS[: [kind for kind, _ in BLOCKS].index("sh")])
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
SMALL = {"list": [], "check": [], "train": ["--num-envs", "32", "--eval-prompts", "2"], "sample": [], "eval": []}
"""Options that the test adds to those of the page."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which one works, with the module that the page writes."""
    (tmp_path / "haiku.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
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
    assert said["check"] == "haiku:MyHaiku-v0 keeps the contract.\n"
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


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
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
