"""Weights on disk: written so that a crash at any moment leaves the last good ones, verified before use.

A checkpoint is two files: the weights, named by their epoch, and a small JSON file that names them with their
hash. The JSON file is replaced in one step after the weights are safely on disk; until then the old pair stands.
"""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from cnnkit.core import atomic, disk
from cnnkit.core.errors import DataError, DiskError, TrainingError
from cnnkit.core.lazy import keras, np, saving_lib
from cnnkit.core.text import typed
from cnnkit.models import weight_files
from cnnkit.runs import reading

LARGEST_POINTER = 2**16
"""Bytes of a file that names weights; ours have some 400."""

BEST = "best"
"""The checkpoint of the epoch that a run is evaluated by."""


class Weights(NamedTuple):
    """The weights of a model, as Keras's `save_weights` puts them into a file.

    Attributes:
        layers: Where each layer that has some lies in the file, and what is told of it.
        arrays: NumPy arrays, each by where its layer lies and what it is called there.
    """

    layers: list[tuple[str, dict[str, Any] | None]]
    arrays: dict[tuple[str, str], Any]

    @classmethod
    def of(cls, model: Any) -> Weights:
        """What a model has at this moment: arrays to read and copy, but not to keep, as its training changes them."""
        noted = cls([], {})

        class Noting(saving_lib.H5IOStore):  # type: ignore[misc]
            """Takes down what Keras would write."""

            def __init__(self) -> None:
                """There is no file."""

            def __bool__(self) -> bool:
                return True

            def make(self, path: str, metadata: dict[str, Any] | None = None) -> Noting:
                noted.layers.append((path, metadata))
                return self

            def __setitem__(self, key: str, value: Any) -> None:
                # Not `numpy`, which copies.
                array = value.value.read_value() if isinstance(value, keras.Variable) else value
                noted.arrays[noted.layers[-1][0], key] = np.asarray(array)

        saving_lib._save_state(model, weights_store=Noting(), assets_store=None, inner_path="", visited_saveables=set())
        return noted

    def serialised(self) -> memoryview:
        """The file, in memory: HDF5 ends the whole process when a disk refuses what it writes."""
        content = io.BytesIO()
        store = saving_lib.H5IOStore(content, mode="w")
        of_layer: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for (path, key), array in self.arrays.items():
            of_layer[path][key] = array
        for path, metadata in self.layers:
            layer = store.make(path, metadata)
            for key, array in of_layer[path].items():
                layer[key] = array
        store.close()
        return content.getbuffer()


def save(weights: Weights, folder: Path, name: str, epoch: int, facts: dict[str, Any]) -> dict[str, Any]:
    """Saves weights as the checkpoint `name`; the files of those before are for `remove_others`.

    Args:
        weights: Of a model.
        folder: Where checkpoints of the run lie.
        name: `best` or `last`.
        epoch: The epoch they come from, counted from 1.
        facts: What else is worth knowing of them, for example the metrics.

    Returns:
        What `read` gives of it.

    Raises:
        DiskError: There is no room for it, or the disk fails; the one before stands.
    """
    atomic.make_folder(folder, exist_ok=True)
    file = folder / f"{name}{_ending(epoch)}"
    content = weights.serialised()
    pointer = {"epoch": epoch, **facts, "file": file.name, "sha256": hashlib.sha256(content).hexdigest()}
    there = file.exists()
    with atomic.replacing(file, len(content)) as writing:
        writing.write(content)
        _pause("written")
        writing.sync()
        _pause("synced")
        writing.verify(pointer["sha256"])
    _pause("renamed")
    try:
        atomic.write_json(folder / f"{name}.json", pointer)
    except DiskError:
        if not there:
            file.unlink(missing_ok=True)
        raise
    _pause("named")
    return pointer


def _ending(epoch: int) -> str:
    """What the name of a file of weights of an epoch ends with."""
    return f"-{epoch:04d}.weights.h5"


def _pause(where: str) -> None:
    """Does nothing; a test of crashes makes the moment last, by putting another function in its place.

    Args:
        where: The moment: `written`, `synced`, `renamed`, `named`.
    """


def files(folder: Path, name: str) -> list[str]:
    """The files of weights that there are of a checkpoint, the earliest epoch first."""
    return sorted(file.name for file in folder.glob(f"{name}-*.weights.h5"))


def remove_others(folder: Path, name: str, kept: Collection[str]) -> None:
    """Removes the files of weights of a checkpoint but for some."""
    with disk.disk_errors(folder):
        for file in files(folder, name):
            if file not in kept:
                (folder / file).unlink(missing_ok=True)


def put_back(folder: Path, name: str, pointer: dict[str, Any] | None, say: Callable[[str], None]) -> None:
    """Makes a checkpoint what it was, of weights that `save` has kept.

    Args:
        folder: Where checkpoints of the run lie.
        name: `best` or `last`.
        pointer: What `read` gave of it; None where there was none yet.
        say: Is told if what names the weights now is damaged.

    Raises:
        TrainingError: The weights are gone, or are not what was saved.
    """
    file = folder / f"{name}.json"
    if pointer is None:
        with disk.disk_errors(folder):
            file.unlink(missing_ok=True)
        remove_others(folder, name, ())
        return
    there = None
    try:
        there = read(folder, name) if file.exists() else None
    except TrainingError as error:
        say(f"{error}; it is written anew")
    if there != pointer:
        atomic.write_json(file, pointer)
    verified(folder, name)


def read(folder: Path, name: str) -> dict[str, Any]:
    """What is known of a checkpoint: `epoch`, the facts it was saved with, `file` and `sha256`.

    Raises:
        TrainingError: There is none, it can't be read or is damaged.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        if files(folder, name):
            raise TrainingError(f"{path} is missing, which names the weights beside it")
        goes_on = f"cnnkit train --resume {typed(folder.parent)} goes on with it"
        raise TrainingError(f"{folder.parent}: no checkpoint yet; the run ended before its first epoch did; {goes_on}")
    return _told(reading.json_object(path, LARGEST_POINTER), path)


def _told(pointer: Any, where: Path) -> dict[str, Any]:
    """What is known of a checkpoint, if that is what `save` writes.

    Raises:
        TrainingError: It is not.
    """
    facts = pointer if isinstance(pointer, dict) else {}
    file = facts.get("file")
    # The weights lie beside it: a name with a folder in it was not written here.
    named = isinstance(file, str) and file not in ("", "..") and Path(file).name == file
    if not named or type(facts.get("epoch")) is not int or not isinstance(facts.get("sha256"), str):
        raise TrainingError(f"{where} is damaged: it should tell epoch, file and sha256")
    # The record of a run has the name of the file, with its hash: so it stands for the epoch too.
    if not str(file).endswith(_ending(facts["epoch"])):
        raise TrainingError(f"{where} is damaged: {file} is not of epoch {facts['epoch']}")
    return facts


def begun(folder: Path, name: str) -> bool:
    """Whether there is anything of a checkpoint, be it damaged; else the run has had no epoch yet."""
    return (folder / f"{name}.json").exists() or bool(files(folder, name))


Seen = dict[str, tuple[int, int, int, int]]
"""SHA-256 of weights whose file was looked into, each with what would tell that it became another file since."""


def verified(folder: Path, name: str, seen: Seen | None = None) -> tuple[Path, dict[str, Any]]:
    """The file of a checkpoint's weights, which are those that were saved, and what is known of it.

    Args:
        folder: Where checkpoints lie.
        name: What the checkpoint is called.
        seen: Of files in it that are as they were then not all is read again; these are added to it.

    Raises:
        TrainingError: There is none, or it is not what was saved.
    """
    pointer = read(folder, name)
    return weights_of(pointer, folder / f"{name}.json", seen), pointer


def weights_of(pointer: Any, where: Path, seen: Seen | None = None) -> Path:
    """The file of the weights that `save` has written with these facts; it is looked into.

    Args:
        pointer: The facts, as `read` gives them.
        where: The file that has them; the weights lie beside it.
        seen: As of `verified`.

    Raises:
        TrainingError: It is gone, or is not what was saved.
    """
    folder = where.parent
    pointer = _told(pointer, where)
    weights: Path = folder / pointer["file"]
    with reading.told(weights):
        if not weights.is_file():
            raise TrainingError(f"{weights} is missing, which {where.name} names")
        if weights.resolve().parent != folder.resolve():
            raise TrainingError(f"{weights} is refused: it is a link, and leads out of the run")
    facts = weights.stat()
    # The last is set by the system alone: who puts the time of a change back changes it.
    now = facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
    if seen is None or seen.get(pointer["sha256"]) != now:
        if reading.sha256(weights) != pointer["sha256"]:
            raise TrainingError(f"{weights} is damaged: its SHA-256 is not the one it was saved with")
        if seen is not None:
            seen[pointer["sha256"]] = now
    return weights


def load(model: Any, folder: Path, name: str, seen: Seen | None = None) -> dict[str, Any]:
    """Loads a checkpoint into a model of the same form and returns what is known of it; `seen` is as of `verified`.

    Raises:
        TrainingError: There is none, or it is not what was saved.
    """
    weights, pointer = verified(folder, name, seen)
    try:
        weight_files.refuse_unless_plain(weights)
    except DataError as error:
        raise TrainingError(*error.problems) from None
    try:
        model.load_weights(weights)
    except (ValueError, OSError) as error:
        raise TrainingError(f"{weights} does not fit the network of the run's config: {error}") from error
    return pointer
