"""The record of how a run came about.

It has the hashes of the files that decide what the run is, so that one that was changed by hand is found before it is
used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
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

    def classes(self) -> list[str]:
        """Names of the classes, in the order of the network's logits.

        Raises:
            TrainingError: The record does not tell.
        """
        try:
            classes = self.read()["data"]["classes"]
        except (KeyError, TypeError):
            classes = None
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise TrainingError(f"{self.files.provenance} is damaged: it lacks the classes")
        return classes

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

    def refuse_changed(self, fitted_anew: bool = False) -> None:
        """Holds the files against the record.

        Args:
            fitted_anew: Whether what a calibration makes is made anew, and so need not be as it was.

        Raises:
            TrainingError: One is another than the record says.
        """
        facts = self.read()
        data = facts.get("data")
        if isinstance(data, dict) and CLASSES_HASH in data and data[CLASSES_HASH] != _digest(data.get("classes")):
            raise self._changed(f"{self.files.provenance.name}, data.classes,")
        hashes = self.hashes()
        changed = [name for name, digest in hashes.items() if not _known(name, digest, facts)]
        fitted = [name for name in changed if self.files.folder / name in self.files.fitted]
        # What can't be made anew comes first: the rest is told when it is right.
        for name in changed:
            if name not in fitted:
                raise self._changed(name, _why(name, self.files.folder / name, hashes[name], facts))
        others = [weights_hash.changed(files, self.files) for files in _recorded(facts)]
        if others and others[0] and all(others):
            raise self._changed(others[0])
        if fitted and not fitted_anew:
            name = fitted[0]
            raise self._changed(name, _why(name, self.files.folder / name, hashes[name], facts))

    def has_weights(self) -> bool:
        """Whether the record has the hash of the best weights, as it has when a training has ended."""
        return any(weights_hash.recorded(files, self.files) for files in _recorded(self.read()))

    def knows(self, file: Path) -> bool:
        """Whether one of the files that `hashes` has is as the record says."""
        name = file.relative_to(self.files.folder).as_posix()
        return _known(name, self.hashes()[name], self.read())

    def replace(self, file: Path, content: str | bytes | None) -> None:
        """Writes one of the files that `hashes` has, or removes it; at any moment the record knows what is there.

        Another that was changed by hand does not become right by that.
        """
        facts = self.read()
        recorded = facts["files"] if isinstance(facts.get("files"), dict) else {}
        before = {
            name: digest if _known(name, digest, facts) else recorded.get(name)
            for name, digest in self.hashes().items()
        }
        before |= weights_hash.recorded(recorded, self.files)
        content = content.encode("utf-8", atomic.ERRORS) if isinstance(content, str) else content
        after = before | {file.name: None if content is None else hashlib.sha256(content).hexdigest()}
        self.write(files=after, files_before=before)
        if content is None:
            file.unlink(missing_ok=True)
        else:
            atomic.write_bytes(file, memoryview(content))
        self.write(files_before=None)

    def _changed(self, name: str, why: str = "its SHA-256 is not the recorded one") -> TrainingError:
        """That a file, by its path below the folder, was changed."""
        file = self.files.folder / name
        return TrainingError(f"{file} is not as the run left it: {why}; {self._bring_back(file)}")

    @contextmanager
    def bringing_back(self, file: Path | None = None) -> Iterator[None]:
        """Where a file that is read within is damaged, and decides what the run is, what to do about it is told too.

        Args:
            file: The file; one that only training makes if left out.
        """
        try:
            yield
        except TrainingError as error:
            raise TrainingError(f"{error}; {self._bring_back(file)}") from None

    def _bring_back(self, file: Path | None = None) -> str:
        """What to do where a file that decides what the run is was changed or damaged."""
        if file in self.files.fitted:
            return f"put it back from a copy, or make it anew: {self.files.to_calibrate}"
        return f"put it back from a copy, or train a run of its own: cnnkit train {typed(self.files.config)}"


def _recorded(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The hashes in a record: those of now and, while one of the files is replaced, those of before."""
    return [files for files in (facts.get("files"), facts.get("files_before")) if isinstance(files, dict)]


def _known(name: str, digest: str | None, facts: Mapping[str, Any]) -> bool:
    """Whether a file, by its path below the folder, has a hash that is recorded; None where there is no such file."""
    return any(files.get(name) == digest for files in _recorded(facts))


def _why(name: str, file: Path, digest: str | None, facts: Mapping[str, Any]) -> str:
    """Why a file is not as the run left it."""
    if digest is None:
        return "what is there is no file; move it away" if os.path.lexists(file) else "it is gone"
    if all(files.get(name) is None for files in _recorded(facts)):
        return "the run has left none"
    return "its SHA-256 is not the recorded one"


def _digest(classes: Any) -> str:
    """SHA-256 of the names of classes, in their order."""
    return hashlib.sha256(json.dumps(classes).encode()).hexdigest()
