"""The ``code`` of a program in a sweep file, and whether what it runs is there."""

from __future__ import annotations

import ast
import hashlib
import posixpath
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scaling.base import refuse_unknown
from scaling.programs import MODULE, VERSION, content
from sweeps.document import Document, Where, kind
from sweeps.programs.words import Word

SCRIPTS = (".py", ".sh")
_GIVE = "give code: {path: FOLDER}"


@dataclass(frozen=True)
class Code:
    """A program's code.

    Attributes
    ----------
    identity : str
        The hash of its content, what the user declares in its place, or nothing.
    path : Path or None
        Where it lies.
    files : tuple of str or None
        What was counted; None where nothing was.
    """

    identity: str = ""
    path: Path | None = None
    files: tuple[str, ...] | None = None


def read_code(document: Document, value: Any, where: Where) -> Code:
    """The ``code`` key: a path, ``{path: ...}`` or ``{version: ..., path: ...}``.

    Raises
    ------
    ValueError
        For another value, or a folder whose content cannot be counted.
    """
    if value is None:
        return Code()
    keys = {"path": value} if isinstance(value, str) else value
    keys = document.mapping(keys, where, ("path", "version"))
    for key, given in keys.items():
        if not isinstance(given, str) or not given:
            document.refuse(
                (*where, key), f"{key} of code must be a text, not {kind(given)}: quote it"
            )
    if not keys:
        document.refuse(where, f"code is empty: {_GIVE} or {{version: TEXT}}")
    path = None
    if "path" in keys:
        path = (document.folder / Path(keys["path"]).expanduser()).resolve()
        if not path.is_dir():
            what = "is a file: give its folder" if path.exists() else "is no folder"
            document.refuse((*where, "path"), f"code {keys['path']} ({path}) {what}")
    if "version" in keys:
        return Code(VERSION + keys["version"], path)
    assert path is not None
    try:
        found = content(path)
    except ValueError as error:
        document.refuse((*where, "path"), str(error))
    return Code(found.digest, path, found.files)


def check_files(document: Document, command: list[Word], code: Code, shell: bool) -> None:
    """Refuse a command with a script that is not where the command will look for it."""
    for word in () if shell else command:
        text = word.text.removeprefix("{code_dir}/")
        if "{" in text or not text.endswith(SCRIPTS) or posixpath.isabs(text):
            continue
        if code.path is None:
            document.refuse(
                word.where, f"{text} is a relative path, and no code says where it lies: {_GIVE}"
            )
        if code.files is None:
            if not (code.path / text).is_file():
                document.refuse(word.where, f"there is no {text} in code {code.path}")
        elif posixpath.normpath(text) not in code.files:
            if (code.path / text).is_file():
                document.refuse(
                    word.where, f"{text} is no part of code {code.path}: git ignores it"
                )
            near = get_close_matches(text, code.files, n=1)
            guess = f": did you mean {near[0]!r}?" if near else ""
            document.refuse(word.where, f"there is no {text} in code {code.path}{guess}")


def check_function(document: Document, value: Any, where: Where, code: Code) -> Code:
    """The code of a function ``module:name``: what is given, or the module where it is installed.

    Raises
    ------
    ValueError
        If it is not so written, or neither the module nor a function of that name is there.
    """
    module, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        document.refuse(where, f"function {value!r} is none: write it as module:name")
    top, *inner = module.split(".")
    if code.path is not None and (_is_module(code.path, top)):
        _check_defined(document, where, code.path, [top, *inner], name)
        return code
    spec = find_spec(top)
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        place = f"in code {code.path}" if code.path else "installed here"
        document.refuse(where, f"module {top} is not {place}: {_GIVE} that holds it")
    packages = list(spec.submodule_search_locations or ())
    source = Path(packages[0] if packages else str(spec.origin))
    _check_defined(document, where, source.parent, [top, *inner], name)
    if code.identity:
        return code
    try:
        found = content(source).digest if packages else _hash(source)
    except ValueError as error:
        document.refuse(where, str(error))
    return replace(code, identity=MODULE + found)


def _is_module(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name).is_dir()


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _check_defined(
    document: Document, where: Where, folder: Path, parts: list[str], name: str
) -> None:
    """Refuse a name that a module's source does not bind, as far as that can be told."""
    path = folder.joinpath(*parts)
    file = path.with_name(f"{path.name}.py")
    if not file.is_file():
        file = path / "__init__.py"
    if not file.is_file():
        if path.is_dir() or any(path.parent.glob(f"{path.name}.*")):  # no source to look at
            return
        document.refuse(where, f"there is no module {'.'.join(parts)} in {folder}")
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        document.refuse(where, f"{file}:{error.lineno}: {error.msg}")
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
    if name not in bound and "*" not in bound and "__getattr__" not in bound:
        if not bound:
            document.refuse(where, f"module {'.'.join(parts)} defines nothing, so no {name}")
        refuse_unknown(name, bound, f"function of {'.'.join(parts)}", document.at(where))
