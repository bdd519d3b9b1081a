"""What all agents share: playing episodes, asking the reference, steps of the optimiser, and a state that can be saved.

An algorithm's own file says how it weighs tokens (`estimate`) and what it does with them (`update`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch

from textenv.agents.config import LearnerConfig
from textenv.agents.fitting import check_trainable
from textenv.envs.vector import text_envs
from textenv.envs.wrappers.base import rules_of, shaped
from textenv.errors import ArgumentError, LoadError, TrainingError
from textenv.models.acting import Actor
from textenv.models.contract import require_same
from textenv.models.lora import twin, without_lora
from textenv.models.policy import LanguagePolicy
from textenv.rewards.kl import KLController, k1, k2, k3
from textenv.rollouts.advantages import masked_mean, masked_whiten
from textenv.rollouts.collect import collect
from textenv.types import Episodes

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

Terms = dict[str, torch.Tensor]
"""What a loss says of each response token, (b, T) by name: `loss` is minimised, the others are reported."""

_REFERENCE_ROWS = 128
_NETWORKS = {"critic", "q_head", "target"}  # what `modules` may hold beside the policy


class Learner:
    """Trains a policy in text environments; a base class for agents.

    Args:
        policy: learns; its present weights, or with LoRA adapters those that they are beside, are the reference unless one is given.
        envs: from `gymnasium.make_vec`, without `kl_coef`, which is the agent's.
        config: of the agent.
        reference: π_ref, frozen.
        seed: of the draws and of the order of prompts and minibatches.

    Raises:
        ArgumentError: the envs are not textenv's, do not act by tokens or shape the reward by a KL of their own; or policy,
            reference, envs and config do not fit together; or weights that are to be trained are not float32.
    """

    config: Any  # of the agent's own `Config`
    uses_values: bool = False
    """Whether a value head is learnt."""
    group_size: int = 1
    """Episodes of each prompt, which stand one after the other in a batch."""
    learns: bool = True
    """Whether the policy moves."""
    trades_score_for_kl: bool = True
    """Whether the objective is E[score] - β KL(π‖π_ref), so that the β that suits it goes with the scale of the scores."""
    plays_policy: bool = True
    """Whether the tokens that nobody took over are drawn from the policy, so that `log_probs` are its own."""
    interactive: bool = False
    """Whether a person at the terminal takes part."""
    Config: ClassVar[type[LearnerConfig]]

    def __init__(
        self,
        policy: LanguagePolicy,
        envs: "VectorEnv[Any, Any, Any]",
        config: Any = None,
        *,
        reference: LanguagePolicy | None = None,
        seed: int = 0,
    ) -> None:
        self.policy, self.envs, self.config = policy, envs, self.Config() if config is None else config
        self.memory: dict[str, Any] = {}
        """What the algorithm remembers between updates beside weights: numbers and tensors by name."""
        self.modules: dict[str, torch.nn.Module] = {"policy": policy}
        self.reference = self._check(reference)
        self.set_up()
        self.critic = policy
        if self.uses_values and getattr(self.config, "separate_critic", False):
            self.critic = self.modules["critic"] = twin(policy)
        parameters = [p for p in self.trained_parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(parameters, lr=self.config.learning_rate, eps=1e-5, fused=True)
        self.controller = KLController(coefficient=self.config.kl_coef, target=self.config.kl_target, horizon=self.config.kl_horizon)
        self.generator = torch.Generator(device=policy.device).manual_seed(seed)
        self.order = np.random.default_rng(seed)
        self.waiting = np.zeros(0, dtype=np.int64)  # prompts left of the present pass over the prompt set
        self.episodes = 0
        self.schedule = (0, 0)  # episodes at which the linear decay starts and ends

    def _check(self, reference: LanguagePolicy | None) -> LanguagePolicy:
        """Check that policy, envs and reference belong together, and freeze the reference."""
        name, policy, rules = type(self).__name__, self.policy, text_envs(self.envs).rules
        if not isinstance(self.config, self.Config):
            raise ArgumentError(f"{name} needs a {self.Config.__name__}, got {type(self.config).__name__}.")
        rules_of(self.envs)
        if shaped(self.envs):
            raise ArgumentError(
                f"{name} adds the KL itself; make the envs without kl_coef or KLShaping and give kl_coef to {self.Config.__name__}."
            )
        require_same(policy.contract, rules.contract)
        if self.config.gamma < 1 and rules.potential is not None:
            raise ArgumentError(
                f"gamma={self.config.gamma!r} does not go with a potential, whose payments leave the optimum where it is only at "
                "gamma=1; leave gamma out, or make the envs with potential=None."
            )
        if getattr(policy, "value_head", None) is None:
            raise ArgumentError(f"{name} needs a policy with a value head; make it with LanguagePolicy(model, tokenizer).")
        if self.learns:
            check_trainable(policy)
        if reference is policy:
            raise ArgumentError("The reference is the policy itself, which learns; leave it out, and a frozen copy is made.")
        reference = (reference or without_lora(policy)).requires_grad_(False)
        reference.cache.clear()
        require_same(reference.contract, rules.contract, "reference")
        for field in ("temperature", "device", "precision"):
            if getattr(reference, field) != getattr(policy, field):
                raise ArgumentError(f"The reference's {field} is {getattr(reference, field)}, the policy's {getattr(policy, field)}.")
        if reference.model.dtype != policy.model.dtype:
            raise ArgumentError(
                f"The reference's weights are {reference.model.dtype}, the policy's {policy.model.dtype}; load both alike, for their "
                "difference would be rounding."
            )
        return reference

    def set_up(self) -> None:
        """Set what depends on the config, and add to `modules` what is learnt beside policy and critic."""

    def trained_parameters(self) -> list[torch.nn.Parameter]:
        """List what the optimiser moves."""
        return [parameter for module in self.modules.values() for parameter in module.parameters()]

    @property
    def actor(self) -> Actor:
        """What plays the episodes that are learnt from."""
        return self.policy

    def learn(self, episodes: int, callback: Callable[[dict[str, float], Episodes], bool | None] | None = None) -> None:
        """Collect and update until at least so many more episodes have been played.

        Args:
            episodes: to play.
            callback: called after each update with its metrics and episodes; it ends the learning by returning True.

        Raises:
            ArgumentError: there are fewer than 0 episodes to play.
        """
        if isinstance(episodes, bool) or not isinstance(episodes, int | np.integer) or episodes < 0:
            raise ArgumentError(f"learn needs a number of episodes, an integer of at least 0, got {episodes!r}.")
        if self.schedule[1] != self.episodes + episodes:  # else it goes on with a schedule that was loaded
            self.schedule = (self.episodes, self.episodes + episodes)
        start, end = self.schedule
        while self.episodes < end:
            rate = self.config.learning_rate
            if self.config.linear_decay:
                rate = rate * (end - self.episodes) / (end - start)
            if self.config.warmup_episodes:
                rate *= min(1.0, (self.episodes + self.config.episodes_per_update) / self.config.warmup_episodes)
            if self.config.linear_decay or self.config.warmup_episodes:
                self.optimiser.param_groups[0]["lr"] = rate
            batch = self.collect()
            metrics = self.update(batch)
            if callback is not None and callback(metrics, batch):
                break

    def collect(self) -> Episodes:
        """Play the episodes of one update and estimate them: every prompt once before any comes again, in groups."""
        groups = self.config.episodes_per_update // self.group_size
        while len(self.waiting) < groups:
            self.waiting = np.concatenate([self.waiting, self.order.permutation(len(text_envs(self.envs).prompts))])
        chosen, self.waiting = self.waiting[:groups], self.waiting[groups:]
        prompts = np.repeat(chosen, self.group_size)
        return self.estimate(collect(self.actor, self.envs, len(prompts), prompt_index=prompts, generator=self.generator))

    def estimate(self, episodes: Episodes) -> Episodes:
        """Add reference log-probabilities, returns and advantages."""
        raise NotImplementedError

    def update(self, episodes: Episodes) -> dict[str, float]:
        """Improve the policy by one batch of episodes and return metrics by name.

        In a run they hold those of `textenv.reports.tables.NEEDED` and none of the names in `COLUMNS` there; `report` makes them.
        """
        raise NotImplementedError

    def prepare(self, episodes: Episodes) -> Episodes:
        """Estimate episodes that have not been, and move them to the policy."""
        return (self.estimate(episodes) if episodes.advantages is None else episodes).to(self.policy.device)

    @torch.no_grad()
    def refer(self, episodes: Episodes) -> Episodes:
        """Add what parallel passes say of the response tokens: the reference's log-probabilities, and a separate critic's values.

        In bf16 also the policy's own log-probabilities take the place of those of the play, one token at a time, from
        which they differ by rounding: the update computes in parallel, and its ratio to them starts at exactly 1.
        """
        if episodes.ref_log_probs is not None:
            return episodes
        again = self.plays_policy and self.policy.precision != "fp32"
        reference_log_probs, own_log_probs, values = [], [], []
        for rows in torch.arange(len(episodes)).split(self.config.micro_batch_size or _REFERENCE_ROWS):
            piece = episodes.select(rows).to(self.policy.device)
            allowed = piece.allowed_tokens(self.policy.vocabulary)
            reference_log_probs.append(self.reference.response_log_probs(piece.tokens, piece.prompt_columns, allowed)[0])
            if again:
                own_log_probs.append(self.policy.response_log_probs(piece.tokens, piece.prompt_columns, allowed)[0])
            if self.critic is not self.policy:
                values.append(self.critic.response_values(piece.tokens, piece.prompt_columns))
        device = episodes.tokens.device
        if again:
            theirs = torch.zeros_like(episodes.mask) if episodes.taken_over is None else episodes.taken_over
            own = torch.where(theirs, episodes.log_probs, torch.cat(own_log_probs).to(device))
            episodes = replace(episodes, log_probs=own, played_log_probs=episodes.log_probs)
        return replace(
            episodes,
            ref_log_probs=torch.cat(reference_log_probs).to(device),
            values=torch.cat(values).to(device) if values else episodes.values,
        )

    def shaped_rewards(self, batch: Episodes) -> torch.Tensor:
        """r_t - β (log π(a_t|s_t) - log π_ref(a_t|s_t)), the KL by k1: (B, T)."""
        kl = k1(batch.log_probs, cast(torch.Tensor, batch.ref_log_probs)) * batch.mask
        return batch.rewards - self.controller.coefficient * kl

    def weigh(self, batch: Episodes, advantages: torch.Tensor, returns: torch.Tensor, *, whiten: bool) -> Episodes:
        """Return the episodes with advantages and returns, in float32 and 0 where there is no token.

        Args:
            batch: B episodes.
            advantages: (B, T), or (B, 1) for one an episode, as exact as they were computed.
            returns: alike.
            whiten: scale the advantages to mean 0 and variance 1 over the tokens.
        """
        advantages, returns = advantages * batch.mask, returns * batch.mask  # (B, T) each
        if whiten:
            advantages = masked_whiten(advantages, batch.mask)
        return replace(batch, advantages=advantages.float(), returns=returns.float())

    def check_groups(self, batch: Episodes) -> None:
        """Refuse episodes that are no groups of one prompt each.

        Raises:
            ArgumentError: they are not.
        """
        groups = batch.prompt_index.reshape(-1, self.group_size) if len(batch) % self.group_size == 0 else None
        if groups is None or (groups != groups[:, :1]).any():
            raise ArgumentError(f"update needs groups of {self.group_size} episodes of the same prompt, one after the other.")

    def forward(self, piece: Episodes) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute log-probabilities and values of the response tokens with gradient: (b, T) each."""
        allowed = piece.allowed_tokens(self.policy.vocabulary)
        log_probs, values = self.policy.response_log_probs(piece.tokens, piece.prompt_columns, allowed)
        if self.critic is not self.policy:
            values = self.critic.response_values(piece.tokens, piece.prompt_columns)
        return log_probs, values

    def minimise(
        self,
        batch: Episodes,
        loss: Callable[[Episodes], Terms],
        rows: torch.Tensor | None = None,
        beside: Callable[[], dict[str, float]] | None = None,
    ) -> dict[str, float]:
        """Take one step of the optimiser on some episodes, the gradient accumulated over micro-batches.

        Args:
            batch: on the policy's device.
            loss: maps episodes to its terms; their sums are divided by the mean number of tokens of so many episodes in
                the batch, not by these episodes' own, so that long and short ones weigh alike in every step.
            rows: indices of the episodes; None takes all.
            beside: adds a gradient of its own, and tells terms of its own.

        Returns:
            The terms a token, `grad_norm`, and those beside.

        Raises:
            TrainingError: the gradient is not finite.
        """
        rows = torch.arange(len(batch)) if rows is None else rows
        tokens = batch.mask.sum().item() * len(rows) / len(batch)
        sums: dict[str, torch.Tensor] = {}
        self.optimiser.zero_grad(set_to_none=True)
        for part in rows.split(self.config.micro_batch_size or len(rows)):
            piece = batch.select(part)
            terms = loss(piece)
            (terms["loss"] * piece.mask).sum().div(tokens).backward()
            for name, values in terms.items():
                sums[name] = sums.get(name, 0.0) + (values.detach() * piece.mask).sum(dtype=torch.float32)
        others = {} if beside is None else beside()
        parameters = self.optimiser.param_groups[0]["params"]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm)
        if not torch.isfinite(norm):
            raise TrainingError(f"The gradient is not finite after {self.episodes} episodes; lower learning_rate or max_grad_norm.", batch)
        self.optimiser.step()
        told = torch.stack(list(sums.values()) or [norm]).div(tokens).tolist()  # read once, for on a GPU every reading waits
        return {**dict(zip(sums, told, strict=True)), "grad_norm": float(norm), **others}

    def report(self, batch: Episodes, steps: Sequence[dict[str, float]]) -> dict[str, float]:
        """Count the episodes, move β, and put the metrics of an update together.

        Args:
            batch: with reference log-probabilities.
            steps: metrics of each optimiser step.

        Returns:
            Metrics by name; KLs in nats a sequence, entropy in nats a token; those of the steps as their mean.
        """
        mask, ref_log_probs = batch.mask, cast(torch.Tensor, batch.ref_log_probs)  # (B, T) each
        kl, beta = k1(batch.log_probs, ref_log_probs) * mask, self.controller.coefficient
        kl_per_sequence = kl.sum(1).mean().item()
        self.controller.update(kl_per_sequence, len(batch))
        self.episodes += len(batch)
        return {
            "episodes": float(self.episodes),
            "score": batch.scores.mean().item(),
            **{f"score_{name}": values.mean().item() for name, values in batch.score_parts.items()},
            "reward": (batch.rewards - beta * kl).sum(1).mean().item(),
            "kl_k1": kl_per_sequence,
            "kl_k2": (k2(batch.log_probs, ref_log_probs) * mask).sum(1).mean().item(),
            "kl_k3": (k3(batch.log_probs, ref_log_probs) * mask).sum(1).mean().item(),
            "kl_coef": beta,
            "entropy": masked_mean(-batch.log_probs, mask).item(),
            "length": batch.lengths.float().mean().item(),
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "explained_variance": explained_variance(batch) if self.uses_values and batch.returns is not None else math.nan,
            "optimiser_steps": float(len(steps)),
            **rounding(batch),
            **{name: sum(step[name] for step in steps) / len(steps) for name in (steps[0] if steps else ()) if name != "loss"},
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that later updates depend on, for `textenv.checkpoint.save_state`."""
        shared = {id(parameter) for parameter in self.reference.parameters()}  # what LoRA adapters are beside never moves
        return {
            **{
                part: {name: value.detach() for name, value in module.state_dict(keep_vars=True).items() if id(value) not in shared}
                for part, module in self.modules.items()
            },
            "agent": type(self).__name__,
            "optimiser": self.optimiser.state_dict(),
            "kl_coef": self.controller.coefficient,
            "generator": self.generator.get_state(),
            "seed": self.generator.initial_seed(),
            "device": self.policy.device.type,
            "order": self.order.bit_generator.state,
            "waiting": self.waiting.tolist(),
            "episodes": self.episodes,
            "schedule": list(self.schedule),
            "memory": dict(self.memory),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`.

        On the kind of device that it comes from, training goes on as it would have. A CUDA generator cannot take a CPU's state
        nor the reverse: there the draws go on from a seed made of the first one and the number of episodes.

        Raises:
            LoadError: it is of another agent or of another model.
        """
        mine = self.state_dict()
        if missing := sorted(mine.keys() - state.keys()):
            raise LoadError(f"The state lacks {', '.join(missing)}: it is not {type(self).__name__}'s.")
        other_networks = (_NETWORKS & state.keys()) != (_NETWORKS & mine.keys())
        if state["agent"] != mine["agent"] or other_networks or mine["memory"].keys() != state["memory"].keys():
            raise LoadError(
                f"The state is of {state['agent']} with other options than this {mine['agent']}'s; train anew, or as it was made."
            )
        for part in self.modules:
            ours, theirs = ({name: tuple(value.shape) for name, value in side[part].items()} for side in (mine, state))
            for name in sorted(ours.keys() | theirs.keys()):
                if ours.get(name) != theirs.get(name):
                    raise LoadError(
                        f"The state is of another model: {name} has the shape {theirs.get(name)} there and {ours.get(name)} in this {part}."
                    )
        for name, module in self.modules.items():
            module.load_state_dict(state[name], strict=False)  # by the names that were compared
        self.optimiser.load_state_dict(state["optimiser"])
        self.controller.coefficient = state["kl_coef"]
        if state["device"] == self.policy.device.type:
            self.generator.set_state(state["generator"])
        else:
            self.generator.manual_seed(int(np.random.SeedSequence((state["seed"], state["episodes"])).generate_state(1)[0]))
        self.order.bit_generator.state = state["order"]
        self.waiting = np.array(state["waiting"], dtype=np.int64)
        self.episodes = state["episodes"]
        self.schedule = (state["schedule"][0], state["schedule"][1])
        self.memory = dict(state["memory"])


def rounding(batch: Episodes) -> dict[str, float]:
    """Report how far the log-probabilities of the play and of the learning are apart: the mean of |Δ|, nats per token.

    Returns:
        `play_gap`, over the policy's own tokens; nothing where the policy has not been asked again.
    """
    if batch.played_log_probs is None:
        return {}
    own = batch.mask if batch.taken_over is None else batch.mask & ~batch.taken_over
    gap = (batch.log_probs - batch.played_log_probs).abs()
    return {"play_gap": masked_mean(gap, own).item()}


def explained_variance(batch: Episodes) -> float:
    """1 - Var(R - V)/Var(R) over the tokens: 1 is perfect, 0 no better than a constant."""
    returns = cast(torch.Tensor, batch.returns)
    error, target = (returns - batch.values)[batch.mask], returns[batch.mask]
    return float(1 - error.var(correction=0) / target.var(correction=0).clamp(min=1e-12))
