"""Laws of mixtures of experts."""

from __future__ import annotations

from analysis.laws.experts.moe_granularity import MOE_GRANULARITY
from analysis.laws.experts.moe_routing import MOE_ROUTING
from analysis.laws.experts.moe_sparsity import MOE_SPARSITY
from analysis.laws.experts.moe_utilisation import MOE_UTILISATION

LAWS = (
    MOE_ROUTING,
    MOE_UTILISATION,
    MOE_SPARSITY,
    MOE_GRANULARITY,
)

__all__ = ["LAWS"]
