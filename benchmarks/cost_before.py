"""Step times that are foretold from a calibration, for shapes that it did not see.

    python benchmarks/cost_before.py [--family mlp] [--rounds 5]
    python benchmarks/cost_before.py --vocabulary 50304 --precision bfloat16   # on a GPU
    python benchmarks/cost_before.py --compiled 3    # the first three held out, compiled, too

The shapes of the calibration and those held out are timed in turn, in random order, ``rounds``
times, and the median of each is taken: so a machine that is busy slows both alike. Processor time
of one thread on a CPU, as the calibration has it; where there is a GPU it is the GPU that is
timed, at shapes of its own. Prices are fitted to the former alone.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from statistics import median

import torch

from scaling.base import print_table
from scaling.data import DataInfo
from scaling.spec import RunSpec
from sweeps.estimate import calibration

HELD_OUT = {
    "transformer": (
        {"depth": 2, "width": 32, "context": 32, "batch_size": 16},
        {"depth": 2, "width": 96, "context": 64, "batch_size": 8},
        {"depth": 3, "width": 48, "context": 64, "batch_size": 4},
        {"depth": 4, "width": 64, "context": 128, "batch_size": 2},
        {"depth": 2, "width": 192, "context": 128, "batch_size": 2},
        {"depth": 4, "width": 160, "context": 32, "batch_size": 8},
        {"depth": 1, "width": 384, "context": 64, "batch_size": 2},
        {"depth": 5, "width": 32, "context": 64, "batch_size": 2},
        {"depth": 2, "width": 32, "context": 256, "batch_size": 8},
    ),
    "mlp": (
        {"depth": 2, "width": 16, "batch_size": 64},
        {"depth": 2, "width": 128, "batch_size": 128},
        {"depth": 4, "width": 48, "batch_size": 32},
        {"depth": 3, "width": 384, "batch_size": 64},
        {"depth": 8, "width": 64, "batch_size": 16},
        {"depth": 1, "width": 256, "batch_size": 256},
    ),
}
ON_CUDA = {
    "transformer": (
        {"depth": 4, "width": 64, "context": 256, "batch_size": 32},
        {"depth": 6, "width": 128, "context": 128, "batch_size": 16},
        {"depth": 6, "width": 192, "context": 256, "batch_size": 64},
        {"depth": 4, "width": 384, "context": 512, "batch_size": 16},
        {"depth": 8, "width": 256, "context": 1024, "batch_size": 32},
        {"depth": 6, "width": 512, "context": 1024, "batch_size": 16},
        {"depth": 12, "width": 512, "context": 256, "batch_size": 64},
        {"depth": 12, "width": 768, "context": 1024, "batch_size": 16},
        {"depth": 16, "width": 1024, "context": 512, "batch_size": 16},
    ),
}


def base(family: str, vocabulary: int, precision: str) -> RunSpec:
    """A run of the family, whose options the shapes inherit."""
    if family == "mlp":
        data = "teacher:features=64"
        return RunSpec.resolve(
            family="mlp", data=data, num_tokens=1e4, lr=0.01, precision=precision
        )
    info = DataInfo("made up", "", "token", 10**7, 10**5, vocab_size=vocabulary)
    shape = {"depth": 1, "width": 32, "context": 32, "precision": precision}
    return RunSpec.resolve(info=info, **shape, num_tokens=1e6, lr=0.01)


def main() -> None:
    """Print predicted over measured, for steps and for chunks of an evaluation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=sorted(HELD_OUT), default="transformer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--vocabulary", type=int, default=256)
    parser.add_argument("--compiled", type=int, default=0, metavar="N")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    first = base(given.family, given.vocabulary, given.precision)
    seen = calibration.shapes(first, calibration.timed_shapes(given.family, device))
    others = ON_CUDA if device == "cuda" and given.family in ON_CUDA else HELD_OUT
    held_out = calibration.shapes(first, others[given.family])
    specs = [*seen, *held_out]
    times: list[list[tuple[float, float]]] = [[] for _ in specs]
    for _ in range(given.rounds):
        for i in random.sample(range(len(specs)), len(specs)):
            times[i].append(calibration.measure(specs[i], 0.05))
    medians = [tuple(map(median, zip(*of_shape, strict=True))) for of_shape in times]
    found = calibration.priced(seen, medians[: len(seen)], device)
    rows, errors = [], []
    for spec, (step, chunk) in zip(held_out, medians[len(seen) :], strict=True):
        ratios = found.step(spec) / step, found.timed_chunk(spec) / chunk
        errors.append(ratios)
        model = f"{spec.model.depth}x{spec.model.width}"
        shape = f"{model}, {spec.train.batch_size}x{getattr(spec.model, 'context', 1)}"
        rows.append([shape, f"{step * 1e3:.2f}", *(f"{ratio:.2f}" for ratio in ratios)])
    print_table("held out", ["shape", "ms a step", "step foretold / measured", "evaluation"], rows)
    for name, column in zip(("steps", "evaluations"), zip(*errors, strict=True), strict=True):
        within = sum(1 / 1.2 <= ratio <= 1.2 for ratio in column)
        print(f"{name}: {within} of {len(column)} within 20 %")
    if given.compiled:
        compiled(first, held_out[: given.compiled], found)


def compiled(first: RunSpec, held_out: list[RunSpec], found: calibration.StepTimes) -> None:
    """Print predicted over measured for compiled steps, by ratios at the shapes for that."""
    ratios = calibration.compiled_ratios(first, found.device)
    found = replace(found, compiled=tuple(ratios))
    rows = []
    for spec in held_out:
        plain, step = (calibration.measure(spec, compiled=how)[0] for how in (False, True))
        shape = f"{spec.model.depth}x{spec.model.width}"
        foretold = found.step(spec, compiled=True) / step
        rows.append([shape, f"{step * 1e3:.2f}", f"{plain / step:.2f}", f"{foretold:.2f}"])
        print(*rows[-1], flush=True)
    header = ["shape", "ms a compiled step", "not compiled / compiled", "foretold / measured"]
    print_table("compiled", header, rows)


if __name__ == "__main__":
    main()
