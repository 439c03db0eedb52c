"""Draws what attention costs against the context, for each pattern: ``images/context-cost.png``.

    python docs/draw_contexts.py

Counts alone, of a transformer of 12 layers and width 768 with windows of 128 positions or of the
root of the context; MACs of attention are what ``macs_forward`` has above its weights' products.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from scaling.families import TRANSFORMER  # noqa: E402

CONTEXTS = [4**k for k in range(4, 10)]
SHAPE = {"depth": 12, "width": 768, "head_dim": 64, "vocab_size": 50304}
PATTERNS = {  # options, and the power of the context in a sequence's cost
    "global": ({}, 2),
    "local*5, global: windows of 128": ({"attention": "local*5, global", "window": 128}, 2),
    "local, column: windows of √n": ({"attention": "local, column"}, 1.5),
    "block, summary: windows of √n": ({"attention": "block, summary"}, 1.5),
    "local: windows of 128": ({"attention": "local", "window": 128}, 1),
}


def cost(options: dict[str, object], context: int) -> tuple[float, float]:
    """MACs of attention, and of all products, in a forward pass over one sequence."""
    config = TRANSFORMER.resolve({**SHAPE, **options, "context": context})
    found = TRANSFORMER.cost(config)
    whole = found.macs_forward * context
    return whole - found.num_params_matmul * context, whole


def draw() -> Figure:
    """Attention alone with the slopes of n, n √n and n², and the whole forward pass."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    n = np.array(CONTEXTS, dtype=float)
    for i, (label, (options, power)) in enumerate(PATTERNS.items()):
        attention, whole = np.array([cost(options, context) for context in CONTEXTS]).T
        left.plot(n, attention, ".-", color=f"C{i}", label=label)
        right.plot(n, whole / n, ".-", color=f"C{i}")
        slope = np.polyfit(np.log(n[-3:]), np.log(attention[-3:]), 1)[0]
        print(f"{label:34} n^{slope:.2f}, of a sequence of {CONTEXTS[-1]:,}: {attention[-1]:.3g}")
        assert abs(slope - power) < 0.06, (label, slope)
    for name, power, at in (("n²", 2, 4e15), ("n √n", 1.5, 1.2e13), ("n", 1, 4e11)):
        line = at * (n / n[-1]) ** power
        left.plot(n, line, "--", color="grey", linewidth=0.8)
        left.annotate(name, (n[-1], line[-1]), xytext=(4, -3), textcoords="offset points")
    left.set(xscale="log", yscale="log", xlabel="context n (tokens)", ylabel="MACs of a sequence")
    left.set_title("attention alone")
    left.margins(x=0.12)
    left.legend(fontsize=8)
    right.set(xscale="log", yscale="log", xlabel="context n (tokens)", ylabel="MACs of a token")
    right.set_title("the whole forward pass")
    for axes in (left, right):
        axes.set_xticks(CONTEXTS, [f"{c // 1024}Ki" if c >= 1024 else str(c) for c in CONTEXTS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    draw().savefig(ROOT / "docs" / "images" / "context-cost.png", dpi=130)
