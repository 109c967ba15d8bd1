"""Groups, as the pictures of one patient: torn by splits of the source's own, or not known as groups at all."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
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

_NUMBER = re.compile("[0-9]+")

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

`p`, which is in both, may be a patient or a page."""

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
    torn = [
        (found, together)
        for found in _likeliest(patient.index)
        if (together := [group for group in found.groups.values() if len(patient.splits_of(group)) > 1])
    ]
    if not torn:
        return
    (found, together), *others = torn
    message = (
        f"the names look like those of {len(found.groups):,} groups, such as {found.examples}, and the splits tear "
        f"{len(together):,} of them apart: {siblings(patient, together)}"
    )
    own = any(split not in (None, "train") for split in patient.index.splits)
    does = "tells `cnnkit data --fix-list` which siblings to leave out" if own else "keeps them together"
    advice = (
        "if these are one patient, plant or film each, what is measured is too good; this in data.source "
        f"{does}: group_pattern: '{found.pattern}'"
    )
    for other, _ in others:
        advice += f"; if rather {other.examples} are such: group_pattern: '{other.pattern}'"
    yield from patient.about_groups("possible_groups", "warning", message, advice, together)


class _Reading(NamedTuple):
    """A way to read names.

    Attributes:
        pattern: What finds the name of a group in a path.
        word: What most names of groups begin with, before their number, in small letters; empty where nothing does.
        groups: From the name of each group to the numbers of its images.
    """

    pattern: str
    word: str
    groups: dict[str, list[int]]

    @property
    def examples(self) -> str:
        """The names of two groups."""
        return " and ".join(sorted(self.groups)[:2])


def _likeliest(index: Index) -> list[_Reading]:
    """The likeliest way to read the names as those of groups; two where nobody can tell which.

    Of `IMG_3_p7` either word may count what belongs together, and the other the pictures of each: then the first is
    that with more groups, as what is counted anew in each has fewer values.
    """
    readings = _readings(index)
    found = [*islice(readings, 1)]
    if found and found[0].word in PICTURES and not _is_either(found[0].word):
        found += islice((other for other in readings if _is_either(other.word)), 1)
    return sorted(found, key=lambda reading: -len(reading.groups))


def _readings(index: Index) -> Iterator[_Reading]:
    """The ways to read the names as those of groups, the likeliest first; of like ones that with the largest groups."""
    some = range(0, len(index), max(1, len(index) // SAMPLE))
    words = dict.fromkeys((FOLDERS, *_patterns()), "") | dict(_patterns_of_ends(index.names[i] for i in some))
    read = {pattern: [*_read(index, pattern, some)] for pattern in words}
    words = {pattern: word or _word(each.group for each in read[pattern]) for pattern, word in words.items()}
    for pattern in sorted(words, key=lambda pattern: (pattern != FOLDERS, _unlikeliness(words[pattern]))):
        # Most names are built otherwise, which a few of a million tell.
        if len(read[pattern]) < ALIKE_NAMES * len(some) / 2:
            continue
        groups = _groups(index, _read(index, pattern, range(len(index))))
        matched = sum(map(len, groups.values()))
        several = sum(len(group) for group in groups.values() if len(group) > 1)
        of_classes = [len({int(index.labels[i]) for i in group}) for group in groups.values()]
        # What each lies in one class, a few a class, are kinds: the name of the class, or a batch of it.
        kinds = len(groups) <= 2 * len(index.classes) and all(number == 1 for number in of_classes)
        # Each with one picture of a class at most: rather pictures that are counted anew in each class.
        anew = all(len(group) == number for group, number in zip(groups.values(), of_classes, strict=True))
        if (
            matched >= ALIKE_NAMES * len(index)
            and several > matched / 2
            and len(groups) >= LEAST
            and max(map(len, groups.values())) <= len(index) / 2
            and not (kinds or anew)
        ):
            every = all(captured(pattern, name) is not None for name in index.names)
            yield _Reading(pattern if every else f"{pattern}|.*", words[pattern], groups)


class _Read(NamedTuple):
    """What a name is read as.

    Attributes:
        image: The number of the image.
        group: The name of its group.
        others: The other numbers in the name of its file, one at least.
    """

    image: int
    group: str
    others: list[str]


def _read(index: Index, pattern: str, chosen: Iterable[int]) -> Iterator[_Read]:
    """The images that a pattern finds a group for that has a number, as the rest of the file's name has."""
    for i in chosen:
        name = index.names[i]
        found = re.fullmatch(pattern, name)
        if found is None or found[1] == index.classes[index.labels[i]] or not _NUMBER.search(found[1]):
            continue
        begin, end = found.span(1)
        if others := [*_NUMBER.findall(name[name.rfind("/") + 1 : begin]), *_NUMBER.findall(name[end:])]:
            yield _Read(i, found[1], others)


def _groups(index: Index, read: Iterable[_Read]) -> dict[str, list[int]]:
    """The images of each group; none where no other number is the picture's own.

    None is where they are the same in all names of each class, as a year is, or the number of the class.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    first: dict[int, list[str]] = {}
    same = differ = False
    for image, group, others in read:
        groups[group].append(image)
        of = int(index.labels[image])
        if of in first:
            same, differ = same or others == first[of], differ or others != first[of]
        else:
            first[of] = others
    return {} if same and not differ else dict(groups)


def _word(groups: Iterable[str]) -> str:
    """The word that most names of groups begin with, before a number."""
    words = Counter(found[1].lower() for name in dict.fromkeys(groups) if (found := _NUMBERED.match(name)))
    return words.most_common(1)[0][0] if words else ""


def _is_either(word: str) -> bool:
    """Whether a word may stand before the number of a group or before that of a picture."""
    return word in GROUPS and word in PICTURES


def _unlikeliness(word: str) -> int:
    """How unlikely names that begin so are those of groups: of two that would do the smaller."""
    return 2 if _is_either(word) else (word in PICTURES) - (word in GROUPS)


def _patterns() -> Iterator[str]:
    """The first parts of the name of a file, fewer of them first."""
    for separator in SEPARATORS:
        part = f"[^/{separator}]+"
        for parts in range(1, DEEPEST + 1):
            yield f"(?:.*/)?({separator.join([part] * parts)}){separator}[^/]*"


def _patterns_of_ends(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The last part of the name of a file, where a word says that it is a group's number: `scan_001_patient12.png`.

    A letter behind it (`p07L`, `p07R`) does not make it another one, nor does another spelling of the word.

    Gives the pattern with the word.
    """
    ends: dict[str, set[str]] = defaultdict(set)
    words: Counter[str] = Counter()
    for name in names:
        if found := _END.search(name):
            words[found[1].lower()] += 1
            ends[found[1].lower()].add(found[1] + found[2])
    for word, _ in words.most_common(1):
        one, *others = sorted(ends[word])
        group = f"(?:{'|'.join([one, *others])})([0-9]+)" if others else f"({one}[0-9]+)"
        yield f"(?:.*/)?[^/]*[ _-]{group}[A-Za-z]?(?:[.][^/.]*)?", word
