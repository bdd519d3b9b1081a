"""`LanguagePolicy`: a causal language model that acts, with a value head on its trunk."""

import contextlib
import copy
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from textenv.errors import ArgumentError
from textenv.files import set_usual_permissions
from textenv.models.acting import Act
from textenv.models.cache import PrefixCache
from textenv.models.card import write_card
from textenv.models.contract import contract_of_model, require_same
from textenv.models.folders import loading, share_weights, without_bars
from textenv.models.hub import locate
from textenv.models.kernels import FastKernels, SingleThread, fuse_gelu
from textenv.models.layout import align_left
from textenv.models.loading import load_causal_lm, load_tokenizer, toy_causal_lm
from textenv.models.logprobs import token_log_probs
from textenv.models.lora import has_lora, merged, save_adapters, within_peft
from textenv.models.proof import head_of_model, prove, trunk_of, whole_states
from textenv.models.recompute import recomputed
from textenv.models.sampling import masked_log_softmax, sample_inverse_cdf

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_SMALL_STEP = 2e7  # products by layer that another thread would take over

Precision = Literal["fp32", "bf16"]


class LanguagePolicy(nn.Module):
    """A decoder-only model as a policy over tokens.

    Shapes: N or B rows, P prompt columns, T response columns, W = P+T, V vocabulary, D hidden size.

    The distribution of the next token is softmax(logits / temperature) over the tokenizer's vocabulary without its
    special tokens other than those that end a text, see `textenv.models.contract`.
    The value of a state is a linear function, zero at first, of the last hidden state.

    The model is never in training mode: what is learnt is the distribution that was played, without
    dropout or noise. That the hidden states and the head are all there is to the model is tried when
    the policy is made, see `textenv.models.proof`.

    Args:
        model: from transformers, decoder-only, or a `PeftModel` around one, whose adapters are then
            trained.
        tokenizer: its tokenizer, with an end-of-text token.
        end_tokens: all tokens that end a text, by name or id; None takes the tokenizer's end of text and those that the
            model's `generation_config` names beside it.
        temperature: τ > 0, in every log-probability.
        precision: "fp32", or "bf16" for autocast and for weights of bfloat16.

    Raises:
        ArgumentError: the temperature is not positive, the precision unknown or not that of the
            weights, or the tokenizer has no end-of-text token or more tokens than the model.
        LoadError: the model's logits are more than its head applied to its trunk, a factor and a
            soft cap aside, a later token changes the states of earlier ones, or its adapters are of
            a kind that cannot be switched off.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        *,
        end_tokens: Sequence[str | int] | None = None,
        temperature: float = 1.0,
        precision: Precision = "fp32",
    ) -> None:
        super().__init__()
        if not 0 < temperature < float("inf"):
            raise ArgumentError(f"temperature must be positive, got {temperature!r}; use act(greedy=True) for the most probable token.")
        if precision not in ("fp32", "bf16"):
            raise ArgumentError(f'precision must be "fp32" or "bf16", got {precision!r}.')
        model = within_peft(model)
        _check_precision(model, precision)
        head_rows, size = head_of_model(model).weight.shape
        self.contract = contract_of_model(model, tokenizer, head_rows, end_tokens)
        self.after_head = prove(model.eval())
        self.model = model
        self.tokenizer = tokenizer
        self.temperature = temperature
        self.precision: Precision = precision
        self.vocabulary = self.contract.size
        self.value_head = cast(nn.Linear, nn.utils.skip_init(nn.Linear, size, 1))  # draws nothing
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.value_head.to(model.device)
        fuse_gelu(model)
        absent = torch.ones(head_rows, dtype=torch.bool)
        absent[: self.vocabulary] = torch.tensor([name is None for name in self.contract.names])
        banned = absent.clone()
        banned[: self.vocabulary] = ~torch.from_numpy(self.contract.allowed)
        self.absent: torch.Tensor  # (V of the head,), rows of no token
        self.banned: torch.Tensor  # (V of the head,), these and the tokens that may not be written
        self.register_buffer("absent", absent.to(model.device), persistent=False)
        self.register_buffer("banned", banned.to(model.device), persistent=False)
        self.cache = PrefixCache(self.trunk, self.arithmetic, size)
        layers = getattr(model.config.get_text_config(), "num_hidden_layers", 1)
        self._layer_size = sum(weights.numel() for weights in model.parameters()) / layers
        self.eval()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        end_tokens: Sequence[str | int] | None = None,
        temperature: float = 1.0,
        precision: Precision = "fp32",
        device: str = "cpu",
    ) -> "LanguagePolicy":
        """Load a policy in float32.

        Args:
            name: an embedded name, a local folder, that of a run among them, or a hub id.
            end_tokens: see the class.
            temperature: τ > 0.
            precision: "fp32" or "bf16".
            device: such as "cpu" or "cuda".

        Raises:
            LoadError: the model or its tokenizer cannot be loaded.
            ArgumentError: the model is an encoder-decoder.
        """
        model = load_causal_lm(name, device)
        policy = cls(model, load_tokenizer(name), end_tokens=end_tokens, temperature=temperature, precision=precision)
        head = Path(locate(name)) / "value_head.safetensors"
        if os.path.lexists(head):
            with loading(f"The value head of {name}", head.parent):
                policy.value_head.load_state_dict(load_file(head, device=device))
        return policy

    @classmethod
    def for_rules(cls, rules: Any, name: str | Path | None = None, **options: Any) -> "LanguagePolicy":
        """Make the policy of a task: the named model, or a small random one over its vocabulary.

        Args:
            rules: of the environment, `env.unwrapped.rules`.
            name: of the model, by default the task's.
            **options: of `from_pretrained`.

        Raises:
            ArgumentError: the model's tokenizer differs from the task's, or its context is too short.
            LoadError: the model cannot be loaded.
        """
        name = name or rules.task.model
        if name is None:
            device = options.pop("device", "cpu")
            model = toy_causal_lm(rules.tokenizer, rules.width, device=device)
            return cls(model, rules.tokenizer, end_tokens=rules.contract.ends, **options)
        policy = cls.from_pretrained(name, end_tokens=rules.task.end_tokens, **options)
        policy.check_fits(rules.width)
        require_same(policy.contract, rules.contract, f'model "{name}"')
        return policy

    @property
    def trunk(self) -> "PreTrainedModel":
        """The model without its head."""
        return trunk_of(self.model)

    def check_fits(self, width: int) -> None:
        """Refuse texts that are longer than the model's context.

        Raises:
            ArgumentError: the observation has more columns than the model has positions.
        """
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or width
        if width > context:
            raise ArgumentError(
                f"The environment's texts have up to {width} tokens, but the model reads only {context}; "
                "give shorter prompts, lower max_prompt_tokens or "
                "max_new_tokens, or take another model."
            )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def train(self, mode: bool = True) -> "LanguagePolicy":
        """Set training mode of all but the model, which would drop out; training forgets the cache."""
        if mode and hasattr(self, "cache"):
            self.cache.clear()
        super().train(mode)
        self.model.eval()
        return self

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Autocast to bf16 when that is the precision, and use the faster kernels."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"), FastKernels():
            yield

    @torch.no_grad()
    def act(
        self,
        observations: NDArray[np.int32],
        *,
        allowed: NDArray[np.bool_] | None = None,
        generator: torch.Generator | None = None,
        greedy: bool = False,
    ) -> Act:
        """Choose the next token of every row.

        Args:
            observations: (N, W); rows of only -1 are skipped.
            allowed: (N, V) tokens that may be chosen; the distribution is renormalised over them.
            generator: of the draws.
            greedy: take the most probable token instead of drawing one.
        """
        live = np.any(observations >= 0, axis=1)
        rows = None if live.all() else torch.from_numpy(np.flatnonzero(live)).to(self.device)
        with SingleThread(self._layer_size * live.sum() * (1 - 1 / torch.get_num_threads()) < _SMALL_STEP):
            hidden = self.cache.last_hidden(observations)
            hidden = hidden if rows is None else hidden[rows]  # (n, D)
            logits = self._logits_packed(hidden)
            if allowed is not None:
                logits.masked_fill_(~self._pad(torch.from_numpy(allowed[live]).to(self.device)), -torch.inf)
            if self.temperature != 1:
                logits = logits.float() / self.temperature
            probs = torch.softmax(logits, -1, dtype=torch.float32)  # (n, V)
            tokens = probs.argmax(-1) if greedy else sample_inverse_cdf(probs, generator)
            log_probs = probs.gather(-1, tokens[:, None])[:, 0].log()
            found = [tokens, log_probs, self.value_head(hidden.float())[:, 0]]  # (n,) each
        if rows is not None:
            found = [x.new_zeros(len(live)).index_copy_(0, rows, x) for x in found]  # (N,) each
        return Act(found[0].cpu().numpy(), found[1], found[2])

    def next_log_probs(self, observations: NDArray[np.int32], *, cached: bool = True) -> torch.Tensor:
        """Compute the distribution of the next token of every row.

        Args:
            observations: (N, W), each with a token.
            cached: use and move on the cache; without it, gradients flow.

        Returns:
            (N, V) log-probabilities.
        """
        with self.arithmetic(), torch.set_grad_enabled(torch.is_grad_enabled() and not cached):
            if cached:
                hidden = self.cache.last_hidden(observations)
                head = cast(nn.Module, self.model.get_output_embeddings())
                known = (self.temperature, *((weights.data_ptr(), weights._version) for weights in head.parameters()))
                if known not in self.cache.derived:  # wrappers of one environment ask one reference for the same rows
                    self.cache.derived[known] = self._log_probs(hidden)
                return self.cache.derived[known]
            tokens, _ = align_left(torch.from_numpy(observations).long().to(self.device))
            states = self.hidden_states(tokens)  # (N, L, D)
            ends = torch.from_numpy((observations >= 0).sum(1) - 1).to(self.device)
            return self._log_probs(states[torch.arange(len(ends), device=self.device), ends])

    def response_hidden(self, tokens: torch.Tensor, prompt_columns: int) -> torch.Tensor:
        """Compute the hidden states from which the response tokens were chosen, in one forward pass.

        Args:
            tokens: (B, W) finished observations.
            prompt_columns: P.

        Returns:
            (M, D) for the M response tokens, row after row.
        """
        aligned, first = align_left(tokens)  # (B, L)
        states = self.hidden_states(aligned[:, :-1])  # (B, L-1, D), for nothing is chosen after the last token
        row, column = (tokens[:, prompt_columns:] >= 0).nonzero(as_tuple=True)  # (M,) each
        before = column + (prompt_columns - 1) - first[row]  # the column of the token before, once aligned
        return states.flatten(0, 1).index_select(0, row * states.shape[1] + before)

    def response_log_probs(
        self, tokens: torch.Tensor, prompt_columns: int, allowed: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute log-probabilities and values of every response token, in one forward pass.

        Args:
            tokens: (B, W) finished observations.
            prompt_columns: P.
            allowed: (B, T, V) tokens that were allowed, or None.

        Returns:
            Log-probabilities and values, (B, T) each, 0 where there is no token.
        """
        response = tokens[:, prompt_columns:]
        mask = response >= 0  # (B, T)
        with self.arithmetic():
            hidden = self.response_hidden(tokens, prompt_columns)  # (M, D)
            log_probs = token_log_probs(self.logits, hidden, response[mask], self.temperature, self.forbidden(mask, allowed))  # (M,)
        values = self.value_head(hidden.float())[:, 0]
        padded = [flat.new_zeros(mask.shape).masked_scatter(mask, flat) for flat in (log_probs, values)]  # (B, T) each
        return padded[0], padded[1]

    def response_values(self, tokens: torch.Tensor, prompt_columns: int) -> torch.Tensor:
        """Compute the values of the states in which the response tokens were chosen, in one forward pass.

        Args:
            tokens: (B, W) finished observations.
            prompt_columns: P.

        Returns:
            (B, T), 0 where there is no token.
        """
        mask = tokens[:, prompt_columns:] >= 0  # (B, T)
        with self.arithmetic():
            hidden = self.response_hidden(tokens, prompt_columns)  # (M, D)
        values: torch.Tensor = self.value_head(hidden.float())[:, 0]
        return values.new_zeros(mask.shape).masked_scatter(mask, values)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model, tokenizer, value head and a model card; `AutoModelForCausalLM.from_pretrained` loads the model.

        Adapters are merged into it; in the folder `adapter` they stand alone too, in peft's format, see `save_adapters`.
        """
        model = merged(self.model)
        given = model.generation_config
        model.generation_config = _that_can_be_saved(given)
        try:
            with without_bars():
                model.save_pretrained(folder)
        finally:
            model.generation_config = given
        share_weights(Path(folder))
        self.tokenizer.save_pretrained(folder)
        head = {name: value.contiguous() for name, value in self.value_head.state_dict().items()}
        file = Path(folder) / "value_head.safetensors"
        save_file(head, file)
        set_usual_permissions(file)
        if has_lora(self.model):
            save_adapters(self.model, Path(folder) / "adapter")
        write_card(folder, self.model)

    def hidden_states(self, aligned: torch.Tensor) -> torch.Tensor:
        """Compute hidden states (B, L, D) of left-aligned tokens (B, L).

        What follows a row's end cannot reach back into it.
        """
        with recomputed(self.trunk):
            return whole_states(self.trunk, aligned)

    def _log_probs(self, hidden: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (N, V) at hidden states (N, D)."""
        return masked_log_softmax(self.logits(hidden), self.temperature, self.banned)[:, : self.vocabulary]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the head: hidden states (..., D) to logits (..., V of the head)."""
        with self.arithmetic():  # said here too, for the backward pass computes pieces of it again
            return self.raw_logits(hidden)

    def raw_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the head as `logits` does, by operations that can be differentiated twice."""
        return self.after_head(cast(nn.Module, self.model.get_output_embeddings())(hidden))

    def _logits_packed(self, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the head without a gradient, with weights that the cache has laid out; -inf where banned."""
        head = cast(nn.Module, self.model.get_output_embeddings())
        if type(head) is not nn.Linear or self.after_head.does_something or head._forward_hooks or head._forward_pre_hooks:
            return self.logits(hidden).masked_fill_(self.banned, -torch.inf)
        return self.cache.packed(head, self.banned, head.weight.dtype if self.precision == "fp32" else torch.bfloat16)(hidden)

    def forbidden(self, mask: torch.Tensor, allowed: torch.Tensor | None = None) -> torch.Tensor:
        """Tell which tokens have no probability: (V of the head,), or where states (B, T) restrict them to some (B, T, V), (M, V of it)."""
        return self.banned if allowed is None else self.banned | ~self._pad(allowed[mask])

    def _pad(self, allowed: torch.Tensor) -> torch.Tensor:
        """Widen (..., V of the environment) to the rows of the head, or cut what has none."""
        return nn.functional.pad(allowed, (0, len(self.banned) - allowed.shape[-1]))


def _that_can_be_saved(generation: Any) -> Any:
    """Return a generation configuration that transformers saves: with options of sampling, such as Llama-2's, only if it samples."""
    if generation is None:
        return None
    try:
        generation.validate(strict=True)
    except ValueError:
        generation = copy.deepcopy(generation)
        generation.do_sample = True
    return generation


def _check_precision(model: "PreTrainedModel", precision: Precision) -> None:
    """Refuse to call "fp32" what is computed with coarser weights, and weights of float16."""
    halves = {weights.dtype for weights in model.parameters()} & {torch.float16, torch.bfloat16}
    if torch.float16 in halves or (halves and precision == "fp32"):
        kinds = ", ".join(sorted(str(half).removeprefix("torch.") for half in halves))
        raise ArgumentError(
            f'{type(model).__name__} has weights of {kinds}, which is not precision="{precision}"; load it with '
            'dtype=torch.float32, or with dtype=torch.bfloat16 for precision="bf16".'
        )
