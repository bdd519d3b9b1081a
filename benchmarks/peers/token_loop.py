"""RL4LMs' loop in its algorithmic shape, re-created: every token is a step of an object, and of everything else.

RL4LMs (Ramamurthy et al., "Is Reinforcement Learning (Not) for Natural Language Processing", https://arxiv.org/abs/2210.01241)
does not run with today's libraries. What is kept of it, as its files `text_generation/env.py`, `alg_wrappers.py` and
`causal_policy.py` have it:

- rollout: an environment object a row, whose observation is copied, decoded to text and encoded again at every token;
  `generate` writes the tokens, then policy, critic and reference are run over them again, token by token with caches;
- critic: a whole language model of its own;
- learner: a sample is one token, whose whole prefix is run again, padded to the longest.

Ours is written from that description; the models, the optimiser and the sizes are those of the other rows.
"""

import copy
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from benchmarks.workloads import LEARNING_RATE, Workload, causal_lm, prompts, tokenizer


class TokenEnv:
    """One row: a text that grows by a token a step."""

    def __init__(self, encoder: PreTrainedTokenizerBase, prompt_columns: int, response_columns: int) -> None:
        self.encoder, self.prompt_columns, self.response_columns = encoder, prompt_columns, response_columns

    def reset(self, prompt: str) -> dict[str, Any]:
        """Start from a prompt."""
        self.state = self._encode({"prompt": prompt, "action_history": []})
        return self.state

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        """Write a token."""
        state = copy.deepcopy(self.state)
        state["action_history"].append(action)
        self.state = self._encode(state)
        done = len(state["action_history"]) == self.response_columns
        return self.state, float(done), done, {}

    def _encode(self, state: dict[str, Any]) -> dict[str, Any]:
        context = self.encoder.decode(state["action_history"])
        sides = {"prompt": (state["prompt"], self.prompt_columns), "context": (context, self.response_columns)}
        for name, (text, columns) in sides.items():
            found = self.encoder(text, padding="max_length", truncation=True, max_length=columns, return_tensors="pt")
            state[f"{name}_ids"], state[f"{name}_mask"] = found["input_ids"], found["attention_mask"]
        return state


class TokenLoop:
    """Policy, critic, reference and environments; `rollout` and `learn` count the tokens they handled."""

    def __init__(self, work: Workload) -> None:
        self.work = work
        self.policy, self.critic, self.reference = causal_lm(work), causal_lm(work, seed=1), causal_lm(work)
        self.value_head = nn.Linear(work.width, 1, bias=False)
        encoder = tokenizer(work.vocabulary)
        self.envs = [TokenEnv(encoder, work.prompt, work.new) for _ in range(work.episodes)]
        self.prompts = (prompts(work) * work.episodes)[: work.episodes]
        self.encoder = encoder
        learned = [*self.policy.parameters(), *self.critic.parameters(), *self.value_head.parameters()]
        self.optimiser = torch.optim.Adam(learned, lr=LEARNING_RATE)

    @torch.no_grad()
    def rollout(self) -> int:
        """Play an episode in every row; returns the number of tokens."""
        for env, prompt in zip(self.envs, self.prompts, strict=True):
            env.reset(prompt)
        prompt_ids = torch.cat([env.state["prompt_ids"] for env in self.envs])
        mask = torch.cat([env.state["prompt_mask"] for env in self.envs])
        written = self.policy.generate(
            prompt_ids, attention_mask=mask, do_sample=True, top_k=0, max_new_tokens=self.work.new, min_new_tokens=self.work.new
        )
        caches: dict[str, Any] = dict.fromkeys(("policy", "critic", "reference"))
        step_ids = prompt_ids
        for column in range(self.work.new):
            actions = written[:, self.work.prompt + column]
            for name in caches:
                trunk = getattr(self, name).transformer
                output = trunk(step_ids, attention_mask=mask, past_key_values=caches[name], use_cache=True)
                caches[name], hidden = output.past_key_values, output.last_hidden_state[:, -1]  # (N, D)
                if name == "critic":
                    self.value_head(hidden)
                else:
                    logits = getattr(self, name).lm_head(hidden)
                    torch.distributions.Categorical(logits=logits).log_prob(actions)
            for env, action in zip(self.envs, actions.tolist(), strict=True):
                env.step(action)
            step_ids, mask = actions[:, None], torch.cat([mask, torch.ones_like(actions)[:, None]], 1)
        self.written = written
        return len(written) * self.work.new

    def learn(self) -> int:
        """One minibatch of as many tokens as there are rows; returns their number."""
        ends = torch.randint(self.work.prompt, self.written.shape[1], (len(self.written),))  # the column of each row's action
        columns = torch.arange(self.written.shape[1])
        mask = (columns < ends[:, None]).long()  # (N, W) the prefix
        rows = torch.arange(len(ends))
        states = [model.transformer(self.written, attention_mask=mask).last_hidden_state for model in (self.policy, self.critic)]
        logits = self.policy.lm_head(states[0])[rows, ends - 1]  # (N, V)
        values = self.value_head(states[1][rows, ends - 1])[:, 0]
        log_probs = torch.log_softmax(logits, -1)[rows, self.written[rows, ends]]
        ratio = (log_probs - log_probs.detach()).exp()
        loss = -torch.minimum(ratio, ratio.clamp(0.8, 1.2)).mean() + 0.5 * (values - 1).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.policy.parameters(), 0.5)
        self.optimiser.step()
        return len(ends)
