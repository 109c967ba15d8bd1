"""What is said of near-duplicates: by where they lie, and whether they are copies or a series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnnkit.core.progress import Progress
from cnnkit.core.text import counted
from cnnkit.data.index import Index
from cnnkit.data.likeness.near_duplicates import near_duplicates
from cnnkit.inspection.doctor.base import Finding, Patient

CROWDED, CROWDED_SHARE = 10, 0.1
"""Where more pictures than that, and a larger share, lie in groups of more than two, they are hardly copies but a
series: the frames of a film, a camera that does not move."""


def check(patient: Patient, progress: Progress) -> Iterator[Finding]:
    """Groups of near-duplicates: across splits, across classes, and within a class and split.

    Exact copies alone are no group, but where a picture has a near-duplicate its exact copies are listed with it.
    """
    patient = patient.sound()
    index, pixels = patient.index, patient.pixels
    if pixels is None:
        return
    found = near_duplicates(index, pixels.thumbnails, progress)
    groups = sorted(found.groups, key=lambda group: (-len(group), sorted(index.names[i] for i in group)))
    different = len(set(index.digests))
    # Where most pictures differ from others in a small place only, they are a series too.
    if _is_series(index, groups, different) or (groups and found.rejected > different):
        message = "the pictures look much alike: near-duplicates can't be told from a series"
        advice = "shots of one thing, or of one film, belong in one split together; look at these groups yourself"
        yield from patient.about_groups("look_alike", "note", message, advice, groups)
        return
    if not found.complete:
        message = "the pictures look much alike: only the most alike were compared closely"
        advice = "of copies that were cropped or changed otherwise, some may not be found"
        yield Finding("look_alike", "note", message, advice)
    yield from _by_place(patient, groups)


def _is_series(index: Index, groups: Sequence[Sequence[int]], different: int) -> bool:
    """Whether too many of the different pictures lie in groups of more than two for these to be copies."""
    contents = [{index.digests[i] for i in group} for group in groups]
    crowded = set[str]().union(*(group for group in contents if len(group) > 2))
    return len(crowded) > max(CROWDED, CROWDED_SHARE * different)


def _by_place(patient: Patient, groups: Sequence[Sequence[int]]) -> Iterator[Finding]:
    """The groups by where their pictures lie; one may lie across splits and across classes."""
    given = any(split is not None for split in patient.index.splits)
    torn = [group for group in groups if len(patient.splits_of(group)) > 1]
    message = f"{_counted(torn)} in two splits at once, so a model is judged on what it was shown"
    advice = (
        "leave the copies in training out, `--fix-list` names them"
        if given
        else "a random split keeps only exact copies together: leave all but one out, `--fix-list` names them"
    )
    yield from patient.about_groups("near_leak", "warning", message, advice, torn, _needless(patient, torn, given))
    mixed = [group for group in groups if len(patient.labels_of(group)) > 1]
    message = f"{_counted(mixed)} in two classes at once"
    advice = "look at each: put the copies into the right class, or leave them out"
    yield from patient.about_groups("near_contradicting", "warning", message, advice, mixed)
    within = [group for group in groups if len(patient.splits_of(group)) < 2 and len(patient.labels_of(group)) < 2]
    message = f"{_counted(within)} within a class and split"
    advice = (
        "nothing needs to be done; each copy makes its picture count once more"
        if given
        else "another seed would draw some into two splits: leave all but one out, `--fix-list` names them"
    )
    yield from patient.about_groups(
        "near_duplicates", "note", message, advice, within, _needless(patient, within, given)
    )


def _counted(groups: Sequence[Sequence[int]]) -> str:
    return counted(len(groups), "group of near-duplicates lies", "groups of near-duplicates lie")


def _needless(patient: Patient, groups: Sequence[Sequence[int]], given: bool) -> list[int]:
    """The pictures of groups that are better left out."""
    if given and patient.splits is not None:
        return [i for group in groups for i in patient.before_the_last_split(group)]
    # Splits that are drawn are drawn anew when pictures are left out, or with another seed: only one can stay.
    return [i for group in groups if len(patient.labels_of(group)) == 1 for i in group[1:]]
