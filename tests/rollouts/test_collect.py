"""`collect` plays what it was asked for, all of it, and records what was paid and thought."""

import dataclasses
import math
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from numpy.typing import NDArray

from textenv.envs.copying import copied_share
from textenv.envs.exact import ExactMDP
from textenv.envs.rules import Rules
from textenv.errors import ArgumentError
from textenv.models.policy import LanguagePolicy
from textenv.rewards.protocol import Scores
from textenv.rollouts.collect import collect
from textenv.types import Episodes

EOS = 4  # of TextCopy-v0, whose tokens are a, b, c, > and the end of text


def make(num_envs: int = 8, mode: str = "SAME_STEP", **fields: Any) -> Any:
    return gymnasium.make_vec("TextCopy-v0", num_envs=num_envs, autoreset_mode=mode, **fields)


def make_policy(envs: Any) -> LanguagePolicy:
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        torch.nn.init.normal_(policy.value_head.weight)
    return policy


def no_repeats(observation: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Allow every token but the last one; a row without a token has no last one."""
    allowed = np.ones(5, dtype=np.bool_)
    allowed[observation[observation >= 0][-1]] = False
    return allowed


def by_piece(pieces: list[list[str]]) -> list[list[float]]:
    return [[0.5 * (i + 1) if piece else -1.0 for i, piece in enumerate(row)] for row in pieces]


def assert_equal(one: Episodes, two: Episodes) -> None:
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if not isinstance(a, torch.Tensor):
            assert a == b, field.name
        elif a.dtype == torch.float32:
            assert torch.allclose(a, b, atol=1e-5), field.name
        else:
            assert torch.equal(a, b), field.name


@pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP"])
@pytest.mark.parametrize("n", [3, 8, 29])
def test_exactly_n_episodes_in_the_order_of_their_prompts(n: int, mode: str) -> None:
    envs = make(mode=mode)
    rules: Rules = envs.unwrapped.rules
    queue = np.random.default_rng(n).integers(36, size=n)
    episodes = collect(make_policy(envs), envs, n, seed=1, prompt_index=queue)
    assert len(episodes) == n
    assert episodes.prompt_index.tolist() == queue.tolist()
    assert episodes.prompts == [rules.prompts.texts[i] for i in queue]
    assert np.array_equal(episodes.tokens[:, :4].numpy(), rules.prompts.tokens[queue])
    assert episodes.tokens.dtype == torch.int64
    assert episodes.completions == rules.completions(episodes.tokens.int().numpy(), episodes.lengths.numpy())
    assert n < 29 or len(set(episodes.lengths.tolist())) > 2
    assert episodes.allowed is None
    mask = episodes.mask
    assert (mask[:, 1:] <= mask[:, :-1]).all()  # a response has no holes
    for row in range(n):
        last = int(episodes.lengths[row]) - 1
        by_eos = int(episodes.tokens[row, 4 + last]) == EOS
        assert episodes.finish_reasons[row] == ("eos" if by_eos else "length")
        assert by_eos or last == 3
        assert EOS not in episodes.tokens[row, 4 : 4 + last]


@pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP"])
def test_the_score_is_paid_for_the_last_token(mode: str) -> None:
    envs = make(mode=mode, missing_eos_penalty=0.25)
    episodes = collect(make_policy(envs), envs, 40, seed=2)
    scores = copied_share(episodes.prompts, episodes.completions)
    assert episodes.scores.tolist() == pytest.approx(scores, abs=1e-12)
    assert episodes.scores.dtype == torch.float64
    assert len(set(scores)) > 2
    assert set(episodes.finish_reasons) == {"eos", "length"}
    expected = torch.zeros(40, 4)
    for row, (score, reason) in enumerate(zip(scores, episodes.finish_reasons, strict=True)):
        expected[row, int(episodes.lengths[row]) - 1] = score - (0.25 if reason == "length" else 0.0)
    assert torch.allclose(episodes.rewards, expected.double(), atol=1e-6)


@pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP"])
def test_a_reward_by_pieces_is_paid_token_by_token(mode: str) -> None:
    envs = make(mode=mode, reward=by_piece, missing_eos_penalty=0.25)
    episodes = collect(make_policy(envs), envs, 24, seed=3)
    assert set(episodes.finish_reasons) == {"eos", "length"}
    for row in range(24):
        length = int(episodes.lengths[row])
        paid = [0.5 * (i + 1) for i in range(length)]
        if episodes.finish_reasons[row] == "eos":
            paid[-1] = -1.0  # the end of text is the piece ""
        assert episodes.scores[row].item() == pytest.approx(sum(paid))
        paid[-1] -= 0.25 if episodes.finish_reasons[row] == "length" else 0.0
        assert episodes.rewards[row].tolist() == pytest.approx(paid + [0.0] * (4 - length))


def exact_length(rules: Rules, policy: LanguagePolicy) -> float:
    """E[response tokens]: the probability of reaching each level, summed."""
    mdp = ExactMDP(rules, policy)
    reach = torch.full((len(mdp.levels[0].observations),), 1 / len(mdp.levels[0].observations), dtype=torch.float64)
    length = 0.0
    for level, log_probs in zip(mdp.levels, mdp.reference, strict=True):
        length += float(reach.sum())
        reach = (reach[:, None] * log_probs.exp())[level.child >= 0]
    return length


@pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP"])
def test_lengths_and_scores_are_unbiased(mode: str) -> None:
    # Few episodes a call for as many rows: whoever drops the late ones finds short texts here.
    envs = make(64, mode)
    rules, policy = envs.unwrapped.rules, make_policy(envs)
    parts = [collect(policy, envs, 72, seed=seed, prompt_index=np.arange(72) % 36) for seed in range(20)]
    lengths = torch.cat([part.lengths for part in parts]).double()
    scores = torch.cat([part.scores for part in parts])
    score = ExactMDP(rules, policy).evaluate(policy, 0.0).score
    for sample, expected in ((lengths, exact_length(rules, policy)), (scores, score)):
        assert sample.std() > 0.05
        assert abs(sample.mean().item() - expected) < 4 * sample.std().item() / math.sqrt(len(sample))


def test_autoreset_modes_agree() -> None:
    same, following = make(), make(mode="NEXT_STEP")
    policy, queue = make_policy(same), np.arange(29)
    assert_equal(*(collect(policy, envs, 29, prompt_index=queue, greedy=True) for envs in (same, following)))


def test_greedy_takes_the_most_probable_token() -> None:
    envs = make()
    policy = make_policy(envs)
    episodes = collect(policy, envs, 12, prompt_index=np.arange(12), greedy=True)
    for t in range(4):
        rows = episodes.mask[:, t].numpy()
        prefixes = episodes.tokens.int().numpy()[rows].copy()
        prefixes[:, 4 + t :] = -1
        assert policy.next_log_probs(prefixes, cached=False).argmax(-1).tolist() == episodes.tokens[rows, 4 + t].tolist()


@pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP"])
def test_log_probs_and_values_are_those_of_the_policy(mode: str) -> None:
    envs = make(mode=mode)
    policy = make_policy(envs)
    episodes = collect(policy, envs, 29, seed=4)
    with torch.no_grad():
        log_probs, values = policy.response_log_probs(episodes.tokens, 4)
    assert torch.allclose(episodes.log_probs, log_probs, atol=1e-5)
    assert torch.allclose(episodes.values, values, atol=1e-5)
    assert episodes.values[episodes.mask].std() > 0.1
    assert (episodes.log_probs[~episodes.mask] == 0).all()
    assert (episodes.values[~episodes.mask] == 0).all()
    assert (episodes.log_probs[episodes.mask] < 0).all()


@pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP"])
def test_restrictions_are_recorded_and_can_be_applied_again(mode: str) -> None:
    envs = make(mode=mode, min_new_tokens=2, action_mask=no_repeats)
    policy = make_policy(envs)
    episodes = collect(policy, envs, 29, seed=5)
    allowed = episodes.allowed_tokens(5)
    assert allowed is not None
    assert allowed.shape == (29, 4, 5)
    expected = torch.zeros(29, 4, 5, dtype=torch.bool)
    for row in range(29):
        for t in range(int(episodes.lengths[row])):
            expected[row, t] = True
            expected[row, t, int(episodes.tokens[row, 3 + t])] = False
            expected[row, t, EOS] &= t >= 2
    assert torch.equal(allowed, expected)
    assert (episodes.lengths > 2).all()
    assert allowed.gather(2, episodes.tokens[:, 4:, None].clamp(min=0))[..., 0][episodes.mask].all()
    with torch.no_grad():
        again, _ = policy.response_log_probs(episodes.tokens, 4, allowed)
        free, _ = policy.response_log_probs(episodes.tokens, 4)
    assert torch.allclose(episodes.log_probs, again, atol=1e-5)
    assert (episodes.log_probs - free)[episodes.mask].min() > 0.01


@pytest.mark.parametrize("mode", ["SAME_STEP", "NEXT_STEP"])
def test_wrapped_envs_give_the_same_episodes(mode: str) -> None:
    plain, wrapped = make(mode=mode), RecordEpisodeStatistics(make(mode=mode))
    policy = make_policy(plain)
    expected = collect(policy, plain, 29, seed=6)
    assert_equal(collect(policy, wrapped, 29, seed=6), expected)
    assert wrapped.episode_count == 29
    assert sorted(wrapped.return_queue) == pytest.approx(sorted(expected.scores.tolist()))


def test_a_seed_decides_everything() -> None:
    envs = make()
    policy = make_policy(envs)
    first = collect(policy, envs, 29, seed=7)
    torch.rand(3)
    assert_equal(collect(policy, make(), 29, seed=7), first)
    other = collect(policy, envs, 29, seed=8)
    assert other.prompts != first.prompts
    assert not torch.equal(other.tokens[:, 4:], first.tokens[:, 4:])
    assert len(set(first.prompts)) > 10


def test_a_generator_goes_on_where_it_was() -> None:
    envs = make()
    policy, queue = make_policy(envs), np.arange(16)

    def twice() -> list[Episodes]:
        generator = torch.Generator().manual_seed(9)
        return [collect(policy, envs, 16, prompt_index=queue, generator=generator) for _ in range(2)]

    (one, two), (again_one, again_two) = twice(), twice()
    assert_equal(one, again_one)
    assert_equal(two, again_two)
    assert not torch.equal(one.tokens, two.tokens)


def test_the_policy_acts_in_evaluation_mode() -> None:
    envs = make()
    policy = make_policy(envs).train()
    collect(policy, envs, 2, seed=0)
    assert not policy.training


def test_refusals() -> None:
    envs = make()
    policy = make_policy(envs)
    with pytest.raises(ArgumentError, match="make them with autoreset_mode SAME_STEP or NEXT_STEP"):
        collect(policy, make(mode="DISABLED"), 4)
    with pytest.raises(ArgumentError, match=r"prompt_index must hold 4 indices, got the shape \(3,\)"):
        collect(policy, envs, 4, prompt_index=[0, 1, 2])
    with pytest.raises(ArgumentError, match=r"prompt_index must hold 4 indices, got the shape \(2, 2\)"):
        collect(policy, envs, 4, prompt_index=[[0, 1], [2, 3]])
    with pytest.raises(ArgumentError, match="integers from 0 to 35"):
        collect(policy, envs, 2, prompt_index=[0, 36])
    with pytest.raises(ArgumentError, match="n of at least 1, got 0"):
        collect(policy, envs, 0)
    with pytest.raises(ArgumentError, match="seed must be at least 0, got -1"):
        collect(policy, envs, 4, seed=-1)
    with pytest.raises(ArgumentError, match="have up to 9 tokens, but the model reads only 8"):
        collect(policy, make(max_new_tokens=5), 4)
    with pytest.raises(ArgumentError, match="CartPole"):
        collect(policy, gymnasium.make_vec("CartPole-v1", num_envs=2), 4)


def share_in_parts(prompts: list[str], completions: list[str]) -> Scores:
    shares = copied_share(prompts, completions)
    return Scores(shares, parts={"share": shares, "length": [float(len(text)) for text in completions]})


def test_parts_of_the_score_and_payments_by_token_are_kept() -> None:
    by_token, at_end = (make(reward=share_in_parts, potential=phi) for phi in (copied_share, None))
    policy = make_policy(by_token)
    one, two = (collect(policy, envs, 13, seed=4) for envs in (by_token, at_end))
    assert one.score_parts["share"].tolist() == one.scores.tolist()
    assert one.score_parts["length"].tolist() == [len(text) for text in one.completions]
    assert torch.equal(one.tokens, two.tokens)
    assert torch.allclose(one.rewards.sum(1), two.rewards.sum(1), atol=1e-6)
    prefixes = [[copied_share([p], [text[: t + 1]])[0] for t in range(4)] for p, text in zip(one.prompts, one.completions, strict=True)]
    growth = torch.tensor(prefixes).diff(dim=1, prepend=torch.zeros(13, 1))
    assert torch.allclose(one.rewards, (growth * one.mask).double(), atol=1e-6)
    assert (two.rewards[:, 0][one.lengths > 1] == 0).all()
    assert collect(policy, make(), 3, seed=4).score_parts == {}
