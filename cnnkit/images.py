"""The images of an experiment as the network is shown them: decoded and prepared once, and kept where they fit.

All are decoded before the first epoch, so that a bad file costs no half-trained run. They are kept in memory as uint8
(a quarter of float32), else on the disk, else decoded again for every batch. What a batch holds is the same in each
case. Prepared ones are kept on the disk in any case, for other runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from cnnkit import decoding, pixel_store, workers
from cnnkit.augmentations import Chain
from cnnkit.decoding import BadImage
from cnnkit.errors import DataError, Problem, TrainingError
from cnnkit.experiment import Cache
from cnnkit.file_index import Stamp
from cnnkit.lazy import np, tf
from cnnkit.pixel_store import PixelStore
from cnnkit.progress import Progress
from cnnkit.sources import Index, Unused
from cnnkit.text import in_gib
from cnnkit.view import Changed, View
from cnnkit.workers import Workers

BAD_FILES = 20
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
        memory: All of them: uint8 (images, height, width, channels), or float32 (images, c); else None. Behind those of
            `index` there may be synthetic ones.
        store: All of them on the disk, else None.
        stamps: Of the files beside each image that `view` reads, as they were at first; None if it reads none.
        workers: Processes that make pixels; None if this one does.
        chain: What the workers augment by; None if by nothing.
    """

    index: Index
    shape: tuple[int, ...]
    view: View | None = None
    memory: Any = None
    store: PixelStore | None = None
    stamps: Sequence[tuple[Stamp | None, ...]] | None = None
    workers: Workers | None = field(default=None, compare=False)
    chain: Chain | None = None
    failures: list[DataError | TrainingError] = field(default_factory=list, compare=False)

    @cached_property
    def tensor(self) -> Any:
        """`memory` as TensorFlow has it, which gathers from it without Python. The memory is the same."""
        return as_tensor(self.memory)

    def batch(self, numbers: Any) -> Any:
        """The images with these numbers: an int64 tensor (B,) to a tensor (B, *shape), within tf.data."""
        if self.memory is not None:
            return tf.gather(self.tensor, numbers)
        return tf.ensure_shape(tf.numpy_function(self.pixels, [numbers], tf.uint8), (None, *self.shape))

    def pixels(self, numbers: Any, chain: Chain | None = None, epoch: int = 0, keys: Any = ()) -> Any:
        """The images with these numbers, augmented or as they are.

        Args:
            numbers: int64 (B,).
            chain: What they are augmented by.
            epoch: Which epoch they are shown in.
            keys: int64 (B,), what chance knows each of them by.

        Returns:
            uint8 (B, *shape).

        Raises:
            DataError: As `rows` does.
            TrainingError: A worker was ended from outside.
        """
        pixels = len(numbers) * int(np.prod(self.shape))
        if not self.workers or pixels > self.workers.size or chain not in (None, self.chain):
            return self._made(numbers, chain, epoch, keys)
        job = np.concatenate([[chain is not None, epoch], numbers, keys if chain else ()])
        try:
            return self.workers(job).reshape(-1, *self.shape)
        except (DataError, TrainingError) as failure:
            self.failures.append(failure)
            raise

    def _made(self, numbers: Any, chain: Chain | None, epoch: int, keys: Any) -> Any:
        pixels = self.memory[numbers] if self.memory is not None else np.stack(self.rows(numbers))
        if chain:
            chain.apply(pixels, epoch, keys)
        return pixels

    @contextmanager
    def with_workers(self, chain: Chain, most: int, progress: Progress) -> Iterator[Images]:
        """The same with processes that make `pixels`; the same without, where there can be none.

        Args:
            chain: What they augment by.
            most: Images that are made in one call.
            progress: Is told where processes can't be had.
        """

        def work(job: Any) -> Any:
            augmented, epoch, *numbers = job.tolist()
            if not augmented:
                return self._made(numbers, None, epoch, ())
            count = len(numbers) // 2
            return self._made(numbers[:count], chain, epoch, numbers[count:])

        if workers.possible():
            decoding.ONE_LARGE.share()
        with workers.working(work, most * int(np.prod(self.shape)), progress) as made:
            yield replace(self, workers=made, chain=chain)

    def rows(self, numbers: Iterable[int]) -> list[Any]:
        """The same images as NumPy arrays, perhaps read-only.

        Raises:
            DataError: A file is another than before the training, or can't be read any more.
        """
        if self.memory is not None:
            return [self.memory[i] for i in numbers]
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
        memory = allocated((len(self.memory) + len(made), *self.shape), self.memory.dtype)
        np.concatenate([self.memory, made], out=memory)
        return replace(self, memory=memory)

    def _row(self, number: int) -> Any:
        kept = self.store.read(number) if self.store else None
        if kept is not None:
            return kept
        assert self.view
        try:
            return _shown(self.index, number, self.view, self.stamps)
        except BadImage as error:
            changed = isinstance(error, Changed)
            why = "a run needs images that stay" if changed else "nothing was wrong with it before"
            failure = DataError(Problem(f"{error}; {why}", file=self.index.names[number]))
            self.failures.append(failure)
            raise failure from None

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What goes wrong with an image inside of TensorFlow comes out as the error that it is."""
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
    # What steps have prepared is kept for other runs too, as it may have taken long; decoding alone does not.
    on_disk = (bool(view.prepare) or not in_memory) and size <= cache.disk_gib * 2**30
    keys = view.keys(index) if on_disk else []
    kept = pixel_store.open_store(view.digest, keys, view.shape) if on_disk else None
    missing = [i for i in range(len(index)) if not kept or i not in kept]
    there = [i for i in range(len(index)) if kept and i in kept]
    try:
        pixels = allocated((len(index) if in_memory else 0, *view.shape), np.uint8)
    except MemoryError:
        message = f"there is not enough memory for {in_gib(size)} of images; set less than that"
        raise TrainingError(Problem(message, key="data.cache.memory_gib")) from None
    bad: dict[int, str] = {}

    def shown(i: int) -> Any:
        """What is shown of an image; None of a bad one."""
        image = kept.read(i) if kept else None
        try:
            image = _shown(index, i, view, stamps) if image is None else image
        except Changed as error:
            raise DataError(Problem(f"{error}; start again when it stays as it is", file=index.names[i])) from None
        except BadImage as error:
            bad[i] = str(error)
            return None
        if in_memory:
            pixels[i] = image
        return image

    def made(advance: Callable[[int], None]) -> Generator[tuple[bytes, Any], None, None]:
        """If any image has to be made anew, all of them with their keys, for a new file."""
        for i, image in zip(missing, _in_parallel(shown, missing, advance), strict=True):
            if image is not None and on_disk:
                yield keys[i], image
        anew = on_disk and len(bad) < len(missing)
        if anew or in_memory:
            for i, image in zip(there, _in_parallel(shown, there, advance), strict=True):
                if image is not None and anew:
                    yield keys[i], image
        if anew:
            _refuse_changed(index, missing, keys, view)

    if kept and not missing and not in_memory:
        return Images(index, view.shape, view, store=kept, stamps=stamps)
    with progress.task("decoding images", len(index)) as advance, closing(made(advance)) as images:
        if on_disk:
            otherwise = "the next run makes them again" if in_memory else _AGAIN
            room = int(cache.disk_gib * 2**30)
            kept = pixel_store.keep(view.digest, keys, view.shape, images, room, progress, otherwise) or kept
        for _ in images:
            pass
    if bad and not skip_bad:
        raise DataError(*_bad_files(index, bad))
    if bad:
        good = [i for i in range(len(index)) if i not in bad]
        index = index.take(good, [Unused(index.names[i], reason) for i, reason in sorted(bad.items())])
        stamps = stamps and [stamps[i] for i in good]
        kept = kept and kept.take(good)
        if in_memory:
            for place, i in enumerate(good):
                pixels[place] = pixels[i]
            pixels = pixels[: len(good)]
    if not in_memory:
        return Images(index, view.shape, view, store=kept if kept and kept.files else None, stamps=stamps)
    return Images(index, view.shape, view, pixels)


_AGAIN = "they are decoded again for every batch, which is slower"
"""What happens to images that are neither in memory nor on the disk."""


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


def _refuse_changed(index: Index, chosen: Sequence[int], keys: Sequence[bytes], view: View) -> None:
    """Looks once more at what has been made, and is to be kept, for what its key was made of.

    The files of images have been looked at one by one, by their content where their times don't tell enough; those that
    steps read beside them have not.
    """
    for i, key in zip(chosen, view.keys(index.take(chosen)), strict=True):
        if key != keys[i]:
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
