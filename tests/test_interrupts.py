"""Real signals, at once or kept, and the handlers that were there before."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import pytest

from textenv.interrupts import Interrupted, Interrupts

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def passed_on() -> Iterator[list[int]]:
    """Handlers of someone else, who notes what reaches him."""
    noted: list[int] = []
    before = {number: signal.signal(number, lambda number, _: noted.append(number)) for number in BOTH}
    theirs = [signal.getsignal(number) for number in BOTH]
    yield noted
    assert [signal.getsignal(number) for number in BOTH] == theirs
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_interrupts_at_once(number: signal.Signals, passed_on: list[int]) -> None:
    with pytest.raises(Interrupted) as caught, Interrupts():
        signal.raise_signal(number)
    assert caught.value.signal is number
    assert isinstance(caught.value, KeyboardInterrupt)  # so that no `except Exception` swallows it
    assert passed_on == []


def hold(*numbers: signal.Signals, check: bool = True) -> list[str]:
    """Raise signals while they are held; return how far one comes."""
    reached = []
    with contextlib.suppress(Interrupted), Interrupts() as interrupts:
        with interrupts.held():
            interrupts.check()
            for number in numbers:
                signal.raise_signal(number)
            reached.append(f"after {interrupts.received.name if interrupts.received else None}")
            if check:
                interrupts.check()
                reached.append("checked")
        reached.append("end")
    return reached


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_waits_for_the_check(number: signal.Signals, passed_on: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    assert hold(number) == [f"after {number.name}"]
    assert capfd.readouterr().err == "Stopping soon, so that nothing is lost; a second signal stops at once.\n"
    assert passed_on == []


def test_a_signal_waits_for_the_end_of_the_block(passed_on: list[int]) -> None:
    assert hold(signal.SIGTERM, check=False) == ["after SIGTERM"]
    assert hold(check=False) == ["after None", "end"]


def test_the_second_signal_does_what_it_always_does(passed_on: list[int]) -> None:
    assert hold(signal.SIGTERM, signal.SIGINT, signal.SIGTERM) == ["after SIGTERM"]
    assert passed_on == [signal.SIGINT, signal.SIGTERM]


def test_an_error_in_the_block_is_not_hidden(passed_on: list[int]) -> None:
    def fail() -> None:
        with Interrupts() as interrupts, interrupts.held():
            signal.raise_signal(signal.SIGTERM)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def test_without_a_signal_nothing_happens(passed_on: list[int]) -> None:
    with Interrupts() as interrupts, interrupts.held():
        interrupts.check()
    signal.raise_signal(signal.SIGTERM)
    assert passed_on == [signal.SIGTERM]


def test_another_thread_leaves_the_handlers_alone(passed_on: list[int]) -> None:
    inside = []

    def work() -> None:
        with Interrupts():
            inside.append([signal.getsignal(number) for number in BOTH])

    before = [signal.getsignal(number) for number in BOTH]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
