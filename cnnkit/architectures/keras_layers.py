"""Keras layers of our own. Importing this module imports Keras, so it is imported where a network is built."""

from __future__ import annotations

from typing import Any

from cnnkit.lazy import keras


@keras.saving.register_keras_serializable(package="cnnkit")
class PadChannels(keras.layers.Layer):
    """Adds channels of zeros behind those of an image: (B, H, W, C) to (B, H, W, filters)."""

    def __init__(self, filters: int, **settings: Any):
        super().__init__(**settings)
        self.filters = filters

    def call(self, x: Any) -> Any:
        """Pads with zeros."""
        return keras.ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, self.filters - x.shape[-1]]])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The same image with more channels."""
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        config: dict[str, Any] = super().get_config()
        return config | {"filters": self.filters}
