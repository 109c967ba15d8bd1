"""The command line: help, lists, checks, and what it says when it is called wrongly. Training is tested elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnnkit import __version__
from cnnkit.commands import app, main
from cnnkit.config.catalogue import KINDS, schema, title, variants

COMMANDS = sorted(command.name for command in app.COMMANDS)

GOOD = """\
name: mine
data:
  source: {name: digits}
model: {name: resnet, depth: 20}
"""


@dataclass
class Done:
    code: int
    out: str
    err: str

    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in a folder that holds `mine.yaml`."""
    (tmp_path / "mine.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["cnnkit", *words])
        with pytest.raises(SystemExit) as left:
            main.main(own_process=False)
        told = capsys.readouterr()
        return Done(int(left.value.code or 0), told.out, told.err)

    return run


def process(*words: str, folder: Path, **environment: str) -> Done:
    """The same as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "cnnkit", *words],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Done(done.returncode, done.stdout, done.stderr)


# Help


def test_help_lists_every_command_and_how_to_begin(run: Run) -> None:
    done = run("--help")
    assert (done.code, done.err) == (0, "")
    assert [command for command in COMMANDS if f" {command} " not in done.out] == []
    assert "Begin with: cnnkit init IMAGES" in done.out


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_of_a_command_shows_an_example(run: Run, command: str, option: str) -> None:
    done = run(command, option)
    assert (done.code, done.err) == (0, "")
    assert f"Example: cnnkit {command}" in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_json_and_debug(run: Run, command: str) -> None:
    told = run(command, "--help").out
    assert "--json" in told
    assert "--debug" in told


@pytest.mark.parametrize("command", ["check", "data", "evaluate", "preview", "summary", "train"])
def test_every_command_that_reads_a_config_has_set(run: Run, command: str) -> None:
    assert "KEY=VALUE" in run(command, "--help").out


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    done = run()
    assert done.code == 2
    assert "Usage: " in done.out + done.err
    assert "Begin with: cnnkit init IMAGES" in done.out + done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("typed", "offered"), [("cnnkit pre", "predict preview"), ("cnnkit evaluate run --split t", "test train")]
)
def test_the_shell_completes_commands_and_choices(typed: str, offered: str, tmp_path: Path) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1), "_CNNKIT_COMPLETE": "complete_bash"}
    command = [sys.executable, "-c", "import sys; sys.argv = ['cnnkit']; from cnnkit.commands.main import main; main()"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **words}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, set(done.stdout.split()), done.stderr) == (0, set(offered.split()), "")


def test_the_version(run: Run) -> None:
    assert run("--version") == Done(0, f"cnnkit {__version__}\n", "")


def test_the_module_is_the_command(tmp_path: Path) -> None:
    assert process("--version", folder=tmp_path) == Done(0, f"cnnkit {__version__}\n", "")
    done = process("check", "nope.yaml", folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("nope.yaml: there is no such file")


IMPORTING = """
import signal, sys
class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == "cnnkit.commands.main":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Pressed())
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
sys.argv = ["cnnkit", "list", "--json"]
from cnnkit.__main__ import main
main()
"""


def test_ctrl_c_while_python_imports_the_commands_is_told_as_at_any_other_time(tmp_path: Path) -> None:
    words = [sys.executable, "-c", IMPORTING]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")
    assert json.loads(done.stdout)["error"]["kind"] == "interrupted"


# Wrong calls

WRONG_CALLS = [
    (["chekc"], "'check'"),
    (["frobnicate"], "'frobnicate'"),
    (["--nope"], "--nope"),
    *(([command, "--nope"], "--nope") for command in COMMANDS),
    *(([command], "Missing argument") for command in COMMANDS if command not in ("cache", "list", "schema")),
    (["predict", "runs/first"], "IMAGES"),
    (["check", "mine.yaml", "other.yaml"], "other.yaml"),
    (["check", "mine.yaml", "--set"], "--set"),
    (["check", "mine.yaml", "--set", "seed"], "KEY=VALUE"),
    (["list", "architecture"], "architectures"),
    (["summary", "mine.yaml", "--classes", "1"], "--classes"),
    (["summary", "mine.yaml", "--classes", "many"], "--classes"),
    (["evaluate", "runs/first", "--split", "all"], "'test', 'validation', 'train'"),
    (["predict", "runs/first", "a.png", "--format", "xml"], "'csv', 'jsonl'"),
    (["predict", "runs/first", "a.png", "--sample", "form.csv", "--format", "jsonl"], "--format jsonl"),
    (["predict", "runs/first", "a.png", "--positive", "dog"], "--positive is for a --sample"),
    (["preview", "mine.yaml"], "mine.yaml has nothing under augment"),
    (["preview", "mine.yaml", "--prepare"], "data.prepare has no step"),
    (["preview", "mine.yaml", "--prepare", "--audit", "runs/first"], "--prepare and --audit"),
    (["preview", "mine.yaml", "--prepare", "--variants", "2"], "--variants is for augmentations"),
    (["preview", "mine.yaml", "--audit", "runs/first", "--output", "sheet.png"], "--output is for a sheet"),
    (["preview", "mine.yaml", "--audit", "nope", "--set", "augment=[{name: flip}]"], "nope is not a run of cnnkit"),
    (["preview", "mine.yaml", "--force"], "--force is for --output"),
    (["preview", "mine.yaml", "--output", "sheet.jpg"], "ends in .png"),
    (["preview", "mine.yaml", "--images", "0"], "--images"),
    (["preview", "mine.yaml", "--images", "500"], "a sheet has room for 100"),
    (["preview", "mine.yaml", "--variants", "13"], "--variants"),
    (["check", "nope.yaml"], "nope.yaml: there is no such file"),
    (["preview", "nope.yaml"], "nope.yaml: there is no such file"),
    (["train", "nope.yaml"], "nope.yaml: there is no such file"),
    (["summary", "nope.yaml"], "nope.yaml: there is no such file"),
    (["check", "min.yaml"], "did you mean `mine.yaml`?"),
    (["check", "."], "is a folder, not a config file"),
    (["evaluate", "nope"], "nope is not a run of cnnkit"),
    (["evaluate", "."], "is not a run of cnnkit"),
    (["summary", "."], "is not a run of cnnkit"),
    (["predict", "nope", "a.png"], "nope is not a run of cnnkit"),
    (["train", "mine.yaml", "--set", "train.epochs=0"], "train.epochs: should be at least 1, not 0"),
    (["summary", "mine.yaml", "--set", "model.depth=21"], "model.depth: can't be 21"),
]


@pytest.mark.parametrize(
    ("words", "told"), WRONG_CALLS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_wrong_call_is_told_in_one_line(run: Run, words: list[str], told: str) -> None:
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert done.err.count("\n") == 1
    assert "Value error" not in done.err  # the words of a library, not of a person


@pytest.mark.parametrize(
    ("words", "told"), WRONG_CALLS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_with_json_a_wrong_call_is_one_document(run: Run, words: list[str], told: str) -> None:
    if words == ["check", "mine.yaml", "--set"]:
        words = ["check", "--json", "mine.yaml", "--set"]
    else:
        words = [*words, "--json"]
    done = run(*words)
    assert (done.code, done.err) == (2, "")
    error = done.document()["error"]
    assert told in error["message"]
    assert error["kind"] in ("usage", "config")
    for place in error["places"]:
        assert {"file", "line", "column", "key"} <= place.keys()


def test_the_json_of_a_broken_config_has_every_place(run: Run) -> None:
    Path("mine.yaml").write_text(GOOD + "train:\n  epochs: 0\n  epoch: 5\n")
    done = run("check", "mine.yaml", "--json", "--set", "seed=x")
    error = done.document()["error"]
    assert (done.code, error["kind"]) == (2, "config")
    assert [tuple(place[key] for key in ("file", "line", "column", "key")) for place in error["places"]] == [
        ("mine.yaml", 6, 11, "train.epochs"),
        ("mine.yaml", 7, 3, "train.epoch"),
        ("--set seed=x", None, None, "seed"),
    ]
    assert error["message"].count("\n") == 2


def test_json_before_the_two_dashes_only(run: Run) -> None:
    done = run("check", "--", "--json")
    assert done.err.startswith("--json: there is no such file")


def test_debug_shows_where_an_error_came_from(run: Run) -> None:
    assert "Traceback" not in run("check", "nope.yaml").err
    done = run("check", "nope.yaml", "--debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.endswith("nope.yaml: there is no such file; did you mean `mine.yaml`?\n")


def test_a_bug_of_ours_says_so_and_exits_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division [/] by zero\nsecond line")

    monkeypatch.setattr("cnnkit.config.file.configure", broken)
    done = run("check", "mine.yaml")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "this is a bug in cnnkit, please report it: ZeroDivisionError: division [/] by zero\n"
        "The same command with --debug shows where it happened.\n"
    )


def test_ctrl_c_exits_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cnnkit.config.file.configure", interrupted)
    done = run("check", "mine.yaml")
    assert (done.code, done.out) == (130, "")
    assert done.err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "words", ["train mine.yaml", "lr mine.yaml", "data mine.yaml", "evaluate RUN", "predict RUN X"]
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_a_command_that_is_ended_still_prints_its_document(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: str, number: int, code: int
) -> None:
    def ended(_: bool) -> None:
        os.kill(os.getpid(), number)
        time.sleep(60)  # until Python has seen it, which is at once

    monkeypatch.setattr("cnnkit.commands.command.Screen", ended)
    before = signal.signal(number, signal.SIG_DFL)  # a suite in the background ignores Ctrl-C
    try:
        done = run(*words.split(), "--json")
    finally:
        signal.signal(number, before)
    assert done.code == code
    assert json.loads(done.out)["error"]["kind"] == "interrupted"


# check


def test_check_shows_the_complete_config_and_where_each_value_came_from(run: Run) -> None:
    done = run("check", "mine.yaml", "--set", "train.epochs=5")
    assert (done.code, done.err) == (0, "")
    rows = {cells[0]: cells[1:] for line in done.out.splitlines() if (cells := line.split())}
    assert rows["setting"] == ["value", "from"]
    assert rows["model.depth"] == ["20", "line", "4"]
    assert rows["train.epochs"] == ["5", "--set", "train.epochs=5"]
    assert rows["train.loss.name"] == ["cross_entropy", "default"]
    assert rows["data.image_size"] == ["[32,", "32]", "the", "source"]
    assert (
        "is right. Next: cnnkit summary mine.yaml --set train.epochs=5, or cnnkit train mine.yaml --set train.epochs=5"
        in done.out
    )


def test_check_with_json_is_one_document(run: Run) -> None:
    done = run("check", "mine.yaml", "--json", "--set", "train.epochs=5")
    document = done.document()
    assert (done.code, done.err, document["config"], document["valid"]) == (0, "", "mine.yaml", True)
    settings = {setting["key"]: (setting["value"], setting["from"]) for setting in document["settings"]}
    assert settings["model.depth"] == (20, "line 4")
    assert settings["train.epochs"] == (5, "--set train.epochs=5")
    assert settings["data.image_size"] == ([32, 32], "the source")
    assert settings["data.limit"] == (None, "default")


def test_check_writes_nothing(run: Run, tmp_path: Path) -> None:
    run("check", "mine.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


# list and schema


def test_list_names_everything_that_a_config_may_name(run: Run) -> None:
    done = run("list")
    assert (done.code, done.err) == (0, "")
    for kind in KINDS:
        (line,) = (line for line in done.out.splitlines() if line.startswith(f"{kind.name} ("))
        assert line.split(": ")[-1].split(", ") == [title(section) for section in kind.sections]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_list_of_a_kind_shows_every_option(run: Run, kind: Any) -> None:
    done = run("list", kind.name)
    assert (done.code, done.err) == (0, "")
    words = done.out.split()
    for section in kind.sections:
        assert title(section) in words
        assert [name for name in section.model_fields if name != "name" and name not in words] == []


def test_list_with_json_is_one_document(run: Run) -> None:
    assert run("list", "--json").document().keys() == {kind.name for kind in KINDS}
    (adam,) = (
        entry for entry in run("list", "optimizers", "--json").document()["optimizers"] if entry["name"] == "adam"
    )
    (rate,) = (option for option in adam["options"] if option["name"] == "learning_rate")
    assert (rate["type"], rate["default"]) == ("number > 0 or auto", "0.001")


def test_list_of_architectures_shows_every_network(run: Run) -> None:
    done = run("list", "architectures")
    for variant in variants():
        told = ", ".join(f"{key}: {value}" for key, value in variant.model.items())
        (line,) = (line for line in done.out.splitlines() if line.startswith(f"{{{told}}} "))
        assert str(variant.smallest_image) in line.split()
    document = run("list", "architectures", "--json").document()
    assert [entry["model"] for entry in document["variants"]] == [variant.model for variant in variants()]


def test_counts_are_for_architectures(run: Run) -> None:
    for words in (("list", "--counts"), ("list", "losses", "--counts")):
        done = run(*words)
        assert (done.code, done.err) == (
            2,
            "--counts is for architectures: cnnkit list architectures --counts\n",
        )


def test_schedules_are_drawn_into_a_png(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("list", "schedules", "--plot", "drawn.png")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(
        "drawn.png: the course of each over 30 epochs at its defaults, without a warm-up and with one\n"
    )
    with Image.open("drawn.png") as picture:
        assert picture.format == "PNG" and len(picture.convert("RGB").getcolors(1 << 20)) > 10
    document = run("list", "schedules", "--plot", "drawn.png", "--force", "--json").document()
    assert document["plot"] == "drawn.png"
    for words, message in (
        (
            ("optimizers", "--plot", "other.png"),
            "--plot is for schedules: cnnkit list schedules --plot schedules.png\n",
        ),
        (("--plot", "other.png"), "--plot is for schedules: cnnkit list schedules --plot schedules.png\n"),
        (
            ("schedules", "--plot", "a.jpg"),
            "--plot a.jpg: a picture is drawn as PNG; give it a name that ends in .png\n",
        ),
        (("schedules", "--force"), "--force is for --plot: leave it out, or name a file with --plot\n"),
        (("schedules", "--plot", "no/a.png"), "--plot no/a.png: there is no folder no\n"),
    ):
        assert (run("list", *words).code, run("list", *words).err) == (2, message)
    assert [file.name for file in tmp_path.glob("*.[pj][np]g")] == ["drawn.png"]


def test_counts_are_those_of_summary(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for family in KINDS[0].sections:
        if title(family) != "lenet":
            monkeypatch.setattr(family, "variants", classmethod(lambda cls: ()))
    (lenet,) = run("list", "architectures", "--counts", "--json").document()["variants"]
    # By hand: 28 x 28 x 150 + 10 x 10 x 2,400 + 48,000 + 10,080 + 840 multiply-adds.
    assert (lenet["parameters"], lenet["macs"]) == (61_706, 117_600 + 240_000 + 58_920)
    assert "61,706" in run("list", "architectures", "--counts").out


def test_schema_prints_the_schema(run: Run) -> None:
    done = run("schema")
    assert (done.code, done.err) == (0, "")
    assert done.document() == schema()
    assert run("schema", "--json").document() == schema()


# What a user wrote is shown as it was written


@pytest.mark.parametrize("word", ["[/]", "[a-z]", "[bold]x[/bold]", "[red]", ":smile:", "\\[x]", "{x}", "%s"])
def test_text_that_looks_like_markup_is_shown_as_it_is(run: Run, tmp_path: Path, word: str) -> None:
    Path("mine.yaml").write_text(f"{GOOD}'{word}': 1\n")
    assert run("check", "mine.yaml").err == (
        f"mine.yaml:5:1: {word}: unknown setting; it may be name, seed, data, augment, model, train\n"
    )
    Path("mine.yaml").write_text(GOOD)
    done = run("check", "mine.yaml", "--set", f"data.source={{name: folder, path: '{word}'}}")
    assert done.err.endswith(f"data.source.path: {tmp_path / word}: there is no such folder\n")
    assert f"`{word}`" in run("list", word).err
    assert word in run(word).err


def test_a_config_may_be_called_anything(run: Run) -> None:
    for name in ("[a-z].yaml", "[bold].yaml", "a b.yaml", "\u82b1.yaml"):
        Path(name).write_text(GOOD)
        done = run("check", name)
        assert done.code == 0
        assert f"{name} is right." in done.out


def test_a_long_line_is_not_broken(run: Run) -> None:
    path = "/no" + "/x" * 200
    done = run("check", "mine.yaml", "--set", f"data.source={{name: folder, path: {path}}}")
    assert done.err.endswith(f"{path}: there is no such folder\n")
    assert done.err.count("\n") == 1


def test_a_path_that_no_system_takes_is_an_error_of_the_config(run: Run) -> None:
    done = run("check", "mine.yaml", "--set", f"data.source={{name: folder, path: /{'x' * 400}}}")
    assert (done.code, done.out) == (2, "")
    assert "data.source.path: " in done.err
    assert done.err.endswith("can't be read: File name too long\n")


def test_output_to_a_pipe_has_no_colours(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD)
    for words in (["check", "mine.yaml"], ["check", "nope.yaml"]):
        done = process(*words, folder=tmp_path)
        assert "\x1b" not in done.out + done.err


def test_a_reader_that_stops_early_is_no_bug(tmp_path: Path) -> None:
    for command in ("schema", "list architectures"):
        line = f"{sys.executable} -m cnnkit {command} | true"
        done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.stderr == ""
