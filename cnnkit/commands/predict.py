"""`cnnkit predict`: the classes of new images."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from typer import Argument, Exit, Option

from cnnkit.commands.command import Force, RunFolder, command
from cnnkit.commands.screen import Screen
from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.text import counted

if TYPE_CHECKING:
    from cnnkit.core.progress import Progress
    from cnnkit.runs.run import Run


@command("cnnkit predict runs/first photo.jpg more_photos --output predictions.csv")
def predict(
    screen: Screen,
    run: RunFolder,
    images: Annotated[
        list[Path], Argument(metavar="IMAGES...", help="Image files, folders and archives.", show_default=False)
    ],
    output: Annotated[Path | None, Option(help="A file to write to.", show_default="standard output")] = None,
    form: Annotated[
        Literal["csv", "jsonl"] | None, Option("--format", help="CSV, or a JSON object a line.", show_default="csv")
    ] = None,
    sample: Annotated[
        Path | None,
        Option(help="A CSV of which the output has the form and the ids, as Kaggle's sample_submission.csv."),
    ] = None,
    positive: Annotated[
        str | None, Option(metavar="CLASS", help="With a sample of one column: write the probability of this class.")
    ] = None,
    force: Force = False,
) -> None:
    """Tell the class of new images. One that can't be read has a row with the reason; with --sample it is an error."""
    from cnnkit.core import atomic
    from cnnkit.runs import overwriting
    from cnnkit.runs.run import Run

    _refuse_together(screen.json_output, form, sample, positive, output)
    overwriting.refuse("--output", output, force, reads=(sample, *images))
    opened = Run.open(run)
    # The rows are for programs: they have standard output for themselves.
    people = Screen(json_output=True)
    with people.watching() as progress:
        if sample:
            rows = _in_form(opened, images, sample, positive, output, progress)
        else:
            rows = _of_each(opened, images, form, progress)
    if output:
        atomic.write_text(output, rows.text)
    if screen.json_output:
        screen.document({"run": str(run), **rows.document})
    elif not output:
        sys.stdout.write(rows.text)
    if rows.bad or rows.left_out or output:
        people.say(rows.line + (f", written to {output}" if output else ""))
    if rows.left_out:
        people.say(f"left out: {rows.left_out}")
    if rows.bad:
        raise Exit(DataError.exit_code)


def _refuse_together(
    json_output: bool, form: str | None, sample: Path | None, positive: str | None, output: Path | None
) -> None:
    """Refuses options of `predict` that do nothing beside each other."""
    if json_output and form == "jsonl":
        raise UsageError("--json prints one document, --format jsonl an object a line: choose one of them")
    if positive is not None and not sample:
        raise UsageError("--positive is for a --sample; without one each class has a column")
    if sample and form == "jsonl":
        raise UsageError("--sample is a CSV, and so is what has its form: leave --format jsonl out")
    if sample and json_output and not output:
        raise UsageError("--sample with --json needs a file for its rows: add --output submission.csv")


class _Rows(NamedTuple):
    """What is predicted: as a file, in a line, as a document; how many files could not be, and which were left out."""

    text: str
    line: str
    document: dict[str, Any]
    bad: int = 0
    left_out: str = ""


def _in_form(
    run: Run, images: list[Path], sample: Path, positive: str | None, output: Path | None, progress: Progress
) -> _Rows:
    from cnnkit.evaluation.submission import submission

    filled = submission(run, images, sample, positive, progress)
    document = {"sample": str(sample), "output": str(output), "rows": filled.rows, "left_out": filled.left_out}
    return _Rows(filled.text, f"{counted(filled.rows, 'row')} in the form of {sample}", document)


def _of_each(run: Run, images: list[Path], form: str | None, progress: Progress) -> _Rows:
    from cnnkit.evaluation import predict as evaluation_predict
    from cnnkit.evaluation.new_images import by_reason, find_images

    found = find_images(images, progress)
    rows = list(evaluation_predict.predict_images(run, found.images, progress))
    failed = Counter(row.error for row in rows if row.error is not None)
    text = evaluation_predict.as_jsonl(rows) if form == "jsonl" else evaluation_predict.as_csv(rows, run.classes)
    line = f"{counted(len(rows), 'file')}, {failed.total():,} of them not readable as images"
    line += f" ({by_reason(failed)})" if failed else ""
    document = {
        "predictions": [asdict(row) for row in rows],
        "failed": dict(failed.most_common()),
        "left_out": dict(found.left_out.most_common()),
    }
    return _Rows(text, line, document, failed.total(), by_reason(found.left_out))
