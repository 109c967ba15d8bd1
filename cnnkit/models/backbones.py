"""Pretrained backbones: which ones there are, and what a config has to say to use one. Nothing here needs TensorFlow.

They lie in `CNNKIT_CACHE/backbones`, each as a folder of its own (or as a file of weights), and where Keras keeps what
keras.applications fetches; a few can be fetched. A folder holds a SavedModel or a file of weights, and `backbone.json`,
which says what can't be seen from outside:

    {"pixel_range": [-1, 1], "size": 224}                              beside a SavedModel
    {"application": "MobileNet", "alpha": 0.25, "size": 224}           beside a file of weights

A file of weights that is called as Keras calls its own, or nearly so, needs no such file.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from cnnkit.core.cache import cache_folder, expanded
from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.spec import Spec
from cnnkit.core.text import listed, nearest
from cnnkit.models import weight_files
from cnnkit.models.base import Architecture
from cnnkit.models.hub import Hub
from cnnkit.models.keras_application import IMAGENET, NETWORKS, KerasApplication
from cnnkit.models.known_backbones import KNOWN, UNKNOWN, Known, by_name, known_by, usual_range

FOLDER = "backbones"
"""The folder of the cache that they lie in."""

FACTS = "backbone.json"
"""What a folder says of its backbone."""

WEIGHTS = (".h5", ".hdf5", ".keras")
"""Endings of files of weights."""

SERVER = "https://storage.googleapis.com/tensorflow/keras-applications/"
"""Where Keras publishes weights."""


class BackboneFacts(Spec):
    """What `backbone.json` says."""

    pixel_range: tuple[float, float] | None = None
    """What a SavedModel was trained with for black and white."""
    size: Annotated[int, Field(ge=8, le=2048)] | tuple[int, int] = 224
    """Height and width of the images that it was trained with."""
    application: str | None = None
    """What keras.applications calls the network that a file of weights is of."""
    alpha: float | None = None
    """Its width, where it has several."""


@dataclass(frozen=True)
class Backbone:
    """A pretrained network, and how a config names it.

    Attributes:
        title: What to call it in a sentence.
        model: The section `model`.
        size: Height and width of the images that it was trained with.
        known: How good and how fast it is.
        fetched: Whether it has to come from the net first.
        remark: What should be known of it; empty where there is nothing.
    """

    title: str
    model: dict[str, Any]
    size: tuple[int, int]
    known: Known
    fetched: bool = False
    remark: str = ""


@dataclass(frozen=True)
class Found:
    """The backbones that are here.

    Attributes:
        backbones: They.
        notes: What lies in the cache and can't be used, in a line each.
    """

    backbones: tuple[Backbone, ...]
    notes: tuple[str, ...]


class Unusable(Exception):
    """A folder, file or name that is no backbone; the text says why, and what to do."""


def found() -> Found:
    """The backbones in the cache, and those that Keras has fetched; one that is there twice counts once."""
    backbones, notes = [], []
    for place in _entries(cache_folder() / FOLDER):
        try:
            backbones.append(at(place))
        except Unusable as error:
            notes.append(str(error))
    of_keras, faults = _of_keras()
    backbones, notes = [*backbones, *of_keras], [*notes, *faults]
    first = {backbone.title: backbone for backbone in reversed(backbones)}
    return Found(tuple(sorted(first.values(), key=lambda each: -each.known.accuracy)), tuple(notes))


def named(name: str) -> Backbone:
    """The backbone of that path, of that name in the cache, or of that name in keras.applications.

    Raises:
        Unusable: There is none.
    """
    kept = cache_folder() / FOLDER
    for place in (_at_home(name), kept / name, *(kept / f"{name}{ending}" for ending in WEIGHTS)):
        if place.exists():
            return at(Path(os.path.normpath(place.absolute())), default_range=(0.0, 1.0))
    application = next((each for each in NETWORKS if each.lower() == name.lower()), None)
    if application is None:
        here = [place.name for place in _entries(kept)]
        hint = nearest(name, [*here, *NETWORKS]) or (f"; in the cache there are {listed(here)}" if here else "")
        raise Unusable(f"there is no folder {name}, none in {kept}, and no such application{hint}")
    fetched = next((each for each in _of_keras()[0] if each.model["application"] == application), None)
    return fetched or fetchable(application)


def title_of(model: Architecture) -> str:
    """What a pretrained network of a config is called, as `Backbone.title` does; any other by its own title."""
    if isinstance(model, Hub):
        return _saved_model_title(Path(model.handle))
    if isinstance(model, KerasApplication):
        return _application_title(model.application, model.alpha)
    return model.title


def _saved_model_title(folder: Path) -> str:
    return folder.name if folder.name != "backbone" else folder.parent.name


def _application_title(application: str, alpha: float | None) -> str:
    return application if alpha in (None, 1.0) else f"{application} {alpha:g}"


def fetchable(application: str) -> Backbone:
    """A network of keras.applications whose weights are fetched when it is trained."""
    return _of_application(application, None, IMAGENET, fetched=True)


def online(seconds: float = 1.0) -> bool:
    """Whether weights can be fetched, as far as can be told in that time."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    answers: list[bool] = []

    def ask() -> None:
        try:
            with urlopen(Request(SERVER, method="HEAD"), timeout=seconds):
                answers.append(True)
        except HTTPError:
            answers.append(True)  # an answer all the same
        except (OSError, ValueError):
            pass

    asking = threading.Thread(target=ask, daemon=True)  # to look up a name may take longer than any timeout
    asking.start()
    asking.join(seconds)
    return bool(answers)


def at(place: Path, default_range: tuple[float, float] | None = None) -> Backbone:
    """The backbone in a folder, or in a file of weights.

    Args:
        place: Where it lies.
        default_range: The range of pixels of a SavedModel that does not say it.

    Raises:
        Unusable: There is none, or it is not said what a config has to know.
    """
    facts, told = _facts(place)
    saved_model = _saved_model(place)
    if saved_model:
        title = _saved_model_title(saved_model)
        by_keras = (saved_model / "keras_metadata.pb").exists()
        pixels = facts.pixel_range or usual_range(title, by_keras) or default_range
        if pixels is None:
            raise Unusable(
                f"{place} does not say which range of pixels it takes: put a {FACTS} into it, "
                '{"pixel_range": [0, 1], "size": 224} (TF Hub agreed on 0 and 1; Keras\'s MobileNets take -1 to 1)'
            )
        low, high = pixels
        assumed = (
            "" if facts.pixel_range else f"Nothing says which pixels it takes: {low:g} to {high:g} is the usual range."
        )
        model = {"name": "hub", "handle": str(saved_model), "pixel_range": list(pixels)}
        return Backbone(title, model, _size(facts), known_by(title), remark=assumed)
    file = _weights(place)
    guess = by_name(file.name) or by_name(f"{place.name}.h5")
    if facts.application:
        application = next((name for name in NETWORKS if name.lower() == facts.application.lower()), None)
        if application is None:
            raise Unusable(
                f"{told}: there is no application `{facts.application}`{nearest(facts.application, [*NETWORKS])}"
            )
        alpha = facts.alpha
    elif guess:
        application, alpha = guess
        alpha = facts.alpha or alpha
    else:
        raise Unusable(
            f"{file} does not say which network it is of: put a {FACTS} beside it, "
            '{"application": "MobileNet", "alpha": 0.25, "size": 224}, or call it as Keras does'
        )
    if alpha is not None and not NETWORKS[application].alphas:
        raise Unusable(f"{told}: {application} has one width only; leave alpha out")
    if fault := _fault(file):
        raise Unusable(fault)
    size = _size(facts) if told else None
    return _of_application(application, alpha, str(file), size=size)


def _of_application(
    application: str, alpha: float | None, weights: str, fetched: bool = False, size: tuple[int, int] | None = None
) -> Backbone:
    facts = NETWORKS[application]
    if alpha == 1.0:
        alpha = None
    title = _application_title(application, alpha)
    model: dict[str, Any] = {"name": "keras_application", "application": application}
    model |= {} if alpha is None else {"alpha": alpha}
    model |= {} if weights == IMAGENET else {"weights": weights}
    return Backbone(title, model, size or (facts.size, facts.size), KNOWN.get((application, alpha), UNKNOWN), fetched)


def _entries(folder: Path) -> Iterator[Path]:
    """What may be a backbone in a folder: folders, and files of weights."""
    try:
        places = sorted(folder.iterdir())
    except OSError:
        return
    for place in places:
        if not place.name.startswith(".") and (place.is_dir() or place.suffix.lower() in WEIGHTS):
            yield place


def _facts(place: Path) -> tuple[BackboneFacts, Path | None]:
    """What the JSON file in a folder, or beside a file, says, and which file that is.

    Raises:
        Unusable: It can't be read.
    """
    if place.is_dir():
        files = [place / FACTS] if (place / FACTS).is_file() else sorted(place.glob("*.json"))[:1]
    else:
        files = [place.with_suffix(".json")]
    for file in files:
        if file.is_file():
            try:
                return BackboneFacts.model_validate_json(file.read_bytes()), file
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"][:1]))
                raise Unusable(f"{file}: {where + ': ' if where else ''}{first['msg']}") from None
            except OSError as error:
                raise Unusable(f"{file} can't be read: {error.strerror}") from None
    return BackboneFacts(), None


def _size(facts: BackboneFacts) -> tuple[int, int]:
    return facts.size if isinstance(facts.size, tuple) else (facts.size, facts.size)


def _saved_model(place: Path) -> Path | None:
    """The folder of the SavedModel at a place: itself, or the one below it."""
    if not place.is_dir():
        return None
    if (place / "saved_model.pb").is_file():
        return place
    return next((file.parent for file in sorted(place.glob("*/saved_model.pb"))), None)


def _weights(place: Path) -> Path:
    """The file of weights at a place.

    Raises:
        Unusable: There is none, or there are several.
    """
    if place.is_file():
        if place.suffix.lower() not in WEIGHTS:
            raise Unusable(f"{place} is neither a folder nor a file of weights ({', '.join(WEIGHTS)})")
        return place
    files = [file for file in sorted(place.iterdir()) if file.suffix.lower() in WEIGHTS]
    if len(files) != 1:
        holds = f"{len(files)} files of weights, of which one can be meant" if files else "no SavedModel and no weights"
        raise Unusable(f"{place} holds {holds}")
    return files[0]


def _at_home(path: str) -> Path:
    """The path, `~` being somebody's home where there is such a user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises where there is none


def _fault(weights: Path, instead: str = "") -> str | None:
    """Why a file of weights can't be used, as far as its beginning and its end tell, and what to do."""
    try:
        weight_files.refuse_broken(weights, instead)
    except (UsageError, DataError) as error:
        return str(error)
    return None


def _of_keras() -> tuple[list[Backbone], list[str]]:
    """What Keras has fetched, for us or by itself, and what of that is broken."""
    kept = cache_folder() / "keras"
    ours = expanded("KERAS_HOME", os.environ.get("KERAS_HOME") or str(kept)) / "models"
    backbones, faults = [], []
    for folder in dict.fromkeys([ours, kept / "models", _at_home("~/.keras/models")]):
        for file in _entries(folder):
            guess = by_name(file.name) if file.is_file() else None
            if guess and re.search(r"no_?-?top", file.name, re.IGNORECASE):
                if fault := _fault(file, "remove it, and it is fetched again"):
                    faults.append(fault)
                    continue
                # What lies where a training looks for it is known by its checksum there, so it needs no path.
                own = folder == ours and not re.search(r"_(192|160|128)_", file.name)
                weights = IMAGENET if own else str(file)
                backbones.append(_of_application(*guess, weights))
    return backbones, faults
