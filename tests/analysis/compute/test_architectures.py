"""Real models next to a best size, against the families' own counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.compute.architectures import architectures, family_cost, size_options
from analysis.compute.plan import plan
from scaling.families import get_family

GPT = {"vocab_size": 256, "context": 64}


@pytest.fixture(scope="module")
def planted():
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e5, 1e7, 6), np.geomspace(1e6, 1e9, 6)))
    runs = pd.DataFrame({"num_params": n, "num_tokens": d})
    runs["loss"] = 1.5 + 100 / n**0.35 + 300 / d**0.35
    return fit("chinchilla", runs, starts=0)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("transformer", GPT),
        ("resnet", {"depths": (2, 2, 2, 2), "block": "basic", "resolution": 32, "num_classes": 10}),
    ],
)
def test_neighbours_enclose_the_best_size_and_cost_the_budget(planted, family, options):
    best = plan(planted, [1e16])[0]
    near = architectures(planted, best, family, options)
    assert [x.side for x in near] == ["below", "above"]
    assert near[0].num_params <= best.num_params < near[1].num_params
    known = get_family(family)
    for x in near:
        cost = known.cost(known.resolve(x.config))
        assert x.num_params == cost.num_params
        assert x.flops_per_token == cost.flops_train
        assert x.num_tokens * cost.flops_train == pytest.approx(1e16)
        table = {"num_params": [x.num_params], "num_tokens": [x.num_tokens]}
        assert x.loss == pytest.approx(planted.predict(table)[0])
        assert x.loss_ratio == pytest.approx(x.loss / best.loss)


def test_there_is_no_closer_width(planted):
    best = plan(planted, [1e16])[0]
    below, above = architectures(planted, best, "transformer", GPT)
    known = get_family("transformer")
    for depth in range(below.config["depth"], above.config["depth"] + 1):
        for side in (below, above):
            if side.config["depth"] != depth:
                continue
            step = 8 if side is below else -8
            width = side.config["width"] + step
            other = known.cost(known.resolve({**GPT, "depth": depth, "width": width})).num_params
            assert (other > best.num_params) == (side is below)


def test_a_familys_cost_is_its_own_count():
    cost = family_cost("transformer", GPT, 1e5, 1e8)
    known = get_family("transformer")
    for target in (1e5, 1e8):
        exact = known.cost(known.resolve({**GPT, "num_params": target}))
        found = cost(np.array([float(exact.num_params)]))[0]
        assert found == pytest.approx(exact.flops_train, rel=1e-9)
    middle = known.cost(known.resolve({**GPT, "num_params": 3e6}))
    assert cost(np.array([float(middle.num_params)]))[0] == pytest.approx(
        middle.flops_train, rel=0.03
    )


def test_what_the_models_of_a_sweep_share():
    known = get_family("transformer")
    models = [known.resolve({**GPT, "depth": 2, "width": w}).to_dict() for w in (64, 96, 128)]
    shared = size_options("transformer", models)
    assert shared["vocab_size"] == 256
    assert shared["aspect"] == 64.0
    assert not {"depth", "width", "heads", "mlp_width"} & set(shared)


def test_a_family_without_a_size_dial_is_refused():
    with pytest.raises(ValueError, match="unknown family"):
        size_options("transformers", [{}])
