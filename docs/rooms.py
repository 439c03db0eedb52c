"""The rooms of the four packages and who imports whom, read from the code itself.

A room is a folder of a package, or a file that lies directly in one. Imports inside functions and
for type checking count, and so does a module's name in quotes (``import_module("sweeps.cli")``).
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("scaling", "sweeps", "cluster", "analysis")


@dataclass(frozen=True)
class Import:
    """One import in one of our files.

    Attributes
    ----------
    file : str
        Path below the repository's root.
    line : int
    source, target : str
        Modules; ``target`` is a package where the import goes through its ``__init__``.
    room : str
        The room behind ``target``; empty where it is none of ours.
    typing : bool
        Whether it is for type checking only.
    """

    file: str
    line: int
    source: str
    target: str
    room: str
    typing: bool


@cache
def modules() -> dict[str, Path]:
    """Our modules and packages by name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_door(module: str) -> bool:
    """Whether it is a package, entered through its ``__init__``."""
    return modules()[module].name == "__init__.py"


def folder_of(module: str) -> str:
    """The package that a module lies in, or is."""
    return module if is_door(module) else module.rpartition(".")[0]


def room_of(module: str) -> str:
    """The room of a module: its folder, or itself if it lies directly in one of the four."""
    folder = folder_of(module)
    return module if folder in PACKAGES else folder


def within(inner: str, outer: str) -> bool:
    """Whether a module or room is the other, or lies in it."""
    return f"{inner}.".startswith(f"{outer}.")


def rooms() -> dict[str, list[Path]]:
    """The files of each room; the four packages' own ``__init__`` are no room."""
    found = defaultdict(list)
    for module, path in modules().items():
        if module not in PACKAGES:
            found[room_of(module)].append(path)
    return dict(found)


@cache
def exports(door: str) -> dict[str, str]:
    """What a door offers: names, and the modules that they come from."""
    path = modules()[door]
    stub = path.with_suffix(".pyi")
    found = {}
    for node in ast.parse((stub if stub.exists() else path).read_text()).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                origin = str(node.module or alias.name)
                found[alias.asname or alias.name] = f"{door}.{origin}" if node.level else origin
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import in our files, by whatever name and wherever it stands."""
    return tuple(dict.fromkeys(found for module in modules() for found in _imports(module)))


def _imports(module: str) -> Iterator[Import]:
    path = modules()[module]
    tree = ast.parse(path.read_text())
    typing = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}:{node.lineno}: write the whole name of what it imports")
            targets = [(str(node.module), alias.name) for alias in node.names]
        elif isinstance(node, ast.Constant) and "." in str(node.value) and node.value in modules():
            targets = [(str(node.value), "")]
        else:
            continue
        for target, name in targets:
            yield Import(
                str(path.relative_to(ROOT)),
                node.lineno,
                module,
                *_resolved(target, name),
                id(node) in typing,
            )


def _resolved(target: str, name: str) -> tuple[str, str]:
    """The module that an import enters, and the room that it means."""
    if target not in modules():
        return target, ""
    offered = exports(target) if is_door(target) else {}
    if name in offered:
        return target, room_of(offered[name] if target in PACKAGES else target)
    inner = f"{target}.{name}"
    if inner in modules():
        return inner, room_of(inner)
    return target, room_of(target)


def arrows() -> dict[str, set[str]]:
    """For each room the rooms that it needs; a room inside another uses its files freely."""
    found: dict[str, set[str]] = {room: set() for room in rooms()}
    for one in imports():
        source = room_of(one.source)
        if source in found and one.room in found and not within(source, one.room):
            found[source].add(one.room)
    return found
