"""Stages of residual blocks, shared by ResNet, ResNeXt, AnyNet and RegNet."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from scaling.base import OptionError, read_unless, read_where, refuse_unknown
from scaling.families.vision.family import VisionConfig, stage_values
from scaling.families.vision.layers import (
    NORMS,
    Act,
    Conv,
    Dropout,
    GlobalPool,
    Layer,
    Layers,
    Linear,
    Network,
    Norm,
    Padded,
    Pool,
    Residual,
    Scale,
    SqueezeExcite,
)

BLOCKS = ("bottleneck", "basic", "vanilla")
STEMS = ("imagenet", "pooled", "small")
NORMS_OR_NONE = (*NORMS, "none")
SQUEEZED = ("inner", "output")
SHORTCUTS = ("projection", "padded")
# Gain g with Var[g f(z)] = 1 for z standard normal: Brock et al. 2021, sec. 3.3 of arXiv 2101.08692
# and `nonlinearities` of their code.
GAINS = {
    "relu": math.sqrt(2 / (1 - 1 / math.pi)),
    "gelu": 1.7015043497085571,
    "silu": 1.7881293296813965,
    "elu": 1.2716004848480225,
    "selu": 1.0008515119552612,
    "tanh": 1.5939117670059204,
    "sigmoid": 4.803835391998291,
    "softplus": 1.9203323125839233,
    "leaky_relu": 1.70590341091156,
    "relu6": 1.7131484746932983,
    "identity": 1.0,
}
ALPHA = 0.2  # growth of the signal by each block without norms: ibid., sec. 4


@dataclass(frozen=True, kw_only=True)
class ResidualConfig(VisionConfig):
    """What networks of residual stages have in common; tuples have one number for each stage.

    Attributes
    ----------
    depths, widths, strides : tuple of int
        Blocks, output channels, and the stride of the first block.
    stem : {"imagenet", "pooled", "small"}
        3x3 of stride 2; 7x7 of stride 2 and a 3x3 max pool of stride 2; 3x3 of stride 1.
    stem_width : int
    block : {"bottleneck", "basic", "vanilla"}
        1x1, grouped 3x3, 1x1 or 3x3, 3x3 on a residual branch, or 3x3, 3x3 without one.
    stride_1x1 : bool
        Bottlenecks stride in their first 1x1 (He et al. 2016) and not in the 3x3.
    norm : {"batch", "layer", "group", "instance", "none"}
        ``none`` is a normaliser-free ResNet (Brock et al. 2021, arXiv 2101.08692): scaled
        weight standardisation, pre-activation blocks x + 0.2 f(x / beta), SkipInit.
    activation : str
    se_ratio : float
        Hidden width of squeeze-and-excitation over the block's input width; 0 for none.
    zero_init : bool
        The last norm of each branch starts with gain 0 (Goyal et al. 2017).
    drop_path : float
        Stochastic depth: block i of n is dropped with probability drop_path * i / n.
    se_position : {"inner", "output"}
        Squeeze-and-excitation before the last convolution, or of the branch's output, whose
        channels ``se_ratio`` is then of (SENet: Hu et al. 2018, fig. 3).
    preactivation : bool
        Norms and activations before the convolutions (He et al. 2016b, arXiv 1603.05027, fig. 4e).
    inner_dropout : float
        Before the last convolution of such a block (Zagoruyko and Komodakis 2016, sec. 2.4).
    weight_standardisation : bool
        Of convolutions (Qiao et al. 2019, arXiv 1903.10520).
    shortcut : {"projection", "padded"}
        Where a block changes the shape: a 1x1 convolution with norm, or each second position with
        channels of 0 and no parameters (He et al. 2016, sec. 3.3, options B and A).
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    strides: tuple[int, ...]
    stem: str = "imagenet"
    stem_width: int = 32
    block: str = "bottleneck"
    stride_1x1: bool = field(default=False, metadata=read_where(block=("bottleneck",)))
    norm: str = "batch"
    activation: str = "relu"
    se_ratio: float = 0.0
    zero_init: bool = field(
        default=True, metadata=read_unless(block="vanilla", norm="none", preactivation=True)
    )
    drop_path: float = field(default=0.0, metadata=read_unless(block="vanilla"))
    se_position: str = field(
        default="inner", metadata={"before": "inner", **read_unless(se_ratio=0.0, norm="none")}
    )
    preactivation: bool = field(
        default=False, metadata={"before": False, **read_unless(block="vanilla", norm="none")}
    )
    inner_dropout: float = field(
        default=0.0, metadata={"before": 0.0, **read_where(preactivation=(True,))}
    )
    weight_standardisation: bool = field(
        default=False, metadata={"before": False, **read_unless(norm="none")}
    )
    shortcut: str = field(
        default="projection",
        metadata={
            "before": "projection",
            **read_unless(block="vanilla", norm="none", preactivation=True),
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        stage_values(self, ("depths", "widths", "strides"))
        for name, valid in (
            ("block", BLOCKS),
            ("stem", STEMS),
            ("norm", NORMS_OR_NONE),
            ("se_position", SQUEEZED),
            ("shortcut", SHORTCUTS),
        ):
            if getattr(self, name) not in valid:
                refuse_unknown(getattr(self, name), valid, name)
        if self.stem_width < 1:
            raise OptionError(f"stem_width {self.stem_width} is below 1", "stem_width")
        for name in ("se_ratio", "drop_path", "inner_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is not in [0, 1)", name)
        if self.norm == "none":
            if self.block == "vanilla":
                raise OptionError(
                    "norm none is for residual blocks: take bottleneck or basic", "norm"
                )
            if self.activation not in GAINS:
                refuse_unknown(
                    self.activation,
                    GAINS,
                    "activation of networks without norms",
                    option="activation",
                )

    @property
    def enters_first(self) -> bool:
        """Whether blocks begin with norm and activation."""
        return self.preactivation and self.block != "vanilla" and self.norm != "none"


class Stage(NamedTuple):
    """``depth`` blocks of ``width``; the 3x3 convolutions have ``inner`` channels."""

    depth: int
    width: int
    inner: int
    groups: int
    stride: int


def residual_network(config: ResidualConfig, stages: Iterable[Stage]) -> Network:
    """Stem, stages and head."""
    c, before, block = config, config.stem_width, 0
    free = c.norm == "none"
    body: list[Layer] = []
    made: Layers = ()
    variance = 1.0  # of the signal, without norms, as predicted at the start
    for stage in stages:
        for i in range(stage.depth):
            block += 1
            drop = c.drop_path * block / sum(c.depths)
            stride = stage.stride if i == 0 else 1
            changes = before != stage.width or stride > 1
            if free:
                body += free_block(c, before, stage, stride, changes, variance, drop)
                variance = (1.0 if changes else variance) + ALPHA**2
            elif i > 1 and not drop:
                body += made  # the same objects, so that counting need not look at them again
            else:
                block_of = preactivated_block if c.enters_first else normed_block
                made = block_of(c, before, stage, stride, changes, drop)
                body += made
            before = stage.width
    last: Layers = (Act(c.activation, GAINS[c.activation]),) if free else ()
    if c.enters_first:
        last = (Norm(c.norm), Act(c.activation))
    head = (*last, GlobalPool(), Dropout(c.dropout), Linear(c.num_classes))
    return Network(c.input_shape, _stem(c), tuple(body), head, c.init)


def _stem(c: ResidualConfig) -> Layers:
    kernel, stride = {"imagenet": (3, 2), "pooled": (7, 2), "small": (3, 1)}[c.stem]
    pool: Layers = (Pool("max", 3, 2),) if c.stem == "pooled" else ()
    if c.norm == "none":
        return (_free_conv(c.stem_width, kernel, stride), *pool)
    conv = _conv(c, c.stem_width, kernel, stride)
    if c.enters_first:
        return (conv, *pool)
    return (conv, Norm(c.norm), Act(c.activation), *pool)


def _windows(c: ResidualConfig, stage: Stage, stride: int) -> list[tuple[int, int, int, int]]:
    """Output channels, kernel, stride and groups of a block's convolutions."""
    if c.block == "bottleneck":
        first, second = (stride, 1) if c.stride_1x1 else (1, stride)
        return [
            (stage.inner, 1, first, 1),
            (stage.inner, 3, second, stage.groups),
            (stage.width, 1, 1, 1),
        ]
    return [(stage.inner, 3, stride, 1), (stage.width, 3, 1, 1)]


def normed_block(
    c: ResidualConfig, before: int, stage: Stage, stride: int, changes: bool, drop: float
) -> Layers:
    """Convolution, norm, activation, ...; the last activation follows the sum."""
    act = Act(c.activation)
    windows = _windows(c, stage, stride)
    residual = c.block != "vanilla"
    branch: list[Layer] = []
    for i, (out, kernel, step, groups) in enumerate(windows):
        last = i == len(windows) - 1
        if last and c.se_ratio and c.se_position == "inner":
            branch.append(_squeeze(c, before))
        zero = last and residual and c.zero_init
        branch += [_conv(c, out, kernel, step, groups), Norm(c.norm, zero=zero)]
        if not last:
            branch.append(act)
    if c.se_ratio and c.se_position == "output":
        branch.append(_squeeze(c, stage.width))
    if not residual:
        return (*branch, act)
    shortcut: Layers = ()
    if changes and c.shortcut == "padded":
        shortcut = (Padded(stage.width, stride),)
    elif changes:
        shortcut = (_conv(c, stage.width, 1, stride), Norm(c.norm))
    return (Residual(tuple(branch), shortcut, drop=drop), act)


def preactivated_block(
    c: ResidualConfig, before: int, stage: Stage, stride: int, changes: bool, drop: float
) -> Layers:
    """Norm, activation, convolution, ...; a shortcut that changes the shape sees the activation."""
    act = Act(c.activation)
    windows = _windows(c, stage, stride)
    branch: list[Layer] = []
    for i, (out, kernel, step, groups) in enumerate(windows):
        last = i == len(windows) - 1
        branch += [Norm(c.norm), act]
        if last and c.inner_dropout:
            branch.append(Dropout(c.inner_dropout))
        if last and c.se_ratio and c.se_position == "inner":
            branch.append(_squeeze(c, before))
        branch.append(_conv(c, out, kernel, step, groups))
    if c.se_ratio and c.se_position == "output":
        branch.append(_squeeze(c, stage.width))
    if not changes:
        return (Residual(tuple(branch), drop=drop),)
    return (
        *branch[:2],
        Residual(tuple(branch[2:]), (_conv(c, stage.width, 1, stride),), drop=drop),
    )


def free_block(
    c: ResidualConfig,
    before: int,
    stage: Stage,
    stride: int,
    changes: bool,
    variance: float,
    drop: float,
) -> Layers:
    """Pre-activation without norms: Brock et al. 2021, sec. 4; a changed shape starts afresh."""
    act = Act(c.activation, GAINS[c.activation])
    enter: Layers = (act, Scale(variance**-0.5))
    windows = _windows(c, stage, stride)
    branch: list[Layer] = []
    for i, (out, kernel, step, groups) in enumerate(windows):
        last = i == len(windows) - 1
        if last and c.se_ratio:
            branch.append(_squeeze(c, before, gain=2.0))
        branch.append(_free_conv(out, kernel, step, groups))
        if not last:
            branch.append(act)
    branch.append(Scale(ALPHA))
    if not changes:
        return (Residual((*enter, *branch), drop=drop, scale=0.0, scalar=True),)
    shortcut = (_free_conv(stage.width, 1, stride),)
    return (*enter, Residual(tuple(branch), shortcut, drop=drop, scale=0.0, scalar=True))


def _conv(c: ResidualConfig, out: int, kernel: int, stride: int, groups: int = 1) -> Conv:
    plain = c.weight_standardisation
    return Conv(out, kernel, stride, groups, standardised=plain, plain=plain)


def _free_conv(out: int, kernel: int, stride: int, groups: int = 1) -> Conv:
    return Conv(out, kernel, stride, groups, bias=True, standardised=True)


def _squeeze(c: ResidualConfig, before: int, gain: float = 1.0) -> SqueezeExcite:
    return SqueezeExcite(max(1, round(before * c.se_ratio)), c.activation, gain)
