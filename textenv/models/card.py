"""The model card of a folder: what the model was made from and how it is loaded."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from textenv.models.hub import name_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def write_card(folder: str | Path, model: "PreTrainedModel") -> None:
    """Write `README.md` into a folder that holds a model already, unless there is one.

    Args:
        folder: with all other files of the model.
        model: knows the name that it was loaded by, if it was.
    """
    place = Path(folder)
    card = place / "README.md"
    if card.exists():
        return
    base = name_of(model.name_or_path) if model.name_or_path else ""
    reward = type(model).__name__.endswith("Classification")
    kind = "AutoModelForSequenceClassification" if reward else "AutoModelForCausalLM"
    lines = ["---", "library_name: transformers", "tags: [textenv]"]
    if re.fullmatch(r"[\w.-]+/[\w.-]+", base) and not os.path.exists(base):
        lines.append(f"base_model: {base}")
    lines += ["---", "", f"# A {'reward model' if reward else 'policy'} of textenv", ""]
    made = f" It was made from `{base}`." if base else ""
    lines += [f"A `{type(model).__name__}` of transformers, written by textenv.{made}", ""]
    lines += ["```python", f"from transformers import {kind}, AutoTokenizer", ""]
    lines += [f'model = {kind}.from_pretrained("path/to/this/folder")']
    lines += ['tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")', "```", ""]
    call = "textenv.load_reward" if reward else "textenv.LanguagePolicy.from_pretrained"
    lines += [f"In textenv it is loaded by `{call}`.", ""]
    if (place / "value_head.safetensors").exists():
        lines += ["`value_head.safetensors` holds the value head, which only textenv reads.", ""]
    if (place / "adapter").is_dir():
        lines += [
            "`adapter/` holds the adapters alone, in the format of peft; `model.safetensors` has them merged into it.",
            "",
        ]
    card.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
