"""No character of a text does anything at a terminal."""

import io
import json
import unicodedata
from typing import Final

import pytest
from rich.console import Console
from rich.table import Table

from textenv.terminal import plain, safe_console, say, sentence, visible

ORDERS: Final = [
    chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cs", "Zl", "Zp") and chr(code) not in "\t\n"
] + [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))]
"""Every control character, half of a pair and line separator of Unicode, and what overrides the direction of writing."""


def test_every_order_is_made_visible_and_nothing_else_is_changed() -> None:
    shown = visible("".join(ORDERS))
    assert shown == "".join(f"\\u{ord(order):04x}" for order in ORDERS)
    for text in ("The film\n\tends.", "Ünïcödé 电影 🎬👩\u200d👧", "שלום\u200f, سلام\u200c"):
        assert visible(text) == text


def test_in_json_the_meaning_stays() -> None:
    data = {"text": " ".join(ORDERS)}
    assert json.loads(visible(json.dumps(data, ensure_ascii=False))) == data


def test_a_sentence_is_one_line() -> None:
    assert sentence("first\n   second\r\nthird\n") == "first second\\u000d third"


@pytest.mark.parametrize("markup", [True, False])
def test_markup_and_emoji_are_texts(markup: bool) -> None:
    text = "[bold]a[/bold] [/b] :heart: \\[c] \x1b[2J"
    console = Console(file=io.StringIO(), width=200, markup=markup)
    say(console, text)
    table = Table("text", title=plain(text))
    table.add_row(plain(text))
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("[bold]a[/bold] [/b] :heart: \\[c] \\u001b[2J") == 3


def test_a_safe_console_writes_whatever_it_is_given() -> None:
    text = "[bold]a[/bold] [/b] :heart: \\[c] \x1b[2J \u202eb"
    console = safe_console(file=io.StringIO(), width=200, force_terminal=True)
    console.print(text)
    console.print(text, style="yellow")
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    written = console.file.getvalue()
    assert written.count("[bold]a[/bold] [/b] :heart: \\[c] \\u001b[2J \\u202eb") == 6
    assert "\x1b[2J" not in written
