"""Standard input, output and error as a shell hands them over: closed, read by nobody any more, or on a full disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any

from cnnkit.core.atomic import ERRORS
from cnnkit.core.errors import DiskError, NobodyReads


class Output:
    """Standard output or standard error: what it has against a write is an error of ours, and told once.

    After it nothing more is written, so that the end of Python has nothing to complain of.
    """

    def __init__(self, stream: Any, called: str):
        self._stream, self._called = stream, called

    def write(self, text: str) -> int:
        """Writes.

        Raises:
            NobodyReads: Whoever read has gone.
            DiskError: There is no room for it.
        """
        with self._told():
            return int(self._stream.write(text))

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes them one by one, each as it comes; raises what `write` raises."""
        for line in lines:  # what makes them may read files, whose errors are no errors of this stream
            self.write(line)

    def flush(self) -> None:
        """Hands over what was written; raises what `write` raises."""
        with self._told():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._leave()
            raise NobodyReads from None
        except OSError as error:
            self._leave()
            raise DiskError(f"{self._called} can't be written: {error.strerror or error}") from None

    def _leave(self) -> None:
        with suppress(OSError, ValueError):  # it is no file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Makes the standard streams fit to be used, whatever the shell has done with them.

    One that is closed is as if it led to /dev/null. It has to be open: else the next file that is opened would get its
    number, and what C++ code prints would go into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=ERRORS)  # a file name that is not UTF-8 is written as it is, for programs
    sys.stdout = Output(before[0], "standard output")
    sys.stderr = Output(before[1], "standard error")
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
