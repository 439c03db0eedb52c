"""Small images for tests, in folders, arrays and Parquet files, and the data sets made of them."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from scaling.data import ExampleData, open_data
from scaling.data.images import source_of
from scaling.data.images.arrays import IDX_TYPES
from scaling.data.images.prepare import prepare_labelled

CLASSES = ("cat", "dog", "eel")


def pictures(n: int = 30, seed: int = 0, shape: tuple[int, ...] = (6, 5, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def folder_of(root: Path, images: np.ndarray, part: str = "") -> Path:
    """``root/part/CLASS/i.png``, the classes taken in turn."""
    for i, image in enumerate(images):
        path = root / part / CLASSES[i % 3] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image))
    return root


def parquet_of(path: Path, images: np.ndarray, nested: bool = True, names: bool = False) -> Path:
    contents = [encoded(image) for image in images]
    labels = [CLASSES[i % 3] if names else i % 3 for i in range(len(images))]
    column = [{"bytes": c, "path": None} for c in contents] if nested else contents
    columns = {"image": column, "label": labels}
    table = pa.table(columns if nested else dict(reversed(columns.items())))
    pq.write_table(table, path, row_group_size=7)
    return path


def idx_of(path: Path, values: np.ndarray, code: int = 8) -> Path:
    head = bytes([0, 0, code, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content = head + values.astype(IDX_TYPES[code]).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def prepared(name: str, home: Path, *paths: Path, **options) -> ExampleData:
    prepare_labelled(name, source_of(tuple(paths)), home, **options)
    data = open_data(name, home)
    assert isinstance(data, ExampleData)
    return data


def pairs(data: ExampleData) -> list[tuple[bytes, int]]:
    """All examples, both sides, in an order of their own."""
    both = []
    for inputs, labels in (
        (data.train_inputs, data.train_labels),
        (data.heldout_inputs, data.heldout_labels),
    ):
        assert len(inputs) == len(labels)
        both += [(x.tobytes(), int(y)) for x, y in zip(inputs, labels, strict=True)]
    return sorted(both)


def expected(images: np.ndarray) -> list[tuple[bytes, int]]:
    """Channels first, labels 0, 1, 2 in turn."""
    return sorted((x.transpose(2, 0, 1).tobytes(), i % 3) for i, x in enumerate(images))


def spoil(folder: Path) -> list[Path]:
    paths = sorted(folder.rglob("*.png"))[:2]
    paths[0].write_bytes(b"no image at all")
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    return paths
