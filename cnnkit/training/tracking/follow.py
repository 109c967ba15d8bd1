"""The process that `apart` starts: a session of one tracker, following the folder of a run until it is told its end.

`python -m cnnkit.training.tracking.follow RUN NUMBER`, where NUMBER is the place of the tracker in `train.track`.
"""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from cnnkit.core import atomic, locks
from cnnkit.core.text import first_line
from cnnkit.data.index import SPLITS
from cnnkit.optimization.tracking.base import Session, TrackedRun, Tracker
from cnnkit.runs import checkpoints
from cnnkit.runs.run import Run
from cnnkit.training.tracking.settings import flat, scalars

EPOCH = "epoch"
"""What says that there may be new epochs; any other word is how the run ended."""

STOPPED = "interrupted"
"""How a run has ended whose process has not said so."""

LAST = 120
"""Seconds after the end of a run in which all has to be done."""

Tell = Callable[[dict[str, Any]], None]
"""Tells whoever trains."""


def main() -> None:
    """Follows a run. What the tracker prints goes nowhere; an error of it is told in a line, and is the end."""
    tell = _only_way_out()
    # Whoever ends a job ends its processes; this one ends when the one that trains has told how.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        follow(Path(sys.argv[1]), int(sys.argv[2]), _heard(sys.stdin), tell)
        tell({"done": True})
    except Exception as error:
        tell({"failed": f"{type(error).__name__}: {first_line(error)}"})
    finally:
        os._exit(0)  # what the tracker would still do at the end of a process is not waited for


def _heard(lines: TextIO) -> Iterator[str]:
    """The words that come, a line each, as they come.

    They are listened to whatever the tracker is at: it has LAST seconds from the end of the run.
    """
    words: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in lines:
            words.put(line.strip())
            if line.strip() != EPOCH:
                break
        signal.alarm(LAST)
        words.put(None)

    threading.Thread(target=listen, daemon=True).start()
    yield from iter(words.get, None)


def follow(folder: Path, number: int, words: Iterable[str], tell: Tell) -> None:
    """Records a run with one of its trackers; waits for one that is still at an earlier training of it.

    Args:
        folder: Of the run.
        number: Place of the tracker in `train.track`.
        words: EPOCH when there may be new ones, at last how the run ended, unless it was killed.
        tell: Is told where the run is found, and each time that something was done.
    """
    run = Run(folder)
    tracker = run.experiment.train.track[number]
    kept = run.files.tracker(tracker.name)
    atomic.make_folder(kept, exist_ok=True)
    with locks.alone(kept / "lock", wait=True):
        session = tracker.begin(tracked(run), kept)
        tell({"where": session.where})
        sent, state = 0, STOPPED
        for word in words:
            for metrics in run.history()[sent:]:
                _send(session, metrics)
                sent += 1
                tell({"sent": sent})
            state = STOPPED if word == EPOCH else word
        session.end(state, dict(figures(run)), list(files(run, tracker)))


def _send(session: Session, metrics: Mapping[str, Any]) -> None:
    session.epoch(metrics["epoch"], {name: value for name, value in scalars(dict(metrics)) if math.isfinite(value)})


def tracked(run: Run) -> TrackedRun:
    """A run as trackers are told of it; of the environment nothing is."""
    facts = run.provenance()
    known = {
        **{f"version.{name}": version for name, version in (facts.get("versions") or {}).items()},
        **{f"git.{name}": value for name, value in (facts.get("git") or {}).items()},
        **{name: facts.get(name) for name in ("device", "processor", "platform", "onednn", "started")},
        **{f"parameters.{name}": value for name, value in (facts.get("parameters") or {}).items()},
        "data.fingerprint": (facts.get("data") or {}).get("fingerprint"),
    }
    tags = {name: str(value) for name, value in known.items() if value is not None}
    experiment = run.experiment
    return TrackedRun(run.folder.absolute(), facts["tracking"]["id"], experiment.name, flat(experiment), tags)


def figures(run: Run) -> Iterator[tuple[str, float]]:
    """What the evaluation found: `test_accuracy` and the like; nothing where the run was not evaluated."""
    for split in SPLITS:
        if (file := run.files.result(split)).is_file():
            for name, value in json.loads(file.read_text(encoding="utf-8")).items():
                if isinstance(value, float) and math.isfinite(value):
                    yield f"{split}_{name}", value
    if isinstance(best := run.provenance().get("best_epoch"), int):
        yield "best_epoch", float(best)


def files(run: Run, tracker: Tracker) -> Iterator[Path]:
    """What goes along with a run: those of these that there are."""
    yield from filter(Path.is_file, (run.files.config, *map(run.files.result, SPLITS)))
    if tracker.weights and (run.files.checkpoints / f"{checkpoints.BEST}.json").is_file():
        yield run.files.checkpoints / checkpoints.read(run.files.checkpoints, checkpoints.BEST)["file"]


def _only_way_out() -> Tell:
    """What answers; whatever else this process, or one that it starts, prints from now on goes nowhere."""
    way_out, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)

    def tell(what: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):  # nobody waits for it any more
            os.write(way_out, f"{json.dumps(what)}\n".encode())

    return tell


if __name__ == "__main__":
    main()
