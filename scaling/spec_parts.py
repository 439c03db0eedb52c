"""The parts of a run's spec beside its model: optimiser, schedule, training, data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from scaling.base import (
    ONLY_DECOUPLED,
    OPTIMIZERS,
    SCHEDULES,
    OptionError,
    Unit,
    optimizers_with,
    read_unless,
    read_where,
    refuse_unknown,
)

WINDOWS = ("fixed", "offset", "carried")
CURVE_SHARE = 0.25  # with this a run has the id that it has without any: never another number


def _decay_before(optim: OptimSpec) -> str:
    """How weights decayed before ``decay`` existed; where it has no effect, as it stands."""
    acts = optim.weight_decay != 0 and optim.optimizer != "adamw"
    return "coupled" if acts else optim.decay


@dataclass(frozen=True)
class OptimSpec:
    """The optimiser; ``read_by`` of a field says which optimisers have it.

    Attributes
    ----------
    optimizer : str
        A name of ``scaling.base.OPTIMIZERS`` (torch's in lower case, ``lion``, ``muon``,
        ``ademamix``, ``schedulefree``).
    lr : float
        Peak learning rate.
    weight_decay : float
        Decay of hidden and output matrices; embeddings, gains and biases have none.
    decay : {"decoupled", "coupled"}
        ``decoupled``: a step first takes w to (1 - lr x weight_decay) w, whatever the optimiser
        (Loshchilov & Hutter 2019, arXiv 1711.05101, alg. 1 and 2) and whatever muP multiplies its
        rate by. ``coupled``: weight_decay x w is part of the gradient (L2), which AdamW has not;
        runs of other optimisers from before there was a choice are of this kind.
    beta1, beta2, eps, momentum : float
        Where the optimiser has them.
    beta3, alpha : float
        Of ``ademamix``: decay of the slow average of gradients, and its weight; both rise to these
        over the run.
    grad_clip : float
        Largest global gradient norm; 0 for no clipping.
    nesterov : bool
        SGD steps by the gradient plus momentum times the velocity (Sutskever et al. 2013, eq. 3
        and 4, in torch's variables); needs momentum.
    adaptive_clip : float
        Largest norm of a unit's gradient over that of its weights (Brock et al. 2021, arXiv
        2102.06171, eq. 3), for networks without norms; applied first; 0 for no such clipping.
    """

    lr: float
    optimizer: str = "adamw"
    weight_decay: float = 0.1
    beta1: float = field(default=0.9, metadata=read_where(optimizer=optimizers_with("betas")))
    beta2: float = field(default=0.95, metadata=read_where(optimizer=optimizers_with("betas")))
    eps: float = field(default=1e-8, metadata=read_where(optimizer=optimizers_with("eps")))
    momentum: float = field(default=0.9, metadata=read_where(optimizer=optimizers_with("momentum")))
    grad_clip: float = 1.0
    adaptive_clip: float = field(default=0.0, metadata={"before": 0.0})
    decay: str = field(
        default="decoupled", metadata={"before": _decay_before, **read_unless(weight_decay=0.0)}
    )
    beta3: float = field(
        default=0.9999, metadata={"before": 0.9999, **read_where(optimizer=("ademamix",))}
    )
    alpha: float = field(
        default=8.0, metadata={"before": 8.0, **read_where(optimizer=("ademamix",))}
    )
    nesterov: bool = field(
        default=False, metadata={"before": False, **read_where(optimizer=("sgd",))}
    )


@dataclass(frozen=True)
class ScheduleSpec:
    """The learning-rate schedule.

    Attributes
    ----------
    schedule : {"wsd", "cosine", "linear", "constant"}
        ``wsd``: warm-up, constant, then a cooldown of shape 1 - sqrt (Hägele et al. 2024,
        eq. 1), so that one constant trunk serves every ``num_tokens``.
    warmup_tokens : int
        Linear warm-up, in tokens (examples).
    cooldown_fraction : float
        Share of the steps in the cooldown (``wsd``).
    final_lr_fraction : float
        Last learning rate over ``lr`` (``cosine``, ``linear``).
    """

    schedule: str = "wsd"
    warmup_tokens: int = 0
    cooldown_fraction: float = field(default=0.2, metadata=read_where(schedule=("wsd",)))
    final_lr_fraction: float = field(
        default=0.0, metadata=read_where(schedule=("cosine", "linear"))
    )


def _curve_counts(train: TrainSpec) -> bool:
    """Whether another curve is another result: if it ends the run, or if it was asked for."""
    return train.early_stopping > 0 or train.curve_share != CURVE_SHARE


@dataclass(frozen=True)
class TrainSpec:
    """How much data, in what steps, and how the loss is taken.

    Attributes
    ----------
    num_tokens : int
        D: training tokens (examples), a whole number of steps.
    batch_size : int
        Sequences (examples) per step.
    precision : {"float32", "bfloat16"}
        ``bfloat16`` is autocast with float32 weights.
    label_smoothing : float
    crop_padding : int
        Images: pixels of black around each side before a random crop back to its size.
    crop_scale : float
        Images: least share of the area in a random resized crop; 1 for no such crop.
    flip : bool
        Images: mirrored left to right, one in two.
    colour_jitter : float
        Images: brightness, contrast and saturation times a factor within 1 +- this.
    mixup : float
        Images: alpha of the Beta distribution of the mixing weight; 0 for no mixing.
    task : str
        Import path of what the run is trained to do; empty for what its data ask: next tokens, or
        classes.
    windows : {"fixed", "offset", "carried"}
        Tokens: how the stream is cut into windows of n = ``context``. ``fixed``: at a stride of n,
        shuffled. ``offset``: the same after each pass has skipped d tokens, uniform in [0, n).
        ``carried``: each row of a batch reads a lane of the stream in order, and a recurrent
        model goes on from the state in which the window before left it (truncated
        back-propagation).
    by_position : bool
        Tokens: held-out losses by place in the context too, ``loss_at_1``, ``loss_at_2`` (places 2
        and 3), ``loss_at_4`` (4 to 7), ...
    standardise : bool
        Inputs less the mean of their channel (feature), over its standard deviation.
    early_stopping : int
        Stop after so many curve points without a lower held-out loss; 0 for never.
    curve_tokens, final_tokens : int
        Held-out tokens (examples) for a point of the learning curve and for the final loss;
        0 for all there are.
    curve_share : float or None
        What the curve may cost over the training; its points see fewer than ``curve_tokens`` for
        it. ``CURVE_SHARE`` where neither is given; None, which is no bound, where ``curve_tokens``
        is, and in runs from before.
    train_eval : bool or None
        At the end the loss is taken on training data too, as on the held-out data: columns
        ``loss_train``, ``loss_train_se`` and, where there are classes, ``error_train``. None: on
        as much, but on a tenth of ``num_tokens`` at most. True: on as much. False: not, as in runs
        from before.
    """

    num_tokens: int
    batch_size: int = 8
    precision: str = "float32"
    label_smoothing: float = 0.0
    early_stopping: int = 0
    curve_tokens: int = 65536
    final_tokens: int = 0
    crop_padding: int = field(default=0, metadata={"before": 0})
    crop_scale: float = field(default=1.0, metadata={"before": 1.0})
    flip: bool = field(default=False, metadata={"before": False})
    colour_jitter: float = field(default=0.0, metadata={"before": 0.0})
    mixup: float = field(default=0.0, metadata={"before": 0.0})
    standardise: bool = field(default=False, metadata={"before": False})
    curve_share: float | None = field(
        default=None, metadata={"before": None, "counts": _curve_counts}
    )
    task: str = field(default="", metadata={"before": ""})
    windows: str = field(default="fixed", metadata={"before": "fixed"})
    by_position: bool = field(default=False, metadata={"before": False})
    train_eval: bool | None = field(
        default=None, metadata={"before": False, "counts": lambda train: train.train_eval}
    )

    @property
    def augmented(self) -> bool:
        """Whether training images differ from the stored ones."""
        crops = self.crop_padding > 0 or self.crop_scale < 1
        return crops or self.flip or self.colour_jitter > 0 or self.mixup > 0


@dataclass(frozen=True)
class DataSpec:
    """The data set: ``data`` is its name, ``fingerprint`` the hash of content, split, tokens."""

    data: str
    fingerprint: str


PARTS: dict[str, type] = {
    "data": DataSpec,
    "optim": OptimSpec,
    "schedule": ScheduleSpec,
    "train": TrainSpec,
}
PART_OF = {f.name: part for part, kind in PARTS.items() for f in fields(kind)}
BY_EXAMPLES = {
    "curve_examples": "curve_tokens",
    "final_examples": "final_tokens",
    "warmup_examples": "warmup_tokens",
}
"""Fields that count tokens (examples), by the names that they have where data are examples."""


def by_field(examples: Mapping[str, Any], options: Mapping[str, Any], unit: Unit) -> dict[str, Any]:
    """Options that say examples, by the names of the fields that they are.

    Raises
    ------
    ValueError
        If one is among ``options`` by its field's name too, or data are of tokens.
    """
    for name in examples:
        if unit == "token":
            raise OptionError(
                f"{name} is for data of examples, not of tokens: say {BY_EXAMPLES[name]}",
                name,
                "data",
            )
        if BY_EXAMPLES[name] in options:
            raise OptionError(
                f"{name} sets {BY_EXAMPLES[name]}: give either, not both", name, BY_EXAMPLES[name]
            )
    return {BY_EXAMPLES[name]: value for name, value in examples.items()}


def with_curve(train: Mapping[str, Any]) -> dict[str, Any]:
    """Options of training with what a point of the curve sees: so much, or what a share pays.

    Raises
    ------
    ValueError
        If it is said twice.
    """
    given = [name for name in ("curve_tokens", "curve_share") if name in train]
    if len(given) == 2:
        raise OptionError(
            "curve_tokens (curve_examples) and curve_share set what a point of the curve sees: "
            "give one",
            *given,
            "curve_examples",
        )
    return {**train} if given else {"curve_share": CURVE_SHARE, **train}


def check_parts(o: OptimSpec, s: ScheduleSpec, t: TrainSpec) -> None:
    """Refuse values out of range.

    Raises
    ------
    ValueError
        With the value and the limit.
    """
    for name, value, low, high in (
        ("lr", o.lr, 0, math.inf),
        ("weight_decay", o.weight_decay, 0, math.inf),
        ("grad_clip", o.grad_clip, 0, math.inf),
        ("adaptive_clip", o.adaptive_clip, 0, math.inf),
        ("beta1", o.beta1, 0, 1),
        ("beta2", o.beta2, 0, 1),
        ("beta3", o.beta3, 0, 1),
        ("alpha", o.alpha, 0, math.inf),
        ("warmup_tokens", s.warmup_tokens, 0, math.inf),
        ("cooldown_fraction", s.cooldown_fraction, 0, 1),
        ("final_lr_fraction", s.final_lr_fraction, 0, 1),
        ("label_smoothing", t.label_smoothing, 0, 1),
        ("crop_padding", t.crop_padding, 0, math.inf),
        ("crop_scale", t.crop_scale, 0.01, 1),
        ("colour_jitter", t.colour_jitter, 0, 1),
        ("mixup", t.mixup, 0, math.inf),
        ("early_stopping", t.early_stopping, 0, math.inf),
        ("curve_tokens", t.curve_tokens, 0, math.inf),
        ("curve_share", t.curve_share or 0, 0, math.inf),
        ("final_tokens", t.final_tokens, 0, math.inf),
    ):
        if not low <= value <= high:
            raise OptionError(f"{name} {value} is not in [{low}, {high}]", name)
    if o.optimizer not in OPTIMIZERS:
        refuse_unknown(o.optimizer, OPTIMIZERS, "optimizer")
    if o.decay not in ("decoupled", "coupled"):
        refuse_unknown(o.decay, ("decoupled", "coupled"), "decay")
    if o.decay == "coupled" and o.optimizer in ONLY_DECOUPLED:
        raise OptionError(
            f"{o.optimizer} has no coupled decay: choose adam, or leave decay out",
            "decay",
            "optimizer",
        )
    if o.optimizer == "schedulefree" and (s.schedule != "constant" or o.beta1 == 0):
        raise OptionError(
            f"schedulefree averages its weights in place of a schedule: take schedule: constant "
            f"(with warm-up), not {s.schedule}, and a beta1 above 0",
            "optimizer",
            "schedule",
            "beta1",
        )
    if o.optimizer == "ademamix" and not 0 < o.beta1 < o.beta3 < 1:
        raise OptionError(
            f"ademamix needs 0 < beta1 < beta3 < 1, not beta1 {o.beta1} and beta3 {o.beta3}",
            "beta3",
            "beta1",
        )
    if not 0 <= o.momentum < 1:
        raise OptionError(f"momentum {o.momentum} is not in [0, 1)", "momentum")
    if o.nesterov and o.optimizer == "sgd" and not o.momentum:
        raise OptionError(
            "nesterov needs a momentum, and that is 0: take 0.9, or leave nesterov out",
            "nesterov",
            "momentum",
        )
    if s.schedule not in SCHEDULES:
        refuse_unknown(s.schedule, SCHEDULES, "schedule")
    if t.windows not in WINDOWS:
        refuse_unknown(t.windows, WINDOWS, "windows")
    if t.precision not in ("float32", "bfloat16"):
        refuse_unknown(t.precision, ("float32", "bfloat16"), "precision")
