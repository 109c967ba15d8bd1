"""Faults of the labels and splits: copies, contradictions, leaks, and classes that are empty, tiny or uneven."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from cnnkit.core.lazy import np
from cnnkit.core.text import counted, listed
from cnnkit.data.index import SPLITS, Index
from cnnkit.inspection.doctor.base import ClassCount, Finding, Patient, Severity

TINY = 10
"""A class of fewer different images is tiny: less than two of them judge it."""

MANY_CONTRADICTIONS = 0.01
"""From this share of the images on, contradicting labels are an error (DESIGN of the project, decision 13)."""

MANY_COPIES = 0.05
"""From this share of the images on, needless copies are a warning."""

UNEVEN = 1.5
"""The largest class has so many times the images of the smallest: worth a note."""

IMBALANCED = 3.0
"""The same, worth a warning: of two such classes, who always says the larger one is right three times of four."""


def copies(patient: Patient) -> Iterator[Finding]:
    """The same picture several times: in two classes, in two splits, or without need."""
    index = patient.index
    splits = patient.splits or [split or "train" for split in index.splits]
    by_digest: dict[str, list[int]] = defaultdict(list)
    for i, digest in enumerate(index.digests):
        by_digest[digest].append(i)
    groups = [
        sorted(group, key=lambda i: index.names[i])
        for group in sorted(by_digest.values(), key=lambda group: min(index.names[i] for i in group))
        if len(group) > 1
    ]
    classes_of = [{int(index.labels[i]) for i in group} for group in groups]
    yield from _contradictions(index, [group for group, own in zip(groups, classes_of, strict=True) if len(own) > 1])
    yield from _leaks(index, groups, splits)
    # Copies in different splits are told as a leak, so here those of a split are a group.
    rest = [group for group, own in zip(groups, classes_of, strict=True) if len(own) == 1]
    within = [same for group in rest for split in SPLITS if len(same := [i for i in group if splits[i] == split]) > 1]
    yield from _duplicates(index, sorted(within))


def _contradictions(index: Index, groups: list[list[int]]) -> Iterator[Finding]:
    if not groups:
        return
    files, named = _named(index, groups)
    severity: Severity = "error" if len(files) >= MANY_CONTRADICTIONS * len(index) else "warning"
    pairs = Counter(" and ".join(sorted({index.classes[int(index.labels[i])] for i in group})) for group in groups)
    where = ", ".join(f"{count} in {pair}" for pair, count in pairs.most_common(5))
    lie = counted(len(groups), "picture lies", "pictures lie")
    message = f"{lie} in more than one class ({where}), {len(files)} files"
    advice = "keep the copy in the right class; where nobody can tell, leave out all of them"
    yield Finding("contradicting_labels", severity, message, advice, files, named, leave_out=files)


def _leaks(index: Index, groups: list[list[int]], splits: Sequence[str]) -> Iterator[Finding]:
    torn = [group for group in groups if len({splits[i] for i in group}) > 1]
    if not torn:
        return
    files, named = _named(index, torn)
    pairs = Counter(" and ".join(split for split in SPLITS if split in {splits[i] for i in group}) for group in torn)
    where = ", ".join(f"{count} in {pair}" for pair, count in pairs.most_common())
    lie = counted(len(torn), "picture lies", "pictures lie")
    message = f"{lie} in more than one split ({where}): what is measured on them is too good"
    # What judges stays as others know it; what chooses goes before what is learnt from.
    last = [max((splits[i] for i in group), key=SPLITS.index) for group in torn]
    leave_out = [index.names[i] for group, split in zip(torn, last, strict=True) for i in group if splits[i] != split]
    advice = "leave out the copies in training, and those in validation that are in test"
    yield Finding("leak", "error", message, advice, files, named, tuple(sorted(leave_out)))


def _duplicates(index: Index, groups: list[list[int]]) -> Iterator[Finding]:
    if not groups:
        return
    files, named = _named(index, groups)
    needless = len(files) - len(groups)
    severity: Severity = "warning" if needless >= MANY_COPIES * len(index) else "note"
    message = f"{counted(len(groups), 'picture')} more than once in a class, {len(files)} files"
    message += "; the copies of each lie in one split"
    advice = "each copy counts again, in training and in what is measured; keep the first of them"
    leave_out = tuple(sorted(name for group in named for name in group[1:]))
    yield Finding("duplicates", severity, message, advice, files, named, leave_out)


def _named(index: Index, groups: list[list[int]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The names of all, and of each group."""
    named = tuple(tuple(index.names[i] for i in group) for group in groups)
    return tuple(sorted(name for group in named for name in group)), named


def classes(patient: Patient) -> Iterator[Finding]:
    """Classes without images, with few, or with far fewer than others."""
    index = patient.index
    counts = np.bincount(index.labels, minlength=len(index.classes)).tolist()
    for name, count in zip(index.classes, counts, strict=True):
        if count == 0:
            message = f"class `{name}` has no image"
            yield Finding("empty_class", "error", message, "add images of it, or remove the class")
    different: dict[int, set[str]] = defaultdict(set)
    for label, digest in zip(index.labels.tolist(), index.digests, strict=True):
        different[label].add(digest)
    for label, digests in sorted(different.items()):
        if len(digests) < TINY:
            message = f"class `{index.classes[label]}` has only {counted(len(digests), 'different image')}"
            advice = "add images of it: a handful can neither be learnt from nor judged by"
            yield Finding("tiny_class", "warning", message, advice)
    yield from _similar(index)
    yield from _missing(patient, counts)
    yield from _imbalance(index, counts)


def _similar(index: Index) -> Iterator[Finding]:
    """Classes whose names differ in capitals, spaces or the form of an accent alone: mostly one class, misspelt."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in index.classes:
        alike[" ".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())].append(name)
    for names in alike.values():
        if len(names) > 1:
            message = f"the classes {listed(names)} differ in capitals, spaces or the form of an accent alone"
            yield Finding("similar_classes", "warning", message, "if they are one class, give them one name")


def _missing(patient: Patient, counts: list[int]) -> Iterator[Finding]:
    """Classes that some splits have and others lack, which only the source's own splits can do."""
    if patient.splits is None:
        return
    index = patient.index
    held = Counter(zip(patient.splits, index.labels.tolist(), strict=True))
    for split in sorted(set(patient.splits), key=SPLITS.index):
        lacking = [name for label, name in enumerate(index.classes) if counts[label] and not held[split, label]]
        if lacking:
            message = f"{split} has no image of {listed(lacking)}, which other splits have"
            advice = "move some of its images there, or remove the class: what is not there can't be judged"
            yield Finding("missing_class", "warning", message, advice)


def _imbalance(index: Index, counts: list[int]) -> Iterator[Finding]:
    inhabited = [label for label, count in enumerate(counts) if count]
    if len(inhabited) < 2:
        return
    small, large = min(inhabited, key=counts.__getitem__), max(inhabited, key=counts.__getitem__)
    ratio = counts[large] / counts[small]
    if ratio < UNEVEN:
        return
    message = (
        f"class `{index.classes[large]}` has {ratio:.1f} times the images of `{index.classes[small]}` "
        f"({counts[large]:,} and {counts[small]:,})"
    )
    if ratio < IMBALANCED:
        yield Finding("imbalance", "note", message, "judge by macro F1 rather than accuracy")
        return
    advice = (
        f"judge by macro F1, not by accuracy; add images of `{index.classes[small]}`, or let them count more: "
        "`data.balance: {name: class_weight}`"
    )
    yield Finding("imbalance", "warning", message, advice)


def table(patient: Patient) -> tuple[ClassCount, ...]:
    """How many images each class has, in all and in each split."""
    index = patient.index
    totals = Counter(index.labels.tolist())
    held = Counter(zip(patient.splits or (), index.labels.tolist(), strict=False))
    splits = [split for split in SPLITS if split in set(patient.splits or ())]
    return tuple(
        ClassCount(name, totals[label], {split: held[split, label] for split in splits})
        for label, name in enumerate(index.classes)
    )
