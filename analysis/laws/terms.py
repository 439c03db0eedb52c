"""Parameters that many laws have: a floor, and terms of parameters and of data."""

from __future__ import annotations

from analysis.laws.base import Parameter

FLOOR = Parameter("E", "irreducible loss", 0.0, 1e6, unit="as loss", scale="linear", role="floor")

E = Parameter("E", "irreducible loss", 0.0, 1e6, unit="nats/token", scale="linear", role="floor")
A = Parameter("A", "size of the parameter term at N = 1", 1e-8, 1e8, unit="nats/token")
B = Parameter("B", "size of the data term at D = 1", 1e-8, 1e8, unit="nats/token")
ALPHA = Parameter("alpha", "exponent of parameters", 1e-3, 5.0, (0.03, 2.0))
BETA = Parameter("beta", "exponent of data", 1e-3, 5.0, (0.03, 2.0))
