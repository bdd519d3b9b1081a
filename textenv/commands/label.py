"""`textenv label`."""

import dataclasses
import os
import secrets
from pathlib import Path
from typing import Final

from tyro.conf import Positional

from textenv.commands.output import hide_loading_bars, messages, results
from textenv.errors import ArgumentError, install
from textenv.preferences.names import clean_name
from textenv.preferences.store import ComparisonStore

_OF_THE_PAGE: Final = ("instructions", "annotators", "host", "port")
_OF_THE_SIMULATED: Final = ("noise", "tie", "annotator", "seed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """What is to be judged, and by whom."""

    store: Positional[Path]
    """Comparison store, see textenv compare."""
    overlap: int = 1
    """Annotators who are to judge each item; two or more show how far they agree."""
    ratings: bool = False
    """Ask for a rating of each response from 1 to 7, too."""
    instructions: str | None = None
    """By what to judge, shown with every item: a text, or the path of a .txt or .md file that holds one."""
    annotators: tuple[str, ...] = ()
    """Names; each gets an address of its own, under which nobody else can label. By default whoever opens the one address types a name."""
    host: str = "127.0.0.1"
    """Address of this machine to serve the page on, for --annotators on other machines; 0.0.0.0 is all of its addresses."""
    port: int = 8765
    """Of the page; 0 is any that is free."""
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
        if not clean_name(self.annotator):
            raise ArgumentError("annotator must be a name, got an empty one.")
        if self.simulate is not None and self.ratings:
            raise ArgumentError("A simulated annotator takes --rated LOW HIGH in place of --ratings.")
        if self.simulate is None and self.rated is not None:
            raise ArgumentError("--rated is of a simulated annotator; give --simulate REWARD, or ask people for --ratings.")
        for field in dataclasses.fields(self):
            if getattr(self, field.name) == field.default:
                continue
            if self.simulate is None and field.name in _OF_THE_SIMULATED:
                raise ArgumentError(f"--{field.name} is of a simulated annotator; give --simulate REWARD too, or leave it out.")
            if self.simulate is not None and field.name in _OF_THE_PAGE:
                raise ArgumentError(f"--{field.name} is of the page, which --simulate does not open; leave one of them out.")
        names = [clean_name(name) for name in self.annotators]
        for name in names:
            if not name or names.count(name) > 1:
                raise ArgumentError(f"--annotators are different names, got {', '.join(map(repr, self.annotators))}.")


def instructions_of(config: LabelConfig) -> str:
    """Return the text of the instructions, empty where there are none.

    Raises:
        ArgumentError: they are empty, or a file that is missing or no text.
    """
    given = config.instructions
    if given is None:
        return ""
    if Path(given).suffix.lower() in (".txt", ".md") and "\n" not in given:
        text = _read(given)
    elif os.path.isfile(given):
        raise ArgumentError(f"Instructions are a text, or a .txt or .md file, got the file {given}.")
    else:
        text = given
    if not text.strip():
        raise ArgumentError("The instructions are empty; leave --instructions out, or say by what to judge.")
    return text.strip()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArgumentError(f"The instructions in {path} are not UTF-8: {error.reason} at byte {error.start}.") from error
    except OSError as error:
        raise ArgumentError(f"The instructions in {path} cannot be read: {error.strerror}.") from error


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

    name = clean_name(config.annotator)
    with ComparisonStore(config.store) as store:
        store.add(())  # refuses a store that cannot be written before anything is judged
        annotator = SimulatedAnnotator(
            config.simulate or "", noise=config.noise, tie=config.tie, rated=config.rated, seed=config.seed, name=name
        )
        return store.add_comparisons(annotator.judge(store.pending(name, overlap=config.overlap)))[1]


def run(config: LabelConfig) -> None:
    """Serve the page until ctrl-C, or let the simulated annotator judge."""
    console = results()
    if config.simulate is not None:
        hide_loading_bars()
        sentence = f"{simulate(config)} judgements of {clean_name(config.annotator)} are in {config.store}."
        console.print(sentence, soft_wrap=True, markup=False, highlight=False)
        return
    serve_page(config)


def serve_page(config: LabelConfig) -> None:
    """Serve the page until SIGINT or SIGTERM, and say what the store holds then.

    Raises:
        ArgumentError: there is nothing to judge, or the page cannot be served as the options say.
        LoadError: there is no such store.
        SaveError: it cannot be written, or is no longer where it was.
    """
    try:
        from textenv.web.labelling import LabellingPage, page_name
        from textenv.web.serving import bind, is_local, serve
    except ImportError as error:
        raise ArgumentError(f"The page needs the extra: {install('web')}.") from error
    names = [page_name(name) for name in config.annotators] or [""]
    instructions = instructions_of(config)
    with bind(config.port, config.host) as listening, ComparisonStore(config.store) as store:
        is_open = not is_local(listening)
        if is_open and not config.annotators:
            raise ArgumentError(
                f"On {config.host} others can reach the page: name the --annotators, so that each gets an address of their own."
            )
        store.add(())  # refuses a store that cannot be written before anybody judges
        if store.progress().items == 0:
            raise ArgumentError(f"{config.store} holds nothing to judge; textenv compare draws responses into it.")
        page = LabellingPage(
            store, port=listening.getsockname()[1], overlap=config.overlap, ratings=config.ratings, instructions=instructions
        )
        _say(_advice(config, is_open=is_open))
        tokens = {secrets.token_urlsafe(24): name for name in names}
        serve(page.app(), listening, tokens=tokens, host=config.host, tell=_tell_address)
        progress = store.progress(overlap=config.overlap)
    _say(f"{progress.done} of {progress.items} items are judged; {config.store} holds {progress.labels} judgements.")


def _advice(config: LabelConfig, *, is_open: bool) -> str:
    if not config.annotators:
        return "Open this address in a browser, each annotator in their own browser; ctrl-C ends the page."
    advice = "Give each annotator the address beside the name, and to nobody else: whoever opens it labels under that name."
    if is_open:
        advice += (
            f" The page is on {config.host}: every machine that reaches it can open these addresses."
            " The traffic is not encrypted: whoever can listen to the network can read the texts, and the addresses too."
        )
    return f"{advice} ctrl-C ends the page."


def _tell_address(name: str, address: str) -> None:
    print(f"{name}: {address}" if name else address, flush=True)


def _say(sentence: str) -> None:
    messages().print(sentence, soft_wrap=True, markup=False, highlight=False)
