"""Submission: predictions in the form of a sample, as the competitions of Kaggle ask for them.

A sample (`sample_submission.csv`) has an id in its first column, and behind it one column, or one for each class:

    id,breed          id,has_cactus      image_id,healthy,rust,scab
    1.jpg,beagle      0004be2c,0.5       Test_0,0.25,0.25,0.25
    the class         a probability      the probability of each class

What is written has its header, its ids in its order and its separator, with other values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cnnkit.core.errors import DataError, Problem, UsageError
from cnnkit.core.progress import Progress
from cnnkit.core.text import composed, counted, suggestion
from cnnkit.data.files import tables
from cnnkit.evaluation.new_images import NewImage, by_reason, find_images
from cnnkit.evaluation.predict import Prediction, predict_images
from cnnkit.evaluation.two_classes import positive_of
from cnnkit.runs.run import Run


class SampleRow(NamedTuple):
    """A row of a sample: its line in the file, its id, and what its second column holds as an example of the form."""

    line: int
    id: str
    value: str


@dataclass(frozen=True)
class Sample:
    """A sample as it was read.

    Attributes:
        file: The file.
        header: Names of the columns, the id's first.
        header_line: The line of the header.
        rows: What is below it.
        separator: What stands between two columns.
    """

    file: Path
    header: tuple[str, ...]
    header_line: int
    rows: tuple[SampleRow, ...]
    separator: str


def _wrong(file: Path, message: str, line: int | None = None) -> DataError:
    return DataError(Problem(message, file=str(file), line=line))


@dataclass(frozen=True)
class Submission:
    """A sample that is filled.

    Attributes:
        text: The CSV.
        rows: How many ids it has.
        left_out: How many images the sample did not ask for.
        skipped: Reasons why other files were not taken for images, with how many there are of each.
    """

    text: str
    rows: int
    left_out: int
    skipped: Mapping[str, int]


def submission(
    run: Run | Path | str,
    paths: Sequence[Path | str],
    sample: Path | str,
    positive: str | None = None,
    progress: Progress | None = None,
    beside: Mapping[str, int] | None = None,
) -> Submission:
    """Predicts the images that a sample asks for.

    Args:
        run: The run, or its folder.
        paths: Image files, and folders and archives that are searched for such.
        sample: The CSV to fill.
        positive: The class whose probability the only column behind the id takes; if left out, the column takes the
            likeliest class, or the probability of a class that can be meant by it alone.
        progress: Is told how far it is, what the columns take, which files are no images, and how many images the
            sample does not ask for.
        beside: Reasons why files beside the paths were left out already, with how many there are of each.

    Raises:
        UsageError: `positive` is no class of the run, or is needed, or of no use.
        DataError: The sample is in no form that can be filled, or an image is missing, is there twice or can't be
            decoded.
    """
    run = Run.open(run)
    progress = progress or Progress()
    form = read(Path(sample))
    columns = columns_of(form, run.classes, positive, progress)
    everything = find_images(paths, progress)
    everything.left_out.update(beside or {})
    if everything.left_out:  # before an id is told to have no image: it may be one of these
        progress.say(f"left out: {by_reason(everything.left_out)}")
    found = everything.images
    images = matched(form, found)
    left_out = len({image.file for image in found} - {image.file for image in images})
    if left_out:
        are = "is" if left_out == 1 else "are"
        some = f"{left_out:,} of {counted(len(found), 'image')}"
        progress.say(f"{some} {are} not in {form.file} and {are} left out")
    text = _filled(form, columns, images, predict_images(run, images, progress))
    return Submission(text, len(images), left_out, dict(everything.left_out.most_common()))


def read(file: Path) -> Sample:
    """Reads a sample.

    Raises:
        UsageError: There is no such file.
        DataError: It is no CSV with an id a row and at least one column behind it.
    """
    if not file.is_file():
        raise UsageError(f"the sample {file}: there is no such file")
    table = tables.Table(file)
    (header_line, header), *rows = list(table) or [(1, [])]
    if len(header) < 2:
        message = "should have a header with the id and at least one column behind it; " + tables.SEPARATED
        raise _wrong(file, message, header_line)
    if not rows:
        raise _wrong(file, "has a header, but no row with an id")
    seen: dict[str, int] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise _wrong(file, f"the row has {len(row)} columns, the header {len(header)}", line)
        first = seen.setdefault(row[0].strip(), line)
        if first != line:
            raise _wrong(file, f"the id `{row[0]}` is in line {first} too; each should be there once", line)
    sample_rows = tuple(SampleRow(line, row[0], row[1].strip()) for line, row in rows)
    return Sample(file, tuple(header), header_line, sample_rows, table.separator)


def columns_of(sample: Sample, classes: Sequence[str], positive: str | None, progress: Progress) -> tuple[str, ...]:
    """The class whose probability each column behind the id takes; nothing where the one column takes a label.

    Raises:
        UsageError: `positive` is no class, or is needed, or of no use.
        DataError: The columns, or the values of the only one, are not of these classes.
    """
    names = [name.strip() for name in sample.header[1:]]
    if positive is not None and positive not in classes:
        raise UsageError(f"--positive {positive}: the run has no such class{suggestion(positive, classes)}")
    if len(names) > 1:
        if positive is not None:
            raise UsageError(f"--positive {positive}: {sample.file} has {len(names)} columns behind the id, not one")
        return _a_column_a_class(sample, names, classes)
    [name] = names
    strange = [row for row in sample.rows if row.value and row.value not in classes]
    if positive is None and not strange:
        other = f"; --positive {classes[1]} gives the probability of `{classes[1]}`" if len(classes) == 2 else ""
        progress.say(f"`{name}` is filled with the likeliest class{other}")
        return ()
    no_shares = [row for row in strange if not _is_share(row.value)]
    if positive is None and (no_shares or len(classes) > 2):
        line, _, value = (no_shares or strange)[0]
        message = f"`{value}` under `{name}` is no class of the run{suggestion(value, classes)}"
        raise _wrong(sample.file, f"{message}. For the probability of one class add --positive CLASS", line)
    chosen = positive or (name if name in classes else positive_of(classes))
    if chosen is None:
        either = " or ".join(f"--positive {label}" for label in classes)
        raise UsageError(f"{sample.file}: `{name}` takes the probability of one class; say of which: {either}")
    progress.say(f"`{name}` is filled with the probability of the class `{chosen}`")
    return (chosen,)


def _a_column_a_class(sample: Sample, names: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    missing = dict.fromkeys(classes)
    for name in names:
        if name not in missing:
            what = "there twice" if name in classes else f"no class of the run{suggestion(name, classes)}"
            raise _wrong(sample.file, f"the column `{name}` is {what}", sample.header_line)
        del missing[name]
    if missing:
        more = f" nor for {counted(len(missing) - 1, 'other')}" if len(missing) > 1 else ""
        message = f"has no column for the class `{next(iter(missing))}` of the run{more}"
        raise _wrong(sample.file, message, sample.header_line)
    return tuple(names)


def _is_share(value: str) -> bool:
    try:
        return 0 <= float(value) <= 1
    except ValueError:
        return False


def matched(sample: Sample, images: Iterable[NewImage]) -> list[NewImage]:
    """The image that each id means: by its path below the folder, or the end of its path, with or without its ending.

    Raises:
        DataError: An id means no image, or several.
    """
    different = list({image.file: image for image in images}.values())
    as_written = _Names(different, str)
    in_one_encoding: _Names | None = None
    chosen: list[NewImage] = []
    missing: list[SampleRow] = []
    for row in sample.rows:
        wanted = row.id.strip().replace("\\", "/").removeprefix("./")
        found = as_written.meant_by(wanted)
        if not found and not wanted.isascii():
            # Some systems take accents apart in the names of files; tables seldom do.
            in_one_encoding = in_one_encoding or _Names(different, composed)
            found = in_one_encoding.meant_by(composed(wanted))
        if len(found) > 1:
            either = f"`{found[0].name}` or `{found[1].name}`"
            raise _wrong(sample.file, f"the id `{row.id}` may mean {either}; leave one of them out", row.line)
        missing += [] if found else [row]
        chosen += found
    if missing:
        others = f", nor for {len(missing) - 1:,} other ids" if len(missing) > 1 else ""
        message = (
            f"there is no image for the id `{missing[0].id}`{others}: none of the {len(different):,} is "
            "called so, with or without its ending"
        )
        raise _wrong(sample.file, message, missing[0].line)
    return chosen


class _Names:
    """Images by their names, each name in some spelling."""

    def __init__(self, images: Iterable[NewImage], spelled: Callable[[str], str]):
        self.exactly: defaultdict[str, list[NewImage]] = defaultdict(list)
        self.called: defaultdict[str, list[tuple[str, NewImage]]] = defaultdict(list)
        for image in images:
            path = PurePosixPath("/", spelled(image.name))
            self.exactly[spelled(image.below)].append(image)
            for spelling in {path, path.with_suffix("")}:
                self.called[spelling.name].append((str(spelling), image))

    def meant_by(self, wanted: str) -> list[NewImage]:
        """The images that a path, or the end of one, may mean."""
        exactly = self.exactly.get(wanted, [])
        alike = self.called.get(wanted.rpartition("/")[2], [])
        return exactly if len(exactly) == 1 else [image for path, image in alike if path.endswith(f"/{wanted}")]


def _filled(
    sample: Sample, columns: tuple[str, ...], images: Sequence[NewImage], predictions: Iterable[Prediction]
) -> str:
    """The text of the CSV.

    Raises:
        DataError: An image can't be decoded, so that its row would lack its value.
    """
    rows: list[list[Any]] = []
    bad: list[Problem] = []
    for (line, name, _), image, prediction in zip(sample.rows, images, predictions, strict=True):
        if prediction.probabilities is None:
            message = f"the image of the id `{name}`, {image.name}, can't be decoded: {prediction.error}"
            bad.append(Problem(message, file=str(sample.file), line=line))
        elif columns:
            # Nine digits say a float32 exactly; rounded to fewer places, a small one would become a certain 0.
            rows.append([name, *(f"{prediction.probabilities[column]:.9g}" for column in columns)])
        else:
            rows.append([name, prediction.label])
    if bad:
        raise DataError(
            *bad[:20], f"{counted(len(bad), 'row')} would stay empty, so nothing is written: repair these images"
        )
    return tables.text_of(sample.header, rows, sample.separator)
