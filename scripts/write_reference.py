"""Writes the pages of docs/reference/generated/ from what cnnkit says of itself: `--help`, `list --json` and `schema`.

They are made anew whenever the documentation is built, and no copy of them is kept, so none can fall behind the code.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "generated"

TITLES = {
    "architectures": "Networks: what `model` may name",
    "layers": "Layers: what `model.layers` of `sequential` may hold",
    "sources": "Sources of images: what `data.source` may name",
    "preparations": "Preparation: what `data.prepare` may hold",
    "augmentations": "Augmentation: what `augment` may hold",
    "balances": "Balance: what `data.balance` may name",
    "losses": "Losses: what `train.loss` may name",
    "optimizers": "Optimizers: what `train.optimizer` may name",
    "schedules": "Schedules: what `train.schedule` may name",
    "clips": "Clipping: what `train.clip` may name",
    "trackers": "Tracking: what `train.track` may hold",
    "sections": "The file and its sections",
}


def cnnkit(*arguments: str) -> str:
    """What a command prints."""
    environment = {**os.environ, "TYPER_USE_RICH": "0", "COLUMNS": "100"}
    command = [sys.executable, "-m", "cnnkit", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.replace("python -m cnnkit", "cnnkit")


def commands() -> Iterator[str]:
    """A page of the help of every command."""
    overview = cnnkit("--help")
    yield f"# Commands\n\n```text\n{overview.strip()}\n```\n"
    for name in re.findall(r"^  ([a-z-]+)  ", overview.split("Commands:")[1], re.MULTILINE):
        yield f"\n## `cnnkit {name}`\n\n```text\n{cnnkit(name, '--help').strip()}\n```\n"


def kind(name: str, sections: list[dict[str, Any]]) -> Iterator[str]:
    """A page of everything of a kind, each with its settings."""
    yield f"# {TITLES.get(name, name)}\n"
    for section in sections:
        yield f"\n## `{section['name']}`\n\n{_text(section['doc'])}\n"
        if section["options"]:
            yield "\n| setting | type | default | meaning |\n|---|---|---|---|\n"
        for option in section["options"]:
            default = option["default"] if option["default"] in ("required", "see there") else f"`{option['default']}`"
            yield f"| `{option['name']}` | {_text(option['type'])} | {default} | {_text(option['doc'])} |\n"


def networks(variants: list[dict[str, Any]]) -> Iterator[str]:
    """The table of the networks that papers have."""
    yield "\n## Every network by name\n\n"
    yield "| `model` | images it is for | smallest image | stages | paper |\n|---|---|---|---|---|\n"
    for variant in variants:
        model = ", ".join(f"{key}: {_yaml(value)}" for key, value in variant["model"].items())
        shape, side = " x ".join(map(str, variant["image_shape"])), variant["smallest_image"]
        stages = ", ".join(variant["stages"])
        yield f"| `{{{model}}}` | {shape} | {side} x {side} | {stages} | {_text(variant['paper'])} |\n"


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    """A text as Markdown: what is code in it stays so, all else means itself."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*_<>\[\]$\\])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts).replace("|", "\\|")


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()  # there is nothing to choose, and `--help` writes nothing
    shutil.rmtree(REFERENCE, ignore_errors=True)
    REFERENCE.mkdir(parents=True)
    pages = {"commands": commands()}
    pages |= {name: kind(name, sections) for name, sections in json.loads(cnnkit("list", "--json")).items()}
    for name, parts in pages.items():
        text = "".join(parts)
        if name == "architectures":
            text += "".join(networks(json.loads(cnnkit("list", name, "--json"))["variants"]))
        (REFERENCE / f"{name}.md").write_text(text, encoding="utf-8")
    (REFERENCE / "cnnkit.schema.json").write_text(cnnkit("schema"), encoding="utf-8")


if __name__ == "__main__":
    main()
