"""Commands that need no TensorFlow do not load it, and start nearly as fast as the packages that each of them uses."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"
HEAVY = {"tensorflow", "keras"}

# Runs commands one after the other, and tells of each how it ended and which packages there are by then.
IMPORTED = """
import json, sys
from cnnkit.commands.main import main
found = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["cnnkit", *words]
    try:
        main()
    except SystemExit as ended:
        found.append([ended.code or 0, sorted({name.split(".")[0] for name in sys.modules})])
print("\\n" + json.dumps(found))
"""


def imported(*commands: list[str]) -> list[set[str]]:
    """The top-level packages that a fresh process has after each of these commands."""
    words = [sys.executable, "-c", IMPORTED, json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert {code for code, _ in found} <= {0, 2}, done.stderr
    assert len(found) == len(commands)
    return [set(packages) for _, packages in found]


def test_help_imports_neither_tensorflow_nor_numpy() -> None:
    commands = [["--version"], ["--help"], *([name, "--help"] for name in ("train", "init", "predict", "preview"))]
    for words, found in zip(commands, imported(*commands), strict=True):
        assert "cnnkit" in found
        assert found & {*HEAVY, "numpy", "sklearn", "yaml", "PIL", "matplotlib"} == set(), words


def test_checking_a_config_imports_neither_tensorflow_nor_numpy() -> None:
    commands = [
        ["check", str(CONFIG)],
        ["check", str(CONFIG), "--json"],
        ["check", str(CONFIG), "--set", "train.epochs=0"],
        ["train", str(CONFIG), "--set", "train.epochs=0"],
        ["summary", str(CONFIG), "--set", "model.depth=0"],
    ]
    for words, found in zip(commands, imported(*commands), strict=True):
        assert {"cnnkit", "pydantic", "yaml"} <= found
        assert found & {*HEAVY, "numpy", "sklearn", "cv2", "matplotlib"} == set(), words


def test_what_needs_no_network_imports_no_tensorflow() -> None:
    commands = [
        ["evaluate", "no such run"],
        ["predict", "no such run", "no such image"],
        ["list"],
        ["list", "architectures"],
        ["schema"],
        ["preview", str(CONFIG), "--audit", "no such run"],
        ["data", str(CONFIG)],
        ["preview", str(CONFIG)],
    ]
    for words, found in zip(commands, imported(*commands), strict=True):
        assert "cnnkit" in found
        assert found & HEAVY == set(), words


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, cnnkit; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {*HEAVY, "numpy", "pydantic", "yaml", "rich", "typer"} == set()


# What every command is built on. Packages bring their classes on first use, so a bare import uses some.
BARE = """
import typer, typer.main, rich.console, rich.progress, rich.table, yaml
from pydantic import BaseModel, TypeAdapter
class Settings(BaseModel):
    number: int = 1
"""


def cpu_seconds(*words: str) -> float:
    """What a process takes of a processor; on a busy machine it waits for longer, but takes hardly more."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# Help takes about as long as the bare import, a check 2.4 times as long; scikit-learn alone would take 6 times as long
# and TensorFlow 30 times. By turns, so that whatever else the machine does slows both down alike. Warm means that
# Python has kept its bytecode, which an environment may forbid it: so it has a place of its own here.
@pytest.mark.parametrize(
    ("words", "times"),
    [(["--help"], 2.0), (["check", str(CONFIG)], 4.0), (["check", str(CONFIG), "--set", "train.epochs=0"], 4.0)],
    ids=["help", "check", "a broken check"],
)
def test_an_answer_takes_little_more_than_the_import_of_what_it_needs(
    words: list[str], times: float, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.getbasetemp() / "bytecode"))
    answer, bare = ("-m", "cnnkit", *words), ("-c", BARE)
    for program in (answer, bare):
        cpu_seconds(*program)
    rounds = [(cpu_seconds(*answer), cpu_seconds(*bare)) for _ in range(5)]
    assert median(taken for taken, _ in rounds) < times * median(taken for _, taken in rounds)
