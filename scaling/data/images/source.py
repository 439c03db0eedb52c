"""Which format of labelled examples the paths hold."""

from __future__ import annotations

from pathlib import Path

from scaling.data.images.arrays import ArrayFiles
from scaling.data.images.image_folder import ImageFolder
from scaling.data.images.image_parquet import ImageParquet
from scaling.data.images.labelled import LabelledSource


def source_of(
    paths: tuple[Path, ...], *, image_column: str = "image", label_column: str = "label"
) -> LabelledSource:
    """The source that the paths hold, told by their endings.

    A folder is one of Parquet, NumPy or IDX files if it directly holds such files (or its
    subfolder ``data`` holds Parquet), else one of class folders.

    Raises
    ------
    ValueError
        If they hold nothing of the kind, or several kinds.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in (*path.iterdir(), *(path / "data").glob("*.parquet")))
        data = [p for p in inside if p.is_file() and _kind(p) != "other"]
        if not data and len(paths) == 1:
            return ImageFolder(path)
        if not data:
            raise ValueError(f"{path} is a folder of images: give it alone, without other paths")
        files += data
    kinds = {_kind(path) for path in files}
    if kinds == {"parquet"}:
        return ImageParquet(tuple(files), image_column, label_column)
    if kinds == {"array"}:
        return ArrayFiles(tuple(files))
    odd = next((path for path in files if _kind(path) == "other"), files[0])
    raise ValueError(
        f"{odd}: give a folder with a folder of images per class, or .npz, .npy, IDX "
        f"(*-ubyte, .gz) or .parquet files of one kind, not {len(files)} files of {len(kinds)}"
    )


def _kind(path: Path) -> str:
    if path.suffix == ".parquet":
        return "parquet"
    bare = path.name.removesuffix(".gz")
    if bare.endswith((".npy", ".npz", "ubyte", ".idx")) or ".idx" in bare or "-idx" in bare:
        return "array"
    return "other"
