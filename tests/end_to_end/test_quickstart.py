"""The whole loop in small: sweep, workers, journals, MLflow, fit, prediction, plan, report."""

from __future__ import annotations

import json
import re

import pytest

from scaling.base import Store, format_value
from scaling.cli import main
from scaling.cli import quickstart as cli_quickstart

SWEEP = """
name: small
data: tiny
seeds: [0]
fixed: {depth: 1, context: 32, batch_size: 4, schedule: wsd, curve_tokens: 512}
grid:
  product:
    width: [8, 16, 32, 64]
    num_tokens: [4096, 8192, 16384]
derive:
  lr: {rule: 1/width, scale: 0.2}
"""


@pytest.fixture
def small(tiny, tmp_path, monkeypatch):
    """The quickstart with a sweep of twelve runs of a second."""
    (tmp_path / "small.yaml").write_text(SWEEP)
    monkeypatch.setattr(cli_quickstart, "files", lambda _: tmp_path)
    monkeypatch.setattr(cli_quickstart, "SWEEP_FILE", "small.yaml")
    return tmp_path / "root"


@pytest.mark.slow  # the whole loop with its processes: every package's part fits the others'
def test_quickstart_runs_the_loop_once_and_only_once(small, capsys):
    command = ["quickstart", "--out", str(small), "--workers", "2"]
    assert main(command) == 0
    out = capsys.readouterr().out
    # In words: nobody sees a loss before its prediction is made.
    assert out.index("before their loss is looked at") < out.index("The same runs, measured")
    assert "1000 x" in out

    store = Store.at(small)
    journals = {p: p.read_bytes() for p in (small / "runs").glob("*/metrics.jsonl")}
    assert len(journals) == 12
    assert main([*command, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert {p: p.read_bytes() for p in (small / "runs").glob("*/metrics.jsonl")} == journals
    values = [*again["params"].values(), *(held["predicted"] for held in again["holdout"])]
    assert all(format_value(value) in out for value in values)

    assert again["n_runs"] == 12
    assert {"r2", "params", "ci", "holdout", "seconds", "report", "tracking_uri"} <= set(again)
    assert [h["num_params"] for h in again["holdout"]] == [
        max(h["num_params"] for h in again["holdout"])
    ] * 2
    for held in again["holdout"]:
        low, high = held["ci"]
        assert low < held["predicted"] < high
        error = held["predicted"] / held["actual"] - 1
        assert held["relative_error"] == pytest.approx(error)
    # Shared trunks: what was spent is less than what the runs cost by themselves.
    assert 0 < again["flops_spent"] < again["flops_total"]

    # What it foretells is what the commands by themselves do.
    told = [(each["num_params"], each["num_tokens"], [each["loss"]], "") for each in again["plan"]]
    blind = " and ".join(f"run_id != '{each['run_id']}'" for each in again["holdout"])
    told += [
        (each["num_params"], each["num_tokens"], [each["predicted"], *each["ci"]], blind)
        for each in again["holdout"]
    ]
    for n, d, says, where in told:
        words = ["predict", "small", "--root", str(small), "-N", str(n), "-D", str(d), "--json"]
        assert main([*words, *(["--where", where] if where else [])]) == 0
        alone = json.loads(capsys.readouterr().out)
        assert [alone["loss"], *alone["loss_ci"]][: len(says)] == pytest.approx(says, rel=1e-6)

    page = (small / "sweeps" / "small" / "report.html").read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["']https?:""", page)
    assert "Content-Security-Policy" in page  # which lets no script run but its own

    # What MLflow has is what the journals say.
    from analysis import load_runs

    tracked = load_runs("small", tracking_uri=store.tracking_uri).set_index("run_id")
    written = load_runs("small", root=small).set_index("run_id")
    assert len(tracked) == 12
    assert (tracked["loss"].loc[written.index] == written["loss"]).all()

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store.tracking_uri)
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id])
    kinds = [run.data.tags.get("scaling.kind") for run in runs]
    assert kinds.count("run") == 12
    assert kinds.count("report") == 1


def test_the_packaged_sweep_is_what_the_quickstart_promises():
    sweep = cli_quickstart.quickstart_sweep()
    sizes = [entry.columns["num_params"] for entry in sweep]
    tokens = [entry.columns["num_tokens"] for entry in sweep]
    assert len(sweep) >= 20
    assert max(sizes) / min(sizes) >= 30
    assert max(tokens) / min(tokens) >= 8
    assert cli_quickstart.quickstart_sweep(3).name != sweep.name
