"""The report: whatever a text is made of stays text, nothing is fetched, and it stays small."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from cnnkit.evaluation.answers import Answers
from cnnkit.report import confusion, report, run_tables
from cnnkit.report.pictures import ROOM, Album, Picture
from cnnkit.report.tables import Figure, Table, of_entries, tables_of

HOSTILE = "<script>alert(1)</script>{{ 7 * 7 }}\"'</style>&<!--\n\u202e" + 300 * "x"


class Reader(HTMLParser):
    """Tags with their attributes, and the texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag != "wbr":  # where a line may break within a name
            self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("kind", ["page", "joint", "folds"])
def test_a_hostile_name_stays_text_wherever_it_stands(kind, request):
    make = request.getfixturevalue(kind)
    plain, hostile = (Reader(report.html(make(text))) for text in ("cat", HOSTILE))
    assert [tag for tag, _ in plain.tags] == [tag for tag, _ in hostile.tags]
    assert "".join(hostile.texts).count(HOSTILE) > 15
    assert "49\"'" not in "".join(hostile.texts)
    assert [set(attributes) for _, attributes in plain.tags] == [set(attributes) for _, attributes in hostile.tags]


def test_lines_break_between_parts_of_a_file_name_and_not_within_an_option(page):
    shown = report.html(page("a-b/c_d.png, mended by: cnnkit evaluate a-b --fail-under x"))
    assert "<small>a-<wbr>b/<wbr>c_<wbr>d.png, mended" in shown
    assert 'cnnkit evaluate a-b <span class="whole">--fail-under</span> x</li>' in shown


@pytest.mark.parametrize("kind", ["page", "joint", "folds"])
def test_the_policy_lets_nothing_be_fetched_and_only_its_own_scripts_run(kind, request):
    read = Reader(report.html(request.getfixturevalue(kind)()))
    policy = next(a["content"] for tag, a in read.tags if tag == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none';")
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
    assert "unsafe-eval" not in policy and "http" not in policy and "script-src 'unsafe" not in policy
    for tag, attributes in read.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:", "./")), (tag, attributes)


def test_of_a_thousand_classes_the_pairs_confused_most_are_shown_and_the_page_stays_small(page):
    counts = np.random.default_rng(0).integers(0, 3, (1000, 1000))  # all are confused with all
    np.fill_diagonal(counts, 50)
    counts[3, 7], counts[5, 2] = 4, 9
    classes = [f"class {k}, with a name of its own" for k in range(1000)]
    entries = [{"name": name, "images": 1050} | dict.fromkeys(("precision", "recall", "f1"), 0.5) for name in classes]
    for entry in entries:
        entry |= {f"{name}_interval": [0.25, 0.75] for name in ("precision", "recall", "f1")}
    assert confusion.matrix(classes, counts.tolist()) is None
    made = page(classes=classes, counts=counts.tolist())
    assert [(pair.label[:7], pair.predicted[:7], pair.count) for pair in made.pairs[:2]] == [
        ("class 5", "class 2", 9),
        ("class 3", "class 7", 4),
    ]
    full = [Picture(f"data:image/jpeg;base64,{'A' * (ROOM // confusion.MOST_PAIRS)}", "name", "told")]
    cells = {pair.key: full for pair in made.pairs}
    content = report.html(replace(made, classes=run_tables.classes({"classes": entries}), cells=cells))
    assert content.count('data-cell="') == len(cells) == confusion.MOST_PAIRS
    assert content.count("with a name of its own</th>") >= 1000
    assert ROOM < len(content) < 8_000_000


def test_however_rows_are_sorted_that_of_all_stays_below_them(page):
    table = Table("Images", ("class", "train"), [["cat", "3"], ["dog", "1"]], ["all", "4"])
    content = report.html(replace(page(), images=table))
    assert '</tbody>\n<tfoot><tr><th scope="row">all</th><td class="number">4</td></tr></tfoot>' in content


def test_pictures_end_where_the_page_has_no_room_for_more():
    album = Album(room=1000)
    pixels = np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8)
    assert album.of_pixels(pixels, "large", "") == [] and album.left_out == 1
    assert len(album.of_pixels(pixels[:4, :4], "small", "")) == 1


def test_a_cell_shows_the_surest_mistakes_and_the_most_unsure_right_answers():
    probabilities = np.asarray([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.6, 0.4]])
    answers = Answers(np.zeros(4, int), probabilities, ["cat", "dog"])
    assert confusion.places(answers, 0, 1, 9) == [0, 1]
    assert confusion.places(answers, 0, 0, 9) == [3, 2]


def test_what_else_was_asked_is_told_whatever_it_is():
    found = {"groups": [{"site": "A", "accuracy": 0.5, "accuracy_interval": [0.25, 0.75]}], "far": {"deep": 1200}}
    tables = list(tables_of("By", found))
    assert [table.rows for table in tables] == [[("far: deep", "1,200")], [["A", Figure("0.5000", "0.2500 to 0.7500")]]]
    assert of_entries("", [{"a": 1}, {"b": None}]).rows == [["1", "-"], ["-", "-"]]


@pytest.mark.parametrize("index", range(0, 256, 15))
def test_counts_are_read_on_each_colour_of_the_matrix(index):
    cell = confusion._cell(("cat", "dog"), ((index, 255 - index), (0, 0)), 0, 0)
    luminance = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(cell.background[k : k + 2], 16) / 255 for k in (1, 3, 5))
    ]
    light = 0.2126 * luminance[0] + 0.7152 * luminance[1] + 0.0722 * luminance[2]
    contrast = (light + 0.05) / 0.05 if cell.ink == "#000" else 1.05 / (light + 0.05)
    assert contrast >= 4.5  # WCAG 2.2, 1.4.3
