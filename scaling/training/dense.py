"""Each pixel labelled: classification of the pixels in which an image shows its class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from scaling.training.task import Classify

UNLABELLED = -100  # torch's ignore_index


class LabelPixels(Classify):
    """Losses in nats per labelled pixel; ``error`` is the share of these that top 1 misses.

    Data with one label an image label its pixels so: those brighter than the image's mean are of
    its class, the others are not labelled. Both numbers are means over images of the mean over an
    image's labelled pixels; in training all labelled pixels of a batch count alike.
    """

    def _labels(self, inputs: Tensor, labels: Tensor) -> Tensor:
        grey = inputs.mean(1)
        bright = grey > grey.mean((1, 2), keepdim=True)
        return torch.where(bright, labels.to(inputs.device)[:, None, None], UNLABELLED)

    def _scores(self, logits: Tensor, labels: Tensor) -> Tensor:
        labelled = labels != UNLABELLED
        count = labelled.sum((1, 2)).clamp_min(1)
        losses = F.cross_entropy(logits, labels, reduction="none", ignore_index=UNLABELLED)
        wrong = (logits.argmax(1) != labels) & labelled
        return torch.stack([one.double().sum((1, 2)) / count for one in (losses, wrong)])
