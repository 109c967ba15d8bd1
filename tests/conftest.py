"""Fixtures that several test files share: small folders, idx files and indexes, all made here and now."""

from __future__ import annotations

import functools
import gc
import gzip
import os
import signal
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnkit.commands.main import main
from cnnkit.core.cache import LOCK
from cnnkit.core.progress import Progress
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.index import Index

# Whoever starts the tests in the background, as a shell script with `&` or nohup does, has them ignore these, and so
# would every command that they start.
for ignored, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, handler)


def random_picture(number: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    """A picture that no other number has."""
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.fixture(scope="session", autouse=True)
def cache_of_shared_fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made once for several tests leaves the user's cache alone too: speeds of tiny networks mislead `init`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", autouse=True)
def leaves_no_caches(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a file remembers for its tests, such as networks, ends with it; a module stays as long as the process."""
    gc.collect()
    gc.freeze()  # what is left lives on, TensorFlow above all, and else is gone through again with each collection
    yield
    for value in list(vars(request.module).values()):
        if isinstance(value, functools._lru_cache_wrapper) and value.__module__ == request.module.__name__:
            value.cache_clear()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a cache of its own, below pytest's folder."""
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder: from a subfolder to the number of its pictures, or to their names; all pictures differ."""

    def make(tree: dict[str, int | Sequence[str]], name: str = "images") -> Path:
        root = tmp_path / name
        made = 0
        for folder, files in tree.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for file in [f"{i}.png" for i in range(files)] if isinstance(files, int) else files:
                random_picture(made).save(root / folder / file)
                made += 1
        return root

    return make


@pytest.fixture
def own_folder() -> Callable[[Path, str], Path]:
    """Makes a folder of cnnkit's own with a picture in it and one deeper: `run`, `folds` or `cache`."""

    def make(folder: Path, kind: str) -> Path:
        (folder / "deeper").mkdir(parents=True)
        for number, name in enumerate(("lr.png", "deeper/sheet.png")):
            random_picture(1000 + number).save(folder / name)
        for name in {
            "run": ("config.yaml", "provenance.json"),
            "folds": ("config.yaml", "folds.json", "folds.csv"),
        }.get(kind, ()):
            (folder / name).touch()
        if kind == "cache":
            (folder / LOCK).touch()
        return folder

    return make


@pytest.fixture
def write_idx() -> Callable[..., bytes]:
    """Writes an array of bytes as an idx file, gzipped where its name says so; `sizes` replaces the true ones."""

    def write(path: Path, array: np.ndarray, sizes: Sequence[int] | None = None, magic: bytes | None = None) -> bytes:
        sizes = array.shape if sizes is None else sizes
        head = (magic or bytes([0, 0, 8, array.ndim])) + struct.pack(f">{len(sizes)}I", *sizes)
        content = head + array.astype(np.uint8).tobytes()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        return content

    return write


@pytest.fixture
def index_of() -> Callable[..., Index]:
    """Makes an index in memory: from pixels (images, height, width) or (..., 3) and labels."""

    def make(pixels: np.ndarray, labels: Sequence[int], classes: int = 2) -> Index:
        return Index(
            classes=tuple("abcdefghij"[:classes]),
            names=[f"{i}.png" for i in range(len(pixels))],
            labels=np.asarray(labels, np.int64),
            digests=[digest_of(image.tobytes()) for image in pixels],
            splits=[None] * len(pixels),
            open=lambda i: Image.fromarray(pixels[i]),
        )

    return make


class Said(Progress):
    """Keeps the lines that it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def said() -> Said:
    """A watcher with the `lines` that were said to it."""
    return Said()


@pytest.fixture
def command(capsys, monkeypatch):
    """Runs a command in this process: exit code, standard output, standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["cnnkit", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main(own_process=False)
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


class Disk:
    """A disk that fails from some moment on, for whatever is written with `Path.open` and `Path.mkdir`."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.left = 0
        self.new_files = False

    def fail(self, number: int, taken: int = 0, new_files: bool = False) -> None:
        """From now on it takes so many bytes more; with `new_files` it fails for files that are new, or grow."""
        self.number, self.left, self.new_files = number, taken, new_files

    def take(self, count: int, there: bool) -> int:
        """How much of a write it takes; an error once that is nothing."""
        if self.number is None or (self.new_files and there):
            return count
        if count and not self.left:
            raise OSError(self.number, os.strerror(self.number))
        taken = min(count, self.left)
        self.left -= taken
        return taken


class FileOnDisk:
    """A file open for writing on such a disk."""

    def __init__(self, file: Any, disk: Disk, there: bool):
        self._file, self._disk, self._there = file, disk, there

    def write(self, content: Any) -> int:
        taken = 0
        while taken < len(content):
            some = self._disk.take(len(content) - taken, self._there)
            self._file.write(content[taken : taken + some])
            taken += some
        return taken

    def __enter__(self) -> FileOnDisk:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk that can be told to fail."""
    disk, opened, mkdir = Disk(), Path.open, Path.mkdir

    def open_on_disk(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        there = "+" in mode
        file = opened(path, mode, *rest, **more)
        return file if mode in ("r", "rb") else FileOnDisk(file, disk, there)

    def mkdir_on_disk(path: Path, *rest: Any, **more: Any) -> None:
        if not path.exists():
            disk.take(1, there=False)
        mkdir(path, *rest, **more)

    monkeypatch.setattr(Path, "open", open_on_disk)
    monkeypatch.setattr(Path, "mkdir", mkdir_on_disk)
    return disk
