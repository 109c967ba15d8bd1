"""What is known of pretrained networks: how good and how fast they are, and which one the name of a file means."""

from __future__ import annotations

import re
from typing import NamedTuple

from cnnkit.models.keras_application import NETWORKS


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


def by_name(name: str) -> tuple[str, float | None] | None:
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


def usual_range(title: str, by_keras: bool) -> tuple[float, float] | None:
    """The range of pixels of a SavedModel that is called as a network of keras.applications.

    That of the network, where Keras has saved it (`by_keras`); that of TF Hub, where its own tools did.
    """
    guess = by_name(_plain_name(title))
    if guess is None:
        return None
    if not by_keras:
        return (0.0, 1.0)
    return {"symmetric": (-1.0, 1.0), "own": (0.0, 255.0)}.get(NETWORKS[guess[0]].scaling)


def _plain_name(name: str) -> str:
    """The name of a folder as that of a file of weights, without the words that people put before it."""
    return re.sub(r"^((hub|tf2?|imagenet|keras)[-_])+", "", name.lower()) + ".h5"


def known_by(name: str) -> Known:
    """How good and how fast a SavedModel is, by its name."""
    guess = by_name(_plain_name(name))
    return KNOWN.get((guess[0], None if guess[1] == 1.0 else guess[1]), UNKNOWN) if guess else UNKNOWN
