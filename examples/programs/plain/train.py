"""A plain training script with arguments and a checkpoint of its own; it knows nothing of the lab.

It learns which of 128 words follows which, as a product of two matrices of ``--width`` columns.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, default=8)
parser.add_argument("--lr", type=float, default=0.02)
parser.add_argument("--steps", type=int, default=1000)
parser.add_argument("--batch", type=int, default=128, help="pairs of words a step")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=Path, default=Path("out"))
args = parser.parse_args()

WORDS, RANK = 128, 128
truth = np.random.default_rng(1234)  # the language is the same in all runs
left, right = truth.normal(size=(2, WORDS, RANK))
scores = (left * 2 * np.arange(1, RANK + 1) ** -0.8) @ right.T
chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
ladder = chances.cumsum(1)

names = ("embed", "head", "m_embed", "m_head", "v_embed", "v_head")
draw = np.random.default_rng(args.seed)
shapes = {"embed": (WORDS, args.width), "head": (args.width, WORDS)}
state = {name: draw.normal(0, 0.1, shape) for name, shape in shapes.items()}
state |= {f"{m}_{name}": np.zeros(shape) for m in "mv" for name, shape in shapes.items()}
args.out.mkdir(parents=True, exist_ok=True)
checkpoint, first = args.out / "checkpoint.npz", 0
if checkpoint.exists():
    saved = np.load(checkpoint)
    state, first = {name: saved[name] for name in names}, int(saved["step"])
asked_to_stop = []
signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))


def log_softmax(x):
    """The logarithms of a row's chances."""
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


for step in range(first + 1, args.steps + 1):
    batch = np.random.default_rng((args.seed, step))
    word = batch.integers(0, WORDS, args.batch)
    following = np.minimum((ladder[word] < batch.random((args.batch, 1))).sum(1), WORDS - 1)
    hidden = state["embed"][word]
    error = np.exp(log_softmax(hidden @ state["head"])) / args.batch
    error[np.arange(args.batch), following] -= 1 / args.batch
    gradients = {"embed": np.zeros(shapes["embed"]), "head": hidden.T @ error}
    np.add.at(gradients["embed"], word, error @ state["head"].T)
    for name, g in gradients.items():  # Adam, its rate falling linearly to nothing
        m = state[f"m_{name}"] = 0.9 * state[f"m_{name}"] + 0.1 * g
        v = state[f"v_{name}"] = 0.99 * state[f"v_{name}"] + 0.01 * g * g
        size = args.lr * (1 - step / args.steps) / (1 - 0.9**step)
        state[name] = state[name] - size * m / (np.sqrt(v / (1 - 0.99**step)) + 1e-8)
    if step % 100 == 0 or step == args.steps or asked_to_stop:
        np.savez(args.out / "new.npz", step=step, **state)
        (args.out / "new.npz").replace(checkpoint)  # whole, whenever it is killed
        loss = -(chances * log_softmax(state["embed"] @ state["head"])).sum(1).mean()
        with (args.out / "log.jsonl").open("a") as file:
            print(json.dumps({"tokens": step * args.batch, "val_loss": loss}), file=file)
    if asked_to_stop:
        sys.exit()
