"""Sphinx: the pages of this folder, and the API reference from the docstrings. ``make docs``."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.rooms import PACKAGES, exports, is_door, room_of, rooms

project = "scaling-lab"
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
root_doc = "docs/index"
include_patterns = ["docs/**", "*.md", "benchmarks/RESULTS.md"]
html_theme = "furo"
html_title = "scaling-lab"
html_copy_source = False
html_show_copyright = False

nitpicky = True
nitpick_ignore_regex = [("py:class", ".*")]  # in signatures; what a docstring links to is checked
myst_enable_extensions = ["html_image", "dollarmath"]
myst_heading_anchors = 3
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"Array": "Array"}
numpydoc_show_class_members = False


def _sorted_names(room: str) -> dict[str, list[str]]:
    """The public names of a door by kind."""
    found: dict[str, list[str]] = {"class": [], "function": [], "data": []}
    door = importlib.import_module(room)
    for name in door.__all__:
        value = getattr(door, name)
        if not inspect.ismodule(value):
            kind = "class" if inspect.isclass(value) else "data"
            found["function" if inspect.isroutine(value) else kind].append(name)
    return found


def _entry(room: str, kind: str, name: str) -> str:
    value = getattr(importlib.import_module(room), name)
    if kind != "data":
        if inspect.isclass(value) and issubclass(value, Exception):
            kind = "exception"
        return f".. auto{kind}:: {room}.{name}\n\n"
    text = f".. py:data:: {name}\n   :type: {type(value).__name__}\n"
    if isinstance(value, Mapping):
        return f"{text}\n   {', '.join(f'``{key}``' for key in value)}\n\n"
    if isinstance(value, int | float | str | tuple | frozenset) and len(repr(value)) < 200:
        return f"{text}   :value: {value!r}\n\n"
    return f"{text}\n"


def _page(room: str) -> str:
    """A room's page: what its door offers, with links to what another room's page describes."""
    text = f"{room}\n{'=' * len(room)}\n\n.. automodule:: {room}\n   :no-members:\n\n"
    links = []
    for kind, names in _sorted_names(room).items():
        for name in sorted(names):
            origin = room_of(exports(room).get(name, room))
            if origin != room and is_door(origin):
                links.append(f"* :py:obj:`{room}.{name} <{origin}.{name}>`\n")
            else:
                text += _entry(room, kind, name)
    return text + "".join(links)


def write_api(app: Any) -> None:
    """Write a page for each door, and their index."""
    folder = Path(app.srcdir) / "docs" / "api"
    folder.mkdir(exist_ok=True)
    doors = [room for room in rooms() if is_door(room) and not room.endswith((".cli", ".commands"))]
    pages = {room: _page(room) for room in (*PACKAGES, *doors)}
    for package in PACKAGES:
        inside = "".join(f"   {room}\n" for room in doors if room.startswith(f"{package}."))
        pages[package] += f"\n.. toctree::\n   :maxdepth: 1\n\n{inside}"
    for room, text in pages.items():
        page = folder / f"{room}.rst"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def name_aliases(app: Any, what: str, name: str, value: Any, options: Any, *text: str) -> Any:
    """``Array`` in signatures, where autodoc writes how it stands for it."""
    return [re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", one or "") or None for one in text]


def setup(app: Any) -> None:
    """Have the API's pages written before Sphinx looks for them."""
    app.connect("builder-inited", write_api)
    app.connect("autodoc-process-signature", name_aliases)
