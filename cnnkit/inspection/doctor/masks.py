"""Masks among the images: a second picture of the same name, black and white, that says where the thing is."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.core.text import counted, listed
from cnnkit.inspection.doctor.base import Finding, Patient

WORDS = ("mask", "masks", "seg", "segmentation", "gt", "groundtruth", "ground_truth", "label", "labels", "annotation")
"""What stands behind or before the name of a picture in that of its mask, in capitals or not."""

SHARE = 0.2
"""At least this share of the pictures of a class must be masks of others."""

LEAST = 3
"""Where not every class has masks, those that have some must have so many: a pair or two may be chance."""

EXTREME = 0.7
"""At least so many of the grey levels of a small picture of a mask are black or white; between them lie its edges."""

KIND = 0.9
"""Where at least this share of the second pictures of one ending are masks, all are."""

_WORDS = "|".join(WORDS)
_AFTER = re.compile(rf"(.+?)[_ .-]*(?:{_WORDS})(?:[_ .-]?[0-9]+)?$", re.IGNORECASE)
_BEFORE = re.compile(rf"^(?:{_WORDS})[_ .-]+(.+)$", re.IGNORECASE)


def check(patient: Patient) -> Iterator[Finding]:
    """Pictures that seem to be the masks of others, in every class or in some."""
    patient = patient.sound()
    if patient.pixels is not None and len(patient.index):
        like_masks = black_and_white(patient.pixels.thumbnails)
        yield from by_some(patient, dict(zip(patient.index.names, like_masks, strict=True)))


def by_some(patient: Patient, like_masks: Mapping[str, bool]) -> Iterator[Finding]:
    """The same by the names of all and the looks of some.

    Args:
        patient: The images.
        like_masks: Of those that were looked at, by their names, whether they are black and white.
    """
    if patient.index.path is None or not any(like_masks.values()):
        return  # so that a million names are not read in vain
    patient = patient.sound()
    index = patient.index
    found = [
        {one: other for one, other in pairs if index.labels[one] == index.labels[other]}
        for pairs in _pairs(index.names, [like_masks.get(name) for name in index.names])
    ]
    counts = np.bincount(index.labels, minlength=len(index.classes))
    masks = np.bincount(index.labels[[one for alike in found for one in alike]], minlength=len(index.classes))
    masked = (masks > 0) & (masks >= SHARE * counts)
    everywhere = bool(masked[counts > 0].all())
    if not everywhere:
        masked &= masks >= LEAST
        # What is called as these masks are is one in the other classes too.
        found = [alike for alike in found if any(masked[index.labels[one]] for one in alike)]
    pairs = {one: other for alike in found for one, other in alike.items()}
    if not pairs:
        return
    first = min(pairs, key=index.names.__getitem__)
    mask, picture = index.names[first], index.names[pairs[first]]
    message = (
        f"{counted(len(pairs), 'picture seems', 'pictures seem')} to be the mask of another one: black and white, of "
        f"the same name, as {mask} beside {picture}; they are trained on as images of their own"
    )
    parted = sum(len(patient.splits_of((one, other))) > 1 for one, other in pairs.items())
    if parted:
        message += f", {parted:,} in another split than their picture"
    if not everywhere:
        having = listed([name for name, some in zip(index.classes, masked, strict=True) if some])
        if all(masked[index.labels[one]] for one in pairs):
            have = "has" if masked.sum() == 1 else "have"
            message += f". Only {having} {have} some, so that to be a mask tells the class"
        else:
            message += f". Many images of {having} are such and few of others, so that to be a mask tells of the class"
    advice = "leave them out with `data.exclude`: `cnnkit data --fix-list` writes the list"
    if everywhere and (pattern := _pattern({(index.names[one], index.names[other]) for one, other in pairs.items()})):
        advice = f'use them with `data.prepare: [{{name: mask, method: file, file: "{pattern}"}}]`, or {advice}'
    groups = sorted([other, one] for one, other in pairs.items())
    yield from patient.about_groups("masks", "warning", message, advice, groups, pairs)


def black_and_white(thumbnails: Any) -> list[bool]:
    """Whether each small grey picture has hardly a level but the darkest and its lightest."""
    levels = thumbnails.reshape(len(thumbnails), -1)
    black, white = levels <= 8, levels >= 0.97 * levels.max(axis=1, keepdims=True)
    decided: list[bool] = ((black | white).mean(axis=1) >= EXTREME).tolist()
    return decided


def _pairs(names: Sequence[str], like_masks: Sequence[bool | None]) -> Iterator[list[tuple[int, int]]]:
    """The numbers of the masks, each with that of its picture, by how masks are called; None was not looked at."""
    paths = [PurePosixPath(name) for name in names]
    by_stem: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, path in enumerate(paths):
        if not like_masks[i]:
            by_stem[str(path.parent), path.stem.casefold()].append(i)
    by_form: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for i, path in enumerate(paths):
        picture = next((j for key in _stems(path) for j in by_stem.get(key, ()) if j != i), None)
        if picture is not None:
            by_form[path.name.replace(paths[picture].stem, "{stem}", 1)].append((i, picture))
    for pairs in by_form.values():
        # One with so many edges that it has grey levels is a mask too where the others of its kind are.
        looks = [look for i, _ in pairs if (look := like_masks[i]) is not None]
        if looks and sum(looks) >= KIND * len(looks):
            yield pairs


def _stems(path: PurePosixPath) -> Iterator[tuple[str, str]]:
    """Where the picture of a mask may lie: folder and name without its ending."""
    stem = path.stem.casefold()
    stems = [stem, *(found[1] for way in (_AFTER, _BEFORE) if (found := way.match(stem)))]
    folders = [str(path.parent)]
    # In a folder of masks: beside the pictures' folder, or below it.
    for depth, part in enumerate(path.parts[:-1]):
        before, behind = path.parts[:depth], path.parts[depth + 1 : -1]
        if re.fullmatch(_WORDS, part, re.IGNORECASE):
            folders += ["/".join([*before, *pictures, *behind]) or "." for pictures in ([], ["images"], ["image"])]
        elif (found := _AFTER.match(part)) and found[1] != part:
            folders.append("/".join([*before, found[1], *behind]))
    yield from ((folder, name) for folder in folders for name in stems)


def _pattern(pairs: set[tuple[str, str]]) -> str | None:
    """What leads from each picture to its mask, as `data.prepare` takes it; None where it is not the same for all."""
    found = set()
    for mask, picture in pairs:
        one, other = PurePosixPath(mask), PurePosixPath(picture)
        if other.stem not in one.name:
            return None
        where = posixpath.relpath(one.parent, other.parent)
        if posixpath.basename(where) == other.parent.name:
            where = posixpath.join(posixpath.dirname(where), "{folder}")
        found.add(posixpath.normpath(posixpath.join(where, one.name.replace(other.stem, "{stem}", 1))))
    return found.pop() if len(found) == 1 else None
