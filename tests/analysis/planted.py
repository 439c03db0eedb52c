"""Parameters and designs that every law is tested on; shared by the tests of laws and fits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import LAWS

PARAMS: dict[str, dict[str, float]] = {
    "power": {"A": 30.0, "alpha": 0.12},
    "power_floor": {"E": 1.7, "A": 400.0, "alpha": 0.34},
    "m3": {"beta": 300.0, "c": 0.3, "gamma": 1e-9},
    "m4": {"E": 1.5, "beta": 60.0, "c": 0.3, "alpha": 0.6, "E_0": 9.0},
    "bnsl0": {"a": 1.2, "b": 90.0, "c0": 0.25},
    "bnsl1": {"a": 1.2, "b": 12.0, "c0": 0.1, "c1": 0.25, "d1": 1e8, "f1": 0.5},
    "bnsl2": {
        "a": 0.5,
        "b": 30.0,
        "c0": 0.15,
        "c1": -0.1,
        "d1": 1e7,
        "f1": 0.3,
        "c2": 0.3,
        "d2": 1e9,
        "f2": 0.4,
    },
    "bnsl3": {
        "a": 0.5,
        "b": 30.0,
        "c0": 0.15,
        "c1": -0.1,
        "d1": 1e7,
        "f1": 0.2,
        "c2": 0.3,
        "d2": 1e8,
        "f2": 0.2,
        "c3": -0.2,
        "d3": 1e9,
        "f3": 0.2,
    },
    "kaplan": {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
    "chinchilla": {"E": 1.82, "A": 478.0, "B": 2143.0, "alpha": 0.347, "beta": 0.367},
    "chinchilla_symmetric": {"E": 1.82, "A": 478.0, "B": 1800.0, "alpha": 0.35},
    "repeated_data": {
        "E": 1.87,
        "A": 521.0,
        "B": 1488.0,
        "alpha": 0.353,
        "beta": 0.353,
        "R_D": 15.4,
        "R_N": 5.3,
    },
    "gadre": {"E": 1.8, "a": 200.0, "b": 350.0, "eta": 0.136},
    "step_law_lr": {"c": 1.79, "a": -0.713, "b": 0.307},
    "step_law_batch": {"c": 0.58, "b": 0.571},
    "sigmoid": {"a": -0.6, "k": 4.0, "L_0": 2.6, "b": 0.85},
}


def design(name: str, n: int = 60, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of law ``name``: N over 1e6 to 1e10, D over 1e8 to 1e12, losses over 1.8 to 4."""
    rng = np.random.default_rng(seed)
    columns = {
        "num_params": np.exp(rng.uniform(np.log(1e6), np.log(1e10), n)),
        "num_tokens": np.exp(rng.uniform(np.log(1e8), np.log(1e12), n)),
        "loss": rng.uniform(1.8, 4.0, n),
    }
    if name == "repeated_data":
        columns["num_tokens"] = np.exp(rng.uniform(np.log(1e9), np.log(1e12), n))
        columns["num_unique_tokens"] = columns["num_tokens"] / np.exp(
            rng.uniform(0, np.log(100), n)
        )
    return {name: columns[name] for name in LAWS[name].inputs}


def table(name: str, n: int = 60, noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Runs of law ``name`` with normal noise of the logarithm (sigmoid: of the metric)."""
    law = LAWS[name]
    x = design(name, n, seed)
    y = law.predict(law.vector(PARAMS[name]), *x.values())
    shift = noise * np.random.default_rng(seed + 1).normal(size=n)
    y = y * np.exp(shift) if law.space == "log" else y + shift
    return pd.DataFrame({**x, law.output: y})
