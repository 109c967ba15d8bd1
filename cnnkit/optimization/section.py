"""The section `train`: how the network is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.machine import computes_in_bfloat16
from cnnkit.core.spec import AUTO, Count, CountOrAuto, FlagOrAuto, NotNegative, OrAuto, Positive, Spec
from cnnkit.core.text import counted, enumerated
from cnnkit.models.freezing import BACKBONE, PlannedStage, Stage
from cnnkit.optimization.clipping import AnyClip
from cnnkit.optimization.ema import Ema
from cnnkit.optimization.losses import AnyLoss, CrossEntropy
from cnnkit.optimization.optimizers import AnyOptimizer
from cnnkit.optimization.optimizers.adam import Adam
from cnnkit.optimization.sam import Sam
from cnnkit.optimization.schedules import AnySchedule
from cnnkit.optimization.schedules.cosine import Cosine
from cnnkit.optimization.schedules.plateau import Plateau
from cnnkit.optimization.tracking import AnyTracker
from cnnkit.optimization.training_metrics import Monitor
from cnnkit.optimization.watching import on_training_images, rare_gain

EPOCHS = 30
"""How long a training is if nobody says."""

FINE_TUNING = Adam(learning_rate=3e-5), Cosine(warmup_epochs=0.5)
"""Optimizer and schedule behind a fitted classifier, if nobody says: what was learnt is to be bent, not broken. Adam's
first steps are as large as its rate whatever the gradient, and at a classifier's optimum they lead away from it."""

REFERENCE = 256
"""Images an update that rates are meant for where they are scaled (Goyal et al. 2017, arXiv:1706.02677)."""

LONG = 1000
"""Epochs that hardly anyone means, where nothing may end them before."""


Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Devices = Annotated[int | Literal["auto", "cpu", "all"], OrAuto(Count, (AUTO, "cpu", "all"))]


class EarlyStopping(Spec):
    """Ends training when it does not get better any more."""

    monitor: Monitor = "val_loss"
    """What should get better."""
    patience: Count = 8
    """Epochs without a new best after which training ends."""
    min_delta: NotNegative = 0.0
    """By how much it must get better to count."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """What gets better while the network learns by heart, and a gain that hardly an epoch brings."""
        yield from on_training_images(self.monitor, "training goes on while the network learns them by heart")
        yield from rare_gain(self.min_delta)


MINUTES = 5.0
"""Between two states of a training, if nobody says."""


class Checkpoint(Spec):
    """Which epoch's weights are kept, and how often all is saved that a resume needs."""

    alternatives: ClassVar[tuple[str, ...]] = ("every_minutes", "every_steps", "every_epochs")

    monitor: Monitor = "val_accuracy"
    """The weights of the epoch in which this is best are kept; of equal ones the first."""
    every_minutes: Positive | None = MINUTES
    """Minutes between two states of the training, from which it can go on to the last bit; null if updates or epochs
    are counted, or none is to be saved but when the time limit is up: at the end of a stage and when the training is
    stopped neither."""
    every_steps: Count | None = None
    """The same, counted in updates: saved as soon as the updates that are under way then are done."""
    every_epochs: Count | None = None
    """The same, counted in epochs: saved at their end."""
    keep: Count = 2
    """So many states are kept, the newest ones; an older one goes when a new one is safely on the disk."""

    @model_validator(mode="before")
    @classmethod
    def _counted_in_one(cls, values: Any) -> Any:
        """No minutes where updates or epochs are counted, so that a written config says so."""
        if isinstance(values, dict) and any(values.get(name) is not None for name in ("every_steps", "every_epochs")):
            return {"every_minutes": None} | values
        return values

    @model_validator(mode="after")
    def _counted_in_no_more(self) -> Checkpoint:
        given = [name for name in self.alternatives if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{enumerated(given, 'and')} say the same in several ways; leave all but one out")
        return self

    @property
    def saves(self) -> bool:
        """Whether states are saved now and then."""
        return any(getattr(self, name) is not None for name in self.alternatives)

    def careful(self, given: Given) -> Iterator[Problem]:
        """What is best when the network has learnt by heart."""
        yield from on_training_images(self.monitor, "the epoch that has learnt most by heart is kept")


class Train(Spec):
    """How the network is trained."""

    filled_in: ClassVar[Mapping[str, Spec]] = {"optimizer": Adam(), "schedule": Cosine()}

    epochs: Count | None = None
    """How often every training image is shown; 30 if left out. Stages have epochs of their own, and a classifier that
    is fitted has none."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] | None = None
    """Parts of the training with other layers frozen; if left out all learns, or only the classifier of a pretrained
    network. Optimizer, schedule and early stopping begin anew in each; a stage that ends worse than it began is
    taken back."""
    loss: AnyLoss = CrossEntropy()
    """The loss: what training makes as small as it can."""
    optimizer: AnyOptimizer | None = None
    """How the weights follow the gradient. If left out Adam; but where only the classifier of a pretrained network
    learns, and nothing is augmented, none: the classifier is fitted, which is the optimum and takes seconds."""
    schedule: AnySchedule | None = None
    """How the learning rate goes over the training; cosine if left out."""
    clip: AnyClip | None = None
    """How large gradients may be; as large as they are if left out."""
    ema: Ema | None = None
    """Whether an average of the weights over the last updates is what is validated, kept and evaluated; if left out,
    the weights as they are."""
    sam: Sam | None = None
    """Whether training looks for a wide valley; not if left out."""
    gradient_accumulation: Count = 1
    """Batches whose gradients make one update of the weights, so that memory holds one of them only: 4 batches of 16
    images take the step of one with 64 (but for batch normalisation, which sees 16). Schedules count updates."""
    scale_learning_rate_with_batch: bool = False
    """Whether the learning rates are meant for 256 images an update, and are scaled to what an update has here (Goyal
    et al. 2017, arXiv:1706.02677): twice the images, twice the rate."""
    early_stopping: EarlyStopping | None = None
    """When to end before the last epoch; never if left out."""
    precision: Precision = "float32"
    """What the network computes in. `mixed_bfloat16` and `mixed_float16` keep weights and logits in float32 and compute
    between them in half of it (Micikevicius et al. 2018, arXiv:1710.03740), which is fast on GPUs that have units for
    it, and slow on a CPU. The run is evaluated in the same."""
    jit: FlagOrAuto = "auto"
    """Whether XLA compiles the steps; `auto` does so on one GPU, and not on a CPU, where it is slower."""
    steps_per_execution: CountOrAuto = "auto"
    """Updates of the weights that TensorFlow makes in one call, at the most: a call ends after half a second, too, and
    `auto` has no other limit. Results are the same to the last bit; between two calls signals are heard and states are
    saved."""
    devices: Devices = "auto"
    """What computes: `auto` is one GPU if there is one, `all` is every GPU, a number is as many, `cpu` is none. Several
    divide each batch of `data.batch_size` images among them and take the same steps as one, but for batch
    normalisation, which sees the images of its device."""
    time_limit: Positive | None = None
    """Minutes after which the training saves its state, evaluates the best epoch so far and ends well, to be gone on
    with: `cnnkit train --resume RUN`, which has as many again. They count from the start of the command; what is
    done before the first update (preparing images, finding a learning rate, computing features, fitting a classifier)
    is not cut off by them."""
    checkpoint: Checkpoint = Checkpoint()
    """Which epoch is kept, evaluated and used, and how often a state is saved from which the training can go on."""
    track: tuple[AnyTracker, ...] = ()
    """Where the run is recorded beside its folder. What TensorBoard shows is always in the folder itself."""

    def completed(self, pretrained: bool, unchanging: bool) -> Train:
        """The same with all filled in that hangs on the rest of the config.

        Args:
            pretrained: Whether the features of the network were learnt already.
            unchanging: Whether a frozen backbone makes the same of an image in every epoch.
        """
        stages = self._stages(pretrained, unchanging)
        update: dict[str, Any] = {}
        if optimizer := self.optimizer_of(stages):
            usual = FINE_TUNING[1] if any(stage.fitted for stage in stages) else Cosine()
            update = {"optimizer": optimizer, "schedule": self.schedule or usual}
        if self.stages or pretrained:
            update["stages"] = tuple(_with_batch_norm(stage, pretrained) for stage in stages)
        if not self.stages:
            update["epochs"] = None if pretrained else stages[0].epochs
        return self.model_copy(update=update)

    def plan(self, pretrained: bool, unchanging: bool, batch_size: int = REFERENCE) -> tuple[PlannedStage, ...]:
        """The stages of the training, each with what it inherits filled in.

        Args:
            pretrained: As of `completed`.
            unchanging: Likewise.
            batch_size: Images of a batch, by which learning rates may be scaled.
        """
        stages = self._stages(pretrained, unchanging)
        optimizer = self.optimizer_of(stages)
        return tuple(
            PlannedStage(
                **stage.model_dump()
                | {
                    "learning_rate": self._rate(stage, optimizer, batch_size),
                    "batch_norm": stage.batch_norm or _batch_norm(pretrained),
                }
            )
            for stage in stages
        )

    def careful(self, given: Given) -> Iterator[Problem]:
        """What its parts say together, of the section as it is completed."""
        stages = self.stages or (Stage(epochs=self.epochs or EPOCHS),)
        lengths = [stage.epochs for stage in stages if stage.epochs]
        if self.early_stopping and lengths and self.early_stopping.patience >= max(lengths):
            patience = counted(self.early_stopping.patience, "epoch")
            message = f"{patience} without a new best never come in {counted(max(lengths), 'epoch')}"
            yield Problem(f"{message}, so nothing is stopped early", key="early_stopping.patience")
        warmup = self.schedule.warmup_epochs if self.schedule else 0
        if lengths and warmup > min(lengths) / 2:
            message = f"the rate rises for {warmup:g} of {counted(min(lengths), 'epoch')}; 0.5 to 5 are usual"
            yield Problem(message, key="schedule.warmup_epochs")
        if not given.pretrained and all(stage.freeze or stage.unfreeze_from for stage in stages):
            never = "all but the classifier" if all(stage.freezes_backbone for stage in stages) else "its beginning"
            message = f"the network has learnt nothing yet, and {never} stays as chance made it in every stage"
            yield Problem(f"{message}; set model.weights, or add a stage that freezes nothing", key="stages")
        if self.loss.flat and self.schedule and not warmup:
            message = (
                "teaches nothing where the network is sure and wrong, as it soon is after large steps at the beginning"
            )
            yield Problem(f"{message}; set schedule.warmup_epochs, to 2 for example", key="loss.name")
        yield from self._careful_of_schedule(lengths)
        if self.devices == "cpu":
            yield from self.slow_on_cpu()
        for number, stage in enumerate(stages):
            key = f"stages.{number}" if self.stages else ""
            yield from self._careful_of(stage, key, given)

    def _careful_of_schedule(self, lengths: Sequence[int]) -> Iterator[Problem]:
        """What never comes of the schedule in stages of these epochs."""
        if self.schedule is None or not lengths:
            return
        for problem in self.schedule.idle(max(lengths)):
            yield replace(problem, key=f"schedule.{problem.key}")
        stop = self.early_stopping
        if isinstance(self.schedule, Plateau) and stop and stop.monitor == self.schedule.monitor:
            patience = self.schedule.patience
            if stop.patience <= patience < max(lengths):
                message = f"early_stopping ends the training after {counted(stop.patience, 'epoch')} without a new best"
                message += f", before the rate can fall after {patience}; give it a patience of {2 * patience} or more"
                yield Problem(message, key="early_stopping.patience")

    def _careful_of(self, stage: Stage, key: str, given: Given) -> Iterator[Problem]:
        """The same of one stage."""
        if stage.epochs and stage.epochs >= LONG and not stage.freezes_backbone and not self.early_stopping:
            message = f"{stage.epochs:,} epochs without early_stopping, which would end them when nothing gets better"
            yield Problem(message, key=f"{key}.epochs".lstrip("."))
        if not self.optimizer or stage.fitted:
            return
        rate = stage.learning_rate or self.optimizer.learning_rate
        if isinstance(rate, str):
            return
        scale = given.rate_scale
        odd = self.optimizer.odd_rate(stage.learning_rate, scale) if stage.learning_rate else None
        usual = type(self.optimizer).model_fields["learning_rate"].default
        if given.pretrained and not odd and not stage.freezes_backbone and rate * scale >= usual:
            odd = f"{rate * scale:g} is a rate to begin with, and what the network has learnt is soon lost at it"
            odd += f"; {usual / 10:g} is usual for fine-tuning"
        if odd:
            of_stage = bool(key and stage.learning_rate)
            yield Problem(odd, key=f"{key}.learning_rate" if of_stage else "optimizer.learning_rate")

    @property
    def several_devices(self) -> bool:
        """Whether batches are divided among devices, if there are as many; of `all` there may be one."""
        return self.devices == "all" or (isinstance(self.devices, int) and self.devices > 1)

    def slow_on_cpu(self) -> Iterator[Problem]:
        """What takes longer on a CPU than it would if it was left out."""
        if self.precision == "mixed_float16":
            message = "takes many times as long as float32 on a CPU; leave this out, or try mixed_bfloat16"
            yield Problem(message, key="precision")
        if self.precision == "mixed_bfloat16" and not computes_in_bfloat16():
            message = "takes 2 to 3 times as long as float32 on a CPU without instructions for it; leave this out"
            yield Problem(message, key="precision")
        if self.jit is True:
            yield Problem("what XLA makes is slower on a CPU, and takes long to make; leave this out", key="jit")

    def freezes_backbone(self, pretrained: bool) -> bool:
        """Whether nothing but the classifier learns, from the beginning to the end."""
        return all(stage.freezes_backbone for stage in self._stages(pretrained, unchanging=False))

    def _stages(self, pretrained: bool, unchanging: bool) -> tuple[Stage, ...]:
        """Those of the config; else one, which leaves features that were learnt already as they are."""
        if self.stages:
            return self.stages
        fitted = pretrained and unchanging and self.optimizer is None and self.epochs is None
        return (Stage(epochs=None if fitted else self.epochs or EPOCHS, freeze=BACKBONE if pretrained else None),)

    def optimizer_of(self, stages: Sequence[Stage]) -> AnyOptimizer | None:
        """That of the config; else Adam, slowly where it goes on from a fitted classifier; None if no stage has steps.

        Args:
            stages: All of the training.
        """
        fitted = [stage.fitted for stage in stages]
        if all(fitted):
            return None
        return self.optimizer or (FINE_TUNING[0] if any(fitted) else Adam())

    def rate_scale(self, batch_size: int) -> float:
        """What the learning rates of the config are multiplied by, to be those of training; 1 if they are not scaled.

        Args:
            batch_size: Images of a batch.
        """
        return batch_size * self.gradient_accumulation / REFERENCE if self.scale_learning_rate_with_batch else 1.0

    def slots(self, stages: Sequence[Stage]) -> int:
        """How many numbers training remembers for each weight, beside its gradient.

        Args:
            stages: All of the training.
        """
        optimizer = self.optimizer_of(stages)
        if optimizer is None:
            return 0
        return optimizer.slots + bool(self.ema) + bool(self.sam) + (self.gradient_accumulation > 1)

    def _rate(self, stage: Stage, optimizer: AnyOptimizer | None, batch_size: int) -> float | Literal["auto"] | None:
        if stage.fitted or optimizer is None:
            return None
        rate = stage.learning_rate or optimizer.learning_rate
        if isinstance(rate, str):
            return rate
        return rate * self.rate_scale(batch_size)


def _with_batch_norm(stage: Stage, pretrained: bool) -> Stage:
    """The stage with its batch normalisation filled in, where any may learn."""
    if stage.freezes_backbone:
        return stage
    return stage.model_copy(update={"batch_norm": stage.batch_norm or _batch_norm(pretrained)})


def _batch_norm(pretrained: bool) -> str:
    """What batch normalisation works with unless a stage says."""
    return "inference" if pretrained else "batch"
