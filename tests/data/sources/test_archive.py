from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit.config.file import configure, read, write
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import ConfigError, DataError
from cnnkit.core.progress import Progress
from cnnkit.data.dividing import Pool
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.section import Cache
from cnnkit.data.sources import Archive, Folder, Idx, recognised
from cnnkit.data.splitting import Split

KINDS = {"zip": "zip", "tar": "tar", "tar.gz": "gztar"}
TREE = {"cat": 5, "dog": 4}


def packed(folder, kind="zip", inside=".", to=None):
    """An archive beside a folder, of what is in it, or of the folder itself."""
    path = to or folder.parent / f"packed.{kind}"
    archive = shutil.make_archive(
        str(folder.parent / "made"), KINDS[kind], folder.parent if inside != "." else folder, inside
    )
    return Path(archive).rename(path)


def index_of(path, **options):
    return Archive(path=str(path), **options).open(Progress()).index(Progress())


def problem_of(path, **options):
    """The problem that is told, of the archive and not of the cache."""
    with pytest.raises(DataError) as caught:
        index_of(path, **options)
    [problem] = caught.value.problems
    assert str(cache_folder()) not in problem.message
    return problem


@pytest.fixture
def images(image_folder):
    root = image_folder(TREE)
    (root / "notes.txt").write_text("x")
    return root


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inside", [".", "images"], ids=["its content", "the folder"])
def test_an_archive_of_a_folder_gives_what_the_folder_gives(images, kind, inside):
    path = packed(images, kind, inside)
    plain, collection = Folder(path=str(images)).open(Progress()), Archive(path=str(path)).open(Progress())
    assert (collection.classes, collection.splits, collection.shape) == (plain.classes, plain.splits, plain.shape)
    expected, index = plain.index(Progress()), collection.index(Progress())
    assert index.names == expected.names
    assert index.labels.tolist() == expected.labels.tolist()
    assert index.digests == expected.digests
    assert index.fingerprint() == expected.fingerprint()
    assert index.unused == expected.unused and len(index.unused) == 1
    splits = [Split().assign(Pool(one.classes, one.labels, one.digests, one.splits)) for one in (expected, index)]
    assert splits[0] == splits[1]
    for i in range(len(index)):
        assert np.array_equal(np.asarray(index.open(i)), np.asarray(expected.open(i)))


def test_an_archive_of_idx_files_gives_what_the_folder_gives(tmp_path, write_idx):
    folder = tmp_path / "mnist"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    write_idx(folder / "train-images-idx3-ubyte.gz", pixels)
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.array([0, 1, 0, 1, 2, 2]))
    expected = Idx(path=str(folder)).open(Progress()).index(Progress())
    for inside in (".", "mnist"):
        index = index_of(packed(folder, inside=inside))
        assert (index.names, index.digests) == (expected.names, expected.digests)


def test_splits_shape_and_bad_files_are_those_of_what_is_inside(image_folder):
    root = image_folder({f"{split}/{name}": 2 for split in ("train", "test") for name in TREE})
    (root / "train" / "cat" / "bad.png").write_bytes(b"")
    path = packed(root)
    collection = Archive(path=str(path)).open(Progress())
    assert collection.splits == {"test"} and not collection.skip_bad
    with pytest.raises(DataError, match=r"train/cat/bad\.png"):
        load(collection.index(Progress()), Preprocessing((8, 8, 3), "crop"), Cache(), Progress())
    skipping = Archive(path=str(path), holds={"name": "folder", "path": ".", "on_bad": "skip"}).open(Progress())
    assert skipping.skip_bad
    index = skipping.index(Progress())
    assert sorted(set(index.splits)) == ["test", "train"]


def test_holds_names_a_folder_inside_and_its_settings(image_folder):
    root = image_folder({f"data/{name}/{part}": 1 for name in TREE for part in ("images", "masks")})
    for path in ("data", "./data/", "other/../data"):
        index = index_of(packed(root), holds={"name": "folder", "path": path, "glob": "*/images/*"})
        assert set(index.names) == {"cat/images/0.png", "dog/images/0.png"}


def test_what_systems_leave_beside_the_only_folder_is_no_matter(images, tmp_path):
    top = tmp_path / "top"
    (top / "a").mkdir(parents=True)
    images.rename(top / "a" / "flowers")
    (top / "__MACOSX" / "a").mkdir(parents=True)
    (top / "__MACOSX" / "a" / "._0.png").write_bytes(b"x")
    for name in (".DS_Store", "a/.DS_Store", "a/Thumbs.db"):
        (top / name).write_bytes(b"x")
    assert index_of(packed(top)).classes == ("cat", "dog")


def test_the_second_look_does_not_unpack(images):
    path = packed(images)
    expected = index_of(path)
    [folder] = [entry for entry in (cache_folder() / "archives").iterdir() if entry.is_dir()]
    marked = folder.stat().st_ino
    assert index_of(path).names == expected.names
    assert folder.stat().st_ino == marked


def test_an_archive_is_recognised_by_its_content(images, tmp_path):
    for kind in KINDS:
        path = packed(images, kind, to=tmp_path / f"of_{kind}")
        assert recognised(path) == Archive(path=str(path))
    (tmp_path / "notes.zip").write_text("words")
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    for name in ("notes.zip", "arrays.npz"):
        assert Archive.recognise(tmp_path / name) is None
    assert Archive.recognise(images) is None


# In a config

CONFIG = "data:\n  source: {{name: archive, path: packed.zip{}}}\nmodel: {{name: resnet, depth: 20}}\n"


def config(folder, holds=", holds: {name: folder, path: images}"):
    (folder / "mine.yaml").write_text(CONFIG.format(holds))
    return folder / "mine.yaml"


def test_a_config_written_complete_reads_back_unchanged(images, tmp_path):
    packed(images, inside="images")
    experiment = read(config(tmp_path))
    assert experiment.data.source.holds == Folder.model_construct(path="images")
    (tmp_path / "below").mkdir()
    again = tmp_path / "below" / "again.yaml"
    again.write_text(write(experiment))
    assert read(again).data.source == experiment.data.source
    assert f"path: {tmp_path}/packed.zip" in again.read_text()
    assert read(config(tmp_path, "")).data.source.holds is None


def test_an_archive_that_moved_is_named_and_what_it_holds_stays(images, tmp_path):
    moved = packed(images, inside="images", to=tmp_path / "moved.zip")
    source = read(config(tmp_path), f"data.source.path={moved}").data.source
    assert source.open(Progress()).classes == ("cat", "dog")
    source = read(config(tmp_path), f"data.source.path={moved}", "data.source.holds.path=./images").data.source
    assert source.holds.path == "images"


def test_each_setting_of_what_it_holds_is_told_with_its_origin(images, tmp_path):
    packed(images, inside="images")
    rows = {".".join(map(str, path)): (value, origin) for path, value, origin in configure(config(tmp_path)).rows()}
    assert rows["data.source.holds.path"] == ("images", "line 2")
    assert rows["data.source.holds.on_bad"] == ("error", "default")


@pytest.mark.parametrize(
    ("holds", "key", "words"),
    [
        ("folder", "holds", "is a section: write {name: folder}"),
        ("{name: foldr, path: a}", "holds.name", "did you mean `folder`"),
        ("{name: archive, path: a.zip}", "holds.name", "there is no `archive`"),
        ("{name: folder}", "holds.path", "is required"),
        ("{name: folder, path: 3}", "holds.path", "should be a text"),
        ("{name: folder, path: images, globe: x}", "holds.globe", "did you mean `glob`"),
        ("{name: folder, path: nowhere}", "holds.path", "TOP/packed.zip/nowhere: there is no such folder"),
        ("{name: folder, path: images/cat/0.png}", "holds.path", "TOP/packed.zip/images/cat/0.png: is a file"),
        ("{name: folder, path: ..}", "holds.path", "leads out"),
        ("{name: folder, path: images/../../x}", "holds.path", "leads out"),
        ("{name: folder, path: /etc}", "holds.path", "leads out"),
        ("{name: folder, path: TOP/packed.zip/images}", "holds.path", "leads out"),
        ("{name: folder, path: '~'}", "holds.path", "leads out"),
        ("{name: folder, path: images, glob: '*.gif'}", "holds.glob", "TOP/packed.zip/images"),
        ("{name: idx, path: images}", "holds.path", "TOP/packed.zip/images does not hold"),
    ],
)
def test_what_is_wrong_in_holds_is_told_at_its_place(images, tmp_path, holds, key, words):
    packed(images, inside="images")
    file = config(tmp_path, ", holds: " + holds.replace("TOP", str(tmp_path)))
    with pytest.raises(ConfigError) as caught:
        read(file)
    [problem] = caught.value.problems
    assert problem.key == f"data.source.{key}"
    assert words.replace("TOP", str(tmp_path)) in problem.message
    assert str(cache_folder()) not in problem.message
    assert (problem.line, problem.column is not None) == (2, True)


def test_a_broken_archive_is_told_at_its_path(tmp_path):
    (tmp_path / "packed.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(DataError, match=r"packed\.zip: is damaged") as caught:
        read(config(tmp_path))
    assert caught.value.problems[0].key == "data.source.path"
    (tmp_path / "packed.zip").unlink()
    with pytest.raises(ConfigError, match="there is no such file"):
        read(config(tmp_path))


def test_an_evil_archive_is_told_and_leaves_nothing(tmp_path):
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../evil.png", b"x")
    problem = problem_of(path)
    assert str(path) in problem.message and "../evil.png" in problem.message
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "files", [["0.png", "1.png"], ["cat/0.png"], ["a/cat/0.png"], ["notes.txt"]], ids=["flat", "one", "deep", "text"]
)
def test_an_archive_that_holds_no_classes_is_told_with_what_helps(tmp_path, files):
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in files:
            archive.writestr(name, b"x")
    problem = problem_of(path)
    assert problem.key == "path"
    assert str(path) in problem.message and "two classes" in problem.message and "`holds`" in problem.message


def test_a_damaged_idx_file_inside_is_told_of_the_archive(tmp_path, write_idx):
    path = tmp_path / "packed.tar"
    with tarfile.open(path, "w") as archive:
        for name, sizes in (("train-images-idx3-ubyte", (4, 2, 2)), ("train-labels-idx1-ubyte", (4,))):
            write_idx(tmp_path / name, np.arange(np.prod(sizes)).reshape(sizes))
            content = (tmp_path / name).read_bytes()[: -1 if "images" in name else None]
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    problem = problem_of(path)
    assert f"{path}/train-images-idx3-ubyte holds 15 values" in problem.message


def test_compressed_pictures_that_are_no_tar_are_no_archive(tmp_path):
    image = io.BytesIO()
    Image.new("L", (8, 8)).save(image, "PNG")
    (tmp_path / "0.png.gz").write_bytes(gzip.compress(image.getvalue()))
    assert Archive.recognise(tmp_path / "0.png.gz") is None
