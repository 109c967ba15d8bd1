"""`cnnkit preview`: what the network is shown, and what a trained run says of augmentations."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from typer import Option

from cnnkit.commands.command import Config, Force, Settings, command
from cnnkit.commands.screen import Content, Screen, new_table
from cnnkit.core.errors import UsageError
from cnnkit.core.text import counted, listed, percent, typed

if TYPE_CHECKING:
    from cnnkit.evaluation.audit import Audit, Audited, Effect
    from cnnkit.inspection.preview import Sheet


_AUDIT = Option(
    metavar="RUN", help="Ask a trained run instead which augmentations probably destroy labels.", show_default=False
)


@command("cnnkit preview configs/digits.yaml --output sheet.png")
def preview(
    screen: Screen,
    config: Config,
    output: Annotated[Path | None, Option(help="The sheet's file, a PNG.", show_default="in the cache")] = None,
    prepare: Annotated[
        bool, Option("--prepare", help="Show the steps of data.prepare instead, one after the other.")
    ] = False,
    audit: Annotated[Path | None, _AUDIT] = None,
    images: Annotated[
        int | None, Option(min=1, max=10_000, help="How many images.", show_default="20; with --audit at most 500")
    ] = None,
    variants: Annotated[
        int | None, Option(min=1, max=12, help="How often each is augmented.", show_default="5; with --audit at most 4")
    ] = None,
    force: Force = False,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Draw a sheet of training images as training will show them, each with what was done to it."""
    from cnnkit.config.file import read
    from cnnkit.inspection import preview as sheets
    from cnnkit.runs import overwriting

    _refuse_together(prepare, audit, variants, output)
    sheets.refuse(output, force, None if audit else images)
    with screen.watching() as progress:
        experiment = read(config, *settings, progress=progress)
        if output:
            overwriting.refuse_what_is_read("--output", output, experiment.data.source.paths())
        if not prepare:
            sheets.refuse_unaugmented(experiment, config)
        if audit:
            from cnnkit.evaluation import audit as asking

            audited = asking.audit(audit, experiment, progress, settings, images or asking.IMAGES, variants)
        elif prepare:
            sheet = sheets.prepared(experiment, progress, output, images or sheets.IMAGES)
        else:
            sheet = sheets.augmented(experiment, progress, output, images or sheets.IMAGES, variants or sheets.VARIANTS)
    content = about_audit(audited) if audit else about_sheet(sheet, config, prepare)
    screen.result({"config": str(config), **(audited if audit else sheet).as_json()}, *content)


def _refuse_together(prepare: bool, audit: Path | None, variants: int | None, output: Path | None) -> None:
    """Refuses options of `preview` that do nothing beside each other."""
    if prepare and audit:
        raise UsageError("--prepare and --audit are two questions: leave one out")
    if prepare and variants:
        raise UsageError("--variants is for augmentations, and --prepare shows steps that are always the same")
    if audit and output:
        raise UsageError("--output is for a sheet, and --audit draws none: leave it out")


def about_sheet(sheet: Sheet, config: Path, prepare: bool) -> Iterator[Content]:
    """Tells where a sheet lies and what to look for."""
    count = len(sheet.rows)
    forms = len(sheet.rows[0].pictures) - 1 if sheet.rows else 0
    yield f"{sheet.file}: {counted(count, 'training image')}, each as it is and in {counted(forms, 'further picture')}"
    if prepare:
        yield "Look whether what tells the classes apart is still there after the last step."
    else:
        yield "Look whether each picture still shows its class. What a trained run thinks of that:"
        yield f"cnnkit preview {typed(config)} --audit RUN"


def about_audit(audit: Audit) -> Iterator[Content]:
    """What a run says: the numbers, then what they come to, and what they can't tell."""
    draws = f" ({audit.draws} draws each)" if audit.draws > 1 else ""
    if audit.cut_short:
        draws = f" ({counted(audit.draws, 'draw')} each, as there was no time for more; --variants asks for them)"
    yield (
        f"{audit.run} answers {audit.right:,} of {counted(audit.asked, 'validation image')} rightly. "
        f"Of these, each augmentation by itself{draws} turns:"
    )
    yield from ("", _table(audit), "")
    for audited in audit.judged("destroys"):
        yield f"{audited.words()} probably destroys labels: {_advice(audited)}"
    for audited in audit.judged("too_few"):
        low, high = (f"{100 * end:.0f}" for end in audited.effect.clearly_wrong_interval)
        yield f"{audited.words()}: too few images to tell; {low} to {high} % of all may turn clearly wrong."
    for audited in audit.audited:
        if audited.effect.unchanged:
            yield f"{audited.words()} changes nothing at this size."
    if len(audit.judged("harmless")) == len(audit.audited):
        yield "None of them seems to destroy labels."
    if audit.mixing:
        yield f"Left out: {listed(audit.mixing)}, which mixes labels along with images."
    if audit.other_view:
        yield "Careful: the images are prepared as the run was trained, which is another way than in the config."
    yield from ("", *_reading())


def _table(audit: Audit) -> Table:
    """The effect of each augmentation."""
    third = ">at a third: wrong"
    table = new_table("augmentation", ">wrong", ">95 % interval", ">clearly", third, ">clearly", "most often")
    for audited in audit.audited:
        effect, weaker = audited.effect, audited.weaker.effect if audited.weaker else None
        low, high = (f"{100 * end:.1f}" for end in effect.wrong_interval)
        less = (percent(weaker.wrong, 1), percent(weaker.clearly_wrong, 1)) if weaker else ("-", "-")
        if weaker and weaker.unchanged:
            less = ("no change", "-")
        clearly = percent(effect.clearly_wrong, 1)
        table.add_row(
            audited.words(), percent(effect.wrong, 1), f"{low} to {high} %", clearly, *less, _most_often(effect)
        )
    return table


def _most_often(effect: Effect) -> str:
    found = effect.most_often
    return f"{found.label} becomes {found.taken_for} ({percent(found.share)} of {found.label})" if found else "-"


def _advice(audited: Audited) -> str:
    if not audited.weaker:
        return "leave it out"
    third = audited.weaker.words()
    if audited.weaker.effect.unchanged:
        return f"leave it out, or make it a little weaker; {third} changes nothing at this size"
    if audited.weaker.effect.verdict == "destroys":
        return "leave it out, or make it far weaker; a third of it is still too much"
    if audited.weaker.effect.verdict == "too_few":
        return f"leave it out, or make it weaker; of {third} the images are too few to tell"
    return f"make it weaker; {third} seems harmless"


def _reading() -> list[str]:
    """How to read the table, and what it can't tell."""
    from cnnkit.evaluation.audit import CLEARLY, OF_A_CLASS, OF_ALL

    text = f"""\
Clearly: the wrong class is more than {CLEARLY:g} times as likely as the right one. An augmentation is named if more
than {100 * OF_ALL:g} % of the images turn clearly wrong, or {100 * OF_A_CLASS:g} % of those of one class, at the lower
end of the interval. It seems harmless if at the upper end it is no more than {100 * OF_ALL:g} %, and no class stands
out; else the images are too few to tell. All that is a suspicion. A network is sure, too, of pictures unlike all it
was trained with, though a person would know them; and what it never learnt to tell apart, it can't see destroyed. Look
at the sheet, above all for what is confused most often."""
    return textwrap.wrap(text, 100)
