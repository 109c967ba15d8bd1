"""Audit: which augmentations probably destroy labels, asked of a network that has been trained.

A change that makes a 9 of a 6 leaves a label that is wrong. Nobody knows from pixels alone what a label stands, but a
trained network has an idea. It is shown validation images that it answers rightly, each augmentation by itself, and
what counts is how often its answer turns wrong, and how sure it is then. A picture that has become one of another class
looks like that class, so it is answered clearly: the wrong class is far likelier than the right one. An unusual picture
whose label still stands makes a network waver, mostly.

It is a suspicion and no proof: of pictures that are unlike all that it was trained with a network may be sure as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from cnnkit.config.experiment import Experiment
from cnnkit.config.messages import in_words
from cnnkit.core.errors import TrainingError, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import by
from cnnkit.data.augmentations.base import Augmentation, Mixing
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.feeding.loading import load
from cnnkit.data.index import Index, ranked
from cnnkit.evaluation.intervals import interval
from cnnkit.runs.images import index_of
from cnnkit.runs.run import Run

IMAGES, DRAWS = 500, 4
"""How many validation images are asked about, and how often each is changed anew, if nobody says."""

SECONDS = 120.0
"""No further draw is begun, unless it was asked for, if it would probably end later than that."""

CLEARLY = 3.0
"""A wrong class this many times as likely as the right one is a clear answer."""

OF_ALL, OF_A_CLASS = 0.10, 0.25
"""An augmentation is named when more than this share of all images, or of those of one class, turns clearly wrong; it
is the lower end of the interval that has to be more, for the classes that of all of them together."""

FEWEST, FEWEST_OF_A_CLASS = 20, 5
"""Of fewer images than that nothing is said to destroy labels, of all or of one class."""

Verdict = Literal["destroys", "harmless", "too_few"]
"""Whether labels are probably destroyed, or seem not to be, or the images are too few to tell."""

WITHOUT_EFFECT = ("data.limit", "data.split", "data.exclude", "data.balance", "data.batch_size", "train", "name")
"""What changes nothing about an audit: which images the run is asked about, and how, is its own."""

WEAKER = 1 / 3
"""The share of its strength that an augmentation is tried at as well."""


@dataclass(frozen=True)
class Confusion:
    """What becomes what: of the images of a class, the share that is taken for another."""

    label: str
    taken_for: str
    share: float


@dataclass(frozen=True)
class Effect:
    """What an augmentation does to images that the network answers rightly.

    Attributes:
        wrong: Share of them that it answers wrongly then.
        wrong_interval: Its interval at 95 %.
        clearly_wrong: Share of them that it answers wrongly, and clearly.
        clearly_wrong_interval: Its interval at 95 %.
        wrong_probability: What it gives the wrong class in the mean; None where nothing is wrong.
        most_often: The commonest confusion; None where nothing is wrong.
        verdict: Whether labels are probably destroyed.
        draws: How often each image was changed anew; what is always the same is done once.
        unchanged: Whether no image was changed at all: it does nothing at this size.
    """

    wrong: float
    wrong_interval: tuple[float, float]
    clearly_wrong: float
    clearly_wrong_interval: tuple[float, float]
    wrong_probability: float | None
    most_often: Confusion | None
    verdict: Verdict
    draws: int
    unchanged: bool

    @classmethod
    def of(cls, probabilities: Any, labels: Any, classes: Sequence[str], unchanged: bool = False) -> Effect:
        """The effect that shows in the answers.

        Args:
            probabilities: float (draws, images, classes), the answers about changed images.
            labels: int64 (images,), the right ones.
            classes: Names of the classes.
            unchanged: Whether no image was changed at all.
        """
        draws, images, _ = probabilities.shape
        answers, sure = probabilities.argmax(2), probabilities.max(2)
        wrong = answers != labels
        right = probabilities[:, np.arange(images), labels]
        clearly = wrong & (sure > CLEARLY * right)
        # What becomes of an image in several draws is alike, so the intervals are those of as many images, not draws.
        return cls(
            float(wrong.mean()),
            interval(float(wrong.mean()), images),
            float(clearly.mean()),
            interval(float(clearly.mean()), images),
            float(sure[wrong].mean()) if wrong.any() else None,
            _most_often(np.tile(labels, (draws, 1))[wrong], answers[wrong], draws, labels, classes),
            _verdict(clearly, labels, len(classes)),
            draws,
            unchanged,
        )


def _verdict(clearly: Any, labels: Any, classes: int) -> Verdict:
    """Whether labels are destroyed, from what turned clearly wrong, bool (draws, images)."""
    low, high = interval(float(clearly.mean()), len(labels))
    shares = {label: float(clearly[:, labels == label].mean()) for label in np.unique(labels).tolist()}
    counts = {label: int((labels == label).sum()) for label in shares}
    # So many classes are asked about at once that one of them would seem destroyed by accident (Bonferroni).
    lows = {label: interval(shares[label], counts[label], 1 - 0.05 / classes)[0] for label in shares}
    if len(labels) >= FEWEST and low > OF_ALL:
        return "destroys"
    if any(lows[label] > OF_A_CLASS and counts[label] >= FEWEST_OF_A_CLASS for label in shares):
        return "destroys"
    return "too_few" if high > OF_ALL or max(shares.values()) > OF_A_CLASS else "harmless"


def _most_often(true: Any, answered: Any, draws: int, labels: Any, classes: Sequence[str]) -> Confusion | None:
    """The commonest of some confusions; of equal ones the first in the order of the classes."""
    if not len(true):
        return None
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (true, answered), 1)
    label, other = np.unravel_index(counts.argmax(), counts.shape)
    asked = draws * int((labels == label).sum())
    return Confusion(classes[label], classes[other], float(counts[label, other] / asked))


@dataclass(frozen=True)
class Audited:
    """An augmentation and its effect, and the same at a third of its strength; None where it has no strength."""

    augmentation: Augmentation
    effect: Effect
    weaker: Audited | None = None

    def words(self) -> str:
        """Its name and its settings."""
        return in_words(self.augmentation, self.augmentation.strengths)

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return self._facts() | {"at_a_third": self.weaker._facts() if self.weaker else None}

    def _facts(self) -> dict[str, Any]:
        return {"augmentation": self.augmentation.model_dump(mode="json"), **asdict(self.effect)}


@dataclass(frozen=True)
class Audit:
    """What a run says about augmentations.

    Attributes:
        run: Its folder.
        asked: Validation images that it was asked about.
        right: How many of these it answers rightly as they are; only these are changed.
        draws: How often each was changed anew.
        cut_short: Whether there was no time for as many draws as usual.
        audited: The augmentations.
        mixing: Names of those that mix images, which change the label along with the image.
        other_view: Whether the run prepares images in another way than the config.
    """

    run: str
    asked: int
    right: int
    draws: int
    cut_short: bool
    audited: tuple[Audited, ...]
    mixing: tuple[str, ...]
    other_view: bool

    def as_json(self) -> dict[str, Any]:
        """What the command prints with `--json`."""
        return {
            "run": self.run,
            "split": "validation",
            "images": self.asked,
            "right": self.right,
            "draws": self.draws,
            "cut_short": self.cut_short,
            "other_view": self.other_view,
            "augmentations": [audited.as_json() for audited in self.audited],
            "left_out": list(self.mixing),
            "destroy_labels": [audited.words() for audited in self.judged("destroys")],
            "too_few_images": [audited.words() for audited in self.judged("too_few")],
        }

    def judged(self, verdict: Verdict) -> list[Audited]:
        """Those of which the run says that."""
        return [audited for audited in self.audited if audited.effect.verdict == verdict]


def audit(
    run: Run | Path | str,
    experiment: Experiment,
    progress: Progress,
    settings: Sequence[str] = (),
    images: int = IMAGES,
    draws: int | None = None,
) -> Audit:
    """Asks a run how often each augmentation of an experiment turns a right answer into a wrong one.

    Args:
        run: The run, or its folder; trained on images of the same classes in the same size.
        experiment: Whose augmentations are meant.
        progress: Is told how far it is.
        settings: What was set over the config; where the images are now counts for the run as well.
        images: How many of its validation images it is asked about, at most.
        draws: How often each is changed anew; by default as often as there is time for, up to DRAWS.

    Raises:
        DataError: The validation images of the run are gone, or are others.
        TrainingError: The run has no usable checkpoint, or answers nothing rightly.
        UsageError: The run is for other classes or other images, or there is nothing to ask about.
    """
    run = Run.open(run)
    _refuse_without_effect(settings)
    changes = [a for a in experiment.augment if not isinstance(a, Mixing)]
    mixing = tuple(a.name for a in experiment.augment if isinstance(a, Mixing))
    if not changes:
        names = ", ".join(mixing) or "nothing"
        raise UsageError(f"augment lists {names}, and mixing changes labels along with images: nothing to ask about")
    _refuse_unfit(run, experiment, progress)
    run = run.with_settings(*(setting for setting in settings if setting.startswith(("data.source", "data.cache"))))
    index = _asked_about(run, experiment.seed, images, progress)
    images_asked = load(index, run.preprocessing, run.experiment.data.cache, progress).rows(range(len(index)))
    with progress.task("reading the network", 1):
        asked = _Asked(run, run.network(progress), images_asked, np.arange(len(index)), np.asarray(index.labels))
    untouched, _ = asked.probabilities(Chain((), experiment.seed), 0)
    right = asked.take(np.flatnonzero(untouched.argmax(1) == asked.labels))
    if not right.images:
        raise TrainingError(
            f"{run.folder} answers none of {len(index)} validation images rightly: nothing can turn wrong"
        )
    full = [_Attempt(change, draws or DRAWS, change.weaker(WEAKER)) for change in changes]
    attempts = [*full, *(attempt.weaker for attempt in full if attempt.weaker)]
    done = _try(attempts, right, experiment.seed, SECONDS if draws is None else math.inf, progress)
    audited = tuple(attempt.audited(right) for attempt in full)
    own, other = experiment.data, run.experiment.data
    other_view = (own.fit, own.prepare) != (other.fit, other.prepare)
    cut_short = any(len(attempt.answers) < attempt.draws for attempt in attempts)
    return Audit(str(run.folder), len(index), len(right.images), done, cut_short, audited, mixing, other_view)


def _refuse_without_effect(settings: Sequence[str]) -> None:
    """Refuses what was set over the config and changes nothing about an audit."""
    for setting in settings:
        key = setting.partition("=")[0]
        if any(key == one or key.startswith(f"{one}.") for one in WITHOUT_EFFECT):
            raise UsageError(
                f"--set {setting} has no effect on --audit: the run is asked about its own validation images; leave it "
                "out, or ask about fewer with --images"
            )


def _asked_about(run: Run, seed: int, images: int, progress: Progress) -> Index:
    """The validation images of a run, or as many of them as that; which ones follows from content and seed."""
    index = index_of(run, "validation", progress)
    order = sorted(range(len(index)), key=lambda i: (ranked(index.digests[i], seed, "audit"), index.names[i]))
    return index.take(sorted(order[:images]))


@dataclass(frozen=True)
class _Asked:
    """A run's network and the images that it is asked about.

    Attributes:
        run: The run.
        network: Its network.
        images: uint8 (H, W, C) each.
        numbers: int64 (images,), which they are: what chance does to an image follows from its number.
        labels: int64 (images,).
    """

    run: Run
    network: Any
    images: Sequence[Any]
    numbers: Any
    labels: Any

    def take(self, chosen: Any) -> Self:
        """The same with the chosen images alone."""
        images = [self.images[i] for i in chosen]
        return replace(self, images=images, numbers=self.numbers[chosen], labels=self.labels[chosen])

    def probabilities(self, chain: Chain, draw: int) -> tuple[Any, bool]:
        """What the network says of the images once they are changed, (images, classes), and whether any one is."""
        size, logits, changed = self.run.experiment.data.batch_size, [], False
        for k in range(0, len(self.images), size):
            batch = chain.images(self.images[k : k + size], draw, self.numbers[k : k + size])
            changed = changed or not np.array_equal(batch, self.images[k : k + size])
            logits.append(self.network.predict_on_batch(batch))
        return self.run.probabilities(np.concatenate(logits)), changed


class _Attempt:
    """An augmentation that is tried, and the answers about what it makes of the images, an entry a draw."""

    def __init__(self, change: Augmentation, draws: int, weaker: Augmentation | None = None):
        self.change = change
        self.weaker = _Attempt(weaker, draws) if weaker else None
        self.draws = 1 if _always_the_same(change) else draws
        self.answers: list[Any] = []
        self.changed = False

    def audited(self, asked: _Asked) -> Audited:
        """What shows in the answers."""
        effect = Effect.of(np.stack(self.answers), asked.labels, asked.run.classes, unchanged=not self.changed)
        return Audited(self.change, effect, self.weaker.audited(asked) if self.weaker else None)


def _try(attempts: Sequence[_Attempt], asked: _Asked, seed: int, most: float, progress: Progress) -> int:
    """Asks about every augmentation, draw by draw; how many draws were done before it would take more seconds."""
    start, draws = time.monotonic(), max(attempt.draws for attempt in attempts)
    with progress.task("asking the network", sum(attempt.draws for attempt in attempts)) as advance:
        for done in range(1, draws + 1):
            for attempt in attempts:
                if done <= attempt.draws:
                    answers, changed = asked.probabilities(Chain((attempt.change.certain(),), seed), done - 1)
                    attempt.answers.append(answers)
                    attempt.changed |= changed
                    advance(1)
            if (time.monotonic() - start) * (done + 1) / done > most:
                return done
    return draws


def _always_the_same(change: Augmentation) -> bool:
    """Whether chance has no say in what is done to an image that is changed, as of a flip."""
    ends = np.stack([np.zeros(change.chances), np.full(change.chances, np.nextafter(1, 0))])
    first, last = change.certain().amounts(ends)
    return bool(np.array_equal(first, last))


def _refuse_unfit(run: Run, experiment: Experiment, progress: Progress) -> None:
    """Refuses a run that was trained for something else than the experiment is about."""
    collection = experiment.data.source.open(progress)
    if list(collection.classes) != run.classes:
        both = " and ".join(
            f"{whose} has {len(classes)} classes ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''})"
            for whose, classes in (("the run", run.classes), ("the config", collection.classes))
        )
        raise UsageError(f"--audit {run.folder}: {both}; name a run that was trained on the classes of the config")
    shape = experiment.shape_with(collection)
    if shape != run.shape:
        own, other = map(by, (run.shape, shape))
        raise UsageError(
            f"--audit {run.folder}: the run is shown images of {own} (height, width, channels), and the config asks "
            f"for {other}; name a run with the same, or set data.image_size and data.channels"
        )
