"""Text for `render`: the prompt dimmed, the completion plain or coloured by its score."""

from textenv.terminal import visible

_DIM, _BOLD, _OFF = "\x1b[2m", "\x1b[1m", "\x1b[0m"


def score_rgb(score: float) -> tuple[int, int, int]:
    """Choose the colour of a score: red at 0 or less, yellow at 0.5, green at 1 or more.

    >>> score_rgb(0.0), score_rgb(1.0)
    ((220, 60, 60), (60, 220, 60))
    """
    good = min(max(score, 0.0), 1.0)
    red, green = min(1.0, 2 - 2 * good), min(1.0, 2 * good)
    return 60 + round(160 * red), 60 + round(160 * green), 60


def score_colour(score: float) -> str:
    r"""Choose the terminal colour of a score.

    >>> score_colour(0.0), score_colour(1.0)
    ('\x1b[38;2;220;60;60m', '\x1b[38;2;60;220;60m')
    """
    return "\x1b[38;2;{};{};{}m".format(*score_rgb(score))


def render_text(prompt: str, completion: str, score: float | None) -> str:
    """Show one episode, control characters of its texts made visible; a score of None means that it still runs."""
    prompt, completion = visible(prompt), visible(completion)
    if score is None:
        return f"{_DIM}{prompt}{_OFF}{completion}"
    return f"{_DIM}{prompt}{_OFF}{score_colour(score)}{completion}{_OFF}  {_BOLD}{score:+.3f}{_OFF}"
