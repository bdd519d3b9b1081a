"""Trust region policy optimisation: the natural gradient, as far as the policy may move.

Schulman et al., "Trust Region Policy Optimization", https://arxiv.org/abs/1502.05477, appendix C: maximise E[ρ A] subject to
E[KL(π_old‖π)] ≤ δ by conjugate gradients on products with the Fisher matrix and a line search.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from textenv.agents.config import LearnerConfig, check_choice, check_divides, check_ranges
from textenv.agents.learner import Learner, Terms
from textenv.agents.losses import value_loss
from textenv.errors import ArgumentError, TrainingError
from textenv.models.policy import LanguagePolicy
from textenv.models.sampling import masked_log_softmax
from textenv.rewards.kl import exact
from textenv.rollouts.advantages import gae, leave_one_out, reward_to_go, whole_return
from textenv.types import Episodes

_SHRINK, _TRIES = 0.5, 10


@dataclass(frozen=True, kw_only=True)
class TRPOConfig(LearnerConfig):
    """How TRPO learns: one step of the policy a batch. `learning_rate` is that of a critic; `linear_decay` lowers δ with it.

    Raises:
        ArgumentError: numbers that do not fit together.
    """

    episodes_per_update: int = 256
    """Episodes of a step."""
    max_kl: float = 0.01
    """δ, nats a token: the most that a step may move the policy, E[KL(π_old‖π)] over the states of the batch."""
    layers: int | None = 2
    """Move the last so many blocks of the transformer and what comes after them but for the head; None moves everything."""
    advantage: Literal["leave_one_out", "critic"] = "leave_one_out"
    """Against the other episodes of the same prompt, or against a critic, a network of its own that starts as the policy."""
    group_size: int = 8
    """Episodes of each prompt, for the leave-one-out baseline."""
    fisher_episodes: int = 64
    """Episodes, the first of the batch in a random order, on whose states the Fisher matrix and the KL of a step are computed."""
    conjugate_gradients: int = 10
    """Iterations of the conjugate gradient."""
    damping: float = 0.01
    """Added to the Fisher matrix's diagonal."""
    critic_epochs: int = 4
    """Steps of the critic an update, on the whole batch."""
    lam: float = 0.95
    """λ of the generalised advantage estimation, for a critic."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "advantage", ("leave_one_out", "critic"))
        positive = ("max_kl", "layers", "fisher_episodes", "conjugate_gradients", "critic_epochs")
        check_ranges(self, positive=positive, least_zero=("damping",), unit=("lam",))
        if self.advantage == "leave_one_out":
            check_divides(self, "group_size", "episodes_per_update", least=2)

    @property
    def separate_critic(self) -> bool:
        """A critic on the policy's trunk would move the policy out of the trust region."""
        return self.advantage == "critic"


class TRPO(Learner):
    """Trains a policy in text environments; arguments and errors are those of `Learner`."""

    config: TRPOConfig
    Config = TRPOConfig

    def set_up(self) -> None:
        """Choose what moves, and use groups or a critic.

        Raises:
            ArgumentError: there are fewer layers, or the policy computes in bf16, too coarse for what a line search compares.
        """
        if self.policy.precision != "fp32":
            raise ArgumentError(f"TRPO compares small differences, so its policy's precision must be fp32, not {self.policy.precision}.")
        self.uses_values = self.config.advantage == "critic"
        self.group_size = 1 if self.uses_values else self.config.group_size
        self.parameters = [parameter for parameter in last_layers(self.policy, self.config.layers) if parameter.requires_grad]

    def trained_parameters(self) -> list[nn.Parameter]:
        """The critic's; the policy does not move by the optimiser."""
        return list((self.critic if self.uses_values else self.policy.value_head).parameters())

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add the reference's log-probabilities, and returns and whitened advantages of the shaped rewards.

        Raises:
            ArgumentError: with the leave-one-out baseline, episodes that are no groups of one prompt each.
        """
        config, batch = self.config, self.refer(episodes)
        rewards, mask = self.shaped_rewards(batch), batch.mask  # (B, T) each
        if self.uses_values:
            advantages = gae(rewards, batch.values, mask, config.gamma, config.lam)
            returns = advantages + batch.values
        else:
            self.check_groups(batch)
            returns = reward_to_go(rewards, mask, config.gamma)
            advantages = leave_one_out(whole_return(rewards, mask, config.gamma), self.group_size)
        return self.weigh(batch, advantages, returns, whiten=True)

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Move the policy by at most δ along the natural gradient of E[ρ A], then fit the critic.

        Raises:
            ArgumentError: with the leave-one-out baseline, episodes that are no groups of one prompt each.
            TrainingError: the gradient is not finite.
        """
        config, batch = self.config, self.prepare(episodes)
        states = batch.select(torch.from_numpy(self.order.permutation(len(batch))[: config.fisher_episodes]))
        self.policy.train()
        gradient = self._gradient(batch)
        if not gradient.isfinite().all():
            raise TrainingError(f"The gradient is not finite after {self.episodes} episodes; lower max_kl.", batch)
        share = self.optimiser.param_groups[0]["lr"] / config.learning_rate  # what the linear decay leaves
        product = fisher(lambda: self._distribution(states), self.parameters, config.damping)
        direction = conjugate_gradient(product, gradient, config.conjugate_gradients)
        curvature = float(direction @ product(direction))  # xᵀFx, so that a step s x costs ½ s² xᵀFx nats
        step = direction * (2 * share * config.max_kl / max(curvature, 1e-12)) ** 0.5
        told = self._line_search(batch, states, step, share * config.max_kl)
        for _ in range(config.critic_epochs if self.uses_values else 0):
            told |= {name: value for name, value in self.minimise(batch, self.loss).items() if name == "value_loss"}
        self.policy.eval()
        return self.report(batch, [{**told, "grad_norm": float(gradient.norm())}])

    def loss(self, piece: Episodes) -> Terms:
        """The critic's error: (b, T)."""
        error = value_loss(self.critic.response_values(piece.tokens, piece.prompt_columns), cast(torch.Tensor, piece.returns))
        return {"loss": error, "value_loss": error}

    def _pieces(self, batch: Episodes) -> list[Episodes]:
        return [batch.select(rows) for rows in torch.arange(len(batch)).split(self.config.micro_batch_size or len(batch))]

    def _surrogate(self, piece: Episodes, tokens: int) -> torch.Tensor:
        """The share of E[ρ A] over `tokens` tokens that is these episodes'."""
        ratio = (self.forward(piece)[0] - piece.log_probs).exp()
        return (ratio * cast(torch.Tensor, piece.advantages) * piece.mask).sum() / tokens

    def _gradient(self, batch: Episodes) -> torch.Tensor:
        """∇E[ρ A], flat."""
        tokens, total = int(batch.mask.sum()), torch.zeros(())
        for piece in self._pieces(batch):
            total = total.to(self.policy.device) + flat(torch.autograd.grad(self._surrogate(piece, tokens), self.parameters))
        return total

    def _distribution(self, states: Episodes) -> torch.Tensor:
        """Log π in the states of the response tokens, (M, V), by operations that can be differentiated twice."""
        policy = self.policy
        with sdpa_kernel(SDPBackend.MATH):
            hidden = policy.response_hidden(states.tokens, states.prompt_columns)  # (M, D)
        logits = policy.raw_logits(hidden)
        forbidden = policy.forbidden(states.mask, states.allowed_tokens(policy.vocabulary))
        return masked_log_softmax(logits, policy.temperature, forbidden)

    @torch.no_grad()
    def _line_search(self, batch: Episodes, states: Episodes, step: torch.Tensor, max_kl: float) -> dict[str, float]:
        """Shrink the step until it improves the surrogate within the trust region, or do not move."""
        tokens, old, start = int(batch.mask.sum()), self._distribution(states), flat(self.parameters)
        before = sum(float(self._surrogate(piece, tokens)) for piece in self._pieces(batch))
        for tries in range(_TRIES):
            write_flat(self.parameters, start + step * _SHRINK**tries)
            gain = sum(float(self._surrogate(piece, tokens)) for piece in self._pieces(batch)) - before
            kl = float(exact(old, self._distribution(states)).mean())
            if gain > 0 and kl <= max_kl:
                return {"policy_loss": -before - gain, "kl_old": kl, "step": _SHRINK**tries}
        write_flat(self.parameters, start)
        return {"policy_loss": -before, "kl_old": 0.0, "step": 0.0}


def last_layers(policy: LanguagePolicy, layers: int | None) -> list[nn.Parameter]:
    """List the parameters of the last blocks of a transformer and of what follows them in its trunk; None lists the whole model's.

    Raises:
        ArgumentError: the blocks cannot be found, or there are fewer.
    """
    if layers is None:
        return list(policy.model.parameters())
    depth = policy.model.config.get_text_config().num_hidden_layers
    blocks = [module for module in policy.trunk.modules() if isinstance(module, nn.ModuleList) and len(module) == depth]
    if len(blocks) != 1 or layers > depth:
        raise ArgumentError(f"layers={layers} must be at most the model's {depth}, in one list of blocks; give None to move everything.")
    chosen = list(blocks[0][-layers:].parameters())
    inside = {id(parameter) for parameter in blocks[0].parameters()}
    embedded = {id(parameter) for module in policy.trunk.modules() if isinstance(module, nn.Embedding) for parameter in module.parameters()}
    return chosen + [parameter for parameter in policy.trunk.parameters() if id(parameter) not in inside | embedded]


def fisher(
    distribution: Callable[[], torch.Tensor], parameters: list[nn.Parameter], damping: float
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Give v ↦ (F + damping I) v, F the Hessian of the mean KL(π_old‖π) at π_old, by differentiating twice.

    Args:
        distribution: computes log π, (M, V), -inf where a token is forbidden.
        parameters: of which F is.
        damping: at least 0.
    """
    new = distribution()
    kl = exact(new.detach(), new).mean()
    slope = flat(torch.autograd.grad(kl, parameters, create_graph=True))

    def product(vector: torch.Tensor) -> torch.Tensor:
        return flat(torch.autograd.grad(slope @ vector, parameters, retain_graph=True)) + damping * vector

    return product


def conjugate_gradient(product: Callable[[torch.Tensor], torch.Tensor], target: torch.Tensor, iterations: int) -> torch.Tensor:
    """Solve A x = b for a symmetric positive definite A (Nocedal and Wright, "Numerical Optimization", algorithm 5.2).

    Args:
        product: v ↦ A v.
        target: b, (n,).
        iterations: at most so many.
    """
    solution, residual = torch.zeros_like(target), target.clone()
    direction, size = residual.clone(), residual @ residual
    for _ in range(iterations):
        if size < 1e-20:
            break
        along = product(direction)
        length = size / (direction @ along)
        solution, residual = solution + length * direction, residual - length * along
        grown = residual @ residual
        direction, size = residual + grown / size * direction, grown
    return solution


def flat(tensors: "list[nn.Parameter] | tuple[torch.Tensor, ...]") -> torch.Tensor:
    """Lay tensors end to end: (n,)."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


@torch.no_grad()
def write_flat(parameters: list[nn.Parameter], values: torch.Tensor) -> None:
    """Set parameters to what `flat` returned."""
    for parameter, part in zip(parameters, values.split([parameter.numel() for parameter in parameters]), strict=True):
        parameter.copy_(part.view_as(parameter))
