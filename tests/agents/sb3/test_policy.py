"""The language model as a policy of Stable-Baselines3, against textenv's own on the same batch."""

from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
import torch
from sb3_contrib import TRPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.distributions import kl_divergence
from stable_baselines3.common.vec_env import VecNormalize

from textenv.agents.losses import clipped_surrogate
from textenv.agents.sb3.policy import LanguageModelPolicy, shared_texts
from textenv.agents.sb3.vec_env import as_vec_env
from textenv.envs.wrappers import EmbeddingObservation, KLShaping, TopKActions
from textenv.errors import ArgumentError
from textenv.models.loading import toy_causal_lm, toy_tokenizer
from textenv.models.policy import LanguagePolicy
from textenv.rollouts.collect import collect
from textenv.types import Episodes


def make(id: str = "TextCopy-v0", num_envs: int = 4, **options: Any) -> Any:
    return gymnasium.make_vec(id, num_envs=num_envs, **options)


def policy_of(envs: Any, **options: Any) -> LanguageModelPolicy:
    """A policy as SB3's algorithms make it."""
    vec = as_vec_env(envs)
    torch.manual_seed(0)
    policy = LanguageModelPolicy(vec.observation_space, vec.action_space, lambda _: 1e-3, **options)
    torch.nn.init.normal_(policy.language.value_head.weight, std=0.1)
    policy.set_training_mode(False)
    return policy


def decisions(episodes: Episodes) -> tuple[torch.Tensor, torch.Tensor]:
    """States as SB3's rollout buffer keeps them, (n, W) float32, and actions (n,), episode after episode."""
    states, actions = [], []
    for tokens, length in zip(episodes.tokens, episodes.lengths.tolist(), strict=True):
        for t in range(length):
            at = episodes.prompt_columns + t
            states.append(torch.cat([tokens[:at], torch.full((len(tokens) - at,), -1)]))
            actions.append(tokens[at])
    return torch.stack(states).float(), torch.stack(actions)


def gradients(policy: LanguageModelPolicy, loss: torch.Tensor) -> torch.Tensor:
    policy.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    return torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None])


# Equal to ours


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probs_values_entropy_and_gradient_are_ours(temperature: float) -> None:
    envs = make(num_envs=16)
    policy = policy_of(envs, temperature=temperature)
    ours = policy.language
    episodes = collect(ours, envs, 48, generator=torch.Generator().manual_seed(1))
    states, actions = decisions(episodes)
    noise = torch.Generator().manual_seed(2)
    old = episodes.log_probs[episodes.mask] + 0.3 * torch.randn(len(actions), generator=noise)  # so that ratios are clipped
    advantages, returns = (torch.randn(len(actions), generator=noise) for _ in range(2))

    policy.set_training_mode(True)
    values, log_probs, entropy = policy.evaluate_actions(states, actions)
    new, our_values = (x[episodes.mask] for x in ours.response_log_probs(episodes.tokens, episodes.prompt_columns))
    torch.testing.assert_close(log_probs, new, rtol=0, atol=1e-5)
    torch.testing.assert_close(values.flatten(), our_values, rtol=0, atol=1e-5)
    with torch.no_grad():
        every = ours.next_log_probs(states.numpy().astype(np.int32), cached=False)
    assert entropy is not None
    torch.testing.assert_close(entropy, torch.special.entr(every.exp()).sum(-1), rtol=0, atol=1e-5)

    # SB3's loss, as its PPO writes it, against the surrogate of our PPO with the same weight on the value.
    ratio = (log_probs - old).exp()
    assert 0.2 < ((ratio - 1).abs() > 0.2).float().mean() < 0.8
    theirs = -torch.min(advantages * ratio, advantages * ratio.clamp(0.8, 1.2)).mean() + 0.5 * (values.flatten() - returns).square().mean()
    found = gradients(policy, theirs)
    expected = gradients(policy, clipped_surrogate(new, old, advantages, 0.2).mean() + 0.5 * (our_values - returns).square().mean())
    assert expected.norm() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.norm().item())


def test_large_ids_survive_the_rollout_buffer() -> None:
    envs = make("TextSentiment-v0", num_envs=2)
    policy = policy_of(envs)
    observations, _ = envs.reset(seed=0)
    observations[:, -1] = [4095, 4094]
    with torch.no_grad():
        torch.testing.assert_close(policy.hidden(torch.from_numpy(observations).float()), policy.hidden(torch.from_numpy(observations)))
    assert policy.language.cache._seen[:, -1].tolist() == [4095, 4094]


def test_every_text_is_read_once() -> None:
    generator = np.random.default_rng(0)
    rows = np.full((200, 7), -1, dtype=np.int32)
    for row in rows:
        start, length = generator.integers(0, 3), generator.integers(1, 5)
        row[start : start + length] = generator.integers(0, 3, length)
    kept, place = shared_texts(rows)
    texts = [tuple(row[row >= 0].tolist()) for row in rows]
    for text, index in zip(texts, kept[place].tolist(), strict=True):
        assert texts[index][: len(text)] == text
    longest = {text for text in texts if not any(other[: len(text)] == text and other != text for other in texts)}
    assert sorted(texts[index] for index in kept.tolist()) == sorted(longest)


# The cache


def play(policy: LanguageModelPolicy, envs: Any, steps: int) -> int:
    """Compare what is computed with and without the cache in each state of a few steps, and count the texts that were begun."""
    observations, _ = envs.reset(seed=0)
    begun, terminated = len(observations), np.zeros(len(observations), dtype=np.bool_)
    for _ in range(steps):
        begun += int(terminated.sum())
        obs = torch.from_numpy(observations)
        with torch.no_grad():
            actions, values, log_probs = policy(obs)
        plain = policy.evaluate_actions(obs, actions)
        torch.testing.assert_close((values, log_probs), (plain[0].detach(), plain[1].detach()), rtol=0, atol=1e-5)
        observations, _, terminated, *_ = envs.step(actions.numpy())
    return begun


def test_acting_by_the_cache_is_acting_without() -> None:
    policy = policy_of(make())
    read: list[int] = []  # texts that were read from their start

    def note(_: Any, __: Any, given: dict[str, torch.Tensor], ___: Any) -> None:
        if not torch.is_grad_enabled() and given["input_ids"].shape[1] > 1:
            read.append(len(given["input_ids"]))

    envs = make()
    play(policy, envs, 1)  # steps are tried once for a width
    policy.language.cache.clear()
    policy.language.trunk.register_forward_hook(note, with_kwargs=True)
    begun = play(policy, envs, 30)
    assert sum(read) == begun < 60


def test_training_in_the_middle_of_an_episode_is_seen_by_the_next_token() -> None:
    envs = make()
    policy = policy_of(envs)
    observations, _ = envs.reset(seed=0)
    with torch.no_grad():
        before = policy.get_distribution(torch.from_numpy(observations)).distribution.probs
    policy.set_training_mode(True)
    for weights in policy.parameters():
        weights.data.mul_(1.5)  # past PyTorch's counting of versions
    policy.set_training_mode(False)
    with torch.no_grad():
        after = policy.get_distribution(torch.from_numpy(observations)).distribution.probs
    fresh = policy.get_distribution(torch.from_numpy(observations)).distribution.probs.detach()
    torch.testing.assert_close(after, fresh, rtol=0, atol=1e-5)
    assert (after - before).abs().max() > 0.1


def test_the_cache_serves_neither_gradients_nor_training() -> None:
    envs = make()
    policy = policy_of(envs)
    obs = torch.from_numpy(envs.reset(seed=0)[0])
    assert policy(obs)[2].requires_grad
    policy.set_training_mode(True)
    with torch.no_grad():
        policy(obs)
        policy.predict_values(obs)
        policy.next_log_probs(obs.numpy())
    assert policy.language.cache._slots is None


# Acting


def test_draws_follow_the_distribution_and_deterministic_ones_its_mode() -> None:
    envs = make()
    policy = policy_of(envs)
    one = envs.reset(seed=0)[0][:1]
    obs = torch.from_numpy(np.repeat(one, 8000, 0))
    with torch.no_grad():
        probs = policy.get_distribution(obs[:1]).distribution.probs[0]
        torch.manual_seed(0)
        share = torch.bincount(policy(obs)[0], minlength=len(probs)) / len(obs)
    assert (share - probs).abs().max() < 4 * (0.25 / len(obs)) ** 0.5
    action, state = policy.predict(one[0], deterministic=True)
    assert (np.shape(action), int(action), state) == ((), int(probs.argmax()), None)
    assert policy.predict(one.repeat(3, 0), deterministic=True)[0].tolist() == [int(probs.argmax())] * 3
    torch.manual_seed(1)
    assert len(set(policy.predict(obs.numpy())[0].tolist())) > 1


def test_tokens_that_are_forbidden_for_good_are_neither_drawn_nor_counted() -> None:
    tokenizer = toy_tokenizer("ab")
    tokenizer.add_special_tokens({"unk_token": "a"})  # now a special token other than the end of text
    envs = make(tokenizer=tokenizer, prompts=["b", "bb"], model=None)
    policy = policy_of(envs)
    obs = torch.from_numpy(envs.reset(seed=0)[0])
    distribution = policy.get_distribution(obs).distribution
    assert distribution.probs[:, 0].tolist() == [0.0] * 4
    found = distribution.entropy()
    torch.testing.assert_close(found, torch.special.entr(distribution.probs).sum(-1))
    loss = kl_divergence(policy.get_distribution(obs), policy.get_distribution(obs)).mean() + found.mean()
    assert torch.isfinite(gradients(policy, loss)).all()


def test_products_with_the_fisher_matrix_are_differences_of_gradients() -> None:
    envs = make(num_envs=8)
    policy = policy_of(envs)
    obs = torch.from_numpy(envs.reset(seed=0)[0])
    weights = [p for name, p in policy.named_parameters() if "value" not in name]
    with torch.no_grad():
        old = policy.get_distribution(obs)
    direction = [torch.randn(p.shape, generator=torch.Generator().manual_seed(i)) for i, p in enumerate(weights)]

    def slope(create_graph: bool = False) -> list[torch.Tensor]:
        kl = kl_divergence(policy.get_distribution(obs), old).mean()
        return list(torch.autograd.grad(kl, weights, create_graph=create_graph))

    product = torch.autograd.grad(sum(((g * d).sum() for g, d in zip(slope(True), direction, strict=True)), torch.zeros(())), weights)
    sides = []
    for step in (2e-4, -4e-4):
        with torch.no_grad():
            for p, d in zip(weights, direction, strict=True):
                p.add_(d, alpha=step)
        sides.append(torch.cat([g.flatten() for g in slope()]))
    expected = (sides[0] - sides[1]) / 4e-4
    found = torch.cat([g.flatten() for g in product])
    assert (found - expected).norm() < 0.02 * expected.norm()


# The KL


def test_the_shaping_pays_by_this_policy_what_it_pays_by_ours() -> None:
    paid = []
    for ours in (True, False):
        envs = KLShaping(make(kl_coef=0), 0.1)
        policy = policy_of(envs)
        with torch.no_grad():
            for weights in policy.language.model.parameters():
                weights.mul_(1.2)
        torch.manual_seed(3)
        envs.kl_shaping.policy = LanguagePolicy(policy.language.model, policy.language.tokenizer) if ours else policy
        vec = as_vec_env(envs)
        agent = PPO(LanguageModelPolicy, vec, n_steps=16, batch_size=32, n_epochs=1, seed=0, device="cpu")
        agent.policy.load_state_dict(policy.state_dict())
        agent.learn(64)
        paid.append(agent.rollout_buffer.rewards.copy())
    assert np.count_nonzero(paid[0]) > 50
    np.testing.assert_allclose(paid[1], paid[0], rtol=0, atol=1e-6)


def test_at_the_reference_the_shaping_by_this_policy_is_nothing() -> None:
    envs = make(kl_coef=0.1)
    agent = PPO(LanguageModelPolicy, as_vec_env(envs), n_steps=4, batch_size=8, n_epochs=1, seed=0, device="cpu")
    envs.unwrapped.kl_shaping.policy = agent.policy
    agent.learn(16)
    scores = agent.rollout_buffer.rewards
    assert np.abs(scores - np.round(scores * 12) / 12).max() < 1e-6  # shares of equal positions and no more


# Models, files, agents


def test_models() -> None:
    envs = make()
    toy = LanguagePolicy.for_rules(envs.unwrapped.rules)
    ours = policy_of(envs).language
    assert all(torch.equal(a, b) for a, b in zip(ours.model.parameters(), toy.model.parameters(), strict=True))
    named = policy_of(make("TextSentiment-v0"), model="tiny-en", precision="bf16").language
    default = policy_of(make("TextSentiment-v0")).language
    assert (named.vocabulary, named.precision) == (4096, "bf16")
    assert all(torch.equal(a, b) for a, b in zip(named.model.parameters(), default.model.parameters(), strict=True))


def test_a_folder_is_a_model(tmp_path: Path) -> None:
    envs = make()
    rules = envs.unwrapped.rules
    saved = LanguagePolicy(toy_causal_lm(rules.tokenizer, rules.width, seed=5), rules.tokenizer)
    saved.save_pretrained(tmp_path)
    found = policy_of(envs, model=tmp_path).language
    torch.testing.assert_close(found.model.state_dict(), saved.model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("algorithm", [PPO, A2C, TRPO])
def test_saving_and_loading_keep_the_predictions(algorithm: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {} if algorithm is A2C else {"batch_size": 16}
    vec = as_vec_env(make())
    agent = algorithm(LanguageModelPolicy, vec, n_steps=8, seed=0, device="cpu", policy_kwargs={"temperature": 0.9}, **options)
    agent.learn(64)
    vec.seed(5)
    observations = vec.reset()
    agent.save(tmp_path / "agent")
    agent.policy.save(str(tmp_path / "policy"))
    alone = LanguageModelPolicy.load(str(tmp_path / "policy"), device="cpu")
    for policy in (algorithm.load(tmp_path / "agent", env=vec, device="cpu").policy, algorithm.load(tmp_path / "agent").policy, alone):
        mine, theirs = (which.evaluate_actions(torch.from_numpy(observations), torch.zeros(4)) for which in (policy, agent.policy))
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
        np.testing.assert_array_equal(
            policy.predict(observations, deterministic=True)[0], agent.predict(observations, deterministic=True)[0]
        )


def test_two_runs_are_equal() -> None:
    runs = []
    for _ in range(2):
        agent = PPO(LanguageModelPolicy, as_vec_env(make()), n_steps=8, batch_size=16, n_epochs=2, seed=4, device="cpu").learn(96)
        runs.append((agent.rollout_buffer.observations.copy(), agent.policy.parameters_to_vector()))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


def score(language: LanguagePolicy) -> float:
    return float(collect(language, make(num_envs=64), 256, seed=1, generator=torch.Generator().manual_seed(0)).scores.mean())


def test_ppo_learns() -> None:
    options: dict[str, Any] = {"batch_size": 512, "n_epochs": 4, "learning_rate": 3e-3, "gamma": 1.0, "seed": 0, "device": "cpu"}
    agent = PPO(LanguageModelPolicy, as_vec_env(make(num_envs=64)), n_steps=16, **options)
    before = score(cast(LanguageModelPolicy, agent.policy).language)
    agent.learn(16 * 64 * 6)
    assert score(cast(LanguageModelPolicy, agent.policy).language) > before + 0.3


def test_trpo_keeps_its_constraint_and_improves() -> None:
    options: dict[str, Any] = {"cg_max_steps": 6, "n_critic_updates": 1, "gamma": 1.0, "seed": 0, "device": "cpu"}
    agent = TRPO(LanguageModelPolicy, as_vec_env(make(num_envs=32)), n_steps=8, batch_size=256, target_kl=0.05, **options).learn(256)
    told = agent.logger.name_to_value
    assert told["train/is_line_search_success"] == 1
    assert 0.01 < told["train/kl_divergence_loss"] < 0.05
    assert told["train/policy_objective"] > 0


# Bad input


def test_spaces_that_are_no_tokens_are_refused() -> None:
    others: list[Any] = [
        as_vec_env(EmbeddingObservation(make())),
        as_vec_env(TopKActions(make(), 3)),
        gymnasium.make("CartPole-v1"),
        gymnasium.make("Pendulum-v1"),
    ]
    for env in others:
        with pytest.raises(ArgumentError, match=r"reads token ids, .* without EmbeddingObservation and TopKActions, or take MlpPolicy"):
            PPO(LanguageModelPolicy, env, n_steps=8, batch_size=8, device="cpu")


def test_normalised_observations_are_refused() -> None:
    agent = PPO(LanguageModelPolicy, VecNormalize(as_vec_env(make())), n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(ArgumentError, match="no token ids; if VecNormalize is around the envs, give it norm_obs=False"):
        agent.learn(32)
    PPO(LanguageModelPolicy, VecNormalize(as_vec_env(make()), norm_obs=False), n_steps=8, batch_size=8, n_epochs=1, device="cpu").learn(32)


def test_models_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r'"tiny-en" has 4096 tokens, the environment \d+; make it with tokenizer="tiny-en"'):
        policy_of(make(), model="tiny-en")
    with pytest.raises(ArgumentError, match="but the model reads only 256; give shorter prompts, lower max_prompt_tokens"):
        policy_of(make("TextSentiment-v0", max_new_tokens=300))


def test_another_tokenizer_of_the_same_size_is_refused(tmp_path: Path) -> None:
    mine, theirs = toy_tokenizer("abc"), toy_tokenizer("abd")
    envs = make(tokenizer=mine, prompts=["ab"], model=None)
    LanguagePolicy(toy_causal_lm(theirs, 40), theirs).save_pretrained(tmp_path)
    with pytest.raises(ArgumentError, match="has other ids than the environment, such as 2, which is"):
        policy_of(envs, model=tmp_path)


def test_single_environments_need_a_name() -> None:
    env = gymnasium.make("TextSentiment-v0", max_new_tokens=2)
    with pytest.raises(ArgumentError, match=r'Name a model, policy_kwargs=dict\(model="tiny-en"\), or .* as_vec_env'):
        PPO(LanguageModelPolicy, env, n_steps=4, batch_size=4, device="cpu")
    agent = PPO(LanguageModelPolicy, env, n_steps=4, batch_size=4, n_epochs=1, device="cpu", policy_kwargs={"model": "tiny-en"})
    agent.learn(4)
    assert agent.num_timesteps == 4
