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
    "overfitting": {
        "E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353,
        "P": 0.05, "delta": 0.5, "kappa": 0.6,
    },
    "gadre": {"E": 1.8, "a": 200.0, "b": 350.0, "eta": 0.136},
    "step_law_lr": {"c": 1.79, "a": -0.713, "b": 0.307},
    "step_law_batch": {"c": 0.58, "b": 0.571},
    "step_law_loss": {
        "E": 1.8, "A": 478.0, "B": 2143.0, "alpha": 0.347, "beta": 0.367, "k_r": 0.02,
        "c": 1.79, "a": -0.713, "b": 0.307, "k_s": 0.02, "f": 0.58, "g": 0.571,
    },
    "farseer": {
        "a_3": -0.15, "gamma": 0.1, "b_3": 1.2, "a_2": 30.0, "beta": -0.15, "b_2": 1.0,
        "a_1": -0.2, "alpha": 0.12, "b_1": 1.0,
    },
    "width_depth": {
        "E": 1.8, "A": 6.0, "B": 2.0, "C": 90.0, "F": 2000.0,
        "alpha": 0.6, "beta": 1.1, "gamma": 0.3, "zeta": 0.37,
    },
    "width_of_depth": {"a": 5.039, "b": 0.0555},
    "parallel": {"E": 0.69, "A": 1.13e7, "k": 0.393, "alpha": 0.189},
    "precision": {
        "E": 1.8, "A": 478.0, "B": 2143.0, "alpha": 0.347, "beta": 0.367,
        "gamma_w": 2.7, "gamma_a": 2.2, "gamma_kv": 1.0,
    },
    "precision_after": {"C_T": 0.06, "gamma_D": 0.5, "gamma_N": 0.34, "gamma_w": 0.6},
    "vocabulary": {
        "E": -5.5, "A_1": 900.0, "alpha_1": 0.45, "A_2": 2000.0, "alpha_2": 0.67,
        "B": 28000.0, "beta": 0.46,
    },
    "moe_routing": {
        "a": -0.082, "b": -0.108, "c": 0.0039, "d": 2.54, "E_start": 1.847, "E_max": 314.478
    },
    "moe_utilisation": {
        "a": -0.082, "b": -0.108, "c": 0.003, "d": 2.54, "E_start": 1.847, "E_max": 314.478
    },
    "moe_sparsity": {
        "E": 0.94, "a": 16612.5, "alpha": 0.5962, "b": 5455.67, "beta": 0.3954, "c": 0.46,
        "kappa": -0.167, "d": 17.26, "delta": 0.16, "gamma": 0.16,
    },
    "moe_granularity": {
        "c": 0.47, "g": 2.1, "gamma": 0.58, "a": 18.1, "alpha": 0.115, "b": 30.8, "beta": 0.147
    },
    "mixture": {"E": 1.4, "t_1": 0.9, "t_2": -0.4, "t_3": 0.2},
    "mixture_additive": {
        "E": 1.2, "A": 478.0, "B": 2143.0, "alpha": 0.347, "beta": 0.367,
        "C_1": 1.5, "gamma_1": 0.4, "C_2": 0.6, "gamma_2": 0.8, "C_3": 2.5, "gamma_3": 0.6,
    },
    "fine_tuning": {"E": 1.2, "B": 90.0, "D_l": 30.0, "beta": 0.5},
    "transfer": {"k": 1.9e4, "alpha": 0.18, "beta": 0.38},
    "batch_data": {
        "E": 1.82, "A": 478.0, "B": 2143.0, "alpha": 0.347, "beta": 0.367, "B_crit": 5e5
    },
    "batch_steps": {"S_min": 3000.0, "B_crit": 2e5},
    "critical_batch": {"B_star": 2e8, "alpha_B": 0.21},
    "annealing": {"L_0": 2.8, "A": 0.59, "alpha": 0.46, "C": 0.48},
    "annealing_at_once": {"L_0": 2.64, "A": 0.6, "alpha": 0.44, "B": 457.0},
    "multi_power": {
        "L_0": 2.65, "A": 0.6, "B": 438.0, "alpha": 0.45, "C": 2.1, "beta": 0.6, "gamma": 0.65
    },
    "polynomial2": {"c_0": 30.0, "c_1": -2.0, "c_2": 0.035},
    "polynomial3": {"c_0": 30.0, "c_1": -2.0, "c_2": 0.035, "c_3": 1e-4},
    "polynomial5": {
        "c_0": 30.0, "c_1": -2.0, "c_2": 0.035, "c_3": 1e-4, "c_4": 2e-6, "c_5": -4e-8
    },
    "sigmoid": {"a": -0.6, "k": 4.0, "L_0": 2.6, "b": 0.85},
}  # fmt: skip


SPANS: dict[str, tuple[float, float]] = {
    "num_params": (1e6, 1e10),
    "num_tokens": (1e8, 1e12),
    "flops": (1e18, 1e24),
    "width": (128, 8192),
    "depth": (2, 64),
    "parallel_size": (1, 16),
    "weight_bits": (2, 16),
    "activation_bits": (2, 16),
    "kv_bits": (2, 16),
    "non_vocab_params": (3e7, 3e9),
    "vocab_size": (4e3, 1e5),
    "embed_dim": (256, 4096),
    "num_characters": (1e9, 1e12),
    "dense_params": (1e7, 1e10),
    "num_experts": (1, 512),
    "flops_forward": (1e7, 1e10),
    "parameter_ratio": (1, 512),
    "granularity": (1, 32),
    "sft_data_size": (100, 1e6),
    "batch_size": (1e4, 1e7),
    "lr_sum": (0.1, 30),
    "lr": (1e-4, 1e-2),
}
"""What a design draws from, evenly in the logarithm."""


def design(name: str, n: int = 60, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of law ``name``: drawn over ``SPANS``, losses over 1.8 to 4."""
    rng = np.random.default_rng(seed)
    if name == "multi_power":
        return curves(n)
    columns = {}
    for one in ("num_params", "num_tokens", "loss", *LAWS[name].inputs):
        if one in columns:
            continue
        if one in SPANS:
            low, high = SPANS[one]
            columns[one] = np.exp(rng.uniform(np.log(low), np.log(high), n))
        else:
            low, high = {"loss": (1.8, 4.0), "sparsity": (0.0, 0.98)}.get(one, (0.0, 1.0))
            columns[one] = rng.uniform(low, high, n)
    if LAWS[name].shares:
        columns |= dict(zip(LAWS[name].shares, rng.dirichlet(np.ones(3), n).T, strict=True))
    if "num_unique_tokens" in LAWS[name].inputs:
        columns["num_tokens"] = np.exp(rng.uniform(np.log(1e9), np.log(1e12), n))
        columns["num_unique_tokens"] = columns["num_tokens"] / np.exp(
            rng.uniform(0, np.log(100), n)
        )
    return {name: columns[name] for name in LAWS[name].inputs}


def curves(n: int) -> dict[str, np.ndarray]:
    """Three schedules of 20,000 steps, about ``n`` rows: constant, cosine, and a sudden fall."""
    each = n // 3
    step = np.linspace(1000, 20000, each)
    rate = np.full((3, each), 3e-4)
    rate[1] = 3e-5 + 2.7e-4 * 0.5 * (1 + np.cos(np.pi * (step - 1000) / 19000))
    rate[2, each // 3 :] = 9e-5
    grown = 0.5 * (rate[:, 1:] + rate[:, :-1]) * np.diff(step)
    total = 0.15 + np.concatenate([np.zeros((3, 1)), grown.cumsum(axis=1)], axis=1)
    return {
        "curve": np.repeat([1.0, 2.0, 3.0], each),
        "step": np.tile(step, 3),
        "lr_sum": total.ravel(),
        "lr": rate.ravel(),
    }


def table(name: str, n: int = 60, noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Runs of law ``name`` with normal noise of the logarithm (sigmoid: of the metric)."""
    law = LAWS[name]
    x = design(name, n, seed)
    y = law.predict(law.vector(PARAMS[name]), *x.values())
    shift = noise * np.random.default_rng(seed + 1).normal(size=len(y))
    y = y * np.exp(shift) if law.space == "log" else y + shift
    return pd.DataFrame({**x, law.output: y})
