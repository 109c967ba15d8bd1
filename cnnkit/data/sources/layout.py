"""Which folders are classes, which are splits, and which are neither: judged by what they hold, then by their names.

A class is a folder that holds an image, at any depth. Folders beside each other that hold the same folders are splits,
if their names tell which. Where two answers would do, nothing is guessed: an error says what to write.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.text import enumerated, listed, nearest
from cnnkit.data.files.walking import files_in, subfolders
from cnnkit.data.index import SPLITS, Unused
from cnnkit.data.sources.base import at_path
from cnnkit.data.sources.tree import Tree, is_aside, is_container, is_table
from cnnkit.data.split_names import is_split_name, split_of

FEW = 20
"""So many folders are compared with all others, where there are thousands."""


class ClassFolder(NamedTuple):
    """A folder of the images of one class, and the split that they are in; None where the folders tell none."""

    split: str | None
    path: Path


@dataclass(frozen=True)
class Layout:
    """What the folders below a folder are.

    Attributes:
        classes: The class folders; one without an image is a class that is still empty.
        splits: The split of each folder that is one.
        flat: Where there are no class folders: the folders that hold images all the same.
        notes: What was taken for what, a sentence each, where somebody might think otherwise.
        way: The folders that lead to the classes; files right in them are of no class.
        beside: The folders along the way that are not used.
    """

    classes: tuple[ClassFolder, ...] = ()
    splits: Mapping[Path, str] = field(default_factory=dict)
    flat: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    way: tuple[Path, ...] = ()
    beside: tuple[Unused, ...] = ()


def find(tree: Tree) -> Layout:
    """What the folders below the root of a tree are.

    Raises:
        DataError: Nobody can tell what is what; with what to write.
    """
    found, reasons = _judged(tree, tree.root)
    return _with_the_rest(tree, found, reasons, "beside the class folders")


def mapped(tree: Tree, splits: Mapping[str, Sequence[str]]) -> Layout:
    """What the folders are, where it is told which of them are which split.

    Args:
        tree: The folders.
        splits: From each split to its folders, as paths below the root.

    Raises:
        DataError: One is not there, is told twice, or holds no class folders while others do.
    """
    named = folders_of(tree, splits)
    flat = [folder for folder in named if not tree.inner(folder)]
    if flat and len(flat) < len(named):
        message = f"{flat[0]} holds no folders with images, one a class, as other splits do"
        raise _of_split(named[flat[0]], message)
    found = Layout(splits=named, flat=tuple(flat)) if flat else _with_classes(tree, tree.root, named)
    beside = {each for home in {folder.parent for folder in named} for each in subfolders(home)} - named.keys()
    reasons = {
        each: tree.unused(each, _without_labels(split_of(each.name) or "train", named), to_predict=True)
        for each in beside
        if tree.holds(each) and not tree.inner(each) and not is_aside(each.name)
    }
    return _with_the_rest(tree, found, reasons, "not among the folders that data.source.splits names")


def folders_of(tree: Tree, splits: Mapping[str, Sequence[str]]) -> dict[Path, str]:
    """The split of each folder that is told as one.

    Links are followed, as everywhere, wherever they lead but upwards.

    Raises:
        DataError: One is not there, leads upwards, or two hold the same images.
    """
    named: dict[Path, str] = {}
    root = tree.root.resolve()
    for split, names in splits.items():
        for name in names:
            folder = _there(tree, name, split)
            real = folder.resolve()
            if folder != tree.root and root.is_relative_to(real):
                raise _of_split(split, f"`{name}` is a link to {real}, which holds the images of all splits")
            if other := _overlapping(folder, named):
                raise _of_split(split, f"`{name}` and `{tree.below(other) or '.'}` hold the same images")
            named[folder] = split
    return named


def which_is_which(tree: Tree, splits: Mapping[Path, str]) -> list[str]:
    """Which folder is which split, where their names alone may not tell, and which lie elsewhere; a sentence each."""
    what = [
        f"`{tree.below(top)}` is the {split} split" for top, split in splits.items() if top.name not in (split, "val")
    ]
    root = tree.root.resolve()
    links = [
        f"`{tree.below(top)}` is a link to {real}" for top in splits if not (real := top.resolve()).is_relative_to(root)
    ]
    return [enumerated(sentence, "and") for sentence in (what, links) if sentence]


def setting_for(tree: Tree, splits: Mapping[Path, str]) -> dict[str, tuple[str, ...]]:
    """What to write as `splits` for some folders."""
    by_split = {split: [folder for folder, each in splits.items() if each == split] for split in SPLITS}
    return {split: tuple(map(tree.below, folders)) for split, folders in by_split.items() if folders}


def as_written(tree: Tree, splits: Mapping[Path, str]) -> str:
    """The same as it stands in a config: `splits: {train: Training, test: [Test1, Test2]}`."""
    entries = []
    for split, names in setting_for(tree, splits).items():
        quoted = [f"'{name}'" if set(name) & set("[]{},:#&*!|>%@\"`'") else name for name in names]
        entries.append(f"{split}: {quoted[0] if len(quoted) == 1 else '[' + ', '.join(quoted) + ']'}")
    return f"splits: {{{', '.join(entries)}}}"


Judgement = tuple[Layout, dict[Path, Unused]]
"""What was found, and what is to be said of folders along the way that are not used."""


def _judged(tree: Tree, folder: Path) -> Judgement:
    """What the folders right in one are; a single one is gone through."""
    kept, reasons = tree.likely(folder), dict[Path, Unused]()
    if not kept:
        return Layout(flat=(folder,) if tree.has_image_right_in(folder) else ()), reasons
    if len(kept) == 1 and _leads_on(tree, kept[0]):
        return _gone_through(tree, kept[0], reasons)
    if home := _home_of_all(tree, kept):
        others = [each for each in kept if each != home]
        reasons |= {each: tree.unused(each, f"beside `{tree.below(home)}`, which holds the classes") for each in others}
        return _gone_through(tree, home, reasons)
    named = {each: split for each in kept if (split := split_of(each.name))}
    strangers = [each for each in kept if each not in named]
    if _are_splits(tree, named, strangers):
        return _as_splits(tree, folder, named, strangers, reasons)
    _refuse_what_may_be_splits(tree, folder, kept, named, strangers)
    if (not strangers and _are_only_splits(named)) or _are_parts(kept):
        return Layout(splits=named, flat=tuple(kept)), reasons
    notes = tuple(
        f"`{tree.below(each)}` is taken for a class, not for a split: it lies beside {listed(_names(strangers))}"
        for each in named
        if is_split_name(each.name)
    )
    classes = tuple(ClassFolder(None, each) for each in sorted([*kept, *tree.awaiting(folder)]))
    if len(mixed := [each for each in kept if len(tree.inner(each)) > 1]) == 1:
        inner = listed(_names(tree.inner(mixed[0])))
        note = f"`{tree.below(mixed[0])}` is one class, with all that is in its folders ({inner}); "
        notes = (*notes, f"{note}if these are the classes, name it as the path")
    return Layout(classes, notes=notes), reasons


def _are_parts(kept: Sequence[Path]) -> bool:
    """Whether folders are parts of one heap of images, by their names: `images`, or `images_part_1` and `..._2`."""
    if len(kept) == 1:
        return is_container(kept[0].name)
    words = {tuple(re.findall(r"[^\W\d_]+", each.name.lower())) for each in kept}
    return len(words) == 1 and any(is_container(word) or word in ("part", "batch", "chunk") for word in words.pop())


def _leads_on(tree: Tree, only: Path) -> bool:
    """Whether the only folder with images is no class, but holds the classes, or another one that does."""
    return len(tree.inner(only)) > 1 or (bool(tree.kept(only)) and not tree.has_image_right_in(only))


def _home_of_all(tree: Tree, kept: Sequence[Path]) -> Path | None:
    """The folder that holds the classes or the splits, where images lie in others beside it that hold no folders."""
    deep = [each for each in kept if tree.kept(each)]
    if len(deep) != 1 or len(kept) < 2 or split_of(deep[0].name):
        return None
    inner = _names(tree.kept(deep[0]))
    splits = {split_of(name) for name in inner} - {None}
    return deep[0] if len(inner) > 1 and (is_container(deep[0].name) or len(splits) > 1) else None


def _gone_through(tree: Tree, only: Path, reasons: dict[Path, Unused]) -> Judgement:
    """What is found in the only folder that holds classes."""
    found, further = _judged(tree, only)
    if found.classes and not found.splits and split_of(only.name) == "train":
        note = f"`{tree.below(only)}` alone holds classes, so validation and test are set apart from it"
    else:
        note = f"`{tree.below(only)}` is the only folder there that holds classes, so what counts is looked for in it"
    return replace(found, notes=(note, *found.notes)), reasons | further


# Splits


def _are_splits(tree: Tree, named: Mapping[Path, str], strangers: Sequence[Path]) -> bool:
    """Whether folders with names of splits are some: two of them hold classes, or nothing else lies beside them."""
    with_classes = {split for folder, split in named.items() if len(tree.inner(folder)) > 1}
    return len(with_classes) > 1 or (not strangers and _are_only_splits(named) and any(map(tree.inner, named)))


def _are_only_splits(named: Mapping[Path, str]) -> bool:
    return len({*named.values()}) > 1 or all(is_split_name(folder.name) for folder in named)


def _as_splits(
    tree: Tree, folder: Path, named: dict[Path, str], strangers: Sequence[Path], reasons: dict[Path, Unused]
) -> Judgement:
    """The splits, once it is sure that each is one and that nothing beside them may be."""
    labelled = {each: split for each, split in named.items() if tree.inner(each)}
    for split in SPLITS:
        if len(twice := [each for each in labelled if labelled[each] == split]) > 1:
            message = f"{folder} holds {listed(_names(twice))}, which by their names would all be {split}"
            raise _say_which(tree, message, labelled)
    _refuse_one_twice(folder, labelled)
    if "train" not in labelled.values():
        what = enumerated((f"`{each.name}` ({split})" for each, split in labelled.items()), "and")
        message = f"{folder} holds {what}, and no training images in folders, one a class"
        raise _say_which(tree, message, dict(zip(labelled, SPLITS, strict=False)))
    trained = {each.name for top in labelled if labelled[top] == "train" for each in tree.inner(top)}
    for each in strangers:
        inner = tree.inner(each)
        if len({split_of(own.name) for own in inner} - {None}) > 1:
            reasons |= {each: tree.unused(each, f"holds splits of its own, beside {listed(_names(labelled))}")}
        elif trained & set(_names(inner)):
            message = f"{folder} holds {listed(_names(labelled))}, and `{each.name}` with the same folders"
            message += ", whose name tells no split"
            raise _say_which(tree, message, labelled | {each: "train"})
        elif inner:
            reasons |= {each: tree.unused(each, f"beside {listed(_names(labelled))}; none of its folders is a class")}
        else:
            reasons |= {each: tree.unused(each, "images without class folders, so without labels", to_predict=True)}
    for each in named.keys() - labelled.keys():
        reasons |= {each: tree.unused(each, _without_labels(named[each], labelled), to_predict=True)}
    found = _with_classes(tree, folder, labelled)
    tables = [tree.below(file) for each in named if each not in labelled for file in files_in(each) if is_table(file)]
    if tables:
        note = f"{listed(tables)} may tell the classes of the images beside it; a table of all images, with a column "
        found = replace(found, notes=(*found.notes, f"{note}`split` (source manifest), would use them too"))
    return found, reasons


def _overlapping(folder: Path, others: Iterable[Path]) -> Path | None:
    """The first of other folders that holds images of one, as links may lead to the same."""
    real = folder.resolve()
    there = ((each, each.resolve()) for each in others)
    return next((each for each, its in there if real.is_relative_to(its) or its.is_relative_to(real)), None)


def _refuse_one_twice(folder: Path, splits: Mapping[Path, str]) -> None:
    for number, each in enumerate(splits):
        if other := _overlapping(each, islice(splits, number)):
            link, rest = (each, other) if each.is_symlink() else (other, each)
            message = f"{folder}: `{link.name}` is a link to {link.resolve()}, and `{rest.name}` holds the same images"
            raise at_path(f"{message}; remove the link, or make it lead to the images of {splits[link]}")


def _without_labels(split: str, labelled: Mapping[Path, str]) -> str:
    why = "images without class folders, so without labels"
    return why if split in labelled.values() else f"{why}; a {split} split is set apart from the labelled ones instead"


def _with_classes(tree: Tree, folder: Path, splits: dict[Path, str]) -> Layout:
    """The class folders of splits; what is in none of training is refused."""
    trained = {each.name for top, split in splits.items() if split == "train" for each in tree.inner(top)}
    inner = {top: tree.kept(top) if trained & set(_names(tree.kept(top))) else tree.inner(top) for top in splits}
    aside = {each for top in splits for each in inner[top] if is_aside(each.name) and each.name not in trained}
    found = [ClassFolder(split, each) for top, split in splits.items() for each in inner[top] if each not in aside]
    trained = {each.path.name for each in found if each.split == "train"}
    for each in found:
        if each.path.name not in trained:
            _refuse_unknown(folder, each, found, trained)
    homes = {each.path.parent for each in found if each.split == "train"}
    found += [ClassFolder("train", each) for home in sorted(homes) for each in tree.awaiting(home)]
    notes = which_is_which(tree, splits)
    for split in sorted({*splits.values()} - {"train"}, key=SPLITS.index):
        lacking = sorted(trained - {each.path.name for each in found if each.split == split})
        if lacking:
            notes.append(f"{split} has no folder of {listed(lacking)}, which train has")
    return Layout(tuple(found), splits, notes=tuple(notes))


def _refuse_unknown(folder: Path, unknown: ClassFolder, found: Sequence[ClassFolder], trained: set[str]) -> None:
    name = unknown.path.name
    if alike := next((other for other in sorted(trained) if _bare(other) == _bare(name)), None):
        trained_on = next(each.path for each in found if each.split == "train" and each.path.name == alike)
        message = f"{unknown.path} and {trained_on} differ in capitals, or in the form of an accent, alone"
        raise at_path(f"{message}; if they are one class, give them one name")
    others = sorted({each.path.name for each in found} - trained)
    message = f"{folder}: no training images for {listed(others)}, which other splits have"
    raise at_path(f"{message}; add some to train, or take it out of the others")


def _refuse_what_may_be_splits(
    tree: Tree, folder: Path, kept: Sequence[Path], named: Mapping[Path, str], strangers: Sequence[Path]
) -> None:
    """Refuses folders of which nobody can tell whether they are classes, splits or the same images several times."""
    sure = [each for each in named if is_split_name(each.name) and len(tree.inner(each)) > 1]
    if sure and strangers:
        folders, others = listed(_names(tree.inner(sure[0]))), listed(_names(strangers))
        message = f"{folder} holds `{sure[0].name}` with the folders {folders}, and images in {others}: "
        message += f"nobody can tell whether `{sure[0].name}` is a split or a class"
        how = f"or give {sure[0]} as the path; if it is a class, give it another name, or list all images in a table"
        raise _say_which(tree, message, {each: named[each] for each in sure}, f"{how} (source manifest)")
    inner = {each: set(_names(tree.inner(each))) for each in kept}
    deep = [each for each in kept if len(inner[each]) > 1]
    for first in deep[:FEW]:  # most folders are to be alike, so that one of the first is among them
        alike = [each for each in deep if len(inner[each] & inner[first]) >= max(2, len(inner[first]) / 2)]
        shared = sorted(set.intersection(*(inner[each] for each in alike))) if alike else []
        if len(alike) > max(1, len(kept) / 2) and any(_may_be_class(name) for name in shared) and not tree.glob:
            message = f"{folder} holds {listed(_names(alike))} with the same folders in each ({listed(shared)})"
            if all(map(split_of, shared)):
                message += (
                    ": splits within classes. To keep them, put the classes into folders of the splits, or list all "
                )
                message += "images in a table with a column `split` (source manifest); to divide anew: glob: '**'"
                raise at_path(message)
            message += ": these may be parts of one set, or the same images in several forms"
            how = f"or give one of them as the path, {alike[0]}; if they are the classes: glob: '**'"
            *training, last = alike
            raise _say_which(tree, message, dict.fromkeys(training, "train") | {last: "test"}, how)


def _may_be_class(name: str) -> bool:
    return any(map(str.isalpha, name)) and not is_aside(name) and not is_container(name)


def _say_which(tree: Tree, message: str, splits: Mapping[Path, str], how: str = "") -> DataError:
    write = "if these are splits, write" if how else "write"
    written = f"{write} into data.source which is which, as {as_written(tree, splits)}"
    return at_path(f"{message}; {written}{f'; {how}' if how else ''}")


def _there(tree: Tree, name: str, split: str) -> Path:
    folder = Path(*tree.root.parts, *(part for part in Path(name).parts if part != "."))
    if Path(name).is_absolute() or ".." in folder.parts:
        raise _of_split(split, f"should be a folder below {tree.root}, told by its path from there, not {name}")
    if not folder.is_dir():
        there = _names(subfolders(folder.parent)) if folder.parent.is_dir() else []
        what = f"{folder.parent} holds {listed(there)}" if there else f"there is no folder in {folder.parent}"
        raise _of_split(split, f"there is no folder {folder}; {what}{nearest(folder.name, there)}")
    return folder


def _of_split(split: str, message: str) -> DataError:
    return DataError(Problem(message, key=f"splits.{split}"))


def _names(folders: Sequence[Path] | Mapping[Path, str]) -> list[str]:
    return [folder.name for folder in folders]


def _bare(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _why_beside(tree: Tree, folder: Path, usual: str) -> str:
    if not tree.glob and tree.holds(folder) and folder not in tree.likely(folder.parent):
        return "by its name no class; with data.source.glob: '**' every folder counts"
    return tree.why_not_used(folder, usual)


def _with_the_rest(tree: Tree, found: Layout, reasons: Mapping[Path, Unused], usual: str) -> Layout:
    """The layout with the way to its classes, and each folder beside it with the reason why it is not used."""
    goals = {each.path for each in found.classes} or {*found.flat}
    above = {folder for goal in goals for folder in goal.parents}
    way, beside = [tree.root], []
    for folder in way:
        for each in subfolders(folder):
            if each in above:
                way.append(each)
            elif each not in goals:
                beside.append(reasons.get(each) or tree.unused(each, _why_beside(tree, each, usual)))
    return replace(found, way=tuple(way), beside=tuple(beside))
