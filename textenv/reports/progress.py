"""How far a training is: a bar on a terminal, lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from textenv.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

LINE_SHARE: Final = 0.01
"""Where there is no terminal, two lines of progress are at least a second apart, and at least this share of the
training time so far: lines come more rarely in a longer run."""


@contextlib.contextmanager
def progress_of(total: int, done: int, console: "Console") -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Give a function that shows the episodes so far and the metrics of an update.

    Args:
        total: episodes that will be played.
        done: episodes that were played before.
        console: a bar is drawn on it if it is a terminal.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    counted = TextColumn("{task.completed}/{task.total} episodes")
    columns = (TextColumn("{task.description}"), BarColumn(), counted, TimeRemainingColumn())
    begun = last = time.perf_counter()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task("training", total=total, completed=done)

        def show(episodes: int, row: Mapping[str, float]) -> None:
            nonlocal last
            speed = f"{row['tokens_per_second']:.0f} tokens/s"
            measures = f"score {row['score']:.3f}  KL {row['kl_k1']:.2f}  {speed}"
            bars.update(bar, completed=episodes, description=measures)
            now = time.perf_counter()
            pause = max(1.0, LINE_SHARE * (now - begun))
            if not console.is_terminal and (now - last >= pause or episodes == total):
                say(console, f"{episodes}/{total} episodes  {measures}")
                last = now

        yield show
