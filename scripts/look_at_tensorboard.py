"""Opens TensorBoard on a run in a browser without a screen, and says whether it shows the run's figures.

    python scripts/look_at_tensorboard.py RUN [--picture FILE.png]

Starts TensorBoard, asks it for the curves of every figure in metrics.jsonl, and holds them against the file. Then
Chromium (`apt install chromium`) opens the page: there has to be a card for each figure over the epochs, with a curve
of as many points as the run has epochs, for training and for validation. `--picture` keeps what it looks like. Without
Chromium the first half is done, and the exit code is 2; it is 1 if something is missing. Some twenty seconds.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnkit import Run
from cnnkit.optimization.training_metrics import VALIDATION
from cnnkit.training.tracking.settings import scalars

PATIENCE = 60.0
"""Seconds until TensorBoard has to show what there is."""

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-3d-apis",  # TensorBoard then draws curves as SVG, which can be read
    "--virtual-time-budget=30000",
    "--window-size=1600,2600",
)


class Missing(Exception):
    """TensorBoard does not show something."""


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Starts TensorBoard on a folder and yields its address."""
    with tempfile.TemporaryFile("w+") as said:
        command = [
            sys.executable,
            "-m",
            "tensorboard.main",
            "--logdir",
            str(folder),
            "--host",
            "127.0.0.1",
            "--port",
            "0",
        ]
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            for _ in _until(PATIENCE):
                said.seek(0)
                if found := re.search(r"http://127\.0\.0\.1:\d+/", text := said.read()):
                    yield found[0]
                    return
                if process.poll() is not None:
                    raise Missing(f"TensorBoard has ended: {text}")
            raise Missing("TensorBoard did not start")
        finally:
            process.terminate()
            process.wait()


def _until(seconds: float) -> Iterator[None]:
    """Goes on for some seconds, with pauses."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.2)


def expected(run: Run) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """The curves over the epochs: from the name in TensorBoard and the tag to the points."""
    curves: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for epoch in run.history():
        for name, value in scalars(epoch):
            part = "validation" if name.startswith(VALIDATION) else "train"
            name = name.removeprefix(VALIDATION)
            tag = name if "/" in name else f"epoch/{name}"
            curves.setdefault((f"tensorboard/{part}", tag), []).append((epoch["epoch"], value))
    return curves


def check_curves(address: str, run: Run) -> None:
    """Holds the curves that TensorBoard hands out against metrics.jsonl."""
    for (name, tag), points in expected(run).items():
        shown: list[Any] = []
        for _ in _until(PATIENCE):
            if len(shown := _asked(address, name, tag)) >= len(points):
                break
        found = [(step, value) for _, step, value in shown]
        same = [at for at, _ in found] == [at for at, _ in points] and all(
            abs(one - other) <= 1e-5 * abs(other) for (_, one), (_, other) in zip(found, points, strict=True)
        )
        if not same:
            raise Missing(f"{tag} of {name} is {found}, and in metrics.jsonl {points}")


def _asked(address: str, name: str, tag: str) -> list[Any]:
    """The points of a curve: time, step and value each."""
    query = urllib.parse.urlencode({"run": name, "tag": tag})
    try:
        with urllib.request.urlopen(f"{address}data/plugin/scalars/scalars?{query}", timeout=10) as answer:
            points: list[Any] = json.load(answer)
            return points
    except OSError:  # not read yet
        return []


def check_page(page: str, run: Run) -> None:
    """Looks for a card of each figure over the epochs, and for its curves."""
    words = "".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())
    points = len(run.history())
    curves = re.findall(r'<path [^>]*d="(M[^"]*)"[^>]*stroke: ?rgb', page)
    drawn = sum(curve.count("L") == points - 1 for curve in curves)
    tags = {tag for _, tag in expected(run) if tag.startswith("epoch/")}
    missing = sorted(tag for tag in tags if tag not in words)
    if missing:
        raise Missing(f"the page has no card for {', '.join(missing)}")
    needed = sum(tag in tags for _, tag in expected(run))
    if drawn < needed:
        raise Missing(f"the page has {drawn} curves of {points} points, and {needed} are needed")


def browsed(browser: str, address: str, picture: Path | None) -> str:
    """The page as the browser has built it; and what it looks like, into a file."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *QUIET, f"--user-data-dir={profile}"]
        page = f"{address}#timeseries"
        if picture:
            shot = [*command, f"--screenshot={picture.absolute()}", page]
            subprocess.run(shot, check=True, capture_output=True, timeout=120)
        return subprocess.run(
            [*command, "--dump-dom", page], check=True, capture_output=True, text=True, timeout=120
        ).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    try:
        with tensorboard(run.folder) as address:
            check_curves(address, run)
            print(f"TensorBoard hands out {len(expected(run))} curves, as they stand in metrics.jsonl")
            if browser is None:
                print("there is no Chromium to look at the page with", file=sys.stderr)
                sys.exit(2)
            check_page(browsed(browser, address, arguments.picture), run)
            print("the page has a card for each figure over the epochs, with its curves")
    except Missing as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
