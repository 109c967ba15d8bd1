"""The record of how a run came about.

It has the hashes of the files that decide what the run is, so that one that was changed by hand is found before it is
used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.errors import DiskError, TrainingError
from cnnkit.core.text import typed
from cnnkit.runs import reading, weights_hash
from cnnkit.runs.files import Files

CLASSES_HASH = "classes_sha256"
"""Beside the names of the classes, in the order of the logits; not in the record of a run of an earlier version."""


class Record:
    """How a run came about.

    Args:
        files: Where its files lie.
    """

    def __init__(self, files: Files):
        self.files = files

    def read(self) -> dict[str, Any]:
        """All of it.

        Raises:
            TrainingError: It can't be read, or is damaged.
        """
        with self.bringing_back():
            return reading.json_object(self.files.provenance)

    def write(self, **facts: Any) -> None:
        """Writes it, or adds to it.

        While the state in it is `training`, room is kept on the disk for how the run ends.
        """
        path = self.files.provenance
        data = facts.get("data")
        if isinstance(data, dict) and "classes" in data:
            facts["data"] = data | {CLASSES_HASH: _digest(data["classes"])}
        begun = path.exists()
        record = (self.read() if begun else {}) | facts
        if record.get("state") != "training":
            atomic.write_last_json(path, record)
            return
        atomic.write_json(path, record)
        try:
            atomic.reserve(path)
        except DiskError:
            if not begun:
                path.unlink()
            raise

    def hashes(self) -> dict[str, str | None]:
        """SHA-256 of the files that decide what the run's network is and what it is judged on."""
        listed = self.files
        backbone = listed.backbone / "saved_model.pb"
        files = (listed.config, listed.split, backbone, listed.calibration, listed.familiarity)
        return {
            file.relative_to(listed.folder).as_posix(): reading.sha256(file) if file.is_file() else None
            for file in files
        }

    def hashes_in_training(self) -> dict[str, str | None]:
        """The recorded ones without that of the best weights, which training may replace at any moment."""
        recorded = self.read().get("files") or {}
        weights = weights_hash.recorded(recorded, self.files)
        return {name: digest for name, digest in recorded.items() if name not in weights}

    def hashes_at_end(self) -> dict[str, str | None]:
        """The recorded ones, with that of the best weights as the training leaves them."""
        return self.hashes_in_training() | weights_hash.of_best(self.files)

    def refuse_changed(self) -> None:
        """Holds the files against the record.

        Raises:
            TrainingError: One is another than the record says.
        """
        facts = self.read()
        data = facts.get("data")
        if isinstance(data, dict) and CLASSES_HASH in data and data[CLASSES_HASH] != _digest(data.get("classes")):
            raise self._changed(f"{self.files.provenance.name}, data.classes,")
        recorded = [files for files in (facts.get("files"), facts.get("files_before")) if isinstance(files, dict)]
        for name, digest in self.hashes().items():
            if all(files.get(name) != digest for files in recorded):
                raise self._changed(name)
        others = [weights_hash.changed(files, self.files) for files in recorded]
        if others and others[0] and all(others):
            raise self._changed(others[0])

    def replace(self, file: Path, content: str | bytes | None) -> None:
        """Writes one of the files that `hashes` has, or removes it; at any moment the record knows what is there."""
        recorded = self.read().get("files")
        before = self.hashes() | weights_hash.recorded(recorded if isinstance(recorded, dict) else {}, self.files)
        content = content.encode("utf-8", atomic.ERRORS) if isinstance(content, str) else content
        after = before | {file.name: None if content is None else hashlib.sha256(content).hexdigest()}
        self.write(files=after, files_before=before)
        if content is None:
            file.unlink(missing_ok=True)
        else:
            atomic.write_bytes(file, memoryview(content))
        self.write(files_before=None)

    def _changed(self, name: str) -> TrainingError:
        """That a file, by its path below the folder, was changed."""
        what = f"{self.files.folder / name} is not as the run left it: its SHA-256 is not the recorded one"
        return TrainingError(f"{what}; {self._bring_back()}")

    @contextmanager
    def bringing_back(self) -> Iterator[None]:
        """Where a file that is read within is damaged, and decides what the run is, what to do about it is told too."""
        try:
            yield
        except TrainingError as error:
            raise TrainingError(f"{error}; {self._bring_back()}") from None

    def _bring_back(self) -> str:
        """What to do where a file that decides what the run is was changed or damaged."""
        return f"put it back from a copy, or train a run of its own: cnnkit train {typed(self.files.config)}"


def _digest(classes: Any) -> str:
    """SHA-256 of the names of classes, in their order."""
    return hashlib.sha256(json.dumps(classes).encode()).hexdigest()
