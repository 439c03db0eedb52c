"""Counts of many AnyNets at once, to spare exact counting where a range is out of reach.

The sums are those of bottleneck blocks (Radosavovic et al. 2020, fig. 3) without norms and
biases, a few percent from the exact counts, which have the last word on every model kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from scaling.families.vision import RULE, AnyNetConfig, compatible, quantised_widths
from sweeps.kinds.base_model import BaseModel

SLACK = 1.2  # how far a rough count may be off
_STAGES = ("depths", "widths", "bottleneck_ratios", "group_widths")
_RULE = (*RULE, "group_width")


def stages(options: Mapping[str, Any], wanted: int = 0) -> tuple[Any, ...] | None:
    """Depths, widths, bottleneck ratios, group widths; None if ``options`` are of another kind.

    Of no stage if the rule's line spans other than ``wanted`` steps: it need not be followed.
    """
    if options.keys() == set(_STAGES):
        return tuple(options[name] for name in _STAGES)
    if options.keys() != set(_RULE):
        return None
    depth, w0, wa, wm = (options[name] for name in RULE)
    if wanted and round(math.log(1 + wa * (depth - 1) / w0) / math.log(wm)) != wanted - 1:
        return (), (), (), ()
    blocks = quantised_widths(depth, w0, wa, wm)
    runs = [(width, len(list(same))) for width, same in groupby(blocks)]
    ratios = (1.0,) * len(runs)
    groups = (options["group_width"],) * len(runs)
    widths, groups = compatible(tuple(width for width, _ in runs), ratios, groups)
    return [depth for _, depth in runs], widths, ratios, groups


def distances(
    model: BaseModel,
    samples: Sequence[Mapping[str, Any]],
    ranges: Mapping[str, tuple[float, float]],
    wanted: int,
) -> list[float]:
    """How many times each sample is outside its worst range by rough counts; 1 within ``SLACK``.

    Infinite for a sample that has not the ``wanted`` number of stages. All 1 where the samples
    are of a kind that cannot be counted roughly.
    """
    import numpy as np

    unknown = [1.0] * len(samples)
    shapes = [stages(options, wanted) for options in samples]
    if not ranges or any(shape is None for shape in shapes):
        return unknown
    lengths = [len(shape[0]) for shape in shapes if shape]
    number = wanted or lengths[0]
    fit = [i for i, length in enumerate(lengths) if length == number]
    if not fit or (not wanted and len(fit) < len(lengths)):
        return unknown
    config = model.config(samples[fit[0]])
    plain = isinstance(config, AnyNetConfig) and config.block == "bottleneck"
    if not plain or config.stride_1x1 or "bottleneck_ratios" in model.options:
        return unknown
    columns = np.array([shapes[i] for i in fit], dtype=float)
    counts = rough_counts(config, *columns.transpose(1, 0, 2))
    worst = np.ones(len(fit))
    for name, (low, high) in ranges.items():
        worst = np.maximum(worst, np.maximum(low / counts[name], counts[name] / high))
    found = [math.inf] * len(samples)
    for i, off in zip(fit, worst.tolist(), strict=True):
        found[i] = 1.0 if off <= SLACK else off
    return found


def rough_counts(config: Any, depths: Any, widths: Any, ratios: Any, groups: Any) -> dict[str, Any]:
    """Parameters, MACs and activations of models that differ from ``config`` in their stages.

    The arrays have shape (n_models, n_stages).
    """
    side = config.resolution / (1 if config.stem == "small" else 2)
    side = side / 2 if config.stem == "pooled" else side
    before = config.stem_width
    kernels = 9 * config.in_channels * before
    params, macs, acts = kernels, kernels * side**2, before * side**2
    for i, stride in enumerate(config.strides):
        d, w, g = depths[:, i], widths[:, i], groups[:, i]
        v = w / ratios[:, i]
        wide, side = side**2, math.ceil(side / stride)
        area = side**2
        changes = (w != before) | (stride > 1)
        squeeze = 2 * v * config.se_ratio
        rest = v * (2 * w + 9 * g)
        first = before * v + 9 * v * g + v * w + changes * before * w
        params = params + first + squeeze * before + (d - 1) * (rest + squeeze * w)
        macs = macs + before * v * wide + (first - before * v) * area + (d - 1) * rest * area
        acts = acts + v * wide + (v + w + changes * w) * area + (d - 1) * (2 * v + w) * area
        before = w
    params, macs = params + before * config.num_classes, macs + before * config.num_classes
    return {
        "num_params": params,
        "macs_forward": macs,
        "flops_forward": 2 * macs,
        "activations": acts,
    }
