from __future__ import annotations

import shutil
import time
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnnkit.config.file import read
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.balancing.base import training_of
from cnnkit.data.feeding import batches
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.section import Cache
from cnnkit.data.sources import Folder, Manifest, manifest, recognised
from tests.conftest import random_picture

ROWS = "path,label\ncat/0.png,cat\ncat/1.png,cat\ndog/0.png,dog\ndog/1.png,dog\n"


@pytest.fixture
def images(image_folder):
    return image_folder({"cat": 2, "dog": 2})


@pytest.fixture
def table(images):
    """Writes a table into the folder of the images."""

    def write(content: str | bytes = ROWS, name: str = "labels.csv") -> Path:
        file = images / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write


def collection_of(file, **options):
    return Manifest(path=str(file), **options).open(Progress())


def index_of(file, **options):
    return collection_of(file, **options).index(Progress())


def labelled(index):
    return {name: index.classes[label] for name, label in zip(index.names, index.labels, strict=True)}


def why_unused(index):
    return {entry.name: entry.reason for entry in index.unused}


def problems(file, **options):
    """Line and message of each problem that stands in the file."""
    with pytest.raises(DataError) as error:
        index_of(file, **options)
    assert all(problem.file == str(file) for problem in error.value.problems), error.value
    return [(problem.line, problem.message) for problem in error.value.problems]


def test_each_row_is_an_image_with_its_label(table):
    collection = collection_of(table())
    assert collection.classes == ("cat", "dog")
    assert collection.splits == frozenset()
    index = collection.index(Progress())
    assert labelled(index) == {"cat/0.png": "cat", "cat/1.png": "cat", "dog/0.png": "dog", "dog/1.png": "dog"}
    assert set(index.splits) == {None}
    assert index.weights is None
    assert index.unused == ()
    assert np.array_equal(np.asarray(index.open(2)), np.asarray(random_picture(2)))


def test_a_manifest_and_the_folder_it_describes_are_the_same_index(images, table):
    index = index_of(table())
    folder = Folder(path=str(images)).open(Progress()).index(Progress())
    assert labelled(index) == labelled(folder)
    assert index.digests == folder.digests
    assert index.fingerprint() == folder.fingerprint()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_of_other_programs_are_read(table, separator, mark, end):
    content = mark + ROWS.replace(",", separator).replace("\n", end)
    assert labelled(index_of(table(content))) == labelled(index_of(table()))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("cat/0.png", "cat\\0.png"),
        lambda text: text.replace("cat/0.png", "./cat//0.png"),
        lambda text: text.replace("cat/0.png", "dog/../cat/0.png"),
        lambda text: text.replace("cat/0.png,cat", " cat/0.png , cat "),
        lambda text: text.replace("cat/0.png,cat", '"cat/0.png","cat"'),
        lambda text: text.replace("\n", "\n\n") + ",\n , \n,,,\n",
        lambda text: text.rstrip(),
    ],
    ids=["Windows", "dots and slashes", "up and down", "blanks", "quotes", "empty rows", "no last line end"],
)
def test_what_means_the_same_is_the_same(table, change):
    assert labelled(index_of(table(change(ROWS)))) == labelled(index_of(table(ROWS)))


def test_absolute_paths_are_called_by_their_place_in_the_folder(images, table):
    content = f"path,label\n{images}/cat/0.png,cat\n{images}/dog/0.png,dog\n"
    assert labelled(index_of(table(content))) == {"cat/0.png": "cat", "dog/0.png": "dog"}


def test_images_may_lie_outside_of_the_folder(image_folder, table):
    elsewhere = image_folder({".": ["x.png"]}, name="elsewhere")
    file = table(f"{ROWS}../elsewhere/x.png,dog\n")
    assert labelled(index_of(file))["../elsewhere/x.png"] == "dog"
    (absolute,) = set(labelled(index_of(table(f"{ROWS}{elsewhere}/x.png,dog\n")))) - set(labelled(index_of(table())))
    assert absolute == f"{elsewhere}/x.png"


def test_ids_need_a_folder_and_an_extension(images, table):
    for extension in (".png", "png"):
        index = index_of(table("path,label\n0,yes\n1,no\n"), folder=str(images / "cat"), extension=extension)
        assert labelled(index) == {"0.png": "yes", "1.png": "no"}


def test_labels_are_names_also_where_they_are_numbers_or_words_of_yaml(table):
    rows = zip(("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"), ("1", "0", "yes", "1.0"), strict=True)
    index = index_of(table("path,label\n" + "".join(f"{path},{label}\n" for path, label in rows)))
    assert index.classes == ("0", "1", "1.0", "yes")


def test_class_names_may_have_blanks_umlauts_commas_and_quotes(table):
    content = 'path,label\ncat/0.png,"big, ""black"" cat"\ncat/1.png,Kätzchen\ndog/0.png,猫\n'
    assert index_of(table(content)).classes == ("Kätzchen", 'big, "black" cat', "猫")


def test_two_encodings_of_an_accent_are_one_class(table):
    cats = [unicodedata.normalize(form, "Kätzchen") for form in ("NFC", "NFD")]
    content = f"path,label\ncat/0.png,{cats[0]}\ncat/1.png,{cats[1]}\ndog/0.png,dog\n"
    assert index_of(table(content)).classes == ("Kätzchen", "dog")


def test_splits_of_its_own_are_kept(table):
    collection = collection_of(table("path,label,split\ncat/0.png,a,TRAIN\ncat/1.png,a,val\ndog/0.png,b,train\n"))
    assert collection.splits == {"validation"}
    assert collection.index(Progress()).splits == ["train", "validation", "train"]
    content = "file;what;part\ncat/0.png;a;Train\ncat/1.png;a;Test\ndog/0.png;b;train\ndog/1.png;b;Validation\n"
    collection = collection_of(table(content), path_column="file", label_column="what", split_column="part")
    assert collection.splits == {"validation", "test"}


def test_weights_reach_the_batches(table):
    content = "path,label,weight\ncat/0.png,a,0.5\ncat/1.png,a,2\ndog/0.png,b,1e-1\ndog/1.png,b,3\n"
    index = index_of(table(content))
    assert index.weights.dtype == np.float32
    images = load(index, Preprocessing((8, 8, 3), "crop"), Cache(), Progress())
    fed = {}
    for batch, labels, weights in batches.TrainBatches(images, training_of(index, range(4)), Chain([], 0), 3).dataset(
        1
    ):
        for image, label, weight in zip(batch.numpy(), labels.numpy(), weights.numpy(), strict=True):
            (number,) = (i for i in range(4) if np.array_equal(image, np.asarray(random_picture(i))))
            fed[number] = (label.argmax(), float(weight))
    assert {number: label for number, (label, _) in fed.items()} == {0: 0, 1: 0, 2: 1, 3: 1}
    # 1 in the mean, so that ten times the weights are the same training.
    assert [fed[number][1] for number in range(4)] == pytest.approx(np.array([0.5, 2, 0.1, 3]) / 1.4)


def test_a_table_of_german_excel_is_read(table):
    rows = "cat/0.png;a;0,5\r\ncat/1.png;a;1,25\r\ndog/0.png;b;0,125\r\ndog/1.png;b;2\r\n"
    index = index_of(table(f"\ufeffsep=;\r\npath;label;weight\r\n{rows}"))
    assert index.weights.tolist() == [0.5, 1.25, 0.125, 2]
    ((line, _),) = problems(table(f"sep=;\npath;label\n{ROWS[11:].replace(',', ';')}cat/9.png;cat\n"))
    assert line == 7


@pytest.mark.parametrize(
    ("path", "reason"), [("cat/9.png", "there is no such file"), ("/dev/zero", "is a pipe or a device, not a file")]
)
def test_a_missing_file_is_told_when_a_config_is_checked(table, tmp_path, command, path, reason):
    file = table(f"{ROWS}{path},cat\n")
    code, out, err = command("check", config(tmp_path, file))
    assert (code, out) == (3, "")
    assert f"{file}:6: " in err
    assert f"{path}: {reason}" in " ".join(err.split())
    assert command("check", config(tmp_path, file, ", on_bad: skip"))[0] == 0


def test_a_table_that_is_a_device_is_told():
    assert field_problem("/dev/zero") == ("path", "/dev/zero: is a pipe or a device, not a file")


MISTAKES = {
    "a missing image": ("path,label\ncat/0.png,a\ncat/9.png,a\ndog/0.png,b\n", 3, "cat/9.png: there is no such file"),
    "a folder": ("path,label\ncat/0.png,a\ncat,a\ndog/0.png,b\n", 3, "cat: is a folder, not a file"),
    "two labels": (f"{ROWS}cat/0.png,dog\n", 6, "has the label `dog` here and `cat` in line 2"),
    "two labels, other words": (f"{ROWS}.\\cat\\0.png,dog\n", 6, "`cat/0.png` has the label `dog` here"),
    "two splits": (
        "path,label,split\ncat/0.png,a,train\ndog/0.png,b,train\ncat/0.png,a,test\n",
        4,
        "has the split `test` here and `train` in line 2",
    ),
    "two weights": (
        "path,label,weight\ncat/0.png,a,1\ndog/0.png,b,1\ncat/0.png,a,2\n",
        4,
        "has the weight `2.0` here and `1.0` in line 2",
    ),
    "a label that only test has": (
        "path,label,split\ncat/0.png,a,train\ncat/1.png,b,train\ndog/0.png,c,test\n",
        4,
        "the label `c` is in test, but no row of train has it",
    ),
    "an unknown split": ("path,label,split\ncat/0.png,a,train\ndog/0.png,b,tset\n", 3, "validation (val) or test; not"),
    "an empty split": ("path,label,split\ncat/0.png,a,train\ndog/0.png,b,\n", 3, "it is empty"),
    "no training": ("path,label,split\ncat/0.png,a,test\ndog/0.png,b,test\n", None, "no row has the split train"),
    "a weight of nothing": ("path,label,weight\ncat/0.png,a,1\ndog/0.png,b,0\n", 3, "a number above 0"),
    "a negative weight": ("path,label,weight\ncat/0.png,a,1\ndog/0.png,b,-1\n", 3, "a number above 0"),
    "a weight that is no number": ("path,label,weight\ncat/0.png,a,1\ndog/0.png,b,nan\n", 3, "a number above 0"),
    "an infinite weight": ("path,label,weight\ncat/0.png,a,1\ndog/0.png,b,inf\n", 3, "a number above 0"),
    "a weight beyond float32": ("path,label,weight\ncat/0.png,a,1\ndog/0.png,b,1e39\n", 3, "a number above 0"),
    "a weight with a comma": ('path,label,weight\ncat/0.png,a,1\ndog/0.png,b,"0,5"\n', 3, "such as 0.5; not `0,5`"),
    "a weight that may be thousands": ("path;label;weight\ncat/0.png;a;1\ndog/0.png;b;1,250\n", 3, "not `1,250`"),
    "other separators": (
        ROWS.replace(",", "|"),
        1,
        "only, `path|label`; path and label are two, and columns",
    ),
    "no weight": ("path,label,weight\ncat/0.png,a,1\ndog/0.png,b,\n", 3, "it is empty"),
    "no label": ("path,label\ncat/0.png,a\ndog/0.png,\n", 3, "has no `label`"),
    "no path": ("path,label\ncat/0.png,a\n,b\n", 3, "has no `path`"),
    "a short row": ("path,label\ncat/0.png,a\ndog/0.png\n", 3, "has 1 cells; the first line names 2"),
    "a long row": ("path,label\ncat/0.png,a\ndog/0.png,b,c\n", 3, "has 3 cells; the first line names 2"),
    "an empty file": ("", None, "is empty"),
    "blank lines alone": ("\n\n", None, "is empty"),
    "names of columns alone": ("path,label\n", None, "has no rows"),
    "one class": ("path,label\ncat/0.png,a\ndog/0.png,a\n", None, "at least two classes"),
    "a class with a tab": ('path,label\ncat/0.png,a\ndog/0.png,"a\tb"\n', 3, r"the label 'a\tb' has a control"),
    "a class of two lines": ('path,label\ncat/0.png,a\ndog/0.png,"a\nb"\n', 3, r"the label 'a\nb' has a control"),
    "a path of two lines": ('path,label\ncat/0.png,a\n"dog\n/0.png",b\n', 3, "has a control character"),
    "a quote that is not closed": ('path,label\ncat/0.png,a\n"dog/0.png,b\ncat/1.png,a\n', 3, "is a quote not closed?"),
    "two columns of a name": ("path,label,label\ncat/0.png,a,a\n", 1, "2 columns called `label`"),
    "zero bytes": ("path,label\ncat/0.png,a\ndog/\0.png,b\n", 3, "zero byte"),
    "UTF-16": (ROWS.encode("utf-16"), 1, "UTF-8"),
    "Latin-1": ("path,label\ncat/0.png,a\ndog/0.png,dög\n".encode("latin-1"), 3, "is not text in UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 1, "UTF-8"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_line(table, mistake):
    content, line, reason = MISTAKES[mistake]
    ((found_line, message),) = problems(table(content))
    assert found_line == line
    assert reason in message


def test_lines_are_counted_where_rows_have_several(table):
    content = 'path,label,note\r\n\r\ncat/0.png,a,"one\r\ntwo"\r\ndog/0.png,b,\r\ncat/9.png,a,"x"\r\n'
    assert [line for line, _ in problems(table(content))] == [6]


def test_many_rows_with_a_fault_are_counted(table):
    content = ROWS + "".join(f"cat/gone{i:03}.png,cat\n" for i in range(30)) + "dog/0.png,\n"
    assert [line for line, _ in problems(table(content))] == [36], "a fault in the table comes before a missing file"
    *named, more = problems(table(content.replace("dog/0.png,\n", "")))
    assert [line for line, _ in named] == [6, 7, 8, 9, 10]
    assert "on_bad: skip" in named[-1][1]
    assert more == (None, "and 25 more rows are wrong in this way")


def test_all_kinds_of_faults_are_told_at_once(table):
    content = "path,label,split,weight\ncat/0.png,a,x,1\ncat/1.png,,train,1\ndog/0.png,b,train,-1\ndog/1.png\n"
    assert [line for line, _ in problems(table(content))] == [2, 3, 4, 5]


def test_a_missing_file_may_be_left_out(table):
    index = index_of(table(f"{ROWS}cat/9.png,cat\n"), on_bad="skip")
    assert len(index) == 4
    assert why_unused(index) == {"cat/9.png": "there is no such file"}


def test_an_image_that_is_listed_twice_is_used_once(table):
    index = index_of(table(f"{ROWS}cat\\0.png,cat\n"))
    assert labelled(index) == labelled(index_of(table()))
    assert why_unused(index) == {"cat/0.png": "listed in line 2, and again in line 6"}


def test_what_lies_beside_and_is_not_listed_is_told(images, table):
    (images / "cat" / "notes.txt").write_text("")
    (images / "bird").mkdir()
    shutil.copy(images / "cat" / "0.png", images / "bird")  # no image of the manifest lies here
    index = index_of(table("path,label\ncat/0.png,cat\ndog/0.png,dog\ndog/1.png,dog\n"))
    reasons = why_unused(index)
    assert reasons.keys() == {"cat/1.png", "cat/notes.txt", "bird"}
    assert reasons["bird"] == "labels.csv lists none of its files"
    assert reasons["cat/1.png"] == "not listed in labels.csv"
    assert "ending" in reasons["cat/notes.txt"]


def test_runs_beside_a_table_are_told_with_all_their_files(images, table, own_folder):
    own_folder(images / "runs" / "first", "run")
    own_folder(images / "cat" / "second", "run")
    index = index_of(table())
    told = {entry.name: (entry.reason, entry.files, entry.images) for entry in index.unused}
    assert told == {
        "runs": ("labels.csv lists none of its files", 4, 0),
        "cat/second": ("of a run of cnnkit", 4, 0),
    }


def test_a_folder_beside_that_can_not_be_read_is_told_and_no_reason_to_stop(images, table, monkeypatch):
    (images / "bird").mkdir()

    def refused(folder):
        raise DataError(f"{folder} can't be read: Permission denied")

    monkeypatch.setattr(manifest, "files_below", refused)
    assert why_unused(index_of(table()))["bird"] == f"{images}/bird can't be read: Permission denied"


def field_problem(file, **options):
    with pytest.raises(DataError) as error:
        index_of(file, **options)
    (problem,) = error.value.problems
    return problem.key, problem.message


@pytest.mark.parametrize(
    ("header", "options", "key", "reason"),
    [
        ("Path,label", {}, "path_column", "names `Path`, `label`; did you mean `Path`?"),
        ("path,class", {}, "label_column", "has no column `label`; its first line names `path`, `class`"),
        ("path,label", {"split_column": "part"}, "split_column", "no column `part`"),
        ("path,label,wieght", {"weight_column": "weight"}, "weight_column", "did you mean `wieght`?"),
        ("path,label", {"label_column": "path"}, "label_column", "columns of their own"),
    ],
)
def test_a_wrong_column_is_a_problem_of_its_setting(table, header, options, key, reason):
    row = ",".join(["cat/0.png", "a", "1"][: header.count(",") + 1])
    found, message = field_problem(table(f"{header}\n{row}\n"), **options)
    assert found == key
    assert reason in message


def test_a_missing_table_and_a_missing_folder_are_told_apart(images, table):
    assert field_problem(images / "no.csv") == ("path", f"{images}/no.csv: there is no such file")
    assert field_problem(images) == ("path", f"{images}: is a folder, not a file")
    gone = images / "gone"
    assert field_problem(table(), folder=str(gone)) == ("folder", f"{gone}: there is no such folder")


def test_a_wrong_folder_is_told_with_the_right_one(images, table):
    key, message = field_problem(table(), folder=str(images / "cat"))
    assert key == "folder"
    assert message.endswith(f"they are there with folder: {images}")


def pack(images, archive, prefix=""):
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(images.rglob("*.png")):
            packed.write(file, f"{prefix}{file.relative_to(images)}")
    return archive


@pytest.mark.parametrize("inside", ["", "a/b"])
def test_images_may_lie_in_an_archive(images, table, tmp_path, inside):
    archive = pack(images, tmp_path / "images.zip", f"{inside}/" if inside else "")
    file = Path(shutil.copy(table(), tmp_path / "labels.csv"))
    expected = index_of(table())
    index = index_of(file, folder=str(archive / inside))
    assert labelled(index) == labelled(expected)
    assert index.digests == expected.digests
    file.write_text(f"{ROWS}cat/9.png,cat\n")
    ((line, message),) = problems(file, folder=str(archive / inside))
    assert line == 6
    assert message.startswith(f"{archive / inside}/cat/9.png: there is no such file")
    if inside:
        file.write_text(ROWS)
        assert collection_of(file, folder=str(archive)).notes == (
            "4 images of the table are found by the ends of their paths: in a/b/ (4).",
        )
    key, message = field_problem(file, folder=str(archive / "other"))
    assert key == "folder"
    assert message.endswith("images.zip holds no folder other")


@pytest.mark.parametrize("path", ["../../secret.png", "/etc/hostname", "cat/../../x.png", "..\\x.png"])
def test_no_path_leads_out_of_an_archive(images, table, tmp_path, path):
    archive = pack(images, tmp_path / "images.zip")
    file = Path(shutil.copy(table(f"{ROWS}{path},cat\n"), tmp_path / "labels.csv"))
    ((line, message),) = problems(file, folder=str(archive))
    assert line == 6
    assert "leads out of the archive" in message


def test_a_table_that_came_in_an_archive_names_nothing_outside(image_folder):
    unpacked = cache_folder() / "archives" / "some"
    shutil.copytree(image_folder({"cat": 1, "dog": 1}), unpacked)
    (unpacked / "labels.csv").write_text("path,label\ncat/0.png,a\ndog/0.png,b\n../../../x.png,b\n")
    ((line, message),) = problems(unpacked / "labels.csv")
    assert line == 4
    assert "leads out" in message


NFC, NFD = (unicodedata.normalize(form, "Kätzchen") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("on_disk", "in_table"), [(NFD, NFC), (NFC, NFD)])
@pytest.mark.parametrize("packed", [False, True])
def test_paths_may_encode_accents_in_another_way_than_the_disk(image_folder, tmp_path, packed, on_disk, in_table):
    images = image_folder({on_disk: [f"{on_disk}.png", "1.png"], "dog": 1})
    file = tmp_path / "x.csv"
    file.write_text(f"path,label\n{in_table}/{in_table}.png,cat\n{in_table}/1.png,cat\ndog/0.png,dog\n")
    folder = pack(images, tmp_path / "images.zip") if packed else images
    index = index_of(file, folder=str(folder))
    assert list(index.names) == [f"{in_table}/{in_table}.png", f"{in_table}/1.png", "dog/0.png"]
    assert index.unused == ()
    for i in range(3):
        assert np.array_equal(np.asarray(index.open(i)), np.asarray(random_picture(i)))


def test_an_image_is_one_in_however_many_encodings_it_is_listed(image_folder, tmp_path):
    images = image_folder({".": [f"{NFD}.png", "1.png"]})
    file = tmp_path / "x.csv"
    rows = f"path,label\n{NFC}.png,a\n1.png,b\n{NFD}.png,"
    file.write_text(f"{rows}a\n")
    assert why_unused(index_of(file, folder=str(images))) == {f"{NFD}.png": "listed in line 2, and again in line 4"}
    file.write_text(f"{rows}b\n")
    ((line, message),) = problems(file, folder=str(images))
    assert line == 4
    assert "is the image of line 2, which says something else of it" in message


def test_two_files_whose_names_differ_in_encoding_alone_stay_two(image_folder, tmp_path):
    images = image_folder({".": [f"{NFD}.png", f"{NFC}.png"]})
    file = tmp_path / "x.csv"
    file.write_text(f"path,label\n{NFC}.png,a\n{NFD}.png,b\n")
    assert labelled(index_of(file, folder=str(images))) == {f"{NFC}.png": "a", f"{NFD}.png": "b"}


# What is recognised


def opened(path):
    source = recognised(path)
    assert isinstance(source, Manifest)
    return labelled(source.open(Progress()).index(Progress()))


@pytest.mark.parametrize("header", ["path,label", "Image,Class", "filename;species", "id_code\tdiagnosis", "file,what"])
def test_usual_names_of_columns_are_known(table, header):
    separator = next(sign for sign in ",;\t" if sign in header)
    content = ROWS.replace("path,label", header).replace(",", separator)
    assert opened(table(content)) == labelled(index_of(table()))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("where", ["train", "images", "pictures/all", "."])
@pytest.mark.parametrize("extension", [".jpg", ""])
def test_the_shape_of_kaggle_is_recognised(image_folder, tmp_path, where, extension, packed):
    names = [f"{i:04}.jpg" for i in range(6)]
    root = image_folder({where: names}, name="competition")
    if packed:
        archive = tmp_path / "competition" / "train.zip"
        pack_all = sorted(root.rglob("*.jpg"))
        with zipfile.ZipFile(archive, "w") as zipped:
            for file in pack_all:
                zipped.write(file, str(file.relative_to(root)))
        for file in pack_all:
            file.unlink()
    ids = [name.removesuffix(".jpg") if extension else name for name in names]
    (root / "train.csv").write_text("id,breed\n" + "".join(f"{i},{'ab'[int(i[:4]) % 2]}\n" for i in ids))
    (root / "sample_submission.csv").write_text("id,breed\n" + "".join(f"{i},a\n" for i in ids))
    (root / "test.csv").write_text("id\n9999\n")
    expected = {name: "ab"[int(name[:4]) % 2] for name in names}
    assert opened(root / "train.csv") == expected
    assert opened(root) == expected
    assert recognised(root / "train.csv").extension == (extension or None)


def test_a_folder_with_class_folders_stays_a_folder(images, table):
    table()
    assert isinstance(recognised(images), Folder)
    assert isinstance(recognised(table()), Manifest)


def test_two_tables_that_fit_are_a_question(image_folder):
    root = image_folder({"images": 4})
    for name in ("a.csv", "b.csv"):
        (root / name).write_text("image,label\n0.png,x\n1.png,y\n")
    with pytest.raises(DataError, match=r"`a\.csv`, `b\.csv`, which all list images"):
        recognised(root)


def test_a_table_that_lists_no_images_is_told(table):
    with pytest.raises(DataError, match=r"its columns are `age`, `height`") as error:
        recognised(table("age,height\n1,2\n"))
    assert error.value.exit_code == 3


# In a config


def config(folder, file, more=""):
    path = folder / "mine.yaml"
    path.write_text(f"data:\n  source: {{name: manifest, path: {file}{more}}}\nmodel: {{name: resnet}}\n")
    return path


def test_a_row_with_a_fault_and_a_column_that_is_not_there_are_wrong_data(table, tmp_path):
    assert read(config(tmp_path, table())).data.source.name == "manifest"
    with pytest.raises(DataError) as wrong:
        read(config(tmp_path, table(f"{ROWS}cat/0.png,dog\n")))
    assert str(wrong.value).startswith(f"{table()}:6: ")
    with pytest.raises(DataError) as problem:
        read(config(tmp_path, table(), ", label_column: class"))
    assert str(problem.value).startswith(f"{tmp_path}/mine.yaml:2:")
    assert "data.source.label_column" in str(problem.value)


def test_four_times_as_many_rows_take_about_four_times_as_long(images, tmp_path):
    def seconds(count):
        file = tmp_path / f"{count}.csv"
        rows = "".join(f"cat/{i}.png,{i % 100},train\n" for i in range(count))
        file.write_text(f"path,label,split\n{rows}")
        start = time.process_time()
        collection = collection_of(file, folder=str(images), on_bad="skip")
        taken = time.process_time() - start
        assert len(collection.classes) == 100
        return taken

    few, many = (min(seconds(count) for _ in range(2)) for count in (5_000, 20_000))
    assert many < 9 * few  # 16 times as long, were each row compared with all others


def test_a_link_is_an_image_too(images, table):
    (images / "cat" / "link.png").symlink_to(images / "cat" / "0.png")
    assert len(index_of(table(f"{ROWS}cat/link.png,cat\n"))) == 5
