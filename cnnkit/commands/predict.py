"""`cnnkit predict`: the classes of new images."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from typer import Argument, Exit, Option

from cnnkit.commands.command import Force, RunFolder, command
from cnnkit.commands.screen import Screen, new_table
from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence, Set

    from rich.table import Table

    from cnnkit.core.progress import Progress
    from cnnkit.evaluation.new_images import Found
    from cnnkit.evaluation.predict import Prediction
    from cnnkit.runs.run import Run


@command("cnnkit predict runs/first photo.jpg more_photos --output predictions.csv")
def predict(
    screen: Screen,
    run: RunFolder,
    images: Annotated[
        list[Path],
        Argument(
            metavar="IMAGES...",
            help="Image files, folders, archives and patterns; - for a list of paths on standard input.",
            show_default=False,
            readable=False,  # one that can't be read is a row, as in a list
        ),
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
    top: Annotated[
        int | None, Option(min=1, help="Tell the K likeliest classes in JSON and the table.", metavar="K")
    ] = None,
    force: Force = False,
) -> None:
    """Tell the class of new images. One that can't be read has a row with the reason; with --sample it is an error."""
    from cnnkit.evaluation.new_images import find_images
    from cnnkit.runs import overwriting
    from cnnkit.runs.run import Run

    # People read a table; programs, and files, get what they always got.
    table = not (form or output or sample or screen.json_output) and sys.stdout.isatty()
    form = form or ("jsonl" if output and output.suffix.lower() == ".jsonl" else None)
    _refuse_together(screen.json_output, form, sample, positive, output, None if table else top)
    images, listed, beside = _paths(images)
    endings = (*overwriting.CSV.endings, ".jsonl", *((".ndjson", ".json") if form else ()))
    rows = overwriting.Form("rows are CSV, or a JSON object a line", endings)
    overwriting.refuse("--output", output, force, rows, reads=(sample, *images))
    opened = Run.open(run)
    # The rows are for programs: they have standard output for themselves.
    people = Screen(json_output=True)
    with people.watching() as progress:
        if sample:
            said = _in_form(opened, images, beside, sample, positive, output, progress)
        else:
            found = find_images(images, progress, listed)
            found.left_out.update(beside)
            said = _of_each(opened, found, form or "csv", top, output, table or screen.json_output, progress)
    if screen.json_output:
        screen.document({"run": str(run), **said.document})
    elif said.rows:
        screen.say(_table(said.rows, top or 1), *said.notes)
    if said.bad or said.left_out or output:
        people.say(said.line + (f", written to {output}" if output else ""))
    if said.left_out:
        people.say(f"left out: {said.left_out}")
    if said.bad:
        raise Exit(DataError.exit_code)


def _write(lines: Iterable[str], output: Path | None) -> None:
    """Writes lines as they come: to standard output, or to a file, which is there when it is whole."""
    from cnnkit.core import atomic

    if output:
        with atomic.replacing(output) as file:
            for line in lines:
                file.write(line.encode("utf-8", atomic.ERRORS))
    else:
        # In a terminal rows would be written across the line that tells how far it is.
        sys.stdout.writelines(list(lines) if sys.stdout.isatty() else lines)


def _paths(words: list[Path]) -> tuple[list[Path], Set[Path], Counter[str]]:
    """What the words name, `-` the list on standard input and patterns what they match; and what nobody typed.

    The third are the reasons why something that patterns match is left out, see `expanded`.
    """
    from cnnkit.evaluation.new_images import expanded, listed

    if words.count(Path("-")) > 1:
        raise UsageError("- stands there twice, but standard input has one list")
    paths: list[Path] = []
    not_typed: set[Path] = set()
    left_out: Counter[str] = Counter()
    for word in words:
        # What a list names is exact: a file that is called `a[1].jpg` is no pattern there.
        meant, beside = (listed(sys.stdin.buffer.read()), {}) if word == Path("-") else expanded(word)
        paths += meant
        not_typed.update(path for path in meant if path != word)
        left_out.update(beside)
    return paths, not_typed.difference(words), left_out


def _refuse_together(
    json_output: bool,
    form: str | None,
    sample: Path | None,
    positive: str | None,
    output: Path | None,
    top: int | None,
) -> None:
    """Refuses options of `predict` that do nothing beside each other."""
    if output and output.suffix.lower() == ".json" and form is None:
        raise UsageError(
            f"--output {output}: rows are CSV or, with the ending .jsonl, a JSON object a line; "
            "for one document leave --output out: --json prints it"
        )
    if top is not None and not json_output and form != "jsonl":
        raise UsageError("--top is for tables and JSON; a CSV has the probabilities of all classes anyway")
    if json_output and form == "jsonl":
        raise UsageError("--json prints one document, --format jsonl an object a line: choose one of them")
    if positive is not None and not sample:
        raise UsageError("--positive is for a --sample; without one each class has a column")
    if sample and form == "jsonl":
        raise UsageError("--sample is a CSV, and so is what has its form: leave --format jsonl out")
    if sample and json_output and not output:
        raise UsageError("--sample with --json needs a file for its rows: add --output submission.csv")


class _Said(NamedTuple):
    """What is said of rows: in a line, as a document; how many files could not be read, and which were left out.

    And the rows themselves, and what is said below them, for people.
    """

    line: str
    document: dict[str, Any]
    bad: int = 0
    left_out: str = ""
    rows: Sequence[Prediction] = ()
    notes: Sequence[str] = ()


def _in_form(
    run: Run,
    images: list[Path],
    beside: Counter[str],
    sample: Path,
    positive: str | None,
    output: Path | None,
    progress: Progress,
) -> _Said:
    from cnnkit.evaluation.submission import submission

    filled = submission(run, images, sample, positive, progress, beside)
    _write([filled.text], output)
    document = {
        "sample": str(sample),
        "output": str(output),
        "rows": filled.rows,
        "left_out": filled.left_out,
        "skipped": filled.skipped,
    }
    return _Said(f"{counted(filled.rows, 'row')} in the form of {sample}", document)


def _of_each(
    run: Run, found: Found, form: str, top: int | None, output: Path | None, keep: bool, progress: Progress
) -> _Said:
    """Predicts, and writes a row for each image as it comes; rows that are kept are for a table or a document."""
    from cnnkit.evaluation import predict as evaluation_predict
    from cnnkit.evaluation.familiarity import Familiarity
    from cnnkit.evaluation.new_images import by_reason

    known = Familiarity.read(run)
    if known is None:
        progress.say(Familiarity.why_none(run))
    elif not known.tells:
        progress.say(known.line())
    failed: Counter[str] = Counter()

    def told() -> Iterator[Prediction]:
        for row in evaluation_predict.predict_images(run, found.images, progress):
            if row.error is not None:
                failed[row.error] += 1
            yield row

    kept = list(told()) if keep else []
    if output or not keep:
        rows = kept if keep else told()
        jsonl = form == "jsonl"
        lines = evaluation_predict.json_lines(rows, top) if jsonl else evaluation_predict.csv_lines(rows, run.classes)
        _write(lines, output)
    line = f"{counted(len(found.images), 'file')}, {failed.total():,} of them not readable as images"
    line += f" ({by_reason(failed)})" if failed else ""
    document = {
        "familiarity": known.facts() if known else None,
        "predictions": [row.document(top) for row in kept],
        "failed": dict(failed.most_common()),
        "left_out": dict(found.left_out.most_common()),
    }
    notes = [known.line()] if known and known.tells else []
    return _Said(line, document, failed.total(), by_reason(found.left_out), kept, notes)


def _table(predictions: Sequence[Prediction], top: int) -> Table:
    """A row for each image, and one below it for each further class that is asked for."""
    table = new_table("image", "label", ">probability", "")
    for told in predictions:
        if told.error is not None:
            table.add_row(told.image, "", "", told.error)
        for place, likely in enumerate(told.top(top)):
            words = [
                word for word, is_so in (("unsure", told.unsure), ("unfamiliar", (told.unfamiliar or 0) > 1)) if is_so
            ]
            said = "" if place else ", ".join(words)
            table.add_row("" if place else told.image, likely["label"], f"{likely['probability']:.4f}", said)
    return table
