"""The content of a file that may be packed, as its suffix says: ``runs.csv.gz``, ``A.CSV.ZST``."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
import zlib
from pathlib import Path

PACKINGS = (".gz", ".zst", ".bz2", ".xz")

_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_WITHOUT_MARK = {
    "utf-16-le": re.compile(rb"(?:[\x20-\x7e]\x00){3}"),
    "utf-16-be": re.compile(rb"(?:\x00[\x20-\x7e]){3}"),
}
_NO_TABLE = (
    (re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE),
     "it is a web page, not a table: download the file itself (raw)"),
    (re.compile(rb"version https://git-lfs\."),
     "it is Git LFS's pointer to the file: git lfs pull gets the file itself"),
)  # fmt: skip


def bare_name(path: Path) -> str:
    """A file's name without the suffixes of its kind and packing.

    >>> bare_name(Path("run-1.4B.csv.gz"))
    'run-1.4B'
    """
    packed = path.suffix.lower() in PACKINGS
    return (Path(path.stem) if packed else path).stem


def kind_of(path: Path) -> str:
    """The suffix that says what a file holds, in lower case and without that of its packing.

    >>> [kind_of(Path(name)) for name in ("UP.CSV", "runs.jsonl.gz", "runs")]
    ['.csv', '.jsonl', '']
    """
    packed = path.suffix.lower() in PACKINGS
    return (Path(path.stem) if packed else path).suffix.lower()


def content_of(path: Path) -> bytes:
    """What is in a file, unpacked.

    Raises
    ------
    ValueError
        If it is not what its suffix says, or zstd's library is not installed.
    """
    data = path.read_bytes()
    try:
        match path.suffix.lower():
            case ".gz":
                return gzip.decompress(data)
            case ".bz2":
                return bz2.decompress(data)
            case ".xz":
                return lzma.decompress(data)
            case ".zst":
                return _zstd(path, data)
    except (OSError, EOFError, lzma.LZMAError, zlib.error):
        raise ValueError(
            f"{path}: it is not a whole {path.suffix} file; copy it again, or unpack it first"
        ) from None
    return data


def text_of(path: Path) -> str:
    """The text of a file (see :func:`decoded`)."""
    return decoded(path)[0]


def decoded(path: Path, *, is_page: bool = False) -> tuple[str, str]:
    """The text of a file and its encoding; of a web page only where ``is_page`` says that it is.

    It is UTF-8, or UTF-16 as Excel writes it, or else Windows' own (cp1252), as Excel writes
    ``.csv``.

    Raises
    ------
    UnicodeDecodeError
        If it is none of these.
    ValueError
        If it is what a download gives in a table's stead.
    """
    data = content_of(path)
    for looks, said in _NO_TABLE:
        if looks.match(data) and not is_page:
            raise ValueError(f"{path}: {said}")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16"), "UTF-16"
    for encoding, form in _WITHOUT_MARK.items():
        if form.match(data):
            return data.decode(encoding), "UTF-16"
    try:
        return data.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        if _BINARY.search(data):
            raise
        return data.decode("cp1252"), "Windows-1252"


def _zstd(path: Path, data: bytes) -> bytes:
    try:
        import zstandard
    except ImportError:
        raise ValueError(
            f"{path} is packed by zstd: pip install zstandard to have it read, or unpack it"
        ) from None
    try:
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
            return bytes(reader.read())
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from None
