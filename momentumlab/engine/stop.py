"""Signals, heeded between two steps: who trains finishes the step and keeps its state before the process leaves."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 1.5
"""Seconds after which a signal is heeded at once, though a step is not over: a person waits no longer than two."""

Handler = Callable[[int, Any], Any]


class Stop:
    """Whether somebody wants the training to stop."""

    def __init__(self, handlers: dict[int, Handler]) -> None:
        self._handlers = handlers  # what a signal means to the process outside the training
        self._number: int | None = None
        self._timer: threading.Timer | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self._number is not None

    def heed(self) -> None:
        """Where a signal has come, leave: by what the signal means outside the training, which mostly raises.

        Where it does not, whoever handles signals there wants the training to go on.
        """
        number = self._number
        if number is not None:
            self.be_patient()
            self._handlers[number](number, None)
            self._number = None

    def ask(self, number: int, frame: Any) -> None:
        """The handler of signals: the first is remembered, a second one is heeded at once."""
        if self._number is not None:
            self._handlers[number](number, frame)
            return
        self._number = number
        self._timer = threading.Timer(PATIENCE, signal.pthread_kill, (threading.main_thread().ident, number))
        self._timer.daemon = True
        self._timer.start()

    def be_patient(self) -> None:
        """What was asked for is under way, or will be heeded elsewhere: it need not be asked for again."""
        if self._timer is not None:
            self._timer.cancel()


@contextmanager
def stop_between_steps() -> Iterator[Stop]:
    """While inside, SIGINT and SIGTERM are remembered for whoever trains to heed.

    In a thread other than the main one, and for a signal that nothing in Python handles, all stays as it is.
    """
    handlers: dict[int, Handler] = {}
    stop = Stop(handlers)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.getsignal(number)
            if callable(before):
                handlers[number] = before
                signal.signal(number, stop.ask)
    try:
        yield stop
    finally:
        stop.be_patient()
        for heeded, handler in handlers.items():
            signal.signal(heeded, handler)
    stop.heed()  # it came when the training was over
