"""PPO in one file, in CleanRL's manner: a small network over tokens, `gymnasium.make_vec`, and nothing of textenv but the id.

With `autoreset_mode="NEXT_STEP"` the step after an episode's end resets: its action is ignored and its reward is 0. It belongs to no
episode, so it is left out of the batch. With "SAME_STEP" no step is spent. Every end of a text is `terminated`, none is bootstrapped.

Run: python examples/cleanrl_ppo.py --env-id textenv:TextCount-v0 --seed 2
"""

import os
import time
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import gymnasium
import torch
import tyro
from torch import Tensor, nn
from torch.distributions import Categorical


@dataclass(frozen=True, kw_only=True)
class Args:
    env_id: str = "textenv:TextCopy-v0"
    """the environment, after the module that registers it"""
    autoreset_mode: Literal["NEXT_STEP", "SAME_STEP"] = "NEXT_STEP"
    """when an ended episode is followed by the next"""
    seed: int = 1
    """of network, sampling and environments"""
    total_timesteps: int = 200_000
    """steps of all environments together, those that reset included"""
    num_envs: int = 64
    """environments, stepped together"""
    num_steps: int = 32
    """steps of each environment an update"""
    learning_rate: float = 2e-3
    """of Adam at the start; falls to 0 in a line"""
    gamma: float = 1.0
    """discount; 1, as a text is judged at its end"""
    gae_lambda: float = 0.95
    """λ of the generalised advantage estimate"""
    num_minibatches: int = 4
    """parts of a batch"""
    update_epochs: int = 4
    """passes over a batch"""
    clip_coef: float = 0.2
    """how far from 1 the ratio of new to old probability counts"""
    ent_coef: float = 0.01
    """weight of the entropy"""
    vf_coef: float = 0.5
    """weight of the values' squared error"""
    max_grad_norm: float = 0.5
    """largest norm of the gradient"""


class Agent(nn.Module):  # from tokens (n, P+T), -1 where there is none, to a policy and values (n,)
    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Embedding(vocabulary + 1, 16, padding_idx=0), nn.Flatten(), nn.Linear(16 * width, 128), nn.Tanh())
        self.actor, self.critic = nn.Linear(128, vocabulary), nn.Linear(128, 1)

    def forward(self, obs: Tensor) -> tuple[Categorical, Tensor]:
        hidden = self.trunk(obs + 1)  # -1, no token, is the padding index 0
        return Categorical(logits=self.actor(hidden)), self.critic(hidden).squeeze(1)


class Rollout(NamedTuple):  # of S steps of N environments
    obs: Tensor  # (S+1, N, P+T); the last are those after the last step
    dones: Tensor  # (S+1, N), whether an episode had ended before the step
    values: Tensor  # (S+1, N)
    actions: Tensor  # (S, N)
    logprobs: Tensor  # (S, N)
    rewards: Tensor  # (S, N)


@torch.no_grad()
def collect(agent: Agent, envs: Any, obs: Tensor, done: Tensor, num_steps: int) -> Rollout:
    """Play on from `obs` (N, P+T) and `done` (N,)."""
    steps = []
    for _ in range(num_steps):
        policy, value = agent(obs)
        action = policy.sample()
        next_obs, reward, terminated, truncated, _ = envs.step(action.numpy())
        steps.append((obs, done, value, action, policy.log_prob(action), torch.as_tensor(reward).float()))
        obs, done = torch.as_tensor(next_obs), torch.as_tensor(terminated | truncated)
    b_obs, dones, values, *others = (torch.stack(column) for column in zip(*steps, strict=True))
    return Rollout(*(torch.cat([a, b[None]]) for a, b in ((b_obs, obs), (dones, done), (values, agent(obs)[1]))), *others)


def gae(rollout: Rollout, gamma: float, gae_lambda: float) -> Tensor:
    """Advantages (S, N); what stands at a step that only resets is never used."""
    advantages, last = torch.zeros_like(rollout.rewards), torch.zeros(())
    for t in reversed(range(len(advantages))):
        nonterminal = 1.0 - rollout.dones[t + 1].float()
        delta = rollout.rewards[t] + gamma * nonterminal * rollout.values[t + 1] - rollout.values[t]
        advantages[t] = last = delta + gamma * gae_lambda * nonterminal * last
    return advantages


def update(agent: Agent, optimizer: torch.optim.Optimizer, rollout: Rollout, args: Args) -> dict[str, float]:
    """Improve the agent on one rollout, and tell what the last minibatch looked like."""
    advantages = gae(rollout, args.gamma, args.gae_lambda)
    written = ~rollout.dones[:-1] if args.autoreset_mode == "NEXT_STEP" else torch.ones_like(rollout.dones[:-1])  # else the step reset
    b_obs, b_actions, b_logprobs = rollout.obs[:-1][written], rollout.actions[written], rollout.logprobs[written]
    b_advantages, b_returns = advantages[written], (advantages + rollout.values[:-1])[written]
    metrics: dict[str, float] = {"transitions": len(b_actions)}
    for _ in range(args.update_epochs):
        for mb_inds in torch.randperm(len(b_actions)).chunk(args.num_minibatches):
            policy, newvalue = agent(b_obs[mb_inds])
            logratio = policy.log_prob(b_actions[mb_inds]) - b_logprobs[mb_inds]
            ratio, mb_advantages = logratio.exp(), b_advantages[mb_inds]
            mb_advantages = (mb_advantages - mb_advantages.mean()) / (mb_advantages.std() + 1e-8)
            pg_loss = -torch.min(mb_advantages * ratio, mb_advantages * ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)).mean()
            v_loss = 0.5 * (newvalue - b_returns[mb_inds]).square().mean()
            loss = pg_loss + args.vf_coef * v_loss - args.ent_coef * policy.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
            optimizer.step()
            clipfrac = ((ratio - 1).abs() > args.clip_coef).float().mean().item()
            metrics |= {"v_loss": v_loss.item(), "approxkl": (ratio - 1 - logratio).mean().item(), "clipfrac": clipfrac}
    return metrics


@torch.no_grad()
def evaluate(agent: Agent, env_id: str, episodes: int = 512) -> float:
    """Mean return of the first episode of each of so many environments."""
    envs = gymnasium.make_vec(env_id, num_envs=episodes)
    obs, _ = envs.reset(seed=10_000)
    running, returns = torch.ones(episodes), torch.zeros(episodes)
    while running.any():
        obs, reward, terminated, truncated, _ = envs.step(agent(torch.as_tensor(obs))[0].sample().numpy())
        returns += running * torch.as_tensor(reward)
        running *= ~torch.as_tensor(terminated | truncated)
    return returns.mean().item()


def train(args: Args) -> tuple[float, float]:
    """Train an agent and return its score before and after."""
    torch.manual_seed(args.seed)
    envs: Any = gymnasium.make_vec(args.env_id, num_envs=args.num_envs, autoreset_mode=args.autoreset_mode)
    agent = Agent(int(envs.single_action_space.n), envs.single_observation_space.shape[0])
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    before, start, updates = evaluate(agent, args.env_id), time.time(), max(1, args.total_timesteps // (args.num_envs * args.num_steps))
    next_obs, next_done = torch.as_tensor(envs.reset(seed=args.seed)[0]), torch.zeros(args.num_envs, dtype=torch.bool)
    for iteration in range(updates):
        optimizer.param_groups[0]["lr"] = (1 - iteration / updates) * args.learning_rate
        rollout = collect(agent, envs, next_obs, next_done, args.num_steps)
        next_obs, next_done = rollout.obs[-1], rollout.dones[-1]
        metrics = update(agent, optimizer, rollout, args)
        if iteration % 20 == 0 or iteration == updates - 1:
            print(f"update {iteration + 1}:", " ".join(f"{name}={value:.4g}" for name, value in metrics.items()))
    after = evaluate(agent, args.env_id)
    print(f"{args.env_id}: score {before:.3f} -> {after:.3f} after {updates} updates, {time.time() - start:.0f} s")
    return before, after


if __name__ == "__main__":
    train(tyro.cli(Args))
