"""LeNet-5: LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition (1998).

Figure 2, for images of 32 x 32 pixels, as textbooks have it since:

    ======  ===================  ============  ======================================================
    paper   here                 output        in the paper
    ======  ===================  ============  ======================================================
    C1      conv1                28 x 28 x 6   the same
    S2      conv1_pool           14 x 14 x 6   the mean times a trained factor, plus a trained bias
    C3      conv2                10 x 10 x 16  each map sees some of the six only (table I)
    S4      conv2_pool           5 x 5 x 16    as S2
    C5      dense1               120           a 5x5 convolution, which is the same on 5 x 5 pixels
    F6      dense2               84            the same
    output  the classifier       classes       distances to drawings of the digits
    ======  ===================  ============  ======================================================

The paper's activation is 1.7159 tanh(2x/3); here it is the plain tanh. Characters of 28 x 28 pixels lay in a frame of
32 x 32 so that strokes at the edge come to the middle of a kernel; smaller images than 32 get that frame here.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from cnnkit.core.lazy import keras
from cnnkit.core.spec import Rate
from cnnkit.models.base import Architecture, Shape
from cnnkit.models.layers import Activation, Initializer, Normalization, Scaling

FRAME = 32


class LeNet(Architecture):
    """Two convolutions and two dense layers (1998): the smallest, for digits and the like."""

    name: Literal["lenet"] = "lenet"
    activation: Activation = "tanh"
    initializer: Initializer = None
    normalization: Normalization = "none"
    dropout: Rate = 0.0
    """Share of each dense layer's outputs that is dropped in training; the paper has none."""
    scaling: Scaling = "symmetric"

    paper: ClassVar[str] = "LeCun et al. 1998, doi:10.1109/5.726791"
    image_shape: ClassVar[Shape] = (FRAME, FRAME, 1)
    smallest_image: ClassVar[int] = 12
    """12 pixels, in their frame, become 6, then 2 behind the second convolution, which its pooling needs."""

    def stages(self) -> tuple[str, ...]:
        """The two convolutions with their poolings, then the dense layers."""
        return ("conv1", "conv2", "dense")

    def features(self, x: Any) -> Any:
        """Convolutions, then dense layers. Shapes below for images of 32, and of 28, pixels."""
        style = self.style
        framed = min(x.shape[1:3]) < FRAME
        for i, filters in enumerate((6, 16), start=1):
            # "same" adds two pixels at each edge, which makes 32 of 28.
            x = style.conv(x, filters, 5, f"conv{i}", padding="same" if framed and i == 1 else "valid")
            x = style.norm_act(x, f"conv{i}")  # (B, 28, 28, 6), (B, 10, 10, 16)
            x = keras.layers.AveragePooling2D(2, name=f"conv{i}_pool")(x)  # (B, 14, 14, 6), (B, 5, 5, 16)
        return style.dense_part(x, (120, 84), self.dropout)  # (B, 400), (B, 120), (B, 84)
