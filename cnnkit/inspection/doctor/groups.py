"""Groups, as the pictures of one patient: torn by splits of the source's own, or not known as groups at all."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from cnnkit.core.spec import captured
from cnnkit.core.text import counted
from cnnkit.data.index import Index
from cnnkit.inspection.doctor.base import Finding, Patient

SEPARATORS = "_- "
"""What stands between the parts of a name."""

ALIKE_NAMES = 0.9
"""At least this share of the names must be built alike to be taken for names of groups."""

LEAST = 5
"""Fewer groups than that are rather kinds or years; and none may hold half of the pictures."""

SAMPLE = 1000
"""So many names are read at first."""

_NUMBER = re.compile("[0-9]")

FOLDERS = ".*/([^/]+)/[^/]+"
"""Folders below those of the classes, which are asked first."""

DEEPEST = 3
"""So many parts of a name are tried, together, as the name of a group."""

GROUPS = (
    *("patient", "pat", "subject", "subj", "person", "participant", "donor", "case", "id", "pid", "animal", "mouse"),
    *("specimen", "sample", "plant", "tree", "leaf", "film", "video", "movie", "slide", "p"),
)
"""Words before the number of a group at the end of a name; any other number there is rather the picture's."""

PICTURES = ("img", "image", "photo", "pic", "picture", "foto", "dsc", "dscn", "dscf", "scan", "frame", "shot", "p")
"""Words before numbers that are counted anew in each group, so that names with the same one are of many groups.

`p` may be a page."""

_NUMBERED = re.compile("([A-Za-z]+)[_ -]?[0-9]")

_END = re.compile(rf"[_ -]({'|'.join(GROUPS)})([_ -]?)[0-9]+[A-Za-z]?(?:\.[^/.]*)?$", re.IGNORECASE)


def torn(patient: Patient) -> Iterator[Finding]:
    """Groups that the source's own splits tear apart; splits that are made here never do."""
    if patient.index.groups is None or patient.splits is None:
        return
    by_name: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(patient.index.groups):
        if name is not None:
            by_name[name].append(i)
    groups = [group for _, group in sorted(by_name.items()) if len(patient.splits_of(group)) > 1]
    if groups:
        message = f"the source's own splits tear {counted(len(groups), 'group')} apart: {siblings(patient, groups)}"
        advice = "divide them anew, group by group, or leave out the siblings in training: `--fix-list` names them"
        needless = [i for group in groups for i in patient.before_the_last_split(group)]
        yield from patient.about_groups("torn_groups", "warning", message, advice, groups, needless)


def siblings(patient: Patient, groups: Sequence[Sequence[int]]) -> str:
    """How many pictures that judge belong together with some that train, of how many, in words."""
    splits = patient.splits or ()
    many = Counter(splits)
    found: Counter[str] = Counter()
    for group in groups:
        if "train" in patient.splits_of(group):
            found.update(splits[i] for i in group)
    told = [f"{found[split]:,} of {many[split]:,} {split}" for split in ("test", "validation") if found[split]]
    if not told:
        return "validation and test share some"
    return f"{' and '.join(told)} images have a sibling in training"


def unnamed(patient: Patient) -> Iterator[Finding]:
    """Names that look like those of groups, where the source knows of none and the splits tear them apart."""
    if patient.splits is None or patient.index.path is None or patient.index.groups is not None:
        return
    for found in _readings(patient.index):
        together = [group for group in found.groups.values() if len(patient.splits_of(group)) > 1]
        if together:
            examples = " and ".join(sorted(found.groups)[:2])
            message = (
                f"the names look like those of {len(found.groups):,} groups, such as {examples}, and the splits tear "
                f"{len(together):,} of them apart: {siblings(patient, together)}"
            )
            own = any(split not in (None, "train") for split in patient.index.splits)
            does = "tells `cnnkit data --fix-list` which siblings to leave out" if own else "keeps them together"
            advice = (
                "if these are one patient, plant or film each, what is measured is too good; this in data.source "
                f"{does}: group_pattern: '{found.pattern}'"
            )
            yield from patient.about_groups("possible_groups", "warning", message, advice, together)
        return


class _Reading(NamedTuple):
    """A way to read names.

    Attributes:
        pattern: What finds the name of a group in a path.
        groups: From the name of each group to the numbers of its images.
    """

    pattern: str
    groups: dict[str, list[int]]


def _readings(index: Index) -> Iterator[_Reading]:
    """The ways to read the names as those of groups, the likeliest first; of like ones that with the largest groups."""
    some = range(0, len(index), max(1, len(index) // SAMPLE))
    named = [*_patterns(), *_patterns_of_ends(index.names[i] for i in some)]
    named.sort(key=lambda pattern: _unlikeliness(_read(index, pattern, some)))
    for pattern in (FOLDERS, *named):
        # Most names are built otherwise, which a few of a million tell.
        if sum(map(len, _read(index, pattern, some).values())) < ALIKE_NAMES * len(some) / 2:
            continue
        groups = _read(index, pattern, range(len(index)))
        matched = sum(map(len, groups.values()))
        several = sum(len(group) for group in groups.values() if len(group) > 1)
        # What each lies in one class, a few a class, are kinds: the name of the class, or a batch of it.
        kinds = len(groups) <= 2 * len(index.classes) and all(
            len({int(index.labels[i]) for i in group}) == 1 for group in groups.values()
        )
        if (
            matched >= ALIKE_NAMES * len(index)
            and several > matched / 2
            and len(groups) >= LEAST
            and max(map(len, groups.values())) <= len(index) / 2
            and not kinds
        ):
            every = all(captured(pattern, name) is not None for name in index.names)
            yield _Reading(pattern if every else f"{pattern}|.*", groups)


def _read(index: Index, pattern: str, chosen: Iterable[int]) -> dict[str, list[int]]:
    """The images that a pattern finds a group for that has a number, as the rest of the file's name has: its own."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i in chosen:
        name = index.names[i]
        group = captured(pattern, name)
        if group is None or group == index.classes[index.labels[i]] or not _NUMBER.search(group):
            continue
        place = name.rindex(group)
        if _NUMBER.search(name, place + len(group)) or _NUMBER.search(name, name.rfind("/") + 1, place):
            groups[group].append(i)
    return dict(groups)


def _unlikeliness(groups: Iterable[str]) -> int:
    """How unlikely names are those of groups, by the words that they begin with: of two that would do the smaller."""
    words = Counter(found[1].lower() for name in groups if (found := _NUMBERED.match(name)))
    word = words.most_common(1)[0][0] if words else ""
    return (word in PICTURES) - (word in GROUPS)


def _patterns() -> Iterator[str]:
    """The first parts of the name of a file, fewer of them first."""
    for separator in SEPARATORS:
        part = f"[^/{separator}]+"
        for parts in range(1, DEEPEST + 1):
            yield f"(?:.*/)?({separator.join([part] * parts)}){separator}[^/]*"


def _patterns_of_ends(names: Iterable[str]) -> Iterator[str]:
    """The last part of the name of a file, where a word says that it is a group's number: `scan_001_patient12.png`.

    A letter behind it (`p07L`, `p07R`) does not make it another one.
    """
    ends: Counter[tuple[str, str]] = Counter()
    for name in names:
        if found := _END.search(name):
            ends[found[1], found[2]] += 1
    for (word, between), _ in ends.most_common(1):
        yield f"(?:.*/)?[^/]*[ _-]({word}{between}[0-9]+)[A-Za-z]?(?:[.][^/.]*)?"
