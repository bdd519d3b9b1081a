"""Text for render."""

import re

import pytest

from textenv.envs.rendering import render_text, score_colour


@pytest.mark.parametrize(
    ("score", "rgb"),
    [
        (-3, (220, 60, 60)),
        (0, (220, 60, 60)),
        (0.25, (220, 140, 60)),
        (0.5, (220, 220, 60)),
        (0.75, (140, 220, 60)),
        (1, (60, 220, 60)),
        (40, (60, 220, 60)),
    ],
)
def test_colours_run_from_red_over_yellow_to_green(score: float, rgb: tuple[int, int, int]) -> None:
    assert score_colour(score) == "\x1b[38;2;{};{};{}m".format(*rgb)


def test_a_running_episode_has_no_score() -> None:
    assert render_text("The film", " was", None) == "\x1b[2mThe film\x1b[0m was"


def test_a_finished_episode_is_coloured_and_scored() -> None:
    shown = render_text("The film", " was good", 1.0)
    assert shown == "\x1b[2mThe film\x1b[0m\x1b[38;2;60;220;60m was good\x1b[0m  \x1b[1m+1.000\x1b[0m"
    assert re.sub(r"\x1b\[[\d;]*m", "", render_text("a", "b", -0.25)) == "ab  -0.250"


@pytest.mark.parametrize("score", [None, 0.3])
def test_the_terminal_is_left_as_it_was(score: float | None) -> None:
    codes = re.findall(r"\x1b\[[\d;]*m", render_text("a", "b", score))
    assert codes[-1] == "\x1b[0m"
    assert sum(code == "\x1b[0m" for code in codes) == len(codes) / 2
