"""What answers that game a reward earn: nothing, the prompt itself, its keywords, one answer for every prompt.

A reward that can be had without the task being done will be had so, sooner or later. `gaming` tries the ways that
suit any prompts and compares them with what the model writes; `check_gaming` holds them below answers that are
known to be honest, for the tests of an environment.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import gymnasium
import numpy as np
from numpy.typing import NDArray

from textenv.envs.rules import Rules
from textenv.errors import ArgumentError, ContractError, did_you_mean
from textenv.formats import shown
from textenv.models.pieces import decode
from textenv.models.policy import LanguagePolicy
from textenv.reports.evaluation import standard_error
from textenv.rewards.metrics import content_words
from textenv.rewards.words import folded, words
from textenv.rollouts.collect import collect
from textenv.rollouts.demonstrations import allowed_tokens, write_completion

Row: TypeAlias = Mapping[str, Any]
"""One prompt with its other columns."""
Answer: TypeAlias = str | Callable[[Row], str]
"""A text for every prompt, or a function of the prompt's row."""

SAMPLES: Final = 16
"""Of the model to each prompt."""
MOST_PROMPTS: Final = 64
FEWEST_PROMPTS: Final = 16
TOKENS: Final = 32_768
"""That the model writes at most, unless the fewest prompts take more; four tokens of a prompt, read at once, count as one."""
CONSTANTS: Final = 32
"""Answers of the model that are tried on every prompt."""
ENVS: Final = 128

OWN: Final = "the model's own answers"
BEST: Final = f"the best of {SAMPLES} of them"
NEGATED: Final = "the best of them, negated"
HONEST: Final = "the honest answers"
NEGATED_HONEST: Final = "the honest answers, negated"
CONSTANT: Final = "one answer to every prompt"
SPARED: Final = 0.75
"""Share of what honest answers earn that their negations may earn at most."""
DECLINING: Final = "I am sorry, but I cannot help with that."

_VERB: Final = re.compile(
    r"\b(am|is|are|was|were|has|have|had|do|does|did|can|could|will|would|shall|should|may|might|must)\b( not\b)?",
    re.IGNORECASE,
)


class Mean(NamedTuple):
    """What answers earn on average."""

    mean: float
    se: float
    """Its standard error over prompts; NaN for one prompt."""
    prompts: int
    """To which the answers could be written."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Gaming:
    """What answers that game the reward earn, and the model's own.

    Shapes: n prompts, k samples of the model to each. All are scores less the penalty for a missing end of text.
    """

    own: NDArray[np.float64]
    """(n, k)."""
    games: Mapping[str, NDArray[np.float64]]
    """(n,) each, by the name of the game; NaN where it cannot be written or was not tried."""
    constant: str | None
    """The answer of the model that earns most when it is given to every prompt of the first half; `games` has what it earns
    on the second half, so that the choice does not flatter it. None with fewer than four prompts."""
    toy: bool
    """Whether the environment comes without a model, so that the answers are a random policy's."""

    def means(self) -> dict[str, Mean]:
        """Return what the model's answers, the best to each prompt and all games earn, by name."""
        columns = {OWN: self.own.mean(1), BEST: self.own.max(1), **self.games}
        return {name: _mean(values[~np.isnan(values)]) for name, values in columns.items()}

    def summary(self) -> str:
        """Return one sentence: what the best constant answer earns, the model's own answers and the best of each prompt's."""
        means = {name: _number(each.mean) for name, each in self.means().items()}
        if self.constant is None:
            return f"The model's own answers earn {means[OWN]} on average, {BEST} {means[BEST]}."
        return (
            f"Constant answers earn {means[CONSTANT]} on average ({_quoted(self.constant)} to every prompt),"
            f" {OWN} {means[OWN]}, {BEST} {means[BEST]}."
        )

    def warnings(self) -> list[str]:
        """Return a sentence about each game that earns clearly, by more than two standard errors, more than the model's own answers.

        The toys are left out, for which one answer to every prompt is often the right one, and so is the negated
        answer, which is to be read beside the one that it negates.
        """
        sentences = []
        for name, scores in self.games.items():
            if self.toy or name == NEGATED:
                continue
            tried = ~np.isnan(scores)
            what = f"The reward pays {_number(scores[tried].mean())} on average for {self._named(name)}, more than "
            own, best = self.own.mean(1)[tried], self.own.max(1)[tried]
            if _clearly_positive(scores[tried] - best):
                sentences.append(
                    f"{what}the {_number(best.mean())} for the best of the model's {self.own.shape[1]} answers;"
                    " training will lead there, so let the reward ask for what such a text lacks."
                )
            elif _clearly_positive(scores[tried] - own):
                sentences.append(
                    f"{what}the {_number(own.mean())} for the model's own answers, so a policy gains by writing that in place of an answer."
                )
        return sentences

    def _named(self, name: str) -> str:
        return f"{_quoted(self.constant)} to every prompt" if name == CONSTANT and self.constant is not None else name


def _quoted(text: str) -> str:
    return shown(text.strip())


def _mean(values: NDArray[np.float64]) -> Mean:
    return Mean(float(values.mean()), standard_error(values, np.arange(len(values))), len(values))


def _clearly_positive(differences: NDArray[np.float64]) -> bool:
    """Tell whether the mean of differences, one a prompt, exceeds two of its standard errors; of one prompt whether it is positive."""
    mean, se, _ = _mean(differences)
    return mean > (0 if np.isnan(se) else 2 * se)


def _number(value: float) -> str:
    """Write a score with two decimals, or two digits where it is that small.

    >>> _number(0.5), _number(0.00123)
    ('0.50', '0.0012')
    """
    return f"{value:.2f}" if value == 0 or abs(value) >= 0.1 else f"{value:.2g}"


# Games


def longest_line(prompt: str) -> str | None:
    """Return the longest line of a prompt, None if it is all there is."""
    lines = [line for line in prompt.splitlines() if line.strip()]
    return max(lines, key=len) if len(lines) > 1 else None


def keywords(prompt: str) -> str | None:
    """Return the content words of a prompt, each once and in order; None if it has no words.

    >>> keywords("How do I water a cactus? A small cactus")
    'water cactus small'
    """
    content = content_words(prompt)
    return " ".join(dict.fromkeys(word for word in map(folded, words(prompt)) if word in content)) or None


def twice(prompt: str) -> str | None:
    """Return the content words of a prompt twice over."""
    once = keywords(prompt)
    return once and f"{once} {once}"


def negated(text: str) -> str | None:
    """Return an English text that says the opposite, if clumsily; None if there are no letters of English in it.

    >>> negated("It was a good film."), negated(" A good film."), negated("It was not good.")
    ('It was not a good film.', ' It is not true that A good film.', 'It was good.')
    """
    if re.search("[A-Za-z]", text) is None:
        return None
    verb = _VERB.search(text)
    if verb is None:
        start = len(text) - len(text.lstrip())
        return f"{text[:start]}It is not true that {text[start:]}"
    return text[: verb.end(1)] + ("" if verb[2] else " not") + text[verb.end() :]


GAMES: Final[Mapping[str, Callable[[str], str | None]]] = {
    "an empty answer": lambda _: "",
    "a copy of the prompt": lambda prompt: prompt,
    "the longest line of the prompt": longest_line,
    "the keywords of the prompt": keywords,
    "the keywords of the prompt, twice": twice,
    "declining": lambda _: DECLINING,
}
"""Name to a function of the prompt as it reads without special tokens; it returns None where there is no such answer."""


# Writing and scoring


def _rows(rules: Rules, index: NDArray[np.int64]) -> list[dict[str, Any]]:
    prompts, _, columns = rules.asked([], index)
    return [{"prompt": prompt, **{name: values[i] for name, values in columns.items()}} for i, prompt in enumerate(prompts)]


def _readable(rules: Rules, index: NDArray[np.int64]) -> list[str]:
    """Return prompts without special tokens, which nobody can write: those of a chat template would make a copy impossible."""
    return [decode(rules.tokenizer, ids[ids >= 0].tolist()) for ids in rules.prompts.tokens[index]]


def _after(prompt: str, text: str | None) -> str | None:
    """Put a space before a text that would else run into the last word of its prompt; Chinese and Japanese have none."""
    joined = not text or text[0].isspace() or not prompt or prompt[-1].isspace()
    return text if joined or unicodedata.east_asian_width(prompt[-1]) in "WF" else f" {text}"


def standard_texts(rules: Rules, index: NDArray[np.int64]) -> dict[str, list[str | None]]:
    """Return the texts of all `GAMES` to some prompts, by name."""
    prompts = _readable(rules, index)
    return {name: [_after(prompt, game(prompt)) for prompt in prompts] for name, game in GAMES.items()}


def texts_of(answer: Answer, rules: Rules, index: NDArray[np.int64]) -> list[str | None]:
    """Return one's own answers to some prompts, each set off from its prompt by a space where one is missing."""
    texts = [answer if isinstance(answer, str) else answer(row) for row in _rows(rules, index)]
    return [_after(prompt, text) for prompt, text in zip(_readable(rules, index), texts, strict=True)]


def _write(text: str, prompt: int, rules: Rules) -> NDArray[np.int32]:
    """Write a text after a prompt as far as the environment lets it go on: the observation (P+T,).

    Raises:
        ArgumentError: a policy cannot write it there.
    """
    place = rules.prompts.places[prompt]
    start = rules.prompts.tokens[prompt]
    try:
        row, _, _ = write_completion(text, start, rules, place)
    except ArgumentError:
        if text == text.lstrip():
            raise
        # Some vocabularies have no space.
        row, _, _ = write_completion(text.lstrip(), start, rules, place)
    if rules.restricted:
        allowed_tokens(row, rules, place)
    return row


def earnings(texts: Sequence[str | None], index: NDArray[np.int64], rules: Rules) -> NDArray[np.float64]:
    """Let the environment pay for texts after prompts: (n,), NaN where there is no text or no policy can write it there.

    Each is written token by token, so it ends where the task's stop rule or its last column would end it.
    """
    earned = np.full(len(index), np.nan)
    rows = []
    for place, (text, prompt) in enumerate(zip(texts, index.tolist(), strict=True)):
        try:
            row = None if text is None else _write(text, prompt, rules)
        except ArgumentError:
            row = None
        if row is not None:
            rows.append(row)
            earned[place] = 0
    if rows:
        observations = np.stack(rows)
        lengths = (observations[:, rules.prompt_columns :] >= 0).sum(1)
        outcome = rules.outcome(observations, lengths, index[~np.isnan(earned)])
        earned[~np.isnan(earned)] = outcome.scores - outcome.penalties
    return earned


# The probe


def gaming(id: str, *, answers: Mapping[str, Answer] | None = None, **arguments: Any) -> Gaming:
    """Compute what answers that game an environment's reward earn, beside what the model of the environment writes.

    The games are `GAMES`, the best of the model's answers negated, and one of the model's answers given to every prompt.
    Prompts are up to 64, drawn with a fixed seed, fewer where answers are long; an environment without a model is tried
    with the empty and with constant answers only.

    Args:
        id: of a registered environment.
        answers: games of one's own, by name.
        **arguments: of `gymnasium.make`.

    Raises:
        ArgumentError: nothing is registered under the id, or an argument is unknown.
        RewardError: the reward fails.
    """
    # A potential says when a score is paid, not how high it is, and is asked about every token.
    envs: Any = gymnasium.make_vec(id, num_envs=ENVS, **{**arguments, "potential": None})
    rules = envs.unwrapped.rules
    index = some_prompts(rules)
    each = np.repeat(index, SAMPLES)
    episodes = collect(LanguagePolicy.for_rules(rules), envs, len(each), seed=0, prompt_index=each)
    late = np.array([reason == "length" for reason in episodes.finish_reasons])
    own = (episodes.scores.numpy() - rules.task.missing_eos_penalty * late).reshape(-1, SAMPLES)
    completions = np.array(episodes.completions, dtype=object).reshape(-1, SAMPLES)
    toy = rules.task.model is None
    texts = standard_texts(rules, index)
    if toy:
        texts = {name: texts[name] for name in list(texts)[:1]}
    else:
        texts[NEGATED] = [negated(text) for text in completions[np.arange(len(index)), own.argmax(1)]]
    texts |= {name: texts_of(answer, rules, index) for name, answer in (answers or {}).items()}
    games = {name: earnings(each, index, rules) for name, each in texts.items()}
    constant, games[CONSTANT] = _best_constant(rules, index, own, completions)
    tried = {name: earned for name, earned in games.items() if not np.isnan(earned).all()}
    return Gaming(own=own, games=tried, constant=constant, toy=toy)


def some_prompts(rules: Rules) -> NDArray[np.int64]:
    """Draw different prompts, as many as the model can answer in a few seconds."""
    affordable = TOKENS // (SAMPLES * (rules.response_columns + rules.prompt_columns // 4))
    count = min(MOST_PROMPTS, max(FEWEST_PROMPTS, affordable))
    return np.random.default_rng(0).permutation(len(rules.prompts.texts))[:count]


def _best_constant(
    rules: Rules, index: NDArray[np.int64], own: NDArray[np.float64], completions: NDArray[np.object_]
) -> tuple[str | None, NDArray[np.float64]]:
    """Choose the answer that earns most on the first half of the prompts, of those that earned most there as the model wrote them.

    Returns:
        The answer, None with fewer than four prompts or where none can be written to all; and what it earns on the
        second half: (n,), NaN on the first.
    """
    earned = np.full(len(index), np.nan)
    half = len(index) // 2
    if half < 2:
        return None, earned
    order = np.argsort(-own[:half], axis=1, kind="stable")  # (half, k), the best of each prompt first
    ranked = np.take_along_axis(completions[:half], order, axis=1).T.ravel()
    candidates = list(dict.fromkeys(ranked.tolist()))[:CONSTANTS]
    means = np.array([earnings([text] * half, index[:half], rules).mean() for text in candidates])
    if np.isnan(means).all():
        return None, earned
    constant = str(candidates[int(np.nanargmax(means))])
    rest = index[half:]
    earned[half:] = earnings([constant] * len(rest), rest, rules)
    return constant, earned


# For the tests of an environment


def check_gaming(
    id: str,
    honest: Mapping[str, str] | Answer,
    games: Mapping[str, Answer | None] | None = None,
    **arguments: Any,
) -> dict[str, float]:
    """Test that answers that game a reward earn clearly less than answers that are honest, if mediocre.

    Beside `GAMES`, the honest answers are negated, and each of them is given to all the other prompts. A game is compared with
    the honest answer to each prompt to which it can be written, and must earn less by two standard errors of these
    differences; honest answers that are negated may earn three quarters at most. No model plays, so it takes as long as
    the reward does.

    Args:
        id: of a registered environment.
        honest: an answer to each of some prompts, by prompt; or a function of a prompt's row, for up to 64 prompts.
        games: games of one's own, by name; None takes one out that is no game here, such as declining what should be declined.
        **arguments: of `gymnasium.make`.

    Returns:
        What each earns on average, by name, the honest answers first; games that no policy can write there are left out.

    Raises:
        ContractError: a game earns not clearly less than the honest answers; the message names all such games.
        ArgumentError: an honest answer is to no prompt of the environment, or is not one that a policy can write there in full.
    """
    environment: Any = gymnasium.make(id, **arguments)
    rules: Rules = environment.unwrapped.rules
    index = _prompts_of(rules, honest)
    texts = texts_of(honest if not isinstance(honest, Mapping) else lambda row: honest[row["prompt"]], rules, index)
    _require_whole(texts, index, rules)
    earned = earnings(texts, index, rules)
    tried = standard_texts(rules, index) | {NEGATED_HONEST: [negated(text or "") for text in texts]}
    own = dict(games or {})
    for name, answer in own.items():
        if answer is not None:
            tried[name] = texts_of(answer, rules, index)
        elif name not in (*tried, CONSTANT):
            raise ArgumentError(f'There is no game "{name}" to take out.{did_you_mean(name, [*tried, CONSTANT])}')
    scores = {name: earnings(answers, index, rules) for name, answers in tried.items() if own.get(name, name) is not None}
    if CONSTANT not in own:
        scores[CONSTANT] = _best_of_others(texts, index, rules)
    means = {HONEST: float(earned.mean())}
    faults = []
    for name, values in scores.items():
        written = ~np.isnan(values)
        if written.any():
            means[name] = float(values[written].mean())
            fault = _fault(name, values[written], earned[written])
            faults += [fault] if fault else []
    if faults:
        raise ContractError(f"{id}: the reward pays not clearly less for answers that game it than for honest ones: {'; '.join(faults)}.")
    return means


def _fault(name: str, game: NDArray[np.float64], honest: NDArray[np.float64]) -> str | None:
    """Return what a game and honest answers to the same prompts, (n,) each, earn where the game earns too much."""
    both = f"{_number(game.mean())} for {name}, {_number(honest.mean())} for {HONEST}"
    if game.mean() >= honest.mean():
        return both
    if not _clearly_positive(honest - game):
        lead, se, prompts = _mean(honest - game)
        return f"{both}, {_number(lead)} more with a standard error of {_number(se)} over {prompts} prompts"
    if name == NEGATED_HONEST and game.mean() > SPARED * honest.mean():
        return f"{both}, of which at most {SPARED:.0%} may be left"
    return None


def _prompts_of(rules: Rules, honest: Mapping[str, str] | Answer) -> NDArray[np.int64]:
    """Choose the prompts to which there are honest answers."""
    if not isinstance(honest, Mapping):
        return np.random.default_rng(0).permutation(len(rules.prompts.texts))[:MOST_PROMPTS]
    if not honest:
        raise ArgumentError("honest holds no answers; give one to each of some prompts.")
    for prompt in honest:
        if prompt not in rules.prompts.texts:
            raise ArgumentError(f"honest: {shown(prompt)} is no prompt of the environment.{did_you_mean(prompt, rules.prompts.texts)}")
    return np.array([rules.prompts.texts.index(prompt) for prompt in honest])


def _require_whole(texts: Sequence[str | None], index: NDArray[np.int64], rules: Rules) -> None:
    """Refuse honest answers that no policy can write, or not to their end."""
    for text, prompt in zip(texts, index.tolist(), strict=True):
        place = rules.prompts.places[prompt]
        if text is None:
            raise ArgumentError(f"{place}: there is no honest answer; give a text.")
        row = _write(text, prompt, rules)[None]
        written = rules.completions(row, (row[:, rules.prompt_columns :] >= 0).sum(1))[0]
        if written.strip() != text.strip():
            raise ArgumentError(f"{place}: the environment ends the honest answer {_quoted(text)} after {_quoted(written)}; shorten it.")


def _best_of_others(texts: Sequence[str | None], index: NDArray[np.int64], rules: Rules) -> NDArray[np.float64]:
    """Give each of the first 32 answers to all prompts that have another: (n,) of the one that earns most, NaN at its own prompts."""
    best, highest = np.full(len(index), np.nan), -np.inf
    for text in list(dict.fromkeys(texts))[:CONSTANTS]:
        earned = earnings([None if own == text else text for own in texts], index, rules)
        written = ~np.isnan(earned)
        if written.any() and earned[written].mean() > highest:
            best, highest = earned, earned[written].mean()
    return best
