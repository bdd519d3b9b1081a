"""What the claims of lectures are measured by, and one of them at a tiny size."""

import json
import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from benchmarks.lectures import CLAIMS, TASTES, by_truth, judgements, load, mean_and_error, measure, measured_rows, wins
from benchmarks.lectures_answers import FACTS, READS, WAYS, held_out, verdict, written
from benchmarks.lectures_chain import INSTRUCTED, MEASURED, TOKENS, Sizes, instructions, read_rows
from benchmarks.lectures_page import TABLES, interval, over_seeds, write_page
from textenv.agents.sft import SFTConfig
from textenv.build.assistant import AssistantRecipe, train_tokenizer
from textenv.build.language_model import new_model, save_tokenizer
from textenv.build.lessons import demonstrations, documents, exercises
from textenv.build.prompts import row
from textenv.preferences.store import Item
from textenv.world.skills import SKILLS

PAGE = Path(__file__).parent.parent.parent / "docs" / "lectures.md"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of the micro-world's tokens that has learnt nothing."""
    recipe = AssistantRecipe(vocab_size=400, layers=1, width=16, heads=2, context=READS)
    tokenizer = train_tokenizer(documents(200, seed=0), recipe.vocab_size, recipe.context)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    new_model(recipe, pad=1, eos=0).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return str(folder)


@pytest.fixture(scope="module")
def tokenizer(base: str) -> PreTrainedTokenizerFast:
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(base)
    return loaded


def test_wins_count_ties_half_and_their_interval_is_over_prompts() -> None:
    prompts = np.repeat(np.arange(10), 2)
    better = np.ones(20)
    other = np.where(prompts < 5, 0.0, 1.0)
    rate, low, high = wins(better, other, prompts)
    assert rate == 0.75
    assert 0.5 < low < rate < high < 1
    # As many pairs of more prompts say more.
    _, closer, _ = wins(better, np.tile([0.0, 1.0], 10), np.arange(20))
    assert closer > low
    assert wins(other, other, prompts)[0] == 0.5


def test_an_error_is_over_requests_since_some_are_asked_again() -> None:
    asked = [{"request": "a"}, {"request": "a"}, {"request": "b"}, {"request": "b"}]
    assert mean_and_error([1, 1, 0, 0], asked) == [0.5, pytest.approx(0.5)]
    apart = [{"request": text} for text in "abcd"]
    assert mean_and_error([1, 1, 0, 0], apart)[1] == pytest.approx(math.sqrt(1 / 12))


@pytest.mark.parametrize("skill", FACTS)
def test_what_is_right_is_true_and_usual_mistakes_are_false(skill: str) -> None:
    for exercise in islice(exercises(skill, Random(0), held_out=True), 8):
        asked = row(exercise)
        for text in exercise.accepted:
            assert verdict(text, asked) == "true"
            assert verdict(f"{text} {exercise.wrong[0]}", asked) == "false"
            assert verdict(f"{text} The moon is made of cheese.", asked) == "other"
        for text in exercise.wrong:
            assert verdict(text, asked) == verdict(f"{text.rstrip('.')}!", asked) == "false"
            assert verdict(f"{text} {text}", asked) == "false"
        for text in ("I do not know.", "Maybe.", "I cannot tell.", ""):
            assert verdict(text, asked) == "nothing"
        assert verdict(exercise.request, asked) == "other"


def test_a_fact_about_something_else_is_not_called_false() -> None:
    asked = {"skill": "animal_fact", "accepted": ["Grass.", "A cow eats grass.", "Cows eat grass."]}
    verdicts = {
        " cows  eat GRASS": "true",
        "It eats grass!": "true",
        "Hay.": "false",
        "A cow eats hay.": "false",
        "It eats hay.": "false",
        "A cow does not eat grass.": "false",
        "Cows never eat grass.": "false",
        "Brown.": "false",  # no answer to this question either
        "A horse eats hay.": "other",
        "A horse eats grass.": "other",
        "A cow eats stones.": "other",  # no table holds stones
        "A cow does not eat hay.": "other",  # true, and no answer
    }
    assert {text: verdict(text, asked) for text in verdicts} == verdicts


def test_a_value_that_is_also_the_subject_is_looked_for_in_both_places() -> None:
    asked = {"skill": "food_fact", "accepted": ["Orange.", "An orange is orange."]}
    assert verdict("An orange is red.", asked) == "false"


def test_a_description_is_false_when_one_of_its_sentences_is() -> None:
    asked = {"skill": "describe", "accepted": [], "facts": {"animal": "cow"}}
    true = "A cow is a farm animal. It eats grass."
    assert verdict(true, asked) == verdict(f"{true} A cow has four legs.", asked) == "true"
    for lie in ("It has six legs.", "A cow has six legs", "It does not have four legs.", "It has ten legs.", "It is not a farm animal."):
        assert verdict(f"{true} {lie}", asked) == "false", lie
    assert verdict("A horse is a farm animal.", asked) == "other"
    assert verdict(f"{true} It likes music.", asked) == "other"
    assert verdict("I do not know.", asked) == "nothing"


def test_prompts_in_every_way_end_where_the_answer_stands(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [each for skill in ("food_fact", "summary") for each in held_out(skill, 3, seed=0)]
    for way in WAYS:
        made = written(rows, tokenizer, way, seed=1)
        assert [each["accepted"] for each in made] == [each["accepted"] for each in rows]
        assert all(len(tokenizer(each["prompt"])["input_ids"]) <= READS - TOKENS for each in made)
    few, none = (written(rows, tokenizer, way, seed=1)[0]["prompt"] for way in ("few-shot", "zero-shot"))
    assert none == f"Question: {rows[0]['request']}\nAnswer:"
    assert few.endswith(f"\n{none}")
    assert few.count("Question: ") == few.count("\nAnswer: ") + 1 == 4
    assert written(rows, tokenizer, "the request alone", seed=1)[0]["prompt"] == f"{rows[0]['request']}\n"
    new = written(rows, tokenizer, "in a new format", seed=1)[0]["prompt"]
    assert "Question" not in new
    assert new.count("\nA: ") == 3
    assert written(rows, tokenizer, "as a conversation", seed=1) == rows


def test_shots_are_exercises_with_right_answers_that_are_not_held_out(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = held_out("past", 4, seed=0)
    taught = {each.request: each.answer for each in islice(exercises("past", Random(5), held_out=False), 4 * 3)}
    entries = [
        entry.split("\nAnswer: ")
        for each in written(rows, tokenizer, "few-shot", seed=5)
        for entry in each["prompt"].split("Question: ")[1:-1]
    ]
    assert {request: answer.strip() for request, answer in entries} == taught


def test_instructions_have_the_shares_of_the_environment_and_none_of_its_prompts() -> None:
    rows = instructions(520, seed=0)
    assert len({each["prompt"] for each in rows}) == len(rows) > 300
    assert not {each["prompt"] for each in rows} & {each["prompt"] for each in read_rows(MEASURED)}
    assert {each["skill"] for each in rows} == set(INSTRUCTED)
    assert sum(each["skill"] == "story" for each in rows) == pytest.approx(119, abs=3)
    assert instructions(520, seed=0) == rows != instructions(520, seed=1)


def test_what_policies_are_measured_by_is_taught_to_none() -> None:
    taught = {turn.prompt for turn in demonstrations(4000, 0, INSTRUCTED, slips=True)}
    taught |= {each["prompt"] for each in instructions(2000, seed=0)}
    for skill in INSTRUCTED:
        assert not {each["prompt"] for each in held_out(skill, 50, seed=3)} & taught, skill
    rows = measured_rows()
    assert len(rows) > 150
    assert not {each["prompt"] for each in rows} & taught
    # In documents an exercise stands without the marks of a conversation.
    read = "\n".join(documents(4000, seed=0))
    assert not [each["request"] for each in rows if f"Question: {each['request']}\n" in read]


def test_annotators_follow_the_truth_and_their_tastes() -> None:
    asked = row(next(exercises("animal_fact", Random(0), held_out=False)))
    short, *_, long = sorted(asked["accepted"], key=len)
    wrong = "I do not know."
    items = [Item(prompt=f"{asked['prompt']}{number}", responses=(long, short, wrong), columns=asked) for number in range(6)]
    quiet = Sizes(noise=0.0, tie=0.0)
    ranks = {name: set[tuple[int, ...] | None]() for name in TASTES}
    for each in judgements(items, quiet):
        ranks[each.annotator].add(each.ranks)
    assert ranks["Ada"] == {(1, 2, 3)}
    assert ranks["Ben"] == {(2, 1, 3)}
    assert len(judgements(items, quiet)) == 2 * len(items)
    # Two right answers tie for the judge alone, so that such a pair counts half; Eva and Finn take it for a tie too.
    assert by_truth(judgements(items, quiet), items) == (2 * 12 + 0.5 * 8) / (2 * 12 + 8)


def test_numbers_are_shown_with_what_they_vary_by() -> None:
    assert over_seeds([(0.25, 0.125)]) == "0.250 ± 0.125"
    assert over_seeds([(0.4, 0.01), (0.6, 0.01)]) == "0.500 ± 0.100"
    assert over_seeds([(0.4, 0.2), (0.6, 0.4)]) == "0.500 ± 0.300"
    assert interval([0.5, 0.25, 0.75]) == "0.500 (0.250 to 0.750)"


def tiny(base: str) -> Sizes:
    return Sizes(
        base=base,
        demonstrations=96,
        sft=SFTConfig(epochs=1, batch_size=8, learning_rate=1e-3, held_out=0.2),
        asked=2,
    )


def test_a_claim_is_measured_once_and_written_into_the_page(base: str, tmp_path: Path) -> None:
    out, page = tmp_path / "lectures.json", tmp_path / "lectures.md"
    results = measure(["unseen"], [0], tmp_path / "runs", out, tiny(base))
    measured = results["claims"]["unseen"]["0"]
    assert measured["skills"] == ["opposite", "past"]
    assert set(results["pieces"]["0"]) == {"sft-all", "sft-without"}
    assert all(0 <= row["the others"][0] <= 1 for row in measured["table"].values())
    data = read_rows(tmp_path / "runs" / "0" / "sft-without.jsonl")
    assert len(data) == 96 * 22 // 24
    assert not any("opposite" in each["prompt"] or "past tense" in each["prompt"] for each in data)
    before = out.read_bytes()
    measure(["unseen"], [0], tmp_path / "runs", out, tiny(base))
    assert out.read_bytes() == before
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    write_page(load(out), page)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("| sft without two skills, as a conversation |") for line in lines) == 1
    assert any(line.startswith("| piece `sft-all` |") for line in lines)


@pytest.mark.slow
def test_all_claims_are_measured_and_drawn(base: str, tmp_path: Path) -> None:
    from textenv.agents.ppo import PPOConfig

    ppo = PPOConfig(kl_coef=0.1, episodes_per_update=32, linear_decay=False)
    sizes = replace(tiny(base), prompts=80, ppo=ppo, episodes=32, longer=32, every=1, corpus=20, samples=1, asked=2)
    out, page = tmp_path / "lectures.json", tmp_path / "lectures.md"
    results = measure(tuple(CLAIMS), [0], tmp_path / "runs", out, sizes)
    assert set(results["claims"]) == set(CLAIMS) == set(TABLES)
    assert results["claims"]["figure1"]["0"]["table"]["SFT"]["wins"] is None
    assert [row["update"] for row in results["claims"]["overoptimisation"]["0"]["β 0"]["rows"]] == [0, 1]
    assert "judge of β 0 on held-out requests" in TABLES["overoptimisation"](results["claims"]["overoptimisation"])
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    write_page(json.loads(out.read_text()), page)
    assert (tmp_path / "lectures_figure1.svg").read_text().count("win rate over SFT") == 1
    assert "exact judge" in (tmp_path / "lectures_overoptimisation.svg").read_text()


def test_the_page_has_a_place_for_every_claim() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in (*CLAIMS, "seconds"):
        assert text.count(f"<!-- {name}: start -->") == text.count(f"<!-- {name}: end -->") == 1
    assert set(SKILLS) >= set(INSTRUCTED)
