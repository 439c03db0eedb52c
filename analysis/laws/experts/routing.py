"""The law of routed models, by the letters of the size and of what routing adds."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.laws.base import Array, Law, Parameter
from analysis.laws.named import named_law


def _shift(params: Array, units: Array) -> Array:
    """A size in other units moves its logarithm: b and d take up what a and c were times."""
    out, log = params.copy(), np.log(units[0])
    out[..., 3] += params[..., 0] * log
    out[..., 1] += params[..., 2] * log
    return out


def _signed(name: str, means: str) -> Parameter:
    return Parameter(name, means, -1e3, 1e3, (-1.0, 1.0), scale="linear")


def routing(name: str, size: str, more: str, inputs: dict[str, str], **fields: Any) -> Law:
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
