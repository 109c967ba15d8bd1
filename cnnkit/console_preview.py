"""What a person sees of a preview: where the sheet is, and what a run says about augmentations."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rich.table import Table

from cnnkit.audit import CLEARLY, OF_A_CLASS, OF_ALL, Audit, Audited, Effect
from cnnkit.console import Screen, new_table
from cnnkit.preview import Sheet
from cnnkit.text import counted, listed, typed


def show_sheet(sheet: Sheet, config: Path, prepare: bool, screen: Screen) -> None:
    """Tells where a sheet lies and what to look for."""
    count = len(sheet.rows)
    forms = len(sheet.rows[0].pictures) - 1 if sheet.rows else 0
    screen.say(
        f"{sheet.file}: {counted(count, 'training image')}, each as it is and in {counted(forms, 'further picture')}"
    )
    if prepare:
        screen.say("Look whether what tells the classes apart is still there after the last step.")
        return
    screen.say("Look whether each picture still shows its class. What a trained run thinks of that:")
    screen.say(f"cnnkit preview {typed(config)} --audit RUN")


def show_audit(audit: Audit, screen: Screen) -> None:
    """Shows what a run says: the numbers, then what they come to, and what they can't tell."""
    draws = f" ({audit.draws} draws each)" if audit.draws > 1 else ""
    if audit.cut_short:
        draws = f" ({counted(audit.draws, 'draw')} each, as there was no time for more; --variants asks for them)"
    screen.say(
        f"{audit.run} answers {audit.right:,} of {audit.asked:,} validation images rightly. "
        f"Of these, each augmentation by itself{draws} turns:"
    )
    screen.say("")
    screen.table(_table(audit))
    screen.say("")
    named = [audited for audited in audit.audited if audited.effect.destroys]
    for audited in named:
        screen.say(f"{audited.words()} probably destroys labels: {_advice(audited)}")
    unclear = [audited for audited in audit.audited if audited.effect.verdict == "too_few"]
    for audited in unclear:
        low, high = (f"{100 * end:.0f}" for end in audited.effect.clearly_wrong_interval)
        screen.say(f"{audited.words()}: too few images to tell; {low} to {high} % of all may turn clearly wrong.")
    for audited in audit.audited:
        if audited.effect.unchanged:
            screen.say(f"{audited.words()} changes nothing at this size.")
    if not named and not unclear:
        screen.say("None of them seems to destroy labels.")
    if audit.mixing:
        screen.say(f"Left out: {listed(audit.mixing)}, which mixes labels along with images.")
    if audit.other_view:
        screen.say("Careful: the images are prepared as the run was trained, which is another way than in the config.")
    screen.say("")
    screen.say(textwrap.fill(READING, 100))


READING = f"""\
Clearly: the wrong class is more than {CLEARLY:g} times as likely as the right one. An augmentation is named if more
than {100 * OF_ALL:g} % of the images turn clearly wrong, or {100 * OF_A_CLASS:g} % of those of one class, at the lower
end of the interval. It seems harmless if at the upper end it is no more than {100 * OF_ALL:g} %, and no class stands
out; else the images are too few to tell. All that is a suspicion. A network is sure, too, of pictures unlike all it
was trained with, though a person would know them; and what it never learnt to tell apart, it can't see destroyed. Look
at the sheet, above all for what is confused most often."""


def _table(audit: Audit) -> Table:
    """The effect of each augmentation."""
    third = ">at a third: wrong"
    table = new_table("augmentation", ">wrong", ">95 % interval", ">clearly", third, ">clearly", "most often")
    for audited in audit.audited:
        effect, weaker = audited.effect, audited.weaker.effect if audited.weaker else None
        low, high = (f"{100 * end:.1f}" for end in effect.wrong_interval)
        less = (_percent(weaker.wrong), _percent(weaker.clearly_wrong)) if weaker else ("-", "-")
        if weaker and weaker.unchanged:
            less = ("no change", "-")
        clearly = _percent(effect.clearly_wrong)
        table.add_row(
            audited.words(), _percent(effect.wrong), f"{low} to {high} %", clearly, *less, _most_often(effect)
        )
    return table


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _most_often(effect: Effect) -> str:
    found = effect.most_often
    return f"{found.label} becomes {found.taken_for} ({_percent(found.share, 0)} of {found.label})" if found else "-"


def _advice(audited: Audited) -> str:
    if not audited.weaker:
        return "leave it out"
    third = audited.weaker.words()
    if audited.weaker.effect.unchanged:
        return f"leave it out, or make it a little weaker; {third} changes nothing at this size"
    if audited.weaker.effect.destroys:
        return "leave it out, or make it far weaker; a third of it is still too much"
    if audited.weaker.effect.verdict == "too_few":
        return f"leave it out, or make it weaker; of {third} the images are too few to tell"
    return f"make it weaker; {third} seems harmless"
