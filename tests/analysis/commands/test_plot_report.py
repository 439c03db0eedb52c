"""`scaling plot` and `scaling report`."""

from __future__ import annotations

import pytest


def test_a_table_has_no_learning_curves(scaling_command, table, tmp_path):
    path = tmp_path / "curves.png"
    code, _, err = scaling_command("plot", table, "curves", "-o", path)
    assert code == 2 and not path.exists()
    assert "has no learning curves, only final losses: plot the kind frontier" in err


@pytest.mark.parametrize("kind", ["frontier", "scaling", "residuals", "plan"])
def test_plot(scaling_command, sweep, tmp_path, kind):
    path = tmp_path / f"{kind}.png"
    code, out, err = scaling_command("plot", "demo", kind, "-o", path, "--bootstrap", 20)
    assert (code, out) == (0, "")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert f"written to {path}" in err


def test_report(scaling_command, sweep, tmp_path):
    path = tmp_path / "r.html"
    code, _, _ = scaling_command("report", "demo", "-o", path, "--bootstrap", 20)
    text = path.read_text(encoding="utf-8")
    assert code == 0
    assert "planned: not run yet" in text
    assert f"scaling report demo -o {path} --bootstrap 20" in text


@pytest.mark.parametrize("kind", ["profile", "cloud", "funnel"])
def test_certainty_is_drawn(scaling_command, table, tmp_path, kind):
    path = tmp_path / f"{kind}.svg"
    code, _, err = scaling_command(
        "plot", table, kind, "--where", "not excluded", "--bootstrap", 20, "-o", path
    )
    assert (code, path.exists()) == (0, True), err
