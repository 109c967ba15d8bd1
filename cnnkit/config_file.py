"""From a YAML file to an Experiment and back: reading, `--set`, and errors with their line and column."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from cnnkit import experiment as experiments
from cnnkit import yaml12
from cnnkit.errors import ConfigError, Problem, UsageError
from cnnkit.experiment import Experiment
from cnnkit.spec import FileText, Spec

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """Where a value came from: a place in the file, or a `--set`."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return f"line {self.line}" if self.line else self.file


@dataclass(frozen=True)
class Configured:
    """A config that is right, and where each of its values came from."""

    experiment: Experiment
    origins: dict[KeyPath, Origin]

    def rows(self) -> Iterator[tuple[KeyPath, Any, str]]:
        """Every setting with its value and origin: `line 3`, the `--set`, or `default`."""
        for path, value in _leaves(self.experiment.model_dump()):
            origin = self.origins.get(path)
            yield path, value, str(origin) if origin else "default"

    def completed(self) -> Configured:
        """The same with what depends on the images filled in.

        Raises:
            DataError: The images are not there.
        """
        collection = self.experiment.data.source.open()
        filled = {
            ("data", key): Origin("the source")
            for key in ("image_size", "channels")
            if getattr(self.experiment.data, key) is None
        }
        return Configured(self.experiment.completed(collection), filled | self.origins)


def read(path: Path | str, *settings: str, files: bool = True) -> Experiment:
    """Reads a config file.

    Args:
        path: The YAML file.
        settings: `KEY=VALUE` pairs that replace or add values, as `--set` takes them.
        files: Whether to check the images that it names; without, only the config itself is checked.

    Raises:
        ConfigError: With every problem of the file and the settings, each with its place.
    """
    return configure(path, settings, files).experiment


def configure(path: Path | str, settings: Sequence[str] = (), files: bool = True) -> Configured:
    """Like `read`, and tells where each value came from."""
    document = _Document.read(Path(path))
    for setting in settings:
        document.set(setting)
    if not isinstance(document.values, dict):
        what = "is empty" if document.values is None else f"holds {_named(document.values)}"
        message = f"{what}; a config is a section with data and model, see `cnnkit list` and README"
        raise ConfigError(Problem(message, str(path), 1, 1))
    if "name" not in document.values:
        document.values["name"] = Path(path).stem
        document.origins["name",] = Origin("the file's name")
    try:
        experiment = Experiment.model_validate(document.values)
    except ValidationError as error:
        found = [document.problem(details) for details in error.errors(include_url=False)]
        spoilt = {details["loc"][0] for details in error.errors(include_url=False) if details["loc"]}
        sections = _valid_sections(document.values, spoilt)
    else:
        found = []
        sections = {name: getattr(experiment, name) for name in Experiment.model_fields}
    found += [document.place(problem) for problem in experiments.problems(sections, files)]
    if found := document.problems + found:
        raise ConfigError(*sorted(set(found), key=lambda p: (p.line is None, p.line or 0, p.column or 0)))
    return Configured(experiment, document.origins)


def write(experiment: Experiment) -> str:
    """The complete config as YAML: every default filled in, every path absolute."""
    return yaml12.dump(experiment.model_dump())


def _valid_sections(values: dict[str, Any], spoilt: set[Any]) -> dict[str, Any]:
    """The sections that are right by themselves, so that what spans sections is checked as far as it can be."""
    sections = {}
    for name, field in Experiment.model_fields.items():
        if name in spoilt or (name not in values and field.is_required()):
            continue
        annotation: Any = Annotated[field.annotation, field] if field.discriminator else field.annotation
        adapter: Any = TypeAdapter(annotation)
        sections[name] = adapter.validate_python(values[name]) if name in values else field.default
    return sections


class _Document:
    """The values of a file and its settings, with the origin of each."""

    def __init__(self, file: Path, values: Any, origins: dict[KeyPath, Origin], keys: dict[KeyPath, Origin]):
        self.file = file
        self.values = values
        self.origins = origins
        self.keys = keys
        self.problems: list[Problem] = []

    @classmethod
    def read(cls, file: Path) -> _Document:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            beside = [p.name for p in file.parent.glob("*.y*ml")] if file.parent.is_dir() else []
            hint = _nearest(file.name, beside) or ("; `cnnkit list` tells what a config may hold" if not beside else "")
            raise ConfigError(Problem(f"there is no such file{hint}", str(file))) from None
        except IsADirectoryError:
            raise ConfigError(Problem("is a folder, not a config file", str(file))) from None
        except OSError as error:
            raise ConfigError(Problem(f"can't be read: {error.strerror}", str(file))) from None
        try:
            tree = yaml12.parse(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            before = content[: error.start]
            line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
            raise ConfigError(Problem("not a text file (UTF-8)", str(file), line, column)) from None
        except yaml12.YamlError as error:
            raise ConfigError(Problem(error.message, str(file), error.line, error.column)) from None
        made = cls(
            file,
            _with_base(tree.values, file.absolute().parent),
            {path: Origin(str(file), *position) for path, position in tree.places.items()},
            {path: Origin(str(file), *position) for path, position in tree.keys.items()},
        )
        made.problems = [
            Problem(message, str(file), *position, key=_dotted(path)) for path, message, position in tree.problems
        ]
        return made

    def set(self, setting: str) -> None:
        """Puts a `KEY=VALUE` in place, over what the file says."""
        name = f"--set {setting}"
        key, sign, text = setting.partition("=")
        if not sign or not key.strip():
            raise UsageError(Problem("should be KEY=VALUE, for example train.epochs=10", name))
        try:
            tree = yaml12.parse(text)
        except yaml12.YamlError as error:
            raise ConfigError(Problem(error.message, name, key=key)) from None
        self.problems += [Problem(message, name, key=key) for _, message, _ in tree.problems]
        path: KeyPath = tuple(int(part) if part.isdecimal() else part for part in key.strip().split("."))
        if self.values is None:
            self.values = {}
        try:
            self.values = _replaced(self.values, path, _with_base(tree.values, Path.cwd()))
        except LookupError as error:
            raise ConfigError(Problem(str(error.args[0]), name, key=key)) from None
        for origins in (self.origins, self.keys):
            for below in [known for known in origins if known[: len(path)] == path]:
                del origins[below]
            origins.update({(*path, *below): Origin(name) for below in tree.places})

    def place(self, problem: Problem) -> Problem:
        """The problem with its place: that of its value, or of the nearest section around it."""
        path = tuple(int(part) if part.isdecimal() else part for part in (problem.key or "").split(".") if part)
        return self._problem(path, problem.message)

    def problem(self, details: ErrorDetails) -> Problem:
        """What pydantic found, in words for a person, at its place."""
        path, owner = _walk(details["loc"])
        kind = details["type"]
        if kind == "extra_forbidden":
            allowed = list(owner.model_fields) if owner else []
            return self._problem(path, f"unknown setting{_suggestion(str(path[-1]), allowed)}", at_key=True)
        if kind in ("union_tag_invalid", "union_tag_not_found"):
            context = details["ctx"]
            allowed = [tag.strip(" '") for tag in context.get("expected_tags", "").split(",") if tag.strip(" '")]
            if kind == "union_tag_invalid":
                tag = str(context["tag"])
                return self._problem((*path, "name"), f"there is no `{tag}`{_suggestion(tag, allowed)}")
            if isinstance(details["input"], dict) and "name" in details["input"]:
                return self._problem((*path, "name"), f"should be a name, not {_named(details['input']['name'])}")
            return self._problem(path, f"needs a name{_suggestion('', _tags(path))}", at_key=True)
        return self._problem(path, _message(details, owner), at_key=kind == "missing")

    def _problem(self, path: KeyPath, message: str, at_key: bool = False) -> Problem:
        places = self.keys if at_key else self.origins
        for known in (path[:length] for length in range(len(path), -1, -1)):
            # A section is found by its key, a value by where it stands.
            origin = places.get(known) if known == path else self.keys.get(known) or self.origins.get(known)
            if origin:
                return Problem(message, origin.file, origin.line, origin.column, _dotted(path))
        return Problem(message, str(self.file), 1, 1, _dotted(path))


def _walk(location: tuple[int | str, ...]) -> tuple[KeyPath, type[Spec] | None]:
    """The path in the file of a location of pydantic's, and the section that its last part belongs to.

    Pydantic's location names the chosen class of a union too, which the file does not.
    """
    annotation: Any = Experiment
    owner: type[Spec] | None = None
    path: list[str | int] = []
    parts = list(location)
    while parts:
        choices = _choices(annotation)
        part = parts.pop(0)
        if len(choices) > 1 and part in choices:
            annotation = choices[str(part)]
            continue
        path.append(part)
        section = next(iter(choices.values()), None)
        if section and part in section.model_fields:
            owner, annotation = section, section.model_fields[str(part)].annotation
        elif section:
            owner, annotation = section, Any
        elif isinstance(part, int):
            annotation = _item(annotation)
    return tuple(path), owner


def _tags(path: KeyPath) -> list[str]:
    """The names that the union at a path may have."""
    annotation: Any = Experiment
    for part in path:
        if isinstance(part, int):
            annotation = _item(annotation)
        else:
            choices = _choices(annotation)
            section = next((s for s in choices.values() if part in s.model_fields), None)
            annotation = section.model_fields[part].annotation if section else Any
    return list(_choices(annotation))


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
    if kind == "missing":
        last = details["loc"][-1]
        return "is required" if isinstance(last, str) else f"lacks its value number {last + 1}"
    if kind in _KINDS:
        hint = " (without quotes)" if kind in ("int_type", "float_type") and _is_number(value) else ""
        return f"should be {_KINDS[kind]}, not {_named(value)}{hint}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"should be {words} {context[bound]:g}, not {_named(value)}"
    if kind == "finite_number":
        return f"should be a finite number, not {value}"
    if kind == "literal_error":
        field = owner.model_fields.get(str(details["loc"][-1])) if owner else None
        allowed = [str(choice) for choice in _literals(field.annotation)] if field else []
        return f"can't be {_named(value)}{_suggestion(str(value), allowed)}"
    if kind == "too_long":
        return f"should have at most {context['max_length']} values, not {context['actual_length']}"
    if kind == "too_short":
        return f"should have at least {context['min_length']} values, not {context['actual_length']}"
    if kind == "string_too_short":
        return "should not be empty"
    if kind == "string_pattern_mismatch":
        return f"{_named(value)} should begin with a letter or digit and hold only letters, digits, space, . - and _"
    return str(details["msg"])


def _literals(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _literals(part)]


def _named(value: Any) -> str:
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


def _nearest(word: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(word.lower(), [name.lower() for name in names], 1, cutoff=0.6)
    found = next((name for name in names if near and name.lower() == near[0]), None)
    return f"; did you mean `{found}`?" if found else ""


def _suggestion(word: str, allowed: Sequence[str]) -> str:
    """The nearest right name, or all of them when none is near."""
    if near := _nearest(word, allowed):
        return near
    return f"; it may be {', '.join(allowed)}" if allowed else ""


def _dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)


def _with_base(values: Any, base: Path) -> Any:
    """The same values with texts that know the folder they are relative to."""
    if isinstance(values, str):
        return FileText(values, base)
    if isinstance(values, dict):
        return {key: _with_base(value, base) for key, value in values.items()}
    if isinstance(values, tuple):
        return tuple(_with_base(value, base) for value in values)
    return values


def _replaced(values: Any, path: KeyPath, value: Any) -> Any:
    """The values with the one at `path` replaced, or added where a section lacks it.

    Raises:
        LookupError: The path leads through a list entry that is not there, or through a plain value.
    """
    if not path:
        return value
    first, *rest = path
    if isinstance(values, tuple):
        if not isinstance(first, int) or first >= len(values):
            raise LookupError(f"the list has {len(values)} entries, counted from 0; there is no `{first}`")
        return (*values[:first], _replaced(values[first], tuple(rest), value), *values[first + 1 :])
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise LookupError(f"`{first}` is looked for in {_named(values)}, which has no settings")
    key = str(first)
    return {**values, key: _replaced(values.get(key), tuple(rest), value)}


def _leaves(values: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every single value with its path; a list without sections in it is one value."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(values, list | tuple) and any(isinstance(item, dict) for item in values):
        for i, value in enumerate(values):
            yield from _leaves(value, (*path, i))
    else:
        yield path, values
