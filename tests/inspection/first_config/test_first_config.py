"""What `cnnkit init` suggests for which images, and that what it writes is read back as it was meant."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from cnnkit.config import file as config_file
from cnnkit.config import yaml12
from cnnkit.config.experiment import Experiment
from cnnkit.core.progress import Progress
from cnnkit.data.balancing import AnyBalance
from cnnkit.data.files import formats
from cnnkit.data.sources import Folder, Idx
from cnnkit.inspection.first_config.base import Traits
from cnnkit.inspection.first_config.rules import EPOCHS, suggest
from cnnkit.inspection.first_config.start import start
from cnnkit.inspection.first_config.traits import look
from cnnkit.inspection.first_config.writing import section_of, valid_name

PHOTOGRAPHS = Traits(
    classes={"daisy": 2000, "rose": 2000},
    splits={"train": 2800, "validation": 600, "test": 600},
    own=frozenset(),
    height=480,
    width=640,
    proportions=(0.75, 1.33, 1.5),
    same_size=False,
)
CLOTHES = Traits(
    classes={"coat": 30_000, "bag": 30_000},
    splits={"train": 48_000, "validation": 6_000, "test": 6_000},
    own=frozenset({"test"}),
    height=28,
    width=28,
    grey=1.0,
)


def values(traits: Traits) -> dict:
    return suggest(traits).values()


def reason(traits: Traits, section: str, key: str | None) -> str:
    return " ".join(choice.reason for choice in getattr(suggest(traits), section) if choice.key == key)


def augmentations(traits: Traits) -> list[str]:
    return [augmentation["name"] for augmentation in values(traits)["augment"]]


# Image size, channels, fit


@pytest.mark.parametrize(("side", "suggested"), [(8, 32), (23, 32), (28, 28), (32, 32), (63, 63), (64, 64), (3000, 64)])
def test_small_pictures_are_kept_tiny_ones_enlarged_and_large_ones_reduced(side, suggested):
    square = replace(CLOTHES, height=side, width=side)
    assert values(square)["data"]["image_size"] == [suggested, suggested]


@pytest.mark.parametrize(("proportion", "suggested"), [(4 / 3, [64, 84]), (0.5, [128, 64]), (6.0, [64, 128])])
def test_pictures_that_are_all_oblong_stay_so_up_to_two_to_one(proportion, suggested):
    oblong = replace(PHOTOGRAPHS, proportions=(proportion, proportion, proportion))
    assert values(oblong)["data"]["image_size"] == suggested


def test_small_pictures_of_one_size_are_kept_unless_they_are_strips():
    assert values(replace(CLOTHES, height=30, width=100))["data"]["image_size"] == [30, 100]
    strips = replace(CLOTHES, height=30, width=9000, proportions=(300.0, 300.0, 300.0))
    assert values(strips)["data"]["image_size"] == [30, 60]


def test_a_larger_size_is_told_of_only_where_the_pictures_have_it():
    assert "[128, 128] takes four times as long" in reason(PHOTOGRAPHS, "data", "image_size")
    assert "four times" not in reason(replace(PHOTOGRAPHS, height=100, width=100), "data", "image_size")


def test_no_larger_size_is_told_of_for_pictures_that_were_enlarged():
    assert "four times" not in reason(replace(PHOTOGRAPHS, detail=32), "data", "image_size")
    assert "no more detail than a shorter side of 32" in reason(replace(PHOTOGRAPHS, detail=32), "data", "image_size")
    assert "enlarged" not in reason(replace(PHOTOGRAPHS, detail=384), "data", "image_size")
    large = replace(PHOTOGRAPHS, height=3000, width=4000, detail=384)  # more is not looked for
    assert "enlarged" not in reason(large, "data", "image_size")


def test_pictures_of_different_proportions_become_square():
    assert values(PHOTOGRAPHS)["data"]["image_size"] == [64, 64]


def test_grey_pictures_have_one_channel_and_a_few_tinted_ones_do_not_change_that():
    assert values(CLOTHES)["data"]["channels"] == 1
    assert values(replace(CLOTHES, grey=0.94))["data"]["channels"] == 1
    assert "47 of 50" in reason(replace(CLOTHES, grey=0.94), "data", "channels")
    assert values(replace(CLOTHES, grey=0.5))["data"]["channels"] == 3
    assert values(PHOTOGRAPHS)["data"]["channels"] == 3


def test_photographs_are_cropped_scans_and_very_different_proportions_padded():
    assert values(PHOTOGRAPHS)["data"]["fit"] == "crop"
    assert values(replace(PHOTOGRAPHS, grey=1.0))["data"]["fit"] == "pad"
    assert values(replace(PHOTOGRAPHS, proportions=(0.3, 1.0, 2.5)))["data"]["fit"] == "pad"
    assert values(replace(PHOTOGRAPHS, grey=1.0, proportions=(1.0, 1.0, 1.0)))["data"]["fit"] == "crop"


def test_the_loss_of_a_crop_is_told():
    # 1.5 : 1 cropped to a square loses a third.
    assert "33 %" in reason(PHOTOGRAPHS, "data", "fit")


# Split and balance


def test_only_what_the_source_does_not_set_apart_is_split():
    assert values(PHOTOGRAPHS)["data"]["split"] == {"validation": 0.15, "test": 0.15}
    assert values(CLOTHES)["data"]["split"] == {"validation": 0.1}
    assert "split" not in values(replace(CLOTHES, own=frozenset({"validation", "test"})))["data"]


def test_few_validation_images_are_told_of():
    few = replace(PHOTOGRAPHS, splits={"train": 180, "validation": 40, "test": 40})
    assert "2.5 %" in reason(few, "data", "split")
    assert "steps" not in reason(PHOTOGRAPHS, "data", "split")


def test_imbalance_is_told_with_what_to_do_and_the_advice_is_a_setting():
    torn = replace(PHOTOGRAPHS, classes={"daisy": 3600, "rose": 400})
    told = reason(torn, "data", None)
    assert "9.0 times" in told
    assert "`rose` with 400" in told
    advised = yaml12.parse(told.split("or `")[1].split("`")[0]).values
    assert TypeAdapter(AnyBalance).validate_python(advised["balance"]).name == "class_weight"
    assert "limit" not in told
    assert "balance:" not in reason(PHOTOGRAPHS, "data", None)


# Augmentation


def test_photographs_are_flipped_and_moved():
    assert augmentations(PHOTOGRAPHS) == ["flip", "shift"]


@pytest.mark.parametrize(
    "names",
    [
        "0123456789",
        "ABC",
        ["zero", "one"],
        ["00017", "00018"],
        ["turn_left", "turn right"],
        ["Left lung", "Right lung"],
    ],
)
def test_what_has_a_left_and_a_right_is_not_flipped(names):
    chiral = replace(PHOTOGRAPHS, classes=dict.fromkeys(names, 400))
    assert augmentations(chiral) == ["shift"]
    assert suggest(chiral).augment.reason.startswith("No flip: ")


def test_names_that_only_sound_so_are_flipped():
    assert augmentations(replace(PHOTOGRAPHS, classes={"leftovers": 9, "bright": 9})) == ["flip", "shift"]


def test_where_the_side_may_matter_in_a_scan_is_told():
    assert "heart" in suggest(replace(PHOTOGRAPHS, grey=1.0)).augment.reason


def test_padded_pictures_are_moved_over_black():
    assert {"name": "shift", "fraction": 0.1, "fill": "black"} in values(replace(PHOTOGRAPHS, grey=1.0))["augment"]


def test_many_images_in_few_epochs_need_no_augmentation():
    assert augmentations(CLOTHES) == []


# Network and training


@pytest.mark.parametrize("side", [8, 24, 28, 32, 47, 48, 63, 64, 500])
@pytest.mark.parametrize("images", [20, 1_000, 100_000, 5_000_000])
def test_every_suggestion_is_a_valid_experiment_whose_network_takes_the_images(side, images):
    classes = {"a cat": images // 2, "a dog": images // 2}
    splits = {"train": images * 7 // 10, "validation": images * 15 // 100, "test": images * 15 // 100}
    traits = replace(CLOTHES, height=side, width=side, classes=classes, splits=splits, own=frozenset())
    suggested = values(traits)
    document = {"name": "x", **suggested, "data": {"source": {"name": "digits"}, **suggested["data"]}}
    text = "".join(f"{key}: {yaml12.line(value)}\n" for key, value in document.items())
    experiment = Experiment.model_validate(yaml12.parse(text).values)
    shape = experiment.shape()
    assert shape is not None
    assert list(experiment.model.problems(shape)) == []
    assert experiment.train.schedule.warmup_epochs < experiment.train.epochs


def test_the_recipe_for_photographs_is_that_of_the_config_that_was_measured():
    measured = config_file.read(Path(__file__).parents[3] / "configs" / "folder.yaml", files=False)
    suggested = values(PHOTOGRAPHS)
    document = {"name": "x", **suggested, "data": {"source": {"name": "digits"}, **suggested["data"]}}
    text = "".join(f"{key}: {yaml12.line(value)}\n" for key, value in document.items())
    experiment = Experiment.model_validate(yaml12.parse(text).values)
    for section in ("augment", "model", "train"):
        assert getattr(experiment, section) == getattr(measured, section)
    assert experiment.data.image_size == measured.data.image_size
    assert experiment.data.batch_size == measured.data.batch_size


def test_batches_grow_with_the_images():
    def batch_size(images):
        return values(replace(CLOTHES, splits={"train": images, "validation": 9, "test": 9}))["data"]["batch_size"]

    assert [batch_size(images) for images in (10, 200, 5_000, 50_000)] == [4, 16, 32, 64]


def test_the_more_images_the_fewer_epochs():
    def epochs(images):
        return values(replace(CLOTHES, splits={"train": images, "validation": 9, "test": 9}))["train"]["epochs"]

    suggested = [epochs(images) for images in (100, 10_000, 30_000, 60_000, 200_000, 10**7)]
    assert suggested == sorted(suggested, reverse=True)
    assert (suggested[0], suggested[-1]) == (EPOCHS[-1], EPOCHS[0])


def test_every_setting_has_its_reason():
    for traits in (PHOTOGRAPHS, CLOTHES):
        suggested = suggest(traits)
        for choice in (*suggested.data, suggested.augment, *suggested.train):
            assert choice.reason
            assert choice.reason.endswith((".", "`."))


# The first look


def looked_at(folder: Path) -> Traits:
    collection = Folder(path=str(folder)).open(Progress())
    index = collection.index(Progress())
    return look(collection, index, ["train"] * len(index), Progress())


def save(path: Path, size: tuple[int, int], colour: bool, orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(hash(path.name) % 999).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(pixels if colour else np.repeat(pixels[..., :1], 3, axis=2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, quality=90, exif=exif) if path.suffix == ".jpg" else picture.save(path)


def test_pictures_without_colour_are_grey_however_they_are_stored(tmp_path):
    for i in range(6):
        save(tmp_path / "a" / f"{i}.jpg", (40, 40), colour=False)
        save(tmp_path / "b" / f"{i}.png", (40, 40), colour=i < 3)
    traits = looked_at(tmp_path)
    assert (traits.looked_at, traits.grey) == (12, 0.75)
    assert traits.classes == {"a": 6, "b": 6}


def test_sizes_are_those_of_the_pictures_turned_upright(tmp_path):
    for i in range(3):
        save(tmp_path / "a" / f"{i}.jpg", (60, 30), colour=True, orientation=6)
        save(tmp_path / "b" / f"{i}.jpg", (30, 60), colour=True)
    traits = looked_at(tmp_path)
    assert (traits.height, traits.width, traits.same_size) == (60, 30, True)
    assert traits.proportions == (0.5, 0.5, 0.5)


def test_files_that_are_no_images_are_named(image_folder):
    root = image_folder({"a": 3, "b": 3})
    (root / "a" / "text.png").write_text("not an image")
    assert looked_at(root).bad == {"a/text.png": formats.what_it_is(b"")}


# What is written

NAMES = [
    *(
        "plain",
        "two words",
        "Blüten",
        "yes",
        "null",
        "017",
        "1e3",
        "[a]",
        "{b: c}",
        "#x",
        "a #b",
        "a: b",
        "- x",
        "it's",
    ),
    *(
        '"quoted"',
        "~home",
        "*",
        "&a",
        "!t",
        "%y",
        "@z",
        "a, b",
        "back\\slash",
        "new\nline",
        "next\x85line",
        "日本",
        "✿",
    ),
    *("é", "x" * 150, "trailing ", " leading", "..dots..", "²", os.fsdecode(b"caf\xe9")),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_config_of_any_folder_is_read_back_as_it_was_meant(image_folder, tmp_path, monkeypatch, name):
    folder = image_folder({"yes": 5, "no; # [x]": 6}, name=name)
    (tmp_path / "configs").mkdir()
    monkeypatch.chdir(tmp_path)
    for output in (None, Path("configs/a.yaml")):
        started = start(Path(name), output)
        experiment = config_file.read(started.path)
        assert experiment.data.source == Folder(path=str(folder))
        assert experiment.name == started.config["name"]
        meant = yaml12.parse(yaml12.dump(started.config)).values
        meant["data"]["source"]["path"] = str(folder)
        assert experiment == Experiment.model_validate(meant)


@pytest.mark.parametrize("name", ["photos.tar.gz", "train.csv", "images.zip"])
def test_a_file_gives_its_name_without_the_ending(tmp_path, name):
    assert valid_name(tmp_path / name) == name.partition(".")[0]


def test_a_name_without_a_letter_becomes_images():
    assert [valid_name(Path(name)) for name in ("/", "..", "- -")] == ["images", "images", "images"]


@pytest.mark.parametrize(
    ("config", "images", "told"),
    [
        ("work", "work/images", "images"),
        ("work/configs", "work/images", "../images"),
        ("work/a/b", "work/images", "../../images"),
        ("work/a/b/c", "work/images", None),
        ("work", "work", "."),
        ("work", "work/~x", None),
    ],
)
def test_a_path_is_relative_where_it_is_near(tmp_path, config, images, told):
    source = Folder(path=str(tmp_path / images))
    assert section_of(source, tmp_path / config) == {"name": "folder", "path": told or str(tmp_path / images)}


def test_a_path_that_shares_only_the_root_is_absolute():
    assert section_of(Folder(path="/data/x"), Path("/home")) == {"name": "folder", "path": "/data/x"}


def test_of_a_source_what_is_not_default_is_written(tmp_path):
    source = Folder(path=str(tmp_path / "x"), on_bad="skip", glob="*/images/*")
    told = {"name": "folder", "path": "x", "on_bad": "skip", "glob": "*/images/*"}
    assert section_of(source, tmp_path) == told
    named = Idx(path=str(tmp_path), classes=("yes", "no"))
    assert section_of(named, tmp_path) == {"name": "idx", "path": ".", "classes": ("yes", "no")}
