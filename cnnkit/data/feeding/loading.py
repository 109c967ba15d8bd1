"""Loading: the images of an experiment decoded and prepared once, before the first epoch, and kept where they fit.

All are decoded, so that a bad file costs no half-trained run. They are kept in memory, else on the disk, else nowhere;
prepared ones are kept on the disk in any case, for other runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

from cnnkit.core.errors import DataError, Problem, TrainingError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import in_gib
from cnnkit.data.feeding.images import ImageReader, Images, allocated
from cnnkit.data.feeding.pixel_store import PixelStore, bytes_of
from cnnkit.data.feeding.preprocessing import Changed, Preprocessing
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.index import Index, Unused
from cnnkit.data.section import Cache

BAD_FILES = 20
"""At most so many bad files are named in an error; all are counted."""

AHEAD = 64
"""Images that are decoded before they are written to the disk."""


def load(
    index: Index, preprocessing: Preprocessing, cache: Cache, progress: Progress, skip_bad: bool = False
) -> Images:
    """Decodes and prepares every image of an index.

    Args:
        index: The images; those that can't be decoded are not in the index of the result.
        preprocessing: What becomes of each before the network sees it.
        cache: Where they may be kept.
        progress: Is told how far it is.
        skip_bad: Leave out files that can't be decoded, and list them, instead of raising.

    Raises:
        DataError: Files can't be decoded or prepared; they are counted, and the first BAD_FILES of them named with the
            reason. Or one has changed meanwhile.
        TrainingError: There is less memory than `cache` allows.
    """
    loading = _Loading(index, preprocessing, cache)
    if loading.missing or loading.memory is not None:
        with progress.task("decoding images", len(index)) as advance, closing(loading.decode_all(advance)) as images:
            loading.keep(images, progress)
    if loading.bad and not skip_bad:
        raise DataError(*_bad_files(index, loading.bad))
    return loading.images()


class _Loading:
    """The images of an index on their way: planned here, then decoded, and kept meanwhile.

    Attributes:
        reader: Reads the images, from what other runs have kept on the disk as well.
        room: Bytes that there are on the disk.
        stored: Numbers of the images that other runs have kept.
        missing: Numbers of the others.
        memory: What images are put into, uint8 (n, height, width, channels); None if they are not kept there.
        bad: Numbers of the images that can't be decoded, as far as they have been tried, and why.
    """

    def __init__(self, index: Index, preprocessing: Preprocessing, cache: Cache):
        numbers, shape = range(len(index)), preprocessing.shape
        stamps = [preprocessing.stamps_beside(index, i) for i in numbers] if preprocessing.reads_beside(index) else None
        size = bytes_of(len(index), shape)
        in_memory = size <= cache.memory_gib * 2**30
        self.room = int(cache.disk_gib * 2**30)
        # What steps have prepared is kept for other runs too, as it may have taken long; decoding alone does not.
        on_disk = (bool(preprocessing.prepare) or not in_memory) and size <= cache.disk_gib * 2**30
        store = PixelStore.open(preprocessing.digest, preprocessing.keys(index), shape) if on_disk else None
        self.stored = [i for i in numbers if store and i in store]
        self.missing = [i for i in numbers if not store or i not in store]
        try:
            self.memory = allocated((len(index), *shape), np.uint8) if in_memory else None
        except MemoryError:
            message = f"there is not enough memory for {in_gib(size)} of images; set less than that"
            raise TrainingError(Problem(message, key="data.cache.memory_gib")) from None
        self.reader = ImageReader(index, preprocessing, stamps, store)
        self.bad: dict[int, str] = {}

    def decode_all(self, advance: Callable[[int], None]) -> Generator[tuple[int, Any], None, None]:
        """Decodes; gives what a new file on the disk is to hold: if any image is new, all the good ones."""
        anew = False
        for number, image in self._decode(self.missing, advance):
            anew = self.reader.store is not None
            yield number, image
        if anew or self.memory is not None:
            for number, image in self._decode(self.stored, advance):
                if anew:
                    yield number, image
        if anew:
            self._refuse_changed()

    def keep(self, images: Iterator[tuple[int, Any]], progress: Progress) -> None:
        """Goes through what `decode_all` gives, and keeps it on the disk."""
        if self.reader.store is not None:
            slower = "they are decoded again for every batch, which is slower"
            otherwise = slower if self.memory is None else "the next run makes them again"
            self.reader = replace(self.reader, store=self.reader.store.keep(images, self.room, progress, otherwise))
        deque(images, 0)

    def images(self) -> Images:
        """The good ones, from where they are now."""
        reader, memory = self.reader, self.memory
        if self.bad:
            good = [i for i in range(len(reader.index)) if i not in self.bad]
            unused = [Unused(reader.index.names[i], reason) for i, reason in sorted(self.bad.items())]
            stamps, store = reader.stamps and [reader.stamps[i] for i in good], reader.store and reader.store.take(good)
            reader = ImageReader(reader.index.take(good, unused), reader.preprocessing, stamps, store)
            if memory is not None:
                for place, i in enumerate(good):
                    memory[place] = memory[i]
                memory = memory[: len(good)]
        return Images(reader.index, reader.preprocessing.shape, memory, reader if memory is None else None)

    def _decode(self, numbers: Sequence[int], advance: Callable[[int], None]) -> Iterator[tuple[int, Any]]:
        """The good ones of some images, each with its number, in their order."""
        for i, image in zip(numbers, _in_parallel(self._image, numbers, advance), strict=True):
            if image is not None:
                yield i, image

    def _image(self, number: int) -> Any:
        """An image; None if it is bad."""
        try:
            image = self.reader.read(number)
        except Changed as error:
            name = self.reader.index.names[number]
            raise DataError(Problem(f"{error}; start again when it stays as it is", file=name)) from None
        except BadImage as error:
            self.bad[number] = str(error)
            return None
        if self.memory is not None:
            self.memory[number] = image
        return image

    def _refuse_changed(self) -> None:
        """Looks once more at what has been made, and is to be kept, for what its key was made of.

        The files of images have been looked at one by one, by their content where their times don't tell enough; those
        that steps read beside them have not.
        """
        index, store = self.reader.index, self.reader.store
        for i, key in zip(self.missing, self.reader.preprocessing.keys(index.take(self.missing)), strict=True):
            if store and key != store.keys[i]:
                message = "a file beside it, which data.prepare reads, has changed; start again when it stays as it is"
                raise DataError(Problem(message, file=index.names[i]))


def _in_parallel(work: Any, numbers: Sequence[int], advance: Callable[[int], None]) -> Iterator[Any]:
    """The results of some work for each of some numbers, in their order, a bounded number of them ahead.

    Whoever stops, by an error or by Ctrl-C, waits for no work that has not begun.
    """
    pool = ThreadPoolExecutor()
    try:
        ahead: deque[Any] = deque()
        for i in range(len(numbers) + AHEAD):
            if i < len(numbers):
                ahead.append(pool.submit(work, numbers[i]))
            if i >= AHEAD:
                yield ahead.popleft().result()
                advance(1)
    finally:
        pool.shutdown(cancel_futures=True)


def _bad_files(index: Index, bad: dict[int, str]) -> Iterable[Problem]:
    for i in sorted(bad)[:BAD_FILES]:
        yield Problem(bad[i], file=index.names[i])
    more = f"and {len(bad) - BAD_FILES} more: " if len(bad) > BAD_FILES else ""
    them = "this file" if len(bad) == 1 else f"these {len(bad)} files"
    yield Problem(f"{more}repair or remove {them}, or leave such files out with data.source.on_bad: skip")
