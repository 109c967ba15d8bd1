"""Convolutional networks. The union below is the list of what `model` may name.

May import `data` and `core`. Begin with `base`, then a family; `freezing` is what of a network learns in a stage.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from cnnkit.core.spec import ByName
from cnnkit.models.alexnet import AlexNet
from cnnkit.models.densenet import DenseNet
from cnnkit.models.hub import Hub
from cnnkit.models.inception import Inception
from cnnkit.models.keras_application import KerasApplication
from cnnkit.models.lenet import LeNet
from cnnkit.models.resnet import ResNet
from cnnkit.models.sequential import Sequential
from cnnkit.models.snn import Snn
from cnnkit.models.vgg import Vgg

AnyArchitecture: TypeAlias = Annotated[
    Sequential | LeNet | AlexNet | Vgg | ResNet | DenseNet | Inception | Snn | KerasApplication | Hub,
    ByName(),
]
