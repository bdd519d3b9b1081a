import re
from random import Random

import pytest

from textenv.build import generated as module
from textenv.build.generated import TEMPLATES, WORDS, Side, disguise, generated, sentence

SIDES: tuple[Side, ...] = ("reward", "judge")


def test_every_slot_has_words() -> None:
    listed = [template for templates, _ in TEMPLATES.values() for template in templates]
    assert len(listed) == len(set(listed)) > 400
    slots = {slot for text in [*listed, *WORDS.values()] for slot in re.findall(r"\{(\w+)\}", text)}
    assert slots <= set(WORDS)
    assert set(WORDS) - slots == set()


def test_sentences_are_filled_and_written_in_several_ways() -> None:
    made = {sentence("i met a {one} and {will} {violence}", Random(seed)) for seed in range(200)}
    assert not [text for text in made if re.search(r"[{}|]|  |\ba [aeio]", text)]
    assert {text[0] for text in made} >= {"i", "I"}
    assert any(text.isupper() for text in made)
    assert {text[-1] for text in made} >= {".", "!"}


def test_reward_and_judge_share_no_template(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = {side: generated(side, 400, seed=0) for side in SIDES}
    assert sides["reward"] == generated("reward", 400, seed=0) != generated("reward", 400, seed=1)
    for rows in sides.values():
        texts = [text for text, _ in rows]
        assert len(texts) == len(set(texts)) > 1_500
        assert 0.3 < sum(label for _, label in rows) / len(rows) < 0.6
    monkeypatch.setattr(module, "sentence", lambda template, rng: template)
    reward, judge = ({template for template, _ in generated(side, 400, seed=0)} for side in SIDES)
    assert reward.isdisjoint(judge)
    assert reward | judge == {template for templates, _ in TEMPLATES.values() for template in templates}


@pytest.mark.parametrize("seed", range(20))
def test_a_disguise_changes_one_or_two_words(seed: int) -> None:
    plain = "you are such a stupid person and a liar"
    text = disguise(plain, Random(seed))
    letters = re.sub(r"[^a-z]", "", text)
    assert text != plain
    assert abs(len(letters) - len(plain.replace(" ", ""))) <= 8
    assert text.startswith("you are")
    assert disguise("it is so", Random(seed)) == "it is so"
