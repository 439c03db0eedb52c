"""The zoo against torchvision and timm themselves, where they are installed.

``pip install torchvision timm``, of the versions for the torch that is there.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from scaling.families import get_family
from scaling.families.base import with_preset

TORCHVISION = {
    "alexnet": "alexnet",
    "googlenet": "googlenet",
    "densenet:121": "densenet121",
    "wrn:50-2": "wide_resnet50_2",
    "mobilenet:v2": "mobilenet_v2",
    "mobilenet:v3-large": "mobilenet_v3_large",
    "mobilenet:v3-small": "mobilenet_v3_small",
    "swin:tiny": "swin_t",
    "vgg:11-bn": "vgg11_bn",
    "resnet:18": "resnet18",
}
TIMM = {
    "inception-resnet": "inception_resnet_v2",
    "senet:50": "seresnet50",
    "nfnet:f0": "dm_nfnet_f0",
}


def ours(model: str):
    name, _, preset = model.partition(":")
    family = get_family(name)
    return family.build(family.resolve(with_preset(family, preset) if preset else {}))


def theirs(model: str):
    if model in TIMM:
        return pytest.importorskip("timm").create_model(TIMM[model])
    library = pytest.importorskip("torchvision")
    options = {"aux_logits": False, "init_weights": False} if model == "googlenet" else {}
    return getattr(library.models, TORCHVISION[model])(weights=None, **options)


def shape(weight):
    """Its sizes but 1: a 1x1 convolution may be a matrix, a slope a vector."""
    return tuple(size for size in weight.shape if size > 1)


@pytest.mark.parametrize("model", [*TORCHVISION, *TIMM])
def test_weights_have_the_librarys_shapes(model):
    with torch.device("meta"):
        library, own = theirs(model), ours(model)
    of_library = Counter(shape(weight) for weight in library.parameters())
    assert Counter(shape(weight) for weight in own.parameters()) == of_library


@pytest.mark.parametrize(
    "model",
    [
        "alexnet",
        "googlenet",
        "inception-resnet",
        "densenet:121",
        "wrn:50-2",
        "mobilenet:v2",
        "mobilenet:v3-small",
        "swin:tiny",
        "senet:50",
    ],
)
def test_with_the_librarys_weights_the_outputs_are_the_librarys(model):
    torch.manual_seed(0)
    library, own = theirs(model).eval(), ours(model).eval()
    given = list(library.parameters())
    for weight in own.parameters():  # in their order, but for a norm that it builds after its conv
        i = next(i for i, one in enumerate(given) if shape(one) == shape(weight))
        weight.data.copy_(given.pop(i).view(weight.shape))
    x = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        a, b = own(x), library(x)
    assert (a - b).abs().max() < 1e-4 * b.abs().max()
