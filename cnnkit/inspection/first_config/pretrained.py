"""From what images are like to the settings that suit them, with a network that was trained before. Pure, as `rules`.

The network stays as it is, so what it makes of each image is computed once, and a classifier is fitted to that.
"""

from __future__ import annotations

from collections.abc import Iterator

from cnnkit.core.text import counted
from cnnkit.inspection.first_config.base import Choice, Suggestion, Traits
from cnnkit.inspection.first_config.rules import balance, fit, pixels, split
from cnnkit.models.backbones import Backbone

REASONS = {
    "handle": "A SavedModel: a program, so take it from people you trust.",
    "pixel_range": "What it was trained with for black and white.",
    "application": "What keras.applications calls it.",
    "alpha": "Its width.",
    "weights": "The file that its weights come from; only numbers are read from it.",
}
"""What each setting of a pretrained network is."""


def suggest(traits: Traits, backbone: Backbone, epochs: int = 0) -> Suggestion:
    """The config for images of such traits, which begins with that backbone.

    Args:
        traits: What the images are like.
        backbone: The network that was trained before.
        epochs: So many train it too, behind the classifier; 0 for none.
    """
    height, width = backbone.size
    size = Choice("image_size", [height, width], f"{pixels(traits)}; {backbone.title} has learnt with this size.")
    colour = "It has learnt from colour" + (": grey pictures become grey colours." if traits.grey == 1 else ".")
    nothing = (
        "None, so that what the network makes of each image is computed once, not in every epoch: then a classifier is "
        "fitted in seconds. The network has seen so much that it takes little harm."
    )
    return Suggestion(
        kind="pretrained",
        title=f"{backbone.title} as it is, a classifier fitted to it"
        if not epochs
        else f"{backbone.title}, a classifier fitted to it, then {counted(epochs, 'epoch')} of all of it",
        data=(size, Choice("channels", 3, colour), fit(traits, width / height), *split(traits), balance(traits)),
        augment=Choice("augment", [], nothing),
        model=tuple(_model(backbone)),
        train=(Choice("stages", [{"freeze": "backbone"}, {"epochs": epochs}], STAGES),)
        if epochs
        else (Choice.remark(TRAINING),),
        work=backbone.known.work * 1e6,
        backbone=backbone,
    )


TRAINING = (
    "train: nothing to set. Only the classifier learns: it is the optimum of the regularised logistic loss on the "
    "features, which is computed and not stepped towards. To train the network too, see docs/how_to/pretrained.md."
)


STAGES = (
    "First the classifier is fitted, then all of the network learns a little further, with Adam at a tenth of its "
    "usual rate; a stage that ends worse than it began is taken back."
)


def _model(backbone: Backbone) -> Iterator[Choice]:
    where = (
        f"It is fetched once ({backbone.known.megabytes:g} MB)."
        if backbone.fetched
        else "It is on this machine already."
    )
    came = f"{backbone.title}, which has learnt from a million photographs of a thousand everyday things. {where}"
    yield Choice("name", backbone.model["name"], " ".join(part for part in (came, backbone.remark) if part))
    for key, value in backbone.model.items():
        if key != "name":
            yield Choice(key, value, REASONS[key])
