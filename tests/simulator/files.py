"""Open files and paths of the simulated disk, as the standard library gives them."""

from __future__ import annotations

import errno
import fnmatch
import os
from collections.abc import Iterator
from pathlib import PosixPath
from typing import Any

from tests.simulator.disk import Disk, missing
from tests.simulator.kernel import Kernel


class File:
    """What ``open`` of a path gives."""

    def __init__(self, disk: Disk, file: int, text: bool) -> None:
        self.disk, self.file, self.text, self.seen = disk, file, text, 0

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self.file

    def write(self, data: Any) -> int:
        raw = data.encode() if isinstance(data, str) else bytes(data)
        done = self.disk.write(self.file, raw)
        if done < len(raw):  # as buffered files do, which try the rest
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return done

    def flush(self) -> None:
        pass

    def read(self, size: int = -1) -> Any:
        data = bytes(self.disk.files[self.file].inode.data)[self.seen :]
        data = data if size < 0 else data[:size]
        self.seen += len(data)
        return data.decode() if self.text else data

    def seek(self, offset: int, whence: int = 0) -> int:
        size = len(self.disk.files[self.file].inode.data)
        self.seen = offset + (0, self.seen, size)[whence]
        return self.seen

    def close(self) -> None:
        self.disk.files.pop(self.file, None)


MODES = {
    "r": os.O_RDONLY,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "x": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
}

ACTIVE: list[Disk] = []  # the one disk of the simulation that runs


class SimPath(PosixPath):
    """A path on the simulated disk; those made from it are of its class too.

    Each is made once: what the real ones do for Windows took half of all the time.
    """

    __slots__ = ("made", "text")

    def __getattr__(self, name: str) -> Any:
        """Slots are filled at their first use, as paths come about in many ways."""
        value: Any = str(self) if name == "text" else {} if name == "made" else None
        if value is None:
            raise AttributeError(name)
        setattr(self, name, value)
        return value

    def __truediv__(self, key: Any) -> Any:
        below = self.made.get(key)
        if below is None:
            below = self.made[key] = super().__truediv__(key)
        return below

    def with_suffix(self, suffix: str) -> Any:
        key = ("suffix", suffix)
        if key not in self.made:
            self.made[key] = super().with_suffix(suffix)
        return self.made[key]

    def stat(self, *, follow_symlinks: bool = True) -> Any:
        return ACTIVE[-1].stat(self.text)

    def exists(self, **_: Any) -> bool:
        text = self.text
        if text.startswith("/proc"):
            return True
        try:
            ACTIVE[-1].stat(text)
        except FileNotFoundError:
            return False
        return True

    def open(self, mode: str = "r", *_: Any, **__: Any) -> Any:
        disk = ACTIVE[-1]
        flags = MODES[mode[0]]
        if "+" in mode:
            flags = (flags & ~os.O_WRONLY) | os.O_RDWR
        return File(disk, disk.opened(self.text, flags), "b" not in mode)

    def read_bytes(self) -> bytes:
        return ACTIVE[-1].read(self.text)

    def read_text(self, *_: Any, **__: Any) -> str:
        text = self.text
        if text.startswith("/proc"):
            return proc(ACTIVE[-1].kernel, text)
        return ACTIVE[-1].read(text).decode()

    def readlink(self) -> Any:
        kernel = ACTIVE[-1].kernel
        assert kernel.current is not None
        return f"pid:[{kernel.current.process.node.boot}]"

    def iterdir(self) -> Iterator[Any]:
        return iter([self / name for name in sorted(ACTIVE[-1].listed(self.text))])

    def glob(self, pattern: str) -> Iterator[Any]:
        head, _, rest = pattern.partition("/")
        try:
            names = sorted(ACTIVE[-1].listed(self.text))
        except FileNotFoundError:
            return iter(())
        found = [self / name for name in names if fnmatch.fnmatchcase(name, head)]
        if rest:
            return iter([path / rest for path in found if (path / rest).exists()])
        if pattern.endswith("/"):
            return iter([path for path in found if path.is_dir()])
        return iter(found)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        ACTIVE[-1].make_folder(self.text, parents, exist_ok)

    def touch(self, *_: Any, **__: Any) -> None:
        disk = ACTIVE[-1]
        disk.files.pop(disk.opened(self.text, os.O_WRONLY | os.O_CREAT))

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            ACTIVE[-1].remove(self.text)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def replace(self, target: Any) -> Any:
        ACTIVE[-1].rename(self.text, str(target))
        return target

    def resolve(self, strict: bool = False) -> Any:
        return self

    def expanduser(self) -> Any:
        return self


def proc(kernel: Kernel, text: str) -> str:
    """Files in ``/proc`` of the node that asks."""
    assert kernel.current is not None
    process = kernel.current.process
    node = process.node
    if text == "/proc/vmstat":
        return f"oom_kill {node.oom_kills}\n"
    if text.endswith("boot_id"):
        return f"{node.name}-{node.boot}\n"
    number = text.split("/")[2]
    pid = process.pid if number == "self" else int(number)
    for one in kernel.processes:
        if one.pid == pid and one.node is node:
            return f"{pid} (python) S {' '.join(['0'] * 18)} {one.started}"
    raise missing(text)
