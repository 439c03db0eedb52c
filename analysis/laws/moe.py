"""Mixtures of experts: routed models by experts, by sparsity, and by granularity."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.laws.base import Array, Law, Parameter
from analysis.laws.named import named_law
from analysis.laws.power import FLOOR


def _shift(params: Array, units: Array) -> Array:
    """A size in other units moves its logarithm: b and d take up what a and c were times."""
    out, log = params.copy(), np.log(units[0])
    out[..., 3] += params[..., 0] * log
    out[..., 1] += params[..., 2] * log
    return out


def _signed(name: str, means: str) -> Parameter:
    return Parameter(name, means, -1e3, 1e3, (-1.0, 1.0), scale="linear")


def _exponent(name: str, means: str) -> Parameter:
    return Parameter(name, means, -5.0, 5.0, (-0.5, 0.5), scale="linear")


def _routing(name: str, size: str, more: str, inputs: dict[str, str], **fields: Any) -> Law:
    """Eq. 1 or 2 of Clark et al. 2022, by the letters of the size and of what routing adds."""
    return named_law(
        name=name,
        formula=f"log(L) = a*log({size}) + b*log(e) + c*log({size})*log(e) + d, "
        f"e = 1 / (1/G + 1/E_max), G = {more} - 1 + 1 / (1/E_start - 1/E_max)",
        latex=rf"\log L = a \log {size} + b \log \hat{{{more}}} + c \log {size} \log \hat{{{more}}}"
        rf" + d,\quad \frac{{1}}{{\hat{{{more}}}}} = \left({more} - 1"
        r" + \left(\frac{1}{E_{\mathrm{start}}} - \frac{1}{E_{\mathrm{max}}}\right)^{-1}"
        r"\right)^{-1} + \frac{1}{E_{\mathrm{max}}}",
        inputs=inputs,
        parameters=(
            _signed("a", "exponent of the size of a dense model"),
            _signed("b", "exponent of experts, at a size of 1"),
            _signed("c", "how the worth of experts changes with ln of the size"),
            _signed("d", "ln of the loss at a size of 1 without experts"),
            Parameter("E_start", "experts from which routing helps", 1.0, 1e3, (1.1, 8.0)),
            Parameter("E_max", "experts beyond which it no longer helps", 1.0, 1e8, (32.0, 4e3)),
        ),
        rescale=_shift,
        unscaled=(inputs[more],),
        **fields,
    )


_LOG_TEN = float(np.log(10.0))


def _clark(
    a: float, b: float, c: float, d: float, e_start: float, e_max: float
) -> dict[str, float]:
    """A row of Clark et al.'s table 3, whose logarithms are to base 10."""
    values = (a, b, c / _LOG_TEN, d * _LOG_TEN, e_start, e_max)
    return dict(zip(("a", "b", "c", "d", "E_start", "E_max"), values, strict=True))


MOE_ROUTING = _routing(
    "moe_routing",
    "N",
    "K",
    {"N": "dense_params", "K": "num_experts"},
    source="Clark et al. 2022 (arXiv 2202.01169), eq. 1 and table 3; K experts beside a dense "
    "model of N; the paper's logarithms are to base 10, so its c is c ln 10 here and its d is d / "
    "ln 10",
    published={
        "s_base": _clark(-0.082, -0.108, 0.009, 1.104, 1.847, 314.478),
        "rl_r": _clark(-0.083, -0.126, 0.012, 1.111, 1.880, 469.982),
        "hash": _clark(-0.087, -0.136, 0.012, 1.157, 4.175, 477.741),
    },
)  # fmt: skip

MOE_UTILISATION = _routing(
    "moe_utilisation",
    "F",
    "R",
    {"F": "flops_forward", "R": "parameter_ratio"},
    source="Clark et al. 2022 (arXiv 2202.01169), eq. 2; F FLOPs of a forward pass, R parameters "
    "over those of the dense model of as many FLOPs",
)

A = Parameter("a", "size of the parameter term at N = 1", 1e-10, 1e8, unit="as loss")
B = Parameter("b", "size of the data term at D = 1", 1e-10, 1e8, unit="as loss")
ALPHA = Parameter("alpha", "exponent of all parameters", 1e-3, 5.0, (0.03, 2.0))
BETA = Parameter("beta", "exponent of data", 1e-3, 5.0, (0.03, 2.0))

MOE_SPARSITY = named_law(
    name="moe_sparsity",
    formula="L = E + a / N^alpha + b / D^beta + c / (1 - S)^kappa + d / ((1 - S)^delta * "
    "N^gamma)",
    latex=r"L = E + \frac{a}{N^{\alpha}} + \frac{b}{D^{\beta}} + \frac{c}{(1 - S)^{\kappa}}"
    r" + \frac{d}{(1 - S)^{\delta} N^{\gamma}}",
    source="Abnar et al. 2025 (arXiv 2501.12370), eq. 6 and table 3; N all parameters, S the share "
    "of experts that are idle",
    inputs={"N": "num_params", "D": "num_tokens", "S": "sparsity"},
    parameters=(
        FLOOR,
        A,
        ALPHA,
        B,
        BETA,
        Parameter("c", "size of the term of the active share", 1e-10, 1e8, unit="as loss"),
        _exponent("kappa", "exponent of the active share"),
        Parameter("d", "size of the interaction at N = 1", 1e-10, 1e8, unit="as loss"),
        _exponent("delta", "exponent of the active share beside N"),
        Parameter("gamma", "exponent of N beside the active share", 1e-3, 5.0, (0.03, 2.0)),
    ),
    units={"a": {"N": "-alpha"}, "b": {"D": "-beta"}, "d": {"N": "-gamma"}},
    linear=("E", "a", "b", "c", "d"),  # (1 - S) is no base of a power everywhere
    published={
        "abnar": {
            "E": 0.94, "a": 16612.5, "alpha": 0.5962, "b": 5455.67, "beta": 0.3954, "c": 0.4598,
            "kappa": -0.1666, "d": 17.26, "delta": 0.1603, "gamma": 0.1595,
        }
    },
)  # fmt: skip

MOE_GRANULARITY = named_law(
    name="moe_granularity",
    formula="L = c + (g / G^gamma + a) / N^alpha + b / D^beta",
    latex=r"L = c + \frac{g / G^{\gamma} + a}{N^{\alpha}} + \frac{b}{D^{\beta}}",
    source="Krajewski et al. 2024 (arXiv 2402.07871), eq. 9 and table 1; N all parameters, those "
    "of idle experts too, without embeddings, G how many times finer the experts are cut",
    inputs={"N": "num_params", "D": "num_tokens", "G": "granularity"},
    parameters=(
        Parameter("c", "irreducible loss", 0.0, 1e6, unit="as loss", scale="linear", role="floor"),
        Parameter("g", "size of what granularity removes at N = 1", 1e-10, 1e8, unit="as loss"),
        Parameter("gamma", "exponent of granularity", 1e-3, 5.0, (0.1, 2.0)),
        A,
        ALPHA,
        B,
        BETA,
    ),
    units={"g": {"N": "-alpha"}, "a": {"N": "-alpha"}, "b": {"D": "-beta"}},
    published={
        "expansion_64": {
            "c": 0.47, "g": 2.1, "gamma": 0.58, "a": 18.1, "alpha": 0.115, "b": 30.8, "beta": 0.147
        }
    },
)  # fmt: skip
