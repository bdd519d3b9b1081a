"""The one contract on tokens, over the kinds of tokenizers and models that people bring."""

import copy
import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoModelForCausalLM, LlamaTokenizer, PreTrainedTokenizerFast

import textenv
from tests.kinds import KINDS, folder_of, model_of, tokenizer_of
from textenv.agents.dpo import DPOConfig, prefer
from textenv.agents.ppo import PPO, PPOConfig
from textenv.agents.sft import SFTConfig, fine_tune
from textenv.envs.rules import Rules
from textenv.envs.task import Task
from textenv.errors import ArgumentError
from textenv.models.contract import (
    check_characters,
    contract_of,
    contract_of_model,
    encode_after,
    encode_prompts,
    frame,
    require_same,
    shorten,
    until_last_end,
)
from textenv.models.loading import load_tokenizer, toy_causal_lm, toy_tokenizer
from textenv.models.pieces import decode, decode_after
from textenv.models.policy import LanguagePolicy
from textenv.preferences.comparison import Comparison
from textenv.rollouts.demonstrations import load_demonstrations
from textenv.rollouts.examples import load_examples

every_kind = pytest.mark.parametrize("kind", KINDS)
CHATS = [name for name, kind in KINDS.items() if kind.template]
every_chat = pytest.mark.parametrize("kind", CHATS)
PROMPTS = ["The film was", "Was it good?\n", "[INST] Was it good? [/INST]"]
TURNS = [{"role": "user", "content": "Was it good?"}, {"role": "assistant", "content": "It was the best."}]


def letters(prompts: list[str], completions: list[str]) -> list[float]:
    return [float(len(completion)) for completion in completions]


def task(**fields: Any) -> Task:
    return Task(**{"prompts": PROMPTS[:2], "reward": letters, "max_prompt_tokens": 16, "max_new_tokens": 4, "model": None, **fields})


def ids_of(tokenizer: Any, tokens: list[str]) -> list[int]:
    found: list[int] = tokenizer.convert_tokens_to_ids(tokens)
    return found


# Ends


@every_kind
def test_every_end_of_the_model_ends_an_episode_and_none_is_forbidden(kind: str, tmp_path: Path) -> None:
    folder = str(folder_of(kind, tmp_path))
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=2, prompts=PROMPTS[:2], reward=letters, tokenizer=folder)
    policy = LanguagePolicy.from_pretrained(folder)
    wanted = ids_of(policy.tokenizer, KINDS[kind].ends or [KINDS[kind].eos])
    assert set(envs.unwrapped.rules.contract.ends) == set(policy.contract.ends) == set(wanted)
    assert envs.unwrapped.action_masks()[:, wanted].all()
    assert not policy.banned[wanted].any()
    first = load_tokenizer(folder).encode("film", add_special_tokens=False)[-1]
    for end in wanted:
        envs.reset(seed=0)
        envs.step(np.array([first, first]))
        _, rewards, ended, _, infos = envs.step(np.array([end, first]))
        assert ended.tolist() == [True, False]
        assert infos["final_info"]["finish_reason"][0] == "eos"
        assert infos["final_info"]["special_tokens"][0] == 0
        assert rewards[0] == len(infos["final_info"]["completion"][0])
        assert KINDS[kind].eos not in infos["final_info"]["completion"][0]


@every_kind
def test_a_policy_trains_where_its_own_tokens_are_the_actions(kind: str, tmp_path: Path) -> None:
    """What it writes is renormalised over the same tokens while it plays and while it learns."""
    folder = str(folder_of(kind, tmp_path))
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=4, prompts=PROMPTS, reward=letters, tokenizer=folder)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules, folder)
    agent = PPO(policy, envs, PPOConfig(episodes_per_update=8, minibatch_size=8, group_size=4))
    batch = agent.collect()
    again, _ = policy.response_log_probs(batch.tokens, batch.prompt_columns)
    assert torch.allclose(batch.log_probs, again * batch.mask, atol=1e-5)
    agent.update(batch)


@every_kind
def test_fine_tuning_and_judgements_append_the_end_that_the_model_writes(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    policy = LanguagePolicy(model_of(kind, tokenizer), tokenizer)
    (end,) = ids_of(tokenizer, [KINDS[kind].answer_end])
    rows = [{"prompt": prompt, "response": " good film"} for prompt in PROMPTS]
    for example in load_examples(rows, policy.contract, 96).examples:
        assert example.predicted[-1] == end
        assert not np.isin(example.predicted[:-1], policy.contract.ends).any()
    config: dict[str, Any] = {"epochs": 1, "batch_size": 2, "held_out": 0.0}
    assert fine_tune(policy, rows, SFTConfig(**config)).learnt.ends_cut == 0
    comparisons = [Comparison(prompt=prompt, responses=(" good", "bad"), ranks=(1, 2), annotator="a") for prompt in PROMPTS]
    found = prefer(policy, comparisons, DPOConfig(**config))
    assert (found.prompts_cut, found.ends_cut, found.equal_cut) == (0, 0, 0)


def test_ends_of_a_class_by_default_are_no_ends_where_the_tokenizer_disagrees() -> None:
    """`LlamaConfig()` ends with id 2 whatever that is; what a file or a user says counts, special or not."""
    tokenizer = tokenizer_of("gpt-2")
    model = model_of("gpt-2", tokenizer)
    assert model.generation_config.eos_token_id == 2
    assert contract_of_model(model, tokenizer, len(tokenizer)).ends == (tokenizer.eos_token_id,)
    model.generation_config.eos_token_id = [2, 9]
    assert contract_of_model(model, tokenizer, len(tokenizer)).ends == (tokenizer.eos_token_id, 2, 9)
    model.generation_config.eos_token_id = [-1, 10_000]
    assert contract_of_model(model, tokenizer, len(tokenizer)).ends == (tokenizer.eos_token_id,)
    assert contract_of(tokenizer, ["Ġfilm", 5]).ends == (tokenizer.convert_tokens_to_ids("Ġfilm"), 5)


def test_an_end_that_has_a_text_is_no_part_of_the_completion() -> None:
    rules = Rules(task(tokenizer=toy_tokenizer("ab."), prompts=["a"], max_prompt_tokens=1, end_tokens=["."]))
    row = np.array([[0, 1, 2, -1, -1]], dtype=np.int32)
    outcome = rules.outcome(row, np.array([2]), np.array([0]))
    assert outcome.infos[0]["completion"] == "b"
    assert (outcome.infos[0]["finish_reason"], outcome.infos[0]["special_tokens"]) == ("eos", 0)
    assert rules.pieces(row[0]) == ["b", ""]
    assert rules.allowed.tolist() == [True, True, True, False]  # the tokenizer's own end is none here
    policy = LanguagePolicy.for_rules(rules)
    assert policy.contract.ends == (2,)
    with pytest.raises(ArgumentError, match=r"row 1: the completion 'a\.a' holds \"\.\", with which the environment ends a text"):
        load_demonstrations([{"prompt": "a", "completion": "a.a"}], rules)


@pytest.mark.parametrize("wrong", ["<eos>", ["<end>"], [99], [True], [1.0], []])
def test_ends_that_are_none_are_refused(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match=r"end_tokens|no end-of-text token"):
        contract_of(toy_tokenizer("ab"), wrong)


# Beginnings


@every_kind
def test_a_text_begins_as_the_tokenizer_begins_it_also_when_a_template_wrote_that(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    before, after = frame(tokenizer)
    begin = KINDS[kind].begin
    assert (before, after) == ([] if begin is None else ids_of(tokenizer, [begin]), [])
    texts = [*PROMPTS, *(f"{begin or ''}{prompt}" for prompt in PROMPTS)]
    rows = encode_prompts(texts, tokenizer, "prompts")
    for row in rows:
        assert row[: len(before)] == before
        assert not np.isin(row[len(before) :], before).any()
    if KINDS[kind].style != "first":  # which puts a space before the first word only
        assert [len(row) for row in rows[:3]] == [len(row) for row in rows[3:]]


@every_chat
def test_what_a_template_rendered_is_read_as_the_template_says(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    for generation in (False, True):
        turns = TURNS[:1] if generation else TURNS
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generation)
        ids = tokenizer.apply_chat_template(turns, tokenize=True, add_generation_prompt=generation, return_dict=False)
        assert encode_prompts([text], tokenizer, "prompts") == [ids]


@every_kind
def test_cutting_keeps_the_beginning(kind: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_of(kind)
    before, _ = frame(tokenizer)
    (whole,) = encode_prompts(["The film was the best film of the year, and it was good."], tokenizer, "prompts")
    room = len(before) + 5
    assert shorten(whole, room, tokenizer) == [*before, *whole[-5:]]
    assert shorten(whole, len(whole), tokenizer) == whole
    fields: dict[str, Any] = {"tokenizer": tokenizer, "prompts": [tokenizer.decode(whole, skip_special_tokens=True)]}
    rules = Rules(task(**fields, max_prompt_tokens=room, on_long_prompt="truncate"))
    assert rules.prompts.tokens[0].tolist() == [*before, *whole[-5:]]
    found = load_examples([{"prompt": fields["prompts"][0], "response": " good"}], rules.contract, room + 3)
    given = found.examples[0].given
    assert (given[: len(before)], found.prompts_cut) == (before, 1)
    if before:
        with pytest.raises(ArgumentError, match=r"room for 1 tokens of a prompt, which begins with 1 of its tokenizer's own"):
            shorten(whole, 1, tokenizer)


@every_kind
def test_what_is_left_of_a_prompt_reads_as_whole_prompts_do(kind: str) -> None:
    """Rewards see one form of prompts, cut or not."""
    tokenizer = tokenizer_of(kind)
    prompts = ["The film was the best film of the year", "It was good."]
    if tokenizer.chat_template:
        said = [{"role": "user", "content": prompt} for prompt in prompts]
        prompts = [tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True) for turn in said]
    longest = max(len(ids) for ids in encode_prompts(prompts, tokenizer, "prompts"))
    rules = Rules(task(tokenizer=tokenizer, prompts=prompts, max_prompt_tokens=longest - 1, on_long_prompt="truncate"))
    cut, whole = rules.prompts.texts
    assert rules.prompts.dropped.tolist() == [1, 0]
    assert whole == prompts[1]
    assert prompts[0].rstrip().endswith(cut.strip()[-12:])  # Phi-3's special tokens eat the white space after them
    begin = KINDS[kind].begin
    assert begin is None or cut.startswith(begin) == prompts[0].startswith(begin)


@pytest.mark.parametrize("end", ["[SEP]", "[PAD]"])
def test_a_tokenizer_of_an_encoder_ends_no_prompt(end: str) -> None:
    """`uer/gpt2-chinese-cluecorpussmall` and its kin have BERT's tokenizer."""
    made = Tokenizer(models.WordLevel({"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3, "好": 4, "电": 5}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.post_processor = processors.TemplateProcessing(
        single=f"[CLS] $A {end}", special_tokens=[("[CLS]", 1), (end, made.token_to_id(end))]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="[SEP]", unk_token="[UNK]", cls_token="[CLS]", pad_token="[PAD]")
    assert encode_prompts(["电好", ""], tokenizer, "prompts") == [[1, 5, 4], [1]]


# Nothing is cut silently


def test_a_prompt_that_is_too_long_is_refused_when_the_environment_is_made() -> None:
    message = r"prompts: 2 of 3 prompts have more than max_prompt_tokens=4 tokens; the longest, row 3, has 6; give max_prompt_tokens=6, or"
    prompts = ["abc", "abcab", "abcabc"]
    for make in (gymnasium.make, gymnasium.make_vec):
        with pytest.raises(ArgumentError, match=message):
            make("TextCopy-v0", prompts=prompts)
    textenv.register("TooLong-v0", prompts=prompts, reward=letters, tokenizer=toy_tokenizer("abc"), max_prompt_tokens=4, model=None)
    with pytest.raises(ArgumentError, match=message):
        gymnasium.make("TooLong-v0")
    gymnasium.make("TooLong-v0", max_prompt_tokens=6)
    assert (
        gymnasium.make("TooLong-v0", on_long_prompt="truncate").reset(seed=0, options={"prompt_index": 2})[1]["prompt_tokens_dropped"] == 2
    )


def test_judgements_that_are_cut_are_counted() -> None:
    tokenizer = toy_tokenizer("abc")
    policy = LanguagePolicy(toy_causal_lm(tokenizer, 16), tokenizer)
    pairs = [("aabb", "aabc"), ("a", "b"), ("ab", "abca")]
    comparisons = [Comparison(prompt="abcabc", responses=pair, ranks=(1, 2), annotator="a") for pair in pairs]
    found = prefer(policy, comparisons, DPOConfig(epochs=1, batch_size=2, held_out=0.0, context=4))
    assert (found.prompts_cut, found.ends_cut, found.equal_cut) == (3, 3, 1)


# Ids


def test_other_ids_are_refused_wherever_policy_and_environment_meet(tmp_path: Path) -> None:
    """Equal sizes, and even equal sets of tokens, are no equal actions."""
    ours, theirs = toy_tokenizer("abc"), toy_tokenizer("cab")
    policy = LanguagePolicy(toy_causal_lm(ours, 12), ours)
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=2, tokenizer=theirs, prompts=["ab"], reward=letters, model=None)
    message = r"has other ids than the environment, such as 0, which is 'a' there and 'c' in the environment"
    with pytest.raises(ArgumentError, match=message):
        textenv.collect(policy, envs, 2)
    with pytest.raises(ArgumentError, match=f"The policy {message}"):
        PPO(policy, envs)
    policy.save_pretrained(tmp_path)
    with pytest.raises(ArgumentError, match=message):
        LanguagePolicy.for_rules(envs.unwrapped.rules, tmp_path)
    with pytest.raises(ArgumentError, match=message):
        gymnasium.make("TextCopy-v0", tokenizer=theirs, prompts=["ab"], reward=letters, kl_coef=0.1, reference=policy)
    fits: Any = gymnasium.make_vec("TextCopy-v0", num_envs=2, tokenizer=ours, prompts=["ab"], reward=letters, model=None)
    with pytest.raises(ArgumentError, match=message.replace("'a' there and 'c'", "'c' there and 'a'")):
        PPO(policy, fits, reference=LanguagePolicy(toy_causal_lm(theirs, 12), theirs))


def test_other_ends_are_refused_wherever_policy_and_environment_meet() -> None:
    tokenizer = tokenizer_of("llama-3")
    policy = LanguagePolicy(model_of("llama-3", tokenizer), tokenizer)
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=2, tokenizer=tokenizer, prompts=PROMPTS[:1], reward=letters)
    with pytest.raises(
        ArgumentError, match=r"The policy ends its texts with .*eom_id.*, but the environment with .*; make the environment with"
    ):
        textenv.collect(policy, envs, 2)
    ends = policy.contract.ends
    told: Any = gymnasium.make_vec(
        "TextSentiment-v0", num_envs=2, tokenizer=tokenizer, prompts=PROMPTS[:1], reward=letters, end_tokens=ends
    )
    assert len(textenv.collect(policy, told, 2, seed=0)) == 2


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft asks for it
def test_adapters_end_as_the_model_that_they_belong_to(tmp_path: Path) -> None:
    base, place = folder_of("gemma-it", tmp_path / "base"), str(tmp_path / "adapters")
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(target_modules="all-linear"))
    adapted.save_pretrained(place)
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=2, tokenizer=place, prompts=PROMPTS[:1], reward=letters)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules, place)
    assert set(policy.contract.ends) == set(envs.unwrapped.rules.contract.ends) == set(contract_of(str(base)).ends)
    assert len(policy.contract.ends) == 2


def test_an_end_of_text_that_the_user_sets_is_the_environments_and_the_policys(tmp_path: Path) -> None:
    folder = str(folder_of("gemma-it", tmp_path))
    tokenizer = load_tokenizer(folder)
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=1, tokenizer=tokenizer, prompts=PROMPTS[:1], reward=letters)
    assert set(envs.unwrapped.rules.contract.ends) == set(ids_of(tokenizer, ["<eos>", "<end_of_turn>"]))
    assert envs.unwrapped.rules.contract.named([envs.unwrapped.rules.contract.end]) == '"<end_of_turn>"'


@pytest.mark.parametrize("more", [1, 7])
def test_rows_of_the_head_that_no_token_has_are_no_actions(more: int, tmp_path: Path) -> None:
    """Vocabularies are padded to a multiple of 64 or so."""
    folder = str(folder_of("llama-2", tmp_path, rows=391 + more))
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=2, tokenizer=folder, prompts=PROMPTS[:1], reward=letters)
    policy = LanguagePolicy.from_pretrained(folder)
    assert policy.vocabulary == envs.single_action_space.n == len(policy.tokenizer) == 391
    assert len(textenv.collect(policy, envs, 2, seed=0)) == 2


@pytest.mark.parametrize("given", ["name", "loaded", "made"])
def test_a_special_token_without_weights_is_no_action(given: str, tmp_path: Path) -> None:
    """Gemma-3-1b's tokenizer has `<image_soft_token>`, one id beyond the model's rows."""
    tokenizer = tokenizer_of("gemma-it")
    rows = len(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image_soft_token>"]}, replace_extra_special_tokens=False)
    assert len(tokenizer) == rows + 1
    model_of("gemma-it", tokenizer, rows).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    places: dict[str, Any] = {"name": str(tmp_path), "loaded": load_tokenizer(tmp_path), "made": tokenizer}
    fields: dict[str, Any] = {"tokenizer": places[given], "reward": letters}
    if given == "made":  # which knows of no model
        fields["end_tokens"] = ["<eos>", "<end_of_turn>"]
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=4, prompts=PROMPTS, **fields)
    assert envs.single_action_space.n == rows + (given == "made")
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules, tmp_path)
    assert policy.vocabulary == rows
    agent = PPO(policy, envs, PPOConfig(episodes_per_update=8, minibatch_size=8, group_size=4))
    agent.update(agent.collect())
    if given != "made":
        with pytest.raises(ArgumentError, match=r'prompts: row 1 holds "<image_soft_token>", for which the model has no weights'):
            gymnasium.make("TextSentiment-v0", prompts=["A <image_soft_token>"], **fields)
    with pytest.raises(ArgumentError, match="they do not belong together"):
        LanguagePolicy(model_of("gemma-it", tokenizer, rows - 1), tokenizer)


def test_tokens_that_were_added_to_a_tokenizer_and_its_model_are_actions(tmp_path: Path) -> None:
    folder = folder_of("llama-2", tmp_path)
    policy = LanguagePolicy.from_pretrained(folder)
    tokenizer, model = copy.deepcopy(policy.tokenizer), policy.model
    tokenizer.add_tokens(["textenv"])
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    more = LanguagePolicy(model, tokenizer)
    envs: Any = gymnasium.make_vec("TextSentiment-v0", num_envs=2, tokenizer=tokenizer, prompts=PROMPTS[:1], reward=letters)
    assert more.vocabulary == envs.single_action_space.n == policy.vocabulary + 1
    assert len(textenv.collect(more, envs, 2, seed=0)) == 2


def test_ids_with_holes() -> None:
    vocabulary = {"a": 0, "b": 3, "<end>": 7, "<pad>": 5}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = decoders.Fuse()
    made.add_special_tokens([AddedToken("<end>", special=True), AddedToken("<pad>", special=True)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<pad>")
    assert len(tokenizer) == 4
    rules = Rules(task(tokenizer=tokenizer, prompts=["ab"], max_prompt_tokens=2))
    assert rules.vocabulary == 8
    assert np.flatnonzero(rules.allowed).tolist() == [0, 3, 7]
    envs: Any = textenv.TextVectorEnv(task(tokenizer=tokenizer, prompts=["ab"], max_prompt_tokens=2), 4)
    model = model_of("gpt-2", tokenizer, rows=8)
    policy = LanguagePolicy(model, tokenizer)
    played = textenv.collect(policy, envs, 32, seed=0)
    written = played.tokens[:, 2:][played.mask]
    assert set(written.tolist()) <= {0, 3, 7}
    assert policy.absent.tolist() == [False, True, True, False, True, False, True, False]


def test_reserved_special_tokens_are_forbidden_and_show(tmp_path: Path) -> None:
    folder = str(folder_of("llama-3", tmp_path))
    policy = LanguagePolicy.from_pretrained(folder)
    reserved = [token for token in KINDS["llama-3"].specials if token not in (KINDS["llama-3"].ends or [])]
    assert not np.isin(ids_of(policy.tokenizer, reserved[1:]), policy.tokenizer.all_special_ids).any()  # the tokenizer lists none of them
    assert policy.banned[ids_of(policy.tokenizer, reserved)].all()
    fields: dict[str, Any] = {"prompts": PROMPTS[:1], "reward": letters, "tokenizer": folder, "max_new_tokens": 3}
    env: Any = gymnasium.make("TextSentiment-v0", **fields).unwrapped
    env.reset(seed=0)
    assert not env.action_masks()[ids_of(policy.tokenizer, reserved)].any()
    info: dict[str, Any] = {}
    for token in ids_of(policy.tokenizer, [reserved[1], reserved[2], "<|eot_id|>"]):
        info = env.step(np.int64(token))[4]
    assert (info["completion"], info["special_tokens"], info["length"]) == ("", 2, 3)


def test_a_tokenizer_with_one_special_token_more_fits() -> None:
    """People add a padding token."""
    ours, theirs = toy_tokenizer("abc"), toy_tokenizer("abc")
    theirs.add_special_tokens({"pad_token": "[PAD]"})
    policy = LanguagePolicy(toy_causal_lm(ours, 12), ours)
    for first, second in ((ours, theirs), (theirs, ours)):
        require_same(contract_of(first), contract_of(second))
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=2, tokenizer=theirs, prompts=["ab"], reward=letters, model=None)
    assert len(textenv.collect(policy, envs, 4, seed=0)) == 4
    theirs.add_tokens(["d"])
    with pytest.raises(ArgumentError, match="The policy has 4 tokens, the environment 6; use one tokenizer"):
        require_same(contract_of(ours), contract_of(theirs))
    special = toy_tokenizer("abc")
    special.add_special_tokens({"unk_token": "a"})
    with pytest.raises(ArgumentError, match=r'"a" may be written by only one of policy and environment'):
        require_same(contract_of(ours), contract_of(special))


def test_a_contract_is_shared_by_copies() -> None:
    contract = contract_of("tiny-en")
    assert copy.deepcopy(contract) is contract


# Writing after a prompt


def test_encode_after_with_llamas_own_class() -> None:
    """Transformers' class of Llama-2's tokenizer, which people also load with `legacy`."""
    vocabulary = Tokenizer.from_str(tokenizer_of("llama-2").backend_tokenizer.to_str()).get_vocab()
    merges = [tuple(pair) for pair in json.loads(tokenizer_of("llama-2").backend_tokenizer.to_str())["model"]["merges"]]
    for legacy in (False, True):
        tokenizer = LlamaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True, legacy=legacy)
        for prompt in PROMPTS:
            for text in (" the film", "the film", "The cat", "."):
                (before,) = encode_prompts([prompt], tokenizer, "prompts")
                assert before[0] == tokenizer.bos_token_id
                ids = encode_after(tokenizer, before, text)
                assert decode_after(tokenizer, before, ids, decode(tokenizer, before)) == text


@every_kind
@pytest.mark.parametrize("text", [" the film was", "the film", "The cat", ".", "", " ", "\nuser", "  two", "é☃", "good \n"])
def test_a_text_is_written_after_a_prompt(kind: str, text: str) -> None:
    tokenizer = tokenizer_of(kind)
    prompts = list(PROMPTS)
    if tokenizer.chat_template:
        prompts.append(tokenizer.apply_chat_template(TURNS[:1], tokenize=False, add_generation_prompt=True))
    for before in encode_prompts(prompts, tokenizer, "prompts"):
        for part in (before, before[:-1]):  # of a prompt that was cut too
            ids = encode_after(tokenizer, part, text)
            assert decode_after(tokenizer, part, ids, decode(tokenizer, part)) == text
            assert not any(id in ids for id in ids_of(tokenizer, KINDS[kind].specials))


@every_kind
def test_demonstrations_and_fine_tuning_take_answers_without_a_space(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    policy = LanguagePolicy(model_of(kind, tokenizer), tokenizer)
    ends = policy.contract.ends
    rules = Rules(task(tokenizer=tokenizer, prompts=PROMPTS, max_prompt_tokens=40, max_new_tokens=24, end_tokens=ends))
    rows = [{"prompt": prompt, "completion": answer} for prompt in PROMPTS for answer in ("The film", " good")]
    found = load_demonstrations(rows, rules)
    assert found.completions == [row["completion"] for row in rows]
    assert set(found.finish_reasons) == {"eos"}
    examples = load_examples(rows, policy.contract, 96)
    for example, row in zip(examples.examples, found.tokens.tolist(), strict=True):
        assert [*example.given, *example.predicted] == [id for id in row if id >= 0]


@pytest.mark.parametrize("text", [" was good. 5 < 6", "ly", " a ☃!", "\n电影好", ""])
def test_a_text_is_encoded_as_it_goes_on(text: str) -> None:
    tokenizer = load_tokenizer("tiny-en")
    before = encode_prompts(["The film"], tokenizer, "prompts")[0]
    assert decode_after(tokenizer, before, encode_after(tokenizer, before, text), "The film") == text


def test_what_cannot_be_written_is_said() -> None:
    tokenizer = toy_tokenizer("ab")
    assert encode_after(tokenizer, [0], "ab") == [0, 1]
    with pytest.raises(ArgumentError, match=r"^the tokenizer cannot write 'abx' after what stands before it\.$"):
        encode_after(tokenizer, [0], "abx")
    with pytest.raises(ArgumentError, match=r"^the tokenizer cannot write 'abx' after"):
        encode_after(tokenizer, [0], "abx", special=True)  # what stands for unknown characters is no special token that was meant
    with pytest.raises(ArgumentError, match=r"^'a<\|endoftext\|>' holds the special token \"<\|endoftext\|>\", which nobody writes"):
        encode_after(tokenizer, [0], "a<|endoftext|>")
    with pytest.raises(ArgumentError, match=r"^'ab.*…' holds the special token"):
        encode_after(tokenizer, [0], "ab" * 40 + "<|endoftext|>")


# Special tokens in what is learnt from


@every_chat
def test_what_a_template_rendered_can_be_learnt_from(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    policy = LanguagePolicy(model_of(kind, tokenizer), tokenizer)
    render = tokenizer.apply_chat_template
    whole = until_last_end(render(TURNS, tokenize=True, return_dict=False), policy.contract)
    assert whole[-1] in policy.contract.ends
    (plain,) = load_examples([render(TURNS, tokenize=False)], policy.contract, 96).examples
    begins = frame(tokenizer)[0]
    assert [*plain.given, *plain.predicted] in (whole, [*plain.given, *whole])
    assert not begins or plain.given == begins
    asked = render(TURNS[:1], tokenize=False, add_generation_prompt=True)
    answer = render(TURNS, tokenize=False).removeprefix(asked)
    assert KINDS[kind].answer_end in answer
    (example,) = load_examples([{"prompt": asked, "response": answer}], policy.contract, 96).examples
    assert policy.contract.end in example.predicted
    fitted = fine_tune(policy, [render(TURNS, tokenize=False)] * 2, SFTConfig(epochs=1, batch_size=2, held_out=0.0))
    assert all(np.isfinite(row["loss"]) for row in fitted.fitted.history)


@every_chat
def test_judgements_name_a_special_token(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    policy = LanguagePolicy(model_of(kind, tokenizer), tokenizer)
    end = KINDS[kind].answer_end
    comparisons = [Comparison(prompt="The film", responses=(f" good{end}", " bad"), ranks=(1, 2), annotator="a")]
    with pytest.raises(ArgumentError, match=r"A response to the prompt 'The film': ' good.*' holds the special token .* leave it out"):
        prefer(policy, comparisons, DPOConfig(epochs=1, batch_size=2, held_out=0.0))


@every_chat
def test_a_rendered_answer_is_not_ended_twice(kind: str) -> None:
    """Templates put a new line after the end of a turn, before the next."""
    tokenizer = tokenizer_of(kind)
    contract = contract_of_model(model_of(kind, tokenizer), tokenizer, len(tokenizer))
    asked = tokenizer.apply_chat_template(TURNS[:1], tokenize=False, add_generation_prompt=True)
    answer = tokenizer.apply_chat_template(TURNS, tokenize=False).removeprefix(asked)
    rows = [{"prompt": asked, "response": answer}, {"prompt": asked, "response": TURNS[1]["content"]}]
    found = load_examples(rows, contract, 96)
    assert found.ends_cut == 0
    rendered, plain = (example.predicted for example in found.examples)
    ends = 2 if kind == "phi-3" else 1  # whose template ends the conversation, too
    assert np.isin(rendered, contract.ends).sum() == ends
    assert rendered[: len(plain)] == plain
    (text,) = load_examples([tokenizer.apply_chat_template(TURNS, tokenize=False)], contract, 96).examples
    assert text.predicted[-1] in contract.ends
    assert text.predicted[-1] != text.predicted[-2]


@every_kind
def test_a_response_that_fills_the_context_is_cut(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    contract = contract_of_model(model_of(kind, tokenizer), tokenizer, len(tokenizer))
    begins, _ = frame(tokenizer)
    for words in (5, 6, 7, 8, 9, 20):
        rows = [{"prompt": "Was it good?", "response": " good" * words}]
        (example,) = (found := load_examples(rows, contract, 9)).examples
        assert len(example.given) + len(example.predicted) <= 9
        assert example.given[: len(begins)] == begins
        assert len(example.given) > len(begins)
        assert found.ends_cut == (not contract.is_end(example.predicted[-1]))
    with pytest.raises(ArgumentError, match=r"context must be at least \d"):
        load_examples(rows, contract, len(begins) + 1)


# Characters


def test_half_a_character_is_refused_in_one_sentence() -> None:
    half = "I saw \ud83d"
    message = r"holds '\\ud83d', half of a character, which no tokenizer reads; take it out\."
    with pytest.raises(ArgumentError, match=f"prompts: row 2: .prompt. {message}"):
        gymnasium.make("TextSentiment-v0", prompts=["a", half])
    contract = contract_of("tiny-en")
    for data in ([half], [{"prompt": "a", "response": half}], [{"prompt": half, "response": "a"}]):
        with pytest.raises(ArgumentError, match=message):
            load_examples(data, contract, 32)
    with pytest.raises(ArgumentError, match=message):
        load_demonstrations([{"prompt": "a", "completion": half}], Rules(task(tokenizer="tiny-en")))
    check_characters("😀 \U0010ffff", "the text")


def test_what_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(ArgumentError, match="tokenizer must be a name, a path or a tokenizer of transformers, got int"):
        contract_of(3)  # type: ignore[arg-type]
