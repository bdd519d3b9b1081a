"""How rewards are called and what may come back."""

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from textenv.errors import ArgumentError, RewardError
from textenv.rewards.protocol import Scores, accepted, call_reward, refuse_half_characters, require_columns, reward_name, takes_pieces

PROMPTS = ["Once", "Twice", "Never"]
COMPLETIONS = [" upon", " told", ""]
COLUMNS: dict[str, list[Any]] = {"label": [1, 0, 1], "topic": ["tales", "gossip", "doubt"]}
PIECES = [[" up", "on"], [" told"], [""]]


def by_length(completions: Sequence[str]) -> list[int]:
    return [len(text) for text in completions]


def test_positional_names_are_passed_by_keyword() -> None:
    seen: dict[str, Any] = {}

    def reward(topic: Any, completions: Any, prompts: Any, *, label: Any) -> list[float]:
        seen.update(topic=topic, completions=completions, prompts=prompts, label=label)
        return [0.0, 0.5, 1.0]

    scores, by_piece, _ = call_reward(reward, PROMPTS, COMPLETIONS, COLUMNS)
    assert seen == {"prompts": PROMPTS, "completions": COMPLETIONS, **COLUMNS}
    assert scores.dtype == np.float64
    assert scores.tolist() == [0.0, 0.5, 1.0]
    assert by_piece is None


def test_a_function_for_trl_plugs_in() -> None:
    def trl_reward(completions: list[str], **kwargs: Any) -> list[float]:
        assert set(kwargs) == {"prompts", "label", "topic"}
        return [float(label) for label in kwargs["label"]]

    assert call_reward(trl_reward, PROMPTS, COMPLETIONS, COLUMNS, PIECES)[0].tolist() == [1, 0, 1]


def test_only_what_the_signature_accepts_is_passed() -> None:
    offered = {"prompts": PROMPTS, "completions": COMPLETIONS, **COLUMNS}
    assert accepted(by_length, offered) == {"completions": COMPLETIONS}
    assert accepted(lambda: [1.0], offered) == {}
    assert accepted(lambda completions, weight=2.0: completions, offered) == {"completions": COMPLETIONS}


def test_a_column_cannot_take_the_place_of_the_completions() -> None:
    columns = {"completions": ["a reference text"] * 3, "prompts": ["?"] * 3}
    assert call_reward(by_length, PROMPTS, COMPLETIONS, columns)[0].tolist() == [5, 5, 0]


def test_callables_of_every_kind() -> None:
    class Keyed:
        name = "keyed"

        def __call__(self, completions: Sequence[str]) -> list[int]:
            return by_length(completions)

    class Module(torch.nn.Module):
        def forward(self, completions: Sequence[str], **_: Any) -> torch.Tensor:
            return torch.tensor(by_length(completions), requires_grad=False)

    def weighted(completions: Sequence[str], weight: float) -> list[float]:
        return [weight * len(text) for text in completions]

    kinds: list[Callable[..., Any]] = [
        Keyed(),
        Module(),
        partial(weighted, weight=1.0),
        lambda completions: np.array(by_length(completions)),
    ]
    for reward in kinds:
        assert call_reward(reward, PROMPTS, COMPLETIONS)[0].tolist() == [5, 5, 0]
    assert [reward_name(reward) for reward in (Keyed(), Module(), by_length)] == ["keyed", "Module", "by_length"]


def test_tensors_with_gradient_are_scores_too() -> None:
    weights = torch.ones(3, requires_grad=True)
    assert call_reward(lambda prompts: weights * 2, PROMPTS, COMPLETIONS)[0].tolist() == [2, 2, 2]


def test_pieces_are_scored_one_by_one() -> None:
    def reward(pieces: list[list[str]]) -> list[list[float]]:
        return [[len(piece) / 2 for piece in row] for row in pieces]

    assert takes_pieces(reward)
    assert not takes_pieces(by_length)
    scores, by_piece, _ = call_reward(reward, PROMPTS, COMPLETIONS, COLUMNS, PIECES)
    assert by_piece is not None
    assert [row.tolist() for row in by_piece] == [[1.5, 1.0], [2.5], [0.0]]
    assert scores.tolist() == [2.5, 2.5, 0.0]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([1.0, 2.0], r"returned 2 values for 3 completions, such as 'Once' \+ ' upon'"),
        (None, r"returned None instead of 3 values, for completions such as 'Once' \+ ' upon'"),
        (0.5, r"returned 0.5 instead of 3 values, for completions such as 'Once' \+ ' upon'"),
        ([1.0, None, 2.0], r"returned None, which is no finite number, for the prompt 'Twice' and the completion ' told'"),
        ([1.0, 2.0, float("nan")], "returned nan, which is no finite number, for the prompt 'Never' and the completion ''"),
        ([float("inf"), 2.0, 1.0], "returned inf, which is no finite number, for the prompt 'Once'"),
        (["good", 2.0, 1.0], "returned 'good', which is no finite number, for the prompt 'Once'"),
        (torch.ones(3, 2), "returned tensor.*, which is no finite number, for the prompt 'Once'"),
        (np.ones((3, 2)), r"returned array\(\[1., 1.\]\), which is no finite number, for the prompt 'Once'"),
        (np.ones(3, dtype=complex), r"returned .*1\+0j.*, which is no finite number, for the prompt 'Once'"),
        ([b"1", 2.0, 1.0], "returned b'1', which is no finite number, for the prompt 'Once'"),
        (np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False]), "returned masked, which is no finite number, for the prompt 'Twice'"),
        (np.array([1, 2, 3], "m8[ns]"), "returned .*timedelta.*, which is no finite number, for the prompt 'Once'"),
        ([1.0, 10**400, 1.0], r"returned 10+\.\.\., which is no finite number, for the prompt 'Twice'"),
        ([1.0, 2.0, -1e16], r"returned -1e\+16, which is too large to learn from \(at most 1e\+15, either way\), for the prompt 'Never'"),
        (np.array([[0.0], [1e39], [0.0]]), "returned .*e.39.*, which is too large to learn from .* the completion ' told'; scale it down"),
    ],
)
def test_what_is_no_score_is_named_with_its_text(returned: Any, message: str) -> None:
    def judge(completions: Any) -> Any:
        return returned

    with pytest.raises(RewardError, match=f"The reward judge {message}"):
        call_reward(judge, PROMPTS, COMPLETIONS)


@pytest.mark.parametrize(
    "returned",
    [
        np.array([[1], [2], [-1e15]]),
        torch.tensor([[1.0], [2.0], [-1e15]], dtype=torch.float64),
        [np.array([1.0]), np.float32(2), np.array(-1e15)],
    ],
)
def test_an_array_of_one_number_is_that_number(returned: Any) -> None:
    def judge(completions: Any) -> Any:
        return returned

    assert call_reward(judge, PROMPTS, COMPLETIONS).scores.tolist() == [1, 2, -1e15]


def test_a_reward_to_be_awaited_is_refused_without_a_warning() -> None:
    async def later(completions: Any) -> list[float]:
        return [0.0] * len(completions)

    async def one(text: str) -> float:
        return float(len(text))

    class Later:
        async def __call__(self, completions: Any) -> list[float]:
            return [0.0] * len(completions)

    async def stream(completions: Any) -> Any:
        yield 0.0

    def hidden(completions: Any) -> Any:
        return later(completions)

    def many(completions: Any) -> Any:
        return [one(text) for text in completions]

    for reward, name in ((later, "later"), (partial(later), "partial"), (Later(), "Later"), (stream, "stream")):
        with pytest.raises(RewardError, match=f"^The reward {name} is asynchronous; wrap it in a function that returns asyncio.run"):
            require_columns(reward, [])  # when an environment is made
    for reward, name in ((later, "later"), (hidden, "hidden"), (many, "many")):
        with pytest.raises(RewardError, match=f"^The reward {name} is asynchronous"):
            call_reward(reward, PROMPTS, COMPLETIONS)
        gc.collect()  # what is never awaited warns when it is collected, and warnings are errors


def test_half_a_character_is_named() -> None:
    refuse_half_characters("judge", ["a 👍", "我爱"], [])
    message = r"^The reward judge cannot read 'I saw \\ud83d': '\\ud83d' is half a character; remove such halves"
    with pytest.raises(RewardError, match=message):
        refuse_half_characters("judge", ["a"], ["b", "I saw \ud83d"])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([[1.0, 2.0], [1.0]], r"returned 2 values for 3 completions, such as 'Once' \+ ' upon'; give a list with a row of values for each"),
        (None, r"returned None instead of 3 values, for completions such as 'Once' \+ ' upon'; give a list with a row of values"),
        ([[1.0, 2.0], [1.0, 1.0], [0.0]], r"returned 2 values for 1 pieces, such as 'Twice' \+ ' told'"),
        ([[1.0, 2.0], [float("nan")], [0.0]], "returned nan, which is no finite number, for the prompt 'Twice' and the completion ' told'"),
        ([1.0, 2.0, 3.0], r"returned 1.0 instead of 2 values, for pieces such as 'Once' \+ ' upon'"),
    ],
)
def test_what_is_no_value_of_a_piece_is_named(returned: Any, message: str) -> None:
    def judge(pieces: Any) -> Any:
        return returned

    with pytest.raises(RewardError, match=f"The reward judge {message}"):
        call_reward(judge, PROMPTS, COMPLETIONS, None, PIECES)


def test_an_exception_keeps_its_cause() -> None:
    def broken(completions: Any) -> list[float]:
        raise KeyError("vader")

    with pytest.raises(
        RewardError, match=r"The reward broken raised KeyError: 'vader' .first of 3 texts: the prompt 'Once' and .* ' upon'"
    ) as caught:
        call_reward(broken, PROMPTS, COMPLETIONS)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_callable_without_a_signature_is_named() -> None:
    with pytest.raises(RewardError, match="The reward max does not tell its arguments; wrap it in a function"):
        call_reward(max, PROMPTS, COMPLETIONS)


def test_a_missing_column_is_named() -> None:
    def rouge(completions: Any, summary: Any) -> list[float]:
        raise AssertionError("is not called")

    with pytest.raises(
        RewardError, match='The reward rouge needs "summary", which is no column of the prompts; there are: label, topic, prompts'
    ):
        call_reward(rouge, PROMPTS, COMPLETIONS, COLUMNS)


def test_scores_carry_their_parts() -> None:
    def reward(completions: Any) -> Scores:
        return Scores([0.5, 0.25, 0.0], parts={"length": [1, 0.5, 0], "tone": np.array([0.5, 0.5, 0.0])})

    found = call_reward(reward, PROMPTS, COMPLETIONS)
    assert found.scores.tolist() == [0.5, 0.25, 0.0]
    assert {name: values.tolist() for name, values in found.parts.items()} == {"length": [1, 0.5, 0], "tone": [0.5, 0.5, 0]}
    assert call_reward(lambda completions: [1, 2, 3], PROMPTS, COMPLETIONS).parts == {}


@pytest.mark.parametrize("name", ["se", "two words", ""])
def test_a_part_has_a_name_that_columns_can_have(name: str) -> None:
    with pytest.raises(RewardError, match=f'A part of a score cannot be called "{name}"'):
        Scores([1.0], parts={name: [1.0]})


def test_a_part_that_is_no_number_is_named() -> None:
    def reward(completions: Any) -> Scores:
        return Scores([1.0, 1.0, 1.0], parts={"tone": [0.0, float("nan"), 0.0]})

    def short(completions: Any) -> Scores:
        return Scores([1.0] * 3, parts={"tone": [1.0]})

    with pytest.raises(RewardError, match=r"The reward reward\.tone returned nan"):
        call_reward(reward, PROMPTS, COMPLETIONS)
    with pytest.raises(RewardError, match=r"The reward short\.tone returned 1 values for 3"):
        call_reward(short, PROMPTS, COMPLETIONS)


class Needy:
    columns = ("summary",)

    def __call__(self, completions: Any, **columns: Any) -> list[float]:
        return [0.0 for _ in completions]


def test_a_reward_s_columns_are_required_before_it_is_called() -> None:
    def rouge(completions: Any, summary: Any, style: str = "plain") -> list[float]:
        return [0.0 for _ in completions]

    for reward, name in ((rouge, "rouge"), (Needy(), "Needy")):
        require_columns(reward, ["topic", "summary"])
        with pytest.raises(
            ArgumentError, match=f'The reward {name} needs the column "summary", which the prompts lack; they have: prompt, topic.'
        ):
            require_columns(reward, ["topic"])


def test_a_misspelt_argument_is_put_right() -> None:
    with pytest.raises(ArgumentError, match=r'needs the column "completion", .* Did you mean "completions"\?'):
        require_columns(lambda completion: [0.0], [])


def test_a_reward_changes_no_prompt_set() -> None:
    def greedy(completions: list[str], **columns: Any) -> list[float]:
        for values in columns.values():
            for value in values:
                for inner in value if isinstance(value, tuple) else [value]:
                    if isinstance(inner, list):
                        inner.append("more")
                    elif isinstance(inner, dict):
                        inner["more"] = 1
                    elif isinstance(inner, np.ndarray):
                        inner += 1
            values.reverse()
        return [0.0] * len(completions)

    def columns() -> dict[str, list[Any]]:
        return {"lists": [["a"], [["b"]]], "dicts": [{"a": 1}, {}], "tuples": [(["a"],), ({"a": 1},)], "texts": ["x", "y"]}

    given = columns()
    arrays = [np.zeros(2), np.ones(2)]
    call_reward(greedy, ["p", "q"], ["c", "d"], {**given, "arrays": arrays})
    assert given == columns()
    assert [array.tolist() for array in arrays] == [[0, 0], [1, 1]]


def test_the_same_prompt_pays_the_same_though_the_reward_counts_in_a_column() -> None:
    def counting(completions: list[str], seen: list[list[int]]) -> list[float]:
        for values in seen:
            values.append(1)
        return [float(len(values)) for values in seen]

    prompts = [{"prompt": "ab>", "seen": []}]
    env = gymnasium.make("TextCopy-v0", prompts=prompts, reward=counting)
    for _ in range(3):
        env.reset(seed=0)
        info: dict[str, Any] = {}
        while "score" not in info:
            info = env.step(0)[4]
        assert info["score"] == 1


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            {1.0, 2.0},
            "returned a set, which does not say which number is whose; give a list with one number for each of the completions\\.",
        ),
        (frozenset({1.0, 2.0}), "returned a frozenset, which"),
        ({"a": 1.0, "b": 2.0}, "returned a dict, which"),
        ({"a": 1.0, "b": 2.0}.values(), "returned a dict_values, which"),
        ({1.0: "a", 2.0: "b"}.keys(), "returned a dict_keys, which"),
        (b"12", "returned b'12', which is no row of numbers; give a list with one number for each"),
        (bytearray(b"12"), r"returned bytearray\(b'12'\), which is no row"),
        (memoryview(b"12"), "returned <memory at .*>, which is no row"),
        ("12", "returned '12', which is no row"),
        ([1j, 2.0], "returned 1j, which is no finite number"),
        (np.array([1j, 2.0]), r"returned .*1j\)?, which is no finite number"),
        (torch.tensor([1j, 2.0]), "returned tensor.*, which is no finite number"),
        ([10**400, 1], "returned 1000.*, which is no finite number"),
        ([10**5000, 1], "returned an object of type int, which is no finite number"),
        (np.array(1.0), r"returned array\(1.\) instead of 2 values, .*; give a list with one number"),
        (torch.tensor(1.0), r"returned tensor\(1.\) instead of 2 values, .*; give a list with one number"),
        (3.0, r"returned 3.0 instead of 2 values, .*; give a list with one number for each of the completions\."),
        ([1.0], r"returned 1 values for 2 completions, .*; give a list with one number for each of the completions\."),
        (iter([1.0, 2.0]), "returned <list_iterator .* instead of 2 values"),
        (None, "returned None instead of 2 values"),
    ],
)
@pytest.mark.parametrize("by_piece", [False, True])
def test_what_is_no_row_of_numbers_is_refused_with_advice(returned: Any, message: str, by_piece: bool) -> None:
    def judge(completions: list[str]) -> Any:
        return returned

    def piecewise(pieces: list[list[str]]) -> Any:
        return [returned, [0.0]]

    reward, pieces = (piecewise, [["c", "d"], ["e"]]) if by_piece else (judge, None)
    if by_piece:
        message = message.replace("completions", "pieces")
    with pytest.raises(RewardError, match=message):
        call_reward(reward, ["p", "q"], ["cd", "e"], None, pieces)


@pytest.mark.parametrize("returned", [np.array(1.0), torch.tensor(1.0), 1.0, None, {1.0}, [[0.0]], b"ab"])
def test_what_is_no_row_of_rows_is_refused_with_advice(returned: Any) -> None:
    def piecewise(pieces: list[list[str]]) -> Any:
        return returned

    with pytest.raises(RewardError, match="give a list with a row of values for each of the completions"):
        call_reward(piecewise, ["p", "q"], ["cd", "e"], None, [["c", "d"], ["e"]])


@pytest.mark.parametrize(
    "around", [list, tuple, set, np.array, lambda rows: dict(enumerate(rows)), lambda rows: dict(enumerate(rows)).values()]
)
def test_coroutines_are_refused_in_whatever_they_come(around: Any) -> None:
    async def score(text: str) -> float:
        return 1.0

    def judge(completions: list[str]) -> Any:
        return around([score(text) for text in completions])

    with pytest.raises(RewardError, match="The reward judge is asynchronous"):
        call_reward(judge, ["p", "q"], ["c", "d"])
    gc.collect()  # no coroutine is left to warn that nobody awaited it


def test_a_function_of_one_text_is_told_what_to_do() -> None:
    class Analyser:
        def polarity_scores(self, text: str) -> float:
            return 0.0

    advice = r"give a function of a list: lambda completions: \[polarity_scores\(text\) for text in completions\]\."
    with pytest.raises(ArgumentError, match=advice):
        require_columns(Analyser().polarity_scores, ["topic"])


class Odd:
    """Says a length of two; how it is iterated is set by a test."""

    def __init__(self, rows: Callable[[], Iterator[Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[Any]:
        return self.rows()


class OnlyLength:
    def __len__(self) -> int:
        return 2


class Endless(OnlyLength):
    def __getitem__(self, index: int) -> float:
        return 0.5


class NoLength(OnlyLength):
    def __len__(self) -> int:
        raise OSError("it is gone")


class NoTensor(OnlyLength):
    def detach(self) -> Any:
        raise RuntimeError("it was freed")


class NoNumber:
    def __float__(self) -> float:
        raise KeyError("x")


def broken() -> Iterator[float]:
    yield 0.5
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (OnlyLength(), "returned <.*OnlyLength.*> instead of 2 values"),
        (NoLength(), "returned <.*NoLength.*> instead of 2 values"),
        (NoTensor(), "returned <.*NoTensor.*> instead of 2 values"),
        (Odd(broken), "returned <.*Odd.*> instead of 2 values"),
        (Odd(lambda: iter([0.5])), "returned fewer than 2 values for 2 completions"),
        (Odd(lambda: itertools.repeat(0.5)), "returned more than 2 values for 2 completions"),
        (Endless(), "returned more than 2 values for 2 completions"),
        ([NoNumber(), 1.0], "returned <.*NoNumber.*>, which is no finite number"),
    ],
)
def test_objects_that_are_half_a_list_are_refused(returned: Any, message: str) -> None:
    def judge(completions: list[str]) -> Any:
        return returned

    with pytest.raises(RewardError, match=message):
        call_reward(judge, ["p", "q"], ["c", "d"])


def test_what_can_be_read_in_turn_is_read() -> None:
    def judge(completions: list[str]) -> Any:
        return Odd(lambda: iter([0.25, 0.5]))

    assert call_reward(judge, ["p", "q"], ["c", "d"]).scores.tolist() == [0.25, 0.5]
