"""From ``keep`` in a sweep file to weights, their evaluation and their columns, by commands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from analysis.tables import load_runs
from cluster import submit
from cluster.work import read_queues, worker
from scaling.base import Store
from scaling.cli import main
from scaling.run import Keep, checkpoints, kept, read_journal

FILE = """\
name: kept
data: tiny
fixed: {depth: 1, context: 32, batch_size: 4, lr: 0.01, num_tokens: 4096}
grid: {product: {width: [8, 12, 16]}}
estimate: {flops_per_second: 1e9}
"""


@pytest.fixture
def call(tiny, store_ready, capsys):
    """``call(*words)``: a command's exit code and what it prints."""

    def run(*words):
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def steps(store, rows):
    return [[w.step // 128 for w in kept(store.run_dir(row["run_id"]))] for row in rows]


def test_from_a_sweep_file_to_a_law_of_another_loss(call, home, store_ready, tmp_path):
    store, path = Store.at(home), tmp_path / "kept.yaml"
    path.write_text(FILE)
    assert call("submit", path, "--on", "inline")[0] == 0
    code, _, said = call("eval", "kept", "--task", "tiny")
    assert code == 2
    assert "nothing to evaluate in sweep 'kept': run" in said
    assert "kept no weights: put `keep: final` into the sweep file" in said

    path.write_text(FILE + "keep: [10, final]\n")
    _, _, said = call("submit", path, "--on", "inline")
    wanted = "3 runs are done and kept no such weights as keep: [10, 'final'] asks for: only"
    assert wanted in said
    assert "warning: 3 runs are done already and kept no such" in call("sweep", path)[1]
    assert call("submit", path, "--on", "inline", "--rerun", "all")[0] == 0
    rows = json.loads(call("runs", "kept", "--json")[1])
    assert steps(store, rows) == [[10, 32]] * 3
    assert "no such weights" not in call("submit", path, "--on", "inline")[2]
    assert Keep((10, "final")) in [q.keep for q in read_queues(store.sweep_dir("kept"))]

    code, out, _ = call("eval", "kept", "--task", "tiny", "--as", "again", "--every", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["columns"][0] == "eval/again/loss"
    assert [run["step"] for run in found["runs"]] == [1280, 4096] * 3
    rows = json.loads(call("runs", "kept", "--json")[1])
    assert all(row["eval/again/loss"] == row["loss"] for row in rows)
    stored = load_runs("kept", tracking_uri=store_ready)
    assert sorted(stored["eval/again/loss"]) == sorted(row["loss"] for row in rows)
    assert list(stored["eval/again/loss"]) == list(stored["loss"])
    fit = ("fit", "kept", "--law", "power", "--x-col", "num_params", "--bootstrap", "0", "--json")
    own, other = (
        json.loads(call(*fit, *more)[1])["params"]
        for more in ((), ("--loss-col", "eval/again/loss"))
    )
    assert own == other

    code, out, _ = call("export", rows[0]["run_id"][:6], "-o", tmp_path / "out", "--json")
    assert code == 0
    assert json.loads(out)["architecture"] == "ArceeForCausalLM"
    _, out, _ = call("export", rows[1]["name"], "-o", tmp_path / "own", "--format", "scaling")
    assert out.startswith("transformer after 4,096 tokens or examples in")


def test_a_run_that_was_stopped_goes_on_keeping_after_a_retry(call, make_sweep, home):
    store, sweep = Store.at(home), replace(make_sweep("kept"), keep=Keep((10, "all")))
    (entry,) = sweep
    run_dir = store.run_dir(entry.run_id)
    with pytest.MonkeyPatch.context() as patch:
        stop = iter([False] * 40)
        patch.setattr(worker, "_now_and_then", lambda question: lambda: next(stop, True))
        submit(sweep, on="inline")
    assert checkpoints(run_dir)
    first = [w.step // 128 for w in kept(run_dir)]
    assert first[:2] == [10, 16]
    assert call("retry", "kept", "--on", "inline")[0] == 0
    assert [w.step // 128 for w in kept(run_dir)] == [10, 16, 23, 32, 45, 64]
    lines = [e["step"] for e in read_journal(run_dir) if e["event"] == "kept"]
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("eval nowhere --task tiny", "no sweep 'nowhere'"),
        ("eval kept --task tiny --limit -1", "--limit -1 is below 0"),
        ("eval kept --task tiny --as a/b", "--as 'a/b': use letters"),
        ("eval kept --task no-such-data", "no data set 'no-such-data'"),
        ("eval kept --task json:nothing", "json:nothing cannot be imported"),
        ("eval kept --task json:dumps --limit 3", "--limit is for data sets"),
        ("eval kept --command score", "--command needs --as NAME"),
        ("eval kept --command score --as s", "does not say of which run"),
        ("eval kept --command score --as s --limit 3", "--limit is for data sets"),
        ("eval kept --task tiny --device cuda:99", "--device cuda:99: "),
        ("export 12345 -o OUT", "0 runs under"),
        ("export e -o OUT --step 0", "--step 0 is below 1"),
    ],
)
def test_wrong_input_is_one_line(call, home, make_sweep, words, message):
    make_sweep("kept").write(home / "sweeps" / "kept" / "sweep.jsonl")
    code, out, said = call(*words.split())
    assert (code, out) == (2, "")
    assert message in said
    assert len(said.splitlines()) == 1
