from __future__ import annotations


def test_a_page_that_is_there_is_not_replaced_without_force(tmp_path, command):
    page = tmp_path / "mine.html"
    page.write_text("precious")
    code, out, err = command("report", tmp_path / "no", "--output", page)
    assert (code, out) == (2, "")
    assert err == f"--output {page} exists already; --force replaces it\n"
    assert page.read_text() == "precious"
