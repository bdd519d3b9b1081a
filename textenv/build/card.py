"""The card that lies beside each embedded model."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

SOURCES: Final = {
    "imdb_reviews.parquet": "Film reviews: Large Movie Review Dataset (Maas et al. 2011), training and unlabelled parts, no licence stated",
    "haiku.parquet": "Haiku: the collection of the haikurnn project; the poems are their authors', no licence stated",
    "paradetox.parquet": "Toxic sentences and their neutral rewrites: ParaDetox (Logacheva et al. 2022), CC0",
    "civil_comments.parquet": "News comments, chosen as likely toxic: Civil Comments as in Toxic Spans (Pavlopoulos et al. 2022), CC0",
    "hate_offensive.parquet": "Short posts, hateful, offensive or neither: Davidson et al. 2017, MIT",
    "hh_harmless_pairs.parquet": "Pairs of replies with people's choice of the more harmless one: HH-RLHF (Bai et al. 2022), MIT",
    "tldr.parquet": "Posts and summaries: TL;DR posts (Völske et al. 2017, CC BY 4.0), a sample of 100 from InstructGPT's evaluation",
    "tinystories.parquet": "Stories: a sample of TinyStories (Eldan & Li 2023), CDLA-Sharing-1.0",
    "shop_reviews_zh.parquet": "Chinese product reviews: online_shopping_10_cats of ChineseNlpCorpus, no licence stated",
    "instructions.parquet": "Instructions: the human-written seed tasks of Self-Instruct (Wang et al. 2022), Apache-2.0",
}
"""Corpora by file name, with their licences as far as they are known."""
WRITTEN: Final = (
    "No corpus: everything is written by the generators of `textenv.world`, from a seed. One request in five, chosen by a hash\n"
    "of it, is held out as it is worded; most of the facts behind these requests are taught in other wordings.\n\n"
)
"""What the card says in the place of corpora."""


def card(
    name: str,
    about: str,
    *,
    files: tuple[str, ...],
    recipe: Any,
    metrics: Mapping[str, float],
    tokens: Mapping[str, int] | None = None,
    language: str = "en",
    heldout: str = "reviews",
    halves: bool = True,
) -> str:
    """Write the card of an embedded model.

    Args:
        name: of the model.
        about: what it is, in a sentence or two.
        files: names of the corpora it was made of.
        recipe: the dataclass it was made by.
        metrics: measured on held-out texts.
        tokens: training tokens of each part of the mixture.
        language: of its texts, "en" or "zh".
        heldout: what the held-out texts are.
        halves: whether reward and judge learn from halves of the same corpora.

    Returns:
        Markdown under a header that the Hugging Face hub reads.
    """
    counts = "".join(f"| {part} | {count:,} |\n" for part, count in (tokens or {}).items())
    settings = "".join(f"| {key} | `{_cell(value)}` |\n" for key, value in _flat(dataclasses.asdict(recipe)))
    measured = "".join(f"| {key} | {_shown(value)} |\n" for key, value in metrics.items())
    return (
        f"---\nlicense: mit\nlanguage: {language}\n---\n\n# {name}\n\n{about}\n\n"
        + "## Data\n\n"
        + (_corpora(files, halves) if files else WRITTEN)
        + (f"| part | tokens |\n|---|---|\n{counts}\n" if counts else "")
        + f"## Recipe\n\n`{type(recipe).__name__}` in `textenv/build`, with\n\n| setting | value |\n|---|---|\n{settings}\n"
        + f"## Measured on held-out {heldout}\n\n| metric | value |\n|---|---|\n{measured}\n"
        + f"## Build\n\n```bash\npython -m textenv.build --corpora DIR --only {name}\n```\n\n"
        + "## Licence\n\nThe weights are under the MIT licence."
        + (" The corpora keep their own; no text of theirs is part of textenv.\n" if files else "\n")
    )


def _corpora(files: tuple[str, ...], halves: bool) -> str:
    return (
        "".join(f"- {SOURCES[file]}\n" for file in files)
        + "\nTexts are split by a hash of them, rewrites with what they rewrite: 4 % held out, "
        + ("48 % for rewards, 48 % for judges.\n\n" if halves else "the rest learnt from.\n\n")
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in settings.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return rows


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.4f}"
