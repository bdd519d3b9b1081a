"""The built-in environments at sizes that are quick to play; those of long texts are slow as they are."""

from typing import Any

import pytest

from textenv.envs.registry import BUILT_IN

LONG = ("TextInstruct-v0", "TextInstruct-v1", "TextLongForm-v0", "TextLongForm-v1", "TextSummarize-v0", "TextSummarize-v1")


def by_id(function: Any) -> Any:
    """Give a test every id and arguments that shorten its texts; and the long ones whole, marked slow."""
    quick = [pytest.param(id, {"max_new_tokens": 8} if id in LONG else {}, id=id) for id in BUILT_IN]
    whole = [pytest.param(id, {}, id=f"{id}-whole", marks=pytest.mark.slow) for id in LONG]
    return pytest.mark.parametrize(("id", "fields"), [*quick, *whole])(function)
