"""A causal language model as the policy of Stable-Baselines3's agents: its head is the actor, its value head the critic.

Shapes: n rows, W = P+T columns, V vocabulary, D hidden size.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from torch.nn.attention import SDPBackend, sdpa_kernel

from textenv.errors import ArgumentError
from textenv.models.contract import require_same
from textenv.models.layout import align_left
from textenv.models.loading import toy_causal_lm
from textenv.models.policy import LanguagePolicy, Precision

if TYPE_CHECKING:
    _Base = ActorCriticPolicy
else:
    _Base = object

FORBIDDEN_LOGIT: Final = -1e8
"""Of tokens that cannot be written: finite, for sb3-contrib's KL divergence takes the difference of two of them."""


class LanguageModel(_Base):
    """What both policies are beside the base class that their agents ask for.

    Acting and predicting, without a gradient and out of training mode, read one token a row from the cache. Learning reads
    every text once, however many of its prefixes are in the batch.
    """

    language: LanguagePolicy

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        lr_schedule: Any,
        use_sde: bool = False,
        *,
        model: str | Path | None = None,
        temperature: float = 1.0,
        precision: Precision = "fp32",
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        check_spaces(observation_space, action_space)
        super().__init__(observation_space, action_space, lr_schedule, optimizer_class=optimizer_class, optimizer_kwargs=optimizer_kwargs)
        assert observation_space.shape is not None
        self.language = load_language(cast(Any, action_space), observation_space.shape[0], model, temperature, precision)
        self.own_parameters = {"model": model, "temperature": temperature, "precision": precision}
        self.optimizer = optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]

    def _build(self, lr_schedule: Any) -> None:
        """Leave the base class's networks out; the language model is all there is."""

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
            **self.own_parameters,
        }

    @property
    def acting(self) -> bool:
        """Whether the cache serves: in training mode weights may change, and gradients pass by it."""
        return not self.training and not torch.is_grad_enabled()

    def forward(
        self, obs: torch.Tensor, deterministic: bool = False, action_masks: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Choose a token for every row.

        Args:
            obs: (n, W) ids, as floats or integers.
            deterministic: take the most probable token instead of drawing one.
            action_masks: (n, V) tokens that may be chosen, or None.

        Returns:
            Tokens (n,), values (n, 1) and log-probabilities (n,).
        """
        if not self.acting:
            hidden = self.hidden(obs)
            distribution = self._distribution(hidden, action_masks)
            actions = distribution.get_actions(deterministic=deterministic)
            return actions, self._values(hidden), distribution.log_prob(actions)
        allowed = None if action_masks is None else np.asarray(action_masks, dtype=np.bool_).reshape(len(obs), -1)
        act = self.language.act(as_ids(obs), allowed=allowed, greedy=deterministic)
        return torch.from_numpy(act.actions).to(obs.device), act.values[:, None], act.log_probs

    def evaluate_actions(
        self, obs: Any, actions: torch.Tensor, action_masks: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Compute values (n, 1), log-probabilities of the actions (n,) and entropies (n,), with gradients."""
        hidden = self.hidden(obs)
        distribution = self._distribution(hidden, action_masks)
        return self._values(hidden), distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: Any, action_masks: Any = None) -> Any:
        """Give the distribution of the next token; it can be differentiated twice, as TRPO does."""
        with twice_differentiable() if torch.is_grad_enabled() else contextlib.nullcontext():
            return self._distribution(self.hidden(obs), action_masks)

    def predict_values(self, obs: Any) -> torch.Tensor:
        """Compute the values (n, 1) of states."""
        return self._values(self.hidden(obs))

    def next_log_probs(self, observations: NDArray[np.int32]) -> torch.Tensor:
        """Compute log-probabilities (n, V) of the next token, the hook of `KLShaping`: `kl_shaping.policy = agent.policy`."""
        return self.language.next_log_probs(observations, cached=not self.training)

    def hidden(self, obs: torch.Tensor) -> torch.Tensor:
        """Compute the hidden state (n, D) at each row's last token, by the cache where it serves."""
        ids = as_ids(obs)
        if self.acting:
            return self.language.cache.last_hidden(ids)
        kept, place = shared_texts(ids)
        tokens, _ = align_left(torch.from_numpy(ids[kept]).long().to(self.language.device))  # (m, L)
        with self.language.arithmetic():
            states = self.language.hidden_states(tokens)
        found: torch.Tensor = states[torch.from_numpy(place), torch.from_numpy((ids >= 0).sum(1) - 1)]
        return found

    def _distribution(self, hidden: torch.Tensor, action_masks: Any) -> Any:
        """Make a distribution of its own, for TRPO keeps the old one beside the new one."""
        logits = self.language.logits(hidden).float() / self.language.temperature
        logits = logits.masked_fill(self.language.banned, FORBIDDEN_LOGIT)[:, : self.language.vocabulary]
        made = type(cast(Any, self.action_dist))(self.language.vocabulary).proba_distribution(action_logits=logits)
        if action_masks is not None:
            made.apply_masking(action_masks)
        return made

    def _values(self, hidden: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = self.language.value_head(hidden.float())
        return values

    def _predict(self, observation: Any, deterministic: bool = False, action_masks: Any = None) -> torch.Tensor:
        return self.forward(observation, deterministic, action_masks)[0]


class LanguageModelPolicy(LanguageModel, ActorCriticPolicy):
    """A language model for PPO and A2C of Stable-Baselines3 and TRPO of sb3-contrib.

    `PPO(LanguageModelPolicy, as_vec_env(envs), policy_kwargs=dict(model="tiny-en"))`. What has been learned is in
    `agent.policy.language`, a `LanguagePolicy`.

    Args:
        observation_space: of a text environment, `Box(-1, V-1, (P+T,), int32)`.
        action_space: of a text environment, `Discrete(V)`.
        lr_schedule: learning rate by the progress that remains.
        use_sde: False; Stable-Baselines3 passes it, and refuses True for actions such as tokens.
        model: an embedded name, a local folder or a hub id; by default the task's, for toys a small random one.
        temperature: τ > 0, in every log-probability.
        precision: "fp32", or "bf16" for autocast.
        optimizer_class: of torch.
        optimizer_kwargs: its arguments beside the learning rate; Adam takes ε 1e-5 by default.

    Raises:
        ArgumentError: the spaces are of no text environment or show it otherwise than as tokens, the model has another
            tokenizer or too short a context, or no model is named and the environment does not know one.
        LoadError: the model cannot be loaded.
    """


def check_spaces(observation_space: Any, action_space: Any) -> None:
    """Refuse spaces other than tokens.

    Raises:
        ArgumentError: they are.
    """
    tokens = isinstance(action_space, gym.spaces.Discrete) and isinstance(observation_space, gym.spaces.Box)
    if tokens:
        wanted = gym.spaces.Box(-1, int(action_space.n) - 1, (int(np.prod(observation_space.shape)),), np.int32)
        tokens = action_space.start == 0 and observation_space == wanted
    if not tokens:
        raise ArgumentError(
            "This policy reads token ids, Box(-1, V-1, (P+T,), int32), and writes one, Discrete(V); give it a text environment without "
            f"EmbeddingObservation and TopKActions, or take MlpPolicy or MultiInputPolicy for {observation_space} and {action_space}."
        )


def load_language(
    action_space: gym.spaces.Discrete, width: int, model: str | Path | None, temperature: float, precision: Precision
) -> LanguagePolicy:
    """Load the language model that acts, whose texts have up to `width` tokens; the arguments are those of `LanguageModelPolicy`.

    Raises:
        ArgumentError: see `LanguageModelPolicy`.
        LoadError: the model cannot be loaded.
    """
    contract = getattr(action_space, "contract", None)  # as_vec_env's space has one, single environments' have none
    name = model or getattr(action_space, "model", None)
    options: dict[str, Any] = {"temperature": temperature, "precision": precision}
    if name is None:
        if contract is None:
            raise ArgumentError('Name a model, policy_kwargs=dict(model="tiny-en"), or make the environment by as_vec_env.')
        toy = toy_causal_lm(contract.tokenizer, width)
        return LanguagePolicy(toy, contract.tokenizer, end_tokens=contract.ends, **options)
    end_tokens = getattr(action_space, "end_tokens", None)
    language = LanguagePolicy.from_pretrained(name, end_tokens=end_tokens, **options)
    language.check_fits(width)
    if language.vocabulary != action_space.n:
        raise ArgumentError(
            f'The model "{name}" has {language.vocabulary} tokens, the environment {action_space.n}; make it with tokenizer="{name}".'
        )
    if contract is not None:
        require_same(language.contract, contract, f'model "{name}"')
    return language


def as_ids(obs: torch.Tensor) -> NDArray[np.int32]:
    """Turn observations, which the rollout buffer keeps as float32, exact below 2^24, into ids.

    Raises:
        ArgumentError: they have been changed on the way.
    """
    ids = obs.to(torch.int32)
    if obs.is_floating_point() and (ids != obs).any():
        raise ArgumentError("The policy sees numbers that are no token ids; if VecNormalize is around the envs, give it norm_obs=False.")
    return ids.cpu().numpy()


def shared_texts(observations: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the rows that no other row goes on from: in a causal model, what is computed for them holds for their prefixes.

    >>> kept, place = shared_texts(np.array([[1, 2, -1], [1, 2, 3], [-1, 1, -1], [1, 4, -1]], dtype=np.int32))
    >>> kept.tolist(), place.tolist()
    ([1, 3], [0, 0, 0, 1])

    Args:
        observations: (n, W), each with a token.

    Returns:
        The rows that are kept (m,), and for each row (n,) the place among them of the one it begins.
    """
    aligned = align_left(torch.from_numpy(observations))[0].numpy()  # (n, L)
    aligned = np.where(np.arange(aligned.shape[1]) < (observations >= 0).sum(1)[:, None], aligned, -1)
    order = np.lexsort(aligned.T[::-1])  # a text comes right before those that begin with it
    texts = aligned[order]
    goes_on = ((texts[:-1] == texts[1:]) | (texts[:-1] < 0)).all(1)  # (n-1,)
    ends = np.flatnonzero(np.append(~goes_on, True))  # (m,)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.searchsorted(ends, np.arange(len(order)))
    return order[ends], place


@contextlib.contextmanager
def twice_differentiable() -> Iterator[None]:
    """Compute by operations whose gradients have gradients: without the faster kernels, and with attention written out."""
    with torch._C.DisableTorchFunction(), sdpa_kernel(SDPBackend.MATH):
        yield
