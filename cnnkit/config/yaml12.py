"""YAML as version 1.2 defines it (core schema), with the place of every key and value.

PyYAML reads YAML 1.1, where a folder called `no` becomes `False`, `1e-3` a text and `017` the number 15, and
where of two equal keys the last silently wins. Only its parser is used here; what the texts mean is decided
below, by the rules of YAML 1.2.2, section 10.3.2. Limits keep a hostile file from costing time or memory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
Position = tuple[int, int]

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 50
MAX_VALUES = 20_000

_RULES: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda text: None),
    (re.compile(r"true|True|TRUE"), lambda text: True),
    (re.compile(r"false|False|FALSE"), lambda text: False),
    (re.compile(r"[-+]?[0-9]+"), int),
    (re.compile(r"0o[0-7]+"), lambda text: int(text[2:], 8)),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text[2:], 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda text: float("nan")),
)

# What PyYAML's parser says, in words that help; anything else is passed on as it is.
_HINTS = (
    ("'\\t'", "a tab; YAML is indented with spaces"),
    ("mapping values are not allowed", "a second `:` in one line; quote the text, or start a new line"),
    ("could not find expected ':'", "a key without `:` after it"),
    ("expected <block end>", "this line does not fit the indentation of the lines above"),
    ("found unexpected end of stream", "the quoted text that begins here never ends"),
    ("found unexpected document separator", "the quoted text that begins here never ends"),
    ("expected ',' or", "a `{` or `[` above is not closed, or a comma is missing"),
    ("expected the node content", "a value is missing here"),
    ("found unknown escape character", "in double quotes `\\` begins an escape; use single quotes"),
    (
        "expected alphabetic or numeric character",
        'a text that begins with `*` or `&` is put in quotes, for example "*/images/*"; in a shell within others: '
        "--set 'KEY=\"*/images/*\"'",
    ),
    ("cannot start any token", "a text can't begin with this character; put it in quotes"),
)


class YamlError(Exception):
    """The text is not YAML that is read here; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int = 1, column: int = 1):
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


@dataclass
class Tree:
    """What a text says, and where it says it.

    Attributes:
        values: Dicts, tuples, texts, numbers, booleans and None. A sequence is a tuple.
        places: Line and column of the value at a path such as `("augment", 0, "degrees")`.
        keys: Line and column of the key at a path.
        problems: (path, message, position) of what is wrong without making the rest unreadable.
    """

    values: Any = None
    places: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    problems: list[tuple[Path, str, Position]] = field(default_factory=list)


def parse(text: str) -> Tree:
    """Reads one YAML document.

    Raises:
        YamlError: The text is not YAML, or goes beyond the limits of this module.
    """
    if len(text) > MAX_CHARACTERS:
        raise YamlError(f"{len(text):,} characters; a config has at most {MAX_CHARACTERS:,}")
    try:
        return _Builder(yaml.parse(text, Loader=yaml.SafeLoader)).document()
    except yaml.MarkedYAMLError as error:
        problem = error.problem or error.context or "not YAML"
        quoted = (error.context or "").startswith("while scanning a quoted") and "escape" not in problem
        mark = (error.context_mark if quoted else None) or error.problem_mark or error.context_mark
        message = next((hint for sign, hint in _HINTS if sign in problem), problem)
        raise YamlError(message, *(_position(mark) if mark else (1, 1))) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line = before.count("\n") + 1
        column = error.position - (before.rfind("\n") + 1) + 1
        character = f"U+{ord(text[error.position]):04X}"
        raise YamlError(f"the character {character} has no place in a text file", line, column) from None


def scalar(text: str) -> Any:
    """What a plain (unquoted) text means.

    Raises:
        ValueError: A whole number of thousands of digits.
    """
    for pattern, convert in _RULES:
        if pattern.fullmatch(text):
            return convert(text)
    return text


def dump(values: Any) -> str:
    """Writes dicts, lists, tuples and scalars so that `parse` reads the same values again."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def line(values: Any) -> str:
    """Writes the same in one line, as the value behind a key."""
    style: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": math.inf, "default_flow_style": True}
    return str(yaml.dump(values, Dumper=_Dumper, **style)).removesuffix("\n...\n").removesuffix("\n")


class _Builder:
    """Builds a Tree from PyYAML's events, depth first."""

    def __init__(self, events: Iterator[Any]):
        self.events = events
        self.tree = Tree()
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0

    def document(self) -> Tree:
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return self.tree
        self.tree.values, _ = self._node(next(self.events), ())
        next(self.events)  # the document's end
        more = next(self.events)
        if not isinstance(more, yaml.StreamEndEvent):
            raise YamlError("a second document begins here; a config is one", *_position(more.start_mark))
        return self.tree

    def _node(self, event: Any, path: Path) -> tuple[Any, int]:
        """Returns the value and how many values it holds, aliases counted in full."""
        position = _position(event.start_mark)
        # Of a key that stands twice the first value is kept, and so its place.
        self.tree.places.setdefault(path, position)
        self.count += 1
        if self.count > MAX_VALUES:
            raise YamlError(f"more than {MAX_VALUES:,} values; a config has a few dozen", *position)
        if len(path) > MAX_DEPTH:
            raise YamlError(f"nested more than {MAX_DEPTH} deep", *position)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise YamlError(f"nothing above is named &{event.anchor}", *position)
            value, size = self.anchors[event.anchor]
        else:
            if event.tag not in (None, "!"):
                tag = event.tag.replace("tag:yaml.org,2002:", "!!")
                self.tree.problems.append((path, f"the tag {tag} means nothing in a config", position))
            if isinstance(event, yaml.ScalarEvent):
                value, size = self._scalar(event, position), 1
            elif isinstance(event, yaml.SequenceStartEvent):
                value, size = self._sequence(path)
            else:
                value, size = self._mapping(path)
            if event.anchor:
                self.anchors[event.anchor] = value, size
        if size > MAX_VALUES:
            raise YamlError(f"the aliases unfold to more than {MAX_VALUES:,} values", *position)
        return value, size

    def _scalar(self, event: Any, position: Position) -> Any:
        if event.tag == "!" or not event.implicit[0]:
            return event.value
        try:
            return scalar(event.value)
        except ValueError:
            raise YamlError(f"a number of {len(event.value):,} digits", *position) from None

    def _sequence(self, path: Path) -> tuple[tuple[Any, ...], int]:
        items: list[Any] = []
        total = 1
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            item, size = self._node(event, (*path, len(items)))
            items.append(item)
            total += size
        return tuple(items), total

    def _mapping(self, path: Path) -> tuple[dict[str, Any], int]:
        mapping: dict[str, Any] = {}
        total = 1
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            position = _position(event.start_mark)
            key = self._key(event, path, position)
            if key in mapping:
                line = self.tree.keys[*path, key][0]
                message = f"stands twice in this section, first in line {line}"
                self.tree.problems.append(((*path, key), message, position))
            else:
                self.tree.keys.setdefault((*path, key), position)
            # The value of a repeated key is read for the problems in it; the first one stands.
            value, size = self._node(next(self.events), (*path, key))
            mapping.setdefault(key, value)
            total += size
        return mapping, total

    def _key(self, event: Any, path: Path, position: Position) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise YamlError("a key is a word, not a list or a section", *position)
        if event.value == "<<" and event.implicit[0]:
            message = "YAML 1.2 has no merge key; write the settings out"
            self.tree.problems.append(((*path, "<<"), message, position))
        return str(event.value)


class _Dumper(yaml.SafeDumper):
    """Quotes a text exactly when `scalar` would not read it as text; writes lists of scalars in one line."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 (PyYAML's name for its table)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> Any:
        reads_as_text = not any(pattern.fullmatch(text) for pattern, _ in _RULES)
        plain = reads_as_text and re.fullmatch(r"[\w./][\w ./+-]*(?<! )", text)
        # PyYAML takes U+0085 for the end of a line, which single quotes can't keep.
        quotes = '"' if "\x85" in text else "'"
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else quotes)

    def represent_plain(self, value: Any) -> Any:
        """A number or a word, as YAML 1.2 spells those that Python spells differently."""
        text = repr(value)
        return self.represent_scalar("tag:yaml.org,2002:str", _SPELLED.get(text, text))

    def represent_sequence12(self, items: Any) -> Any:
        flow = self.default_flow_style or all(not isinstance(item, dict | list | tuple) for item in items)
        return self.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flow)


_SPELLED = {"None": "null", "True": "true", "False": "false", "inf": ".inf", "-inf": "-.inf", "nan": ".nan"}

_Dumper.add_representer(str, _Dumper.represent_text)
for plain in (float, int, bool, type(None)):
    _Dumper.add_representer(plain, _Dumper.represent_plain)
for items in (list, tuple):
    _Dumper.add_representer(items, _Dumper.represent_sequence12)


def _position(mark: Any) -> Position:
    return mark.line + 1, mark.column + 1
