"""What a notebook sees: public names, short tables, types."""

from __future__ import annotations

import importlib
from dataclasses import replace
from importlib.resources import files

import pytest

import analysis
from analysis import fit, forecast, plan
from tests.analysis.planted import table

PUBLIC = {
    "scaling": {"RunSpec", "FAMILIES", "train"},
    "sweeps": {"Sweep", "load_sweep"},
    "cluster": {"submit", "sweep_status"},
    "analysis": {
        "Fit", "Forecast", "LAWS", "Plan", "backtest", "fit", "forecast", "isoflop", "load_runs",
        "plan",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def runs():
    return table("chinchilla", noise=0.003)


@pytest.fixture(scope="module")
def law(runs):
    return fit("chinchilla", runs, starts=0, bootstrap=20)


@pytest.mark.parametrize("package", PUBLIC)
def test_dir_of_a_package_is_its_public_names(package):
    module = importlib.import_module(package)
    names = dir(module)
    assert set(names) >= PUBLIC[package]
    assert not [name for name in names if name.startswith("_")]
    assert all(hasattr(module, name) for name in names)


@pytest.mark.parametrize("package", PUBLIC)
def test_a_package_says_that_it_is_typed(package):
    assert (files(package) / "py.typed").is_file()


def test_tab_completion_of_a_fit_offers_what_a_reader_wants(law):
    names = {name for name in dir(law) if not name.startswith("_")}
    assert names >= {"ci", "formula", "params", "predict", "profile", "status", "summary"}
    assert callable(analysis.isoflop) and callable(analysis.backtest)


def test_a_fit_is_its_law_parameters_intervals_and_status(law, runs):
    lines = repr(law).splitlines()
    assert lines[0] == law.formula()
    for name, (low, high) in law.ci().items():
        [line] = [line for line in lines if line.split()[0] == name]
        assert f"{law.params[name]:.4g}" in line
        assert f"{low:.4g} to {high:.4g}" in line
    assert any("N* grows as C^a" in line for line in lines)
    assert f"{len(runs)} runs" in repr(law)
    assert lines[-1] == f"status: {law.status}"
    assert "bootstrap=" in repr(replace(law, draws=None))


def test_a_plan_is_a_sequence_and_a_table_of_budgets(law):
    budgets = [1e14, 1e15, 1e16]
    found = plan(law, budgets, level=0.8)
    assert [a.flops for a in found] == budgets
    assert len(found) == 3 and found[-1] in found
    assert list(found[:2]) == [found[0], found[1]]
    assert not plan(law, [])
    lines = repr(found).splitlines()
    assert law.formula() in lines[0]
    assert "80 %" in lines[1]
    assert len(lines) == 5
    assert f"{found[2].loss:.4f}" in lines[4]
    with pytest.raises(AttributeError):
        found.level = 0.5


def test_a_forecast_is_its_laws_and_their_weights(runs):
    found = forecast(runs)
    for member, weight in zip(found.laws, found.weights, strict=True):
        assert any(
            line.split()[:2] == [member.name, f"{weight:.3f}"] for line in repr(found).splitlines()
        )
    assert f"{len(runs)} runs" in repr(found)
    assert found._repr_html_().count("<tr>") == 1 + len(found.laws)


def test_html_says_what_the_text_says(law):
    for value in (law, plan(law, [1e15])):
        assert value._repr_html_().count("<tr>") == 1 + sum(
            "  " in line for line in repr(value).splitlines()[2:]
        )
    odd = replace(law, status="<script>alert(1)</script>")
    assert "<script>" not in odd._repr_html_()
