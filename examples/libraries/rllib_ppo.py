# type: ignore  # the library is not installed where types are checked
"""PPO of RLlib on TextCopy-v0, whose best score is 1.

Run: pip install "ray[rllib]"; python examples/libraries/rllib_ppo.py [steps]
"""

import sys

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

ID = "textenv:TextCopy-v0"
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000


class Tokens(TorchRLModule, ValueFunctionAPI):
    """Token ids, -1 where there is none, to logits and values; the default network would read the ids as magnitudes."""

    def setup(self):
        vocabulary, width = self.action_space.n, self.observation_space.shape[0]
        tokens = nn.Embedding(vocabulary + 1, 16, padding_idx=0)
        self.trunk = nn.Sequential(tokens, nn.Flatten(-2), nn.Linear(16 * width, 128), nn.Tanh())
        self.policy, self.value = nn.Linear(128, vocabulary), nn.Linear(128, 1)

    def _forward(self, batch, **kwargs):
        hidden = self.trunk(batch[Columns.OBS].int() + 1)
        return {Columns.ACTION_DIST_INPUTS: self.policy(hidden), Columns.EMBEDDINGS: hidden}

    def compute_values(self, batch, embeddings=None):
        hidden = self.trunk(batch[Columns.OBS].int() + 1) if embeddings is None else embeddings
        return self.value(hidden).squeeze(-1)


config = (
    PPOConfig()
    .environment(ID, env_config={"autoreset_mode": "NEXT_STEP"})  # what RLlib expects of a vector env
    .env_runners(num_env_runners=0, num_envs_per_env_runner=64, gym_env_vectorize_mode="vector_entry_point")
    .training(train_batch_size_per_learner=2048, minibatch_size=512, num_epochs=4, lr=2e-3, gamma=1.0, lambda_=0.95, entropy_coeff=0.01)
    .training(vf_loss_coeff=0.5, grad_clip=0.5, use_kl_loss=False)
    .rl_module(rl_module_spec=RLModuleSpec(module_class=Tokens))
    .debugging(seed=0)
)
algorithm = config.build_algo()
scores = [algorithm.train()["env_runners"]["episode_return_mean"] for _ in range(steps // 2048)]
print(f"rllib PPO: score {scores[0]:.3f} -> {scores[-1]:.3f}")
algorithm.stop()
