from __future__ import annotations

import json
import re
import zipfile

import pytest

from cnnkit import Run, evaluate, read
from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.evaluation.other_images import OtherImages
from cnnkit.runs import checkpoints

CONFIG = """
data: {{source: {{name: folder, path: {images}}}, image_size: [8, 8], channels: 3}}
model: {{name: sequential, layers: [{{name: flatten}}]}}
"""


@pytest.fixture
def run(image_folder, tmp_path):
    """A run of the classes ant, bee, cat, as training leaves it, with weights drawn by chance."""
    images = image_folder({"ant": 2, "bee": 2, "cat": 2})
    (tmp_path / "mine.yaml").write_text(CONFIG.format(images=images))
    experiment = read(tmp_path / "mine.yaml")
    index = experiment.data.source.open(Progress()).index(Progress())
    made = Run.create(experiment, tmp_path / "run")
    made.write_split(index, ["train", "test"] * 3, [""] * len(index))
    made.write_provenance(data={"classes": list(index.classes)}, files=made.hashes())
    weights = checkpoints.Weights.of(experiment.model.build((8, 8, 3), 3))
    checkpoints.save(weights, made.files.checkpoints, checkpoints.BEST, 1, {})
    return Run.open(made.folder)


def labels_by_name(shown):
    classes = shown.images.index.classes
    return {name: classes[label] for name, label in zip(shown.names, shown.labels, strict=True)}


def test_classes_are_matched_by_name_in_whatever_order_and_be_they_a_few(run, image_folder, said):
    others = image_folder({"cat": 2, "bee": 1, "notes": []}, name="others")
    shown = OtherImages(others).shown(run, said)
    assert shown.images.index.classes == ("ant", "bee", "cat")
    assert labels_by_name(shown) == {"bee/0.png": "bee", "cat/0.png": "cat", "cat/1.png": "cat"}
    assert "no image of 1 of the run's 3 classes: `ant`" in said.lines


def test_what_lies_in_runs_beside_the_classes_is_of_none(run, image_folder, own_folder, said):
    others = image_folder({"cat": 2, "bee": 1}, name="others")
    own_folder(others / "runs" / "first", "run")
    assert len(OtherImages(others).shown(run, said).names) == 3
    assert "4 files not used: of a run of cnnkit: runs/first/ (4 files)" in said.lines
    with pytest.raises(DataError, match=r"runs holds no images: 4 files: of a run of cnnkit$"):
        OtherImages(others / "runs").shown(run, said)
    with pytest.raises(DataError, match="is what was trained"):
        OtherImages(run.folder).shown(run, said)


def test_images_without_class_folders_are_refused_whatever_table_lies_above(run, image_folder):
    others = image_folder({"cat": 2}, name="others")
    (others / "out.csv").write_text("image,label\ncat/0.png,cat\ncat/1.png,bee\n")
    with pytest.raises(DataError) as raised:
        OtherImages(others / "cat").shown(run, Progress())
    assert "out.csv" not in str(raised.value)
    assert str(raised.value).endswith(f"even where it holds this one alone: --images {others}")


def test_images_whose_names_tell_the_class_need_no_folders(run, image_folder):
    names = [f"{name}.{i}.png" for name in ("ant", "cat") for i in range(3)]
    others = image_folder({".": names}, name="others")
    assert OtherImages(others).shown(run, Progress()).labels == [0, 0, 0, 2, 2, 2]


def test_a_single_class_is_enough(run, image_folder):
    assert OtherImages(image_folder({"cat": 2}, name="others")).shown(run, Progress()).labels == [2, 2]


def test_what_is_evaluated_is_told_and_written_nowhere(run, image_folder):
    others = image_folder({"cat": 2, "bee": 1}, name="others")
    before = {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()}
    found = evaluate(run, others=OtherImages(others))
    assert (found["split"], found["source"]["path"], found["images"]) == (None, str(others), 3)
    assert [entry["images"] for entry in found["classes"]] == [0, 1, 2]
    assert {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("folders", [{"ant": 1, "bees": 1}, {"bees": 1}, {"bees": 1, "cats": 1}])
def test_a_class_that_the_run_does_not_know_is_refused_with_the_nearest(run, image_folder, folders):
    with pytest.raises(DataError, match=r"`bees` is no class of the run; did you mean `bee`\?") as raised:
        OtherImages(image_folder(folders, name="others")).shown(run, Progress())
    assert "its 3 classes are `ant`, `bee`, `cat`" in str(raised.value)
    assert raised.value.exit_code == 3


def test_images_without_a_class_are_said(run, image_folder, said):
    OtherImages(image_folder({"cat": 1, ".": ["photo.png"]}, name="others")).shown(run, said)
    assert "1 file not used: beside the class folders: photo.png" in said.lines


def test_images_that_the_run_was_trained_on_are_said(run, tmp_path, said):
    shown = OtherImages(tmp_path / "images").shown(run, said)
    assert "careful: 3 of the 6 images are some that the run was trained or chosen on" in said.lines
    assert OtherImages(tmp_path / "images").facts(run, shown)["known_from_training"] == 3


def test_what_can_not_be_decoded_is_named(run, image_folder):
    others = image_folder({"cat": 2, "bee": 1}, name="others")
    (others / "cat" / "bad.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"cat/bad\.jpg: not a JPEG.*\n1 of the 4 images of .* can't be decoded"):
        OtherImages(others).shown(run, Progress())


@pytest.mark.parametrize("inside", ["", "others/"])
def test_an_archive_is_a_folder_too(run, image_folder, tmp_path, inside):
    others = image_folder({"cat": 2, "bee": 1}, name="others")
    with zipfile.ZipFile(tmp_path / "others.zip", "w") as packed:
        for file in others.rglob("*.png"):
            packed.write(file, f"{inside}{file.relative_to(others)}")
    assert OtherImages(tmp_path / "others.zip").shown(run, Progress()).labels == [1, 2, 2]


@pytest.mark.parametrize("header", ["path,label", "file,animal", "image,clinic,animal"])
def test_a_table_is_read_by_the_column_that_has_the_classes(run, image_folder, header, said):
    others = image_folder({"pictures": 4}, name="others")
    names = header.split(",")
    cells = {"clinic": "xyxy", "animal": ["cat", "bee", "", "cat"]}
    cells["label"] = cells["animal"]
    lines = [",".join([f"pictures/{i}.png", *(cells[name][i] for name in names[1:])]) for i in range(4)]
    (others / "table.csv").write_text("\n".join([header, *lines]) + "\n")
    shown = OtherImages(others / "table.csv", table=True).shown(run, said)
    assert shown.labels == [2, 1, 2]
    assert [line for line in said.lines if "pictures/2.png" in line] == [
        f"1 file not used: its row has no `{names[-1]}`: pictures/2.png"
    ]


@pytest.mark.parametrize(("header", "taken"), [("file,seen,label", "label"), ("file,seen,given", "seen")])
def test_of_two_columns_of_classes_it_is_told_which_is_taken_and_how_to_take_the_other(
    run, image_folder, header, taken, said
):
    others = image_folder({"pictures": 8}, name="others")
    seen, given = ["cat", "bee"] * 4, ["bee", "cat"] * 4
    rows = [f"pictures/{i}.png,{seen[i]},{given[i]}" for i in range(8)]
    (others / "table.csv").write_text("\n".join([header, *rows]) + "\n")
    shown = OtherImages(others / "table.csv", table=True).shown(run, said)
    assert shown.labels == [run.classes.index(name) for name in (seen if taken == "seen" else given)]
    [line] = [line for line in said.lines if "column" in line]
    other = header.replace(taken, "").strip(",").split(",")[-1]
    assert line.startswith(f"the classes are taken from the column `{taken}` of table.csv; `{other}` could tell")
    assert line.endswith("call it `label`, and no other so")


def test_a_table_of_several_classes_an_image_is_refused_without_settings(run, image_folder):
    others = image_folder({"pictures": 8}, name="others")
    rows = [f"pictures/{i}.png,1,{i % 2},{i % 3 > 1:d}" for i in range(8)]
    (others / "table.csv").write_text("\n".join(["file,ant,bee,cat", *rows]) + "\n")
    with pytest.raises(DataError, match=r"look like one a class, but .* gives it one\. Keep the rows with one$"):
        OtherImages(others / "table.csv", table=True).shown(run, Progress())


def test_nothing_is_said_of_settings_to_whom_has_no_config(run, image_folder, said):
    others = image_folder({"pictures": 24, "pairs/cat": 2, "pairs/bee": 2}, name="others")
    names = [f"pictures/{i}.png" for i in range(24)]
    rows = [f"{name},{i % 5},{'xy'[i % 2]},{('cat', 'bee')[i % 2]}" for i, name in enumerate([*names, "no.png"])]
    (others / "table.csv").write_text("\n".join(["file,patient_id,clinic,animal", *rows]) + "\n")
    for asked in (OtherImages(others / "table.csv", table=True), OtherImages(others / "table.csv")):
        assert len(asked.shown(run, said).labels) == 24
    tied = image_folder({".": [f"{name}.{i}.png" for name in ("ant", "cat") for i in range(3)]}, name="tied")
    OtherImages(tied).shown(run, said)
    keys = ("label_column", "group_column", "on_bad", "label_pattern", "folder:", "set ")
    assert [line for line in said.lines if any(key in line for key in keys)] == []
    assert any("1 file not used: " in line and "no.png" in line for line in said.lines)


def test_a_table_is_told_by_its_columns_from_the_command_on(run, image_folder, command):
    others = image_folder({"pictures": 3}, name="others")
    rows = ["path,label,clinic", "pictures/0.png,cat,north", "pictures/1.png,bee,south", "pictures/2.png,cat,north"]
    (others / "table.csv").write_text("\n".join(rows))
    words = ("evaluate", run.folder, "--manifest", others / "table.csv", "--json", "--by", "clinic")
    code, out, _ = command(*words, "--fail-under", "by.images[north]=2")
    told = json.loads(out)["by"]
    assert (code, told["column"]) == (0, "clinic")
    assert sorted((each["name"], each["images"]) for each in told["values"]) == [("north", 2), ("south", 1)]


def test_a_table_may_have_one_class_and_any_splits(run, image_folder):
    others = image_folder({"pictures": 2}, name="others")
    (others / "table.csv").write_text("path,label,split\npictures/0.png,cat,test\npictures/1.png,cat,val\n")
    assert OtherImages(others / "table.csv", table=True).shown(run, Progress()).labels == [2, 2]


def test_columns_that_only_training_needs_may_be_missing(image_folder, tmp_path):
    images = image_folder({"ant": 2, "bee": 2})
    rows = [f"{name}/{number}.png,{name},p{number},1\n" for name in ("ant", "bee") for number in (0, 1)]
    (images / "all.csv").write_text("file,kind,patient,weight\n" + "".join(rows))
    config = {
        "data": {
            "source": {
                "name": "manifest",
                "path": str(images / "all.csv"),
                "path_column": "file",
                "label_column": "kind",
                "group_column": "patient",
                "weight_column": "weight",
            },
            "image_size": [8, 8],
            "channels": 3,
        },
        "model": {"name": "sequential", "layers": [{"name": "flatten"}]},
    }
    (tmp_path / "mine.yaml").write_text(json.dumps(config))
    experiment = read(tmp_path / "mine.yaml")
    index = experiment.data.source.open(Progress()).index(Progress())
    made = Run.create(experiment, tmp_path / "run")
    made.write_split(index, ["train", "test"] * 2, [""] * 4)
    made.write_provenance(data={"classes": ["ant", "bee"]}, files=made.hashes())
    (images / "new.csv").write_text("file,kind\nant/1.png,ant\nbee/0.png,bee\n")
    shown = OtherImages(images / "new.csv", table=True).shown(Run.open(made.folder), Progress())
    assert labels_by_name(shown) == {"ant/1.png": "ant", "bee/0.png": "bee"}


def test_a_class_of_a_table_that_the_run_does_not_know_is_refused(run, image_folder):
    others = image_folder({"pictures": 2}, name="others")
    (others / "table.csv").write_text("path,label\npictures/0.png,cat\npictures/1.png,cats\n")
    with pytest.raises(DataError, match=r"`cats` is no class of the run; did you mean `cat`\?"):
        OtherImages(others / "table.csv", table=True).shown(run, Progress())


def test_images_of_a_table_that_are_gone_are_told_without_settings_of_a_config(run, image_folder):
    others = image_folder({"pictures": 2}, name="others")
    table = others / "table.csv"
    table.write_text("path,label\npictures/0.png,cat\npictures/7.png,bee\n")
    told = r"table\.csv:3: .*7\.png: there is no such file; put the files there, or remove the rows$"
    with pytest.raises(DataError, match=told):
        OtherImages(table, table=True).shown(run, Progress())


def test_a_table_of_images_that_lie_elsewhere_is_told_without_settings_of_a_config(run, tmp_path):
    table = tmp_path / "tables" / "table.csv"  # beside it no folders of other tests, whose images could be meant
    table.parent.mkdir()
    table.write_text("path,label\nx/8.png,cat\nx/9.png,bee\n")
    with pytest.raises(DataError, match=r"`x/8\.png` is no file below") as raised:
        OtherImages(table, table=True).shown(run, Progress())
    assert not re.search(r"path_column|data\.source|\bset\b", str(raised.value))


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"nothing": []}, r"others holds no images, and no other files$"),
        (
            {".": ["a.png", "b.png"]},
            r"holds 2 images and no folders that tell their classes; put .*cnnkit predict tells",
        ),
        ({"CAT": 2}, r"`CAT` is no class of the run; did you mean `cat`\?"),
    ],
)
def test_folders_that_tell_no_class_of_the_run_are_told(run, image_folder, tree, told):
    with pytest.raises(DataError, match=told):
        OtherImages(image_folder(tree, name="others")).shown(run, Progress())


def test_what_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file or folder"):
        OtherImages(tmp_path / "nothing")
    with pytest.raises(UsageError, match="is a folder, not a table; --images is for folders"):
        OtherImages(tmp_path, table=True)


# The command


def test_a_gate_that_is_not_met_ends_with_4_behind_the_document(run, image_folder, command):
    others = image_folder({"cat": 2, "bee": 1}, name="others")
    words = ("evaluate", run.folder, "--images", others, "--json", "--fail-over", "loss=1e9")
    code, out, err = command(*words, "--fail-under", "images=4")
    document = json.loads(out)
    assert (code, document["images"]) == (4, 3)
    assert [(gate["name"], gate["met"]) for gate in document["gates"]] == [("images", False), ("loss", True)]
    assert "met: loss is" in err and "not met: images is" in err and "wanted at least 4" in err
    code, out, err = command(*words, "--fail-under", "images=3")
    assert (code, json.loads(out)["source"]["path"]) == (0, str(others))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--images", "."), "--split and --images are different images"),
        (("--manifest", "t.csv", "--images", "."), "--split and --images and --manifest are different images"),
        (("--fail-under", "loss=1"), "use --fail-over loss=1"),
        (("--fail-under", "acuracy=0.9"), "no such figure; near it, or at hand: `accuracy`"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(run, command, words, told):
    code, _, err = command("evaluate", run.folder, "--split", "test", *words)
    assert code == 2 and told in err
