"""The names that a run's spec may give: optimisers and schedules."""

from __future__ import annotations

# torch's class and the fields of OptimSpec that it takes, besides lr and weight_decay.
OPTIMIZERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "adamw": ("AdamW", ("betas", "eps")),
    "adam": ("Adam", ("betas", "eps")),
    "nadam": ("NAdam", ("betas", "eps")),
    "radam": ("RAdam", ("betas", "eps")),
    "adamax": ("Adamax", ("betas", "eps")),
    "sgd": ("SGD", ("momentum",)),
    "rmsprop": ("RMSprop", ("momentum", "eps")),
    "adagrad": ("Adagrad", ("eps",)),
}


def optimizers_with(field: str) -> tuple[str, ...]:
    """The optimisers that take a field."""
    return tuple(name for name, (_, takes) in OPTIMIZERS.items() if field in takes)


SCHEDULES = ("wsd", "cosine", "linear", "constant")
