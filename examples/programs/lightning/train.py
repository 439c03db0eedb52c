"""A language model by Lightning, on text that this script makes; its log is Lightning's CSV."""

import argparse
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn

WORDS, CONTEXT = 64, 2

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, required=True)
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--batch", type=int, default=256, help="examples a step")
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=Path, required=True)
args = parser.parse_args()


class Teacher(torch.utils.data.Dataset):
    """Two words, and the one that a random network says follows."""

    def __init__(self, seed, length):
        fixed = torch.Generator().manual_seed(0)
        first = torch.randn(WORDS, 32, generator=fixed)
        second = torch.randn(CONTEXT * 32, WORDS, generator=fixed) / 2
        draw = torch.Generator().manual_seed(seed)
        self.words = torch.randint(WORDS, (length, CONTEXT), generator=draw)
        scores = torch.tanh(first[self.words]).flatten(1) @ second
        self.next = torch.distributions.Categorical(logits=scores).probs.multinomial(
            1, generator=draw
        )[:, 0]

    def __len__(self):
        return len(self.words)

    def __getitem__(self, i):
        return self.words[i], self.next[i]


class Student(lightning.LightningModule):
    """An embedding and one hidden layer."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Embedding(WORDS, args.width),
            nn.Flatten(),
            nn.Linear(CONTEXT * args.width, args.width),
            nn.ReLU(),
            nn.Linear(args.width, WORDS),
        )

    def training_step(self, batch, _):
        """The loss; the log says the examples seen, for the lab to read."""
        loss = nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("examples", float((self.global_step + 1) * args.batch))
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        """The held-out loss."""
        loss = nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
        params = float(sum(weights.numel() for weights in self.parameters()))
        examples = float(self.global_step * args.batch)
        self.log_dict({"val_loss": loss, "examples": examples, "params": params})

    def configure_optimizers(self):
        """Adam."""
        return torch.optim.Adam(self.parameters(), args.lr)


lightning.seed_everything(args.seed)
model = Student()
checkpoints = ModelCheckpoint(args.out / "checkpoints", save_last=True, every_n_train_steps=20)
trainer = lightning.Trainer(
    max_steps=args.steps,
    val_check_interval=20,
    check_val_every_n_epoch=None,
    num_sanity_val_steps=0,
    log_every_n_steps=20,
    logger=CSVLogger(args.out, name="", version=""),
    callbacks=[checkpoints],
    accelerator="auto",
    enable_progress_bar=False,
    enable_model_summary=False,
)
load = torch.utils.data.DataLoader
last = args.out / "checkpoints" / "last.ckpt"
trainer.fit(
    model,
    load(Teacher(1 + args.seed, args.steps * args.batch), args.batch),
    load(Teacher(0, 1024), 1024),
    ckpt_path=last if last.exists() else None,
)
