"""What holds for every step of preparation: over the union, for pictures of all kinds and sizes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from cnnkit.config import yaml12
from cnnkit.config.catalogue import doc, setting_docs
from cnnkit.data.preparation import AnyPreparation
from cnnkit.data.preparation.base import Preparation, Unprepared
from cnnkit.data.preparation.binarize import Binarize
from cnnkit.data.preparation.blur import Blur
from cnnkit.data.preparation.channel import Channel
from cnnkit.data.preparation.clahe import Clahe
from cnnkit.data.preparation.color_space import ColorSpace
from cnnkit.data.preparation.components import KeepLargest, RemoveSmall
from cnnkit.data.preparation.convolve import Convolve
from cnnkit.data.preparation.crop_to_content import CropToContent
from cnnkit.data.preparation.denoise import Denoise
from cnnkit.data.preparation.equalize import Equalize
from cnnkit.data.preparation.grayscale import Grayscale
from cnnkit.data.preparation.mask import Mask
from cnnkit.data.preparation.morphology import Close, Dilate, Erode, Open
from cnnkit.data.preparation.resize import Resize
from cnnkit.data.preparation.segment import Segment
from cnnkit.data.preparation.sharpen import Sharpen

CLASSES = get_args(get_args(AnyPreparation)[0])
ADAPTER: Any = TypeAdapter(AnyPreparation)

STEPS: list[Preparation] = [
    Grayscale(),
    ColorSpace(space="hsv"),
    ColorSpace(space="lab"),
    Channel(channel="green"),
    Channel(channel=2),
    Resize(height=20, width=9),
    Resize(longest_side=30),
    Resize(shortest_side=30, enlarge=False),
    CropToContent(),
    CropToContent(method="otsu", foreground="dark", min_area=0.0, margin=0.1),
    Clahe(),
    Equalize(),
    Denoise(),
    Blur(),
    Blur(kind="median", kernel_size=9),
    Blur(kind="box", kernel_size=255),
    Blur(kind="bilateral", sigma_color=0.2),
    Sharpen(amount=2.0, sigma=3.0),
    Convolve(kernel=((0, -1, 0), (-1, 5, -1), (0, -1, 0))),
    Convolve(kernel=((0.1,) * 31,), scale=0.5, offset=3.0, border="reflect"),
    Binarize(),
    Binarize(method="fixed", threshold=0.4, invert=True),
    Binarize(method="adaptive", block_size=35, offset=0.02),
    Erode(),
    Dilate(kernel_size=9, shape="disk", iterations=2),
    Open(shape="cross"),
    Close(kernel_size=5, shape="disk"),
    RemoveSmall(min_area=0.05),
    RemoveSmall(min_pixels=3, connectivity=4),
    KeepLargest(foreground="dark"),
    Mask(foreground="light"),
    Mask(method="file", file="{stem}_mask.png"),
    Segment(iterations=2),
    Segment(method="watershed", foreground="dark"),
]
SIZES = [(1, 1), (5, 7), (64, 48), (1, 12)]

every_step = pytest.mark.parametrize("step", STEPS, ids=repr)


def picture(size: tuple[int, int], channels: int, seed: int = 0) -> np.ndarray:
    """Soft blobs with a little noise; nobody may write to it."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    blobs = np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC)).astype(int)
    pixels = np.clip(blobs + random.integers(-20, 21, blobs.shape), 0, 255).astype(np.uint8)
    pixels = np.ascontiguousarray(pixels[:, :, :channels])
    pixels.flags.writeable = False
    return pixels


@pytest.fixture
def file(tmp_path):
    """Where an image would lie that has a mask beside it, of the size that is asked for."""

    def make(size):
        mask = np.zeros(size, np.uint8)
        mask[: size[0] // 2 + 1] = 255
        Image.fromarray(mask).save(tmp_path / "image_mask.png")
        return tmp_path / "image.jpg"

    return make


def test_every_step_is_tried_here():
    assert {type(step) for step in STEPS} == set(CLASSES)


@every_step
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_picture_becomes_a_picture_and_stays_as_it_was(step, channels, size, file):
    image = picture(size, channels)
    before = image.copy()
    if step.needs_colour and channels == 1:
        with pytest.raises(Unprepared, match="needs a picture in colour"):
            step.of_file(image, file(size))
        return
    result = step.of_file(image, file(size))
    assert result.dtype == np.uint8
    assert result.ndim == 3
    assert result.shape[2] == step.channels(channels)
    assert result.flags.c_contiguous
    assert min(result.shape) >= 1
    assert step.moves or result.shape[:2] == size
    assert np.array_equal(image, before)


@every_step
@pytest.mark.parametrize("value", [0, 100, 255])
def test_a_picture_of_one_value_is_prepared_too(step, value, file):
    image = np.full((13, 10, 3), value, np.uint8)
    assert step.of_file(image, file((13, 10))).dtype == np.uint8


@every_step
def test_threads_and_order_do_not_matter(step, file):
    images = [picture((24, 32), 3, seed) for seed in range(6)]
    path = file((24, 32))
    alone = [step.of_file(image, path).tobytes() for image in images]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda image: step.of_file(image, path).tobytes(), 2 * images[::-1]))
    assert together == 2 * alone[::-1]


@every_step
def test_a_step_comes_back_from_a_config_as_it_was(step):
    assert ADAPTER.validate_python(yaml12.parse(yaml12.dump(step.model_dump())).values) == step
    with pytest.raises(ValueError, match="frozen"):
        step.name = "other"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_step_and_setting_is_told_in_words(kind):
    assert doc(kind).endswith((".", ")"))
    assert set(kind.model_fields) - {"name"} <= {name for name, text in setting_docs(kind).items() if text}


def test_only_a_mask_from_a_file_reads_a_second_file(tmp_path):
    reading = [step for step in STEPS if step.beside(tmp_path / "image.jpg")]
    assert reading == [Mask(method="file", file="{stem}_mask.png")]


def test_what_crops_or_resizes_moves_pixels_and_nothing_else_does():
    assert {kind for kind in CLASSES if kind.moves} == {Resize, CropToContent}


def test_the_steps_are_known_without_loading_any_heavy_library():
    program = (
        "import sys, cnnkit.data.preparation;print(*{'cv2', 'tensorflow', 'numpy', 'PIL.Image'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


@every_step
def test_a_step_that_takes_channels_for_colours_is_known_as_one(step, file):
    """To a picture of which red and blue have changed places it does something else."""
    image = picture((64, 48), 3)
    path = file(image.shape[:2])
    result, turned = step.of_file(image, path), step.of_file(np.ascontiguousarray(image[:, :, ::-1]), path)
    same = result.shape == turned.shape and np.array_equal(result, turned[:, :, ::-1])
    assert same or step.takes_colours or step == Channel(channel=2)


@every_step
def test_what_leaves_other_channels_than_red_green_and_blue_is_known_as_such(step, file):
    """Where all channels are alike they stay so, but for what CIELAB rounds, and but for those of another space."""
    image = np.repeat(picture((64, 48), 1), 3, axis=2)
    result = step.of_file(image, file(image.shape[:2]))
    alike = bool(np.ptp(result.astype(int), axis=2).max() <= 3)
    assert alike == (step.leaves_space is None)
