"""What a terminal, a pipe or a full disk is to the commands, and what hostile names do to it: nothing."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys

import pytest
from PIL import Image
from rich.text import Text

from cnnkit.commands.screen import Screen, new_table
from cnnkit.commands.streams import Output, standard_streams
from cnnkit.core.errors import DiskError, NobodyReads
from cnnkit.core.progress import Line, Step
from cnnkit.training.lines import epoch_line

GOOD = "data: {source: {name: digits}}\nmodel: {name: lenet}\n"

HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What acts on a terminal, but for the end of a line."""

NAMES = ["\x1b[2J", "\x1b]0;owned\x07", "a\rb", "a\nb", "\x9b31m", "\u202egnp", "\u2066x"]


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen_of(monkeypatch):
    """Makes a screen of so many columns, and what stands on it, with its escapes."""

    def make(width, kind="xterm"):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setenv("TERM", kind)
        monkeypatch.setenv("COLUMNS", str(width))
        return Screen(), terminal

    return make


# Streams


class Failing(io.StringIO):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def flush(self):
        raise OSError(self.number, os.strerror(self.number))


def test_a_reader_that_has_gone_and_a_full_disk_are_errors_of_ours():
    with pytest.raises(NobodyReads) as gone:
        Output(Failing(errno.EPIPE), "standard output").flush()
    assert gone.value.exit_code == 141
    with pytest.raises(DiskError, match=r"^standard output can't be written: No space left on device$") as full:
        Output(Failing(errno.ENOSPC), "standard output").flush()
    assert full.value.exit_code == 4


@pytest.mark.skipif(sys.platform == "win32", reason="streams of POSIX")
@pytest.mark.parametrize(
    ("line", "codes", "said"),
    [
        ("cnnkit list architectures | head -1", [141, 0], ""),
        ("cnnkit check mine.yaml --json | true", [141, 0], ""),
        ("cnnkit check mine.yaml > /dev/full", [4], "standard output can't be written: No space left on device\n"),
        ("cnnkit check nope.yaml 2> /dev/full", [2], ""),
        ("cnnkit check mine.yaml >&-", [0], ""),
        ("cnnkit check nope.yaml >&- 2>&- <&-", [2], ""),
        pytest.param("cnnkit --help | true", [141, 0], "", marks=pytest.mark.slow),
        pytest.param("cnnkit --version > /dev/full", [4], None, marks=pytest.mark.slow),
        pytest.param("cnnkit check nope.yaml --json > /dev/full", [2], "", marks=pytest.mark.slow),
        pytest.param(
            "cnnkit train mine.yaml --run r --set data.limit=4 | head -1", [141, 0], "", marks=pytest.mark.slow
        ),
        pytest.param("cnnkit train mine.yaml --run r --set data.limit=4 >&- 2>&-", [0], "", marks=pytest.mark.slow),
    ],
)
def test_a_command_ends_as_it_should_whatever_its_streams_are(tmp_path, line, codes, said):
    (tmp_path / "mine.yaml").write_text(GOOD + "train: {epochs: 2, optimizer: {name: sgd}}\n")
    script = f'cnnkit() {{ "{sys.executable}" -m cnnkit "$@"; }}\n{line}\necho "${{PIPESTATUS[@]}}" >&3'
    read, write = os.pipe()
    done = subprocess.run(
        ["bash", "-c", f"exec 3>&{write}\n{script}"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[write],
        timeout=300,
    )
    os.close(write)
    with os.fdopen(read) as told:
        assert [int(code) for code in told.read().split()] == codes
    assert said is None or done.stderr == said


def test_a_stream_that_is_closed_is_opened_to_nowhere_and_given_back(monkeypatch):
    before = sys.stderr
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    with standard_streams():
        assert sys.stdout.write("x") == 1
        assert sys.stderr is not before
    assert sys.stderr is before


# Names that act on a terminal


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A folder whose classes and files have such names, where they can be used and where not; and a config."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(["\u202ea", "\u2066b"]):  # those that no line or table is broken by may be used
        for image in range(8):
            file = tmp_path / "images" / name / f"\u202e{image}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 16 * image + number).save(file)
        for odd in NAMES:
            (file.parent / f"{odd}.png").write_bytes(b"no image")
            (file.parent / f"{odd}.txt").touch()
    (tmp_path / "mine\x1b[31m\n.yaml").write_text(
        "data: {source: {name: folder, path: images}}\nmodel: {name: lenet}\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["data", "images"],
        ["data", "mine\x1b[31m\n.yaml"],
        ["data", "images", "--json"],
        ["check", "mine\x1b[31m\n.yaml"],
        ["check", "mine\x1b[31m\n.yaml", "--json"],
        ["check", "\x1b[2J\r.yaml"],
        ["check", "mine\x1b[31m\n.yaml", "--set", "train.\x1b[1m\x9b=\x1b[31m"],
        ["check", "mine\x1b[31m\n.yaml", "--set", "data.source.path=\u202egone\x1b[2J"],
        ["check", "mine\x1b[31m\n.yaml", "--debug", "--set", "model.name=\x1b[2J"],
        ["init", "images", "--output", "\x1b[31m\u202e.yaml"],
        ["init", "images\x1b[31m\x9b"],
        ["list", "\x1b[31m"],
        ["predict", "\x1b[31m\r", "images"],
        ["evaluate", "\x1b[31m\u2066"],
        ["train", "mine\x1b[31m\n.yaml", "--run", "images"],
        ["preview", "mine\x1b[31m\n.yaml", "--output", "\x1b[1mno\u202efolder/x.png"],
        ["summary", "\x1b[1m\u202e.yaml", "--json"],
        ["\x1b[2J"],
        ["check", "--\x1b[2J"],
    ],
    ids=ascii,
)
def test_no_name_acts_on_a_terminal(hostile, command, words):
    _, out, err = command(*words)
    assert HARMFUL.findall(out + err) == []
    assert "bug" not in out + err
    if "--json" in words:
        json.loads(out)


def test_what_is_said_of_such_names_shows_them(hostile, command):
    code, out, _ = command("data", "images")
    assert code == 3
    assert r"\u202ea" in out and r"\u20660" not in out
    code, _, err = command("check", "no\nsuch\x1b[31m.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert r"no\nsuch\x1b[31m.yaml" in err


# Widths

EPOCH = {"epoch": 100, "loss": 0.123456, "accuracy": 1.0, "val_loss": 12.345678, "val_accuracy": 0.9876}
EPOCH |= {"seconds": 123.45, "images_per_second": 12345.6}


LONG = "epoch 100/100  loss 0.1235  accuracy 1.0000  val_loss 12.3457  val_accuracy 0.9876"


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (150, f"{LONG}  12,346 images/s  123.5 s"),
        (95, f"{LONG}  123.5 s"),
        (80, "epoch 100/100  loss 0.1235  val 12.3457  accuracy 1.0000  val 0.9876  123.5 s"),
        (65, "100/100 loss 0.123 val 12.346 accuracy 1.000 val 0.988 123.5 s"),
        (45, "100/100 val_loss 12.346 val_accuracy 0.988"),
    ],
)
def test_an_epoch_is_a_line_however_narrow_the_terminal(screen_of, width, said):
    screen, terminal = screen_of(width, "dumb")
    with screen.watching() as progress:
        progress.epoch(epoch_line(EPOCH, 100))
    assert terminal.getvalue() == f"{said}\n"
    assert len(said) <= width


def test_a_speed_that_nobody_knows_is_left_out():
    assert epoch_line(EPOCH | {"images_per_second": None}, 100) == f"{LONG}  123.5 s"


@pytest.mark.parametrize("width", [40, 60, 80, 150])
def test_the_line_that_moves_fits(screen_of, width):
    screen, terminal = screen_of(width)
    with screen.watching() as progress:
        with progress.task("preparing \x1b[2J[/] " + "x" * 200, 10) as advance:
            advance(5)
        progress.step(Step(100, 100, 12345, 67890, {"loss": 0.1234, "accuracy": 0.9876}, 12345.6, 1234.5))
        progress.bars.refresh()
        progress.epoch(Line("done"))
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).replace("\r", "\n").split("\n")
    assert all(len(line) <= width for line in lines), lines
    assert any("epoch 100/100" in line and "12345/67890" in line for line in lines)
    assert "\x1b[2J" not in terminal.getvalue()


PROSE = "  careful: " + "some words that go on and on until no terminal has room for them, " * 3 + "and then an end"


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("kind", [str, Text])
def test_prose_breaks_between_words(screen_of, width, kind):
    screen, terminal = screen_of(width)
    screen.say(kind(PROSE))
    lines = terminal.getvalue().splitlines()
    assert len(lines) > 2 and all(len(line) <= width for line in lines)
    assert all(line.startswith("  ") and not line.endswith(" ") for line in lines)
    assert " ".join(line.strip() for line in lines) == PROSE.strip()


def test_a_path_longer_than_the_terminal_stays_whole(screen_of):
    path = "/very" + "/long" * 30 + "/ä日本.yaml"
    screen, terminal = screen_of(60)
    screen.say(f"the config {path} is not there")
    assert terminal.getvalue().splitlines() == ["the config", path, "is not there"]


def test_blank_lines_around_a_text_are_kept_and_within_it_shown(screen_of):
    screen, terminal = screen_of(60)
    screen.say("\na\nb\n", "", "c")
    assert terminal.getvalue() == "\na\\nb\n\n\nc\n"


def test_a_file_or_a_pipe_has_lines_as_long_as_they_are(capsys):
    Screen().say(PROSE)
    assert capsys.readouterr().out == PROSE + "\n"


def test_rows_in_a_file_or_a_pipe_end_where_their_last_cell_does(capsys):
    table = new_table("figure", ">value", ">interval")
    table.add_row("loss", "0.25", "0.1 to 0.4")
    table.add_row("by chance", "0.1", "")
    table.add_row("", "", "")
    Screen().say(table, "behind it")
    assert capsys.readouterr().out.split("\n") == [
        "figure     value    interval",
        "loss        0.25  0.1 to 0.4",
        "by chance    0.1",
        "",
        "behind it",
        "",
    ]


@pytest.mark.parametrize("width", [40, 60])
def test_figures_of_a_table_are_whole_in_a_narrow_terminal(screen_of, width):
    table = new_table("class", ">images", ">precision", ">recall", ">F1")
    table.add_row("a class with a long name " * 3, "12,345", "0.123", "0.456", "0.789")
    table.add_row("\x1b[31mred", "1", "1.000", "1.000", "1.000")
    screen, terminal = screen_of(width)
    screen.say(table)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    for figure in ("12,345", "0.123", "0.456", "0.789", "precision", "F1"):
        assert figure in plain
    assert r"\x1b[31mred" in plain.replace("\n", "")
    assert all(len(line) <= width for line in plain.splitlines())


@pytest.mark.parametrize(("kind", "no_color"), [("dumb", ""), ("xterm", "1")])
def test_where_no_colours_are_wanted_there_are_none(screen_of, monkeypatch, kind, no_color):
    monkeypatch.setenv("NO_COLOR", no_color)
    screen, terminal = screen_of(60, kind)
    table = new_table("a")
    table.add_row(Text("b", style="bold red"))
    screen.say(table, Text("c", style="red"))
    assert "\x1b" not in terminal.getvalue()


def test_long_work_is_told_of_where_no_line_moves(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("cnnkit.commands.screen.time.monotonic", lambda: now[0])
    with Screen().watching() as progress, progress.task("reading files", 1000) as advance:
        for _ in range(10):
            now[0] += 8
            advance(100)
    assert capsys.readouterr().out == "reading files: 400 of 1,000\nreading files: 800 of 1,000\n"
