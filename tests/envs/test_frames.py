"""Frames of episodes."""

import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest

from textenv.envs import frames
from textenv.envs.frames import COLUMNS, HEIGHT, ROWS, WIDTH, Letter, draw_frame, letters_of, wrap

GREY = (140, 148, 158)


def lines_of(text: str) -> list[str]:
    return ["".join(letter.text for letter in line) for line in wrap(letters_of(text, GREY))]


def rows_with_ink(frame: np.ndarray) -> set[int]:
    """Find the lines of text, the status included, on which something is drawn."""
    marked = np.flatnonzero((frame != frame[0, 0]).any((1, 2)))
    return {int(row - 10) // 18 for row in marked}


def has_colour(frame: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((frame == np.array(colour, dtype=np.uint8)).all(2).any())


@pytest.mark.parametrize("text", ["", "a", "word " * 500, "x" * 5000, "\n" * 40, "\ud83d\x00\x1b[2m", "e\u0301" * 100, "\U0001f600"])
def test_every_frame_has_the_size_that_encoders_like(text: str) -> None:
    for frame in (draw_frame(text, "", None, 0, 8), draw_frame("", text, 0.5, 8, 8)):
        assert frame.shape == (HEIGHT, WIDTH, 3)
        assert frame.dtype == np.uint8
        assert frame.flags.writeable
    assert HEIGHT % 16 == WIDTH % 16 == 0


def test_a_frame_is_drawn_alike_every_time() -> None:
    assert np.array_equal(draw_frame("The film", " was", 0.3, 2, 4), draw_frame("The film", " was", 0.3, 2, 4))


def test_prompt_completion_and_score_are_told_apart_by_colour() -> None:
    running = draw_frame("MMMM", "MMMM", None, 4, 8)
    assert has_colour(running, GREY)
    assert has_colour(running, (236, 240, 244))
    ended = draw_frame("MMMM", "MMMM", 1.0, 8, 8)
    assert has_colour(ended, (60, 220, 60))
    assert not has_colour(ended, (236, 240, 244))
    assert has_colour(draw_frame("MMMM", "MMMM", -2.0, 8, 8), (220, 60, 60))


def test_one_token_more_is_another_frame() -> None:
    assert not np.array_equal(draw_frame("a", "b", None, 1, 8), draw_frame("a", "bc", None, 1, 8))
    assert not np.array_equal(draw_frame("a", "b", None, 1, 8), draw_frame("a", "b", None, 2, 8))


def test_lines_break_before_a_word_and_lose_nothing() -> None:
    text = "The film is about a man who walks home through the rain. " * 8 + "x" * 200
    lines = lines_of(text)
    assert "".join(lines) == text
    assert max(len(line.rstrip()) for line in lines) <= COLUMNS
    assert all(line.endswith(" ") for line in lines[:5])
    assert lines_of("a" * COLUMNS + " b") == ["a" * COLUMNS + " ", "b"]
    assert lines_of("a\n\nb\r\nc\td") == ["a", "", "b", "c    d"]


def test_wide_letters_take_two_cells_and_accents_none() -> None:
    assert [len(line) for line in lines_of("\u4e2d" * COLUMNS)] == [COLUMNS // 2] * 2
    assert len(lines_of("e\u0301" * COLUMNS)) == 1


def test_the_end_of_a_long_text_is_shown() -> None:
    head = "first " * COLUMNS * ROWS
    one, other = draw_frame(head, "THE END", None, 1, 8), draw_frame(head, "THE BEND", None, 1, 8)
    assert not np.array_equal(one, other)
    assert np.array_equal(draw_frame("other " + head, "THE END", None, 1, 8)[: 10 + 18], one[: 10 + 18])  # the "…"
    assert rows_with_ink(one) == {*range(ROWS), ROWS + 1}


def test_what_cannot_be_drawn_is_shown_as_that() -> None:
    assert lines_of("a\ud83d\x07b") == ["a\ufffd\ufffdb"]


def test_letters_that_dejavu_lacks_are_drawn_in_another_font() -> None:
    from matplotlib import font_manager

    own = frames._own_fonts()
    others = sorted(entry.fname for entry in font_manager.fontManager.ttflist if entry.name == "STIXGeneral")
    known = (chr(code) for font in others for code in frames._characters(Path(font)).get_charmap())
    lacking = next(
        letter for letter in known if unicodedata.category(letter) == "Sm" and not any(frames._has(font, letter) for font in own)
    )
    assert frames._font_of(lacking).name not in {font.name for font in own}
    assert not np.array_equal(draw_frame("", lacking, None, 1, 8), draw_frame("", "", None, 1, 8))


def test_letters_that_no_font_has_are_boxes_and_a_warning_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import font_manager

    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    for cached in (frames._font_of, frames._warn_of_boxes):
        cached.cache_clear()
    with pytest.warns(UserWarning, match="boxes for letters that no font of this machine has"):
        drawn = draw_frame("\u7535\u5f71", "", None, 1, 8)
    assert not np.array_equal(drawn, draw_frame("", "", None, 1, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        draw_frame("\u8bc4", "", None, 1, 8)
    frames._font_of.cache_clear()


def test_letters_of_a_text() -> None:
    assert letters_of("a\u0301\u4e2d", GREY) == [Letter("a", GREY, 1), Letter("\u0301", GREY, 0), Letter("\u4e2d", GREY, 2)]
