"""The model card says what a model was made from, and its code loads it."""

import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from transformers import AutoModelForCausalLM

from textenv.models.card import write_card
from textenv.models.loading import load_causal_lm, toy_causal_lm, toy_tokenizer
from textenv.models.lora import add_lora
from textenv.models.policy import LanguagePolicy
from textenv.models.scalar_head import load_scalar_model


def test_a_card_says_what_the_model_was_made_from(tmp_path: Path) -> None:
    policy = LanguagePolicy.from_pretrained("tiny-en")
    policy.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "It was made from `tiny-en`." in card
    assert "`value_head.safetensors`" in card
    assert "adapter" not in card
    assert str(tmp_path) not in card


def test_the_code_of_a_card_loads_the_model(tmp_path: Path) -> None:
    model, tokenizer = load_scalar_model("tiny-en")
    for kind, folder in ((model, tmp_path / "reward"), (load_causal_lm("tiny-en"), tmp_path / "policy")):
        kind.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_card(folder, kind)
        card = (folder / "README.md").read_text(encoding="utf-8")
        code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0].replace("path/to/this/folder", str(folder))
        names: dict[str, Any] = {}
        exec(code, names)
        assert type(names["model"]) is type(kind)
        assert len(names["tokenizer"]) == len(tokenizer)


def test_a_hub_id_is_a_base_for_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--someone--model" / "snapshots" / ("0" * 40)
    toy_causal_lm(toy_tokenizer("ab"), 8).save_pretrained(snapshot)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("0" * 40)
    write_card(tmp_path, AutoModelForCausalLM.from_pretrained("someone/model", local_files_only=True))
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "base_model: someone/model\n" in card
    assert "It was made from `someone/model`." in card


@pytest.mark.parametrize("name", ["secret/old", "secret", "{}/secret/old", "./secret", "{}/snapshots/" + "0" * 40, ""])
def test_a_path_is_not_published(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model: Any = toy_causal_lm(toy_tokenizer("ab"), 8)
    if name:
        model.save_pretrained(name.format(tmp_path))
        model = load_causal_lm(name.format(tmp_path))
    (tmp_path / "published").mkdir()
    monkeypatch.chdir(tmp_path / "published")  # from where the name leads nowhere
    write_card(".", model)
    card = Path("README.md").read_text(encoding="utf-8")
    assert "base_model" not in card
    assert ("It was made from a local model." in card) == bool(name)
    assert "secret" not in card
    assert str(tmp_path) not in card


def test_a_card_of_the_users_own_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    policy = LanguagePolicy(toy_causal_lm(toy_tokenizer("ab"), 8), toy_tokenizer("ab"))
    policy.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_adapters_are_named(tmp_path: Path) -> None:
    policy = LanguagePolicy(toy_causal_lm(toy_tokenizer("ab"), 8), toy_tokenizer("ab"))
    add_lora(policy, 2)
    policy.save_pretrained(tmp_path)
    assert "`adapter/` holds the adapters alone" in (tmp_path / "README.md").read_text(encoding="utf-8")
