"""GPT-2 of any size from scratch by Hugging Face's Trainer, on text that this script makes."""

import argparse
import signal
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from scaling import report

VOCABULARY, CONTEXT = 64, 64

parser = argparse.ArgumentParser()
parser.add_argument("--layers", type=int, required=True)
parser.add_argument("--width", type=int, required=True)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--batch", type=int, default=16, help="sequences a step")
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=Path, required=True)
args = parser.parse_args()


def text(seed, documents):
    """Documents of words, each of which the one before makes likely, as it stands in two rules."""
    rules = np.random.default_rng(0).integers(0, VOCABULARY, (2, VOCABULARY, 4))
    draw = np.random.default_rng(seed)
    tokens = draw.integers(0, VOCABULARY, (documents, CONTEXT))
    for i in range(1, CONTEXT):
        likely = rules[i % 2, tokens[:, i - 1], draw.integers(0, 4, documents)]
        tokens[:, i] = np.where(draw.random(documents) < 0.9, likely, tokens[:, i])
    return [{"input_ids": torch.tensor(row), "labels": torch.tensor(row)} for row in tokens]


class ToTheLab(TrainerCallback):
    """Reports each evaluation, and checkpoints when asked to stop."""

    asked = False

    def on_evaluate(self, arguments, state, control, metrics, model, **_):
        """Tokens seen, and the held-out loss."""
        tokens = state.global_step * args.batch * CONTEXT
        report(step=tokens, loss=metrics["eval_loss"], params=model.num_parameters())

    def on_step_end(self, arguments, state, control, **_):
        """A signal has come."""
        if self.asked:
            control.should_save = control.should_training_stop = True


callback = ToTheLab()
signal.signal(signal.SIGTERM, lambda *_: setattr(callback, "asked", True))
config = GPT2Config(
    vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=args.width, n_layer=args.layers, n_head=4
)
torch.manual_seed(args.seed)
trainer = Trainer(
    model=GPT2LMHeadModel(config),
    args=TrainingArguments(
        output_dir=str(args.out / "checkpoints"),
        max_steps=args.steps,
        per_device_train_batch_size=args.batch,
        per_device_eval_batch_size=64,
        learning_rate=args.lr,
        lr_scheduler_type="cosine",
        eval_strategy="steps",
        eval_steps=20,
        save_steps=20,
        save_total_limit=2,
        seed=args.seed,
        report_to=[],
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    ),
    train_dataset=text(1 + args.seed, args.steps * args.batch),
    eval_dataset=text(0, 128),
    callbacks=[callback],
)
last = get_last_checkpoint(trainer.args.output_dir) if args.out.exists() else None
trainer.train(resume_from_checkpoint=last)
if not callback.asked:
    trainer.evaluate()
