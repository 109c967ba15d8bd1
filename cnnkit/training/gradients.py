"""Gradients of a training in words: do they fade on their way back to the first layers, or grow beyond all bounds?

The norms are those that the steps measure anyway (`Steps.gradient_norms`), so this costs nothing. Of a layer what
counts is the norm of its gradient as a share of that of its weights: that is what a step moves them by, whatever their
size. That gradients fade or grow from layer to layer was shown by Hochreiter (1991) and Bengio et al. (1994,
doi:10.1109/72.279181), and by Glorot and Bengio (2010) for sigmoid layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.lazy import np
from cnnkit.core.text import listed
from cnnkit.models import freezing
from cnnkit.models.base import Architecture, Network
from cnnkit.training import advice
from cnnkit.training.observers import Observer

if TYPE_CHECKING:
    from cnnkit.training.stage_fit import StageFit
    from cnnkit.training.steps import Steps

FADED = 5e-4
"""A layer has lost its gradient where that is less than this share of the strongest layer's, each as a share of its
weights. In trainings that go well the weakest layer has more than 1e-2 (LeNet, VGG-16 and AlexNet without batch
normalisation, ResNet-20, DenseNet-40, self-normalising networks); with 6 sigmoid layers it has 3e-4, with 10 7e-7."""

GROWN = 1e3
"""Times the norm of its weights that no layer's gradient has in a training that goes well; those above had 32."""

ENOUGH = 10
"""Updates after which gradients are looked at: in the first one, layers behind a scale that begins at 0 have none."""


@dataclass(frozen=True)
class Strength:
    """How strong the gradient of a layer is.

    Attributes:
        layer: The layer's name.
        gradient: Norm of the gradient of all its weights, the root of the mean square over some updates.
        weights: Norm of these weights.
    """

    layer: str
    gradient: float
    weights: float

    @property
    def relative(self) -> float:
        """The gradient as a share of the weights."""
        return self.gradient / self.weights if self.weights else 0.0


def strengths(steps: Steps) -> list[Strength]:
    """Those of the layers that have kernels and learn, from input to output, over this epoch so far."""
    norms = steps.gradient_norms()
    by_layer: dict[str, list[tuple[float, Any]]] = {}
    for norm, weight in zip(norms, steps.learner.trainable_variables, strict=True):
        if len(weight.shape) > 1:  # biases, scales and shifts begin at 0 or 1, and may cancel behind a normalisation
            by_layer.setdefault(layer_of(weight.path), []).append((float(norm), weight))
    order = [layer.name for layer in steps.learner.model.layers]
    found = [
        Strength(
            name,
            math.hypot(*(norm for norm, _ in members)),
            math.hypot(*(float(np.linalg.norm(np.float64(weight.numpy()))) for _, weight in members)),
        )
        for name, members in by_layer.items()
        if name in order
    ]
    return sorted(found, key=lambda strength: order.index(strength.layer))


def layer_of(path: str) -> str:
    """The layer of a weight by its path: `conv1/kernel` is of `conv1`."""
    return path.partition("/")[0]


def by_stage(steps: Steps, architecture: Architecture, network: Network) -> dict[str, float]:
    """The norm of the gradient in each stage of the network that learns, from input to output, then the classifiers.

    It is that of all weights of a stage together: the root of the mean square over the updates of the epoch.
    """
    stage_of = {
        id(weight): group.name
        for group in freezing.groups(architecture, network)
        for layer in group.layers
        for weight in layer.trainable_variables
    }
    stage_of |= {id(weight): CLASSIFIER for weight in network.classifier.trainable_variables}
    squares: dict[str, float] = {}
    for norm, weight in zip(steps.gradient_norms(), steps.learner.trainable_variables, strict=True):
        stage = stage_of.get(id(weight), AUXILIARY)
        squares[stage] = squares.get(stage, 0.0) + float(norm) ** 2
    ordered = sorted(squares, key=lambda stage: (stage == AUXILIARY, stage == CLASSIFIER))
    return {stage: float(f"{math.sqrt(squares[stage]):.6g}") for stage in ordered}


CLASSIFIER, AUXILIARY = "classifier", "auxiliary"
"""What gradient_norms calls the weights that are in no stage of the network."""


def judged(layers: Sequence[Strength]) -> Iterator[tuple[str, str]]:
    """What is wrong with the gradients of some layers: what it is called, and a sentence."""
    strongest = max(layers, key=lambda strength: strength.relative, default=None)
    if strongest is None:
        return
    if not strongest.gradient:
        yield "none", "no layer gets a gradient: whatever the weights, the loss is the same"
        return
    faded = [layer for layer in layers if layer.relative < FADED * strongest.relative]
    dead = [layer.layer for layer in faded if not layer.gradient]
    if faded and faded[0] is layers[0]:
        yield "vanishing", _vanishing(layers, faded, strongest)
    elif dead:
        yield "dead", f"no gradient at all reaches {listed(dead)}, so nothing is learnt there"
    if strongest.relative > GROWN:
        yield (
            "exploding",
            f"gradients explode: in `{strongest.layer}` the norm of the gradient is {strongest.gradient:.3g}, "
            f"{strongest.relative:,.0f} times that of the weights",
        )


def _vanishing(layers: Sequence[Strength], faded: Sequence[Strength], strongest: Strength) -> str:
    """That gradients vanish on the way back, and how far they come."""
    first, last = faded[0], faded[-1]
    names = (
        f"`{first.layer}`"
        if first is last
        else f"{len(faded)} of {len(layers)} layers, `{first.layer}` to `{last.layer}`,"
    )
    if first.relative:
        than = f"{strongest.relative / first.relative:,.0f} times less than `{strongest.layer}`"
    else:
        than = f"nothing at all, while `{strongest.layer}` gets {strongest.gradient:.3g}"
    told = f"`{first.layer}` gets {than} for the size of its weights"
    return f"gradients vanish on their way back: {names} hardly learn; {told}"


class WatchGradients(Observer):
    """Puts the norms of the gradients into the record of each epoch, and says once a stage what is wrong with them."""

    def __init__(
        self, experiment: Experiment, network: Network, say: Callable[[str], None], diverges: Callable[[], bool]
    ):
        """Follows a stage.

        Args:
            experiment: What is done.
            network: The network, of which it tells stage by stage.
            say: Is told what is wrong.
            diverges: Whether it is known, and was said, that the loss is beyond all bounds: then gradients are, too.
        """
        self.experiment, self.network, self.say, self.diverges = experiment, network, say, diverges
        self.said: list[str] = []
        self.looked = False

    def updates_done(self, fit: StageFit) -> None:
        """Looks at them for the first time."""
        if not self.looked and fit.epoch == fit.begin and fit.update >= ENOUGH:
            self._look(fit)

    def measured(self, fit: StageFit) -> dict[str, Any]:
        """The norms by stage."""
        return {"gradient_norms": by_stage(fit.steps, self.experiment.model, self.network)}

    def epoch_ends(self, fit: StageFit, metrics: dict[str, Any]) -> None:
        """Looks at them again."""
        self._look(fit)

    def state(self) -> dict[str, Any]:
        """What was said."""
        return {"said": self.said, "looked": self.looked}

    def restore(self, state: dict[str, Any]) -> None:
        """It is not said again."""
        self.said, self.looked = list(state.get("said", ())), bool(state.get("looked"))

    def _look(self, fit: StageFit) -> None:
        self.looked = True
        if self.diverges() or fit.steps.metrics()["accuracy"] == 1:  # a loss of 0 has no gradient, and needs none
            return
        for kind, sentence in judged(strengths(fit.steps)):
            if kind not in self.said:
                self.said.append(kind)
                self.say(f"  careful: {sentence}; {self._try(kind, fit)}")

    def _try(self, kind: str, fit: StageFit) -> str:
        """What helps against it, the likeliest first."""
        if kind == "exploding":
            steps = list(advice.against_divergence(self.experiment, fit.number, fit.epoch == fit.begin, backward=True))
            return f"try {advice.numbered(steps)}"
        return f"try {advice.numbered(list(advice.against_vanishing(self.experiment, fit.number)))}"
