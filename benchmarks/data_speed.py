"""How fast images are decoded, and how much of a training step is spent on data.

    python benchmarks/data_speed.py [--device cuda] [--steps 20]

First JPEG files of 500 x 375 are decoded to 224 x 224, on one thread and on all. Then models train
on random images on disk. On a CPU (one thread, processor time, which a busy machine disturbs
least) the data's share is the time of a batch over that of a step. On a GPU the two overlap: there
it is what steps take longer than with one batch that is kept. Medians over the steps.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from scaling.data.examples import ExampleData
from scaling.data.info import DataInfo
from scaling.data.loader import Batch, Loader
from scaling.data.pictures import decode
from scaling.families import get_family
from scaling.families.base import with_preset
from scaling.spec import TrainSpec

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
# What is trained: data shape, examples, family, options, batch, precision.
CPU_RUNS: list[tuple[tuple[int, ...], int, str, dict[str, Any], int]] = [
    ((1, 28, 28), 60_000, "efficientnet", {"num_params": 20_000}, 128),
    ((1, 28, 28), 60_000, "lenet", {}, 128),
    ((1, 28, 28), 60_000, "mlp", {}, 128),
]
GPU_RUNS: list[tuple[tuple[int, ...], int, str, dict[str, Any], int]] = [
    ((3, 224, 224), 20_000, "resnet:50", {}, 256),
    ((3, 224, 224), 20_000, "vit:b16", {}, 256),
]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--device", default="cpu")
    options.add_argument("--steps", type=int, default=20)
    args = options.parse_args()
    decoding()
    device = torch.device(args.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    print(f"{'model':24} {'images':>13} {'augmented':20} {'batch':>8} {'step':>8} {'data':>6}")
    for shape, count, model, more, size in CPU_RUNS if device.type == "cpu" else GPU_RUNS:
        with TemporaryDirectory() as folder:
            training(shape, count, model, more, size, device, args.steps, Path(folder))


def decoding(count: int = 400) -> None:
    """Images per second, from photograph-like noise."""
    rng = np.random.default_rng(0)
    contents = []
    for _ in range(16):
        small = Image.fromarray(rng.integers(0, 256, (47, 63, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        small.resize((500, 375), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        contents.append(buffer.getvalue())
    work = partial(decode, channels=3, size=(224, 224), fit="crop")
    for threads in (1, len(os.sched_getaffinity(0))):
        start = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, (contents[i % 16] for i in range(count))))
        rate = count / (time.perf_counter() - start)
        print(f"decoding, {threads} threads: {rate:,.0f} images/s")


def training(
    shape: tuple[int, ...],
    count: int,
    model: str,
    more: dict[str, Any],
    size: int,
    device: torch.device,
    steps: int,
    folder: Path,
) -> None:
    inputs = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, (count, *shape))
    rng = np.random.default_rng(0)
    for start in range(0, count, 1000):
        inputs[start : start + 1000] = rng.integers(0, 256, inputs[start : start + 1000].shape)
    labels = rng.integers(0, 10, count)
    info = DataInfo("random", "0" * 16, "example", count, 0, num_classes=10, input_shape=shape)
    data = ExampleData(info, inputs.view(np.ndarray), labels, inputs[:0], labels[:0])
    name, _, preset = model.partition(":")
    family = get_family(name)
    base = with_preset(family, preset) if preset else {}
    config = family.resolve({**base, **family.data_options(info), **more})
    net: Any = family.build(config).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=device.type == "cuda")

    def learn(batch: Batch) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = net(batch.inputs)
        F.cross_entropy(logits.float(), batch.labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for title, changes in CHANGES.items():
        train = replace(PLAIN, batch_size=size, **changes)
        loader = Loader(data, train, 0, tuple(family.input_shape(config)), device)
        kept = loader.batch(0)
        learn(kept)
        alone = timed(loader.batch, steps, device)
        fixed = timed(partial(repeat, learn, kept), steps, device)
        whole = timed(partial(load_and_learn, learn, loader), steps, device)
        share = alone / whole if device.type == "cpu" else max(0.0, 1 - fixed / whole)
        sizes = " x ".join(map(str, shape))
        print(
            f"{model:24} {sizes:>13} {title:20} {1e3 * alone:6.1f}ms {1e3 * whole:6.1f}ms "
            f"{100 * share:5.1f}%"
        )


def repeat(learn: Callable[[Batch], None], batch: Batch, step: int) -> None:
    learn(batch)


def load_and_learn(learn: Callable[[Batch], None], loader: Loader, step: int) -> None:
    learn(loader.batch(step))


def timed(work: Callable[[int], Any], steps: int, device: torch.device) -> float:
    """Seconds per step; on a GPU elapsed, over spans of five, for steps overlap there."""
    on_gpu = device.type == "cuda"
    span, clock = (5, time.perf_counter) if on_gpu else (1, time.process_time)
    seconds = []
    for start in range(0, steps, span):
        began = clock()
        for step in range(start, start + span):
            work(step)
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append((clock() - began) / span)
    return median(seconds)


if __name__ == "__main__":
    main()
