"""`textenv sft`."""

import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Console
from tyro.conf import Positional

from textenv.agents.sft import SFTConfig, fine_tune
from textenv.commands.doubts import warn_if_unfitted
from textenv.commands.fitting import StartConfig, facts_table, tell
from textenv.commands.output import hide_loading_bars, messages, print_json, results
from textenv.reports.fitted import into_new_folder, write_fitted
from textenv.terminal import say


@dataclasses.dataclass(frozen=True, kw_only=True)
class SFTCommandConfig(StartConfig):
    """What to fine-tune on what."""

    data: Positional[str]
    """Columns prompt and response (or completion), or text: a .csv, .tsv, .json, .jsonl or .parquet file (or .gz), or a hub id;
    or a .txt file, a text per line."""
    out: Path = Path("runs/sft")
    """Folder, new or empty; afterwards what `--model` takes."""
    fitting: SFTConfig = dataclasses.field(default_factory=SFTConfig)
    """How it is fitted."""


@into_new_folder
def fine_tune_to(config: SFTCommandConfig, console: Console) -> dict[str, Any]:
    """Fine-tune, and write `out`.

    Args:
        config: what on what.
        console: for messages.

    Returns:
        What stands in `summary.json`: `examples`, `tokens` and `rows` learnt from, `held_out` examples, `prompts_cut` and `ends_cut`,
        and what `Fitted.outline` tells, of the held-out part `loss`, nats a token, and `bits_per_byte`.

    Raises:
        ArgumentError: the folder is taken, or the data cannot be used.
        LoadError: the model or a hub id cannot be loaded.
        SaveError: the folder cannot be written.
    """
    policy = config.load(config.fitting.seed)
    on_row = tell(console, f"Fine-tuning {config.model} on {config.data} …")
    found = fine_tune(policy, config.data, config.fitting, on_row=on_row)
    learnt, fitted = found.learnt, found.fitted
    if learnt.prompts_cut or learnt.ends_cut:
        say(
            console,
            f"{learnt.prompts_cut} prompts lost their beginning, and {learnt.ends_cut} responses end without the end of text.",
        )
    tokens = sum(len(example.predicted) for example in learnt.examples)
    summary: dict[str, Any] = {
        "examples": len(learnt.examples),
        "tokens": tokens,
        "rows": found.rows,
        "held_out": len(found.held_out.examples),
        "prompts_cut": learnt.prompts_cut,
        "ends_cut": learnt.ends_cut,
        **fitted.outline(),
    }
    warn_if_unfitted(console, fitted)
    write_fitted(config.out, config=dataclasses.asdict(config), history=fitted.history, summary=summary, save_model=policy.save_pretrained)
    say(console, f"Written to {config.out}; it is what --model {config.out} takes.")
    return summary


def run(config: SFTCommandConfig, *, json: bool) -> None:
    """Fine-tune, and print how well the model predicts the held-out part."""
    hide_loading_bars()
    summary = fine_tune_to(config, messages())
    if json:
        print_json(summary)
    else:
        results().print(facts_table(summary, f"{config.out}: {config.model} on {config.data}"))
