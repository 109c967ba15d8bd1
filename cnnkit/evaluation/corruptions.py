"""Corruptions: what is left of the accuracy where images are noisy, blurred, too bright, flat, compressed or coarse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cnnkit.core.lazy import cv2, np
from cnnkit.data.augmentations.brightness import Brightness
from cnnkit.data.augmentations.contrast import Contrast
from cnnkit.data.augmentations.jpeg import Jpeg
from cnnkit.evaluation.exam import Exam, Question
from cnnkit.evaluation.metrics import interval

SMALL: dict[str, tuple[float, ...]] = {
    "noise": (0.04, 0.06, 0.08, 0.09, 0.1),
    "blur": (0.4, 0.6, 0.7, 0.8, 1.0),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "jpeg": (80, 65, 58, 50, 40),
    "resolution": (0.95, 0.9, 0.85, 0.75, 0.65),
}
"""Strengths for images below 64 pixels, those of CIFAR-10-C: standard deviation of noise and what is added, of full
white; sigma of the blur, pixels; the share of the contrast that is left; quality of the JPEG; share of the width and
height (Hendrycks and Dietterich 2019, arXiv:1903.12261)."""

LARGE: dict[str, tuple[float, ...]] = {
    "noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "blur": (1, 2, 3, 4, 6),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "jpeg": (25, 18, 15, 10, 7),
    "resolution": (0.6, 0.5, 0.4, 0.3, 0.25),
}
"""The same for others, those of ImageNet-C; the blur is that of images of 224 pixels, and grows with them."""


@dataclass(frozen=True)
class Corruptions(Question):
    """The accuracy on images that are corrupted in six ways, at five strengths each.

    Attributes:
        most: Images that are asked at the most; chosen by their contents.
    """

    most: int = 2000

    name: ClassVar[str] = "corruptions"

    def answered(self, exam: Exam) -> dict[str, Any]:
        """The accuracy of each corruption and strength, their mean, and that of the same images as they are."""
        digests = exam.shown.images.index.digests
        places = sorted(range(len(exam.shown.numbers)), key=lambda place: digests[exam.shown.numbers[place]])
        places = places[: self.most]
        truth = exam.answers.labels[places]
        height, width, _ = exam.shown.images.shape
        strengths = SMALL if max(height, width) < 64 else LARGE
        right = {kind: np.zeros(5, np.int64) for kind in strengths}
        size = exam.run.experiment.data.batch_size
        with exam.progress.task("corrupting images", len(places)) as advance:
            for first in range(0, len(places), size):
                some = places[first : first + size]
                pixels = exam.shown.images.rows([exam.shown.numbers[place] for place in some])
                for kind, levels in strengths.items():
                    for at, level in enumerate(levels):
                        made = [
                            corrupted(image, kind, level, np.random.default_rng((exam.run.experiment.seed, first + i)))
                            for i, image in enumerate(pixels)
                        ]
                        logits = exam.network.predict_on_batch(np.asarray(made, np.float32))
                        told = exam.run.probabilities(np.asarray(logits)).argmax(axis=1)
                        right[kind][at] += int(np.sum(told == truth[first : first + size]))
                advance(len(some))
        clean = float(np.mean(exam.answers.predicted[places] == truth))
        shares = {kind: (counts / len(places)).tolist() for kind, counts in right.items()}
        return {
            "images": len(places),
            "of": len(exam.shown.numbers),
            "clean_accuracy": clean,
            "clean_accuracy_interval": list(interval(clean, len(places))),
            "mean_accuracy": float(np.mean(list(shares.values()))),
            "accuracy": shares,
            "strengths": {kind: list(levels) for kind, levels in strengths.items()},
        }

    def lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        """A row a corruption with its five strengths; then the mean, and the worst."""
        yield f"{'corrupted':<12}" + "".join(f"{strength:>8}" for strength in range(1, 6))
        for kind, shares in found["accuracy"].items():
            yield f"{kind:<12}" + "".join(f"{share:>8.4f}" for share in shares)
        worst = min(found["accuracy"], key=lambda kind: sum(found["accuracy"][kind]))
        mean = sum(found["accuracy"][worst]) / 5
        part = f" of {found['of']:,}" if found["images"] < found["of"] else ""
        yield (
            f"corrupted: mean accuracy {found['mean_accuracy']:.4f}, {found['clean_accuracy']:.4f} as they are "
            f"({found['images']:,}{part} images); worst under {worst}: {mean:.4f}"
        )


def corrupted(image: Any, kind: str, level: float, chance: Any) -> Any:
    """An image uint8 (h, w, c) corrupted: the same type and shape.

    Args:
        image: The image.
        kind: A key of `SMALL`.
        level: How strongly, as told there.
        chance: NumPy's generator, for noise.
    """
    height, width, _ = image.shape
    if kind == "noise":
        noisy = image + 255 * level * chance.standard_normal(image.shape)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if kind == "blur":
        sigma = level if max(height, width) < 64 else level * max(height, width) / 224
        return cv2.GaussianBlur(image, (0, 0), sigma).reshape(image.shape)
    if kind == "resolution":
        small = (max(1, int(width * level)), max(1, int(height * level)))
        coarse = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST).reshape(image.shape)
    if kind == "brightness":
        return Brightness()(image, [level])
    if kind == "contrast":
        return Contrast()(image, [level - 1])
    return Jpeg()(image, [level])
