"""What people call splits: from a name, of a folder or in a table, to the split that it means."""

from __future__ import annotations

import re

_WORDS: dict[str, str] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "validate", "valid", "vali", "val", "dev", "eval", "evaluation"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), "test"),
}

# What may be written on to such a word.
_BEHIND = r"(?:sets?|data|dataset|images?|imgs?|pics?|pictures?|photos?|samples?|split|folder|dir)?"

_WORD = re.compile(f"({'|'.join(sorted(_WORDS, key=len, reverse=True))}){_BEHIND}")

# The words of a name: in small letters, in capitals, or a capital and small letters: `seg_TRAIN`, `validData`, `test1`.
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def split_of(name: str) -> str | None:
    """The split that a name means, or None if it means none, or several.

    Capitals don't matter, nor what stands before, behind or between as words of their own: `Training`, `VAL`,
    `training_set`, `flowers-train`, `test1`, `TrainImages`. `trainval`, as VOC has it, is for training.

    That a name has such a word in it does not make it a split: `train_station` may be a class. What it is used for
    has to tell.
    """
    text = name.strip()
    parts = {part.lower() for part in (*_PART.findall(text), *re.findall("[A-Za-z]+", text))}
    if "trainval" in parts:
        return "train"
    found = {_WORDS[match[1]] for part in parts if (match := _WORD.fullmatch(part))}
    if found == {"train", "validation"}:
        return "train"
    return found.pop() if len(found) == 1 else None


def is_split_name(name: str) -> bool:
    """Whether a name is nothing but that of a split: `Training_Set`, `val2`; not `train_station`."""
    letters = re.sub("[^a-z]", "", name.lower())
    return split_of(name) is not None and (letters == "trainval" or _WORD.fullmatch(letters) is not None)
