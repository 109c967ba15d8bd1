"""The examination: everything is looked at, or before a training what costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.data.index import Index
from cnnkit.data.likeness import pixels
from cnnkit.data.section import Data
from cnnkit.inspection.doctor import faint, files, groups, labels, little_detail, masks, memory, near
from cnnkit.inspection.doctor import sheets as contact_sheets
from cnnkit.inspection.doctor.base import Finding, Patient, Report, Severity
from cnnkit.runs import overwriting

Check = Callable[[Patient], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    *(files.forms, files.remarked, files.outliers, files.nested, labels.copies, labels.classes),
    *(groups.torn, groups.unnamed),
)
"""What is asked of the images that can be decoded; all of it is known without decoding them."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


def examine(data: Data, progress: Progress, sheets: Path | None = None) -> Report:
    """Looks at everything; the same data is not examined twice.

    Args:
        data: The images.
        progress: Is told how far it is.
        sheets: A folder for the contact sheets, new or empty; in the cache by default.

    Raises:
        DataError: There are no images to look at.
        UsageError: The folder for the sheets is in use, or can't be written.
    """
    if sheets:
        refuse(sheets, data.source.paths())
    collection = data.source.open(progress)
    index = data.index(collection, progress)
    fingerprint = index.fingerprint()
    file = memory.place(fingerprint, index, data, collection.skip_bad)
    report = memory.recall(file)
    if report is None or not report.whole:
        seen = pixels.look(index, pixels.home_of(data.source), progress)
        report = _report(data, Patient(index, None, collection.skip_bad, seen), progress)
        if seen.lasting:
            memory.remember(file, report, progress)
    bad = {name for finding in report.findings if finding.kind == "undecodable" for name in finding.files}
    good = index.take([i for i, name in enumerate(index.names) if name not in bad]) if bad else index
    if sheets:
        try:
            drawn = contact_sheets.draw(good, sheets, progress)
        except OSError as error:
            raise UsageError(f"--sheets {sheets} can't be written: {error.strerror or error}") from None
    else:
        drawn = contact_sheets.in_cache(good, good.fingerprint() if bad else fingerprint, progress)
    return _completed(replace(report, sheets=tuple(map(str, drawn))), data, index, collection.skip_bad)


def refuse(sheets: Path, reads: Iterable[Path | str]) -> None:
    """Refuses a folder for the contact sheets that holds something already, can't be made, or is no place for them.

    Args:
        sheets: The folder.
        reads: The files and folders that the command reads.

    Raises:
        UsageError: It is one of these.
    """
    if not sheets.absolute().parent.is_dir():
        raise UsageError(f"--sheets {sheets}: there is no folder {sheets.absolute().parent}")
    if sheets.is_symlink() or (sheets.exists() and not sheets.is_dir()) or (sheets.is_dir() and any(sheets.iterdir())):
        raise UsageError(f"--sheets {sheets} is there already and not an empty folder; choose another")
    overwriting.refuse_what_is_read("--sheets", sheets, reads)


def before_training(
    data: Data, there: Index, used: Index, splits: Sequence[str], skip_bad: bool, progress: Progress
) -> Report:
    """What is known of data that is about to be trained on: from an examination if there was one, else at a glance.

    Args:
        data: The images.
        there: All images that were asked for.
        used: Those that could be decoded.
        splits: The split of each of these.
        skip_bad: Whether the others were left out.
        progress: Is told when the result can't be kept.
    """
    file = memory.place(there.fingerprint(), there, data, skip_bad)
    report = memory.recall(file)
    if report is None:
        patient = Patient(used, splits, skip_bad)
        findings = _sorted([*files.undecodable(patient), *_checked(patient.sound())])
        report = Report(len(used), labels.table(patient), findings, files.sizes(used))
        # Only what the index tells of counts for the next time too: a file that was left out for another reason may
        # have been out of reach, no more.
        bad_at_once = [facts.bad for facts in there.facts or () if facts.bad]
        if len(used) + len(bad_at_once) == len(there) and all(facts.lasting for facts in there.facts or ()):
            memory.remember(file, report, progress)
    # What can't be decoded has been told already, or has been left out and listed.
    found_before = [finding for finding in report.findings if finding.kind != "undecodable"]
    return replace(report, findings=_sorted([*found_before, *files.enlarged(used, data.image_size)]))


def _report(data: Data, patient: Patient, progress: Progress) -> Report:
    """The whole examination of decoded images."""
    findings = list(files.undecodable(patient))
    # What can't be decoded is told once; all else is asked of the pictures, which are what is divided in training.
    sound = patient.sound()
    splits, undivided = _divided(data, sound.index, progress)
    sound = replace(sound, splits=splits)
    near_ones = near.check(sound, data.split.keep_together == "near", progress)
    findings += [*undivided, *_checked(sound), *faint.check(sound), *masks.check(sound), *near_ones]
    findings += little_detail.check(sound, progress)
    mean, std = sound.pixels.moments() if sound.pixels else (None, None)
    return Report(len(sound.index), labels.table(sound), _sorted(findings), files.sizes(sound.index), mean, std)


def _checked(patient: Patient) -> Iterator[Finding]:
    """What the checks find that need no decoded images."""
    for check in CHECKS:
        yield from check(patient)


def _completed(report: Report, data: Data, index: Index, skip_bad: bool) -> Report:
    """The report with what is no part of the examination: what the source left out, and what the config asks for."""
    missing = files.without_mask(index, data, skip_bad)
    findings = [*report.findings, *missing, *files.enlarged(index, data.image_size)]
    findings += [*files.notes(index), *files.unused(index)]
    return replace(report, findings=_sorted(findings), unused=index.unused)


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _divided(data: Data, index: Index, progress: Progress) -> tuple[Sequence[str] | None, list[Finding]]:
    """The split of each image, as training would divide them; or what stands in the way.

    A class without images stands in the way too, but is a finding by itself, so here the others are divided.
    """
    inhabited, labels_of_these = np.unique(index.labels, return_inverse=True)
    names = tuple(index.classes[label] for label in inhabited)
    try:
        return data.splits(replace(index, classes=names, labels=labels_of_these), progress), []
    except DataError as error:
        advice = "add images of it, remove the class, or set less apart with data.split"
        return None, [Finding("not_divisible", "error", str(error), advice)]
