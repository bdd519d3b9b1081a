"""Handles that let models travel through Gymnasium's specs, which it deep-copies at every look."""

from typing import Any


class Handle:
    """Holds an object that must not be copied."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __deepcopy__(self, memo: dict[int, Any]) -> "Handle":
        return self

    def __repr__(self) -> str:
        return f"Handle({type(self.held).__name__})"


def release(value: Any) -> Any:
    """Return what a handle holds, and anything else as it is."""
    return value.held if isinstance(value, Handle) else value


def hold(arguments: dict[str, Any]) -> dict[str, Any]:
    """Put every argument that is not plain data into a handle."""
    return {name: value if isinstance(value, str | int | float | None | Handle) else Handle(value) for name, value in arguments.items()}


def hold_spec(spec: Any) -> Any:
    """Put every keyword of a Gymnasium spec that is not plain data into a handle."""
    if spec is not None:
        spec.kwargs = hold(spec.kwargs)
    return spec
