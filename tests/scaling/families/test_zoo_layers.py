"""The zoo's layers against torch's own, closed forms and plain loops."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scaling.families import get_family
from scaling.families.vision import VISION
from scaling.families.vision import layers as L
from scaling.families.vision.layers_module import NetworkModule, sequence
from scaling.families.vision.window_module import far_pairs

DOCS = Path(__file__).parents[3] / "docs"
X = torch.randn(2, 6, 5, 5, generator=torch.Generator().manual_seed(0))


def module(*layers, shape=(6, 5, 5)):
    torch.manual_seed(0)
    return sequence(layers, shape)[0]


def test_instance_norm_is_torchs():
    ours, theirs = module(L.Norm("instance")), nn.InstanceNorm2d(6, affine=True)
    assert torch.allclose(ours(X), theirs(X), atol=1e-6)
    with pytest.raises(ValueError, match="leaves one position, of which norm instance makes 0"):
        get_family("resnet").resolve({"resolution": 1, "strides": (1,) * 4, "norm": "instance"})


def test_weight_standardisation_is_of_each_filter():
    conv = module(L.Conv(4, 3, standardised=True, plain=True))[0]
    nn.init.uniform_(conv.weight, 2, 5)
    kernels = torch.stack([(w - w.mean()) / (w.std(correction=0) + 1e-5) for w in conv.weight])
    assert torch.allclose(conv(X), F.conv2d(X, kernels, padding=1), atol=1e-5)
    assert [name for name, _ in conv.named_parameters()] == ["weight"]


@pytest.mark.parametrize("name", ["resnet", "vgg", "alexnet", "densenet", "unet"])
def test_weight_standardisation_changes_no_count(name):
    family = get_family(name)
    common = {"resolution": 32, "in_channels": 1, "norm": "group"}
    plain, standardised = (
        family.resolve({**common, "weight_standardisation": on}) for on in (False, True)
    )
    assert family.cost(plain) == family.cost(standardised)
    layers = str(family.network(standardised))
    assert "plain=True" in layers
    assert "plain=True" not in str(family.network(plain))


def test_prelu_is_torchs_and_has_a_slope_for_each_channel():
    theirs = nn.PReLU(6, init=0.25)
    slopes = torch.linspace(-1, 1, 6)
    for shape, x in (((6, 5, 5), X), ((6,), X[:, :, 0, 0])):
        ours = module(L.Act("prelu"), shape=shape)
        assert torch.allclose(ours(x), theirs(x))
        with torch.no_grad():
            ours[0].slope.view(-1).copy_(slopes)
        assert torch.allclose(ours(x), F.prelu(x, slopes))
    few, many = (
        get_family("mlp").cost(get_family("mlp").resolve({"activation": kind, "width": 20}))
        for kind in ("relu", "prelu")
    )
    assert many.num_params - few.num_params == 2 * 20


def test_maxout_is_the_larger_of_successive_channels():
    images = module(L.Maxout(3))(X)
    assert torch.equal(images, torch.stack([X[:, :3].amax(1), X[:, 3:].amax(1)], dim=1))
    assert torch.equal(module(L.Maxout(), shape=(6,))(X[:, :, 0, 0])[:, 1], X[:, 2:4, 0, 0].amax(1))
    with pytest.raises(ValueError, match="maxout of 4 pieces divides not 6 channels"):
        module(L.Maxout(4))


def test_a_padded_shortcut_is_the_image_thinned_with_zeros_behind():
    out = module(L.Padded(9, 2))(X)
    assert out.shape == (2, 9, 3, 3)
    assert torch.equal(out[:, :6], F.avg_pool2d(X, 1, 2))  # as in Facebook's and the authors' code
    assert not out[:, 6:].any()
    assert list(module(L.Padded(9, 2)).parameters()) == []
    with pytest.raises(ValueError, match="shortcut padded has no 4 of 6 channels"):
        module(L.Padded(4, 2))


def test_response_normalisation_is_krizhevskys():
    x = 20 * X
    out = module(L.ResponseNorm())(x)
    for i in range(6):  # section 3.3: k 2, n 5, alpha 1e-4, beta 0.75
        near = x[:, max(0, i - 2) : i + 3].square().sum(1)
        assert torch.allclose(out[:, i], x[:, i] / (2 + 1e-4 * near) ** 0.75, atol=1e-5)


def test_orthogonal_kernels_keep_the_norm():
    torch.manual_seed(0)
    layers = (L.Conv(8, 3), L.Flatten(), L.Linear(5))
    made = NetworkModule(L.Network((2, 4, 4), (), layers[:1], layers[1:], init="orthogonal"))
    kernel = made.body[0].weight.flatten(1)
    assert torch.allclose(kernel @ kernel.T, 2 * torch.eye(8), atol=1e-5)
    last = made.head[1].weight
    assert torch.allclose(last @ last.T, torch.eye(5), atol=1e-5)


def test_names_of_starts_that_are_the_same():
    for name, same in (("xavier", "glorot"), ("kaiming", "he")):
        for family in ("resnet", "mlp"):
            assert get_family(family).resolve({"init": name}).init == same


def test_a_convolution_as_classifier_starts_by_its_inputs():
    torch.manual_seed(0)
    made = NetworkModule(L.Network((400, 2, 2), (), (), (L.Conv(10), L.GlobalPool()), init="he"))
    assert made.head[0].weight.std().item() == pytest.approx(400**-0.5, rel=0.05)


def test_shifted_windows_attend_to_their_neighbours_alone():
    layer = L.WindowAttention(heads=2, window=4, shifted=True)
    attention = module(layer, shape=(8, 8, 8))[0].double()
    x = torch.randn(1, 8, 8, 8, dtype=torch.double, requires_grad=True)
    for place in range(8):
        gradient = torch.autograd.grad(attention(x)[0, :, place, 5].sum(), x)[0]
        seen = (gradient[0].abs().amax((0, 2)) > 1e-12).nonzero().flatten().tolist()
        # Windows are rows 0-1, 2-5 and 6-7; the first and the last share one, masked.
        expected = [range(2), range(2, 6), range(6, 8)][(place + 2) // 4]
        assert seen == list(expected)


def test_windows_by_a_plain_loop():
    torch.manual_seed(0)
    attention = module(L.WindowAttention(heads=2, window=3), shape=(4, 5, 5))[0].double()
    x = torch.randn(1, 4, 5, 5, dtype=torch.double)
    padded = F.pad(x, (0, 1, 0, 1))[0].permute(1, 2, 0)  # to 6 x 6
    out = torch.empty_like(padded)
    for top in (0, 3):
        for left in (0, 3):
            tokens = padded[top : top + 3, left : left + 3].reshape(9, 4)
            q, k, v = attention.query_key_value(tokens).chunk(3, dim=1)
            heads = []
            for head in range(2):
                part = slice(2 * head, 2 * head + 2)
                logits = q[:, part] @ k[:, part].T / math.sqrt(2)
                for i in range(9):
                    for j in range(9):
                        down, right = i // 3 - j // 3 + 2, i % 3 - j % 3 + 2
                        logits[i, j] += attention.biases[5 * down + right, head]
                heads.append(logits.softmax(1) @ v[:, part])
            mixed = attention.project(torch.cat(heads, dim=1)).view(3, 3, 4)
            out[top : top + 3, left : left + 3] = mixed
    assert torch.allclose(attention(x)[0], out[:5, :5].permute(2, 0, 1), atol=1e-12)


def test_an_image_of_one_window_has_no_shift():
    attention = module(L.WindowAttention(heads=1, window=7, shifted=True), shape=(4, 5, 5))[0]
    assert (attention.window, attention.shift, attention.far) == (5, [0, 0], None)
    assert far_pairs((8, 8), 4, [2, 2]).unique().tolist() == [-100, 0]


def test_the_docs_have_each_family():
    page = (DOCS / "families.md").read_text()
    assert [one.name for one in VISION if f"`{one.name}`" not in page] == []
