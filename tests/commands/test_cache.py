"""`cnnkit cache`: what is kept, how large, used when and by whom; and that nothing else is ever touched."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from cnnkit.core import cache, cache_contents
from cnnkit.core.progress import Progress

HASH = "0123456789abcdef" * 2
KEPT = {
    f"pixels/{HASH}-{HASH}.images": "pixels",
    f"archives/{HASH}/train/cat/1.png": "archives",
    f"archives/{HASH}.files": "archives",
    f"index/{HASH}.json": "files",
    f"doctor/{HASH}/{HASH}.json": "findings",
    f"doctor/near/{HASH}": "near",
    f"doctor/pixels/{HASH}": "thumbnails",
    f"doctor/sheets/{HASH}/sheet.png": "sheets",
    f"doctor/suspects/{HASH}.png": "suspects",
    f"preview/digits-{HASH}.png": "previews",
    f"lr/digits-{HASH}.png": "rates",
    f"hub/{HASH}/saved_model.pb": "hub",
    f"hub/{HASH}.descriptor.txt": "hub",
    "keras/models/mobilenet_2_5_224_tf_no_top.h5": "weights",
    "keras/datasets/fashion-mnist/train-labels-idx1-ubyte.gz": "datasets",
    "keras/datasets/mnist.npz": "datasets",
    "keras/keras.json": "settings",
    "tfds/beans/0.1.0/dataset_info.json": "tfds",
    "tfds/downloads/extracted/ZIP.beans/1.jpg": "downloads",
    "speeds.json": "speeds",
    f"pixels/.writing-0123456789ab-{HASH}-{HASH}.images": "pixels",
}
BY_HAND = "backbones/mine/saved_model.pb"


@pytest.fixture
def home() -> Path:
    return Path(os.environ["CNNKIT_CACHE"])


@pytest.fixture
def filled(home):
    """A cache with something of every kind, ten bytes each."""
    for name in (*KEPT, BY_HAND):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"0123456789")
    return home


@pytest.fixture
def document(command):
    """What a call with `--json` prints, which must end well."""

    def run(*words):
        code, out, err = command("cache", "--json", *words)
        assert code == 0, err
        return json.loads(out)

    return run


def aged(path: Path, days: float) -> None:
    for place in (path, *path.rglob("*")):
        os.utime(place, (time.time() - days * 86_400,) * 2)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {cache.LOCK}


def test_an_empty_cache_and_one_that_is_not_there_hold_nothing(home, document, command):
    assert (document()["bytes"], document()["kinds"]) == (0, [])
    home.rmdir()
    assert document("--clear")["removed"]["entries"] == 0
    assert "nothing is kept" in command("cache")[1]
    assert not home.exists()


def test_every_kind_is_shown_with_its_size_and_when_it_was_used(filled, document, command):
    found = document()
    assert found["folder"] == str(filled)
    assert {kind["kind"] for kind in found["kinds"]} == {kind.name for kind in cache_contents.KINDS}
    assert found["bytes"] == 10 * (len(KEPT) + 1)
    of_hub = [entry for entry in found["entries"] if entry["kind"] == "hub"]
    assert sorted(entry["path"] for entry in of_hub) == [f"{filled}/hub/{HASH}", f"{filled}/hub/{HASH}.descriptor.txt"]
    assert found["left_alone"] == []
    out = command("cache")[1]
    assert "pixels" in out and "20 B" in out and "cnnkit cache --older-than 30" in out


def test_clear_removes_all_but_what_people_have_put_there(filled, document, command):
    removed = document("--clear")["removed"]
    assert removed["bytes"] == 10 * len(KEPT)
    assert files_below(filled) == {BY_HAND}
    assert "backbones (--kind backbones for these)" in command("cache", "--clear")[1]
    assert document("--clear", "--kind", "backbones")["removed"]["entries"] == 1
    assert files_below(filled) == set()


def test_one_kind_can_be_cleared(filled, document):
    assert document("--clear", "--kind", "hub", "--kind", "speeds")["removed"]["entries"] == 3
    assert files_below(filled) == {name for name, kind in KEPT.items() if kind not in ("hub", "speeds")} | {BY_HAND}


def test_what_was_not_used_for_so_many_days_is_cleared(filled, document):
    aged(filled / "pixels", 40)
    aged(filled / "hub" / HASH, 20)
    aged(filled / "archives", 40)
    os.utime(filled / f"archives/{HASH}/train/cat/1.png")  # one file that was used makes the whole of it used
    removed = document("--older-than", "30")["removed"]["paths"]
    assert {Path(path).relative_to(filled).parts[0] for path in removed} == {"pixels", "archives"}
    assert (filled / f"archives/{HASH}").is_dir() and not (filled / f"archives/{HASH}.files").exists()
    assert document("--older-than", "10.5")["removed"]["paths"] == [f"{filled}/hub/{HASH}"]
    assert document("--older-than", "10.5")["removed"]["paths"] == []


def test_links_are_left_alone_and_never_followed(filled, tmp_path, document, command):
    mine = tmp_path / "mine"
    (mine / "pixels").mkdir(parents=True)
    for name in ("thesis.txt", f"pixels/{HASH}-{HASH}.images"):
        (mine / name).write_text("years of work")
    (filled / "preview" / f"link-{HASH}.png").symlink_to(mine / "thesis.txt")
    (filled / "archives" / f"{HASH[::-1]}").symlink_to(mine)
    (filled / f"archives/{HASH}/within").symlink_to(mine)
    (filled / "index" / f"{HASH[::-1]}.json").symlink_to(tmp_path / "nowhere")
    for path in (filled / "pixels").iterdir():
        path.unlink()
    (filled / "pixels").rmdir()
    (filled / "pixels").symlink_to(mine / "pixels")
    left = document()["left_alone"]
    assert {Path(path).name for path in left} == {f"link-{HASH}.png", HASH[::-1], f"{HASH[::-1]}.json", "pixels"}
    command("cache", "--clear")
    assert files_below(mine) == {"thesis.txt", f"pixels/{HASH}-{HASH}.images"}
    assert (filled / "pixels").is_symlink() and not (filled / f"archives/{HASH}").exists()


def test_a_cache_that_is_a_link_itself_is_one(filled, tmp_path, monkeypatch, document):
    (tmp_path / "link").symlink_to(filled)
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "link"))
    assert document("--clear")["removed"]["bytes"] == 10 * len(KEPT)


def test_a_folder_that_is_named_by_mistake_keeps_what_is_no_cache(tmp_path, monkeypatch, command):
    own = {"thesis.txt", "archives/2024/letters.tar", "pixels/game.py", "keras/models/network.py", "preview/a.png"}
    own |= {"hub/main.go", "index/book.json", "doctor/bill.pdf", "keras/notes.txt", ".bashrc", "uses/of/salt.txt"}
    own |= {"keras/models/thesis.keras", "keras/models/best.h5", "keras/models/resnet50_mine.h5"}
    own |= {"tfds/notes/a.txt", "tfds/downloads/manual/ILSVRC2012_img_val.tar"}
    for name in own:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path))
    code, out, _ = command("cache", "--clear")
    assert code == 0 and "0 entries removed" in out
    assert files_below(tmp_path) == own


@pytest.mark.parametrize("words", [["--clear"], ["--older-than", "0"]])
def test_nothing_is_removed_while_somebody_uses_the_cache(filled, command, words):
    with cache.in_use():
        code, _, err = command("cache", *words)
        assert code == 2
        assert "is using the cache" in err and "nothing was removed" in err
        assert command("cache")[0] == 0  # a look is free
    assert files_below(filled) == {*KEPT, BY_HAND}
    assert command("cache", *words)[0] == 0
    assert files_below(filled) == {BY_HAND}


def test_every_other_command_holds_the_lock(filled, command, monkeypatch):
    found = []

    def busy(screen):
        found.append(command("cache", "--clear")[0])

    from cnnkit.commands.command import command as made

    made("cnnkit busy")(busy).run(json_output=False, debug=False)
    assert found == [2]


def test_by_which_runs_something_was_used_is_told_and_forgotten_with_it(filled, tmp_path, document, command):
    (tmp_path / "runs" / "first").mkdir(parents=True)
    for run in ("first", "second"):
        with cache.in_use():
            cache.note(filled / f"archives/{HASH}/train/cat/1.png")
            cache.note(tmp_path / "photo.png")
            cache.record_use(tmp_path / "runs" / run, Progress())
    runs = {entry["path"]: entry["runs"] for entry in document()["entries"]}
    assert runs[f"{filled}/archives/{HASH}"] == [str(tmp_path / "runs/first"), str(tmp_path / "runs/second")]
    assert runs[f"{filled}/hub/{HASH}"] == []
    assert "second (gone)" in command("cache")[1].replace("\n", "")
    assert len(list((filled / "uses").iterdir())) == 2
    command("cache", "--clear", "--kind", "archives")
    assert not (filled / "uses").exists()


def test_folders_that_may_not_be_written_to_are_removed_too(filled, document):
    (filled / f"archives/{HASH}/train/cat").chmod(0o500)
    (filled / f"archives/{HASH}").chmod(0o500)
    assert document("--clear", "--kind", "archives")["removed"]["entries"] == 2
    assert not (filled / "archives").exists()


def test_what_can_not_be_removed_is_named_and_the_rest_goes(filled, command, monkeypatch):
    remove = cache_contents._remove

    def stubborn(path):
        if path.name == "speeds.json":
            raise PermissionError(13, "Permission denied", str(path))
        remove(path)

    monkeypatch.setattr(cache_contents, "_remove", stubborn)
    code, _, err = command("cache", "--clear")
    assert code == 4
    assert f"{filled}/speeds.json: can't be removed: Permission denied" in err.replace("\n", "")
    assert files_below(filled) == {"speeds.json", BY_HAND}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kind", "pixel"], "did you mean `pixels`?"),
        (["--kind", "everything"], "it may be pixels, archives"),
        (["--older-than", "-1"], "greater than or equal to 0"),
        (["--older-than", "a month"], "a valid number"),
    ],
)
def test_what_can_not_be_meant_is_refused(filled, command, words, said):
    code, _, err = command("cache", "--clear", *words)
    assert code == 2
    assert said in err
    assert files_below(filled) == {*KEPT, BY_HAND}
