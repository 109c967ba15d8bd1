"""Folders as people have them, read by the source `folder` with no other setting."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.files.walking import HIDDEN
from cnnkit.data.sources import Folder, recognised


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A small picture, which is copied: what the folders are is not told by what is in the files."""
    from PIL import Image

    file = tmp_path_factory.mktemp("picture") / "a.png"
    Image.new("RGB", (4, 4)).save(file)
    return file


@pytest.fixture
def tree(tmp_path, picture):
    """Makes a folder of files by their paths; `cat/{3}.jpg` stands for three."""

    def make(*paths, name="images"):
        root = tmp_path / name
        for path in paths:
            head, brace, tail = path.partition("{")
            count, _, end = tail.partition("}")
            for each in [f"{head}{i}{end}" for i in range(int(count))] if brace else [path]:
                file = root / each
                file.parent.mkdir(parents=True, exist_ok=True)
                if each.endswith("/"):
                    file.mkdir()
                elif file.suffix in (".jpg", ".png", ".JPEG"):
                    shutil.copy(picture, file)
                else:
                    file.write_text("x")
        return root

    return make


def opened(root, **settings):
    return (Folder(path=str(root), **settings) if settings else recognised(root)).open(Progress())


def read(root, **settings):
    """The split and class of how many images, and the number of files left out for each reason."""
    collection = opened(root, **settings)
    index = collection.index(Progress())
    used = Counter(
        (split, index.classes[label]) for split, label in zip(index.splits, index.labels.tolist(), strict=True)
    )
    assert index.unused == tuple(collection.unused())
    left_out = {entry.name: (entry.files, entry.reason) for entry in index.unused}
    files = sum(1 for path in root.rglob("*") if path.is_file())
    assert len(index) + sum(entry.files for entry in index.unused) == files, "a file is neither used nor named"
    return dict(used), left_out


ANIMALS = ("cat", "dog")


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "valid", "test"),
        ("Training", "Validation", "Testing"),
        ("training_set", "dev_set", "test_set"),
        ("TRAIN-images", "VAL-images", "TEST-images"),
        ("flowers_train", "flowers_val", "flowers_test"),
        ("train2017", "val2017", "test2017"),
        ("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test"),
    ],
)
def test_folders_that_hold_the_same_folders_are_splits_by_whatever_names_tell_which(tree, train, validation, test):
    of = {train: "train", validation: "validation", test: "test"}
    root = tree(*(f"{top}/{animal}/{{2}}.jpg" for top in of for animal in ANIMALS))
    expected = {(split, animal): 2 for split in of.values() for animal in ANIMALS}
    assert read(root) == (expected, {})
    assert read(root, splits={split: top for top, split in of.items()}) == (expected, {})


def test_what_the_splits_are_called_is_written_where_it_is_not_usual_and_said(tree):
    root = tree(*(f"{top}/{animal}/0.jpg" for top in ("Training", "Testing") for animal in ANIMALS))
    source = recognised(root)
    assert source.model_dump()["splits"] == {"train": "Training", "validation": None, "test": "Testing"}
    (note,) = source.open(Progress()).notes
    assert "`Training` is the train split and `Testing` is the test split" in note
    usual = tree(*(f"{top}/{animal}/0.jpg" for top in ("train", "val") for animal in ANIMALS), name="usual")
    assert recognised(usual) == Folder(path=str(usual))
    assert opened(usual).notes == ()


def test_a_mapping_takes_several_folders_for_a_split_and_leaves_the_others_out(tree):
    root = tree(*(f"fold{fold}/{animal}/{{2}}.jpg" for fold in range(1, 5) for animal in ANIMALS), "fold4/a.txt")
    used, left_out = read(root, splits={"train": ("fold1", "fold2"), "test": "fold3"})
    assert used == {("train", "cat"): 4, ("train", "dog"): 4, ("test", "cat"): 2, ("test", "dog"): 2}
    assert left_out == {"fold4": (5, "not among the folders that data.source.splits names")}


@pytest.mark.parametrize(
    ("splits", "key", "words"),
    [
        ({"train": "Trainning"}, "splits.train", ["there is no folder", "Trainning", "`Training`", "did you mean"]),
        ({"train": "Training", "test": "Training/cat"}, "splits.test", ["`Training/cat`", "the same images"]),
        ({"train": "Training", "test": "."}, "splits.test", ["the same images"]),
        ({"train": "../images/Training"}, "splits.train", ["below"]),
        ({"train": "Training", "test": "flat"}, "splits.test", ["flat", "no folders with images"]),
    ],
)
def test_a_mapping_to_what_is_no_split_is_an_error_of_that_setting(tree, splits, key, words):
    root = tree("Training/cat/0.jpg", "Training/dog/0.jpg", "Testing/cat/0.jpg", "flat/0.jpg")
    with pytest.raises(DataError) as error:
        opened(root, splits=splits)
    (problem,) = error.value.problems
    assert problem.key == key
    assert all(word in problem.message for word in words), problem.message


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (
            [
                "train1/cat/0.jpg",
                "train1/dog/0.jpg",
                "train2/cat/0.jpg",
                "train2/dog/0.jpg",
                "test/cat/0.jpg",
                "test/dog/0.jpg",
            ],
            ["`train1`", "`train2`", "splits: {train: [train1, train2], test: test}"],
        ),
        (
            ["fold1/cat/0.jpg", "fold1/dog/0.jpg", "fold2/cat/0.jpg", "fold2/dog/0.jpg"],
            ["`fold1`", "`fold2`", "splits: {train: fold1, test: fold2}", "glob: '**'"],
        ),
        (
            [f"plants/{form}/{leaf}/0.jpg" for form in ("color", "grayscale", "segmented") for leaf in ("rot", "rust")],
            ["`color`", "`segmented`", "`rot`", "plants/color"],
        ),
        (
            [
                "train/cat/0.jpg",
                "train/dog/0.jpg",
                "test/cat/0.jpg",
                "test/dog/0.jpg",
                "extra/cat/0.jpg",
                "extra/dog/0.jpg",
            ],
            ["`extra`", "splits: {train: [train, extra], test: test}"],
        ),
        (
            ["train/steam/0.jpg", "train/diesel/0.jpg", "car/0.jpg", "plane/0.jpg"],
            ["`train`", "`steam`", "`car`", "a split or a class", "table"],
        ),
        (
            ["cat/train/0.jpg", "cat/test/0.jpg", "dog/train/0.jpg", "dog/test/0.jpg"],
            ["`cat`, `dog`", "splits within classes", "glob: '**'"],
        ),
        (["val/cat/0.jpg", "val/dog/0.jpg", "test/cat/0.jpg", "test/dog/0.jpg"], ["no training images"]),
        (["train/cat/0.jpg", "train/dog/0.jpg", "test/Cat/0.jpg"], ["train/cat", "test/Cat", "capitals"]),
    ],
    ids=["two for one", "folds", "variants", "stranger", "split or class", "splits in classes", "no train", "capitals"],
)
def test_where_two_answers_would_do_the_error_names_the_folders_and_what_to_write(tree, paths, words):
    with pytest.raises(DataError) as error:
        opened(tree(*paths))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_class_that_a_split_lacks_is_said(tree):
    root = tree("train/cat/0.jpg", "train/dog/0.jpg", "test/cat/0.jpg")
    assert opened(root).notes == ("test has no folder of `dog`, which train has",)


@pytest.mark.parametrize(
    ("top", "classes"),
    [
        ("2750", ("Forest", "River")),
        ("256_ObjectCategories", ("001.ak47", "257.clutter")),
        ("PetImages", ("Cat", "Dog")),
        ("repo-main/data/raw", ("a", "b")),
    ],
)
def test_a_single_folder_is_gone_through_however_deep_and_said(tree, top, classes):
    root = tree(*(f"{top}/{name}/{{2}}.jpg" for name in classes), "README.md", "logs/")
    used, left_out = read(root)
    assert used == {(None, name): 2 for name in classes}
    assert left_out.pop("README.md")[0] == 1
    assert left_out == {"logs": (0, "a folder without an image")}
    assert top.split("/")[0] in opened(root).notes[0]


@pytest.mark.parametrize(
    ("home", "splits"),
    [("images", [""]), ("Dataset_2", [""]), ("data", ["Training/", "Testing/"]), ("flowers", ["train/", "val/"])],
)
def test_images_beside_the_folder_that_holds_the_classes_are_no_class(tree, home, splits):
    root = tree(*(f"{home}/{split}{animal}/{{2}}.jpg" for split in splits for animal in ANIMALS), "figures/{3}.png")
    used, left_out = read(root)
    assert {name for _, name in used} == set(ANIMALS)
    assert left_out["figures"][0] == 3
    assert any(f"`{home}" in text for text in (left_out["figures"][1], *opened(root).notes))


def test_a_class_of_several_folders_beside_others_without_is_said(tree):
    root = tree("flowers/rose/{2}.jpg", "flowers/tulip/{2}.jpg", "figures/{3}.png")
    assert opened(root).classes == ("figures", "flowers")
    assert "`rose`, `tulip`" in opened(root).notes[0]


def test_what_lies_beside_the_classes_is_counted_and_named(tree):
    root = tree(
        "cat/{3}.jpg", "dog/{3}.jpg", "csv/a.csv", "csv/b.csv", "Examples/{4}.png", "annotations/{2}.xml",
        "masks/{5}.png", ".ipynb_checkpoints/0.jpg", "__MACOSX/cat/._0.jpg", "logo.png", "README.md",
    )  # fmt: skip
    used, left_out = read(root)
    assert used == {(None, "cat"): 3, (None, "dog"): 3}
    assert {name: files for name, (files, _) in left_out.items()} == {
        "csv": 2, "Examples": 4, "annotations": 2, "masks": 5, ".ipynb_checkpoints": 1, "__MACOSX": 1,
        "logo.png": 1, "README.md": 1,
    }  # fmt: skip
    assert left_out["csv"][1] == left_out["annotations"][1] == "a folder without an image"
    assert "glob: '**'" in left_out["Examples"][1]
    assert left_out["__MACOSX"][1] == left_out[".ipynb_checkpoints"][1] == HIDDEN
    assert opened(root, glob="**").classes == ("Examples", "cat", "dog", "masks")


@pytest.mark.parametrize("pair", [("mask", "no_mask"), ("masks", "no_masks"), ("examples", "counterexamples")])
def test_what_is_called_like_something_beside_classes_may_be_a_class(tree, pair):
    assert set(opened(tree(*(f"{name}/0.jpg" for name in pair))).classes) == set(pair)


@pytest.mark.parametrize(
    ("paths", "left_out"),
    [
        (["test/{5}.jpg"], {"test": 5}),
        (["test/{5}.jpg", "val/{2}.png", "val/labels.csv"], {"test": 5, "val": 3}),
        (["val/cat/0.jpg", "val/dog/0.jpg", "test1/{4}.jpg"], {"test1": 4}),
        (["val/cat/0.jpg", "val/dog/0.jpg", "pred/{4}.jpg"], {"pred": 4}),
    ],
)
def test_images_without_class_folders_beside_labelled_training_images_are_counted_and_can_be_predicted(
    tree, paths, left_out
):
    root = tree("train/cat/{6}.jpg", "train/dog/{6}.jpg", *paths)
    collection = opened(root)
    found = {entry.name: entry for entry in collection.unused()}
    assert {name: entry.files for name, entry in found.items()} == left_out
    assert {name: entry.to_predict for name, entry in found.items()} == {name: str(root / name) for name in left_out}
    assert all("without labels" in entry.reason for entry in found.values())
    assert collection.classes == ANIMALS
    for name, entry in found.items():
        split = {"test": "test", "val": "validation"}.get(name)
        assert (f"a {split} split is set apart" in entry.reason) == (
            split is not None and split not in collection.splits
        )
    assert any("val/labels.csv" in note for note in collection.notes) == ("val/labels.csv" in paths)
    assert read(root)


def test_images_without_labels_can_be_predicted_beside_splits_with_names_of_their_own_too(tree):
    root = tree("Training/cat/{6}.jpg", "Training/dog/{6}.jpg", "Testing/{4}.jpg", "more/{2}.jpg", "masks/0.jpg")
    settings = {"splits": {"train": "Training"}}
    found = {entry.name: entry for entry in opened(root, **settings).unused()}
    assert found["Testing"].to_predict == str(root / "Testing")
    assert "a test split is set apart" in found["Testing"].reason
    assert found["more"].to_predict
    assert found["masks"].to_predict is None
    assert read(root, **settings)


def test_a_class_called_train_is_one_where_another_lies_beside_it_that_is_no_split(tree):
    root = tree("car/{2}.jpg", "test/{2}.jpg", "train/x/{2}.jpg")
    collection = opened(root)
    assert collection.classes == ("car", "test", "train")
    assert collection.splits == frozenset()
    assert [note.split()[0] for note in collection.notes] == ["`test`", "`train`"]


def test_a_copy_of_the_splits_within_the_folder_is_left_out(tree):
    splits = [f"{split}/{name}/0.jpg" for split in ("train", "val", "test") for name in ("NORMAL", "PNEUMONIA")]
    root = tree(*splits, *(f"chest_xray/{path}" for path in splits), "__MACOSX/a/._b.jpg")
    used, left_out = read(root)
    assert sum(used.values()) == 6
    assert left_out["chest_xray"][0] == 6
    assert "splits of its own" in left_out["chest_xray"][1]


@pytest.mark.parametrize(
    ("paths", "used", "aside"),
    [
        (["Images/n1-Chihuahua/{2}.jpg", "Images/n2-Pug/{2}.jpg", "Annotation/n1-Chihuahua/{2}"],
         {(None, "n1-Chihuahua"): 2, (None, "n2-Pug"): 2}, {"Annotation": 2}),
        (["images/001.Albatross/{2}.jpg", "images/002.Auklet/{2}.jpg", "segmentations/001.Albatross/{2}.png",
          "segmentations/002.Auklet/{2}.png", "classes.txt"],
         {(None, "001.Albatross"): 2, (None, "002.Auklet"): 2}, {"segmentations": 4, "classes.txt": 1}),
        (["imagenette/train/n01/{2}.JPEG", "imagenette/train/n02/{2}.JPEG", "imagenette/val/n01/{2}.JPEG",
          "imagenette/val/n02/{2}.JPEG", "imagenette/noisy.csv"],
         {("train", "n01"): 2, ("train", "n02"): 2, ("validation", "n01"): 2, ("validation", "n02"): 2},
         {"imagenette/noisy.csv": 1}),
        (["CLS-LOC/train/n01/{2}.JPEG", "CLS-LOC/train/n02/{2}.JPEG", "CLS-LOC/val/{3}.JPEG", "LOC_val_solution.csv"],
         {("train", "n01"): 2, ("train", "n02"): 2}, {"CLS-LOC/val": 3, "LOC_val_solution.csv": 1}),
        (["101/BACKGROUND_Google/{2}.jpg", "101/ant/{2}.jpg", "Annotations/ant/{2}.mat"],
         {(None, "BACKGROUND_Google"): 2, (None, "ant"): 2}, {"Annotations": 2}),
        (["train/airplane/{2}.png", "train/bird/{2}.png", "test/airplane/{2}.png", "test/bird/{2}.png", "labels.txt"],
         {("train", "airplane"): 2, ("train", "bird"): 2, ("test", "airplane"): 2, ("test", "bird"): 2},
         {"labels.txt": 1}),
    ],
    ids=["Stanford dogs", "CUB", "imagenette", "ImageNet", "Caltech-101", "CIFAR as PNG"],
)  # fmt: skip
def test_sets_as_they_are_published(tree, paths, used, aside):
    found, left_out = read(tree(*paths))
    assert found == used
    assert {name: files for name, (files, _) in left_out.items()} == aside


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["train/images/{4}.jpg", "train/labels/{4}.txt", "valid/images/{2}.jpg", "valid/labels/{2}.txt"], ["YOLO"]),
        (["images/train/{4}.jpg", "images/val/{2}.jpg", "labels/train/{4}.txt", "labels/val/{2}.txt"], ["YOLO"]),
        (["JPEGImages/{4}.jpg", "Annotations/{4}.xml"], ["Pascal VOC"]),
        (["imgs/{4}.jpg", "masks/{4}.png"], ["masks", "segmentation"]),
        (["train/{3}.jpg", "test/{3}.jpg", "answers.csv"], ["6 images", "splits by their names", "`answers.csv`"]),
        (["photos/{3}.jpg"], ["3 images", "`photos`", "label_pattern"]),
        (["{3}.jpg"], ["3 images", "right in it"]),
        (["HAM_images_part_1/{3}.jpg", "HAM_images_part_2/{3}.jpg"], ["6 images", "`HAM_images_part_2`"]),
        (["images_001/images/{3}.png", "images_002/images/{3}.png"], ["6 images", "`images_001`"]),
        (["train.zip", "test.zip", "notes.md"], ["no image", "`train.zip`", "unpack"]),
        (["cat/{3}.jpg"], ["only one, `cat`"]),
        (["train/cat/{3}.jpg", "test/cat/{3}.jpg"], ["only one, `cat`"]),
    ],
)
def test_a_folder_without_class_folders_is_told_for_what_it_is(tree, paths, words):
    with pytest.raises(DataError) as error:
        opened(tree(*paths))
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize("kind", ["bird/", "bird/.DS_Store"])
def test_a_class_folder_without_an_image_is_an_empty_class_not_something_beside_the_classes(tree, kind):
    root = tree("cat/{2}.jpg", "dog/{2}.jpg", kind)
    collection = opened(root)
    assert collection.classes == ("bird", "cat", "dog")
    assert collection.empty == ("bird",)


@pytest.mark.parametrize(("file", "why"), [("bird/{3}.psd", "Photoshop"), ("bird/{3}.dng", "raw data")])
def test_a_class_of_pictures_that_are_not_read_is_an_error_that_names_their_format(tree, file, why):
    with pytest.raises(DataError, match=rf"bird holds no image \(3 files: .*{why}"):
        opened(tree("cat/{2}.jpg", "dog/{2}.jpg", file))


@pytest.mark.parametrize("target", [".", "..", "../images"])
def test_a_link_to_a_folder_above_is_no_empty_class(tree, target):
    root = tree("cat/{2}.jpg", "dog/{2}.jpg")
    (root / "self").symlink_to(target, target_is_directory=True)
    assert opened(root).classes == ANIMALS
    assert read(root)[1] == {"self": (0, "a folder without an image")}


def test_a_glob_is_asked_before_splits_are(tree):
    root = tree(*(f"{top}/{animal}/{{2}}.jpg" for top in ("train", "fold2", "other") for animal in ANIMALS))
    used, left_out = read(root, glob="train/*/*")
    assert used == {(None, "cat"): 2, (None, "dog"): 2}
    assert left_out == dict.fromkeys(("fold2", "other"), (4, "a folder without a file that matches train/*/*"))


@pytest.mark.parametrize(
    "others", [("train_masks", "test_masks"), ("masks_train", "masks_test"), ("trainGT", "testGT")]
)
@pytest.mark.parametrize("images", [("train", "test"), ("train_images", "test_images")])
def test_what_belongs_to_the_images_of_a_split_is_no_split_beside_it(tree, images, others):
    classes = [f"{folder}/{name}/{{4}}.png" for folder in (*images, *others) for name in ("cat", "dog")]
    collection = opened(tree(*classes))
    assert collection.splits == {"test"}
    assert len(collection.index(Progress())) == 16
    assert {unused.name: unused.images for unused in collection.unused()} == dict.fromkeys(others, 8)


@pytest.mark.parametrize("aside", ["masks", "labels", "Ground Truth"])
def test_what_lies_beside_the_classes_of_a_split_is_no_class_either(tree, aside):
    folders = [f"{split}/{name}" for split in ("train", "test") for name in ("cat", "dog", aside)]
    collection = opened(
        tree(*(f"{folder}/{{4}}.png" for folder in folders), "valid/cat/{3}.png", f"valid/{aside}/0.png")
    )
    assert (collection.classes, collection.splits) == (("cat", "dog"), {"validation", "test"})
    unused = {each.name: each.images for each in collection.unused()}
    assert unused == {f"test/{aside}": 4, f"train/{aside}": 4, f"valid/{aside}": 1}


def test_images_and_their_masks_in_each_split_are_no_classes(tree):
    root = tree(*(f"{split}/{kind}/{{4}}.png" for split in ("train", "test") for kind in ("images", "masks")))
    with pytest.raises(
        DataError, match=r"it holds none, but 16 images in .* which are splits .* masks, as sets for segm"
    ):
        opened(root)


@pytest.mark.parametrize(
    ("paths", "named", "beside"),
    [
        (
            ("train/cat/{2}.jpg", "train/dog/{2}.jpg", "valid/cat/0.jpg", "test/dog/0.jpg"),
            "train",
            "`test` and `valid`",
        ),
        (("Training/cat/{2}.jpg", "Training/dog/{2}.jpg", "Testing/cat/{2}.jpg"), "Training", "`Testing`"),
        (("train/cat/{2}.jpg", "train/dog/{2}.jpg", "test/cat/0.jpg", "test/dog/0.jpg"), "test", "`train`"),
        (("train/cat/{2}.jpg", "train/dog/{2}.jpg", "test/{2}.jpg"), "train", "`test`"),
    ],
)
def test_the_splits_beside_one_that_is_named_alone_are_told(tree, paths, named, beside):
    root = tree(*paths) / named
    seem = "seem to be other splits, and are" if " and " in beside else "seems to be another split, and is"
    assert opened(root).notes == (f"{beside} beside `{named}` {seem} not used: to use all, name {root.parent}",)


def test_the_splits_beside_one_whose_names_tell_the_classes_are_told_too(tree):
    root = tree("train/cat.{3}.jpg", "train/dog.{3}.jpg", "test/{2}.jpg")
    notes = opened(root / "train", label_pattern=r"(cat|dog)\..*").notes
    assert f"`test` beside `train` seems to be another split, and is not used: to use all, name {root}" in notes


@pytest.mark.parametrize(
    "beside", ["test/other/{2}.jpg", "test/notes.txt", "train_2/cat/0.jpg", "test_station/cat/0.jpg"]
)
def test_what_else_lies_beside_a_split_is_not_told(tree, beside):
    root = tree("train/cat/{2}.jpg", "train/dog/{2}.jpg", beside)
    assert not opened(root / "train").notes


def test_a_split_may_be_a_link_to_wherever_and_that_is_said(tree, tmp_path):
    root = tree("train/cat/{2}.jpg", "train/dog/{2}.jpg")
    elsewhere = tree("cat/{2}.jpg", "dog/{2}.jpg", name="elsewhere")
    (root / "test").symlink_to(elsewhere, target_is_directory=True)
    for settings in ({}, {"splits": {"train": "train", "test": "test"}}):
        index = opened(root, **settings).index(Progress())
        assert Counter(index.splits) == {"train": 4, "test": 4}
        assert f"`test` is a link to {elsewhere}" in index.notes


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("train", "`test` and `train` hold the same images"),
        (".", "`test` is a link to .*images, which holds the images of all splits"),
        ("..", "`test` is a link to .*, which holds the images of all splits"),
        ("train/cat", "`test` and `train` hold the same images"),
    ],
)
@pytest.mark.parametrize("pattern", [{}, {"label_pattern": r".*/(cat|dog)/.*"}])
def test_a_split_is_no_link_to_what_holds_another(tree, target, why, pattern):
    root = tree("train/cat/{2}.jpg", "train/dog/{2}.jpg")
    (root / "test").symlink_to(target, target_is_directory=True)
    with pytest.raises(DataError, match=why) as caught:
        opened(root, splits={"train": "train", "test": "test"}, **pattern)
    assert caught.value.problems[0].key == "splits.test"


@pytest.mark.parametrize(
    ("links", "which", "rest"),
    [
        ({"test": "train"}, "test", "train"),
        ({"train": "test"}, "train", "test"),
        ({"val": "../elsewhere", "test": "../elsewhere"}, "val", "test"),
        ({"val": "../elsewhere", "test": "../elsewhere/deep"}, "val", "test"),
    ],
)
def test_splits_by_their_names_are_no_links_to_one_another_either(tree, links, which, rest):
    tree(*(f"{top}{animal}/{{2}}.jpg" for top in ("", "deep/") for animal in ANIMALS), name="elsewhere")
    own = {"train", "test"} - links.keys() or {"train"}
    root = tree(*(f"{top}/{animal}/{{2}}.jpg" for top in own for animal in ANIMALS))
    for name, target in links.items():
        (root / name).symlink_to(target, target_is_directory=True)
    why = f"`{which}` is a link to .*, and `{rest}` holds the same images; remove the link"
    with pytest.raises(DataError, match=why):
        opened(root)
