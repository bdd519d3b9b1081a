"""The report: one HTML file about one or several runs, which needs nothing outside itself."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from textenv.errors import ArgumentError, LoadError, SaveError
from textenv.files import replacing
from textenv.reports import sections
from textenv.reports.glossary import GLOSSARY
from textenv.reports.loading import LoadedRun, load_run
from textenv.reports.plots import COLOURS, DASHES


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Write the report of some runs, their curves over each other.

    The file runs no script but its own and asks for no other file, which it forbids to browsers by a content security policy.

    Args:
        runs: their folders, in the order in which they are shown.
        out: the HTML file; it is replaced.

    Returns:
        `out`.

    Raises:
        ArgumentError: there are no runs, or the file cannot be written.
        LoadError: a folder is no run, or one of its files cannot be read.
    """
    if not runs:
        raise ArgumentError("A report needs at least one run; name folders that `textenv train` wrote.")
    loaded = [load_run(folder) for folder in runs]
    for run in loaded:
        if "episodes" not in run.metrics and len(run.metrics):
            raise LoadError(f'{run.folder / "metrics.csv"} holds no metrics of a run: it lacks the column "episodes".')
    page = _page(loaded)
    try:
        with replacing(out) as new:
            new.write_text(page, encoding="utf-8")
    except SaveError as error:
        raise ArgumentError(f"{out} cannot be written: {getattr(error.__cause__, 'strerror', error)}; choose another file.") from error
    return out


def _page(runs: Sequence[LoadedRun]) -> str:
    environment = Environment(
        loader=PackageLoader("textenv.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # The policy lets this script run and no other, whatever a completion holds.
    script = environment.get_template("report.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    maps = sections.token_maps(runs)
    histograms = sections.score_figures(runs)
    return environment.get_template("report.html").render(
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        runs=[
            {"label": label, "colour": f"var(--series-{i % COLOURS})", "dashes": DASHES[i % len(DASHES)], "histogram": histograms[i]}
            | {"maps": maps["runs"][i], **_run(run)}
            for i, (run, label) in enumerate(zip(runs, _labels(runs), strict=True))
        ],
        environments=sorted({str(run.config.get("env", "?")) for run in runs}),
        summary=sections.summary_rows(runs),
        curves=sections.curve_figures(runs),
        others=sections.other_figures(runs),
        glossary=GLOSSARY,
        plane=sections.proxy_and_judge(runs),
        scales=maps["scales"],
        colourings=sections.COLOURINGS,
        config=sections.config_rows(runs),
    )


def _run(run: LoadedRun) -> dict[str, Any]:
    """What the template shows of one run by itself."""
    table = run.summary["table"] if run.summary else {}
    baselines = [name for name in table if name not in ("before", "after")]
    return {
        "folder": str(run.folder),
        "config": run.config,
        "summary": run.summary,
        "updates": len(run.metrics),
        "n": [int(table[name]["n"]) for name in ("before", "after") if name in table],
        "baselines": baselines,
        "baseline_rows": sections.summary_rows([run], baselines),
        "alarms": sections.alarms(run),
        "pairs": sections.prompt_pairs(run),
        "extremes": sections.extremes(run),
    }


def _labels(runs: Sequence[LoadedRun]) -> list[str]:
    """Name runs by their folders, with the way there where two have one name."""
    names = [run.folder.resolve().name for run in runs]
    return [name if names.count(name) == 1 else str(run.folder) for name, run in zip(names, runs, strict=True)]
