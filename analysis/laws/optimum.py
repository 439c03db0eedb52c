"""The best N and D for a compute budget under a law of both."""

from __future__ import annotations

from functools import partial

import numpy as np

from analysis.laws.base import Array, Law
from scaling.base import NoAnswerError

SPAN = 12.0
"""N* is sought within this many factors of e of the square root of C / cost."""


def optimal(law: Law, params: Array, flops: float, cost: float = 6.0) -> tuple[Array, Array, Array]:
    """N*, D* and loss for a budget: the least ``law`` along C = ``cost`` N D.

    In closed form where the law has one (``Law.optimum``), else by search. Shapes:
    ``params (..., p)`` gives ``(...)`` each; a draw without a minimum gives NaN. Where the law
    asks for unique tokens, all are: U = D.

    Raises
    ------
    ValueError
        If the law is not one in N and D, or the budget or its cost is not positive.
    NoAnswerError
        If no parameters give an interior minimum.
    """
    if not law.in_plane:
        raise ValueError(
            f"{law.name} has inputs {', '.join(law.inputs)}; an allocation needs a law of "
            "num_params and num_tokens, such as chinchilla"
        )
    beyond = set(law.inputs[2:]) - {"num_unique_tokens"}
    if beyond:
        raise ValueError(f"an allocation cannot choose {', '.join(sorted(beyond))} of {law.name}")
    if not (0 < flops < np.inf and 0 < cost < np.inf):
        raise ValueError(f"{flops:g} FLOPs at cost {cost:g}: both must be positive and finite")
    product = flops / cost
    num_params = (law.optimum or partial(_search, law))(params, product)
    if np.isnan(num_params).all():
        raise NoAnswerError(
            f"{law.name}: at {flops:g} FLOPs the loss has no minimum over N; the law as fitted "
            "gains from one of N and D only"
        )
    num_tokens = product / num_params
    unique = [num_tokens[..., None]] * (len(law.inputs) - 2)
    loss = law.predict(params, num_params[..., None], num_tokens[..., None], *unique)[..., 0]
    return num_params, num_tokens, loss


def _search(law: Law, params: Array, product: float) -> Array:
    """ln N on a grid, then twice on the neighbourhood of its minimum, then a parabola."""
    flat = params.reshape(-1, params.shape[-1])
    centre = np.full(len(flat), 0.5 * np.log(product))
    width, inside = 2 * SPAN, np.ones(len(flat), dtype=bool)
    steps = np.linspace(-1, 1, 121)
    for _ in range(4):
        log_n = centre[:, None] + width * steps
        n = np.exp(log_n)
        with np.errstate(all="ignore"):
            loss = np.stack(
                [
                    law.predict(p, x, *[product / x] * (len(law.inputs) - 1))
                    for p, x in zip(flat, n, strict=True)
                ]
            )
        at = np.nanargmin(np.where(np.isfinite(loss), loss, np.inf), axis=1)
        inside &= (at > 0) & (at < len(steps) - 1)
        centre = log_n[np.arange(len(flat)), at]
        width = width * (steps[1] - steps[0]) * 2
    return np.where(inside, np.exp(centre), np.nan).reshape(params.shape[:-1])


def exponents(law: Law, params: Array, flops: float, cost: float = 6.0) -> tuple[Array, Array]:
    """a and b of N* ~ C^a, D* ~ C^b: the slopes at ``flops``, or everywhere (``Law.exponent``)."""
    if law.exponent is not None:
        a = law.exponent(params)
    else:
        low = optimal(law, params, flops / 2, cost)[0]
        high = optimal(law, params, flops * 2, cost)[0]
        a = np.log(high / low) / np.log(4.0)
    return a, 1.0 - a
