"""Routed models by the size of a dense one and the number of experts."""

from __future__ import annotations

import numpy as np

from analysis.laws.experts.routing import routing

_LOG_TEN = float(np.log(10.0))


def _clark(
    a: float, b: float, c: float, d: float, e_start: float, e_max: float
) -> dict[str, float]:
    """A row of Clark et al.'s table 3, whose logarithms are to base 10."""
    values = (a, b, c / _LOG_TEN, d * _LOG_TEN, e_start, e_max)
    return dict(zip(("a", "b", "c", "d", "E_start", "E_max"), values, strict=True))


MOE_ROUTING = routing(
    "moe_routing",
    "N",
    "K",
    {"N": "dense_params", "K": "num_experts"},
    source="Clark et al. 2022 (arXiv 2202.01169), eq. 1 and table 3; K experts beside a dense "
    "model of N; the paper's logarithms are to base 10, so its c is c ln 10 here and its d is d / "
    "ln 10",
    column_units={"dense_params": "parameters", "num_experts": "experts"},
    published={
        "s_base": _clark(-0.082, -0.108, 0.009, 1.104, 1.847, 314.478),
        "rl_r": _clark(-0.083, -0.126, 0.012, 1.111, 1.880, 469.982),
        "hash": _clark(-0.087, -0.136, 0.012, 1.157, 4.175, 477.741),
    },
)  # fmt: skip
