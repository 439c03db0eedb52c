"""The direction of imports, and that the light doors stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("scaling", "sweeps", "cluster", "analysis")
MAY_IMPORT = {
    "scaling": {"scaling"},
    "sweeps": {"sweeps", "scaling"},
    "cluster": {"cluster", "sweeps", "scaling"},
    "analysis": {"analysis", "scaling"},
}


def imported(path: Path) -> set[str]:
    """The top packages that a file imports, for type checking too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found & set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package):
    files = [p for p in (ROOT / package).rglob("*.py") if not p.name.startswith("cli")]
    files += [p for p in (ROOT / package).rglob("cli*.py") if package != "scaling"]
    assert files
    for path in files:
        assert imported(path) <= MAY_IMPORT[package], path


def test_only_the_front_door_names_all_four():
    assert imported(ROOT / "scaling" / "cli_quickstart.py") == set(PACKAGES)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import sweeps", ("torch", "mlflow")),
        ("import analysis; analysis.fit", ("torch", "mlflow")),
        ("import cluster.status.sweep", ("torch", "mlflow")),
        ("import scaling.tracking.tracker", ("torch", "mlflow")),
        ("from scaling.cli import parser; parser()", ("torch", "mlflow", "numpy", "pandas")),
    ],
)
def test_light_imports_load_nothing_heavy(statement, absent):
    code = f"{statement}\nimport sys\nprint([m for m in {absent!r} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.strip() == "[]"
