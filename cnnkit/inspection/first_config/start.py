"""From images to a config that suits them: looked at, thought about, written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnkit.config.file import CONFIGS
from cnnkit.core import atomic
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted, typed
from cnnkit.data.index import Unused, predictions, why_left_out
from cnnkit.data.section import Data
from cnnkit.data.sources import recognised
from cnnkit.data.sources.base import Source
from cnnkit.inspection.first_config import duration
from cnnkit.inspection.first_config.base import SEED, Decision, Traits
from cnnkit.inspection.first_config.decision import Wish, candidates, decided
from cnnkit.inspection.first_config.rules import FEW, GREY, in_comment, shares
from cnnkit.inspection.first_config.traits import look
from cnnkit.inspection.first_config.writing import config_text, section_of, valid_name
from cnnkit.runs import overwriting

LONG = 1800
"""Seconds of training from which on a quick try is suggested first."""

USES = ("train", "validate", "test")
"""What the images of each split do."""


@dataclass(frozen=True)
class Subject:
    """Images that a config is to be written for.

    Attributes:
        name: What the experiment will be called.
        source: Where they come from.
        traits: What they are like.
        progress: Is told how far the work is.
    """

    name: str
    source: Source
    traits: Traits
    progress: Progress


@dataclass(frozen=True)
class Start:
    """A config that was written for some images.

    Attributes:
        path: The file.
        config: What it says.
        images: What the images are, in a line.
        title: What is trained, in a few words.
        why: Why that.
        seconds: How long it will train here.
        basis: What that is told by.
        notes: What should be known, in a line each.
        later: What can be done once it is trained, in a line each.
        next: The command to go on with.
    """

    path: Path
    config: dict[str, Any]
    images: str
    title: str
    why: str
    seconds: float
    basis: str
    notes: tuple[str, ...]
    later: tuple[str, ...]
    next: str

    def lines(self) -> Iterator[str]:
        """What to tell a person."""
        height, width = self.config["data"]["image_size"]
        yield f"{self.images}."
        yield from self.notes
        yield self.why
        yield (
            f"{self.path} is written: {width} x {height} pixels, {self.title}, {duration.roughly(self.seconds)} here."
        )
        yield from self.later
        yield f"Next: {self.next}"

    def as_json(self) -> dict[str, Any]:
        """The document of `cnnkit init --json`."""
        return {**asdict(self), "path": str(self.path), "seconds": round(self.seconds)}


def start(
    images: Path,
    output: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
    decide: Callable[[Subject], Decision] | None = None,
) -> Start:
    """Looks at images and writes a config for them.

    Args:
        images: A folder, or a file that a source reads.
        output: The config's file; by default NAME.yaml in the working folder, NAME as `images` is called.
        force: Whether a file that is there may be written over.
        progress: Is told how far it is.
        decide: Chooses what the config begins with; by default the rule does.

    Raises:
        UsageError: The file can't be written there.
        DataError: The images can't be trained on.
    """
    progress = progress or Progress()
    there = Path(os.path.normpath(images.absolute()))
    name = valid_name(there)
    path = output or Path(f"{name}.yaml")
    overwriting.refuse("--output", path, force, overwriting.Form("a config is YAML", CONFIGS), reads=(images,))
    try:
        source = recognised(there)
        traits, understood, unused = _looked_at(source, progress)
    except DataError as error:
        raise error.without_settings() from None
    decision = (decide or by_rule())(Subject(name, source, traits, progress))
    section = section_of(source, path.absolute().parent)
    train, notes = f"cnnkit train {typed(path)}", [*understood, *decision.notes, *_notes(traits, source)]
    later = [f"After training: `{command}`." for command in predictions(unused)]
    kinds, uses = _kinds(traits), _uses(traits)
    header = [
        f"{name}: written by `cnnkit init`. Each setting stands below its reason; change what you know better.",
        "",
        f"Images:   {kinds}",
        f"          {uses}",
        f"Command:  {train}",
        f"Time:     {duration.roughly(decision.seconds)} here, {decision.basis}",
        *([f"          For a quick try: {train} --set data.limit=300"] if decision.seconds > LONG else []),
    ]
    atomic.write_text(path, config_text(name, section, decision, header, [*notes, *later]))
    values = decision.chosen.values()
    config = {"name": name, "seed": SEED, **values, "data": {"source": section, **values["data"]}}
    following = f"cnnkit data {typed(images)}" if traits.bad or traits.findings else train
    return Start(
        path,
        config,
        f"{kinds}; {uses}",
        decision.chosen.title,
        decision.why,
        decision.seconds,
        decision.basis,
        tuple(notes),
        tuple(later),
        following,
    )


def by_rule(wish: Wish | None = None) -> Callable[[Subject], Decision]:
    """Decides in a second, without TensorFlow, by what images are like and what is here."""
    return lambda subject: decided(subject.traits, candidates(subject.traits, wish=wish), wish)


def _looked_at(source: Source, progress: Progress) -> tuple[Traits, tuple[str, ...], tuple[Unused, ...]]:
    """What the images are like, how they were understood where that should be known, and what is not used."""
    collection = source.open(progress)
    index = collection.index(progress)
    split = shares(len(index), collection.splits)
    splits = Data.model_validate({"source": source, "split": split}).splits(index)
    understood = tuple(map(_sentence, (*index.notes, *why_left_out(index.unused))))
    return look(collection, index, splits, progress), understood, tuple(index.unused)


def _sentence(text: str) -> str:
    """A message as a line of its own: with a capital, and a full stop."""
    return f"{text[:1].upper()}{text[1:]}" + "." * (not text.endswith("."))


def _kinds(traits: Traits) -> str:
    """What the images are."""
    (least, few), (most, many) = traits.smallest, traits.largest
    kind = "grey" if traits.grey >= GREY else "colour"
    each = f"{few:,} each" if few == many else f"{few:,} ({in_comment(least)}) to {many:,} ({in_comment(most)}) each"
    return f"{traits.images:,} {kind} images of {len(traits.classes)} classes, {each}"


def _uses(traits: Traits) -> str:
    """What the images of each split do."""
    return ", ".join(f"{count:,} {use}" for count, use in zip(traits.splits.values(), USES, strict=True))


def _notes(traits: Traits, source: Source) -> Iterator[str]:
    if traits.bad:
        name, reason = next(iter(traits.bad.items()))
        skip = ", or write `on_bad: skip` into the source" if "on_bad" in type(source).model_fields else ""
        yield (
            f"{counted(len(traits.bad), 'file')} can't be read as images, for example {in_comment(name)} ({reason}). "
            f"Training stops at such files: repair or remove them{skip}."
        )
    for finding in traits.findings:
        yield f"{_sentence(finding.message)} {_sentence(finding.advice)}"
    if traits.training < FEW:
        yield f"{traits.training} training images are few: each more of them helps more than any setting."
