"""`textenv dpo`."""

import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Console
from tyro.conf import Positional

from textenv.agents.dpo import DPOConfig, prefer
from textenv.commands.doubts import warn_if_unfitted
from textenv.commands.fitting import StartConfig, facts_table, tell
from textenv.commands.output import hide_loading_bars, messages, print_json, results
from textenv.preferences.loading import load_comparisons
from textenv.reports.fitted import into_new_folder, write_fitted
from textenv.terminal import say


@dataclasses.dataclass(frozen=True, kw_only=True)
class DPOCommandConfig(StartConfig):
    """What to fit to which judgements."""

    comparisons: Positional[str]
    """A comparison store, or a .csv, .tsv, .json, .jsonl or .parquet file (or .gz) in textenv's, TRL's or HH-RLHF's format."""
    out: Path = Path("runs/dpo")
    """Folder, new or empty; afterwards what `--model` takes."""
    fitting: DPOConfig = dataclasses.field(default_factory=DPOConfig)
    """How it is fitted."""


@into_new_folder
def prefer_to(config: DPOCommandConfig, console: Console) -> dict[str, Any]:
    """Fit a policy to judgements, and write `out`.

    Args:
        config: what to which.
        console: for messages.

    Returns:
        What stands in `summary.json`: `comparisons` given, those `learnt` from, those `unsaid` that say of no response that it is better,
        `prompts_cut`, `ends_cut` and `equal_cut` as in `textenv.agents.dpo.Preferred`, what `Fitted.outline` tells, and of what was
        held out and chose nothing `unseen_NAME` of each term of the loss.

    Raises:
        ArgumentError: the folder is taken, or the comparisons cannot be used.
        LoadError: the store or the model cannot be loaded.
        SaveError: the folder cannot be written.
    """
    comparisons = load_comparisons(config.comparisons)
    policy = config.load(config.fitting.seed)
    on_row = tell(console, f"Fitting {config.model} to {len(comparisons)} comparisons …")
    found = prefer(policy, comparisons, config.fitting, on_row=on_row)
    if found.prompts_cut or found.ends_cut:
        say(
            console,
            f"{found.prompts_cut} prompts lost their beginning, {found.ends_cut} responses end without the end of text, and "
            f"{found.equal_cut} comparisons have equal responses since.",
        )
    summary = {
        "comparisons": len(comparisons),
        "learnt": found.learnt,
        "unsaid": found.unsaid,
        "prompts_cut": found.prompts_cut,
        "ends_cut": found.ends_cut,
        "equal_cut": found.equal_cut,
        "loss": config.fitting.loss,
        "beta": config.fitting.beta,
        **found.fitted.outline(),
        **{f"unseen_{name}": value for name, value in found.unseen.items()},
    }
    history = found.fitted.history
    warn_if_unfitted(console, found.fitted)
    write_fitted(config.out, config=dataclasses.asdict(config), history=history, summary=summary, save_model=policy.save_pretrained)
    say(console, f"Written to {config.out}; it is what --model {config.out} takes.")
    return summary


def run(config: DPOCommandConfig, *, json: bool) -> None:
    """Fit, and print how well the model predicts the held-out judgements."""
    hide_loading_bars()
    summary = prefer_to(config, messages())
    if json:
        print_json(summary)
    else:
        results().print(facts_table(summary, f"{config.out}: {config.model} on {config.comparisons}"))
