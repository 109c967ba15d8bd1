"""Hold the direction of imports: a module of cnnkit imports only from lower levels.

Usage: python scripts/check_imports.py [FOLDER OF THE PACKAGE]

It reads the source and imports nothing, so it is fast. Imports inside functions and under `if TYPE_CHECKING:`
count too: they tie modules together just as well.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "cnnkit"

# A name is a module or a folder of the package.
LEVELS = {
    7.9: ("cli",),
    7.8: ("cli_data",),
    7.7: ("cli_base",),
    7.1: ("console_data", "console_preview"),
    7: ("console",),
    6: ("training",),
    # Above others of level 5, which they use: prediction, evaluation and training_images.
    5.5: ("submission", "audit", "training_data"),
    5: (
        "evaluation",
        "prediction",
        "summary",
        "history",
        "weights",
        "targets",
        "starting",
        "preview",
        "training_images",
    ),
    4: ("run",),
    2.6: ("images",),
    2.5: ("workers", "pixel_store", "consistency"),
    2.4: ("consistency_preparation",),
    3: (
        "config_file",
        "catalogue",
        "pipeline",
        "checkpoints",
        "callbacks",
        "learner",
        "staging",
        "weight_files",
        "doctor",
    ),
    2: ("experiment", "duration", "view"),
    1: (
        "sources",
        "architectures",
        "augmentations",
        "preparation",
        "balancing",
        "optimization",
        "losses",
        "splitting",
        "wording",
    ),
    # Below the rooms of level 1, which share them.
    0.9: ("archives", "locating", "array_files"),
    0.8: ("archive_members",),
    0.7: ("file_index", "walking", "tables", "pixel_range"),
    0.5: ("chance", "decoding", "downloads"),
    0.1: ("paper", "turns"),
    0.06: ("lazy",),
    0.05: ("cache",),
    0: ("spec", "text", "errors", "progress", "yaml12", "atomic"),
}
LEVEL_OF = {name: level for level, names in LEVELS.items() for name in names}

# The face of the package: it hands out names from every level, on first use.
FACE = ("__init__", "__main__")

# Files of a folder that the other files of that folder may import.
SHARED_IN_A_FOLDER = (
    "base",
    "layers",
    "keras_layers",
    "own_layers",
    "saved_model_layer",
    "hub_resolver",
    "manifest_rows",
    "tables",
    "light",
    "warping",
    "windows",
    "synthesis",
    "foreground",
    "settings",
)

# Files of a folder that stand above the others: they may import every one that does not stand above as well.
ABOVE_IN_A_FOLDER = {
    ("sources", "archive"),
    ("sources", "keras_datasets"),
    ("doctor", "near"),
    ("augmentations", "policies"),
}

# Other people's packages that only these modules may import; the rest take keras and tf from cnnkit.lazy.
ONLY_IN = {
    "typer": ("cli", "cli_base", "cli_data", "console"),
    "rich": ("console", "console_data", "console_preview"),
    "yaml": ("yaml12",),
    "h5py": ("lazy",),
    "cv2": ("lazy",),
    "tensorflow": ("lazy", "callbacks"),  # callbacks: a subclass needs its Keras class at once
    "keras": ("lazy", "callbacks"),
}


def find_problems(package: Path) -> list[str]:
    """Check every file of the package; each problem is one line, `file:line: message`."""
    files = sorted(package.rglob("*.py"))
    if not files:
        return [f"{package}: no Python files here, so no import was checked"]
    modules = {module_of(file, package) for file in files}
    problems: dict[str, None] = {}  # a set that keeps the order
    for file in files:
        module = module_of(file, package)
        where = file.relative_to(package.parent)
        if module[0] not in LEVEL_OF and module[0] not in FACE:
            problems[f"{where}:1: {unknown(module[0])}"] = None
        try:
            tree = ast.parse(file.read_bytes())
        except SyntaxError as error:
            problems[f"{where}:{error.lineno or 1}: not valid Python: {error.msg}"] = None
            continue
        for line, target in imports(tree, module):
            message = judge(module, target, modules)
            if message:
                problems[f"{where}:{line}: {message}"] = None
    return list(problems)


def module_of(file: Path, package: Path) -> tuple[str, ...]:
    """Name a file by its parts below the package: `sources/folder.py` is `("sources", "folder")`."""
    return file.relative_to(package).with_suffix("").parts


def imports(tree: ast.AST, module: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield line and full dotted name, in parts, of everything a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            here = (PACKAGE, *module)
            start = here[: len(here) - node.level] if node.level else ()
            middle = node.module.split(".") if node.module else []
            for alias in node.names:
                yield node.lineno, (*start, *middle, alias.name)


def judge(module: tuple[str, ...], target: tuple[str, ...], modules: set[tuple[str, ...]]) -> str | None:
    """Say what is wrong with one import, if anything is."""
    room, top = module[0], target[0]
    if room not in ONLY_IN.get(top, (room,)):
        return f"{room} may not import {top}, only {' and '.join(ONLY_IN[top])} may"
    if top != PACKAGE or room not in LEVEL_OF or target == (PACKAGE, "__version__"):
        return None
    other = target[1] if len(target) > 1 else "__init__"
    if other not in LEVEL_OF:
        if any(known[0] == other for known in modules) and other not in FACE:
            return unknown(other)
        return f"{'.'.join(target)} is no module: import a name from the module that defines it"
    if other == room:
        return judge_inside_folder(module, target, modules)
    if LEVEL_OF[other] < LEVEL_OF[room]:
        return None
    return f"{room} (level {LEVEL_OF[room]}) may not import {other} (level {LEVEL_OF[other]}), only lower"


def judge_inside_folder(module: tuple[str, ...], target: tuple[str, ...], modules: set[tuple[str, ...]]) -> str | None:
    """Judge an import inside one folder: `__init__` may import every file, others what they share or stand above."""
    folder = module[0]
    is_file = len(target) > 2 and any(known[:2] == (folder, target[2]) for known in modules)
    other = target[2] if is_file else "__init__"
    if module[1:] == ("__init__",) or module[1:2] == (other,) or other in SHARED_IN_A_FOLDER:
        return None
    if module in ABOVE_IN_A_FOLDER and is_file and (folder, other) not in ABOVE_IN_A_FOLDER:
        return None
    shared = " and ".join(SHARED_IN_A_FOLDER)
    return f"{'/'.join(module)} may not import {folder}/{other}, of its own folder only {shared}"


def unknown(name: str) -> str:
    """Say what to do about a module without a level."""
    return f"{name} has no level: add it to LEVELS in scripts/check_imports.py"


def main(arguments: list[str]) -> int:
    """Print every problem; the exit code is 1 if there is one."""
    package = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent / PACKAGE
    problems = find_problems(package)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
