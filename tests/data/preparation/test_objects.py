"""Mask and segment: what is behind the object becomes black."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import filters

from cnnkit.data.files import formats
from cnnkit.data.files.decoding import BadImage, Unreadable
from cnnkit.data.preparation.base import Unprepared
from cnnkit.data.preparation.mask import Mask
from cnnkit.data.preparation.segment import Segment

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(1, 256, (10, 16, 3), dtype=np.uint8)
BESIDE = Mask(method="file", file="{stem}_mask.png")


def half() -> np.ndarray:
    mask = np.zeros((10, 16), np.uint8)
    mask[:, :8] = 255
    return mask


def halved() -> np.ndarray:
    return np.where(half()[:, :, None] > 0, IMAGE, 0)


def test_the_light_or_dark_part_of_a_picture_stays():
    grey = IMAGE[:, :, :1]
    light = grey > filters.threshold_otsu(grey)
    assert np.array_equal(Mask()(grey), np.where(light, grey, 0))
    assert np.array_equal(Mask(foreground="dark")(grey), np.where(light, 0, grey))


def test_a_picture_of_one_value_stays_as_it_is():
    flat = np.full((4, 5, 3), 90, np.uint8)
    assert np.array_equal(Mask()(flat), flat)


@pytest.mark.parametrize("value", [1, 128, 255])
def test_a_mask_beside_the_image_keeps_where_it_is_not_black(tmp_path, value):
    Image.fromarray(np.minimum(half(), value).astype(np.uint8)).save(tmp_path / "rose_mask.png")
    result = BESIDE.of_file(IMAGE, tmp_path / "rose.jpg")
    assert np.array_equal(result, halved())


def save(file, image, **settings):
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, **settings)


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("{stem}_mask.png", "images/a/rose_mask.png"),
        ("masks/{name}.png", "images/a/masks/rose.jpg.png"),
        ("../../masks/{folder}/{stem}.png", "masks/a/rose.png"),
    ],
)
def test_a_mask_is_looked_for_from_the_folder_of_the_image(tmp_path, pattern, place):
    save(tmp_path / place, Image.fromarray(half()))
    (tmp_path / "images" / "a").mkdir(parents=True, exist_ok=True)
    step, path = Mask(method="file", file=pattern), tmp_path / "images" / "a" / "rose.jpg"
    assert step.beside(path).resolve() == (tmp_path / place).resolve()
    assert np.array_equal(step.of_file(IMAGE, path), halved())


def test_a_name_that_looks_like_a_placeholder_is_a_name(tmp_path):
    path = tmp_path / "{folder}.png"
    assert BESIDE.beside(path) == tmp_path / "{folder}_mask.png"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_a_mask_may_be_stored_in_any_way(tmp_path, mode):
    mask = Image.fromarray(half().astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(half()).convert(mode)
    save(tmp_path / "rose_mask.png", mask)
    assert np.array_equal(BESIDE.of_file(IMAGE, tmp_path / "rose.jpg"), halved())


def disc() -> np.ndarray:
    """bool (60, 60): a disc that is 15 % of it."""
    y, x = np.ogrid[:60, :60]
    return (y - 30) ** 2 + (x - 30) ** 2 <= 13**2


def kept_of_disc(folder: Path, mask: Image.Image, **how: Any) -> np.ndarray:
    """What is left of a white picture, bool (60, 60)."""
    save(folder / "rose_mask.png", mask, **how)
    return BESIDE.of_file(np.full((60, 60, 1), 255, np.uint8), folder / "rose.jpg")[:, :, 0] > 0


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("how", ["JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_ringing_of_a_lossy_mask_keeps_nothing(tmp_path, how, quality, mode):
    kept = kept_of_disc(
        tmp_path, Image.fromarray(255 * disc().astype(np.uint8)).convert(mode), format=how, quality=quality
    )
    assert (kept != disc()).mean() < 0.003


@pytest.mark.parametrize("how", ["PNG", "WEBP"])
@pytest.mark.parametrize("behind", [0, 255])
def test_what_is_transparent_in_a_mask_is_black(tmp_path, behind, how):
    layers = np.where(disc()[:, :, None], 255, [behind] * 3 + [0]).astype(np.uint8)
    options = {"lossless": True, "exact": True} if how == "WEBP" else {}
    assert np.array_equal(kept_of_disc(tmp_path, Image.fromarray(layers), format=how, **options), disc())


def test_a_transparent_colour_of_a_palette_is_black_too(tmp_path):
    mask = Image.fromarray(disc().astype(np.uint8)).convert("P")
    mask.putpalette([255, 255, 255, 200, 200, 200])
    assert np.array_equal(kept_of_disc(tmp_path, mask, transparency=0), disc())


@pytest.mark.parametrize("white", [1, 2, 200, 255, 256, 65535])
def test_a_lossless_mask_keeps_every_value_above_0(tmp_path, white):
    bits = np.uint8 if white < 256 else np.uint16
    for kind in (bits, np.uint16):
        assert np.array_equal(kept_of_disc(tmp_path, Image.fromarray(white * disc().astype(kind))), disc())
    labels = disc().astype(bits) * white
    labels[30:] //= 2  # another label
    assert np.array_equal(kept_of_disc(tmp_path, Image.fromarray(labels)), labels > 0)


def test_a_label_in_the_darkest_blue_is_a_label(tmp_path):
    assert np.array_equal(kept_of_disc(tmp_path, Image.fromarray(disc()[:, :, None] * np.uint8([0, 0, 1]))), disc())


def test_a_picture_is_not_its_own_mask(tmp_path):
    save(tmp_path / "rose.png", Image.fromarray(half()))
    assert "would be its own mask" in str(refused(tmp_path / "rose.png", Mask(method="file", file="{stem}.png")).value)


def test_a_mask_that_lies_on_its_side_is_turned_upright_as_pictures_are(tmp_path):
    on_its_side = Image.Exif()
    on_its_side[0x0112] = 6  # to be turned clockwise by 90 degrees
    save(tmp_path / "rose_mask.png", Image.fromarray(np.rot90(half()).copy()), exif=on_its_side)
    assert np.array_equal(BESIDE.of_file(IMAGE, tmp_path / "rose.jpg"), halved())


def refused(path, step=BESIDE):
    with pytest.raises(BadImage) as raised:
        step.of_file(IMAGE, path)
    return raised


def test_a_mask_of_another_size_is_told_with_both_sizes(tmp_path):
    file = tmp_path / "rose_mask.png"
    save(file, Image.fromarray(half()[:9]))
    assert str(refused(tmp_path / "rose.jpg").value) == f"its mask {file} is 9 x 16 pixels, the picture 10 x 16"


def test_a_large_jpeg_is_not_made_to_fit(tmp_path):
    """The decoder may read a JPEG at half its size, and this one would fit then."""
    file = tmp_path / "rose_mask.png"
    save(file, Image.fromarray(half()).resize((32, 20)), format="JPEG")
    assert "is 20 x 32 pixels, the picture 10 x 16" in str(refused(tmp_path / "rose.jpg").value)


def test_a_mask_that_is_missing_is_named(tmp_path):
    raised = refused(tmp_path / "rose.jpg")
    assert raised.type is Unprepared
    assert str(raised.value) == f"its mask is missing: there is no {tmp_path / 'rose_mask.png'}"


def test_a_damaged_mask_is_named_with_the_reason(tmp_path):
    file = tmp_path / "rose_mask.png"
    file.write_bytes(b"no picture")
    raised = refused(tmp_path / "rose.jpg")
    assert raised.type is Unprepared
    assert str(raised.value) == f"its mask {file}: {formats.what_it_is(b'')}"


def test_what_may_go_better_another_time_is_told_as_such(tmp_path):
    (tmp_path / "rose_mask.png").mkdir()
    raised = refused(tmp_path / "rose.jpg")
    assert raised.type is Unreadable
    assert "rose_mask.png" in str(raised.value)


def test_a_mask_that_keeps_nothing_is_refused(tmp_path):
    save(tmp_path / "rose_mask.png", Image.fromarray(half() * 0))
    assert "black all over" in str(refused(tmp_path / "rose.jpg").value)


def test_an_image_that_is_no_file_has_no_mask_beside_it():
    with pytest.raises(Unprepared, match="this image is no file; use method otsu"):
        BESIDE(IMAGE)


# Segment


def object_before(background: int, size: tuple[int, int] = (60, 80)) -> tuple[np.ndarray, np.ndarray]:
    """A picture of an orange disk before something grey, with noise, and where the disk is."""
    y, x = np.ogrid[: size[0], : size[1]]
    disk = (y - 32) ** 2 + (x - 36) ** 2 <= 18**2
    image = np.where(disk[:, :, None], (230, 150, 40), background) + RANDOM.normal(0, 6, (*size, 3))
    return image.clip(0, 255).astype(np.uint8), disk


@pytest.mark.parametrize("step", [Segment(), Segment(method="watershed")], ids=repr)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_object_is_cut_out(step, channels):
    image, disk = object_before(40)
    image = image[:, :, :channels]
    result = step(image)
    kept = (result > 0).any(axis=2)
    assert (kept & disk).sum() / (kept | disk).sum() > 0.93  # the intersection over the union
    assert np.array_equal(result[kept], image[kept])


def test_a_dark_object_is_cut_out_by_watershed_when_told():
    image, disk = object_before(40)
    kept = (Segment(method="watershed", foreground="dark")(255 - image) > 0).any(axis=2)
    assert (kept & disk).sum() / (kept | disk).sum() > 0.93


def test_an_object_at_the_edge_reaches_to_the_edge_by_watershed():
    image = np.zeros((20, 20, 1), np.uint8)
    image[:, 12:] = 200
    kept = Segment(method="watershed")(image)[:, :, 0] > 0
    assert kept[:, 13:].all()
    assert not kept[:, :11].any()


def test_the_frame_of_grabcut_is_background():
    image, _ = object_before(40)
    result = Segment(margin=0.2)(image)
    assert not result[:12].any()
    assert not result[:, :16].any()
    assert result[20:44, 20:50].any()


@pytest.mark.parametrize("step", [Segment(), Segment(method="watershed")], ids=repr)
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (30, 30)])
def test_a_picture_in_which_nothing_is_found_stays_as_it_is(step, size):
    flat = np.full((*size, 3), 120, np.uint8)
    assert np.array_equal(step(flat), flat)


def test_the_chance_in_grabcut_is_the_same_whatever_was_drawn_before():
    """A soft spot that differs little from what is behind it, so that the clusters it begins with decide."""
    random = np.random.default_rng(10)
    y, x = np.ogrid[:48, :64]
    spot = np.exp(-((y - 24) ** 2 + (x - 32) ** 2) / (2 * 9.0**2))[:, :, None]

    def clouds(low: int, high: int) -> np.ndarray:
        coarse = Image.fromarray(random.integers(low, high, (4, 4, 3), dtype=np.uint8))
        return np.asarray(coarse.resize((64, 48), Image.Resampling.BILINEAR)).astype(float)

    image = spot * clouds(60, 200) + (1 - spot) * clouds(0, 120) + random.normal(0, 5, (48, 64, 3))
    image = image.clip(0, 255).astype(np.uint8)
    results = set()
    for before in range(6):
        cv2.setRNGSeed(before)
        results.add(Segment(iterations=2)(image).tobytes())
    assert len(results) == 1
