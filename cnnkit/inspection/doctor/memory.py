"""What the doctor has said of some data, kept in the cache: the same data needs no second examination."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cnnkit.core import cache
from cnnkit.core.cache import cache_folder
from cnnkit.core.progress import Progress
from cnnkit.core.version import __version__
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.index import Index
from cnnkit.data.section import Data
from cnnkit.inspection.doctor.base import ClassCount, Finding, Report, Sizes

VERSION = 6
"""Of the checks; raised when one of them changes, so that what was said before does not count any more."""


def place(fingerprint: str, index: Index, data: Data, skip_bad: bool) -> Path:
    """The file of the report on some data, by all that it depends on.

    Args:
        fingerprint: That of the index.
        index: All images that were asked for, those that can't be decoded among them.
        data: How they are divided.
        skip_bad: Whether those that can't be decoded are left out.
    """
    own = frozenset(split for split in index.splits if split and split != "train")
    circumstances = [data.split.completed(own), skip_bad]
    # The fingerprint is of names, labels and contents; a picture of the same pixels may come in another file format,
    # and there may be classes without images.
    forms = [None] * len(index) if index.facts is None else [(facts.header, facts.bad) for facts in index.facts]
    groups = index.groups or [None] * len(index)
    rows = sorted(zip(index.names, index.splits, groups, forms, strict=True), key=lambda row: row[0])
    depends_on = repr((__version__, VERSION, index.classes, circumstances, rows))
    return cache_folder() / "doctor" / fingerprint / f"{digest_of(depends_on.encode(errors='surrogateescape'))}.json"


def remember(file: Path, report: Report, progress: Progress) -> None:
    """Keeps a report."""
    text = json.dumps(asdict(report), separators=(",", ":"))
    cache.write(file, text.encode(), "the data is examined again next time", progress)


def recall(file: Path) -> Report | None:
    """The report that is kept; None if there is none, or it is damaged."""
    content = cache.read(file)
    if content is None:
        return None
    report = {key: _frozen(value) for key, value in json.loads(bytes(content)).items()}
    parts = {
        "classes": tuple(ClassCount(**entry) for entry in report["classes"]),
        "findings": tuple(Finding(**entry) for entry in report["findings"]),
        "sizes": Sizes(**report["sizes"]) if report["sizes"] else None,
    }
    return Report(**report | parts)


def _frozen(value: Any) -> Any:
    """Lists, as JSON has them, as tuples."""
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
