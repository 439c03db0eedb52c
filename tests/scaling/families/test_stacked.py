"""One forward pass for models of one shape: what each of them gives by itself."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from scaling.families import get_family, stacked_forward
from scaling.spec import RunSpec
from scaling.training.ensemble_task import losses

MLP = {"family": "mlp", "num_tokens": 6400, "batch_size": 64, "width": 8, "depth": 2, "lr": 0.01}
FEATURES, IMAGES = {"data": "teacher:features=12"}, {"data": "teacher:features=784"}


@pytest.mark.parametrize(
    "options",
    [
        FEATURES,
        IMAGES,
        {**FEATURES, "norm": "layer", "activation": "gelu"},
        {**FEATURES, "activation": "maxout"},
        {**FEATURES, "activation": "prelu", "depth": 3},
    ],
)
def test_perceptrons_give_what_each_gives_alone(options):
    spec = RunSpec.resolve(**{**MLP, **options})
    models = []
    for seed in range(3):
        torch.manual_seed(seed)
        models.append(get_family("mlp").build(spec.model).double())
    names = [name for name, _ in models[0].named_parameters()]
    weights = {
        n: torch.stack([dict(m.named_parameters())[n].detach() for m in models]) for n in names
    }
    inputs = torch.randn(3, 5, *spec.model.input_shape, dtype=torch.float64)
    alone = torch.stack([model(x) for model, x in zip(models, inputs, strict=True)])
    torch.testing.assert_close(stacked_forward(models[0])(weights, inputs), alone)


@pytest.mark.parametrize("classes", [2, 10, 16, 50])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_of_members_are_torchs(classes, smoothing):
    logits, targets = torch.randn(3, 7, classes), torch.randint(classes, (3, 7))
    expected = [
        F.cross_entropy(x, t, reduction="none", label_smoothing=smoothing)
        for x, t in zip(logits, targets, strict=True)
    ]
    torch.testing.assert_close(losses(logits, targets, smoothing), torch.stack(expected))
