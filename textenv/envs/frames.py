"""Frames for `render_mode="rgb_array"`: what `render_text` shows on a terminal, drawn.

Every frame has one size, with sides that video encoders like: multiples of 16. Letters stand in cells of
one width, those of Chinese and the like in two, so that every machine breaks lines at the same places.

The font is DejaVu, which comes with Matplotlib, so that frames are the same on every machine. It has no
Chinese, Japanese, Korean, Thai or Indic letters; these are drawn in a font of the machine that Matplotlib
finds. Where there is none, boxes are drawn, and a warning says so.
"""

import functools
import unicodedata
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textenv.envs.rendering import score_rgb

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

HEIGHT: Final = 288
WIDTH: Final = 512

_FONT_SIZE: Final = 13
_CELL: Final = (_FONT_SIZE * 1233 / 2048, 18)  # width and height; 1233 of 2048 units is DejaVu Sans Mono's own width
_MARGIN: Final = 10
COLUMNS: Final = int((WIDTH - 2 * _MARGIN) / _CELL[0])
ROWS: Final = (HEIGHT - 2 * _MARGIN) // _CELL[1] - 2  # of text; below it an empty row and the status

_PAPER: Final = (16, 20, 24)
_DIM: Final = (140, 148, 158)
_PLAIN: Final = (236, 240, 244)
_OWN_FONTS: Final = ("DejaVuSansMono.ttf", "DejaVuSans.ttf")

BOXES: Final = "Frames show boxes for letters"
"""How the warning of letters without a font begins."""

Colour = tuple[int, int, int]


class Letter(NamedTuple):
    """A character and how it is drawn."""

    text: str
    colour: Colour
    cells: int
    """0 for an accent on the letter before it, 2 for Chinese and the like, else 1."""


def draw_frame(prompt: str, completion: str, score: float | None, length: int, longest: int) -> NDArray[np.uint8]:
    """Draw one episode: the prompt dimmed, the completion in the colour of its score, and below them length and score.

    The end of a text that does not fit is drawn, under a "…".

    Args:
        prompt: of the episode.
        completion: so far.
        score: None while the episode runs.
        length: response tokens so far.
        longest: response tokens at most.

    Returns:
        (288, 512, 3) RGB.
    """
    from PIL import Image, ImageDraw

    colour = _PLAIN if score is None else score_rgb(score)
    lines = wrap([*letters_of(prompt, _DIM), *letters_of(completion, colour)])
    if len(lines) > ROWS:
        lines = [letters_of("…", _DIM), *lines[1 - ROWS :]]
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    canvas = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        _draw_line(canvas, line, row)
    _draw_line(canvas, letters_of(f"{length} of {longest} tokens", _DIM), ROWS + 1)
    if score is not None:
        right = f"score {score:+.3f}"
        _draw_line(canvas, letters_of(right, colour), ROWS + 1, column=COLUMNS - len(right))
    return np.array(image, dtype=np.uint8)


def letters_of(text: str, colour: Colour) -> list[Letter]:
    """Turn a text into letters; what cannot be drawn, such as half a character, is shown as "\N{REPLACEMENT CHARACTER}"."""
    plain = text.replace("\r\n", "\n").replace("\t", "    ")
    return [Letter(_drawable(letter), colour, _cells(letter)) for letter in plain]


def wrap(letters: list[Letter]) -> list[list[Letter]]:
    """Break letters into lines of at most `COLUMNS` cells: at every new line, before the last word, or within a word that is longer.

    Spaces at the end of a line take no room.
    """
    lines: list[list[Letter]] = [[]]
    used = 0  # cells of the last line
    for letter in letters:
        if letter.text == "\n":
            lines.append([])
            used = 0
            continue
        used += letter.cells
        if used > COLUMNS and letter.text != " ":
            line = lines.pop()
            start = _last_word(line)
            lines += [line[:start], line[start:]]
            used = sum(each.cells for each in lines[-1]) + letter.cells
        lines[-1].append(letter)
    return lines


def _last_word(line: list[Letter]) -> int:
    """Return where the last word of a line starts; its end, if it is one word or ends with a space."""
    for place in reversed(range(len(line))):
        if line[place].text == " ":
            return place + 1
    return len(line)


def _drawable(letter: str) -> str:
    """Replace control characters, halves of surrogate pairs and what Unicode does not define."""
    if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cs", "Co", "Cn"):
        return "\N{REPLACEMENT CHARACTER}"
    return letter


def _cells(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _draw_line(canvas: "ImageDraw", line: list[Letter], row: int, column: int = 0) -> None:
    """Draw letters from a column on, those that belong together at once."""
    top = _MARGIN + row * _CELL[1]
    for run in _runs(line):
        text = "".join(letter.text for letter in run)
        canvas.text((_MARGIN + column * _CELL[0], top), text, fill=run[0].colour, font=_load(_font_of(run[0].text)))
        column += sum(letter.cells for letter in run)


def _runs(line: list[Letter]) -> list[list[Letter]]:
    """Group letters that are drawn at once: those of one colour in the first font, whose letters are as wide as a cell.

    Of another font it is a letter and its accents.
    """
    runs: list[list[Letter]] = []
    for letter in line:
        before = runs[-1][0] if runs else None
        first = _own_fonts()[0]
        alike = before is not None and before.colour == letter.colour and _font_of(before.text) == _font_of(letter.text) == first
        if before is not None and (letter.cells == 0 or (alike and letter.cells == before.cells == 1)):
            runs[-1].append(letter)
        else:
            runs.append([letter])
    return runs


@functools.cache
def _own_fonts() -> tuple[Path, ...]:
    """Return the files of DejaVu."""
    import matplotlib

    return tuple(Path(matplotlib.get_data_path(), "fonts", "ttf", name) for name in _OWN_FONTS)


@functools.cache
def _load(font: Path) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.truetype(str(font), _FONT_SIZE)


@functools.cache
def _font_of(letter: str) -> Path:
    """Find the font that draws a letter: DejaVu, else the first of the machine's, by name, that has it, else DejaVu's box."""
    for font in _own_fonts():
        if _has(font, letter):
            return font
    from matplotlib import font_manager

    others = sorted((entry.name, entry.fname) for entry in font_manager.fontManager.ttflist)
    for name, file in others:
        # Last Resort has a sign for every letter, but it is that of the alphabet.
        if not name.startswith("Last Resort") and _has(Path(file), letter):
            return Path(file)
    _warn_of_boxes()
    return _own_fonts()[0]


def _has(font: Path, letter: str) -> bool:
    return bool(_characters(font).get_char_index(ord(letter)))


@functools.cache
def _characters(font: Path) -> Any:
    from matplotlib.ft2font import FT2Font

    return FT2Font(str(font))


@functools.cache
def _warn_of_boxes() -> None:
    advice = 'install one that has them, or make the environment with render_mode="ansi"'
    warnings.warn(f"{BOXES} that no font of this machine has; {advice}.", stacklevel=2)
