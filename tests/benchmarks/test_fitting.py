"""The numbers of the pages on fitting can be measured."""

from benchmarks.fitting import ROWS, online, packing


def test_packing() -> None:
    assert packing(4)["packed"] > 0


def test_online() -> None:
    name, options = ROWS["online_dpo, τ = 0"]
    found = online(name, options, 256)
    assert 0 < found["score"] < 1
    assert found["kl"] > 0
