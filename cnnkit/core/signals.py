"""Ctrl-C and SIGTERM, as Python's KeyboardInterrupt, whatever code they meet."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM."""


@contextmanager
def interrupts(*numbers: int) -> Iterator[None]:
    """Signals end the work within by KeyboardInterrupt, SIGTERM by `Terminated`; one that is ignored stays so.

    Python raises it wherever it is. Where C++ code of TensorFlow has called Python, and has an error of its own at
    hand, a RuntimeError comes out in its place: so what comes out after a signal is taken for the interruption.

    Args:
        numbers: The signals, such as `signal.SIGINT`.

    Raises:
        KeyboardInterrupt: One of the signals came.
    """
    received: list[type[KeyboardInterrupt]] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(Terminated if number == signal.SIGTERM else KeyboardInterrupt)
        raise received[-1]

    with ExitStack() as handlers:
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                handlers.enter_context(handling(number, interrupt))
        try:
            yield
        except Exception:
            if received:
                raise received[0] from None
            raise


@contextmanager
def handling(number: int, handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    """Gives a signal another handler for a while, in the main thread; no other thread may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def alarm(seconds: float, ring: Callable[[], None]) -> Iterator[None]:
    """Calls a function every so many seconds, in the midst of what is done; nothing where the system has no such alarm.

    So what would hold up everything, as a regular expression may, can be ended by an exception of the function.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    with handling(signal.SIGALRM, lambda number, frame: ring()):
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
