"""Which format of labelled examples the paths hold."""

from __future__ import annotations

from pathlib import Path

from scaling.data.images.arrays import ArrayFiles
from scaling.data.images.image_folder import ImageFolder
from scaling.data.images.image_parquet import ImageParquet
from scaling.data.images.labelled import LabelledSource, Vocabulary
from scaling.data.images.texts import TABLES, LabelledTexts


def source_of(
    paths: tuple[Path, ...],
    *,
    column: str | None = None,
    label_column: str = "label",
    context: int | None = None,
    frames: bool = False,
    vocabulary: Vocabulary | None = None,
) -> LabelledSource:
    """The source that the paths hold, told by their endings.

    With a ``context`` they are texts, of which that many bytes are kept, or tokens of the
    ``vocabulary``; with ``frames`` arrays
    are sequences. Else a folder is one of Parquet, NumPy or IDX files if it directly holds such
    files (or its subfolder ``data`` holds Parquet), else one of class folders.

    Raises
    ------
    ValueError
        If they hold nothing of the kind, or several kinds.
    """
    if context is not None:
        if frames:
            raise ValueError("--context is for texts, --frames for arrays: leave one out")
        return LabelledTexts(paths, column or "text", label_column, context, vocabulary)
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in (*path.iterdir(), *(path / "data").glob("*.parquet")))
        data = [p for p in inside if p.is_file() and _kind(p) != "other"]
        if not data and len(paths) == 1 and not frames:
            return ImageFolder(path)
        if not data and frames:
            raise ValueError(f"{path} holds no arrays: --frames is for .npz and .npy files")
        if not data:
            raise ValueError(f"{path} is a folder of images: give it alone, without other paths")
        files += data
    kinds = {_kind(path) for path in files}
    if frames and kinds != {"array"}:
        raise ValueError(f"--frames is for arrays (.npz, .npy), not for {files[0]}: leave it out")
    if kinds == {"parquet"}:
        return ImageParquet(tuple(files), column or "image", label_column)
    if kinds == {"array"}:
        return ArrayFiles(tuple(files), frames)
    if kinds == {"table"}:
        raise ValueError(
            f"{files[0]}: to read texts with labels add --context BYTES, the most that is kept of "
            "each, as in --context 256"
        )
    odd = next((path for path in files if _kind(path) == "other"), files[0])
    raise ValueError(
        f"{odd}: give a folder with a folder of images per class, or .npz, .npy, IDX "
        f"(*-ubyte, .gz) or .parquet files of one kind, not {len(files)} files of {len(kinds)}"
    )


def _kind(path: Path) -> str:
    if path.suffix == ".parquet":
        return "parquet"
    bare = path.name.removesuffix(".gz")
    if bare.endswith(TABLES):
        return "table"
    if bare.endswith((".npy", ".npz", "ubyte", ".idx")) or ".idx" in bare or "-idx" in bare:
        return "array"
    return "other"
