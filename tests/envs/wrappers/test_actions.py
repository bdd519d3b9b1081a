"""Masks and top-k: on hand-made distributions, through collect, and through MaskablePPO."""

from collections.abc import Callable
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from textenv import LanguagePolicy, wrappers
from textenv.envs.single import TextEnv
from textenv.envs.task import Task
from textenv.envs.vector import TextVectorEnv
from textenv.envs.wrappers.actions import LEAST_LOG_PROB, nucleus, ranked
from textenv.errors import ActionError, ArgumentError
from textenv.rollouts.collect import collect

A, B, DOT, END = range(4)


class Table:
    """The same distribution in every state."""

    def __init__(self, *probs: float) -> None:
        self.log_probs = torch.tensor(probs).log()

    def next_log_probs(self, observations: NDArray[np.int32]) -> torch.Tensor:
        return self.log_probs.expand(len(observations), -1)


def test_bans_hold_in_every_state(toy: Callable[..., Task]) -> None:
    env = wrappers.ActionMask(TextEnv(toy(min_new_tokens=1)), ban=["b", DOT])
    env.reset(seed=0)
    assert env.action_masks().tolist() == [True, False, False, False]
    env.step(np.int64(B))  # is written all the same
    assert env.action_masks().tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "forbids nothing"),
        ({"ban": ["ab"]}, "one token, but 'ab' is 2"),
        ({"ban": [4]}, "token ids from 0 to 3"),
        ({"ban": [True]}, "token ids from 0 to 3"),
        ({"ban": [END]}, "end of text cannot be banned"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"top_p": 1.5}, "top_p must be above 0"),
        ({"top_k": 1}, "top_k must be an integer from 2 to 4"),
        ({"top_k": 5}, "top_k must be an integer from 2 to 4"),
        ({"top_k": 2.0}, "top_k must be an integer from 2 to 4"),
        ({"top_p": 0.5, "mask_model": 3}, "reference must be a name"),
        ({"top_p": 0.5, "mask_model": "tiny-en"}, "use one tokenizer"),
    ],
)
def test_masks_that_cannot_be_are_refused(toy: Callable[..., Task], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        wrappers.ActionMask(TextEnv(toy()), **arguments)


def test_a_mask_that_leaves_nothing_is_refused(toy: Callable[..., Task]) -> None:
    env = wrappers.ActionMask(TextEnv(toy(min_new_tokens=1)), ban=[A, B, DOT])
    env.reset(seed=0)
    with pytest.raises(ArgumentError, match="leaves no token"):
        env.action_masks()


def test_the_shaping_must_see_the_mask(toy: Callable[..., Task]) -> None:
    with pytest.raises(ArgumentError, match=r"KLShaping\(ActionMask"):
        wrappers.ActionMask(TextEnv(toy(), kl_coef=0.1), ban=[A])
    with pytest.raises(ArgumentError, match=r"KLShaping\(ActionMask"):
        wrappers.ActionMask(wrappers.KLShaping(TextEnv(toy()), 0.1), ban=[A])


def test_the_nucleus_is_the_smallest_set_that_reaches_p() -> None:
    log_probs = torch.tensor([[0.125, 0.5, 0.25, 0.125], [0.0, 0.0, 1.0, 0.0]]).log()
    assert nucleus(log_probs, 0.5).tolist() == [[False, True, False, False], [False, False, True, False]]
    assert nucleus(log_probs, 0.51).tolist() == [[False, True, True, False], [False, False, True, False]]
    assert nucleus(log_probs, 0.76).tolist() == [[True, True, True, False], [False, False, True, False]]
    assert nucleus(log_probs, 1.0).tolist() == [[True] * 4, [False, False, True, False]]


def test_the_nucleus_is_renormalised_over_what_is_allowed(toy: Callable[..., Task]) -> None:
    table = Table(0.5, 0.25, 0.15, 0.1)  # without a: .5, .3, .2
    env = wrappers.ActionMask(TextEnv(toy()), ban=["a"], top_p=0.7, mask_model=table)
    env.reset(seed=0)
    assert env.action_masks().tolist() == [False, True, True, False]


def test_the_most_probable_tokens_with_the_end_of_text(toy: Callable[..., Task]) -> None:
    table = Table(0.4, 0.3, 0.2, 0.1)
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"top_k": 2}, [A, END]),
        ({"top_k": 3}, [A, B, END]),
        ({"top_k": 2, "ban": ["a"]}, [B, END]),
        ({"top_k": 3, "top_p": 0.6}, [A, B]),  # both must allow a token
        ({"top_k": 2, "top_p": 1.0}, [A, END]),
    ]
    for arguments, expected in cases:
        env = wrappers.ActionMask(TextEnv(toy()), mask_model=table, **arguments)
        env.reset(seed=0)
        assert np.flatnonzero(env.action_masks()).tolist() == expected
    env = wrappers.ActionMask(TextEnv(toy(min_new_tokens=1)), top_k=2, mask_model=table)
    env.reset(seed=0)
    assert env.action_masks().tolist() == [True, True, False, False]  # where it may not come, it takes no place
    env.step(np.int64(A))
    assert env.action_masks().tolist() == [True, False, False, True]


def test_the_mask_is_what_top_k_actions_offers(toy: Callable[..., Task]) -> None:
    plain, masked = (wrappers.TopKActions(env, 3) for env in (TextEnv(toy()), wrappers.ActionMask(TextEnv(toy()), top_k=3)))
    for env in (plain, masked):
        env.reset(seed=0)
    for _ in range(2):
        (seen, *_), (kept, *_) = (env.step(np.int64(np.argmax(env.rows.slots[0] != END))) for env in (plain, masked))
        assert masked.rows.slots.tolist() == plain.rows.slots.tolist()
        np.testing.assert_allclose(kept["candidate_logprobs"], torch.from_numpy(seen["candidate_logprobs"]).log_softmax(0), atol=1e-5)
        assert masked.action_masks().all()


def test_with_the_agents_entropy_the_shaping_is_the_kl_over_the_candidates(toy: Callable[..., Task]) -> None:
    # Candidates a, b and the end: (.5, .375, .125) of π_ref = (.4, .3, .2, .1).
    table, reference = Table(0.4, 0.3, 0.2, 0.1), np.array([0.5, 0.375, 0.125])
    policy = np.array([0.25, 0.5, 0.25])
    paid = []
    for token in (A, B, END):
        env = wrappers.KLShaping(wrappers.ActionMask(TextEnv(toy()), top_k=3, mask_model=table), 2.0, reference=table)
        env.reset(seed=0)
        _, reward, _, _, info = env.step(np.int64(token))
        paid.append(reward - info.get("score", 0.0))
    centre = -(reference * np.log(reference)).sum()  # what is paid too much, so that the reference is paid nothing
    bonus = -2.0 * (policy * np.log(policy)).sum()
    kl = (policy * np.log(policy / reference)).sum()
    assert policy @ paid + bonus == pytest.approx(-2.0 * kl + 2.0 * centre, abs=1e-6)


def test_an_updated_mask_model_moves_the_mask(toy: Callable[..., Task]) -> None:
    env = wrappers.ActionMask(TextEnv(toy()), top_p=0.5)
    rules = env.unwrapped.rules
    policy = LanguagePolicy.for_rules(rules)
    env.reset(seed=0)
    before = env.action_masks()
    with torch.no_grad():
        log_probs = policy.next_log_probs(env.reset(seed=0)[0][None], cached=False)
        assert before.tolist() == nucleus(log_probs, 0.5)[0].tolist()
        cast(torch.nn.Linear, policy.model.get_output_embeddings()).weight.mul_(-1)
    assert np.array_equal(env.action_masks(), before)  # the policy has moved, the mask model not
    env.update(policy)
    after = env.action_masks()
    assert after.tolist() == nucleus(policy.next_log_probs(env.reset(seed=0)[0][None], cached=False), 0.5)[0].tolist()
    assert not np.array_equal(after, before)
    with torch.no_grad():
        cast(torch.nn.Linear, policy.model.get_output_embeddings()).weight.mul_(-1)
    assert np.array_equal(env.action_masks(), after)  # a copy


def test_an_update_leaves_the_model_that_was_given_alone(toy: Callable[..., Task]) -> None:
    env = TextEnv(toy())
    shared, policy = LanguagePolicy.for_rules(env.rules), LanguagePolicy.for_rules(env.rules)
    with torch.no_grad():
        cast(torch.nn.Linear, policy.model.get_output_embeddings()).weight.mul_(2)
    state = {name: value.clone() for name, value in shared.state_dict().items()}
    wrappers.ActionMask(env, top_p=0.5, mask_model=shared).update(policy)
    assert all(torch.equal(value, state[name]) for name, value in shared.state_dict().items())
    with pytest.raises(ArgumentError, match="only with top_p or top_k"):
        wrappers.ActionMask(env, ban=[A]).update(policy)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_collect_draws_from_the_mask_and_keeps_it(toy: Callable[..., Task], mode: AutoresetMode) -> None:
    envs = wrappers.ActionMask(TextVectorEnv(toy(), 4, autoreset_mode=mode), ban=["b"], top_p=0.9)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    episodes = collect(policy, envs, 16, seed=0)
    allowed = episodes.allowed_tokens(4)
    assert allowed is not None
    response = episodes.tokens[:, 3:]
    assert not (response == B).any()
    drawn = allowed.gather(-1, response.clamp(min=0)[..., None])[..., 0]
    assert drawn[episodes.mask].all()
    assert not allowed[..., B].any()
    with torch.no_grad():
        again, _ = policy.response_log_probs(episodes.tokens, 3, allowed)
    torch.testing.assert_close(again, episodes.log_probs, atol=1e-5, rtol=0)


def test_collect_refuses_what_are_no_tokens(toy: Callable[..., Task]) -> None:
    envs = wrappers.TopKActions(TextVectorEnv(toy(), 2), 2)
    with pytest.raises(ArgumentError, match="reads and writes tokens"):
        collect(LanguagePolicy.for_rules(envs.unwrapped.rules), envs, 2)


def test_maskable_ppo_never_plays_a_ban(toy: Callable[..., Task]) -> None:
    contrib = pytest.importorskip("sb3_contrib")
    recorder = wrappers.RecordEpisodes(wrappers.ActionMask(TextEnv(toy()), ban=["b"]))
    contrib.MaskablePPO("MlpPolicy", recorder, n_steps=64, batch_size=32, n_epochs=1, seed=0).learn(128)
    tokens = recorder.frame()["token"]
    assert len(tokens) > 100
    assert set(tokens) == {A, DOT, END}


def test_ranks_with_the_end_of_text_last_if_it_is_possible() -> None:
    log_probs = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.5, 0.3, 0.2, 0.0]]).log()
    assert ranked(log_probs, 2, [END]).tolist() == [[END, DOT], [A, END], [A, B]]


def test_candidates_are_the_references_highest(toy: Callable[..., Task]) -> None:
    env = wrappers.TopKActions(TextEnv(toy()), 3)
    reference = LanguagePolicy.for_rules(env.unwrapped.rules)
    embeddings: Any = reference.model.get_input_embeddings()
    table = embeddings.weight.detach().numpy()
    seen, _ = env.reset(seed=0)
    for _ in range(2):
        with torch.no_grad():
            log_probs = reference.next_log_probs(seen["observation"][None], cached=False)
        slots = ranked(log_probs, 3, [END])[0]
        np.testing.assert_allclose(seen["candidate_logprobs"], log_probs[0, slots], atol=1e-5)
        np.testing.assert_array_equal(seen["candidates"], table[slots])
        action = int(np.flatnonzero(slots != END)[-1])
        length = int((seen["observation"] >= 0).sum())
        seen, *_ = env.step(np.int64(action))
        assert seen["observation"][3 + length - (seen["observation"][:3] >= 0).sum()] == slots[action]


def test_no_candidates_are_shown_at_the_end(toy: Callable[..., Task]) -> None:
    env = wrappers.TopKActions(TextEnv(toy()), 4)
    env.reset(seed=0)
    end = int(np.flatnonzero(env.rows.slots[0] == END)[0])
    seen, _, terminated, _, _ = env.step(np.int64(end))
    assert terminated
    assert not seen["candidates"].any()
    assert not seen["candidate_logprobs"].any()


def test_forbidden_candidates_are_masked(toy: Callable[..., Task]) -> None:
    env = wrappers.TopKActions(wrappers.ActionMask(TextEnv(toy(min_new_tokens=1)), ban=["b"]), 4)
    seen, _ = env.reset(seed=0)
    assert env.action_masks().tolist() == [True, True, False, False]
    assert sorted(env.rows.slots[0, :2]) == [A, DOT]
    assert (seen["candidate_logprobs"][2:] == LEAST_LOG_PROB).all()
    assert np.exp(seen["candidate_logprobs"][:2]).sum() == pytest.approx(1, abs=1e-5)


def test_one_forward_of_the_reference_a_step(toy: Callable[..., Task]) -> None:
    envs = wrappers.TopKActions(TextVectorEnv(toy(), 3), 4)
    asked: list[int] = []
    ask = envs.rows.reference.next_log_probs

    def counted(observations: NDArray[np.int32]) -> Any:
        asked.append(len(observations))
        return ask(observations)

    envs.rows.reference.next_log_probs = counted
    envs.reset(seed=0)
    ended = sum(envs.step(np.full(3, 3))[2].sum() for _ in range(5))
    assert ended > 0
    assert asked == [3] * 6


@pytest.mark.parametrize("k", [1, 5, 2.0, True])
def test_a_k_that_cannot_be_is_refused(toy: Callable[..., Task], k: Any) -> None:
    with pytest.raises(ArgumentError, match="k must be an integer from 2 to 4"):
        wrappers.TopKActions(TextEnv(toy()), k)


def test_slots_that_are_none_are_refused(toy: Callable[..., Task]) -> None:
    with pytest.raises(ArgumentError, match="input embeddings"):
        wrappers.TopKActions(TextEnv(toy()), 2, Table(0.25, 0.25, 0.25, 0.25))
    env = wrappers.TopKActions(TextEnv(toy()), 2)
    env.reset(seed=0)
    for action in (2, -1, 0.5, [0, 0]):
        with pytest.raises(ActionError, match="slot"):
            env.step(action)
    envs: Any = wrappers.TopKActions(gymnasium.make_vec("TextCopy-v0", num_envs=2), 2)
    envs.reset(seed=0)
    with pytest.raises(ActionError, match="one a row"):
        envs.step(np.zeros(3, dtype=np.int64))


@pytest.mark.parametrize("ban", ["ab", 5])
def test_bans_come_as_a_list(ban: Any) -> None:
    with pytest.raises(ArgumentError, match="ban must be a list of token ids or strings, got "):
        wrappers.ActionMask(gymnasium.make("TextCopy-v0"), ban=ban)
