"""The names that a run's spec may give: optimisers and schedules."""

from __future__ import annotations

# The class (of torch, scaling.training.optimizers or the package schedulefree) and the fields of
# OptimSpec that it takes, besides lr and weight_decay.
OPTIMIZERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "adamw": ("AdamW", ("betas", "eps")),
    "adam": ("Adam", ("betas", "eps")),
    "nadam": ("NAdam", ("betas", "eps")),
    "radam": ("RAdam", ("betas", "eps")),
    "adamax": ("Adamax", ("betas", "eps")),
    "sgd": ("SGD", ("momentum",)),
    "rmsprop": ("RMSprop", ("momentum", "eps")),
    "adagrad": ("Adagrad", ("eps",)),
    "adafactor": ("Adafactor", ()),
    "lion": ("Lion", ("betas",)),
    "muon": ("Muon", ("betas", "eps", "momentum")),
    "ademamix": ("AdEMAMix", ("betas", "eps", "beta3", "alpha", "num_steps")),
    "schedulefree": ("AdamWScheduleFree", ("betas", "eps")),
}
OWN_OPTIMIZERS = ("lion", "muon", "ademamix")  # classes of scaling.training.optimizers
ONLY_DECOUPLED = ("adamw", "adafactor", "lion", "muon", "ademamix", "schedulefree")
"""Optimisers whose weights never decay as part of the gradient."""

OPTIMIZER_DEFAULTS: dict[str, dict[str, float]] = {
    "lion": {"beta2": 0.99},  # Chen et al. 2023, sec. 5
    "muon": {"momentum": 0.95},  # Jordan et al. 2024
    "ademamix": {"beta2": 0.999},  # Pagliardini et al. 2024, sec. 3
}
"""What a field is where it is not given, for optimisers that want another value than most."""


def optimizers_with(field: str) -> tuple[str, ...]:
    """The optimisers that take a field."""
    return tuple(name for name, (_, takes) in OPTIMIZERS.items() if field in takes)


SCHEDULES = ("wsd", "cosine", "linear", "constant")
