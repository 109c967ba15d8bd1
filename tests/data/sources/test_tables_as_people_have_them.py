"""Tables under other names and columns, without a header, with a column a class, or written on another machine."""

from __future__ import annotations

import json

import pytest

from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.sources import Folder, Manifest, layout, recognised

NAMES = [f"{i:02}.png" for i in range(8)]
"""The images of most tests; those of even numbers are of the first class."""


@pytest.fixture
def where(image_folder):
    """Makes a folder of images, with the files of text that are named."""

    def make(tree, **texts):
        root = image_folder(tree, name="data")
        for name, text in texts.items():
            path = root / name.replace("__", "/").replace("_csv", ".csv").replace("_txt", ".txt")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return root

    return make


def rows(line, names=NAMES, header=""):
    """A table with a row an image: `{name}` is its file's, `{stem}` without the ending, `{i}` its number."""
    lines = [line.format(name=name, stem=name.rpartition(".")[0], i=i, a=i % 2) for i, name in enumerate(names)]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


def opened(path):
    source = recognised(path)
    assert isinstance(source, Manifest)
    collection = source.open(Progress())
    index = collection.index(Progress())
    return source, index, {name: index.classes[label] for name, label in zip(index.names, index.labels, strict=True)}


def words(error):
    return str(error.value)


# Columns, by what stands in them


@pytest.mark.parametrize(
    ("header", "line", "columns"),
    [
        ("ImageId,LabelName", "{name},w_{a}", ("ImageId", "LabelName")),
        ("image_id,lesion_id,dx,age", "{stem},HAM_{i},d{a},4{a}.0", ("image_id", "dx")),
        ("file_name,category_id,height,width", "{name},{a},32,32", ("file_name", "category_id")),
        (",X_ray_image_name,Label", "{i},{name},L{a}", ("X_ray_image_name", "Label")),
        ("Unnamed: 0;wohin;was", "{i};{name};L{a}", ("wohin", "was")),
        ("species_name\tphoto", "s{a}\t{stem}", ("photo", "species_name")),
    ],
)
def test_columns_are_known_by_what_stands_in_them(where, header, line, columns):
    root = where({"pictures": NAMES}, train_csv=rows(line, header=header))
    source, index, labels = opened(root)
    assert (source.path_column, source.label_column) == columns
    assert len(labels) == 8
    assert len(index.classes) == 2
    assert recognised(root / "train.csv") == source


def test_the_choice_among_several_columns_is_told(where):
    header = "file,view,finding"
    root = where({"x": NAMES}, a_csv=rows("{name},v{a},f{a}", header=header))
    source, index, _ = opened(root)
    assert source.label_column == "view"
    assert (
        index.notes[0]
        == "The label is taken from the column `view`; `finding` may be meant instead: then set label_column."
    )


@pytest.mark.parametrize("column", ["patient_id", "lesion_id", "SubjectID", "Plant"])
def test_a_column_of_groups_is_told_as_one_and_is_no_label(where, column):
    lines = [f"{column},file,dx", *(f"G{max(i, 1)},{name},L{i % 2}" for i, name in enumerate(NAMES))]
    source, index, _ = opened(where({"x": NAMES}, a_csv="\n".join(lines)))
    assert (source.label_column, source.group_column) == ("dx", None)
    assert index.notes[0].startswith(f"Images of the same `{column}` may belong together: group_column: {column} ")
    assert not any("meant instead" in note for note in index.notes)


def test_a_name_is_taken_in_place_of_its_number(where):
    root = where({"x": NAMES}, a_csv=rows("{name},{a},n{a}", header="file,label,class_name"))
    assert opened(root)[1].classes == ("n0", "n1")


@pytest.mark.parametrize("header", ["file,label,Dataset_type", "file,label,usage", "file,label,split"])
def test_a_column_of_splits_is_known_by_its_values(where, header):
    lines = rows("{name},L{a},TRAIN", NAMES[:4], header) + rows("{name},L{a},valid", NAMES[4:6])
    lines += rows("{name},L{a},Test", NAMES[6:])
    source, index, _ = opened(where({"x": NAMES}, a_csv=lines))
    assert source.split_column in (None, header.split(",")[2])
    assert [index.splits.count(split) for split in ("train", "validation", "test")] == [4, 2, 2]


def test_a_column_of_measures_or_of_different_texts_is_no_label(where):
    root = where({"x": NAMES}, a_csv=rows("{name},0.{i}5,caption {i}", header="file,length,text"))
    with pytest.raises(
        DataError, match=r"a\.csv: no other column says a class: `length` is a measure; `text` has 8 diff"
    ):
        recognised(root / "a.csv")


def test_columns_of_one_name_are_told_apart_by_their_places(where):
    root = where({"x": NAMES}, a_csv=rows("{name},same,text {i}", header="file,g,g"))
    with pytest.raises(DataError, match=r"`g` \(column 2\) says the same in all rows; `g` \(column 3\) has 8 diff"):
        recognised(root / "a.csv")


# Where images lie


def test_a_flat_train_and_test_with_a_table_are_no_classes(where):
    root = where(
        {"train": NAMES, "test": ["9.png", "8.png"]}, train_csv=rows("{name},L{a}", header="ImageId,LabelName")
    )
    source, index, labels = opened(root)
    assert source.folder == str(root / "train")
    assert set(labels) == set(NAMES)
    (test,) = (entry for entry in index.unused if entry.name == "../test")
    assert (test.reason, test.files, test.images) == ("train.csv lists none of its files", 2, 2)
    assert test.to_predict == str(root / "test")


def test_images_in_several_folders_are_those_of_one_table(where):
    table = rows("{stem},L{a}", header="image_id,dx")
    root = where({"part_1": NAMES[:5], "part_2": NAMES[5:]}, HAM_metadata_csv=table)
    source, index, labels = opened(root)
    assert source.extension == ".png"
    assert labels["part_2/06.png"] == "L0"
    assert not any("not the folders" in note for note in index.notes)  # parts of one heap nobody takes for classes
    assert (
        index.notes[0] == "8 images of the table are found by the ends of their paths: in part_1/ (5); in part_2/ (3)."
    )


def test_folders_that_say_what_the_table_says_are_the_classes(where):
    root = where({"cat": ["0.png", "1.png"], "dog": ["2.png", "3.png"]})
    (root / "labels.csv").write_text("file,label\n0.png,a\n1.png,a\n2.png,b\n3.png,b\n")
    source = recognised(root)
    assert isinstance(source, Folder)
    (told,) = source.open(Progress()).notes
    assert told.startswith("`labels.csv` lists images of these folders with the same classes: to go by that, name it")
    (root / "labels.csv").write_text("file,label,split\n0.png,a,train\n1.png,a,val\n2.png,b,train\n3.png,b,val\n")
    assert "lists images of these folders and their splits" in recognised(root).open(Progress()).notes[0]


@pytest.mark.parametrize("images", ["images", "data/images", "train"])
@pytest.mark.parametrize(
    "others", [["doc/images"], ["figures"], ["figures", "doc"], ["test"], ["test", "doc"]], ids=str
)
def test_folders_beside_that_of_the_images_of_a_table_are_no_classes(where, images, others):
    for header in ("", "name,grade"):  # a label that is known as such would be taken anyway
        tree = {images: NAMES} | {other: [f"{other[0]}.png"] for other in others}
        root = where(tree, a_csv=rows("{name},{a}.0", header=header))
        source, index, _ = opened(root)
        assert (source.header, len(index)) == (bool(header), 8)
        assert sum(entry.images for entry in index.unused) == len(others)


@pytest.mark.parametrize("listed", [["cat"], ["cat", "dog"]], ids=str)
def test_a_table_of_something_else_leaves_the_classes_to_the_folders(where, listed):
    table = rows("{name},{a}.0", [f"{folder}/{name}" for folder in listed for name in NAMES], "name,grade")
    root = where({"cat": NAMES, "dog": NAMES, "images": ["x.png"]}, a_csv=table)
    assert isinstance(recognised(root), Folder)


def test_what_the_folders_are_is_found_out_once(where, monkeypatch):
    found = []
    monkeypatch.setattr(layout, "find", lambda tree, find=layout.find: found.append(tree.root) or find(tree))
    classes = where({"cat": NAMES[:4], "dog": NAMES[4:]})
    assert isinstance(recognised(classes), Folder)
    assert found == [classes]
    (classes / "a.csv").write_text(rows("{name},{a}", header="path,label"))
    assert isinstance(recognised(classes), Manifest)
    assert found == [classes] * 2


@pytest.mark.parametrize("table", ["annotations__list_csv", "list_csv", "meta__deep_csv"])
def test_a_table_may_lie_in_a_folder_beside_the_images(where, table):
    root = where({"images": NAMES}, **{table: rows("{name},L{a}", header="file,label")})
    assert len(opened(root)[2]) == 8


def test_a_table_may_lie_above_its_images_or_beside_their_folder(where):
    root = where({"images": NAMES, "labels": []}, labels__x_csv=rows("{name},L{a}", header="file,label"))
    source = recognised(root / "labels" / "x.csv")
    assert source.folder == str(root / "images")
    said = f"None of its images is below {root / 'labels'}: they are those in {root / 'images'}."
    assert said in source.open(Progress()).notes
    (root / "labels" / "x.csv").rename(root / "x.csv")
    assert recognised(root / "images").path == str(root / "x.csv")


FOREIGN = {
    "a drive": r"C:\Users\me\Desktop\all\{name}",
    "a drive with slashes": "D:/projects/all/{name}",
    "a server": r"\\server\share\all\{name}",
    "Colab": "/content/drive/MyDrive/all/{name}",
    "Kaggle": "/kaggle/input/flowers/all/{name}",
    "a home": "/home/other/all/{name}",
    "a short home": "~/all/{name}",
    "an address": "https://example.com/all/{name}",
    "the folder above": "../data/all/{name}",
    "a folder that is not here": "data/all/{name}",
}


@pytest.mark.parametrize("path", FOREIGN)
def test_paths_of_another_machine_are_found_by_their_ends(where, path):
    root = where({"all": NAMES}, a_csv=rows(f"{FOREIGN[path]},L{{a}}", header="path,label"))
    for source in (Manifest(path=str(root / "a.csv")), recognised(root)):
        collection = source.open(Progress())
        index = collection.index(Progress())
        assert sorted(index.names) == [f"all/{name}" for name in NAMES]
        if path != "the folder above":
            assert index.notes[-1].startswith("8 images of the table are found by the ends of their paths: `")
            assert collection.notes == index.notes


def test_a_missing_file_of_another_machine_is_not_taken_from_elsewhere(where):
    root = where({"all/a": NAMES[:4], "all/b": [*NAMES[4:], "99.png"]})
    table = root / "x.csv"
    paths = [f"/home/me/all/{'ab'[i > 3]}/{name}" for i, name in enumerate(NAMES)]
    table.write_text(
        "path,label\n" + "".join(f"{path},{i % 2}\n" for i, path in enumerate([*paths, "/home/me/all/a/99.png"]))
    )
    with pytest.raises(DataError, match=r"x\.csv:10: /home/me/all/a/99\.png: there is no such file"):
        Manifest(path=str(table)).open(Progress())


def test_a_missing_file_among_others_is_missing(where):
    root = where({"all": NAMES[:-1], "old": NAMES[-1:]}, x_csv=rows("all/{name},{a}", header="path,label"))
    with pytest.raises(DataError, match=r"x\.csv:9: .*all/07\.png: there is no such file"):
        Manifest(path=str(root / "x.csv")).open(Progress())


@pytest.mark.parametrize("path", ["{stem}", "{name}", "/home/me/{name}"])
def test_an_end_that_several_files_have_is_an_error_that_names_them(where, path):
    root = where({"one": NAMES, "two": NAMES}, x_csv=rows(f"{path},{{a}}", header="path,label"))
    with pytest.raises(DataError, match=r"may be one/00\.png or two/00\.png") as error:
        Manifest(path=str(root / "x.csv")).open(Progress())
    assert "set data.source.folder to the one that is meant" in words(error)
    with pytest.raises(DataError, match=r"one.*two.*set folder to the one"):
        recognised(root / "x.csv")


def test_the_split_of_a_table_tells_its_folder(where):
    root = where({"train_images": NAMES, "test_images": NAMES}, train_csv=rows("{stem},L{a}", header="id,label"))
    assert recognised(root).folder == str(root / "train_images")


# Without names of columns


@pytest.mark.parametrize(
    "line",
    [
        "x/{name},{a}",
        "x/{name} {a}",
        "x/{name}\t{a}",
        "x/{name};{a}",
        "x/{stem} {a}",
        "x/{name}  {a}.0  mono",
        "./x/{name} {a}",
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lists_without_names_of_columns_are_read(where, line, mark):
    root = where({"x": NAMES}, list_txt=mark + rows(line))
    source, index, labels = opened(root)
    assert source.header is False
    assert index.classes == ("0", "1")
    assert labels == {f"x/{name}": str(i % 2) for i, name in enumerate(NAMES)}
    assert index.notes[0].startswith("The first line names an image, not the columns")


def test_a_list_without_names_of_columns_is_told_as_such(where):
    root = where({"x": NAMES}, list_txt=rows("x/{name} {a}"))
    source = Manifest(path=str(root / "list.txt"))
    with pytest.raises(
        DataError, match=r"no names of columns in its first line, but an image, `x/00\.png`; set it"
    ) as e:
        source.open(Progress())
    assert e.value.problems[0].key == "header"
    assert len(Manifest(path=str(root / "list.txt"), header=False).open(Progress()).index(Progress())) == 8


def test_columns_without_names_are_called_by_their_numbers(where):
    root = where({"x": NAMES}, list_csv=rows("{i},c{a},x/{name}"))
    source = Manifest(path=str(root / "list.csv"), header=False, path_column="3")
    assert source.open(Progress()).classes == ("c0", "c1")
    with pytest.raises(DataError, match="no column `label2`; without a header they are called `1`, `2`, `3`"):
        Manifest(path=str(root / "list.csv"), header=False, path_column="3", label_column="label2").open(Progress())


def test_lists_of_the_splits_are_read_together(where):
    root = where(
        {"x": NAMES}, train_list_txt=rows("x/{name} {a}", NAMES[:4]), val_list_txt=rows("x/{name} {a}", NAMES[4:6])
    )
    (root / "test_list.txt").write_text(rows("x/{name} {a}", NAMES[6:]))
    source, index, _ = opened(root)
    assert source.validation_path == str(root / "val_list.txt")
    assert [index.splits.count(split) for split in ("train", "validation", "test")] == [4, 2, 2]
    (root / "test_list.txt").write_text("x/00.png 0\n")
    with pytest.raises(
        DataError, match=r"test_list\.txt:1: `x/00.png` has the split `test` here and `train` in line 1 of"
    ):
        Manifest(**source.model_dump()).open(Progress())


def test_numbers_have_the_names_of_a_file_beside(where):
    root = where({"x": NAMES}, list_txt=rows("x/{name} {a}"), labels_txt="bocai\nchangqiezi\n")
    source, index, labels = opened(root)
    assert index.classes == ("bocai", "changqiezi")
    assert labels["x/01.png"] == "changqiezi"
    assert "The classes 0 to 1 have the names that labels.txt lists." in index.notes
    with pytest.raises(DataError, match=r"list\.txt:2: the label `1` should be a number from 0 to 0"):
        source.model_copy(update={"classes": ("one",)}).open(Progress())


# A column a class


@pytest.mark.parametrize(("on", "off"), [("1", "0"), ("1.0", "0.0"), ("True", "False"), ("yes", "no"), ("1", "")])
def test_a_column_a_class_is_read(where, on, off):
    lines = "".join(f"{n},{','.join(on if i % 4 == k else off for k in range(4))}\n" for i, n in enumerate(NAMES))
    root = where({"x": NAMES}, a_csv=f"Image_ID,a,b,c,d\n{lines}")
    source, index, labels = opened(root)
    assert source.label_columns == ("a", "b", "c", "d")
    assert index.classes == ("a", "b", "c", "d")
    assert labels == {name: "abcd"[i % 4] for i, name in enumerate(NAMES)}
    assert index.notes[0] == "The 4 columns `a`, `b`, `c`, `d` are taken for one a class."


def one_hot(root, *more, **options):
    table = root / "a.csv"
    table.write_text("path,a,b\nx/00.png,1,0\nx/01.png,0,1\n" + "".join(f"{row}\n" for row in more))
    return Manifest(path=str(table), label_columns=("a", "b"), **options)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x/02.png,1,1", r"a\.csv:4: says several classes, `a`, `b`; an image is of one class; put it right, or leave"),
        ("x/02.png,0,0", r"a\.csv:4: says no class: none of 2 columns is 1; put it right, or leave such rows out with"),
        ("x/02.png,0,7", r"a\.csv:4: `b` should be 0 or 1 \(or true, false, yes, no\); not `7`"),
        ("x/02.png,0,0.5", r"a\.csv:4: `b` should be 0 or 1"),
    ],
)
def test_a_row_of_no_class_or_several_is_named(where, row, message):
    root = where({"x": NAMES})
    with pytest.raises(DataError, match=message):
        one_hot(root, row).open(Progress())


def test_rows_of_no_class_or_several_may_be_left_out(where):
    root = where({"x": NAMES})
    index = one_hot(root, "x/02.png,1,1", "x/03.png,0,0", on_bad="skip").open(Progress()).index(Progress())
    assert list(index.names) == ["x/00.png", "x/01.png"]
    reasons = {entry.name: entry.reason for entry in index.unused if "row" in entry.reason}
    assert reasons == {
        "x/02.png": "its row says several classes, `a`, `b`; an image is of one class",
        "x/03.png": "its row says no class: none of 2 columns is 1",
    }


def test_label_columns_and_what_contradicts_them_are_told(where):
    root = where({"x": NAMES})
    for options, message in [
        ({"label_column": "a"}, "leave out one of the two"),
        ({"classes": ("a", "b")}, "leave out one of the two"),
    ]:
        with pytest.raises(DataError, match=message):
            one_hot(root, **options).open(Progress())
    with pytest.raises(DataError, match=r"has no column `c`; its first line names `path`, `a`, `b`"):
        one_hot(root).model_copy(update={"label_columns": ("a", "c")}).open(Progress())


def test_columns_of_which_several_are_set_are_told(where):
    lines = "".join(f"{n},1,{i % 2},{i // 2 % 2}\n" for i, n in enumerate(NAMES))
    root = where({"x": NAMES}, a_csv=f"Image,a,b,c\n{lines}")
    with pytest.raises(DataError, match=r"look like one a class, but 6 rows say several and 0 rows none, first line 3"):
        recognised(root / "a.csv")


# Several labels in a cell


@pytest.mark.parametrize("both", ["a|b", "a;b", "a b", '"a, b"', "\"['a', 'b']\""])
def test_labels_whose_parts_are_classes_are_told(where, both):
    root = where({"x": NAMES})
    labels = ["a", "b", "a", "b", "a", "b", both, both]
    (root / "a.csv").write_text(
        "file,label\n" + "".join(f"{n},{label}\n" for n, label in zip(NAMES, labels, strict=True))
    )
    _, index, _ = opened(root)
    assert len(index.classes) == 3
    assert index.notes[-1].startswith("1 label (2 rows) holds several classes in one, `")


@pytest.mark.parametrize("names", [("no tumor", "tumor"), ("big, black", "big, white"), ("a/b", "c"), ("x-ray", "x")])
def test_names_with_blanks_and_commas_are_no_lists(where, names):
    root = where({"x": NAMES})
    (root / "a.csv").write_text("file,label\n" + "".join(f'{n},"{names[i % 2]}"\n' for i, n in enumerate(NAMES)))
    assert opened(root)[1].notes == ()


# Whole numbers written as floats


def test_whole_numbers_written_as_floats_are_whole_numbers_in_their_order(where):
    names = [f"{i}.png" for i in range(24)]
    root = where({"x": names})
    (root / "l.csv").write_text(
        "path,label\n" + "".join(f"x/{i}.png,{i % 12}{'.0' if i > 3 else ''}\n" for i in range(24))
    )
    index = Manifest(path=str(root / "l.csv")).open(Progress()).index(Progress())
    assert index.classes == tuple(str(i) for i in range(12))
    assert [index.classes[label] for label in index.labels] == [str(i % 12) for i in range(24)]


@pytest.mark.parametrize("labels", [("0.5", "1.0"), ("1.0", "v2"), ("1.0", "1.10")])
def test_what_is_not_whole_keeps_its_text(where, labels):
    root = where({"x": NAMES})
    (root / "l.csv").write_text("path,label\n" + "".join(f"x/{n},{labels[i % 2]}\n" for i, n in enumerate(NAMES)))
    assert Manifest(path=str(root / "l.csv")).open(Progress()).classes == labels


# Other forms, and what is wrong with them


def test_a_file_of_json_a_line_is_a_table(where):
    root = where({"x": NAMES})
    lines = [json.dumps({"file_name": f"x/{name}", "label": i % 2}) for i, name in enumerate(NAMES)]
    (root / "metadata.jsonl").write_text("\n".join(lines))
    assert opened(root)[1].classes == ("0", "1")
    (root / "metadata.jsonl").write_text("\n".join([*lines, "{"]))
    with pytest.raises(DataError, match=r"metadata\.jsonl:9: is no JSON"):
        recognised(root / "metadata.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"PK", "is an Excel file; save it as CSV"),
        ("a.json", b'{"images": [], "annotations": [], "categories": []}', "looks like COCO"),
        ("a.csv", "file,label\n00.png,a\n".encode("utf-16"), r"a\.csv:1: is text in UTF-16"),
        ("a.csv", b'file,label\n00.png,a\n"01.png,b\n', r"a\.csv:3: from here on it can't be read as CSV"),
        ("a.csv", b"file\n00.png\n", r"a\.csv: it has one column only"),
        ("a.csv", b"file,label\nnowhere.png,a\n", r"`file` should, but `nowhere\.png` is no file below"),
    ],
)
def test_a_table_that_is_not_understood_is_named_with_its_reason(where, name, content, message):
    root = where({"train": NAMES, "test": ["9.png"]})
    (root / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        recognised(root / name)
    with pytest.raises(DataError, match=message):
        recognised(root)


def test_a_few_rows_that_can_not_be_used_are_left_out_and_said(where):
    names = [f"{i:02}.png" for i in range(40)]
    root = where({"x": names}, a_csv=rows("{name},L{a}", [*names, "gone.png"], "file,label"))
    source, index, labels = opened(root)
    assert source.on_bad == "skip"
    assert len(labels) == 40
    assert index.notes == ("`on_bad: skip` leaves out 1 row that names a file that is not there, first line 42.",)
    assert ("gone.png", "there is no such file") in [(entry.name, entry.reason) for entry in index.unused]


def test_a_table_without_labels_beside_one_with_them_is_left(where):
    root = where({"train": NAMES, "test": ["8.png", "9.png"]}, train_csv=rows("{name},L{a}", header="id,label"))
    (root / "test.csv").write_text("id\n8.png\n9.png\n")
    (root / "sample_submission.csv").write_text("id,label\n8.png,L0\n9.png,L0\n")
    _, index, labels = opened(root)
    assert len(labels) == 8
    assert {"../test", "../test.csv", "../sample_submission.csv"} <= {entry.name for entry in index.unused}
