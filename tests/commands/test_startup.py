"""Commands that need no TensorFlow do not load it, and start nearly as fast as the packages that each of them uses."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"
HEAVY = {"tensorflow", "keras"}

LIGHT = {"cnnkit", "platformdirs", "pydantic", "rich", "typer", "yaml"}
"""Packages that `check` uses itself."""

BELOW = {
    "annotated_doc",
    "annotated_types",
    "cython_runtime",
    "pydantic_core",
    "shellingham",
    "typing_extensions",
    "typing_inspection",
}
"""What these use."""

SECTIONS = {"Experiment", "Split", "Cache", "Train", "Checkpoint", "Stage", "PlannedStage", "Residual"}
"""Sections that every config has, what the course of its training is put in, and the layer that holds its like."""

# Runs commands one after the other, and tells of each how it ended, which modules there are by then, which sections are
# ready to check what a config says of them, and how often all that there is was looked through for garbage.
IMPORTED = """
import gc, json, sys
from cnnkit.commands.main import main
def below(section):
    return {section}.union(*map(below, section.__subclasses__()))
def ready():
    spec = sys.modules.get("cnnkit.core.spec")
    return sorted(section.__name__ for section in below(spec.Spec) if section.__pydantic_complete__) if spec else []
found, before = [], gc.get_stats()[2]["collections"]
for words in json.loads(sys.argv[1]):
    sys.argv = ["cnnkit", *words]
    try:
        main()
    except SystemExit as ended:
        found.append([ended.code or 0, [*sys.modules], ready(), gc.get_stats()[2]["collections"] - before])
print("\\n" + json.dumps(found))
"""


@dataclass(frozen=True)
class Found:
    """What a fresh process has after a command."""

    modules: set[str]
    ready: set[str]
    searches: int


def after(*commands: list[str]) -> list[Found]:
    """What a fresh process has after each of these commands."""
    words = [sys.executable, "-c", IMPORTED, json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert {code for code, *_ in found} <= {0, 2}, done.stderr
    assert len(found) == len(commands)
    return [Found(set(modules), set(ready), searches) for _, modules, ready, searches in found]


def packages(modules: set[str]) -> set[str]:
    """The top-level packages of modules."""
    return {name.split(".")[0] for name in modules}


def imported(*commands: list[str]) -> list[set[str]]:
    """The top-level packages that a fresh process has after each of these commands."""
    return [packages(found.modules) for found in after(*commands)]


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
    found = after(*commands)
    for words, here in zip(commands, found, strict=True):
        assert {"cnnkit", "pydantic", "yaml"} <= packages(here.modules)
        assert packages(here.modules) & {*HEAVY, "numpy", "sklearn", "cv2", "matplotlib"} == set(), words
    check = found[0]
    outside = {name for name in packages(check.modules) - sys.stdlib_module_names if not name.startswith("_")}
    assert outside <= LIGHT | BELOW
    rooms = {name.split(".")[1] for name in check.modules if name.startswith("cnnkit.")}
    assert rooms == {"core", "data", "models", "optimization", "config", "commands"}
    # Not one of the hundred and more that a config may name and this does not.
    assert check.ready == {*SECTIONS, "Digits", "Shift", "ResNet", "CrossEntropy", "Adam", "Cosine", "NoBalance"}
    assert check.searches == 0


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


# By turns, so that whatever else the machine does slows all of them down alike; and the least of some, for whatever
# disturbs a process makes it dearer. So the first time, in which Python may still write its bytecode, is none that
# counts; where that is forbidden it has a place of its own.
@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What each answer takes, and the bare import."""
    programs = {"bare": ["-c", BARE]} | {name: ["-m", "cnnkit", *words] for name, words in ANSWERS.items()}
    with pytest.MonkeyPatch.context() as patched:
        if sys.dont_write_bytecode:
            patched.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            patched.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        patched.setenv("CNNKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        rounds = [{name: cpu_seconds(*program) for name, program in programs.items()} for _ in range(4)]
    return {name: min(taken[name] for taken in rounds) for name in programs}


# Help takes less than the bare import, a check 1.6 times as long; scikit-learn alone would take 6 times as long
# and TensorFlow 30 times.
@pytest.mark.parametrize(("answer", "times"), [("help", 1.5), ("check", 2.5), ("a broken check", 2.5)])
def test_an_answer_takes_little_more_than_the_import_of_what_it_needs(
    warm: dict[str, float], answer: str, times: float
) -> None:
    assert warm[answer] < times * warm["bare"]
