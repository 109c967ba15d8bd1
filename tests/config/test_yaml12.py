"""YAML 1.2 as cnnkit reads and writes it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest
import yaml

from cnnkit.config import yaml12
from cnnkit.config.yaml12 import YamlError, dump, parse, scalar


def refused(text: str) -> YamlError:
    with pytest.raises(YamlError) as caught:
        parse(text)
    return caught.value


# YAML 1.2.2, section 10.3.2
@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_these_words_mean_nothing(text: str) -> None:
    assert scalar(text) is None


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_these_words_are_true(text: str) -> None:
    assert scalar(text) is True


@pytest.mark.parametrize("text", ["false", "False", "FALSE"])
def test_these_words_are_false(text: str) -> None:
    assert scalar(text) is False


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("17", 17), ("017", 17), ("-19", -19), ("+12", 12), ("0o17", 15), ("0x3A", 58), ("0xff", 255)],
)
def test_whole_numbers(text: str, number: int) -> None:
    assert scalar(text) == number
    assert type(scalar(text)) is int


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("5e-4", 0.0005),
        ("12e03", 12000.0),
        ("-2E+05", -200000.0),
        ("0.", 0.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("+12.3", 12.3),
        (".inf", math.inf),
        ("+.INF", math.inf),
        ("-.Inf", -math.inf),
    ],
)
def test_numbers_with_a_point_or_an_exponent(text: str, number: float) -> None:
    assert scalar(text) == number
    assert type(scalar(text)) is float


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text: str) -> None:
    assert math.isnan(scalar(text))


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "no", "on", "off", "y", "n", "Yes", "NO", "On", "OFF"),  # booleans of YAML 1.1
        *("1:30", "12:30:45", "2026-11-22", "1_000", "0b101", "=", "0o8", "0xg"),  # numbers and dates of YAML 1.1
        *("nULL", "tRUE", "nan", "inf", "Infinity", "-", ".", "e5", "1e", "+", "1.2.3", "--1", "- 1", ".Nan", "-.nan"),
        *("\u0663", "1\u00a0000"),  # digits of other scripts, digits with a space
    ],
)
def test_everything_else_is_text(text: str) -> None:
    assert scalar(text) == text


def test_a_folder_called_no_stays_a_word() -> None:
    assert parse("classes: [yes, no]").values == {"classes": ("yes", "no")}


def test_a_key_is_a_word_whatever_it_looks_like() -> None:
    assert parse("yes: 1\nnull: 2\n3: 3\n1e3: 4").values == {"yes": 1, "null": 2, "3": 3, "1e3": 4}


def test_quotes_make_a_text_of_anything() -> None:
    assert parse("['32', \"true\", '', '~']").values == ("32", "true", "", "~")


def test_the_sign_of_a_text_makes_a_text() -> None:
    assert parse("! 12").values == "12"


def test_texts_of_several_lines() -> None:
    assert parse("kept: |\n  12\n  13\nfolded: >\n  a\n  b\n").values == {"kept": "12\n13\n", "folded": "a b\n"}


def test_text_of_every_script_is_read() -> None:
    assert parse("Stra\u00dfe: [\u82b1, \u0446\u0432\u0435\u0442\u043e\u043a, \U0001f33b]").values == {
        "Stra\u00dfe": ("\u82b1", "\u0446\u0432\u0435\u0442\u043e\u043a", "\U0001f33b")
    }


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse("\ufeffseed: 1").values == {"seed": 1}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "null", "~ # nothing"])
def test_a_text_may_say_nothing(text: str) -> None:
    assert parse(text).values is None


def test_windows_line_ends_are_line_ends() -> None:
    tree = parse("a: 1\r\nb:\r\n  c: 2\r\n")
    assert tree.values == {"a": 1, "b": {"c": 2}}
    assert tree.keys["b", "c"] == (3, 3)


TEXT = """\
data:
  source: {name: digits}
augment:
  - name: flip
  - {name: shift, fraction: 0.2}
"""


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ((), (1, 1)),
        (("data",), (2, 3)),
        (("data", "source"), (2, 11)),
        (("data", "source", "name"), (2, 18)),
        (("augment",), (4, 3)),
        (("augment", 0), (4, 5)),
        (("augment", 0, "name"), (4, 11)),
        (("augment", 1, "fraction"), (5, 29)),
    ],
)
def test_every_value_has_its_place(path: yaml12.Path, position: yaml12.Position) -> None:
    assert parse(TEXT).places[path] == position


@pytest.mark.parametrize(
    ("path", "position"),
    [
        (("data",), (1, 1)),
        (("data", "source"), (2, 3)),
        (("augment", 0, "name"), (4, 5)),
        (("augment", 1, "fraction"), (5, 19)),
    ],
)
def test_every_key_has_its_place(path: yaml12.Path, position: yaml12.Position) -> None:
    assert parse(TEXT).keys[path] == position


def test_an_alias_stands_where_it_is_used() -> None:
    tree = parse("a: &x [1, 2]\nb: *x\n")
    assert tree.values == {"a": (1, 2), "b": (1, 2)}
    assert tree.places["b",] == (2, 4)


def test_a_key_that_stands_twice_is_a_problem_and_the_first_value_is_kept() -> None:
    tree = parse("train:\n  epochs: 5\n  epochs: 6\n")
    assert tree.values == {"train": {"epochs": 5}}
    assert tree.problems == [(("train", "epochs"), "stands twice in this section, first in line 2", (3, 3))]


def test_keys_that_mean_the_same_are_the_same_key() -> None:
    (problem,) = parse("epochs: 5\n'epochs': 6\n").problems
    assert problem[0] == ("epochs",)


def test_places_are_those_of_the_value_that_is_kept() -> None:
    tree = parse("a: {x: 1}\nb: 2\na: {x: 3}\n")
    assert tree.values == {"a": {"x": 1}, "b": 2}
    assert (tree.places["a",], tree.keys["a", "x"], tree.places["a", "x"]) == ((1, 4), (1, 5), (1, 8))


def test_the_same_key_in_two_sections_is_no_problem() -> None:
    assert parse("a: {x: 1}\nb: {x: 1}\nc: [{x: 1}, {x: 1}]\n").problems == []


def test_a_merge_key_is_a_problem() -> None:
    (problem,) = parse("a: &x {b: 1}\nc:\n  <<: *x\n").problems
    assert problem == (("c", "<<"), "YAML 1.2 has no merge key; write the settings out", (3, 3))


@pytest.mark.parametrize("tag", ["!!str", "!!int", "!mine", "!!python/object/apply:os.system"])
def test_a_tag_is_a_problem_and_runs_nothing(tag: str) -> None:
    tree = parse(f"a: {tag} 12\n")
    assert tree.values == {"a": "12"}
    (problem,) = tree.problems
    assert problem == (("a",), f"the tag {tag} means nothing in a config", (1, 4))


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a:\n\tb: 1\n", 2, 1, "a tab; YAML is indented with spaces"),
        ("a: b: c\n", 1, 5, "a second `:` in one line; quote the text, or start a new line"),
        ("a: 1\n  b: 2\n", 2, 4, "a second `:` in one line; quote the text, or start a new line"),
        ("a:\n  b: 1\n c: 2\n", 3, 2, "this line does not fit the indentation of the lines above"),
        ("a: 1\nb\nc: 2\n", 3, 1, "a key without `:` after it"),
        ("a: 'b\nc: d\n", 1, 4, "the quoted text that begins here never ends"),
        ('a: "b\n', 1, 4, "the quoted text that begins here never ends"),
        ("a: [1, 2\nb: 3\n", 2, 2, "a `{` or `[` above is not closed, or a comma is missing"),
        ("a: {b: 1\nc: 2}\n", 2, 2, "a `{` or `[` above is not closed, or a comma is missing"),
        ("a: @b\n", 1, 4, "a text can't begin with this character; put it in quotes"),
        ('a: "C:\\data"\n', 1, 8, "in double quotes `\\` begins an escape; use single quotes"),
        ("a: *b\n", 1, 4, "nothing above is named &b"),
        ("a: &b [*b]\n", 1, 8, "nothing above is named &b"),
        ("? [a, b]\n: 1\n", 1, 3, "a key is a word, not a list or a section"),
        ("{{a: b}: c}\n", 1, 2, "a key is a word, not a list or a section"),
        ("a: 1\n---\nb: 2\n", 2, 1, "a second document begins here; a config is one"),
        ("a: 1\nb: \0\n", 2, 4, "the character U+0000 has no place in a text file"),
        ("a: 1\nb: x\x1by\n", 2, 5, "the character U+001B has no place in a text file"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(text: str, line: int, column: int, message: str) -> None:
    error = refused(text)
    assert (error.line, error.column, error.message) == (line, column, message)


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, "[" * 5000 + "]" * 5000, "{a: " * 5000, "- " * 5000, "".join(" " * i + "a:\n" for i in range(1000))],
    ids=["lists", "closed lists", "sections", "dashes", "indented"],
)
def test_deep_nesting_is_refused(text: str) -> None:
    assert refused(text).message == "nested more than 50 deep"


def test_nesting_of_fifty_is_read() -> None:
    assert parse("[" * 50 + "]" * 50).values is not None


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    assert refused("\n".join(lines)).message == "the aliases unfold to more than 20,000 values"


@pytest.mark.parametrize(
    "text",
    [
        "[" + "x," * 499_000 + "]",
        "- x\n" * 249_000,
        "a: 1\n" * 199_000,
        "".join(f"k{i}: 1\n" for i in range(90_000)),
        "- !t x\n" * 140_000,
        "".join(f"- &a{i} x\n" for i in range(70_000)),
        "a: &a [x]\nb: [" + "*a," * 330_000 + "]",
    ],
    ids=["list", "lines", "one key again and again", "keys", "tags", "anchors", "aliases"],
)
def test_a_flood_of_values_is_refused_before_it_is_all_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def counted(*words: Any, **named: Any) -> Iterator[Any]:
        for event in events(*words, **named):
            read.append(event)
            yield event

    events = yaml.parse
    monkeypatch.setattr(yaml, "parse", counted)
    assert "more than 20,000 values" in refused(text).message
    assert len(read) < 40_010  # of a section each value has its key


@pytest.mark.parametrize(
    ("before", "again", "after"),
    [
        ("", "\n", ""),
        ("", "#", ""),
        ("", " ", ""),
        ("", "x ", ""),
        ("'", "x ", "'"),
        ("a: |\n", "  x\n", ""),
    ],
    ids=["empty lines", "comment", "spaces", "words", "quoted", "block"],
)
def test_four_times_as_long_a_text_of_few_values_takes_about_four_times_as_long(
    before: str, again: str, after: str
) -> None:
    def seconds(characters: int) -> float:
        text = before + again * (characters // len(again)) + after
        started = process_time()
        parse(text)
        return process_time() - started

    short, long = (min(seconds(characters) for _ in range(3)) for characters in (25_000, 100_000))
    assert long < 9 * short  # 16 times as long, did each character look back at all others


def test_a_million_characters_are_enough() -> None:
    assert refused("# " + "x" * 1_000_000).message == "1,000,002 characters; a config has at most 1,000,000"


@pytest.mark.parametrize("digits", [5_000, 900_000])
def test_a_number_of_thousands_of_digits_is_refused(digits: int) -> None:
    error = refused("seed: " + "9" * digits)
    assert (error.message, error.line, error.column) == (f"a number of {digits:,} digits", 1, 7)


PIECES = [
    *("yes", "no", "null", "~", "true", "1", "017", "1e-3", ".5", ".inf", ".nan", "0x1f", "0o7", "1:30", "2026-11-22"),
    *(
        "",
        " ",
        "  ",
        "-",
        "- ",
        ":",
        ": ",
        "#",
        " #",
        "'",
        '"',
        "\\",
        "\n",
        "\t",
        "\r",
        "!",
        "&",
        "*",
        "<<",
        "=",
        "...",
    ),
    *("---", "%", "@", "`", "|", ">", "?", "? ", ",", "[", "]", "{", "}", "/", "~/", "C:\\x"),
    *("caf\u00e9", "\u82b1", "\u0663", "\U0001f33b", "\u00a0", "\u0085", "\u2028", "\ufeff", "\x00", "\x1b", "\udcff"),
    *("x" * 130, "word " * 40),
]


def random_text(chance: random.Random) -> str:
    return "".join(chance.choices(PIECES, k=chance.choice([1, 1, 2, 3, 5])))


def random_value(chance: random.Random, depth: int = 0) -> object:
    kind = chance.choice(["text", "text", "text", "int", "float", "word", *(["list", "section"] if depth < 4 else [])])
    if kind == "text":
        return random_text(chance)
    if kind == "int":
        return chance.choice([0, 1, -1, 2**31, -(10**30), chance.randrange(10**6)])
    if kind == "float":
        return chance.choice([0.0, 1e-7, 5e-324, 1e16, -2.5, 1 / 3, math.inf, -math.inf, chance.random()])
    if kind == "word":
        return chance.choice([None, True, False])
    if kind == "list":
        return tuple(random_value(chance, depth + 1) for _ in range(chance.randrange(4)))
    return {random_text(chance): random_value(chance, depth + 1) for _ in range(chance.randrange(4))}


@pytest.mark.parametrize("text", PIECES, ids=ascii)
def test_every_text_is_read_as_it_was_written(text: str) -> None:
    assert parse(dump({"key": text, "list": [text, text], text: 1})).values == {
        "key": text,
        "list": (text, text),
        text: 1,
    }


def test_what_is_written_is_read_again() -> None:
    chance = random.Random(0)
    for _ in range(400):
        value = {"value": random_value(chance)}
        tree = parse(dump(value))
        assert repr(tree.values) == repr(value)  # repr tells 1 from 1.0 and from True
        assert tree.problems == []


def test_not_a_number_is_read_as_it_was_written() -> None:
    assert math.isnan(parse(dump({"x": math.nan})).values["x"])


def test_a_list_is_read_as_a_tuple() -> None:
    assert parse(dump({"x": [1, [2, 3]]})).values == {"x": (1, (2, 3))}


def test_what_is_written_is_plain_to_the_eye() -> None:
    values = {"name": "flowers", "data": {"image_size": (64, 64), "rate": 1e-3}, "augment": ({"name": "flip"},)}
    assert dump(values) == ("name: flowers\ndata:\n  image_size: [64, 64]\n  rate: 0.001\naugment:\n- name: flip\n")


def test_the_same_object_twice_is_written_twice() -> None:
    shared = {"x": 1}
    assert dump({"a": shared, "b": shared}) == "a:\n  x: 1\nb:\n  x: 1\n"
