"""A file system on a server, and what the nodes believe of it.

As on NFS: what a node has seen of names and times it believes for up to a minute, but a file that
is opened is looked up, and what a node does itself it knows; two nodes that append to one file at
the same moment write over each other; the server's clock stamps files. Disks are full, rights are
lost, writes are cut short.
"""

from __future__ import annotations

import errno
import os
import stat as stats
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.simulator.kernel import EPOCH, Kernel, Killed, Node, Process

ROOT = "/sim"


class Stat(NamedTuple):
    st_size: int
    st_mtime: float
    st_mode: int
    st_dev: int
    st_nlink: int = 1

    @property
    def st_mtime_ns(self) -> int:
        return int(1e9 * self.st_mtime)


@dataclass
class Inode:
    """A file, or a folder where ``names`` is not None."""

    data: bytearray = field(default_factory=bytearray)
    changed: float = 0.0
    names: dict[str, Inode] | None = None
    by: str = ""  # the node that wrote last
    since: float = 0.0  # when a folder was made


class Disk:
    """The server."""

    def __init__(self, kernel: Kernel, number: int) -> None:
        self.kernel, self.number = kernel, number
        self.root = Inode(names={})
        self.skew = 0.0
        self.full = 0.0  # until then
        self.files: dict[int, Handle] = {}
        self.next_file = 1000
        self.overwritten: set[str] = set()
        self.folders: dict[str, Inode] = {}  # those found before; none of them has gone since
        self.damaged = False

    @property
    def clock(self) -> float:
        return self.kernel.now + EPOCH + self.skew

    # --- the server's own view --------------------------------------------------------------

    def find(self, path: str) -> Inode | None:
        parent, _, name = path.rpartition("/")
        folder = self._folder(parent)
        return None if folder is None else folder.get(name)

    def folder(self, path: str) -> tuple[dict[str, Inode], str]:
        """What is in the folder that a path is in, and the path's name there."""
        parent, _, name = path.rpartition("/")
        folder = self._folder(parent)
        if folder is None:
            raise missing(path)
        return folder, name

    def _folder(self, path: str) -> dict[str, Inode] | None:
        inode = self.folders.get(path)
        if inode is None:
            inode = self.root
            for name in path.split("/")[1:]:
                inode = None if inode.names is None else inode.names.get(name)
                if inode is None:
                    return None
            if inode.names is not None:
                self.folders[path] = inode
        return inode.names

    def drop(self, names: dict[str, Inode], name: str) -> Inode:
        """Take a name out of a folder."""
        inode = names.pop(name)
        if inode.names is not None:
            self.folders.clear()
        return inode

    # --- what a process asks ----------------------------------------------------------------

    def ask(self, *, write: bool = False) -> Process:
        """One request of the current process; it may fail for reasons of its own."""
        process = self.kernel.op()
        until, why = process.node.denied
        if until > self.kernel.now:
            self.kernel.struck[f"request refused ({errno.errorcode[why]})"] += 1
            raise OSError(why, os.strerror(why))
        if write and self.full > self.kernel.now:
            self.kernel.struck["write on a full disk"] += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return process

    def stat(self, path: str) -> Stat:
        node = self.ask().node
        known = node.attributes.get(path)
        if known is None or known[0] < self.kernel.now:
            inode = self.find(path)
            seen = None if inode is None else self._stat(inode)
            known = (self.kernel.now + node.cached * self.kernel.fraction(), seen)
            node.attributes[path] = known
        if known[1] is None:
            raise missing(path)
        return known[1]

    def _stat(self, inode: Inode, links: int = 1) -> Stat:
        kind = stats.S_IFREG if inode.names is None else stats.S_IFDIR
        return Stat(len(inode.data), inode.changed, kind | 0o755, self.number, links)

    def stat_open(self, file: int) -> Stat:
        """What is known of an open file, on the server."""
        self.ask()
        handle = self.files[file]
        there = self.find(handle.path) is handle.inode
        return self._stat(handle.inode, int(there))

    def listed(self, path: str) -> list[str]:
        node = self.ask().node
        known = node.names.get(path)
        if known is None or known[0] < self.kernel.now:
            inode = self.find(path)
            if inode is None or inode.names is None:
                raise missing(path)
            known = (self.kernel.now + node.cached * self.kernel.fraction(), list(inode.names))
            node.names[path] = known
        return known[1]

    def _knows(self, node: Node, path: str) -> None:
        """A node has changed a name itself: what it believed of it is gone."""
        node.attributes.pop(path, None)
        node.names.pop(path.rpartition("/")[0], None)

    def opened(self, path: str, flags: int) -> int:
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        node = self.ask().node
        known = node.attributes.get(path)
        if not flags & os.O_CREAT and known and known[1] is None and known[0] > self.kernel.now:
            raise missing(path)  # a name that was not there a moment ago is not asked for again
        folder, name = self.folder(path)
        inode = folder.get(name)
        if inode is not None and flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        if inode is None:
            if not flags & os.O_CREAT:
                node.attributes[path] = (
                    self.kernel.now + node.cached * self.kernel.fraction(),
                    None,
                )
                raise missing(path)
            if self.full > self.kernel.now:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            inode = folder[name] = Inode(changed=self.clock)
            self._knows(node, path)
        if inode.names is not None:
            raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
        node.attributes.pop(path, None)
        if flags & os.O_TRUNC and writes:
            del inode.data[:]
            inode.changed = self.clock
        self.next_file += 1
        self.files[self.next_file] = Handle(inode, path, bool(flags & os.O_APPEND))
        return self.next_file

    def write(self, file: int, data: bytes) -> int:
        handle = self.files[file]
        inode = handle.inode
        size = len(inode.data)
        process = self.kernel.op()
        node = process.node
        until, why = node.denied
        if until > self.kernel.now:
            self.kernel.struck[f"request refused ({errno.errorcode[why]})"] += 1
            raise OSError(why, os.strerror(why), handle.path)
        if self.full > self.kernel.now:
            self.kernel.struck["write on a full disk"] += 1
            if self.kernel.fraction() < 0.5:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), handle.path)
            data = data[: int(len(data) * self.kernel.fraction())]  # there was room for a part
        if not handle.append:
            start = handle.position
            handle.position += len(data)
        elif inode.by in (node.name, "") or size == len(inode.data):
            start = len(inode.data)
        else:  # another node has appended since this one asked for the size
            start = size
            self.kernel.struck["append over another's"] += 1
            self.overwritten.add(handle.path)
        torn = handle.torn(process, len(data), self.kernel.fraction)
        inode.data[start : start + torn] = data[:torn]
        inode.by, inode.changed = node.name, self.clock
        if torn < len(data):
            self.kernel.struck["killed in the middle of a write"] += 1
            self.kernel.kill(process)
            raise Killed
        return len(data)

    def read(self, path: str) -> bytes:
        file = self.opened(path, os.O_RDONLY)
        return bytes(self.files.pop(file).inode.data)

    def make_folder(self, path: str, parents: bool, exist_ok: bool) -> None:
        node = self.ask(write=True).node
        inode = self.root
        names = path.split("/")[1:]
        for depth, name in enumerate(names):
            assert inode.names is not None
            last = depth == len(names) - 1
            if name not in inode.names:
                if not last and not parents:
                    raise missing(path)
                inode.names[name] = Inode(names={}, changed=self.clock, since=self.kernel.now)
                self._knows(node, "/" + "/".join(names[: depth + 1]))
            elif last and not exist_ok:
                raise FileExistsError(errno.EEXIST, "File exists", path)
            inode = inode.names[name]

    def remove(self, path: str) -> None:
        node = self.ask().node
        folder, name = self.folder(path)
        self._knows(node, path)
        if name not in folder:
            raise missing(path)
        self.drop(folder, name)

    def rename(self, path: str, other: str) -> None:
        node = self.ask().node
        folder, name = self.folder(path)
        target, new = self.folder(other)
        self._knows(node, path)
        self._knows(node, other)
        if name not in folder:
            raise missing(path)
        inode = self.drop(folder, name)
        if target.get(new) is not inode:
            target[new] = inode

    def link(self, path: str, other: str) -> None:
        node = self.ask(write=True).node
        inode = self.find(path)
        if inode is None:
            raise missing(path)
        folder, name = self.folder(other)
        if name in folder:
            raise FileExistsError(errno.EEXIST, "File exists", other)
        folder[name] = inode
        self._knows(node, other)

    def touch(self, path: str) -> None:
        node = self.ask().node
        inode = self.find(path)
        if inode is None:
            raise missing(path)
        inode.changed = self.clock
        node.attributes.pop(path, None)


def missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "No such file or directory", path)


class Handle:
    """An open file."""

    __slots__ = ("append", "inode", "path", "position")

    def __init__(self, inode: Inode, path: str, append: bool) -> None:
        self.inode, self.path, self.append, self.position = inode, path, append, 0

    def torn(self, process: Process, size: int, fraction: Any) -> int:
        """How much of a write is done: all, unless its process is to die of it."""
        for one in process.armed:
            if one[1] is TEAR:
                process.armed.remove(one)
                return int(size * fraction())
        return size


def TEAR(process: Process) -> None:
    """The process dies in the middle of its next write."""
    process.armed.append([10**9, TEAR])
