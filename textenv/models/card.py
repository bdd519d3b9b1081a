"""The model card of a folder: what the model was made from and how it is loaded."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from textenv.models.hub import embedded_names, name_of

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
    base = _public_name(model)
    reward = type(model).__name__.endswith("Classification")
    kind = "AutoModelForSequenceClassification" if reward else "AutoModelForCausalLM"
    lines = ["---", "library_name: transformers", "tags: [textenv]"]
    if base is not None and base not in embedded_names():
        lines.append(f"base_model: {base}")
    lines += ["---", "", f"# A {'reward model' if reward else 'policy'} of textenv", ""]
    source = "a local model" if base is None else f"`{base}`"
    made = f" It was made from {source}." if model.name_or_path else ""
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


def _public_name(model: "PreTrainedModel") -> str | None:
    """Return the embedded name or hub id that a model was loaded by; a path may say more than should be published."""
    name = name_of(model.name_or_path or "")
    if name in embedded_names():
        return name
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or os.path.exists(name):
        return None
    # A relative path looks like an id, but what was loaded from the hub is in its cache.
    try:
        return name if isinstance(try_to_load_from_cache(name, "config.json"), str) else None
    except HFValidationError:
        return None
