"""Gradient descent on noisy data, configured by tyro; it prints what it has to say."""

import random
from dataclasses import dataclass

import tyro


@dataclass
class Model:
    """The model."""

    width: int = 8


@dataclass
class Config:
    """All settings."""

    model: Model
    lr: float = 0.1
    steps: int = 100
    seed: int = 0


config = tyro.cli(Config)
draw = random.Random(config.seed)
weights = [0.0] * config.model.width
for step in range(1, config.steps + 1):
    for k in range(config.model.width):
        weights[k] += config.lr / (k + 1) * (1.0 + draw.gauss(0, 0.1) - weights[k])
    missing = sum((k + 1) ** -2.0 for k in range(len(weights), 10 * len(weights)))
    loss = missing + sum((1 - w) ** 2 / (k + 1) ** 2 for k, w in enumerate(weights))
    if step % 10 == 0 or step == config.steps:
        print(f"step {step}: held-out loss {loss:.6f}")
