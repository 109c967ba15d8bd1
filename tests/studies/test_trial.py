"""The trial of `init --minutes`: what is taken at which figures, and the trial itself on a tiny scale."""

from __future__ import annotations

import json
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from PIL import Image

from cnnkit.config import file as config_file
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError, Interrupted, TrainingError, UsageError
from cnnkit.core.lazy import tf
from cnnkit.core.progress import Progress
from cnnkit.data.sources import Folder
from cnnkit.evaluation.baseline import Baseline
from cnnkit.inspection.first_config import pretrained
from cnnkit.inspection.first_config.base import Traits
from cnnkit.inspection.first_config.decision import Wish
from cnnkit.inspection.first_config.start import Subject
from cnnkit.models import backbones
from cnnkit.studies import bench, trial
from cnnkit.studies.bench import Tried
from cnnkit.studies.budget import Budget, Pace

PHOTOGRAPHS = Traits(
    classes={"daisy": 400, "rose": 400},
    splits={"train": 560, "validation": 120, "test": 120},
    own=frozenset(),
    height=480,
    width=640,
    detail=300,
)
IMAGES = 100
"""Validation images in the figures below."""


def tried(right: int, epochs: int = 0, first: int = 0) -> Tried:
    """So many of the validation images are right, from the first on."""
    places = (np.arange(IMAGES) - first) % IMAGES < right
    return Tried(tuple(map(str, range(IMAGES))), places, epochs, 560)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeBench:
    """Gives figures in place of trainings, and lets the time pass that these would have taken."""

    def __init__(self, clock, head=70, small=70, further=70, first=0, slow=1.0, epoch=2.0, pace=None):
        self.clock, self.head, self.small, self.further = clock, head, small, further
        self.first, self.slow, self.epoch, self.pace = first, slow, epoch, pace
        self.asked: list[str] = []

    def __call__(self, subject, folder):
        self.folder = folder
        return self

    def fitted(self, suggestion, seconds):
        self.asked.append("head")
        if isinstance(self.head, Exception):
            raise self.head
        self.clock.now += min(seconds, 20.0 * self.slow)
        return tried(self.head), Pace(5.0, 20.0 * self.slow, 0.0, 0.0)

    def loaded(self, suggestion, most):
        return suggestion, 0.01

    def paced(self, data, decoding):
        self.asked.append(f"pace of {data.kind}")
        if isinstance(self.pace, Exception):
            raise self.pace
        self.clock.now += 5.0
        return Pace(5.0, 8.0, self.epoch, 1.0)

    def trained(self, data, epochs):
        self.asked.append(data.kind)
        self.clock.now += self.epoch * epochs
        right = self.small if data.kind == "from scratch" else self.further
        if isinstance(right, Exception):
            raise right
        return tried(right, epochs, self.first if data.kind == "from scratch" else 0)


@pytest.fixture
def decided(monkeypatch, tmp_path):
    """Decides with the given figures: the decision, the bench and the clock."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_HOME", raising=False)

    def decide(minutes=8.0, traits=PHOTOGRAPHS, wish=None, backbone=True, **figures):
        if backbone:
            (cache_folder() / "backbones").mkdir(parents=True, exist_ok=True)
            h5py.File(cache_folder() / "backbones" / "mobilenet_2_5_224_tf_no_top.h5", "w").close()
        clock = Clock()
        fake = FakeBench(clock, **figures)
        monkeypatch.setattr(trial, "Bench", fake)
        subject = Subject("x", Folder(path=str(tmp_path)), traits, Progress())
        return trial.decide(subject, Budget(60 * minutes, 0.0, clock), wish), fake, clock

    return decide


@pytest.mark.parametrize(("head", "small", "kind"), [(90, 70, "pretrained"), (66, 74, "from scratch")])
def test_the_better_one_is_taken_and_the_other_one_stands_by_with_its_figure(decided, head, small, kind):
    decision, _, _ = decided(head=head, small=small)
    assert decision.chosen.kind == kind
    assert decision.other.kind != kind
    assert f"0.{min(head, small)}0 on validation" in decision.why_not
    assert "0.900" in decision.why if head == 90 else "0.740" in decision.why
    assert decision.basis == "by the speeds of the trial"


@pytest.mark.parametrize(("detail", "kind"), [(300, "pretrained"), (40, "from scratch")])
def test_where_validation_can_not_tell_the_rule_decides(decided, detail, kind):
    # 70 and 72 right, of which 40 and 42 are not the same: a difference of 2 where chance alone makes 9.
    decision, _, _ = decided(head=70, small=72, first=58, traits=replace(PHOTOGRAPHS, detail=detail))
    assert decision.chosen.kind == kind
    assert "too close to tell" in decision.why


@pytest.mark.parametrize("minutes", [1.0, 2.0, 8.0, 30.0])
@pytest.mark.parametrize("epoch", [0.1, 2.0, 10.0])
@pytest.mark.parametrize(("head", "small"), [(90, 70), (70, 90)])
def test_trial_and_training_together_take_no_longer_than_was_said(decided, minutes, epoch, head, small):
    decision, _, clock = decided(minutes, head=head, small=small, epoch=epoch)
    assert clock.now + decision.seconds <= 60 * minutes


def test_a_backbone_for_which_the_time_does_not_suffice_is_told_of(decided):
    decision, bench, _ = decided(minutes=3, head=95, slow=20.0)
    assert decision.chosen.kind == "from scratch"
    assert "more than is left" in decision.why_not
    assert "was tried, but its training would take" in decision.why
    assert "from scratch" not in bench.asked  # nothing to be compared with, so only its speed is measured


def test_a_backbone_that_can_not_be_used_is_told_of_and_the_other_one_taken(decided):
    decision, _, _ = decided(head=DataError("weights.h5 is damaged"))
    assert (decision.chosen.kind, decision.other) == ("from scratch", None)
    assert "Not used: weights.h5 is damaged." in decision.notes


DIVERGED = TrainingError("training diverged: loss is nan after epoch 1")


@pytest.mark.parametrize("figures", [{"small": DIVERGED}, {"pace": DIVERGED}])
def test_where_the_small_network_diverges_the_other_one_is_taken_and_that_is_said(decided, figures):
    decision, _, _ = decided(**figures)
    assert (decision.chosen.kind, decision.other.kind) == ("pretrained", "from scratch")
    assert decision.why.endswith("the training of a small network failed.")
    assert "diverged" in decision.why_not


def test_where_all_that_there_is_diverges_the_rule_decides_and_that_is_said(decided):
    decision, _, _ = decided(backbone=False, pace=DIVERGED)
    assert (decision.chosen.kind, decision.other) == ("from scratch", None)
    assert any("diverged" in note and "untried" in note for note in decision.notes)


def test_where_the_fine_tuning_diverges_the_classifier_stays_and_that_is_said(decided):
    decision, _, _ = decided(head=90, small=70, further=DIVERGED)
    assert decision.chosen.values() == decided(head=90, small=70, further=70)[0].chosen.values()
    assert any(note.startswith("Not trained further") and "diverged" in note for note in decision.notes)


def test_one_that_was_asked_for_and_can_not_be_used_is_an_error(decided):
    with pytest.raises(UsageError, match="--backbone mobilenet_2_5_224_tf_no_top: weights"):
        decided(head=DataError("weights.h5 is damaged"), wish=Wish(backbone="mobilenet_2_5_224_tf_no_top"))


def test_fine_tuning_is_kept_only_where_validation_says_so(decided):
    better, _, _ = decided(head=80, small=60, further=90)
    assert better.chosen.values()["train"]["stages"][0] == {"freeze": "backbone"}
    assert better.chosen.epochs >= trial.FINE_TUNING[0]
    for further in (80, 81, 70):
        same, bench, _ = decided(head=80, small=60, further=further)
        assert "pretrained" in bench.asked
        assert "train" not in same.chosen.values()


def test_for_fine_tuning_there_has_to_be_time(decided):
    _, bench, _ = decided(minutes=1, head=80, small=60, further=90)
    assert "pretrained" not in bench.asked


def test_what_is_wished_for_is_not_put_to_the_test(decided):
    decision, bench, _ = decided(wish=Wish(from_scratch=True))
    assert (decision.chosen.kind, decision.other, bench.asked) == ("from scratch", None, ["pace of from scratch"])
    decision, bench, _ = decided(head=1, small=99, wish=Wish(backbone="mobilenet_2_5_224_tf_no_top"))
    assert decision.chosen.kind == "pretrained"
    assert "from scratch" not in bench.asked


def test_without_a_backbone_only_the_speed_is_measured(decided):
    decision, bench, _ = decided(backbone=False, traits=replace(PHOTOGRAPHS, detail=30))
    assert (decision.chosen.kind, bench.asked) == ("from scratch", ["pace of from scratch"])
    assert decision.chosen.epochs == 60


def test_a_very_short_time_leaves_it_to_the_rule(decided):
    decision, bench, _ = decided(minutes=0.4)
    assert bench.asked == []
    assert "No time for a trial" in decision.notes[-1]


def test_one_epoch_that_takes_longer_is_said_to(decided):
    decision, _, _ = decided(minutes=1, backbone=False, epoch=500.0, traits=replace(PHOTOGRAPHS, detail=30))
    assert decision.chosen.epochs == 1
    assert "One epoch alone takes about 9 minutes" in decision.notes[-1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interruption_leaves_nothing_behind(decided, number, code, monkeypatch):
    folders = []

    def interrupted(self, data, epochs):
        folders.append(self.folder)
        (self.folder / "half").touch()
        signal.raise_signal(number)

    monkeypatch.setattr(FakeBench, "trained", interrupted)
    # A suite that runs in the background ignores Ctrl-C, and one under nohup a closed terminal.
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(Interrupted) as raised:
            decided()
    finally:
        signal.signal(number, before)
    assert (raised.value.exit_code, str(raised.value)) == (code, "Interrupted: no config is written.")
    assert folders and not folders[0].exists()


# The trial itself.


def tiny_backbone(folder: Path) -> None:
    """A SavedModel that makes of an image the mean of each colour, in three ways."""
    network = tf.train.Checkpoint()
    network.kernel = tf.Variable(np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32))

    def run(images, training=False):
        return tf.matmul(tf.reduce_mean(images, [1, 2]), network.kernel)

    network.__call__ = tf.function(run)
    spec = tf.TensorSpec((None, 32, 32, 3), tf.float32, name="images")
    for training in (True, False):
        network.__call__.get_concrete_function(spec, training=training)
    network.variables = network.trainable_variables = [network.kernel]
    network.regularization_losses = []
    tf.saved_model.save(network, str(folder))
    (folder / "backbone.json").write_text('{"pixel_range": [0, 1], "size": 32}')


@pytest.fixture
def tints(tmp_path) -> Path:
    """Two classes that differ by their colour, and a backbone that sees colour."""
    random = np.random.default_rng(0)
    for name, tint in (("red", 0), ("blue", 2)):
        (tmp_path / "tints" / name).mkdir(parents=True)
        for i in range(14):
            pixels = random.integers(0, 200, (90, 90, 3), dtype=np.uint8)
            pixels[..., tint] += 55
            Image.fromarray(pixels).save(tmp_path / "tints" / name / f"{i}.png")
    tiny_backbone(cache_folder() / "backbones" / "tiny")
    return tmp_path / "tints"


def test_a_classifier_is_judged_on_the_validation_images_and_on_no_others(tints, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "speed", lambda: 1e4)  # operations a second, so that the baseline takes most of the time
    traits = Traits({"blue": 14, "red": 14}, {"train": 20, "validation": 4, "test": 4}, frozenset(), 90, 90)
    subject = Subject("x", Folder(path=str(tints)), traits, Progress())
    at = bench.Bench(subject, tmp_path)
    [backbone] = backbones.found().backbones
    tried, pace = at.fitted(pretrained.suggest(traits, backbone), 60.0)
    validation = {at.index.names[i] for i, split in enumerate(at.splits) if split == "validation"}
    assert (set(tried.names), tried.accuracy, tried.training) == (validation, 1.0, 20)
    assert len(validation) == 4
    assert pace.preparing > 0
    assert pace.seconds(0) > pace.starting
    assert pace.evaluating > Baseline().operations(20, 4, (32, 32, 3), 2) / 1e4


def test_a_backbone_that_answers_nan_is_refused_with_the_reason(tints, tmp_path, monkeypatch):
    traits = Traits({"blue": 14, "red": 14}, {"train": 20, "validation": 4, "test": 4}, frozenset(), 90, 90)
    at = bench.Bench(Subject("x", Folder(path=str(tints)), traits, Progress()), tmp_path)
    monkeypatch.setattr(bench.feeding, "features", lambda images, *more: SimpleNamespace(memory=images_of_nan(images)))
    [backbone] = backbones.found().backbones
    with pytest.raises(TrainingError, match="the backbone answers NaN or infinity for 24 of 24 images"):
        at.fitted(pretrained.suggest(traits, backbone), 60.0)


def images_of_nan(images):
    return np.full((len(images.index), 3), np.nan, np.float32)


@pytest.mark.slow
def test_a_trial_on_images_writes_a_config_that_is_right_and_nothing_else(command, tints, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(trial, "FINE_TUNING", (1, 1))
    monkeypatch.setattr("cnnkit.studies.budget.MOST_EPOCHS", 1)
    monkeypatch.setattr(bench, "PILOT", 1)
    monkeypatch.chdir(tmp_path)
    code, out, err = command("init", "tints", "--minutes", "5", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["config"]["model"]["name"] == "hub"  # colour is all that there is, and one epoch does not find it
    assert "tried: tiny with a fitted classifier: validation 1.000" in err
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["temporary", "tints", "tints.yaml"]
    assert [*temporary.glob("cnnkit*")] == []
    assert command("check", "tints.yaml")[0] == 0
    assert config_file.read("tints.yaml").plan()[0].fitted
