"""Gradient descent on noisy data, configured by Hydra."""

import json
import random
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig


def losses(width, lr, steps, seed):
    """The error of ``width`` weights, the k-th of which matters as 1/k, after each step."""
    draw = random.Random(seed)
    weights = [0.0] * width
    for step in range(1, steps + 1):
        for k in range(width):
            weights[k] += lr / (k + 1) * (1.0 + draw.gauss(0, 0.1) - weights[k])
        missing = sum((k + 1) ** -2.0 for k in range(width, 10 * width))
        yield step, missing + sum((1 - w) ** 2 / (k + 1) ** 2 for k, w in enumerate(weights))


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    """Write a line for each ten steps into Hydra's folder of the run."""
    folder = HydraConfig.get().runtime.output_dir
    with Path(folder, "log.jsonl").open("w") as log:
        for step, loss in losses(config.model.width, config.optim.lr, config.steps, config.seed):
            if step % 10 == 0 or step == config.steps:
                print(json.dumps({"step": step, "loss": loss}), file=log, flush=True)


main()
