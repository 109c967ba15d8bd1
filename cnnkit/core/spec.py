"""Spec: a section of the config file, as a frozen and checked object.

A section is a subclass with typed fields, a docstring under each field and one verb (a method that does
what the section is for). From the class follow the check of the YAML, the editor schema, the help of
`cnnkit list` and the error texts, so none of them can drift from the code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    model_serializer,
)
from pydantic_core import CoreSchema, core_schema, to_json

if TYPE_CHECKING:
    from cnnkit.core.careful import Given
    from cnnkit.core.errors import Problem

AUTO = "auto"
"""Stands for a value that is found out by itself."""


class Spec(BaseModel):
    """A section of a config: no unknown key, no value of another type, no change once made."""

    filled_in: ClassVar[Mapping[str, Spec]] = {}
    """What a setting that is left out becomes, where that hangs on other settings and so is no default of its own."""

    alternatives: ClassVar[tuple[str, ...]] = ()
    """Settings of which at most one may have a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Leaves of the types of what is no setting only that."""
        super().__init_subclass__(**kwargs)
        _without_types_of_class_variables(cls)

    @classmethod
    def settings(cls) -> list[str]:
        """Names of its settings: what it is, then its own, then those that all of its kind have."""
        return sorted(cls.model_fields, key=lambda name: (name != "name", name not in cls.__annotations__))

    def careful(self, given: Given) -> Iterator[Problem]:
        """What is right in it, and yet hardly meant so; keys count from this section."""
        return iter(())

    @model_serializer(mode="wrap")
    def _in_order(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The values in the order of `settings`."""
        values: dict[str, Any] = serialize(self)
        return {name: values[name] for name in self.settings() if name in values}


def _without_types_of_class_variables(section: type[Spec]) -> None:
    """Says of a class variable only that it is one, as Pydantic would read its type anew for every class below."""
    for name, hint in section.__annotations__.items():
        if isinstance(hint, str) and hint.startswith("ClassVar["):
            section.__annotations__[name] = ClassVar


_without_types_of_class_variables(Spec)


class FileText(str):
    """A text from a file: knows the folder that a relative path in it is relative to."""

    base: Path

    def __new__(cls, text: str, base: Path) -> FileText:
        """Text of a file in the folder `base`."""
        file_text = super().__new__(cls, text)
        file_text.base = base
        return file_text


def _absolute(value: object) -> object:
    if not isinstance(value, str):
        return value
    base = value.base if isinstance(value, FileText) else Path.cwd()
    try:
        return os.path.normpath(base / Path(value).expanduser()) if value else value
    except RuntimeError:
        raise ValueError(f"there is no user of this name: {value}") from None


def _url_or_absolute(value: object) -> object:
    if isinstance(value, str) and (scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", value)):
        if scheme.group(1).lower() not in ("http", "https"):
            raise ValueError(f"should be an address with http:// or https://, or a path: {value}")
        return str(value)
    return _absolute(value)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, FileText) else value


AbsolutePath = Annotated[str, BeforeValidator(_absolute), Field(min_length=1)]
"""A path; a relative one counts from the config's folder, else from the working folder."""

UrlOrPath = Annotated[str, BeforeValidator(_url_or_absolute), Field(min_length=1)]
"""An address on the web, kept as it is, or a path as `AbsolutePath` takes it."""

Text = Annotated[str, BeforeValidator(_plain), Field(min_length=1)]
"""Text of at least one character."""


def _with_one_group(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(
            f"should have one group in round brackets, the part that counts, and has {groups or 'none'}; "
            "brackets that only hold together are written (?:...)"
        )
    return value


CapturePattern = Annotated[str, BeforeValidator(_plain), AfterValidator(_with_one_group)]
"""A regular expression with one group, for `captured`: as `.*/(patient[0-9]+)_.*` finds `patient12`."""


def captured(pattern: str, text: str) -> str | None:
    """What the one group of a pattern holds, where the pattern matches the whole text; None where it does not."""
    found = re.fullmatch(pattern, text)
    return found[1] if found else None


def path_settings(section: type[Spec]) -> list[str]:
    """Names of the settings of a section that are paths on this machine."""
    return [
        name for name, field in section.model_fields.items() if any(map(_is_path, (*field.metadata, field.annotation)))
    ]


def _is_path(hint: Any) -> bool:
    """Whether a part of a type, as `AbsolutePath | None` has two, makes a path."""
    return hint == BeforeValidator(_absolute) or any(map(_is_path, get_args(hint)))


Fraction = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class OrAuto:
    """Makes a type of the word `auto` beside one of numbers: `Annotated[float | Literal["auto"], OrAuto(Positive)]`.

    A union would have an error for each of its parts, of which a person has made one.

    Attributes:
        number: The type of the numbers, or another that takes no text.
        words: The words.
    """

    number: Any
    words: tuple[str, ...] = (AUTO,)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validated(value: Any, number: ValidatorFunctionWrapHandler) -> Any:
            return str(value) if isinstance(value, str) and value in self.words else number(value)

        as_it_is = core_schema.simple_ser_schema("any")
        inner = handler.generate_schema(self.number)
        return core_schema.no_info_wrap_validator_function(validated, inner, serialization=as_it_is)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"enum": list(self.words), "type": "string"}]}


@dataclass(frozen=True)
class ByName:
    """Makes of a union of sections the one that the `name` in the file says: `Annotated[Adam | Sgd, ByName()]`.

    Pydantic's own discriminator would make the checks of all of them, more than a hundred, which was a seventh of the
    time of `cnnkit check`; a config names some twenty. No section of such a union may hold its like. `strict` and
    `from_attributes` of a caller do not reach it.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        sections: tuple[type[Spec], ...] = get_args(source)
        choices = {
            section.model_fields["name"].default: handler.generate_schema(Annotated[section, _WhenNamed(section)])
            for section in sections
        }
        # A section knows itself how it is written.
        return core_schema.tagged_union_schema(choices, "name", serialization=core_schema.simple_ser_schema("any"))


@dataclass(frozen=True)
class _WhenNamed:
    """Leaves the check of a section to the section, which makes it when it is first used."""

    section: type[Spec]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._checked)

    def _checked(self, value: Any, info: ValidationInfo) -> Spec:
        """The section that a value makes, by the rules of the form that it came in: JSON has lists for tuples."""
        if info.mode == "json":
            return self.section.model_validate_json(to_json(value), context=info.context)
        return self.section.model_validate(value, context=info.context)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        self.section.model_rebuild()
        # Within definitions, it stands among those of the document, and here is a reference to it.
        return handler(core_schema.definitions_schema(self.section.__pydantic_core_schema__, []))


PositiveOrAuto = Annotated[float | Literal["auto"], OrAuto(Positive)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
"""A whole number of at least one, and not beyond what any machine can hold."""
CountOrAuto = Annotated[int | Literal["auto"], OrAuto(Count)]
FlagOrAuto = Annotated[bool | Literal["auto"], OrAuto(bool)]
