"""What an agent of Stable-Baselines3 sees of the candidates of `TopKActions`."""

from typing import Any

import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn


class SlotFeatures(BaseFeaturesExtractor):
    """Reads every candidate by one linear map, so that what is learned of a token in one slot holds in all.

    `MultiInputPolicy` by itself flattens the candidates and learns each slot apart from the others. Features of a state: `size`
    numbers a slot, W (embedding, log-probability) + b with one W for all, then the entry `observation`, a vector, as it is.
    For `policy_kwargs={"features_extractor_class": SlotFeatures}`, around `EmbeddingObservation(TopKActions(...))`.

    Args:
        observation_space: `Dict(observation (d,), candidates (k, e), candidate_logprobs (k,))`.
        size: numbers a slot.
    """

    def __init__(self, observation_space: Any, size: int = 4) -> None:
        k, width = observation_space["candidates"].shape
        super().__init__(observation_space, k * size + observation_space["observation"].shape[0])
        self.read = nn.Linear(width + 1, size)

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """Turn a batch of N observations into features (N, k * size + d)."""
        slots = torch.cat([observations["candidates"], observations["candidate_logprobs"][..., None]], -1)  # (N, k, e + 1)
        return torch.cat([self.read(slots).flatten(1), observations["observation"]], 1)
