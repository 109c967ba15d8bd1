"""What a config may say of folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnkit.config.file import read
from cnnkit.core.errors import ConfigError

MODEL = "model: {name: resnet, depth: 20}"


def problems(file: Path, split: str, data: str = "", source: str = "{name: digits}") -> dict[str, str]:
    """Message of each problem by its key."""
    file.write_text(f"data: {{source: {source}, split: {{{split}}}, {data}}}\n{MODEL}\n")
    try:
        read(file)
    except ConfigError as error:
        return {str(problem.key): problem.message for problem in error.problems}
    return {}


@pytest.mark.parametrize(
    ("split", "data", "expected"),
    [
        ("folds: 5, fold: 5", "", {}),
        ("folds: 5, fold: 6", "", {"data.split.fold": "there are 5 folds, from 1 to 5"}),
        ("fold: 2", "", {"data.split.fold": "says which of how many folds? set data.split.folds too"}),
        (
            "folds: 4",
            "",
            {
                "data.split.folds": "a run judges on one fold: set data.split.fold, from 1 to 4, or leave folds out "
                "and train all of them with --folds 4"
            },
        ),
        (
            "folds: 5, fold: 1, test: 0.2",
            "",
            {"data.split.test": "the test split is one of the folds; leave this out, or set it to null"},
        ),
        ("folds: 5, fold: 1", "limit: 4", {"data.limit": "should be at least 5, an image a class for each fold"}),
        ("folds: 5, fold: 1", "limit: 5", {}),
        (
            "folds: 2, fold: 1, validation: 0.5",
            "",
            {"data.split": "0.5 for test and 0.5 for validation leaves nothing"},
        ),
    ],
)
def test_a_fold_is_one_of_some_and_takes_the_place_of_the_test_share(tmp_path, split, data, expected):
    found = problems(tmp_path / "mine.yaml", split, data)
    assert found.keys() == expected.keys()
    assert all(found[key].startswith(message) for key, message in expected.items())


@pytest.mark.parametrize("split", ["folds: 1, fold: 1", "folds: 5, fold: 0", "folds: many, fold: 1"])
def test_what_is_no_number_of_folds_is_named(tmp_path, split):
    assert problems(tmp_path / "mine.yaml", split)


def test_a_source_with_a_split_of_its_own_has_no_folds(tmp_path):
    for folder in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / "d" / folder).mkdir(parents=True)
        (tmp_path / "d" / folder / "0.png").touch()
    source = f"{{name: folder, path: {tmp_path / 'd'}}}"
    found = problems(tmp_path / "mine.yaml", "folds: 5, fold: 1", source=source)
    assert found["data.split.folds"] == (
        "the source has a test split of its own, and folds divide all images anew; train without folds, or name a "
        "source without that split"
    )
