"""A language model finds its own samples natural, word salad not, and repetition not perfect."""

import pickle
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import textenv
from textenv.errors import LoadError
from textenv.models.loading import load_causal_lm, load_tokenizer
from textenv.rewards import fluency as module
from textenv.rewards.fluency import Fluency
from textenv.types import Episodes

OPENING = "I watched this film and"


@pytest.fixture(scope="module")
def samples() -> Episodes:
    envs = gymnasium.make_vec("TextSentiment-v0", num_envs=48)
    return textenv.collect(textenv.LanguagePolicy.from_pretrained("tiny-en"), envs, 48, seed=0)


def score(completions: Sequence[str], prompt: str = OPENING) -> NDArray[np.float64]:
    return np.array(Fluency()(prompts=[prompt] * len(completions), completions=completions))


def test_samples_of_the_model_score_well_and_leave_room(samples: Episodes) -> None:
    scores = np.array(Fluency()(prompts=samples.prompts, completions=samples.completions))
    assert 0.65 < scores.mean() < 0.85
    assert np.quantile(scores, 0.9) < 0.95
    assert np.quantile(scores, 0.1) > 0.4


def test_word_salad_is_near_zero(samples: Episodes) -> None:
    words = " ".join(samples.completions).split()
    salads = [" " + " ".join(np.random.default_rng(seed).choice(words, 16)) for seed in range(64)]
    assert score(salads).mean() < 0.1
    assert score([" qxz vvk jjq wlk fjd", "我爱这部电影"]).max() < 0.1


def test_repetition_does_not_reach_one() -> None:
    ordinary = score([" it was a good story about a man who lost his wife."])[0]
    repeated = score([" very" * 20, " it was good and" * 6, " the" * 20, " good" * 20, "." * 24])
    assert ordinary > 0.9
    assert repeated.max() < 0.99
    assert np.median(repeated) < ordinary


def by_definition(prompt: str, completion: str) -> float:
    model, tokenizer = load_causal_lm("tiny-en"), load_tokenizer("tiny-en")
    first = len(tokenizer(prompt)["input_ids"])
    ids: Any = tokenizer(prompt + completion, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, first - 1 : -1].double()  # (T, V)
    logits[:, [i for i in tokenizer.all_special_ids if i != tokenizer.eos_token_id]] = -torch.inf
    own = torch.distributions.Categorical(logits=logits)
    return float(torch.sigmoid(1.5 * ((own.log_prob(ids[0, first:]) + own.entropy()).mean() + 1)))


def test_scores_are_those_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    pairs = [(OPENING, " it was fine."), ("The", " end of the story was very dull, I think"), (OPENING, " no"), (OPENING, " it was fine.")]
    scores = Fluency()(prompts=[prompt for prompt, _ in pairs], completions=[completion for _, completion in pairs])
    assert scores == pytest.approx([by_definition(*pair) for pair in pairs], abs=1e-5)
    assert scores[0] == scores[3]


def test_empty_texts() -> None:
    assert score(["", " it was fine"])[0] == 0.0
    assert Fluency()(prompts=[], completions=[]) == []
    without_prompt = score(["I watched this film.", "film this watched I."], prompt="")
    assert 1 > without_prompt[0] > without_prompt[1] > 0


def test_long_texts_are_cut() -> None:
    policy = textenv.LanguagePolicy.from_pretrained("tiny-en")
    context = policy.model.config.max_position_embeddings
    row = module._row(policy, "a film " * 2000, " was good" * 2000)
    assert len(row.prompt) == context // 2
    assert len(row.prompt) + len(row.completion) == context
    assert len(module._row(policy, "a film", " was good" * 2000).completion) == context - 2
    assert 0 < score([" it was good." * 1000], prompt="a film " * 2000)[0] < 1


def test_a_token_that_joins_prompt_and_completion_is_the_completions() -> None:
    policy = textenv.LanguagePolicy.from_pretrained("tiny-en")
    row = module._row(policy, "I watched this fi", "lm")
    assert policy.tokenizer.decode(row.completion) == " film"


def test_it_is_a_record_that_is_checked_when_made() -> None:
    assert pickle.loads(pickle.dumps(Fluency())) == Fluency("tiny-en", "cpu")
    with pytest.raises(LoadError, match='"tiny-em" is no embedded model and no local path'):
        Fluency("tiny-em")
