"""Fixtures that make archives, good and evil, and see what comes of them."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile

import pytest

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.files.archives import unpacked

FILES = {
    "README": b"about",
    "cat/0.png": b"one",
    "cat/deep/er/1.png": b"",
    "dög/ä b.png": random.Random(0).randbytes(300_000),
}


@pytest.fixture
def a_zip():
    """A zip of (name or ZipInfo, content), whatever the names."""

    def make(path, members):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                if isinstance(name, str):
                    info = zipfile.ZipInfo("x")
                    info.filename = name  # the constructor would mend it
                    name = info
                archive.writestr(name, content, zipfile.ZIP_DEFLATED)
        return path

    return make


@pytest.fixture
def a_tar():
    """A tar of (name or TarInfo, content), compressed as its name says."""

    def make(path, members, **options):
        mode = {"gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz", "tgz": "w:gz"}.get(path.name.rsplit(".")[-1], "w")
        with tarfile.open(path, mode, **options) as archive:
            for name, content in members:
                info = tarfile.TarInfo(name) if isinstance(name, str) else name
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return path

    return make


@pytest.fixture
def packed(a_zip, a_tar):
    """Makes a zip or a tar by its name, of files and their content."""

    def make(path, files=FILES):
        pack = a_zip if path.suffix == ".zip" else a_tar
        return pack(path, files.items())

    return make


@pytest.fixture
def refused():
    """The one line that is told, where nothing is left in the cache and nothing written outside of it."""

    def tell(path, *words):
        top = path.parent
        before = everything(top)
        with pytest.raises(DataError) as caught:
            unpacked(path, Progress())
        assert everything(top) == before
        home = cache_folder() / "archives"
        assert not home.is_dir() or list(home.iterdir()) == []
        [problem] = caught.value.problems
        assert problem.key == "path"
        assert "\n" not in problem.message and problem.message.isprintable()
        assert str(path) in problem.message
        for word in words:
            assert word in problem.message
        return problem.message

    return tell


@pytest.fixture
def own_cache_below(tmp_path, monkeypatch):
    """The cache beside the archive, so that what leaves it by one or two steps is seen."""
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "archives").mkdir(parents=True)


def everything(folder):
    """Each path below a folder with what it is, to see that nothing has changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        found[path] = (state.st_mode, state.st_size, state.st_mtime_ns if not path.is_dir() else None)
    return found
