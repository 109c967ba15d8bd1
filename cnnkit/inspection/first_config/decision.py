"""Which of the candidates a config begins with: by what the pictures show, by what is here, and by hand.

A rule can't know which one will be better; a trial can (`cnnkit init --minutes`). The rule is right where one of them
has hardly a chance: a network that has learnt from photographs of 224 x 224 pixels gains little from pictures of 32,
and a small network can't learn from a few hundred photographs what the other one has seen in a million.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import UsageError
from cnnkit.core.text import counted
from cnnkit.inspection.first_config import duration, pretrained, rules
from cnnkit.inspection.first_config.base import Decision, Suggestion, Traits
from cnnkit.models import backbones
from cnnkit.models.backbones import FOLDER, Unusable
from cnnkit.models.known_backbones import FETCHED

DETAIL = 64
"""Pixels of the shorter side: pictures that show more are for a network that has learnt from photographs."""

PATIENCE = 600.0
"""Seconds that a training may take where nobody says how long, and a better backbone would take longer."""


@dataclass(frozen=True)
class Wish:
    """What a person has decided by hand.

    Attributes:
        from_scratch: A network from nothing.
        backbone: A folder, or the name of a backbone.
    """

    from_scratch: bool = False
    backbone: str | None = None


@dataclass(frozen=True)
class Candidates:
    """What may be suggested.

    Attributes:
        small: A small network from nothing.
        pretrained: A backbone with a fitted classifier, where there is one.
        notes: What should be known of those that there are, or are not.
    """

    small: Suggestion
    pretrained: Suggestion | None
    notes: tuple[str, ...] = ()


def candidates(
    traits: Traits, seconds: float = PATIENCE, wish: Wish | None = None, online: Callable[[], bool] = backbones.online
) -> Candidates:
    """What may be suggested for images of such traits.

    Args:
        traits: What the images are like.
        seconds: What a training may take.
        wish: What is decided already.
        online: Tells whether weights can be fetched; only asked where none are here.

    Raises:
        UsageError: The backbone that is wished for is not there.
    """
    wish = wish or Wish()
    small = rules.suggest(traits)
    if wish.from_scratch:
        return Candidates(small, None)
    if wish.backbone is not None:
        try:
            return Candidates(small, pretrained.suggest(traits, backbones.named(wish.backbone)))
        except Unusable as error:
            raise UsageError(f"--backbone {wish.backbone}: {error}") from None
    found = backbones.found()
    notes = tuple(f"Not used: {note}." for note in found.notes)
    here = [pretrained.suggest(traits, backbone) for backbone in found.backbones]
    if not here and not suits(traits):
        return Candidates(small, None, notes)  # nothing is fetched that hardly has a chance
    if not here and not online():
        where = cache_folder() / FOLDER
        instead = "so a small network from nothing; put one there and init again"
        missing = f"Offline, and no pretrained network in {where}, {instead}."
        return Candidates(small, None, (*notes, missing))
    fetched = [pretrained.suggest(traits, backbones.fetchable(name)) for name in FETCHED] if not here else []
    return Candidates(small, _best(here or fetched, traits, seconds), notes)


def _best(suggestions: Sequence[Suggestion], traits: Traits, seconds: float) -> Suggestion | None:
    """The best that the time allows, else the fastest; they come the best first."""
    speeds = duration.Speeds.here()
    in_time = [each for each in suggestions if duration.estimate(each, traits, speeds).seconds <= seconds]
    return in_time[0] if in_time else min(suggestions, key=lambda each: each.work)


def suits(traits: Traits) -> bool:
    """Whether the rule is for a pretrained network."""
    return traits.shown > DETAIL and traits.training < rules.MANY


def decided(traits: Traits, found: Candidates, wish: Wish | None = None) -> Decision:
    """Which candidate is taken without a trial, and why."""
    wish = wish or Wish()
    small, other = found.small, found.pretrained
    if other is None:
        why = "As asked for: a network from nothing." if wish.from_scratch else _why_small(traits)
        return _decision(traits, small, why, None, "", found.notes)
    assert other.backbone is not None
    if wish.backbone is not None:
        why = f"As asked for: {other.backbone.title}."
        return _decision(traits, other, why, small, "not tried", found.notes)
    slow = duration.estimate(other, traits, duration.Speeds.here()).seconds
    if suits(traits) and slow <= PATIENCE:
        why = (
            f"The pictures have real detail, as much as {traits.shown} pixels a side can show: {other.backbone.title} "
            "has learnt from a million photographs to see it, and a small network would have to from "
            f"{counted(traits.training, 'image')}."
        )
        return _decision(traits, other, why, small, _NOT_TRIED, found.notes)
    why = _why_small(traits)
    if suits(traits):
        why = f"{other.backbone.title} would take {duration.roughly(slow)}: a small network from nothing instead."
    return _decision(traits, small, why, other, _NOT_TRIED, found.notes)


_NOT_TRIED = "not tried; `cnnkit init --minutes 8` tries both and takes the better one"


def _why_small(traits: Traits) -> str:
    if traits.shown <= DETAIL:
        return (
            f"A small network from nothing: the pictures have no more detail than {traits.shown} pixels a side can "
            "show, and pretrained networks have learnt from more."
        )
    if traits.training >= rules.MANY:
        return f"A small network from nothing: {traits.training:,} training images teach it what it needs."
    return "A small network from nothing, as there is no pretrained one."


def _decision(
    traits: Traits, chosen: Suggestion, why: str, other: Suggestion | None, why_not: str, notes: tuple[str, ...]
) -> Decision:
    took = duration.estimate(chosen, traits, duration.Speeds.here())
    return Decision(chosen, why, other, why_not, took.seconds, took.basis, notes)
