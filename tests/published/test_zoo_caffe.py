"""The zoo against networks that were published as Caffe's files, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.published.test_zoo_counts import counted


class Caffe:
    """What an image has become after some layers, their parameters and their products."""

    def __init__(self, side: int, channels: int = 3) -> None:
        self.side, self.channels, self.num_params, self.macs = side, channels, 0, 0

    def branch(self) -> Caffe:
        return Caffe(self.side, self.channels)

    def conv(self, out: int, kernel: int = 1, stride: int = 1, pad: int = 0, bias=True) -> Caffe:
        """`Convolution`: sizes are rounded down."""
        self.side = (self.side + 2 * pad - kernel) // stride + 1
        weights = kernel * kernel * self.channels * out
        self.num_params += weights + bias * out
        self.macs += weights * self.side**2
        self.channels = out
        return self

    def pool(self, kernel: int, stride: int) -> Caffe:
        """`Pooling` without a pad: sizes are rounded up."""
        self.side = -((kernel - self.side) // stride) + 1
        return self

    def full(self, out: int) -> Caffe:
        """`InnerProduct`."""
        self.channels, self.side = self.channels * self.side**2, 1
        return self.conv(out)

    def scale(self) -> Caffe:
        """`BatchNorm` and `Scale`."""
        self.num_params += 2 * self.channels
        return self

    def join(self, branches: Sequence[Caffe]) -> Caffe:
        """`Concat`."""
        self.channels = sum(one.channels for one in branches)
        return self.add(branches)

    def add(self, branches: Sequence[Caffe]) -> Caffe:
        self.num_params += sum(one.num_params for one in branches)
        self.macs += sum(one.macs for one in branches)
        return self


def nin() -> Caffe:
    """The authors' nin_imagenet (train_val.prototxt, crops of 224); its pools make 27, 13 and 6."""
    x = Caffe(224).conv(96, 11, 4).conv(96).conv(96).pool(3, 2)
    x.conv(256, 5, pad=2).conv(256).conv(256).pool(3, 2)
    x.conv(384, 3, pad=1).conv(384).conv(384).pool(3, 2)
    x.conv(1024, 3, pad=1).conv(1024).conv(1000)
    assert x.side == 6  # pool4 is of 6 x 6
    return x


# num_output of 1x1, 3x3_reduce, 3x3, 5x5_reduce, 5x5 and pool_proj.
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(aside: bool) -> Caffe:
    """models/bvlc_googlenet of BVLC/caffe: deploy.prototxt; train_val.prototxt with two aside."""
    x = Caffe(224).conv(64, 7, 2, 3).pool(3, 2).conv(64).conv(192, 3, pad=1).pool(3, 2)
    for name, (one, reduce_3, three, reduce_5, five, proj) in INCEPTION.items():
        if name in ("4a", "5a"):
            x.pool(3, 2)
        x.join(
            [
                x.branch().conv(one),
                x.branch().conv(reduce_3).conv(three, 3, pad=1),
                x.branch().conv(reduce_5).conv(five, 5, pad=2),
                x.branch().conv(proj),
            ]
        )
        if aside and name in ("4a", "4d"):
            x.add([x.branch().pool(5, 3).conv(128).full(1024).full(1000)])
    assert x.side == 7  # pool5 is of 7 x 7
    return x.pool(7, 1).full(1000)


def densenet(depth: int, growth: int) -> Caffe:
    """make_densenet.py of liuzhuang13/DenseNetCaffe, the authors'; first_output is 16."""
    x = Caffe(32).conv(16, 3, pad=1, bias=False)
    for block in range(3):
        if block:
            x.scale().conv(x.channels, bias=False).pool(2, 2)
        for _ in range((depth - 4) // 3):
            channels = x.channels
            x.scale().conv(growth, 3, pad=1, bias=False)
            x.channels += channels
    return x.scale().pool(8, 1).full(10)


@pytest.mark.parametrize(
    ("model", "options", "theirs"),
    [
        ("nin:imagenet", {}, nin()),
        ("nin", {}, nin()),
        ("googlenet:2014", {}, googlenet(aside=True)),
        ("googlenet:2014", {"auxiliary": 0}, googlenet(aside=False)),
        ("densenet:40-12", {}, densenet(40, 12)),
        ("densenet:100-12", {}, densenet(100, 12)),
        ("densenet:100-24", {}, densenet(100, 24)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parameters_and_macs_are_those_of_caffes_layers(model, options, theirs):
    cost, macs = counted(model, **options)
    assert (cost.num_params, macs) == (theirs.num_params, theirs.macs)


def test_the_layers_are_read_right():
    # Parameters of bvlc_googlenet.caffemodel as widely counted; of NiN 29 MB of float32 weights.
    assert googlenet(aside=False).num_params == 6_998_552
    assert googlenet(aside=True).num_params == 13_378_280
    assert round(4 * nin().num_params / 2**20) == 29
