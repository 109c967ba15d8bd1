"""What TensorBoard shows of a run, read back with its own reader; the fit is made up, as it is but told of."""

from __future__ import annotations

import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from cnnkit.config.file import read
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.balancing.base import training_of
from cnnkit.data.feeding.batches import TrainBatches
from cnnkit.data.feeding.images import Images, allocated
from cnnkit.runs.run import Run
from cnnkit.training.tracking import tensorboard
from cnnkit.training.tracking.tensorboard import TensorBoard, first_batch

CONFIG = """
data: {source: {name: digits}, image_size: [16, 16], channels: 1}
augment: [{name: flip}]
model: {name: lenet}
train: {optimizer: {name: sgd, learning_rate: 0.125}}
"""


class Fit:
    """Where a stage stands, as observers are told."""

    def __init__(self, updates: int, losses: list[float]):
        self.number, self.epoch, self.update, self.updates = 1, 0, 0, updates
        self.training = SimpleNamespace(images=None)
        self.steps = self
        self._losses = losses

    def metrics(self) -> dict[str, float]:
        """The mean of the epoch so far."""
        first = self.epoch * self.updates
        return {"loss": float(np.mean(self._losses[first : first + self.update]))}


@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    return Run.create(read(tmp_path / "config.yaml", "name=try"), tmp_path / "run")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Points within an epoch are not kept back for being close in time."""
    monkeypatch.setattr(tensorboard, "SECONDS", 0.0)


def begun(run):
    board = TensorBoard(run, run.experiment, ["a", "b"])
    board.begin()
    return board


def curves(run, part):
    folder = run.files.tensorboard / part
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def train(board, fit, until, chunk=1):
    """Makes updates and epochs until so many updates are made in all."""
    while fit.epoch * fit.updates + fit.update < until:
        fit.update = min(fit.update + chunk, fit.updates)
        board.updates_done(fit)
        if fit.update == fit.updates:
            board.trained(fit)
            fit.epoch, fit.update = fit.epoch + 1, 0
            board.epoch({"epoch": fit.epoch, "step": fit.epoch * fit.updates, "loss": 1.0 / fit.epoch, "val_loss": 2.0})


def test_each_figure_of_an_epoch_is_a_point_in_training_or_validation(run):
    board = begun(run)
    metrics = {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.25, "val_accuracy": 0.5, "learning_rate": 0.125}
    norms = {"gradient_norms": {"stem": 4.0, "stage1": 2.0}, "waiting": 0.0625, "images_per_second": 512.0}
    board.epoch({"epoch": 1, "step": 7, "stage": 1, **metrics, **norms})
    board.epoch({"epoch": 2, "step": 14, "stage": 1, "loss": math.nan, "val_loss": math.inf, "learning_rate": None})
    train, validation = curves(run, "train"), curves(run, "validation")
    assert train.keys() == {
        *("epoch/loss", "epoch/accuracy", "epoch/learning_rate", "epoch/waiting", "epoch/images_per_second"),
        *("gradient_norms/stem", "gradient_norms/stage1"),
    }
    assert train["gradient_norms/stem"] == [(1, 4.0)] and train["epoch/learning_rate"] == [(1, 0.125)]
    assert train["epoch/loss"][0] == (1, 0.5) and math.isnan(train["epoch/loss"][1][1])
    assert validation == {"epoch/loss": [(1, 0.25), (2, math.inf)], "epoch/accuracy": [(1, 0.5)]}


def test_the_loss_within_an_epoch_is_the_mean_of_the_updates_since_the_last_point(run):
    losses = [8.0, 6.0, 4.0, 2.0] * 10
    board, fit = begun(run), Fit(40, losses)
    train(board, fit, 40, chunk=4)
    assert curves(run, "train")["step/loss"] == [(4 * k, pytest.approx(5.0)) for k in range(1, 11)]


def test_there_are_few_points_within_an_epoch(run, monkeypatch):
    board, fit = begun(run), Fit(1000, [1.0] * 3000)
    train(board, fit, 2000)
    assert len(curves(run, "train")["step/loss"]) == 2 * tensorboard.POINTS
    monkeypatch.setattr(tensorboard, "SECONDS", 60.0)
    train(board, fit, 3000)
    assert len(curves(run, "train")["step/loss"]) == 2 * tensorboard.POINTS


def test_a_run_that_was_stopped_in_a_validation_is_told_twice_that_its_epoch_is_trained(run):
    board, fit = begun(run), Fit(4, [1.0] * 8)
    fit.update = 4
    board.trained(fit)
    again = begun(run)
    again.restore(board.state())
    again.trained(fit)
    again.epoch({"epoch": 1, "loss": 1.0})
    fit.epoch, fit.update = 1, 0
    train(again, fit, 8)
    assert [step for step, _ in curves(run, "train")["step/loss"]] == [5, 6, 7, 8]


@pytest.mark.parametrize(("kept", "stopped"), [(13, 17), (10, 27), (20, 20), (5, 6), (19, 31)])
def test_after_a_resume_the_curves_are_those_of_a_run_that_was_never_stopped(run, tmp_path, kept, stopped):
    losses = np.random.default_rng(0).random(40).tolist()
    other = Run.create(run.experiment, tmp_path / "undisturbed")
    train(begun(other), Fit(10, losses), 40)

    board, fit = begun(run), Fit(10, losses)
    train(board, fit, kept)
    state, epoch, update = board.state(), fit.epoch, fit.update
    train(board, fit, stopped)
    board.end("interrupted")
    again, fit = begun(run), Fit(10, losses)
    again.restore(state)
    fit.epoch, fit.update = epoch, update
    train(again, fit, 40)

    for part in ("train", "validation"):
        found, expected = curves(run, part), curves(other, part)
        assert found.keys() == expected.keys()
        for tag in found:
            assert [step for step, _ in found[tag]] == [step for step, _ in expected[tag]]
            assert [value for _, value in found[tag]] == pytest.approx([value for _, value in expected[tag]])


def test_a_resume_from_before_the_first_state_begins_the_curves_anew(run):
    train(begun(run), Fit(10, [1.0] * 40), 25)
    train(begun(run), Fit(10, [1.0] * 40), 20)
    found = curves(run, "train")
    assert [step for step, _ in found["epoch/loss"]] == [1, 2]
    assert [step for step, _ in found["step/loss"]] == list(range(1, 21))


def test_config_and_settings_are_there_once_whatever_was_stopped(run):
    begun(run).end("failed")
    begun(run).end("finished")
    read = EventAccumulator(str(run.files.tensorboard)).Reload()
    config = read.Tensors("config")
    assert len(config) == 1
    assert b"    name: try" in config[0].tensor_proto.string_val[0]
    told = {
        tag: plugin_data_pb2.HParamsPluginData.FromString(read.SummaryMetadata(tag).plugin_data.content)
        for tag in ("_hparams_/session_start_info", "_hparams_/session_end_info")
    }
    settings = told["_hparams_/session_start_info"].session_start_info.hparams
    assert settings["train.optimizer.learning_rate"].number_value == 0.125
    assert settings["augment.0.name"].string_value == "flip"
    assert settings["data.image_size"].string_value == "[16, 16]"
    assert not [name for name in settings if name.startswith(("data.source", "train.track"))]
    assert told["_hparams_/session_end_info"].session_end_info.status == 1  # STATUS_SUCCESS


def batches(index_of, count, size, **mixing):
    """Those of grey images, the image i of brightness i."""
    pixels = np.repeat(np.arange(count, dtype=np.uint8), 64).reshape(count, 8, 8)
    index = index_of(pixels, [i % 2 for i in range(count)])
    memory = allocated((count, 8, 8, 1), np.uint8)
    memory[:] = pixels[..., None]
    images = Images(index, (8, 8, 1), memory=memory)
    return TrainBatches(images, training_of(index, list(range(count))), Chain(**mixing, seed=3), size)


@pytest.mark.parametrize(("count", "size", "rows", "columns"), [(40, 32, 4, 4), (40, 10, 2, 4), (3, 64, 1, 3)])
def test_the_sheet_shows_the_first_batch(index_of, count, size, rows, columns, monkeypatch):
    training, drawn = batches(index_of, count, size, augmentations=[]), []
    monkeypatch.setattr(
        tensorboard.sheet, "drawn", lambda *parts: (drawn.append(parts), (Image.new("RGB", (1, 1)), []))[1]
    )
    first_batch(training, ["even", "odd"])
    _, titles, cells = drawn[0]
    assert (len(titles), len(cells)) == (columns, rows)
    shown = [(int(cell.pixels[0, 0, 0]), cell.words) for row in cells for cell in row]
    images, labels, _ = next(iter(training.dataset(1)))
    expected = [
        (int(image[0, 0, 0]), [("even", "odd")[int(np.argmax(label))]])
        for image, label in zip(images.numpy(), labels.numpy(), strict=True)
    ]
    assert shown == expected[: rows * columns]


def test_shares_of_mixed_images_are_told(index_of, run):
    from cnnkit.data.augmentations.mix_up import MixUp

    board, fit = TensorBoard(run, run.experiment, ["even", "odd"]), Fit(1, [])
    fit.training = batches(index_of, 40, 32, augmentations=[MixUp(alpha=1.0)])
    board.stage_begins(fit)
    image = EventAccumulator(str(run.files.tensorboard)).Reload().Images("first_batch")[0]
    picture = Image.open(io.BytesIO(image.encoded_image_string))
    assert picture.size == (image.width, image.height)
    assert tensorboard._words(np.float32([0.38, 0.62]), ["even", "odd"]) == "62% odd + 38% even"
    assert tensorboard._words(np.float32([1, 0]), ["even", "odd"]) == "even"
