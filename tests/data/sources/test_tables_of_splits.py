"""A table a split: those beside the one of training are found by their names, also where images are called alike."""

from __future__ import annotations

import pytest

from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.sources import Manifest, recognised

COUNTS = {"train": 6, "valid": 4, "test": 2}
SPLITS = {"train": 6, "validation": 4, "test": 2}


@pytest.fixture
def alike(image_folder):
    """Folders whose images have the same names, each with a table of its own beside them or above."""

    def make(table="{split}/_classes.csv", line="{i}.png,{a},{b}", header="filename,cat,dog"):
        root = image_folder({split: [f"{i}.png" for i in range(n)] for split, n in COUNTS.items()}, name="data")
        for split, count in COUNTS.items():
            lines = [line.format(split=split, i=i, a=i % 2, b=1 - i % 2) for i in range(count)]
            path = root / table.format(split=split)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([header, *lines] if header else lines) + "\n")
        return root

    return make


def opened(source):
    collection = source.open(Progress())
    index = collection.index(Progress())
    return index, {split: index.splits.count(split) for split in dict.fromkeys(index.splits)}


@pytest.mark.parametrize("named", ["", "train/_classes.csv"])
def test_tables_in_the_folders_of_the_splits_are_read_with_their_own_images(alike, named):
    root = alike()
    source = recognised(root / named)
    assert isinstance(source, Manifest)
    assert source.validation_path == str(root / "valid/_classes.csv")
    assert source.test_path == str(root / "test/_classes.csv")
    index, splits = opened(source)
    assert splits == SPLITS
    assert {*index.names} == {f"{split}/{i}.png" for split, n in COUNTS.items() for i in range(n)}
    assert any("valid/_classes.csv for validation and test/_classes.csv for test" in note for note in index.notes)
    assert not [*source.open(Progress()).unused()]


@pytest.mark.parametrize(
    ("table", "line", "header"),
    [
        ("{split}.csv", "{i},{a}", "id,label"),
        ("{split}.txt", "{split}/{i}.png {a}", ""),
        ("labels/{split}.csv", "{split}/{i}.png,{a}", "path,label"),
        ("labels/{split}_labels.csv", "{i}.png,{a}", "path,label"),
        ("{split}/labels1.csv", "{i}.png,{a}", "path,label"),
        ("labels/{split}.txt", "{split}/{i}.png {a}", ""),
        ("{split}/labels/a.csv", "{i}.png,{a}", "path,label"),
    ],
)
def test_the_table_of_training_brings_those_of_the_other_splits(alike, table, line, header):
    root = alike(table, line, header)
    for path in (root, root / table.format(split="train")):
        source = recognised(path)
        assert isinstance(source, Manifest)
        index, splits = opened(source)
        assert splits == SPLITS
        assert len(index) == 12


def test_tables_written_by_hand_have_their_images_beside_them(alike):
    root = alike(line="{i}.png,{a}", header="path,label")
    paths = {"path": root / "train/_classes.csv", "validation_path": root / "valid/_classes.csv"}
    for options in ({}, {"folder": str(root)}):
        index, splits = opened(Manifest(**{key: str(path) for key, path in paths.items()}, **options))
        assert splits == {"train": 6, "validation": 4}
        assert {name.partition("/")[0] for name in index.names} == {"train", "valid"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("filename,cat,dog\n0.png,c\n", "its first line has 3 columns, but line 2 has 2, and no other line as many"),
        ("name,klass\n0.png,1\n1.png,0\n", r"its columns are others than those of .*_classes\.csv"),
        ("", "it is empty"),
        ("path,label\n", "it has one line only, `path`, `label`, which names no image that is there"),
    ],
)
@pytest.mark.parametrize("named", ["", "train/_classes.csv"])
def test_a_table_that_cannot_be_used_is_said_to_be_left_out(alike, text, why, named):
    root = alike()
    (root / "valid/_classes.csv").write_text(text)
    source = recognised(root / named)
    assert isinstance(source, Manifest)
    assert source.validation_path is None
    assert source.test_path
    index, splits = opened(source)
    assert splits == {"train": 6, "test": 2}
    (note,) = [note for note in index.notes if "not taken" in note]
    assert note.startswith("`valid/_classes.csv` is not taken for validation: ")
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(note)


def test_images_that_training_has_too_leave_a_table_out(alike):
    root = alike("{split}.txt", "{split}/{i}.png {a}", "")
    (root / "valid.txt").write_text("valid/0.png 0\ntrain/1.png 1\ntrain/2.png 0\n")
    for path in (root, root / "train.txt"):
        source = recognised(path)
        assert isinstance(source, Manifest)
        index, splits = opened(source)
        assert splits == {"train": 6, "test": 2}
        assert any(
            "`valid.txt` is not taken for validation: it lists 2 images that" in note and "first" in note
            for note in index.notes
        )


def test_labels_that_training_has_not_leave_a_table_out(alike):
    root = alike("{split}.txt", "{split}/{i}.png {a}", "")
    (root / "valid.txt").write_text("valid/0.png 7\nvalid/1.png 0\n")
    source = recognised(root / "train.txt")
    assert isinstance(source, Manifest)
    assert source.validation_path is None
    index, _ = opened(source)
    assert "`valid.txt` is not taken for validation: no image of training has the label `7`." in index.notes


def test_a_table_with_one_label_only_is_taken_and_that_is_told(alike):
    root = alike("{split}.csv", "{split}/{i}.png,{a}", "path,label")
    assert not any("leave out" in note for note in opened(recognised(root))[0].notes)
    (root / "test.csv").write_text("path,label\ntest/0.png,0\ntest/1.png,0\n")
    index, splits = opened(recognised(root))
    assert splits == SPLITS
    (note,) = [note for note in index.notes if "leave out" in note]
    assert note.startswith("All 2 images of test.csv have the label `0`") and note.endswith("leave out test_path.")


def test_an_image_missing_beside_its_table_is_not_one_of_another_split(alike):
    root = alike()
    source = recognised(root)
    (root / "valid/3.png").unlink()
    with pytest.raises(DataError, match=r"valid/3\.png: there is no such file"):
        source.open(Progress())


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("train.csv", "test_labels.csv"),
        ("train.csv", "labels_test.csv"),
        ("train_labels.csv", "test.csv"),
        ("train.csv", "TestLabels.csv"),
        ("train_metadata.csv", "test_annotations.csv"),
        ("Training_set.csv", "test_list.csv"),
    ],
)
def test_that_a_table_holds_labels_need_not_be_said_in_the_name_of_each(alike, first, other):
    root = alike("{split}.csv", "{split}/{i}.png,{a}", "path,label")
    (root / "valid.csv").unlink()
    (root / "test.csv").rename(root / other)
    (root / "train.csv").rename(root / first)
    for path in (root / first, root):
        source = recognised(path)
        assert isinstance(source, Manifest)
        assert (source.path, source.test_path) == (str(root / first), str(root / other))


def test_a_table_without_labels_does_not_stand_in_the_way_of_the_one_with_them(alike):
    root = alike("{split}.csv", "{split}/{i}.png,{a}", "path,label")
    (root / "test.csv").rename(root / "test_labels.csv")
    (root / "test.csv").write_text("path\ntest/0.png\ntest/1.png\n")
    source = recognised(root / "train.csv")
    assert isinstance(source, Manifest)
    assert source.test_path == str(root / "test_labels.csv")
    index, _ = opened(source)
    assert any(note.startswith("`test.csv` is not taken for test: it has one column only") for note in index.notes)


@pytest.mark.parametrize("other", ["fold2_test.csv", "fold1_test_submission.csv"])
def test_a_table_of_another_set_is_not_taken(alike, other):
    root = alike("fold1_{split}.csv", "{split}/{i}.png,{a}", "path,label")
    (root / "fold1_test.csv").rename(root / other)
    source = recognised(root / "fold1_train.csv")
    assert isinstance(source, Manifest)
    assert source.validation_path == str(root / "fold1_valid.csv")
    assert source.test_path is None


def test_of_two_tables_for_a_split_none_is_taken(alike):
    root = alike("{split}.txt", "{split}/{i}.png {a}", "")
    (root / "dev.txt").write_text("valid/0.png 0\nvalid/1.png 1\n")
    source = recognised(root / "train.txt")
    assert isinstance(source, Manifest)
    assert (source.validation_path, source.test_path) == (None, str(root / "test.txt"))
    why = "`dev.txt`, `valid.txt` are all of validation"
    assert {*source.open(Progress()).notes} >= {
        f"`{name}` is not taken for validation: {why}." for name in ("dev.txt", "valid.txt")
    }


def test_images_that_a_table_of_validation_lacks_are_named(alike):
    root = alike("{split}.csv", "{split}/{i}.png,{a}", "path,label")
    table = root / "valid.csv"
    table.write_text(table.read_text() + "".join(f"valid/x{i}.png,1\n" for i in range(2)))
    source = recognised(root / "train.csv")
    assert isinstance(source, Manifest)
    with pytest.raises(DataError, match=r"valid\.csv:6: .*valid/x0\.png: there is no such file"):
        source.open(Progress())


def test_images_with_the_same_names_in_the_folder_above_are_not_those_of_a_table(alike):
    """The images of `held/test.csv` are gone; `0.png` above is a training image, or one that no table lists."""
    root = alike(table="{split}.csv", line="{i}.png,{a}", header="path,label")
    for picture in (root / "train").iterdir():
        picture.rename(root / picture.name)
    (root / "held").mkdir()
    away = (root / "test").rename(root.parent / "away")
    table = (root / "test.csv").rename(root / "held/test.csv")
    source = Manifest(path=str(root / "train.csv"), test_path=str(table))
    with pytest.raises(DataError) as gone:
        source.open(Progress())
    assert str(gone.value) == (
        f"test_path: of the first 2 images of {table} none is in {table.parent}, beside it; there are some with such "
        f"names in {root}: if these are meant, set folder: {root}"
    )
    # One that is there does not make the other that above.
    (away / "1.png").rename(root / "held/1.png")
    with pytest.raises(DataError, match=r"held/test.csv:2: .*held/0.png: there is no such file"):
        source.open(Progress())
    # Folders called like the split are its own.
    (root / "held/1.png").rename(away / "1.png")
    away.rename(root / "test")
    (root / "train.csv").write_text("path,label\n2.png,0\n3.png,1\n")
    index, _ = opened(source)
    assert {name for name, split in zip(index.names, index.splits, strict=True) if split == "test"} == {
        "test/0.png",
        "test/1.png",
    }
