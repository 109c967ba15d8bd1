"""What this machine has for the work."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from cnnkit.core.machine import cores, processor


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="which cores a process may use is asked of Linux alone"
)
def test_only_cores_that_this_process_may_use_are_counted(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 4, 6} if process == 0 else {0})
    assert cores() == 3


@pytest.mark.parametrize(("counted", "expected"), [(5, 5), (None, 1)])
def test_where_that_can_not_be_asked_all_that_there_are_count(monkeypatch, counted, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert cores() == expected


CPUINFO = "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nflags\t\t: fpu {}\n\nprocessor\t: 1\n"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("avx avx2 avx512f avx512_vnni", "Some CPU @ 2.0GHz (AVX-512 VNNI)"),
        ("avx avx2 avx512f", "Some CPU @ 2.0GHz (AVX-512)"),
        ("avx avx2", "Some CPU @ 2.0GHz (AVX2)"),
        ("sse4_2", "Some CPU @ 2.0GHz"),
    ],
)
def test_the_processor_is_told_by_name_and_by_its_widest_vectors(monkeypatch, flags, expected):
    monkeypatch.setattr(Path, "read_text", lambda path, **options: CPUINFO.format(flags))
    assert processor() == expected


def test_where_linux_does_not_tell_the_processor_python_does(monkeypatch):
    def missing(path, **options):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert processor() == "arm"
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert processor() == "aarch64"
