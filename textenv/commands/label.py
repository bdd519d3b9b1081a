"""`textenv label`."""

import dataclasses
from pathlib import Path

from tyro.conf import Positional

from textenv.commands.output import hide_loading_bars, messages, results
from textenv.errors import ArgumentError
from textenv.preferences.store import ComparisonStore


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """What is to be judged, and by whom."""

    store: Positional[Path]
    """Comparison store, see textenv compare."""
    overlap: int = 1
    """Annotators who are to judge each item; two or more show how far they agree."""
    ratings: bool = False
    """Ask for a rating of each response from 1 to 7, too."""
    port: int = 8765
    """Of the page on 127.0.0.1; 0 is any that is free."""
    simulate: str | None = None
    """Open no page but let a reward judge: an embedded name, a local folder or a hub id."""
    noise: float = 0.0
    """Scale of the simulated annotator's noise, in units of the score: P(i beats j) = σ((score_i - score_j) / noise)."""
    tie: float = 0.0
    """Difference of scores up to which the simulated annotator sees a tie."""
    rated: tuple[float, float] | None = None
    """Scores that the simulated annotator rates 1 and 7; by default it rates nothing."""
    annotator: str = "simulated"
    """Name of the simulated annotator; another name sees other noise."""
    seed: int = 0
    """Of its noise."""

    def __post_init__(self) -> None:
        if self.overlap < 1:
            raise ArgumentError(f"overlap must be at least 1, got {self.overlap}.")
        if not 0 <= self.port < 2**16:
            raise ArgumentError(f"port must be from 0 to 65535, got {self.port}.")
        if self.seed < 0:
            raise ArgumentError(f"seed must be at least 0, got {self.seed}.")
        if not self.annotator.strip():
            raise ArgumentError("annotator must be a name, got an empty one.")
        if self.simulate is not None and self.ratings:
            raise ArgumentError("A simulated annotator takes --rated LOW HIGH in place of --ratings.")
        if self.simulate is None and self.rated is not None:
            raise ArgumentError("--rated is of a simulated annotator; give --simulate REWARD, or ask people for --ratings.")


def simulate(config: LabelConfig) -> int:
    """Let a simulated annotator judge all that nobody has, as `textenv label --simulate` does.

    Returns:
        The number of judgements.

    Raises:
        ArgumentError: the annotator's numbers make no sense.
        LoadError: there is no such store, or the reward cannot be loaded.
        RewardError: the reward failed.
    """
    from textenv.preferences.annotator import SimulatedAnnotator  # here, as it brings torch, which the page does without

    with ComparisonStore(config.store) as store:
        annotator = SimulatedAnnotator(
            config.simulate or "", noise=config.noise, tie=config.tie, rated=config.rated, seed=config.seed, name=config.annotator
        )
        return store.add_comparisons(annotator.judge(store.pending(config.annotator, overlap=config.overlap)))[1]


def run(config: LabelConfig) -> None:
    """Serve the page until ctrl-C, or let the simulated annotator judge."""
    console = results()
    if config.simulate is not None:
        hide_loading_bars()
        sentence = f"{simulate(config)} judgements of {config.annotator} are in {config.store}."
        console.print(sentence, soft_wrap=True, markup=False, highlight=False)
        return
    try:
        from textenv.web.labelling import LabellingPage
        from textenv.web.serving import bind, serve
    except ImportError as error:
        raise ArgumentError('The page needs the extra: pip install "textenv[web]".') from error
    with ComparisonStore(config.store) as store, bind(config.port) as listening:
        if store.progress().items == 0:
            raise ArgumentError(f"{config.store} holds nothing to judge; textenv compare draws responses into it.")
        page = LabellingPage(store, port=listening.getsockname()[1], overlap=config.overlap, ratings=config.ratings)
        messages().print("Open this address in a browser, each annotator in one of his own; ctrl-C ends the page.", soft_wrap=True)
        serve(page.app(), listening, lambda address: print(address, flush=True))
        progress = store.progress(overlap=config.overlap)
    sentence = f"{progress.done} of {progress.items} items are judged; {config.store} holds {progress.labels} judgements."
    messages().print(sentence, soft_wrap=True, markup=False, highlight=False)
