"""What `cnnkit check` says of broken configs: the whole of its standard error, compared word by word."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("cnnkit")

GOOD = """\
data:
  source: {name: digits}
model: {name: resnet, depth: 20}
"""

# name: (config, standard error, settings of --set ...); FOLDER stands for the folder of the config.
IN_DATA = {"an archive that is none"}
"""Where the setting is right and what it leads to is not."""

BROKEN: dict[str, tuple[str | bytes | None, str, *tuple[str, ...]]] = {
    # Names.
    "a typo at the top": (
        "dtaa:\n  source: {name: digits}\nmodel: {name: resnet, depth: 20}\n",
        """\
broken.yaml:1:1: data: is required
broken.yaml:1:1: dtaa: unknown setting; did you mean `data`?
""",
    ),
    "a setting at the wrong level": (
        GOOD + "epochs: 5\n",
        "broken.yaml:4:1: epochs: unknown setting here; that is `train.epochs`\n",
    ),
    "a typo in a section": (
        "data:\n  source: {name: digits}\n  batchsize: 5\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:3:3: data.batchsize: unknown setting; did you mean `batch_size`?\n",
    ),
    "a typo in the option of an architecture": (
        "data:\n  source: {name: digits}\nmodel: {name: resnet, dept: 20}\n",
        "broken.yaml:3:23: model.dept: unknown setting; did you mean `depth`?\n",
    ),
    "a typo in an entry of a list": (
        GOOD + "augment:\n  - {name: flip}\n  - {name: shift, fractoin: 0.1}\n",
        "broken.yaml:6:19: augment.1.fractoin: unknown setting; did you mean `fraction`?\n",
    ),
    "a typo in a layer": (
        "data:\n  source: {name: digits}\nmodel:\n  name: sequential\n  layers:\n"
        "    - {name: conv, filters: 8, kernel: 3}\n    - {name: flatten}\n",
        "broken.yaml:6:32: model.layers.0.kernel: unknown setting; did you mean `kernel_size`?\n",
    ),
    "an unknown architecture, near a known one": (
        "data:\n  source: {name: digits}\nmodel: {name: resnet50}\n",
        "broken.yaml:3:15: model.name: there is no `resnet50`; did you mean {name: resnet, depth: 50}?\n",
    ),
    "an unknown architecture, near none": (
        "data:\n  source: {name: digits}\nmodel: {name: transformer}\n",
        "broken.yaml:3:15: model.name: there is no `transformer`; "
        "it may be sequential, lenet, alexnet, vgg, resnet, densenet, inception, snn, keras_application, hub\n",
    ),
    "an unknown loss": (
        GOOD + "train:\n  loss: {name: cross_entrpy}\n",
        "broken.yaml:5:16: train.loss.name: there is no `cross_entrpy`; did you mean `cross_entropy`?\n",
    ),
    "an unknown augmentation": (
        GOOD + "augment:\n  - {name: flip}\n  - {name: elastic, degrees: 15}\n",
        "broken.yaml:6:12: augment.1.name: there is no `elastic`; it may be flip, shift, rotate, zoom, shear, affine, "
        "perspective, crop, random_resized_crop, brightness, contrast, saturation, hue, gamma, grayscale, blur, "
        "sharpen, noise, jpeg, erasing, rand_augment, trivial_augment, mixup, cutmix\n",
    ),
    "a range upside down": (
        GOOD + "augment:\n  - {name: random_resized_crop, area: [0.9, 0.1]}\n",
        "broken.yaml:5:39: augment.0.area: should go from the smallest to the largest: [0.1, 0.9]\n",
    ),
    "proportions that no window of the whole image has": (
        GOOD + "augment:\n  - {name: erasing, ratio: [2, 3]}\n",
        "broken.yaml:5:28: augment.0.ratio: should hold 1, the proportions of the image, so that every area fits; "
        "[2, 3] does not\n",
    ),
    "mixing before another augmentation": (
        GOOD + "augment:\n  - {name: mixup}\n  - {name: flip}\n",
        "broken.yaml:5:5: augment.0: blends whole images of a batch, so it comes last; put flip before it\n",
    ),
    "colours of grey images": (
        GOOD + "augment:\n  - {name: saturation}\n",
        "broken.yaml:5:5: augment.0: the images are grey, and this changes colours alone; leave it out\n",
    ),
    "colours of images that are prepared grey": (
        GOOD.replace("digits}", "digits}\n  channels: 3\n  prepare: [{name: grayscale}]")
        + "augment:\n  - {name: flip}\n  - {name: hue}\n  - {name: grayscale}\n",
        "broken.yaml:8:5: augment.1: grayscale in data.prepare leaves no colours, and this changes colours alone; "
        "leave it out\n"
        "broken.yaml:9:5: augment.2: grayscale in data.prepare leaves no colours, and this changes colours alone; "
        "leave it out\n",
    ),
    "colours where all are taken away": (
        GOOD.replace("digits}", "digits}\n  channels: 3")
        + "augment:\n  - {name: grayscale, probability: 1}\n  - {name: brightness}\n  - {name: saturation}\n"
        "  - {name: noise}\n  - {name: hue}\n",
        "broken.yaml:8:5: augment.2: grayscale before it leaves no colours, and this changes colours alone; leave it "
        "out\n",
    ),
    "mixing an image with itself": (
        GOOD.replace("digits}", "digits}\n  batch_size: 1") + "augment:\n  - {name: mixup}\n  - {name: cutmix}\n",
        "broken.yaml:6:5: augment.0: blends the images of a batch, and data.batch_size 1 leaves each alone; make it "
        "larger\n"
        "broken.yaml:7:5: augment.1: blends the images of a batch, and data.batch_size 1 leaves each alone; make it "
        "larger\n",
    ),
    "moves of less than half a pixel": (
        GOOD.replace("digits}", "digits}\n  image_size: [32, 24]")
        + "augment:\n  - {name: shift, fraction: 0.015}\n  - {name: crop, fraction: 0.01}\n"
        "  - {name: shift, fraction: 0.016}\n  - {name: shift, fraction: 0}\n",
        "broken.yaml:6:29: augment.0.fraction: 0.015 of 32 x 24 pixels is less than half a pixel, and images move by "
        "whole ones; 0.032 is a pixel\n"
        "broken.yaml:7:28: augment.1.fraction: 0.01 of 32 x 24 pixels is less than half a pixel, and images move by "
        "whole ones; 0.032 is a pixel\n",
    ),
    "an unknown monitor": (
        GOOD + "train:\n  checkpoint: {monitor: val_acc}\n",
        "broken.yaml:5:25: train.checkpoint.monitor: can't be the text 'val_acc'; did you mean `val_accuracy`?\n",
    ),
    "states counted in two ways": (
        GOOD + "train:\n  checkpoint: {every_steps: 100, every_epochs: 1}\n",
        "broken.yaml:5:15: train.checkpoint: every_steps and every_epochs say the same in several ways; leave all "
        "but one out\n",
    ),
    "states counted in minutes too": (
        GOOD + "train:\n  checkpoint: {every_minutes: 5, every_epochs: 1}\n",
        "broken.yaml:5:15: train.checkpoint: every_minutes and every_epochs say the same in several ways; leave all "
        "but one out\n",
    ),
    "states counted in none": (
        GOOD + "train:\n  checkpoint: {every_minutes: 0, keep: 0}\n",
        "broken.yaml:5:31: train.checkpoint.every_minutes: should be more than 0, not 0\n"
        "broken.yaml:5:40: train.checkpoint.keep: should be at least 1, not 0\n",
    ),
    "an optimizer without its name": (
        GOOD + "train:\n  optimizer: {learning_rate: 0.1}\n",
        "broken.yaml:5:3: train.optimizer: needs a name; it may be sgd, adagrad, adadelta, \
rmsprop, adam, adamw, nadam, adamax, lion, lamb\n",
    ),
    # Types.
    "a word for a number": (
        GOOD + "train:\n  epochs: many\n",
        "broken.yaml:5:11: train.epochs: should be a whole number, not the text 'many'\n",
    ),
    "yes for a number": (
        GOOD + "train:\n  epochs: yes\n",
        "broken.yaml:5:11: train.epochs: should be a whole number, not the text 'yes'\n",
    ),
    "true for a number": (
        GOOD + "train:\n  epochs: true\n",
        "broken.yaml:5:11: train.epochs: should be a whole number, not true\n",
    ),
    "a number in quotes": (
        "data:\n  source: {name: digits}\n  batch_size: '32'\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:3:15: data.batch_size: should be a whole number, not the text '32' (without quotes)\n",
    ),
    "a choice in quotes": (
        "data:\n  source: {name: digits}\nmodel: {name: resnet, depth: '20'}\n",
        "broken.yaml:3:30: model.depth: can't be the text '20'; did you mean 20 (without quotes)?\n",
    ),
    "a fraction for a whole number": (
        GOOD + "train:\n  epochs: 2.5\n",
        "broken.yaml:5:11: train.epochs: should be a whole number, not 2.5\n",
    ),
    "yes for true": (
        GOOD + "train:\n  optimizer: {name: sgd, nesterov: yes}\n",
        "broken.yaml:5:36: train.optimizer.nesterov: should be true or false, not the text 'yes'\n",
    ),
    "a number for a name": (
        "name: 17\n" + GOOD,
        "broken.yaml:1:7: name: should be a text, not 17\n",
    ),
    "not a number": (
        GOOD + "train:\n  optimizer: {name: adam, learning_rate: .nan}\n",
        "broken.yaml:5:42: train.optimizer.learning_rate: should be a finite number, not nan\n",
    ),
    "infinity": (
        GOOD + "train:\n  optimizer: {name: adam, learning_rate: .inf}\n",
        "broken.yaml:5:42: train.optimizer.learning_rate: should be a finite number, not inf\n",
    ),
    "a word for a section": (
        "data: digits\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:1:7: data: should be a section of settings, not the text 'digits'\n",
    ),
    "a name for a section that has one": (
        "data:\n  source: {name: digits}\nmodel: resnet\n",
        "broken.yaml:3:8: model: is a section: write {name: resnet}\n",
    ),
    "a name for an entry that has one": (
        GOOD + "augment:\n  - {name: shift}\n  - flip\n",
        "broken.yaml:6:5: augment.1: is a section: write {name: flip}\n",
    ),
    "nothing for a section": (
        GOOD + "train:\n",
        "broken.yaml:4:7: train: should be a section of settings, not empty (null)\n",
    ),
    "a section for a list": (
        GOOD + "augment: {name: flip}\n",
        "broken.yaml:4:10: augment: should be a list, not a section\n",
    ),
    "a number for a list": (
        "data:\n  source: {name: digits}\n  image_size: 32\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:3:15: data.image_size: should be a list of 2 values, not 32\n",
    ),
    "a list that is too short": (
        "data:\n  source: {name: digits}\n  image_size: [32]\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:3:15: data.image_size: should have 2 values, not 1\n",
    ),
    "a list that is too long": (
        "data:\n  source: {name: digits}\n  image_size: [32, 32, 3]\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:3:15: data.image_size: should have 2 values, not 3\n",
    ),
    "a list that needs an entry": (
        "data:\n  source: {name: digits}\nmodel: {name: sequential, layers: []}\n",
        "broken.yaml:3:35: model.layers: should not be empty\n",
    ),
    # Ranges.
    "a number below its range": (
        "data:\n  source: {name: digits}\n  batch_size: 0\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:3:15: data.batch_size: should be at least 1, not 0\n",
    ),
    "a number above its range": (
        GOOD + "train:\n  optimizer: {name: sgd, momentum: 1.5}\n",
        "broken.yaml:5:36: train.optimizer.momentum: should be less than 1, not 1.5\n",
    ),
    "a seed above its range": (
        "seed: 99999999999\n" + GOOD,
        "broken.yaml:1:7: seed: should be less than 2147483648, not 99999999999\n",
    ),
    "a depth that the paper does not have": (
        "data:\n  source: {name: digits}\nmodel: {name: resnet, depth: 19}\n",
        "broken.yaml:3:30: model.depth: can't be 19; it may be 18, 34, 50, 101, 152, 200, 20, 32, 44, 56, 110, "
        "164, 16, 22, 28, 40\n",
    ),
    "a depth that only the other version has": (
        "data:\n  source: {name: digits}\nmodel: {name: resnet, depth: 28, width: 10}\n",
        "broken.yaml:3:8: model: depth 28 is one of the wide networks (16, 22, 28, 40), which have `version: 2`\n",
    ),
    "a width that the depth does not have": (
        "data:\n  source: {name: digits}\nmodel: {name: resnet, depth: 20, width: 4}\n",
        "broken.yaml:3:8: model: depth 20 has width 1; for small images wide networks have depths 16, 22, 28, 40\n",
    ),
    "a name that makes no folder": (
        "name: a/b\n" + GOOD,
        "broken.yaml:1:7: name: the text 'a/b' should begin with a letter or digit and hold only letters, digits, "
        "space, . - and _\n",
    ),
    "a name that is too long": (
        f"name: {'a' * 100}\n{GOOD}",
        "broken.yaml:1:7: name: should have at most 80 characters, not 100\n",
    ),
    # What is missing.
    "no model": (
        "data:\n  source: {name: digits}\n",
        "broken.yaml:1:1: model: is required\n",
    ),
    "no source": (
        "seed: 1\ndata:\n  batch_size: 8\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:2:1: data.source: is required\n",
    ),
    "no path": (
        "data:\n  source: {name: folder}\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:2:3: data.source.path: is required\n",
    ),
    "an empty file": (
        "",
        "broken.yaml:1:1: is empty; a config is a section with data and model, see `cnnkit list`\n",
    ),
    "a list at the top": (
        "- data\n- model\n",
        "broken.yaml:1:1: holds a list; a config is a section with data and model, see `cnnkit list`\n",
    ),
    "a missing file": (
        None,
        "broken.yaml: there is no such file; `cnnkit list` tells what a config may hold\n",
    ),
    # What is no YAML, or not the YAML of a config.
    "a key twice": (
        "data:\n  source: {name: digits}\n  batch_size: 16\n  batch_size: 32\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:4:3: data.batch_size: stands twice in this section, first in line 3\n",
    ),
    "a key twice, and wrong the first time": (
        GOOD + "train:\n  epochs: abc\n  epochs: 5\n",
        """\
broken.yaml:5:11: train.epochs: should be a whole number, not the text 'abc'
broken.yaml:6:3: train.epochs: stands twice in this section, first in line 5
""",
    ),
    "tabs": (
        "data:\n\tsource: {name: digits}\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:2:1: a tab; YAML is indented with spaces\n",
    ),
    "wrong indentation": (
        "data:\n  source: {name: digits}\n batch_size: 8\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:3:2: this line does not fit the indentation of the lines above\n",
    ),
    "a colon too many": (
        "name: flowers: red\n" + GOOD,
        "broken.yaml:1:14: a second `:` in one line; quote the text, or start a new line\n",
    ),
    "a brace that is not closed": (
        "data:\n  source: {name: digits\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:3:6: a `{` or `[` above is not closed, or a comma is missing\n",
    ),
    "quotes that are not closed": (
        "name: 'flowers\n" + GOOD,
        "broken.yaml:1:7: the quoted text that begins here never ends\n",
    ),
    "a second document": (
        f"{GOOD}---\n{GOOD}",
        "broken.yaml:4:1: a second document begins here; a config is one\n",
    ),
    "a tag that would run a command": (
        GOOD + "train: {early_stopping: !!python/object/apply:os.system {args: [touch ran]}}\n",
        """\
broken.yaml:4:25: train.early_stopping: the tag !!python/object/apply:os.system means nothing in a config
broken.yaml:4:58: train.early_stopping.args: unknown setting; it may be monitor, patience, min_delta
""",
    ),
    "a binary file": (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        "broken.yaml:1:1: not a text file (UTF-8)\n",
    ),
    "a character that is no text": (
        "name: x\0y\n" + GOOD,
        "broken.yaml:1:8: the character U+0000 has no place in a text file\n",
    ),
    "nested 5,000 deep": (
        "data: " + "[" * 5000 + "]" * 5000,
        "broken.yaml:1:57: nested more than 50 deep\n",
    ),
    "a bomb of aliases": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "broken.yaml:5:4: the aliases unfold to more than 20,000 values\n",
    ),
    "an unknown source": (
        "data:\n  source: {name: csv}\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:2:18: data.source.name: there is no `csv`; it may be digits, folder, manifest, arrays, idx, "
        "archive, keras, tfds\n",
    ),
    "a table that is not there": (
        "data:\n  source: {name: manifest, path: labels.csv}\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:2:34: data.source.path: FOLDER/labels.csv: there is no such file\n",
    ),
    "arrays that are not there": (
        "data:\n  source: {name: arrays, path: digits.npz}\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:2:32: data.source.path: FOLDER/digits.npz can't be read: No such file or directory\n",
    ),
    "a number of 5,000 digits": (
        f"seed: {'9' * 5000}\n{GOOD}",
        "broken.yaml:1:7: a number of 5,000 digits\n",
    ),
    "a file of two million characters": (
        "#" * 2_000_000,
        "broken.yaml:1:1: 2,000,000 characters; a config has at most 1,000,000\n",
    ),
    # Between sections.
    "images too small for the architecture": (
        "data:\n  source: {name: digits}\n  image_size: [16, 16]\nmodel: {name: resnet, depth: 18}\n",
        "broken.yaml:3:15: data.image_size: resnet 18 needs images of at least 32 x 32 pixels; these are 16 x 16\n",
    ),
    "a split that leaves nothing": (
        "data:\n  source: {name: digits}\n  split: {validation: 0.5, test: 0.5}\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:3:10: data.split: 0.5 for test and 0.5 for validation leaves nothing to train on\n",
    ),
    "a limit that leaves nothing to validate on": (
        "data:\n  source: {name: digits}\n  limit: 2\nmodel: {name: resnet, depth: 20}\n",
        "broken.yaml:3:10: data.limit: should be at least 3, an image a class for each of train, validation, test\n",
    ),
    "binary loss with ten classes": (
        GOOD + "train:\n  loss: {name: binary_cross_entropy}\n",
        "broken.yaml:5:16: train.loss.name: is for two classes; the data has 10: use cross_entropy\n",
    ),
    "SMOTE on large images": (
        "data:\n  source: {name: digits}\n  image_size: [64, 64]\n  balance: {name: smote}\n"
        "model: {name: resnet, depth: 18}\n",
        "broken.yaml:4:19: data.balance.name: images of 64 x 64 are too large to make new ones from their pixels; set "
        "data.image_size to at most [32, 32], freeze the backbone in every stage (then new features are made), or use "
        "oversample\n",
    ),
    "features of SMOTE that should be augmented": (
        "data:\n  source: {name: digits}\n  image_size: [64, 64]\n  balance: {name: borderline_smote}\n"
        "augment:\n  - {name: shift}\nmodel: {name: resnet, depth: 18}\n"
        "train:\n  stages:\n    - {epochs: 1, freeze: backbone}\n",
        "broken.yaml:4:19: data.balance.name: images of 64 x 64 are too large to make new ones from their pixels, so "
        "features of the frozen backbone are made, which no augmentation can change; leave augment out, or use "
        "oversample\n",
    ),
    "a setting of the other class weights": (
        "data:\n  source: {name: digits}\n  balance: {name: class_weight, beta: 0.99}\n"
        "model: {name: resnet, depth: 20}\n",
        "broken.yaml:3:12: data.balance: beta is a setting of `method: effective_number`; inverse_frequency has none, "
        "leave it out\n",
    ),
    "words and numbers that are none of a setting": (
        GOOD + "train:\n  devices: gpu\n  jit: 1\n  steps_per_execution: fast\n  precision: float16\n",
        """\
broken.yaml:5:12: train.devices: should be a whole number, auto, cpu or all, not the text 'gpu'
broken.yaml:6:8: train.jit: should be true or false or auto, not 1
broken.yaml:7:24: train.steps_per_execution: should be a whole number or auto, not the text 'fast'
broken.yaml:8:14: train.precision: can't be the text 'float16'; did you mean `mixed_float16`?
""",
    ),
    "steps that XLA can't compile": (
        GOOD + "train: {jit: true, devices: 2}\n",
        "broken.yaml:4:14: train.jit: XLA does not compile steps that several devices share; leave this out, "
        "or set train.devices to auto\n",
    ),
    "a warm-up that never ends": (
        GOOD + "train:\n  epochs: 3\n  schedule: {name: cosine, warmup_epochs: 3}\n",
        "broken.yaml:6:43: train.schedule.warmup_epochs: a warm-up of 3 epochs never ends in 3 epochs\n",
    ),
    "an archive that is not there": (
        "data:\n  source: {name: archive, path: flowers.zip}\nmodel: {name: resnet}\n",
        "broken.yaml:2:33: data.source.path: FOLDER/flowers.zip: there is no such file\n",
    ),
    "an archive that is none": (
        "data:\n  source: {name: archive, path: broken.yaml}\nmodel: {name: resnet}\n",
        "broken.yaml:2:33: data.source.path: FOLDER/broken.yaml: is empty, or no archive: "
        "it should be a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz\n",
    ),
    "a path that leads out of an archive": (
        "data:\n  source:\n    name: archive\n    path: a.zip\n    holds: {name: folder, path: ../images}\n"
        "model: {name: resnet}\n",
        "broken.yaml:5:33: data.source.holds.path: "
        "should be a path inside of the archive, as `.` or `images`; ../images leads out\n",
    ),
    "a set that Keras does not have": (
        "data:\n  source: {name: keras, dataset: cifar}\nmodel: {name: resnet}\n",
        "broken.yaml:2:34: data.source.dataset: can't be the text 'cifar'; did you mean `cifar10`?\n",
    ),
    "a folder that is not there": (
        "data:\n  source: {name: folder, path: flowers}\nmodel: {name: resnet}\n",
        "broken.yaml:2:32: data.source.path: FOLDER/flowers: there is no such folder\n",
    ),
    "a dense layer on an image": (
        "data:\n  source: {name: digits}\nmodel:\n  name: sequential\n  layers:\n"
        "    - {name: conv, filters: 8}\n    - {name: dense, units: 8}\n",
        "broken.yaml:7:7: model.layers.1: dense takes a vector, not an image of 32 x 32 x 8; put `{name: flatten}` "
        "before it\n",
    ),
    "a typo in the only layer": (
        "data:\n  source: {name: digits}\nmodel:\n  name: sequential\n  layers:\n"
        "    - {name: dense, units: 8, rate: 1}\n",
        "broken.yaml:6:31: model.layers.0.rate: is a setting of dropout, dense can't take it\n",
    ),
    "a typo in a layer of a group": (
        "data:\n  source: {name: digits}\nmodel:\n  name: sequential\n  layers:\n"
        "    - name: residual\n      layers:\n        - {name: batch_norm}\n        - {name: conv, filtres: 8}\n",
        "broken.yaml:9:11: model.layers.0.layers.1.filters: is required\n"
        "broken.yaml:9:24: model.layers.0.layers.1.filtres: unknown setting; did you mean `filters`?\n",
    ),
    "a dense layer on an image in a group": (
        "data:\n  source: {name: digits}\nmodel:\n  name: sequential\n  layers:\n    - {name: conv, filters: 8}\n"
        "    - name: residual\n      layers:\n        - {name: conv, filters: 8}\n        - {name: dense, units: 8}\n",
        "broken.yaml:10:11: model.layers.1.layers.1: dense takes a vector, not an image of 32 x 32 x 8; put "
        "`{name: flatten}` before it\n",
    ),
    # Several at once.
    "two problems": (
        "data:\n  source: {name: digits}\n  batch_size: 0\nmodel: {name: resnet, deth: 20}\n",
        """\
broken.yaml:3:15: data.batch_size: should be at least 1, not 0
broken.yaml:4:23: model.deth: unknown setting; did you mean `depth`?
""",
    ),
    "five problems, one of them between sections": (
        "sede: 1\ndata:\n  source: {name: digits}\n  split: {validation: 0.6, test: 0.6}\naugment:\n  - {name: flop}\n"
        "model: {name: resnet, depth: 20}\ntrain:\n  epochs: 0\n  optimizer: {name: adam, learning_rate: .nan}\n",
        """\
broken.yaml:1:1: sede: unknown setting; did you mean `seed`?
broken.yaml:4:10: data.split: 0.6 for test and 0.6 for validation leaves nothing to train on
broken.yaml:6:12: augment.0.name: there is no `flop`; did you mean `flip`?
broken.yaml:9:11: train.epochs: should be at least 1, not 0
broken.yaml:10:42: train.optimizer.learning_rate: should be a finite number, not nan
""",
    ),
    # --set.
    "a setting of another type": (
        GOOD + "train:\n  epochs: 5\n",
        "--set train.epochs=abc: train.epochs: should be a whole number, not the text 'abc'\n",
        "train.epochs=abc",
    ),
    "a setting without a value": (
        GOOD + "train:\n  epochs: 5\n",
        "--set data.batch_size=: data.batch_size: should be a whole number, not empty (null)\n",
        "data.batch_size=",
    ),
    "a setting without its sign": (
        GOOD,
        "--set train.epochs: should be KEY=VALUE, for example train.epochs=10\n",
        "train.epochs",
    ),
    "a setting of a section that there is not": (
        GOOD,
        "--set modle.depth=20: modle: unknown setting; did you mean `model`?\n",
        "modle.depth=20",
    ),
    "a setting of an entry that there is not": (
        GOOD + "augment:\n  - {name: flip}\n",
        "--set augment.1.name=shift: augment.1.name: there is no entry `1`; the list has 1, counted from 0\n",
        "augment.1.name=shift",
    ),
    "two broken settings and a broken file": (
        GOOD + "train:\n  epochs: 0\n",
        """\
broken.yaml:5:11: train.epochs: should be at least 1, not 0
--set seed: should be KEY=VALUE, for example train.epochs=10
--set model.depth=21: model.depth: can't be 21; it may be 18, 34, 50, 101, 152, 200, 20, 32, 44, 56, 110, 164, \
16, 22, 28, 40
""",
        "seed",
        "model.depth=21",
    ),
    "a text that looks like markup": (
        GOOD + "'[/]': 1\n",
        "broken.yaml:4:1: [/]: unknown setting; it may be name, seed, data, augment, model, train\n",
    ),
}


def written(case: str, folder: Path) -> tuple[list[str], str, int]:
    """Writes the config of a case; the words of the command, what it should say, and its exit code."""
    config, expected, *settings = BROKEN[case]
    if config is not None:
        (folder / "broken.yaml").write_bytes(config.encode() if isinstance(config, str) else config)
    options = [word for setting in settings for word in ("--set", setting)]
    return (
        ["check", "broken.yaml", *options],
        expected.replace("FOLDER", str(folder.resolve())),
        3 if case in IN_DATA else 2,
    )


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_config_is_told_what_is_wrong_and_where(
    case: str, tmp_path: Path, command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    words, expected, code = written(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert command(*words) == (code, "", expected)
    assert [path.name for path in tmp_path.iterdir() if path.name != "broken.yaml"] == []


# One of each exit code.
@pytest.mark.parametrize("case", ["a typo at the top", "an archive that is none"])
def test_in_a_process_of_its_own_it_says_the_same(case: str, tmp_path: Path) -> None:
    words, expected, code = written(case, tmp_path)
    done = subprocess.run([COMMAND, *words], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", expected)
