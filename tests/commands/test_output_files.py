"""Files that commands write: over another only with `--force`, and then whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.models import ArgumentInfo

from cnnkit import Run, read
from cnnkit.commands.app import app
from cnnkit.runs import checkpoints, overwriting
from cnnkit.training import rate_finder

Command = Callable[..., tuple[int, str, str]]

WRITTEN = {
    ("init", "--output"): ["photos"],
    ("data", "--fix-list"): ["photos"],
    ("preview", "--output"): ["mine.yaml", "--images", "1", "--variants", "1"],
    ("predict", "--output"): ["run", "photos"],
    ("list", "--plot"): ["schedules"],
    ("lr", "--plot"): ["mine.yaml"],
}
"""Options that name a file to write, each with the rest of a command that writes it."""

NOWHERE = {
    "init": ["no"],
    "data": ["no"],
    "preview": ["no.yaml"],
    "predict": ["no", "no.png"],
    "list": ["schedules"],
    "lr": ["no.yaml"],
}
"""Arguments of these commands that lead nowhere."""

NOT_WRITTEN = {
    ("data", "--sheets"),  # a folder, which must be new or empty
    ("train", "--run"),  # a folder, which must be new
    ("train", "--resume"),  # a folder, in which a run goes on
    ("preview", "--audit"),
    ("predict", "--sample"),
    ("evaluate", "--images"),
    ("evaluate", "--manifest"),
}
"""Options that name a file or a folder which is never written over."""

WRITTEN_ELSEWHERE = {("compare", "--csv"), ("compare", "--markdown"), ("report", "--output")}
"""Options whose command needs whole runs; tests/inspection/test_comparison.py and tests/report are about them."""

CONFIG = """\
data: {source: {name: folder, path: photos}, image_size: [8, 8], channels: 3}
augment: [{name: flip}]
model: {name: sequential, layers: [{name: flatten}]}
"""


def options_with_a_path() -> Iterator[tuple[str, str]]:
    """Every option of every command that names a file or a folder."""
    for registered in app.registered_commands:
        assert registered.callback
        hints = get_type_hints(registered.callback, include_extras=True)
        for name, parameter in signature(registered.callback).parameters.items():
            hint, *told = get_args(hints[name]) or (hints[name],)
            argument = parameter.default is Parameter.empty or any(isinstance(each, ArgumentInfo) for each in told)
            if not argument and Path in (hint, *get_args(hint)):
                yield registered.name or registered.callback.__name__, f"--{name.replace('_', '-')}"


@pytest.fixture(params=WRITTEN, ids=" ".join)
def option(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A command and its option, with a file that someone wants to keep in the working folder."""
    monkeypatch.chdir(tmp_path)
    there(request.param[0]).write_text("precious")
    return request.param


def there(name: str) -> Path:
    """The file that someone wants to keep, with an ending that the command writes."""
    return Path("there").with_suffix({"init": ".yaml", "data": ".txt", "predict": ".csv"}.get(name, ".png"))


def test_every_option_with_a_path_is_written_safely_or_never_written() -> None:
    assert sorted(options_with_a_path()) == sorted([*WRITTEN, *NOT_WRITTEN, *WRITTEN_ELSEWHERE])


def test_a_file_that_is_there_is_refused_before_all_else(option: tuple[str, str], command: Command) -> None:
    """The arguments lead nowhere: that would be told, had anything been looked at before."""
    name, output = option
    code, out, err = command(name, *NOWHERE[name], output, str(there(name)))
    assert (code, out, err) == (2, "", f"{output} {there(name)} exists already; --force replaces it\n")
    code, out, err = command(name, *NOWHERE[name], output, str(there(name)), "--json")
    assert (code, err, "--force replaces it" in out) == (2, "", True)
    assert there(name).read_text() == "precious"


@pytest.mark.parametrize(("file", "why"), [("no/such", "there is no folder no"), ("folder", "that is no file")])
def test_what_can_not_be_written_is_refused_with_force_too(
    option: tuple[str, str], command: Command, file: str, why: str
) -> None:
    name, output = option
    file += there(name).suffix
    Path("folder").with_suffix(there(name).suffix).mkdir()
    code, out, err = command(name, *NOWHERE[name], output, file, "--force")
    assert (code, out) == (2, "")
    assert err.startswith(f"{output} {file}: {why}")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("init no --output a.json", "a config is YAML; give it a name that ends in .yaml or .yml"),
        ("data no --fix-list a.xlsx", "the list is a text of names; give it a name that ends in .txt, .lst or .list"),
        ("data no.yaml --suspects no --fix-list photo.png", "the list is a text of names; give it a name that ends in"),
        ("preview no.yaml --output a.jpg", "the sheet is a PNG; give it a name that ends in .png"),
        ("list schedules --plot a.pdf", "a picture is drawn as PNG; give it a name that ends in .png"),
        ("lr no.yaml --plot a", "the curve is a PNG; give it a name that ends in .png"),
        ("predict no no.png --output a.xlsx", "rows are CSV, or a JSON object a line; give it a name that ends in"),
        (
            "predict no no.png --output a",
            "rows are CSV, or a JSON object a line; give it a name that ends in .csv, .txt or",
        ),
        ("predict no no.png --format jsonl --output a.xlsx", "rows are CSV, or a JSON object a line; give it a name"),
        ("compare no nor --csv a.md", "the table is CSV; give it a name that ends in .csv or .txt"),
        ("compare no nor --markdown a.html", "the table is Markdown; give it a name that ends in .md, .markdown or"),
        ("report no --output a.txt", "the page is HTML; give it a name that ends in .html or .htm"),
        ("report no nor --output a.pdf", "the page is HTML; give it a name that ends in .html or .htm"),
    ],
)
def test_an_ending_of_something_else_is_refused_before_all_else(words: str, told: str, command: Command) -> None:
    *_, option, file = words.split()
    code, out, err = command(*words.split())
    assert (code, out) == (2, "") and err.startswith(f"{option} {file}: {told}")


def test_the_page_of_a_run_is_replaced_without_force(command: Command) -> None:
    code, _, err = command("report", "runs/first", "--force")
    told = "--force is for --output: the run's own page, runs/first/report.html, is always replaced; leave it out\n"
    assert (code, err) == (2, told)


def test_force_without_a_file_to_write_is_a_mistake(command: Command) -> None:
    """`init` has a name for its file if nobody gives one."""
    for (name, output), words in WRITTEN.items():
        if name != "init":
            code, _, err = command(name, *words, "--force")
            assert (code, err) == (2, f"--force is for {output}: leave it out, or name a file with {output}\n")


READ = [
    "data list.txt --fix-list list.txt",
    "predict run list.txt --output list.txt",
    "predict run list.txt --output link.txt",
    "predict run no.png --sample sample.csv --output sample.csv",
]
"""Commands that would write over what they read."""

AMONG_IMAGES = ["preview mine.yaml --output photos/cat/0.png", "lr mine.yaml --plot photos/cat/0.png"]
"""Commands that would write over an image that they read."""

RUN = ("config.yaml", "provenance.json", "split.csv", "lr.png", "exclude.txt")

OF_A_RUN = [
    "init photos --output run/config.yaml",
    "data photos --fix-list run/exclude.txt",
    "preview mine.yaml --output run/lr.png",
    "lr mine.yaml --plot run/lr.png",
    "predict other there.png --output run/split.csv",
]
"""Commands that would write over a file of a run."""


@pytest.mark.parametrize(
    ("words", "why"),
    [(words, "is what the command reads; write to another file") for words in READ]
    + [(words, "lies among the images that the command reads, in ") for words in AMONG_IMAGES]
    + [(words, "belongs to the run run, in whose folder nothing else is written; write to") for words in OF_A_RUN],
)
def test_what_is_read_or_belongs_to_a_run_is_not_replaced_with_force_either(
    words: str, why: str, command: Command, image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(image_folder({"cat": 12, "dog": 12}, name="photos").parent)
    Path("run").mkdir()
    Path("mine.yaml").write_text(CONFIG)
    for name in ("there.png", "list.txt", "sample.csv", *(f"run/{file}" for file in RUN)):
        Path(name).write_text("precious")
    Path("link.txt").symlink_to("list.txt")
    *_, option, file = words.split()
    before = Path(file).read_bytes()
    assert command(*words.split())[0] == 2
    code, out, err = command(*words.split(), "--force")
    assert (code, out) == (2, "") and err.startswith(f"{option} {file}: this {why}")
    assert Path(file).read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        "init photos --output run/new.yaml",
        "data photos --fix-list run/evaluation/new.txt",
        "data photos --sheets run/sheets",
        "data photos --sheets photos/sheets",
        "data mine.yaml --sheets photos/cat/sheets",
        "preview mine.yaml --output run/new.png",
        "preview mine.yaml --output photos/cat/new.png",
        "lr mine.yaml --plot link/new.png",
        "lr mine.yaml --plot photos/new.png",
        "list schedules --plot run/new.png",
        "train mine.yaml --run run/new",
        "predict other there.png --output run/new.csv",
        "compare run other --csv run/calibration.csv",
        "compare other nor --markdown run/evaluation/new.md",
        "report run --output run/page.html",
        "report other nor --output run/page.html",
    ],
)
def test_nothing_new_is_written_into_a_run_or_among_images(
    words: str, command: Command, image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder({"cat": 12, "dog": 12}, name="photos").parent
    monkeypatch.chdir(folder)
    Path("run/evaluation").mkdir(parents=True)
    Path("link").symlink_to("run")
    Path("mine.yaml").write_text(CONFIG)
    for name in RUN:
        Path("run", name).write_text("precious")
    before = sorted(folder.rglob("*"))
    *_, option, file = words.split()
    code, out, err = command(*words.split())
    why = "lies among the images" if "photos" in file else "belongs to the run run"
    assert (code, out) == (2, "") and err.startswith(f"{option} {file}: this {why}")
    assert "write to another folder" in err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("place", ["photos/new.txt", "new.txt", "runs/new.txt"])
def test_a_text_may_lie_among_images_and_anything_beside_a_run(place: str, tmp_path: Path) -> None:
    for folder in ("photos", "runs/one"):
        (tmp_path / folder).mkdir(parents=True)
    for name in RUN:
        (tmp_path / "runs/one" / name).touch()
    overwriting.refuse("--fix-list", tmp_path / place, False, overwriting.LIST, [tmp_path / "photos"])


def test_a_folder_that_can_not_be_written_to_is_refused_before_all_else(
    option: tuple[str, str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("locked").mkdir()
    # Permissions do not bind everyone who runs tests, so what the system says of them is replaced.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked")
    name, output = option
    file = f"locked/{there(name)}"
    code, out, err = command(name, *NOWHERE[name], output, file)
    assert (code, out) == (2, "")
    assert err == f"{output} {file}: the folder locked can't be written to; choose another\n"


@pytest.fixture
def one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second search for a learning rate finds what the first one has found, at once."""
    find, found = rate_finder.find, []

    def remembered(*args: Any) -> Any:
        if not found:
            found.append(find(*args))
        return found[0]

    monkeypatch.setattr(rate_finder, "find", remembered)


@pytest.mark.usefixtures("one_search")
def test_with_force_a_file_is_replaced_whole_or_not_at_all(
    option: tuple[str, str], command: Command, image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    image_folder({"cat": 12, "dog": 12}, name="photos")
    Path("mine.yaml").write_text(CONFIG)
    if option[0] == "predict":
        experiment = read("mine.yaml")
        run = Run.create(experiment, Path("run"))
        run.write_provenance(data={"classes": ["cat", "dog"]}, files=run.hashes())
        checkpoints.save(
            checkpoints.Weights.of(experiment.model.build((8, 8, 3), 2)), run.files.checkpoints, checkpoints.BEST, 1, {}
        )
    before = sorted(Path().iterdir())
    words = [option[0], *WRITTEN[option], option[1], str(there(option[0])), "--force"]

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        code, _, err = command(*words)
    # How large a file becomes that is written row by row nobody knows.
    words_of_it = "can't be written" if option[0] == "predict" else "needs"
    assert code == 4 and f"is full: {Path.cwd() / there(option[0])} {words_of_it}" in err
    assert (there(option[0]).read_text(), sorted(Path().iterdir())) == ("precious", before)
    assert command(*words)[0] == 0
    assert b"precious" not in there(option[0]).read_bytes()
    assert sorted(Path().iterdir()) == before
