"""MLflow's own page at the link of ``scaling ui``, in a real browser: what a reader of it sees."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import requests
from matplotlib.figure import Figure

from scaling.base import Store
from scaling.cli import main
from scaling.run.journal import Journal
from scaling.tracking import log_report
from scaling.tracking.law import LINE_COLOUR
from tests.analysis.conftest import planted_loss
from tests.browser import CHROMIUM, Browser
from tests.postgres import free_port

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,  # all that we tell MLflow's page is seen by nobody else
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
WIDTHS, TOKENS = [8, 16, 32, 64], [4096, 8192, 16384]
LIST = """[...document.querySelectorAll('.ag-center-cols-container .ag-row')].map(row => {
    const parts = [...document.querySelectorAll(`[row-id="${row.getAttribute('row-id')}"]`)];
    const cells = parts.flatMap(part => [...part.querySelectorAll('[col-id]')]);
    const said = cell => (cell.querySelector('a') || cell).innerText.trim();
    const found = cells.map(cell => [cell.getAttribute('col-id'), said(cell)]);
    const path = cells.map(cell => cell.matches('[col-id=runDateAndNestInfo]')
        && cell.querySelector('path')).find(Boolean);
    return {...Object.fromEntries(found), icon: path.getAttribute('d')}; })"""
CHARTS = """Object.fromEntries([...document.querySelectorAll('.js-plotly-plot')].map(chart => {
    const card = chart.closest('[data-testid="experiment-view-compare-runs-card"]');
    const box = card.getBoundingClientRect(), name = card.innerText.split('\\n')[0];
    const leaves = [...card.querySelectorAll('*')].filter(e => !e.children.length);
    const title = leaves.find(e => e.innerText === name);
    const cut = [...chart.querySelectorAll('.xtitle, .ytitle, .xtick, .ytick')].filter(text => {
        const at = text.getBoundingClientRect();
        return at.left < box.left || at.right > box.right || at.bottom > box.bottom; });
    if (title.scrollWidth > title.clientWidth) cut.push(title);
    const at = (one, i) => [one.x[i], one.y[i]];
    const runs = chart.data.flatMap(one => one.customdata  // a scatter's points are of many runs
        ? one.customdata.map(([, run], i) =>
            ({name: run, colour: one.marker.color[i], points: [at(one, i)]}))
        : [{name: one.name, colour: one.marker?.color, points: one.x.map((_, i) => at(one, i))}]);
    return [name, {width: box.width, cut: cut.map(text => text.textContent), runs}]; }))"""
HEADS = "[data-testid=experiment-view-compare-runs-section-header]"
SECTIONS = f"[...document.querySelectorAll('{HEADS}')].map(head => head.innerText)"


@pytest.fixture
def shipped(make_sweep, store_ready, home):
    """A sweep of planted losses, its first run diverged, in a store; its rows by name."""
    store = Store.at(home)
    folder = store.sweep_dir("planted")
    sweep = make_sweep("planted", width=WIDTHS, num_tokens=TOKENS)
    sweep.write(folder / "sweep.jsonl")
    lines = (folder / "sweep.jsonl").read_text().splitlines()
    rows = {row["name"]: row for row in map(json.loads, lines)}
    for i, row in enumerate(rows.values()):
        n, d = row["num_params"], row["num_tokens"]
        journal = Journal(store.run_dir(row["run_id"]))
        journal.append("start", attempt=1, time=1.7e9 + i)
        for step in np.geomspace(d / 30, d, 8).round():
            loss = planted_loss(n, step)
            told = {"loss": loss, "train_loss": loss, "lr": 0.01, "seconds": step / 1e5}
            journal.append("point", step=int(step), **told)
        last = {"status": "done", "loss": planted_loss(n, d), "loss_se": 1e-3}
        if i == 0:
            last = {"status": "diverged", "loss": float("nan"), "reason": "loss is not finite"}
        journal.append("end", **last, tokens=d, seconds=1.0, time=1.7e9 + i + 60)
        journal.close()
    assert main(["sync", "planted"]) == 0
    (home / "r.html").write_text("<p>a report")
    log_report(store_ready, "planted", home / "r.html", {"frontier": Figure()})
    return rows


@contextlib.contextmanager
def served(sweep):
    """What ``scaling ui SWEEP`` prints, and its port, while it serves."""
    port = free_port()
    command = [sys.executable, "-m", "scaling", "ui", sweep, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip(), port
        finally:
            server.terminate()


def assert_it_answers_its_own(link, port):
    """The page is for names of this machine alone."""
    assert link.startswith(f"http://mlflow.localhost:{port}/#/experiments/")
    hosts = (f"mlflow.localhost:{port}", f"127.0.0.1:{port}", f"elsewhere.org:{port}")
    place = f"http://127.0.0.1:{port}/"  # Python may not know names under localhost
    answers = [requests.get(place, headers={"Host": host}, timeout=60) for host in hosts]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert ["MLflow" in answer.text for answer in answers] == [True, True, False]


def test_the_link_of_ui_opens_the_sweeps_charts_and_columns(shipped, tmp_path):
    ended = {name: row for name, row in shipped.items() if name != next(iter(shipped))}
    with contextlib.ExitStack() as stack:
        link, port = stack.enter_context(served("planted"))
        assert_it_answers_its_own(link, port)
        browser = Browser(tmp_path / "chromium")
        stack.callback(browser.close)
        browser.open(link, width=1280, height=1800)
        browser.wait("document.querySelectorAll('.js-plotly-plot .xtick').length > 7", 90)
        browser.wait("document.querySelectorAll('.js-plotly-plot').length === 7")
        pages = browser.js("[...document.querySelectorAll('nav a')].map(a => a.textContent)")
        charts, sections = browser.js(CHARTS), browser.js(SECTIONS)
        browser.open(link.replace("compareRunsMode=CHART&", ""), width=2400, height=900)
        browser.wait(f"{LIST}.length > {len(ended)} && {LIST}[1]['tags.`scaling.status`']", 90)
        rows = {row["attributes.`Run Name`"]: row for row in browser.js(LIST)}
        outside = [problem for problem in browser.problems if "asked the network" in problem]
    assert outside == []
    assert {"Models", "Model registry"} < set(pages)  # of model training
    shown = [section.split() for section in sections]
    assert [shown[0][:2], shown[1][:3]] == [["Scaling", "(4)"], ["Learning", "curves", "(3)"]]
    for name, chart in charts.items():
        assert chart["cut"] == [], name
        assert chart["width"] > 340, name  # nothing stands over a quarter of the page
        assert "report" not in {run["name"] for run in chart["runs"] if run["points"]}

    (law,) = [name for name in rows if name.startswith("law: ")]
    assert set(rows) == {law, *shipped}  # and no report
    icons = {rows[name]["icon"] for name in ended}
    for name, row in shipped.items():
        cells = rows[name]
        diverged = name not in ended
        assert cells["tags.`scaling.status`"] == ("diverged" if diverged else "done")
        assert (cells["icon"] not in icons) == diverged
        for letter, key in zip("NDC", ("num_params", "num_tokens", "flops"), strict=True):
            shown = float(cells[f"metrics.`scale/log10_{letter}`"])
            assert shown == pytest.approx(math.log10(row[key]))
        assert cells["params.`model.width`"] == str(row["spec"]["model"]["width"])
        if not diverged:
            loss = planted_loss(row["num_params"], row["num_tokens"])
            assert float(cells["metrics.`final/loss`"]) == pytest.approx(loss)

    drawn = {run["name"]: run for run in charts["scale/log10_N vs. final/loss"]["runs"]}
    shades = {}
    for name, row in ended.items():
        (point,) = drawn[name]["points"]
        loss = planted_loss(row["num_params"], row["num_tokens"])
        assert point == pytest.approx([math.log10(row["num_params"]), loss])
        shades.setdefault(row["num_params"], set()).add(str(drawn[name]["colour"]))
    assert all(len(one) == 1 for one in shades.values())
    assert len(set.union(*shades.values())) == len(WIDTHS)
    (line,) = [r for r in charts["law/loss over MFLOPs"]["runs"] if r["colour"] == LINE_COLOUR]
    losses = [loss for _, loss in line["points"]]
    assert line["name"] == law
    assert len(losses) > 20 and losses == sorted(losses, reverse=True)
    curves = [run for run in charts["heldout/loss"]["runs"] if run["name"] in ended]
    assert {len(run["points"]) for run in curves} == {8}
