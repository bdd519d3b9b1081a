# type: ignore  # the library is not installed where types are checked
"""PPO of skrl on TextCopy-v0, whose best score is 1.

Run: pip install skrl; python examples/libraries/skrl_ppo.py [steps]
"""

import sys

import gymnasium
import numpy as np
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from torch import nn

ROWS, ROLLOUT = 64, 32
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
set_seed(0)
# SAME_STEP, textenv's default: skrl would train on the steps that only reset.
recorded = RecordEpisodeStatistics(gymnasium.make_vec("textenv:TextCopy-v0", num_envs=ROWS), buffer_length=steps)
env = wrap_env(recorded)
spaces = {"observation_space": env.observation_space, "action_space": env.action_space}


class Tokens(Model):
    """Token ids, -1 where there is none, to numbers; as magnitudes ids would mean nothing."""

    def __init__(self, outputs):
        super().__init__(**spaces)
        tokens = nn.Embedding(env.action_space.n + 1, 16, padding_idx=0)
        trunk = tokens, nn.Flatten(), nn.Linear(16 * env.observation_space.shape[0], 128), nn.Tanh()
        self.network = nn.Sequential(*trunk, nn.Linear(128, outputs))

    def compute(self, inputs, role=""):
        return self.network(inputs["observations"].int() + 1), {}


class Policy(CategoricalMixin, Tokens):
    def __init__(self):
        Tokens.__init__(self, env.action_space.n)
        CategoricalMixin.__init__(self)


class Value(DeterministicMixin, Tokens):
    def __init__(self):
        Tokens.__init__(self, 1)
        DeterministicMixin.__init__(self)


cfg = PPO_CFG(rollouts=ROLLOUT, learning_epochs=4, mini_batches=4, discount_factor=1.0, learning_rate=2e-3, value_loss_scale=0.5)
cfg.experiment.write_interval = cfg.experiment.checkpoint_interval = 0  # no runs/ folder
agent = PPO(models={"policy": Policy(), "value": Value()}, memory=RandomMemory(memory_size=ROLLOUT, num_envs=ROWS), cfg=cfg, **spaces)
SequentialTrainer(env=env, agents=agent, cfg={"timesteps": steps // ROWS, "headless": True, "disable_progressbar": True}).train()
scores = np.array(recorded.return_queue)
print(f"skrl PPO: score {scores[:512].mean():.3f} -> {scores[-512:].mean():.3f}")
