"""Suspects: ranked, told why, listed as data.exclude takes them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cnnkit.core.progress import Progress
from cnnkit.data.section import read_names
from cnnkit.inspection.doctor.base import Finding, Report
from cnnkit.studies import suspects
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


CONFIG = """\
data:
  source: {name: folder, path: photos}
  image_size: [8, 8]
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 1}
"""


def test_the_command_lists_a_picture_in_two_classes(image_folder, command, monkeypatch):
    root: Path = image_folder({"cat": 12, "dog": 12}, name="photos")
    monkeypatch.chdir(root.parent)
    Path("mine.yaml").write_text(CONFIG)
    shutil.copy("photos/cat/1.png", "photos/dog/also_1.png")

    def judged(data, run, progress):
        return np.eye(2)[data.images.index.labels], "nobody"

    monkeypatch.setattr(suspects, "judged", judged)
    code, out, err = command("data", "mine.yaml", "--suspects", "folds", "--fix-list", "list.txt", "--sheets", "sheet")
    assert (code, err) == (0, "")
    assert out.startswith("2 labels of 25 may be wrong, judged by nobody.\n")
    assert "the same picture is in dog too" in out
    assert Path("sheet/suspects.png").is_file()
    assert list(read_names("list.txt")) == ["cat/1.png", "dog/also_1.png"]


def test_a_folder_without_a_config_is_refused(image_folder, command, monkeypatch):
    root = image_folder({"cat": 2, "dog": 2}, name="photos")
    code, _, err = command("data", root, "--suspects", "folds")
    assert code == 2
    assert "--suspects needs a config" in err


def test_a_cache_that_can_not_be_written_costs_the_sheet_alone(index_of, monkeypatch, tmp_path):
    class Said(Progress):
        lines: ClassVar[list[str]] = []

        def say(self, line):
            self.lines.append(line)

    (tmp_path / "file").touch()
    monkeypatch.setattr(suspects, "cache_folder", lambda: tmp_path / "file")
    index = index_of(pictures(6), [0, 0, 0, 1, 0, 1])
    found = tuple(suspects.suspected(index, PROBABILITIES, REPORT))
    assert suspects._drawn(index, found, None, Said()) is None
    assert "choose a folder with --sheets" in Said.lines[0]
