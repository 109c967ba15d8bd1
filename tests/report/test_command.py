from __future__ import annotations

import json

import pytest


def test_a_page_that_is_there_is_not_replaced_without_force(tmp_path, command):
    page = tmp_path / "mine.html"
    page.write_text("precious")
    code, out, err = command("report", tmp_path / "no", "--output", page)
    assert (code, out) == (2, "")
    assert err == f"--output {page} exists already; --force replaces it\n"
    assert page.read_text() == "precious"


def test_the_page_of_several_runs_lies_in_the_working_folder(run_of, tmp_path, command, monkeypatch):
    runs = [run_of(name)[0].folder for name in ("one", "other")]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    code, out, _ = command("report", *runs, "--json")
    assert (code, json.loads(out)) == (0, {"report": "report.html"})
    assert (tmp_path / "here/report.html").read_text().startswith("<!doctype html>")
    code, _, err = command("report", *runs)
    assert code == 2 and err == "--output report.html exists already; --force replaces it\n"
    monkeypatch.chdir(runs[0])
    code, _, err = command("report", *runs)
    assert code == 2 and err.startswith("--output report.html: this belongs to the run one, in whose folder")


@pytest.mark.parametrize("words", [["a", "b", "--set", "data.source.path=c"], ["a", "a"]])
def test_what_makes_no_sense_of_several_runs_is_refused(words, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("report", *words)[0] == 2
