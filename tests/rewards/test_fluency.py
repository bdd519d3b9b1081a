"""A language model finds its own samples natural, word salad not, and repetition not perfect."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

import textenv
from textenv.errors import LoadError, RewardError
from textenv.models.loading import load_causal_lm, load_tokenizer, toy_causal_lm
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


def by_definition(prompt: str, completion: str, policy: textenv.LanguagePolicy | None = None) -> float:
    model = policy.model if policy else load_causal_lm("tiny-en")
    tokenizer = policy.tokenizer if policy else load_tokenizer("tiny-en")
    first = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    ids: Any = tokenizer(prompt + completion, return_tensors="pt", add_special_tokens=False)["input_ids"]
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
    with pytest.warns(
        UserWarning, match=r"^Fluency reads 256 tokens: of 3 texts 2 lose the prompt's beginning and 1 the completion's end\."
    ):
        scores = Fluency()(["a film " * 2000, OPENING, "a film " * 300], [" it was good." * 1000, " it was good.", " it was good."])
    assert all(0 < each < 1 for each in scores)
    assert Fluency()(["a film " * 300], [" it was good."]) == pytest.approx(scores[2:], abs=1e-5)  # and no second warning


def test_a_token_that_joins_prompt_and_completion_is_the_completions() -> None:
    policy = textenv.LanguagePolicy.from_pretrained("tiny-en")
    row = module._row(policy, "I watched this fi", "lm")
    assert policy.tokenizer.decode(row.completion) == " film"


def with_bos(folder: Path, template: str) -> str:
    """A model of 24 positions whose tokenizer writes <s> where the template does."""
    names = ["<s>", "</s>", "<image>", *"abcde"]
    own = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="e"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("<s>", 0), ("</s>", 1)])
    special: Any = {"bos_token": "<s>", "eos_token": "</s>", "additional_special_tokens": ["<image>"]}
    PreTrainedTokenizerFast(tokenizer_object=own, **special).save_pretrained(folder)
    toy_causal_lm(PreTrainedTokenizerFast(tokenizer_object=own, **special), 24).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("template", ["<s> $A", "<s> $A </s>", "$A"])
def test_the_prompt_begins_once_as_the_tokenizer_writes_it(tmp_path: Path, template: str) -> None:
    policy = textenv.LanguagePolicy.from_pretrained(with_bos(tmp_path, template))
    begin = [0] if template.startswith("<s>") else []
    assert module._row(policy, "a b", " c d") == ([*begin, 3, 4], [5, 6], (0, 0))
    assert module._row(policy, "<s> a b", " c")[:2] == ([0, 3, 4], [5])
    assert module._row(policy, "", "c")[:2] == ([0], [5])
    long = module._row(policy, "<s>" + " a" * 60 + " b", " c" * 60)
    assert long.prompt == [*begin, *[3] * (11 - len(begin)), 4]
    assert (len(long.completion), long.lost) == (12, (50, 48))
    expected = [by_definition(prompt, " c d", policy) for prompt in ("<s> a b" if begin else "a b", "<s> a b")]
    assert Fluency(str(tmp_path))(["a b", "<s> a b"], [" c d"] * 2) == pytest.approx(expected, abs=1e-5)


def test_a_tokenizer_without_offsets_is_read_too(tmp_path: Path) -> None:
    tokenizer: Any = ByT5Tokenizer()
    tokenizer.save_pretrained(tmp_path)
    toy_causal_lm(tokenizer, 64).save_pretrained(tmp_path)
    policy = textenv.LanguagePolicy.from_pretrained(tmp_path)
    row = module._row(policy, "aé", "b é")
    assert tokenizer.decode(row.prompt) == "aé"
    assert tokenizer.decode(row.completion) == "b é"
    assert 0 < Fluency(str(tmp_path))(["aé"], ["b é"])[0] < 1


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    name = with_bos(tmp_path, "<s> $A")
    for pair in (["a\ud83d"], ["b"]), (["a"], ["b\ud83d"]):
        with pytest.raises(RewardError, match=r"^The reward Fluency cannot read '.*' is half a character"):
            Fluency(name)(*pair)


def test_a_folder_that_is_written_again_is_loaded_again(tmp_path: Path) -> None:
    before = Fluency(with_bos(tmp_path, "<s> $A"))(["a b"], [" c d"])
    assert Fluency(str(tmp_path))(["a b"], [" c d"]) == before
    tokenizer: Any = load_tokenizer("tiny-en")
    tokenizer.save_pretrained(tmp_path)
    toy_causal_lm(tokenizer, 64, seed=1).save_pretrained(tmp_path)
    assert module.load_policy(str(tmp_path), "cpu").model.config.vocab_size == len(tokenizer)


def test_it_is_a_record_that_is_checked_when_made() -> None:
    assert pickle.loads(pickle.dumps(Fluency())) == Fluency("tiny-en", "cpu")
    with pytest.raises(LoadError, match='"tiny-em" is no embedded model and no local path'):
        Fluency("tiny-em")
