"""A suggestion as a YAML file, each setting below its reason."""

from __future__ import annotations

import os
import re
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cnnkit.config import yaml12
from cnnkit.core.spec import FileText
from cnnkit.data.sources.base import Source
from cnnkit.inspection.first_config.base import SEED, Choice, Decision, Suggestion

_WHOLE = r"""(?<=\d)( x |, )(?=\d)|'\(\?:[^']*'|"[^"]*\{stem\}[^"]*\""""

WIDTH = 110
"""Columns of a comment."""

FAR = 2
"""A folder that is more than so many folders up is told by its whole path."""


def config_text(
    name: str, source: dict[str, Any], decision: Decision, header: Sequence[str], notes: Sequence[str]
) -> str:
    """The text of the config.

    Args:
        name: Of the experiment.
        source: Its section `data.source`.
        decision: The rest, and what was not taken.
        header: Lines for the top of the file.
        notes: What should be known of the images, beside the source.
    """
    suggestion, other = decision.chosen, decision.other
    lines = [f"# {line}".rstrip() for line in header]
    lines += [f"name: {yaml12.line(name)}", f"seed: {SEED}  # the same seed, the same run", ""]
    lines += ["data:", *(line for note in notes for line in _comment(note, "  "))]
    lines += [f"  source: {yaml12.line(source)}", *_settings(suggestion.data), ""]
    lines += [*_settings((suggestion.augment,), indent=""), ""]
    lines += [*_comment(decision.why, ""), "model:", *_settings(suggestion.model), ""]
    if any(choice.key for choice in suggestion.train):
        lines += ["train:", *_settings(suggestion.train)]
    else:
        lines += [line for choice in suggestion.train for line in _comment(choice.reason, "")]
    if other:
        lines += ["", *_comment(f"The other candidate, {other.title}: {decision.why_not}.{TO_TAKE_IT}", "")]
        lines += [f"# {line}".rstrip() for line in _plain(source, other)]
    return "\n".join(lines) + "\n"


TO_TAKE_IT = " To take it, put these lines, without their first two characters, in place of all from `data:` on."


def _plain(source: dict[str, Any], suggestion: Suggestion) -> Iterator[str]:
    """The sections of a suggestion without their reasons."""
    values = suggestion.values()
    yield from ("data:", f"  source: {yaml12.line(source)}")
    yield from (f"  {key}: {yaml12.line(value)}" for key, value in values.pop("data").items())
    yield f"augment: {yaml12.line(values.pop('augment'))}"
    for section, settings in values.items():
        yield f"{section}:"
        for key, value in settings.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                yield from (f"  {key}:", *(f"    - {yaml12.line(entry)}" for entry in value))
            else:
                yield f"  {key}: {yaml12.line(value)}"


def _settings(choices: Sequence[Choice], indent: str = "  ") -> Iterator[str]:
    for choice in choices:
        yield from _comment(choice.reason, indent)
        if choice.entries:
            yield f"{indent}{choice.key}:"
            entries = [f"{indent}  - {yaml12.line(entry)}" for entry in choice.value]
            column = max(map(len, entries)) + 2
            for entry, word in zip(entries, choice.entries, strict=True):
                yield f"{entry:<{column}}# {word}" if word else entry
        elif choice.key:
            yield f"{indent}{choice.key}: {yaml12.line(choice.value)}"


def _comment(text: str, indent: str) -> Iterator[str]:
    for paragraph in text.splitlines():
        # `64 x 64` and `[64, 64]` stay in one line, and so do patterns, in which a space counts.
        glued = re.sub(_WHOLE, lambda found: found[0].replace(" ", "\xa0"), paragraph)
        lines = textwrap.wrap(glued, WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
        yield from (f"{indent}# {line}".replace("\xa0", " ") for line in lines)


def section_of(source: Source, folder: Path) -> dict[str, Any]:
    """What `data.source` holds for a source: its settings that are not the default.

    Args:
        source: The source.
        folder: The config's; a path below it, or near, is told relative to it.
    """
    kind = type(source)
    values = {"name": kind.model_fields["name"].default} | source.model_dump(exclude_defaults=True)
    for name, value in values.items():
        near = _near(value, folder) if isinstance(value, str) and Path(value).is_absolute() else None
        # What is no path, or would be read back as another, stays as it is.
        back = _read_back(kind, values | {name: FileText(near, folder)}) if near else None
        if near and back and back.model_dump() == source.model_dump():
            values[name] = near
    return values


def _near(path: str, folder: Path) -> str | None:
    """A path relative to a folder, or None if it is far away."""
    try:
        relative = os.path.relpath(path, folder)
        common = os.path.commonpath([path, folder])
    except ValueError:  # on another drive
        return None
    ups = Path(relative).parts.count("..")
    return relative if ups == 0 or (ups <= FAR and len(Path(common).parts) > 1) else None


def _read_back(kind: type[Source], values: dict[str, Any]) -> Source | None:
    try:
        return kind.model_validate(values)
    except ValidationError:
        return None


def valid_name(path: Path) -> str:
    """A name for an experiment, from that of a folder or file: what a name may not hold becomes `_`."""
    stem = path.name if path.is_dir() else re.sub(r"(\.tar)?\.[^.]*$", "", path.name)
    allowed = (c if c in "_ .-" or _is_word(c) else "_" for c in unicodedata.normalize("NFC", stem))
    return "".join(allowed).lstrip(" .-")[:80].rstrip(" .") or "images"


def _is_word(character: str) -> bool:
    # Letters and decimal digits, as any engine of regular expressions has them; Python's \w knows more.
    category = unicodedata.category(character)
    return category.startswith("L") or category == "Nd"
