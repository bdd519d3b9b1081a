"""The public names: listed, lazy and resolved."""

import ast
import importlib
from pathlib import Path

import pytest

import textenv


def test_lazy_names_are_what_they_name() -> None:
    for name, place in textenv._LAZY.items():
        module, _, attribute = place.partition(":")
        found = importlib.import_module(module)
        assert getattr(textenv, name) is (getattr(found, attribute) if attribute else found)
        assert getattr(found, attribute).__name__ == name if attribute else module.endswith(f".{name}")
    assert sorted([*textenv._LAZY, "register"]) == textenv.__all__ == dir(textenv)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(str(textenv.__file__)).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: str(node.module) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    # `from textenv.types import Episodes` and `from textenv.envs import exact` name the same as the lazy table.
    lazy = {name: place.partition(":")[0] if ":" in place else place.rpartition(".")[0] for name, place in textenv._LAZY.items()}
    assert seen == lazy


def test_star_import() -> None:
    namespace: dict[str, object] = {}
    exec("from textenv import *", namespace)
    assert set(textenv.__all__) <= set(namespace)


def test_unknown_names_are_attribute_errors() -> None:
    assert not hasattr(textenv, "TextEnvs")
    with pytest.raises(AttributeError, match="module 'textenv' has no attribute 'TextEnvs'"):
        textenv.TextEnvs  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'TextEnvs'"):
        exec("from textenv import TextEnvs")
