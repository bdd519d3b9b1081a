# type: ignore  # the library is not installed where types are checked
"""PPO of Tianshou 2 on TextCopy-v0, whose best score is 1.

Run: pip install tianshou; python examples/libraries/tianshou_ppo.py [steps]
"""

import sys

import gymnasium
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import ModuleWithVectorOutput
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic
from torch import nn

ID, ROWS = "textenv:TextCopy-v0", 32
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
torch.manual_seed(0)
env = gymnasium.make(ID)
vocabulary, width = env.action_space.n, env.observation_space.shape[0]


class Tokens(ModuleWithVectorOutput):
    """Token ids, -1 where there is none, to a vector; the default `Net` would read the ids as magnitudes."""

    def __init__(self):
        super().__init__(128)
        self.layers = nn.Sequential(nn.Embedding(vocabulary + 1, 16, padding_idx=0), nn.Flatten(), nn.Linear(16 * width, 128), nn.Tanh())

    def forward(self, obs, state=None, info=None):
        return self.layers(torch.as_tensor(obs).int() + 1), state


tokens = Tokens()
actor = DiscreteActor(preprocess_net=tokens, action_shape=vocabulary, softmax_output=False)
policy = DiscreteActorPolicy(actor=actor, action_space=env.action_space, observation_space=env.observation_space)
critic = DiscreteCritic(preprocess_net=tokens)
algorithm = PPO(policy=policy, critic=critic, optim=AdamOptimizerFactory(lr=2e-3), gamma=1.0, max_grad_norm=0.5)
# Tianshou keeps every info, so they must have the same keys, and takes a text that stands in some of them only for a NaN.
envs, test_envs = (DummyVectorEnv([lambda: gymnasium.make(ID, infos="numbers")] * ROWS) for _ in range(2))
envs.seed(0)
test_envs.seed(10_000)
collector, test = Collector(algorithm, envs, VectorReplayBuffer(4096, ROWS)), Collector(algorithm, test_envs)
test.reset()
before = test.collect(n_episode=512).returns.mean()
params = OnPolicyTrainerParams(training_collector=collector, max_epochs=1, epoch_num_steps=steps, batch_size=512, show_progress=False)
params.update_step_num_repetitions = 4
algorithm.run_training(params)
print(f"tianshou PPO: score {before:.3f} -> {test.collect(n_episode=512).returns.mean():.3f}")
