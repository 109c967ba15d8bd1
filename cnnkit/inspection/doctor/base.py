"""What the doctor looks at, and what it finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from cnnkit.core.text import counted
from cnnkit.data.index import SPLITS, Index, Unused
from cnnkit.data.likeness.pixels import Pixels

Severity = Literal["error", "warning", "note"]
"""An error stops `train`; a warning should be looked at; a note is good to know."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with the data, or odd.

    Attributes:
        kind: What sort of thing, one word for programs: `undecodable`, `leak`, `imbalance`.
        severity: How bad it is.
        message: What is the matter, in a line.
        advice: What to do about it, in a line; empty where nothing needs to be done.
        files: Names of all images concerned, in the order of their names.
        groups: Those that belong together, for example the copies of one picture.
        leave_out: Those of `files` that the data is better without; what `--fix-list` writes.
    """

    kind: str
    severity: Severity
    message: str
    advice: str = ""
    files: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    leave_out: tuple[str, ...] = ()


def about_images(kind: str, severity: Severity, what: str, advice: str, names: Iterable[str]) -> Iterator[Finding]:
    """The finding that some images are so, given by their names; nothing where there are none."""
    if files := tuple(sorted(names)):
        yield Finding(kind, severity, f"{counted(len(files), 'picture')} {what}", advice, files)


@dataclass(frozen=True)
class Patient:
    """What a check looks at.

    Attributes:
        index: The images.
        splits: The split of each; None where they can't be divided.
        skip_bad: Whether files that can't be decoded are left out by the source.
        pixels: What the decoded images are like; None in the quick examination that `train` makes.
    """

    index: Index
    splits: Sequence[str] | None
    skip_bad: bool = False
    pixels: Pixels | None = None

    def bad(self) -> dict[int, str]:
        """The images that can't be decoded, as far as that is known, each with the reason."""
        by_index = {i: facts.bad for i, facts in enumerate(self.index.facts or ()) if facts.bad}
        return by_index | (self.pixels.bad if self.pixels else {})

    def sound(self) -> Patient:
        """The same without the images that can't be decoded."""
        bad = self.bad()
        if not bad:
            return self
        good = [i for i in range(len(self.index)) if i not in bad]
        return replace(
            self,
            index=self.index.take(good),
            splits=None if self.splits is None else [self.splits[i] for i in good],
            pixels=self.pixels.take(good) if self.pixels else None,
        )

    def labels_of(self, group: Iterable[int]) -> set[int]:
        """The classes that some images have."""
        return {int(self.index.labels[i]) for i in group}

    def splits_of(self, group: Iterable[int]) -> set[str]:
        """The splits that some images lie in; none where images can't be divided."""
        return {self.splits[i] for i in group} if self.splits is not None else set()

    def before_the_last_split(self, group: Iterable[int]) -> list[int]:
        """Those of some images that may go: what judges stays as others know it, what chooses before what trains."""
        splits = self.splits or ()
        last = max((splits[i] for i in group), key=SPLITS.index)
        return [i for i in group if splits[i] != last]

    def about_groups(
        self,
        kind: str,
        severity: Severity,
        message: str,
        advice: str,
        groups: Sequence[Sequence[int]],
        leave_out: Iterable[int] = (),
    ) -> Iterator[Finding]:
        """The finding about images that belong together, given by their numbers; nothing where there are none."""
        if groups:
            files = self._names(i for group in groups for i in group)
            yield Finding(
                kind, severity, message, advice, files, tuple(map(self._names, groups)), self._names(leave_out)
            )

    def _names(self, numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(sorted(self.index.names[i] for i in numbers))


@dataclass(frozen=True)
class ClassCount:
    """How many images a class has, in all and in each split."""

    name: str
    images: int
    splits: dict[str, int]


@dataclass(frozen=True)
class Sizes:
    """Width and height of the pictures, as stored: of the smallest, the middle one and the largest by area."""

    different: int
    smallest: tuple[int, int]
    middle: tuple[int, int]
    largest: tuple[int, int]


@dataclass(frozen=True)
class Report:
    """What the doctor says.

    Attributes:
        images: How many there are that can be decoded.
        classes: Each class with these images.
        findings: Errors first, then warnings, then notes.
        sizes: How large the pictures are; None where they are no files.
        mean: Of each channel (red, green, blue) over all pictures, each counting the same, 0..255; None where the
            images were not decoded.
        std: The standard deviation of the same.
        sheets: The contact sheets, one a class; empty where none were drawn.
        unused: What the source found and did not use.
    """

    images: int
    classes: tuple[ClassCount, ...]
    findings: tuple[Finding, ...]
    sizes: Sizes | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    sheets: tuple[str, ...] = ()
    unused: tuple[Unused, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the pictures themselves were looked at, near-copies and all, and not what is known without."""
        return self.mean is not None

    @property
    def verdict(self) -> Severity | Literal["good"]:
        """The worst there is: `error`, `warning`, else `good`."""
        found = {finding.severity for finding in self.findings}
        return "error" if "error" in found else "warning" if "warning" in found else "good"

    def as_json(self) -> dict[str, Any]:
        """The document that `cnnkit data --json` prints."""
        unused = [{"name": each.name, "reason": each.reason, "files": each.files} for each in self.unused]
        return {"verdict": self.verdict} | asdict(self) | {"unused": unused}
