"""What differs between two configs, and which of it may differ where a run goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.config import yaml12
from cnnkit.config.experiment import Experiment
from cnnkit.config.file import leaves
from cnnkit.core.errors import Problem
from cnnkit.core.spec import path_settings

MISSING = object()
"""In place of the value of a setting that one of them does not have."""

FREE = (
    "data.cache",
    "train.time_limit",
    "train.checkpoint.keep",
    "train.checkpoint.every_minutes",
    "train.checkpoint.every_steps",
    "train.checkpoint.every_epochs",
    "train.steps_per_execution",
    "train.devices",
    "train.track",
)
"""How settings begin that decide where, how long and with what traces a run is trained, and not what it learns."""


@dataclass(frozen=True)
class Difference:
    """A setting that differs.

    Attributes:
        key: Its dotted path.
        before: Its value in the one; `MISSING` where it has no such setting.
        after: That in the other.
    """

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"the run has {_shown(self.before)}, the config {_shown(self.after)}"

    def worded(self) -> str:
        """From what it changes to what."""
        return f"{_shown(self.before)} to {_shown(self.after)}"

    def as_json(self) -> dict[str, Any]:
        """The two values, as the record of a run has them; null for one that is not there."""
        values = (self.before, self.after)
        return dict(zip(("from", "to"), (None if value is MISSING else value for value in values), strict=True))


def _shown(value: Any) -> str:
    return "nothing" if value is MISSING else f"`{yaml12.line(value)}`"


def between(one: Experiment, other: Experiment) -> list[Difference]:
    """All settings that differ between two complete experiments, in the order of the config.

    Where one has nothing and the other a section or entries, what is in these is told, and not the nothing too.
    """
    before, after = ({".".join(map(str, path)): value for path, value in leaves(e.model_dump())} for e in (one, other))
    keys = dict.fromkeys([*before, *after])
    around = {key[:end] for key in keys for end, sign in enumerate(key) if sign == "."}
    return [
        Difference(key, before.get(key, MISSING), after.get(key, MISSING))
        for key in keys
        if before.get(key, MISSING) != after.get(key, MISSING) and key not in around
    ]


def of_learning(one: Experiment, other: Experiment) -> list[Difference]:
    """Those settings that differ, in the order of the config, that decide what is learnt, and from which images.

    So neither where these lie nor what `FREE` lists; and of classes that are others altogether the name alone.
    """
    found = between(one, other)
    others = [each.key.removesuffix("name") for each in found if each.key.endswith(".name")]
    moved = [f"data.source.{name}" for name in path_settings(type(one.data.source))]
    return [
        each
        for each in found
        if (each.key.endswith(".name") or not each.key.startswith((*others,))) and not _below(each.key, (*FREE, *moved))
    ]


def refused(one: Experiment, other: Experiment, settings: Sequence[str] = ()) -> Iterator[Problem]:
    """What of another config keeps a run from going on with it.

    May differ: where the images lie, what `FREE` lists, and how many epochs the training, or its last stage, has, if
    they become more. A schedule that ends with the last epoch would take all the training so far to another rate, so it
    has to be named anew then; and only then may it be another one.

    Args:
        one: That of the run.
        other: The one to go on with.
        settings: `KEY=VALUE` pairs that are part of it.

    Yields:
        Each with its key.
    """
    found = {difference.key: difference for difference in of_learning(one, other)}
    lengths = [difference for difference in found.values() if difference.key in _lengths(one)]
    grown = [difference for difference in lengths if _grows(difference)]
    for key, difference in found.items():
        if difference in grown or (grown and _below(key, ("train.schedule",))):
            continue
        more = "; a run that goes on can only have more" if difference in lengths else ""
        yield Problem(f"{difference}{more}", key=key)
    schedule = one.train.schedule
    named = any(_below(setting.partition("=")[0].strip(), ("train.schedule",)) for setting in settings)
    if (
        grown
        and schedule
        and schedule.ends
        and not named
        and not any(_below(key, ("train.schedule",)) for key in found)
    ):
        yield Problem(
            f"`{schedule.name}` ends with the last of {grown[0].before} epochs; say too how the learning rate goes on, "
            f"for example with --set train.schedule.name=constant, or with --set train.schedule.name={schedule.name} "
            f"as if there had been {grown[0].after} from the beginning",
            key=grown[0].key,
        )


def longer(one: Experiment, other: Experiment) -> bool:
    """Whether the other has more epochs, all else of its length being the same."""
    return any(difference.key in _lengths(one) and _grows(difference) for difference in between(one, other))


def length(experiment: Experiment) -> str:
    """The setting that tells how long its last stage is, or all of it where there is but one."""
    stages = experiment.train.stages
    return f"train.stages.{len(stages) - 1}.epochs" if stages else "train.epochs"


def _lengths(experiment: Experiment) -> tuple[str, ...]:
    """The settings that tell how long it is, as far as they may grow: an earlier stage is over, or leads elsewhere."""
    return tuple(dict.fromkeys(("train.epochs", length(experiment))))


def _grows(difference: Difference) -> bool:
    before, after = difference.before, difference.after
    return isinstance(before, int) and isinstance(after, int) and after > before


def _below(key: str, sections: Sequence[str]) -> bool:
    """Whether a setting is one of some, or within one of them."""
    return any(key == section or key.startswith(f"{section}.") for section in sections)
