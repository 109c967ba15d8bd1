"""Convolutional networks. The union below is the list of what `model` may name."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from cnnkit.architectures.base import Architecture, Features, Network
from cnnkit.architectures.resnet import ResNet
from cnnkit.architectures.sequential import AnyLayer, Sequential
from cnnkit.architectures.vgg import Vgg

AnyArchitecture: TypeAlias = Annotated[Sequential | Vgg | ResNet, Field(discriminator="name")]

__all__ = ["AnyArchitecture", "AnyLayer", "Architecture", "Features", "Network", "ResNet", "Sequential", "Vgg"]
