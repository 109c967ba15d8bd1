"""Files of weights that Keras has written, read without trusting them.

Three forms: a .weights.h5 of Keras 3, an .h5 of Keras 2 (weights, or a whole model), and a .keras. Only arrays are
read, and only later, when their shapes are known to be right; a model that is described in a file is never built, and
nothing in a file may lead to another one.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import IO, Any

from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.lazy import h5py, np
from cnnkit.core.text import first_line, in_bytes, in_one_line, some

LISTS = ("layers", "_layer_checkpoint_dependencies")
"""What Keras 3, and Keras 2.13 before it, call the group of a model's layers."""

DEEPEST = 32
"""Groups inside groups; a file of Keras has a few."""

EXPANSION = 20
"""A member of an archive may unpack to so many times its size; Keras does not even compress it."""

UNSUSPICIOUS = 2**26
"""Bytes that a member may always have."""


LARGEST_ATTRIBUTE = 2**16
"""Bytes; Keras cuts what is longer into parts, as HDF5 asked for once."""

AGAIN = "fetch or copy it again"
"""What to do with a damaged file."""

_CUT_OFF = re.compile(r"truncated file: eof = ([0-9]+), .*stored_eof = ([0-9]+)")
"""What HDF5 says of a file that was cut off."""


@dataclass(frozen=True)
class StoredLayer:
    """A layer in the file.

    Attributes:
        name: What the layer was called.
        leaves: Names of its arrays, or their numbers.
        arrays: Its arrays, not read yet.
        sequence: Layers of the same sequence are in order.
        number: Place in the sequence.
    """

    name: str
    leaves: tuple[str, ...]
    arrays: tuple[Any, ...]
    sequence: str
    number: int


def refuse_broken(path: Path, instead: str = "") -> None:
    """Refuses what is no file of weights, or was cut off, by its beginning and its end; reads no more than these.

    Args:
        path: The file.
        instead: What to do with one that can't be used, where that is always the same.

    Raises:
        UsageError: It is of another kind.
        DataError: It is damaged, or can't be read.
    """
    with opened(path, unpack=False, instead=instead):
        pass


@contextmanager
def opened(path: Path, unpack: bool = True, instead: str = "") -> Iterator[Any]:
    """The HDF5 file, or that inside of a .keras archive; None for an archive that is not to be unpacked."""
    again = instead or AGAIN
    forms = "a run, or a file that Keras wrote: .weights.h5, .h5 or .keras"
    if not path.exists():
        raise UsageError(f"there is no such file or run: {path}")
    if not path.is_file():
        raise UsageError(f"{path} is not a file; weights come from {forms}")
    try:
        with path.open("rb") as file:
            start = file.read(4)
            archive = start == b"PK\x03\x04"
            if not start:
                raise DataError(f"{path} is damaged: it is empty; {again}")
            if not archive and not h5py.is_hdf5(path):
                raise UsageError(f"{path} is of another kind; {instead or f'weights come from {forms}'}")
            unpacked = _unpacked(path, file, unpack, again) if archive else path
            if unpacked is None:
                yield None
                return
            with damage_as_error(path, again):
                hdf5 = h5py.File(unpacked, "r")
            with hdf5:
                yield hdf5
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}; see to its rights, or {again}") from None


def _unpacked(path: Path, file: IO[bytes], unpack: bool, again: str) -> io.BytesIO | None:
    """The weights out of a .keras archive, in memory; the names in the archive are not used as paths.

    Where they are not to be unpacked None, once it is sure that they are there.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if "model.weights.h5" not in archive.namelist():
                raise UsageError(f"{path} is an archive without model.weights.h5, so not what Keras writes as .keras")
            member = archive.getinfo("model.weights.h5")
            if member.file_size > max(UNSUSPICIOUS, EXPANSION * member.compress_size):
                raise DataError(f"{path} is refused: {member.file_size:,} bytes unpack from {member.compress_size:,}")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(f"{path} is refused: it is packed in a way that Keras does not use")
            return io.BytesIO(archive.read(member)) if unpack else None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} is damaged: {first_line(error)}; {again}") from None


@contextmanager
def damage_as_error(path: Path, again: str = AGAIN) -> Iterator[None]:
    """What h5py raises when a file is not in order, in one line, with what to do."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        cut = _CUT_OFF.search(str(error))
        why = f"of its {int(cut[2]):,} bytes it has the first {int(cut[1]):,}" if cut else first_line(error)
        raise DataError(f"{path} is damaged: {why}; {again}") from None


def contents(file: Any, path: Path, names: set[str]) -> list[StoredLayer]:
    """The layers of the file that hold arrays.

    Raises:
        UsageError: These are no weights of Keras, or two layers have one name.
        DataError: Something in it is not harmless.
    """
    root = _Group(file["/"], path)
    whole = root.group("model_weights") if "model_weights" in root.names else None
    if old := next((group for group in (root, whole) if group and group.has_texts("layer_names")), None):
        found = list(_keras2(old, names))
    else:
        found = list(_keras3(root))
    if not found:
        raise UsageError(f"{path} is an HDF5 file, but no layers with weights of Keras are in it")
    if twice := [name for name, count in Counter(layer.name for layer in found).items() if count > 1]:
        raise UsageError(f"{path} has several layers of one name, which can't be told apart: {layer_names(twice)}")
    return found


def refuse_unless_plain(path: Path) -> None:
    """Refuses a file of weights with more in it than Keras 3 puts there; Keras reads what a file claims to be.

    What leads elsewhere, in the file or out of it, is no number, or would be larger in memory than the file is.

    Raises:
        DataError: There is such a thing in it, or it is damaged.
    """
    if not h5py.is_hdf5(path):
        raise DataError(f"{path} is damaged: it is no HDF5 file; {AGAIN}")
    with damage_as_error(path), h5py.File(path, "r") as file:
        _refuse_unless_plain(_Group(file["/"], path), path.stat().st_size, set(), 0)


def _refuse_unless_plain(group: _Group, size: int, visited: set[int], depth: int) -> None:
    """The same of a group, and all that is in it.

    Args:
        group: It.
        size: Bytes of the file.
        visited: Addresses of the groups so far.
        depth: Groups above it.
    """
    group.enter(visited, depth)
    group.refuse_odd_attributes()
    for name in group.names:
        if inner := group.group_or_none(name):
            _refuse_unless_plain(inner, size, visited, depth + 1)
        elif (array := group.array(name)).nbytes > size:
            raise DataError(
                f"{group.path} is refused: {in_one_line(array.name)} claims {in_bytes(array.nbytes)}, and the file has "
                f"{in_bytes(size)}"
            )


class _Group:
    """A group of an HDF5 file, from which only what lies in the file itself is reached."""

    def __init__(self, group: Any, path: Path):
        self.path = path
        self.names = sorted(group, key=by_number)
        self._group = group

    @property
    def address(self) -> int:
        """Where it lies in the file; two names may lead to one group."""
        return int(h5py.h5o.get_info(self._group.id).addr)

    def group(self, name: str) -> _Group:
        """The group of that name in it; the name may have slashes."""
        return _Group(self._get(name, h5py.Group), self.path)

    def group_or_none(self, name: str) -> _Group | None:
        """The group of that name in it; None where it is something else."""
        return self.group(name) if isinstance(self._get(name, h5py.HLObject), h5py.Group) else None

    def groups(self) -> Iterator[tuple[str, _Group]]:
        """Every group in it."""
        for name in self.names:
            if group := self.group_or_none(name):
                yield name, group

    def array(self, name: str) -> Any:
        """The array of that name, not read yet: of numbers, and all in this file."""
        found = self._get(name, h5py.Dataset)
        if found.external or found.is_virtual:
            raise DataError(f"{self.path} is refused: the numbers of {in_one_line(found.name)} lie in other files")
        if found.dtype.kind not in "fiu" or found.shape is None:
            raise DataError(
                f"{self.path}: {in_one_line(found.name)} should hold numbers, not {in_one_line(str(found.dtype))}"
            )
        # A chunk is unpacked as a whole, and may be larger than its array.
        chunk = math.prod(found.chunks or ()) * found.dtype.itemsize
        if chunk > max(UNSUSPICIOUS, math.prod(found.shape) * found.dtype.itemsize):
            raise DataError(f"{self.path} is refused: {in_one_line(found.name)} is packed in chunks larger than itself")
        return found

    def _get(self, name: str, kind: type) -> Any:
        found = self._group
        for part in name.split("/"):
            if not isinstance(found, h5py.Group) or part in ("", ".", "..") or not found.id.links.exists(part.encode()):
                lacking = in_one_line(f"{self._group.name}/{name}")
                raise DataError(f"{self.path} is damaged: it lacks {lacking}; {AGAIN}")
            if found.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
                raise DataError(
                    f"{self.path} is refused: {in_one_line(part)} in it is a link, which may lead elsewhere"
                )
            found = found[part]
        if not isinstance(found, kind):
            should = f"{in_one_line(found.name)} should be a {kind.__name__.lower()}"
            raise DataError(f"{self.path} is damaged: {should}; {AGAIN}")
        return found

    def has_texts(self, name: str) -> bool:
        """Whether there is an attribute of that name, whole or in parts."""
        return name in self._group.attrs or f"{name}0" in self._group.attrs

    def texts(self, name: str) -> list[str]:
        """An attribute that is a text or a list of texts; Keras cuts a long one into parts."""
        attributes = self._group.attrs
        parts = (f"{name}{i}" for i in count())
        found = [name] if name in attributes else list(takewhile(lambda part: part in attributes, parts))
        texts = []
        for part in found:
            self._refuse_large(self._group, part)
            texts += np.atleast_1d(attributes[part]).ravel().tolist()
        return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]

    def enter(self, visited: set[int], depth: int) -> None:
        """Notes that it is looked into.

        Args:
            visited: Addresses of the groups so far.
            depth: Groups above it.

        Raises:
            DataError: It was visited, or there are too many above it.
        """
        if self.address in visited or depth > DEEPEST:
            raise DataError(f"{self.path} is refused: its groups lie inside one another")
        visited.add(self.address)

    def refuse_odd_attributes(self) -> None:
        """Refuses attributes that Keras 3 would not write, of the group and of the arrays in it.

        It writes single texts; many can be the same long one of the file, which takes its room for each.
        """
        for item in (self._group, *(self._get(name, h5py.HLObject) for name in self.names)):
            for name in item.attrs:
                declared = self._refuse_large(item, name)
                several = math.prod(declared.shape or ()) > 1
                if declared.dtype.kind == "O" and (several or not h5py.check_string_dtype(declared.dtype)):
                    raise DataError(f"{self.path} is refused: its {in_one_line(name)} is no text of Keras")

    def _refuse_large(self, item: Any, name: str) -> Any:
        """An attribute, not read yet, which is refused if it is far too large."""
        declared = item.attrs.get_id(name)
        if math.prod(declared.shape or ()) * declared.dtype.itemsize > LARGEST_ATTRIBUTE:
            raise DataError(f"{self.path} is refused: its {in_one_line(name)} is far too large")
        return declared


def _keras2(root: _Group, names: set[str]) -> Iterator[StoredLayer]:
    """Layers in their order, each a group with the names of its arrays, as `conv1/kernel:0`.

    A model inside the model is one group for all its layers, which are told apart by what their arrays are called.
    """
    numbers = count()
    for name in root.texts("layer_names"):
        group = root.group(name)
        arrays = group.texts("weight_names")
        folders = {array: array.rpartition("/")[0].rpartition("/")[2] or name for array in arrays}
        inner = list(dict.fromkeys(folders.values()))
        nested = name not in names and (len(inner) > 1 or not names.isdisjoint(inner))
        for layer in inner if nested else [name] * bool(arrays):
            own = [array for array in arrays if not nested or folders[array] == layer]
            leaves = tuple(array.rpartition("/")[2].partition(":")[0] for array in own)
            yield StoredLayer(layer, leaves, tuple(group.array(array) for array in own), "", next(numbers))


def _keras3(root: _Group) -> Iterator[StoredLayer]:
    """Layers in groups by kind, `layers/conv2d_1/vars/0`; so only those of one kind are known to be in order."""
    lists = [name for name in LISTS if name in root.names]
    # A model of one's own class has its layers as groups of their own, beside what is no layer.
    for name, group in root.groups():
        if name in lists or (not lists and name not in ("optimizer", "vars")):
            yield from _keras3_layers(group, "", name, "", {root.address}, 1)


def _keras3_layers(
    group: _Group, folder: str, kind: str, owner: str, visited: set[int], depth: int
) -> Iterator[StoredLayer]:
    """A layer, or list of layers, and what is inside.

    Args:
        group: It.
        folder: Where it is from the root.
        kind: What it is called there, `conv2d_1`.
        owner: Name, with a slash, of the layer that it is a part of.
        visited: Addresses of the groups so far.
        depth: Groups above it.
    """
    group.enter(visited, depth)
    if kind in LISTS:
        owner = ""
    elif "vars" in group.names:
        arrays = group.group("vars")
        name = "".join(arrays.texts("name"))
        if name.startswith("seed_generator"):
            return
        if arrays.names and not name:
            raise UsageError(
                f"{group.path} does not tell the names of its layers, as old versions of Keras 3 did not; "
                "load it in Keras and save it again"
            )
        if arrays.names:
            base, number = by_number(kind)
            stored = tuple(arrays.array(leaf) for leaf in arrays.names)
            yield StoredLayer(f"{owner}{name}", tuple(arrays.names), stored, f"{folder}/{base}", number)
        owner = f"{owner}{name}/"
    for name, inner in group.groups():
        if name != "vars":
            yield from _keras3_layers(inner, f"{folder}/{kind}", name, owner, visited, depth + 1)


def by_number(name: str) -> tuple[str, int]:
    """`conv2d_10` as ("conv2d", 10) and `10` as ("", 10), so that 10 comes after 9; without a number it is 0."""
    found = re.fullmatch(r"(?:(.*)_)?([0-9]{1,9})", name, re.DOTALL)
    return (found[1] or "", int(found[2])) if found else (name, 0)


def layer_names(names: Iterable[str]) -> str:
    """The first few names of layers, as files and networks have them."""
    return some([in_one_line(name) for name in names])
