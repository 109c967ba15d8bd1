"""From a YAML file to an Experiment and back: reading, `--set`, and errors with their line and column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from cnnkit.config import careful, checks, yaml12
from cnnkit.config.document import Document, Origin
from cnnkit.config.experiment import Experiment
from cnnkit.config.messages import KeyPath, describe, named
from cnnkit.core.errors import ConfigError, DataError, Problem, UsageError
from cnnkit.core.progress import Progress
from cnnkit.core.text import enumerated
from cnnkit.data.index import empty_class, left_out_lines

CONFIGS = (".yaml", ".yml")
"""Endings of a config's name."""


DEFAULT = "default"
"""Where a value comes from that nobody has set."""


@dataclass(frozen=True)
class Configured:
    """A config that is right, and where each of its values came from.

    Attributes:
        experiment: It.
        origins: Where each value came from; none of what is a default.
        place: Gives a problem with a setting the place of that setting.
        notes: How the images were understood, where that should be known; empty before they were looked at.
        careful: What is right and yet hardly meant so, each with its place; likewise.
        unused: What lies beside the images and is left out, a line a reason; empty likewise.
    """

    experiment: Experiment
    origins: dict[KeyPath, Origin]
    place: Callable[[Problem], Problem]
    notes: tuple[str, ...] = ()
    careful: tuple[Problem, ...] = ()
    unused: tuple[str, ...] = ()

    def rows(self) -> Iterator[tuple[KeyPath, Any, str]]:
        """Every setting with its value and origin: `line 3`, the `--set`, or `default`."""
        for path, value in leaves(self.experiment.model_dump()):
            origin = self.origins.get(path)
            yield path, value, str(origin) if origin else DEFAULT

    def completed(self, progress: Progress | None = None) -> Configured:
        """The same with what depends on the images filled in.

        Raises:
            DataError: The images are not there, or a class has none.
        """
        collection = self.experiment.data.source.open(progress or Progress())
        if collection.empty:
            messages = ("; ".join(empty_class(name)) for name in collection.empty)
            raise DataError(*(self.place(Problem(message, key="data.source")) for message in messages))
        origin = Origin("the network" if self.experiment.model.learnt_with else "the source")
        filled = {
            ("data", key): origin for key in ("image_size", "channels") if getattr(self.experiment.data, key) is None
        }
        experiment = self.experiment.completed(collection)
        found = sorted(map(self._placed, careful.expected(experiment, collection)), key=_by_place)
        return replace(
            self,
            experiment=experiment,
            origins=filled | self.origins,
            notes=collection.notes,
            careful=tuple(found),
            unused=tuple(left_out_lines(collection.unused())),
        )

    def _placed(self, problem: Problem) -> Problem:
        """The problem with its place; a default stands nowhere, and is told as one."""
        placed = self.place(problem)
        defaults = {".".join(map(str, path)) for path, value, origin in self.rows() if origin == DEFAULT and value}
        if problem.key not in defaults:
            return placed
        return replace(placed, line=None, column=None, message=f"{problem.message} (not set: the default)")


def read(
    path: Path | str,
    *settings: str,
    files: bool = True,
    progress: Progress | None = None,
    complete: bool = False,
) -> Experiment:
    """Reads a config file.

    Args:
        path: The YAML file.
        settings: `KEY=VALUE` pairs that replace or add values, as `--set` takes them.
        files: Whether to check the images that it names; without, only the config itself is checked.
        progress: Is told how far it is, where looking at the images takes long.
        complete: Whether the file has every setting written out, as that of a run, so that most were chosen by nobody:
            those that can't stand beside what `settings` say are left out.

    Raises:
        ConfigError: With every problem of the file and the settings, each with its place.
        DataError: The config is right, but not what stands in a file of the data; with file and line.
    """
    return configure(path, settings, files, progress, complete).experiment


def configure(
    path: Path | str,
    settings: Sequence[str] = (),
    files: bool = True,
    progress: Progress | None = None,
    complete: bool = False,
) -> Configured:
    """Like `read`, and tells where each value came from."""
    document = Document.read(Path(path))
    for setting in settings:
        document.set(setting, complete)
    if not isinstance(document.values, dict):
        what = "is empty" if document.values is None else f"holds {named(document.values)}"
        message = f"{what}; a config is a section with data and model, see `cnnkit list`"
        raise ConfigError(Problem(message, str(path), 1, 1), *document.problems)
    if "name" not in document.values:
        document.values["name"] = Path(path).stem
        document.origins["name",] = Origin("the file's name")
    try:
        experiment = Experiment.model_validate(document.values)
    except ValidationError as error:
        details = [detail for detail in error.errors(include_url=False) if not _follows_from_others(detail)]
        found = [document.problem(describe(Experiment, detail)) for detail in details]
        spoilt = {detail["loc"][0] for detail in details if detail["loc"]}
        sections = _valid_sections(document.values, spoilt)
    else:
        found = []
        sections = {name: getattr(experiment, name) for name in Experiment.model_fields}
    spanning = checks.problems(sections, files, progress)
    found += [problem if problem.file else document.place(problem) for problem in spanning]
    if found := [*dict.fromkeys(document.problems + found)]:
        # By their places in the config; what is in a row of a data file comes behind.
        found.sort(key=_by_place)
        raise (DataError if all(problem.in_data for problem in found) else ConfigError)(*found)
    return Configured(experiment, document.origins, document.place)


def _by_place(problem: Problem) -> tuple[bool, int, int]:
    return problem.column is None, problem.line or 0, problem.column or 0


def refuse_settings(settings: Iterable[str], but: tuple[str, ...], why: str) -> None:
    """Refuses `KEY=VALUE` pairs over the config of a run, but for some settings.

    Args:
        settings: The pairs.
        but: How those begin that may be set.
        why: Why no other may.

    Raises:
        UsageError: There is another one.
    """
    for setting in settings:
        if not setting.startswith(but):
            message = f"{why}; only {enumerated(but, 'and')} may be set here"
            raise UsageError(Problem(message, file=f"--set {setting}"))


def write(experiment: Experiment) -> str:
    """The complete config as YAML: every default filled in, every path absolute."""
    return yaml12.dump(experiment.model_dump())


def _follows_from_others(details: ErrorDetails) -> bool:
    """Whether a list is called too short only because its entries are wrong, which is told of each of them."""
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def _valid_sections(values: dict[str, Any], spoilt: set[Any]) -> dict[str, Any]:
    """The sections that are right by themselves, so that what spans sections is checked as far as it can be."""
    sections = {}
    for name, field in Experiment.model_fields.items():
        if name in spoilt or (name not in values and field.is_required()):
            continue
        adapter: Any = TypeAdapter(field.rebuild_annotation())
        sections[name] = adapter.validate_python(values[name]) if name in values else field.default
    return sections


def leaves(values: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every single value with its path; a list without sections in it is one value."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    elif isinstance(values, list | tuple) and any(isinstance(item, dict) for item in values):
        for i, value in enumerate(values):
            yield from leaves(value, (*path, i))
    else:
        yield path, values
