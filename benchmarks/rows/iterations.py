"""Rows: whole iterations against TRL, time and peak memory.

Each side is a process of its own that plays one iteration a round: prompts to updated weights, `train()` of TRL between two of
its step callbacks. TRL's PPO has a separate value model, ours a value head on the trunk.
"""

from contextlib import ExitStack

from benchmarks.harness import Row, alternate
from benchmarks.rows.plan import Plan
from benchmarks.sides import worker
from benchmarks.workloads import Advantage, Precision


def ppo_fp32(plan: Plan) -> list[Row]:
    """With a critic, float32."""
    return _against(plan, "critic", {"ppo": 2.4}, "fp32", memory=0.8)


def ppo_bf16(plan: Plan) -> list[Row]:
    """With a critic, both under bf16 autocast."""
    return _against(plan, "critic", {"ppo": 3.3}, "bf16", memory=0.8)


def groups(plan: Plan) -> list[Row]:
    """Without a critic, float32."""
    return _against(plan, "leave_one_out", {"rloo": 2.2, "grpo": 2.2}, "fp32", memory=None)


def _against(plan: Plan, advantage: Advantage, targets: dict[str, float], precision: Precision, memory: float | None) -> list[Row]:
    with ExitStack() as stack:
        ours = stack.enter_context(worker("iteration", plan.tiny, advantage=advantage, precision=precision))
        peers = {name: stack.enter_context(worker("trl", plan.tiny, algorithm=name, precision=precision)) for name in targets}
        samples = alternate({"ours": ours.play, **{name: peer.play for name, peer in peers.items()}}, plan.rounds)
    rows = []
    for name, peer in peers.items():
        what, versus = f"one iteration, {advantage.replace('_', '-')}, {precision}", f"TRL {name.upper()}"
        rows += [
            Row(name=what, versus=versus, kind="speed-up", ours=samples["ours"], theirs=samples[name], target=targets[name]),
            Row(
                name=f"peak memory beyond set-up, {what}",
                versus=versus,
                kind="share",
                ours=ours.growth,
                theirs=peer.growth,
                unit="MiB",
                target=memory,
            ),
            Row(name=f"peak memory in all, {what}", versus=versus, kind="share", ours=ours.totals, theirs=peer.totals, unit="MiB"),
        ]
    return rows
