"""Fashion-MNIST (Xiao et al. 2017): 60,000 + 10,000 images of 28 x 28 in ten classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.examples import prepare_examples
from scaling.data.info import DataInfo


def build(name: str, home: Path, files: tuple[Path, ...]) -> DataInfo:
    """Make the set from its four IDX files; the test images are held out."""

    def arrays() -> dict[str, NDArray[Any]]:
        found = {}
        for side, prefix in (("train", "train"), ("heldout", "t10k")):
            for key, kind in (("inputs", "images"), ("labels", "labels")):
                path = next((p for p in files if f"{prefix}-{kind}" in p.name), None)
                if path is None:
                    raise FileNotFoundError(f"{name}: no file {prefix}-{kind}-* among the four")
                found[f"{side}_{key}"] = read_idx(path)
        return {
            key: value[:, None] if key.endswith("inputs") else value.astype(np.int64)
            for key, value in found.items()
        }

    return prepare_examples(name, home, arrays)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes.

    Bytes 0 and 1 are 0, byte 2 the type (8: unsigned byte), byte 3 the number of dimensions;
    then the dimensions, each in four bytes, big end first; then the values.
    """
    content = path.read_bytes()
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path.name} is no IDX file of bytes: it begins with {content[:4]!r}")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    if len(content) - start != int(np.prod(shape)):
        raise ValueError(
            f"{path.name} has {len(content) - start} values, its head says {shape}: get it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
