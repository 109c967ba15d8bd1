"""`cnnkit data`: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Command = Callable[..., tuple[int, str, str]]

CONFIG = """\
data:
  source: {name: folder, path: photos}
  image_size: [8, 8]
model: {name: sequential, layers: [{name: flatten}]}
"""


def picture(number: int) -> Image.Image:
    """A picture that no other number has, and none of `image_folder`'s."""
    return Image.fromarray(np.random.default_rng([1, number]).integers(0, 256, (8, 8, 3), np.uint8))


@pytest.fixture
def photos(image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Right photos in two classes, in the working folder beside a config for them."""
    root = image_folder({"cat": 12, "dog": 12}, name="photos")
    monkeypatch.chdir(root.parent)
    Path("mine.yaml").write_text(CONFIG)
    return root


@pytest.fixture
def faulty(photos: Path) -> Path:
    """The same with a damaged file, and a picture in two classes."""
    (photos / "cat/# torn.png").write_bytes((photos / "cat/0.png").read_bytes()[:60])
    shutil.copy(photos / "cat/1.png", photos / "dog/also_1.png")
    return photos


def test_the_verdict_on_right_data_comes_first(photos: Path, command: Command) -> None:
    code, out, err = command("data", "photos")
    assert (code, err) == (0, "")
    assert out.startswith("Nothing wrong was found in 24 images of 2 classes\n")
    for told in ("cat", "dog", "validation", "8 x 8", "standard deviation"):
        assert told in out


def test_errors_are_told_with_their_files_and_what_to_do(faulty: Path, command: Command) -> None:
    code, out, err = command("data", "photos")
    assert (code, err) == (3, "")
    assert out.startswith("2 errors in 25 images of 2 classes: do not train on this yet\n")
    assert "undecodable: 1 file can't be decoded: damaged" in out
    assert "cat/# torn.png" in out
    assert "cat/1.png = dog/also_1.png" in out
    assert "--fix-list" in out


def test_json_is_one_document_with_every_file(faulty: Path, command: Command) -> None:
    code, out, err = command("data", "photos", "--json")
    document = json.loads(out)
    assert code == 3
    assert "error" not in document
    assert (document["verdict"], document["images"]) == ("error", 25)
    assert [entry["name"] for entry in document["classes"]] == ["cat", "dog"]
    assert sum(entry["images"] for entry in document["classes"]) == 25
    assert sum(sum(entry["splits"].values()) for entry in document["classes"]) == 25
    findings = {finding["kind"]: finding for finding in document["findings"]}
    assert findings["undecodable"]["files"] == ["cat/# torn.png"]
    assert findings["contradicting_labels"]["groups"] == [["cat/1.png", "dog/also_1.png"]]
    assert {"severity", "message", "advice"} <= findings["undecodable"].keys()
    assert len(document["mean"]) == len(document["std"]) == 3
    assert "do not train" in err


def test_warnings_do_not_fail(photos: Path, command: Command) -> None:
    picture(99).save(photos / "cat/wrong.jpg", format="PNG")
    code, out, _ = command("data", "photos", "--json")
    assert code == 0
    assert json.loads(out)["verdict"] == "warning"


def test_the_list_of_what_to_leave_out_makes_the_data_right(faulty: Path, command: Command) -> None:
    code, out, _ = command("data", "mine.yaml", "--fix-list", "leave_out.txt")
    assert code == 3
    assert "leave_out.txt lists 3 images" in out
    assert "--set data.exclude=leave_out.txt" in out
    lines = Path("leave_out.txt").read_text().splitlines()
    names = [line for line in lines if not line.startswith("#")]
    assert sorted(names) == ["cat/# torn.png", "cat/1.png", "dog/also_1.png"]
    assert all(line.startswith("# ") for line in lines if line not in names)
    code, out, _ = command("data", "mine.yaml", "--set", "data.exclude=leave_out.txt")
    assert code == 0
    assert out.startswith("Nothing wrong was found in 23 images of 2 classes")


def test_a_name_that_begins_like_a_comment_is_left_out_too(photos: Path, command: Command) -> None:
    (photos / "#1").mkdir()
    for i in range(12):
        picture(100 + i).save(photos / "#1" / f"{i}.png")
    (photos / "#1" / "torn.png").write_bytes(b"")
    command("data", "photos", "--fix-list", "leave_out.txt")
    code, out, _ = command("data", "mine.yaml", "--set", "data.exclude=leave_out.txt")
    assert (code, out.splitlines()[0]) == (0, "Nothing wrong was found in 36 images of 3 classes (1 note)")


def test_what_was_left_out_before_stays_on_the_list(faulty: Path, command: Command) -> None:
    Path("before.txt").write_text("dog/5.png\n")
    command("data", "mine.yaml", "--set", "data.exclude=before.txt", "--fix-list", "leave_out.txt")
    assert "dog/5.png" in Path("leave_out.txt").read_text().splitlines()


def test_a_list_is_not_written_over_without_force(faulty: Path, command: Command) -> None:
    Path("mine.txt").write_text("precious")
    code, _, err = command("data", "photos", "--fix-list", "mine.txt")
    assert code == 2
    assert "--force" in err
    assert Path("mine.txt").read_text() == "precious"
    assert command("data", "photos", "--fix-list", "mine.txt", "--force")[0] == 3
    assert "cat/1.png" in Path("mine.txt").read_text()


def test_contact_sheets_go_where_they_are_wanted_and_never_into_a_folder_in_use(photos: Path, command: Command) -> None:
    assert command("data", "photos", "--sheets", "sheets")[0] == 0
    assert Path("sheets").is_dir()
    code, _, err = command("data", "photos", "--sheets", "photos")
    assert code == 2
    assert "photos is there already" in err


def test_files_that_are_skipped_are_a_warning(faulty: Path, command: Command) -> None:
    (faulty / "dog/also_1.png").unlink()
    code, out, _ = command("data", "mine.yaml", "--set", "data.source.on_bad=skip", "--json")
    assert code == 0
    [finding] = json.loads(out)["findings"]
    assert (finding["kind"], finding["severity"]) == ("undecodable", "warning")


def test_a_class_too_small_to_divide_is_an_error(photos: Path, command: Command) -> None:
    for file in sorted((photos / "dog").iterdir())[2:]:
        file.unlink()
    code, out, _ = command("data", "photos")
    assert code == 3
    assert "not_divisible: class `dog` has 2 different images to divide; at least 3 are needed" in out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nowhere"], 3, "nowhere: there is no such file or folder"),
        (["nowhere.yaml"], 2, "nowhere.yaml: there is no such file"),
        (["photos", "--set", "seed=1"], 2, "photos is none"),
        (["photos", "--fix-list", "no/such/list.txt"], 2, "no folder"),
        (["mine.yaml", "--set", "data.source.path=nowhere"], 2, "nowhere"),
    ],
)
def test_a_wrong_call_is_told_in_a_line(photos: Path, command: Command, words: list[str], code: int, told: str) -> None:
    found, out, err = command("data", *words)
    assert (found, out) == (code, "")
    assert told in err
    assert len(err.splitlines()) == 1


def test_a_name_in_another_encoding_is_told(photos: Path) -> None:
    file = photos / "cat" / b"k\xe4tzchen.png".decode(errors="surrogateescape")  # Latin-1, as from an old archive
    file.write_bytes(b"")
    words = [sys.executable, "-m", "cnnkit", "data", "mine.yaml"]
    shown = subprocess.run([*words, "--fix-list", "leave_out.txt"], capture_output=True, timeout=300)
    assert shown.returncode == 3
    assert rb"cat/k\xe4tzchen.png" in shown.stdout  # shown as an escape
    words += ["--set", "data.exclude=leave_out.txt", "--json"]
    told = subprocess.run(words, capture_output=True, timeout=300)
    assert told.returncode == 0
    [entry] = json.loads(told.stdout.decode("utf-8"))["unused"]
    assert entry["name"] == f"cat/{file.name}"


@pytest.mark.parametrize(
    ("kinds", "said_by_init", "note"),
    [
        ("LLLRRRRR", "grey images", None),  # R: grey, and stored as RGB
        ("LLRRCCCC", "colour images", "4 pictures are grey, 4 in colour"),
        ("CCCCCCCC", "colour images", None),
    ],
)
def test_init_and_data_call_the_same_pictures_grey(tmp_path, command, kinds, said_by_init, note):
    for i, kind in enumerate(kinds):
        shown = picture(i).resize((40, 40))
        shown = shown if kind == "C" else shown.convert("L")
        folder = tmp_path / "images" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (shown.convert("RGB") if kind == "R" else shown).save(folder / f"{i}.jpg", quality=95)
    _, out, _ = command("init", tmp_path / "images", "--output", tmp_path / "made.yaml")
    assert f"8 {said_by_init} of 2 classes" in out
    found = {f["kind"]: f["message"] for f in json.loads(command("data", tmp_path / "images", "--json")[1])["findings"]}
    assert found.get("mixed_channels") == note
