"""The error tree, and messages that help."""

import gymnasium
import pytest

import textenv
from textenv import errors


@pytest.mark.parametrize(
    ("error", "built_in"),
    [
        (errors.ArgumentError, ValueError),
        (errors.ActionError, ValueError),
        (errors.OrderError, RuntimeError),
        (errors.RewardError, RuntimeError),
        (errors.LoadError, OSError),
        (errors.ContractError, AssertionError),
        (errors.SaveError, OSError),
        (errors.TrainingError, RuntimeError),
    ],
)
def test_errors_are_caught_by_either_name(error: type[Exception], built_in: type[Exception]) -> None:
    for name in (errors.TextenvError, built_in):
        with pytest.raises(name, match="why"):
            raise error("why")
    assert error.__name__ in str(errors.__doc__)


def test_the_tree_is_complete() -> None:
    raised = {error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, Exception)}
    assert len(raised) == 9
    assert all(issubclass(error, errors.TextenvError) for error in raised)


def test_did_you_mean() -> None:
    known = ["stop", "max_new_tokens", "min_new_tokens"]
    assert errors.did_you_mean("max_new_token", known) == ' Did you mean "max_new_tokens"?'
    assert errors.did_you_mean("stopp", iter(known)) == ' Did you mean "stop"?'
    assert errors.did_you_mean("colour", known) == " Known: max_new_tokens, min_new_tokens, stop."


def test_gymnasium_adds_nothing_to_an_argument_error() -> None:
    assert "TextCopy-v0" in textenv.envs.registry.registered_ids()
    with pytest.raises(errors.ArgumentError) as caught:
        gymnasium.make("TextCopy-v0", max_new_token=3, prompts=["a long list of private prompts"])
    assert str(caught.value) == 'There is no argument "max_new_token". Did you mean "max_new_tokens"?'
