"""Reading the files of a run: whatever is wrong with one is told by its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnkit.core.errors import TrainingError
from cnnkit.core.text import first_line


@contextmanager
def told(path: Path) -> Iterator[None]:
    """What is wrong with a file that is read within is told, so that another may be taken in its place.

    Raises:
        TrainingError: It is missing, the disk or its rights keep it from being read, or it is damaged (a ValueError).
    """
    try:
        yield
    except FileNotFoundError:
        raise TrainingError(f"{path} is missing") from None
    except OSError as error:
        raise TrainingError(f"{path} can't be read: {error.strerror or first_line(error)}") from None
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{path} is damaged: {first_line(error)}") from None


def json_object(path: Path, largest: int | None = None) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: The file.
        largest: Bytes that it has at the most, if it is one of ours.

    Raises:
        TrainingError: It is missing, can't be read or is damaged.
    """
    with told(path):
        if largest is not None and path.stat().st_size > largest:
            raise TrainingError(f"{path} is damaged: it is far too large")
        document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise TrainingError(f"{path} is damaged: it is not a JSON object")
    return document


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal digits.

    Raises:
        TrainingError: It is missing, or can't be read.
    """
    with told(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
