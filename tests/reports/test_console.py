"""What the terminal shows."""

import io
import itertools
import math
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from textenv.reports.console import comparison_table, examples_table, measures_table, samples_table, strengths_table, win_rates_table
from textenv.reports.evaluation import Measured


def cells(table: Table) -> list[list[str]]:
    """The table's rows as a wide terminal shows them, the head first."""
    console = Console(file=io.StringIO(), width=300)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    lines = [line.replace("┃", "│").strip("│") for line in console.file.getvalue().splitlines()]
    return [[cell.strip() for cell in line.split("│")] for line in lines if "│" in line]


def test_comparison() -> None:
    before = {"n": 1024, "score": 0.49, "score_se": 0.01, "judge": 0.5, "judge_se": 0.012, "kl_k1": -0.12, "kl_k1_se": 0.02}
    before |= {"kl_exact": -1e-13, "kl_exact_se": 0.0, "distinct2": 0.31, "perplexity": 71.28, "length": 22.5, "kl_k3": 9.0}
    best = {"n": 64.0, "score": 0.8765, "score_se": math.nan, "kl_k1": math.nan, "kl_exact": 1.835}
    table = comparison_table({"before": before, "best of 16": best})
    assert [column.header for column in table.columns] == ["policy", "score", "judge", "KL k1", "KL exact", "dist-2", "ppl", "n"]
    rows = [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]
    shown = ["0.490 ±.010", "0.500 ±.012", "-0.12 ±.02", "0.00 ±.00", "0.31", "71.3", "1024"]
    assert rows == [["before", *shown], ["best of 16", "0.876", "", "", "1.83", "", "", "64"]]
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    assert sum(line.split()[:1] in (["before"], ["best"]) for line in console.file.getvalue().splitlines()) == 2
    assert all(cell in console.file.getvalue() for cell in shown)  # no cell is folded


def test_examples_show_texts_as_they_are(make_measured: Callable[..., Measured]) -> None:
    prompts = ["The film", "A [bold]cast[/bold]", "I [/]"]
    before = make_measured([" was dull.", " [red]of two", "[/x]"], [0.1, 0.2, 0.3], None, prompts)
    after = make_measured([" was [link]good.", "\nof ten", "[/]"], [0.9, 0.812, 1.0], [0.7, 0.66, 1.0], prompts)
    head, *rows = cells(examples_table(before, after, [0, 1, 2]))
    assert head == ["prompt", "before", "score", "judge", "after", "score", "judge"]
    assert rows == [
        ["The film", "was dull.", "0.10", "", "was [link]good.", "0.90", "0.70"],
        ["A [bold]cast[/bold]", "[red]of two", "0.20", "", "of ten", "0.81", "0.66"],
        ["I [/]", "[/x]", "0.30", "", "[/]", "1.00", "1.00"],
    ]


def test_only_the_chosen_rows_are_shown(make_measured: Callable[..., Measured]) -> None:
    both = make_measured(["a", "b", "c"], [0.0, 0.5, 1.0], None)
    assert [row[1] for row in cells(examples_table(both, both, [2, 0]))[1:]] == ["c", "a"]


def test_measures_stand_under_each_other_with_their_errors() -> None:
    row: dict[str, float] = {"n": 512}
    names = ("score", "judge", "positive", "kl_k1", "kl_k2", "kl_k3", "kl_exact", "length", "distinct2", "perplexity")
    for index, name in enumerate(names, start=1):
        row |= {name: index + 0.1234, f"{name}_se": index / 100}
    table = measures_table({**row, "kl_k2_se": math.nan}, "runs/first in TextCopy-v0")
    assert table.caption is not None
    assert "n = 512 episodes" in str(table.caption)
    head, *rows = cells(table)
    assert head == ["measure", "value", "± one standard error"]
    assert rows[0] == ["score", "1.123", "0.010"]
    assert rows[2] == ["judge ≥ 0.5, share of episodes", "3.123", "0.030"]
    assert rows[4] == ["KL to the reference, k2, nats a sequence", "5.123", ""]
    assert rows[-1] == ["perplexity under the reference", "10.12", "0.10"]
    assert len(rows) == len(names)
    without = {name: value for name, value in row.items() if not name.startswith(("judge", "positive"))}
    assert len(cells(measures_table(without, ""))) - 1 == len(names) - 2


def test_parts_of_the_score_stand_below_it() -> None:
    row = {"n": 2, "score": 0.5, "score_se": 0.1, "score_tone": 0.25, "score_tone_se": 0.05, "judge": 1.0, "judge_se": 0.0}
    assert [line[:3] for line in cells(measures_table(row, ""))[1:3]] == [
        ["score", "0.500", "0.100"],
        ["score, part tone", "0.250", "0.050"],
    ]


def test_samples_show_texts_as_they_are() -> None:
    one = {"prompt": "I [b]say[/b]", "completion": "\n[/x] well", "score": 0.126, "judge": None, "finish_reason": "length"}
    two = {**one, "judge": 0.5, "finish_reason": "eos"}
    head, *rows = cells(samples_table([one, two]))
    assert head == ["prompt", "completion", "score", "judge", "end"]
    assert rows == [["I [b]say[/b]", "[/x] well", "0.13", "", "length"], ["I [b]say[/b]", "[/x] well", "0.13", "0.50", "eos"]]


def test_win_rates() -> None:
    pair = {"first": "[a]", "second": "b", "wins": 3, "ties": 1, "losses": 1, "win_rate": 0.7, "low": 0.25, "high": 0.9876}
    head, row = cells(win_rates_table([pair], "title"))
    assert dict(zip(head, row, strict=True)) == {
        **{"first": "[a]", "second": "b", "wins": "3", "ties": "1", "losses": "1"},
        **{"win rate": "0.700", "interval": "0.250 to 0.988"},
    }


def test_players_are_told_apart_in_a_narrow_terminal() -> None:
    numbers = {"wins": 3, "ties": 1, "losses": 1, "win_rate": 0.7, "low": 0.25, "high": 0.9876}
    players = ("runs/chain/sft", "runs/chain/ppo", "tiny-en")
    pairs = [{"first": a, "second": b, **numbers} for a, b in itertools.combinations(players, 2)]
    assert [row[:2] for row in cells(win_rates_table(pairs, "title"))[1:]] == [["sft", "ppo"], ["sft", "tiny-en"], ["ppo", "tiny-en"]]
    strengths = [{"player": name, "log_odds": 0.0, "low": 0.0, "high": 0.0} for name in players]
    head, *rows = cells(strengths_table(strengths))
    assert head[-1] == "beats sft"
    assert [row[0] for row in rows] == ["sft", "ppo", "tiny-en"]
    assert cells(win_rates_table([{"first": ".", "second": "b", **numbers}], "title"))[1][:2] == [".", "b"]
    same = {"first": "runs/a-long-one-with-its-words/model", "second": "runs/a-long-one-with-other-words/model", **numbers}
    console = Console(file=io.StringIO(), width=80)
    console.print(win_rates_table([same], "title"))
    assert isinstance(console.file, io.StringIO)
    assert "…" not in console.file.getvalue()


def test_strengths_with_the_strongest_first() -> None:
    rows = [
        {"player": "[m]", "log_odds": 0.0, "low": 0.0, "high": 0.0},
        {"player": "weak", "log_odds": -1.0, "low": -2.0, "high": 0.0},
        {"player": "strong", "log_odds": math.log(3), "low": 0.5, "high": 2.0},
    ]
    head, *shown = cells(strengths_table(rows))
    assert head == ["player", "log-odds", "interval", "beats [m]"]
    assert shown == [["strong", "1.10", "0.50 to 2.00", "0.750"], ["[m]", "0", "", ""], ["weak", "-1.00", "-2.00 to 0.00", "0.269"]]
