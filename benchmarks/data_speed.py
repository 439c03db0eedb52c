"""How fast images are decoded, and how much of a training step is spent on data.

    python benchmarks/data_speed.py [--device cuda] [--steps 20]

First a Parquet file of JPEGs of 500 x 375 becomes a data set of 224 x 224, and batches are gathered
from it by one thread. Then models train on random images on disk, by one thread on a CPU. An
accelerator is a sleep of as long as its step takes, and its batches are bytes: it augments itself.
"batch" is processor time, which a busy machine disturbs least; "waits" is the share of elapsed time
that the training thread waits for data when it makes batches itself, and with threads that make
them ahead. On a GPU (--device cuda) the step is what it takes with one batch that is kept.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch.nn import functional as F

from scaling.data.batches.examples import ExampleData, open_examples
from scaling.data.images import source_of
from scaling.data.images.pictures import decode
from scaling.data.images.prepare import prepare_labelled
from scaling.data.info import DataInfo
from scaling.families import get_family
from scaling.families.base import with_preset
from scaling.spec_parts import TrainSpec
from scaling.training.ahead import Ahead
from scaling.training.loader import Batch, Loader

WARM_UP = 3  # steps that are not counted
PLAIN = TrainSpec(num_tokens=1, batch_size=128)
CHANGES: dict[str, dict[str, Any]] = {
    "as stored": {},
    "crop, flip": {"crop_padding": 4, "flip": True},
    "resized crop, flip": {"crop_scale": 0.25, "flip": True},
    "all": {
        "crop_padding": 4,
        "crop_scale": 0.25,
        "flip": True,
        "colour_jitter": 0.4,
        "mixup": 0.2,
        "standardise": True,
    },
}
# What is trained: data shape, examples, family, options, batch; a number is the milliseconds
# that an accelerator takes for a step (3,000 images of 224 x 224 a second: ResNet-50 on an H100).
Run = tuple[tuple[int, ...], int, str | float, dict[str, Any], int]
CPU_RUNS: list[Run] = [
    ((1, 28, 28), 60_000, "efficientnet", {"num_params": 20_000}, 128),
    ((1, 28, 28), 60_000, "lenet", {}, 128),
    ((1, 28, 28), 60_000, "mlp", {}, 128),
    ((1, 28, 28), 60_000, 2.0, {}, 128),
    ((3, 224, 224), 4_000, 85.0, {}, 256),
]
GPU_RUNS: list[Run] = [
    ((3, 224, 224), 20_000, "resnet:50", {}, 256),
    ((3, 224, 224), 20_000, "vit:b16", {}, 256),
]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--device", default="cpu")
    options.add_argument("--steps", type=int, default=20)
    args = options.parse_args()
    with TemporaryDirectory() as folder:
        preparing(Path(folder))
    device = torch.device(args.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    threads = (0, 1, 2) if device.type == "cpu" else (0, 1, 4)
    print(
        f"{'model':14} {'images':>13} {'augmented':18} {'batch':>8} {'step':>8}  waits: "
        + ", ".join(f"{n} threads" for n in threads)
    )
    for run in CPU_RUNS if device.type == "cpu" else GPU_RUNS:
        with TemporaryDirectory() as folder:
            training(run, device, args.steps, threads, Path(folder))


def preparing(folder: Path, count: int = 600) -> None:
    """Images per second: a Parquet file to a data set, and batches out of it."""
    rng = np.random.default_rng(0)
    contents = []
    for _ in range(count):  # photograph-like noise
        small = Image.fromarray(rng.integers(0, 256, (47, 63, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        small.resize((500, 375), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        contents.append(buffer.getvalue())
    table = pa.table({"image": contents, "label": np.arange(count) % 10})
    pq.write_table(table, folder / "train.parquet", row_group_size=100)
    began = time.process_time()
    for content in contents:
        decode(content, 3, (224, 224), "crop")
    rate = count / (time.process_time() - began)
    print(f"decoding: {rate:,.0f} images a second of one core")
    source = source_of((folder / "train.parquet",))
    began = time.process_time()
    info = prepare_labelled("jpegs", source, folder, resolution=(224, 224))
    rate = count / (time.process_time() - began)
    print(f"the whole Parquet file, read twice, written once: {rate:,.0f} a second of one core")
    data = open_examples(folder / "jpegs", info)
    began = time.process_time()
    for step in range(10):
        data.batch(step, batch_size=256, seed=0)
    rate = 2560 / (time.process_time() - began)
    print(f"gathering batches of 256 as bytes: {rate:,.0f} a second of one core")


def training(
    run: Run, device: torch.device, steps: int, threads: tuple[int, ...], folder: Path
) -> None:
    """A row for each kind of augmentation."""
    shape, count, model, more, size = run
    inputs = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, (count, *shape))
    rng = np.random.default_rng(0)
    for start in range(0, count, 1000):
        inputs[start : start + 1000] = rng.integers(0, 256, inputs[start : start + 1000].shape)
    labels = rng.integers(0, 10, count)
    info = DataInfo("random", "0" * 16, "example", count, 0, num_classes=10, input_shape=shape)
    data = ExampleData(info, inputs.view(np.ndarray), labels, inputs[:0], labels[:0])
    name = f"{model:g} ms" if isinstance(model, float) else model
    learn = sleeper(model) if isinstance(model, float) else learner(model, more, info, device)
    for title, changes in (CHANGES if isinstance(model, str) else {"by accelerator": {}}).items():
        train = replace(PLAIN, num_tokens=size * (steps + WARM_UP), batch_size=size, **changes)
        if isinstance(model, str):
            make = Loader(data, train, 0, shape, device).batch
        else:
            make = partial(gather, data, size)
        kept = make(0, slice(None))
        began = time.process_time()
        for step in range(steps):
            make(step, slice(None))
        alone = (time.process_time() - began) / steps
        fixed = elapsed(partial(repeat, learn, kept), steps, device)[1]
        shares = [
            waiting(Ahead(make, steps + WARM_UP, n), learn, steps, fixed, device) for n in threads
        ]
        sizes = " x ".join(map(str, shape))
        print(
            f"{name:14} {sizes:>13} {title:18} {1e3 * alone:6.1f}ms {1e3 * fixed:6.1f}ms  "
            + ", ".join(f"{100 * share:5.1f} %" for share in shares),
            flush=True,
        )


def learner(
    model: str, more: dict[str, Any], info: DataInfo, device: torch.device
) -> Callable[[Batch], None]:
    """A training step of a model."""
    name, _, preset = model.partition(":")
    family = get_family(name)
    base = with_preset(family, preset) if preset else {}
    config = family.resolve({**base, **family.data_options(info), **more})
    net: Any = family.build(config).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)

    def learn(batch: Batch) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = net(batch.inputs)
        F.cross_entropy(logits.float(), batch.labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return learn


def sleeper(milliseconds: float) -> Callable[[Batch], None]:
    """An accelerator's step."""
    return lambda batch: time.sleep(milliseconds / 1e3)


def gather(data: ExampleData, size: int, step: int, rows: slice) -> Batch:
    """A batch as an accelerator gets it."""
    inputs, labels = data.batch(step, batch_size=size, seed=0, rows=rows)
    return Batch(torch.from_numpy(inputs), torch.from_numpy(labels))


def waiting(
    ahead: Ahead[Batch],
    learn: Callable[[Batch], None],
    steps: int,
    fixed: float,
    device: torch.device,
) -> float:
    """The share of the time in which a step has no data: on a GPU what steps take longer."""

    def step_on(step: int) -> float:
        asked = time.perf_counter()
        batch = ahead.get(step, slice(None))
        waited = time.perf_counter() - asked
        learn(batch)
        return waited

    waited, whole = elapsed(step_on, steps, device)
    ahead.close()
    return waited / whole if device.type == "cpu" else max(0.0, 1 - fixed / whole)


def repeat(learn: Callable[[Batch], None], batch: Batch, step: int) -> float:
    """A step that waits for nothing."""
    learn(batch)
    return 0.0


def elapsed(work: Callable[[int], float], steps: int, device: torch.device) -> tuple[float, float]:
    """Means over steps of what ``work`` returns and of its time, after the first ones."""
    total, began = 0.0, 0.0
    for step in range(steps + WARM_UP):
        if step == WARM_UP:
            if device.type == "cuda":
                torch.cuda.synchronize()
            total, began = 0.0, time.perf_counter()
        total += work(step)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return total / steps, (time.perf_counter() - began) / steps


if __name__ == "__main__":
    main()
