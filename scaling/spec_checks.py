"""What a run asks of its data and its model that they cannot give, refused before it is a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaling.base import OptionError
from scaling.families import get_family

if TYPE_CHECKING:
    from scaling.spec import RunSpec


def check_model(spec: RunSpec) -> None:
    """Refuse options of training that the model has no rule for.

    Raises
    ------
    ValueError
        With the value and the remedy.
    """
    if spec.train.label_smoothing and spec.cost.num_params_unpadded is not None:
        raise OptionError(
            "label_smoothing gives classes that pad the vocabulary a share of every label: "
            "leave vocab_multiple out, or label_smoothing",
            "label_smoothing",
            "vocab_multiple",
        )
    o, parametrisation = spec.optim, getattr(spec.model, "parametrisation", "standard")
    if o.optimizer == "adafactor" and parametrisation != "standard":
        raise OptionError(
            f"{parametrisation} has no rule for adafactor, whose rates are shares of the "
            "weights: take adamw, lion or muon, or parametrisation: standard",
            "optimizer",
            "parametrisation",
        )
    adaptive = o.optimizer != "sgd" and o.weight_decay != 0
    if o.decay == "coupled" and adaptive and parametrisation != "standard":
        raise OptionError(
            f"{parametrisation} has no rule for coupled decay with {o.optimizer}: "
            "take decay: decoupled, or sgd",
            "decay",
            "optimizer",
            "parametrisation",
        )


def check_data(spec: RunSpec, info: Any) -> None:
    """Refuse what the data set has none, or too little, of.

    Raises
    ------
    ValueError
        With the value, the limit and the remedy.
    """
    train = spec.train
    if train.augmented and len(info.input_shape) != 3:
        raise OptionError(
            "crop_padding, crop_scale, flip, colour_jitter and mixup are for images; "
            f"data set {info.name!r} has none: leave them out, or choose another",
            "crop_padding",
            "crop_scale",
            "flip",
            "colour_jitter",
            "mixup",
            "data",
        )
    if train.standardise and info.unit == "token":
        raise OptionError(
            f"standardise is for examples; data set {info.name!r} has tokens",
            "standardise",
            "data",
        )
    _check_windows(spec, info)


def _check_windows(spec: RunSpec, info: Any) -> None:
    """Refuse a context that is longer than the data to train on, or than those held out."""
    if spec.train.windows != "fixed" and (info.unit != "token" or spec.train.task):
        raise OptionError(
            f"windows: {spec.train.windows} is for next tokens: leave it out", "windows", "data"
        )
    if info.unit != "token" or spec.train.task:
        return
    family = get_family(spec.family)
    context, windows = family.units_per_item(spec.model), spec.train.windows
    if windows == "carried" and not getattr(family, "carries_state", False):
        raise OptionError(
            f"windows: carried is for models with a state, as recurrent has; {spec.family} has "
            "none: take fixed or offset, or another family",
            "windows",
            "family",
        )
    one_pass = (info.train_size - 1) // context * context
    if spec.is_counted and spec.num_tokens > one_pass:
        whole = one_pass // spec.units_per_step * spec.units_per_step
        raise OptionError(
            f"num_tokens {spec.num_tokens:,} is more than one pass over {info.name} "
            f"({one_pass:,}), and to count it again says nothing new: ask for {whole:,} or less",
            "num_tokens",
            "data",
        )
    lanes = spec.train.batch_size
    if windows == "carried" and (lanes + 1) * context > info.train_size:
        raise OptionError(
            f"{lanes} lanes (batch_size) of windows of {context} need {(lanes + 1) * context} "
            f"tokens; {info.name} has {info.train_size} to train on: lower batch_size or context",
            "batch_size",
            "context",
            "data",
        )
    sizes = [(info.train_size, "to train on"), (info.heldout_size, "held out")]
    for size, what in [*sizes, *((one.size, f"in {one.name}") for one in info.evals)]:
        if size <= context:
            raise OptionError(
                f"context {context} needs {context + 1} tokens; {info.name} has {size} {what}: "
                "choose a shorter context or more data",
                "context",
                "data",
            )
