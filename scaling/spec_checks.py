"""What a run asks of its data and its model that they cannot give, refused before it is a spec."""

from __future__ import annotations

from typing import Any

from scaling.base import Cost, OptionError
from scaling.families import Family
from scaling.spec_parts import OptimSpec, TrainSpec


def check_model(model: Any, cost: Cost, optim: OptimSpec, train: TrainSpec) -> None:
    """Refuse options of training that the model has no rule for.

    Raises
    ------
    ValueError
        With the value and the remedy.
    """
    if train.label_smoothing and cost.num_params_unpadded is not None:
        raise OptionError(
            "label_smoothing gives classes that pad the vocabulary a share of every label: "
            "leave vocab_multiple out, or label_smoothing",
            "label_smoothing",
            "vocab_multiple",
        )
    parametrisation = getattr(model, "parametrisation", "standard")
    if optim.optimizer == "adafactor" and parametrisation != "standard":
        raise OptionError(
            f"{parametrisation} has no rule for adafactor, whose rates are shares of the "
            "weights: take adamw, lion or muon, or parametrisation: standard",
            "optimizer",
            "parametrisation",
        )
    adaptive = optim.optimizer != "sgd" and optim.weight_decay != 0
    if optim.decay == "coupled" and adaptive and parametrisation != "standard":
        raise OptionError(
            f"{parametrisation} has no rule for coupled decay with {optim.optimizer}: "
            "take decay: decoupled, or sgd",
            "decay",
            "optimizer",
            "parametrisation",
        )


def check_data(family: Family, model: Any, train: TrainSpec, info: Any) -> None:
    """Refuse what the data set has none, or too little, of.

    Raises
    ------
    ValueError
        With the value, the limit and the remedy.
    """
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
    if train.mixup and getattr(model, "dense", False):
        raise OptionError(
            "mixup mixes images, whose pixels have one label each: leave mixup out, or take a "
            "family that labels images",
            "mixup",
            "family",
        )
    if train.standardise and (info.unit == "token" or info.vocab_size):
        raise OptionError(
            f"standardise is for examples of numbers; data set {info.name!r} has tokens",
            "standardise",
            "data",
        )
    _check_windows(family, model, train, info)


def _check_windows(family: Family, model: Any, train: TrainSpec, info: Any) -> None:
    """Refuse a context that is longer than the data to train on, or than those held out."""
    if train.windows != "fixed" and (info.unit != "token" or train.task):
        raise OptionError(
            f"windows: {train.windows} is for next tokens: leave it out", "windows", "data"
        )
    if train.by_position and (info.unit != "token" or train.task or train.windows == "carried"):
        raise OptionError(
            "by_position is for next tokens in windows that begin anew: leave it out",
            "by_position",
            "data",
            "windows",
        )
    if info.unit != "token" or train.task:
        return
    context, windows = family.units_per_item(model), train.windows
    if windows == "carried" and not getattr(family, "carries_state", False):
        raise OptionError(
            f"windows: carried is for models with a state, as recurrent has; {family.name} has "
            "none: take fixed or offset, or another family",
            "windows",
            "family",
        )
    one_pass = (info.train_size - 1) // context * context
    if getattr(family, "counted", False) and train.num_tokens > one_pass:
        step = train.batch_size * context
        whole = one_pass // step * step
        raise OptionError(
            f"num_tokens {train.num_tokens:,} is more than one pass over {info.name} "
            f"({one_pass:,}), and to count it again says nothing new: ask for {whole:,} or less",
            "num_tokens",
            "data",
        )
    lanes = train.batch_size
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
