"""Preprocessing: what becomes of an image before the network sees it, in training and ever after.

Decoded, prepared, brought to size: the same code for training, evaluation and prediction, from what is recorded with
the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.data.files import decoding, file_facts
from cnnkit.data.files.decoding import WHOLE, Unreadable
from cnnkit.data.files.file_facts import Stamp, facts_of
from cnnkit.data.files.fitting import Fit, fit_to
from cnnkit.data.index import Index
from cnnkit.data.preparation.base import Preparation, Unprepared, decoded_channels, files_beside


class Changed(Unreadable):
    """A file that is not the one any more of which something is known."""


@dataclass(frozen=True)
class Preprocessing:
    """From an image as it is stored to what the network is given.

    Attributes:
        shape: Height, width and channels of what the network is given.
        fit: How other proportions are brought to that size.
        prepare: What is done before, in this order.
    """

    shape: tuple[int, int, int]
    fit: Fit
    prepare: Sequence[Preparation] = ()

    def of_index(self, index: Index, number: int) -> Any:
        """From an image of a source to what the network is given of it: uint8 (height, width, channels).

        Raises:
            BadImage: It can't be decoded, or a step can't be done to it.
            Changed: Its file is another than when the index was made.
        """
        if index.path is None:
            image = index.open(number)
            with decoding.in_turn(*image.size):
                return self.of_pixels(decoding.as_pixels(image, self._channels), None)
        path = index.path(number)
        content = decoding.read_bytes(path)
        facts = index.facts[number] if index.facts else None
        if index.changed(number) or (facts and not facts.settled and facts_of(content).digest != facts.digest):
            raise Changed("has changed since it was looked at")
        return self.of_content(content, Path(path) if self.prepare else None, facts.header if facts else None)

    def of_file(self, path: Path) -> Any:
        """From a file to the same."""
        return self.of_content(decoding.read_bytes(path), path)

    def of_content(self, content: bytes, path: Path | None, header: decoding.Header | None = None) -> Any:
        """From an encoded image to the same; its file, if it has one, is for the steps that read others beside it."""
        with decoding.decoded(content, self._channels, self._side, header) as found:
            return self.of_pixels(found.pixels, path)

    def of_pixels(self, pixels: Any, path: Path | None) -> Any:
        """From a decoded image to the same: uint8 (H, W, C), with as many channels as the steps begin with."""
        *_, (_, result) = self.steps(pixels, path)
        return result

    def steps(self, pixels: Any, path: Path | None) -> Iterator[tuple[str, Any]]:
        """What becomes of a decoded image, step by step: the name of each step and its result, the last one in size."""
        for step in self.prepare:
            pixels = step.of_file(pixels, path) if path else step(pixels)
            yield step.name, pixels
        yield "fit", self._fitted(pixels)

    def first(self, index: Index, number: int) -> tuple[Any, Path | None]:
        """An image of a source as it is decoded, before any step, and its file."""
        pixels = index.decode(number, self._channels, self._side).pixels
        return pixels, Path(index.path(number)) if index.path else None

    @property
    def digest(self) -> str:
        """The hash of all that decides what becomes of every image: the steps, the size, the libraries."""
        settings = [self.shape, self.fit, [step.model_dump(mode="json") for step in self.prepare]]
        libraries = {
            name: metadata.version(name) for name in ("pillow", "simplejpeg", "opencv-python-headless", "numpy")
        }
        return file_facts.digest_of(json.dumps([_VERSION, *settings, libraries]).encode())

    def keys(self, index: Index) -> list[bytes]:
        """For each image 16 bytes, the hash of all that decides what becomes of it: its content, and all of this."""
        own = self.digest
        return [
            hashlib.blake2b(f"{own}\n{digest}\n{beside}".encode(), digest_size=16).digest()
            for digest, beside in zip(index.digests, self.digests_beside(index), strict=True)
        ]

    def digests_beside(self, index: Index) -> list[str]:
        """For each image the digests of the files beside it that steps read, as one text; empty where none is read."""
        if not self.reads_beside(index):
            return [""] * len(index)
        return [
            " ".join(file_facts.read(file).digest for file in self._files_beside(index, i)) for i in range(len(index))
        ]

    def reads_beside(self, index: Index) -> bool:
        """Whether a step reads files beside the images."""
        return index.path is not None and any(step.reads_a_file for step in self.prepare)

    def stamps_beside(self, index: Index, number: int) -> tuple[Stamp | None, ...]:
        """The stamps of the files beside an image that steps read, by which a change of them shows."""
        return tuple(file_facts.stamp_of(str(file)) for file in self._files_beside(index, number))

    def _files_beside(self, index: Index, number: int) -> list[Path]:
        return files_beside(self.prepare, Path(index.path(number))) if index.path else []

    @property
    def _channels(self) -> int:
        """How many channels images are decoded to."""
        return decoded_channels(self.prepare, self.shape[2])

    @property
    def _side(self) -> int:
        """Below which no JPEG is made smaller while it is decoded; steps see it in full."""
        return WHOLE if self.prepare else 2 * max(self.shape[:2])

    def _fitted(self, pixels: Any) -> Any:
        if pixels.shape[2] == 1 and self.shape[2] == 3:
            pixels = np.repeat(pixels, 3, axis=2)
        if pixels.shape[2] != self.shape[2]:
            raise Unprepared(f"the steps of data.prepare leave {pixels.shape[2]} channels, not {self.shape[2]}")
        return fit_to(pixels, self.shape[:2], self.fit)


_VERSION = 3
"""Of what this code makes of an image; raised when that changes, so that nothing older is taken from the cache."""
