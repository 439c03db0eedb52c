"""What networks of plain products share: a unit is a product, perhaps a norm, an activation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

from scaling.base import OptionError, read_unless, refuse_unknown
from scaling.families.vision.family import VisionConfig, round_depth
from scaling.families.vision.layers import (
    ACTIVATIONS,
    NORMS,
    Act,
    Conv,
    Layer,
    Layers,
    Linear,
    Maxout,
    Norm,
)

T = TypeVar("T")
NORMS_OR_NONE = ("none", *NORMS)
NORM_EPS = 1e-5
PIECES = 2  # of maxout: each unit is the larger of so many products


@dataclass(frozen=True, kw_only=True)
class PlainConfig(VisionConfig):
    """A network whose units may be of any kind.

    Attributes
    ----------
    norm : {"none", "batch", "layer", "group", "instance"}
        Between convolution and activation.
    activation : str
        One of ``scaling.families.vision.layers.ACTIVATIONS``, or ``maxout``: each unit is the
        larger of two products (Goodfellow et al. 2013, arXiv 1302.4389).
    weight_standardisation : bool
        Of convolutions (Qiao et al. 2019, arXiv 1903.10520).
    """

    norm_eps: ClassVar[float] = NORM_EPS
    norm: str = "none"
    activation: str = "relu"
    weight_standardisation: bool = field(
        default=False, metadata={"before": False, **read_unless(norm="none")}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unit(self.norm, self.activation, NORMS_OR_NONE)

    def unit(self, product: Conv | Linear) -> Layers:
        """The layers of a unit; those of the classifier have no norm."""
        if isinstance(product, Linear):
            return unit(product, "none", self.activation)
        plain = self.weight_standardisation and self.norm != "none"
        return unit(product, self.norm, self.activation, plain, self.norm_eps)


def check_unit(norm: str, activation: str, norms: Iterable[str]) -> None:
    """Refuse an unknown norm or activation.

    Raises
    ------
    ValueError
        With the nearest one.
    """
    if norm not in norms:
        refuse_unknown(norm, norms, "norm")
    if activation not in ACTIVATIONS and activation != "maxout":
        refuse_unknown(activation, (*ACTIVATIONS, "maxout"), "activation")


def unit(
    product: Conv | Linear,
    norm: str,
    activation: str,
    standardise: bool = False,
    eps: float = NORM_EPS,
) -> Layers:
    """``product``, the norm unless it is none, the activation; two products for maxout."""
    if isinstance(product, Conv) and standardise:
        product = replace(product, standardised=True, plain=True)
    act: Layer = Maxout(PIECES) if activation == "maxout" else Act(activation)
    if activation == "maxout":
        product = replace(product, out=PIECES * product.out)
    return (product, *(() if norm == "none" else (Norm(norm, eps=eps),)), act)


def stretched(values: tuple[T, ...], depths: tuple[int, ...], factor: float) -> tuple[T, ...]:
    """One value for each block of stages of ``depths`` times ``factor``, rounded up.

    A longer stage has its last block again, a shorter one lacks its last blocks.
    """
    found: list[T] = []
    begin = 0
    for depth in depths:
        stage, wanted = values[begin : begin + depth], round_depth(factor * depth)
        found += [*stage[:wanted], *stage[-1:] * (wanted - depth)]
        begin += depth
    return tuple(found)


def one_a_block(config: VisionConfig, names: tuple[str, ...], blocks: int) -> None:
    """Refuse a field of ``names`` that has not one number for each of ``blocks``."""
    for name in names:
        if len(getattr(config, name)) != blocks:
            raise OptionError(
                f"{name} has {len(getattr(config, name))} numbers for {blocks} blocks: give each "
                "block one",
                name,
                "depths",
            )
