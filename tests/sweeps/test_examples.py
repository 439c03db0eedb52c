"""The example sweep files are valid, and free of what they would be warned about."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.expand import expand
from sweeps.load import load_sweep
from sweeps.spec import read_design
from sweeps.warnings import design_warnings

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, info):
    found = expand(read_design(path), info=info)
    assert found.sweep == load_sweep(path, info=info)
    assert found.sweep.name == path.stem
    assert 10 <= len(found.sweep) <= 60
    assert design_warnings(found.sweep, found.budgets) == []


def test_there_is_one_for_every_common_shape(info):
    assert {read_design(path).shape for path in EXAMPLES} >= {"grid", "isoflop", "ladder", "runs"}
