"""What is wrong with a config, in words for a person, from what pydantic found."""

from __future__ import annotations

import re
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cnnkit.config import yaml12
from cnnkit.core.spec import OrAuto, Spec
from cnnkit.core.text import enumerated, nearest, suggestion

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class SettingProblem:
    """A problem of one setting.

    Attributes:
        path: The setting.
        message: What is wrong with it.
        at_key: Whether it is the key that is wrong (or its section that lacks one), not the value.
    """

    path: KeyPath
    message: str
    at_key: bool = False


def describe(root: type[Spec], details: ErrorDetails) -> SettingProblem:
    """What pydantic found when it checked the values of the section `root`."""
    path, owner = _walk(root, details["loc"])
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden":
        allowed = list(owner.model_fields) if owner else []
        takers = [tag for tag, section in _union(root, path[:-1]).items() if path[-1] in section.model_fields]
        message = f"unknown setting{_meant(root, path, allowed)}"
        if takers and owner:
            message = f"is a setting of {enumerated(takers, 'and')}, {next(iter(_choices(owner)))} can't take it"
        return SettingProblem(path, message, at_key=True)
    if kind == "missing" and isinstance(path[-1], int):
        # A list that is too short; pydantic names each entry that it lacks.
        return SettingProblem(path[:-1], f"should have {_length(owner, path[-2])} values, not {len(value)}")
    if kind not in ("union_tag_invalid", "union_tag_not_found"):
        return SettingProblem(path, _message(details, owner), at_key=kind == "missing")
    sections = _union(root, path)
    names = list(sections)
    if isinstance(value, str) and (written := written_as(value, sections)):
        return SettingProblem(path, f"is a section: write {written}")
    if isinstance(value, str):
        message = f"is a section, written {{name: ...}}, and there is no `{value}`{suggestion(value, names)}"
        return SettingProblem(path, message)
    if not isinstance(value, dict) or "name" not in value:
        return SettingProblem(path, f"needs a name{suggestion('', names)}", at_key=True)
    if not isinstance(value["name"], str):
        return SettingProblem((*path, "name"), f"should be a name, not {named(value['name'])}")
    name = value["name"]
    written = written_as(name, sections)
    hint = f"; did you mean {written}?" if written and written != f"{{name: {name}}}" else suggestion(name, names)
    return SettingProblem((*path, "name"), f"there is no `{name}`{hint}")


SYNONYMS = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "size": "image_size",
    "resolution": "image_size",
    "val": "validation",
    "val_split": "validation",
    "validation_split": "validation",
    "test_split": "test",
    "augmentation": "augment",
    "augmentations": "augment",
    "num_epochs": "epochs",
    "architecture": "model",
    "backbone": "model",
    "warmup": "warmup_epochs",
    "smoothing": "label_smoothing",
}
"""What settings are called elsewhere, where the letters do not tell."""


FEW_SETTINGS = 2
"""A section with no more is told in full: the `limit` of a clipping is not that of the data."""


def _meant(root: type[Spec], path: KeyPath, allowed: Sequence[str]) -> str:
    """What an unknown setting may have been meant to be: one of its section, or one that stands elsewhere."""
    word = str(path[-1])
    synonym = SYNONYMS.get(word.lower(), word)
    if synonym in allowed:
        return f"; did you mean `{synonym}`?"
    # Its very name says more than one that is like it, unless there is hardly another that it could have meant here.
    if len(allowed) > FEW_SETTINGS and (places := settings_called(root, synonym)):
        return f" here; that is {enumerated([f'`{place}`' for place in places], 'or')}"
    return nearest(word, allowed) or suggestion(word, allowed)


def settings_called(root: type[Spec], name: str) -> list[str]:
    """The dotted paths of the settings of that name that stand in no list, as near to the top as there are some."""
    found: list[str] = []
    level: list[tuple[str, Any]] = [("", root)]
    while level and not found:
        below: list[tuple[str, Any]] = []
        for path, annotation in level:
            for section in _choices(annotation).values():
                for setting, field in section.model_fields.items():
                    key = f"{path}.{setting}".lstrip(".")
                    if setting == name and key not in found:
                        found.append(key)
                    below.append((key, field.annotation))
        level = below
    return found


def written_as(word: str, sections: dict[str, type[Spec]]) -> str | None:
    """How a section is written that someone calls by a word: `resnet50` is {name: resnet, depth: 50}; None if unknown.

    Args:
        word: What stands there.
        sections: The sections that may stand there, by their names.
    """
    lower = {tag.lower(): tag for tag in sections}
    initials = {"".join(part[0] for part in tag.split("_")): tag for tag in lower if "_" in tag}
    if tag := lower.get(word.lower()) or initials.get(word.lower()):  # `mse` is mean_squared_error
        return f"{{name: {tag}}}"
    if numbered := re.fullmatch(r"([A-Za-z_]+?)[-_ ]?v?([0-9]{1,4})", word):
        tag, number = lower.get(numbered[1].lower()), int(numbered[2])
        for setting in ("depth", "version") if tag else ():
            if tag and setting in sections[tag].model_fields and _takes(sections[tag], {setting: number}):
                return f"{{name: {tag}, {setting}: {number}}}"
    for tag, section in sections.items():
        for setting, field in section.model_fields.items():
            for choice in _literals(field.annotation) if setting != "name" else ():
                if isinstance(choice, str) and choice.lower() == word.lower():
                    return f"{{name: {tag}, {setting}: {choice}}}"
    return None


def _takes(section: type[Spec], settings: dict[str, Any]) -> bool:
    """Whether a section with no other settings is right."""
    try:
        section.model_validate(settings)
    except ValidationError:
        return False
    return True


def entry_with(root: type[Spec], path: KeyPath, setting: str | None) -> str:
    """An entry of the list at a path, as it is written, that has a setting: `{name: shift, fraction: ...}`."""
    sections = _union(root, (*path, 0))
    tag = next((tag for tag, section in sections.items() if not setting or setting in section.model_fields), None)
    named_so = "name" in sections[tag].model_fields if tag else False
    parts = ([f"name: {tag}"] if named_so else []) + ([f"{setting}: ..."] if setting and setting != "name" else [])
    return f"{{{', '.join(parts)}}}" if parts else "..."


def _walk(root: type[Spec], location: tuple[int | str, ...]) -> tuple[KeyPath, type[Spec] | None]:
    """The path in the file of a location of pydantic's, and the section that its last part belongs to.

    Pydantic's location names the chosen class of a union too, which the file does not.
    """
    annotation: Any = root
    owner: type[Spec] | None = None
    path: list[str | int] = []
    for part in location:
        choices = _choices(annotation)
        if len(choices) > 1 and part in choices:
            annotation = choices[str(part)]
            continue
        path.append(part)
        section, annotation = _below(annotation, part)
        owner = section or owner
    return tuple(path), owner


def displaced(root: type[Spec], path: KeyPath, value: Any) -> set[str]:
    """Settings that can't stand beside one any more where it has been given a value.

    Where that is the name of a section, they are those that no section of that name has.

    Args:
        root: The section around all.
        path: The setting.
        value: What it is to be.
    """
    sections, last = _union(root, path[:-1]), path[-1]
    every = {setting for section in sections.values() for setting in section.model_fields}
    if last == "name" and isinstance(value, str) and value in sections:
        return every - {*sections[value].model_fields}
    others = (section.alternatives for section in sections.values() if last in section.alternatives)
    return set(next(others, ())) - {str(last)} if value is not None else set()


def _union(root: type[Spec], path: KeyPath) -> dict[str, type[Spec]]:
    """The sections that may stand at a path, by their names."""
    annotation: Any = root
    for part in path:
        _, annotation = _below(annotation, part)
    return _choices(annotation)


def _below(annotation: Any, part: str | int) -> tuple[type[Spec] | None, Any]:
    """The section that a part of a path is a setting of, if it is one, and the type of what stands there."""
    sections = list(_choices(annotation).values())
    if not sections:
        return None, _item(annotation) if isinstance(part, int) else Any
    section = next((section for section in sections if part in section.model_fields), sections[0])
    field = section.model_fields.get(str(part))
    return section, field.annotation if field else Any


def _choices(annotation: Any) -> dict[str, type[Spec]]:
    """The sections that a type admits, by their `name` where they have one."""
    if get_origin(annotation) is Annotated:
        return _choices(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return {tag: section for part in get_args(annotation) for tag, section in _choices(part).items()}
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        field = annotation.model_fields.get("name")
        tags = get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()
        return {tags[0] if tags else annotation.__name__: annotation}
    return {}


def _item(annotation: Any) -> Any:
    """The type of a list's entries."""
    if get_origin(annotation) is Annotated:
        return _item(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return next((_item(part) for part in get_args(annotation) if get_origin(part) is tuple), Any)
    return get_args(annotation)[0] if get_origin(annotation) is tuple else Any


_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list",
    "model_type": "a section of settings",
    "model_attributes_type": "a section of settings",
    "dict_type": "a section of settings",
    "none_required": "null",
}

_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def _message(details: ErrorDetails, owner: type[Spec] | None) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    length = _length(owner, details["loc"][-1])
    if kind == "missing":
        return "is required"
    if kind == "tuple_type" and length:
        return f"should be a list of {length} values, not {named(value)}"
    if kind == "tuple_type" and isinstance(value, str) and (written := _as_entry(owner, details["loc"][-1], value)):
        return f"should be a list: write [{written}]"
    if kind in _KINDS:
        what = enumerated((_KINDS[kind], *_words_beside(owner, details["loc"][-1])), "or")
        hint = " (without quotes)" if kind in ("int_type", "float_type") and _is_number(value) else ""
        if kind in ("model_type", "model_attributes_type"):
            hint = _as_section(owner, details["loc"][-1], value)
        return f"should be {what}, not {named(value)}{hint}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        limit = context[bound]
        return f"should be {words} {f'{limit:g}' if isinstance(limit, float) else limit}, not {named(value)}"
    if kind == "finite_number":
        return f"should be a finite number, not {value}"
    if kind == "literal_error":
        field = owner.model_fields.get(str(details["loc"][-1])) if owner else None
        allowed = [str(choice) for choice in _literals(field.annotation)] if field else []
        if value in allowed:
            return f"can't be {named(value)}; did you mean {value} (without quotes)?"
        return f"can't be {named(value)}{suggestion(str(value), allowed)}"
    if kind == "too_long":
        most = length or f"at most {context['max_length']}"
        return f"should have {most} values, not {context['actual_length']}"
    if kind == "string_too_long":
        return f"should have at most {context['max_length']} characters, not {len(value)}"
    if kind == "string_too_short" or (kind == "too_short" and context["min_length"] == 1):
        return "should not be empty"
    if kind == "too_short":
        return f"should have at least {context['min_length']} values, not {context['actual_length']}"
    if kind == "string_pattern_mismatch":
        return f"{named(value)} should begin with a letter or digit and hold only letters, digits, space, . - and _"
    return str(details["msg"]).removeprefix("Value error, ")


def _as_entry(owner: type[Spec] | None, field: str | int, word: str) -> str | None:
    """How the one entry of a list that stands there as a word is written; None if it can't be told."""
    return written_as(word, _union(owner, (str(field), 0))) if owner else None


def _as_section(owner: type[Spec] | None, field: str | int, value: Any) -> str:
    """How a section is written in whose place `true`, or a setting of it, stands; empty if it can't be told."""
    found = owner.model_fields.get(str(field)) if owner else None
    for section in _choices(found.annotation).values() if found else ():
        if value is True and _takes(section, {}):
            return "; {} is one with its defaults"
        for setting in section.model_fields if isinstance(value, str | int | float) else ():
            if _takes(section, {setting: value}):
                return f"; write {{{setting}: {yaml12.line(str(value) if isinstance(value, str) else value)}}}"
    return ""


def _length(owner: type[Spec] | None, name: str | int) -> int | None:
    """How many values the list that a field holds must have, if it is a fixed number."""
    field = owner.model_fields.get(str(name)) if owner else None
    for part in (field.annotation, *get_args(field.annotation)) if field else ():
        if get_origin(part) is tuple and ... not in get_args(part):
            return len(get_args(part))
    return None


def _words_beside(owner: type[Spec] | None, name: str | int) -> tuple[str, ...]:
    """The words that a field takes beside a number; none for most."""
    field = owner.model_fields.get(str(name)) if owner else None
    marks = (*field.metadata, *_marks(field.annotation)) if field else ()
    return next((mark.words for mark in marks if isinstance(mark, OrAuto)), ())


def _marks(annotation: Any) -> list[Any]:
    """What is noted beside a type and the parts of it."""
    noted = list(getattr(annotation, "__metadata__", ()))
    return noted + [mark for part in get_args(annotation) for mark in _marks(part)]


def _literals(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _literals(part)]


def named(value: Any) -> str:
    """A value with what YAML takes it for, so that `yes` and `'32'` are seen to be texts."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "empty (null)"
    if isinstance(value, str):
        return f"the text '{value if len(value) <= 40 else value[:37] + '...'}'"
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list | tuple):
        return "a list"
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and isinstance(yaml12.scalar(str(value)[:40]), int | float)


def in_words(section: Spec, always: Sequence[str] = ()) -> str:
    """A section of a list in a few words: its name, and its settings with their values.

    Args:
        section: Such as an augmentation.
        always: Settings that are told even where they are at their default.
    """
    words = [str(getattr(section, "name", ""))]
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if name != "name" and (name in always or value != field.default):
            words.append(f"{name} {yaml12.line(_rounded(value))}")
    return " ".join(words)


def _rounded(value: Any) -> Any:
    """Numbers, and those of a list, to three digits."""
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if not isinstance(value, float):
        return value
    short = float(f"{value:.3g}")
    return int(short) if short.is_integer() else short
