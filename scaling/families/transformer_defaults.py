"""What a transformer's options leave open, as it follows from those that are given."""

from __future__ import annotations

import math
from functools import lru_cache

from scaling.base import OptionError, convert
from scaling.families.attention_patterns import SQUARE_ROOT, default_window
from scaling.families.base import Options
from scaling.families.parametrisation import BASE_DEPTH, BASE_WIDTH, PARAMETRISATIONS

CONTEXT = 128

SWIGLU_MULTIPLE = 64
SWIGLU_EXACT = 640
"""SwiGLU's default width is a multiple from here on, where that changes it by 5 % at most."""


@lru_cache(maxsize=4096)
def default_heads(width: int, head_dim: int = 32) -> int:
    """The most heads of even width at least ``head_dim`` that divide ``width`` (else 1)."""
    small = (i for i in range(1, math.isqrt(width) + 1) if width % i == 0)
    divisors = (d for i in small for d in (i, width // i))
    return max((d for d in divisors if d * head_dim <= width and width // d % 2 == 0), default=1)


def default_mlp_width(width: int, gated: bool, ratio: float | None) -> int:
    """``ratio`` x ``width``; without one 4 x, for SwiGLU 8/3 x, as many weights in three matrices.

    The latter (Shazeer 2020, sec. 2) is often odd, and kernels want rows of 128 bytes (NVIDIA,
    Matrix Multiplication Background, sec. 2): 64 numbers in bfloat16.
    """
    if ratio is not None or not gated:
        return round((ratio or 4) * width)
    exact = round(8 / 3 * width)
    return exact if exact < SWIGLU_EXACT else SWIGLU_MULTIPLE * round(exact / SWIGLU_MULTIPLE)


def heads_of(options: Options, width: int, head_dim: int) -> int:
    """The heads where none are given: by ``head_width``, or as ``default_heads`` has it."""
    head_width = convert("int", "head_width", options.get("head_width", 0))
    return max(1, round(width / head_width)) if head_width else default_heads(width, head_dim)


def window_of(options: Options) -> dict[str, int]:
    """The window of sparse patterns, near the root of the context."""
    attention = options.get("attention", "global")
    context = convert("int", "context", options.get("context", CONTEXT))
    sparse = isinstance(attention, str) and any(kind in attention for kind in SQUARE_ROOT)
    return {"window": default_window(context)} if sparse else {}


def base_model(options: Options, width: int, head_dim: int) -> dict[str, int]:
    """What else the parametrisation must know of the base model, where it is 0 or not given."""
    parametrisation = options.get("parametrisation")
    if parametrisation not in PARAMETRISATIONS[1:]:
        return {}
    given = {
        name: convert("int", name, options.get(name, default))
        for name, default in (("base_width", BASE_WIDTH), ("base_head_dim", 0), ("base_depth", 0))
    }
    base_width, base_head_dim = given["base_width"], given["base_head_dim"]
    heads = convert("int", "heads", options.get("heads", 0))
    heads = heads or heads_of(options, base_width, head_dim)
    head_width = convert("int", "head_width", options.get("head_width", 0))
    if "heads" in options and width != base_width and not (base_head_dim or head_width):
        raise OptionError(
            f"heads {heads} at width {width} leaves the heads of the base model open, which "
            f"{parametrisation} asks: give base_head_dim ({max(1, width // heads)} if heads are "
            f"added as width grows, {max(1, base_width // heads)} if they widen)",
            "base_head_dim",
            "heads",
        )
    by_depth = {"base_depth": given["base_depth"] or BASE_DEPTH}
    return {
        "base_head_dim": base_head_dim or head_width or base_width // heads,
        **(by_depth if parametrisation == "completep" else {}),
    }
