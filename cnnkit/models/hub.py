"""Feature vectors of TF Hub: networks that others have trained, saved as TF2 SavedModels without their classifier.

What such a SavedModel offers is the reusable SavedModel interface, https://www.tensorflow.org/hub/reusable_saved_models:
it is callable, takes `training`, and lists its variables and its regularisation losses.

A SavedModel is a program that runs with the rights of whoever loads it, so it should come from people one trusts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator

from cnnkit.core import atomic
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.lazy import keras
from cnnkit.core.progress import Progress
from cnnkit.core.spec import UrlOrPath
from cnnkit.models.base import Architecture, Shape
from cnnkit.models.layers import ClassifierDropout

_BLOCK = 1 << 20
"""Bytes that are copied at once."""

# What a SavedModel consists of; whatever else lies in its folder is not part of the network.
FILES, FOLDERS = ("saved_model.pb", "fingerprint.pb"), ("variables", "assets")


def _rising(pixel_range: tuple[float, float]) -> tuple[float, float]:
    first, second = pixel_range
    if second <= first:
        raise ValueError(f"the second number should be above the first: {first:g}, {second:g}")
    return pixel_range


class Hub(Architecture):
    """A network that was trained by others: a feature vector of TF Hub, or any TF2 SavedModel like it."""

    name: Literal["hub"] = "hub"
    handle: UrlOrPath
    """Address, or folder, of a TF2 SavedModel. It is a program: take it from people you trust."""
    pixel_range: Annotated[tuple[float, float], AfterValidator(_rising)] = (0.0, 1.0)
    """What the network was trained with for black and white; TF Hub agreed on 0 and 1, MobileNet's own is -1 and 1."""
    dropout: ClassifierDropout = 0.0

    pretrained: ClassVar[bool] = True
    in_float32: ClassVar[bool] = True

    @property
    def learnt_with(self) -> Shape | None:
        """What most of them were; which shape a SavedModel takes is told when it is built."""
        return self.image_shape

    def stages(self) -> tuple[str, ...]:
        """It comes in one piece."""
        return ("backbone",)

    def problems(self, shape: Shape) -> Iterator[Problem]:
        """Feature vectors are for colour images."""
        yield from super().problems(shape)
        if shape[2] != 3:
            yield Problem("takes colour images: set data.channels: 3 (grey images become grey colours)", key="handle")

    @property
    def classifier_dropout(self) -> float:
        """Its setting; the network itself may drop more."""
        return self.dropout

    def scale(self, image: Any) -> Any:
        """From pixels 0..255 to the range that the network was trained with."""
        low, high = self.pixel_range
        return keras.layers.Rescaling((high - low) / 255, offset=low, name="scaling")(image)

    def features(self, x: Any) -> Any:
        """One layer, which is the whole SavedModel.

        Raises:
            DataError: It can't be had, or is no feature vector for images of this shape.
        """
        from cnnkit.models.saved_model_layer import SavedModelLayer

        folder = self._folder()
        where = f"; its copy in {folder} may be damaged: delete that folder to fetch it again" if self._is_url else ""
        layer = SavedModelLayer(folder, tuple(x.shape[1:]), called=self.handle, if_damaged=where, name="backbone")
        return layer(x)  # (B, c)

    def fetch(self, progress: Progress) -> None:
        """Downloads the SavedModel, unless it was before."""
        if self._is_url:
            with progress.task(f"downloading {self.handle}", 1) as done:
                self._folder()
                done(1)

    def absent(self) -> Iterator[Problem]:
        """A folder that is no SavedModel; an address is asked when the network is built."""
        yield from super().absent()
        if not self._is_url and (fault := _fault(Path(self.handle))):
            yield Problem(fault, key="handle")

    def with_files_in(self, folder: Path, copy: bool = False, called: Path | None = None) -> Architecture:
        """With a copy of the SavedModel as `folder`, which is there whole or not at all."""
        if copy and not folder.exists():
            source = self._folder()
            with atomic.making(folder) as temporary:
                for file in _files(source):
                    atomic.make_folder((temporary / file).parent, parents=True, exist_ok=True)
                    with (source / file).open("rb") as original:
                        atomic.write_within(temporary / file, iter(partial(original.read, _BLOCK), b""))
        if not folder.is_dir():
            return self
        return self.model_copy(update={"handle": str((called or folder).absolute())})

    @property
    def _is_url(self) -> bool:
        return "://" in self.handle

    def _folder(self) -> Path:
        """Where the SavedModel lies, downloaded first where that has to be.

        Raises:
            DataError: It can't be had, or is none.
        """
        if not self._is_url:
            folder = Path(self.handle)
        else:
            from cnnkit.models.hub_resolver import fetched

            folder = fetched(self.handle)
        if fault := _fault(folder):
            came = f"what came from {self.handle}: " if self._is_url else ""
            raise DataError(Problem(f"{came}{fault}", key="model.handle"))
        return folder


def _fault(folder: Path) -> str | None:
    """Why a path is not the folder of a TF2 SavedModel, and what to do; found without TensorFlow."""
    try:
        if not folder.exists():
            return f"there is no such folder: {folder}"
        if folder.is_file():
            return f"{folder} is a file; {_instead(folder)}"
        if (folder / "tfhub_module.pb").exists():
            return (
                f"{folder} is a module of TF1, which has nothing to train here: take the TF2 version of the network, "
                "a SavedModel"
            )
        if not (folder / "saved_model.pb").is_file():
            below = next((path.parent for path in sorted(folder.glob("*/saved_model.pb"))), None)
            hint = f"; give {below}" if below else ", so it is no SavedModel of TF2"
            return f"{folder} holds no saved_model.pb{hint}"
        root = folder.resolve()
        for file in _files(folder):
            if not (folder / file).resolve().is_relative_to(root):
                return f"{folder / file} is a link that leads out of the folder: put the file itself there"
    except OSError as error:
        return f"{folder} can't be read: {error.strerror}"
    return None


def _instead(file: Path) -> str:
    if file.suffix in (".h5", ".keras", ".hdf5"):
        return (
            "it is of Keras: use {name: keras_application, application: ..., weights: FILE} with the network that it "
            "is of, instead of a hub"
        )
    if file.suffix in (".gz", ".tgz", ".tar", ".zip"):
        return "unpack it and give the folder"
    return "a SavedModel is a folder with saved_model.pb in it"


def _files(folder: Path) -> list[Path]:
    """The files of a SavedModel, relative to its folder; links to folders are not followed."""
    found = [Path(name) for name in FILES if (folder / name).exists()]
    for name in FOLDERS:
        if (folder / name).is_symlink():
            found.append(Path(name))
        for place, _, files in os.walk(folder / name):
            found += sorted(Path(place, file).relative_to(folder) for file in files)
    return found
