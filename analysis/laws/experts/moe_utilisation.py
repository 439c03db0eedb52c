"""Routed models by FLOPs and by the parameters that routing adds."""

from __future__ import annotations

from analysis.laws.experts.routing import routing

MOE_UTILISATION = routing(
    "moe_utilisation",
    "F",
    "R",
    {"F": "flops_forward", "R": "parameter_ratio"},
    source="Clark et al. 2022 (arXiv 2202.01169), eq. 2; F FLOPs of a forward pass, R parameters "
    "over those of the dense model of as many FLOPs",
    column_units={"flops_forward": "FLOPs"},
)
