"""`cnnkit init`: a config that suits some images."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cnnkit.commands.command import Force, command
from cnnkit.commands.screen import Screen
from cnnkit.core.errors import UsageError


@command("cnnkit init photos --output flowers.yaml")
def init(
    screen: Screen,
    images: Annotated[
        Path, Argument(metavar="IMAGES", help="A folder, or a file that a source reads.", show_default=False)
    ],
    output: Annotated[Path | None, Option(help="The config's file.", show_default="NAME.yaml")] = None,
    force: Force = False,
    minutes: Annotated[
        float | None,
        Option(
            min=0.5,
            max=100_000,
            help="Decide by a trial; so long may the trial and the training that it proposes take together.",
            show_default="no trial",
        ),
    ] = None,
    from_scratch: Annotated[
        bool, Option("--from-scratch", help="A network from nothing, whatever pretrained ones there are.")
    ] = False,
    backbone: Annotated[
        str | None,
        Option(
            metavar="FOLDER|NAME",
            help="Begin with this pretrained network: a folder, or a name in the cache or of keras.applications.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Look at images and write a config that suits them, each setting with its reason."""
    from cnnkit.inspection.first_config.decision import Wish
    from cnnkit.inspection.first_config.start import by_rule, start

    if from_scratch and backbone is not None:
        raise UsageError("--from-scratch and --backbone can't both be: one of them, or neither")
    wish = Wish(from_scratch, backbone)
    decide = by_rule(wish)
    if minutes is not None:
        from cnnkit.studies import trial
        from cnnkit.studies.budget import Budget

        budget = Budget(60 * minutes, time.perf_counter())
        decide = partial(trial.decide, budget=budget, wish=wish)
    with screen.watching() as progress:
        started = start(images, output, force, progress, decide)
    screen.result(started.as_json(), *started.lines())
