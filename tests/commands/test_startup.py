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


ANSWERS = {
    "help": ["--help"],
    "check": ["check", str(CONFIG)],
    "a broken check": ["check", str(CONFIG), "--set", "train.epochs=0"],
}


# By turns, so that whatever else the machine does slows all of them down alike. Warm means that Python has kept its
# bytecode, which an environment may forbid it: so it has a place of its own here.
@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What each answer takes, and the bare import."""
    programs = {"bare": ["-c", BARE]} | {name: ["-m", "cnnkit", *words] for name, words in ANSWERS.items()}
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patched.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        patched.setenv("CNNKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        for program in programs.values():
            cpu_seconds(*program)
        rounds = [{name: cpu_seconds(*program) for name, program in programs.items()} for _ in range(5)]
    return {name: median(taken[name] for taken in rounds) for name in programs}


# Help takes about as long as the bare import, a check 2.4 times as long; scikit-learn alone would take 6 times as long
# and TensorFlow 30 times.
@pytest.mark.parametrize(("answer", "times"), [("help", 2.0), ("check", 4.0), ("a broken check", 4.0)])
def test_an_answer_takes_little_more_than_the_import_of_what_it_needs(
    warm: dict[str, float], answer: str, times: float
) -> None:
    assert warm[answer] < times * warm["bare"]
