"""What a user plugs in: by import path ``module:name``, or by an entry point of a package.

A part of a run that comes from outside is identified by its source: the version of the installed
distribution it is in, ``SCALING_VERSION`` where its module declares one, else the content of the
top-level package (or single module) that it lies in.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

GROUPS = {
    kind: f"scaling.{name}"
    for kind, name in {
        "family": "families",
        "data set": "data",
        "law": "laws",
        "sweep shape": "sweeps",
    }.items()
}
"""What a package may add -> the group of its entry points."""

VERSION = "SCALING_VERSION"
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_import_path(name: str) -> bool:
    """Whether ``name`` is written as ``module:name``."""
    return _PATH.fullmatch(name) is not None


def load(path: str) -> Any:
    """What stands at ``module:name``; modules beside the current folder are found last.

    Raises
    ------
    ValueError
        If there is no such module or name in it, or importing it fails.
    """
    module_name, _, attribute = path.partition(":")
    search_in(Path.cwd())
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(
                f"{path}: there is no module {error.name}: install it, set PYTHONPATH, or run "
                "from the folder that it is in"
            ) from None
        raise ValueError(f"{path}: importing {module_name} fails: {error}") from None
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path}: importing {module_name} fails: {said}") from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            near = get_close_matches(name, dir(found), 1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise ValueError(f"{path}: {module_name} has no {name}{hint}")
        found = getattr(found, name)
    return found


def plugged(kind: str) -> Mapping[str, str]:
    """By name, the import paths that installed packages offer of one of :data:`GROUPS`."""
    return _entry_points().get(kind, {})


@cache
def _entry_points() -> dict[str, dict[str, str]]:
    found = metadata.entry_points()
    return {
        kind: {point.name: point.value for point in found.select(group=group)}
        for kind, group in GROUPS.items()
    }


def path_of(kind: str, name: str) -> str:
    """The import path that ``name`` means; empty for what is not plugged in."""
    return plugged(kind).get(name) or (name if is_import_path(name) else "")


def sources(paths: Iterable[str]) -> dict[str, str]:
    """What identifies the source of each import path; empty ones are left out."""
    return {path: source_of(path) for path in sorted({p for p in paths if p})}


@cache
def source_of(path: str) -> str:
    """The version of the distribution, ``version:`` and what the module declares, or a hash.

    The hash is 16 hexadecimal digits of SHA-256 over the Python files of the top-level package.
    """
    load(path)
    module = sys.modules[path.partition(":")[0]]
    declared = getattr(module, VERSION, None)
    if declared is not None:
        return f"version:{declared}"
    top = module.__name__.partition(".")[0]
    places = _places(top)
    if any({"site-packages", "dist-packages"} & set(place.parts) for place in places):
        names = metadata.packages_distributions().get(top, ())
        if names:
            return f"{names[0]}=={metadata.version(names[0])}"
    digest = hashlib.sha256()
    for name, file in source_files(top):
        content = file.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def source_files(top: str) -> list[tuple[str, Path]]:
    """The Python files of a top-level package or module, each with its name below ``sys.path``."""
    files = []
    for place in _places(top):
        found = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        files += [(file.relative_to(place.parent).as_posix(), file) for file in found]
    return sorted(files)


def own_folders(paths: Iterable[str]) -> dict[str, Path]:
    """By top-level module, the folder that it is imported from; installed ones are left out."""
    tops = sorted({path.partition(":")[0].partition(".")[0] for path in paths})
    folders = {top: place.parent for top in tops for place in _places(top)}
    installed = {"site-packages", "dist-packages"}
    return {top: folder for top, folder in folders.items() if not installed & set(folder.parts)}


def search_in(folder: Path) -> None:
    """Look for modules in ``folder`` too, after all else."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _places(top: str) -> list[Path]:
    spec = find_spec(top)
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [Path(location).resolve() for location in spec.submodule_search_locations]
    return [Path(spec.origin).resolve()] if spec.has_location and spec.origin else []
