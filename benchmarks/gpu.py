"""What a GPU makes of it: decode, learner, whole iterations, and the same numbers as on the CPU.

Run: python -m benchmarks.gpu --device cuda [--out FILE]; `--toy` runs every line of it on any machine in seconds.

The learner's share of the peak is that of the model's arithmetic: 6 FLOPs a parameter and token plus 12 a layer, width unit,
token and attended position (forward once, backward twice; Chowdhery et al., "PaLM", appendix B, https://arxiv.org/abs/2204.02311),
over the dense bf16 FLOP/s of the data sheet. The head, which is applied to the response alone, is counted for all positions, one
per cent too much at these sizes. Only textenv's public names are used.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: idle threads sleep
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import tyro

import textenv
from benchmarks.harness import ROOT, Row, Side, alternate, conclude, markdown, timed, write_json
from benchmarks.workloads import TOY, Precision, Workload, causal_lm, environments, prompt_ids, tokenizer
from textenv.agents import PPO, PPOConfig

# Dense bf16 FLOP/s of data sheets, by a part of the device's name.
PEAKS: Final = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12}
PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "bf16")
TOLERANCES: Final[dict[Precision, float]] = {"fp32": 1e-3, "bf16": 0.1}
"""Nats by which a log-probability may differ from the CPU's in float32."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured."""

    decode: Workload
    """An episode in every row."""
    learner: Workload
    """About a billion parameters."""
    micro: int
    """Episodes a forward pass of the learner."""
    rounds: int


FULL: Final = Plan(
    decode=Workload(layers=12, width=768, heads=12, vocabulary=50_257, episodes=512, epochs=1),
    learner=Workload(layers=24, width=1792, heads=14, vocabulary=50_257, prompt=64, new=448, episodes=64, epochs=1),
    micro=16,
    rounds=5,
)
REDUCED: Final = Plan(decode=replace(TOY, vocabulary=500), learner=replace(TOY, vocabulary=500), micro=4, rounds=1)


def policy(work: Workload, device: str, precision: Precision) -> textenv.LanguagePolicy:
    """textenv's policy over the workload's model, on a device."""
    return textenv.LanguagePolicy(causal_lm(work).to(device), tokenizer(work.vocabulary), precision=precision)


def synchronised(device: str, play: Callable[[], object]) -> Side:
    """Time a function until the device has done its work."""

    def whole() -> None:
        play()
        if device == "cuda":
            torch.cuda.synchronize()

    return timed(whole)


def generate(work: Workload, device: str, precision: Precision) -> Callable[[], object]:
    """`generate` of transformers: tokens alone."""
    model, batch = causal_lm(work).to(device), prompt_ids(work, work.episodes).to(device)
    options: dict[str, Any] = {"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 1.0, "max_new_tokens": work.new}

    def play() -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            model.generate(batch, attention_mask=torch.ones_like(batch), **options)

    return play


def agent(work: Workload, device: str, precision: Precision, micro: int | None = None) -> PPO:
    """textenv's agent with a critic, one optimiser step an epoch."""
    config = PPOConfig(
        episodes_per_update=work.episodes,
        advantage="critic",
        epochs=work.epochs,
        minibatch_size=work.episodes,
        micro_batch_size=micro,
        learning_rate=1e-6,
        linear_decay=False,
    )
    return PPO(policy(work, device, precision), environments(work, work.episodes), config)


def decode_rows(plan: Plan, device: str, precision: Precision) -> list[Row]:
    """`collect` with log-probabilities against `generate` without."""
    work = plan.decode
    ours, envs = policy(work, device, precision), environments(work, work.episodes)
    sides = {
        "ours": synchronised(device, lambda: textenv.collect(ours, envs, work.episodes)),
        "theirs": synchronised(device, generate(work, device, precision)),
    }
    samples = alternate(sides, plan.rounds)
    name = f"decode, {work.layers} x {work.width}, V {work.vocabulary:,}, {work.episodes} rows, {work.prompt}+{work.new}, {precision}"
    tokens = [work.episodes * work.new / seconds for seconds in samples["ours"]]
    return [
        Row(name=name, versus="generate()", kind="speed-up", ours=samples["ours"], theirs=samples["theirs"], target=5.0),
        Row(name=name, versus="", kind="value", ours=tokens, unit="tokens/s"),
    ]


def flops_per_token(work: Workload, parameters: int) -> float:
    """FLOPs that one token of one epoch needs: 6 N + 12 L D n/2, n/2 the mean number of positions that a token attends to."""
    return 6 * parameters + 12 * work.layers * work.width * (work.prompt + work.new) / 2


def learner_rows(plan: Plan, device: str, peak: float) -> list[Row]:
    """`PPO.update` as a share of the device's peak, in bf16."""
    work = plan.learner
    learner = agent(work, device, "bf16", plan.micro)
    episodes = learner.collect()
    parameters = sum(weights.numel() for weights in learner.policy.model.parameters())
    work_done = flops_per_token(work, parameters) * episodes.tokens.numel() * work.epochs
    update = synchronised(device, lambda: learner.update(episodes))
    seconds = alternate({"ours": update}, plan.rounds)["ours"]
    name = f"learner, {parameters / 1e9:.2f} B parameters, {work.episodes} x {work.prompt + work.new} tokens, bf16"
    # Times turned round: the share is the time at the peak over the time taken.
    return [
        Row(
            name=name,
            versus="the device's dense bf16 peak",
            kind="speed-up",
            ours=seconds,
            theirs=[work_done / peak] * len(seconds),
            target=0.35,
        )
    ]


def iteration_rows(plan: Plan, device: str) -> list[Row]:
    """Whole iterations of PPO with a critic."""
    rows = []
    for precision in PRECISIONS:
        whole = agent(plan.decode, device, precision)
        seconds = alternate({"ours": synchronised(device, partial(_iterate, whole))}, plan.rounds)["ours"]
        name = f"one iteration, critic, {plan.decode.episodes} episodes of {plan.decode.prompt}+{plan.decode.new}, {precision}"
        rows.append(Row(name=name, versus="", kind="value", ours=seconds))
    return rows


def _iterate(whole: PPO) -> None:
    whole.update(whole.collect())


def equality_rows(plan: Plan, device: str) -> list[Row]:
    """Log-probabilities of the device against the CPU's in float32, of the same episodes, and those that it drew with."""
    work = replace(plan.decode, episodes=min(16, plan.decode.episodes))
    here, rows = policy(work, "cpu", "fp32"), []
    for precision, tolerance in TOLERANCES.items():
        there = policy(work, device, precision)
        episodes = textenv.collect(there, environments(work, work.episodes), work.episodes, seed=0)
        with torch.no_grad():
            expected, _ = here.response_log_probs(episodes.tokens, episodes.prompt_columns)
            found, _ = there.response_log_probs(episodes.tokens.to(device), episodes.prompt_columns)
        for name, values in (("in one forward pass", found.cpu()), ("while decoding", episodes.log_probs)):
            distance = float((values - expected).abs().max())
            rows.append(
                Row(
                    name=f"log-probabilities {name}, {precision}",
                    versus="the CPU, fp32",
                    kind="value",
                    ours=[distance],
                    unit="nats",
                    target=tolerance,
                )
            )
    return rows


def main(
    device: str = "cuda", toy: bool = False, rounds: int | None = None, out: Path = ROOT / "benchmarks" / "results" / "gpu.json"
) -> None:
    """Measure, print, write; exits with 1 when an aim is missed.

    Args:
        device: "cuda" or "cpu".
        toy: toy sizes, to see that every line runs; without a known device the peak is taken as 1 TFLOP/s.
        rounds: a side, after one warm-up.
        out: JSON file.
    """
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no GPU; --device cpu --toy runs every line without one.")
    plan = REDUCED if toy else FULL
    plan = replace(plan, rounds=rounds or plan.rounds)
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    known = [peak for part, peak in PEAKS.items() if part in name]
    if not known and not toy:
        sys.exit(f'The bf16 peak of "{name}" is not known; add it to PEAKS.')
    measured: list[Row] = []
    steps: list[Callable[[], list[Row]]] = [
        lambda: equality_rows(plan, device),
        lambda: decode_rows(plan, device, "fp32"),
        lambda: decode_rows(plan, device, "bf16"),
        lambda: learner_rows(plan, device, known[0] if known else 1e12),
        lambda: iteration_rows(plan, device),
    ]
    for step in steps:
        begun = time.perf_counter()
        found = step()
        measured += found
        write_json(out, measured)
        print(f"{time.perf_counter() - begun:.0f} s\n{markdown([row.record() for row in found])}\n", flush=True)
    if not toy:
        conclude(measured)


if __name__ == "__main__":
    tyro.cli(main)
