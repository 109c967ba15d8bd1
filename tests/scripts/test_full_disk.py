from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "full_disk.py"


def can_mount(folder):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True
    ).returncode
    return not mounted and not subprocess.run(["umount", folder]).returncode


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
def test_a_run_whose_disk_fills_up_ends_as_it_should(tmp_path):
    """In the middle of the training, before its baseline, before its report, and a cache."""
    if not can_mount(tmp_path):
        pytest.skip("needs the right to mount")
    words = ["--sizes", "1m", "--moments", "8", "10", "11"]
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("\n0 faults\n")
