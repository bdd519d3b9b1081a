"""Rows: the learner against the least that a learner can do, and its memory at a large vocabulary."""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any, cast

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.harness import Row, alternate
from benchmarks.rows.plan import Plan
from benchmarks.sides import update, worker
from benchmarks.workloads import Precision
from textenv.models.logprobs import CHUNK_LOGITS

MIB = 2**20


def update_fp32(plan: Plan) -> list[Row]:
    """`PPO.update` in float32."""
    return _update(plan, "fp32")


def update_bf16(plan: Plan) -> list[Row]:
    """`PPO.update` under bf16 autocast."""
    return _update(plan, "bf16")


def _update(plan: Plan, precision: Precision) -> list[Row]:
    with ExitStack() as stack:
        ours = stack.enter_context(worker("update", plan.tiny, precision=precision))
        bare = stack.enter_context(worker("bare_update", plan.tiny, precision=precision))
        samples = alternate({"ours": ours.play, "bare": bare.play}, plan.rounds)
    what, versus = f"learner update, {precision}", "forward, backward and AdamW alone"
    memory = f"peak memory beyond set-up, {what}"
    return [
        Row(name=what, versus=versus, kind="share", ours=samples["ours"], theirs=samples["bare"], target=1.10),
        Row(name=memory, versus=versus, kind="share", ours=ours.growth, theirs=bare.growth, unit="MiB", target=1.3),
    ]


def wide_vocabulary(plan: Plan) -> list[Row]:
    """Whether a (B, T, V) is ever in memory: the largest tensor, and how much more many episodes take than few of one chunk."""
    one_chunk = max(1, CHUNK_LOGITS // (plan.wide.vocabulary * plan.wide.new))
    few, many = (replace(plan.wide, episodes=n, epochs=1) for n in (one_chunk, max(64, one_chunk)))
    with ExitStack() as stack:
        workers = [stack.enter_context(worker("update", work, advantage="critic")) for work in (many, few)]
        alternate({str(index): side.play for index, side in enumerate(workers)}, plan.rounds)
    chunk = 4 * CHUNK_LOGITS
    growth = [(large - small) * MIB / chunk for large, small in zip(workers[0].growth, workers[1].growth, strict=True)]
    play = update(many)
    with LargestTensor() as seen:
        play()
    versus = f"a float32 (B, T, V) has {4 * many.episodes * many.new * many.vocabulary / chunk:.1f}"
    what = f"learner at V {many.vocabulary:,}, {many.episodes} episodes"
    beyond = f"{what}, peak memory beyond that of {few.episodes}"
    return [
        Row(name=f"{what}, largest tensor", versus=versus, kind="value", ours=[seen.bytes / chunk], unit="chunks", target=1.0),
        # One chunk of logits and its gradient.
        Row(name=beyond, versus=versus, kind="value", ours=growth, unit="chunks", target=2.0),
    ]


class LargestTensor(TorchDispatchMode):
    """Sees every tensor that is made inside it, those of the backward pass too, and keeps the bytes of the largest."""

    def __init__(self) -> None:
        cast(Any, super()).__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.numel() * tensor.element_size())
        return made
