"""SIGINT and SIGTERM at moments when nothing is lost."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to stop.

    Args:
        signal: which.
    """

    def __init__(self, signal: signal.Signals) -> None:
        super().__init__(signal.name)
        self.signal = signal


class Interrupts:
    """Turns the first SIGINT or SIGTERM inside a `with` block into `Interrupted`; the second does what it always does.

    Outside the main thread, where Python has no signal handlers, nothing is changed.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._held = False
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep a signal until `check` or the end of the block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.check()

    def check(self) -> None:
        """Stop here if a signal has come.

        Raises:
            Interrupted: one has.
        """
        if self.received is not None:
            raise Interrupted(self.received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._restore()
        self.received = signal.Signals(number)
        if not self._held:
            self.check()
        with contextlib.suppress(OSError):  # whoever read stderr may have got the signal too
            os.write(2, b"Stopping soon, so that nothing is lost; a second signal stops at once.\n")  # print may be at work already

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
