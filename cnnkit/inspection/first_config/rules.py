"""From what images are like to the settings that suit them, with a small network that begins from nothing.

Pure: the same traits give the same config on any machine.

The recipes are those of configs/folder.yaml (some thousands of photographs) and configs/fashion_mnist.yaml (many small
pictures), which were measured; what is in between is interpolated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cnnkit.config.careful import HANDFUL
from cnnkit.core.text import by, counted, percent
from cnnkit.inspection.first_config.base import Choice, Suggestion, Traits
from cnnkit.inspection.first_config.duration import multiply_adds
from cnnkit.models.sequential_layers import BatchNorm, Conv, Dense, Dropout, Flatten, GlobalAvgPool, Layer, MaxPool

PHOTOGRAPH = 64
"""Height and width, in pixels, that larger pictures are brought to."""

TINY = 24
"""Pictures below this are enlarged to ENLARGED, so that they can be halved three times."""

ENLARGED = 32

FEW = 1_000
"""Below so many training images an epoch of usual batches has too few steps, so batches are small and batch
normalisation makes more of each step; global average pooling leaves less to learn by heart than a dense layer. On 253
scans the mean of the best validation accuracies of seeds 0 to 4 was 0.871, without these two 0.824, and 0.834 with
configs/folder.yaml."""

MANY = 20_000
"""From so many on there is little to learn by heart in a few epochs."""

BUDGET = 8e12
"""Multiply-adds of all answers in training (a step costs three times as much): some minutes on two cores."""

EPOCHS = (3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30)
"""How many epochs may be suggested."""

GREY = 0.9
"""From this share of grey pictures on the colour of the others is a tint or a mark, not what they show."""

TOLD_APART_BY_SIDE = {"left", "right", "east", "west", "clockwise", "counterclockwise", "anticlockwise"}

NUMBERS = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}


def suggest(traits: Traits, epochs: int | None = None) -> Suggestion:
    """The config for images of such traits.

    Args:
        traits: What the images are like.
        epochs: How many it trains, where the time decides that.
    """
    size, channels = _image_size(traits), _channels(traits)
    height, width = size.value
    layers = _layers(min(height, width), traits.training)
    shape = (height, width, channels.value)
    macs = multiply_adds(layers, shape, len(traits.classes))
    fitting = fit(traits, width / height)
    length = _epochs(traits, macs) if epochs is None else _in_time(epochs)
    return Suggestion(
        kind="from scratch",
        title=f"a small network, {counted(length.value, 'epoch')}",
        data=(size, channels, fitting, *split(traits), balance(traits), _batch_size(traits)),
        augment=_augment(traits, length.value, fitting.value),
        model=tuple(_model(layers, shape, traits)),
        train=(length, *_training(traits)),
        work=macs,
    )


def _image_size(traits: Traits) -> Choice:
    height, width = traits.height, traits.width
    have = pixels(traits)
    side = min(height, width)
    if side < TINY:
        size = _with_shorter(ENLARGED, traits)
        return Choice("image_size", size, f"{have}: enlarged, so that the network can halve them three times.")
    if side < PHOTOGRAPH:
        keeps = traits.same_size and max(height, width) <= 4 * side
        size = [height, width] if keeps else _with_shorter(side, traits)
        return Choice("image_size", size, f"{have}: small enough to be left as they are.")
    size = _with_shorter(PHOTOGRAPH, traits)
    reason = f"{have}. {size[1]} x {size[0]} show what most things are, and train fast."
    if traits.shown >= 2 * PHOTOGRAPH:
        reason += f" [{2 * size[0]}, {2 * size[1]}] takes four times as long and pays where small details count."
    return Choice("image_size", size, reason)


def pixels(traits: Traits) -> str:
    """How large the pictures are, and whether they only seem so."""
    have = f"The pictures have {traits.width} x {traits.height} pixels" + ("" if traits.same_size else " in the median")
    if traits.enlarged:
        have += f", but no more detail than a shorter side of {traits.shown} would show: they were enlarged, or blurred"
    return have


def _with_shorter(side: int, traits: Traits) -> list[int]:
    """Height and width with that shorter side: oblong where all pictures are, up to 2:1, else square."""
    narrow, median, wide = traits.proportions
    if 0.8 <= median <= 1.25 or wide > 1.15 * narrow:
        return [side, side]
    longer = 4 * round(side * min(max(median, 1 / median), 2) / 4)
    return [side, longer] if median > 1 else [longer, side]


def _channels(traits: Traits) -> Choice:
    grey, looked_at = round(traits.grey * traits.looked_at), traits.looked_at
    if grey == looked_at:
        return Choice("channels", 1, f"Grey: all {looked_at} pictures that were looked at are without colour.")
    if traits.grey >= GREY:
        reason = f"Grey, as {grey} of {looked_at} pictures that were looked at are; the others have a tint or a mark. "
        return Choice("channels", 1, reason + "Should their colour mean something: 3.")
    some = f"{looked_at - grey} of {looked_at}" if grey else f"all {looked_at}"
    return Choice("channels", 3, f"Colour: {some} pictures that were looked at have it.")


def fit(traits: Traits, proportion: float) -> Choice:
    """How pictures are brought to images of that proportion, width by height."""
    narrow, _, wide = traits.proportions
    cut = max(1 - min(p / proportion, proportion / p) for p in (narrow, wide))
    if cut < 0.05:
        return Choice("fit", "crop", "All have these proportions: nothing of note is cut.")
    spread = f"The proportions differ (width by height {narrow:.2f} to {wide:.2f})"
    if traits.grey >= GREY:
        return Choice(
            "fit",
            "pad",
            f"{spread}: scans are padded, as a crop could cut what matters, up to {percent(cut)} of a picture.",
        )
    if cut <= 0.4:
        middle = "what photographs show is mostly in their middle, so that is kept and up to"
        return Choice("fit", "crop", f"{spread}: {middle} {percent(cut)} cut away. To lose nothing: pad.")
    return Choice("fit", "pad", f"{spread}: the whole picture is shown; a crop would cut up to {percent(cut)} of it.")


def shares(images: int, own: frozenset[str]) -> dict[str, float]:
    """What to set apart where the source has no splits of its own: of many images a smaller share."""
    share = 0.1 if images >= MANY else 0.15
    return {name: share for name in ("validation", "test") if name not in own}


def split(traits: Traits) -> Iterator[Choice]:
    """What is set apart."""
    apart = shares(traits.images, traits.own)
    own = " and ".join(sorted(traits.own, reverse=True))
    if not apart:
        yield Choice.remark(f"split: the data's own {own} images are kept.")
        return
    use = {"validation": "to choose the best epoch", "test": "to judge the result, once"}
    uses = " and ".join(f"{percent(share)} of the images {use[name]}" for name, share in apart.items())
    reason = f"Set apart, class by class: {uses}." + (f" The data's own {own} images are kept." if own else "")
    count = traits.splits["validation"]
    if count < 100 and "validation" in apart:
        step = percent(1 / count, 1)
        reason += f" With {count} validation images accuracy moves in steps of {step}: compare several seeds."
    yield Choice("split", apart, reason)


def balance(traits: Traits) -> Choice:
    """What is said of classes of different size."""
    (least, few), (_, many) = traits.smallest, traits.largest
    times = f"Balance: the largest class has {many / few:.1f} times the images of the smallest"
    if many / few < 3:
        return Choice.remark(f"{times}: fine.")
    return Choice.remark(
        f"{times}, {in_comment(least)} with {few:,}. "
        "Accuracy hides how a small class fares: look at its recall and at macro F1. What may help: more images "
        "of it, or `balance: {name: class_weight}` here, which lets those that there are count for more; `cnnkit list "
        "balances` shows what else there is.",
    )


def _batch_size(traits: Traits) -> Choice:
    if traits.training >= MANY:
        return Choice("batch_size", 64, "With many images larger batches are faster.")
    if traits.training < HANDFUL:
        return Choice("batch_size", 4, "Of a handful of images batches of a few make some steps at least.")
    if traits.training < FEW:
        return Choice("batch_size", 16, "Of few images small batches make more steps; 32 is a little faster.")
    return Choice("batch_size", 32, "The usual size for some thousands of images; 64 is a little faster.")


def _augment(traits: Traits, epochs: int, fit: str) -> Choice:
    unsafe = _why_not_to_flip(traits)
    if traits.training >= MANY:
        also = f"Flips would not be safe: {unsafe}." if unsafe else "For longer trainings: {name: flip}."
        reason = f"None: {traits.training:,} images vary enough for {epochs} epochs, and augmenting costs time. {also}"
        return Choice("augment", [], reason)
    shift: dict[str, Any] = {"name": "shift", "fraction": 0.1}
    if fit == "pad":
        shift["fill"] = "black"
    moved = "moved by up to a tenth" + (", black moves in as at the padding" if fit == "pad" else "")
    if unsafe:
        return Choice("augment", [shift], f"No flip: {unsafe}.", (moved,))
    if traits.grey >= GREY:
        reason = "Left-right is safe for most scans, not where the side matters (heart, liver): then take the flip out."
    else:
        reason = "Safe for photographs. Take the flip out where left and right tell classes apart."
    return Choice("augment", [{"name": "flip"}, shift], reason, ("left with right, every second picture", moved))


def _why_not_to_flip(traits: Traits) -> str | None:
    names = [name.casefold() for name in traits.classes]
    for name in traits.classes:
        if TOLD_APART_BY_SIDE & set(re.split(r"[\W_]+", name.casefold())):
            return f"{in_comment(name)} mirrored would be another class"
    if all(len(name) == 1 or name.isdecimal() or name in NUMBERS for name in names):
        return "classes named by numbers or letters may be digits, letters or signs, which have a left and a right"
    return None


def _layers(side: int, training: int) -> list[Layer]:
    """Convolutions and halvings down to a few pixels; dropout against learning by heart."""
    if side >= 48 and training < FEW:
        blocks = [layer for filters in (32, 64, 96) for layer in (Conv(filters=filters), BatchNorm(), MaxPool())]
        return [*blocks, Conv(filters=128), BatchNorm(), GlobalAvgPool(), Dropout(rate=0.3)]
    # The filters of the convolutions before each halving.
    filters = ((32, 32), (64, 64), (96,)) if side < 48 else ((32,), (64,), (96,), (128, 128))
    convolutions = [layer for some in filters for layer in (*(Conv(filters=count) for count in some), MaxPool())]
    much = side < 48 and training >= MANY
    dropout = Dropout(rate=0.3 if much else 0.4)
    return [*convolutions, *([] if much else [dropout]), Flatten(), Dense(units=128), dropout]


def _model(layers: list[Layer], shape: tuple[int, ...], traits: Traits) -> Iterator[Choice]:
    halvings = sum(isinstance(layer, MaxPool) for layer in layers)
    fast = "Small, so that it learns fast" + (" and not by heart" if traits.training < MANY else "")
    yield Choice("name", "sequential", f"{fast}; {halvings} times halved, {by(shape[:2])} pixels become a few.")
    yield Choice("layers", [_written(layer) for layer in layers], "", tuple(_words(layers, shape)))


def _written(layer: Layer) -> dict[str, Any]:
    return {"name": layer.model_dump()["name"]} | layer.model_dump(exclude_unset=True)


def _words(layers: list[Layer], shape: tuple[int, ...]) -> Iterator[str]:
    """The shape behind each layer, and at the first of a kind what it does."""
    does = {
        Conv: "each filter looks for one pattern everywhere",
        BatchNorm: "each filter's numbers brought to one scale, so that fewer steps are needed",
        GlobalAvgPool: "how much of each pattern there is, wherever",
        MaxPool: "the strongest of 2 x 2: half the size, shifts matter less",
        Dropout: "this share is set to 0 at random, against learning by heart",
        Flatten: "one row of numbers",
        Dense: "what the patterns mean together",
    }
    for layer in layers:
        after = layer.output(shape)
        word = does.pop(type(layer), "")
        parts = [by(after)] if after != shape else []
        yield ": ".join([*parts, word] if word else parts)
        shape = after


def _epochs(traits: Traits, macs: int) -> Choice:
    affordable = BUDGET / (macs * traits.training)
    epochs = max([count for count in EPOCHS if count <= affordable], default=EPOCHS[0])
    if epochs < EPOCHS[-1]:
        reason = f"{traits.training:,} training images teach much in an epoch; twice as many epochs gain a little more."
    else:
        reason = "Enough for the accuracy to level off; the best epoch is kept."
    return Choice("epochs", epochs, reason)


def _in_time(epochs: int) -> Choice:
    return Choice("epochs", epochs, "As many as the time allows; the best epoch is kept.")


def _training(traits: Traits) -> Iterator[Choice]:
    if traits.training < MANY:
        smoothing = {"name": "cross_entropy", "label_smoothing": 0.1}
        yield Choice("loss", smoothing, "Labels smoothed by a tenth: it need not be sure of what it has seen often.")
        adam: dict[str, Any] = {"name": "adam", "learning_rate": 0.001, "weight_decay": 0.01}
        yield Choice("optimizer", adam, "Adam at its usual rate; the decay keeps weights small.")
    else:
        adam = {"name": "adam", "learning_rate": 0.002}
        yield Choice("optimizer", adam, "Adam at twice its usual rate, as the batches are twice as large.")
    warmup = 0.5 if traits.training < MANY else 0.2
    yield Choice("schedule", {"name": "cosine", "warmup_epochs": warmup}, "The rate falls to 0 at the last epoch.")
    yield Choice.remark(
        "early_stopping: none, as with a rate that falls to a known end the last epochs are the best ones. With "
        "`schedule: {name: constant}` it saves time: `early_stopping: {monitor: val_loss, patience: 8}`.",
    )


def in_comment(name: str) -> str:
    """A name as it may stand in a line of a comment."""
    return f"`{name}`" if name.isprintable() else ascii(name)
