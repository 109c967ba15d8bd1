"""What the documentation shows is what the commands print, and a block that says something else is found."""

from __future__ import annotations

import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import console_blocks
import pytest
import write_reference

from cnnkit.commands.main import main

ROOT = Path(console_blocks.ROOT)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = [page for page in PAGES if "<!-- run" in page.read_text(encoding="utf-8")]


PROGRAM = re.compile(r"(?P<words>(?:cnnkit|python scripts/\w+\.py) [^|;&<>$`*~]*)(?:\| (?P<rest>.*))?")
"""A program of ours, whose output may go through a pipe, and nothing that only a shell understands."""

run_in_a_shell = console_blocks.run


def run_here(command: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """What `console_blocks.run` gives; what our programs import is imported once, not by each of them."""
    found = PROGRAM.fullmatch(command)
    if found is None:
        return run_in_a_shell(command, folder, environment)
    program, *words = shlex.split(found["words"])
    written, beside, code = io.BytesIO(), io.BytesIO(), 0
    printed, told = (io.TextIOWrapper(each, encoding="utf-8", write_through=True) for each in (written, beside))
    stderr = printed if found["rest"] is None else told  # which goes through no pipe
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(printed), redirect_stderr(stderr):
        patched.chdir(folder)
        for name in os.environ.keys() - environment.keys():
            patched.delenv(name)
        for name, value in environment.items():
            patched.setenv(name, value)
        patched.setattr(sys, "argv", [program, *words] if program == "cnnkit" else words)
        try:
            if program == "cnnkit":
                main(own_process=False)
            else:
                runpy.run_path(words[0], run_name="__main__")
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    output = written.getvalue()
    if found["rest"] is None:
        return code, output.decode()
    piped = subprocess.run(["sh", "-c", found["rest"]], cwd=folder, input=output, capture_output=True)
    return piped.returncode, (beside.getvalue() + piped.stdout + piped.stderr).decode()


class Checked(NamedTuple):
    """What `console_blocks --check` comes to."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Checked]:
    """Checks pages."""

    def check(*pages: Path) -> Checked:
        monkeypatch.setattr(console_blocks, "run", run_here)
        monkeypatch.setattr(sys, "argv", [console_blocks.__file__, "--check", *map(str, pages)])
        with pytest.raises(SystemExit) as ended:
            console_blocks.main()
        told = "" if isinstance(ended.value.code, int) else f"{ended.value.code}\n"
        out, err = capsys.readouterr()
        return Checked(int(ended.value.code) if not told else 1, out, err + told)

    return check


@pytest.mark.parametrize("page", RUN, ids=[str(page.relative_to(ROOT)) for page in RUN])
def test_what_a_page_shows_is_what_its_short_commands_print(page: Path, checked: Callable[..., Checked]) -> None:
    assert checked(page) == (0, "", "")


def test_the_script_is_a_program_that_gives_what_it_does_here(tmp_path: Path, checked: Callable[..., Checked]) -> None:
    block = "<!-- run exit=1 -->\n```console\n$ cnnkit check no.yaml | grep nothing\nfine\n```\n\n"
    path = page(tmp_path, f"{block}<!-- run -->\n```console\n$ cnnkit --version\n```\n")
    script = [sys.executable, console_blocks.__file__, "--check", str(path)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=300)
    assert "no.yaml" in done.stdout
    assert checked(path) == (done.returncode, done.stdout, done.stderr) and done.returncode == 1


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text)
    return path


def test_a_block_that_is_no_longer_true_is_named(tmp_path: Path, checked: Callable[..., Checked]) -> None:
    done = checked(page(tmp_path, "<!-- run -->\n```console\n$ echo one; echo two\none\nthree\n```\n"))
    assert done.returncode == 1
    assert "-three" in done.stdout
    assert "+two" in done.stdout
    assert "one" not in done.stdout.replace("done", "")


def test_seconds_are_no_difference_and_counts_are(tmp_path: Path, checked: Callable[..., Checked]) -> None:
    block = "<!-- run -->\n```console\n$ echo 3 images, 480 images/s, 2.5 s\n{}\n```\n"
    assert checked(page(tmp_path, block.format("3 images, 3,100 images/s, 11 s"))).returncode == 0
    assert checked(page(tmp_path, block.format("4 images, 480 images/s, 2.5 s"))).returncode == 1


def test_a_command_has_to_end_as_the_page_says(tmp_path: Path, checked: Callable[..., Checked]) -> None:
    block = "<!-- run{} -->\n```console\n$ exit 3\n```\n"
    assert checked(page(tmp_path, block.format(" exit=3"))).returncode == 0
    done = checked(page(tmp_path, block.format("")))
    assert done.returncode == 1
    assert "exit code 3, not 0: exit 3" in done.stderr


def test_long_commands_are_run_when_asked_only(tmp_path: Path) -> None:
    path = page(tmp_path, "<!-- run long -->\n```console\n$ touch ran; echo anew\nbefore\n```\n")
    (tmp_path / "home").mkdir()
    for long, output in ((False, "before"), (True, "anew")):
        folder = tmp_path / str(long)
        folder.mkdir()
        assert f"\n{output}\n" in console_blocks.Page(path, folder, long).renewed()
        assert (folder / "home" / "ran").exists() == long


def test_files_are_written_and_output_is_cut_where_the_page_says(tmp_path: Path) -> None:
    text = (
        "<!-- file a.txt -->\n```text\n1\n2\n3\n4\n```\n\n<!-- run first=1 last=1 -->\n```console\n$ cat a.txt\n```\n"
    )
    renewed = console_blocks.Page(page(tmp_path, text), tmp_path, False).renewed()
    assert renewed.endswith("```console\n$ cat a.txt\n1\n...\n4\n```\n")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_what_the_pages_of_the_root_link_to_is_there(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_reference_keeps_what_would_mean_something_in_markdown() -> None:
    option = {"name": "fit", "type": "crop | pad", "default": "crop", "doc": "Either <a> or `b_c`, see [d]."}
    text = "".join(write_reference.kind("kinds", [{"name": "data", "doc": "Images.", "options": [option]}]))
    assert "| `fit` | crop \\| pad | `crop` | Either \\<a\\> or `b_c`, see \\[d\\]. |" in text
