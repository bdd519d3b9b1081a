"""`textenv report`."""

import dataclasses
from pathlib import Path

from tyro.conf import Positional

from textenv.errors import ArgumentError
from textenv.reports.html import write_report
from textenv.terminal import sentence


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What to report on."""

    runs: Positional[tuple[Path, ...]]
    """Folders of runs."""
    out: Path | None = None
    """File to write; by default RUN/report.html for one run, report.html for several."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise ArgumentError("report needs the folder of a run.")

    @property
    def file(self) -> Path:
        """The file to write."""
        return self.out or (self.runs[0] / "report.html" if len(self.runs) == 1 else Path("report.html"))


def run(config: ReportConfig) -> None:
    """Write the report and print where it is."""
    print(sentence(str(write_report(config.runs, config.file))))
