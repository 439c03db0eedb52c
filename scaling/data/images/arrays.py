"""NumPy and IDX files: ``.npy``, ``.npz`` and MNIST's format, of inputs and labels."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.images.labelled import HELD, OPEN, TRAINING, Index, digest, whole_labels
from scaling.data.images.pictures import CHANNELS

IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_SIDES = ((TRAINING, re.compile("train")), (HELD, re.compile("test|val|held|t10k")))
_LABELS = re.compile(r"label|target|(^|_)y(_|$)")
_INPUTS = re.compile(r"input|image|data|(^|_)x(_|$)")


class ArrayFiles:
    """Arrays by name: ``inputs`` and ``labels``, or those of a training and a held-out part.

    Names are an archive's keys or the files' own. ``x`` and ``images`` are inputs too, ``y``
    and ``targets`` labels; ``train`` and ``test``, ``val``, ``heldout`` or ``t10k`` tell the
    parts. Inputs are images of bytes, ``(n, height, width)`` with channels second or last, or
    numbers; with ``frames`` sequences of numbers ``(n, time, features)``.
    """

    def __init__(self, paths: tuple[Path, ...], frames: bool = False) -> None:
        self.frames = frames
        named: dict[str, NDArray[Any]] = {}
        for path in paths:
            for key, values in read_arrays(path).items():
                if key in named:
                    raise ValueError(f"two arrays are called {key!r}: name one of the files alone")
                named[key] = values
        self.parts = [
            (side, *_checked(names, named, frames))
            for side, names in sorted(_parts(list(named)).items())
        ]
        shapes = {inputs.shape[1:] for _, inputs, _ in self.parts}
        if len(shapes) > 1 or len({inputs.dtype for _, inputs, _ in self.parts}) > 1:
            raise ValueError(f"training and held-out inputs differ in shape or type: {shapes}")

    def facts(self) -> dict[str, Any]:
        """How the files are read, without their names."""
        return {"kind": "arrays", **({"frames": True} if self.frames else {})}

    def index(self) -> Index:
        """Digests, labels and parts of all rows."""
        return Index(
            np.array([digest(row) for _, x, _ in self.parts for row in x], np.uint64),
            np.concatenate([labels for *_, labels in self.parts]),
            np.concatenate([np.full(len(y), side, np.uint8) for side, _, y in self.parts]),
        )

    def read(self, position: int) -> Iterator[tuple[str, NDArray[Any]]]:
        """The rows from ``position`` on, images with their channels first."""
        for _, inputs, _ in self.parts:
            kind = np.uint8 if inputs.dtype == np.uint8 else np.float32
            for row in range(min(position, len(inputs)), len(inputs)):
                yield f"row {row}", inputs[row].astype(kind, copy=False)
            position = max(0, position - len(inputs))


def _parts(keys: list[str]) -> dict[int, dict[str, str]]:
    """For each part, the keys of its inputs and its labels."""
    parts: dict[int, dict[str, str]] = {}
    for key in keys:
        name = re.sub(r"[-. ]", "_", key.lower())
        side = next((side for side, words in _SIDES if words.search(name)), OPEN)
        kind = "labels" if _LABELS.search(name) else "inputs" if _INPUTS.search(name) else "neither"
        if kind == "neither":
            raise ValueError(
                f"array {key!r} is neither inputs nor labels; rename them, of {', '.join(keys)}, "
                "to inputs and labels, or train_inputs, train_labels, test_inputs, test_labels"
            )
        if kind in (part := parts.setdefault(side, {})):
            raise ValueError(f"both {part[kind]!r} and {key!r} could be the {kind}: leave one out")
        part[kind] = key
    for part in parts.values():
        for kind, other in (("inputs", "labels"), ("labels", "inputs")):
            if kind not in part:
                raise ValueError(
                    f"array {part[other]!r} has no {kind} beside it; there are {', '.join(keys)}"
                )
    if set(parts) not in ({OPEN}, {TRAINING}, {TRAINING, HELD}):
        raise ValueError(f"arrays {', '.join(keys)}: name a training part beside the held-out one")
    return {OPEN: parts[TRAINING]} if set(parts) == {TRAINING} else parts


def _checked(
    names: dict[str, str], named: dict[str, NDArray[Any]], frames: bool
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Inputs with channels second, and labels; an error where they are not what they should be."""
    key, inputs, labels = names["inputs"], named[names["inputs"]], named[names["labels"]]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or inputs.ndim < 2 or len(labels) != len(inputs):
        raise ValueError(
            f"{key} of shape {inputs.shape} and {names['labels']} of shape {labels.shape} do not "
            "go together: inputs (n, ...) need labels (n,)"
        )
    if 0 in inputs.shape:
        raise ValueError(f"{key} of shape {inputs.shape} is empty: give examples")
    if inputs.dtype != np.uint8 and inputs.dtype.kind != "f":
        raise ValueError(
            f"{key} holds {inputs.dtype}: images are uint8, 0 to 255, and other inputs floats; "
            f"convert them, say {key}.astype(numpy.float32)"
        )
    if inputs.dtype.kind == "f":
        for start in range(0, len(inputs), 4096):
            bad = ~np.isfinite(inputs[start : start + 4096]).reshape(-1, inputs[0].size).all(1)
            if bad.any():
                raise ValueError(f"{key}: row {start + int(bad.argmax())} is not finite: mend it")
    if frames:
        if inputs.ndim != 3 or inputs.dtype.kind != "f":
            raise ValueError(
                f"{key} holds {inputs.dtype} of shape {inputs.shape}: --frames is for floats (n, "
                "time, features); reshape or convert them, or leave it out"
            )
        return inputs, whole_labels(names["labels"], labels)
    if inputs.ndim == 3:
        inputs = inputs[:, None]
    elif inputs.ndim == 4 and inputs.shape[1] not in CHANNELS and inputs.shape[3] in CHANNELS:
        inputs = inputs.transpose(0, 3, 1, 2)
    if inputs.ndim > 4 or (inputs.ndim == 4 and inputs.shape[1] not in CHANNELS):
        raise ValueError(
            f"{key} has shape {inputs.shape}: images are (n, height, width), or have 1 or 3 "
            "channels second or last"
        )
    if inputs.ndim == 2 and inputs.dtype == np.uint8:
        raise ValueError(
            f"{key} has shape {inputs.shape} and bytes: reshape images to (n, height, width), "
            "convert features to float32"
        )
    return inputs, whole_labels(names["labels"], labels)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in a file, by name: an archive's keys, or the file's name."""
    name = path.name
    try:
        if path.suffix == ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        if path.suffix == ".npy":
            return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        # numpy has one type of error for all; that it would need pickle is in its words alone.
        why = "objects" if "pickle" in str(error) else str(error)
        raise ValueError(
            f"{path} cannot be read as arrays of numbers ({why}): write it again with numpy.save"
        ) from None
    return {name: read_idx(path)}


def read_idx(path: Path) -> NDArray[Any]:
    """The array in an IDX file, gzipped or not.

    Bytes 0 and 1 are 0, byte 2 the type (8: unsigned byte, 9: signed byte, 11: int16, 12: int32,
    13: float32, 14: float64), byte 3 the number of dimensions; then the dimensions, each in
    four bytes, big end first; then the values.

    Raises
    ------
    ValueError
        If it is no IDX file, or not whole.

    Source: LeCun, Cortes, Burges, The MNIST database, "File formats".
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path.name} is damaged ({error}): get it again") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_TYPES:
        raise ValueError(f"{path.name} is no IDX file: it begins with {content[:4]!r}")
    kind = np.dtype(IDX_TYPES[content[2]])
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"{path.name} ends within its head: get it again")
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    if len(content) - start != int(np.prod(shape, dtype=np.int64)) * kind.itemsize:
        raise ValueError(
            f"{path.name} has {len(content) - start} bytes of values, its head says {shape} of "
            f"{kind.itemsize} bytes: get it again"
        )
    values = np.frombuffer(content, kind, offset=start).reshape(shape)
    return values.astype(kind.newbyteorder("="), copy=False)
