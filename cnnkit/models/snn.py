"""Self-normalising network: Klambauer, Unterthiner, Mayr and Hochreiter, Self-Normalizing Neural Networks (2017).

arXiv:1706.02515. SELU and weights of variance 1/n (LeCun's) draw the mean of the activations to 0 and their variance
to 1 from layer to layer (theorem 1), which is what batch normalisation does by force; alpha dropout keeps both.

The paper is about dense layers; this is the plain convolutional form. There is no pooling: a maximum would move the
mean and a mean would shrink the variance, so the last convolution of a stage halves the image by its stride. Zeros at
the edges of an image still lower the variance there, which counts once an image is only a few pixels large.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cnnkit.core.spec import Count, Rate
from cnnkit.models.base import Architecture
from cnnkit.models.layers import Style, dropout


class Snn(Architecture):
    """Self-normalising network (2017): SELU keeps mean and variance, without any normalisation."""

    name: Literal["snn"] = "snn"
    filters: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 64, 128)
    """Filters of each stage; a stage halves the image."""
    convolutions: Count = 2
    """3x3 convolutions in each stage."""
    dense_units: tuple[Count, ...] = (256,)
    """Units of the dense layers before the classifier."""
    dropout: Rate = 0.05
    """Share that alpha dropout sets to SELU's lowest value, behind each stage and each dense layer (section 3)."""

    paper: ClassVar[str] = "Klambauer et al. 2017, arXiv:1706.02515"
    small: ClassVar[bool] = True

    @property
    def smallest_image(self) -> int:
        """Each stage halves the image."""
        return int(2 ** len(self.filters))

    @property
    def style(self) -> Style:
        """What makes it self-normalising."""
        return Style(activation="selu", initializer="lecun_normal", normalization="none")

    def stages(self) -> tuple[str, ...]:
        """The stages of convolutions, then the dense layers."""
        stages = (f"stage{i}" for i in range(1, len(self.filters) + 1))
        return (*stages, *(("dense",) if self.dense_units else ()))

    def features(self, x: Any) -> Any:
        """Stages of convolutions, then dense layers. Shapes below for images of 32 pixels."""
        style = self.style
        for stage, filters in enumerate(self.filters, start=1):
            for i in range(1, self.convolutions + 1):
                strides = 2 if i == self.convolutions else 1
                x = style.conv_norm_act(x, filters, 3, f"stage{stage}_conv{i}", strides)
            x = dropout(x, self.dropout, f"stage{stage}", alpha=True)  # (B, 16, 16, 32), (B, 8, 8, 64), (B, 4, 4, 128)
        return style.dense_part(x, self.dense_units, self.dropout, alpha=True)  # (B, 2048), (B, 256)
