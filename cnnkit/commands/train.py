"""`cnnkit train`: from a config to an evaluated run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.text import Text
from typer import Argument, Exit, Option

from cnnkit.commands.command import Settings, command
from cnnkit.commands.results import evaluation_tables
from cnnkit.commands.screen import Screen, new_table
from cnnkit.core.errors import CnnkitError, ConfigError, Problem, TrainingError, UsageError
from cnnkit.core.signals import resumable
from cnnkit.core.text import counted, typed

if TYPE_CHECKING:
    from cnnkit.config.file import Configured
    from cnnkit.training.preflight import Preflight, Verdict


@command("cnnkit train configs/digits.yaml --run runs/first --set train.epochs=5")
def train(
    screen: Screen,
    config: Annotated[
        Path | None, Argument(metavar="CONFIG", help="The YAML file; --resume needs none.", show_default=False)
    ] = None,
    run: Annotated[
        Path | None, Option(help="The run's folder, which must not exist.", show_default="runs/NAME-TIME")
    ] = None,
    preflight: Annotated[
        bool,
        Option("--preflight", help="Only look whether it would work: data, first updates, one batch; leaves no run."),
    ] = False,
    resume: Annotated[
        Path | None, Option(metavar="RUN", help="Go on with a run that ended before its time.", show_default=False)
    ] = None,
    folds: Annotated[
        int | None, Option(metavar="K", help="Train K networks, each judged on another part of all images.")
    ] = None,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Train a network, keep its best epoch, and evaluate that as read back from disk."""
    if resume and run:
        raise UsageError(f"--run {run}: a run goes on in its own folder; leave out --run, or --resume")
    if preflight and (run or resume):
        raise UsageError("--preflight trains nothing and leaves no run; leave out " + ("--run" if run else "--resume"))
    if folds is not None and (preflight or resume):
        why = "looks at one training" if preflight else "goes on with as many folds as the folder has"
        raise UsageError(f"--folds {folds}: {'--preflight' if preflight else '--resume'} {why}; leave out --folds")
    if not resume and not config:
        raise UsageError("Missing argument 'CONFIG', the YAML file; see cnnkit train --help")
    if preflight:
        assert config
        _preflight(screen, config, settings)
        return
    from cnnkit.core.own_folders import FOLDS

    if folds is not None or (resume and (resume / FOLDS).is_file()):
        _folds(screen, config, folds, run, resume, settings)
        return
    with screen.watching() as progress:
        if resume:
            with resumable(f"cnnkit train --resume {typed(resume)}"):  # before or behind its training, which tells more
                from cnnkit.training.train import resume as go_on

                document = go_on(resume, config, settings, progress)
        else:
            from cnnkit.config.file import read

            assert config
            experiment = read(config, *settings, progress=progress)
            from cnnkit.training.train import train as work

            document = work(experiment, run, progress)
    _show(screen, document)
    _end(document)


def _end(document: dict[str, Any]) -> None:
    """Ends with an exit code where a step behind the training failed, which was said when it did."""
    kinds = {step["kind"] for step in document["failed"]}
    if kinds:
        raise Exit(CnnkitError.exit_code if CnnkitError.kind in kinds else TrainingError.exit_code)


def _show(screen: Screen, document: dict[str, Any]) -> None:
    """What came of it; of a run whose time was up in its first epoch there is nothing to evaluate."""
    from cnnkit.evaluation import metrics
    from cnnkit.evaluation.baseline import Baseline

    if not document["test"]:
        screen.result(document, "", f"The run: {document['run']}")
        return
    screen.result(
        document,
        "",
        *evaluation_tables(document["test"], screen.console.width),
        _of_which(document),
        *(metrics.line(document[split]) for split in ("validation", "test") if document[split]),
        *(Baseline().lines(document["test"]["baseline"]) if "baseline" in document["test"] else ()),
        *document["remarks"],
        f"The run: {document['run']}" + (f"; open {document['report']} with a browser" if document["report"] else ""),
    )


def _folds(
    screen: Screen, config: Path | None, folds: int | None, run: Path | None, resume: Path | None, settings: list[str]
) -> None:
    """Trains every fold, or goes on with them, and shows what all of them say together."""
    from cnnkit.config.file import configure

    if resume and config:
        raise UsageError(f"{config}: folds go on with the config that is in {resume}; leave out the config")
    with screen.watching() as progress:
        configured = configure(config, settings, progress=progress) if config else None
        from cnnkit.studies import fold_results
        from cnnkit.studies import folds as study

        if configured:
            assert folds is not None
            _refuse_test_share(configured)
            document = study.train(configured.experiment, folds, run, progress, configured.place)
        else:
            assert resume
            with resumable(f"cnnkit train --resume {typed(resume)}"):
                document = study.resume(resume, settings, progress)
    table = new_table("fold", ">images", ">accuracy", ">95 % interval", ">macro F1", ">best epoch", "run")
    for entry in document["runs"]:
        if "accuracy" in entry:
            low, high = entry["accuracy_interval"]
            figures = (f"{entry['accuracy']:.4f}", f"{low:.4f} to {high:.4f}", f"{entry['macro_f1']:.4f}")
            best = f"{entry['best_epoch']} of {entry['epochs']}"
            table.add_row(str(entry["fold"]), f"{entry['images']:,}", *figures, best, entry["run"])
        else:
            table.add_row(str(entry["fold"]), "", "", "", "", "", entry["run"])
    pooled = evaluation_tables(document["pooled"], screen.console.width) if document["pooled"] else ()
    where = f"The folds: {document['run']}"
    if document["pooled"]:
        where += f"; on a page, with pictures: cnnkit report {typed(Path(document['run']))}"
    screen.result(document, table, "", *pooled, *fold_results.lines(document), where)
    _end(document)


def _refuse_test_share(configured: Configured) -> None:
    """Refuses a share for test beside --folds in one command; that of a config is for those who train it without."""
    origin = configured.origins.get(("data", "split", "test"))
    if origin and origin.line is None and configured.experiment.data.split.test is not None:
        message = "each fold is the test split in its turn; leave this out, or --folds"
        raise ConfigError(configured.place(Problem(message, key="data.split.test")))


def _of_which(document: dict[str, Any]) -> str:
    """Which weights it is that were evaluated."""
    if document["epochs"] == 1:
        return "Read back from disk:"
    return f"Of {counted(document['epochs'], 'epoch')} the best, {document['best_epoch']}, read back from disk:"


def _preflight(screen: Screen, config: Path, settings: list[str]) -> None:
    """Shows what a preflight finds; a training that is not going to work is an error."""
    from cnnkit.config.file import read
    from cnnkit.training.preflight import preflight

    with screen.watching() as progress:
        found = preflight(read(config, *settings, progress=progress), progress)
    screen.result(found.as_json(), *_lines_of(found), _next(found, typed(config, settings)))
    if found.verdict == "failed":
        raise Exit(TrainingError.exit_code)


COLOURS: dict[Verdict, str] = {"failed": "bold red", "careful": "bold yellow", "good": "bold"}


def _lines_of(found: Preflight) -> list[Text]:
    """A line for each check."""
    return [
        Text.assemble((f"{check.verdict:<7}", COLOURS[check.verdict]), f"  {check.name}: {check.message}")
        for check in found.checks
    ]


def _next(found: Preflight, words: str) -> str:
    """What to do now."""
    if found.verdict == "failed":
        return f"Mend what failed, then: cnnkit train {words} --preflight"
    careful = "Look at what is careful. " if found.verdict == "careful" else ""
    return f"{careful}Next: cnnkit train {words}"
