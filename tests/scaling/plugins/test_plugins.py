"""What a user plugs in: by import path from a folder, and by name from an installed package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from analysis import fit, load_runs
from cluster import submit
from scaling import RunSpec
from scaling.base import is_import_path, load, source_of
from scaling.families import get_family
from sweeps import load_sweep

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "plugins"


@pytest.fixture
def my_lab(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield "my_lab"
    for name in [name for name in sys.modules if name.split(".")[0] == "my_lab"]:
        del sys.modules[name]


def test_counts_of_a_module_are_those_of_our_own(my_lab):
    """Our transformer as anybody's module, counted by torch, against its closed formulas."""
    from scaling.families import TRANSFORMER, TorchFamily
    from scaling.families.transformer import TransformerConfig
    from scaling.families.transformer_module import TransformerModule

    class Theirs(TransformerModule):
        def __init__(self, config: TransformerConfig) -> None:
            super().__init__(config)

    Theirs.__init__.__annotations__["config"] = TransformerConfig
    family = TorchFamily("theirs:Theirs", Theirs)
    for options in ({"width": 32, "depth": 2}, {"width": 64, "depth": 1, "tied": True}):
        config = TRANSFORMER.resolve({**options, "context": 16, "vocab_size": 50})
        ours, theirs = TRANSFORMER.cost(config), family.cost(config)
        for name in ("num_params", "num_params_block", "num_params_non_embedding", "macs_forward"):
            assert getattr(theirs, name) == getattr(ours, name), name


def test_a_target_size_is_met_by_the_option_that_the_module_names(my_lab):
    family = get_family("my_lab.models:Recurrent")
    config = family.resolve({"num_params": 20_000, "vocab_size": 256, "context": 8})
    assert config.width % 4 == 0
    near = [
        family.cost(family.resolve({"width": width, "vocab_size": 256})).num_params
        for width in (config.width - 4, config.width, config.width + 4)
    ]
    assert min(near, key=lambda n: max(n / 20_000, 20_000 / n)) == near[1]
    with pytest.raises(ValueError, match="leaves width without effect"):
        RunSpec.resolve(
            family="my_lab.models:Recurrent", data="digits", num_params=9e3, width=8, lr=1
        )


def test_a_module_task_and_data_make_a_sweep_and_a_law(my_lab, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_HOME", str(tmp_path))
    sweep = load_sweep(EXAMPLE / "waves.yaml")
    spec = sweep.entries[0].spec
    assert set(spec.plugins) == {
        f"my_lab.{name}" for name in ("data:waves", "tasks:Smooth", "tasks:Smoother")
    }
    assert RunSpec.from_dict(json.loads(json.dumps(spec.to_dict()))).run_id == spec.run_id
    submit(sweep, on="inline", root=tmp_path, tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    runs = load_runs("my-waves", root=tmp_path)
    assert list(runs["status"]) == ["done"] * 8
    assert (runs["worst"] > runs["loss"]).all()
    assert fit("power", runs).params["alpha"] > 0


@pytest.mark.slow  # protects workers of their own process: they find the code by its copy alone
def test_workers_find_the_code(tmp_path, home, store_ready):
    waves = (EXAMPLE / "waves.yaml").read_text()
    all_of_them = "width: [4, 8, 16, 32], num_examples: [4096, 16384]"
    assert all_of_them in waves
    two = tmp_path / "two.yaml"
    two.write_text(waves.replace(all_of_them, "width: [4, 8], num_examples: [1024]"))
    command = [sys.executable, "-m", "scaling", "submit", str(two), "--wait", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(command, env=environment, cwd=EXAMPLE, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "2 done of 2" in answer.stdout
    (copy,) = (home / "sweeps/my-waves/code").glob("*/my_lab/tasks.py")
    assert copy.read_bytes() == (EXAMPLE / "my_lab/tasks.py").read_bytes()
    assert "my_lab" not in sys.modules
    assert len(load_runs("my-waves")) == 2  # where nobody finds the code


def test_a_run_is_not_trained_with_other_code_than_its_own(my_lab, tmp_path):
    from scaling import train

    sweep = load_sweep(EXAMPLE / "waves.yaml")
    changed = {**sweep.entries[0].spec.to_dict(), "plugins": {"my_lab.tasks:Smooth": "0" * 16}}
    other = RunSpec.from_dict(changed)
    assert other.run_id != sweep.entries[0].run_id
    with pytest.raises(ValueError, match="changed since the sweep was expanded"):
        train(other, tmp_path / "run")


def test_source_is_what_the_package_holds_or_declares(tmp_path, monkeypatch):
    folder = tmp_path / "their_lab"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "models.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert is_import_path("their_lab.models:a") and load("their_lab.models:a") == 1
    before = source_of("their_lab.models:a")
    source_of.cache_clear()
    (folder / "more.py").write_text("b = 2\n")
    assert source_of("their_lab.models:a") != before
    (tmp_path / "their_own.py").write_text("SCALING_VERSION = '3'\na = 1\n")
    assert source_of("their_own:a") == "version:3"
    assert source_of("numpy:array").startswith("numpy==")


@pytest.mark.parametrize(
    "name, said",
    [
        ("no_such_lab.models:Net", "there is no module no_such_lab"),
        ("my_lab.models:Recurent", "did you mean Recurrent"),
        ("my_lab.models:Mixer.nothing", "has no nothing"),
        ("my_lab.data:waves", "neither an nn.Module nor a family"),
        ("torch.nn:Linear", "must be annotated with a frozen dataclass"),
        ("not a path:x", "family"),
    ],
)
def test_what_is_no_family_is_refused_in_one_line(my_lab, name, said):
    with pytest.raises(ValueError, match=said) as refused:
        get_family(name)
    assert "\n" not in str(refused.value)


def test_an_installed_package_adds_names(tmp_path, home, store_ready):
    """A real pip installs a wheel of the example; its entry points are found by name."""
    target = tmp_path / "site-packages"
    wheel = _wheel(tmp_path)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    (tmp_path / "named.yaml").write_text(
        "data: waves\nfamily: my_lab.tasks:Smoother\n"
        "fixed: {task: my_lab.tasks:Smooth, lr: 0.1, num_examples: 1024}\n"
        "doublings: {option: width, from: 4, times: 3}\n"
    )
    sizes = [2**i for i in range(8, 16)]
    (tmp_path / "t.csv").write_text(
        "num_params,loss\n" + "".join(f"{n},{0.5 + 9 / (n + 300) ** 0.4}\n" for n in sizes)
    )
    commands = "doctor", "submit named.yaml --on inline", "runs named", "fit t.csv --law shifted"
    code = """
import sys
from scaling.cli import main
for words in sys.argv[1:]:
    assert main([*words.split(), "--json"]) == 0
"""
    answer = subprocess.run(  # one process: each would import torch and MLflow
        [sys.executable, "-c", code, *commands],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{target}"},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    doctor, _, rows, law = documents(answer.stdout)
    plugged = {c["what"]: c["works"] for c in doctor["checks"] if "plugged" in c["detail"]}
    names = {"family recurrent-mean", "data set waves", "law shifted", "sweep shape doublings"}
    assert plugged == dict.fromkeys(names, True)
    sweep = (home / "sweeps/named/sweep.jsonl").read_text().splitlines()
    specs = [json.loads(line)["spec"] for line in sweep]
    assert [spec["model"]["width"] for spec in specs] == [4, 8, 16]
    parts = ("data:waves", "tasks:Smooth", "tasks:Smoother")
    assert specs[0]["plugins"] == {f"my_lab.{part}": "my-lab==0.1.0" for part in parts}
    assert [row["status"] for row in rows] == ["done"] * 3 and all(row["worst"] > 0 for row in rows)
    params = law["params"]
    assert params["alpha"] == pytest.approx(0.4, rel=0.02) and params["N0"] > 100


def documents(text: str) -> list[Any]:
    """The JSON documents that a text holds one after another."""
    found, decoder = [], json.JSONDecoder()
    while text := text.strip():
        one, end = decoder.raw_decode(text)
        found.append(one)
        text = text[end:]
    return found


def _wheel(folder: Path) -> Path:
    """The example package as a wheel, which is a zip file with its metadata."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {path}\n" for name, path in named.items())
        for group, named in project["entry-points"].items()
    )
    info, wheel = "my_lab-0.1.0.dist-info", folder / "my_lab-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in sorted((EXAMPLE / "my_lab").glob("*.py")):
            archive.write(file, f"my_lab/{file.name}")
        about = "Metadata-Version: 2.1\nName: my-lab\nVersion: 0.1.0\n"
        kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/METADATA", about)
        archive.writestr(f"{info}/WHEEL", kind)
        archive.writestr(f"{info}/entry_points.txt", points)
        archive.writestr(f"{info}/RECORD", "")
    return wheel
