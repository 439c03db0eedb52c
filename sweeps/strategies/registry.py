"""The registry of strategies: one file and one line here for each."""

from __future__ import annotations

from typing import Any

from sweeps.strategies.bayes import Bayes
from sweeps.strategies.draws import RandomSearch
from sweeps.strategies.evolution import Evolution
from sweeps.strategies.genetic import Genetic
from sweeps.strategies.halving import Asha, Halving

STRATEGIES: dict[str, type[Any]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "genetic": Genetic,
    "halving": Halving,
    "asha": Asha,
    "bayes": Bayes,
}
