"""What a model is asked once, when a policy is made of it, for what is learnt to be what is played.

A policy plays by cached steps, learns by whole forward passes, and in both applies the head to
hidden states itself. That is the model's own distribution only where the head, a factor and a soft
cap are all that follows the trunk, and where later tokens leave the states of earlier ones alone.
Both are tried, on a few tokens, and not read off the class or its configuration.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import nn

from textenv.errors import LoadError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOKENS = 7  # not eight, for some classes pad to a multiple
_LADDER = (0.5, 1.0, 2.0, 5.0, 30.0, 1e3, 1e6)


class AfterHead(NamedTuple):
    """What a model does to the output z of its head: cap tanh(factor z / cap), or factor z.

    Cohere and Granite scale; the cap is of Gemma Team, "Gemma 2",
    https://arxiv.org/abs/2408.00118, section 2.
    """

    factor: float = 1.0
    """What z is multiplied by."""
    softcap: float | None = None
    """Bound of the logits."""

    @property
    def does_something(self) -> bool:
        """Whether the logits are other than z."""
        return self != AfterHead()

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """Compute logits of the head's output: (..., V) to (..., V)."""
        scaled = z if self.factor == 1 else z * self.factor
        return scaled if self.softcap is None else torch.tanh(scaled / self.softcap) * self.softcap


def prove(model: "PreTrainedModel") -> AfterHead:
    """Compute what a model does after its head, once it has been tried.

    Nothing else may make its logits, it must be causal, and gradients must flow.
    It takes four forward passes of at most 49 tokens and draws no random number.

    Args:
        model: in evaluation mode.

    Raises:
        LoadError: the model is no decoder, its logits are more than a head, a factor and a soft
            cap, a later token changes what it made of earlier ones, or its output is not finite.
    """
    name = type(model).__name__
    head = head_of_model(model)
    try:
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 0
        tokens = min(_TOKENS, context) if context > 0 else _TOKENS  # XLNet's context is -1
        ids = ordinary_ids(model, tokens + 1)
        # Alike but for the last token: (2, L).
        two = torch.stack([ids[:-1], torch.cat([ids[:-2], ids[-1:]])])
        with torch.no_grad():
            states = whole_states(trunk_of(model), two)  # (2, L, D)
            logits = cast(Any, model)(input_ids=two, use_cache=False).logits  # (2, L, V)
            after = _after_head(model, head, ids[:-1])
        if not torch.is_inference_mode_enabled():
            _differentiate(model, ids[:-1])
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a class that reads texts otherwise fails with
        raise LoadError(
            f"{name} does not give hidden states, logits and gradients from token ids alone, "
            f"which textenv needs: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        ) from error
    if not (torch.isfinite(states).all() and torch.isfinite(logits).all()):
        raise LoadError(f"{name} computes numbers that are not finite; its weights are damaged.")
    if not is_close(states[0, :-1], states[1, :-1]):
        raise LoadError(f"{name} is not causal: a later token changes its hidden states of earlier ones.")
    return _verified(name, head, after, states, logits)


@torch.no_grad()
def _verified(name: str, head: nn.Linear, after: AfterHead, states: torch.Tensor, logits: torch.Tensor) -> AfterHead:
    """Compare with the model's own logits, and learn a factor that it applies before the head."""
    output = head(states) if states.shape[-1] == head.weight.shape[1] else states
    if output.shape == logits.shape:
        if is_close(after(output), logits):
            return after
        made, theirs = (x.cpu().double().flatten() for x in (after(output), logits))
        share = float(made @ theirs / (made @ made))
        scaled = AfterHead(after.factor * share)
        if after.softcap is None and is_close(scaled(output), logits):
            return scaled
    raise LoadError(f"{name} does more than apply a head to its trunk's hidden states, which textenv needs.")


def _differentiate(model: "PreTrainedModel", ids: torch.Tensor) -> None:
    """Take gradients in evaluation mode, which some classes refuse."""
    embedded: list[torch.Tensor] = []

    def keep(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1].clone()  # which some classes scale in place

    hook = model.get_input_embeddings().register_forward_hook(keep)
    try:
        with torch.enable_grad():
            states = whole_states(trunk_of(model), ids[None])
            torch.autograd.grad(states.sum(), embedded)
    finally:
        hook.remove()


def _after_head(model: "PreTrainedModel", head: nn.Linear, ids: torch.Tensor) -> AfterHead:
    """Put known numbers, one a row, in the place of the head's output: what becomes of them?"""
    ladder = torch.tensor(_LADDER)

    def replaced(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
        return ladder.to(output.device)[:, None, None].expand(output.shape).clone()

    hook = head.register_forward_hook(replaced)
    try:
        rows = ids.repeat(len(ladder), 1)  # (7, L)
        logits = cast(Any, model)(input_ids=rows, use_cache=False).logits[:, -1]  # (7, V)
    finally:
        hook.remove()
    became, z = logits.cpu().double().mean(1), ladder.double()
    if float(became[-1]) > 0.5 * float(became[-2]) * float(z[-1] / z[-2]):  # no bound in sight
        return AfterHead(_rounded(float(became[1] / z[1])))
    cap = float(became[-1])
    return AfterHead(_rounded(float(cap * torch.atanh(became[0] / cap) / z[0])), cap)


def _rounded(factor: float) -> float:
    """Give 1 for what is 1 but for rounding, so that nothing is computed."""
    return 1.0 if abs(factor - 1) < 1e-5 else factor


def head_of_model(model: "PreTrainedModel") -> nn.Linear:
    """Return the layer of a decoder that makes logits of hidden states.

    Raises:
        LoadError: the model has none, or is an encoder-decoder.
    """
    name = type(model).__name__
    head: Any = model.get_output_embeddings()
    if model.config.is_encoder_decoder:
        raise LoadError(f"{name} is an encoder-decoder; textenv acts with decoder-only models.")
    if getattr(head, "weight", None) is None or head.weight.ndim != 2:
        raise LoadError(f"{name} has no head that makes logits of hidden states, which textenv needs.")
    return cast(nn.Linear, head)


def trunk_of(model: "PreTrainedModel") -> "PreTrainedModel":
    """Return a model without its head."""
    base = cast("PreTrainedModel", model.base_model)
    # Of some classes that are a part of another, such as Llama 4's, transformers does not find it.
    return base if base is not model else cast("PreTrainedModel", getattr(model, "model", model))


def whole_states(trunk: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Compute hidden states (B, L, D) of tokens (B, L) that begin in column 0, without a cache."""
    # A mask of ones is dropped by transformers; without one it would warn of its padding token.
    output = trunk(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False)
    states: torch.Tensor = output.last_hidden_state
    return states


def is_close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two computations of the same numbers differ by rounding only."""
    return bool(_errors(one, other).max() <= 1)


def mostly_close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Tell whether two computations of states (L, D) differ by rounding only in most tokens.

    Rounding may send single tokens to other experts.
    """
    return bool(_errors(one, other).amax(-1).median() <= 1)


def _errors(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Differences in units of what rounding explains."""
    exact = one.dtype == other.dtype == torch.float32
    exact = exact and torch.get_float32_matmul_precision() == "highest"
    one, other = one.float(), other.float()
    return (one - other).abs() / ((1e-4 if exact else 3e-2) * other.abs().max()).clamp(min=1e-30)


def ordinary_ids(model: "PreTrainedModel", count: int) -> torch.Tensor:
    """Choose ids (count,) of text: none that the configuration names, such as that of padding.

    Neighbours differ where there are two.
    """
    named = set[int]()
    for config in (model.config, model.config.get_text_config()):
        for key, value in config.to_dict().items():
            if key.endswith(("_token_id", "_token_index")):
                named |= set(value if isinstance(value, list) else [value])
    size = getattr(model.config.get_text_config(), "vocab_size", 1)
    ids = [i for i in range(min(size, 64)) if i not in named] or [0]
    return torch.tensor([ids[i % len(ids)] for i in range(count)], device=model.device)
