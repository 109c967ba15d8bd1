"""Everything that can go wrong in a way that a person can mend.

    CnnkitError                   1   our bug, when nothing better is known
    |-- UsageError                2   the command line is wrong
    |-- ConfigError               2   the config is wrong; every problem at once, each with its place
    |-- DataError                 3   the data is wrong
    |-- TrainingError             4   training or evaluation failed: diverged, out of memory, damaged checkpoint
    |-- DiskError                 4   a disk is full or fails
    |-- Incomplete               -   some of what was asked failed, and has its code; the rest was done, and is told
    |-- Interrupted     130/143/129   stopped by Ctrl-C, by the system or a closed terminal; what was saved is kept
    `-- NobodyReads             141   whoever read the output has seen enough

The number is the exit code of the command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where.

    Attributes:
        message: What is wrong and what would be right.
        file: The file it is in, or the `--set` option it came with.
        line: Line in `file`, from 1.
        column: Column in `file`, from 1.
        key: Dotted path of the setting, for example `train.optimizer.learning_rate`.
        in_data: Whether it is the data that is wrong, though a setting leads to it.
    """

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    key: str | None = None
    in_data: bool = False

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return ": ".join(part for part in (place, self.key, self.message) if part)

    def place(self) -> dict[str, Any]:
        """The place, as the JSON form of an error carries it."""
        return {"file": self.file, "line": self.line, "column": self.column, "key": self.key}


class CnnkitError(Exception):
    """The base of all of them: carries the problems, and the exit code of its kind."""

    kind: ClassVar[str] = "bug"
    exit_code: int = 1

    def __init__(self, *problems: Problem | str):
        self.problems = tuple(p if isinstance(p, Problem) else Problem(p) for p in problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def as_json(self) -> dict[str, Any]:
        """The document that a command with `--json` prints."""
        places = [p.place() | {"message": p.message} for p in self.problems if p.file or p.key]
        return {"error": {"kind": self.kind, "message": str(self), "places": places}}


class UsageError(CnnkitError):
    """A command was called in a way that can't work."""

    kind = "usage"
    exit_code = 2


class ConfigError(CnnkitError):
    """A config, or a `--set`, has problems."""

    kind = "config"
    exit_code = 2


class DataError(CnnkitError):
    """Images, labels or folders are not what they should be."""

    kind = "data"
    exit_code = 3

    def without_settings(self) -> DataError:
        """The same, naming no setting: for where there is no config in which one could be to blame."""
        return DataError(*(replace(problem, key=None) for problem in self.problems))


class TrainingError(CnnkitError):
    """A run could not go on, or can't be used."""

    kind = "training"
    exit_code = 4


class DiskError(CnnkitError):
    """A disk has no room for what is to be written, or fails; `core.atomic`, which writes, raises it."""

    kind = "disk"
    exit_code = 4


class Incomplete(CnnkitError):
    """Some of what was asked failed; the rest was done, and is told beside.

    Attributes:
        document: What was found all the same, with `failed`: of each step that failed `step`, `kind` and `message`.
        worst: The error of the step that matters most, which has the exit code.
    """

    kind = "incomplete"

    def __init__(self, document: Mapping[str, Any], *problems: Problem | str, worst: CnnkitError):
        super().__init__(*problems)
        self.document, self.worst, self.exit_code = dict(document), worst, worst.exit_code

    def as_json(self) -> dict[str, Any]:
        """The document, in which the error stands too."""
        return self.document | super().as_json()


class Interrupted(CnnkitError):
    """Someone stopped the work; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""

    kind = "interrupted"

    def __init__(self, *problems: Problem | str, exit_code: int = 130):
        super().__init__(*problems)
        self.exit_code = exit_code


class NobodyReads(CnnkitError):
    """Whoever read the output has gone, as `head` does; there is nobody to tell it, so it has no text.

    Not a BrokenPipeError, of which Typer and Rich make exit codes of their own.
    """

    kind = "unread"
    exit_code = 141
