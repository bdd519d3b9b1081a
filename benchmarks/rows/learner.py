"""Rows: the learner against the least that a learner can do, and its memory at a large vocabulary."""

from contextlib import ExitStack
from dataclasses import replace

from benchmarks.harness import Row, alternate
from benchmarks.rows.plan import Plan
from benchmarks.sides import worker
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
    """How much more memory many episodes take than few whose logits fit into one chunk: no second chunk, so no (B, T, V)."""
    one_chunk = max(1, CHUNK_LOGITS // (plan.wide.vocabulary * plan.wide.new))
    few, many = (replace(plan.wide, episodes=n, epochs=1) for n in (one_chunk, max(64, one_chunk)))
    with ExitStack() as stack:
        workers = [stack.enter_context(worker("update", work, advantage="critic")) for work in (many, few)]
        alternate({str(index): side.play for index, side in enumerate(workers)}, plan.rounds)
    chunk = 4 * CHUNK_LOGITS / MIB
    whole = 4 * many.episodes * many.new * many.vocabulary / MIB
    growth = [(large - small) / chunk for large, small in zip(workers[0].growth, workers[1].growth, strict=True)]
    what = (
        f"learner memory at V {many.vocabulary:,} of {many.episodes} episodes beyond that of {few.episodes}, in chunks of {chunk:.0f} MiB"
    )
    return [Row(name=what, versus=f"a float32 (B, T, V) has {whole:.0f} MiB", kind="value", ours=growth, unit="chunks", target=1.0)]
