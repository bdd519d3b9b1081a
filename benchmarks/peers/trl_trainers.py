"""TRL's PPO, RLOO and GRPO trainers, set up as textenv's agent is.

The newest release with a PPO trainer is 1.12.0 (`trl.experimental.ppo`; 1.13 removed it); `benchmarks/requirements.txt` pins
it. Fair to the peer: no logging, saving, evaluation or sample tables, dropout and gradient checkpointing off, one optimiser
step an epoch over the whole batch. `bf16` is given both as the trainers' argument and as accelerate's ACCELERATE_MIXED_PRECISION
(see `environment`), because the PPO trainer makes an `Accelerator` that reads only the second.
"""

import importlib
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, Literal

import torch
from datasets import Dataset
from torch import nn
from transformers import GPT2ForSequenceClassification, PreTrainedTokenizerBase, TrainerCallback

from benchmarks.workloads import Precision

Algorithm = Literal["ppo", "rloo", "grpo"]
ALGORITHMS: Final[tuple[Algorithm, ...]] = ("ppo", "rloo", "grpo")
FOREVER: Final = 10**6


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the three trainers are given."""

    new: int
    """New tokens, at most."""
    episodes: int
    """An iteration."""
    minibatch: int
    """Episodes an optimiser step."""
    epochs: int
    """Passes over the episodes of an iteration."""
    group: int
    """Episodes of a prompt, for RLOO and GRPO."""
    learning_rate: float
    kl_coef: float
    """β."""
    precision: Precision = "fp32"
    seed: int = 0
    iterations: int = FOREVER
    """After which the linear schedule of the learning rate ends; FOREVER keeps it constant."""

    @property
    def steps(self) -> int:
        """Optimiser steps of an iteration."""
        return self.epochs * self.episodes // self.minibatch


def environment(precision: Precision) -> dict[str, str]:
    """Variables that must stand before accelerate is imported."""
    return {"ACCELERATE_MIXED_PRECISION": "bf16" if precision == "bf16" else "no", "TRL_EXPERIMENTAL_SILENCE": "1"}


def trainer(
    algorithm: Algorithm,
    settings: Settings,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    reward: Callable[..., list[float]],
    after_iteration: Callable[[], None],
) -> Any:
    """Make a trainer; `train()` plays iterations and calls `after_iteration` after each.

    Args:
        algorithm: which.
        settings: see the class.
        model: the policy, of GPT-2's classes; the reference is a copy of it.
        tokenizer: its tokenizer.
        prompts: texts.
        reward: of prompts and completions, as textenv and TRL call it.
        after_iteration: such as the end of a stopwatch.
    """
    common: dict[str, Any] = {
        "output_dir": os.path.join(tempfile.gettempdir(), "trl"),  # nothing is written
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant" if settings.iterations == FOREVER else "linear",
        "adam_epsilon": 1e-5,
        "temperature": 1.0,
        "bf16": settings.precision == "bf16",
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "report_to": "none",
        "logging_strategy": "no",
        "save_strategy": "no",
        "seed": settings.seed,
        "dataloader_pin_memory": False,
    }
    per_iteration = 1 if algorithm == "ppo" else settings.steps
    parts = {
        "processing_class": tokenizer,
        "model": model,
        "callbacks": [_AfterIteration(per_iteration, after_iteration)],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if algorithm == "ppo":
            return _ppo(settings, common, parts, prompts, reward)
        return _grouped(algorithm, settings, common, parts, prompts, reward)


def _ppo(
    settings: Settings, common: dict[str, Any], parts: dict[str, Any], prompts: Sequence[str], reward: Callable[..., list[float]]
) -> Any:
    trl = importlib.import_module("trl.experimental.ppo")
    model, tokenizer = parts["model"], parts["processing_class"]
    torch.manual_seed(settings.seed)
    value_model: Any = GPT2ForSequenceClassification(model.config.__class__.from_dict({**model.config.to_dict(), "num_labels": 1}))
    value_model.transformer.load_state_dict(model.transformer.state_dict())  # a separate critic that starts from the policy's trunk
    nn.init.zeros_(value_model.score.weight)
    config = trl.PPOConfig(
        **common,
        per_device_train_batch_size=settings.episodes,  # of an iteration; a smaller one would accumulate gradients over minibatches
        total_episodes=settings.episodes * settings.iterations,
        num_mini_batches=settings.episodes // settings.minibatch,
        num_ppo_epochs=settings.epochs,
        local_rollout_forward_batch_size=settings.episodes,
        num_sample_generations=0,
        response_length=settings.new,
        stop_token="eos",
        kl_coef=settings.kl_coef,
    )
    rows = [{"input_ids": ids} for ids in tokenizer(list(prompts), truncation=False)["input_ids"]]
    data = Dataset.from_list(rows * -(-settings.episodes // len(rows)))  # at least one batch
    return trl.PPOTrainer(
        args=config,
        ref_model=None,
        reward_model=TextScore(reward, tokenizer),
        value_model=value_model,
        train_dataset=data,
        eval_dataset=data,
        **parts,
    )


def _grouped(
    algorithm: Algorithm,
    settings: Settings,
    common: dict[str, Any],
    parts: dict[str, Any],
    prompts: Sequence[str],
    reward: Callable[..., list[float]],
) -> Any:
    trl = importlib.import_module("trl")
    config = getattr(trl, f"{algorithm.upper()}Config")(
        **common,
        per_device_train_batch_size=settings.minibatch,
        max_steps=settings.steps * settings.iterations,
        num_generations=settings.group,
        steps_per_generation=settings.episodes // settings.minibatch,
        num_iterations=settings.epochs,
        max_completion_length=settings.new,
        beta=settings.kl_coef,
    )
    data = Dataset.from_list([{"prompt": prompt} for prompt in prompts])
    with tempfile.TemporaryDirectory() as folder:  # from which the trainer loads its reference
        parts["model"].save_pretrained(folder)
        parts["model"].config._name_or_path = folder
        return getattr(trl, f"{algorithm.upper()}Trainer")(args=config, reward_funcs=reward, train_dataset=data, **parts)


class _AfterIteration(TrainerCallback):
    """Calls a function after every so many steps."""

    def __init__(self, steps: int, function: Callable[[], None]) -> None:
        self.steps, self.function = steps, function

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.steps == 0:
            self.function()


class TextScore(nn.Module):
    """A function of texts in the place of the reward model that TRL's PPO asks for: trunk and head of a classifier.

    Args:
        reward: of prompts and completions.
        tokenizer: of the policy.
    """

    base_model_prefix = "trunk"

    def __init__(self, reward: Callable[..., list[float]], tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.reward, self.tokenizer = reward, tokenizer
        self.score = nn.Identity()

    def trunk(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> SimpleNamespace:
        """Score the texts and put each score into all columns of its row: (B, L, 1)."""
        rows = [ids[keep].tolist() for ids, keep in zip(input_ids, attention_mask.bool(), strict=True)]
        texts = self.tokenizer.batch_decode(rows, skip_special_tokens=True)
        scores = torch.tensor(self.reward(prompts=[""] * len(texts), completions=texts), device=input_ids.device)
        return SimpleNamespace(hidden_states=(scores[:, None, None].expand(*input_ids.shape, 1),))
