"""What may be written to a terminal: texts of others with their control characters made visible.

A model, a prompt file, an annotator's name and an error of foreign code hold any character. Written as they are, they move the cursor,
rename the window, hide what stands before them or reverse the order of what follows.
"""

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Control characters but for tab and line feed; separators that break lines; overrides and isolates of the direction of writing;
# halves of surrogate pairs, which no encoding can write.
_HOSTILE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Return a text with every control character written as JSON and Python write it.

    In a JSON or TOML document, where such characters stand within strings only, the result means the same.

    >>> print(visible("red \x1b[31m, back \x08, reversed \u202e; a line\nand a tab\t."))
    red \u001b[31m, back \u0008, reversed \u202e; a line
    and a tab	.
    """
    return _HOSTILE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def sentence(text: str) -> str:
    r"""Return a text as one line, with control characters made visible.

    >>> sentence("it raises ValueError: first\n  second")
    'it raises ValueError: first second'
    """
    return re.sub(r"\s*\n\s*", " ", visible(text).strip("\n"))


def safe_console(**options: Any) -> "Console":
    """Make a console that interprets no control character, markup or name of an emoji in the texts it is given.

    Args:
        **options: of `rich.console.Console`.
    """
    from rich.console import Console  # here, so that `textenv --help` does not wait for it

    class SafeConsole(Console):
        def render_str(self, text: str, **style: Any) -> "Text":
            return super().render_str(visible(text), **style)

    return SafeConsole(markup=False, emoji=False, highlight=False, **options)


def plain(text: str) -> "Text":
    """Return a cell of a table, or a title, in which no control character, markup or name of an emoji is interpreted."""
    from rich.text import Text

    return Text(visible(text))


def say(console: "Console", text: str, style: str = "") -> None:
    """Print one line, in which no control character, markup or name of an emoji is interpreted.

    Args:
        console: where to.
        text: one sentence or several.
        style: of rich, such as "yellow".
    """
    from rich.text import Text

    console.print(Text(sentence(text), style=style), soft_wrap=True)
