"""Rows: `collect` with log-probabilities against `generate` without, and RL4LMs' loop."""

from dataclasses import replace

import torch

from benchmarks.harness import Row, Side, alternate, timed
from benchmarks.peers.token_loop import TokenLoop
from benchmarks.rows.plan import Plan
from benchmarks.sides import collect, generate, update
from benchmarks.workloads import Precision, Workload

GENERATE = "generate(), no log-probabilities"


def equal_lengths(plan: Plan) -> list[Row]:
    """Tiny GPT-2, float32, many rows and few."""
    return [*_compare(plan, plan.tiny, plan.rows, "fp32", 2.0), *_compare(plan, plan.tiny, 8, "fp32", 2.0)]


def equal_lengths_bf16(plan: Plan) -> list[Row]:
    """Tiny GPT-2 under bf16 autocast; also against `generate` with bf16 weights, which a learner does not have."""
    return _compare(plan, plan.tiny, plan.rows, "bf16", 2.4)


def gpt2_small(plan: Plan) -> list[Row]:
    """The shape of GPT-2 small, few tokens, float32 and bf16."""
    return [*_compare(plan, plan.small, plan.rows, "fp32", 1.6), *_compare(plan, plan.small, plan.rows, "bf16", 2.0)]


def unequal_lengths(plan: Plan) -> list[Row]:
    """Geometric lengths: rows that end take the next prompt, where generate's wait for the longest."""
    work = replace(plan.tiny, end=1 / 16)
    rows, episodes = plan.rows // 4, plan.rows
    sides = {"ours": timed(collect(work, rows, episodes)), "theirs": timed(generate(work, rows, episodes))}
    samples = alternate(sides, plan.rounds)
    name = f"collect, lengths of mean 16 of {work.new}, {rows} rows, {episodes} episodes"
    return [
        Row(name=name, versus="generate(), padded batches", kind="speed-up", ours=samples["ours"], theirs=samples["theirs"], target=2.5)
    ]


def _compare(plan: Plan, work: Workload, rows: int, precision: Precision, target: float) -> list[Row]:
    sides = {
        "ours": timed(collect(work, rows, rows, precision)),
        "theirs": timed(generate(work, rows, rows, precision)),
    }
    if precision == "bf16":
        sides["weights"] = timed(generate(work, rows, rows, weights=torch.bfloat16))
    samples = alternate(sides, plan.rounds)
    name = f"collect, {work.layers} x {work.width}, V {work.vocabulary:,}, {rows} rows, {work.new} tokens, {precision}"
    found = [Row(name=name, versus=GENERATE, kind="speed-up", ours=samples["ours"], theirs=samples["theirs"], target=target)]
    if precision == "bf16":
        found.append(Row(name=name, versus="generate(), bf16 weights", kind="speed-up", ours=samples["ours"], theirs=samples["weights"]))
    return found


def token_loop(plan: Plan) -> list[Row]:
    """RL4LMs' loop, seconds a token: a whole rollout, and a few minibatches of single tokens in the learner."""
    loop, work = TokenLoop(plan.tiny), plan.tiny
    tokens = work.episodes * work.new
    rollout = {
        "ours": _per_token(timed(collect(work, work.episodes, work.episodes)), tokens),
        "theirs": _per_token(timed(loop.rollout), tokens),
    }
    learner = {
        "ours": _per_token(timed(update(replace(work, epochs=1))), tokens),
        "theirs": _per_token(timed(loop.learn), work.episodes),
    }
    versus = "RL4LMs' loop re-created"
    played, learnt = alternate(rollout, plan.rounds), alternate(learner, plan.rounds)
    return [
        Row(name="rollout, a token", versus=versus, kind="speed-up", ours=played["ours"], theirs=played["theirs"], target=10),
        Row(name="learner, a token and epoch", versus=versus, kind="speed-up", ours=learnt["ours"], theirs=learnt["theirs"], target=60),
    ]


def _per_token(side: Side, tokens: int) -> Side:
    return lambda: side() / tokens
