"""Commands that need no TensorFlow do not load it, and answer at once."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "digits.yaml"
HEAVY = {"tensorflow", "keras"}


def imported(*words: str) -> set[str]:
    """The top-level packages that a command imports, as Python itself reports them."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cnnkit", *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (0, 2), done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert lines
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["train", "--help"], ["init", "--help"], ["predict", "--help"], ["preview", "--help"]],
)
def test_help_imports_neither_tensorflow_nor_numpy(words: list[str]) -> None:
    assert imported(*words) & {*HEAVY, "numpy", "sklearn", "yaml", "PIL", "matplotlib"} == set()


@pytest.mark.parametrize(
    "words",
    [
        ["check", str(CONFIG)],
        ["check", str(CONFIG), "--json"],
        ["check", str(CONFIG), "--set", "train.epochs=0"],
        ["train", str(CONFIG), "--set", "train.epochs=0"],
        ["summary", str(CONFIG), "--set", "model.depth=0"],
        ["evaluate", "no such run"],
        ["predict", "no such run", "no such image"],
        ["data", str(CONFIG)],
        ["preview", str(CONFIG)],
        ["preview", str(CONFIG), "--audit", "no such run"],
        ["list"],
        ["list", "architectures"],
        ["schema"],
    ],
    ids=lambda words: " ".join(Path(word).name for word in words),
)
def test_what_needs_no_network_imports_no_tensorflow(words: list[str]) -> None:
    found = imported(*words)
    assert "cnnkit" in found
    assert found & HEAVY == set()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, cnnkit; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) & {*HEAVY, "numpy", "pydantic", "yaml", "rich", "typer"} == set()


# The product's promise is the median wall time of five warm calls on a machine with nothing else to do. These
# commands wait for nothing, so there wall time is CPU time. CPU time is what is measured here, the least of several
# calls and with no other test beside it, since a busy neighbour core makes even CPU seconds longer. Warm means that
# Python has kept its bytecode, which an environment may forbid it: so it has a place of its own here.
@pytest.mark.alone
@pytest.mark.parametrize(
    ("words", "seconds"),
    [(["--help"], 0.4), (["check", str(CONFIG)], 0.6), (["check", str(CONFIG), "--set", "train.epochs=0"], 0.6)],
    ids=["help", "check", "a broken check"],
)
def test_answers_come_at_once(
    words: list[str], seconds: float, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Path(sys.executable).with_name("cnnkit")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.getbasetemp() / "bytecode"))

    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([command, *words], capture_output=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    cpu_seconds()
    assert min(cpu_seconds() for _ in range(5)) < seconds
