"""Data sets that Debian packages hold, from a local path or by ``apt-get download``."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

from scaling.base import WorkError, note
from scaling.data.info import sha256_of


@dataclass(frozen=True)
class Package:
    """Files of a Debian package that make a data set.

    ``pattern`` matches the ends of their paths in the package; ``sha256`` is the sum of the
    one file's uncompressed content, or of the sorted sums of several, one a line::

        sha256sum * | cut -c1-64 | sort | sha256sum
    """

    package: str
    pattern: str
    sha256: str

    def holds(self, path: str) -> bool:
        """Whether the file at ``path`` belongs to the data set, compressed or not."""
        bare = self.pattern.removesuffix(".gz").removesuffix(".dz")
        return any(fnmatchcase(f"/{path}", f"*/{p}") for p in (self.pattern, bare))

    def how_to_get(self, name: str) -> str:
        """What to type when the files are not there."""
        return (
            f"on Debian or Ubuntu: scaling data fetch {name}; elsewhere get the Debian package "
            f"{self.package} (a .deb file) and run: scaling data fetch {name} --from FILE.deb"
        )


@contextmanager
def unpacked(
    name: str, package: Package, source: Path | None, sha256: str | None
) -> Iterator[tuple[Path, ...]]:
    """The uncompressed files of the data set, in a folder that lives as long as the block.

    Parameters
    ----------
    source : Path or None
        The ``.deb``, a folder that holds the files, or the one file; None fetches the package.
    sha256 : str or None
        The sum to expect in place of the pinned one.

    Raises
    ------
    FileNotFoundError
        When the source does not hold the files, or there is no way to fetch them.
    ValueError
        When the content is not the expected one.
    """
    with TemporaryDirectory(prefix="scaling-") as scratch:
        folder = Path(scratch)
        deb = source or _download(name, package, folder)
        files = tuple(_extract(deb, package, folder / "files"))
        if not files:
            raise FileNotFoundError(f"{deb} holds no {package.pattern}: {package.how_to_get(name)}")
        expected = (sha256 or package.sha256).lower()
        found = content_sum(files)
        if found != expected:
            raise ValueError(
                f"{name}: {deb} has sha256 {found}, expected {expected}: get the package "
                f"{package.package} of Debian 12, or accept this version with --sha256 {found}"
            )
        yield files


def content_sum(files: tuple[Path, ...]) -> str:
    """The sha256 of one file, or of the sorted sums of several, one a line."""
    sums = sorted(sha256_of(path).hex() for path in files)
    if len(sums) == 1:
        return sums[0]
    return hashlib.sha256("".join(f"{one}\n" for one in sums).encode()).hexdigest()


def _download(name: str, package: Package, folder: Path) -> Path:
    apt = shutil.which("apt-get")
    if apt is None:
        raise FileNotFoundError(f"there is no apt-get here; {package.how_to_get(name)}")
    note(f"{name}: fetching the Debian package {package.package}")
    command = [apt, "download", "-q", "-o", "Acquire::http::Timeout=30", package.package]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    debs = list(folder.glob("*.deb"))
    if done.returncode or not debs:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        said = lines[0] if lines else f"it ended with {done.returncode}"
        raise WorkError(
            f"apt-get could not fetch {package.package} ({said}): update its lists, or get the "
            f".deb elsewhere and run: scaling data fetch {name} --from FILE.deb"
        )
    return debs[0]


def _extract(source: Path, package: Package, folder: Path) -> Iterator[Path]:
    """The package's files out of a ``.deb``, a folder or a file, uncompressed in ``folder``."""
    folder.mkdir()
    for number, (name, content) in enumerate(_contents(source, package)):
        if content.startswith(b"\x1f\x8b"):
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error) as error:
                raise ValueError(f"{source}: {name} is damaged ({error}): get it again") from None
        path = folder / f"{number:06d}-{Path(name).name}"
        path.write_bytes(content)
        yield path


def _contents(source: Path, package: Package) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            if package.holds(path.relative_to(source).as_posix()):
                yield path.name, path.read_bytes()
    elif source.suffix == ".deb":
        with _data_of(source) as archive:
            for member in archive:
                file = archive.extractfile(member) if package.holds(member.name) else None
                if file is not None:
                    yield member.name, file.read()
    else:
        yield source.name, source.read_bytes()


@contextmanager
def _data_of(deb: Path) -> Iterator[tarfile.TarFile]:
    """The files of a ``.deb``: an ``ar`` archive whose member ``data.tar.*`` holds them."""
    content = deb.read_bytes()
    if not content.startswith(b"!<arch>\n"):
        raise ValueError(f"{deb} is no Debian package: it does not begin with '!<arch>'")
    at = 8
    while at + 60 <= len(content):
        member, size = content[at : at + 16], int(content[at + 48 : at + 58])
        if member.startswith(b"data.tar"):
            try:
                with tarfile.open(fileobj=io.BytesIO(content[at + 60 : at + 60 + size])) as data:
                    yield data
                    return
            except (tarfile.TarError, EOFError) as error:
                raise ValueError(
                    f"{deb} cannot be read ({error}): get it again, or unpack it with "
                    "dpkg-deb -x and name the folder"
                ) from None
        at += 60 + size + size % 2
    raise ValueError(f"{deb} is damaged: it holds no data.tar: get it again")
