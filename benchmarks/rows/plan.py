"""The sizes that all rows are measured at."""

from dataclasses import dataclass, replace
from typing import Final

from benchmarks.workloads import GPT2_SMALL, TINY, TOY, Workload


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Workloads and rounds."""

    tiny: Workload
    small: Workload
    """The shape of GPT-2 small."""
    wide: Workload
    """A large vocabulary on a trunk so small that logits are all the memory there is."""
    rounds: int
    rows: int
    """Episodes side by side in the decode rows."""


FULL: Final = Plan(tiny=TINY, small=GPT2_SMALL, wide=Workload(layers=1, width=16, heads=1, vocabulary=50_257), rounds=5, rows=128)
REDUCED: Final = Plan(tiny=TOY, small=replace(TOY, vocabulary=500), wide=replace(TOY, vocabulary=50_257), rounds=1, rows=16)
"""Every line of the suite in seconds, for the tests; its figures mean nothing."""
