"""Networks of cells and their search space: published sizes, genotypes, counts, bad input."""

from __future__ import annotations

import pytest
import torch

from scaling.cli import main
from scaling.families import get_family
from scaling.families.vision.layers_module import Activation
from scaling.families.vision.wired.cells import random_cells, read_cell, write_cell
from scaling.families.vision.wired.search import found_cell
from tests.scaling.built import assert_counted_exactly, built

DARTS, SEARCH = get_family("darts"), get_family("darts_search")
POOLS = (torch.nn.MaxPool2d, torch.nn.AvgPool2d)
SMALL = {"resolution": 27, "in_channels": 1, "num_classes": 10, "cells": 3, "width": 4}
OPERATIONS = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_5x5")


@pytest.mark.parametrize(
    ("preset", "params", "macs"),
    [
        ("v1", 3_169_414, 500_987_520),
        ("v2", 3_349_342, 528_359_040),
        ("v2-imagenet", 4_718_752, 529_911_552),
    ],
)
def test_published_cells_have_the_counts_of_the_authors_code(preset, params, macs):
    """The modules of ``cnn/model.py`` of quark0/darts, written down again and counted with hooks,
    without the auxiliary classifier; its README has 3.349 and 4.719 million for the last two."""
    config = DARTS.resolve(DARTS.presets[preset])
    cost = DARTS.cost(config)
    assert (cost.num_params, cost.macs_forward) == (params, macs + config.num_classes)


@pytest.mark.parametrize(
    ("normal", "reduce", "millions", "mega"),
    [
        (
            "skip_connect:0 dil_conv_3x3:1 | skip_connect:0 sep_conv_3x3:1 | "
            "sep_conv_3x3:1 sep_conv_3x3:3 | sep_conv_3x3:0 dil_conv_5x5:4",
            "avg_pool_3x3:0 sep_conv_5x5:1 | sep_conv_3x3:0 dil_conv_5x5:2 | "
            "max_pool_3x3:0 dil_conv_3x3:1 | dil_conv_3x3:1 dil_conv_5x5:3",
            4.9,
            557,
        ),
        (
            "sep_conv_3x3:1 skip_connect:0 | sep_conv_3x3:0 dil_conv_3x3:1 | "
            "sep_conv_5x5:0 sep_conv_3x3:1 | avg_pool_3x3:0 dil_conv_3x3:1",
            "sep_conv_5x5:1 max_pool_3x3:0 | sep_conv_5x5:1 sep_conv_5x5:2 | "
            "sep_conv_3x3:0 sep_conv_3x3:3 | sep_conv_3x3:1 sep_conv_3x3:2",
            5.3,
            586,
        ),
        (
            "skip_connect:1 sep_conv_3x3:0 | sep_conv_3x3:0 skip_connect:1 | "
            "sep_conv_3x3:1 sep_conv_3x3:3 | sep_conv_3x3:1 dil_conv_5x5:4",
            "sep_conv_3x3:0 skip_connect:1 | dil_conv_5x5:2 max_pool_3x3:1 | "
            "sep_conv_3x3:2 sep_conv_3x3:1 | sep_conv_5x5:0 sep_conv_3x3:3",
            5.3,
            597,
        ),
    ],
    ids=["P-DARTS", "PC-DARTS of CIFAR-10", "PC-DARTS of ImageNet"],
)
def test_successors_cells_on_imagenet_have_their_published_counts(normal, reduce, millions, mega):
    """Cells of the authors' code, millions of parameters and mult-adds of their tables (Chen et al.
    2019, Xu et al. 2020), which have two for each output of a norm and one of a ReLU or pool."""
    config = DARTS.resolve({**DARTS.presets["v2-imagenet"], "normal": normal, "reduce": reduce})
    cost, elements = DARTS.cost(config), 0
    with torch.device("meta"):
        model, image = DARTS.build(config).eval(), torch.zeros(1, 3, 224, 224)
    for module in model.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, Activation, *POOLS)):
            times = 2 if isinstance(module, torch.nn.BatchNorm2d) else 1

            def add(_, __, out, times=times):
                nonlocal elements
                elements += times * out.numel()

            module.register_forward_hook(add)
    with torch.no_grad():
        model(image)
    assert round(cost.num_params / 1e6, 1) == millions
    assert round((cost.macs_forward + elements) / 1e6) == mega


def test_the_search_network_of_cifar_has_the_size_of_the_authors_code():
    """``cnn/model_search.py`` of quark0/darts; alphas are no part of it."""
    assert SEARCH.cost(SEARCH.resolve(SEARCH.presets["cifar"])).num_params == 1_930_618


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "random", "cell_seed": 1},
        {"resolution": 64, "stem": "imagenet"},
        {"normal": "sep_conv_3x3:0", "reduce": "sep_conv_5x5:0 skip_connect:0 | dil_conv_3x3:0"},
    ],
    ids=["random", "imagenet", "every second cell is seen by none"],
)
def test_counts_equal_those_of_the_built_module(options):
    assert_counted_exactly(DARTS, {**SMALL, **options})


def test_forward_counts_of_the_search_equal_those_of_the_built_module():
    config = SEARCH.resolve({**SMALL, "operations": list(OPERATIONS), "nodes": 2})
    cost, found = SEARCH.cost(config), built(SEARCH, config)
    assert cost.num_params == found.num_params
    assert cost.macs_forward == found.macs + found.biases
    assert cost.activations == found.activations


def test_a_cell_is_read_as_it_is_written():
    for seed in range(5):
        normal, reduction = random_cells(4, OPERATIONS, seed)
        assert read_cell("normal", write_cell(normal)) == normal != reduction
        assert all(len({value for _, value in node}) == 2 for node in normal)


def test_a_list_has_an_operation_for_each_edge():
    edges = ["none", "sep_conv_3x3", "skip_connect", "none", "max_pool_3x3"]
    config = DARTS.resolve({**SMALL, "normal": edges, "reduce": edges[1:3]})
    assert config.normal == "sep_conv_3x3:1 | skip_connect:0 max_pool_3x3:2"
    assert config.reduce == "sep_conv_3x3:0 skip_connect:1"
    assert config == DARTS.resolve(
        {**SMALL, "normal": config.normal, "reduce": config.reduce}
    )  # one network, one run


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        (["skip_connect"] * 3, "normal has 3 operations, and cells have 2, 5, 9, 14, ... edges"),
        (["skip_connect"] * 2 + ["none"] * 3, "node 1 sees nothing"),
        (["conv", "none"], "unknown operation 'conv'"),
        ([], "node 0 sees nothing"),
    ],
)
def test_a_list_that_is_no_cell_is_refused(edges, words):
    with pytest.raises(ValueError, match=words):
        DARTS.resolve({**SMALL, "normal": edges})


def test_the_two_strongest_edges_of_a_node_are_kept_and_never_none():
    table = [
        [0.9, 0.02, 0.03, 0.04, 0.01],  # of node 0: none is the strongest, its others are weak
        [0.1, 0.2, 0.5, 0.1, 0.1],
        [0.5, 0.1, 0.1, 0.1, 0.2],  # of node 1, which sees three values
        [0.2, 0.1, 0.1, 0.1, 0.5],
        [0.1, 0.3, 0.2, 0.2, 0.2],
    ]
    assert write_cell(found_cell(table, 2, OPERATIONS)) == (
        "sep_conv_3x3:0 skip_connect:1 | dil_conv_5x5:1 max_pool_3x3:2"
    )


def test_a_mixture_that_is_sure_is_the_network_of_the_found_cell():
    """With one alpha of each edge far above the others, the search's logits are those of one."""
    options = {**SMALL, "nodes": 1, "operations": ["none", "skip_connect", "sep_conv_3x3"]}
    config = SEARCH.resolve(options)
    torch.manual_seed(0)
    model = SEARCH.build(config).eval()
    model.alphas[:, :, 2] = 100.0
    cells = model.cells()
    assert cells == dict.fromkeys(("normal", "reduce"), "sep_conv_3x3:0 sep_conv_3x3:1")
    fixed = DARTS.build(DARTS.resolve({**SMALL, **cells})).eval()
    kernels = {k: v for k, v in model.named_parameters() if v.ndim > 1 and ".options.0." not in k}
    theirs = [v for v in fixed.parameters() if v.ndim > 1]
    assert [v.shape for v in kernels.values()] == [v.shape for v in theirs]
    with torch.no_grad():
        for mine, its in zip(kernels.values(), theirs, strict=True):
            its.copy_(mine)
        images = torch.randn(2, 1, 27, 27)
        assert torch.allclose(model(images), fixed(images), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["normal=sep_conv_7x7:0"], "unknown operation 'sep_conv_7x7'"),
        (["normal=none:0"], "unknown operation 'none'"),
        (["normal=sep_conv_3x3:2"], "must see one of the values 0 to 1"),
        (["normal=sep_conv_3x3:0 |"], "node 1 sees nothing"),
        (["width=5"], "no even number"),
        (["cells=0"], "cells 0 is below 1"),
        (["cell=random", "nodes=99"], "nodes 99 is not in [1, 12]"),
    ],
)
def test_a_cell_that_cannot_be_is_refused_in_one_line(settings, words, capsys):
    sets = [word for setting in settings for word in ("--set", setting)]
    assert main(["model", "darts", *sets]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_a_search_over_nothing_is_refused(capsys):
    assert main(["model", "darts_search", "--set", "operations=[none]"]) == 2
    assert "none but 'none'" in capsys.readouterr().err
