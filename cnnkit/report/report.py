"""report.html: one page that tells all of a run, or of several, without anything from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.progress import Progress
from cnnkit.data.feeding.images import ImageReader, Images
from cnnkit.evaluation.exam import Shown
from cnnkit.inspection.summary import layer_rows
from cnnkit.report import charts
from cnnkit.report.gallery import Of
from cnnkit.report.joint import Joint, joint_of
from cnnkit.report.page import Page, page_of
from cnnkit.runs.images import index_of
from cnnkit.runs.run import Run

TEMPLATES = Path(__file__).parent / "templates"


def write(run: Run, of: Of, model: Any, progress: Progress, path: Path | None = None) -> Path:
    """Writes the page of a run.

    Args:
        run: The run.
        of: The images of its splits.
        model: Its network, whose weights do not matter.
        progress: Is told how far it is.
        path: The file; report.html in the run's folder by default.

    Returns:
        The file.

    Raises:
        TrainingError: A file of the run is damaged.
        DiskError: The disk has no room for it, or fails.
    """
    path = path or run.files.report
    with progress.task("writing the report", 1):
        page = page_of(run, of, layer_rows(model))
        keep(page, path)
    return path


def of_run(
    run: Run | Path | str, progress: Progress | None = None, path: Path | None = None, settings: Sequence[str] = ()
) -> Path:
    """Writes the page of a run on the disk, as its training does; where its images are gone, without pictures.

    Args:
        run: The run, or its folder.
        progress: Is told how far it is.
        path: The file; report.html in the run's folder by default.
        settings: `KEY=VALUE` pairs over the run's config, for images that moved.

    Returns:
        The file.

    Raises:
        UsageError: It is no run.
        TrainingError: A file of the run is damaged.
        DiskError: The disk has no room for it, or fails.
    """
    run, progress = Run.open(run).with_settings(*settings), progress or Progress()
    with progress.task("building the network", 1):
        logits = run.experiment.train.loss.logits(len(run.classes))
        model = run.experiment.model.build(run.shape, logits, run.experiment.train.precision)
    return write(run, images_of(run, progress), model, progress, path)


def images_of(run: Run, progress: Progress) -> Of:
    """The images of a run's splits, read from where they lie."""

    def shown(split: str) -> Shown:
        index = index_of(run, split, progress)
        images = Images(index, run.shape, reader=ImageReader(index, run.preprocessing, None, None))
        return Shown(images, range(len(index)))

    return shown


def of_runs(runs: Sequence[Run | Path | str], path: Path, progress: Progress) -> Path:
    """Writes the page of several runs beside each other.

    Args:
        runs: Two or more runs, or their folders.
        path: The file.
        progress: Is told how far it is.

    Returns:
        The file.

    Raises:
        UsageError: One is no run, or is named twice.
        TrainingError: A file of a run is damaged.
        DiskError: The disk has no room for it, or fails.
    """
    page = joint_of([Run.open(run) for run in runs], path, progress)
    with progress.task("writing the report", 1):
        keep(page, path)
    return path


def keep(page: Page | Joint, path: Path) -> None:
    """Writes a page into a file.

    Raises:
        DiskError: The disk has no room for it, or fails.
    """
    atomic.write_bytes(path, html(page).encode("utf-8", "replace"))


def html(page: Page | Joint) -> str:
    """A page as HTML, in which whatever is a text stays one, and no script runs but its own."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    # BokehJS reads a part before what refers to it: the order counts.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.filters |= {"whole": _with_whole_options, "broken": _with_breaks}
    script, css = ((TEMPLATES / f"report.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    library = charts.library()
    return environment.get_template("page.html" if isinstance(page, Page) else "joint.html").render(
        page=page,
        cells=page.cell_pictures,
        items=[(chart.name, chart.item) for chart in page.charts],
        css=Markup(css),  # these are of this package, and of Bokeh
        script=Markup(script),
        library=Markup(library),
        scripts=Markup(" ".join(map(_hash, (library, script)))),
    )


def _with_whole_options(text: str) -> Any:
    """A text in which no line breaks within an option, as browsers do behind a hyphen; copied it stays as it is."""
    from markupsafe import Markup

    parts = re.split(r"((?<!\S)--\w[\w-]*)", text)
    options = [Markup('<span class="whole">{}</span>').format(part) if i % 2 else part for i, part in enumerate(parts)]
    return Markup("").join(options)


def _with_breaks(name: str) -> Any:
    """A name of a file, a layer or a class, which may go on in another line where one of its parts ends."""
    from markupsafe import Markup

    return Markup("<wbr>").join(re.split(r"(?<=[/_-])", name))


def _hash(script: str) -> str:
    """A script as the policy of the page allows it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
