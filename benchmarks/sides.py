"""The sides of the comparisons: each function makes what one round of one side plays.

Run as a process of its own by `benchmarks.harness.start`: python -m benchmarks.sides JSON
"""

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep

import torch

import textenv
from benchmarks.harness import Meter, Worker, serve, start
from benchmarks.workloads import (
    KL_COEF,
    LEARNING_RATE,
    Advantage,
    Precision,
    Workload,
    causal_lm,
    constant_reward,
    environments,
    language_policy,
    ppo,
    prompt_ids,
    prompts,
    tokenizer,
)

Play = Callable[[], object]


def autocast(precision: Precision) -> torch.autocast:
    """The precision that textenv calls "bf16": float32 weights, bfloat16 products."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")


def iteration(work: Workload, advantage: Advantage, precision: Precision = "fp32") -> Play:
    """textenv: collect, reference, advantages, learn."""
    agent = ppo(work, advantage, precision)
    return lambda: agent.update(agent.collect())


def update(work: Workload, advantage: Advantage = "critic", precision: Precision = "fp32") -> Play:
    """textenv's learner alone, on episodes that have been played."""
    agent = ppo(work, advantage, precision)
    episodes = agent.collect()
    return lambda: agent.update(episodes)


def bare_update(work: Workload, precision: Precision = "fp32") -> Play:
    """The least that a learner can do: the model's own loss over the same sequences, backward, AdamW."""
    agent = ppo(work, "critic")
    tokens = agent.collect().tokens  # (B, W)
    labels = tokens.masked_fill(torch.arange(tokens.shape[1]) < work.prompt, -100)
    model = causal_lm(work).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)

    def play() -> None:
        for _ in range(work.epochs):
            optimiser.zero_grad(set_to_none=True)
            with autocast(precision):
                loss = model(input_ids=tokens, labels=labels, use_cache=False).loss
            loss.backward()
            optimiser.step()

    return play


def collect(work: Workload, rows: int, episodes: int, precision: Precision = "fp32") -> Play:
    """textenv: whole episodes with log-probabilities, values, texts and scores."""
    policy, envs = language_policy(work, precision), environments(work, rows)
    generator = torch.Generator().manual_seed(0)
    return lambda: textenv.collect(policy, envs, episodes, generator=generator)


def generate(work: Workload, rows: int, episodes: int, precision: Precision = "fp32", weights: torch.dtype = torch.float32) -> Play:
    """`generate` of transformers: tokens alone, in batches of `rows` that wait for their longest text."""
    model = causal_lm(work).to(weights)
    batches = prompt_ids(work, episodes).split(rows)

    def play() -> None:
        torch.manual_seed(0)
        with autocast(precision):
            for batch in batches:
                mask = torch.ones_like(batch)
                model.generate(batch, attention_mask=mask, do_sample=True, top_k=0, top_p=1.0, temperature=1.0, max_new_tokens=work.new)

    return play


def trl(work: Workload, algorithm: Any, precision: Precision, meter: Meter) -> None:
    """An iteration of TRL a round; its `train` owns the loop."""
    from benchmarks.peers.trl_trainers import Settings, trainer

    settings = Settings(
        new=work.new,
        episodes=work.episodes,
        minibatch=work.episodes,
        epochs=work.epochs,
        group=work.group,
        learning_rate=LEARNING_RATE,
        kl_coef=KL_COEF,
        precision=precision,
    )

    def after_iteration() -> None:
        meter.report()
        meter.wait()

    peer = trainer(algorithm, settings, causal_lm(work), tokenizer(work.vocabulary), prompts(work), constant_reward, after_iteration)
    meter.wait()
    peer.train()


SERVED: Final[dict[str, Callable[..., Play]]] = {
    "bare_update": bare_update,
    "collect": collect,
    "iteration": iteration,
    "update": update,
}


def worker(side: str, work: Workload, **options: Any) -> AbstractContextManager[Worker]:
    """Start a side, one of SERVED or "trl", in a process of its own."""
    variables = {}
    if side == "trl":
        from benchmarks.peers.trl_trainers import environment

        variables = environment(options["precision"])
    return start("benchmarks.sides", {"side": side, "work": dataclasses.asdict(work), **options}, variables)


def main(argument: str) -> None:
    """Serve rounds of one side."""
    options = json.loads(argument)
    side, work = options.pop("side"), Workload(**options.pop("work"))
    if side == "trl":
        trl(work, meter=Meter(), **options)
    else:
        serve(SERVED[side](work, **options))


if __name__ == "__main__":
    main(sys.argv[1])
