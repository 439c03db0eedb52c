"""Labelled examples from files to memory-mapped arrays: decoded in threads, streamed, restartable.

Every example is read twice: once for its digest, which alone decides what is held out, and once
to be decoded and written. What is done is written down every 64 MiB.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial as bind
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from scaling.base import note, progress, read_json, write_atomic
from scaling.data.batches import ARRAYS, describe_examples
from scaling.data.folder import building, check_name, publish, start_afresh
from scaling.data.images.labelled import HELD, OPEN, Content, Index, LabelledSource
from scaling.data.images.pictures import CHANNELS, FITS, Undecodable, decode
from scaling.data.info import META, DataInfo, fingerprint, made_before, write_info

CHUNK = 128  # images decoded at once
PART = 64 << 20  # bytes of decoded images between two notes of how far we are
HEAD = 128  # bytes before the values in a .npy file
NAMED = 5  # bad images named in a message; all are in meta.json
REQUEST, STATE = "request.json", "state.json"


@dataclass
class State:
    """How far the decoding is: examples read, those written on either side, and the bad ones."""

    position: int = 0
    sizes: list[int] = field(default_factory=lambda: [0, 0])  # to train on, held out
    shape: list[int] | None = None
    dtype: str = "uint8"
    bad: list[tuple[int, str, str]] = field(default_factory=list)  # position, name, why


def prepare_labelled(
    name: str,
    source: LabelledSource,
    home: Path,
    *,
    resolution: tuple[int, int] | None = None,
    fit: str = "crop",
    channels: int = 3,
    heldout: float | None = None,
    skip_bad: bool = False,
) -> DataInfo:
    """Make ``home/name`` from ``source``, or find it made already.

    Parameters
    ----------
    resolution : (height, width), optional
        What images are resized to; without it all must be of one size.
    fit : {"crop", "stretch"}
        See ``decode`` in ``scaling/data/images/pictures.py``.
    channels : {1, 3}
        Of encoded images: grey or RGB. Arrays keep theirs.
    heldout : float, optional
        Share of the examples to hold out, 0.05 if left out: those with the lowest digests, so
        that copies of an example are on one side. A source with a held-out part takes none.
    skip_bad : bool
        Leave out images that cannot be decoded or have no label. They are counted and named in
        any case.

    Raises
    ------
    ValueError
        For input that cannot be used, and when ``name`` is another data set already.
    """
    check_name(name)
    if fit not in FITS or channels not in CHANNELS:
        raise ValueError(f"fit {fit!r}, channels {channels}: choose of {FITS} and of 1 and 3")
    if resolution is not None and not all(1 <= side <= 4096 for side in resolution):
        raise ValueError(f"resolution {resolution} must be between 1 and 4096 on either side")
    if heldout is not None and not 0 < heldout <= 0.5:
        raise ValueError(f"heldout {heldout} must be above 0 and at most 0.5")
    index = source.index()
    given = bool((index.parts != OPEN).any())
    if given and heldout is not None:
        raise ValueError(f"{name} comes with a held-out part: leave --heldout out")
    held = index.parts == HELD if given else _split(name, index, heldout or 0.05)
    if given:
        _say_copies(name, index, held)
    facts = {"source": source.facts(), "resolution": resolution, "fit": fit, "channels": channels}
    request = _request(facts, index, held)
    with building(home, name) as partial:
        if (done := made_before(home / name, request)) is not None:
            skipped = (read_json(home / name / META) or {}).get("skipped", [])
            _judge_bad(name, skipped, done.train_size + done.heldout_size, skip_bad)
            return done
        if read_json(partial / REQUEST) != {"request": request}:
            start_afresh(partial)
            write_atomic(partial / REQUEST, json.dumps({"request": request}))
        todo = bind(decode, channels=channels, size=resolution, fit=fit)
        state = _decode_all(name, source, held, partial, todo)
        _judge_bad(name, [bad[1:] for bad in state.bad], sum(state.sizes), skip_bad)
        info = _finish(name, index, held, partial, state)
        for leftover in (REQUEST, STATE):
            (partial / leftover).unlink(missing_ok=True)
        skipped = [bad[1:] for bad in state.bad]
        write_info(
            partial, info, request=request, facts=facts, classes=index.classes, skipped=skipped
        )
        publish(partial, home / name)
    return info


def _split(name: str, index: Index, heldout: float) -> NDArray[np.bool_]:
    """Which examples are held out: those with the lowest digests, copies together."""
    distinct = np.unique(index.digests)
    if len(distinct) < 2:
        raise ValueError(
            f"{name}: {len(index.digests)} examples, {len(distinct)} of them distinct; the split "
            "needs 2: give more"
        )
    last = np.sort(index.digests)[max(1, round(heldout * len(index.digests))) - 1]
    held: NDArray[np.bool_] = index.digests <= min(last, distinct[-2])
    return held


def _say_copies(name: str, index: Index, held: NDArray[np.bool_]) -> None:
    copies = int(np.isin(index.digests[held], index.digests[~held]).sum())
    if copies:
        note(f"{name}: {copies} of {held.sum()} held-out examples are among the training ones too")


def _say_absent(name: str, labels: NDArray[np.int64], classes: int) -> None:
    """Say which classes have no example to train on: a gap in the numbers, mostly."""
    counts = np.bincount(labels, minlength=classes)
    if absent := np.flatnonzero(counts == 0).tolist():
        told = ", ".join(map(str, absent[:NAMED])) + (", ..." if len(absent) > NAMED else "")
        note(f"{name}: {len(absent)} of {classes} classes have no training example: {told}")


def _request(facts: dict[str, Any], index: Index, held: NDArray[np.bool_]) -> str:
    whole = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for values in (index.digests, index.labels, held):
        whole.update(values.tobytes())
    return whole.hexdigest()


def _judge_bad(name: str, bad: list[tuple[str, str]], good: int, skip: bool) -> None:
    """Say which examples are bad; an error unless they may be skipped and some are good."""
    if not bad:
        return
    named = "; ".join(f"{path} ({why})" for path, why in bad[:NAMED])
    rest = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    said = f"{name}: {len(bad)} of {len(bad) + good} examples cannot be used: {named}{rest}"
    if not skip or not good:
        raise ValueError(f"{said}: mend or remove them, or go on without them with --skip-bad")
    note(f"{said}: skipped")


def _decode_all(
    name: str, source: LabelledSource, held: NDArray[np.bool_], partial: Path, todo: Any
) -> State:
    """Write the inputs of both sides, going on from where ``state.json`` says."""
    state = State(**(read_json(partial / STATE) or {}))
    item = int(np.prod(state.shape or [0])) * np.dtype(state.dtype).itemsize
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())  # here, for it holds for all threads
        warnings.filterwarnings("ignore", module=r"PIL\.")  # about metadata, mostly
        advance = stack.enter_context(progress(f"{name}: decoding", len(held)))
        pool = stack.enter_context(ThreadPoolExecutor(len(os.sched_getaffinity(0))))
        files: list[BinaryIO] = []
        for key, size in zip(("train_inputs", "heldout_inputs"), state.sizes, strict=True):
            path = partial / f"{key}.npy"
            path.touch()
            files.append(stack.enter_context(path.open("r+b")))
            files[-1].truncate(HEAD + size * item)
            files[-1].seek(0, os.SEEK_END)
        advance(state.position)
        examples = source.read(state.position)
        unsaved = 0
        while chunk := list(islice(examples, CHUNK)):
            images = list(pool.map(lambda example: _attempt(todo, example[1]), chunk))
            for (called, _), image in zip(chunk, images, strict=True):
                if isinstance(image, Undecodable):
                    state.bad.append((state.position, called, str(image)))
                else:
                    _same_shape(name, called, image, state)
                    side = int(held[state.position])
                    files[side].write(image.tobytes())
                    state.sizes[side] += 1
                    unsaved += image.nbytes
                state.position += 1
            advance(len(chunk))
            if unsaved >= PART or state.position == len(held):
                for file in files:
                    file.flush()
                    os.fsync(file.fileno())
                write_atomic(partial / STATE, json.dumps(asdict(state)))
                unsaved = 0
    return state


def _attempt(todo: Any, content: Content) -> Any:
    """The decoded image, or why there is none."""
    try:
        return todo(content)
    except Undecodable as error:
        return error


def _same_shape(name: str, called: str, image: NDArray[Any], state: State) -> None:
    if state.shape is None:
        state.shape, state.dtype = list(image.shape), str(image.dtype)
    elif list(image.shape) != state.shape:
        raise ValueError(
            f"{name}: images differ in size: {called} is {_size(image.shape)}, others "
            f"{_size(state.shape)}: choose one for all, say --resolution {max(state.shape[1:])}"
        )


def _size(shape: Any) -> str:
    return " x ".join(str(side) for side in shape[1:])


def _finish(
    name: str, index: Index, held: NDArray[np.bool_], partial: Path, state: State
) -> DataInfo:
    """Complete the four arrays and describe them."""
    if 0 in state.sizes:
        raise ValueError(
            f"{name}: {state.sizes[0]} good examples to train on, {state.sizes[1]} held out: both "
            "sides need some; give more"
        )
    good = np.ones(len(held), bool)
    good[[position for position, *_ in state.bad]] = False
    for side, prefix in enumerate(("train", "heldout")):
        path = partial / f"{prefix}_inputs.npy"
        shape = (state.sizes[side], *(state.shape or ()))
        with path.open("r+b") as file:
            file.write(_head(shape, state.dtype))
        chosen = np.flatnonzero(good & (held == side))
        if side == 1:  # part of it is evaluated during a run: a random part, then
            order = np.argsort(index.digests[chosen], kind="stable")
            if (np.diff(order) != 1).any():
                _reorder(path, order)
            chosen = chosen[order]
        np.save(partial / f"{prefix}_labels.npy", index.labels[chosen])
    files = [partial / f"{key}.npy" for key in ARRAYS]
    arrays = {key: np.load(path, mmap_mode="r") for key, path in zip(ARRAYS, files, strict=True)}
    info = describe_examples(name, arrays, fingerprint({"unit": "example"}, files))
    classes = max(info.num_classes or 0, len(index.classes))
    if classes < 2:
        raise ValueError(f"{name}: all labels are 0: give two classes or more")
    _say_absent(name, arrays["train_labels"], classes)
    for kept, content in index.files.items():
        (partial / kept).write_bytes(content)
    return replace(info, num_classes=classes, **index.about)


def _head(shape: tuple[int, ...], dtype: str) -> bytes:
    """The first bytes of a .npy file (format 1.0), as many whatever the number of rows."""
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    head = buffer.getvalue()
    if len(head) != HEAD:
        raise RuntimeError(f"this NumPy writes .npy heads of {len(head)} bytes, not {HEAD}")
    return head


def _reorder(path: Path, order: NDArray[np.intp]) -> None:
    """Put the rows of a .npy file in another order."""
    rows = np.load(path, mmap_mode="r")
    temporary = path.with_name(f".{path.name}")
    ordered = np.lib.format.open_memmap(temporary, "w+", rows.dtype, rows.shape)
    for start in range(0, len(order), CHUNK):
        ordered[start : start + CHUNK] = rows[order[start : start + CHUNK]]
    ordered.flush()
    temporary.replace(path)
