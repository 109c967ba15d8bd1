"""A tracker of the config in a process of its own, so that nothing of it can reach the training.

Trackers bring threads, hooks at the end of a process, output of their own and waits of minutes for a server that is
gone. The process follows the run's folder (`follow`) and needs nothing else: this side tells it, by a line each, that
there is a new epoch and how the run ends, and never waits for it before the end. It tells this side how far it is, by a
line of JSON each. When its input ends, it ends, whatever has ended this process.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from contextlib import suppress
from typing import Any, ClassVar

from cnnkit.core.progress import Progress
from cnnkit.optimization.tracking.base import Tracker
from cnnkit.runs.run import Run
from cnnkit.training.tracking import follow
from cnnkit.training.tracking.base import Recorder

PATIENCE, SHORT = 60.0, 1.0
"""Seconds without a sign of life after which a tracker is not waited for any more at the end of a run: of one that came
to its end, and of one that was stopped."""


class TrackerFailed(Exception):
    """A tracker can't go on; the text says why."""


class Apart(Recorder):
    """Follows a training from here, and leaves all else to the process."""

    errors: ClassVar[tuple[type[Exception], ...]] = (TrackerFailed, OSError)

    def __init__(self, tracker: Tracker, number: int, run: Run, progress: Progress):
        """Starts nothing yet.

        Args:
            tracker: What the config says of it.
            number: Its place in `train.track`.
            run: The run.
            progress: Is told that it is waited for at the end.
        """
        self.title, self.key = tracker.title, tracker.name
        self._tracker, self._number, self._run, self._progress = tracker, number, run, progress
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = b""
        self._where: str | None = None
        self._done = False

    @property
    def where(self) -> str | None:
        """As the process has told."""
        return self._where

    def begin(self) -> None:
        """Starts the process."""
        # What is imported there is what would be imported here.
        path = os.pathsep.join(os.path.abspath(place) for place in sys.path)  # noqa: PTH100 - also of one that is empty
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", follow.__name__, self._run.folder.absolute(), str(self._number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self._tracker.environment, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
            start_new_session=True,  # Ctrl-C is for the one that trains, which tells how it ended
        )
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            os.set_blocking(stream.fileno(), False)

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Says that there is a new one."""
        self._hear()
        self._say(follow.EPOCH)

    def end(self, state: str) -> None:
        """Says how it ended, and waits until the process has handed over what it has.

        Where the run was stopped, nobody waits for long: the process does the rest by itself, and ends.
        """
        process, to_its_end = self._process, state in ("finished", "unfinished")
        if process is None:
            return
        try:
            self._hear()
            self._say(state)
            assert process.stdin and process.stdout
            with suppress(OSError):
                process.stdin.close()
            with self._progress.task(f"handing over to {self.title}", 1), selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                while not self._done:
                    if selector.select(PATIENCE if to_its_end else SHORT):
                        self._hear()
                    elif to_its_end:
                        raise TrackerFailed(f"it has not answered for {PATIENCE:.0f} s")
                    else:
                        self._progress.say(f"{self.title} is still being told of this run, in the background.")
                        self._process = None
                        return
        finally:
            self.close()

    def close(self) -> None:
        """Ends the process, whatever it is at."""
        if process := self._process:
            process.kill()
            for stream in filter(None, (process.stdin, process.stdout)):
                with suppress(OSError):
                    stream.close()
            process.wait()

    def _say(self, word: str) -> None:
        assert self._process and self._process.stdin
        # Either it has more to do than it can, and will see that there is more; or it is gone, and has told why.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._process.stdin.fileno(), f"{word}\n".encode())

    def _hear(self) -> None:
        """Takes what the process has told by now.

        Raises:
            TrackerFailed: It has told that it can't go on, or is gone.
        """
        assert self._process and self._process.stdout
        while True:
            try:
                some = os.read(self._process.stdout.fileno(), 65536)
            except BlockingIOError:
                break
            if not some:
                self._take()
                if not self._done:
                    raise TrackerFailed(f"its process has ended without a word (exit code {self._process.wait()})")
                return
            self._heard += some
        self._take()

    def _take(self) -> None:
        """Understands the lines that are whole."""
        *lines, self._heard = self._heard.split(b"\n")
        for line in lines:
            told = json.loads(line)
            self._where = told.get("where", self._where)
            self._done = self._done or "done" in told
            if "failed" in told:
                raise TrackerFailed(told["failed"])
