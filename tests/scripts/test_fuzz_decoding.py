from __future__ import annotations

import fuzz_decoding


def test_what_a_library_calls_corrupt_is_refused_and_all_commands_agree():
    rows = fuzz_decoding.fuzz(count=105, commands=0, seed=1)
    assert len(rows) > 20
    assert {name: row for name, row in rows.items() if not row.good} == {}
    assert sum(row.corrupt for row in rows.values()) > 1200


def test_every_command_says_the_same_of_every_file():
    for name in ("JPEG", "PNG", "PNG palette", "TIFF LZW", "WebP"):
        row = fuzz_decoding.Row()
        with fuzz_decoding.quiet():
            fuzz_decoding.try_commands(row, name, fuzz_decoding.samples()[name], count=14, seed=2)
        assert (row.asked, row.disagreed) == (14, 0)
