"""What holds for every episode of a task."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import tokenizers.decoders
import tokenizers.models
import tokenizers.pre_tokenizers
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from textenv.envs.rules import Outcome, Rules
from textenv.envs.single import TextEnv
from textenv.envs.task import Task
from textenv.errors import ArgumentError, LoadError, RewardError
from textenv.models.loading import load_tokenizer, toy_tokenizer
from textenv.rewards.protocol import Scores

EOS = 3


def count_a(completions: Sequence[str]) -> list[float]:
    return [float(text.count("a")) for text in completions]


def judge(rules: Rules, *responses: Sequence[int], prompt: int = 0) -> Outcome:
    """Ask for the outcome of finished or running responses to one prompt."""
    rows = np.full((len(responses), rules.width), -1, dtype=np.int32)
    rows[:, : rules.prompt_columns] = rules.prompts.tokens[prompt]
    for row, response in zip(rows, responses, strict=True):
        row[rules.prompt_columns : rules.prompt_columns + len(response)] = response
    return rules.outcome(rows, np.array([len(response) for response in responses]), np.full(len(responses), prompt))


def reasons(outcome: Outcome) -> list[str]:
    return [info["finish_reason"] for info in outcome.infos]


def test_shapes_of_a_task(toy: Callable[..., Task]) -> None:
    rules = Rules(toy(max_prompt_tokens=4))
    assert (rules.vocabulary, rules.contract.end, rules.prompt_columns, rules.response_columns, rules.width) == (4, EOS, 4, 3, 7)
    assert rules.start_info(2) == {"prompt": "bab", "prompt_index": 2, "prompt_tokens_dropped": 0}
    cut = Rules(toy(max_prompt_tokens=2, on_long_prompt="truncate"))
    assert cut.start_info(2) == {
        "prompt": "ab",
        "prompt_index": 2,
        "prompt_tokens_dropped": 1,
    }


def test_ends_and_their_reasons(toy: Callable[..., Task]) -> None:
    outcome = judge(Rules(toy(missing_eos_penalty=0.5)), [0, 0], [EOS], [0, EOS], [0, 0, 1], [0, 0, EOS], [2])
    assert outcome.ended.tolist() == [False, True, True, True, True, False]
    assert reasons(outcome) == ["eos", "eos", "length", "eos"]
    assert outcome.scores.tolist() == [0, 1, 2, 2]
    assert outcome.penalties.tolist() == [0, 0, 0.5, 0]
    assert [info["completion"] for info in outcome.infos] == ["", "a", "aab", "aa"]
    assert [info["length"] for info in outcome.infos] == [1, 2, 3, 3]


@pytest.mark.parametrize("stop", [".", ["..", "."], lambda completion: completion.endswith(".")], ids=["string", "list", "function"])
def test_stop_rules_end_an_episode(toy: Callable[..., Task], stop: Any) -> None:
    outcome = judge(Rules(toy(stop=stop, missing_eos_penalty=0.5)), [2], [0, 2], [0, 0], [0, 0, 2], [0, 0, 0], [EOS])
    assert outcome.ended.tolist() == [True, True, False, True, True, True]
    assert reasons(outcome) == ["stop", "stop", "stop", "length", "eos"]
    assert outcome.penalties.tolist() == [0, 0, 0, 0.5, 0]


def test_an_end_of_text_goes_before_a_stop_rule(toy: Callable[..., Task]) -> None:
    assert reasons(judge(Rules(toy(stop=lambda completion: completion == "")), [EOS])) == ["eos"]


def test_a_stop_rule_reads_the_completion_not_the_prompt(toy: Callable[..., Task]) -> None:
    rules = Rules(toy(prompts=["b."], stop="."))
    assert judge(rules, [0], [2]).ended.tolist() == [False, True]


@pytest.mark.parametrize("least", [0, 1, 2, 3])
def test_an_early_end_of_text_is_written_and_does_not_end(toy: Callable[..., Task], least: int) -> None:
    rules = Rules(toy(min_new_tokens=least))
    lengths = np.array([0, 1, 2])
    masks = rules.action_masks(np.full((3, 6), 0, dtype=np.int32), lengths)
    assert masks[:, EOS].tolist() == (lengths >= least).tolist()
    assert masks[:, :EOS].all()
    responses = [[EOS], [0, EOS], [0, EOS, EOS]]
    outcome = judge(rules, *responses)
    assert outcome.ended.tolist() == [least < 1, least < 2, True]
    assert reasons(outcome)[-1] == ("eos" if least < 3 else "length")
    assert outcome.infos[-1]["completion"] == "a"


def test_special_tokens_are_banned_and_the_end_of_text_is_not(toy: Callable[..., Task]) -> None:
    tokenizer: Any = toy_tokenizer("ab.")
    tokenizer.add_special_tokens({"pad_token": "<pad>", "additional_special_tokens": ["<sep>"]})
    rules = Rules(toy(tokenizer=tokenizer))
    assert rules.vocabulary == 6
    assert rules.allowed.tolist() == [True, True, True, True, False, False]
    outcome = judge(rules, [0, 5, 4], [5])  # played anyway, they are written
    assert outcome.ended.tolist() == [True, False]
    assert outcome.infos[0]["completion"] == "a"


def test_a_tokenizer_needs_an_end_of_text(toy: Callable[..., Task]) -> None:
    tokenizer: Any = toy_tokenizer("ab")
    tokenizer.eos_token = None
    with pytest.raises(ArgumentError, match="no end-of-text token"):
        Rules(toy(tokenizer=tokenizer))
    with pytest.raises(LoadError, match="no-such-tokenizer"):
        Rules(toy(tokenizer="no-such-tokenizer"))
    with pytest.raises(ArgumentError, match="tokenizer must be a name, a path or a tokenizer of transformers, got int"):
        Rules(toy(tokenizer=3))


def test_a_tokenizer_may_be_a_folder(toy: Callable[..., Task], tmp_path: Path) -> None:
    toy_tokenizer("ab").save_pretrained(tmp_path)
    assert (Rules(toy(tokenizer=tmp_path)).vocabulary, Rules(toy(tokenizer=str(tmp_path))).vocabulary) == (3, 3)


def no_double(observation: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Forbid to write the same token twice in a row, and the end of text after a b."""
    last = observation[observation >= 0][-1]
    mask: NDArray[np.bool_] = np.arange(4) != last
    mask[EOS] = last != 1
    return mask


def test_an_action_mask_restricts_and_holds_back_the_end(toy: Callable[..., Task]) -> None:
    rules = Rules(toy(action_mask=no_double, prompts=["ab"]))
    rows = np.array([[-1, 0, 1, -1, -1, -1], [-1, 0, 1, 0, -1, -1], [-1, 0, 1, 0, 2, -1]], dtype=np.int32)
    masks = rules.action_masks(rows, np.array([0, 1, 2]))
    assert masks.tolist() == [[True, False, True, False], [False, True, True, True], [True, True, False, True]]
    outcome = judge(rules, [EOS], [0, EOS], [0, 1, EOS], [0, 0])
    assert outcome.ended.tolist() == [False, True, True, False]  # a forbidden token is written, a forbidden end does not end
    assert reasons(outcome) == ["eos", "length"]
    rows[0, 0] = 7
    assert rules.action_masks(rows, np.array([0, 1, 2])) is not rules.allowed
    assert rules.allowed.all()


def test_an_action_mask_joins_the_other_bans(toy: Callable[..., Task]) -> None:
    rules = Rules(toy(action_mask=lambda observation: np.array([False, True, True, True]), min_new_tokens=1))
    row = np.array([[-1, 0, 1, -1, -1, -1]], dtype=np.int32)
    assert rules.action_masks(row, np.array([0])).tolist() == [[False, True, True, False]]
    assert rules.action_masks(row, np.array([1])).tolist() == [[False, True, True, True]]


def test_an_action_mask_may_write_into_what_it_gets(toy: Callable[..., Task]) -> None:
    def careless(observation: NDArray[np.int32]) -> NDArray[np.bool_]:
        observation[:] = 2
        return np.ones(4, dtype=np.bool_)

    rules = Rules(toy(action_mask=careless))
    row = np.array([[-1, 0, 1, -1, -1, -1]], dtype=np.int32)
    rules.action_masks(row, np.array([0]))
    assert row.tolist() == [[-1, 0, 1, -1, -1, -1]]


@pytest.mark.parametrize("mask", [[True] * 3, [1, 1, 1, 1], [False] * 4, None])
def test_an_action_mask_of_another_form_is_refused(toy: Callable[..., Task], mask: Any) -> None:
    rules = Rules(toy(action_mask=lambda observation: np.array(mask)))
    with pytest.raises(ArgumentError, match="action_mask must return 4 booleans"):
        rules.action_masks(np.zeros((1, 6), dtype=np.int32), np.array([0]))


def test_a_reward_gets_texts_and_the_columns_it_names(toy: Callable[..., Task]) -> None:
    seen: dict[str, Any] = {}

    def reward(prompts: list[str], completions: list[str], topic: list[str], weight: list[float]) -> list[float]:
        seen.update(prompts=prompts, completions=completions, topic=topic)
        return weight

    rows = [{"prompt": "a", "topic": "x", "weight": 0.5, "other": 0}, {"prompt": "b", "topic": "y", "weight": 2.0, "other": 1}]
    rules = Rules(toy(prompts=rows, reward=reward))
    outcome = judge(rules, [0, EOS], [1, EOS], [0], prompt=1)
    assert seen == {"prompts": ["b", "b"], "completions": ["a", "b"], "topic": ["y", "y"]}
    assert outcome.scores.tolist() == [2.0, 2.0]


def test_a_reward_with_kwargs_gets_every_column(toy: Callable[..., Task]) -> None:
    seen: dict[str, Any] = {}

    def reward(completions: list[str], **kwargs: Any) -> list[float]:
        seen.update(kwargs)
        return [0.0] * len(completions)

    judge(Rules(toy(prompts=[{"prompt": "a", "topic": "x"}], reward=reward)), [EOS])
    assert seen == {"prompts": ["a"], "topic": ["x"]}


def test_a_reward_by_pieces_is_summed_and_shown(toy: Callable[..., Task]) -> None:
    seen: list[list[list[str]]] = []

    def by_piece(completions: list[str], pieces: list[list[str]]) -> list[list[float]]:
        seen.append(pieces)
        return [[0.5 if piece == "a" else -0.25 for piece in row] for row in pieces]

    outcome = judge(Rules(toy(reward=by_piece)), [0, 1, 0], [0, EOS], [1])
    assert seen == [[["a", "b", "a"], ["a", ""]]]
    assert outcome.scores.tolist() == [0.75, 0.25]
    assert [info["score"] for info in outcome.infos] == [0.75, 0.25]
    assert [info["token_scores"].tolist() for info in outcome.infos] == [[0.5, -0.25, 0.5], [0.5, -0.25, 0.0]]


def test_a_reward_by_pieces_through_the_env(toy: Callable[..., Task]) -> None:
    env = TextEnv(toy(reward=lambda pieces: [[1.0] * len(row) for row in pieces]))
    env.reset(seed=0)
    assert env.step(np.int64(0))[1] == 0.0
    _, reward, _, _, info = env.step(np.int64(EOS))
    assert reward == info["score"] == 2.0
    assert info["token_scores"].tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("rows", [[[1.0]], [1.0, 2.0], [[1.0], [1.0]], None], ids=["too few", "flat", "too short", "none"])
def test_a_reward_by_pieces_must_fit(toy: Callable[..., Task], rows: Any) -> None:
    def by_piece(pieces: list[list[str]]) -> Any:
        return rows

    with pytest.raises(RewardError, match="by_piece"):
        judge(Rules(toy(reward=by_piece)), [0, EOS], [1, EOS])


def test_nothing_is_scored_while_nothing_ends(toy: Callable[..., Task]) -> None:
    def never(completions: list[str]) -> list[float]:
        raise AssertionError("called")

    outcome = judge(Rules(toy(reward=never)), [0], [1, 2])
    assert not outcome.ended.any()
    assert (len(outcome.scores), len(outcome.penalties), outcome.infos) == (0, 0, [])


def test_a_mask_that_leaves_nothing_is_refused(toy: Callable[..., Task]) -> None:
    rules = Rules(toy(min_new_tokens=1, action_mask=lambda observation: np.arange(4) == 3))  # only the end of text
    with pytest.raises(ArgumentError, match="allows nothing but"):
        rules.action_masks(np.full((1, rules.width), -1, dtype=np.int32), np.zeros(1, dtype=np.int64))


def test_a_completion_keeps_the_space_before_its_first_word() -> None:
    pieces = tokenizers.Tokenizer(tokenizers.models.WordLevel({"▁I": 0, "▁said": 1, "▁hello": 2, "</s>": 3}, unk_token="</s>"))
    pieces.pre_tokenizer, pieces.decoder = tokenizers.pre_tokenizers.Metaspace(), tokenizers.decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token="</s>")
    seen: list[str] = []

    def reward(completions: list[str], pieces: list[list[str]]) -> list[list[float]]:
        seen.extend([*completions, *pieces[0]])
        return [[0.0] * len(row) for row in pieces]

    task = Task(prompts=["I said"], reward=reward, tokenizer=tokenizer, max_prompt_tokens=2, max_new_tokens=3)
    Rules(task).outcome(np.array([[0, 1, 2, 2, 3]], dtype=np.int32), np.array([3]), np.array([0]))
    assert seen == [" hello hello", " hello", " hello", ""]


def test_a_character_of_several_tokens_is_one_piece() -> None:
    text = " a ☃!"
    response: list[int] = load_tokenizer("tiny-en")(text)["input_ids"]
    seen: list[list[str]] = []

    def by_piece(pieces: list[list[str]]) -> list[list[float]]:
        seen.extend(pieces)
        return [[0.0] * len(row) for row in pieces]

    rules = Rules(Task(prompts=["It was"], reward=by_piece, tokenizer="tiny-en", max_prompt_tokens=4, max_new_tokens=len(response)))
    judge(rules, response)
    assert "".join(seen[0]) == text
    assert len(seen[0]) == len(response) > len(text)
    assert [piece for piece in seen[0] if piece] == [" a", " ", "☃", "!"]


def in_parts(completions: Sequence[str]) -> Scores:
    counts = [[float(text.count(letter)) for text in completions] for letter in "ab"]
    return Scores([a - b for a, b in zip(*counts, strict=True)], parts={"good": counts[0], "bad": counts[1]})


def test_parts_of_a_score_are_told_apart(toy: Callable[..., Task]) -> None:
    infos = judge(Rules(toy(reward=in_parts)), [0, 0, 1], [0], [1, EOS]).infos
    assert [(info["score"], info["score_good"], info["score_bad"]) for info in infos] == [(1, 2, 1), (-1, 0, 1)]


def hopes(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    return [1.5 + len(prompt) - text.count("b") for prompt, text in zip(prompts, completions, strict=True)]


def test_a_potential_pays_unfinished_texts_what_it_has_grown(toy: Callable[..., Task]) -> None:
    rows = ([0], [0, 1], [0, 0, 1], [0, EOS], [1])
    plain, shaped = (judge(Rules(toy(missing_eos_penalty=0.5, potential=potential)), *rows, prompt=2) for potential in (None, hopes))
    assert plain.worth.tolist() == [0, 0, 1.5, 1, 0]
    assert shaped.worth.tolist() == [0, -1, 1.5, 1, -1]
    assert shaped.scores.tolist() == plain.scores.tolist() == [2, 1]
    assert shaped.infos == plain.infos
    assert judge(Rules(toy(potential=count_a)), [0], [0, 1]).worth.tolist() == [1, 1]


@pytest.mark.parametrize("fields", [{"reward": lambda pieces: pieces, "potential": count_a}, {"potential": lambda pieces: pieces}])
def test_a_reward_by_pieces_pays_by_itself(toy: Callable[..., Task], fields: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="A reward by pieces says itself what each token earns"):
        Rules(toy(**fields))


def needs_topic(completions: Sequence[str], topic: Sequence[str]) -> list[float]:
    return [float(t in text) for text, t in zip(completions, topic, strict=True)]


@pytest.mark.parametrize("field", ["reward", "judge", "potential"])
def test_a_missing_column_is_missed_at_once(toy: Callable[..., Task], field: str) -> None:
    with pytest.raises(ArgumentError, match='The reward needs_topic needs the column "topic", which the prompts lack; they have: prompt'):
        Rules(toy(**{field: needs_topic}))
    Rules(toy(**{field: needs_topic}, prompts=[{"prompt": "a", "topic": "b"}]))


def test_a_reward_that_changes_a_column_changes_no_later_score(toy: Callable[..., Task]) -> None:
    def grow(completions: Sequence[str], seen: Sequence[Any]) -> list[float]:
        for value in seen:
            value.append(1)
        return [float(len(value)) for value in seen]

    rules = Rules(toy(prompts=[{"prompt": "a", "seen": []}], reward=grow))
    observation = np.array([[-1, -1, 0, 3, -1, -1]], dtype=np.int32)
    scores = [rules.outcome(observation, np.array([1]), np.array([0])).scores.tolist() for _ in range(3)]
    assert scores == [[1.0]] * 3
