"""The check of the direction of imports finds what goes upwards, and nothing else."""

from __future__ import annotations

from pathlib import Path

import check_imports
import pytest


def found(root: Path, **sources: str) -> list[str]:
    """The problems of a package with these modules; `a__b` is the file b in the folder a."""
    package = root / "cnnkit"
    for name, source in sources.items():
        file = package / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return check_imports.find_problems(package)


def test_the_package_itself_has_no_problem() -> None:
    assert check_imports.main([]) == 0


def test_downwards_is_right(tmp_path: Path) -> None:
    assert found(tmp_path, training="from cnnkit.run import Run\n", run="import cnnkit.errors\n", errors="") == []


def test_upwards_is_wrong_and_told_with_its_line(tmp_path: Path) -> None:
    assert found(tmp_path, spec="import os\nfrom cnnkit.run import Run\n", run="") == [
        "cnnkit/spec.py:2: spec (level 0) may not import run (level 4), only lower"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import cnnkit.run",
        "from cnnkit import run",
        "from cnnkit.run import Run",
        "from . import run",
        "from .run import Run",
        "def f():\n    from cnnkit.run import Run",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cnnkit.run import Run",
        "try:\n    import cnnkit.run as r\nexcept ImportError:\n    pass",
    ],
)
def test_every_way_of_importing_counts(tmp_path: Path, source: str) -> None:
    (problem,) = found(tmp_path, errors=source, run="")
    assert "errors (level 0) may not import run (level 4)" in problem


def test_sideways_is_wrong(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, evaluation="from cnnkit.prediction import predict\n", prediction="")
    assert "evaluation (level 5) may not import prediction (level 5)" in problem


def test_the_commands_may_use_the_console_but_not_the_other_way_round(tmp_path: Path) -> None:
    assert found(tmp_path, cli="import cnnkit.console\n", console="") == []
    assert found(tmp_path, console="import cnnkit.cli\n", cli="") != []


def test_within_a_folder_only_what_is_shared_is_imported(tmp_path: Path) -> None:
    package = tmp_path / "cnnkit" / "sources"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from cnnkit.sources.folder import Folder\n")
    (package / "base.py").write_text("")
    (package / "idx.py").write_text("")
    (package / "folder.py").write_text("from cnnkit.sources.base import Source\n")
    assert check_imports.find_problems(tmp_path / "cnnkit") == []
    (package / "folder.py").write_text("from cnnkit.sources.idx import Idx\n")
    (problem,) = check_imports.find_problems(tmp_path / "cnnkit")
    assert problem.startswith("cnnkit/sources/folder.py:1: sources/folder may not import sources/idx")


def test_a_file_that_stands_above_the_others_of_its_folder_may_import_them(tmp_path: Path) -> None:
    above = {"sources__archive": "from cnnkit.sources.idx import Idx\n", "sources__idx": "", "sources____init__": ""}
    assert found(tmp_path, **above) == []
    (problem,) = found(tmp_path, sources__idx="from cnnkit.sources.archive import Archive\n")
    assert problem.startswith("cnnkit/sources/idx.py:1: sources/idx may not import sources/archive")
    (problem,) = found(tmp_path, sources__idx="", sources__keras_datasets="import cnnkit.sources.archive\n")
    assert problem.startswith(
        "cnnkit/sources/keras_datasets.py:1: sources/keras_datasets may not import sources/archive"
    )
    (problem,) = found(tmp_path, sources__keras_datasets="from cnnkit.sources import AnySource\n")
    assert problem.startswith(
        "cnnkit/sources/keras_datasets.py:1: sources/keras_datasets may not import sources/__init"
    )


@pytest.mark.parametrize("library", ["typer", "rich", "yaml", "tensorflow", "keras"])
def test_some_libraries_have_one_user(tmp_path: Path, library: str) -> None:
    (problem,) = found(tmp_path, training=f"import {library}\n")
    assert problem.startswith(f"cnnkit/training.py:1: training may not import {library}, only ")


def test_a_module_without_a_level_is_told(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, surprise="")
    assert problem == "cnnkit/surprise.py:1: surprise has no level: add it to LEVELS in scripts/check_imports.py"


def test_a_file_that_is_no_python_is_told(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, errors="x = 1\ndef\n")
    assert problem.startswith("cnnkit/errors.py:2: not valid Python")


def test_an_empty_folder_does_not_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_imports.main([str(tmp_path)]) == 1
    assert "no import was checked" in capsys.readouterr().out
