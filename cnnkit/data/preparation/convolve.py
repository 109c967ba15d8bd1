"""Pictures, convolved with a kernel of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from cnnkit.core.lazy import cv2, np
from cnnkit.data.preparation.base import Preparation

Border = Literal["zero", "edge", "reflect"]
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]


def weighted_sums(image: Any, kernel: Sequence[Sequence[float]], border: Border) -> Any:
    """The sum of what a kernel covers, weighted by it, with its middle on each pixel: not rounded, not cut off.

    sums[y, x, c] = sum over i, j of kernel[i][j] * image[y + i - rows // 2, x + j - columns // 2, c]

    Args:
        image: uint8 (H, W, C).
        kernel: Rows of weights, an odd number of rows and of columns.
        border: What lies beyond the picture: `zero`, the pixels of its `edge` again, or the picture mirrored
            (`reflect`; the edge itself comes once, as for NumPy).

    Returns:
        float64 (H, W, C).
    """
    borders = {"zero": cv2.BORDER_CONSTANT, "edge": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT_101}
    weights = np.asarray(kernel, dtype=np.float64)
    sums = cv2.filter2D(image.astype(np.float64), cv2.CV_64F, weights, borderType=borders[border])
    return sums.reshape(image.shape)


class Convolve(Preparation):
    """Convolves each channel with a kernel, as the first layer of a network does: the kernel is not turned round.

    So it is a correlation, as in every library for networks. What comes out is scale * sum + offset, rounded and cut
    off at 0 and 255.
    """

    name: Literal["convolve"] = "convolve"
    kernel: tuple[tuple[Weight, ...], ...]
    """Rows of weights, an odd number of rows and of weights in each; [[0, -1, 0], [-1, 5, -1], [0, -1, 0]] sharpens."""
    scale: Weight = 1.0
    """The sum is multiplied by it: 0.111111 makes a mean of a 3x3 kernel of ones."""
    offset: Weight = 0.0
    """Is added, in values of 0..255: 128 lets what is negative be seen."""
    border: Border = "zero"
    """What lies beyond the picture: zero, the pixels of its edge again, or the picture mirrored."""

    @field_validator("kernel")
    @classmethod
    def _has_a_middle(cls, kernel: tuple[tuple[float, ...], ...]) -> Any:
        lengths = [len(row) for row in kernel]
        if len(set(lengths)) > 1:
            raise ValueError(f"should have as many weights in each row, not {', '.join(map(str, lengths))}")
        if len(lengths) % 2 == 0 or lengths[0] % 2 == 0:
            size = f"{len(lengths)} x {lengths[0] if lengths else 0}"
            raise ValueError(f"should have an odd number of rows and of columns, so that it has a middle, not {size}")
        if max(*lengths, len(lengths)) > 255:
            raise ValueError("should have at most 255 rows and columns")
        if not any(map(any, kernel)):
            raise ValueError("should have a weight that is not 0, or all pictures would become the same")
        return kernel

    @field_validator("scale")
    @classmethod
    def _leaves_something(cls, scale: float) -> float:
        if scale == 0:
            raise ValueError("should not be 0, or all pictures would become the same")
        return scale

    def __call__(self, image: Any) -> Any:
        """The sums as float64, rounded once, at the end."""
        result = np.empty_like(image)
        for channel in range(image.shape[2]):  # one at a time, as a large picture in float64 takes much memory
            sums = weighted_sums(image[:, :, channel : channel + 1], self.kernel, self.border)[:, :, 0]
            sums *= self.scale
            sums += self.offset
            np.rint(sums, out=sums)
            result[:, :, channel] = np.clip(sums, 0, 255, out=sums)
        return result
