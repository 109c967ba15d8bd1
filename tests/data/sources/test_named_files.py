"""The source `folder` where the class of an image stands in its file's name."""

from __future__ import annotations

import re
import signal

import pytest

from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.core.spec import captured
from cnnkit.data.index import ImageFile
from cnnkit.data.sources import Folder, base, recognised
from cnnkit.data.sources.named_files import spelt_out, suggested


def numbered(form, labels, count=4):
    """Names of that form, with each label and some numbers."""
    return [form.format(label, number) for label in labels for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (numbered("train/{}.{}.jpg", ("cat", "dog")), {"cat", "dog"}),
        (numbered("{}_{:03d}.jpg", ("cat", "dog")), {"cat", "dog"}),
        (numbered("IMG_{} ({}).png", ("rose", "rye")), {"rose", "rye"}),
        (numbered("images/{}_{}.jpg", ("Abyssinian", "great_pyrenees", "Sphynx")),
         {"Abyssinian", "great_pyrenees", "Sphynx"}),
        (numbered("{}{}.JPG", ("jet", "prop")), {"jet", "prop"}),
        (numbered("{1:04d}_{0}.png", ("healthy", "rust")), {"healthy", "rust"}),
        (numbered("{}_{}_left.png", ("iris", "rose")), {"iris", "rose"}),
        (numbered("class{}-{}.bmp", (1, 2, 3)), {"class1", "class2", "class3"}),
        (numbered("Bild {} {}.jpg", ("Kätzchen", "Äpfel")), {"Kätzchen", "Äpfel"}),
        ([*numbered("{}.{}.jpg", ("cat", "dog"), 40), "cover.jpg"], {"cat", "dog"}),
    ],
)  # fmt: skip
def test_a_pattern_is_suggested_where_the_names_clearly_hold_a_class(names, labels):
    pattern = suggested(names)
    assert pattern
    assert re.compile(pattern).groups == 1
    assert {captured(pattern, name) for name in names} - {None} == labels


def test_few_classes_are_named_in_the_pattern_where_that_finds_the_same():
    names = numbered("train/{}_{}.jpg", ("cat", "great-dane", "cat-fish"))
    pattern = spelt_out(suggested(names), names)
    assert pattern == r"(?:.*/)?(cat|cat-fish|great-dane)[ ._-]*\(?[0-9]+\)?\.[^./]+"
    assert [captured(pattern, name) for name in names] == [captured(suggested(names), name) for name in names]


def test_many_classes_and_such_with_an_apostrophe_are_not_named():
    for labels in ("abcdefg", ("lion's mouth", "rose")):
        names = numbered("{}_{}.jpg", labels)
        assert spelt_out(suggested(names), names) == suggested(names)


@pytest.mark.parametrize(
    "names",
    [
        [f"{number}.jpg" for number in range(20)],
        numbered("IMG_{}{}.jpg", ("", "")),
        [*numbered("{}_{:04d}.jpg", ("IMG", "DSC"), 8)],
        numbered("{}_{}.jpg", ("Train", "Test"), 8),
        [f"{chr(97 + i)}{chr(97 + 2 * i % 26)}_1.jpg" for i in range(26)],
        numbered("{}.{}.jpg", ("cat",), 9),
        [*numbered("cat.{1}.jpg", ("",), 6), "cover1.jpg", "title2.jpg", "back3.jpg"],
        [f"{i:08x}.jpg" for i in range(0, 2**31, 2**26 + 12345)],
        [f"{age}_{sex}_{race}_2017.jpg" for age in range(9) for sex in (0, 1) for race in (0, 1)],
        [],
    ],
    ids=[
        "numbers",
        "one camera",
        "two cameras",
        "splits",
        "one each",
        "one class",
        "most rare",
        "hashes",
        "ages",
        "none",
    ],
)
def test_none_is_suggested_where_they_do_not(names):
    assert suggested(names) is None


def opened(root, pattern, **settings):
    return Folder(path=str(root), label_pattern=pattern, **settings).open(Progress())


def labelled(collection):
    index = collection.index(Progress())
    return {
        name: (index.classes[label], split)
        for name, label, split in zip(index.names, index.labels.tolist(), index.splits, strict=True)
    }


CATS_AND_DOGS = ["cat.0.png", "cat.1.png", "cat.2.png", "dog.0.png", "dog.1.png", "dog.2.png"]


def test_flat_training_images_are_read_by_their_names_and_flat_test_images_without_labels_can_be_predicted(
    image_folder,
):
    root = image_folder({"train": CATS_AND_DOGS, "test": ["0.png", "1.png"]})
    (root / "notes.txt").write_text("")
    source = recognised(root)
    assert source.label_pattern
    collection = source.open(Progress())
    assert (collection.classes, collection.splits) == (("cat", "dog"), frozenset())
    assert labelled(collection) == {f"train/{name}": (name[:3], None) for name in CATS_AND_DOGS}
    left_out = {entry.name: entry for entry in collection.unused()}
    assert left_out.keys() == {"test", "notes.txt"}
    assert (left_out["test"].files, left_out["test"].to_predict) == (2, str(root / "test"))
    assert "label_pattern" in left_out["test"].reason
    assert "`cat` in `train/cat.0.png`" in collection.notes[0]


def test_folders_with_names_of_splits_are_the_splits_where_their_names_hold_classes(image_folder):
    root = image_folder({"Training": CATS_AND_DOGS, "valid": CATS_AND_DOGS[:4]})
    collection = recognised(root).open(Progress())
    assert collection.splits == {"validation"}
    splits = {name.split("/")[0]: split for name, (_, split) in labelled(collection).items()}
    assert splits == {"Training": "train", "valid": "validation"}
    assert "`Training` is the train split" in collection.notes[1]


def test_names_right_in_the_folder_hold_the_class_too(image_folder):
    collection = recognised(image_folder({".": CATS_AND_DOGS})).open(Progress())
    assert set(labelled(collection).values()) == {("cat", None), ("dog", None)}


def test_what_does_not_match_is_left_out_with_the_reason(image_folder):
    root = image_folder({"a": ["cat-1.png", "dog-1.png", "logo.png"], "b": ["cat-2.png", "readme.png"]})
    collection = opened(root, ".*/(cat|dog)-.*")
    assert labelled(collection).keys() == {"a/cat-1.png", "a/dog-1.png", "b/cat-2.png"}
    reason = "its path does not match data.source.label_pattern"
    assert {entry.name: entry.reason for entry in collection.unused()} == dict.fromkeys(
        ("a/logo.png", "b/readme.png"), reason
    )


def test_splits_are_told_by_the_mapping_and_what_is_in_none_is_left_out(image_folder):
    root = image_folder({"one": CATS_AND_DOGS, "two": CATS_AND_DOGS, "three": CATS_AND_DOGS})
    collection = opened(root, r".*/([a-z]+)\..*", splits={"train": "one", "test": "three"})
    assert {name.split("/")[0]: split for name, (_, split) in labelled(collection).items()} == {
        "one": "train",
        "three": "test",
    }
    assert {(entry.name, entry.files) for entry in collection.unused()} == {("two", 6)}


def test_the_glob_is_asked_first(image_folder):
    root = image_folder({"a": CATS_AND_DOGS, "b": CATS_AND_DOGS})
    assert all(name.startswith("a/") for name in labelled(opened(root, r".*/([a-z]+)\..*", glob="a/*")))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("(bird).*", ["none", "train/cat.0.png"]), (".*/(cat).*", ["only one", "`cat`"]), ("(.*/)cat.*", ["only one"])],
)
def test_a_pattern_that_finds_no_two_classes_is_an_error_that_says_what_it_finds(image_folder, pattern, words):
    with pytest.raises(DataError) as error:
        opened(image_folder({"train": CATS_AND_DOGS}), pattern)
    (problem,) = error.value.problems
    assert problem.key == "label_pattern"
    assert all(word in problem.message for word in words)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no alarm")
def test_a_pattern_that_never_comes_to_an_end_is_given_up(image_folder, monkeypatch):
    monkeypatch.setattr(base, "STUCK", 0.1)
    root = image_folder({"a" * 60: CATS_AND_DOGS})
    with pytest.raises(DataError, match="is not done with `aaa") as error:
        opened(root, r"(?:[a-z.0-9]+/?)+(!)")
    assert error.value.problems[0].key == "label_pattern"
    with pytest.raises(DataError, match="is not done with `aaa") as error:
        base.grouped([ImageFile("a" * 60, "cat", None)], r"(?:[a-z.0-9]+/?)+(!)")
    assert error.value.problems[0].key == "group_pattern"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_folders_that_are_splits_beside_one_that_may_be_any_are_an_error(image_folder):
    root = image_folder({"train": CATS_AND_DOGS, "test": CATS_AND_DOGS, "more": CATS_AND_DOGS})
    with pytest.raises(DataError, match=r"`more`.*splits: \{train: train, test: test\}"):
        opened(root, r".*/([a-z]+)\..*")
