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

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self._number is not None

    def heed(self) -> None:
        """Where a signal has come, leave: by what the signal means outside the training, which raises."""
        if self._number is not None:
            self._handlers[self._number](self._number, None)

    def ask(self, number: int, frame: Any) -> None:
        """The handler of signals: the first is remembered, a second one is heeded at once."""
        if self._number is not None:
            self._handlers[number](number, frame)
            return
        self._number = number
        timer = threading.Timer(PATIENCE, _send_again, (number, self))
        timer.daemon = True
        timer.start()

    def forget(self) -> None:
        """The training is over; what comes now is for others."""
        self._number = None


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
        stop.forget()
        for heeded, handler in handlers.items():
            signal.signal(heeded, handler)


def _send_again(number: int, stop: Stop) -> None:
    if stop.asked:
        signal.pthread_kill(threading.main_thread().ident or 0, number)
