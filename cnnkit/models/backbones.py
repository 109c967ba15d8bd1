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
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError

from cnnkit.core.cache import cache_folder, expanded
from cnnkit.core.spec import Spec
from cnnkit.core.text import listed, nearest
from cnnkit.models.base import Architecture
from cnnkit.models.hub import Hub
from cnnkit.models.keras_application import IMAGENET, NETWORKS, KerasApplication

FOLDER = "backbones"
"""The folder of the cache that they lie in."""

FACTS = "backbone.json"
"""What a folder says of its backbone."""

WEIGHTS = (".h5", ".hdf5", ".keras")
"""Endings of files of weights."""

SERVER = "https://storage.googleapis.com/tensorflow/keras-applications/"
"""Where Keras publishes weights."""


class Known(NamedTuple):
    """What is known of a network of keras.applications.

    Attributes:
        accuracy: Top-1 on ImageNet, as https://keras.io/api/applications and the papers tell it.
        work: Millions of multiply-adds that a small matrix product makes in the time of one image, measured on two
            cores; more than the network's own where these are of a kind that processors are slow at.
        megabytes: Of its file of weights, without its classifier.
    """

    accuracy: float
    work: float
    megabytes: float


KNOWN: dict[tuple[str, float | None], Known] = {
    ("MobileNet", 0.25): Known(49.8, 94, 2.1),
    ("MobileNet", 0.5): Known(63.3, 200, 5.5),
    ("MobileNet", 0.75): Known(68.3, 330, 10.0),
    ("MobileNet", None): Known(70.4, 469, 17.2),
    ("MobileNetV2", 0.35): Known(60.3, 185, 2.0),
    ("MobileNetV2", 0.5): Known(65.4, 240, 3.3),
    ("MobileNetV2", 0.75): Known(69.8, 340, 6.0),
    ("MobileNetV2", None): Known(71.3, 454, 9.4),
    ("MobileNetV3Small", None): Known(67.5, 135, 4.3),
    ("MobileNetV3Large", None): Known(75.2, 380, 12.7),
    ("EfficientNetB0", None): Known(77.1, 664, 16.7),
    ("EfficientNetV2B0", None): Known(78.7, 567, 24.3),
    ("DenseNet121", None): Known(75.0, 1859, 29.1),
    ("ResNet50", None): Known(74.9, 2006, 94.8),
    ("ResNet50V2", None): Known(76.0, 1900, 94.7),
    ("InceptionV3", None): Known(77.9, 3800, 87.9),
    ("Xception", None): Known(79.0, 5200, 83.7),
    ("VGG16", None): Known(71.3, 5618, 58.9),
    ("VGG19", None): Known(71.3, 7000, 80.1),
}

UNKNOWN = Known(60.0, 1000, 0.0)
"""What is taken of any other."""

FETCHED = ("EfficientNetV2B0", "MobileNetV3Large", "MobileNetV3Small")
"""Those that are fetched where none is here: the first that the time allows."""


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
    backbones += _of_keras()
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
    fetched = next((each for each in _of_keras() if each.model["application"] == application), None)
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
        pixels = facts.pixel_range or _usual_range(saved_model) or default_range
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
        title = _saved_model_title(saved_model)
        return Backbone(title, model, _size(facts), _known_by(title), remark=assumed)
    file = _weights(place)
    guess = _by_name(file.name) or _by_name(f"{place.name}.h5")
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


def _of_keras() -> list[Backbone]:
    """What Keras has fetched, for us or by itself."""
    kept = cache_folder() / "keras"
    ours = expanded("KERAS_HOME", os.environ.get("KERAS_HOME") or str(kept)) / "models"
    backbones = []
    for folder in dict.fromkeys([ours, kept / "models", _at_home("~/.keras/models")]):
        for file in _entries(folder):
            guess = _by_name(file.name) if file.is_file() else None
            if guess and re.search(r"no_?-?top", file.name, re.IGNORECASE):
                # What lies where a training looks for it is known by its checksum there, so it needs no path.
                own = folder == ours and not re.search(r"_(192|160|128)_", file.name)
                weights = IMAGENET if own else str(file)
                backbones.append(_of_application(*guess, weights))
    return backbones


def _by_name(name: str) -> tuple[str, float | None] | None:
    """The application, and its width where it is not the usual one, that a file of weights is called by."""
    stem = re.sub(r"(\.weights)?\.(h5|hdf5|keras)$", "", name.lower()).removeprefix("weights_")
    plain = re.sub(r"[^a-z0-9.]", "", stem)
    application = next(
        (each for each in sorted(NETWORKS, key=len, reverse=True) if plain.startswith(each.lower())), None
    )
    if application is None:
        return None
    width = re.search(r"(?<![v0-9.])(\d[._]\d{1,2}|0\d{1,2}|1\d0)(?!\d)", re.sub(r"_(224|192|160|128)(?!\d)", "", stem))
    alpha = _WIDTHS.get(re.sub(r"\D", "", width[1])) if width else None
    return application, alpha if alpha in NETWORKS[application].alphas else None


_WIDTHS = {"25": 0.25, "025": 0.25, "035": 0.35, "05": 0.5, "50": 0.5, "050": 0.5, "75": 0.75, "075": 0.75} | {
    "10": 1.0,
    "100": 1.0,
    "13": 1.3,
    "130": 1.3,
    "14": 1.4,
    "140": 1.4,
}
"""Widths by their digits in the names of files: Keras writes 2_5 for 0.25, others 025 or 0.25."""


def _usual_range(folder: Path) -> tuple[float, float] | None:
    """The range of pixels of a SavedModel that is called as a network of keras.applications.

    That of the network, where Keras has saved it; that of TF Hub, where its own tools did.
    """
    guess = _by_name(_plain_name(_saved_model_title(folder)))
    if guess is None:
        return None
    if not (folder / "keras_metadata.pb").exists():
        return (0.0, 1.0)
    return {"symmetric": (-1.0, 1.0), "own": (0.0, 255.0)}.get(NETWORKS[guess[0]].scaling)


def _plain_name(name: str) -> str:
    """The name of a folder as that of a file of weights, without the words that people put before it."""
    return re.sub(r"^((hub|tf2?|imagenet|keras)[-_])+", "", name.lower()) + ".h5"


def _known_by(name: str) -> Known:
    """How good and how fast a SavedModel is, by its name."""
    guess = _by_name(_plain_name(name))
    return KNOWN.get((guess[0], None if guess[1] == 1.0 else guess[1]), UNKNOWN) if guess else UNKNOWN
