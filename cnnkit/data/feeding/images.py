"""What a network is fed: the images of an experiment as it is shown them, or features of them.

Images are kept in memory as uint8 (a quarter of float32), else on the disk, else decoded again for every batch. What a
batch holds is the same in each case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar

from cnnkit.core.errors import DataError, Problem, TrainingError
from cnnkit.core.lazy import np, tf
from cnnkit.core.machine import cores
from cnnkit.core.progress import Progress
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.feeding import workers
from cnnkit.data.feeding.pixel_store import PixelStore
from cnnkit.data.feeding.preprocessing import Changed, Preprocessing
from cnnkit.data.feeding.workers import Workers
from cnnkit.data.files import decoding
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.files.file_facts import Stamp
from cnnkit.data.index import Index


@dataclass(frozen=True)
class Features:
    """What a network that does not change makes of images, in their place.

    Attributes:
        index: Which images.
        memory: float32 (n, c); behind those of `index` there may be synthetic ones.
    """

    index: Index
    memory: Any
    threads = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are of an image."""
        return self.memory.shape[1:]  # type: ignore[no-any-return]

    def batch(self, numbers: Any) -> Any:
        """Those of some images within tf.data: an int64 tensor (B,) to float32 (B, c)."""
        return tf.gather(as_tensor(self.memory), numbers)

    def rows(self, numbers: Sequence[int]) -> Any:
        """The same in NumPy."""
        return self.memory[numbers]

    def errors_as_raised(self) -> AbstractContextManager[None]:
        """As that of `Images`, but there are none."""
        return nullcontext()


@dataclass(frozen=True)
class ImageReader:
    """Reads images one by one: from the disk where they are kept there, else from their files.

    Attributes:
        index: Which images.
        preprocessing: What becomes of each.
        stamps: Of the files beside each image that `preprocessing` reads, as they were at first; None if it reads none.
        store: Those that are kept on the disk, if any.
    """

    index: Index
    preprocessing: Preprocessing
    stamps: Sequence[tuple[Stamp | None, ...]] | None
    store: PixelStore | None

    def read(self, number: int) -> Any:
        """An image, uint8 (height, width, channels), perhaps read-only.

        Raises:
            BadImage: It can't be decoded or prepared.
            Changed: Its file, or one beside it, is another than at first.
        """
        image = self.store.read(number) if self.store else None
        if image is None:
            image = self.preprocessing.of_index(self.index, number)
            if self.stamps and self.preprocessing.stamps_beside(self.index, number) != self.stamps[number]:
                raise Changed("a file beside it, which data.prepare reads, has changed since it was looked at")
        return image


@dataclass(frozen=True)
class Images:
    """Images in one size.

    Attributes:
        index: Which images.
        shape: Height, width and channels.
        memory: All of them, uint8 (n, height, width, channels); behind those of `index` there may be synthetic ones.
            None where they are not in memory.
        reader: Reads them where they are not in memory.
        workers: Processes that make pixels; None if this one does.
        chain: What the workers augment by; they are forked with it, so that no job has to bring it.
        failures: What went wrong with images within TensorFlow.
    """

    index: Index
    shape: tuple[int, ...]
    memory: Any = None
    reader: ImageReader | None = None
    workers: Workers | None = field(default=None, compare=False)
    chain: Chain | None = field(default=None, compare=False)
    failures: list[DataError | TrainingError] = field(default_factory=list, compare=False)

    @property
    def threads(self) -> int:
        """How many batches are made at a time.

        Python lets only one thread work at a time, but for what OpenCV and Pillow do. With small pictures that is so
        short that threads cost more for handing over than they gain: at 128 px two make 3,600 images a second, and one
        4,300.
        """
        if self.workers:
            return self.workers.count + 1
        stored = [fact.header.width * fact.header.height for fact in self.index.facts or () if fact.header]
        return 1 if max([*stored[:_ASKED], self.shape[0] * self.shape[1]]) <= _SMALL else cores()

    def batch(self, numbers: Any) -> Any:
        """Some images within tf.data: an int64 tensor (B,) to uint8 (B, height, width, channels)."""
        if self.memory is not None:
            return tf.gather(as_tensor(self.memory), numbers)
        return self.augmented(None, numbers, 0, ())

    def augmented(self, chain: Chain | None, numbers: Any, epoch: Any, keys: Any) -> Any:
        """The same augmented, each image by itself.

        Args:
            chain: What they are augmented by; None if by nothing.
            numbers: int64 tensor (B,), which images.
            epoch: int64 tensor (), which epoch they are for.
            keys: int64 tensor (B,), what chance knows each of them by.
        """
        pixels = tf.numpy_function(partial(self._pixels, chain), [numbers, epoch, keys], tf.uint8)
        return tf.ensure_shape(pixels, (None, *self.shape))

    def rows(self, numbers: Sequence[int]) -> Any:
        """The same in NumPy.

        Raises:
            DataError: A file is another than before the training, or can't be read any more.
        """
        if self.memory is not None:
            return self.memory[numbers]
        pixels = np.empty((len(numbers), *self.shape), np.uint8)
        for image, number in zip(pixels, numbers, strict=True):  # copied at once, while it is in the processor's cache
            image[:] = self._read(int(number))
        return pixels

    @contextmanager
    def errors_as_raised(self) -> Iterator[None]:
        """An error in a batch, which TensorFlow makes one of its own of, comes out as it was raised."""
        try:
            yield
        except tf.errors.OpError:
            if self.failures:
                raise self.failures[0] from None
            raise

    @contextmanager
    def with_workers(self, chain: Chain, batch_size: int, count: int, progress: Progress) -> Iterator[Images]:
        """The same with processes that make the batches of a training, where these have enough to do and can be had.

        They have where images are not kept in memory. What is made is the same bits, with them or without.

        Args:
            chain: What they augment by.
            batch_size: Images a batch.
            count: Images an epoch, each as often as it comes.
            progress: Is told where processes can't be had.
        """
        if self.memory is not None:
            yield self
            return
        if workers.possible():
            decoding.ONE_LARGE.share()
        most = min(at_once(self.shape, batch_size) * batch_size, max(count, len(self.index)))
        with workers.working(partial(self._work, chain), most * int(np.prod(self.shape)), progress) as processes:
            yield replace(self, workers=processes, chain=chain)

    def _work(self, chain: Chain, job: Any) -> Any:
        """What a worker does: a job as `_pixels` sends it, whether and in which epoch to augment and then what."""
        augmented, epoch, *numbers = job.tolist()
        count = len(numbers) // 2 if augmented else len(numbers)
        return self._make(chain if augmented else None, numbers[:count], epoch, numbers[count:])

    def _pixels(self, chain: Chain | None, numbers: Any, epoch: Any, keys: Any) -> Any:
        """What `augmented` gives, in NumPy; an error is noted, for TensorFlow makes another one of it."""
        try:
            size = len(numbers) * int(np.prod(self.shape))
            if self.workers and size <= self.workers.size and chain in (None, self.chain):
                job = np.concatenate([[chain is not None, int(epoch)], numbers, keys if chain else ()])
                return self.workers(job).reshape(-1, *self.shape)
            return self._make(chain, numbers, int(epoch), keys)
        except (DataError, TrainingError) as failure:
            self.failures.append(failure)
            raise

    def _make(self, chain: Chain | None, numbers: Any, epoch: int, keys: Any) -> Any:
        pixels = self.rows(numbers)
        if chain:
            chain.apply(pixels, epoch, keys)
        return pixels

    def _read(self, number: int) -> Any:
        assert self.reader
        try:
            return self.reader.read(number)
        except BadImage as error:
            why = "a run needs images that stay" if isinstance(error, Changed) else "nothing was wrong with it before"
            raise DataError(Problem(f"{error}; {why}", file=self.index.names[number])) from None


Inputs: TypeAlias = Images | Features
"""What a network is fed, an array for each image of `index`: `shape`, `memory`, `threads`, `batch`, `rows` and
`errors_as_raised` mean the same of both."""

AnyInputs = TypeVar("AnyInputs", bound=Inputs)


def with_synthetic(inputs: AnyInputs, synthetic: Any) -> AnyInputs:
    """The same with synthetic ones behind.

    Args:
        inputs: Images or features.
        synthetic: uint8 or float32 (k, *shape).

    Raises:
        DataError: They are not all in memory.
    """
    if inputs.memory is None:
        message = "synthetic images need all others in memory: set more, or data.balance to oversample"
        raise DataError(Problem(message, key="data.cache.memory_gib"))
    memory = allocated((len(inputs.memory) + len(synthetic), *inputs.shape), inputs.memory.dtype)
    np.concatenate([inputs.memory, synthetic], out=memory)
    return replace(inputs, memory=memory)


def at_once(shape: tuple[int, ...], batch_size: int) -> int:
    """Batches whose pixels are made in one call, so that its price does not count where images are small."""
    return min(max(1, _CALL // (batch_size * int(np.prod(shape)))), _MOST)


_CALL = 2**21
"""Bytes of pixels that are made in one call."""

_MOST = 16
"""Batches that are made in one call."""

_SMALL = 160 * 160
"""Pixels of a picture up to which one thread is faster than several."""

_ASKED = 1000
"""Pictures that are asked for their size, at most."""


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
