"""``submit`` keeps a program's code as it was when its sweep was expanded."""

from __future__ import annotations

import pytest

from cluster import submit
from scaling.base import Store
from scaling.programs import code_folder
from sweeps.load import load_sweep

pytestmark = pytest.mark.usefixtures("store_ready")


@pytest.fixture
def trainer(tmp_path):
    folder = tmp_path / "trainer"
    folder.mkdir()
    (folder / "train.py").write_text("first")
    return folder


def sweep_of(trainer, code=None):
    return load_sweep(
        {
            "name": "mine",
            "program": {
                "command": ["python", "{code_dir}/train.py", "{width}"],
                "code": code or str(trainer),
                "counts": {"num_params": "12*width**2"},
            },
            "fixed": {"num_tokens": 1000},
            "grid": {"product": {"width": [8, 16]}},
        }
    )


@pytest.fixture
def seen(monkeypatch):
    """The content of the code of each run at the time that workers start."""
    found = []

    def work(store, name, queue, resources, stop):
        for run_id in queue.run_ids:
            entry = next(e for e in current if e.run_id == run_id)
            folder = code_folder(store, entry.spec.program.code, resources.code)
            found.append((folder / "train.py").read_text())

    current = []
    monkeypatch.setattr("cluster.launch.inline.take_turns", work)

    def submitted(sweep, **options):
        found.clear()
        current[:] = list(sweep)
        submit(sweep, on="inline", **options)
        return found

    return submitted


def test_the_copy_is_there_before_workers_and_edits_do_not_reach_it(trainer, seen, home, capsys):
    sweep = sweep_of(trainer)
    submit(sweep, on="inline", dry_run=True)
    assert not (home / "programs").exists()
    assert seen(sweep) == ["first", "first"]
    (trainer / "train.py").write_text("second")
    assert seen(sweep) == ["first", "first"], "what was expanded before goes on with its code"
    later = sweep_of(trainer)
    assert seen(later) == ["second", "second"]
    assert "2 of 2 runs are new" in capsys.readouterr().err


def test_code_that_changed_since_is_refused_before_anything_is_written(trainer, seen, home):
    sweep = sweep_of(trainer)
    (trainer / "train.py").write_text("second")
    with pytest.raises(ValueError, match="expand the sweep file again"):
        seen(sweep)
    assert not (Store.at(home).sweep_dir("mine") / "sweep.jsonl").exists()


def test_declared_code_is_used_where_it_lies(trainer, seen, home):
    sweep = sweep_of(trainer, {"version": "1", "path": str(trainer)})
    (trainer / "train.py").write_text("second")
    assert seen(sweep) == ["second", "second"]
    assert not (home / "programs").exists()
