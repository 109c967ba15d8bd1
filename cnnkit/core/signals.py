"""Ctrl-C, SIGTERM and SIGHUP, as Python's KeyboardInterrupt, whatever code they meet; or noted, to be heard soon."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from cnnkit.core.errors import Interrupted

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals by which a person, a system that goes down and a terminal that is closed end a command."""


class Terminated(KeyboardInterrupt):
    """SIGTERM."""


class HungUp(KeyboardInterrupt):
    """SIGHUP: the terminal is gone, or the connection to it."""


_RAISED: dict[int, type[KeyboardInterrupt]] = {signal.SIGTERM: Terminated}
if hasattr(signal, "SIGHUP"):
    _RAISED[signal.SIGHUP] = HungUp


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """That of a command which a signal has ended: 128 and the number of the signal."""
    number = next((number for number, kind in _RAISED.items() if isinstance(interrupt, kind)), signal.SIGINT)
    return 128 + number


@contextmanager
def interrupts(*numbers: int) -> Iterator[list[type[KeyboardInterrupt]]]:
    """Signals end the work within by KeyboardInterrupt, SIGTERM by `Terminated`, SIGHUP by `HungUp`.

    One that is ignored stays so, as `nohup` has it.

    Python raises it wherever it is. Where C++ code of TensorFlow has called Python, and has an error of its own at
    hand, a RuntimeError comes out in its place: so what comes out after a signal is taken for the interruption.

    Args:
        numbers: The signals, such as `signal.SIGINT`.

    Yields:
        What was raised so far, which other code may have caught.

    Raises:
        KeyboardInterrupt: One of the signals came.
    """
    received: list[type[KeyboardInterrupt]] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(_RAISED.get(number, KeyboardInterrupt))
        raise received[-1]

    with ExitStack() as handlers:
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                handlers.enter_context(handling(number, interrupt))
        try:
            yield received
        except Interrupted:  # it was heard, and is told already
            raise
        except Exception:
            if received:
                raise received[0] from None
            raise


class Noted:
    """Signals that have come and are still to be heard."""

    def __init__(self) -> None:
        """None has."""
        self._waiting: Callable[[], object] | None = None

    def __bool__(self) -> bool:
        return self._waiting is not None

    def note(self, act: Callable[[], object]) -> None:
        """Notes one, with what it does when it is heard; a second one does that at once."""
        if self._waiting:
            act()
        self._waiting = act

    def act(self) -> None:
        """Hears it, if one has come: what it does without `noted` is done now, which raises within `interrupts`."""
        if act := self._waiting:
            self._waiting = None
            act()


@contextmanager
def noted(*numbers: int) -> Iterator[Noted]:
    """The first signal is only noted, for who does the work within to hear it when that may end; a second one acts.

    So the work is not torn apart in the middle of a step. What was noted and not heard acts at the end.

    Args:
        numbers: The signals; one that Python does not handle, as it is ignored, stays as it is.
    """
    found = Noted()
    with ExitStack() as handlers:
        for number in numbers:
            before = signal.getsignal(number)
            if callable(before):
                handlers.enter_context(handling(number, _noting(found, before)))
        yield found
    found.act()


def _noting(found: Noted, before: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
    """A handler that notes a signal, which is then to be handled as before."""
    return lambda number, frame: found.note(lambda: before(number, frame))


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
def resumable(command: str) -> Iterator[None]:
    """What is interrupted within can be gone on with.

    Args:
        command: By which one, for example `cnnkit train --resume RUN`.

    Raises:
        Interrupted: In the place of a KeyboardInterrupt; it tells the command.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(f"Interrupted; go on with: {command}", exit_code=exit_code(interrupt)) from None


@contextmanager
def unheard() -> Iterator[None]:
    """Within it nothing of ENDING is heard: for a moment's work that has to be whole."""
    with ExitStack() as handlers:
        for number in ENDING:
            handlers.enter_context(handling(number, signal.SIG_IGN))
        yield


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
