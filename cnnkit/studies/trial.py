"""The trial of `cnnkit init --minutes`: which candidate a config should begin with, decided on the validation images.

A classifier is fitted to what the pretrained network makes of the images, the small network is trained for a share of
the time, and the one that tells more validation images right is proposed, with as many epochs as the rest of the time
allows. Where validation can't tell them apart, the rule decides that also decides without a trial. If the pretrained
network is taken and there is time, all of it is trained a little further, which is kept if validation says so.

Nothing is written but what is thrown away at the end, and the test images are not looked at.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from cnnkit.core.errors import CnnkitError, Interrupted, TrainingError, UsageError
from cnnkit.core.lazy import tf
from cnnkit.core.signals import ENDING, exit_code, interrupts
from cnnkit.core.text import counted
from cnnkit.data.feeding.pixel_store import bytes_of
from cnnkit.evaluation.paired import Paired
from cnnkit.inspection.first_config import pretrained, rules
from cnnkit.inspection.first_config.base import Decision, Suggestion, Traits
from cnnkit.inspection.first_config.decision import Candidates, Wish, candidates, decided, suits
from cnnkit.inspection.first_config.duration import roughly
from cnnkit.inspection.first_config.start import Subject
from cnnkit.models.backbones import Backbone
from cnnkit.studies.bench import Bench, Tried
from cnnkit.studies.budget import SHARE_OF_FEATURES, Budget, Pace, tried_epochs
from cnnkit.studies.several import several

SHORT = 30.0
"""Seconds below which there is no time for a trial."""

SHARE_OF_DECODING = 0.15
"""Of all the time: so much may decoding the images of the small network take; else only some are tried with."""

FINE_TUNING = (3, 15)
"""Epochs of fine-tuning: with fewer it is not tried, and more gain little."""

BASIS = "by the speeds of the trial"


@dataclass(frozen=True)
class Outcome:
    """What is known of a candidate after the trial.

    Attributes:
        suggestion: It, as long as it would train.
        tried: What came of it; None if it was not tried, as there is no other.
        seconds: What its training takes.
    """

    suggestion: Suggestion
    tried: Tried | None
    seconds: float


def decide(subject: Subject, budget: Budget, wish: Wish | None = None) -> Decision:
    """Decides by a trial what a config begins with; the training that it proposes fits into the rest of the time.

    Args:
        subject: The images.
        budget: The time for the trial and the training.
        wish: What is decided already.

    Raises:
        Interrupted: Somebody stopped it; nothing is written.
    """
    looking, traits = budget.used, subject.traits
    found = candidates(traits, SHARE_OF_FEATURES * budget.seconds, wish)
    if budget.left < SHORT:
        decision = decided(traits, found, wish)
        return replace(decision, notes=(*decision.notes, "No time for a trial: the rule has decided."))
    try:
        with (
            interrupts(*ENDING),
            tempfile.TemporaryDirectory(prefix="cnnkit-trial-") as folder,
            several(),
        ):
            return _Trial(subject, budget, found, looking, Path(folder)).decision(wish or Wish())
    except KeyboardInterrupt as interrupt:
        raise Interrupted("Interrupted: no config is written.", exit_code=exit_code(interrupt)) from None
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise TrainingError(
            "the trial ran out of memory, and no config is written; `init` without --minutes"
        ) from error


class _Trial:
    """The trial, candidate by candidate.

    Args:
        subject: The images.
        budget: The time.
        found: The candidates.
        looking: Seconds that finding and reading the images took; the training does it again.
        folder: Where attempts may write.
    """

    def __init__(self, subject: Subject, budget: Budget, found: Candidates, looking: float, folder: Path):
        self.subject, self.budget, self.found, self.looking = subject, budget, found, looking
        self.traits: Traits = subject.traits
        self.bench = Bench(subject, folder)
        self.notes = [*found.notes]

    def decision(self, wish: Wish) -> Decision:
        """What is taken, after what was wished for or can be had was tried."""
        head = self._head(self.found.pretrained, wish) if self.found.pretrained else None
        if wish.backbone is not None and head:
            self._note_if_late(head)
            return self._decision(self._fine_tuned(head), None, f"As asked for: {head.suggestion.title}.", "")
        alone = head is None or head.tried is None or head.seconds > self.budget.left
        try:
            small = self._small(alone=alone)
        except TrainingError as error:
            return self._without_small(head, error.problems[0].message, wish)
        if head is None or head.tried is None:
            why = "As asked for: a network from nothing." if wish.from_scratch else ALONE
            return self._decision(small, None, why, "")
        late = head.seconds > self.budget.left
        if small.tried is None or (late and chosen(head, small, rule=suits(self.traits))[0] is head):
            slow = f"its training would take {roughly(head.seconds)}, which is more than is left"
            return self._decision(
                small, head, f"A small network from nothing: {_title(head)} was tried, but {slow}.", slow
            )
        taken, other, why = chosen(head, small, rule=suits(self.traits))
        why_not = f"{_accuracy(other)} on validation in the trial"
        return self._decision(self._fine_tuned(taken) if taken is head else taken, other, why, why_not)

    def _without_small(self, head: Outcome | None, why: str, wish: Wish) -> Decision:
        """What is taken where the training of the small network has failed: the other one, or what the rule says."""
        if head is None:
            self.notes.append(f"The trial of a small network failed ({why}): the rule has decided, untried.")
            return decided(self.traits, Candidates(self.found.small, None, tuple(self.notes)), wish)
        self._note_if_late(head)
        failed = Outcome(self.found.small, None, 0.0)
        why_not = f"its training failed in the trial: {why}"
        return self._decision(head, failed, f"{_title(head)}: the training of a small network failed.", why_not)

    def _note_if_late(self, taken: Outcome) -> None:
        if taken.seconds > self.budget.left:
            self.notes.append(f"Its training takes {roughly(taken.seconds)}, which is more than is left of the time.")

    def _head(self, suggestion: Suggestion, wish: Wish) -> Outcome | None:
        """The fitted classifier on the backbone; None where that can't be used, which is said.

        Raises:
            UsageError: It was asked for, and can't be used.
        """
        try:
            tried, pace = self.bench.fitted(suggestion, SHARE_OF_FEATURES * self.budget.seconds)
        except CnnkitError as error:
            if isinstance(error, Interrupted):
                raise
            if wish.backbone is not None:
                raise UsageError(f"--backbone {wish.backbone}: {error.problems[0].message}") from None
            self.notes.append(f"Not used: {error.problems[0].message}.")
            return None
        self._say(f"{suggestion.backbone and suggestion.backbone.title} with a fitted classifier", tried)
        return Outcome(suggestion, tried, self.looking + pace.seconds(0))

    def _small(self, alone: bool) -> Outcome:
        """The small network, trained for a share of the time; if it is alone, only its speed is measured."""
        per_image = max(self.traits.decoding, 1e-4)
        most = math.ceil(SHARE_OF_DECODING * self.budget.seconds / per_image)
        data, decoding = self.bench.loaded(self.found.small, max(most, 200))
        pace = self.bench.paced(data, decoding)
        tried = None
        if not alone:
            again = replace(pace, starting=0.0, preparing=0.0)
            epochs = tried_epochs(again, self.budget.left - self.looking - pace.seconds(0))
            tried = self.bench.trained(data, epochs)
            self._say(f"a small network, {counted(epochs, 'epoch')}", tried)
        epochs = pace.epochs_in(self.budget.left - self.looking)
        if not epochs:
            epochs = 1
            takes = roughly(self.looking + pace.seconds(1))
            self.notes.append(f"One epoch alone takes {takes}, which is more than is left of the time.")
        return Outcome(rules.suggest(self.traits, epochs), tried, self.looking + pace.seconds(epochs))

    def _fine_tuned(self, head: Outcome) -> Outcome:
        """The backbone trained further where there is time for it, if that is better on validation; else as it was."""
        backbone = head.suggestion.backbone
        assert backbone is not None
        images = sum(self.traits.splits[split] for split in ("train", "validation"))
        if bytes_of(images, (*backbone.size, 3)) > 2**31 or self.budget.left - head.seconds < SHORT:
            return head
        try:
            return self._better(head, backbone, images)
        except TrainingError as error:
            self.notes.append(f"Not trained further, as that failed in the trial: {error.problems[0].message}.")
            return head

    def _better(self, head: Outcome, backbone: Backbone, images: int) -> Outcome:
        """The same, of so many images that train and choose."""
        assert head.tried is not None
        few, many = FINE_TUNING
        data, decoding = self.bench.loaded(pretrained.suggest(self.traits, backbone, few), images)
        if not self.budget.left > head.seconds + SHORT:
            return head
        pace = self.bench.paced(data, decoding)
        room = self.budget.left - self.looking - head.seconds
        epochs = min(many, Pace(0.0, 0.0, 2 * pace.epoch, pace.evaluating).epochs_in(room))  # once here, once then
        if epochs < few:
            return head
        tried = self.bench.trained(data, epochs)
        self._say(f"{backbone.title} trained further, {counted(epochs, 'epoch')}", tried)
        if difference(tried, head.tried)[0] <= difference(tried, head.tried)[1]:
            return head
        suggestion = pretrained.suggest(self.traits, backbone, epochs)
        return Outcome(suggestion, tried, head.seconds + pace.seconds(epochs) - pace.preparing)

    def _decision(self, taken: Outcome, other: Outcome | None, why: str, why_not: str) -> Decision:
        suggestion = other.suggestion if other else None
        return Decision(taken.suggestion, why, suggestion, why_not, taken.seconds, BASIS, tuple(self.notes))

    def _say(self, title: str, tried: Tried) -> None:
        """A line on the screen for what was tried."""
        self.subject.progress.say(f"tried: {title}: validation {tried.accuracy:.3f} ({self.budget.used:.0f} s so far)")


ALONE = "A small network from nothing: there is no other candidate, so only its speed was measured."


def chosen(head: Outcome, small: Outcome, rule: bool) -> tuple[Outcome, Outcome, str]:
    """The better one, the other one, and why.

    Args:
        head: The pretrained network with a fitted classifier; tried.
        small: The small network; tried.
        rule: Whether the pretrained one is taken where validation can't tell.
    """
    assert head.tried is not None and small.tried is not None
    ahead, unsure = difference(head.tried, small.tried)
    clear = abs(ahead) > unsure
    taken, other = (head, small) if (ahead > 0 if clear else rule) else (small, head)
    figures = (
        f"Tried on {counted(len(head.tried.right), 'validation image')}: {_title(head)} {_accuracy(head)}, a small "
        f"network from nothing {_accuracy(small)} after {counted(small.tried.epochs, 'epoch')}"
    )
    if clear:
        return taken, other, f"{figures}: the better one is taken."
    return taken, other, f"{figures}, too close to tell: {'the former' if taken is head else 'the latter'} by the rule."


def difference(one: Tried, other: Tried) -> tuple[int, float]:
    """By how many validation images one is ahead of the other, and how far chance would bring them apart.

    Only images count that both were asked about.
    """
    places = {name: i for i, name in enumerate(other.names)}
    common = [(i, places[name]) for i, name in enumerate(one.names) if name in places]
    paired = Paired.of([one.right[i] for i, _ in common], [other.right[k] for _, k in common])
    return paired.ahead, paired.chance


def _title(outcome: Outcome) -> str:
    backbone = outcome.suggestion.backbone
    return f"{backbone.title} with a fitted classifier" if backbone else "a small network from nothing"


def _accuracy(outcome: Outcome) -> str:
    return f"{outcome.tried.accuracy:.3f}" if outcome.tried else "not tried"
