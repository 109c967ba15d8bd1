"""What is said of near-duplicates: by where they lie, and whether they are copies or series."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from cnnkit.core.disjoint_sets import joined
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted
from cnnkit.data.index import Index
from cnnkit.data.likeness.near_duplicates import Found
from cnnkit.data.likeness.remembered import found_among
from cnnkit.inspection.doctor.base import Finding, Patient
from cnnkit.inspection.doctor.groups import siblings

CROWDED, CROWDED_SHARE = 10, 0.1
"""Where more pictures than that, and a larger share, lie in groups of more than two, they are hardly copies but a
series: the frames of a film, a camera that does not move."""


KEEP = "`data.split: {keep_together: near}`"


def check(patient: Patient, kept: bool, progress: Progress) -> Iterator[Finding]:
    """Groups of near-duplicates: across splits, across classes, and within a class and split.

    Exact copies alone are no group, but where a picture has a near-duplicate its exact copies are listed with it.

    Args:
        patient: What is looked at.
        kept: Whether the split keeps near-duplicates together, where the source does not divide them itself.
        progress: Is told how far it is.
    """
    patient = patient.sound()
    index, pixels = patient.index, patient.pixels
    if pixels is None:
        return
    found = found_among(index, pixels, progress)
    groups = sorted(found.groups, key=lambda group: (-len(group), sorted(index.names[i] for i in group)))
    # Where most pictures differ from others in a small place only, what does not seem to differ may well do so.
    if groups and found.rejected > len(set(index.digests)):
        message = "the pictures look much alike: near-duplicates can't be told from a series"
        advice = f"shots of one thing, or of one film, belong in one split: {KEEP}; look at these groups yourself"
        yield from patient.about_groups("look_alike", "note", message, advice, groups)
        return
    if not found.complete:
        message = "the pictures look much alike: only the most alike were compared closely"
        advice = "of copies that were cropped or changed otherwise, some may not be found"
        yield Finding("look_alike", "note", message, advice)
    yield from _by_place(patient, groups, _parts(index, found), kept)


def _parts(index: Index, found: Found) -> list[list[int]]:
    """The groups with what is linked to them."""
    parts: dict[int, list[int]] = defaultdict(list)
    for i, home in enumerate(joined(len(index), [*found.groups, *found.links])):
        parts[home].append(i)
    several = (part for part in parts.values() if len(part) > 1)
    return sorted(several, key=lambda part: (-len(part), sorted(index.names[i] for i in part)))


def _is_series(index: Index, groups: Sequence[Sequence[int]]) -> bool:
    """Whether too many of the different pictures lie in groups of more than two for these to be copies."""
    contents = [{index.digests[i] for i in group} for group in groups]
    crowded = set[str]().union(*(group for group in contents if len(group) > 2))
    return len(crowded) > max(CROWDED, CROWDED_SHARE * len(set(index.digests)))


def _by_place(
    patient: Patient, groups: Sequence[Sequence[int]], parts: Sequence[Sequence[int]], kept: bool
) -> Iterator[Finding]:
    """The groups by where their pictures lie; one may lie across splits and across classes."""
    given = any(split is not None for split in patient.index.splits)
    alone = not given and not kept  # no more than one of a group may stay, or another split would tear it
    torn = [part for part in parts if len(patient.splits_of(part)) > 1]
    message = f"{_counted(torn)} in two splits at once, so a model is judged on what it was shown: "
    message += siblings(patient, torn)
    series = "shots of one thing, or of one film, belong in one split: " if _is_series(patient.index, groups) else ""
    advice = (
        "leave the copies in training out, `--fix-list` names them; or give the images undivided, with " + KEEP
        if given
        else f"{KEEP} keeps each group in one split; or leave all but one out, `--fix-list` names them"
    )
    across = {i for part in torn for i in part}
    needless = (
        [i for part in torn for i in patient.before_the_last_split(part)]
        if given
        else [i for group in groups if across & set(group) for i in _needless(patient, group, alone)]
    )
    yield from patient.about_groups("near_leak", "warning", message, series + advice, torn, needless)
    mixed = [group for group in groups if len(patient.labels_of(group)) > 1]
    message = f"{_counted(mixed)} in two classes at once"
    advice = (
        "look at each: put the copies into the right class, or leave them out; `--fix-list` names those of the rarer "
        "class, and all where none is rarer"
    )
    needless = [i for group in mixed for i in _needless(patient, group, alone)]
    yield from patient.about_groups("near_contradicting", "warning", message, advice, mixed, needless)
    within = [group for group in groups if not across & set(group) and len(patient.labels_of(group)) < 2]
    message = f"{_counted(within)} within a class and split"
    advice = (
        f"another data.split.seed would draw some into two splits, but for {KEEP}; or leave all but one out, "
        "`--fix-list` names them"
        if alone
        else "nothing needs to be done; each copy makes its picture count once more"
    )
    needless = [i for group in within for i in _needless(patient, group, alone)]
    yield from patient.about_groups("near_duplicates", "note", message, advice, within, needless)


def _counted(groups: Sequence[Sequence[int]]) -> str:
    return counted(len(groups), "group of near-duplicates lies", "groups of near-duplicates lie")


def _needless(patient: Patient, group: Sequence[int], alone: bool) -> list[int]:
    """Those of a group that are better left out.

    Of several classes the one that most have is right; where no class has most, nobody can tell, and none is.

    Args:
        patient: What is looked at.
        group: Pictures that are the same as the first of them.
        alone: Whether only one can stay.
    """
    labels = [int(patient.index.labels[i]) for i in group]
    (label, most), *others = Counter(labels).most_common()
    right = label if not others or most > others[0][1] else None
    if alone:
        return list(group[1:] if labels[0] == right else group)
    return [i for i, label in zip(group, labels, strict=True) if label != right]
