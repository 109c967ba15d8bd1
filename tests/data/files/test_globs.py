"""Globs: what they mean, whatever they are made of, and that none takes long."""

from __future__ import annotations

import random
from fnmatch import fnmatchcase

import pytest

from cnnkit.data.files.walking import matcher


def meant(glob: list[str], path: list[str]) -> bool:
    """The definition: a name for a name, and `**` for any number of folders."""
    if not glob:
        return not path
    if glob[0] == "**":
        return meant(glob[1:], path) or (len(path) > 1 and meant(glob, path[1:]))
    return bool(path) and fnmatchcase(path[0], glob[0]) and meant(glob[1:], path[1:])


def test_a_glob_means_what_the_definition_says():
    choose = random.Random(0)
    answers = set()
    for _ in range(3000):
        name = "".join(choose.choice(["a", "b", "*", "?", "[ab]", "[!a]"]) for _ in range(choose.randint(1, 4)))
        glob = [*choose.choices(["**", name.replace("**", "*"), "*", "a*"], k=choose.randint(0, 3)), "*b*"]
        path = ["".join(choose.choices("ab", k=choose.randint(1, 3))) for _ in range(choose.randint(1, 4))]
        answers.add(expected := meant(glob, path))
        assert matcher("/".join(glob))("/".join(path)) == expected, (glob, path)
    assert answers == {True, False}


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*a*a*a*a*a*a*a*a*b", "a" * 3000),
        ("**/a/" * 8 + "b", "a/" * 300 + "c"),
        ("**a" * 9 + "b", "a" * 3000),
        ("**/*a*a*/" * 6 + "b", "aa/" * 300 + "c"),
    ],
)
def test_no_glob_tries_all_ways_to_choose_places(glob, path):
    """With one try for each way this would not come to an end."""
    assert not matcher(glob)(path)


@pytest.mark.parametrize("inside", ["]a", "!]a", "+--", "--0", "!-", "&&a", "a||b", "~~", "^a", "\\d", "!!", "[:a"])
def test_brackets_mean_what_they_do_elsewhere(inside):
    for letter in "ab]^-+,&|~\\d![0:.":
        assert matcher(f"*[{inside}]")(f"x{letter}") == fnmatchcase(letter, f"[{inside}]"), letter


@pytest.mark.parametrize("inside", [" -~", ".-9", "!a"])
def test_brackets_do_not_lead_into_another_folder(inside):
    assert matcher(f"a[{inside}]b")("a0b")
    assert not matcher(f"a[{inside}]b")("a/b")


@pytest.mark.parametrize("glob", ["caf\u00e9/*", "cafe\u0301/*", "caf?/*", "caf[\u00e9]/*"])
@pytest.mark.parametrize("path", ["caf\u00e9/0.png", "cafe\u0301/0.png"])
def test_an_accent_is_the_same_in_whatever_form(glob, path):
    assert matcher(glob)(path)


def test_a_range_that_ends_before_it_begins_is_told():
    with pytest.raises(ValueError, match="`z-a` in brackets ends before it begins"):
        matcher("*/[0-9z-a]*")


@pytest.mark.parametrize("glob", ["**.jpg", "*/**.jpg", "a**/**.jpg"])
def test_two_stars_beside_other_text_cross_folders(glob):
    assert matcher(glob)("a/b/c.JPG")
    assert not matcher(glob)("a/b/c.png")
