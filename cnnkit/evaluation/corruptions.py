"""Corruptions: what is left of the accuracy where images are noisy, blurred, too bright, flat, compressed or coarse.

Six of the corruptions of Hendrycks and Dietterich 2019 (arXiv:1903.12261), at their five strengths, done as in the
programs that made the authors' data sets (github.com/hendrycks/robustness, ImageNet-C/create_c): make_cifar_c.py for
images of 32 pixels a side, make_imagenet_64_c.py and make_tinyimagenet_c.py for 64, make_imagenet_c.py for 224.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cnnkit.core.lazy import cv2, np
from cnnkit.data.augmentations.jpeg import Jpeg
from cnnkit.data.index import Index
from cnnkit.evaluation.exam import Exam, Question
from cnnkit.evaluation.gate import with_ends
from cnnkit.evaluation.intervals import around_logit, wilson

Levels = tuple[float, float, float, float, float]
"""From the weakest to the strongest."""

STRENGTHS: dict[str, dict[int, Levels]] = {
    "noise": {
        32: (0.04, 0.06, 0.08, 0.09, 0.1),
        64: (0.04, 0.08, 0.12, 0.15, 0.18),
        224: (0.08, 0.12, 0.18, 0.26, 0.38),
    },
    "blur": {32: (0.4, 0.6, 0.7, 0.8, 1), 64: (0.5, 0.75, 1, 1.25, 1.5), 224: (1, 2, 3, 4, 6)},
    "brightness": {
        32: (0.05, 0.1, 0.15, 0.2, 0.3),
        64: (0.1, 0.2, 0.3, 0.4, 0.5),
        224: (0.1, 0.2, 0.3, 0.4, 0.5),
    },
    "contrast": {
        32: (0.75, 0.5, 0.4, 0.3, 0.15),
        64: (0.4, 0.3, 0.2, 0.1, 0.05),
        224: (0.4, 0.3, 0.2, 0.1, 0.05),
    },
    "jpeg": {32: (80, 65, 58, 50, 40), 64: (65, 58, 50, 40, 25), 224: (25, 18, 15, 10, 7)},
    "resolution": {
        32: (0.95, 0.9, 0.85, 0.75, 0.65),
        64: (0.9, 0.8, 0.7, 0.6, 0.5),
        224: (0.6, 0.5, 0.4, 0.3, 0.25),
    },
}
"""The authors' strengths by the side of their images, in pixels: standard deviation of the noise, and what is added to
the brightness, of full white; standard deviation of the blur, pixels; the share of the contrast that is left; quality
of the JPEG; share of width and height (which they call pixelate)."""


def strengths(side: int) -> dict[str, Levels]:
    """How strong each corruption is in images of a side, pixels.

    At 32, 64 and 224 pixels the strengths are the authors', who made them so that an image is still made out. That
    takes weaker ones where it has fewer pixels, so between these sizes they follow the logarithm of the side. Below 32
    pixels they stay those of 32, as a blur that is narrower still would reach no other pixel; above 224 those of 224,
    but for the blur, which grows with the images.
    """
    found: dict[str, Levels] = {}
    for kind, by_side in STRENGTHS.items():
        known = sorted(by_side)
        logarithms = [math.log(size) for size in known]
        first, *others = (
            float(np.interp(math.log(side), logarithms, [by_side[size][at] for size in known])) for at in range(5)
        )
        levels = [first, *others]
        if kind == "blur":
            levels = [level * max(1.0, side / known[-1]) for level in levels]
        # A quality is a whole number; of the others more digits are of no use to anybody.
        a, b, c, d, e = (float(round(level)) if kind == "jpeg" else round(level, 4) for level in levels)
        found[kind] = (a, b, c, d, e)
    return found


@dataclass(frozen=True)
class Corruptions(Question):
    """The accuracy on images that are corrupted in six ways, at five strengths each.

    Attributes:
        most: Images that are asked at the most; chosen by their contents.
    """

    most: int = 2000

    name: ClassVar[str] = "corruptions"
    of_answers_alone = True

    def answered(self, exam: Exam) -> dict[str, Any]:
        """The accuracy of each corruption and strength, their mean, and that of the same images as they are."""
        places, keys = exam.shown.sample(self.most), exam.shown.keys
        truth = exam.answers.labels[places]
        height, width, _ = exam.shown.images.shape
        asked = strengths(max(height, width))
        right = {kind: np.zeros((5, len(places)), bool) for kind in asked}
        size = exam.run.experiment.data.batch_size
        with exam.progress.task("corrupting images", len(places)) as advance:
            for first in range(0, len(places), size):
                some = places[first : first + size]
                pixels = exam.shown.images.rows([exam.shown.numbers[place] for place in some])
                for kind, levels in asked.items():
                    for at, level in enumerate(levels):
                        # An image has the same noise at each strength, so that a stronger one is only stronger.
                        made = [
                            corrupted(image, kind, level, np.random.default_rng((exam.run.experiment.seed, int(key))))
                            for image, key in zip(pixels, keys[some], strict=True)
                        ]
                        logits = exam.network.predict_on_batch(np.asarray(made, np.float32))
                        told = exam.run.probabilities(np.asarray(logits)).argmax(axis=1)
                        right[kind][at, first : first + size] = told == truth[first : first + size]
                advance(len(some))
        clean = float(np.mean(exam.answers.predicted[places] == truth))
        shares = {kind: each.mean(axis=1).tolist() for kind, each in right.items()}
        of_image = np.concatenate(list(right.values())).mean(axis=0)
        mean, error = float(np.mean(of_image)), float(np.std(of_image)) / math.sqrt(len(places))
        return {
            "images": len(places),
            "of": len(exam.shown.numbers),
            "clean_accuracy": clean,
            "clean_accuracy_interval": wilson(clean, len(places)),
            "mean_accuracy": mean,
            "mean_accuracy_interval": around_logit(mean, error, len(places)),
            "accuracy": shares,
            "strengths": {kind: list(levels) for kind, levels in asked.items()},
        }

    def figures(self, classes: Sequence[str], index: Index | None = None) -> list[str] | None:
        """Those of `answered`."""
        return ["images", "of", *with_ends("clean_accuracy", "mean_accuracy")]

    def lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        """A row a corruption with its five strengths; then the mean, and the worst."""
        yield f"{'corrupted':<12}" + "".join(f"{strength:>8}" for strength in range(1, 6))
        for kind, shares in found["accuracy"].items():
            yield f"{kind:<12}" + "".join(f"{share:>8.4f}" for share in shares)
        worst = min(found["accuracy"], key=lambda kind: sum(found["accuracy"][kind]))
        mean = sum(found["accuracy"][worst]) / 5
        part = f" of {found['of']:,}" if found["images"] < found["of"] else ""
        low, high = found["mean_accuracy_interval"]
        yield (
            f"corrupted: mean accuracy {found['mean_accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}), "
            f"{found['clean_accuracy']:.4f} as they are ({found['images']:,}{part} images); worst under {worst}: "
            f"{mean:.4f}"
        )


def corrupted(image: Any, kind: str, level: float, chance: Any) -> Any:
    """An image uint8 (h, w, c) corrupted: the same type and shape.

    Args:
        image: The image.
        kind: A key of `STRENGTHS`.
        level: How strongly, as told there.
        chance: NumPy's generator, for noise.
    """
    if kind == "noise":
        return _cut_off(image + 255 * level * chance.standard_normal(image.shape))
    if kind == "blur":
        reach = 2 * int(4 * level + 0.5) + 1
        blurred = cv2.GaussianBlur(image, (reach, reach), level, borderType=cv2.BORDER_REPLICATE)
        return blurred.reshape(image.shape)
    if kind == "brightness":
        # Added to the value of HSV, its largest channel: hue and saturation stay. Black, which has none, becomes grey.
        value = image.max(axis=2, keepdims=True).astype(np.float64)
        brighter = np.minimum(value + 255 * level, 255)
        return _cut_off(np.where(value > 0, image * (brighter / np.maximum(value, 1)), brighter))
    if kind == "contrast":
        means = image.mean(axis=(0, 1))
        return _cut_off((image - means) * level + means)
    return _coarse(image, level) if kind == "resolution" else Jpeg()(image, [level])


def _coarse(image: Any, share: float) -> Any:
    """With a share of the width and height, brought back to size without making it smooth."""
    from PIL import Image

    height, width, _ = image.shape
    small = (max(1, int(width * share)), max(1, int(height * share)))
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    made = picture.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BOX)
    return np.asarray(made).reshape(image.shape)


def _cut_off(values: Any) -> Any:
    """Whole numbers from 0 to 255, uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
