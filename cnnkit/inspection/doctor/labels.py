"""Faults of the labels and splits: copies, contradictions, leaks, and classes that are empty, tiny or uneven."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace

from cnnkit.core.lazy import np
from cnnkit.core.text import counted, listed
from cnnkit.data.index import SPLITS, Index, empty_class
from cnnkit.inspection.doctor.base import ClassCount, Finding, Patient, Severity

TINY = 10
"""A class of fewer different images is tiny: less than two of them judge it."""

MANY_CONTRADICTIONS = 0.01
"""From this share of the images on, contradicting labels are an error; fewer, as most large sets have, a warning."""

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
    patient = replace(patient, splits=splits)
    by_digest: dict[str, list[int]] = defaultdict(list)
    for i in sorted(range(len(index)), key=index.names.__getitem__):
        by_digest[index.digests[i]].append(i)
    groups = [group for group in by_digest.values() if len(group) > 1]
    yield from _contradictions(patient, [group for group in groups if len(patient.labels_of(group)) > 1])
    yield from _leaks(patient, [group for group in groups if len(patient.splits_of(group)) > 1])
    # Copies in different splits are told as a leak, so here those of a split are a group.
    rest = [group for group in groups if len(patient.labels_of(group)) == 1]
    parts = ([i for i in group if splits[i] == split] for group in rest for split in SPLITS)
    yield from _duplicates(patient, sorted(part for part in parts if len(part) > 1))


def _contradictions(patient: Patient, groups: list[list[int]]) -> Iterator[Finding]:
    files = sum(map(len, groups))
    names = patient.index.classes
    pairs = Counter(" and ".join(sorted(names[label] for label in patient.labels_of(group))) for group in groups)
    message = f"{_lie(groups)} in more than one class ({_where(pairs, 5)}), {files} files"
    advice = "keep the copy in the right class; where nobody can tell, leave out all of them"
    severity: Severity = "error" if files >= MANY_CONTRADICTIONS * len(patient.index) else "warning"
    everything = [i for group in groups for i in group]
    yield from patient.about_groups("contradicting_labels", severity, message, advice, groups, everything)


def _leaks(patient: Patient, groups: list[list[int]]) -> Iterator[Finding]:
    pairs = Counter(" and ".join(sorted(patient.splits_of(group), key=SPLITS.index)) for group in groups)
    message = f"{_lie(groups)} in more than one split ({_where(pairs)}): what is measured on them is too good"
    advice = "leave out the copies in training, and those in validation that are in test"
    needless = [i for group in groups for i in patient.before_the_last_split(group)]
    yield from patient.about_groups("leak", "error", message, advice, groups, needless)


def _lie(groups: list[list[int]]) -> str:
    return counted(len(groups), "picture lies", "pictures lie")


def _where(pairs: Counter[str], most: int | None = None) -> str:
    return ", ".join(f"{count} in {pair}" for pair, count in pairs.most_common(most))


def _duplicates(patient: Patient, groups: list[list[int]]) -> Iterator[Finding]:
    needless = [i for group in groups for i in group[1:]]
    message = f"{counted(len(groups), 'picture')} more than once in a class, {len(needless) + len(groups)} files"
    message += "; the copies of each lie in one split"
    advice = "each copy counts again, in training and in what is measured; keep the first of them"
    severity: Severity = "warning" if len(needless) >= MANY_COPIES * len(patient.index) else "note"
    yield from patient.about_groups("duplicates", severity, message, advice, groups, needless)


def classes(patient: Patient) -> Iterator[Finding]:
    """Classes without images, with few, or with far fewer than others."""
    index = patient.index
    counts = np.bincount(index.labels, minlength=len(index.classes)).tolist()
    for name, count in zip(index.classes, counts, strict=True):
        if count == 0:
            yield Finding("empty_class", "error", *empty_class(name))
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
    else:
        advice = f"judge by macro F1, not by accuracy; add images of `{index.classes[small]}`, or let them count more: "
        yield Finding("imbalance", "warning", message, advice + "`data.balance: {name: class_weight}`")


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
