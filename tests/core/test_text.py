from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cnnkit.core import text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], ""),
        (["a"], "`a`"),
        (list("abcde"), "`a`, `b`, `c`, `d`, `e`"),
        (list("abcdefg"), "`a`, `b`, `c`, `d`, `e` and 2 more"),
    ],
)
def test_the_first_of_many_names_stand_in_a_row_with_how_many_others_there_are(names, said):
    assert text.listed(list(names)) == said
    assert text.some(list(names)) == said.replace("`", "")


def test_the_others_are_the_last_entry_where_each_has_a_line():
    assert text.first_of(list("abc"), 3) == ["a", "b", "c"]
    assert text.first_of(["a"] * 1204, 3) == ["a", "a", "a", "1,201 more"]


@pytest.mark.parametrize(("count", "said"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1200, "1,200 files")])
def test_one_is_singular_and_none_and_many_are_plural(count, said):
    assert text.counted(count, "file") == said
    assert text.counted(count, "entry", "entries") == said.replace("files", "entries").replace("file", "entry")


def test_a_shape_is_its_sides():
    assert text.by((28, 28, 1)) == "28 x 28 x 1"
    assert text.by([2048]) == "2048"


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (39_700_000, "39.7 MB"), (2e9, "2 GB"), (5.2e12, "5.2e+03 GB")],
)
def test_a_size_has_three_digits_and_the_unit_that_suits_it(count, said):
    assert text.in_bytes(count) == said


def test_memory_is_in_binary_units_as_it_is_set():
    assert text.in_gib(3 * 2**29) == "1.5 GiB"
    assert text.in_mib(256 * 2**20) == "256 MiB"
    assert text.in_mib(-1) == "0 MiB"


def test_the_nearest_name_is_suggested_whatever_its_capitals_else_all():
    names = ["resnet", "densenet", "LeNet"]
    assert text.nearest("resnte", names) == text.suggestion("resnte", names) == "; did you mean `resnet`?"
    assert text.nearest("lenett", names) == "; did you mean `LeNet`?"
    assert text.nearest("adma", ["adamax", "adam", "adamw"]) == "; did you mean `adam`?"  # two letters changed places
    assert text.nearest("xyz", names) == ""
    assert text.suggestion("xyz", names) == "; it may be resnet, densenet, LeNet"
    assert text.suggestion("xyz", []) == ""


@pytest.mark.parametrize(
    ("path", "word"),
    [("a.yaml", "a.yaml"), ("my file", "'my file'"), ("-x", "./-x"), ("it's", "'it'\"'\"'s'"), ("a\nb", r"$'a\x0ab'")],
)
def test_a_path_is_quoted_as_a_shell_needs_it(path, word):
    assert text.typed(Path(path)) == word


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "it's \x07", "b\\a\tc", "caf\udce9", "\u202egpj.exe", "\x9b31m"])
def test_a_path_that_can_not_be_shown_is_typed_all_the_same(name):
    typed = text.typed(Path(name))
    assert typed.isascii() and typed.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {typed}"], capture_output=True, check=True)
    assert done.stdout == os.fsencode(name)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b2J\x85\x7f", r"\x9b2J\x85\x7f"),
        ("\u202egnp.exe\u2066\u2028\u200f", r"\u202egnp.exe\u2066\u2028\u200f"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_as_an_escape(said, shown):
    assert text.visible(said) == shown
    assert text.visible(shown) == shown


def test_whatever_is_written_somewhere_stays_as_it_is():
    for name in ["größe", "日本　語", "नमस्ते", "a\u200cb", "👩\u200d🔬", "a\u00a0b", "a\\b", "[bold]", "e\u0301"]:
        assert text.visible(name) == name


def test_only_control_characters_are_not_printable():
    assert all(map(text.printable, ["ü", "a b", "\u2028", "\udcff"]))
    assert not any(map(text.printable, ["a\nb", "\x1b[31m", "\x00", "\x9b"]))


def test_what_came_from_elsewhere_stands_in_one_line():
    assert text.in_one_line("a\nb\x1b[31m") == "a?b?[31m"
    assert text.in_one_line("a" * 61) == "a" * 57 + "..."
    assert text.first_line(KeyError("no such\nand more")) == r"no such\nand more"
    assert text.first_line(ValueError("no such\nand more")) == "no such"
    assert text.first_line(ValueError()) == "ValueError"
