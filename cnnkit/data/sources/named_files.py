"""Images whose class stands in their names: `cat.0.jpg`, `train/dog_12.png`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.core.spec import captured
from cnnkit.core.text import listed
from cnnkit.data.files.walking import files_below
from cnnkit.data.index import ImageFile, Unused
from cnnkit.data.sources.base import at_path, label_text, matching
from cnnkit.data.sources.layout import as_written
from cnnkit.data.sources.tree import Tree, plain
from cnnkit.data.split_names import is_split_name, split_of

UNMATCHED = "its path does not match data.source.label_pattern"

# What cameras and programs call pictures, whatever these show.
_CAMERAS = {
    *("img", "image", "dsc", "dscn", "dscf", "dji", "gopr", "pxl", "mvimg", "photo", "pic", "picture", "scan", "wa"),
    *("screenshot", "frame", "vid", "video", "untitled", "whatsappimage", "sample", "file", "p", "i", "x"),
}

_PREFIX = "(?:.*/)?"
_ENDING = r"\.[^./]+"
# Between brackets of a shape the label; in the order in which they are tried.
_SHAPES = (
    rf"{{}}([^/]*?[^\W\d][^/]*?)[ ._-]*\(?[0-9]+\)?{_ENDING}",  # cat.0.jpg, great_dane_12.jpg, rose (3).png
    rf"{{}}([^/\d]*?[^\W\d])[ ._-]*[0-9][^/]*{_ENDING}",  # cat_12_left.jpg
    rf"{{}}[0-9]+[ ._-]+([^/\d]*?[^\W\d])[ ._-]*{_ENDING}",  # 0012_cat.jpg
)

SURE = 0.95
"""Of so many of the names a pattern has to find the class, before it is suggested."""

_LABEL = re.compile(r"\(\[\^[^)]*\)")
"""The group of a shape."""

SPELT_OUT = 6
"""Up to so many classes are named in a pattern that is suggested."""

FEWEST = 3
"""So many images a class should have on average, before a pattern is suggested: what has fewer counts something."""


@dataclass(frozen=True)
class NamedFiles:
    """Images by the classes in their names.

    Attributes:
        images: They.
        unused: What else lies below the folder.
        splits: The split of each folder that is one.
    """

    images: tuple[ImageFile, ...]
    unused: tuple[Unused, ...]
    splits: Mapping[Path, str]


def find(tree: Tree, pattern: str, splits: Mapping[Path, str] | None) -> NamedFiles:
    """The images below the root of a tree whose paths a pattern finds a class in.

    Args:
        tree: The folders.
        pattern: A `CapturePattern` for paths below the root.
        splits: The split of each folder that is one; found out by the folders' names if None.

    Raises:
        DataError: Some folders are splits by their names, and of others beside them nobody can tell.
    """
    labels, others = _labels(tree, pattern)
    told = splits is not None
    splits = _splits(tree, labels) if splits is None else splits
    names = {f"{tree.below(folder)}/": split for folder, split in splits.items()}
    images = []
    for name, label in labels.items():
        split = next((split for folder, split in names.items() if name.startswith(folder)), None)
        if told and split is None:
            others[name] = "not below the folders that data.source.splits names"
        else:
            images.append(ImageFile(name, label, split))
    return NamedFiles(tuple(images), tuple(_entries(tree, images, others)), splits)


def _labels(tree: Tree, pattern: str) -> tuple[dict[str, str], dict[str, str]]:
    """The label of each image that has one, and the reasons why the other files have none."""
    labels: dict[str, str] = {}
    others: dict[str, str] = {}
    with matching(pattern, "label_pattern") as match:
        for file in files_below(tree.root):
            name = tree.below(file)
            reason = tree.why_not(file)
            found = match(name) if reason is None else None
            if found and (label := label_text(found[1] or "")):
                labels[name] = label
            else:
                others[name] = reason or UNMATCHED
    return labels, others


def _splits(tree: Tree, names: Mapping[str, str]) -> dict[Path, str]:
    """The folders that are splits by their names, where all images lie in such."""
    folders = {os.path.dirname(name) for name in names}  # noqa: PTH120
    if not folders:
        return {}
    home = tree.root / os.path.commonpath(folders)
    below = {(tree.root / folder).relative_to(home).parts[:1] for folder in folders}
    tops = sorted(home / part[0] for part in below if part)
    named = {top: split for top in tops if (split := split_of(top.name))}
    if len({*named.values()}) < 2 or "train" not in named.values():
        return {}
    if len(below) > len(tops) or len(named) < len(tops) or len({*named.values()}) < len(named):
        others = [top.name for top in tops if top not in named] or [top.name for top in tops]
        message = f"{home} holds {listed([top.name for top in named])}, which are splits by their names; "
        message += f"nobody can tell which split the images in {listed(others)} are in"
        raise at_path(f"{message}; write into data.source which is which, as {as_written(tree, named)}")
    return named


def _entries(tree: Tree, images: Sequence[ImageFile], others: Mapping[str, str]) -> Iterator[Unused]:
    """What is not used; of a folder without an image that is used, one entry for all that is in it."""
    used = {parent for image in images for parent in Path(image.path).parents}
    folders: Counter[Path] = Counter()
    for name, reason in others.items():
        above = [parent for parent in reversed(Path(name).parents) if parent not in used]
        if above:
            folders[above[0]] += reason == UNMATCHED
        else:
            yield tree.entry(str(tree.root / name), reason)
    for folder, unlabelled in folders.items():
        reason = "images without labels: no path matches data.source.label_pattern"
        why = reason if unlabelled else tree.why_not_used(tree.root / folder, "no path matches")
        yield tree.unused(tree.root / folder, why, to_predict=bool(unlabelled))


def suggested(names: Sequence[str]) -> str | None:
    """The pattern for `label_pattern` by which names clearly hold a class; None if they don't.

    Args:
        names: Paths below a folder, of images that are labelled if any are.
    """
    stems = [os.path.basename(name) for name in names]  # noqa: PTH119 - maybe a million
    for shape in _SHAPES:
        pattern = _PREFIX + shape.format("")
        found = [captured(pattern, stem) for stem in stems]
        prefix = _shared([label for label in found if label])
        if prefix:
            pattern = _PREFIX + shape.format(re.escape(prefix))
            found = [captured(pattern, stem) for stem in stems]
        if _is_clear([label for label in found if label], len(stems)):
            return pattern
    return None


def spelt_out(pattern: str, names: Sequence[str]) -> str:
    """The same pattern with its few classes by their names, as a person writes it, where it finds the same.

    Args:
        pattern: One that was suggested.
        names: All paths that it is asked about.
    """
    found = [captured(pattern, name) for name in names]
    labels = sorted({label for label in found if label})
    # Where a pattern is shown it stands between single quotes.
    if len(labels) > SPELT_OUT or "'" in "".join(labels):
        return pattern
    one_of = "|".join(re.sub(r"\\([ -])", r"\1", re.escape(label)) for label in labels)
    spelt = _LABEL.sub(lambda _: f"({one_of})", pattern, count=1)
    if [captured(spelt, name) for name in names] == found:
        return spelt
    return pattern


def _shared(labels: Sequence[str]) -> str:
    """What all labels begin with, up to the last of its separators: `IMG_` of `IMG_rose` and `IMG_rye`."""
    if not labels:
        return ""
    first, last = min(labels), max(labels)
    end = next((i for i in range(len(first)) if not last.startswith(first[: i + 1])), len(first))
    common = first[:end]
    return common[: max(common.rfind(sign) for sign in "_- .") + 1]


def _is_clear(labels: Sequence[str], names: int) -> bool:
    counts = Counter(labels)
    if len(counts) < 2 or len(labels) < SURE * names or len(labels) < FEWEST * len(counts):
        return False
    # One picture may be called otherwise than all others; a label for every second one is a number in disguise.
    if sorted(counts.values())[len(counts) // 2] < FEWEST:
        return False
    return not any(plain(label) in _CAMERAS or is_split_name(label) for label in counts)
