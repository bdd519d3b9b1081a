from collections import Counter

from textenv.build.contrasts import CONTRASTS, NEUTRAL_KINDS, TOXIC_KINDS, contrast_sentences
from textenv.build.generated import generated
from textenv.build.labelled import words

RUN = 6


def test_every_kind_has_twenty_sentences_and_one_label() -> None:
    rows = contrast_sentences()
    assert set(CONTRASTS) == {*NEUTRAL_KINDS, *TOXIC_KINDS}
    assert len({text for text, _, _ in rows}) == len(rows) >= 80
    assert min(Counter(kind for _, kind, _ in rows).values()) >= 20
    assert {kind for _, kind, label in rows if label} == set(TOXIC_KINDS)


def runs(text: str) -> set[tuple[str, ...]]:
    """Return every run of six words."""
    listed = words(text)
    return {tuple(listed[i : i + RUN]) for i in range(len(listed) - RUN + 1)}


def test_none_is_learnt_from() -> None:
    learnt = [text for side in ("reward", "judge") for text, _ in generated(side, 2_500, 0)]
    wholes = {" ".join(words(text)) for text in learnt}
    pieces = {run for text in learnt for run in runs(text)}
    for text, _, _ in contrast_sentences():
        assert " ".join(words(text)) not in wholes, text
        assert not runs(text) & pieces, text
