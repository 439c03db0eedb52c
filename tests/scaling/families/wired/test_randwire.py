"""Random wiring: graphs against networkx and closed forms, sizes against the paper, bad input."""

from __future__ import annotations

import itertools
from statistics import mean

import networkx as nx
import pytest

from scaling.cli import main
from scaling.families import get_family
from scaling.families.vision.wired.graphs import given_edges, random_edges
from tests.scaling.built import assert_counted_exactly

RANDWIRE = get_family("randwire")
SMALL = {"resolution": 28, "in_channels": 1, "num_classes": 10, "width": 6, "nodes": 8}


@pytest.mark.parametrize("graph", ["er", "ba", "ws"])
def test_a_graph_is_connected_without_a_cycle_and_has_one_draw_a_seed(graph):
    draws = [random_edges(graph, 32, 0.3, 5, 4, seed) for seed in range(5)]
    assert len(set(draws)) == 5
    assert draws[3] == random_edges(graph, 32, 0.3, 5, 4, 3)
    for edges in draws:
        found = nx.DiGraph(edges)
        assert nx.is_directed_acyclic_graph(found)
        assert nx.is_weakly_connected(found)
        assert found.number_of_nodes() == 32


def test_numbers_of_edges_are_those_of_section_3_1_of_the_paper():
    assert len(random_edges("ba", 32, 0.0, 5, 0, 1)) == 5 * (32 - 5)
    assert len(random_edges("ws", 32, 0.75, 0, 4, 1)) == 32 * 4 // 2
    count = mean(len(random_edges("er", 32, 0.2, 0, 0, seed)) for seed in range(40))
    assert count == pytest.approx(0.2 * 32 * 31 / 2, rel=0.05)


def test_a_graph_is_the_same_with_every_networkx():
    assert random_edges("ws", 6, 0.75, 0, 2, 7) == ((0, 1), (0, 3), (1, 3), (1, 5), (2, 3), (3, 4))


@pytest.mark.parametrize(
    ("preset", "params", "macs"),
    [("small", 5.6e6, 583e6), ("regular", 31.9e6, 4.0e9), ("regular-154", 61.5e6, 7.9e9)],
)
def test_the_papers_regimes_have_its_parameters_and_flops(preset, params, macs):
    """Tables 2 and 3 of Xie et al. 2019, which are means over networks: WS(4, 0.75)."""
    costs = [
        RANDWIRE.cost(RANDWIRE.resolve({**RANDWIRE.presets[preset], "graph_seed": seed}))
        for seed in range(10)
    ]
    assert mean(cost.num_params for cost in costs) == pytest.approx(params, rel=0.01)
    assert mean(cost.macs_forward for cost in costs) == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize(
    "options",
    [
        {"graph": "er", "p": 0.5},
        {"graph": "ba", "m": 3, "regime": "regular", "nodes": 12},
        {"graph": "given", "edges": "0>1 0>2 1>3 2>3", "nodes": 32},
    ],
)
def test_counts_equal_those_of_the_built_module(options):
    assert_counted_exactly(RANDWIRE, {**SMALL, **options})


def test_given_edges_are_numbered_in_an_order_that_follows_them():
    edges = given_edges("7>2, 2>5, 7>5")
    assert edges == ((0, 1), (0, 2), (1, 2))
    names = itertools.permutations((2, 5, 7))
    assert {len(given_edges(f"{a}>{b} {b}>{c}")) for a, b, c in names} == {2}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["graph=given", "edges=0>1 1>2 2>0"], "edges has the cycle"),
        (["graph=given", "edges=0>0"], "edges has the cycle 0>0"),
        (["graph=given", "edges=0-1"], "not of the form FROM>TO"),
        (["graph=given"], "edges has none"),
        (["graph=er", "p=0.01"], "too low for a connected graph"),
        (["k=3"], "no even number"),
        (["graph=ba", "m=32"], "not in [1, 31]"),
        (["graph=tree"], "unknown graph"),
        (["nodes=1"], "nodes 1 is below 4"),
    ],
)
def test_a_graph_that_cannot_be_is_refused_in_one_line(settings, words, capsys):
    sets = [word for setting in settings for word in ("--set", setting)]
    assert main(["model", "randwire", *sets]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_dials_add_nodes_and_channels():
    base = RANDWIRE.resolve(SMALL)
    assert RANDWIRE.resolve({**SMALL, "depth_multiplier": 1.5}).nodes == 12
    assert RANDWIRE.resolve({**SMALL, "width_multiplier": 2}).width == 12
    assert base.strides == (1, 1, 2, 2, 2)


@pytest.mark.parametrize("model", ["randwire", "darts"])
def test_a_graph_is_drawn(model, tmp_path, capsys):
    path = tmp_path / "graph.svg"
    assert main(["model", model, "--draw", str(path)]) == 0
    drawn = path.read_text()
    names = {"randwire": ("conv3: 32 nodes", "conv5"), "darts": ("reduce", "dil_conv_3x3")}
    assert all(name in drawn for name in (*names[model], "output"))
    assert "num_params" in capsys.readouterr().out


def test_what_has_no_graph_is_not_drawn(tmp_path, capsys):
    for model, file in (("resnet:18", "a.png"), ("randwire", "a.txt")):
        assert main(["model", model, "--draw", str(tmp_path / file)]) == 2
        told = capsys.readouterr().err
        assert "--draw" in told
        assert told.count("\n") == 1
        assert not (tmp_path / file).exists()
