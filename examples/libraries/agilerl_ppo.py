# type: ignore  # the library is not installed where types are checked
"""PPO of AgileRL on TextCopy-v0, whose best score is 1; AgileRL 2.58.0 stays near 0.35 (docs/libraries.md has the reason).

Run: pip install agilerl peft; python examples/libraries/agilerl_ppo.py [steps]
"""

import sys

import gymnasium
import numpy as np
import torch
from agilerl.algorithms import PPO
from agilerl.modules.dummy import to_evolvable
from agilerl.training.train_on_policy import train_on_policy
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from torch import nn

ID, ROWS = "textenv:TextCopy-v0", 64
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
torch.manual_seed(0)
# SAME_STEP, textenv's default: AgileRL would train on the steps that only reset.
envs = RecordEpisodeStatistics(gymnasium.make_vec(ID, num_envs=ROWS), buffer_length=steps)
spaces = {"observation_space": envs.single_observation_space, "action_space": envs.single_action_space}


class Tokens(nn.Sequential):
    """Token ids, -1 where there is none, to a vector; the default network would read the ids as magnitudes."""

    num_outputs = 128

    def __init__(self):
        tokens = nn.Embedding(envs.single_action_space.n + 1, 16, padding_idx=0)
        super().__init__(tokens, nn.Flatten(), nn.Linear(16 * envs.single_observation_space.shape[0], self.num_outputs), nn.Tanh())

    def forward(self, observations):
        return super().forward(observations.int() + 1)


networks = {name: to_evolvable(Tokens, {}, "cpu") for name in ("actor_network", "critic_network")}
agent = PPO(**spaces, **networks, batch_size=512, lr=2e-3, learn_step=2048, gamma=1.0, num_envs=ROWS)
train_on_policy(envs, ID, "PPO", [agent], max_steps=steps, evo_steps=steps, verbose=False)
scores = np.array(envs.return_queue)
print(f"agilerl PPO: score {scores[:512].mean():.3f} -> {scores[-512:].mean():.3f}")
