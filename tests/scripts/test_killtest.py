from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import killtest
import pytest

SCRIPT = Path(killtest.__file__)


def test_moments_are_the_same_for_a_seed_and_of_all_kinds():
    def drawn(seed):
        chance = random.Random(seed)
        return [killtest.Moment.drawn(chance, 500, 20, 60.0) for _ in range(300)]

    assert drawn(0) == drawn(0) != drawn(1)
    assert {moment.kind for moment in drawn(0)} == killtest.KINDS.keys()
    assert {moment.where for moment in drawn(0)} == {"", *killtest.SAVING, *killtest.LAST}
    assert {int(moment.number) for moment in drawn(0)} == {9, 15}


@pytest.mark.slow
def test_trainings_that_are_killed_end_as_one_that_is_not():
    """At a moment drawn at random, and when each file that comes behind the last epoch is half written."""
    words = ["--moments", "1", "--epochs", "2", "--size", "8", "--filters", "4"]
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 faults" in done.stdout.splitlines()[-1]
