"""Weights that a network starts from: those of a run, or of a file that Keras wrote.

Only arrays are read. A model that is described in a file is never built, and the file is not trusted: no array is
read before its shape is known to be one of the network's, and nothing in it may lead to another file.

Layers are matched by name, the arrays of a layer by their names where a file has them (Keras 2), else by their
places. Everything up to the feature vector must be found in the file, and whatever the file has in excess must lie
behind it, as the classifier does; else it is another network, and all differences are told.
"""

from __future__ import annotations

import hashlib
import math
import re
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import IO, Any

import h5py

from cnnkit import checkpoints
from cnnkit.architectures.base import Network
from cnnkit.errors import DataError, TrainingError, UsageError
from cnnkit.lazy import keras, np
from cnnkit.run import Run

NAMED = 6
"""At most so many layers are named in one line of a message."""

LISTS = ("layers", "_layer_checkpoint_dependencies")
"""What Keras 3, and Keras 2.13 before it, call the group of a model's layers."""

OF_KERAS = re.compile(
    r"predictions|conv_preds|fc1000|conv\d_block\d+_.+|block\d+[a-z]_.+|block\d+_sepconv\d.*|conv_[dp]w_\d+.*"
    r"|expanded_conv_.+|mixed\d+.*|stem_conv|normal_.+|reduction_.+|convnext_.+"
)
"""Names of layers in keras.applications."""

DEEPEST = 32
"""Groups inside groups; a file of Keras has a few."""

EXPANSION = 20
"""A member of an archive may unpack to so many times its size; Keras does not even compress it."""

UNSUSPICIOUS = 2**26
"""Bytes that a member may always have."""

LEAVES = frozenset(("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"))
"""Names of arrays that mean the same in every version of Keras; other names are no reason to refuse an array."""


@dataclass(frozen=True)
class Report:
    """What was loaded.

    Attributes:
        source: The run with its epoch, or the file.
        layers: How many layers were matched, with the classifier if it was taken.
        numbers: How many numbers these hold.
        classifier: Whether the classifier was taken, too.
        reason: Why not; empty if it was.
        left_out: Layers of the file that the network has no use for, in the file's order.
    """

    source: str
    layers: int
    numbers: int
    classifier: bool
    reason: str = ""
    left_out: tuple[str, ...] = ()

    def line(self) -> str:
        """It in one sentence, for the screen and the log."""
        layers = "1 layer" if self.layers == 1 else f"{self.layers} layers"
        head = "with the classifier" if self.classifier else f"the classifier starts anew: {self.reason}"
        rest = f"; left out: {_some(self.left_out)}" if self.left_out else ""
        return f"weights: {layers}, {self.numbers:,} numbers from {self.source}; {head}{rest}"


@dataclass(frozen=True)
class _Ours:
    """A layer of the network that holds variables itself."""

    name: str
    layer: Any
    variables: tuple[Any, ...]


@dataclass(frozen=True)
class _Theirs:
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


def load(network: Network, source: Path, classes: Sequence[str] | None = None) -> Report:
    """Gives a network the weights of a run or of a file; all of them, or on an error none.

    The classifier is taken, too, where it has the same shape and, in a run, was for the same classes in the same
    order; else it stays as it is. Auxiliary classifiers always stay as they are.

    Args:
        network: A built network.
        source: The folder of a run, a .weights.h5 of Keras 3, an .h5 of Keras 2 (weights or a whole model), a .keras.
        classes: Names of the classes in the order of the network's logits; not compared if left out.

    Raises:
        UsageError: There is no such file, it is not one of these, or it is of another network.
        DataError: The file is damaged, or not harmless.
        TrainingError: The run is damaged.
    """
    label, path, known = _origin(source)
    ours, head = list(_layers(network.backbone)), list(_layers(network.classifier))
    aside = {layer.name for part, _ in network.auxiliary for layer in _layers(part)}
    behind = (aside | {layer.name for layer in head}) - {layer.name for layer in ours}
    with _opened(path) as file:
        with _damage_told(path):
            found = _contents(file, path, {layer.name for layer in (*ours, *head)})
        pairs, left = _matched(network, ours, behind, found, label)
        reason = _why_anew(head, left, known, classes)
        if not reason:
            pairs += [(layer, left.pop(layer.name)) for layer in head]
        if not pairs:
            raise UsageError(f"{label} has nothing for this network: {reason}")
        values = []
        for layer, stored in pairs:
            for variable, dataset in zip(layer.variables, _aligned(layer, stored), strict=True):
                with _damage_told(path), np.errstate(all="ignore"):
                    read = np.asarray(dataset[()])
                    array = read.astype(variable.dtype)
                if not (np.isfinite(read).all() and np.isfinite(array).all()):
                    raise DataError(f"{path}: the layer {_shown(layer.name)} holds numbers that are NaN or infinite")
                values.append((variable, array))
    for variable, array in values:
        variable.assign(array)
    for layer, _ in pairs:
        # Keras's Normalization computes with a copy of its weights.
        if hasattr(layer.layer, "finalize_state"):
            layer.layer.finalize_state()
    spare = tuple(name for name in left if name not in {layer.name for layer in head})
    return Report(label, len(pairs), sum(array.size for _, array in values), not reason, reason, spare)


def _origin(source: Path) -> tuple[str, Path, list[str] | None]:
    """How to call the source, its file of weights, and its classes if it tells them."""
    if not source.is_dir():
        return str(source), source, None
    if (source / "saved_model.pb").is_file():
        raise UsageError(f"{source} is a SavedModel, which holds no layers by name; use it as {{name: hub, ...}}")
    run = Run.open(source)
    best = checkpoints.read(run.checkpoint_folder, "best")
    path = run.checkpoint_folder / best["file"]
    if not path.is_file():
        raise TrainingError(f"{path} is missing, which best.json names")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != best["sha256"]:
            raise TrainingError(f"{path} is damaged: its SHA-256 is not the one it was saved with")
    return f"{source} (epoch {best['epoch']})", path, run.classes


# The network's side.


def _layers(model: Any) -> Iterator[_Ours]:
    """The layers that hold variables, from input to output; those of a model inside a model by their own names."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield from _parts(layer, layer.name)


def _parts(layer: Any, name: str) -> Iterator[_Ours]:
    """A layer, then the layers that it is made of, as `block/dense`."""
    inner = [part for part in layer._layers if isinstance(part, keras.layers.Layer)]
    elsewhere = {id(variable) for part in inner for variable in part.weights}
    own = tuple(variable for variable in layer.weights if id(variable) not in elsewhere)
    if own:
        yield _Ours(name, layer, own)
    for part in inner:
        yield from _parts(part, f"{name}/{part.name}")


# The file's side.


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The HDF5 file, or that inside of a .keras archive."""
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
                raise DataError(f"{path} is damaged: it is empty")
            if not archive and not h5py.is_hdf5(path):
                raise UsageError(f"{path} is of another kind; weights come from {forms}")
            with tempfile.TemporaryFile() as unpacked:
                if archive:
                    _unpack(path, file, unpacked)
                with _damage_told(path):
                    opened = h5py.File(unpacked if archive else path, "r")
                with opened:
                    yield opened
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from None


def _unpack(path: Path, file: IO[bytes], target: IO[bytes]) -> None:
    """Copies the weights out of a .keras archive; the names in the archive are not used as paths."""
    try:
        with zipfile.ZipFile(file) as archive:
            if "model.weights.h5" not in archive.namelist():
                raise UsageError(f"{path} is an archive without model.weights.h5, so not what Keras writes as .keras")
            member = archive.getinfo("model.weights.h5")
            if member.file_size > max(UNSUSPICIOUS, EXPANSION * member.compress_size):
                raise DataError(f"{path} is refused: {member.file_size:,} bytes unpack from {member.compress_size:,}")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(f"{path} is refused: it is packed in a way that Keras does not use")
            with archive.open(member) as packed:
                while chunk := packed.read(2**20):
                    target.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} is damaged: {_first_line(error)}") from None
    target.seek(0)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """What h5py raises when a file is not in order, in one line."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise DataError(f"{path} is damaged: {_first_line(error)}") from None


def _contents(file: Any, path: Path, names: set[str]) -> list[_Theirs]:
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
        raise UsageError(f"{path} has several layers of one name, which can't be told apart: {_some(twice)}")
    return found


class _Group:
    """A group of an HDF5 file, from which only what lies in the file itself is reached."""

    def __init__(self, group: Any, path: Path):
        self.path = path
        self.names = sorted(group, key=_by_number)
        self._group = group

    @property
    def address(self) -> int:
        """Where it lies in the file; two names may lead to one group."""
        return int(h5py.h5o.get_info(self._group.id).addr)

    def group(self, name: str) -> _Group:
        """The group of that name in it; the name may have slashes."""
        return _Group(self._get(name, h5py.Group), self.path)

    def groups(self) -> Iterator[tuple[str, _Group]]:
        """Every group in it."""
        for name in self.names:
            if isinstance(self._get(name, h5py.HLObject), h5py.Group):
                yield name, self.group(name)

    def array(self, name: str) -> Any:
        """The array of that name, not read yet: of numbers, and all in this file."""
        found = self._get(name, h5py.Dataset)
        if found.external or found.is_virtual:
            raise DataError(f"{self.path} is refused: the numbers of {_shown(found.name)} lie in other files")
        if found.dtype.kind not in "fiu" or found.shape is None:
            raise DataError(f"{self.path}: {_shown(found.name)} should hold numbers, not {_shown(str(found.dtype))}")
        # A chunk is unpacked as a whole, and may be larger than its array.
        chunk = math.prod(found.chunks or ()) * found.dtype.itemsize
        if chunk > max(UNSUSPICIOUS, math.prod(found.shape) * found.dtype.itemsize):
            raise DataError(f"{self.path} is refused: {_shown(found.name)} is packed in chunks larger than itself")
        return found

    def _get(self, name: str, kind: type) -> Any:
        found = self._group
        for part in name.split("/"):
            if not isinstance(found, h5py.Group) or part in ("", ".", "..") or not found.id.links.exists(part.encode()):
                raise DataError(f"{self.path} is damaged: it lacks {_shown(f'{self._group.name}/{name}')}")
            if found.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
                raise DataError(f"{self.path} is refused: {_shown(part)} in it is a link, which may lead elsewhere")
            found = found[part]
        if not isinstance(found, kind):
            raise DataError(f"{self.path} is damaged: {_shown(found.name)} should be a {kind.__name__.lower()}")
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
            declared = attributes.get_id(part)
            if math.prod(declared.shape) * declared.dtype.itemsize > UNSUSPICIOUS:
                raise DataError(f"{self.path} is refused: its {part} is far too large")
            texts += np.atleast_1d(attributes[part]).ravel().tolist()
        return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _keras2(root: _Group, names: set[str]) -> Iterator[_Theirs]:
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
            yield _Theirs(layer, leaves, tuple(group.array(array) for array in own), "", next(numbers))


def _keras3(root: _Group) -> Iterator[_Theirs]:
    """Layers in groups by kind, `layers/conv2d_1/vars/0`; so only those of one kind are known to be in order."""
    lists = [name for name in LISTS if name in root.names]
    # A model of one's own class has its layers as groups of their own, beside what is no layer.
    for name, group in root.groups():
        if name in lists or (not lists and name not in ("optimizer", "vars")):
            yield from _keras3_layers(group, "", name, "", {root.address}, 1)


def _keras3_layers(
    group: _Group, folder: str, kind: str, owner: str, visited: set[int], depth: int
) -> Iterator[_Theirs]:
    """A layer, or list of layers, and what is inside.

    Args:
        group: It.
        folder: Where it is from the root.
        kind: What it is called there, `conv2d_1`.
        owner: Name, with a slash, of the layer that it is a part of.
        visited: Addresses of the groups so far.
        depth: Groups above it.
    """
    if group.address in visited or depth > DEEPEST:
        raise DataError(f"{group.path} is refused: its groups lie inside one another")
    visited.add(group.address)
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
            base, number = _by_number(kind)
            stored = tuple(arrays.array(leaf) for leaf in arrays.names)
            yield _Theirs(f"{owner}{name}", tuple(arrays.names), stored, f"{folder}/{base}", number)
        owner = f"{owner}{name}/"
    for name, inner in group.groups():
        if name != "vars":
            yield from _keras3_layers(inner, f"{folder}/{kind}", name, owner, visited, depth + 1)


# What of one fits the other.


def _matched(
    network: Network, ours: list[_Ours], aside: set[str], found: list[_Theirs], label: str
) -> tuple[list[tuple[_Ours, _Theirs]], dict[str, _Theirs]]:
    """Every layer of the backbone with its layer of the file, and what of the file is left.

    Args:
        network: The network.
        ours: Layers of its backbone.
        aside: Names of its layers behind the backbone, which the file may have.
        found: Layers of the file.
        label: How to call the file.

    Raises:
        UsageError: It is a file of another network.
    """
    stored = {layer.name: layer for layer in found}
    elsewhere = _renumbered(ours, stored)
    pairs, used, missing, differing = [], [], [], []
    for layer in ours:
        theirs = stored.pop(elsewhere.get(layer.name, layer.name), None)
        if theirs is None:
            missing.append(layer.name)
            continue
        used.append(theirs)
        if why := _difference(layer, theirs):
            differing.append(why)
        else:
            pairs.append((layer, theirs))
    surplus = [layer for layer in stored.values() if layer.name not in aside]
    sizes = {network.backbone.output.shape[-1], *(layer.variables[0].shape[-1] for layer in ours[-1:])}
    behind = _behind(surplus, used, sizes)
    if not missing and not differing and len(behind) == len(surplus):
        return pairs, stored
    lines = [f"{label} is of another network: of the {len(ours)} layers here {len(pairs)} fit"]
    if missing:
        lines.append(f"  only here: {_some(missing)}")
    if odd := [layer.name for layer in surplus if missing or layer not in behind]:
        lines.append(f"  only there: {_some(odd)}")
    lines += [f"  of other shapes: {why}" for why in differing[:4]]
    if len(differing) > 4:
        lines.append(f"  of other shapes: {len(differing) - 4} more")
    raise UsageError(*lines, f"  {_hint(network, len(ours) - len(missing), missing, odd, found)}")


def _hint(network: Network, common: int, missing: list[str], odd: list[str], found: list[_Theirs]) -> str:
    """What may be the matter."""
    family = network.model.name
    if missing and family != "keras_application" and any(OF_KERAS.fullmatch(layer.name) for layer in found):
        return (
            "these look like layers of keras.applications: use {name: keras_application, application: ...}, or give "
            "them the names they have here with scripts/convert_weights.py"
        )
    if not missing and not odd:
        return "the layers have the same names: images of other channels or size, or another width there?"
    if common:
        return f"is it of another depth, or of {_shown(family)} with other settings?"
    return "no layer has the same name: weights fit only the architecture that they come from"


def _renumbered(ours: list[_Ours], stored: Iterable[str]) -> dict[str, str]:
    """From our names to the file's where Keras has numbered layers without a name, as in conv2d_7.

    These numbers go on from one network to the next in a process, so only their order counts.
    """
    elsewhere: dict[str, str] = {}
    kinds: dict[str, list[str]] = {}
    for layer in ours:
        kind = re.sub("(?<=[a-z0-9])(?=[A-Z][a-z])", "_", type(layer.layer).__name__).lower()
        if _by_number(layer.name)[0] == kind:
            kinds.setdefault(kind, []).append(layer.name)
    stored = set(stored)
    for kind, names in kinds.items():
        if not stored.issuperset(names):
            theirs = sorted((name for name in stored if _by_number(name)[0] == kind), key=_by_number)
            elsewhere |= dict(zip(sorted(names, key=_by_number), theirs, strict=False))
    return elsewhere


def _behind(surplus: list[_Theirs], used: list[_Theirs], sizes: set[int]) -> list[_Theirs]:
    """Those layers of the file that come after all that are used.

    Where the order is not known, a layer does if it takes what comes out there: the features, perhaps with their
    places in the image side by side, or what another such layer makes of them.

    Args:
        surplus: Layers of the file that are not used.
        used: Those that are.
        sizes: How many numbers come out of the backbone, and of its last layer at each place.
    """
    last: dict[str, int] = {}
    for layer in used:
        last[layer.sequence] = max(layer.number, last.get(layer.sequence, layer.number))
    behind = [layer for layer in surplus if layer.number > last.get(layer.sequence, layer.number)]
    waiting = sorted((layer for layer in surplus if layer.sequence not in last), key=lambda layer: layer.number)
    while True:
        outputs = {layer.arrays[0].shape[-1] for layer in behind if layer.arrays[0].shape}
        stuck: set[str] = set()
        for layer in waiting:
            if layer.sequence not in stuck and _takes(layer, sizes, outputs):
                break
            stuck.add(layer.sequence)
        else:
            return behind
        waiting.remove(layer)
        behind.append(layer)


def _takes(layer: _Theirs, sizes: set[int], outputs: set[int]) -> bool:
    """Whether a layer of the file can stand behind the features, or behind other layers with these outputs."""
    shape = layer.arrays[0].shape
    if len(shape) < 2:
        # A normalisation has the same width as many a layer in the middle, so it must have its own layer before it.
        return bool(shape) and shape[0] in outputs
    return shape[-2] > 0 and (shape[-2] in outputs or any(shape[-2] % size == 0 for size in sizes))


def _aligned(ours: _Ours, theirs: _Theirs) -> tuple[Any, ...]:
    """The arrays of a layer in the order of our variables: by their names if these are the same, else as they are."""
    names = [variable.name for variable in ours.variables]
    by_name = dict(zip(theirs.leaves, theirs.arrays, strict=True))
    if by_name.keys() == set(names) and len(by_name) == len(names) == len(theirs.arrays):
        return tuple(by_name[name] for name in names)
    return theirs.arrays


def _difference(ours: _Ours, theirs: _Theirs) -> str:
    """Why a layer of the file does not fit ours; empty if it does."""
    arrays = _aligned(ours, theirs)
    names = [variable.name for variable in ours.variables]
    name = _shown(ours.name)
    if len(arrays) != len(names):
        return f"{name}: {len(arrays)} arrays there, {len(names)} here"
    if set(names) != set(theirs.leaves):
        for leaf, here in zip(theirs.leaves, names, strict=True):
            if leaf != here and {leaf, here} <= LEAVES:
                return f"{name}: {leaf} there, {here} here"
    for array, variable in zip(arrays, ours.variables, strict=True):
        if tuple(array.shape) != tuple(variable.shape):
            return f"{name}: {_by(array.shape)} there, {_by(variable.shape)} here"
    return ""


def _why_anew(
    head: list[_Ours], left: dict[str, _Theirs], known: Sequence[str] | None, classes: Sequence[str] | None
) -> str:
    """Why the classifier can't be taken; empty if it can.

    Args:
        head: Its layers.
        left: What the backbone left of the file.
        known: Classes there.
        classes: Classes here.
    """
    if any(layer.name not in left for layer in head):
        return f"none is called {' and '.join(layer.name for layer in head)} there"
    if known is not None and classes is not None and list(known) != list(classes):
        if len(known) != len(classes):
            return f"{len(known)} classes there, {len(classes)} here"
        if set(known) == set(classes):
            return "the same classes there, but in another order"
        there, here = next(pair for pair in zip(known, classes, strict=True) if pair[0] != pair[1])
        return f"other classes there, {_shown(there)} is {_shown(here)} here"
    return next((why for layer in head if (why := _difference(layer, left[layer.name]))), "")


# Words.


def _by_number(name: str) -> tuple[str, int]:
    """`conv2d_10` as ("conv2d", 10) and `10` as ("", 10), so that 10 comes after 9; without a number it is 0."""
    found = re.fullmatch(r"(?:(.*)_)?([0-9]{1,9})", name, re.DOTALL)
    return (found[1] or "", int(found[2])) if found else (name, 0)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(map(_shown, names[:NAMED])) + more


def _shown(text: str, most: int = 60) -> str:
    """A text from a file, which may be anything, as it can stand in a line."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _first_line(error: BaseException) -> str:
    return _shown(str(error).strip().partition("\n")[0].strip("'\""), most=200) or type(error).__name__
