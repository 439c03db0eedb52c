"""Augmentation of images: drawn from (seed, step, row) alone, applied where the batch is (torch).

Whatever is drawn, is drawn for the whole batch of a step, each kind from a stream of its own: a
resumed run sees the same images, a part of a batch is the same as those rows of the whole, and
switching one kind on changes nothing about another.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scaling.spec_parts import TrainSpec

# numpy pads a seed with zeros, so stream 0 would be the stream of (seed, step): the data's order.
CROP, FLIP, JITTER, MIXUP, BOX = range(1, 6)
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma, as Pillow's "L"
RATIO = (3 / 4, 4 / 3)  # width over height of a random resized crop (Szegedy et al. 2015, sec. 6)


@dataclass(frozen=True)
class Draws:
    """What happens to each row of a batch; None for what is switched off.

    Attributes
    ----------
    shift : (batch, 2) integers
        Rows and columns that the crop is moved down and right, ``-crop_padding`` to it.
    box : (batch, 4)
        Top, left, height and width of the random resized crop, as shares of the image's.
    flip : (batch,) booleans
    factors : (batch, 3)
        Brightness, contrast and saturation.
    partner : (batch,) integers, weight : (batch,)
        Mixup: the row that a row is mixed with, and the row's own weight.
    """

    shift: NDArray[np.int64] | None = None
    box: NDArray[np.float64] | None = None
    flip: NDArray[np.bool_] | None = None
    factors: NDArray[np.float64] | None = None
    partner: NDArray[np.int64] | None = None
    weight: NDArray[np.float64] | None = None

    def rows(self, chosen: Any) -> Draws:
        """The draws of these rows alone."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Draws(**{k: None if v is None else v[chosen] for k, v in values.items()})


def draw(train: TrainSpec, seed: int, step: int) -> Draws:
    """The draws of training step ``step``, for all rows of its batch.

    A random resized crop has an area uniform in [crop_scale, 1] and a ratio log-uniform in
    [3/4, 4/3]; sides longer than the image are cut to it. The mixing weight is Beta(mixup, mixup)
    distributed, one draw for each row (Zhang et al. 2018, eq. 1).
    """
    n = train.batch_size

    def stream(kind: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64((seed, step, kind)))

    values: dict[str, Any] = {}
    if train.crop_padding:
        pad = train.crop_padding
        values["shift"] = stream(CROP).integers(-pad, pad, (n, 2), endpoint=True)
    if train.crop_scale < 1:
        values["box"] = _boxes(stream(BOX), n, train.crop_scale)
    if train.flip:
        values["flip"] = stream(FLIP).random(n) < 0.5
    if train.colour_jitter:
        values["factors"] = 1 + train.colour_jitter * stream(JITTER).uniform(-1, 1, (n, 3))
    if train.mixup:
        random = stream(MIXUP)
        values["weight"] = random.beta(train.mixup, train.mixup, n)
        values["partner"] = random.permutation(n)
    return Draws(**values)


def _boxes(random: np.random.Generator, n: int, scale: float) -> NDArray[np.float64]:
    area = random.uniform(scale, 1, n)
    ratio = np.exp(random.uniform(np.log(RATIO[0]), np.log(RATIO[1]), n))
    height = np.minimum(1, np.sqrt(area / ratio))
    width = np.minimum(1, np.sqrt(area * ratio))
    top, left = random.random((2, n)) * (1 - np.stack([height, width]))
    return np.stack([top, left, height, width], axis=1)


def augment(images: Tensor, draws: Draws) -> Tensor:
    """Crop, flip and jitter images ``(n, channels, height, width)``; one row of draws for each.

    Bytes stay bytes through a padded crop and a flip; a resized crop and jitter give numbers
    from 0 to 1 of bytes, and of other images numbers of their own range.
    """
    if draws.shift is not None or draws.flip is not None:
        images = crop_and_flip(images, draws.shift, draws.flip)
    if draws.box is not None:
        images = resized_crop(to_float(images), draws.box)
    if draws.factors is not None:
        images = jitter(to_float(images), draws.factors)
    return images


def to_float(images: Tensor) -> Tensor:
    """Bytes as float32 from 0 to 1; other types as float32."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def crop_and_flip(
    images: Tensor, shift: NDArray[np.int64] | None, flip: NDArray[np.bool_] | None
) -> Tensor:
    """Images moved by ``shift`` (down, right; zeros move in), then mirrored where ``flip``."""
    if shift is not None:
        _, _, height, width = images.shape
        pad = int(np.abs(shift).max())
        windows = F.pad(images, (pad, pad, pad, pad)).unfold(2, height, 1).unfold(3, width, 1)
        rows, top, left = (
            torch.from_numpy(values).to(images.device)
            for values in (np.arange(len(shift)), pad - shift[:, 0], pad - shift[:, 1])
        )
        images = windows[rows, :, top, left]
    if flip is not None:
        mirrored = torch.from_numpy(flip).to(images.device)[:, None, None, None]
        images = torch.where(mirrored, images.flip(3), images)
    return images


def resized_crop(images: Tensor, box: NDArray[np.float64]) -> Tensor:
    """The part of each image in its ``box``, enlarged to the image's size, bilinear.

    The centre of output pixel i lies at (i + 1/2)/size of the box, as in Pillow; at the image's
    edge its border is repeated.
    """
    n, _, height, width = images.shape
    # grid_sample's coordinates run from -1 to 1 between the outer edges of the image.
    y = 2 * (box[:, :1] + box[:, 2:3] * (np.arange(height) + 0.5) / height) - 1
    x = 2 * (box[:, 1:2] + box[:, 3:4] * (np.arange(width) + 0.5) / width) - 1
    grid = np.empty((n, height, width, 2), np.float32)
    grid[..., 0], grid[..., 1] = x[:, None, :], y[:, :, None]
    where = torch.from_numpy(grid).to(images.device)
    return F.grid_sample(images, where, padding_mode="border", align_corners=False)


def jitter(images: Tensor, factors: NDArray[np.float64]) -> Tensor:
    """Brightness, then contrast, then saturation, each held within 0 to 1.

    With factor f: brightness f x; contrast f x + (1 - f) m, where m is the mean of the grey
    image; saturation f x + (1 - f) grey, of three-channel images (Pillow's ``ImageEnhance``).
    """
    f = torch.from_numpy(factors.astype(np.float32)).to(images.device)[:, :, None, None, None]
    images = (f[:, 0] * images).clamp(0, 1)
    mean = _grey(images).mean((2, 3), keepdim=True)
    images = torch.lerp(mean.expand_as(images), images, f[:, 1]).clamp(0, 1)
    if images.shape[1] == 3:
        grey = _grey(images).expand_as(images)
        images = torch.lerp(grey, images, f[:, 2]).clamp(0, 1)
    return images


def _grey(images: Tensor) -> Tensor:
    """Luma ``(n, 1, height, width)``; the mean of the channels unless there are three."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    weights = torch.tensor(GREY, device=images.device)[None, :, None, None]
    return (images * weights).sum(1, keepdim=True)
