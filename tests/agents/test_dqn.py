"""DQN: its targets by hand, its memory, its play, and the known optimum."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from tests.agents.enumerated import every_text, tiny_envs, tiny_policy
from textenv import wrappers
from textenv.agents.dqn import DQN, DQNConfig, EpsilonGreedy, offers, packed
from textenv.envs.exact import ExactMDP
from textenv.errors import ArgumentError
from textenv.models.loading import toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.collect import collect
from textenv.types import Episodes

ETA = 0.3


def make(**fields: Any) -> tuple[DQN, Episodes]:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    agent = DQN(policy, envs, DQNConfig(**{"softness": ETA, "replay_size": 8, "minibatch_size": 4, "episodes_per_update": 4, **fields}))
    agent.target.load_state_dict(tiny_policy(envs.rules, seed=2).state_dict())
    return agent, every_text(envs.rules, policy)[0]


def q_of(policy: LanguagePolicy, tokens: list[int]) -> torch.Tensor:
    """Q(s, ·) = V(s) + η log π(·|s) after some tokens: (V,)."""
    with torch.no_grad():
        hidden = policy.trunk(input_ids=torch.tensor([tokens])).last_hidden_state[0, -1]
        log_probs = torch.log_softmax(policy.model.lm_head(hidden)[: policy.vocabulary], -1)
        q: torch.Tensor = policy.value_head(hidden) + ETA * log_probs
    return q


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_the_loss_by_hand(double: bool, gamma: float) -> None:
    agent, texts = make(double=double, gamma=gamma)
    terms = {name: values.detach() for name, values in agent.loss(texts).items()}
    differ = 0
    for row in range(len(texts)):
        tokens = [token for token in texts.tokens[row].tolist() if token >= 0]
        for t in range(len(tokens) - 1):
            target = float(texts.rewards[row, t])
            if t + 2 < len(tokens):
                online, frozen = (q_of(policy, tokens[: t + 2]) for policy in (agent.policy, agent.target))
                chosen = online.argmax() if double else frozen.argmax()
                differ += int(online.argmax() != frozen.argmax())
                target += gamma * float(frozen[chosen])
            q = float(q_of(agent.policy, tokens[: t + 1])[tokens[t + 1]])
            assert float(terms["loss"][row, t]) == pytest.approx(0.5 * (target - q) ** 2, rel=1e-5)
    assert differ  # else double Q would not be tested


def test_the_oldest_episodes_are_forgotten() -> None:
    agent, texts = make()
    agent._remember(texts.select(range(6)))
    agent._remember(texts.select(range(6, 12)))
    replay = agent.memory["replay"]
    assert torch.equal(replay["tokens"], texts.tokens[4:12].int())
    assert torch.equal(replay["rewards"], texts.rewards[4:12])
    drawn = agent._recall()
    assert len(drawn) == 4
    known = {tuple(row) for row in texts.tokens[4:12].tolist()}
    assert all(tuple(row) in known for row in drawn.tokens.tolist())


def test_the_target_follows_every_so_many_steps() -> None:
    agent, texts = make(target_steps=3, steps_per_update=2, learning_rate=0.01)
    equal = []
    for _ in range(3):
        agent.update(texts.select(range(4)))
        pairs = zip(agent.policy.parameters(), agent.target.parameters(), strict=True)
        equal.append(all(torch.equal(a, b) for a, b in pairs))
    assert equal == [False, False, True]  # after 2, 4 and 6 steps: copied at the third and at the sixth
    assert agent.memory["steps"] == 6


def test_epsilon_greedy_play() -> None:
    envs = tiny_envs()
    policy = tiny_policy(envs.rules)
    observations = np.repeat(np.array([[0, -1, -1]], dtype=np.int32), 4000, axis=0)
    best = int(policy.act(observations[:1], greedy=True).actions[0])
    generator = torch.Generator().manual_seed(0)
    actor = EpsilonGreedy(policy, 0.3, envs.rules.allowed)
    act = actor.act(observations, generator=generator)
    share = [float((act.actions == token).mean()) for token in range(3)]
    assert share[best] == pytest.approx(0.7 + 0.1, abs=0.02)
    assert sorted(share)[0] == pytest.approx(0.1, abs=0.02)
    expected = np.where(act.actions == best, np.log(0.8), np.log(0.1))
    assert np.allclose(act.log_probs.numpy(), expected, atol=1e-5)
    allowed = np.zeros((4000, 3), dtype=np.bool_)
    allowed[:, 1:] = True
    assert not (actor.act(observations, allowed=allowed, generator=generator).actions == 0).any()
    assert (actor.act(observations, generator=generator, greedy=True).actions == best).all()


def test_epsilon_falls_over_the_exploration() -> None:
    agent, _ = make(epsilon=1.0, final_epsilon=0.2, exploration=0.5)
    seen: list[float] = []
    agent.learn(16, lambda metrics, _: seen.append(metrics["epsilon"]))
    assert seen == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_top_k_acts_among_what_the_reference_ranks_highest() -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=8)
    rules = envs.unwrapped.rules
    wrapped = wrappers.TopKActions(gymnasium.make_vec("TextCopy-v0", num_envs=8), 2)
    config = DQNConfig(episodes_per_update=64, minibatch_size=16, replay_size=64, epsilon=1.0)
    by_option = DQN(LanguagePolicy.for_rules(rules), envs, DQNConfig(**{**vars(config), "top_k": 2}), seed=1)
    by_wrapper = DQN(LanguagePolicy.for_rules(rules), wrapped, config, seed=1)
    batches = [agent.collect() for agent in (by_option, by_wrapper)]
    assert torch.equal(batches[0].tokens, batches[1].tokens)
    allowed = batches[0].allowed_tokens(rules.vocabulary)
    assert allowed is not None
    mask = batches[0].mask
    assert set(allowed[mask].sum(-1).tolist()) == {2}
    assert allowed[mask].gather(-1, batches[0].tokens[:, rules.prompt_columns :][mask][:, None]).all()
    with pytest.raises(ArgumentError, match="The envs are TopKActions already, so top_k=3 is one choice too many"):
        DQN(LanguagePolicy.for_rules(rules), wrapped, DQNConfig(top_k=3))
    by_option.learn(128)
    replay = by_option.memory["replay"]
    assert replay["offers"].shape == (64, rules.response_columns, 2)
    assert "allowed" not in replay
    drawn = by_option._recall()
    offered, written = drawn.allowed_tokens(rules.vocabulary), drawn.mask
    assert offered is not None
    assert set(offered[written].sum(-1).tolist()) == {2}
    assert offered[written].gather(-1, drawn.tokens[:, rules.prompt_columns :][written][:, None]).all()
    assert not offered[~written].any()
    frozen = collect(by_option.policy, by_option.envs, 16, seed=0).allowed_tokens(rules.vocabulary)
    assert frozen is not None  # what was learnt is played among the same candidates


def test_offers_are_the_mask_in_few_bytes() -> None:
    allowed = torch.zeros(1, 3, 20, dtype=torch.bool)
    allowed[0, 0, [3, 19]] = True
    allowed[0, 1, 7] = True
    found = offers(allowed, 2)
    assert [sorted(row) for row in found[0].tolist()] == [[3, 19], [-1, 7], [-1, -1]]
    bits = packed(found, 20)
    assert torch.equal(bits, torch.from_numpy(np.packbits(allowed.numpy(), axis=-1)))


def test_warns_of_a_large_vocabulary() -> None:
    letters = "".join(chr(0x4E00 + i) for i in range(17_000))
    envs = gymnasium.make_vec("TextCopy-v0", num_envs=1, tokenizer=toy_tokenizer(letters), prompts=[letters[0] + ":"], reward=len_of)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)  # type: ignore[attr-defined]
    said = r"DQN over 17,\d\d\d tokens compares 4,352,\d\d\d values of Q in every optimiser step, 0\.0 GiB, .* give top_k=16"
    with pytest.warns(UserWarning, match=said):
        DQN(policy, envs)


def len_of(completions: list[str]) -> list[float]:
    return [float(len(text)) for text in completions]


def test_learns_what_pays() -> None:
    envs = tiny_envs(32)
    policy = LanguagePolicy.for_rules(envs.rules)
    mdp = ExactMDP(envs.rules, policy)
    DQN(policy, envs, DQNConfig(learning_rate=1e-3, softness=0.1, episodes_per_update=64, steps_per_update=8)).learn(1024)
    assert mdp.normalised_return(policy, 0.0) >= 0.6


@pytest.mark.slow
def test_approaches_the_known_optimum() -> None:
    envs: Any = gymnasium.make_vec("TextCopy-v0", num_envs=64)
    policy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    mdp = ExactMDP(envs.unwrapped.rules, policy)
    config = DQNConfig(learning_rate=2e-3, softness=0.03, episodes_per_update=128, steps_per_update=10)
    DQN(policy, envs, config).learn(12_288)
    greedy = [torch.zeros_like(level).scatter(-1, level.argmax(-1, keepdim=True), 1.0).log() for level in mdp.log_probs(policy)]
    assert mdp.normalised_return(greedy, 0.0) >= 0.8
