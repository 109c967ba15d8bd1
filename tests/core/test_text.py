from __future__ import annotations

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
    assert text.nearest("xyz", names) == ""
    assert text.suggestion("xyz", names) == "; it may be resnet, densenet, LeNet"
    assert text.suggestion("xyz", []) == ""


@pytest.mark.parametrize(
    ("path", "word"),
    [("a.yaml", "a.yaml"), ("my file", "'my file'"), ("-x", "./-x"), ("it's", "'it'\"'\"'s'"), ("a\nb", r"'a\nb'")],
)
def test_a_path_is_quoted_as_a_shell_needs_it(path, word):
    assert text.typed(Path(path)) == word


def test_only_control_characters_are_not_printable():
    assert all(map(text.printable, ["ü", "a b", "\u2028", "\udcff"]))
    assert not any(map(text.printable, ["a\nb", "\x1b[31m", "\x00", "\x9b"]))


def test_what_came_from_elsewhere_stands_in_one_line():
    assert text.in_one_line("a\nb\x1b[31m") == "a?b?[31m"
    assert text.in_one_line("a" * 61) == "a" * 57 + "..."
    assert text.first_line(KeyError("no such\nand more")) == r"no such\nand more"
    assert text.first_line(ValueError("no such\nand more")) == "no such"
    assert text.first_line(ValueError()) == "ValueError"
