"""Weights that a network starts from: those of a run, or of a file that Keras wrote.

Only arrays are read. A model that is described in a file is never built, and the file is not trusted: no array is
read before its shape is known to be one of the network's, and nothing in it may lead to another file.

Layers are matched by name, the arrays of a layer by their names where a file has them (Keras 2), else by their
places. Everything up to the feature vector must be found in the file, and whatever the file has in excess must lie
behind it, as the classifier does; else it is another network, and all differences are told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.lazy import keras, np
from cnnkit.core.text import counted, first_of, in_one_line
from cnnkit.models.base import Architecture, Network
from cnnkit.models.weight_files import StoredLayer, by_number, contents, damage_as_error, layer_names, opened
from cnnkit.runs import checkpoints, reading
from cnnkit.runs.run import Run

OF_KERAS = re.compile(
    r"predictions|conv_preds|fc1000|conv\d_block\d+_.+|block\d+[a-z]_.+|block\d+_sepconv\d.*|conv_[dp]w_\d+.*"
    r"|expanded_conv_.+|mixed\d+.*|stem_conv|normal_.+|reduction_.+|convnext_.+"
)
"""Names of layers in keras.applications."""

LEAVES = frozenset(("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"))
"""Names of arrays that mean the same in every version of Keras; other names are no reason to refuse an array."""


@dataclass(frozen=True)
class LoadedWeights:
    """What was loaded.

    Attributes:
        source: The run with its epoch, or the file.
        sha256: Of the file.
        layers: How many layers were matched, with the classifier if it was taken.
        numbers: How many numbers these hold.
        classifier: Whether the classifier was taken, too.
        reason: Why not; empty if it was.
        left_out: Layers of the file that the network has no use for, in the file's order.
    """

    source: str
    sha256: str
    layers: int
    numbers: int
    classifier: bool
    reason: str = ""
    left_out: tuple[str, ...] = ()

    def line(self) -> str:
        """It in one sentence, for the screen and the log."""
        head = "with the classifier" if self.classifier else f"the classifier starts anew: {self.reason}"
        rest = f"; left out: {layer_names(self.left_out)}" if self.left_out else ""
        return f"weights: {counted(self.layers, 'layer')}, {self.numbers:,} numbers from {self.source}; {head}{rest}"


@dataclass(frozen=True)
class _Ours:
    """A layer of the network that holds variables itself."""

    name: str
    layer: Any
    variables: tuple[Any, ...]


SAME = ("activation", "scaling", "pixel_range")
"""Settings of a network that no weight shows; with another one the weights mean something else."""


def load(
    network: Network, source: Path, classes: Sequence[str] | None = None, architecture: Architecture | None = None
) -> LoadedWeights:
    """Gives a network the weights of a run or of a file; all of them, or on an error none.

    The classifier is taken, too, where it has the same shape and, in a run, was for the same classes in the same
    order; else it stays as it is. Auxiliary classifiers always stay as they are.

    Args:
        network: A built network.
        source: The folder of a run, a .weights.h5 of Keras 3, an .h5 of Keras 2 (weights or a whole model), a .keras.
        classes: Names of the classes in the order of the network's logits; not compared if left out.
        architecture: What the network was built from; if given, a run must have used its weights in the same way.

    Raises:
        UsageError: There is no such file, it is not one of these, or it is of another network.
        DataError: The file is damaged, or not harmless.
        TrainingError: The run is damaged.
    """
    label, path, theirs = _origin(source, architecture)
    ours, head = list(_layers(network.backbone)), list(_layers(network.classifier))
    aside = {layer.name for part, _ in network.auxiliary for layer in _layers(part)}
    behind = (aside | {layer.name for layer in head}) - {layer.name for layer in ours}
    with opened(path) as file:
        with damage_as_error(path):
            found = contents(file, path, {layer.name for layer in (*ours, *head)})
        pairs, left = _matched(network, ours, behind, found, label)
        reason = _why_anew(head, left, theirs, classes)
        if not reason:
            pairs += [(layer, left.pop(layer.name)) for layer in head]
        if not pairs:
            raise UsageError(f"{label} has nothing for this network: {reason}")
        values = [pair for layer, stored in pairs for pair in _read(layer, stored, path)]
    for variable, array in values:
        variable.assign(array)
    for layer, _ in pairs:
        # Keras's Normalization computes with a copy of its weights.
        if hasattr(layer.layer, "finalize_state"):
            layer.layer.finalize_state()
    spare = tuple(name for name in left if name not in {layer.name for layer in head})
    digest = reading.sha256(path)
    return LoadedWeights(label, digest, len(pairs), sum(array.size for _, array in values), not reason, reason, spare)


def _read(layer: _Ours, stored: StoredLayer, path: Path) -> Iterator[tuple[Any, Any]]:
    """The variables of a layer, each with its array of the file."""
    for variable, dataset in zip(layer.variables, _aligned(layer, stored), strict=True):
        with damage_as_error(path), np.errstate(all="ignore"):
            read = np.asarray(dataset[()])
            array = read.astype(variable.dtype)
        if not (np.isfinite(read).all() and np.isfinite(array).all()):
            raise DataError(f"{path}: the layer {in_one_line(layer.name)} holds numbers that are NaN or infinite")
        yield variable, array


def _origin(source: Path, architecture: Architecture | None) -> tuple[str, Path, list[str] | None]:
    """How to call the source, its file of weights, and its classes if it tells them."""
    if not source.is_dir():
        return str(source), source, None
    if (source / "saved_model.pb").is_file():
        raise UsageError(f"{source} is a SavedModel, which holds no layers by name; use it as {{name: hub, ...}}")
    run = Run.open(source)
    theirs = run.experiment.model
    for setting in SAME if type(theirs) is type(architecture) else ():
        there, here = getattr(theirs, setting, None), getattr(architecture, setting, None)
        if there != here:
            raise UsageError(f"{source} has learnt with model.{setting}: {there}, here it is {here}; make it the same")
    path, best = checkpoints.verified(run.files.checkpoints, checkpoints.BEST)
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


# What of one fits the other.


def _matched(
    network: Network, ours: list[_Ours], aside: set[str], found: list[StoredLayer], label: str
) -> tuple[list[tuple[_Ours, StoredLayer]], dict[str, StoredLayer]]:
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
    lines = [f"{label} is of another network: of {counted(len(ours), 'layer')} here {len(pairs)} fit"]
    if missing:
        lines.append(f"  only here: {layer_names(missing)}")
    if odd := [layer.name for layer in surplus if missing or layer not in behind]:
        lines.append(f"  only there: {layer_names(odd)}")
    lines += [f"  of other shapes: {why}" for why in first_of(differing, 4)]
    raise UsageError(*lines, f"  {_hint(network, len(ours) - len(missing), missing, odd, found)}")


def _hint(network: Network, common: int, missing: list[str], odd: list[str], found: list[StoredLayer]) -> str:
    """What the differences point to, and what to do."""
    family = network.model.name
    if missing and family != "keras_application" and any(OF_KERAS.fullmatch(layer.name) for layer in found):
        return (
            "these look like layers of keras.applications: use {name: keras_application, application: ...}, or give "
            "them the names they have here with scripts/convert_weights.py"
        )
    if not missing and not odd:
        return "the layers have the same names: images of other channels or size, or another width there?"
    if common:
        return f"is it of another depth, or of {in_one_line(family)} with other settings?"
    return "no layer has the same name: weights fit only the architecture that they come from"


def _renumbered(ours: list[_Ours], stored: Iterable[str]) -> dict[str, str]:
    """From our names to the file's where Keras has numbered layers without a name, as in conv2d_7.

    These numbers go on from one network to the next in a process, so only their order counts.
    """
    elsewhere: dict[str, str] = {}
    kinds: dict[str, list[str]] = {}
    for layer in ours:
        kind = re.sub("(?<=[a-z0-9])(?=[A-Z][a-z])", "_", type(layer.layer).__name__).lower()
        if by_number(layer.name)[0] == kind:
            kinds.setdefault(kind, []).append(layer.name)
    stored = set(stored)
    for kind, names in kinds.items():
        if not stored.issuperset(names):
            theirs = sorted((name for name in stored if by_number(name)[0] == kind), key=by_number)
            elsewhere |= dict(zip(sorted(names, key=by_number), theirs, strict=False))
    return elsewhere


def _behind(surplus: list[StoredLayer], used: list[StoredLayer], sizes: set[int]) -> list[StoredLayer]:
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


def _takes(layer: StoredLayer, sizes: set[int], outputs: set[int]) -> bool:
    """Whether a layer of the file can stand behind the features, or behind other layers with these outputs."""
    shape = layer.arrays[0].shape
    if len(shape) < 2:
        # A normalisation has the same width as many a layer in the middle, so it must have its own layer before it.
        return bool(shape) and shape[0] in outputs
    return shape[-2] > 0 and (shape[-2] in outputs or any(shape[-2] % size == 0 for size in sizes))


def _aligned(ours: _Ours, theirs: StoredLayer) -> tuple[Any, ...]:
    """The arrays of a layer in the order of our variables: by their names if these are the same, else as they are."""
    names = [variable.name for variable in ours.variables]
    by_name = dict(zip(theirs.leaves, theirs.arrays, strict=True))
    if by_name.keys() == set(names) and len(by_name) == len(names) == len(theirs.arrays):
        return tuple(by_name[name] for name in names)
    return theirs.arrays


def _difference(ours: _Ours, theirs: StoredLayer) -> str:
    """Why a layer of the file does not fit ours; empty if it does."""
    arrays = _aligned(ours, theirs)
    names = [variable.name for variable in ours.variables]
    name = in_one_line(ours.name)
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
    head: list[_Ours], left: dict[str, StoredLayer], theirs: Sequence[str] | None, classes: Sequence[str] | None
) -> str:
    """Why the classifier can't be taken; empty if it can.

    Args:
        head: Its layers.
        left: What the backbone left of the file.
        theirs: Classes there.
        classes: Classes here.
    """
    if any(layer.name not in left for layer in head):
        return f"none is called {' and '.join(layer.name for layer in head)} there"
    if theirs is not None and classes is not None and list(theirs) != list(classes):
        if len(theirs) != len(classes):
            return f"{len(theirs)} classes there, {len(classes)} here"
        if set(theirs) == set(classes):
            return "the same classes there, but in another order"
        there, here = next(pair for pair in zip(theirs, classes, strict=True) if pair[0] != pair[1])
        return f"other classes there, {in_one_line(there)} is {in_one_line(here)} here"
    return next((why for layer in head if (why := _difference(layer, left[layer.name]))), "")


# Words.


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one number"
