"""Every wrapper by name, as a function of an environment."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from textenv import wrappers


def candidates(env: Any) -> Any:
    """Offer the tokens of a mask."""
    return wrappers.TopKActions(wrappers.ActionMask(env, top_k=3), 3)


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "texts": wrappers.TextObservation,
    "embeddings": wrappers.EmbeddingObservation,
    "bans": partial(wrappers.ActionMask, ban=["a", 3]),
    "nucleus": partial(wrappers.ActionMask, top_p=0.6),
    "highest": partial(wrappers.ActionMask, top_k=3),
    "top-k": partial(wrappers.TopKActions, k=3),
    "texts over top-k": lambda env: wrappers.TextObservation(candidates(env)),
    "embeddings over top-k": lambda env: wrappers.EmbeddingObservation(candidates(wrappers.ActionMask(env, ban=["a"]))),
    "kl by token": partial(wrappers.KLShaping, kl_coef=0.1),
    "kl by sequence": partial(wrappers.KLShaping, kl_coef=0.1, per="sequence"),
    "recorder": wrappers.RecordEpisodes,
}


@pytest.fixture(params=WRAPPERS)
def wrapper(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WRAPPERS[request.param]
