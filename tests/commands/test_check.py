"""`textenv check`."""

from collections.abc import Callable


def test_an_id_may_name_its_module(call: Callable[..., str]) -> None:
    assert call("check", "textenv:TextCopy-v0") == "textenv:TextCopy-v0 keeps the contract.\n"
