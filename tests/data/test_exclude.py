"""`data.exclude`: a list of images to leave out."""

from __future__ import annotations

import pytest

from cnnkit.config import file as config_file
from cnnkit.config.file import read
from cnnkit.core.errors import ConfigError, DataError
from cnnkit.core.progress import Progress
from cnnkit.data.section import Data, read_names
from cnnkit.data.sources import Folder
from cnnkit.runs.run import Run


def index_without(root, listed, **options):
    data = Data(source=Folder(path=str(root)), exclude=str(listed), **options)
    return data.index(data.source.open(Progress()), Progress())


@pytest.fixture
def listed(tmp_path):
    return tmp_path / "exclude.txt"


def test_what_is_listed_is_left_out_and_told(image_folder, listed):
    root = image_folder({"cat": 3, "dog": 2})
    listed.write_text("# copies of dog/0.png\ncat/1.png\n\ndog/0.png\n")
    index = index_without(root, listed)
    assert index.names == ["cat/0.png", "cat/2.png", "dog/1.png"]
    assert {entry.name: entry.reason for entry in index.unused} == dict.fromkeys(
        ["cat/1.png", "dog/0.png"], f"excluded by {listed}"
    )


@pytest.mark.parametrize("name", ["#1.png", " spaces .png", "ä ö.png", "'quoted'.png", "a,b.png"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_any_name_can_be_listed(image_folder, listed, name, ending):
    root = image_folder({"cat": [name, "1.png"], "dog": 1})
    listed.write_bytes(f"\ufeff./cat/{name}{ending}".encode())
    assert index_without(root, listed).names == ["cat/1.png", "dog/0.png"]


def test_a_name_that_begins_like_a_comment_is_written_with_its_folder(listed):
    listed.write_text("#comment\n./#1.png\n")
    assert read_names(str(listed)) == {"#1.png": 2}


def test_a_name_that_is_not_there_is_an_error_with_its_line(image_folder, listed):
    listed.write_text("# gone\ncat/0.png\ncat/9.png\ncat/8.png\n")
    with pytest.raises(DataError) as error:
        index_without(image_folder({"cat": 2, "dog": 1}), listed)
    (problem,) = error.value.problems
    assert (problem.file, problem.line) == (str(listed), 3)
    assert "`cat/9.png`" in problem.message
    assert "1 other" in problem.message


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"\0\1\2", "binary")])
def test_a_list_that_cannot_be_read_is_a_problem_of_the_config(image_folder, listed, tmp_path, content, reason):
    if content is not None:
        listed.write_bytes(content)
    image_folder({"cat": 3, "dog": 3})
    config = tmp_path / "config.yaml"
    config.write_text(
        "data:\n  source: {name: folder, path: images}\n  exclude: exclude.txt\nmodel: {name: resnet, depth: 20}\n"
    )
    with pytest.raises(ConfigError) as error:
        read(config)
    (problem,) = error.value.problems
    assert (problem.key, problem.line, problem.column) == ("data.exclude", 3, 12)
    assert reason in problem.message


def test_a_run_keeps_the_list(image_folder, listed, tmp_path):
    image_folder({"cat": 3, "dog": 3})
    listed.write_text("cat/0.png\n")
    config = tmp_path / "config.yaml"
    config.write_text(
        "data:\n  source: {name: folder, path: images}\n  exclude: exclude.txt\nmodel: {name: resnet, depth: 20}\n"
    )
    run = Run.create(read(config), tmp_path / "run")
    listed.unlink()
    stored = config_file.read(run.folder / "config.yaml").data.exclude
    assert stored == str(run.folder / "exclude.txt")
    assert read_names(stored) == {"cat/0.png": 1}
