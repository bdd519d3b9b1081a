# type: ignore  # the library is not installed where types are checked
"""PPO of TorchRL on TextCopy-v0, whose best score is 1.

Run: pip install torchrl; python examples/libraries/torchrl_ppo.py [steps]
"""

import sys

import gymnasium
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

BATCH = 2048
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
torch.manual_seed(0)
env = GymWrapper(gymnasium.make_vec("textenv:TextCopy-v0", num_envs=64, autoreset_mode="DISABLED"), categorical_action_encoding=True)
env.set_seed(0)
vocabulary, width = env.action_spec.space.n, env.observation_spec["observation"].shape[-1]


class Tokens(nn.Sequential):
    """Token ids, -1 where there is none, to numbers; as magnitudes ids would mean nothing."""

    def __init__(self, outputs):
        trunk = nn.Embedding(vocabulary + 1, 16, padding_idx=0), nn.Flatten(-2), nn.Linear(16 * width, 128), nn.Tanh()
        super().__init__(*trunk, nn.Linear(128, outputs))

    def forward(self, observation):
        return super().forward(observation + 1)


module = TensorDictModule(Tokens(vocabulary), in_keys=["observation"], out_keys=["logits"])
actor = ProbabilisticActor(module, in_keys=["logits"], spec=env.action_spec, distribution_class=Categorical, return_log_prob=True)
critic = ValueOperator(Tokens(1), in_keys=["observation"])
advantage = GAE(gamma=1.0, lmbda=0.95, value_network=critic)
loss = ClipPPOLoss(actor, critic, normalize_advantage=True, entropy_coeff=0.01, critic_coeff=0.5)
optimizer = torch.optim.Adam(loss.parameters(), lr=2e-3)
scores = []
frames = steps // BATCH * BATCH
for batch in Collector(env, actor, frames_per_batch=BATCH, total_frames=frames, auto_register_policy_transforms=True):
    scores.append(batch["next", "reward"][batch["next", "done"]].mean().item())
    for _ in range(4):
        advantage(batch)
        for minibatch in batch.reshape(-1)[torch.randperm(BATCH)].split(BATCH // 4):
            losses = loss(minibatch)
            optimizer.zero_grad()
            sum(value for name, value in losses.items() if name.startswith("loss_")).backward()
            nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
            optimizer.step()
print(f"torchrl PPO: score {scores[0]:.3f} -> {scores[-1]:.3f}")
