"""The memory of runs on a CPU that is foretold from small models, for shapes that were not weighed.

    python benchmarks/memory_before.py [--family mlp|resnet|convnext] [--precision bfloat16]
        [--optimizer NAME] [--vocab-size N] [--threads N] [--members N] [--shapes I ...]

Prices are fitted to the models that a preview weighs: of images, which have none of their own, to
some of the runs of a sweep. Then each shape that is held out is trained for 18 steps in a process
of its own that has loaded what a worker has, on real data, with points of the curve, and one
checkpoint after another; ``VmHWM`` of that process is what a run takes. Both the whole is compared
and what the run takes beyond the worker without one, which is 250 MB that need no forecast.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scaling import RunSpec, read_spec
from scaling.base import print_table
from sweeps.estimate import memory

STEPS = 18  # the curve has its first point after 16
HELD_OUT = {
    "transformer": (
        {"depth": 2, "width": 96, "context": 128, "batch_size": 16},
        {"depth": 6, "width": 64, "context": 64, "batch_size": 16},
        {"depth": 3, "width": 160, "context": 256, "batch_size": 8},
        {"depth": 2, "width": 384, "context": 64, "batch_size": 8},
        {"depth": 1, "width": 512, "context": 256, "batch_size": 4},
        {"depth": 10, "width": 128, "context": 128, "batch_size": 4},
        {"depth": 5, "width": 256, "context": 128, "batch_size": 8},
        {"depth": 2, "width": 768, "context": 64, "batch_size": 2},
        {"depth": 4, "width": 48, "context": 512, "batch_size": 16},
        {"depth": 8, "width": 320, "context": 64, "batch_size": 8},
    ),
    "mlp": (
        {"depth": 2, "width": 256, "batch_size": 8192},
        {"depth": 4, "width": 512, "batch_size": 1024},
        {"depth": 6, "width": 1024, "batch_size": 128},
        {"depth": 3, "width": 2048, "batch_size": 32},
        {"depth": 8, "width": 256, "batch_size": 2048},
        {"depth": 1, "width": 1024, "batch_size": 4096},
        {"depth": 10, "width": 64, "batch_size": 8192},
    ),
    "resnet": (
        {"depths": [1, 1], "widths": [24, 48], "batch_size": 64},
        {"depths": [2, 2], "widths": [16, 32], "batch_size": 64},
        {"depths": [1, 1, 1], "widths": [32, 64, 128], "batch_size": 64},
        {"depths": [1, 1], "widths": [128, 256], "batch_size": 32},
        {"depths": [2, 2, 2], "widths": [16, 32, 64], "batch_size": 128},
        {"depths": [1, 1], "widths": [48, 96], "batch_size": 128},
    ),
    "convnext": (
        {"depths": [1, 1], "widths": [48, 96], "batch_size": 64},
        {"depths": [2, 2], "widths": [32, 64], "batch_size": 128},
        {"depths": [1, 1, 3], "widths": [32, 64, 128], "batch_size": 128},
        {"depths": [2, 2], "widths": [96, 192], "batch_size": 64},
        {"depths": [3, 3], "widths": [64, 128], "batch_size": 64},
    ),
}
SWEEP = tuple(  # of images, of which a preview weighs some
    {"depths": depths, "widths": [width, 2 * width], "batch_size": batch}
    for depths in ([1, 1], [2, 2])
    for width in (8, 16, 32, 64)
    for batch in (32, 64)
)


def spec_of(family: str, shape: dict[str, object], more: dict[str, object]) -> RunSpec:
    """A run of the shape, long enough for the steps that are made."""
    options: dict[str, object] = {"lr": 1e-3, **more, **shape}
    examples = 10 * STEPS * int(str(shape["batch_size"]))
    if family == "transformer":
        tokens = examples * int(str(shape["context"]))
        return RunSpec.resolve(data="made-up", num_tokens=tokens, curve_tokens=4096, **options)
    if family == "mlp":
        options["data"] = "teacher:features=64"
    else:
        options |= {"data": "digits", "resolution": 32}
    if family == "resnet":
        options["block"] = "basic"
    return RunSpec.resolve(family=family, num_tokens=examples, curve_examples=128, **options)


def prepare(home: Path) -> None:
    """A corpus of a million bytes."""
    from scaling.data.text.prepare import prepare_tokens
    from scaling.data.text.sources import TextFiles

    random = np.random.default_rng(0)
    files = tuple(home / f"{i:02d}.txt" for i in range(64))
    for file in files:
        file.write_bytes(random.integers(32, 123, 16000).astype(np.uint8).tobytes())
    prepare_tokens("made-up", TextFiles(files), home / "data", heldout=0.2)


def train_one(threads: int, members: int) -> None:
    """Train the run that standard input describes, and print the peak of this process in bytes.

    With several members an ensemble of them, that differ in their seed.
    """
    import cluster.work.worker  # noqa: F401  (what a worker has loaded)
    from scaling.training import Entry, loop, train, train_ensemble

    # In a run of hours each moment of a step meets a checkpoint that is being written.
    loop.CHECKPOINT_COST, loop.WRITING_COST = math.inf, {}
    spec, left = read_spec(json.load(sys.stdin)), iter(range(STEPS * members - 1))
    how: dict[str, Any] = {"threads": threads, "checkpoint_seconds": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        if members == 1:
            train(spec, Path(folder), should_stop=lambda: next(left, None) is None, **how)
        else:
            few = {"num_tokens": STEPS * spec.units_per_step, "final_tokens": 4096}
            short = replace(spec, train=replace(spec.train, train_eval=False, **few))
            seeds = range(members)
            entries = [Entry(replace(short, seed=i), Path(folder, str(i))) for i in seeds]
            train_ensemble(entries, **how)
    status = Path("/proc/self/status").read_text().splitlines()
    print(int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024)


def taken(spec: RunSpec, threads: int, members: int) -> int:
    """Bytes that a process takes which trains the run, or members like it."""
    command = [sys.executable, __file__, "--one"]
    command += ["--threads", str(threads), "--members", str(members)]
    told = subprocess.run(
        command, input=json.dumps(spec.to_dict()), capture_output=True, text=True, check=True
    )
    return int(told.stdout.split()[-1])


def main() -> None:
    """Print predicted over measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=sorted(HELD_OUT), default="transformer")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--momentum", type=float, help="of sgd and rmsprop")
    parser.add_argument("--vocab-size", type=int, help="of transformers")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--members", type=int, default=1, help="of an ensemble")
    parser.add_argument("--shapes", type=int, nargs="*", help="some of those that are held out")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        train_one(given.threads, given.members)
        return
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"SCALING_HOME": home, "OMP_NUM_THREADS": str(given.threads)}
        prepare(Path(home))
        chosen = ("precision", "optimizer", "momentum", "vocab_size")
        more = {name: value for name in chosen if (value := getattr(given, name)) is not None}
        if given.optimizer == "schedulefree":
            more["schedule"] = "constant"

        def spec(shape: dict[str, object]) -> RunSpec:
            return spec_of(given.family, shape, more)

        shapes = HELD_OUT[given.family]
        wanted = [shapes[i] for i in given.shapes or range(len(shapes))]
        held_out = [spec(shape) for shape in wanted]
        of_images = given.family not in memory.SHAPES
        sweep = [spec(shape) for shape in SWEEP] if of_images else held_out
        models = memory.to_weigh(sweep)
        found = memory.priced(models, memory.weigh(models))
        print(f"{found.source}: a worker {found.worker / 2**20:.0f} MB, prices {found.prices}")
        rows, ratios = [], []
        for shape, run in zip(wanted, held_out, strict=True):
            foretold = found.bytes(run, members=given.members)
            took = taken(run, given.threads, given.members)
            own = (foretold - found.worker) / (took - found.worker)
            ratios.append(foretold / took)
            told = " ".join(f"{key} {value}" for key, value in shape.items())
            rows.append([told, f"{took / 2**20:.0f}", f"{ratios[-1]:.2f}", f"{own:.2f}"])
            print(*rows[-1], flush=True)
    header = ["held out", "MB", "foretold / measured", "beyond the worker"]
    print_table(f"memory of {given.family} {' '.join(sys.argv[1:])}", header, rows)
    within = sum(1 / 1.2 <= ratio <= 1.2 for ratio in ratios)
    print(f"{within} of {len(ratios)} within 20 %")


if __name__ == "__main__":
    main()
