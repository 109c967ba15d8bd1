"""The sheets of `cnnkit preview`: what is on them is what training shows, and nothing else is written or read."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from cnnkit import read
from cnnkit.config.catalogue import KINDS
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.data.augmentations import AnyAugmentation
from cnnkit.data.augmentations.base import Mixing
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.balancing.base import Pool, Training, training_of
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.images import with_synthetic
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.inspection import preview

CONFIG = """\
seed: 3
data:
  source: {name: folder, path: photos}
  image_size: [8, 8]
  batch_size: 5
  SETTINGS
augment: AUGMENT
model: {name: sequential, layers: [{name: flatten}]}
"""

SINGLE = "[{name: flip}, {name: rotate, degrees: 40}, {name: brightness}, {name: erasing}]"
MIXED = "[{name: flip}, {name: mixup, alpha: 1.0}, {name: cutmix}]"
TIMES = 16
"""A picture of 8 x 8 is enlarged so many times."""


@pytest.fixture
def photos(image_folder, monkeypatch):
    root = image_folder({"cat": 12, "dog": 7, "emu": 12}, name="photos")
    monkeypatch.chdir(root.parent)
    return root


@pytest.fixture
def experiment_of(photos):
    def make(augment=SINGLE, settings="", *more):
        Path("mine.yaml").write_text(CONFIG.replace("SETTINGS", settings).replace("AUGMENT", augment))
        return read("mine.yaml", *more)

    return make


def seen(sheet):
    """The pictures of each row as they are on the sheet, brought back to their size."""
    with Image.open(sheet.file) as paper:
        pixels = np.asarray(paper)
    return [
        [pixels[top:bottom:TIMES, left:right:TIMES] for left, top, right, bottom in (p.box for p in row.pictures)]
        for row in sheet.rows
    ]


def trained_on(experiment, epochs):
    """The images that training shows in each epoch: pixels, labels and the number of each."""
    collection = experiment.data.source.open(Progress())
    complete = experiment.completed(collection)
    index = experiment.data.index(collection, Progress())
    images = load(index, Preprocessing((8, 8, 3), experiment.data.fit), experiment.data.cache, Progress())
    splits = experiment.data.splits(index)
    every = training_of(index, [i for i, split in enumerate(splits) if split == "train"])
    pool = Pool(index.classes, len(index), lambda: images.rows(every.numbers))
    training = complete.data.balance(every, pool, experiment.seed)
    if training.synthetic is not None:
        images = with_synthetic(images, training.synthetic)
    # Where nothing is mixed, the weights of a batch tell which images it has.
    mixing = any(isinstance(augmentation, Mixing) for augmentation in experiment.augment)
    weights = np.ones(len(training)) if mixing else training.numbers.astype(float)
    numbered = Training(training.numbers, training.labels, weights)
    chain = Chain(experiment.augment, experiment.seed)
    batches = feeding.TrainBatches(images, numbered, chain, experiment.data.batch_size).dataset(epochs)
    batches = [tuple(part.numpy() for part in batch) for batch in batches]
    an_epoch = len(batches) // epochs
    each = [batches[k * an_epoch : (k + 1) * an_epoch] for k in range(epochs)]
    return index, training, [[np.concatenate(part) for part in zip(*epoch, strict=True)] for epoch in each]


# What training shows


@pytest.mark.parametrize("settings", ["", "balance: {name: oversample}", "balance: {name: undersample}"])
def test_variants_are_pixel_by_pixel_what_training_shows_in_these_epochs(experiment_of, settings):
    experiment = experiment_of(SINGLE, settings)
    sheet = preview.augmented(experiment, Progress(), images=9, variants=3)
    index, _training, epochs = trained_on(experiment, 3)
    assert len(sheet.rows) == 9
    for row, pictures in zip(sheet.rows, seen(sheet), strict=True):
        number = index.names.index(row.image)
        with Image.open(Path("photos") / row.image) as original:
            np.testing.assert_array_equal(pictures[0], np.asarray(original))
        for picture, (pixels, labels, numbers) in zip(pictures[1:], epochs, strict=True):
            shown = pixels[numbers == number]
            assert any(np.array_equal(picture, one) for one in shown)
            assert index.classes[labels[numbers == number][0].argmax()] == row.label


@pytest.mark.parametrize("settings", ["", "balance: {name: smote, neighbors: 2}"])
def test_mixed_variants_are_what_training_shows_with_their_partners_and_shares(experiment_of, settings):
    experiment = experiment_of(MIXED, settings)
    sheet = preview.augmented(experiment, Progress(), images=6, variants=3)
    index, _training, epochs = trained_on(experiment, 3)
    for row, pictures in zip(sheet.rows, seen(sheet), strict=True):
        for told, picture, (pixels, labels, _) in zip(row.pictures[1:], pictures[1:], epochs, strict=True):
            (at,) = np.flatnonzero([np.array_equal(picture, np.rint(one)) for one in pixels])
            shares = dict.fromkeys(index.classes, 0.0)
            for part in told.mixed_of or [preview.Part(row.image, row.label, 1.0)]:
                shares[part.label] += part.share
            np.testing.assert_allclose(list(shares.values()), labels[at], atol=1e-6)
            if told.mixed_of:
                assert (told.mixed_of[0].image, told.mixed_of[0].label) == (row.image, row.label)
    assert any(len(picture.mixed_of) > 1 for row in sheet.rows for picture in row.pictures)


def test_shares_are_those_of_the_pixels_whatever_the_images_count_for(experiment_of):
    plain, weighted = (experiment_of(MIXED, settings) for settings in ("", "balance: {name: class_weight}"))
    sheets = [preview.augmented(experiment, Progress(), images=6, variants=2) for experiment in (plain, weighted)]
    assert sheets[0].rows == sheets[1].rows


@pytest.mark.parametrize("augment", [SINGLE, MIXED])
def test_in_an_epoch_each_image_is_decoded_once_and_the_order_drawn_once(experiment_of, monkeypatch, augment):
    decoded, drawn = [], []
    whole, order_of = Preprocessing.of_index, feeding.order_of
    monkeypatch.setattr(Preprocessing, "of_index", lambda view, index, i: decoded.append(i) or whole(view, index, i))
    monkeypatch.setattr(feeding, "order_of", lambda *given: drawn.append(given) or order_of(*given))
    preview.augmented(experiment_of(augment), Progress(), images=100, variants=1)
    assert len(decoded) == len(set(decoded)) > 20
    assert len(drawn) == (augment == MIXED)


def test_it_is_told_what_was_done(experiment_of):
    experiment = experiment_of("[{name: flip}]")
    sheet = preview.augmented(experiment, Progress(), images=10, variants=4)
    flipped = 0
    for row, (original, *variants) in zip(sheet.rows, seen(sheet), strict=True):
        for told, picture in zip(row.pictures[1:], variants, strict=True):
            mirrored = told.description == ("flip left-right",)
            assert mirrored or told.description == ()
            np.testing.assert_array_equal(picture, original[:, ::-1] if mirrored else original)
            flipped += mirrored
    assert 5 < flipped < 35


def test_of_each_class_as_many_images_of_the_training_split_are_shown_always_the_same(experiment_of):
    experiment = experiment_of()
    one, other = (preview.augmented(experiment, Progress(), images=6, variants=1) for _ in range(2))
    assert one == other
    assert [row.label for row in one.rows] == ["cat", "cat", "dog", "dog", "emu", "emu"]
    index, training, _ = trained_on(experiment, 1)
    assert {index.names.index(row.image) for row in one.rows} <= set(training.numbers.tolist())
    elsewhere = preview.augmented(experiment_of(SINGLE, "", "seed=4"), Progress(), images=6, variants=1)
    assert [row.image for row in elsewhere.rows] != [row.image for row in one.rows]


def test_more_images_than_there_are_show_all(experiment_of):
    experiment = experiment_of()
    sheet = preview.augmented(experiment, Progress(), images=100, variants=1)
    _, training, _ = trained_on(experiment, 1)
    assert len(sheet.rows) == len(training)
    assert len({row.image for row in sheet.rows}) == len(training)


def test_only_the_images_of_the_sheet_are_decoded(experiment_of, monkeypatch):
    decoded = []
    whole = Preprocessing.of_index
    monkeypatch.setattr(Preprocessing, "of_index", lambda view, index, i: decoded.append(i) or whole(view, index, i))
    sheet = preview.augmented(experiment_of(), Progress(), images=3, variants=2)
    assert len(sheet.rows) == len(set(decoded)) == 3


@pytest.mark.parametrize("augment", [SINGLE, MIXED])
def test_a_bad_file_is_told_by_its_name(experiment_of, photos, augment):
    for file in photos.glob("cat/*.png"):
        file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"^cat/\d+\.png: damaged: .*; repair or remove it; `cnnkit data CONFIG` finds"):
        preview.augmented(experiment_of(augment), Progress())


def test_bad_files_that_are_left_out_are_not_shown(experiment_of, photos):
    for number in (0, 1, 2):
        file = photos / f"cat/{number}.png"
        file.write_bytes(file.read_bytes()[:-40])
    experiment = experiment_of(SINGLE, "", "data.source.on_bad=skip")
    sheet = preview.augmented(experiment, Progress(), images=100, variants=1)
    shown = {row.image for row in sheet.rows}
    assert shown & {"cat/0.png", "cat/1.png", "cat/2.png"} == set()
    with_them = preview.augmented(experiment, Progress(), images=9, variants=2)
    for name in ("cat/0.png", "cat/1.png", "cat/2.png"):
        (photos / name).unlink()
    without = preview.augmented(experiment, Progress(), images=9, variants=2)
    assert [row.pictures for row in with_them.rows] == [row.pictures for row in without.rows]


# Every augmentation


def test_every_augmentation_can_be_previewed(experiment_of):
    union = get_args(get_args(AnyAugmentation)[0])
    for one in union:
        name = one.model_fields["name"].default
        probability = "" if issubclass(one, Mixing) else ", probability: 1.0"
        sheet = preview.augmented(experiment_of(f"[{{name: {name}{probability}}}]"), Progress(), images=3, variants=3)
        assert any(picture.description for row in sheet.rows for picture in row.pictures[1:]), name


# Steps of preparation


def test_each_step_of_preparation_is_shown_and_then_what_the_network_is_shown(experiment_of, photos):
    Image.fromarray(np.zeros((30, 20, 3), np.uint8)).save(photos / "cat/tall.png")
    prepare = "prepare: [{name: grayscale}, {name: resize, height: 16, width: 16}, {name: clahe, clip_limit: 3}]"
    experiment = experiment_of("[]", prepare)
    sheet = preview.prepared(experiment, Progress(), images=100)
    titles = ["as it is", "1. grayscale", "2. resize height 16 width 16", "3. clahe clip_limit 3", "in size: crop"]
    index = experiment.data.index(experiment.data.source.open(Progress()), Progress())
    view = Preprocessing((8, 8, 3), "crop", experiment.data.prepare)
    assert len(sheet.rows) > 20
    for row, (original, grey, *_, last) in zip(sheet.rows, seen(sheet), strict=True):
        assert [picture.title for picture in row.pictures] == titles
        if row.image == "cat/tall.png":
            assert [picture.description[0] for picture in row.pictures] == [
                "20 x 30",
                "20 x 30",
                "16 x 16",
                "16 x 16",
                "8 x 8",
            ]
            continue
        with Image.open(photos / row.image) as image:
            np.testing.assert_array_equal(original, np.asarray(image))
            by_pillow = np.asarray(image.convert("L"), int)
        assert abs(grey[:, :, 0] - by_pillow).max() <= 1
        np.testing.assert_array_equal(last, view.of_index(index, index.names.index(row.image)))


def test_every_step_can_be_previewed(experiment_of):
    (kind,) = (kind for kind in KINDS if kind.name == "preparations")
    needs = {
        "resize": ", longest_side: 9",
        "convolve": ", kernel: [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]",
        "color_space": ", space: hsv",
        "channel": ", channel: red",
        "remove_small": ", min_area: 0.01",
    }
    for step in kind.sections:
        name = step.model_fields["name"].default
        experiment = experiment_of("[]", f"prepare: [{{name: {name}{needs.get(name, '')}}}]")
        (row,) = preview.prepared(experiment, Progress(), images=1).rows
        assert len(row.pictures) == 3
        assert row.pictures[1].title.startswith(f"1. {name}")


# Files


def test_the_sheet_lies_in_the_cache_named_by_what_it_shows_and_nothing_else_is_written(experiment_of):
    experiment = experiment_of()
    before = set(Path().rglob("*"))
    one, same = (preview.augmented(experiment, Progress(), images=3, variants=1).file for _ in range(2))
    others = [
        preview.augmented(experiment, Progress(), images=4, variants=1).file,
        preview.augmented(experiment, Progress(), images=3, variants=2).file,
        preview.augmented(experiment_of("[{name: shift}]"), Progress(), images=3, variants=1).file,
        preview.augmented(experiment_of(SINGLE, "", "seed=4"), Progress(), images=3, variants=1).file,
        preview.prepared(experiment_of(SINGLE, "prepare: [{name: clahe}]"), Progress(), images=3).file,
        preview.prepared(experiment_of(SINGLE, "prepare: [{name: clahe, tiles: 2}]"), Progress(), images=3).file,
    ]
    assert one == same
    assert one.parent == cache_folder() / "preview"
    assert one.name.startswith("mine-")
    assert len({one, *others}) == 7
    assert set(Path().rglob("*")) == before
    assert {path.name for path in cache_folder().iterdir()} <= {"preview", "index"}


def test_a_sheet_that_is_there_is_not_written_over_without_force(photos):
    Path("sheet.png").write_text("precious")
    with pytest.raises(UsageError, match=r"--output sheet\.png exists already; --force replaces it"):
        preview.refuse(Path("sheet.png"), force=False)
    preview.refuse(Path("sheet.png"), force=True)
    for output, told in (("sheet.jpg", r"ends in \.png"), ("no/sheet.png", "there is no folder"), (".png", "png")):
        with pytest.raises(UsageError, match=told):
            preview.refuse(Path(output), force=True)
    Path("folder.png").mkdir()
    with pytest.raises(UsageError, match="that is no file"):
        preview.refuse(Path("folder.png"), force=True)


def test_a_sheet_that_can_not_be_written_leaves_nothing_behind(experiment_of, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UsageError, match="can't be written: No space left on device; choose another --output"):
        preview.augmented(experiment_of(), Progress(), Path("sheet.png"), images=1, variants=1)
    assert sorted(path.name for path in Path().iterdir()) == ["mine.yaml", "photos"]


def test_where_nothing_can_be_written_the_file_is_told_that_was_asked_for(experiment_of):
    with pytest.raises(UsageError, match=r"^/proc/x\.png can't be written: .*; choose another --output$"):
        preview.augmented(experiment_of(), Progress(), Path("/proc/x.png"), images=1, variants=1)


# Nothing to see


def test_a_config_that_augments_nothing_is_told_what_to_write(experiment_of):
    with pytest.raises(UsageError, match=r"mine\.yaml has nothing under augment: .*--set 'augment=\[\{name: flip\}"):
        preview.refuse_unaugmented(experiment_of("[]"), Path("mine.yaml"))
    example = "augment=[{name: flip}, {name: rotate, degrees: 15}]"
    assert [one.name for one in experiment_of("[]", "", example).augment] == ["flip", "rotate"]


def test_a_config_that_prepares_nothing_is_told_what_to_write(experiment_of):
    with pytest.raises(UsageError, match=r"data\.prepare has no step: .*--set 'data\.prepare=\[\{name: clahe\}\]'"):
        preview.prepared(experiment_of(), Progress())
    assert [step.name for step in experiment_of("[]", "", "data.prepare=[{name: clahe}]").data.prepare] == ["clahe"]
