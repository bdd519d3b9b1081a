"""`textenv label`: the simulated annotator, and what keeps the page from opening."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from textenv.cli import main
from textenv.commands.label import LabelConfig, instructions_of
from textenv.errors import ArgumentError
from textenv.preferences.annotator import SimulatedAnnotator
from textenv.preferences.store import ComparisonStore, Item
from textenv.web.serving import bind

RESPONSES = (" was awful and boring.", " was long.", " was wonderful and moving.")
ITEMS = [Item(prompt=f"The film number {i}", responses=RESPONSES, sources=("a", "b", "c")) for i in range(12)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with ComparisonStore(tmp_path / "store.db", create=True) as store:
        store.add(ITEMS)
    return tmp_path / "store.db"


def test_a_reward_judges_everything_once(store: Path, call: Callable[..., str]) -> None:
    assert call("label", str(store), "--simulate", "tiny-sentiment") == f"12 judgements of simulated are in {store}.\n"
    assert call("label", str(store), "--simulate", "tiny-sentiment").startswith("0 judgements")
    assert call("label", str(store), "--simulate", "tiny-sentiment", "--annotator", "ben").startswith("0 judgements")
    with ComparisonStore(store) as opened:
        assert opened.comparisons() == SimulatedAnnotator("tiny-sentiment").judge(ITEMS)


def test_the_options_are_the_annotators(store: Path, call: Callable[..., str]) -> None:
    options = "--noise 0.3 --tie 0.1 --rated 0 1 --seed 3 --overlap 2".split()
    for name in ("anna", "ben"):
        call("label", str(store), "--simulate", "tiny-sentiment", "--annotator", name, *options)
    anna, ben = (
        SimulatedAnnotator("tiny-sentiment", noise=0.3, tie=0.1, rated=(0, 1), seed=3, name=name).judge(ITEMS) for name in ("anna", "ben")
    )
    with ComparisonStore(store) as opened:
        assert opened.comparisons() == [judged for pair in zip(anna, ben, strict=True) for judged in pair]
    assert [judged.ranks for judged in anna] != [judged.ranks for judged in ben]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--overlap 0", "--overlap must be at least 1, got 0."),
        ("--port 99999", "--port must be from 0 to 65535, got 99999."),
        ("--simulate tiny-sentiment --noise -1", "--noise must be at least 0, got -1.0."),
        ("--simulate tiny-sentiment --seed -1", "--seed must be at least 0, got -1."),
        ("--simulate tiny-sentiment --annotator=", "--annotator must be a name, got an empty one."),
        ("--simulate tiny-sentiment --ratings", "A simulated annotator takes --rated LOW HIGH in place of --ratings."),
        ("--rated 0 1", "--rated is of a simulated annotator; give --simulate REWARD, or ask people for --ratings."),
        ("--noise 0.1", "--noise is of a simulated annotator; give --simulate REWARD too, or leave it out."),
        ("--annotator anna", "--annotator is of a simulated annotator; give --simulate REWARD too, or leave it out."),
        ("--simulate tiny-sentiment --port 1", "--port is of the page, which --simulate does not open; leave one of them out."),
        ("--simulate tiny-sentiment --annotators a", "--annotators is of the page, which --simulate does not open; leave one of them out."),
        ("--simulate tiny-sentiment --annotator a\u200b", None),
        ("--annotators anna anna", "--annotators are different names, got 'anna', 'anna'."),
        ("--annotators Zo\u00eb Zoe\u0308", "--annotators are different names, got 'Zo\u00eb', 'Zoe\u0308'."),
        ("--annotators anna\u202e", None),
        (f"--annotators {'x' * 65}", None),
        ("--host 0.0.0.0", "On 0.0.0.0 others can reach the page: name the --annotators, so that each gets an address of their own."),
        ("--host 0", "On 0 others can reach the page: name the --annotators, so that each gets an address of their own."),
        ("--host 192.0.2.1 --annotators anna", None),
        ("--host nowhere.invalid --annotators anna", None),
        ("--instructions missing.md", "The instructions in missing.md cannot be read: No such file or directory."),
        ("--instructions=", "The instructions are empty; leave --instructions out, or say by what to judge."),
        ("--simulate tiny-sentimen", None),
    ],
)
def test_bad_options_end_in_one_sentence(options: str, says: str | None, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["label", str(store), *options.split()])
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert said.count("\n") == 1
    assert says is None or said == f"textenv: {says}\n"
    with ComparisonStore(store) as opened:
        assert opened.comparisons() == []


def test_a_simulated_name_is_written_in_one_way(store: Path, call: Callable[..., str]) -> None:
    said = call("label", str(store), "--simulate", "tiny-sentiment", "--noise", "1", "--annotator", " Zoe\u0308  M.")
    assert said == f"12 judgements of Zo\u00eb M. are in {store}.\n"
    with ComparisonStore(store) as opened:
        assert opened.comparisons() == SimulatedAnnotator("tiny-sentiment", noise=1.0, name="Zo\u00eb M.").judge(ITEMS)


def test_instructions_are_a_text_or_a_file(tmp_path: Path) -> None:
    for name, content in (("guide.md", "\ufeff# Tone\r\n\r\nPrefer <b>ü</b>.\r\n"), ("GUIDE.TXT", "# Tone\n\nPrefer <b>ü</b>.")):
        (tmp_path / name).write_bytes(content.encode())
        config = LabelConfig(store=tmp_path, instructions=str(tmp_path / name))
        assert instructions_of(config) == "# Tone\n\nPrefer <b>ü</b>."
    for text in ("Prefer the shorter one.", "x" * 10_000, "a/b", "two\nlines, as in guide.md", "\0"):
        assert instructions_of(LabelConfig(store=tmp_path, instructions=text)) == text
    assert instructions_of(LabelConfig(store=tmp_path)) == ""
    (tmp_path / "latin.txt").write_bytes("ü".encode("latin-1"))
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "guide.pdf").write_text("%PDF")
    for name, says in (
        ("latin.txt", "latin.txt are not UTF-8: invalid start byte at byte 0."),
        ("empty.txt", "The instructions are empty; leave --instructions out, or say by what to judge."),
        ("guide.pdf", "guide.pdf."),
        ("folder.md", "folder.md cannot be read: Is a directory."),
    ):
        (tmp_path / "folder.md").mkdir(exist_ok=True)
        with pytest.raises(ArgumentError) as caught:
            instructions_of(LabelConfig(store=tmp_path, instructions=str(tmp_path / name)))
        assert str(caught.value).endswith(says)


def test_the_page_needs_a_port_a_store_and_items(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ComparisonStore(tmp_path / "empty.db", create=True).close()
    with bind(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, says in (
            ([str(store), "--port", str(port)], f"Port {port} cannot be used: Address already in use;"),
            ([str(tmp_path / "missing.db"), "--port", "0"], f"There is no comparison store {tmp_path / 'missing.db'};"),
            ([str(tmp_path / "empty.db"), "--port", "0"], f"{tmp_path / 'empty.db'} holds nothing to judge; textenv compare"),
        ):
            with pytest.raises(SystemExit) as caught:
                main(["label", *arguments])
            assert caught.value.code == 2
            assert capsys.readouterr().err.startswith(f"textenv: {says}")


def test_the_page_needs_the_extra(store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "textenv.web.labelling", raising=False)
    with pytest.raises(SystemExit) as caught:
        main(["label", str(store), "--port", "0"])
    assert (caught.value.code, capsys.readouterr().err) == (
        2,
        'textenv: The page needs the extra: pip install "textenv[web]", or in a clone of it pip install -e ".[web]".\n',
    )
