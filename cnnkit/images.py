"""The images of an experiment as the network is shown them: decoded and prepared once, and kept where they fit.

All are decoded before the first epoch, so that a bad file costs no half-trained run. They are kept in memory as uint8
(a quarter of float32), else on the disk, else decoded again for every batch. What a batch holds is the same in each
case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from cnnkit import pixel_store
from cnnkit.decoding import BadImage
from cnnkit.errors import DataError, Problem, TrainingError
from cnnkit.experiment import Cache
from cnnkit.file_index import Stamp
from cnnkit.lazy import np, tf
from cnnkit.pixel_store import PixelStore
from cnnkit.progress import Progress
from cnnkit.sources import Index, Unused
from cnnkit.view import Changed, View

NAMED = 20
"""At most so many bad files are named in an error; all are counted."""

AHEAD = 64
"""Images that are decoded before they are written to the disk."""


@dataclass(frozen=True)
class Images:
    """Images in one size, those of `index` and in its order; or features of them.

    Attributes:
        index: Which images.
        shape: Height, width and channels; or how many features, where these are kept in place of pixels.
        view: How they are decoded; None for features.
        memory: All of them, a tensor: uint8 (images, height, width, channels), or float32 (images, c); else None.
            Behind those of `index` there may be synthetic ones.
        store: All of them on the disk, else None.
        stamps: Of the files beside each image that `view` reads, as they were at first; None if it reads none.
    """

    index: Index
    shape: tuple[int, ...]
    view: View | None = None
    memory: Any = None
    store: PixelStore | None = None
    stamps: Sequence[tuple[Stamp | None, ...]] | None = None
    failures: list[DataError] = field(default_factory=list, compare=False)

    def batch(self, numbers: Any) -> Any:
        """The images with these numbers: an int64 tensor (B,) to a tensor (B, *shape), within tf.data."""
        if self.memory is not None:
            return tf.gather(self.memory, numbers)
        made = tf.numpy_function(lambda which: np.stack(self.rows(which)), [numbers], tf.uint8)
        return tf.ensure_shape(made, (None, *self.shape))

    def rows(self, numbers: Iterable[int]) -> list[Any]:
        """The same images as NumPy arrays, perhaps read-only.

        Raises:
            DataError: A file is another than before the training, or can't be read any more.
        """
        if self.memory is not None:
            pixels = np.asarray(memoryview(self.memory))
            return [pixels[i] for i in numbers]
        return [self._row(int(i)) for i in numbers]

    def with_synthetic(self, made: Any) -> Images:
        """The images with synthetic ones behind them.

        Args:
            made: uint8 or float32 (k, *shape).

        Raises:
            DataError: They are not all in memory.
        """
        if self.memory is None:
            message = "synthetic images need all others in memory: set more, or data.balance to oversample"
            raise DataError(Problem(message, key="data.cache.memory_gib"))
        return replace(self, memory=tf.concat([self.memory, tf.constant(made)], axis=0))

    def _row(self, number: int) -> Any:
        kept = self.store.read(number) if self.store else None
        if kept is not None:
            return kept
        assert self.view
        try:
            return _shown(self.index, number, self.view, self.stamps)
        except BadImage as error:
            advice = "a run needs images that stay" if isinstance(error, Changed) else "nothing was wrong with it before"
            failure = DataError(Problem(f"{error}; {advice}", file=self.index.names[number]))
            self.failures.append(failure)
            raise failure from None

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What goes wrong with an image inside of TensorFlow comes out as the DataError that it is."""
        try:
            yield
        except tf.errors.OpError:
            if self.failures:
                raise self.failures[0] from None
            raise


def load(index: Index, view: View, cache: Cache, progress: Progress, skip_bad: bool = False) -> Images:
    """Decodes and prepares every image of an index.

    Args:
        index: The images; those that can't be decoded are not in the index of the result.
        view: How they are shown to the network.
        cache: Where they may be kept.
        progress: Is told how far it is.
        skip_bad: Leave out files that can't be decoded, and list them, instead of raising.

    Raises:
        DataError: Files can't be decoded or prepared; they are counted, and the first NAMED of them named with the
            reason. Or one has changed meanwhile.
        TrainingError: There is less memory than `cache` allows.
    """
    stamps = [view.stamps_beside(index, i) for i in range(len(index))] if view.reads_beside(index) else None
    size = pixel_store.bytes_of(len(index), view.shape)
    in_memory = size <= cache.memory_gib * 2**30
    on_disk = not in_memory and size <= cache.disk_gib * 2**30
    keys = view.keys(index) if on_disk else []
    if on_disk and (store := pixel_store.open_store(keys, view.shape)):
        return Images(index, view.shape, view, store=store, stamps=stamps)
    bad: dict[int, str] = {}
    try:
        pixels = allocated((len(index) if in_memory else 0, *view.shape), np.uint8)
    except MemoryError:
        message = f"there is not enough memory for {size / 2**30:,.1f} GiB of images; set less than that"
        raise TrainingError(Problem(message, key="data.cache.memory_gib")) from None

    def shown(i: int) -> Any:
        """What is shown of an image where that goes to the disk, and black in place of a bad one."""
        try:
            image = _shown(index, i, view, stamps)
        except Changed as error:
            raise DataError(Problem(f"{error}; start again when it stays as it is", file=index.names[i])) from None
        except BadImage as error:
            bad[i] = str(error)
            return np.zeros(view.shape, np.uint8) if on_disk else None
        if in_memory:
            pixels[i] = image
        return image if on_disk else None

    store = None
    with progress.task("decoding images", len(index)) as advance:
        made = _in_parallel(shown, len(index), advance)
        if on_disk:
            with suppress(_Spoiled):
                whole = _whole(made, bad, lambda: _refuse_changed(index, keys, view.keys(index)))
                store = pixel_store.keep(keys, view.shape, whole, int(cache.disk_gib * 2**30), progress)
        for _ in made:
            pass
    if bad and not skip_bad:
        raise DataError(*_bad_files(index, bad))
    if bad:
        good = [i for i in range(len(index)) if i not in bad]
        index = index.take(good, [Unused(index.names[i], reason) for i, reason in sorted(bad.items())])
        stamps = stamps and [stamps[i] for i in good]
        if on_disk:
            return load(index, view, cache, progress)
        if in_memory:
            for place, i in enumerate(good):
                pixels[place] = pixels[i]
            pixels = pixels[: len(good)]
    # A tensor, so that TensorFlow gathers from it without Python. This is where TensorFlow is first needed.
    with progress.task("starting TensorFlow", 1):
        memory = as_tensor(pixels) if in_memory else None
    return Images(index, view.shape, view, memory, store, stamps)


def _shown(index: Index, number: int, view: View, stamps: Sequence[tuple[Stamp | None, ...]] | None) -> Any:
    """What is shown of an image, if neither its file nor one beside it is another than at first.

    Raises:
        BadImage: It can't be decoded or prepared, or is `Changed`.
    """
    image = view.of_index(index, number)
    if stamps and view.stamps_beside(index, number) != stamps[number]:
        raise Changed("a file beside it, which data.prepare reads, has changed since it was looked at")
    return image


def allocated(shape: tuple[int, ...], dtype: Any) -> Any:
    """A NumPy array, not filled, that `as_tensor` takes as it is."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.empty(size + _ALIGNED, np.uint8)
    first = -room.ctypes.data % _ALIGNED
    return room[first : first + size].view(dtype).reshape(shape)


def as_tensor(array: Any) -> Any:
    """A tensor of the same memory: TensorFlow itself would copy it, and take three times as much for a while."""
    assert array.ctypes.data % _ALIGNED == 0 and array.flags.c_contiguous
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


_ALIGNED = 64
"""Bytes, at a multiple of which TensorFlow wants the memory of a tensor to begin."""


class _Spoiled(Exception):
    """Among the images are bad ones, so they are not to be kept."""


def _whole(images: Iterator[Any], bad: dict[int, str], check: Callable[[], None]) -> Iterator[Any]:
    """The images, unless it turns out at their end that they are not to be kept."""
    yield from images
    if bad:
        raise _Spoiled
    check()


def _refuse_changed(index: Index, before: list[str], after: list[str]) -> None:
    """The files of images are looked at one by one; those that steps read beside them are, all together, here."""
    for name, key, new in zip(index.names, before, after, strict=True):
        if key != new:
            message = "a file beside it, which data.prepare reads, has changed; start again when it stays as it is"
            raise DataError(Problem(message, file=name))


def _in_parallel(work: Any, count: int, advance: Any) -> Iterator[Any]:
    """The results of some work for 0, 1, ... in their order, a bounded number of them ahead."""
    with ThreadPoolExecutor() as pool:
        ahead: list[Any] = []
        for i in range(count + AHEAD):
            if i < count:
                ahead.append(pool.submit(work, i))
            if i >= AHEAD:
                yield ahead.pop(0).result()
                advance(1)


def _bad_files(index: Index, bad: dict[int, str]) -> Iterable[Problem]:
    for i in sorted(bad)[:NAMED]:
        yield Problem(bad[i], file=index.names[i])
    more = f"and {len(bad) - NAMED} more: " if len(bad) > NAMED else ""
    them = "this file" if len(bad) == 1 else f"these {len(bad)} files"
    yield Problem(f"{more}repair or remove {them}, or leave such files out with data.source.on_bad: skip")
