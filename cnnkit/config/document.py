"""Document: the values of a config file with what `--set` puts over them, and where each came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnkit.config import yaml12
from cnnkit.config.experiment import Experiment
from cnnkit.config.messages import KeyPath, SettingProblem, displaced, entry_with, named
from cnnkit.core.errors import ConfigError, Problem
from cnnkit.core.spec import FileText, Spec
from cnnkit.core.text import nearest, typed


@dataclass(frozen=True)
class Origin:
    """Where a value came from: a place in the file, or a `--set`."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return f"line {self.line}" if self.line else self.file


@dataclass
class Document:
    """The values of a file and its settings, with the origin of each.

    Attributes:
        file: The file.
        values: They; None of an empty file, and not always a section.
        origins: Where each value stands, by its path.
        keys: Where the key of each stands that has one.
        problems: What was wrong with the file's text, or a setting's; the rest is read all the same.
    """

    file: Path
    values: Any
    origins: dict[KeyPath, Origin]
    keys: dict[KeyPath, Origin]
    problems: list[Problem]

    @classmethod
    def read(cls, file: Path) -> Document:
        """That of a file without settings.

        Raises:
            ConfigError: It is not there, can't be read, or is no YAML.
        """
        try:
            if file.exists() and not file.is_file() and not file.is_dir():
                raise ConfigError(Problem("is not a file", str(file)))
            with file.open("rb") as opened:
                # Four bytes a character at the most; what is longer is refused by its length.
                content = opened.read(4 * yaml12.MAX_CHARACTERS + 4)
        except FileNotFoundError:
            beside = [p.name for p in file.parent.glob("*.y*ml")] if file.parent.is_dir() else []
            hint = nearest(file.name, beside) or ("; `cnnkit list` tells what a config may hold" if not beside else "")
            raise ConfigError(Problem(f"there is no such file{hint}", str(file))) from None
        except IsADirectoryError:
            within = sorted(file.glob("*.y*ml"))
            hint = f"; did you mean {typed(within[0])}?" if len(within) == 1 else ""
            raise ConfigError(Problem(f"is a folder, not a config file{hint}", str(file))) from None
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
        return cls(
            file,
            _with_base(tree.values, file.absolute().parent),
            {path: Origin(str(file), *position) for path, position in tree.places.items()},
            {path: Origin(str(file), *position) for path, position in tree.keys.items()},
            [Problem(message, str(file), *position, key=_dotted(path)) for path, message, position in tree.problems],
        )

    def set(self, setting: str, complete: bool) -> None:
        """Puts a `KEY=VALUE` in place, over what the file says; of one that is complete, what it displaces goes."""
        name = f"--set {setting}"
        key, sign, text = (part.strip() for part in setting.partition("="))
        if not sign or not all(key.split(".")) or key.count(".") > yaml12.MAX_DEPTH:
            self.problems.append(Problem("should be KEY=VALUE, for example train.epochs=10", name))
            return
        path = _path_in(self.values, key)
        try:
            tree = yaml12.parse(text)
            if hint := _list_hint(self.values, key):
                raise LookupError(hint)
            self.values = _with_default_names(self.values, path)
            self.values = _replaced(self.values, path, _with_base(tree.values, Path.cwd()))
            if complete:
                self._leave_out(path[:-1], displaced(Experiment, path, tree.values))
        except LookupError as error:
            self.problems.append(Problem(_list_hint(self.values, key) or str(error.args[0]), name, key=key))
            return
        except yaml12.YamlError as error:
            self.problems.append(Problem(str(error.args[0]), name, key=key))
            return
        for below, message, _ in tree.problems:
            self.problems.append(Problem(message, name, key=_dotted((*path, *below))))
        # The value, what is in it, and the sections around it that the file does not have.
        replaced = [path, *((*path, *below) for below in tree.places)]
        replaced += [path[:length] for length in range(1, len(path)) if path[:length] not in self.origins]
        for origins in (self.origins, self.keys):
            for below in [other for other in origins if other[: len(path)] == path]:
                del origins[below]
            origins.update(dict.fromkeys(replaced, Origin(name)))

    def _leave_out(self, section: KeyPath, names: Iterable[str]) -> None:
        """Leaves settings of a section out, as far as the file says them; what another `--set` says stays."""
        for path in ((*section, name) for name in names):
            if path in self.origins and self.origins[path].line is not None:
                self.values = _without(self.values, path)
                for origins in (self.origins, self.keys):
                    for below in [other for other in origins if other[: len(path)] == path]:
                        del origins[below]

    def place(self, problem: Problem) -> Problem:
        """The problem with its place: that of its value, or of the nearest section around it."""
        path = tuple(int(part) if part.isdecimal() else part for part in (problem.key or "").split(".") if part)
        return replace(self.problem(SettingProblem(path, problem.message)), in_data=problem.in_data)

    def problem(self, finding: SettingProblem) -> Problem:
        """The problem with its place."""
        path, key = finding.path, _dotted(finding.path)
        for around in (path[:length] for length in range(len(path), -1, -1)):
            # A value is found where it stands; a section, or a key that is to blame itself, by its key.
            places = (self.keys, self.origins) if finding.at_key or around != path else (self.origins,)
            origin = next((place[around] for place in places if around in place), None)
            if origin:
                return Problem(finding.message, origin.file, origin.line, origin.column, key)
        return Problem(finding.message, str(self.file), 1, 1, key)


def _path_in(values: Any, key: str) -> KeyPath:
    """The path of a dotted key; a number is a place where there is a list, else a word."""
    path: KeyPath = ()
    for part in key.split("."):
        step = int(part) if isinstance(values, tuple) and part.isdecimal() else part
        path = (*path, step)
        if isinstance(values, dict):
            values = values.get(step)
        elif isinstance(values, tuple) and isinstance(step, int) and step < len(values):
            values = values[step]
        else:
            values = None
    return path


def _list_hint(values: Any, key: str) -> str | None:
    """What to write where a key leads into a list that is not there, or by a word into one that is."""
    parts = key.split(".")
    for length, part in enumerate(parts):
        empty = values is None or values == ()
        if length and part.isdecimal() and empty:
            parent = ".".join(parts[:length])
            entry = entry_with(
                Experiment, tuple(parts[:length]), parts[length + 1] if length + 1 < len(parts) else None
            )
            return f"{parent} has no entries, so there is none to change; set all of it: --set '{parent}=[{entry}]'"
        if isinstance(values, tuple) and not part.isdecimal():
            within = ".".join([*parts[:length], "0", *parts[length:]])
            return f"{'.'.join(parts[:length])} is a list, and its entries have numbers from 0 on: {within}"
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, tuple) and int(part) < len(values):
            values = values[int(part)]
        elif values is not None:
            return None
    return None


def _with_default_names(values: Any, path: KeyPath) -> Any:
    """The values with the names of the sections that the path leads through and the file leaves at their default.

    So `train.optimizer.learning_rate=0.01` sets the rate of the optimizer that there is by default.
    """
    section: Any = Experiment
    here = values
    for length, step in enumerate(path[:-1], start=1):
        field = section.model_fields.get(step) if section else None
        default = field.default if field and isinstance(field.default, Spec) else None
        default = default or (section.filled_in.get(step) if field else None)
        here = here.get(step) if isinstance(here, dict) else None
        name = getattr(default, "name", None)
        if here is None and name:
            values = _replaced(values, path[:length], {"name": name})
        annotation = type(default) if default else field.annotation if field else None
        section = annotation if isinstance(annotation, type) and issubclass(annotation, Spec) else None
    return values


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
            raise LookupError(f"there is no entry `{first}`; the list has {len(values)}, counted from 0")
        return (*values[:first], _replaced(values[first], tuple(rest), value), *values[first + 1 :])
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise LookupError(f"`{first}` is looked for in {named(values)}, which has no settings")
    key = str(first)
    return {**values, key: _replaced(values.get(key), tuple(rest), value)}


def _without(values: Any, path: KeyPath) -> Any:
    """The values without the setting at `path`, which is there."""
    *around, name = path
    section = values
    for part in around:
        section = section[part]
    return _replaced(values, tuple(around), {key: value for key, value in section.items() if key != name})
