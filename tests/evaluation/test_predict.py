from __future__ import annotations

import csv
import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save

from cnnkit import Run, predict, read
from cnnkit.core import own_folders
from cnnkit.core.errors import TrainingError, UsageError
from cnnkit.core.lazy import keras
from cnnkit.core.progress import Progress
from cnnkit.data.feeding.images import Images, allocated
from cnnkit.data.files import decoding
from cnnkit.evaluation.evaluate import score
from cnnkit.evaluation.exam import Shown
from cnnkit.evaluation.familiarity import FORMAT, Familiarity, Seen
from cnnkit.evaluation.image_statistics import image_statistics
from cnnkit.evaluation.new_images import expanded, listed
from cnnkit.evaluation.predict import csv_lines
from cnnkit.runs import checkpoints

CONFIG = """
name: tiny
data: {source: {name: digits}, image_size: [6, 5], channels: 3, batch_size: 2}
model: {name: sequential, layers: [{name: flatten}]}
"""
STATISTICS = 8  # of 6 x 5 pixels in colour
CLASSES = ["ant", "bee", "cat"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run as training leaves it, with weights drawn by chance."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.yaml").write_text(CONFIG)
    experiment = read(folder / "tiny.yaml")
    run = Run.create(experiment, folder / "run")
    run.write_provenance(data={"classes": CLASSES}, files=run.hashes())
    keras.utils.set_random_seed(4)
    checkpoints.save(checkpoints.Weights.of(experiment.model.build((6, 5, 3), 3)), run.files.checkpoints, "best", 1, {})
    random = np.random.default_rng(1)
    seen = [Seen(random.normal(size=(20, 90)), random.normal(size=(20, STATISTICS))) for _ in range(3)]
    strange = Seen(-seen[2].features, 9 * seen[2].statistics)
    fitted = Familiarity.fitted(*seen[:2], run.weights_digest(), {"noise": strange})
    fitted.write(run)
    np.testing.assert_allclose(Familiarity.read(run).scores(strange), fitted.scores(strange), rtol=1e-6)
    return run


@pytest.fixture
def images(tmp_path):
    """pictures/{a.jpg, c.JPG, notes.txt, .hidden.jpg, more/b.jpg, .cache/d.jpg} and broken.jpg"""
    random = np.random.default_rng(0)
    for name in ("a.jpg", "c.JPG", ".hidden.jpg", "more/b.jpg", ".cache/d.jpg"):
        file = tmp_path / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (6, 5, 3), np.uint8)).save(file, "JPEG")
    (tmp_path / "pictures" / "notes.txt").write_text("mine")
    whole = (tmp_path / "pictures" / "a.jpg").read_bytes()
    (tmp_path / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    return tmp_path


def softmax_by_hand(run, file):
    kernel, bias = run.network().get_weights()
    pixels = np.asarray(Image.open(file), np.float64).ravel() / 127.5 - 1
    powers = np.exp(pixels @ kernel + bias)
    return powers / powers.sum()


def test_probabilities_are_those_of_the_network(run, images):
    [told] = predict(run, [images / "pictures" / "a.jpg"])
    expected = softmax_by_hand(run, images / "pictures" / "a.jpg")
    assert list(told.probabilities) == CLASSES
    assert list(told.probabilities.values()) == pytest.approx(list(expected), abs=1e-5)
    assert told.label == CLASSES[expected.argmax()]
    assert told.probability == max(told.probabilities.values())
    assert told.error is None


def test_order_is_that_of_the_words_and_in_folders_of_the_names(run, images):
    words = [images / "broken.jpg", images / "pictures", images / "pictures" / "a.jpg"]
    files = [told.image for told in predict(run, words)]
    pictures = [images / "pictures" / name for name in ("a.jpg", "c.JPG", "more/b.jpg")]
    assert files == [str(path) for path in (images / "broken.jpg", *pictures, images / "pictures" / "a.jpg")]


def test_a_bad_file_is_a_row_and_does_not_move_the_others(run, images):
    (images / "empty.png").touch()
    words = [images / "pictures" / "a.jpg", images / "broken.jpg", images / "empty.png", images / "pictures" / "c.JPG"]
    first, broken, empty, last = predict(run, words)
    # In another batch a sum may be taken in another order.
    for told, alone in zip((first, last), (*predict(run, words[:1]), *predict(run, words[3:])), strict=True):
        assert (told.image, told.label, told.error) == (alone.image, alone.label, None)
        assert told.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
    assert "damaged" in broken.error and "empty" in empty.error
    assert broken.label is broken.probability is broken.probabilities is None


def test_any_format_and_mode_is_an_image(run, images):
    for form in ("PNG", "BMP", "GIF", "WEBP"):
        Image.new("L", (20, 30), 128).save(images / f"grey.{form.lower()}", form)
    told = list(predict(run, sorted(images.glob("grey.*"))))
    assert [entry.error for entry in told] == [None] * 4


def test_a_path_that_is_not_there_is_a_usage_error(run, images):
    with pytest.raises(UsageError, match=r"nothing\.jpg: there is no such file or folder"):
        list(predict(run, [images / "pictures", images / "nothing.jpg"]))


def test_a_folder_without_images_is_an_error_of_the_data_that_counts_what_is_there(run, images, command):
    (images / "empty").mkdir()
    assert command("predict", run.folder, images / "empty")[::2] == (
        3,
        f"{images / 'empty'} holds no images, and no other files\n",
    )
    (images / "empty" / "a.txt").touch()
    (images / "empty" / "Thumbs.db").touch()
    os.mkfifo(images / "empty" / "a.jpg")
    code, _, err = command("predict", run.folder, images / "empty")
    assert (code, err.count("\n")) == (3, 1)
    for reason in ("1 file: not an image by its ending", "1 file: hidden or", "1 file: a pipe or a device"):
        assert reason in err


def test_what_lies_in_a_run_among_the_images_is_left_out_and_said(run, images, own_folder, command):
    own_folder(images / "runs" / "first", "run")
    code, out, err = command("predict", run.folder, images, "--json")
    said = json.loads(out)
    assert [Path(row["image"]).name for row in said["predictions"]] == ["broken.jpg", "a.jpg", "c.JPG", "b.jpg"]
    assert said["left_out"]["of a run of cnnkit"] == 4 and "4 files: of a run of cnnkit" in err
    code, _, err = command("predict", run.folder, images / "runs")
    assert (code, err) == (3, f"{images / 'runs'} holds no images: 4 files: of a run of cnnkit\n")
    code, _, err = command("predict", run.folder, run.folder)
    assert code == 3 and f"{run.folder} is what was trained, and no folder of images" in err


def test_many_batches_are_in_the_order_of_the_files(run, tmp_path):
    greys = [7 * i for i in range(30)]
    for i, grey in enumerate(greys):
        Image.new("RGB", (5, 6), (grey, 255 - grey, 128)).save(tmp_path / f"{i:02d}.png")
    (tmp_path / "10.png").write_bytes(b"")
    told = list(predict(run, [tmp_path]))
    assert [entry.image for entry in told] == [str(tmp_path / f"{i:02d}.png") for i in range(30)]
    assert [i for i, entry in enumerate(told) if entry.error] == [10]
    for i in (0, 9, 11, 29):
        expected = softmax_by_hand(run, tmp_path / f"{i:02d}.png")
        assert list(told[i].probabilities.values()) == pytest.approx(list(expected), abs=1e-5)


def test_links_are_followed_once(run, images, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "pictures").symlink_to(images / "pictures")
    (linked / "pictures_again").symlink_to(images / "pictures")
    (linked / "round").symlink_to(linked)
    files = [told.image for told in predict(run, [linked])]
    names = [f"pictures/{name}" for name in ("a.jpg", "c.JPG", "more/b.jpg")]
    assert files == [str(linked / name) for name in names]
    assert [told.image for told in predict(run, [linked / "round"])] == [str(linked / "round" / name) for name in names]


def test_a_folder_that_can_not_be_read_is_a_row_and_the_rest_is_predicted(run, images, command, monkeypatch):
    scan = os.scandir

    def scandir(folder):
        if str(folder).endswith("more"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    code, out, err = command("predict", run.folder, images / "pictures", "--json")
    told = {Path(entry["image"]).name: entry["error"] for entry in json.loads(out)["predictions"]}
    assert code == 3
    assert told == {"a.jpg": None, "c.JPG": None, "more": "can't be read: Permission denied"}
    assert "3 files, 1 of them not readable as images (1 file: can't be read: Permission denied)" in err


def test_what_is_no_image_is_told_by_its_reason_and_the_rest_is_predicted(run, images, command):
    folder = images / "pictures"
    os.mkfifo(folder / "pipe.jpg")
    (folder / "broken_link.jpg").symlink_to(images / "gone.jpg")
    shutil.copy(folder / "a.jpg", folder / "a\x1b[31m.jpg")
    (folder / "Thumbs.db").write_bytes(b"1")
    code, out, err = command("predict", run.folder, folder, "--json")
    document = json.loads(out)
    assert code == 3
    assert {Path(entry["image"]).name for entry in document["predictions"] if not entry["error"]} == {
        *("a.jpg", "c.JPG", "b.jpg")
    }
    assert document["failed"] == {"a link that leads nowhere": 1}
    reasons = {reason.partition(" (")[0]: count for reason, count in document["left_out"].items()}
    assert reasons == {
        "hidden or a system's file": 2,
        "not an image by its ending": 1,
        "a pipe or a device, not a file": 1,
        "a control character in its name": 1,
    }
    assert "4 files, 1 of them not readable as images (1 file: a link that leads nowhere)" in err
    assert "left out: 2 files: hidden or a system's file, 1 file: " in err


@pytest.mark.parametrize("kind", ["pipe", "device", "link", "text", "folder in the way"])
def test_what_is_named_itself_has_a_row_whatever_it_is(run, images, command, kind):
    path = images / f"{kind}.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    elif kind == "link":
        path.symlink_to(images / "gone.jpg")
    elif kind == "text":
        path.write_text("no image")
    else:
        path.symlink_to(path)  # a link to itself
    code, out, err = command("predict", run.folder, path, images / "pictures" / "a.jpg")
    first, second = csv.DictReader(io.StringIO(out))
    assert code == 3 and first["error"] and first["error"] in err
    assert second["label"] in CLASSES and second["error"] == ""
    assert ("a pipe or a device" in first["error"]) == (kind in ("pipe", "device"))
    assert (first["error"] == "a link that leads nowhere") == (kind in ("link", "folder in the way"))


def test_control_characters_of_a_name_are_escaped_in_a_table_and_exact_in_json(run, images, command):
    path = images / "a\x1b[31m\nb\u202e.jpg"
    shutil.copy(images / "pictures" / "a.jpg", path)
    code, out, err = command("predict", run.folder, path)
    [row] = csv.DictReader(io.StringIO(out))
    assert (code, err) == (0, "")
    assert row["image"] == f"{images}/a\\x1b[31m\\nb\\u202e.jpg"
    for words in (["--json"], ["--format", "jsonl"]):
        _, out, _ = command("predict", run.folder, path, *words)
        assert not set(out) & set("\x1b\u202e")
        document = json.loads(out)
        assert (document["predictions"][0] if "--json" in words else document)["image"] == str(path)


def test_a_damaged_archive_is_told_in_one_line(run, images, command):
    (images / "photos.zip").write_bytes(b"PK\3\4 and nothing else")
    code, out, err = command("predict", run.folder, images / "photos.zip")
    assert (code, out) == (3, "")
    assert err.startswith(str(images / "photos.zip"))
    assert err.count("\n") == 1


def test_what_a_list_names_or_a_pattern_matches_and_holds_no_images_is_a_row(run, images, command, monkeypatch):
    (images / "empty.d").mkdir()
    (images / "photos.d").write_bytes(b"PK\3\4 and nothing else")
    shutil.copy(images / "pictures" / "a.jpg", images / "z.d")
    listing = f"{images}/empty.d\n{images}/photos.d\n{images}/gone.d\n{images}/z.d\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(listing.encode())))
    for word in ("-", images / "*.d"):
        code, out, err = command("predict", run.folder, word)
        rows = {Path(row["image"]).name: row for row in csv.DictReader(io.StringIO(out))}
        assert (code, "bug" in err) == (3, False)
        assert rows["empty.d"]["error"] == "holds no images, and no other files"
        assert rows["photos.d"]["error"] and str(images) not in rows["photos.d"]["error"]
        assert rows["z.d"]["label"] in CLASSES and not rows["z.d"]["error"]
        if word == "-":
            assert rows["gone.d"]["error"] == "there is no such file or folder"
    code, out, _ = command("predict", run.folder, images / "z.d", images / "empty.d")
    assert (code, out) == (3, "")  # typed, it may be a mistake: told before anything is done


def test_a_file_that_may_not_be_read_is_a_row_where_it_is_typed_too(run, images, command, monkeypatch):
    locked, read_bytes = images / "pictures" / "a.jpg", decoding.read_bytes

    def refused(path, *rest, **more):
        if Path(path) == locked:
            raise decoding.Unreadable("can't be read: Permission denied")
        return read_bytes(path, *rest, **more)

    # Permissions do not bind everyone who runs tests, so what the system says of them is replaced.
    monkeypatch.setattr(os, "access", lambda path, mode, **_: Path(path) != locked)
    monkeypatch.setattr(decoding, "read_bytes", refused)
    code, out, _ = command("predict", run.folder, locked, images / "pictures" / "c.JPG")
    assert (code, [row["error"] for row in csv.DictReader(io.StringIO(out))]) == (
        3,
        ["can't be read: Permission denied", ""],
    )


def test_csv_is_the_form_by_default(run, images, command):
    code, out, err = command("predict", run.folder, images / "pictures", images / "broken.jpg")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 3
    assert list(rows[0]) == [
        "image",
        "label",
        "probability",
        "p_ant",
        "p_bee",
        "p_cat",
        "unsure",
        "unfamiliar",
        "error",
    ]
    assert [bool(row["error"]) for row in rows] == [False, False, False, True]
    assert rows[3]["label"] == rows[3]["p_bee"] == ""
    for row, told in zip(rows, predict(run, [images / "pictures"]), strict=False):
        assert row["label"] == told.label
        assert float(row["p_cat"]) == pytest.approx(told.probabilities["cat"], abs=1e-6)
    assert "4 files, 1 of them not readable" in err


def test_the_columns_are_the_same_when_no_file_is_an_image(run, images, command):
    _, out, _ = command("predict", run.folder, images / "broken.jpg")
    assert out.splitlines()[0] == "image,label,probability,p_ant,p_bee,p_cat,unsure,unfamiliar,error"


def test_jsonl_is_an_object_a_line(run, images, command):
    _, out, _ = command("predict", run.folder, images / "pictures", images / "broken.jpg", "--format", "jsonl")
    told = [json.loads(line) for line in out.splitlines()]
    assert len(told) == 4
    assert all(
        entry.keys() == {"image", "label", "probability", "probabilities", "unsure", "unfamiliar", "error"}
        for entry in told
    )


def test_a_pattern_that_no_shell_expanded_is_what_it_matches(run, images, command):
    for word, names in (("pictures/*.[jJ]*", ["a.jpg", "c.JPG"]), ("pictures/**/*.jpg", ["a.jpg", "more/b.jpg"])):
        code, out, _ = command("predict", run.folder, images / word)
        files = [row["image"] for row in csv.DictReader(io.StringIO(out))]
        assert (code, files) == (0, [str(images / "pictures" / name) for name in names])
    code, _, err = command("predict", run.folder, images / "*.tiff")
    assert code == 2 and "no file matches" in err


@pytest.mark.parametrize("word", ["pictures/**", "**/*.[jJ]*", "*/**/*.jpg", "pictures/**/**"])
def test_a_pattern_through_folders_leaves_out_what_lies_in_runs_as_a_folder_does(run, images, own_folder, word):
    before, none = expanded(images / word)
    assert before and not none
    own_folder(images / "pictures" / "runs" / "first", "run")
    (images / "pictures" / "runs" / "first" / "b.jpg").touch()
    after, left_out = expanded(images / word)
    assert after == before
    assert left_out.keys() == {own_folders.TRAINED}
    assert expanded(images / "pictures/runs/first/*.jpg") == ([images / "pictures/runs/first/b.jpg"], {})  # is meant


def test_a_pattern_that_matches_in_runs_alone_says_so(run, images, own_folder, command):
    own_folder(images / "runs" / "first", "run")
    code, out, err = command("predict", run.folder, images / "runs/**")
    assert (code, out) == (2, "")
    assert err == f"{images}/runs/**: no file matches this pattern; left out: 4 files: of a run of cnnkit\n"
    code, out, _ = command("predict", run.folder, images / "**", "--json")
    assert json.loads(out)["left_out"]["of a run of cnnkit"] == 4


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(run, images, command):
    shutil.copy(images / "pictures" / "a.jpg", images / "a[1].jpg")
    code, out, _ = command("predict", run.folder, images / "a[1].jpg")
    assert code == 0 and f"{images}/a[1].jpg," in out


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_list_of_paths_has_one_a_line_or_a_zero_byte_behind_each(end):
    assert listed(end.join([b"a b.jpg", b"c.jpg", b""])) == [Path("a b.jpg"), Path("c.jpg")]
    assert listed(end.join([b"\xef\xbb\xbfa b.jpg", b""])) == [Path("a b.jpg")]  # as editors of Windows begin a text
    with pytest.raises(UsageError, match="names no files"):
        listed(end)


def test_the_likeliest_classes_are_in_the_order_of_their_probabilities(run, images, command):
    _, out, _ = command("predict", run.folder, images / "pictures", "--json", "--top", "2")
    for told in json.loads(out)["predictions"]:
        ranked = sorted(told["probabilities"].items(), key=lambda named: -named[1])
        assert [(entry["label"], entry["probability"]) for entry in told["top"]] == ranked[:2]


def test_what_is_below_the_threshold_of_the_run_is_unsure(run, images, tmp_path):
    shutil.copytree(run.folder, tmp_path / "strict")
    [plain] = predict(run, images / "pictures" / "a.jpg")
    assert plain.unsure is None
    for above, unsure in ((1e-6, True), (-1e-6, False)):
        strict = Run.open(tmp_path / "strict").calibrate(unsure=plain.probability + above)
        assert [told.unsure for told in predict(strict, images / "pictures" / "a.jpg")] == [unsure]


def test_an_image_is_as_unfamiliar_as_its_features_are_far_and_a_run_that_does_not_tell_says_how_to(
    run, images, command, tmp_path
):
    _, out, err = command("predict", run.folder, images / "pictures" / "a.jpg")
    [row] = csv.DictReader(io.StringIO(out))
    features = np.asarray(Image.open(images / "pictures" / "a.jpg"), np.float64).ravel() / 127.5 - 1
    pixels = np.asarray(Image.open(images / "pictures" / "a.jpg"), np.float32)[None]
    statistics = image_statistics(keras.ops.convert_to_tensor(pixels)).numpy()
    expected = Familiarity.read(run).scores(Seen(features[None], statistics))[0]
    assert (float(row["unfamiliar"]), err) == (pytest.approx(expected, rel=1e-3), "")
    shutil.copytree(run.folder, tmp_path / "earlier")
    earlier = Run(tmp_path / "earlier")
    noted = {"threshold": 0.5, "weights": earlier.weights_digest()}
    kept = save({"features": np.ones((2, 90), np.float16)}, {"familiarity": json.dumps(noted)})
    later = save({"features": np.ones((2, 90), np.float16)}, {"familiarity": json.dumps({"format": FORMAT + 1})})
    for content in (kept, None, later):  # what was kept at first, nothing, and what may be kept once
        earlier.keep_familiarity(content)
        code, out, err = command("predict", earlier.folder, images / "pictures" / "a.jpg")
        [row] = csv.DictReader(io.StringIO(out))
        assert (code, row["unfamiliar"]) == (0, "") and "--calibrate" in err
        assert ("was written by a newer version of cnnkit" in err) == (content == later)


@pytest.mark.parametrize(
    ("noted", "tensors"),
    [
        ({"format": "3"}, {}),
        ({"format": None}, {}),
        ({"format": True}, {}),
        ({"threshold": 0.0}, {}),
        ({"units": [1.0, float("nan")]}, {}),
        ({}, {"whitening": np.eye(3)}),
        ({}, {"features": np.ones(90, np.float16)}),
    ],
)
def test_what_no_version_keeps_of_familiarity_is_damaged(run, images, command, tmp_path, noted, tensors):
    shutil.copytree(run.folder, tmp_path / "odd")
    odd = Run(tmp_path / "odd")
    own = load_file(odd.files.familiarity)
    with safe_open(odd.files.familiarity, "numpy") as opened:
        facts = json.loads(opened.metadata()["familiarity"])
    odd.keep_familiarity(save(own | tensors, {"familiarity": json.dumps(facts | noted)}))
    code, out, err = command("predict", odd.folder, images / "pictures" / "a.jpg")
    assert (code, out) == (4, "")
    assert err.startswith(f"{odd.files.familiarity} is damaged: ") and err.endswith("--calibrate\n")


def test_where_strangers_are_told_too_badly_nothing_is_called_unfamiliar_and_that_is_said_once(
    run, images, command, tmp_path
):
    shutil.copytree(run.folder, tmp_path / "blind")
    blind = Run(tmp_path / "blind")
    replace(Familiarity.read(blind), called={"noise": 0.4}).write(blind)
    _, out, err = command("predict", blind.folder, images / "pictures")
    assert {row["unfamiliar"] for row in csv.DictReader(io.StringIO(out))} == {""}
    assert err.count("tells too little") == 1


def test_json_is_one_document(run, images, command):
    code, out, err = command("predict", run.folder, images / "pictures", "--json")
    document = json.loads(out)
    assert code == 0
    assert "left out: 1 file: hidden or a system's file, 1 file: not an image by its ending" in err
    assert document["run"] == str(run.folder)
    assert [entry["label"] in CLASSES for entry in document["predictions"]] == [True] * 3


def test_output_goes_to_a_file(run, images, command):
    _, out, _ = command("predict", run.folder, images / "pictures", "--output", images / "told.csv")
    assert out == ""
    assert len((images / "told.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize("output", ["missing/told.csv", "pictures"])
def test_output_that_can_not_be_written_is_a_usage_error(run, images, command, output):
    code, _, err = command("predict", run.folder, images / "pictures", "--output", images / output)
    assert code == 2, err
    assert output.split("/")[0] in err


def test_what_is_no_run_is_a_usage_error(images, command):
    code, _, err = command("predict", images, images / "pictures")
    assert code == 2
    assert "not a run" in err


@pytest.fixture
def broken_run(run, tmp_path):
    """The same run with weights as a training that diverged would leave them."""
    shutil.copytree(run.folder, tmp_path / "broken")
    broken = Run.open(tmp_path / "broken")
    model = broken.network()
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    checkpoints.save(checkpoints.Weights.of(model), broken.files.checkpoints, "best", 1, {})
    return broken


@pytest.mark.parametrize("words", [[], ["--json"], ["--format", "jsonl"]])
def test_a_network_that_answers_no_number_is_told_and_nothing_is_predicted(broken_run, images, command, words):
    code, out, err = command("predict", broken_run.folder, images / "pictures", *words)
    assert code == 4
    told = json.loads(out)["error"]["message"] if "--json" in words else err
    assert "the network answers NaN or infinity to 2 of 2 images" in told and "a.jpg" in told
    assert "--json" in words or out == ""


def test_its_evaluation_and_the_end_of_its_training_say_the_same(broken_run, index_of):
    index = index_of(np.zeros((3, 6, 5, 3), np.uint8), [0, 1, 2], 3)
    images = Images(index, (6, 5, 3), allocated((3, 6, 5, 3), np.uint8))
    shown = Shown(images, range(3))
    with pytest.raises(TrainingError, match=r"NaN or infinity to 3 of 3 images, first to 0\.png"):
        score(broken_run, "test", broken_run.network(), shown, lambda split: shown, Progress())
    assert not broken_run.files.evaluation.exists()


def test_each_batch_but_the_last_is_whole_whatever_lies_between(run, images, monkeypatch):
    good, bad = images / "pictures" / "a.jpg", images / "broken.jpg"
    shown = []
    network = keras.Model.predict_on_batch
    monkeypatch.setattr(keras.Model, "predict_on_batch", lambda self, x: shown.append(len(x)) or network(self, x))
    words = [bad, good, bad, good, good, bad, good, good, bad]
    told = list(predict(run, words))
    assert [entry.image for entry in told] == [str(word) for word in words]
    assert [entry.error is None for entry in told] == [word == good for word in words]
    assert len({entry.probability for entry in told if entry.error is None}) == 1
    assert shown == [2, 2, 2]  # the last one is filled up


def test_rows_come_while_later_files_are_not_read_yet(run, images, monkeypatch):
    read_so_far = []
    reading = decoding.read_bytes
    monkeypatch.setattr(decoding, "read_bytes", lambda path: read_so_far.append(path) or reading(path))
    lines = csv_lines(predict(run, [images / "pictures" / "a.jpg"] * 1000), CLASSES)
    assert next(lines).startswith("image,") and next(lines).startswith(str(images))
    assert len(read_so_far) < 300
    lines.close()


def test_what_a_list_names_and_is_not_there_has_a_row_and_the_rest_goes_on(run, images, command, monkeypatch):
    names = [str(images / "gone.jpg"), str(images / "pictures" / "a.jpg")]
    stream = io.TextIOWrapper(io.BytesIO("\n".join(names).encode()))
    monkeypatch.setattr("sys.stdin", stream)
    code, out, _ = command("predict", run.folder, "-")
    gone, there = csv.DictReader(io.StringIO(out))
    assert code == 3
    assert (gone["error"], gone["label"]) == ("there is no such file or folder", "")
    assert there["label"] in CLASSES
    code, _, err = command("predict", run.folder, "-", "-")
    assert code == 2 and "twice" in err


def test_the_ending_of_the_output_tells_its_form(run, images, command, tmp_path):
    words = ("predict", run.folder, images / "pictures" / "a.jpg", "--output")
    assert command(*words, tmp_path / "rows.jsonl")[0] == 0
    assert json.loads((tmp_path / "rows.jsonl").read_text())["label"] in CLASSES
    assert command(*words, tmp_path / "rows.JSONL", "--format", "csv")[0] == 0
    assert (tmp_path / "rows.JSONL").read_text().startswith("image,label")
    for more in ((), ("--json",)):
        code, *_ = command(*words, tmp_path / "rows.json", *more)
        assert code == 2 and not (tmp_path / "rows.json").exists()


def test_how_many_classes_are_told_is_not_asked_of_a_csv(run, images, command):
    code, _, err = command("predict", run.folder, images / "pictures" / "a.jpg", "--top", "2")
    assert code == 2 and "--top is for tables and JSON" in err
