"""Words that messages share: some of many names, counts, shapes and sizes, the nearest right name, what can be printed.

Nothing here knows of settings, files or images; it takes texts and numbers.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

FIRST = 5
"""So many of a list are named where nothing speaks for another number."""


def first_of(texts: Sequence[str], most: int = FIRST) -> list[str]:
    """The first of some texts, and where there are others how many: `a`, `b`, `3 more`."""
    others = len(texts) - most
    return [*texts[:most], *([f"{others:,} more"] if others > 0 else [])]


def some(texts: Sequence[str], most: int = FIRST) -> str:
    """The same in a row: `a, b and 3 more`."""
    others = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {others:,} more" if others > 0 else "")


def listed(names: Sequence[str]) -> str:
    """Some names in a row, each in backquotes."""
    return some([f"`{name}`" for name in names])


def enumerated(names: Iterable[str], word: str) -> str:
    """Names in a row, the last one behind a word: `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def counted(count: int, one: str, many: str | None = None) -> str:
    """How many of something: `1 image`, `1,200 images`; `many` is for what takes more than an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def percent(share: float, digits: int = 0) -> str:
    """A share in percent: `95 %`."""
    return f"{100 * share:.{digits}f} %"


def by(sides: Iterable[int]) -> str:
    """A shape: `28 x 28 x 3`."""
    return " x ".join(map(str, sides))


def in_bytes(count: float) -> str:
    """A size to three digits, by powers of 1000: `39.7 MB`."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def in_mib(count: int) -> str:
    """A size in units of 2**20 bytes: `256 MiB`; what is below nothing counts as nothing."""
    return f"{max(count, 0) / 2**20:,.0f} MiB"


def in_gib(count: int) -> str:
    """A size in units of 2**30 bytes, as memory is set in a config: `1.5 GiB`."""
    return f"{count / 2**30:,.1f} GiB"


def nearest(word: str, names: Sequence[str]) -> str:
    """`; did you mean ...?` with the nearest of the names, or nothing when none is near."""
    ending = [name for name in names if name.lower().endswith(f"_{word.lower()}")]
    if len(ending) == 1:
        return f"; did you mean `{ending[0]}`?"
    near = difflib.get_close_matches(word.lower(), [name.lower() for name in names], cutoff=0.6)
    # Letters that have changed places are the commonest slip: `adma` is nearer to `adam` than to `adamax`.
    near.sort(key=lambda name: sorted(name) != sorted(word.lower()))
    found = next((name for name in names if near and name.lower() == near[0]), None)
    return f"; did you mean `{found}`?" if found else ""


def suggestion(word: str, allowed: Sequence[str]) -> str:
    """The nearest right name, or all of them when none is near."""
    if near := nearest(word, allowed):
        return near
    return f"; it may be {', '.join(allowed)}" if allowed else ""


def typed(path: Path, settings: Sequence[str] = ()) -> str:
    """A path as it is typed in a shell: quoted where it has to be, and no option where it begins with a dash.

    Behind it stands what is set over the config that it leads to.
    """
    word = f"./{path}" if str(path).startswith("-") else str(path)
    return " ".join([_quoted(word), *(f"--set {_quoted(setting)}" for setting in settings)])


def _quoted(word: str) -> str:
    r"""A word of a shell; one with signs that can't be shown as bash and zsh take it: `$'a\x0ab'`."""
    if visible(word) == word:
        return shlex.quote(word)
    escaped = (
        rf"\x{byte:02x}" if byte < 32 or byte > 126 or byte in b"'\\" else chr(byte) for byte in os.fsencode(word)
    )
    return f"$'{''.join(escaped)}'"


def visible(text: str) -> str:
    r"""A text as it may go to a terminal, a log or a table: in one line, and with nothing in it that acts on them.

    Control characters, which move the cursor or change colours, and those that turn the direction of writing are shown
    as escapes (`\x1b`), and so are bytes of a file name that are not UTF-8. All other signs, of whatever script, stay.
    """
    return _ACTING.sub(lambda found: _escaped(found[0]), text)


_ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible_in_json(document: str) -> str:
    """JSON in which what acts on a terminal, but line breaks between its parts, is escaped; it says the same."""
    return _ACTING_IN_JSON.sub(lambda found: rf"\u{ord(found[0]):04x}", document)


_ACTING_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _escaped(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # a byte, as file names are decoded
        return rf"\x{ord(sign) - 0xDC00:02x}"
    return rf"\u{ord(sign):04x}" if "\ud800" <= sign <= "\udfff" else sign.encode("unicode_escape").decode()


def composed(name: str) -> str:
    """A name as most programs write it (NFC): some put the accent of a letter behind it, as a sign of its own."""
    return unicodedata.normalize("NFC", name)


def printable(name: str) -> bool:
    """Whether a name has no control characters, which would break tables, terminals and lists of files."""
    return name.isprintable() or not any(unicodedata.category(character) == "Cc" for character in name)


def without_controls(text: str) -> str:
    """A text with a `?` for all that can't be printed, such as a line break or a byte that is not UTF-8."""
    return "".join(character if character.isprintable() else "?" for character in text)


def in_one_line(text: str, most: int = 60) -> str:
    """A text that came from a file or a library, and may be anything, as it can stand in a line."""
    text = without_controls(text)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def of_system(error: OSError, otherwise: str = "") -> str:
    """What the system says of a file, its name first; or of something else where it names none."""
    where = error.filename or otherwise
    return f"{f'{where}: ' if where else ''}{error.strerror or first_line(error)}"


def first_line(error: BaseException) -> str:
    """What an error says first."""
    return in_one_line(str(error).strip().partition("\n")[0].strip("'\""), most=200) or type(error).__name__
