"""Genetic CNN codes: the graphs of the paper's rules, counts, and bad codes."""

from __future__ import annotations

import networkx as nx
import pytest

from scaling.cli import main
from scaling.families import get_family
from scaling.families.vision.wired.genetic import stage_inputs
from scaling.families.vision.wired.graphs import code_edges, write_code
from tests.scaling.built import assert_counted_exactly

GENETIC = get_family("genetic")
SMALL = {"resolution": 28, "in_channels": 1, "num_classes": 10, "widths": (4, 6, 8)}


def wired(code):
    """The stage as section 3.1 of the paper has it, by networkx: default nodes in and out."""
    _, edges = code_edges(code)
    inner = nx.DiGraph(edges)
    graph = nx.DiGraph(inner)
    graph.add_edges_from(("in", n) for n in inner if inner.in_degree(n) == 0)
    graph.add_edges_from((n, "out") for n in inner if inner.out_degree(n) == 0)
    return graph


@pytest.mark.parametrize(
    ("code", "edges", "left_out"),
    [
        ("1-00-111", {(0, 1), (0, 3), (1, 3), (2, 3)}, 0),
        ("0-10-000-0011", {(0, 2), (2, 4), (3, 4)}, 1),  # node 1 has no edge
        ("1-01-001", {(0, 1), (1, 2), (2, 3)}, 0),
    ],
)
def test_a_code_is_the_graph_of_section_3_1(code, edges, left_out):
    nodes, found = code_edges(code)
    assert set(found) == edges
    inputs = stage_inputs(code)
    assert len(inputs) == nodes - left_out + 2
    places = ["in", *sorted({n for e in edges for n in e}), "out"]
    ours = nx.DiGraph(
        (places[i - 1], places[n]) for n, seen in enumerate(inputs) for i in seen if i
    )
    assert nx.utils.graphs_equal(ours, wired(code))


def test_all_codes_of_four_nodes_are_64_networks_without_a_cycle_from_input_to_output():
    for number in range(64):
        code = write_code(f"{number:06b}")
        inputs = stage_inputs(code)
        if not number:
            assert inputs == ((0,),)  # one convolution and not two
            continue
        graph = wired(code)
        assert nx.is_directed_acyclic_graph(graph)
        assert len(graph) == len(inputs)
        assert nx.ancestors(graph, "out") | {"out"} == set(graph)


@pytest.mark.parametrize(
    "codes", [("1-00-111", "0-10-000-0011", "1"), ("0-00", "1-11-111", "0-00-100")]
)
def test_counts_equal_those_of_the_built_module(codes):
    assert_counted_exactly(GENETIC, {**SMALL, "codes": codes})


def test_counts_are_of_as_many_convolutions_as_the_code_has_nodes():
    """K x K x C x C weights, and a norm's two for each channel, for each further node."""
    one, chain = (
        GENETIC.cost(
            GENETIC.resolve({"codes": (code,), "widths": (8,), "resolution": 8})
        ).num_params
        for code in ("0-00", "1-01")
    )
    assert chain - one == 4 * (25 * 8 * 8 + 2 * 8)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("codes=[1-01, 1-2, 1]", "codes has '1-2', whose group '2' is not 2 of 0 and 1"),
        ("codes=[1-01, 1-01]", "the stages differ in number: codes 2, widths 3"),
        ("codes=1-01", "codes '1-01' is not a list"),
        ("codes=[1-01, 1-01, '']", "whose group '' is not 1 of 0 and 1"),
        ("depth_multiplier=2", "no code of more nodes"),
        ("kernel=4", "kernel 4 is no odd number"),
    ],
)
def test_a_code_that_is_none_is_one_line(setting, says, capsys):
    assert main(["model", "genetic", "--set", setting]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


def test_it_is_drawn(tmp_path):
    path = tmp_path / "g.svg"
    codes = "codes=[0-00, 1-01-001, 0-10-000-0011]"
    assert main(["model", "genetic", "--set", codes, "--draw", str(path)]) == 0
    assert "stage 3: 0-10-000-0011" in path.read_text()
