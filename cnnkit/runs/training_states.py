"""States of a training on disk: all that it needs to go on from where it was, to the last bit.

A state is two files of one name, `state-<stage>-<epoch>-<update>`, in the folder of a run's checkpoints. The one ending
in .safetensors holds arrays, and in its header the facts: a form that has no code in it, no links, and no sizes that
the file itself does not have. The one ending in .json tells its size and SHA-256; until that is there the state is not.
Each is written beside, brought to the disk and read back before it takes its name, and earlier states are removed only
after that, so whatever moment a crash chooses, the last good ones stand.

The package `safetensors` reads the file, and checks its header. It does not write it: its function for a file opens
that by itself and tells what the disk has against it in words alone, that for bytes first makes a copy of all arrays.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from cnnkit.core import atomic, disk
from cnnkit.core.errors import DiskError, TrainingError
from cnnkit.core.lazy import np, safetensors
from cnnkit.core.text import counted, first_line, in_one_line, typed
from cnnkit.runs import checkpoints, reading
from cnnkit.runs.files import Files

ARRAYS, POINTER = ".safetensors", ".json"

DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
"""What NumPy and the format call a type."""

LARGEST_POINTER = 4096
"""Bytes of the JSON file; ours have some 250."""

_NAME = re.compile(r"state-(\d{1,9})-(\d{1,9})-(\d{1,12})", re.ASCII)


class Position(NamedTuple):
    """Where in a training a state was taken; later ones are greater.

    Attributes:
        stage: From 1.
        epoch: Epochs that were over, of all stages.
        update: Updates of the epoch under way that were made.
    """

    stage: int
    epoch: int
    update: int

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Position:
        """The one that facts of a state tell."""
        return cls(*(int(facts[field]) for field in cls._fields))

    @classmethod
    def named(cls, file: Path) -> Position | None:
        """The one in the name of a file of a state; None for another file."""
        found = _NAME.fullmatch(file.name.partition(".")[0])
        return cls(*map(int, found.groups())) if found else None

    @property
    def name(self) -> str:
        """What the files of the state are called."""
        return f"state-{self.stage:02d}-{self.epoch:04d}-{self.update:08d}"

    def __str__(self) -> str:
        within = f" and {counted(self.update, 'update')}" if self.update else ""
        return f"{counted(self.epoch, 'epoch')}{within}"


@dataclass(frozen=True)
class State:
    """A state on disk that is whole.

    Attributes:
        file: Of the arrays.
        facts: What it was saved with.
        layout: Of each array, by its name, the shape and the type; none is read yet.
    """

    file: Path
    facts: dict[str, Any]
    layout: dict[str, tuple[tuple[int, ...], str]]

    @property
    def position(self) -> Position:
        """Where in the training it was taken."""
        return Position.of(self.facts)

    def require(self, layout: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
        """Refuses a state that has other arrays than are needed, before any is read.

        Raises:
            TrainingError: One is missing, left over, or of another shape or type.
        """
        for name in [*layout, *self.layout]:
            ours, theirs = layout.get(name), self.layout.get(name)
            if ours != theirs:
                raise TrainingError(
                    f"{self.file} is of another network or optimizer: {in_one_line(name)} is {_worded(theirs)} there "
                    f"and {_worded(ours)} here"
                )

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """The arrays, as NumPy has them, in the order in which they were saved."""
        with _opened(self.file) as file:
            return {name: file.get_tensor(name) for name in self.layout}

    def release(self) -> None:
        """Lets go of the arrays, which take the memory of a second training; they are read anew when asked for."""
        self.__dict__.pop("arrays", None)


def _worded(layout: tuple[tuple[int, ...], str] | None) -> str:
    return f"{'x'.join(map(str, layout[0])) or 'scalar'} {layout[1]}" if layout else "not"


def save(folder: Path, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> Position:
    """Saves a state; one at the same position is replaced.

    Args:
        folder: Of the checkpoints of a run.
        arrays: NumPy arrays by their names, each contiguous.
        facts: What else is needed, as JSON has it (and NaN or infinity); with `stage`, `epoch` and `update`.

    Raises:
        DiskError: There is no room for it, or the disk fails; nothing of it is left.
    """
    position = Position.of(facts)
    file = folder / f"{position.name}{ARRAYS}"
    content = list(_content(arrays, facts))
    size, digest = sum(map(len, content)), sha256()
    for block in content:
        digest.update(block)
    atomic.make_folder(folder, exist_ok=True)
    with atomic.replacing(file, size) as writing:
        for block in content:
            writing.write(block)
        _pause("written")
        writing.sync()
        _pause("synced")
        writing.verify(digest.hexdigest())
    _pause("renamed")
    pointer = {**position._asdict(), "file": file.name, "bytes": size, "sha256": digest.hexdigest()}
    try:
        atomic.write_json(file.with_suffix(POINTER), pointer)
    except DiskError:
        file.unlink(missing_ok=True)
        raise
    atomic.sync_folder(folder)
    _pause("named")
    return position


def _pause(where: str) -> None:
    """Does nothing; a test of crashes makes the moment last, by putting another function in its place.

    Args:
        where: The moment: `written`, `synced`, `renamed`, `named`.
    """


def _content(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[memoryview]:
    """What a .safetensors file has in it: the length of the header, that, and the arrays, large types first."""
    # So each lies where its type wants it.
    in_order = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)
    header: dict[str, Any] = {"__metadata__": {"facts": json.dumps(facts), "order": json.dumps(list(arrays))}}
    end = 0
    for name, array in in_order:
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": DTYPES[array.dtype.name], "shape": array.shape, "data_offsets": (begin, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield memoryview(len(text).to_bytes(8, "little") + text)
    for _, array in in_order:
        yield memoryview(array.reshape(-1).view(np.uint8))


def saved(folder: Path) -> list[Position]:
    """Where the states in a folder were taken, in order; whether they are whole is not looked at."""
    found = map(Position.named, folder.glob(f"state-*{POINTER}"))
    return sorted(position for position in found if position)


def remove_others(folder: Path, kept: list[Position]) -> None:
    """Removes all states but some, and what is left of some that were never whole."""
    names = {position.name for position in kept}
    with disk.disk_errors(folder):
        for ending in (POINTER, ARRAYS):
            for file in folder.glob(f"state-*{ending}"):
                if Position.named(file) and file.name.removesuffix(ending) not in names:
                    file.unlink(missing_ok=True)


def newest(folder: Path, say: Callable[[str], None], refuse: Callable[[State], None] = lambda state: None) -> State:
    """The newest state that is whole, and with it the weights of the epoch that was the best by then.

    Args:
        folder: Of the checkpoints of a run.
        say: Is told of each newer one what is wrong with it, and which is used instead.
        refuse: Raises a TrainingError where the facts of one are none to go on from.

    Raises:
        TrainingError: There is none.
    """
    damaged: dict[str, None] = {}  # each once: several states may have the same best weights
    for position in reversed(saved(folder)):
        try:
            state = read(folder, position)
            refuse(state)
            if best := state.facts.get("best_checkpoint"):
                checkpoints.weights_of(best, state.file)
        except TrainingError as error:
            damaged[str(error)] = None
            continue
        for line in damaged:
            say(f"{line}; the state after {position} is used")
        return state
    if not damaged:
        raise TrainingError(f"{folder.parent} has no state to go on from: none was saved before it ended")
    anew = f"train it anew with: cnnkit train {typed(Files(folder.parent).config)}"
    raise TrainingError(*damaged, f"{folder.parent} has no other state to go on from; {anew}")


def read(folder: Path, position: Position) -> State:
    """The state that was taken at a position.

    Raises:
        TrainingError: It is not there, or not what was saved.
    """
    pointer = folder / f"{position.name}{POINTER}"
    facts = _pointer(pointer, position)
    file = folder / facts["file"]
    if (size := _size(file)) != facts["bytes"]:
        raise TrainingError(f"{file} is damaged: it has {size:,} bytes of {facts['bytes']:,}")
    if reading.sha256(file) != facts["sha256"]:
        raise TrainingError(f"{file} is damaged: its SHA-256 is not the one it was saved with")
    return _state(file, position)


def _size(file: Path) -> int:
    """Bytes of a file that is one: what lies elsewhere is none of the run's.

    Raises:
        TrainingError: It is missing, a link, or no file.
    """
    with reading.told(file):
        status = file.lstat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "no file"
        raise TrainingError(f"{file} is refused: it is {kind}")
    return status.st_size


def _pointer(path: Path, position: Position) -> dict[str, Any]:
    """What the JSON file of a state tells: `file`, which lies beside it, `bytes` and `sha256`."""

    def damaged(why: str) -> NoReturn:
        raise TrainingError(f"{path} is damaged: {why}")

    _size(path)
    facts = reading.json_object(path, LARGEST_POINTER)
    told = {"file": f"{position.name}{ARRAYS}", **position._asdict()}
    if {name: facts.get(name) for name in told} != told:
        damaged(f"it should be of {told['file']}")
    if type(facts.get("bytes")) is not int or not isinstance(facts.get("sha256"), str):
        damaged("it should tell bytes and sha256")
    return facts


def _state(file: Path, position: Position) -> State:
    """A state by the header of its file, which has been found to be what was saved, by whomever."""
    names = {value: key for key, value in DTYPES.items()}
    try:
        with _opened(file) as opened:
            metadata = opened.metadata() or {}
            facts, order = json.loads(metadata["facts"]), json.loads(metadata["order"])
            if sorted(order) != sorted(opened.keys()) or Position.of(facts) != position:
                raise TrainingError(f"{file} is damaged: its header is not that of {position.name}")
            parts = {name: opened.get_slice(name) for name in order}
            layout = {name: (tuple(part.get_shape()), names[part.get_dtype()]) for name, part in parts.items()}
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, AttributeError) as error:
        raise TrainingError(f"{file} is damaged: {first_line(error)}") from None
    return State(file, facts, layout)


def _opened(file: Path) -> Any:
    """The file, as the package reads it.

    Raises:
        TrainingError: It is damaged.
    """
    try:
        with reading.told(file):
            return safetensors.safe_open(file, "numpy")
    except safetensors.SafetensorError as error:
        raise TrainingError(f"{file} is damaged: {first_line(error)}") from None
