"""Convolutional networks. The union below is the list of what `model` may name."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from cnnkit.architectures.alexnet import AlexNet
from cnnkit.architectures.base import Architecture, Features, Network
from cnnkit.architectures.densenet import DenseNet
from cnnkit.architectures.hub import Hub
from cnnkit.architectures.inception import Inception
from cnnkit.architectures.keras_application import KerasApplication
from cnnkit.architectures.lenet import LeNet
from cnnkit.architectures.resnet import ResNet
from cnnkit.architectures.sequential import AnyLayer, Sequential
from cnnkit.architectures.snn import Snn
from cnnkit.architectures.vgg import Vgg

AnyArchitecture: TypeAlias = Annotated[
    Sequential | LeNet | AlexNet | Vgg | ResNet | DenseNet | Inception | Snn | KerasApplication | Hub,
    Field(discriminator="name"),
]

__all__ = [
    "AlexNet",
    "AnyArchitecture",
    "AnyLayer",
    "Architecture",
    "DenseNet",
    "Features",
    "Hub",
    "Inception",
    "KerasApplication",
    "LeNet",
    "Network",
    "ResNet",
    "Sequential",
    "Snn",
    "Vgg",
]
