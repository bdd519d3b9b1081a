"""The words of reports and pages, each in a sentence or two; `docs/glossary.md` is made of them."""

import textwrap
from typing import Final

GLOSSARY: Final[dict[str, str]] = {
    "reference": (
        "The policy as it was before training, kept as it is. Training is pulled back to it, so "
        "that the policy learns what the reward asks for without forgetting the language."
    ),
    "judge": (
        "A second scorer, of another kind than the reward, which evaluations ask and training "
        "never does. If the score rises and the judge does not, the policy has learnt the "
        "reward's weaknesses."
    ),
    "nat": (
        "The unit of information when logarithms are natural: 1 nat is 1.44 bits. A KL of 3 "
        "nats a sequence says that the policy gives its own texts on average e³ = 20 times (in "
        "the geometric mean) the probability that the reference gives them."
    ),
    "KL k1": (
        "The distance from the reference, estimated from the texts that were written: the mean "
        "of log π - log π_ref, summed over the tokens of a text. It is right on average, but "
        "noisy, and may be below 0. k2 and k3 are estimates with less noise, and k2 with a "
        "bias."
    ),
    "exact KL": (
        "The same distance, in which the KL of the two distributions over the next token is "
        "computed over the whole vocabulary in each state, and summed over the states of a "
        "text. Only the states are sampled, so that it has less noise than k1 and is never "
        "below 0."
    ),
    "β": (
        "The KL coefficient (kl_coef): how much score a nat of distance from the reference "
        "costs. Training maximises score - β KL; a large β stays near the reference, a small "
        "one goes far for the score."
    ),
    "distinct-2": (
        "The share of different pairs of words in a row among all pairs, over a set of texts: 1 "
        "if none is repeated. It falls when the policy writes the same again and again, and "
        "also with the number of texts, so compare only sets of one size. Texts of one word "
        "have no pairs."
    ),
    "perplexity": (
        "How surprised the reference is by the texts: e to the mean of -log π_ref a token. 1 "
        "would be no surprise at all; high values are texts that the reference would hardly "
        "write."
    ),
    "leave-one-out": (
        "A baseline without a critic: several texts are written to each prompt, and each is "
        "compared with the mean score of the others. It is the default of PPO here, so there is "
        "no value loss and no explained variance unless the advantage is set to critic."
    ),
    "potential": (
        "A function that says how good an unfinished text is. Each token is paid for what it "
        "adds to it, so the policy hears early what a token is worth, while the payments still "
        "sum to the score (potential-based shaping)."
    ),
    "parked": (
        "In a vector environment that is given a list of prompts: a row for which no prompt is "
        "left. It waits, all -1, until it is reset, and its actions are ignored."
    ),
    "over-optimisation": (
        "What happens when the policy learns what the reward likes and people, or the judge, do "
        "not: the score rises while the judge falls. A larger β, fewer episodes or a better "
        "reward help."
    ),
}
"""Word to explanation, in the order in which they are met."""


def glossary_page() -> str:
    """Return `docs/glossary.md`."""
    head = "# Glossary\n\nThe words that reports, tables and the other pages use. Every report ends with the same list.\n"
    entries = [f"**{word}**: {text}" for word, text in GLOSSARY.items()]
    return head + "".join(f"\n{_wrapped(entry)}\n" for entry in entries)


def _wrapped(entry: str) -> str:
    return textwrap.fill(entry, 100, break_long_words=False, break_on_hyphens=False)
