"""Terms of parameters and data that laws of experts have."""

from __future__ import annotations

from analysis.laws.base import Parameter

A = Parameter("a", "size of the parameter term at N = 1", 1e-10, 1e8, unit="as loss")
B = Parameter("b", "size of the data term at D = 1", 1e-10, 1e8, unit="as loss")
ALPHA = Parameter("alpha", "exponent of all parameters", 1e-3, 5.0, (0.03, 2.0))
BETA = Parameter("beta", "exponent of data", 1e-3, 5.0, (0.03, 2.0))
