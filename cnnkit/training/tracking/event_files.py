"""Event files, which TensorBoard reads: records of TensorFlow's kind, each an `Event` as a protocol buffer.

TensorFlow's own writer has threads and buffers, and on a full disk it leaves half a record. Here a record is added
whole or not at all, as everything that the package writes.

A record is: length (uint64), its masked CRC-32C (uint32), the content, its masked CRC-32C; all little-endian
(tensorflow/core/lib/io/record_writer.h).
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from cnnkit.core import atomic

NAME = "events.out.tfevents"
"""How the name of an event file begins: TensorBoard knows it by that."""

ENDED: str = hparams.SESSION_END_INFO_TAG
"""The tag that says how a run ended."""

_HEAD, _TAIL = struct.Struct("<QI"), struct.Struct("<I")


class EventFiles:
    """The event files of a folder, of which a training adds to one of its own.

    A resume begins another one, for who reads a file meanwhile never looks at what was read already.
    """

    def __init__(self, folder: Path):
        """Nothing is made before the first event."""
        self.folder = folder
        self._file: Path | None = None

    def __bool__(self) -> bool:
        return bool(self._all())

    def add(self, step: int, *values: Any) -> None:
        """Adds an event.

        Args:
            step: When it was, on the axis of its values.
            values: `Summary.Value` each.

        Raises:
            DiskError: The disk has no room for it, or fails.
        """
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        content = _record(event)
        if self._file is None:
            atomic.make_folder(self.folder, parents=True, exist_ok=True)
            self._file = self.folder / f"{NAME}.{self._number()}.cnnkit"
            content = _record(Event(wall_time=time.time(), file_version="brain.Event:2")) + content
        atomic.append_bytes(self._file, content)

    def cut(self, keeps: Callable[[int, str], bool]) -> None:
        """Takes out what a resume is going to record again, and what a crash has left half written.

        Args:
            keeps: Whether an event with this step and this tag of its first value stays.

        Raises:
            DiskError: The disk has no room for what stays, or fails.
        """
        for file in self._all():
            content = file.read_bytes()
            kept = b"".join(
                record
                for record, event in _records(content)
                if not event.summary.value or keeps(event.step, event.summary.value[0].tag)
            )
            if kept != content:
                atomic.write_bytes(file, kept)

    def _all(self) -> list[Path]:
        """Its event files, of whatever training.

        Raises:
            OSError: The folder is a link: what it leads to is not the run's.
        """
        if self.folder.is_symlink():
            raise NotADirectoryError(
                errno.ENOTDIR, "is a link, and event files are written into the run alone", str(self.folder)
            )
        return sorted(path for path in self.folder.glob(f"{NAME}.*") if path.is_file() and not path.is_symlink())

    def _number(self) -> str:
        """The time, by which TensorBoard orders the files of a folder; later than those that are there."""
        numbers = [file.name.removeprefix(f"{NAME}.").partition(".")[0] for file in self._all()]
        last = max((int(number) for number in numbers if number.isdecimal()), default=0)
        return f"{max(int(time.time()), last + 1):010d}"


def scalar(tag: str, value: float) -> Any:
    """A point of a curve."""
    return Summary.Value(tag=tag, simple_value=value)


def text(tag: str, content: str) -> Any:
    """A text, which is shown as Markdown."""
    tensor = TensorProto(dtype=DT_STRING, string_val=[content.encode("utf-8", "replace")])
    return Summary.Value(tag=tag, tensor=tensor, metadata={"plugin_data": {"plugin_name": "text"}})


def picture(tag: str, png: bytes, size: tuple[int, int]) -> Any:
    """A picture in colour, with its width and height."""
    width, height = size
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
    return Summary.Value(tag=tag, image=image)


def settings(values: Mapping[str, bool | int | float | str]) -> Any:
    """The settings of a run, for the table of the plugin HParams."""
    data = HParamsPluginData()
    data.session_start_info.start_time_secs = time.time()
    for name, value in values.items():
        entry = data.session_start_info.hparams[name]
        if isinstance(value, bool):
            entry.bool_value = value
        elif isinstance(value, str):
            entry.string_value = value
        else:
            entry.number_value = value
    return _of_hparams(hparams.SESSION_START_INFO_TAG, data)


def end_of_settings(sound: bool) -> Any:
    """That the run whose settings were told has ended, for that table."""
    data = HParamsPluginData()
    data.session_end_info.status = STATUS_SUCCESS if sound else STATUS_FAILURE
    data.session_end_info.end_time_secs = time.time()
    return _of_hparams(ENDED, data)


def _of_hparams(tag: str, data: Any) -> Any:
    # `tensorboard.plugins.hparams.api` makes the same, but has TensorFlow write it, and imports it anew.
    return Summary.Value(tag=tag, metadata=hparams.create_summary_metadata(data), tensor=hparams.NULL_TENSOR)


def _record(event: Any) -> bytes:
    content: bytes = event.SerializeToString()
    length = struct.pack("<Q", len(content))
    return length + _TAIL.pack(masked_crc32c(length)) + content + _TAIL.pack(masked_crc32c(content))


def _records(content: bytes) -> Iterator[tuple[bytes, Any]]:
    """The records of a file with what they hold, up to the first that is not whole."""
    at = 0
    while at + _HEAD.size <= len(content):
        length, check = _HEAD.unpack_from(content, at)
        begin = at + _HEAD.size
        end = begin + length
        if check != masked_crc32c(content[at : at + 8]) or end + _TAIL.size > len(content):
            return
        if _TAIL.unpack_from(content, end)[0] != masked_crc32c(content[begin:end]):
            return
        yield content[at : end + _TAIL.size], Event.FromString(content[begin:end])
        at = end + _TAIL.size
