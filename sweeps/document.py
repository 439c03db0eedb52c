"""A YAML file as plain values that remember their lines, so that an error can name one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from scaling.base import refuse_unknown

Where = tuple[str | int, ...]
MAX_VALUES = 500_000  # far above any sweep; aliases of aliases can mean more than memory holds


class PlacedError(ValueError):
    """What is wrong with a run, and the place in its sweep file that is to blame."""

    def __init__(self, message: str, where: Where) -> None:
        super().__init__(message)
        self.where = where


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with ``1e6`` a number as YAML 1.2 has it (1.1 reads a text)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")
}


@dataclass(frozen=True)
class Document:
    """``value``: the plain content. ``lines``: the line of each key and item, by its path.

    ``info`` is what is known of the data, where it is not to be looked up by their name.
    """

    value: Any
    source: str = ""
    lines: Mapping[Where, int] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    info: Any = None

    def at(self, where: Where) -> str:
        """``file:line: `` of the nearest known place, empty for a document without a file."""
        while where and where not in self.lines:
            where = where[:-1]
        line = f":{self.lines[where]}" if where in self.lines else ""
        return f"{self.source}{line}: " if self.source else ""

    def refuse(self, where: Where, message: str) -> NoReturn:
        """Raise ``ValueError`` at a place."""
        raise ValueError(f"{self.at(where)}{message}")

    def mapping(self, value: Any, where: Where, valid: tuple[str, ...] = ()) -> dict[str, Any]:
        """``value`` as a mapping of names, all of them ``valid`` (any name if that is empty)."""
        if not isinstance(value, Mapping):
            self.refuse(where, f"{called(where)} must be a mapping (key: value), not {kind(value)}")
        for key in value:
            if not isinstance(key, str):
                self.refuse((*where, key), f"key {key!r} is {kind(key)}, not a name: quote it")
            if valid and key not in valid:
                refuse_unknown(key, valid, "key", self.at((*where, key)))
        return dict(value)


def called(where: Where) -> str:
    """What stands at a place, in words: its name, or which item of what."""
    if not where:
        return "a sweep file"
    last = where[-1]
    return f"item {last + 1} of {called(where[:-1])}" if isinstance(last, int) else last


def kind(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return "nothing"
    names = {bool: "true/false", int: "a number", float: "a number", str: "a text"}
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"{names.get(type(value), type(value).__name__)} ({value!r})"


def read_document(path: Path) -> Document:
    """The YAML file ``path``; safe tags only, no duplicate keys, anchors and merges allowed.

    Raises
    ------
    ValueError
        If the file is not such YAML; the message has the line.
    OSError
        If it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file: a sweep file is YAML in UTF-8") from None
    return parse_document(text, str(path), path.parent)


def parse_document(text: str, source: str = "", folder: Path | None = None) -> Document:
    """YAML ``text``; see :func:`read_document`."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        reader = _Reader(loader, source)
        value = reader.plain(node, ()) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ValueError(f"{source}{line}: not YAML: {problem}") from None
    except RecursionError:
        raise ValueError(f"{source}: nested too deeply for a sweep file") from None
    finally:
        loader.dispose()
    return Document(value, source, reader.lines, folder or Path())


class _Reader:
    """Walks the nodes of one document."""

    def __init__(self, loader: _Loader, source: str) -> None:
        self.loader = loader
        self.source = source
        self.lines: dict[Where, int] = {}
        self.open: set[int] = set()

    def plain(self, node: yaml.Node, where: Where) -> Any:
        if len(self.lines) > MAX_VALUES:
            self.fail(node, f"the file has more than {MAX_VALUES} values: write fewer aliases")
        self.lines.setdefault(where, node.start_mark.line + 1)
        if node.tag not in _TAGS:
            self.fail(node, f"tag {node.tag!r} is not allowed: write plain values")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if id(node) in self.open:
            self.fail(node, "an anchor contains itself")
        self.open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            value: Any = self.pairs(node, where)
        else:
            value = [self.plain(item, (*where, i)) for i, item in enumerate(node.value)]
        self.open.discard(id(node))
        return value

    def pairs(self, node: yaml.MappingNode, where: Where) -> dict[Any, Any]:
        first: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.fail(key_node, "a key must be a name")
            key = self.scalar(key_node)
            line = key_node.start_mark.line + 1
            if key in first:
                self.fail(key_node, f"key {key!r} was given before, in line {first[key]}")
            first[key] = line
            self.lines[(*where, key)] = line
        self.loader.flatten_mapping(node)
        return {
            key: self.plain(value, (*where, key))
            for key, value in ((self.loader.construct_object(k), v) for k, v in node.value)
        }

    def scalar(self, node: yaml.Node) -> Any:
        try:
            return self.loader.construct_object(node)
        except ValueError:
            text = node.value if len(node.value) <= 40 else f"{node.value[:40]}..."
            self.fail(node, f"{text!r} is no date or number that can be read: quote it as a text")

    def fail(self, node: yaml.Node, message: str) -> NoReturn:
        raise ValueError(f"{self.source}:{node.start_mark.line + 1}: {message}")
