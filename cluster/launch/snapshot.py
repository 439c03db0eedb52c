"""The code that a sweep runs with, kept beside it: later edits do not reach jobs in the queue."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from scaling.base import own_folders, source_files

PACKAGES = ("scaling", "sweeps", "cluster", "analysis")


def snapshot(sweep_dir: Path, plugins: Iterable[str] = (), *, ours: bool = True) -> Path:
    """The folder ``sweep_dir/code/<hash>`` with code as it is now: ours, and what is plugged in.

    The name is the hash of the content, so equal code is kept once. Put it first on
    ``PYTHONPATH``.

    Parameters
    ----------
    sweep_dir : Path
    plugins : iterable of str
        Import paths; of each that is not of an installed distribution, its top-level package.
    ours : bool
        Whether the four packages are in it.
    """
    sources = {name: _folder(name) for name in PACKAGES} if ours else {}
    files = [
        (f"{name}/{path.relative_to(folder).as_posix()}", path)
        for name, folder in sources.items()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    files += [file for top in sorted(own_folders(plugins)) for file in source_files(top)]
    digest = hashlib.sha256()
    for name, path in files:
        content = path.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    target = sweep_dir / "code" / digest.hexdigest()[:16]
    if target.is_dir():
        return target
    # Made under another name first: a job never sees half of it.
    partial = target.with_name(f".{target.name}.{secrets.token_hex(3)}")
    for name, path in files:
        copy = partial / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    try:
        partial.replace(target)
    except OSError:  # another submission made the same meanwhile
        shutil.rmtree(partial)
    return target


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"package {package!r} is not installed as files")
    return Path(spec.origin).parent
