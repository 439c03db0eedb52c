"""All that needs a GPU, tests and benchmarks, one after another; what failed is said at the end.

    make gpu                             # with a GPU of 80 GB; half an hour by estimate
    python benchmarks/on_gpu.py --only ways
    python benchmarks/on_gpu.py --dry    # each part on a CPU, at sizes of seconds

``--dry`` shows that a part runs, not how fast: nothing is compiled, and tests that need a GPU are
skipped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).parent
SPEED, COST = str(HERE / "training_speed.py"), str(HERE / "cost_before.py")
MANY = (str(HERE / "ensembles.py"),)
BESIDE = (*MANY, "--plain", "--without-tolerance")
TESTS = str(HERE.parent / "tests" / "scaling" / "training" / "test_gpu.py")
ON_CUDA = (SPEED, "--device", "cuda", "--only")
DRY = (SPEED, "--dry", "--only")
# Name: what is run on a GPU, and dry.
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "tests": (("-m", "pytest", TESTS, "-m", "gpu"), ("-m", "pytest", TESTS, "-m", "gpu")),
    "124m": ((*ON_CUDA, "124m", "--profile"), (*DRY, "124m", "--profile")),
    "350m": ((*ON_CUDA, "350m"), (*DRY, "350m")),
    "1300m": ((*ON_CUDA, "1300m"), (*DRY, "1300m")),
    "ways": ((*ON_CUDA, "ways"), (*DRY, "ways")),
    "tiny": ((*ON_CUDA, "tiny"), (*DRY, "tiny")),
    "images": ((*ON_CUDA, "images"), (*DRY, "images")),
    "ensembles": (
        (*MANY, "--device", "cuda", "--only", "16x128", "--rounds", "3"),
        (*MANY, "--only", "mlp 64-8-8", "--rounds", "1", "--without-tolerance"),
    ),
    "ensembles beside runs kernel by kernel": (
        (*BESIDE, "--device", "cuda", "--only", "16x128", "--rounds", "2"),
        (*BESIDE, "--only", "mlp 64-8-8", "--rounds", "1"),
    ),
    "cost": (
        (COST, "--precision", "bfloat16", "--compiled", "3"),
        (COST, "--rounds", "1", "--compiled", "1"),
    ),
}


def main() -> int:
    """Run the parts; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(PARTS), default="")
    parser.add_argument("--dry", action="store_true")
    given = parser.parse_args()
    if not given.dry and not torch.cuda.is_available():
        parser.error("no CUDA device here: --dry shows that each part runs")
    print(torch.cuda.get_device_name() if torch.cuda.is_available() else "dry: no GPU", flush=True)
    failed = []
    for name, commands in PARTS.items():
        if given.only in ("", name):
            began = time.perf_counter()
            print(f"\n== {name}", flush=True)
            command = [sys.executable, *commands[given.dry]]
            environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
            environment |= {"TORCHDYNAMO_DISABLE": "1"} if given.dry else {}
            code = subprocess.run(command, env=environment, check=False).returncode
            print(f"== {name}: exit status {code}, {time.perf_counter() - began:.0f} s", flush=True)
            failed += [name] if code else []
    print(f"\nfailed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
