"""The content of a program's code: its hash, which is identity, and the copy that runs use.

Counted is what git tracks, as it lies there now, and what it neither tracks nor ignores; without
git all files. Hidden files, caches, results and our own sweep files are left out where git does
not track them (sweep files always: a longer sweep is the same program).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scaling.base import Store

MAX_FILES = 20_000
MAX_BYTES = 500e6
VERSION = "version:"  # before what the user declares in place of a hash
MODULE = "module:"  # before the hash of an installed module, which is not copied
# At the top of the folder, unless they are packages of Python.
OUTPUTS = frozenset(
    ["runs", "outputs", "multirun", "lightning_logs", "wandb", "mlruns", "checkpoints", "logs"]
)
CACHES = frozenset({"__pycache__", "node_modules", "venv"})
RESULTS = frozenset(
    [".pyc", ".pyo", ".log", ".pt", ".pth", ".ckpt", ".safetensors", ".png", ".pdf", ".html"]
)
_SWEEP = re.compile(rb"^(program:|train:\s*[\w.]+:\w+\s*(#.*)?$)", re.MULTILINE)
_SHAPE = re.compile(
    rb"^(grid|isoflop|ladder|runs|compound|single_axis|coefficient_search|design_space):",
    re.MULTILINE,
)
_HEAD = 1 << 16  # bytes that tell a sweep file from others


class Content(NamedTuple):
    """What a folder holds: its hash, and the names of its files."""

    digest: str
    files: tuple[str, ...]


def content(path: Path) -> Content:
    """The hash of the code in the folder ``path``, and its files, relative, in order.

    16 hexadecimal digits of SHA-256 over names, modes and bytes; a symbolic link counts by the
    text of its target. In a git checkout only what lies under ``path`` counts.

    Raises
    ------
    ValueError
        If there is no such folder or nothing in it, git cannot list it, or it holds more than
        20,000 files or 500 MB.
    """
    if not path.is_dir():
        what = "is a file: give its folder" if path.exists() else "is no folder"
        raise ValueError(f"code {path} {what}")
    if _is_store(path):
        raise ValueError(
            f"code {path} is a store of runs, whose content changes: keep code and SCALING_HOME in "
            "folders of their own"
        )
    files: list[str] = []
    for name in _listed(path):
        files.append(name)
        if len(files) > MAX_FILES:
            raise ValueError(_too_much(path, f"more than {MAX_FILES} files"))
    if not files:
        raise ValueError(f"code {path} holds no files")
    size = sum((path / name).lstat().st_size for name in files)
    if size > MAX_BYTES:
        raise ValueError(_too_much(path, f"{size / 1e6:.0f} MB"))
    files.sort()
    return Content(_digest(path, files), tuple(files))


def _too_much(path: Path, found: str) -> str:
    return (
        f"code {path} holds {found}, the limit is {MAX_FILES} files and {MAX_BYTES / 1e6:.0f} MB: "
        "name a smaller folder, let git ignore data and results, or declare version: in place of "
        "the content"
    )


def snapshot(store: Store, path: Path, digest: str) -> Path:
    """The folder ``ROOT/programs/<digest>`` with the code in ``path``, read-only.

    Made once; later edits of ``path`` do not reach it.

    Raises
    ------
    ValueError
        If the content of ``path`` is another by now.
    """
    target = _copy_of(store, digest)
    if target.is_dir():
        return target
    try:
        found = content(path)
    except ValueError as error:
        raise ValueError(f"{error}: expand the sweep file again") from None
    # Made under another name first: a worker never sees half of it.
    partial = target.with_name(f".{target.name}.{secrets.token_hex(3)}")
    try:
        for name in found.files:
            _copy(path, name, partial)
        # Of the copy: a file may have changed between the two.
        if digest != _digest(partial, found.files, path):
            raise ValueError(
                f"the code in {path} has changed since the sweep was expanded ({digest} then, "
                f"{found.digest} now): expand the sweep file again"
            )
        partial.replace(target)
    except FileNotFoundError as error:
        raise ValueError(f"the code in {path} is being changed: {error.filename} went") from None
    except OSError:
        if not target.is_dir():  # else another submission made the same meanwhile
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def is_copied(code: str) -> bool:
    """Whether ``Program.code`` is the hash of a folder, of which runs use a copy."""
    return bool(code) and not code.startswith((VERSION, MODULE))


def code_folder(store: Store, code: str, path: str) -> Path | None:
    """Where a run finds its code: the copy, or ``path`` where a version was declared; or nowhere.

    Parameters
    ----------
    store : Store
    code : str
        ``Program.code``.
    path : str
        ``Resources.code``.
    """
    if is_copied(code):
        return _copy_of(store, code)
    return Path(path) if path else None


def _copy_of(store: Store, digest: str) -> Path:
    return store.root / "programs" / digest


def _copy(path: Path, name: str, target: Path) -> None:
    source, copy = path / name, target / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        copy.symlink_to(_link(source, path))
        return
    shutil.copyfile(source, copy)
    copy.chmod(0o555 if _runs(source) else 0o444)


def _link(source: Path, path: Path) -> str:
    """The text of a link for the copy: one that leads out of ``path`` says so from the root."""
    text = str(source.readlink())
    goal = Path(os.path.normpath(source.parent / text))
    return text if goal.is_relative_to(path) else str(goal.absolute())


def _runs(file: Path) -> bool:
    return bool(file.stat().st_mode & stat.S_IXUSR)


def _digest(path: Path, files: tuple[str, ...] | list[str], links: Path | None = None) -> str:
    """The hash of ``files`` in ``path``, with the texts of links as they are in ``links``."""
    total = hashlib.sha256()
    for name in files:
        file = path / name
        if file.is_symlink():
            kind, said = "link", os.fsencode(((links or path) / name).readlink())
        else:
            kind, said = "x" if _runs(file) else "-", file.read_bytes()
        total.update(os.fsencode(name) + f"\0{kind} {len(said)}\n".encode() + said)
    return total.hexdigest()[:16]


def _listed(path: Path) -> Iterator[str]:
    """The names of the files that count, relative, in no order."""
    tracked = _git(path, "ls-files", "-z", "--cached")
    if tracked is None:
        yield from _walked(path)
        return
    others = _git(path, "ls-files", "-z", "--others", "--exclude-standard") or []
    if not tracked and not others:  # a folder that git ignores as a whole
        yield from _walked(path)
        return
    for name in dict.fromkeys(tracked):
        file = path / name
        if file.is_dir() and not file.is_symlink():  # a submodule
            if (file / ".git").exists():
                yield from (f"{name}/{inner}" for inner in _listed(file))
        elif file.is_symlink() or (file.is_file() and not _is_sweep(file)):
            yield name
    stores: dict[Path, bool] = {}
    for name in others:
        file = path / name
        if any(_left_out(path, part) for part in (Path(name), *Path(name).parents)):
            continue
        if any(_store(parent, stores) for parent in file.parents if parent.is_relative_to(path)):
            continue
        if name.endswith("/"):  # a checkout of its own
            yield from (f"{name}{inner}" for inner in _listed(file))
        elif _counts(file):
            yield name


def _walked(path: Path) -> Iterator[str]:
    for folder, inner, names in os.walk(path):
        here = Path(folder)
        relative = here.relative_to(path)
        kept = [i for i in inner if not _left_out(path, relative / i)]
        links = [i for i in kept if (here / i).is_symlink()]
        inner[:] = [i for i in kept if i not in links and not _is_store(here / i)]
        for name in (*names, *links):
            if not _left_out(path, relative / name) and _counts(here / name):
                yield (relative / name).as_posix()


def _left_out(path: Path, relative: Path) -> bool:
    """Whether a file or folder is hidden, a cache or a result by its name."""
    name = relative.name
    if name.startswith(".") or name in CACHES or name.endswith(".egg-info"):
        return True
    if len(relative.parts) == 1 and name in OUTPUTS and (path / relative).is_dir():
        return not (path / relative / "__init__.py").exists()
    return relative.suffix in RESULTS or "tfevents" in name


def _counts(file: Path) -> bool:
    return file.is_symlink() or (file.is_file() and not _is_sweep(file))


def _is_sweep(file: Path) -> bool:
    """Whether a file is a sweep file of a program, or a sweep that was written."""
    if file.suffix not in (".yaml", ".yml", ".jsonl"):
        return False
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    if file.suffix == ".jsonl":
        first = head.partition(b"\n")[0]
        return b'"run_id"' in first and b'"sweep"' in first and b'"spec"' in first
    return bool(_SWEEP.search(head) and _SHAPE.search(head))


def _is_store(folder: Path) -> bool:
    return next(folder.glob("sweeps/*/sweep.jsonl"), None) is not None


def _store(folder: Path, known: dict[Path, bool]) -> bool:
    if folder not in known:
        known[folder] = _is_store(folder)
    return known[folder]


def _git(path: Path, *words: str) -> list[str] | None:
    """The names that a command of git in ``path`` lists; None outside a checkout.

    Raises
    ------
    ValueError
        If this is a checkout, and git is not here or fails.
    """
    absolute = path.absolute()
    if not any((folder / ".git").exists() for folder in (absolute, *absolute.parents)):
        return None
    foreign = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")  # a hook's
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    try:
        said = subprocess.run(
            ["git", "-C", str(path), *words], capture_output=True, env=environment, check=False
        )
    except FileNotFoundError:
        problem = "git is not installed here"
    else:
        if said.returncode == 0:
            return [os.fsdecode(name) for name in said.stdout.split(b"\0") if name]
        problem = (os.fsdecode(said.stderr).strip().splitlines() or ["git failed"])[0]
    raise ValueError(
        f"code {path} is in a git checkout that cannot be listed ({problem}): mend that, or "
        "declare version: in place of the content"
    )
