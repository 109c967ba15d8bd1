"""Divergence: what a training says that has come to numbers which are none.

That is: at which update, in which layer and on which way it began (`origin`), which images these were, what to try.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.lazy import tf
from cnnkit.core.text import FIRST, counted, some
from cnnkit.data.feeding import batches as feeding
from cnnkit.runs.run import Run
from cnnkit.training import advice, origin
from cnnkit.training.origin import Origin
from cnnkit.training.stage_fit import Diverged, StageFit


@dataclass(frozen=True)
class Divergence:
    """A training that came to NaN or infinity.

    Attributes:
        what: What was not finite any more, and when, in a sentence.
        stage: Number of the stage, from 1.
        epoch: In which epoch of the training, from 1.
        update: At which update of the epoch, from 1; None if in the validation behind it.
        origin: Where it began; None where that was not to be found.
        unknown: Why not, in words; empty if it was.
        images: Names of the images of that update or batch, those first to which it happened themselves.
        suspects: How many of them these are; 0 where that can't be told.
        advice: What to try, the likeliest first.
    """

    what: str
    stage: int
    epoch: int
    update: int | None
    origin: Origin | None
    unknown: str
    images: tuple[str, ...]
    suspects: int
    advice: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """It in words, a line for each thing to know."""
        yield f"training diverged: {self.what}"
        if self.origin:
            yield f"  it began {WHERE[self.origin.direction]}: {self.origin.message}"
        else:
            yield f"  where it began is not known: {self.unknown}"
        if self.suspects:
            yield f"  it happened to {some(self.images[: self.suspects])}"
        if others := self.images[self.suspects :]:
            behind = ", with " if self.suspects else ": "
            yield f"  images {'of' if self.update else 'there in'} that batch{behind}{some(others)}"
        yield f"  try, the likeliest first: {advice.numbered(list(self.advice))}"

    def facts(self) -> dict[str, Any]:
        """It as the record of a run has it."""
        return {
            "message": self.what,
            "stage": self.stage,
            "epoch": self.epoch,
            "update": self.update,
            "direction": self.origin.direction if self.origin else None,
            "layer": (self.origin.layer or None) if self.origin else None,
            "origin": self.origin.message if self.origin else None,
            "images": list(self.images),
            "suspects": list(self.images[: self.suspects]),
            "advice": list(self.advice),
        }


WHERE = {
    "input": "in the input",
    "forward": "forward",
    "loss": "in the loss alone",
    "backward": "backward",
}
"""What is said of each direction."""


@contextmanager
def explained(fit: StageFit, experiment: Experiment, run: Run) -> Iterator[None]:
    """Where the fit of a stage ends in NaN or infinity, looks for the reason, and records and says it.

    Raises:
        Diverged: It did.
    """
    try:
        yield
    except Diverged as raised:
        with fit.images.errors_as_raised():
            found = of_validation(fit, experiment, raised.value) if raised.metric else of_update(fit, experiment)
        run.write_provenance(divergence=found.facts())
        for line in found.lines():
            run.log(line)
        raise Diverged(*found.lines()) from None


def of_update(fit: StageFit, experiment: Experiment) -> Divergence:
    """Looks into the update that was not sound: its batches are made again, and go through the network again.

    Args:
        fit: A stage whose next update is that one.
        experiment: What is done.
    """
    steps = fit.steps
    first = fit.update * steps.accumulated
    count = min(steps.accumulated, steps.batches - first)
    names: list[list[str]] = [fit.training.names(fit.epoch, first + i) for i in range(count)]
    found, number, unknown = None, 0, ""
    try:
        batches = fit.training.dataset(fit.end, first_step=fit.epoch * steps.batches + first).take(count)
        for number, batch in enumerate(batches):
            if found := origin.in_training(steps.learner, batch, passes=count - number):
                break
    except (tf.errors.ResourceExhaustedError, MemoryError):
        unknown = "there was not enough memory to look at each layer"
    if not unknown and experiment.train.sam:
        unknown = "at the weights themselves all of it is finite, so it came up where train.sam looks"
    elif not unknown:
        unknown = "made again, all of it is finite, so it hung on what is not repeated here (a sum, the precision)"
    chosen = names[number] if found else [name for batch_names in names for name in batch_names]
    where = f"epoch {fit.epoch + 1}, update {fit.update + 1:,} of {fit.updates:,}"
    stage = f" (stage {fit.number})" if fit.number > 1 else ""
    return _of(
        f"loss or gradients are NaN or infinite in {where}{stage}",
        fit,
        experiment,
        (fit.epoch + 1, fit.update + 1),
        (found, unknown),
        chosen,
        fit.epoch == fit.begin,
    )


def of_validation(fit: StageFit, experiment: Experiment, value: float) -> Divergence:
    """Looks into a validation whose loss is not finite, of the epoch that has just ended.

    Args:
        fit: The stage.
        experiment: What is done.
        value: The loss.
    """
    size, numbers = fit.training.batch_size, fit.validation
    index, found, at = fit.images.index, None, 0
    unknown = "looked at again, every batch of it is finite"
    try:
        with fit.steps.averaged():
            for batch in feeding.eval_batches(fit.images, numbers, size):
                if found := origin.in_validation(fit.steps.learner, batch):
                    break
                at += size
    except (tf.errors.ResourceExhaustedError, MemoryError):
        unknown = "there was not enough memory to look at each layer"
    names = [index.names[number] for number in numbers[at : at + size]] if found else []
    what = f"val_loss is {value} after epoch {fit.epoch}, whose training was finite"
    return _of(what, fit, experiment, (fit.epoch, None), (found, unknown), names, fit.epoch == fit.begin + 1)


def _of(
    what: str,
    fit: StageFit,
    experiment: Experiment,
    place: tuple[int, int | None],
    found: tuple[Origin | None, str],
    names: Sequence[str],
    first_epoch: bool,
) -> Divergence:
    where, unknown = found
    own = where.images if where else ()
    ordered = [names[i] for i in own] + [name for i, name in enumerate(names) if i not in set(own)]
    tried = tuple(_advice(where, fit, experiment, [names[i] for i in own], first_epoch))
    return Divergence(what, fit.number, *place, where, "" if where else unknown, tuple(ordered), len(own), tried)


def _advice(
    where: Origin | None, fit: StageFit, experiment: Experiment, suspects: Sequence[str], first_epoch: bool
) -> Iterator[str]:
    started = experiment.model.pretrained
    if where and where.direction == "input":
        them = "it" if len(suspects) == 1 else "them"
        yield f"leave out {some(suspects, FIRST)} (data.exclude), or mend what makes {them} so"
        return
    if where and where.in_weights and started and first_epoch and not fit.update:
        yield "other weights to start from: those of model.weights are damaged"
        return
    if suspects and where and len(suspects) <= FIRST:
        yield f"look at {counted(len(suspects), 'image')} named above, and leave out what is odd (data.exclude)"
    yield from advice.against_divergence(
        experiment,
        fit.number,
        first_epoch,
        backward=bool(where and where.direction == "backward"),
        overflow=bool(where and where.direction == "forward"),
    )
