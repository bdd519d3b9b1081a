"""`ComparisonStore`: who is given what, what a submission leaves, and that it is on the disk."""

import itertools
import multiprocessing
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from textenv.errors import ArgumentError, LoadError, OrderError
from textenv.preferences import store as store_module
from textenv.preferences.agreement import agreement
from textenv.preferences.comparison import Comparison
from textenv.preferences.store import LEASE_SECONDS, ComparisonStore, Item, Lease


def items(n: int, k: int = 3) -> list[Item]:
    return [Item(prompt=f"prompt {i}", responses=tuple(f"{i}{letter}" for letter in "abcdefghi"[:k])) for i in range(n)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ComparisonStore]:
    """Make a store of three items of three responses."""
    with ComparisonStore(tmp_path / "store.db", create=True) as store:
        store.add(items(3))
        yield store


class Clock:
    """The clock of a store, as far ahead of the right one as a test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(store_module, "time", clock)
    return clock


def leased(store: ComparisonStore, annotator: str, **options: Any) -> Lease:
    lease = store.lease(annotator, **options)
    assert lease is not None
    return lease


def label(store: ComparisonStore, annotator: str, **options: Any) -> Lease:
    """Rank the next item by the alphabet."""
    lease = leased(store, annotator, **options)
    store.submit(lease.token, [1 + sorted(lease.responses).index(response) for response in lease.responses])
    return lease


# Items


def test_an_item_is_added_once(store: ComparisonStore) -> None:
    assert store.add(items(4)) == 1
    assert store.progress().items == 4
    assert store.pending("anna") == items(4)


def test_sources_and_columns_are_kept(store: ComparisonStore) -> None:
    item = Item(prompt="Grüße", responses=("雨", "\0\u2028"), sources=("a", "b"), columns={"label": 1, "topics": ["x", None]})
    store.add([item])
    assert store.pending("anna")[-1] == item


def test_responses_that_are_one_text_are_kept_but_nobody_is_asked(store: ComparisonStore) -> None:
    same = Item(prompt="p", responses=("a", "a"))
    store.add([same])
    store.add_comparisons([Comparison(prompt="p", responses=("a", "a"), ranks=(1, 1), annotator="ben")])
    assert store.items() == [*items(3), same]
    assert [label(store, "anna").prompt for _ in range(3)] == ["prompt 0", "prompt 1", "prompt 2"]
    assert store.lease("anna") is None
    assert store.progress() == (3, 3, 3, {"anna": 3})


def test_responses_that_differ_after_a_nul_are_asked_about(store: ComparisonStore) -> None:
    store.add([Item(prompt="p", responses=("x\0a", "x\0b"))])
    assert store.progress().items == 4
    assert store.pending("anna")[-1].prompt == "p"


def test_items_are_added_all_or_none(store: ComparisonStore) -> None:
    with pytest.raises(ArgumentError, match=r"keeps columns as JSON: .* for the prompt 'q'\.$"):
        store.add([*items(5), Item(prompt="q", responses=("a", "b"), columns={"label": object()})])
    assert store.progress().items == 3
    with pytest.raises(ArgumentError, match="two or more responses, got 1"):
        store.add(Item(prompt="q", responses=tuple("ab"[:k])) for k in (2, 1))
    assert store.progress().items == 3


LONE = "\ud800"


@pytest.mark.parametrize("columns", [{"label": LONE}, {LONE: 1}])
def test_half_a_character_is_refused_in_one_sentence(columns: dict[str, Any], store: ComparisonStore) -> None:
    says = r"""^A text holds half of a character, which no file can keep \(a lone surrogate\): ['"].*\\ud800.*['"]\.$"""
    item = Item(prompt="p", responses=("a", "b"), columns=columns)
    with pytest.raises(ArgumentError, match=says):
        store.add([*items(5), item])
    with pytest.raises(ArgumentError, match=says):
        store.add_comparisons([], [item])
    with pytest.raises(ArgumentError, match=says):
        store.submit(LONE, None)
    assert store.items() == items(3)


@pytest.mark.parametrize("columns", [{1: 2}, {None: 2}, {True: 2}, {"x": [{"y": {2.5: "z"}}]}])
def test_columns_whose_keys_are_no_texts_are_refused(columns: dict[Any, Any], store: ComparisonStore) -> None:
    with pytest.raises(ArgumentError, match=r"keeps columns as JSON, whose keys are texts, got .*, for the prompt 'q'\.$"):
        store.add([Item(prompt="q", responses=("a", "b"), columns=columns)])
    assert store.items() == items(3)


def test_columns_that_are_nested_without_end_are_refused(store: ComparisonStore) -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    shallow: list[Any] = []
    for _ in range(200):  # JSON can write them here, but not where there is less room on the stack
        shallow = [shallow]
    for value in (endless, deep, shallow):
        with pytest.raises(ArgumentError, match=r"keeps columns (as JSON|of at most 100 levels)"):
            store.add([Item(prompt="q", responses=("a", "b"), columns={"label": value})])


# Names


def test_a_name_is_one_however_it_is_written(store: ComparisonStore) -> None:
    lease = leased(store, "Zoe\u0308 \t M.")
    assert leased(store, " Zo\u00eb M. ") == lease
    store.submit(lease.token, [1, 1, 1])
    assert [judged.annotator for judged in store.comparisons()] == ["Zo\u00eb M."]
    assert store.last("Zoe\u0308 M.") == lease.token
    assert "prompt 0" not in [item.prompt for item in store.pending("Zoe\u0308  M.", overlap=2)]
    assert store.open_to("Zoe\u0308  M.", overlap=2) == 2
    assert store.undo("Zoe\u0308  M.", lease.token) is not None
    assert store.add_comparisons([comparison("Zoe\u0308 M.", ranks=(1, 2)), comparison("Zo\u00eb M. ", ranks=(1, 2))]) == (1, 1)
    assert store.progress().annotators == {"Zo\u00eb M.": 1}
    with pytest.raises(ArgumentError, match="judges the same responses in two ways"):
        store.add_comparisons([comparison("Zoe\u0308 M.", ranks=(2, 1))])


def test_a_name_that_hides_something_is_refused_everywhere(store: ComparisonStore) -> None:
    for name in ("anna\u202e", "an\x1b[2Jna", "anna\u200b"):
        for call in (
            lambda: store.lease(name),  # noqa: B023
            lambda: store.pending(name),  # noqa: B023
            lambda: store.undo(name, ""),  # noqa: B023
            lambda: store.last(name),  # noqa: B023
            lambda: store.add_comparisons([comparison(name, ranks=(1, 2))]),  # noqa: B023
        ):
            with pytest.raises(ArgumentError, match="character that cannot be seen"):
                call()
    assert store.progress() == (3, 0, 0, {})
    assert store.items() == items(3)


# Leases


def test_an_item_goes_to_one_annotator(store: ComparisonStore) -> None:
    prompts = [label(store, annotator).prompt for annotator in ("anna", "ben", "anna")]
    assert prompts == ["prompt 0", "prompt 1", "prompt 2"]
    assert store.lease("anna") is store.lease("ben") is store.lease("cleo") is None


def test_what_one_looks_at_is_kept_for_him_and_from_others(store: ComparisonStore) -> None:
    lease = leased(store, "anna")
    assert leased(store, "anna") == lease
    assert leased(store, "ben").prompt == "prompt 1"


def test_overlap_gives_an_item_to_several_but_never_twice_to_one(store: ComparisonStore) -> None:
    seen = [label(store, name, overlap=2).prompt for name in ("anna", "ben", "anna", "cleo", "anna", "cleo")]
    assert seen == ["prompt 0", "prompt 0", "prompt 1", "prompt 1", "prompt 2", "prompt 2"]
    assert [store.lease(name, overlap=2) for name in ("anna", "ben", "cleo", "dora")] == [None] * 4


def test_an_expired_lease_is_given_again_and_its_judgement_counts(store: ComparisonStore, clock: Clock) -> None:
    slow = leased(store, "anna")
    clock.ahead += LEASE_SECONDS
    assert leased(store, "ben").prompt == slow.prompt
    assert leased(store, "anna").prompt == "prompt 1", "her first item is in other hands now"
    assert store.submit(slow.token, [1, 1, 1])
    assert label(store, "ben").prompt == slow.prompt
    assert [judged.annotator for judged in store.comparisons()] == ["anna", "ben"]


def test_an_expired_lease_that_nobody_wanted_is_continued(store: ComparisonStore, clock: Clock) -> None:
    lease = leased(store, "anna")
    clock.ahead += LEASE_SECONDS
    assert leased(store, "anna") == lease
    assert leased(store, "ben").prompt == "prompt 1", "and it is alive again"


YEAR = 365 * 24 * 3600.0


@pytest.mark.parametrize("wrong", [YEAR, 3600.0, 600.0, 1.0, -1.0, -600.0, -3600.0, -YEAR, -60 * YEAR])
def test_a_wrong_clock_keeps_no_item_from_others_for_longer_than_a_lease(wrong: float, store: ComparisonStore, clock: Clock) -> None:
    """Set wrong while an item is leased and right after, or the other way round."""
    clock.ahead = wrong
    lease = leased(store, "anna")
    clock.ahead = 0.0
    kept = [second for second in range(0, 4000, 50) if _is_kept(store, clock, second)]
    assert len(kept) <= LEASE_SECONDS / 50
    assert leased(store, "anna") == lease, "she goes on where she was"
    clock.ahead = wrong
    kept = [second for second in range(0, 4000, 50) if _is_kept(store, clock, second)]
    assert len(kept) <= (LEASE_SECONDS + abs(min(wrong, 0.0))) / 50
    clock.ahead = 0.0
    assert store.submit(lease.token, [1, 1, 1]), "what is late counts"


def test_a_lease_of_a_wrong_clock_is_put_right_by_the_next_look(store: ComparisonStore, clock: Clock) -> None:
    for wrong in (YEAR, -YEAR, 60.0):
        clock.ahead = wrong
        lease = leased(store, "anna")
        clock.ahead = 0.0
        assert leased(store, "anna") == lease
        assert leased(store, "ben").prompt == "prompt 1"
        assert _is_kept(store, clock, LEASE_SECONDS - 1)
        assert not _is_kept(store, clock, LEASE_SECONDS + 1)


def _is_kept(store: ComparisonStore, clock: Clock, later: float) -> bool:
    clock.ahead += later
    kept = "prompt 0" not in [item.prompt for item in store.pending("ben")]
    clock.ahead -= later
    return kept


@pytest.mark.parametrize("seconds", [None, 5.0, -5.0, 1e9, float("inf")])
def test_the_time_an_annotator_took_is_never_negative(seconds: float | None, store: ComparisonStore, clock: Clock, tmp_path: Path) -> None:
    clock.ahead = YEAR
    lease = leased(store, "anna")
    clock.ahead = 0.0
    store.submit(lease.token, None, seconds=seconds)
    connection = sqlite3.connect(tmp_path / "store.db")
    assert connection.execute("SELECT seconds FROM labels").fetchall() == [(0.0,)]
    connection.close()


def test_seconds_that_are_no_number_are_refused(store: ComparisonStore) -> None:
    with pytest.raises(ArgumentError, match=r"^seconds must be a number, got nan\.$"):
        store.submit(leased(store, "anna").token, None, seconds=float("nan"))
    assert store.comparisons() == []


def test_a_lease_lasts_from_when_its_item_was_last_looked_at(store: ComparisonStore, clock: Clock) -> None:
    lease = leased(store, "anna")
    for _ in range(3):
        clock.ahead += LEASE_SECONDS - 60
        assert leased(store, "anna") == lease
        assert leased(store, "ben").prompt == "prompt 1"


def test_what_is_done_together_is_all_or_nothing(store: ComparisonStore) -> None:
    lease = leased(store, "anna")

    def fail() -> None:
        with store.together():
            store.submit(lease.token, [1, 1, 1])
            assert leased(store, "anna").prompt == "prompt 1"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert store.comparisons() == []
    assert leased(store, "anna") == lease


def test_responses_are_shown_in_every_order(store: ComparisonStore) -> None:
    orders = {leased(store, f"annotator {n}", overlap=200).responses for n in range(200)}
    assert orders == set(itertools.permutations(("0a", "0b", "0c")))  # one is missed with probability 6 * (5/6)^200 = 1e-15


def test_a_lease_does_not_tell_who_wrote(store: ComparisonStore) -> None:
    store.add([Item(prompt="q", responses=("a", "b"), sources=("secret run", "other run"))])
    for _ in range(3):
        label(store, "anna")
    assert "run" not in repr(store.lease("anna"))


# Labels


def test_a_judgement_is_kept_in_the_order_of_the_item(store: ComparisonStore) -> None:
    lease = leased(store, "anna")
    ranks = {"0a": 2, "0b": 1, "0c": 2}
    ratings = {"0a": 3.0, "0b": 7.0, "0c": None}
    assert store.submit(lease.token, [ranks[text] for text in lease.responses], [ratings[text] for text in lease.responses])
    expected = Comparison(
        prompt="prompt 0", responses=("0a", "0b", "0c"), ranks=(2, 1, 2), ratings=(3.0, 7.0, None), annotator="anna", sources=None
    )
    assert store.comparisons() == [expected]


def test_cannot_tell_is_a_judgement(store: ComparisonStore) -> None:
    assert store.submit(leased(store, "anna").token, None)
    assert [judged.ranks for judged in store.comparisons()] == [None]
    assert leased(store, "anna").prompt == "prompt 1"


def test_a_token_counts_once(store: ComparisonStore) -> None:
    token = leased(store, "anna").token
    assert store.submit(token, [1, 2, 3])
    before = store.comparisons()
    assert not store.submit(token, [3, 2, 1])
    assert store.comparisons() == before


def test_what_does_not_fit_is_refused_and_can_be_corrected(store: ComparisonStore) -> None:
    token = leased(store, "anna").token
    for ranks, ratings, says in (([1, 2], None, "3 integers"), ([2, 3, 3], None, "3 integers"), ([1, 2, 3], [8, 1, 1], "between 1 and 7")):
        with pytest.raises(ArgumentError, match=says):
            store.submit(token, ranks, ratings)
    assert store.comparisons() == []
    assert store.submit(token, [1, 2, 3])


def test_nothing_waits_for_an_unknown_token(store: ComparisonStore) -> None:
    with pytest.raises(OrderError, match="Nothing waits for this judgement"):
        store.submit("unknown", [1, 2, 3])


def test_the_time_an_annotator_took_is_at_most_what_has_passed(store: ComparisonStore, tmp_path: Path) -> None:
    for seconds in (None, 1e-6, 1e9):
        store.submit(leased(store, "anna").token, None, seconds=seconds)
    connection = sqlite3.connect(tmp_path / "store.db")
    took = [seconds for (seconds,) in connection.execute("SELECT seconds FROM labels ORDER BY id")]
    connection.close()
    assert took[1] == 1e-6
    assert 0 <= took[0] < 30
    assert 0 <= took[2] < 30


# Undo


def test_undo_gives_the_item_back_as_it_was_judged(store: ComparisonStore) -> None:
    lease = leased(store, "anna")
    store.submit(lease.token, [2, 1, 2], [1.0, None, 3.0])
    label(store, "ben")
    following = leased(store, "anna")
    again = store.undo("anna", lease.token)
    assert again is not None
    assert (again.responses, again.ranks, again.ratings) == (lease.responses, (2, 1, 2), (1.0, None, 3.0))
    assert again.token != lease.token
    assert [judged.annotator for judged in store.comparisons()] == ["ben"]
    assert leased(store, "anna") == again
    with pytest.raises(OrderError, match="it was undone"):
        store.submit(lease.token, [1, 2, 3])
    store.submit(again.token, [1, 1, 1])
    assert leased(store, "anna") == following
    kept = store.comparisons()[0].ratings
    assert kept is not None
    by_text = dict(zip(items(1)[0].responses, kept, strict=True))
    assert [by_text[text] for text in lease.responses] == [1.0, None, 3.0], "nobody asked for them again"
    unsure = store.undo("anna", again.token)
    assert unsure is not None
    store.submit(unsure.token, None)
    assert store.comparisons()[0].ratings is None, "which would rank"
    store.undo("anna", unsure.token)
    rated = leased(store, "anna")
    store.submit(rated.token, [1, 1, 1], [2.0, 2.0, 2.0])
    cleared = store.undo("anna", rated.token)
    assert cleared is not None
    store.submit(cleared.token, [1, 1, 1], [None, None, None])
    assert store.comparisons()[0].ratings is None


def test_undo_goes_back_step_by_step_but_not_twice_at_once(store: ComparisonStore) -> None:
    first, second = label(store, "anna"), label(store, "anna")
    assert store.last("anna") == second.token
    assert store.undo("anna", second.token) is not None
    assert store.undo("anna", second.token) is None, "the request was sent twice"
    assert store.progress().labels == 1
    assert store.undo("ben", first.token) is None, "another's"
    assert store.undo("anna", first.token) is not None
    assert store.last("anna") is None
    assert [label(store, "anna").prompt for _ in range(3)] == ["prompt 0", "prompt 1", "prompt 2"]


# All of them


def test_progress(store: ComparisonStore) -> None:
    for annotator in ("anna", "ben", "anna"):
        label(store, annotator, overlap=2)
    assert store.progress(overlap=2) == (3, 1, 3, {"anna": 2, "ben": 1})
    assert store.progress() == (3, 2, 3, {"anna": 2, "ben": 1})


def comparison(annotator: str = "", **fields: Any) -> Comparison:
    return Comparison(prompt="p", responses=("a", "b"), annotator=annotator, **fields)


def test_comparisons_are_added_and_listed(store: ComparisonStore) -> None:
    judged = [comparison("anna", ranks=(1, 2)), comparison("ben", ratings=(1, 7)), comparison("cleo"), comparison(ranks=(1, 1))]
    assert store.add_comparisons(judged) == (1, 4)
    assert store.comparisons() == judged
    assert store.add_comparisons(judged) == (0, 0), "they are there"
    assert store.add_comparisons([comparison("ben", ratings=(1.0, 7.0))]) == (0, 0)


def test_judgements_of_items_that_several_judged(store: ComparisonStore) -> None:
    for name in ("anna", "ben", "anna"):
        label(store, name, overlap=2)
    same = [Comparison(prompt="p", responses=("a", "a"), ranks=(1, 1), annotator=name) for name in ("anna", "ben")]
    store.add_comparisons(same)
    judged = [(one.prompt, one.annotator) for one in store.comparisons(least=2)]
    assert judged == [("prompt 0", "anna"), ("prompt 0", "ben"), ("p", "anna"), ("p", "ben")]
    assert len(store.comparisons()) == 5
    assert agreement(store.comparisons(least=2)) == agreement(store.comparisons())


def test_a_comparison_that_nobody_judged_waits_for_it(store: ComparisonStore) -> None:
    assert store.add_comparisons([comparison()]) == (1, 0)
    assert store.pending("anna")[-1].prompt == "p"


def test_contradictions_are_refused_and_nothing_is_added(store: ComparisonStore) -> None:
    for name, shown in (("anna", "anna"), ("", "An annotator without name")):
        with pytest.raises(ArgumentError, match=f"^{shown} judges the same responses in two ways, to the prompt 'p'"):
            store.add_comparisons([comparison(name, ranks=(1, 2)), comparison(name, ranks=(2, 1))])
    assert store.progress() == (3, 0, 0, {})


def test_a_judgement_that_comes_in_another_way_ends_the_lease(store: ComparisonStore) -> None:
    lease = leased(store, "anna")
    store.add_comparisons([Comparison(prompt="prompt 0", responses=("0a", "0b", "0c"), ranks=(1, 2, 3), annotator="anna")])
    with pytest.raises(OrderError, match="given in another way"):
        store.submit(lease.token, [1, 1, 1])
    assert leased(store, "anna").prompt == "prompt 1"
    assert store.last("anna") is None, "there is nothing of the page to undo"


@pytest.mark.parametrize("overlap", [1, 2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_the_first_item_that_waits_is_given_whatever_happened_before(overlap: int, seed: int, tmp_path: Path) -> None:
    """Held against rules that look at all items and labels, as the store itself did not to be quick."""
    rng, names = random.Random(seed), ("anna", "ben", "cleo", "dora")
    labels: dict[str, set[str]] = {}  # annotators of each prompt, in the order of the items
    at: dict[str, Lease] = {}
    with ComparisonStore(tmp_path / "store.db", create=True) as store:
        for _ in range(100):
            name = rng.choice(names)
            match rng.choice(("add", "lease", "submit", "submit", "undo", "import")):
                case "add":
                    one = Item(prompt=f"{len(labels)}", responses=("a", rng.choice("aab")))
                    store.add([one])
                    labels |= {one.prompt: set()} if len(set(one.responses)) > 1 else {}
                case "lease":
                    held = [lease.prompt for other, lease in at.items() if other != name]
                    open_to = [p for p, by in labels.items() if name not in by and len(by) + held.count(p) < overlap]
                    waiting = at[name].prompt if name in at else next(iter(open_to), None)
                    lease = store.lease(name, overlap=overlap)
                    assert (lease and lease.prompt) == waiting
                    if lease:
                        at[name] = lease
                case "submit" if name in at:
                    lease = at.pop(name)
                    store.submit(lease.token, None)
                    labels[lease.prompt].add(name)
                case "undo":
                    token = store.last(name)
                    again = store.undo(name, token) if token else None
                    if again:
                        labels[again.prompt].remove(name)
                        held_before = at.pop(name, None)
                        store.submit(again.token, None)  # as both are his now
                        labels[again.prompt].add(name)
                        if held_before:
                            at[name] = held_before
                case "import" if labels:
                    prompt = rng.choice(list(labels))
                    judged = Comparison(prompt=prompt, responses=("a", "b"), annotator=name, ratings=(1, 2))
                    if name not in labels[prompt]:
                        store.add_comparisons([judged])
                        labels[prompt].add(name)
                        if name in at and at[name].prompt == prompt:
                            del at[name]
            done = sum(len(by) >= overlap for by in labels.values())
            each = {by_name: sum(by_name in by for by in labels.values()) for by_name in names}
            assert store.progress(overlap=overlap) == (len(labels), done, sum(each.values()), {who: n for who, n in each.items() if n})
            for who in names:
                waits = [prompt for prompt, by in labels.items() if who not in by and len(by) < overlap]
                assert store.open_to(who, overlap=overlap) == len(waits)


def test_an_item_that_is_free_again_is_given_to_others(store: ComparisonStore, clock: Clock) -> None:
    for _ in range(3):
        label(store, "anna")
    assert store.lease("ben") is None, "all is done, and he has looked through it"
    last = store.last("anna")
    assert last is not None
    again = store.undo("anna", last)
    assert again is not None
    assert store.lease("ben") is None, "she is at it"
    clock.ahead += LEASE_SECONDS
    assert leased(store, "ben").prompt == again.prompt


# Many at once


def work(path: Path, annotator: str, overlap: int) -> list[str]:
    tokens = []
    with ComparisonStore(path) as store:
        while lease := store.lease(annotator, overlap=overlap):
            assert store.submit(lease.token, [1] * len(lease.responses))
            tokens.append(lease.token)
    return tokens


@pytest.mark.parametrize("overlap", [1, 2])
def test_threads_and_processes_share_the_items(overlap: int, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with ComparisonStore(path, create=True) as store:
        store.add(items(40))
        with multiprocessing.get_context("spawn").Pool(2) as pool, ThreadPoolExecutor(4) as threads:
            others = [pool.apply_async(work, (path, f"process {n}", overlap)) for n in range(2)]
            here = [threads.submit(work, path, f"thread {n}", overlap) for n in range(4)]
            tokens = [token for done in [*(o.get(60) for o in others), *(h.result() for h in here)] for token in done]
        assert len(tokens) == len(set(tokens)) == 40 * overlap
        judged = store.comparisons()
        assert [store.progress(overlap=overlap).done, len(judged)] == [40, 40 * overlap]
        assert len({(c.prompt, c.annotator) for c in judged}) == 40 * overlap


def test_one_store_serves_many_threads(store: ComparisonStore) -> None:
    store.add(items(60))
    with ThreadPoolExecutor(8) as threads:
        prompts = list(threads.map(lambda n: label(store, f"annotator {n}").prompt, range(60)))
    assert len(set(prompts)) == 60


# Damage

BROKEN = ("'[[['", "'5'", "'null'", "''", "x'ff'", "7", f"'{'[' * 3000}'", "'{}'", "'[1]'", "'[[1], 2, 3]'", """'["a", 7, null]'""")


@pytest.mark.parametrize("column", ["items.responses", "items.sources", "items.columns", "labels.ranks", "labels.ratings", "leases.shown"])
def test_a_damaged_value_is_named(column: str, store: ComparisonStore, tmp_path: Path) -> None:
    token = leased(store, "anna").token
    store.add_comparisons(judged_by_ben())
    table, _, name = column.partition(".")
    readers: dict[str, tuple[Callable[[], Any], ...]] = {
        "items": (store.items, lambda: store.pending("carl")),
        "labels": (store.comparisons, lambda: store.add_comparisons(judged_by_ben())),
        "leases": (lambda: store.lease("anna"), lambda: store.submit(token, [1, 2, 3])),
    }
    says = rf"^The comparison store .*store\.db is damaged: in item \d, .*\b{name[:6]}.*; restore it from a copy\.$"
    for value in BROKEN:
        if (name, value) == ("columns", "'{}'"):
            continue
        with closing(sqlite3.connect(tmp_path / "store.db")) as connection, connection:
            connection.execute(f"UPDATE {table} SET {name} = {value}")
        for read in readers[table]:
            with pytest.raises(LoadError, match=says):
                read()


def judged_by_ben() -> list[Comparison]:
    return [Comparison(prompt="prompt 0", responses=("0a", "0b", "0c"), ranks=(1, 2, 3), ratings=(7, None, 1), annotator="ben")]
