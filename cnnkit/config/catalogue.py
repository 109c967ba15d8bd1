"""What a config may hold, told from the classes themselves: for `cnnkit list` and `cnnkit schema`."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from cnnkit.config.experiment import Experiment
from cnnkit.core.spec import Spec
from cnnkit.data.augmentations import AnyAugmentation
from cnnkit.data.balancing import AnyBalance
from cnnkit.data.preparation import AnyPreparation
from cnnkit.data.section import Cache, Data
from cnnkit.data.sources import AnySource
from cnnkit.data.sources.folder import Splits
from cnnkit.data.splitting import Split
from cnnkit.models import AnyArchitecture
from cnnkit.models.base import Architecture
from cnnkit.models.freezing import Stage
from cnnkit.models.sequential import AnyLayer
from cnnkit.optimization.clipping import AnyClip
from cnnkit.optimization.ema import Ema
from cnnkit.optimization.losses import AnyLoss
from cnnkit.optimization.optimizers import AnyOptimizer
from cnnkit.optimization.sam import Sam
from cnnkit.optimization.schedules import AnySchedule
from cnnkit.optimization.section import Checkpoint, EarlyStopping, Train
from cnnkit.optimization.tracking import AnyTracker


@dataclass(frozen=True)
class Kind:
    """A kind of thing that a config names.

    Attributes:
        name: As `cnnkit list` takes it.
        key: Where in a config it stands.
        sections: The classes, in the order of their union.
    """

    name: str
    key: str
    sections: tuple[type[Spec], ...]


@dataclass(frozen=True)
class Option:
    """A setting of a section."""

    name: str
    type: str
    default: str
    doc: str


@dataclass(frozen=True)
class Variant:
    """A network of a family, as its paper has it.

    Attributes:
        model: What to write as `model`.
        image_shape: Height, width and channels of the images it is for.
        smallest_image: Height and width that images must have at least.
        stages: Names for `train.stages`.
        paper: Where it comes from.
        parameters: With a classifier of `classes` classes, if they were counted.
        macs: Multiply-adds of an image of `image_shape`, if they were counted.
    """

    model: dict[str, Any]
    image_shape: tuple[int, int, int]
    smallest_image: int
    stages: tuple[str, ...]
    paper: str
    parameters: int | None = None
    macs: int | None = None


def _of(union: Any) -> tuple[type[Spec], ...]:
    return get_args(get_args(union)[0])


_KEYS: dict[type[Spec], str] = {
    Experiment: "(top)",
    Data: "data",
    Split: "data.split",
    Cache: "data.cache",
    Splits: "data.source.splits",
    Train: "train",
    Stage: "train.stages",
    Ema: "train.ema",
    Sam: "train.sam",
    EarlyStopping: "train.early_stopping",
    Checkpoint: "train.checkpoint",
}

KINDS = (
    Kind("architectures", "model", _of(AnyArchitecture)),
    Kind("layers", "model.layers of sequential", _of(AnyLayer)),
    Kind("sources", "data.source", _of(AnySource)),
    Kind("preparations", "data.prepare", _of(AnyPreparation)),
    Kind("augmentations", "augment", _of(AnyAugmentation)),
    Kind("balances", "data.balance", _of(AnyBalance)),
    Kind("losses", "train.loss", _of(AnyLoss)),
    Kind("optimizers", "train.optimizer", _of(AnyOptimizer)),
    Kind("schedules", "train.schedule", _of(AnySchedule)),
    Kind("clips", "train.clip", _of(AnyClip)),
    Kind("trackers", "train.track", _of(AnyTracker)),
    Kind("sections", "the file itself and its sections", tuple(_KEYS)),
)


def variants(count: Callable[[Architecture], tuple[int, int]] | None = None) -> Iterator[Variant]:
    """Every network that a paper has a table row for, and whatever else has a name of its own.

    Args:
        count: Tells parameters and multiply-adds; needs TensorFlow and takes minutes for all of them.
    """
    for family in KINDS[0].sections:
        assert issubclass(family, Architecture)
        for architecture in family.variants():
            parameters, macs = count(architecture) if count else (None, None)
            yield Variant(
                {"name": title(family)} | architecture.model_dump(exclude_unset=True),
                architecture.image_shape,
                architecture.smallest_image,
                architecture.stages(),
                architecture.paper,
                parameters,
                macs,
            )


def title(section: type[Spec]) -> str:
    """The name that a config uses for a section: that of its class in a union, else its key."""
    return _KEYS.get(section) or str(section.model_fields["name"].default)


def doc(section: type[Spec]) -> str:
    """What a section is, in a sentence or two."""
    return " ".join((inspect.getdoc(section) or "").split())


@functools.cache
def setting_docs(section: type[Spec]) -> dict[str, str]:
    """What each setting means: the docstring under it, or the description of its type.

    Pydantic can read docstrings too, but does it whenever a class is made, which would be most of the time of `check`.
    """
    docs = {name: field.description or "" for name, field in section.model_fields.items()}
    for base in reversed(section.__mro__):
        if issubclass(base, Spec):
            docs |= _written_under(base)
    return docs


def _written_under(section: type[Spec]) -> dict[str, str]:
    """The docstrings under the settings that a class has of its own."""
    docs = {}
    for pair in itertools.pairwise(_classes_in(section.__module__)[section.__name__].body):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=setting)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[setting] = inspect.cleandoc(text)
    return docs


@functools.cache  # most files have several classes, and most classes several below them
def _classes_in(module: str) -> dict[str, ast.ClassDef]:
    """The classes of a module as they are written, by their names."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def options(section: type[Spec]) -> list[Option]:
    """The settings of a section, without the name by which it is chosen."""
    document, docs = section.model_json_schema(), setting_docs(section)
    # A section that may hold its like, as `residual` does, stands among the definitions.
    properties = (document if "properties" in document else document["$defs"][section.__name__])["properties"]
    result = []
    for name in section.settings():
        field = section.model_fields[name]
        if name == "name" and section not in _KEYS:
            continue
        required = field.is_required() and not (section is Experiment and name == "name")
        filled = section.filled_in.get(name, field.default)
        default = "required" if required else _default(filled) if not field.is_required() else "the file's name"
        result.append(Option(name, _type(properties[name]), default, " ".join(docs[name].split())))
    return result


def schema() -> dict[str, Any]:
    """The JSON Schema of a config file, for editors that complete and check YAML."""
    document = Experiment.model_json_schema()
    sections = {section.__name__: section for kind in KINDS for section in kind.sections}
    for name, definition in {"Experiment": document, **document["$defs"]}.items():
        for setting, described in definition["properties"].items():
            if name in sections and (text := setting_docs(sections[name]).get(setting)):
                described.setdefault("description", text)
    # A file need not name itself: its own name serves.
    document["required"] = [name for name in document["required"] if name != "name"]
    # A member of a union is chosen by its name, though its class has it as a default.
    for definition in document["$defs"].values():
        if "const" in definition["properties"].get("name", {}):
            definition["required"] = ["name", *definition.get("required", [])]
    document.pop("title")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "cnnkit config", **document}


def _default(value: Any) -> str:
    if isinstance(value, Spec):
        name = getattr(value, "name", None)
        return str(name) if name and not isinstance(value, Experiment) else "see there"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_default(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _type(schema: dict[str, Any]) -> str:
    """A type in words, from its JSON Schema."""
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(choice) for choice in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        if "prefixItems" in schema:
            return "[" + ", ".join(_type(item) for item in schema["prefixItems"]) + "]"
        return f"list of {_type(schema.get('items', {}))}"
    if kind in ("integer", "number"):
        return ("whole number" if kind == "integer" else "number") + _bounds(schema)
    return {"string": "text", "boolean": "true | false", "null": "null"}.get(str(kind), "section")


def _bounds(schema: dict[str, Any]) -> str:
    if schema.get("maximum", 0) >= 10_000_000:  # a bound that nobody meets is not worth telling
        schema = {key: value for key, value in schema.items() if key != "maximum"}
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = ", ".join(f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema)
    return f" {bounds}" if bounds else ""
