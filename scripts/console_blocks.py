"""Runs the commands that the documentation shows, and puts what they print into it. So what it shows is true.

    python scripts/console_blocks.py            the short commands of README.md and docs/; writes what has changed
    python scripts/console_blocks.py --all      the long ones too (trainings: minutes)
    python scripts/console_blocks.py --check    writes nothing, tells what differs; exit code 1 if anything does

Comments in Markdown, which no reader sees, say what is run. All of a page is run in one folder, in its order; it holds
`configs` and `scripts` of the repository, and `cnnkit` is the command of this environment:

    <!-- run -->                  before a block: each line that begins with `$ ` is run, what it prints follows it
    <!-- run exit=2 -->           the same; the last command has to end with this exit code (0 if left out)
    <!-- run long -->             only with --all
    <!-- run first=4 last=20 -->  of the output these lines, and `...` between
    <!-- run svg=run.svg -->      the block drawn as a terminal too, in a file beside the page
    <!-- file flowers.yaml -->    before a block: what it holds is written to this file
    <!-- setup: mkdir photos -->  a command that the page does not show; `setup long:` as above

What differs from one machine to another (seconds, images a second; with --all every number) is no difference to
`--check`, and if nothing else differs the page stays as it is.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent

MARKED = re.compile(
    r"^<!-- (?:setup(?P<setup_long> long)?: (?P<setup>.+?)|file (?P<file>\S+)|run(?P<options>[^\n]*?)) -->\n"
    r"(?:\n*(?P<open>```\w*\n)(?P<body>.*?)(?P<close>^```$))?",
    re.MULTILINE | re.DOTALL,
)

VARYING = (
    (re.compile(r"\b(under a minute|about \d+ minutes?)\b"), "TIME"),
    (re.compile(r"[\d.,]+ (s\b|seconds?\b|images/s)"), r"# \1"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "HASH"),
    (re.compile(r" +"), " "),  # the width of a column follows from what stands in it
)

TERMINAL = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, monospace; font-size: {char_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
  <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""A terminal as rich draws it, without the fonts that it would have a browser fetch."""


class Page:
    """A page of the documentation and the folder in which its commands run.

    Args:
        path: The Markdown file.
        folder: An empty folder.
        long: Whether long commands are run too.
    """

    def __init__(self, path: Path, folder: Path, long: bool):
        self.path, self.long = path, long
        self.home = folder.resolve() / "home"
        self.home.mkdir()
        for name in ("configs", "scripts"):
            (self.home / name).symlink_to(ROOT / name)
        self.cache = folder.resolve() / "cache"
        self.pictures: dict[Path, str] = {}
        paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR")},
            **{"PATH": os.pathsep.join(paths), "CNNKIT_CACHE": str(self.cache)},
        }

    def renewed(self) -> str:
        """The page as it is with what its commands print now."""
        return MARKED.sub(self._renew, self.path.read_text(encoding="utf-8"))

    def _renew(self, found: re.Match[str]) -> str:
        if found["setup"]:
            if self.long or not found["setup_long"]:
                self._output_of(found["setup"], 0)
            return found[0]
        if found["body"] is None:
            raise SystemExit(f"{self.path}: no block follows {found[0].strip()}")
        if found["file"]:
            (self.home / found["file"]).write_text(found["body"], encoding="utf-8")
            return found[0]
        flags = found["options"].split()
        options = dict(flag.split("=") for flag in flags if "=" in flag)
        body, long = found["body"], "long" in flags
        if self.long or not long:
            fresh = "".join(self._blocks(body, options))
            if long or _plain(fresh) != _plain(body):
                body = fresh
        if "svg" in options:
            self.pictures[Path(os.path.normpath(self.path.parent / options["svg"]))] = drawn(body)
        return found[0].replace(found["body"], body)

    def _blocks(self, body: str, options: dict[str, str]) -> Iterator[str]:
        commands = [line for line in body.splitlines() if line.startswith("$ ")]
        first, last = int(options.get("first", 0)), int(options.get("last", 0))
        for number, command in enumerate(commands):
            final = number == len(commands) - 1
            lines = self._output_of(command[2:], int(options.get("exit", 0)) if final else 0).splitlines()
            if (first or last) and len(lines) > first + last:
                lines = [*lines[:first], "...", *lines[len(lines) - last :]]
            yield "\n".join([command, *(line.rstrip() for line in lines)]) + "\n" + "\n" * (not final)

    def _output_of(self, command: str, code: int) -> str:
        ended, output = run(command, self.home, self.environment)
        if ended != code:
            raise SystemExit(f"{self.path}: exit code {ended}, not {code}: {command}\n{output}")
        return output.replace(str(self.cache), "~/.cache/cnnkit").replace(str(self.home), "/home/you")


def run(command: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """How a command of the shell ends, and all that it prints."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    return done.returncode, done.stdout


def _plain(text: str, long: bool = False) -> str:
    """A text without what differs from machine to machine."""
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return re.sub(r"[\d.,]*\d", "#", text) if long else text


def drawn(block: str) -> str:
    """A block as a picture of a terminal."""
    lines = block.rstrip("\n").splitlines()
    console = Console(record=True, width=max(map(len, lines)) + 1, file=Path(os.devnull).open("w"))  # noqa: SIM115
    for line in lines:
        console.print(Text(line, style="bold" if line.startswith("$ ") else ""), soft_wrap=True)
    return console.export_svg(title="cnnkit", theme=MONOKAI, code_format=TERMINAL, unique_id="run")


def differences(path: Path, fresh: str, long: bool) -> list[str]:
    """Where a file differs from what it should be, line by line, but for what varies."""
    now = path.read_text(encoding="utf-8") if path.exists() else ""
    before, after = _plain(now, long).splitlines(), _plain(fresh, long).splitlines()
    return list(difflib.unified_diff(before, after, str(path), "as it is run now", lineterm="", n=0))


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs the commands that the documentation shows.")
    parser.add_argument("--all", action="store_true", help="run the long ones too")
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    parser.add_argument("pages", nargs="*", type=Path, help="Markdown files (README.md and all of docs/)")
    chosen = parser.parse_args()
    differs = False
    for path in chosen.pages or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        with tempfile.TemporaryDirectory(prefix="cnnkit-docs-") as folder:
            page = Page(path, Path(folder), chosen.all)
            files = {path: page.renewed(), **page.pictures}
        for file, fresh in files.items():
            if chosen.check:
                found = differences(file, fresh, chosen.all)
                differs |= bool(found)
                print("\n".join(found), end="\n" * bool(found))
            elif not file.exists() or file.read_text(encoding="utf-8") != fresh:
                print(f"{file} is new")
                file.write_text(fresh, encoding="utf-8")
    sys.exit(differs)


if __name__ == "__main__":
    main()
