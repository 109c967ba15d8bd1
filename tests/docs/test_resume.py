"""The lines that docs/how_to/resume.md gives for a job that queues itself again do so only where a run is to go on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "resume.md"


@pytest.mark.parametrize(
    ("code", "state", "queued"),
    [
        (0, "unfinished", True),
        (0, "finished", False),
        (2, "unfinished", False),
        (143, "interrupted", False),
    ],
)
def test_a_job_queues_itself_again_while_its_run_is_unfinished_and_ends_as_its_training(
    tmp_path: Path, code: int, state: str, queued: bool
) -> None:
    (lines,) = (block for block in re.findall(r"```\w*\n(.*?)```", PAGE.read_text(), re.DOTALL) if "sbatch" in block)
    run = tmp_path / "runs" / "flowers"
    run.mkdir(parents=True)
    (run / "provenance.json").write_text(f'{{"state": "{state}"}}')
    job = f"sbatch() {{ echo queued; }}\n(exit {code})\n{lines}"
    done = subprocess.run(["sh", "-c", job], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "queued\n" * queued, "")
