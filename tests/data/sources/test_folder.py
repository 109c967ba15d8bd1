from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from cnnkit.core import own_folders
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.dividing import Pool
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.files import formats
from cnnkit.data.section import Cache
from cnnkit.data.sources import Folder, recognised
from cnnkit.data.splitting import Split


def index_of(root, **options):
    return Folder(path=str(root), **options).open(Progress()).index(Progress())


def labelled(index):
    """The class of each image, by the image's name."""
    return {name: index.classes[label] for name, label in zip(index.names, index.labels, strict=True)}


def loaded(root, **options):
    collection = Folder(path=str(root), **options).open(Progress())
    return load(
        collection.index(Progress()),
        Preprocessing((8, 8, 3), "crop"),
        Cache(),
        Progress(),
        skip_bad=collection.skip_bad,
    )


def why_unused(index):
    return {entry.name: entry.reason for entry in index.unused}


@pytest.mark.skipif(os.name == "nt", reason="names of POSIX")
@pytest.mark.parametrize("odd", ["two\nlines", "\x85", "tab\t"])
def test_a_control_character_in_a_folder_below_a_class_is_a_reason_not_to_use_what_is_in_it(image_folder, odd):
    root = image_folder({"cat": 2, "dog": 2, f"dog/deep/{odd}": 1})
    index = index_of(root)
    assert len(index) == 4
    assert why_unused(index) == {f"dog/deep/{odd}/0.png": "a control character in its name"}


@pytest.mark.skipif(os.name == "nt", reason="names of POSIX")
def test_what_the_folders_above_are_called_does_not_matter(image_folder):
    assert len(index_of(image_folder({"cat": 2, "dog": 2}, name="two\nlines"))) == 4


def test_class_folders_are_the_classes(image_folder):
    root = image_folder({"dog": 2, "cat": 3})
    collection = Folder(path=str(root)).open(Progress())
    assert collection.classes == ("cat", "dog")
    assert collection.splits == frozenset()
    index = collection.index(Progress())
    expected = {f"cat/{i}.png": "cat" for i in range(3)} | {f"dog/{i}.png": "dog" for i in range(2)}
    assert labelled(index) == expected
    assert set(index.splits) == {None}
    assert index.unused == ()


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_split_folders_are_kept(image_folder, validation):
    root = image_folder({f"{split}/{name}": 2 for split in ("train", validation, "test") for name in ("cat", "dog")})
    collection = Folder(path=str(root)).open(Progress())
    assert collection.splits == {"validation", "test"}
    index = collection.index(Progress())
    assert index.classes == ("cat", "dog")
    for name, split in zip(index.names, index.splits, strict=True):
        assert split == {validation: "validation"}.get(name.split("/")[0], name.split("/")[0])


def test_train_alone_sets_nothing_apart(image_folder):
    collection = Folder(path=str(image_folder({"train/cat": 2, "train/dog": 2}))).open(Progress())
    assert collection.classes == ("cat", "dog")
    assert collection.splits == frozenset()


def test_a_class_may_be_missing_from_a_split_that_is_not_train(image_folder):
    root = image_folder({"train/cat": 2, "train/dog": 2, "test/cat": 1})
    assert Folder(path=str(root)).open(Progress()).splits == {"test"}


def test_a_class_may_be_called_train(image_folder):
    assert Folder(path=str(image_folder({"train": 2, "plane": 2}))).open(Progress()).classes == ("plane", "train")


@pytest.mark.parametrize("names", [("Train", "Test"), ("TRAIN", "VAL", "TEST")])
def test_split_folders_in_capitals_never_become_classes(image_folder, names):
    root = image_folder({f"{split}/{name}": 2 for split in names for name in ("cat", "dog")})
    try:
        collection = Folder(path=str(root)).open(Progress())
    except DataError as error:
        assert names[0] in str(error)
    else:
        assert collection.classes == ("cat", "dog")
        assert collection.splits


@pytest.mark.parametrize(
    ("tree", "named"),
    [
        ({"train/cat": 1, "train/dog": 1, "extra/cat": 1}, ["train", "extra"]),
        (
            {"train/cat": 1, "train/dog": 1, "val/cat": 1, "validation/dog": 1},
            ["`val`", "`validation`", "validation: [val, validation]"],
        ),
        ({"train/cat": 1, "train/dog": 1, "test/bird": 1}, ["bird", "no training images"]),
        ({"cat": 2}, ["only one", "cat"]),
        ({"train/cat": 2, "test/cat": 2}, ["only one", "cat"]),
        ({".": 2}, ["none"]),
    ],
    ids=["stranger beside train", "val and validation", "class without training", "one class", "one split", "flat"],
)
def test_a_folder_in_another_form_is_refused_with_the_reason(image_folder, tree, named):
    root = image_folder(tree)
    with pytest.raises(DataError) as error:
        Folder(path=str(root)).open(Progress())
    (problem,) = error.value.problems
    assert problem.key == "path"
    assert str(root) in problem.message
    for word in named:
        assert word in problem.message


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        Folder(path=str(tmp_path / "nowhere")).open(Progress())
    with pytest.raises(DataError, match="file: is a file, not a folder"):
        Folder(path=str(tmp_path / "file")).open(Progress())


@pytest.mark.parametrize("tree", [{"cat": 2, "dog": 0}, {"train/cat": 2, "train/dog": 2, "test/cat": 1, "test/dog": 0}])
def test_an_empty_class_is_a_class_without_images(image_folder, tree):
    index = index_of(image_folder(tree))
    assert index.classes == ("cat", "dog")
    assert len(index) == sum(tree.values())


@pytest.mark.parametrize(
    ("glob", "counted"),
    [
        ("*/images/*", {"cat/images/0.png", "dog/images/0.png"}),
        ("**/images/*.PNG", {"cat/images/0.png", "dog/images/0.png"}),
        ("**/0.png", {"cat/images/0.png", "cat/masks/0.png", "dog/images/0.png"}),
        ("[cd]*/*/?.png", {"cat/images/0.png", "cat/masks/0.png", "dog/images/0.png"}),
        ("[!x]*/image[a-z]/**", {"cat/images/0.png", "dog/images/0.png"}),
    ],
)
def test_a_glob_tells_what_counts_and_the_rest_is_listed(image_folder, glob, counted):
    tree = {"cat/images": 1, "cat/masks": 1, "dog/images": 1, "scripts": 0}
    index = index_of(image_folder(tree), glob=glob)
    assert index.classes == ("cat", "dog")
    assert set(index.names) == counted
    others = {"cat/images/0.png", "cat/masks/0.png", "dog/images/0.png"} - counted
    reasons = why_unused(index)
    assert set(reasons) == others | {"scripts"}
    assert all(glob in reason for reason in reasons.values())


def test_a_glob_that_means_nothing_is_an_error(image_folder):
    with pytest.raises(DataError, match=r"\.{tif,jpg}") as error:
        index_of(image_folder({"cat": 1, "dog": 1}), glob="**/*.{tif,jpg}")
    assert error.value.problems[0].key == "glob"
    assert error.value.problems[0].message.endswith(
        "it has to match whole paths such as `cat/0.png`, and braces in it stand for themselves"
    )


def test_what_is_not_an_image_is_reported_with_the_reason(image_folder):
    root = image_folder({"cat": ["0.png", "1.png"], "dog": 2})
    hidden = ["cat/.DS_Store", "cat/Thumbs.db", "dog/.hidden.png", "dog/desktop.ini", ".DS_Store"]
    others = ["cat/notes.txt", "dog/scan.xyz", "dog/no_ending", "README.md"]
    beside = ["stray.png"]
    for name in hidden + others + beside:
        (root / name).write_bytes(b"x")
    reasons = why_unused(index_of(root))
    assert set(reasons) == {*hidden, *others, *beside}
    assert all("hidden" in reasons[name] for name in hidden)
    assert all("ending" in reasons[name] for name in others)
    assert "beside the class folders" in reasons["stray.png"]


def test_files_beside_split_folders_and_in_them_are_reported(image_folder):
    root = image_folder({f"{split}/{name}": 2 for split in ("train", "test") for name in ("cat", "dog")})
    (root / "labels.csv").write_text("")
    (root / "train" / "stray.png").write_text("")
    assert set(why_unused(index_of(root))) == {"labels.csv", "train/stray.png"}


def test_images_in_hidden_folders_are_reported(image_folder):
    root = image_folder({"cat": 2, "dog": 2, "cat/.ipynb_checkpoints": ["0-checkpoint.png"], ".cache": ["1.png"]})
    index = index_of(root)
    assert len(index) == 4
    unused = " ".join(why_unused(index))
    assert "cat/.ipynb_checkpoints" in unused
    assert ".cache" in unused


def test_a_link_to_itself_is_a_file_that_cannot_be_read(image_folder):
    root = image_folder({"cat": 2, "dog": 2})
    for link in ("cat/self", "self", "self.txt"):
        (root / link).symlink_to(Path(link).name)
    assert set(why_unused(index_of(root))) == {"cat/self", "self", "self.txt"}
    assert recognised(root).open(Progress()).classes == ("cat", "dog")


WHOSE = {"run": own_folders.TRAINED, "folds": own_folders.TRAINED, "cache": own_folders.CACHED}


@pytest.mark.parametrize("kind", WHOSE)
@pytest.mark.parametrize("place", ["runs/first", "first", "runs/a/b", "cat/first"])
@pytest.mark.parametrize("options", [{}, {"label_pattern": "(cat|dog)/.*"}, {"glob": "**"}])
def test_pictures_in_a_folder_of_our_own_are_no_images(image_folder, own_folder, monkeypatch, kind, place, options):
    root = image_folder({"cat": 2, "dog": 2})
    own = own_folder(root / place, kind)
    if kind == "cache":
        monkeypatch.setenv("CNNKIT_CACHE", str(own))
    files = sum(path.is_file() for path in own.rglob("*"))
    index = index_of(root, **options)
    assert set(labelled(index).values()) == {"cat", "dog"} and len(index) == 4
    (entry,) = index.unused
    assert (entry.reason, entry.files, entry.images) == (WHOSE[kind], files, 0)
    assert place.startswith(entry.name)
    assert recognised(root).open(Progress()).classes == ("cat", "dog")


@pytest.mark.parametrize(
    "names",
    [["config.yaml"], ["provenance.json"], ["folds.json", "folds.csv"], ["config.yaml", "folds.json"], [".in-use"]],
)
@pytest.mark.parametrize("place", [".", "cat"])
def test_a_folder_with_some_such_files_may_be_anybodys(image_folder, names, place):
    root = image_folder({"cat": 2, "dog": 2})
    for name in names:
        (root / place / name).touch()
    assert len(index_of(root)) == 4


@pytest.mark.parametrize("kind", ["run", "folds"])
@pytest.mark.parametrize("opened", [index_of, recognised])
def test_a_run_in_place_of_images_is_refused(own_folder, tmp_path, kind, opened):
    run = own_folder(tmp_path / "first", kind)
    marks = {"run": "config.yaml and provenance.json", "folds": "config.yaml, folds.json and folds.csv"}[kind]
    told = rf"is what was trained, and no folder of images, as {marks} in it tell: name the images .* data\.source in "
    with pytest.raises(DataError, match=told + ".*/first/config.yaml leads; or, .* move them to another folder$"):
        opened(run)


@pytest.mark.parametrize("ending", [".JPG", ".Jpeg", ".PNG", ".Bmp", ".GIF", ".WebP", ".jpe", ".jfif"])
def test_endings_count_in_any_case(image_folder, ending):
    root = image_folder({"cat": 1, "dog": 1})
    (root / "cat" / "0.png").rename(root / "cat" / f"0{ending}")
    assert labelled(index_of(root)) == {f"cat/0{ending}": "cat", "dog/0.png": "dog"}


def test_folders_within_a_class_belong_to_it(image_folder):
    root = image_folder({"cat/indoor/2024": 2, "cat": 1, "dog/outdoor": 1})
    index = index_of(root)
    assert set(labelled(index)) == {"cat/0.png", "cat/indoor/2024/0.png", "cat/indoor/2024/1.png", "dog/outdoor/0.png"}
    assert labelled(index)["cat/indoor/2024/1.png"] == "cat"


@pytest.mark.parametrize(
    "names", [("yes", "no"), ("black cat", "dög"), ("1e3", "007"), ("[a-z]", "100%"), ("猫", "犬")]
)
def test_any_name_is_a_class(image_folder, names):
    index = loaded(image_folder({name: ["eine Kätzchen #1.png"] for name in names})).index
    assert index.classes == tuple(sorted(unicodedata.normalize("NFC", name) for name in names))
    assert set(index.names) == {f"{name}/eine Kätzchen #1.png" for name in names}


def test_linked_files_and_folders_are_images_too(image_folder, tmp_path):
    root = image_folder({"cat": 1, "dog": 1})
    elsewhere = image_folder({".": ["c.png"]}, name="elsewhere")
    (root / "cat" / "link.png").symlink_to(elsewhere / "c.png")
    (root / "bird").symlink_to(elsewhere, target_is_directory=True)
    index = loaded(root).index
    assert index.classes == ("bird", "cat", "dog")
    assert set(index.names) == {"bird/c.png", "cat/0.png", "cat/link.png", "dog/0.png"}


@pytest.mark.parametrize("target", [".", "..", "../..", "../cat/deep"])
def test_a_loop_of_links_brings_no_image_twice_and_none_of_a_neighbour(image_folder, target):
    root = image_folder({"cat": 1, "cat/deep": 1, "dog": 2}, name="outer/images")
    (root / "cat" / "deep" / "loop").symlink_to(Path("..") / target, target_is_directory=True)
    assert labelled(loaded(root).index) == {
        "cat/0.png": "cat",
        "cat/deep/0.png": "cat",
        "dog/0.png": "dog",
        "dog/1.png": "dog",
    }


@pytest.mark.parametrize(
    ("target", "why"),
    [("gone.png", "a link that leads nowhere"), ("link.png", "can't be read: .*symbolic links")],
    ids=["dangling", "loop"],
)
def test_a_link_to_nothing_is_named(image_folder, target, why):
    root = image_folder({"cat": 1, "dog": 1})
    (root / "cat" / "link.png").symlink_to(target)
    with pytest.raises(DataError, match=rf"cat/link\.png: {why}"):
        loaded(root)
    assert why_unused(loaded(root, on_bad="skip").index).keys() == {"cat/link.png"}


def test_a_subfolder_that_cannot_be_read_is_an_error_that_names_it(image_folder, monkeypatch):
    root = image_folder({"cat": 1, "cat/secret": 1, "dog": 1})
    scan = os.scandir

    def refuse(path="."):
        if str(path).endswith("secret"):  # as without permission, which root has
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="secret"):
        index_of(root)


BAD = {"cat/empty.png": b"", "cat/text.jpg": b"words", "dog/cut.png": None}


@pytest.fixture
def damaged(image_folder):
    root = image_folder({"cat": 3, "dog": ["0.png", "1.png", "cut.png"]})
    for name, content in BAD.items():
        file = root / name
        file.write_bytes(file.read_bytes()[:100] if content is None else content)
    return root


def test_every_bad_file_is_named_with_its_reason(damaged):
    with pytest.raises(DataError) as error:
        loaded(damaged)
    *bad, advice = error.value.problems
    reasons = {problem.file: problem.message for problem in bad}
    assert reasons.keys() == BAD.keys()
    assert reasons["cat/empty.png"] == "the file is empty"
    assert reasons["cat/text.jpg"] == formats.what_it_is(b"")
    assert reasons["dog/cut.png"].startswith("damaged")
    assert "3 files" in advice.message
    assert "on_bad: skip" in advice.message


def test_many_bad_files_are_counted(image_folder):
    root = image_folder({"cat": 1, "dog": 1})
    for i in range(30):
        (root / "cat" / f"bad{i}.png").write_bytes(b"")
    with pytest.raises(DataError) as error:
        loaded(root)
    assert "10 more" in str(error.value)
    assert "30 files" in str(error.value)


@pytest.mark.parametrize("memory_gib", [0, 1])
def test_bad_files_are_left_out_counted_and_listed(damaged, memory_gib):
    index = index_of(damaged, on_bad="skip")
    images = load(
        index, Preprocessing((8, 8, 3), "crop"), Cache(memory_gib=memory_gib, disk_gib=0), Progress(), skip_bad=True
    )
    assert why_unused(images.index).keys() == BAD.keys()
    assert set(images.index.names) == {"cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png"}
    for pixels, i in zip(images.batch(np.arange(5)).numpy(), range(5), strict=True):
        assert np.array_equal(pixels, np.asarray(images.index.open(i)))


class Backwards:
    """`os.scandir` in another order, as another file system might have it."""

    def __init__(self, path=".", scan=os.scandir):
        with scan(path) as entries:
            self.entries = reversed(list(entries))

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.entries)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    close = __exit__


def facts(root):
    index = index_of(root)
    splits = Split().assign(Pool(index.classes, index.labels, index.digests, index.splits))
    return index.classes, labelled(index), dict(zip(index.names, splits, strict=True)), index.fingerprint()


def test_the_order_of_a_directory_does_not_matter(image_folder, tmp_path, monkeypatch):
    root = image_folder({"dog": 9, "cat/deep": 5, "cat": 7})
    other = tmp_path / "copied backwards"
    for file in sorted(root.rglob("*.png"), reverse=True):
        (other / file.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, other / file.relative_to(root))
    expected = facts(root)
    assert facts(other) == expected
    listing = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path=".": sorted(listing(path), reverse=True))
    monkeypatch.setattr(os, "scandir", Backwards)
    assert facts(root) == expected


def test_the_fingerprint_knows_names_labels_and_contents(image_folder):
    root = image_folder({"cat": 3, "dog": 3})
    fingerprints = {index_of(root).fingerprint()}
    (root / "cat" / "0.png").rename(root / "cat" / "renamed.png")
    fingerprints.add(index_of(root).fingerprint())
    (root / "cat" / "1.png").rename(root / "dog" / "moved.png")
    fingerprints.add(index_of(root).fingerprint())
    shutil.copy(root / "dog" / "1.png", root / "dog" / "0.png")
    fingerprints.add(index_of(root).fingerprint())
    assert len(fingerprints) == 4


def test_equal_contents_have_equal_digests_and_others_do_not(image_folder):
    root = image_folder({"cat": 2, "dog": 1})
    shutil.copy(root / "cat" / "0.png", root / "dog" / "copy.png")
    digests = dict(zip((index := index_of(root)).names, index.digests, strict=True))
    assert digests["cat/0.png"] == digests["dog/copy.png"]
    assert len(set(digests.values())) == 3


def test_a_limit_keeps_so_many_of_each_class_and_split(image_folder):
    root = image_folder({"train/cat": 9, "train/dog": 2, "test/cat": 5, "test/dog": 5})
    index = index_of(root)
    limited = index.limited(3, seed=0)
    groups = [f"{split}/{name}" for split, name in zip(limited.splits, labelled(limited).values(), strict=True)]
    assert {group: groups.count(group) for group in groups} == {
        "train/cat": 3,
        "train/dog": 2,
        "test/cat": 3,
        "test/dog": 3,
    }
    assert limited.names == index.limited(3, seed=0).names
    assert limited.names != index.limited(3, seed=1).names
    for i, name in enumerate(limited.names):
        assert np.array_equal(np.asarray(limited.open(i)), np.asarray(index.open(list(index.names).index(name))))
