"""Small programs for tests, and specs that run them."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from scaling import Counts, Program, ProgramSpec
from scaling.base import Store
from scaling.programs import Means, content, snapshot

PLAIN = Path(__file__).parents[3] / "examples" / "programs" / "plain"


def program(script: str, options: dict[str, Any] | None = None, **changes: Any) -> ProgramSpec:
    """A run of ``python -c script`` on 100 tokens, 10 a step; ``changes`` are its program's."""
    command = ("python", "-c", textwrap.dedent(script).replace("{", "{{").replace("}", "}}"))
    return ProgramSpec(
        Program(**{"command": command, **changes}), options or {}, Counts(1000, 6000), 100, 10
    )


def plain(store: Store, steps: int = 1000, **options: Any) -> ProgramSpec:
    """A run of the example of a plain script, its code copied into ``store``."""
    words = "python train.py --width {width} --steps {num_steps} --out {run_dir} --seed {seed}"
    digest = content(PLAIN).digest
    snapshot(store, PLAIN, digest)
    return ProgramSpec(
        Program(
            tuple(words.split()),
            code=digest,
            reports={"file": "{run_dir}/log.jsonl", "step": "tokens", "loss": "val_loss"},
        ),
        {"width": 8, **options},
        Counts(num_params=2 * 128 * 8, flops_per_token=6 * 2 * 128 * 8),
        num_tokens=128 * steps,
        tokens_per_step=128,
    )


def steps_in(seconds: float, folder: Path) -> int:
    """Steps of the plain script's training in so many seconds of a processor, in hundreds."""
    train = [sys.executable, str(PLAIN / "train.py"), "--out"]

    def taken(steps: int) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        out = str(folder / f"paced-{steps}")
        subprocess.run([*train, out, "--steps", str(steps)], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    start = taken(1)
    return max(1, round(2000 * seconds / max(taken(2001) - start, 0.02) / 100)) * 100


def quick(**changes: Any) -> Means:
    """Means that lose no time."""
    return Means(**{"stop_seconds": 5.0, **changes})
