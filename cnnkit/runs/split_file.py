"""What a run keeps of its images: which was in which split, and which files were left out."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from cnnkit.core import atomic
from cnnkit.core.errors import TrainingError
from cnnkit.core.text import visible
from cnnkit.data.files import tables
from cnnkit.data.index import Index
from cnnkit.runs import reading
from cnnkit.runs.files import Files


class SplitRow(NamedTuple):
    """An image of a split.

    Attributes:
        image: Its name in the source.
        label: Its class.
        digest: Hash of its content.
        beside: Hashes of the files beside it that `data.prepare` reads; empty if it reads none.
        group: The group that it never parts from; empty if it has none.
    """

    image: str
    label: str
    digest: str
    beside: str
    group: str = ""


def write(files: Files, index: Index, splits: list[str], beside: list[str]) -> None:
    """Writes which image was in which split, with the hash of its content, and which files were left out.

    Args:
        files: Those of the run.
        index: The images.
        splits: The split of each.
        beside: Digests of the files beside each that `data.prepare` reads, from `Preprocessing.digests_beside`.
    """
    columns = ["image", "split", "label", "digest", "beside"] + (["group"] if index.groups else [])
    groups = [group or "" for group in index.groups or [None] * len(index)]
    rows = sorted(zip(splits, index.names, index.labels, index.digests, beside, groups, strict=True))
    table = [(name, split, index.classes[label], *more) for split, name, label, *more in rows]
    tables.write(files.split, columns, [row[: len(columns)] for row in table])
    if index.unused:
        unused = [(visible(entry.name), visible(entry.reason), entry.files) for entry in index.unused]
        tables.write(files.unused, ("file", "reason", "files"), unused)


def read(path: Path, name: str) -> list[SplitRow]:
    """The images that were in a split, as the file tells that was written at the training.

    Raises:
        TrainingError: The record of the splits is missing or damaged.
    """
    try:
        with reading.told(path), path.open(encoding="utf-8", errors=atomic.ERRORS, newline="") as file:
            table = csv.DictReader(file)
            if missing := {"image", "split", "label", "digest"} - set(table.fieldnames or ()):
                raise TrainingError(f"{path} is damaged: it has no column {', '.join(sorted(missing))}")
            return [
                SplitRow(row["image"], row["label"], row["digest"], row.get("beside") or "", row.get("group") or "")
                for row in table
                if row["split"] == name
            ]
    except csv.Error as error:
        raise TrainingError(f"{path} is damaged: {error}") from None
