"""Trains on a CPU that is divided into three devices; a process of its own, for TensorFlow divides only at its start.

Usage: python on_logical_devices.py FOLDER; the last line that it prints is JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import numpy as np

from cnnkit import Run, read, train
from cnnkit.core.devices import Devices
from cnnkit.core.errors import CnnkitError
from cnnkit.core.lazy import keras, tf
from cnnkit.training import stage_fit
from cnnkit.training.computing import Computing, Gradients
from cnnkit.training.model import Learner
from cnnkit.training.observers import Watch
from cnnkit.training.train import resume

PLAIN = """
data: {source: {name: digits}, image_size: [8, 8], limit: 11, batch_size: 16}
model:
  name: sequential
  l2: 1e-3
  layers: [{name: conv, filters: 8}, {name: max_pool}, {name: flatten}, {name: dense, units: 16}]
train:
  epochs: 2
  optimizer: {name: sgd, learning_rate: 0.1, nesterov: true, weight_decay: 1e-2}
  checkpoint: {monitor: val_loss}
"""

NORMALISED = """
model={name: sequential, layers: [{name: conv, filters: 4}, {name: batch_norm}, {name: flatten}, {name: dropout}]}
""".strip()

CASES = {
    "plain": [],
    "uneven": ["data.batch_size=22"],  # of 70 images the last batch has 4
    "few": ["data.batch_size=23"],  # and here 1, for three devices
    "accumulated": ["train.gradient_accumulation=2"],
    "averaged": ["train.ema={momentum: 0.9}", "train.clip={name: global_norm, at: 0.5}"],
    "sharp": ["train.sam={rho: 0.05}"],
    "adam": ["train.optimizer={name: adam, learning_rate: 3e-3}", "train.loss={name: focal}"],
    "stages": ["train={epochs: null, stages: [{epochs: 1, freeze: conv1}, {epochs: 1}], loss: {name: focal}}"],
    "features": ["model.weights=plaincpu", "train={epochs: 1, optimizer: {name: sgd, learning_rate: 0.01}}"],
    "fitted": ["model.weights=plaincpu", "model.l2=0.0", "train={stages: [{freeze: backbone}, {epochs: 1}]}"],
}


class Killed(BaseException):
    """In place of a signal."""


class Work:
    """What is asked of the devices."""

    def __init__(self, folder: Path):
        self.folder, self.config = folder, folder / "config.yaml"
        self.config.write_text(PLAIN)

    def trained(self, name: str, *settings: str) -> dict:
        settings = tuple(setting.replace("plaincpu", str(self.folder / "plaincpu")) for setting in settings)
        document = train(read(self.config, *settings), self.folder / name)
        run = Run.open(self.folder / name)
        [*_, last] = run.history()
        kept = ("loss", "accuracy", "val_loss", "val_accuracy")
        weights = np.concatenate([weight.numpy().ravel() for weight in run.network().weights])
        return {
            "metrics": [last[metric] for metric in kept],
            "validation": document["validation"]["loss"],
            "weights": weights.astype(float).tolist(),
            "computing": run.provenance()["computing"],
        }

    def compared(self, case: str, settings: list[str]) -> dict:
        return {
            devices: self.trained(f"{case}{devices}", *settings, f"train.devices={devices}") for devices in ("cpu", 3)
        }

    def resumed(self) -> dict:
        """A run that is killed within an epoch and goes on, and one that is not."""
        settings = ("train.devices=2", "train.checkpoint.every_steps=1", NORMALISED)
        whole = self.trained("whole", *settings)
        done, updates_done, stage_fit.LONGEST = [], Watch.updates_done, 0.0

        def kill(watch: Watch, fit: stage_fit.StageFit) -> None:
            updates_done(watch, fit)
            done.append(fit.update)
            if len(done) == 8:
                raise Killed

        Watch.updates_done = kill
        with contextlib.suppress(Killed):
            train(read(self.config, *settings), self.folder / "killed")
        Watch.updates_done = updates_done
        resume(self.folder / "killed")
        again = [weight.numpy() for weight in Run.open(self.folder / "killed").network().weights]
        return {"whole": whole["weights"], "again": np.concatenate([w.ravel() for w in again]).astype(float).tolist()}

    def refused(self) -> str:
        try:
            train(read(self.config, "train.devices=4"), self.folder / "refused")
        except CnnkitError as error:
            return f"{error.exit_code} {error}"
        return ""


def inside() -> dict:
    """What the copies of a variable hold behind an update, and which values dropout drops on each device."""
    devices = Devices.of(2)
    keras.utils.set_random_seed(0)
    with devices.holding():
        image = keras.Input((4, 4, 3))
        x = keras.layers.BatchNormalization(momentum=0.5)(image)
        x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
        model = keras.Model(image, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(x))
    learner = Learner(model, (), lambda labels, logits: logits[:, 0])
    computed = tf.function(Gradients(learner, Computing(devices)), autograph=False)
    images = np.random.default_rng(0).normal(size=(3, 4, 4, 3)).astype(np.float32)
    images[2] = images[0]
    *_, logits = computed(images, np.ones((3, 1), np.float32), np.ones(3, np.float32))
    norm = model.layers[1]
    copies = [[copy.numpy().tolist() for copy in norm.moving_mean.value.values]]
    # The first device has one of the three images.
    expected = 0.5 * (images[:1].mean((0, 1, 2)) / 3 + 2 * images[1:].mean((0, 1, 2)) / 3)
    seeds = [copy.numpy().tolist() for copy in model.layers[3].seed_generator.state.value.values]
    return {"logits": logits.numpy().ravel().tolist(), "mean": copies[0], "expected": expected.tolist(), "seeds": seeds}


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
    work = Work(Path(sys.argv[1]))
    found = {case: work.compared(case, settings) for case, settings in CASES.items()}
    found |= {"normalised": work.trained("normalised", "train.devices=2", NORMALISED), "resumed": work.resumed()}
    print(json.dumps(found | {"refused": work.refused(), "inside": inside()}))


if __name__ == "__main__":
    main()
