"""Folders of images that tell no class: what they may be, and how the classes could be told."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from cnnkit.core.text import counted, listed, some
from cnnkit.data.files.walking import counts_below, files_below, files_in, hidden
from cnnkit.data.sources import named_files
from cnnkit.data.sources.layout import Layout
from cnnkit.data.sources.named_files import NamedFiles
from cnnkit.data.sources.tree import LOOKED_AT, Tree, is_aside, is_table

_MASK = "mask"
_PACKED = {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz"}

WAYS = (
    "put the images of each class into a folder called as it, list them in a table (source manifest), or, where the "
    "class stands in the files' names, set label_pattern"
)


def pattern(tree: Tree, found: Layout) -> str | None:
    """The pattern by which the names of images clearly hold their class; None if they don't."""
    training = [folder for folder, split in found.splits.items() if split == "train"]
    names = [tree.below(f) for folder in training or found.flat for f in files_below(folder) if tree.is_image(f)]
    if suggested := named_files.suggested(names):
        # In other splits there may be further classes, which are to be found as before.
        every = [tree.below(file) for file in files_below(tree.root) if tree.is_image(file)]
        return named_files.spelt_out(suggested, every)
    return None


def what_is_there(tree: Tree, found: Layout) -> str:
    """What a folder holds in place of two class folders or more, and what to do."""
    root = tree.root
    should = f"{root} should hold a subfolder of images for each of at least two classes"
    if not found.flat and found.classes:
        only = {folder.path.name for folder in found.classes}
        return f"{should}; it holds only one, {listed(sorted(only))}{_aside(found)}"
    images = sum(counts_below(folder)[1] for folder in found.flat)
    if not images:
        why = tree.why_none(root) or "no file at all"
        return f"{should}; it holds none, and no image ({why}){_lying_there(tree, found)}"
    where = "right in it" if found.flat == (root,) else f"in {listed([tree.below(folder) for folder in found.flat])}"
    splits = ", which are splits by their names" if found.splits else ""
    message = f"{should}; it holds none, but {counted(images, 'image')} {where}{splits}{_what_else(tree, found)}"
    if hint := pattern(tree, found):
        return f"{message}; their names seem to tell the class: label_pattern: '{hint}'"
    return f"{message}; {WAYS}{_lying_there(tree, found)}"


def why_no_classes(tree: Tree, found: NamedFiles, classes: tuple[str, ...]) -> str:
    """Why a pattern finds too few classes, with a path that it does not match."""
    what = f"only one, {listed(classes)}" if classes else "none"
    message = f"should find at least two classes in the paths below {tree.root}; it finds {what}"
    missed = next((file for file in files_below(tree.root) if tree.is_image(file)), None)
    if classes or missed is None:
        return message
    return f"{message}: it has to match a whole path, such as `{tree.below(missed)}`"


def _aside(found: Layout) -> str:
    """What was left out beside a single class, so that nobody looks for it."""
    others = [str(entry) for entry in found.beside]
    return f"; beside it lie {some(others)}" if others else ""


def _what_else(tree: Tree, found: Layout) -> str:
    """What else than pictures with classes this may be: boxes of objects, or masks."""
    aside = tuple(f"{tree.root / entry.name}/" for entry in found.beside)
    pictures: set[str] = set()
    beside: dict[str, set[str]] = {".txt": set(), ".xml": set(), _MASK: set()}
    for file in islice(files_below(tree.root), LOOKED_AT):
        stem, ending = os.path.splitext(os.path.basename(file))  # noqa: PTH119, PTH122 - thousands
        if tree.is_image(file):
            apart = file.startswith(aside) or any(map(is_aside, tree.below(file).split("/")[:-1]))
            (beside[_MASK] if apart else pictures).add(stem)
        elif ending.lower() in beside:
            beside[ending.lower()].add(stem)
    for kind, what in (
        (".txt", "a .txt file for each: a set for detection in YOLO's form, in which boxes have classes, not pictures"),
        (".xml", "an .xml file for each: a set for detection in Pascal VOC's form, in which boxes have classes"),
        (_MASK, "another picture for each beside them: masks, as sets for segmentation have"),
    ):
        if 2 * len(pictures & beside[kind]) > len(pictures):
            return f", with {what}"
    return ""


def _lying_there(tree: Tree, found: Layout) -> str:
    """Tables and archives along the way, which may be what is meant."""
    files = [tree.below(file) for folder in found.way for file in files_in(folder) if not hidden(Path(file).name)]
    said = ""
    if packed := [file for file in files if Path(file).suffix.lower() in _PACKED]:
        said += f"; what is packed in {listed(packed)} is not looked into: unpack it, or name it alone"
    if tables := [file for file in files if is_table(file)]:
        said += f"; {listed(tables)} may be such a table: name it alone, to be told how it is understood"
    return said
