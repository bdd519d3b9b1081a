"""Rewards made of rewards, by hand and in an environment."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import pytest

import textenv
from textenv.envs.registry import task_of
from textenv.envs.vector import text_envs
from textenv.errors import ArgumentError, LoadError, RewardError
from textenv.rewards.composition import Affine, BestReference, ByColumn, Clip, Product, WeightedSum, calibrated
from textenv.rewards.loading import load_reward
from textenv.rewards.metrics import RougeL, WordF1, WordOverlap
from textenv.rewards.protocol import call_reward, require_columns
from textenv.rewards.rules import Contains, Length

PROMPTS = ["Say yes:", "Say no:"]
COMPLETIONS = ["yes yes", "yes"]
COLUMNS: dict[str, list[Any]] = {"answer": ["yes", "no"], "unused": [1, 2]}


def right(completions: Sequence[str], answer: Sequence[str]) -> list[float]:
    """A function with a column; like TRL's, it is called by keyword."""
    return [float(a in text) for a, text in zip(answer, completions, strict=True)]


def anything(completions: Sequence[str], **columns: Any) -> list[float]:
    """Takes whatever there is."""
    return [float(len(columns)) for _ in completions]


def by_piece(pieces: Sequence[Sequence[str]]) -> list[list[float]]:
    """Has one value a piece."""
    return [[0.0 for _ in row] for row in pieces]


def half(prompts: Sequence[str]) -> list[float]:
    """Is always the same."""
    return [0.5 for _ in prompts]


def test_a_weighted_sum_reports_its_parts_unweighted() -> None:
    reward = WeightedSum({"right": (0.75, right), "short": (0.25, Length(1, 1)), "there": (-0.5, anything)})
    copy = pickle.loads(pickle.dumps(reward))
    found = call_reward(copy, PROMPTS, COMPLETIONS, COLUMNS)
    assert found.scores.tolist() == [0.75 - 1.5, 0.25 - 1.5]
    assert {name: part.tolist() for name, part in found.parts.items()} == {"right": [1, 0], "short": [0, 1], "there": [3, 3]}


def test_a_product_is_zero_where_a_part_is() -> None:
    found = call_reward(Product({"right": right, "half": half, "words": Length(1, 4)}), PROMPTS, COMPLETIONS, COLUMNS)
    assert found.scores.tolist() == [0.5, 0.0]
    assert found.parts["words"].tolist() == [1.0, 1.0]


def test_parts_of_parts_have_both_names() -> None:
    inner = WeightedSum({"right": (2.0, right), "half": (1.0, half)})
    found = call_reward(Product({"style": Affine(Clip(inner), gain=-1.0, bias=3.0), "half": half}), PROMPTS, COMPLETIONS, COLUMNS)
    assert found.scores.tolist() == [1.0, 1.25]
    assert {name: part.tolist() for name, part in found.parts.items()} == {
        "style": [2.0, 2.5],
        "style_right": [1.0, 0.0],
        "style_half": [0.5, 0.5],
        "half": [0.5, 0.5],
    }


def test_clip_and_affine_by_hand() -> None:
    assert call_reward(Clip(anything, low=-1.0, high=2.5), PROMPTS, COMPLETIONS, COLUMNS).scores.tolist() == [2.5, 2.5]
    assert call_reward(Clip(half, low=0.75, high=2.0), PROMPTS, COMPLETIONS).scores.tolist() == [0.75, 0.75]
    assert call_reward(Affine(half, gain=4.0, bias=-1.0), PROMPTS, COMPLETIONS).scores.tolist() == [1.0, 1.0]


def test_names_are_loaded() -> None:
    alone = load_reward("tiny-sentiment-judge")(prompts=PROMPTS, completions=COMPLETIONS)
    found = call_reward(WeightedSum({"judge": (1.0, "tiny-sentiment-judge")}), PROMPTS, COMPLETIONS)
    np.testing.assert_array_equal(found.scores, alone)


@dataclass(frozen=True)
class OnGPU:
    """1 where its device is a GPU; it computes nothing there."""

    device: str = "cpu"

    def __call__(self, completions: Sequence[str]) -> list[float]:
        return [float(self.device == "cuda") for _ in completions]


def test_a_device_reaches_the_parts() -> None:
    reward = Clip(Affine(WeightedSum({"sum": (1.0, OnGPU()), "product": (1.0, Product({"inner": OnGPU()}))})), high=9.0)
    assert call_reward(load_reward(reward, device="cuda"), PROMPTS, COMPLETIONS).scores.tolist() == [2.0, 2.0]
    assert call_reward(load_reward(reward), PROMPTS, COMPLETIONS).scores.tolist() == [0.0, 0.0]
    chosen = OnGPU("cuda")
    assert load_reward(chosen) is chosen


def test_columns_of_the_parts_are_those_of_the_whole() -> None:
    reward = Clip(Product({"a": WeightedSum({"right": (1.0, right)}), "b": Affine(half), "c": "tiny-sentiment-judge"}))
    assert reward.columns == ("answer",)
    require_columns(reward, ["answer"])
    with pytest.raises(ArgumentError, match='The reward Clip needs the column "answer", which the prompts lack; they have: prompt, title'):
        require_columns(reward, ["title"])


def test_an_environment_shows_the_parts() -> None:
    reward = WeightedSum({"length": (0.5, Length(1, 3)), "a": (0.5, Contains(["a"]))})
    env = gymnasium.make("TextCopy-v0", reward=reward)
    env.reset(seed=0)
    info: dict[str, Any] = {}
    while "score" not in info:
        info = env.step(0)[4]
    assert info["score"] == 0.5 * info["score_length"] + 0.5 * info["score_a"]
    assert info["score_length"] == 1.0


def test_a_part_that_fails_is_named() -> None:
    def broken(completions: Sequence[str]) -> list[float]:
        raise KeyError("vader")

    with pytest.raises(RewardError, match=r"^The reward broken raised KeyError: 'vader' .first of 2 texts"):
        call_reward(Product({"good": half, "bad": broken}), PROMPTS, COMPLETIONS)
    with pytest.raises(RewardError, match='The reward right needs "answer", which is no column of the prompts'):
        call_reward(Product({"right": right}), PROMPTS, COMPLETIONS)


def test_calibration_gives_mean_0_and_deviation_1() -> None:
    scores = [1.0, 2.0, 4.0, 5.0]
    reward = calibrated(half, scores)
    assert reward.gain * np.array(scores) + reward.bias == pytest.approx(np.array([-2.0, -1.0, 1.0, 2.0]) / np.sqrt(2.5))
    assert call_reward(reward, PROMPTS, COMPLETIONS).scores == pytest.approx(-2.5 / np.sqrt(2.5))


def test_calibration_on_the_episodes_of_a_policy() -> None:
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=16)
    policy = textenv.LanguagePolicy.for_rules(text_envs(envs).rules)
    before = textenv.collect(policy, envs, 64, seed=0)
    reward = calibrated(task_of("TextCopy-v0").reward, before.scores)
    scores = textenv.collect(policy, gymnasium.make_vec("TextCopy-v0", num_envs=16, reward=reward), 64, seed=0).scores
    assert scores.mean().item() == pytest.approx(0, abs=1e-6)
    assert scores.std(correction=0).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scores", [[], [1.0], [0.1] * 10, [1.0, float("nan")], [[1.0, 2.0]]])
def test_scores_that_calibrate_nothing_are_refused(scores: Any) -> None:
    with pytest.raises(ArgumentError, match="calibrated needs two or more finite scores that differ, got"):
        calibrated(half, scores)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeightedSum({}), r"WeightedSum needs a dictionary of named parts, got \{\}"),
        (lambda: Product([half]), r"Product needs a dictionary of named parts, got \[<function"),  # type: ignore[arg-type]
        (lambda: Product({"two words": half}), "Product cannot call a part 'two words'; use a name such as"),
        (lambda: Product({"se": half}), "Product cannot call a part 'se'"),
        (lambda: WeightedSum({"half": half}), "WeightedSum needs a pair of weight and reward as half, got <function"),  # type: ignore[dict-item]
        (lambda: WeightedSum({"half": ("1", half)}), "WeightedSum needs a finite number as the weight of half, got '1'"),  # type: ignore[dict-item]
        (lambda: WeightedSum({"half": (True, half)}), "WeightedSum needs a finite number as the weight of half, got True"),
        (lambda: WeightedSum({"half": (float("nan"), half)}), "WeightedSum needs a finite number as the weight of half, got nan"),
        (lambda: Product({"half": 0.5}), "Product is made of rewards: names, paths or callables; 0.5 is none"),  # type: ignore[dict-item]
        (lambda: Product({"pieces": by_piece}), "Product takes rewards with one value a text; by_piece returns one a piece"),
        (lambda: Clip(half, low=1.0), "Clip needs low below high, got low=1.0 and high=1.0"),
        (lambda: Clip(half, low="0"), "Clip needs a finite number as low, got '0'"),  # type: ignore[arg-type]
        (lambda: Affine(half, gain=float("inf")), "Affine needs a finite number as gain, got inf"),
    ],
)
def test_bad_arguments_are_refused_at_construction(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_an_unknown_name_is_refused_at_construction() -> None:
    with pytest.raises(LoadError, match='"tiny-sentimnt" is no embedded reward and no local path'):
        Product({"sentiment": "tiny-sentimnt"})


def test_each_value_of_a_column_has_its_reward() -> None:
    reward = ByColumn("kind", {"long": Length(3, 5), "short": Length(1, 1)})
    assert reward.columns == ("kind",)
    kinds = ["long", "short", "long"]
    scores = call_reward(reward, ["p"] * 3, ["a b c", "a", "a"], {"kind": kinds})
    assert scores.scores == pytest.approx([1, 1, 1 / 3])


def test_the_rewards_of_a_column_get_their_own_rows_of_the_others() -> None:
    reward = ByColumn("kind", {"a": RougeL(), "b": WordOverlap("topic")})
    assert set(reward.columns) == {"kind", "reference", "topic"}
    columns = {"kind": ["b", "a"], "reference": ["x", "one two"], "topic": ["sea", "y"]}
    assert call_reward(reward, ["p", "p"], ["the sea", "one two"], columns).scores == pytest.approx([1, 1])


def test_a_value_without_a_reward_is_named() -> None:
    with pytest.raises(RewardError, match="\"kind\" holds 'c', for which there is no reward, only for a"):
        call_reward(ByColumn("kind", {"a": RougeL()}), ["p"], ["t"], {"kind": ["c"], "reference": ["r"]})
    with pytest.raises(ArgumentError, match="ByColumn needs a dictionary"):
        ByColumn("kind", {})
    with pytest.raises(ArgumentError, match="ByColumn is made of rewards"):
        ByColumn("kind", {"a": 3})  # type: ignore[dict-item]


def test_the_best_reference_counts() -> None:
    reward = BestReference(Product({"order": RougeL(), "words": WordF1()}))
    assert reward.columns == ("accepted",)
    accepted = [["Tom ran home.", "Home is where Tom ran."], ["Lily sat down."], ["a", "b", "one two"]]
    texts = ["Home is where Tom ran.", "Lily sat", "one two"]
    scored = call_reward(reward, ["p"] * 3, texts, {"accepted": accepted})
    assert scored.scores == pytest.approx([1, 4 / 5 * scored.parts["words"][1], 1])
    assert scored.parts["order"] == pytest.approx([1, 4 / 5, 1])
    alone = [call_reward(reward, ["p"], [text], {"accepted": [row]}).scores[0] for text, row in zip(texts, accepted, strict=True)]
    assert scored.scores == pytest.approx(alone)
    assert call_reward(reward, [], [], {"accepted": []}).scores.tolist() == []


def test_the_other_columns_stay_with_their_rows() -> None:
    reward = BestReference(Product({"right": RougeL(), "topic": WordOverlap("topic")}), column="answers")
    assert reward.columns == ("answers", "topic")
    columns: dict[str, list[Any]] = {"answers": [["x", "the sea"], ["y"]], "topic": ["sea", "y"]}
    assert call_reward(reward, ["p", "p"], ["the sea", "y"], columns).scores == pytest.approx([1, 1])


@pytest.mark.parametrize("references", [[], "a text", None, 3])
def test_something_else_than_references_is_named(references: Any) -> None:
    with pytest.raises(RewardError, match='The column "accepted" must hold lists of one or more references, got '):
        call_reward(BestReference(RougeL()), ["p"], ["t"], {"accepted": [references]})
    with pytest.raises(ArgumentError, match="BestReference is made of rewards"):
        BestReference(3)  # type: ignore[arg-type]


def test_references_that_the_reward_would_not_read_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r'compares with the column "reference", got WordF1\(column=.answer.'):
        BestReference(WordF1(column="answer"))
