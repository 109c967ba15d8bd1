"""The variables that a training changes, by names that another process finds again: what a state holds of numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnnkit.core.errors import TrainingError
from cnnkit.models.base import Network

if TYPE_CHECKING:
    from cnnkit.training.stage_fit import StageFit

_COUNTED = re.compile(r"_\d+(?=/|:|$)")
"""What Keras puts behind a name that it has given before in this process."""


def variables(network: Network, fit: StageFit | None = None) -> dict[str, Any]:
    """All variables that a stage changes, by a name of its own each: what a resume needs of them.

    These are the weights (with the state of dropout's generators, which files of weights lack), those of the auxiliary
    classifiers, of the optimizer, and what is measured of the epoch.

    Args:
        network: The network.
        fit: The stage; without one those of the network alone, which come first.
    """
    found: dict[int, Any] = {}
    models = [network.model, *(model for model, _ in network.auxiliary)]
    own = [each for model in models for each in model.variables]
    for variable in [*own, *(fit.steps.optimizer.variables if fit else ())]:
        found.setdefault(id(variable.value), variable)
    for variable in fit.steps.variables if fit else ():
        found.setdefault(id(variable), variable)
    return {
        f"{number:04d}:{_COUNTED.sub('', getattr(variable, 'path', variable.name))}": variable
        for number, variable in enumerate(found.values())
    }


def forms(variables: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of each, the type as NumPy calls it."""
    return {
        name: (tuple(variable.shape), str(getattr(variable.dtype, "name", variable.dtype)))
        for name, variable in variables.items()
    }


def assign(variables: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Gives variables the values that they had.

    Raises:
        TrainingError: There are none for one of them.
    """
    for name, variable in variables.items():
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            raise TrainingError(f"what was kept of the training is of another network: {name} is none of it")
        variable.assign(arrays[name])
