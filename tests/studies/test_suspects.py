"""Suspects: ranked, told why, listed as data.exclude takes them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnnkit import find_suspects, read
from cnnkit.commands import data_studies
from cnnkit.core.errors import UsageError
from cnnkit.core.progress import Progress
from cnnkit.data.section import read_names
from cnnkit.inspection.doctor.base import Finding, Report
from cnnkit.runs.run import Run
from cnnkit.studies import material, suspects
from cnnkit.training import head

REPORT = Report(0, (), ())


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), np.uint8)


@pytest.fixture
def index(index_of):
    """Six pictures of classes a and b, the fifth labelled a and like b."""
    return index_of(pictures(6), [0, 0, 0, 1, 0, 1])


PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.2, 0.8]])


def test_an_image_unlike_its_class_is_told_with_the_class_it_looks_like(index):
    (found,) = suspects.suspected(index, PROBABILITIES, REPORT)
    assert (found.file, found.label, found.suggested, found.kind) == ("4.png", "a", "b", "unlike")
    assert found.score == pytest.approx((0.1 - 0.9 + 1) / 2)
    assert found.reason == "looks like b (0.90)"


def test_pictures_in_two_classes_come_first_and_once_whatever_networks_say(index):
    copies = Finding("contradicting_labels", "warning", "", groups=(("0.png", "3.png"),))
    near = Finding("near_contradicting", "warning", "", groups=(("1.png", "5.png"), ("0.png", "3.png")))
    found = list(suspects.suspected(index, PROBABILITIES, replace(REPORT, findings=(near, copies))))
    assert [each.file for each in found] == ["0.png", "3.png", "1.png", "5.png", "4.png"]
    assert [each.kind for each in found] == ["copy", "copy", "near_copy", "near_copy", "unlike"]
    assert [each.suggested for each in found] == ["b", "a", "b", "a", "b"]


def test_the_list_is_what_data_exclude_takes(index, tmp_path):
    found = suspects.Suspects(6, "", 0.8, 0.1, tuple(suspects.suspected(index, PROBABILITIES, REPORT)))
    count = suspects.write_list(tmp_path / "list.txt", found, ("before.png",))
    assert list(read_names(str(tmp_path / "list.txt"))) == ["before.png", "4.png"]
    assert count == 2
    assert "# a, score 0.100: looks like b (0.90)" in (tmp_path / "list.txt").read_text()


def test_out_of_fold_probabilities_do_not_know_the_label_of_their_image():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    features = np.float32(random.normal(0, 1, (300, 5)) + 4 * np.eye(3, 5)[labels])
    wrong = labels.copy()
    wrong[:9] = (labels[:9] + 1) % 3
    found = head.out_of_fold(features, wrong, [str(i) for i in range(300)], 3, 0)
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found.argmax(axis=1)[:9] == labels[:9]).mean() > 0.8


def test_copies_are_judged_by_what_saw_none_of_them():
    random = np.random.default_rng(0)
    features = np.float32(random.normal(0, 1, (40, 200)))  # more features than images: what is seen is learnt by heart
    labels = random.integers(0, 2, 40)
    doubled, twice, groups = np.repeat(features, 2, 0), np.repeat(labels, 2), [str(i // 2) for i in range(80)]
    together = head.out_of_fold(doubled, twice, groups, 2, 0)
    apart = head.out_of_fold(doubled, twice, [str(i) for i in range(80)], 2, 0)
    assert (together.argmax(axis=1) == twice).mean() < 0.75 < 0.9 < (apart.argmax(axis=1) == twice).mean()


@dataclass
class Data:
    """As much of `TrainingData` as a run is measured by: each image is a group."""

    images: SimpleNamespace
    of: list[str] | None = None

    def groups(self):
        return self.of or self.images.index.digests


def trained_on(index, count, classes=None):
    """As much of a run as is asked here: it was trained on the first images."""
    rows = [SimpleNamespace(digest=digest) for digest in index.digests[:count]]
    return SimpleNamespace(folder="runs/a", split={"train": rows}.__getitem__, classes=classes or list(index.classes))


@pytest.fixture
def many(index_of):
    """200 pictures of two classes, of which every twentieth has a wrong label; and the truth."""
    truth = np.arange(200) // 2 % 2
    labels = np.where(np.arange(200) % 20 == 0, 1 - truth, truth)
    return index_of(pictures(200), labels.tolist()), truth


def features_of(index, truth, known):
    """Features that show the labels of the first images, and of the others what can be seen, most often the truth."""
    random = np.random.default_rng(0)
    seen = np.where(random.random(200) < 0.15, 1 - truth, truth)
    shown = np.where(np.arange(200) < known, index.labels, seen)
    return np.float32(np.eye(2)[shown] + random.normal(0, 0.1, (200, 2)))


@pytest.mark.parametrize(("known", "left_out"), [(140, 140), (0, 0)])
def test_labels_that_a_run_knows_by_heart_are_not_judged_by_its_features(many, known, left_out):
    index, truth = many
    found = head.out_of_fold(features_of(index, truth, known), index.labels, index.digests, 2, 0)
    right = found.argmax(axis=1) == index.labels
    learnt = suspects.learnt(trained_on(index, 140), Data(SimpleNamespace(index=index)), right)
    assert np.flatnonzero(learnt).tolist() == list(range(left_out))
    told = {each.file for each in suspects.suspected(index, found, REPORT, ~learnt)}
    judged = {f"{i}.png" for i in range(left_out, 200)}
    assert told <= judged
    wrong = {f"{i}.png" for i in range(0, 200, 20)} & judged
    assert len(told & wrong) >= 0.6 * len(wrong)


def test_what_belongs_together_with_a_trained_image_counts_as_trained(many):
    index, _ = many
    groups = [str(i // 2) for i in range(200)]
    right = np.arange(200) < 141
    learnt = suspects.learnt(trained_on(index, 139), Data(SimpleNamespace(index=index), groups), right)
    assert np.flatnonzero(learnt).tolist() == list(range(140))


def test_too_few_images_to_train_on_some_and_judge_others_are_refused(config_of, command):
    code, out, err = command("data", config_of(4), "--suspects", "folds")
    assert (code, out) == (3, "")
    assert "8 images that do not belong together are too few to train on some and judge others; at least 10" in err


def test_a_run_that_was_trained_on_all_images_is_refused(many):
    index, _ = many
    with pytest.raises(UsageError, match=r"trained on all of these images.*--suspects folds"):
        suspects.learnt(trained_on(index, 200), Data(SimpleNamespace(index=index)), np.ones(200, bool))


def test_a_picture_in_two_classes_that_is_not_judged_has_no_score(index):
    near = Finding("near_contradicting", "warning", "", groups=(("1.png", "5.png"),))
    asked = np.arange(6) != 1
    found = list(suspects.suspected(index, PROBABILITIES, replace(REPORT, findings=(near,)), asked))
    assert [(each.file, each.score is None) for each in found[:2]] == [("1.png", True), ("5.png", False)]


def test_labels_that_may_be_wrong_are_told_of_those_that_were_judged_and_pictures_in_two_classes_of_the_others():
    unlike = suspects.Suspect("2.png", "cat", "dog", 0.1, "unlike", "looks like dog (0.90)")
    copy = suspects.Suspect("1.png", "cat", "dog", None, "copy", "the same picture is in dog too")
    found = suspects.Suspects(320, "its features", 0.7, 0.3, (copy, unlike, unlike), None, 0.99, 224)
    first, second, *_ = data_studies._about(found, "runs/a", "cnnkit data CONFIG --suspects folds")
    assert first == "2 labels of 96 may be wrong, judged by its features."
    assert second == "Of the 224 not judged 1 may be wrong: their pictures are in two classes."


def test_the_command_lists_a_picture_in_two_classes(config_of, command, monkeypatch):
    config = config_of(12)
    shutil.copy("photos/cat/1.png", "photos/dog/also_1.png")

    def judged(data, run, progress):
        return np.eye(2)[data.images.index.labels], "nobody"

    monkeypatch.setattr(suspects, "judged", judged)
    code, out, err = command("data", config, "--suspects", "folds", "--fix-list", "list.txt", "--sheets", "sheet")
    assert (code, err) == (0, "")
    assert out.startswith("2 labels of 25 may be wrong, judged by nobody.\n")
    assert "the same picture is in dog too" in out
    assert Path("sheet/suspects.png").is_file()
    assert list(read_names("list.txt")) == ["cat/1.png", "dog/also_1.png"]


def test_without_a_run_each_image_is_judged_once_by_a_network_that_saw_neither_it_nor_its_copy(config_of, monkeypatch):
    config = config_of(20)
    shutil.copy("photos/cat/1.png", "photos/cat/copy.png")
    data, asked = material.material(read(config), Progress()), []

    def trained(data, learns, chooses, judged, progress):
        asked.append((learns, chooses, judged))
        return np.eye(2)[data.images.index.labels[judged]]

    monkeypatch.setattr(material, "probabilities_of_training", trained)
    found, by = suspects.judged(data, None, Progress())
    labels, names = data.images.index.labels, data.images.index.names
    assert by.startswith("networks of the config")
    assert (found.argmax(axis=1) == labels).all()
    assert sorted(i for *_, judged in asked for i in judged) == list(range(41))
    copies = {names.index("cat/1.png"), names.index("cat/copy.png")}
    for learns, chooses, judged in asked:
        assert sorted(learns + chooses + judged) == list(range(41))  # each in one of the three
        assert len(learns) == pytest.approx(0.7 * 41, abs=2)
        assert all(set(labels[numbers]) == {0, 1} for numbers in (learns, chooses, judged))
        assert [len(copies & set(numbers)) for numbers in (learns, chooses, judged)].count(2) == 1


@pytest.mark.slow
def test_networks_of_the_config_find_labels_that_are_wrong(bright_and_dark, caplog):
    for number in (3, 4):
        Path(f"photos/dark/{number}.png").rename(f"photos/bright/was_dark_{number}.png")
    found = find_suspects(read(bright_and_dark, "train.epochs=6", "train.optimizer={name: adam, learning_rate: 0.05}"))
    assert {each.file for each in found.suspects} == {"bright/was_dark_3.png", "bright/was_dark_4.png"}
    assert {each.suggested for each in found.suspects} == {"dark"}
    assert not Path("runs").exists()
    assert not caplog.records  # of TensorFlow, that it compiles one network after the other


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("nowhere", "--suspects nowhere: there is no such folder; name that of a run, or `folds` to do without"),
        ("photos", "photos is not a run of cnnkit: holds no config.yaml and provenance.json"),
    ],
)
def test_what_is_no_run_is_told(config_of, command, by, message):
    code, _, err = command("data", config_of(2), "--suspects", by)
    assert (code, err) == (2, f"{message}\n")


def test_a_run_of_other_classes_is_told_with_both(config_of, monkeypatch):
    classes = ["ant", "bee"]
    run = SimpleNamespace(folder=Path("insects"), classes=classes, preprocessing=None)
    monkeypatch.setattr(suspects.Run, "open", lambda run: run)
    message = "--suspects insects: that run tells apart ant, bee, and the images are cat, dog; name a run of these"
    with pytest.raises(UsageError, match=message):
        find_suspects(read(config_of(4)), run)


def with_run(monkeypatch, run):
    """The command is to find that run, whose features name every label of the images that it was trained on."""
    monkeypatch.setattr(suspects, "judged", lambda data, run, progress: (by_label(data.images.index), "nobody"))
    monkeypatch.setattr(Run, "open", lambda folder: run)


def by_label(index):
    labels = np.where(np.arange(24) % 12 < 8, index.labels, 1 - index.labels)
    return np.eye(2)[labels]


class Known(SimpleNamespace):
    """As much of a run as the command asks: of the config's images those with the numbers 0 to 7 of each class."""

    preprocessing = None
    folder = Path("runs/a")

    def split(self, name):
        index = material.material(read("mine.yaml"), Progress()).images.index
        return [SimpleNamespace(digest=digest) for i, digest in enumerate(index.digests) if i % 12 < 8]


def test_the_command_tells_how_the_images_are_judged_that_the_run_knows_by_heart(config_of, command, monkeypatch):
    with_run(monkeypatch, Known(classes=["dog", "cat"]))
    config = config_of(12)
    Path("runs/a").mkdir(parents=True)
    code, out, err = command("data", config, "--suspects", "runs/a", "--set", "data.batch_size=4")
    assert (code, err) == (0, "")
    assert out.startswith("8 labels of 8 may be wrong, judged by nobody.")
    assert "runs/a was trained on 16 images of 24 until it knew labels by heart: of these 100.0 % seem right" in out
    assert "so they are not judged, and the other 8 are. To judge all: cnnkit data mine.yaml --set " in out
    assert "--set data.batch_size=4 --suspects folds" in out


def test_a_folder_without_a_config_is_refused(image_folder, command, monkeypatch):
    root = image_folder({"cat": 2, "dog": 2}, name="photos")
    code, _, err = command("data", root, "--suspects", "folds")
    assert code == 2
    assert "--suspects needs a config" in err


def test_a_cache_that_can_not_be_written_costs_the_sheet_alone(index_of, monkeypatch, tmp_path, said):
    (tmp_path / "file").touch()
    monkeypatch.setattr(suspects, "cache_folder", lambda: tmp_path / "file")
    index = index_of(pictures(6), [0, 0, 0, 1, 0, 1])
    found = tuple(suspects.suspected(index, PROBABILITIES, REPORT))
    assert suspects._drawn(index, found, None, said) is None
    assert "choose a folder with --sheets" in said.lines[0]
