"""Weights of keras.applications for cnnkit's own families, so that these can start from ImageNet.

Usage: python scripts/convert_weights.py KERAS_FILE --model "{name: vgg, depth: 16}" --output FILE.weights.h5 [--force]

KERAS_FILE is a file of weights or a whole model of keras.applications, with or without its top (.h5, .weights.h5 or
.keras). --model is the `model:` section of a config. What follows from the file is filled in: the scaling that its
weights were trained with, and no dense layers where the file has no top.

Each layer with weights is paired with Keras's by `keras_name` of its family, and must have weights of the same names
and shapes. A setting that Keras's network has otherwise is an error, and so are weights of either side that are left
over, and outputs that differ on random images; nothing is written then. From a file without a top, everything up to
the features is written and no classifier, so that nobody takes an untrained one for trained.
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_families import FAMILIES, Family, named_as_in_a_new_process
from pydantic import ValidationError

from cnnkit.config import yaml12
from cnnkit.config.messages import describe
from cnnkit.core.atomic import write_bytes
from cnnkit.core.errors import CnnkitError, ConfigError, Problem, UsageError
from cnnkit.core.lazy import keras, np
from cnnkit.core.spec import Spec
from cnnkit.core.text import first_line
from cnnkit.models import AnyArchitecture
from cnnkit.models.base import Architecture, Network
from cnnkit.runs.checkpoints import Weights
from cnnkit.runs.overwriting import Form, refuse

TOLERANCE = 1e-4
"""How far outputs may differ, in parts of the largest."""

# What a file holds beside the weights of layers: the optimizer's, in two forms, and the state of chance.
ASIDE = ("optimizer", "optimizer_weights", "seed_generator")

SUFFIX = ".weights.h5"


class Section(Spec):
    """The part of a config that --model is."""

    model: AnyArchitecture


class Theirs:
    """A network of keras.applications, with its weights from a file."""

    def __init__(self, family: Family, architecture: Architecture, file: Path, size: int, classes: int):
        """Builds the network that the file is for, with its top or without, and loads the file.

        Raises:
            UsageError: The file is of neither, or Keras has no such network.
        """
        self.title = family.application(architecture)
        application = getattr(keras.applications, self.title, None)
        if application is None:
            raise UsageError(f"keras.applications has no {self.title}")
        if differing := list(differences(family, architecture)):
            raise UsageError(f"{self.title} of keras.applications has {'; '.join(differing)}")
        self.preprocess = getattr(keras.applications, family.module(architecture)).preprocess_input
        options = {"weights": None, "input_shape": (size, size, 3)}
        held = shapes_in(file)
        self.top = False
        try:
            self.model = application(include_top=False, pooling=family.pooling, **options)
        except ValueError as error:
            raise UsageError(f"{self.title} is not for images of {size} pixels: {first_line(error)}") from None
        without = shapes_of(self.model)
        if held != without:
            self.top = True
            self.model = application(classes=classes, classifier_activation=None, **options)
            complete = shapes_of(self.model)
            if held != complete:
                nearer = min(without, complete, key=lambda shapes: ((held - shapes) + (shapes - held)).total())
                named = f"{self.title}{' without its top' if nearer is without else ''}"
                hint = "" if nearer is without else "; --classes and --image-size tell what it was built for"
                raise UsageError(
                    f"{file} has other weights than {named}{hint}\n"
                    f"  only in the file: {listed(held - nearer)}\n  only in {named}: {listed(nearer - held)}"
                )
        try:
            self.model.load_weights(file)
        except ValueError as error:
            raise UsageError(
                f"{file} has its weights in another order than {self.title}: {first_line(error)}"
            ) from None

    def __call__(self, images: Any) -> Any:
        """Logits, or the vector of features, of images in 0..255."""
        outputs = self.model(self.preprocess(images.copy()), training=False)
        return outputs.numpy().reshape(len(images), -1)


def differences(family: Family, architecture: Architecture) -> Iterator[str]:
    """Settings of ours that make it compute something else than Keras's network, as `stem: imagenet, not small`."""
    for key, values in {**family.settings, "scaling": (family.scaling,)}.items():
        chosen = getattr(architecture, key)
        if key in architecture.model_fields_set and chosen not in values:
            yield f"{key}: {values[-1]}, not {chosen}"


def convert(file: Path, architecture: Architecture, output: Path, size: int, classes: int) -> None:
    """Reads a Keras file, writes ours, and prints what was done and how it is used.

    Raises:
        UsageError: The file, the network or the output can't be used; nothing was written.
    """
    name = str(getattr(architecture, "name", ""))
    if name not in FAMILIES:
        raise UsageError(f"{name} has no counterpart in keras.applications; these have: {', '.join(FAMILIES)}")
    family = FAMILIES[name]
    theirs = Theirs(family, architecture, file, size, classes)
    settings: dict[str, Any] = {"scaling": family.scaling} | ({} if theirs.top else dict(family.without_top))
    chosen = {key: value for key, value in settings.items() if key not in architecture.model_fields_set}
    architecture = architecture.model_copy(update=chosen)
    keras.utils.set_random_seed(0)
    ours = architecture.network((size, size, 3), classes)
    matched = take_over(family, architecture, ours, theirs)
    difference = largest_difference(ours, theirs, size)
    if not difference <= TOLERANCE:
        raise UsageError(f"the outputs of {architecture.title} and {theirs.title} differ, by {difference:.1e}")
    write_bytes(output, Weights.of(ours.model if theirs.top else ours.backbone).serialised())
    used = architecture.model_copy(update={"weights": str(output)}).model_dump(exclude_unset=True)
    print(f"{matched} layers match, all of {theirs.title}{'' if theirs.top else ' without its top'}")
    print(f"outputs on random images differ by {difference:.1e}")
    print(f"written to {output}; in a config:\n\n{yaml12.dump({'model': {'name': name} | used})}", end="")


def take_over(family: Family, architecture: Architecture, ours: Network, theirs: Theirs) -> int:
    """Gives our network the weights of theirs; returns how many layers there were.

    Raises:
        UsageError: Some weights, on either side, have no counterpart.
    """
    model = ours.model if theirs.top else ours.backbone
    waiting = {name: layer for name, layer in named_as_in_a_new_process(theirs.model).items() if layer.weights}
    pairs, alone = [], []
    for layer in (layer for layer in model.layers if layer.weights):
        name = family.keras_name(architecture, layer.name)
        if name in waiting and form(layer) == form(waiting[name]):
            pairs.append((layer, waiting.pop(name)))
        else:
            alone.append(layer)
    if alone or waiting:
        sides = [", ".join(f"{layer.name} {form(layer)}" for layer in side) for side in (alone, waiting.values())]
        raise UsageError(
            f"not all layers of {architecture.title} and {theirs.title} match\n"
            f"  only in ours: {sides[0] or 'none'}\n  only in {theirs.title}: {sides[1] or 'none'}"
        )
    for layer, other in pairs:
        layer.set_weights(other.get_weights())
    return len(pairs)


def largest_difference(ours: Network, theirs: Theirs, size: int) -> float:
    """Between the outputs on two random images, in parts of the largest output."""
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype("float32")
    expected = theirs(images)
    found = (ours.model if theirs.top else ours.backbone)(images, training=False).numpy()
    return float(np.abs(found - expected).max() / (np.abs(expected).max() or 1.0))


def form(layer: Any) -> str:
    """The names and shapes of a layer's weights."""
    return " ".join(f"{weight.name}{shape(weight.shape)}" for weight in layer.weights)


def shape(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))


def shapes_of(model: Any) -> Counter[str]:
    """How many weights of each shape a model has."""
    return Counter(shape(weight.shape) for weight in model.weights)


def shapes_in(file: Path) -> Counter[str]:
    """How many weights of each shape a Keras file holds.

    Raises:
        UsageError: It is no such file.
    """
    import h5py

    found: Counter[str] = Counter()

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not any(part in ASIDE for part in name.split("/")):
            found[shape(item.shape)] += 1

    try:
        content: Any = file
        if file.suffix == ".keras":
            with zipfile.ZipFile(file) as archive:
                content = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(content) as opened:
            legacy = "layer_names" in opened.attrs or "model_weights" in opened
            opened.visititems(look)
    except FileNotFoundError:
        raise UsageError(f"there is no such file: {file}") from None
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"{file} is not a file of Keras: {first_line(error)}") from None
    if file.suffix != ".keras" and legacy == file.name.endswith(SUFFIX):
        right = ".h5, without .weights" if legacy else SUFFIX
        raise UsageError(f"{file} is in the form of Keras {2 if legacy else 3}; give it a name that ends in {right}")
    return found


def listed(shapes: Counter[str]) -> str:
    return ", ".join(f"{count} of {shape}" for shape, count in sorted(shapes.items())) or "none"


def parse(text: str) -> Architecture:
    """The network that a `model:` section in YAML names.

    Raises:
        ConfigError: It is not right.
    """
    try:
        tree = yaml12.parse(text)
        problems = [Problem(message, "--model", *position) for _, message, position in tree.problems]
        model: Architecture = Section.model_validate({"model": tree.values}).model
    except yaml12.YamlError as error:
        raise ConfigError(Problem(error.message, "--model", error.line, error.column)) from None
    except ValidationError as error:
        found = [describe(Section, detail) for detail in error.errors(include_url=False)]
        raise ConfigError(*(Problem(f.message, "--model", key=".".join(map(str, f.path))) for f in found)) from None
    if model.weights:
        problems.append(Problem("is what this makes; leave it out", "--model", key="model.weights"))
    if problems:
        raise ConfigError(*problems)
    return model


def main(arguments: list[str]) -> int:
    """Convert; the exit code is 2 if that can't be done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", metavar="KERAS_FILE", type=Path, help="weights of keras.applications")
    parser.add_argument("--model", required=True, help='the network, for example "{name: vgg, depth: 16}"')
    parser.add_argument("--output", required=True, type=Path, help=f"the file to write; ends in {SUFFIX}")
    parser.add_argument("--force", action="store_true", help="replace the file if it is there already")
    parser.add_argument("--classes", type=int, default=1000, help="how many classes the file tells apart (1000)")
    parser.add_argument("--image-size", type=int, help="pixels; what the paper has if left out")
    options = parser.parse_args(arguments)
    try:
        architecture = parse(options.model)
        refuse("--output", options.output, options.force, Form("weights are a file of Keras 3", (SUFFIX,)))
        size = options.image_size or architecture.image_shape[0]
        for problem in architecture.problems((size, size, 3)):
            raise UsageError(problem)
        convert(options.file, architecture, options.output, size, options.classes)
    except CnnkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{options.output} can't be written: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
