"""Measures one network by one side: `cnnkit`, `keras` (stock layers by hand) or `torch` (by hand).

Usage: python scripts/benchmark_networks.py SIDE NETWORK [--inference] [--steps 20] [--threads 2] [--onednn on|off]

Prints images a second: the steps of the second epoch of training, the first being warm-up; with --inference the batches
of the second pass. Images are random, in memory, float32 batches; SGD with momentum on cross-entropy. cnnkit infers as
`evaluate` does, Keras by `predict`, PyTorch in evaluation mode without gradients. All sides compute the same network:
`--count` prints its trainable parameters, equal on all sides. PyTorch converts a batch to float within its step,
tf.data does so beside it. PyTorch runs with channels_last, which is its fastest layout here; it is no dependency of
anything, so that side may run under another Python. It has a oneDNN of its own, which nothing here switches.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import threads

# Height and width, batch size, classes, and the network in cnnkit's words.
NETWORKS: dict[str, tuple[int, int, int, dict[str, Any]]] = {
    "resnet20": (32, 64, 10, {"name": "resnet", "depth": 20}),
    "densenet121": (128, 16, 1000, {"name": "densenet", "depth": 121}),
    "resnet50": (128, 16, 1000, {"name": "resnet", "depth": 50}),
    "vgg16": (64, 16, 1000, {"name": "vgg", "depth": 16}),
}
# The smallest that all sides have, to try whether they work.
TINY = "tiny"
NETWORKS[TINY] = (8, 2, 2, {"name": "sequential", "layers": ({"name": "flatten"},)})
DENSE_BLOCKS = (6, 12, 24, 16)
BOTTLENECKS = (3, 4, 6, 3)
VGG_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
RATE, MOMENTUM = 0.01, 0.9


def keras_network(name: str, size: int, classes: int) -> Any:
    """A network of stock Keras layers, as one writes it by hand."""
    import keras

    layers = keras.layers

    def conv(x: Any, filters: int, kernel: int, strides: int = 1, bias: bool = False) -> Any:
        if strides > 1 and kernel > 1:
            x = layers.ZeroPadding2D(kernel // 2)(x)
        padding = "same" if strides == 1 else "valid"
        return layers.Conv2D(filters, kernel, strides, padding, use_bias=bias, kernel_initializer="he_normal")(x)

    def norm(x: Any, relu: bool = True) -> Any:
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        return layers.ReLU()(x) if relu else x

    def basic(x: Any, filters: int, strides: int) -> Any:
        short = x
        if strides > 1:
            short = layers.AveragePooling2D(1, strides)(short)
            zeros = [[0, 0], [0, 0], [0, 0], [0, filters - x.shape[-1]]]
            short = keras.ops.pad(short, zeros)
        y = norm(conv(x, filters, 3, strides))
        return layers.ReLU()(layers.Add()([short, norm(conv(y, filters, 3), relu=False)]))

    def bottleneck(x: Any, filters: int, strides: int) -> Any:
        short = x
        if x.shape[-1] != 4 * filters:
            short = norm(conv(x, 4 * filters, 1, strides), relu=False)
        y = norm(conv(norm(conv(x, filters, 1)), filters, 3, strides))
        return layers.ReLU()(layers.Add()([short, norm(conv(y, 4 * filters, 1), relu=False)]))

    image = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(image)
    if name == "resnet20":
        x = norm(conv(x, 16, 3))
        for stage in range(3):
            for block in range(3):
                x = basic(x, 16 * 2**stage, 2 if stage and not block else 1)
        x = layers.GlobalAveragePooling2D()(x)
    elif name == "resnet50":
        x = norm(conv(x, 64, 7, 2))
        x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
        for stage, count in enumerate(BOTTLENECKS):
            for block in range(count):
                x = bottleneck(x, 64 * 2**stage, 2 if stage and not block else 1)
        x = layers.GlobalAveragePooling2D()(x)
    elif name == TINY:
        x = layers.Flatten()(x)
    elif name == "densenet121":
        x = norm(conv(x, 64, 7, 2))
        x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
        for stage, count in enumerate(DENSE_BLOCKS):
            for _ in range(count):
                y = conv(norm(conv(norm(x), 128, 1)), 32, 3)
                x = layers.Concatenate()([x, y])
            if stage < 3:
                x = layers.AveragePooling2D(2)(conv(norm(x), x.shape[-1] // 2, 1))
        x = layers.GlobalAveragePooling2D()(norm(x))
    else:
        for filters, count in VGG_BLOCKS:
            for _ in range(count):
                x = layers.ReLU()(conv(x, filters, 3, bias=True))
            x = layers.MaxPooling2D(2)(x)
        x = layers.Flatten()(x)
        for _ in range(2):
            x = layers.Dropout(0.5)(layers.Dense(4096, activation="relu", kernel_initializer="he_normal")(x))
    return keras.Model(image, layers.Dense(classes)(x))


def torch_network(name: str, size: int, classes: int) -> Any:
    """The same of PyTorch's modules."""
    import torch
    from torch import nn
    from torch.nn import functional

    def conv(inside: int, filters: int, kernel: int, strides: int = 1, bias: bool = False) -> Any:
        return nn.Conv2d(inside, filters, kernel, strides, kernel // 2, bias=bias)

    class Residual(nn.Module):
        def __init__(self, branch: Any, inside: int, outside: int, strides: int, project: bool):
            super().__init__()
            self.branch, self.extra, self.strides = branch, outside - inside, strides
            self.short = None
            if project and (self.extra or strides > 1):
                self.short = nn.Sequential(conv(inside, outside, 1, strides), nn.BatchNorm2d(outside))

        def forward(self, x: Any) -> Any:
            if self.short is not None:
                short = self.short(x)
            else:
                short = x[:, :, :: self.strides, :: self.strides]
                short = functional.pad(short, (0, 0, 0, 0, 0, self.extra)) if self.extra else short
            return functional.relu(short + self.branch(x), inplace=True)

    class Dense(nn.Module):
        def __init__(self, inside: int):
            super().__init__()
            self.branch = nn.Sequential(
                nn.BatchNorm2d(inside),
                nn.ReLU(inplace=True),
                conv(inside, 128, 1),
                nn.BatchNorm2d(128),
                nn.ReLU(inplace=True),
                conv(128, 32, 3),
            )

        def forward(self, x: Any) -> Any:
            return torch.cat([x, self.branch(x)], 1)

    def norm_relu(channels: int) -> list[Any]:
        return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]

    parts: list[Any] = []
    if name == "resnet20":
        parts += [conv(3, 16, 3), *norm_relu(16)]
        inside = 16
        for stage in range(3):
            for block in range(3):
                filters, strides = 16 * 2**stage, 2 if stage and not block else 1
                branch = [conv(inside, filters, 3, strides), *norm_relu(filters)]
                branch += [conv(filters, filters, 3), nn.BatchNorm2d(filters)]
                parts.append(Residual(nn.Sequential(*branch), inside, filters, strides, project=False))
                inside = filters
    elif name == "resnet50":
        parts += [conv(3, 64, 7, 2), *norm_relu(64), nn.MaxPool2d(3, 2, 1)]
        inside = 64
        for stage, count in enumerate(BOTTLENECKS):
            for block in range(count):
                filters, strides = 64 * 2**stage, 2 if stage and not block else 1
                branch = [conv(inside, filters, 1), *norm_relu(filters), conv(filters, filters, 3, strides)]
                branch += [*norm_relu(filters), conv(filters, 4 * filters, 1), nn.BatchNorm2d(4 * filters)]
                parts.append(Residual(nn.Sequential(*branch), inside, 4 * filters, strides, project=True))
                inside = 4 * filters
    elif name == TINY:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * size**2, classes))
    elif name == "densenet121":
        parts += [conv(3, 64, 7, 2), *norm_relu(64), nn.MaxPool2d(3, 2, 1)]
        inside = 64
        for stage, count in enumerate(DENSE_BLOCKS):
            for _ in range(count):
                parts.append(Dense(inside))
                inside += 32
            parts += norm_relu(inside)
            if stage < 3:
                parts += [conv(inside, inside // 2, 1), nn.AvgPool2d(2)]
                inside //= 2
    else:
        inside = 3
        for filters, count in VGG_BLOCKS:
            for _ in range(count):
                parts += [conv(inside, filters, 3, bias=True), nn.ReLU(inplace=True)]
                inside = filters
            parts.append(nn.MaxPool2d(2))
        parts.append(nn.Flatten())
        inside *= (size // 32) ** 2
        for _ in range(2):
            parts += [nn.Linear(inside, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5)]
            inside = 4096
    if name != "vgg16":
        parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*parts, nn.Linear(inside, classes))


def train_keras(model: Any, batches: Any, steps: int) -> float:
    """Seconds that the second epoch of `fit` takes."""
    import keras

    marks: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: marks.append(time.perf_counter()) if step == 0 else None,
        on_epoch_end=lambda epoch, logs: marks.append(time.perf_counter()),
    )
    # From the end of an epoch's first step to the end of its last: what `fit` does between epochs is not a step.
    model.fit(batches, epochs=2, steps_per_epoch=steps + 1, callbacks=[clock], shuffle=False, verbose=0)
    return marks[3] - marks[2]


def timed(batches: Callable[[], Iterable[Any]]) -> float:
    """Seconds of the second pass, from the end of its first batch to that of its last."""
    for _ in range(2):
        marks = [time.perf_counter() for _ in batches()]
    return marks[-1] - marks[0]


def infer_keras(model: Any, batches: Any) -> float:
    """The same of `predict`."""
    import keras

    marks: list[float] = []
    clock = keras.callbacks.Callback()
    clock.on_predict_batch_end = lambda step, logs=None: marks.append(time.perf_counter())
    for _ in range(2):
        marks.clear()
        model.predict(batches, callbacks=[clock], verbose=0)
    return marks[-1] - marks[0]


def measure_keras(name: str, steps: int, inference: bool, count: bool) -> float:
    import keras
    import numpy as np
    import tensorflow as tf

    size, batch, classes, _ = NETWORKS[name]
    model = keras_network(name, size, classes)
    if count:
        return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    images, labels = random_data(size, batch, classes)
    model.compile(
        optimizer=keras.optimizers.SGD(RATE, momentum=MOMENTUM),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    data = tf.data.Dataset.from_tensor_slices((images, np.eye(classes, dtype=np.float32)[labels]))
    batches = data.repeat().batch(batch).map(lambda x, y: (tf.cast(x, tf.float32), y)).prefetch(tf.data.AUTOTUNE)
    if inference:
        return steps * batch / infer_keras(model, batches.map(lambda x, y: x).take(steps + 1))
    return steps * batch / train_keras(model, batches, steps)


def measure_cnnkit(name: str, steps: int, inference: bool, count: bool) -> float:
    """The network as a run trains and evaluates it: our layers, our pipeline, our model for `fit`."""
    import numpy as np
    from pydantic import TypeAdapter

    from cnnkit.data.augmentations.chain import Chain
    from cnnkit.data.balancing.base import training_of
    from cnnkit.data.feeding.batches import TrainBatches, outputs
    from cnnkit.data.feeding.images import Images, allocated
    from cnnkit.data.index import Index
    from cnnkit.models import AnyArchitecture
    from cnnkit.optimization.losses import CrossEntropy
    from cnnkit.optimization.optimizers.sgd import Sgd

    size, batch, classes, config = NETWORKS[name]
    adapter: TypeAdapter[Any] = TypeAdapter(AnyArchitecture)
    network = adapter.validate_python(config).network((size, size, 3), classes)
    if count:
        return sum(int(np.prod(weight.shape)) for weight in network.model.trainable_weights)
    from cnnkit.training.model import Learner
    from cnnkit.training.steps import Steps

    pixels, labels = random_data(size, batch, classes)
    names = [str(i) for i in range(len(pixels))]
    index = Index(
        tuple(map(str, range(classes))), names, labels, names, splits=[None] * len(pixels), open=lambda i: pixels[i]
    )
    memory = allocated(pixels.shape, pixels.dtype)
    memory[:] = pixels
    images = Images(index, (size, size, 3), memory)
    if inference:
        numbers = [i % len(pixels) for i in range((steps + 1) * batch)]
        return steps * batch / timed(lambda: outputs(network.model, images, numbers, batch, lambda done: None))
    loss = CrossEntropy()
    compiled = Steps(Learner(network.model, (), loss), Sgd(momentum=MOMENTUM).build(RATE), loss, batches=steps + 1)
    training = training_of(index, range(len(pixels)))
    epochs = -(-2 * (steps + 1) * batch // len(pixels))
    batches = iter(TrainBatches(images, training, Chain((), 0), batch).dataset(epochs))
    for _ in range(2):  # the second of two epochs, from the end of its first step, as of the other sides
        compiled.train(batches, 0, 1)
        began = time.perf_counter()
        compiled.train(batches, 1, steps)
        seconds = time.perf_counter() - began
    return steps * batch / seconds


def measure_torch(name: str, steps: int, inference: bool, count: bool) -> float:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    size, batch, classes, _ = NETWORKS[name]
    model = torch_network(name, size, classes).to(memory_format=torch.channels_last)
    if count:
        return float(sum(parameter.numel() for parameter in model.parameters()))
    images, labels = random_data(size, batch, classes)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    targets = torch.from_numpy(labels)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    loss_of = torch.nn.CrossEntropyLoss()

    def answers(begin: int) -> Any:
        x = pixels[begin : begin + batch].to(torch.float32).contiguous(memory_format=torch.channels_last)
        return model(x / 127.5 - 1)

    def step(begin: int) -> None:
        loss = loss_of(answers(begin), targets[begin : begin + batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    begins = [number * batch % len(pixels) for number in range(steps + 1)]
    if not inference:
        return steps * batch / timed(lambda: map(step, begins))
    model.eval()
    with torch.inference_mode():
        return steps * batch / timed(lambda: map(answers, begins))


def random_data(size: int, batch: int, classes: int) -> tuple[Any, Any]:
    """Pixels 0..255 and labels of eight batches."""
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8 * batch, size, size, 3), dtype=np.uint8)
    return images, rng.integers(0, classes, 8 * batch).astype(np.int64)


MEASURES = {"cnnkit": measure_cnnkit, "keras": measure_keras, "torch": measure_torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=MEASURES)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--steps", type=int, default=20)
    threads.add_option(parser)
    parser.add_argument("--inference", action="store_true", help="measure answers, not training")
    parser.add_argument("--onednn", choices=("on", "off"), help="TensorFlow's; as the variable says if left out")
    parser.add_argument("--count", action="store_true", help="print the trainable parameters instead")
    chosen = parser.parse_args()
    threads.limit(chosen.threads)
    if chosen.onednn:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = str(int(chosen.onednn == "on"))
    print(MEASURES[chosen.side](chosen.network, chosen.steps, chosen.inference, chosen.count))


if __name__ == "__main__":
    main()
