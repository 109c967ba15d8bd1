from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from cnnkit.core.progress import Progress
from cnnkit.data.index import Index
from cnnkit.data.section import Data
from cnnkit.data.sources import Folder
from cnnkit.inspection.doctor import examine, fix_list, masks
from cnnkit.inspection.doctor.base import Patient


def picture(number):
    colours = np.random.default_rng(number).integers(30, 220, (5, 5, 3)).astype(np.uint8)
    return Image.fromarray(colours).resize((40, 40), Image.Resampling.BICUBIC)


def mask(number):
    left, top = np.random.default_rng(number).integers(3, 18, 2)
    pixels = np.zeros((40, 40), np.uint8)
    pixels[top : top + 15, left : left + 18] = 255
    return Image.fromarray(pixels)


def folder(root, place, second=mask, classes=("ill", "well"), masked=("ill", "well")):
    """Twelve pictures a class, and beside each what `second` draws, where `place` says."""
    for number in range(24):
        of = classes[number % 2]
        path = root / of / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
        if of in masked:
            beside = root / place.format(of=of, stem=path.stem)
            beside.parent.mkdir(parents=True, exist_ok=True)
            second(number).save(beside)
    return root


def findings(root, **options):
    report = examine.examine(Data(source=Folder(path=str(root)), **options), Progress())
    return report, {finding.kind: finding for finding in report.findings}


PLACES = {
    "{of}/{stem}.png": "{stem}.png",
    "{of}/{stem}_mask.png": "{stem}_mask.png",
    "{of}/{stem}_GT.png": "{stem}_GT.png",
    "{of}/{stem}-seg.png": "{stem}-seg.png",
    "{of}/masks/{stem}.png": "masks/{stem}.png",
    "{of}/mask_{stem}.png": "mask_{stem}.png",
}


@pytest.mark.parametrize("place", PLACES)
def test_masks_beside_the_pictures_are_told_with_the_way_to_use_them(tmp_path, place):
    root = folder(tmp_path / "images", place)
    _, found = findings(root)
    finding = found["masks"]
    assert finding.severity == "warning"
    assert finding.message.startswith("24 pictures seem to be the mask of another one")
    assert len(finding.groups) == len(finding.leave_out) == 24
    assert all(name.endswith(".png") for name in finding.leave_out)
    pattern = re.search('file: "(.*)"}', finding.advice)[1]
    assert pattern == PLACES[place]
    with_masks, found = findings(root, prepare=({"name": "mask", "method": "file", "file": pattern},))
    assert "masks" not in found
    assert with_masks.images == 24


def test_without_what_is_on_the_list_nothing_of_it_is_left(tmp_path):
    root = folder(tmp_path / "images", "{of}/{stem}_mask.png")
    data = Data(source=Folder(path=str(root)))
    assert fix_list.write(tmp_path / "list.txt", findings(root)[0], data) == 24
    report, found = findings(root, exclude=str(tmp_path / "list.txt"))
    assert report.images == 24
    assert "masks" not in found


def test_masks_without_anything_in_them_are_masks_too(tmp_path):
    empty = lambda number: Image.new("L", (40, 40), 255 if number % 4 == 3 else 0)  # noqa: E731
    _, found = findings(folder(tmp_path / "images", "{of}/{stem}_mask.png", empty))
    assert len(found["masks"].leave_out) == 24


@pytest.mark.parametrize("place", ["{of}/{stem}.png", "{of}/{stem}_mask.png", "{of}/masks/{stem}.png"])
def test_masks_in_one_class_are_told_too_and_can_only_be_left_out(tmp_path, place):
    _, found = findings(folder(tmp_path / "images", place, masked=("ill",)))
    finding = found["masks"]
    assert finding.message.startswith("12 pictures seem to be the mask of another one")
    assert finding.message.endswith(". Only `ill` has some, so that to be a mask tells the class")
    assert len(finding.leave_out) == 12
    assert all(name.startswith("ill/") and name.endswith(".png") for name in finding.leave_out)
    assert "data.prepare" not in finding.advice  # a picture without a mask stops it


def test_the_few_masks_of_another_class_are_not_said_to_be_none_and_are_left_out_too(tmp_path):
    root = folder(tmp_path / "images", "{of}/{stem}_mask.png", masked=("ill",))
    for number in (1, 3):
        mask(number).save(root / "well" / f"{number:02d}_mask.png")
    _, found = findings(root)
    finding = found["masks"]
    assert len(finding.leave_out) == 14
    told = "Many images of `ill` are such and few of others, so that to be a mask tells of the class"
    assert finding.message.endswith(f". {told}")


def test_masks_of_pictures_of_another_class_count_for_none():
    names = [name for i in range(4) for name in (f"{i}.jpg", f"{i}_mask.png")]
    index = Index(
        classes=("ill", "well"),
        names=names,
        labels=np.asarray([0, 0, 1, 0, 1, 0, 1, 0]),
        digests=names,
        splits=[None] * 8,
        open=lambda i: None,
        path=lambda i: names[i],
    )
    assert not list(masks.by_some(Patient(index, ["train"] * 8), {name: "mask" in name for name in names}))


def test_two_black_and_white_pictures_of_one_class_may_be_chance(tmp_path):
    root = folder(tmp_path / "images", "{of}/{stem}.png", masked=())
    for number in (0, 2):
        mask(number).save(root / "ill" / f"{number:02d}.png")
    _, found = findings(root)
    assert "masks" not in found


@pytest.mark.parametrize(
    "options",
    [
        {"second": picture},
        {"masked": ("ill",), "second": picture},
        {"place": "{of}/other {stem} one.png"},
    ],
    ids=["no mask", "no mask in one class", "of another name"],
)
def test_other_second_pictures_are_no_masks(tmp_path, options):
    _, found = findings(folder(tmp_path / "images", **{"place": "{of}/{stem}_mask.png", **options}))
    assert "masks" not in found
