"""Fewer actions: forbidden tokens, the nucleus of a model, and the few tokens that a reference ranks highest."""

import copy
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from textenv.envs.shaping import distribution, load_reference
from textenv.envs.wrappers.base import Rows, action_masks, restricted, shaped, wrap
from textenv.errors import ActionError, ArgumentError

if TYPE_CHECKING:
    from textenv.envs.rules import Rules
    from textenv.models.policy import LanguagePolicy

LEAST_LOG_PROB: Final = -100.0


def ActionMask(
    env: Any, *, ban: Sequence[int | str] = (), top_p: float | None = None, top_k: int | None = None, mask_model: Any = None
) -> Any:
    """Forbid tokens, in every state or outside the nucleus or the most probable tokens of a model.

    `action_masks()` tells what is allowed; sb3-contrib's MaskablePPO, `textenv.collect` and so textenv's agents, and
    `KLShaping` around this wrapper ask it. The nucleus is the smallest set of tokens, most probable first, whose
    probabilities under the mask model, renormalised over what is allowed otherwise, reach `top_p`. `top_k` allows what
    `TopKActions` offers: the k most probable tokens, the end of text in place of the last where it is allowed but not among
    them. `update(policy)` makes a copy of that policy the mask model. (NLPO: Ramamurthy et al., "Is Reinforcement Learning
    (Not) for Natural Language Processing", section 4.2, https://arxiv.org/abs/2210.01241.)

    A forbidden token that is played anyway is written.

    Args:
        env: from `gymnasium.make` or `gymnasium.make_vec`.
        ban: token ids, or strings that are one token.
        top_p: 0 < p ≤ 1, or None for no nucleus.
        top_k: from 2 to the number of tokens, or None.
        mask_model: a name, a path or a policy; by default the task's model.

    Raises:
        ArgumentError: the env is no text environment or shapes its reward already, a ban is no token or the end of text,
            `top_p` or `top_k` is out of range, or nothing is forbidden.
        LoadError: the mask model cannot be loaded.
    """
    return wrap(ActionMask, Masks, env, ban=ban, top_p=top_p, top_k=top_k, mask_model=mask_model)


def TopKActions(env: Any, k: int, reference: Any = None) -> Any:
    """Choose among the k tokens that a reference ranks highest.

    Action: `Discrete(k)`, the most probable token first; where the end of text is allowed but not among them, it is the
    last. Observation: a `Dict` of `observation`, the tokens; `candidates` (k, e), their input embeddings in the
    reference; and `candidate_logprobs` (k,), at least -100. Once the episode has ended, both are 0. Where fewer than k
    tokens are allowed, `action_masks()` (k,) tells which.

    Args:
        env: from `gymnasium.make` or `gymnasium.make_vec`.
        k: from 2 to the number of tokens.
        reference: a name, a path or a policy; by default the task's model.

    Raises:
        ArgumentError: the env is no text environment, something else than tokens is observed already, k is out of range,
            or the reference is of another vocabulary.
        LoadError: the reference cannot be loaded.
    """
    return wrap(TopKActions, TopK, env, k=k, reference=reference)


class Masks(Rows):
    """The rows of `ActionMask`; the arguments are its."""

    restricts = True
    offers = ("update",)

    def __init__(self, env: Any, ban: Sequence[int | str], top_p: float | None, top_k: int | None, mask_model: Any) -> None:
        super().__init__(env)
        if shaped(env):
            raise ArgumentError("The KL shaping must renormalise over the mask, so put it outside: KLShaping(ActionMask(env, ...), ...).")
        if isinstance(ban, str) or not isinstance(ban, Iterable):
            raise ArgumentError(f"ban must be a list of token ids or strings, got {ban!r}.")
        ban = list(ban)
        if not ban and top_p is None and top_k is None:
            raise ArgumentError("ActionMask forbids nothing; give it ban, top_p or top_k.")
        if top_p is not None and not (isinstance(top_p, int | float) and 0 < top_p <= 1):
            raise ArgumentError(f"top_p must be above 0 and at most 1, got {top_p!r}.")
        self.allowed = self.rules.allowed.copy()  # (V,)
        self.allowed[[token_id(token, self.rules) for token in ban]] = False
        self.top_p = top_p
        self.top_k = None if top_k is None else number_of_slots(top_k, "top_k", self.rules)
        self.mask_model = None if top_p is None and top_k is None else load_reference(mask_model, self.rules)

    def update(self, policy: "LanguagePolicy") -> None:
        """Make a copy of a policy, as it is now, the mask model.

        Raises:
            ArgumentError: there is no mask model, or the policy is of another vocabulary.
        """
        if self.mask_model is None:
            raise ArgumentError("ActionMask has a mask model only with top_p or top_k.")
        self.mask_model = copy.deepcopy(load_reference(policy, self.rules))

    def masks(self, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Take the bans and what is outside of the nucleus out of masks (N, V)."""
        masks = masks & self.allowed
        if not masks.any(1).all():
            raise ArgumentError("ActionMask leaves no token, for the task allows nothing but what it bans; ban less.")
        if self.mask_model is None or not self.live.any():
            return masks
        with torch.no_grad():
            log_probs = distribution(self.mask_model, np.where(self.live[:, None], self.texts, -1), masks)
        inside = masks.copy()
        if self.top_p is not None:
            inside &= nucleus(log_probs, self.top_p).numpy()
        if self.top_k is not None:
            highest = np.zeros_like(masks)
            np.put_along_axis(highest, ranked(log_probs, self.top_k, self.rules.contract.ends), True, 1)
            inside &= highest
        return np.where(self.live[:, None], inside, masks)


class TopK(Rows):
    """The rows of `TopKActions`; the arguments are its."""

    def __init__(self, env: Any, k: int, reference: Any) -> None:
        super().__init__(env)
        self.k = number_of_slots(k, "k", self.rules)
        self.reference: Any = load_reference(reference, self.rules)
        if not hasattr(self.reference, "model"):
            raise ArgumentError("TopKActions shows the reference's input embeddings; give it a name, a path or a LanguagePolicy.")
        weights = self.reference.model.get_input_embeddings().weight
        self.embeddings = weights.detach()[: self.rules.vocabulary].float().cpu().numpy()  # (V, e)
        self.slots = np.zeros((self.count, self.k), dtype=np.int64)  # (N, k) the tokens behind the actions
        bound = float(np.abs(self.embeddings).max())
        self.action_space = gym.spaces.Discrete(self.k)
        self.observation_space = gym.spaces.Dict(
            {
                "observation": gym.spaces.Box(-1, self.rules.vocabulary - 1, (self.rules.width,), np.int32),
                "candidates": gym.spaces.Box(-bound, bound, (self.k, self.embeddings.shape[1]), np.float32),
                "candidate_logprobs": gym.spaces.Box(LEAST_LOG_PROB, 0, (self.k,), np.float32),
            }
        )

    def to_tokens(self, actions: Any) -> Any:
        """Look the tokens (N,) of slots (N,) up."""
        chosen = np.asarray(actions)
        if chosen.shape != (self.count,) or not np.issubdtype(chosen.dtype, np.integer):
            raise ActionError(f"An action is a slot, an integer from 0 to {self.k - 1}, one a row; got {actions!r}.")
        wrong = chosen[self.live & ((chosen < 0) | (chosen >= self.k))]
        if len(wrong):
            raise ActionError(f"The action {wrong[0]} is no slot; they go from 0 to {self.k - 1}.")
        return self.slots[np.arange(self.count), np.where(self.live, chosen, 0)]

    def observe(self, texts: NDArray[np.int32], live: NDArray[np.bool_]) -> dict[str, Any]:
        """Rank the tokens of texts (n, W) that go on, and show the k highest."""
        shape = (len(texts), self.k)
        shown = {
            "observation": texts.copy(),
            "candidates": np.zeros((*shape, self.embeddings.shape[1]), dtype=np.float32),
            "candidate_logprobs": np.zeros(shape, dtype=np.float32),
        }
        if live.any():
            allowed = action_masks(self.env) if restricted(self.env) else None
            with torch.no_grad():
                log_probs = distribution(self.reference, np.where(live[:, None], texts, -1), allowed)  # (N, V)
            self.slots = ranked(log_probs, self.k, self.rules.contract.ends)
            found = np.take_along_axis(log_probs.numpy(), self.slots, 1)
            shown["candidates"][live] = self.embeddings[self.slots[live]]
            shown["candidate_logprobs"][live] = np.maximum(found, LEAST_LOG_PROB)[live]
        return shown

    def masks(self, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Take the masks (N, k) of the slots out of those of the tokens (N, V); all True where no episode runs."""
        return np.where(self.live[:, None], np.take_along_axis(masks, self.slots, 1), True)


def nucleus(log_probs: torch.Tensor, top_p: float) -> torch.Tensor:
    """Find the smallest set of tokens, most probable first, whose probabilities sum to at least p.

    >>> nucleus(torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log(), 0.6).tolist()
    [[True, True, False, False]]

    Args:
        log_probs: (N, V).
        top_p: 0 < p ≤ 1; at 1 every token of a positive probability is in.

    Returns:
        (N, V) booleans.
    """
    probs, order = log_probs.exp().sort(dim=-1, descending=True, stable=True)
    inside = (probs.cumsum(-1) - probs < top_p) & (probs > 0)  # what comes before a token does not suffice
    return torch.zeros_like(inside).scatter_(-1, order, inside)


def ranked(log_probs: torch.Tensor, k: int, ends: Sequence[int]) -> NDArray[np.int64]:
    """Rank the k most probable tokens of (N, V), the likeliest end of text last if one is possible but none among them: (N, k)."""
    slots: NDArray[np.int64] = log_probs.topk(k).indices.numpy()
    highest, which = log_probs[:, list(ends)].max(1)
    missing = (highest > -torch.inf).numpy() & ~np.isin(slots, ends).any(1)
    slots[missing, -1] = np.asarray(ends)[which.numpy()[missing]]
    return slots


def number_of_slots(k: int, name: str, rules: "Rules") -> int:
    """Check a number of tokens to choose among.

    Raises:
        ArgumentError: it is none from 2 to the number of tokens.
    """
    most = int(rules.allowed.sum())
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 2 <= k <= most:
        raise ArgumentError(f"{name} must be an integer from 2 to {most}, got {k!r}.")
    return int(k)


def token_id(token: int | str, rules: "Rules") -> int:
    """Find the id of a token to be banned, given as such or as its text.

    Raises:
        ArgumentError: it is no token, several, or the end of text.
    """
    if isinstance(token, str):
        ids = rules.tokenizer.encode(token, add_special_tokens=False)
        if len(ids) != 1:
            raise ArgumentError(
                f"ban takes strings that are one token, but {token!r} is {len(ids)}; ban the ids among {ids} that you mean."
            )
        token = int(ids[0])
    if isinstance(token, bool) or not isinstance(token, int | np.integer) or not 0 <= token < rules.vocabulary:
        raise ArgumentError(f"ban takes token ids from 0 to {rules.vocabulary - 1} or strings, got {token!r}.")
    if token in rules.contract.ends:
        raise ArgumentError("The end of text cannot be banned, for the environment ends with it; min_new_tokens puts it off.")
    return int(token)
