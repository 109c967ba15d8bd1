"""Tables: what people's programs write as CSV."""

from __future__ import annotations

import csv

import pytest

from cnnkit.core.errors import DataError
from cnnkit.data.files.tables import Table, text_of, write


@pytest.fixture
def table(tmp_path):
    def write(text):
        file = tmp_path / "x.csv"
        file.write_bytes(text.encode())
        return Table(file)

    return write


def test_a_row_is_told_with_the_line_that_it_begins_in(table):
    assert list(table('\ufeffa,b\n\n"one\ntwo",2\n3\n')) == [(1, ["a", "b"]), (3, ["one\ntwo", "2"]), (5, ["3"])]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_ten_thousand_columns_are_read(table, separator):
    names = [f"class number {i}" for i in range(10_000)]
    before = csv.field_size_limit()
    opened = table(f"{separator.join(names)}\n")
    assert list(opened) == [(1, names)]
    assert len(separator.join(names)) > before, "as a single cell it would be too long"
    assert opened.separator == separator
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("cell", ["x" * 200_000, '"' + "x\n" * 100_000])
def test_a_cell_that_is_too_long_is_told(table, cell):
    with pytest.raises(DataError, match=r"x\.csv:2: has a cell of more than 131,072 characters; shorten it, or close"):
        list(table(f"a,b\n{cell},2\n"))


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_line_that_excel_writes_tells_the_separator(table, line, end):
    opened = table(f"{line}{end}a,b;c{end}1;2{end}")
    assert list(opened) == [(2, ["a,b", "c"]), (3, ["1", "2"])]
    assert opened.separator == ";"


def test_a_column_called_sep_is_a_column(table):
    assert list(table("sep=a,b\n1,2\n")) == [(1, ["sep=a", "b"]), (2, ["1", "2"])]


def test_what_csv_needs_quoted_is_quoted(tmp_path):
    write(tmp_path / "x.csv", ("image", "label"), [("a,b.png", 'the "best"'), ("ü.png", None)])
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == 'image,label\n"a,b.png","the ""best"""\nü.png,\n'


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_is_written_is_read_again(table, separator):
    rows = [["a,b", "c;d"], ["e\tf", 'g "h"'], ["two\nlines", ""]]
    assert [cells for _, cells in table(text_of(["x", "y"], rows, separator))] == [["x", "y"], *rows]
