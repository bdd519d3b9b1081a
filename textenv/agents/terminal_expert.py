"""The person at the terminal as an expert."""

import sys
from collections.abc import Callable, Sequence
from typing import Final

from textenv.terminal import visible

END: Final = "/end"
"""What a person types to end the text."""


class TerminalExpert:
    """Shows a text on stderr and reads from stdin how a person would go on with it.

    An empty line leaves the policy alone for a token, `/end` ends the text, and anything else is written token by token
    before the person is asked again. After the end of the input (ctrl-D) the policy is left alone for good.

    Args:
        writable: tells whether the tokenizer can write a text; what it cannot is asked for again.
    """

    name = "terminal"

    def __init__(self, writable: Callable[[str], bool]) -> None:
        self.writable = writable
        self._explained = self._left = False
        self._wanted: dict[int, tuple[str, str]] = {}  # of each row: what stood there, and that with what was typed after it

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], rows: Sequence[int]) -> list[str | None]:
        """Ask about n texts, one after the other; those that are being written are not asked about."""
        return [self._answer(*asked) for asked in zip(prompts, completions, rows, strict=True)]

    def _answer(self, prompt: str, completion: str, row: int) -> str | None:
        before, whole = self._wanted.get(row, ("", ""))
        if whole.startswith(completion) and len(before) < len(completion) < len(whole):
            return whole[len(completion) :]
        text = self._ask(prompt + completion)
        self._wanted[row] = (completion, completion + (text or ""))
        return text

    def _ask(self, shown: str) -> str | None:
        """Read what is to follow a text until the tokenizer can write it."""
        if not self._explained:
            print(f"How would you go on? Enter leaves it to the policy, {END} ends the text, ctrl-D leaves all to it.", file=sys.stderr)
        self._explained = True
        while not self._left:
            print(f"{visible(shown)}|", end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
            text = line.rstrip("\r\n")
            if line and (text == END or self.writable(text)):
                return "" if text == END else text or None
            self._left = not line
            print(f"The tokenizer cannot write {text!r}." if line else "\nThe policy goes on alone.", file=sys.stderr)
        return None
