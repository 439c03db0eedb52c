"""Gradient descent on noisy data, configured by a TOML file; it reports through the lab."""

import random
import sys
import tomllib
from pathlib import Path

from scaling import report

config = tomllib.loads(Path(sys.argv[1]).read_text())
training, width = config["training"], config["model"]["width"]
draw = random.Random(training["seed"])
weights = [0.0] * width
for step in range(1, training["steps"] + 1):
    for k in range(width):
        weights[k] += training["lr"] / (k + 1) * (1.0 + draw.gauss(0, 0.1) - weights[k])
    missing = sum((k + 1) ** -2.0 for k in range(width, 10 * width))
    loss = missing + sum((1 - w) ** 2 / (k + 1) ** 2 for k, w in enumerate(weights))
    if step % 10 == 0 or step == training["steps"]:
        report(step=step, loss=loss, mean=sum(weights) / width)
