"""Who may import whom: a row for each room, doors, and that the light doors stay light."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from docs.rooms import (
    PACKAGES,
    ROOT,
    arrows,
    folder_of,
    imports,
    is_door,
    modules,
    room_of,
    rooms,
    within,
)

# Each room, and the rooms that it may import: inside functions and for type checking too. What a
# package's __init__ offers counts as the room that it comes from. A room in another one (families/
# vision) may use the files of the one that contains it, and the front door may import any door.
SCALING = {
    "scaling.world": "",
    "scaling.base": "scaling.world",
    "scaling.schema": "scaling.base",
    "scaling.families.vision.wired": "scaling.base",
    "scaling.families.vision.zoo": "scaling.base",
    "scaling.families.vision": "scaling.base scaling.families.vision.wired "
    "scaling.families.vision.zoo",
    "scaling.families": "scaling.base scaling.families.vision",
    "scaling.data.batches": "scaling.base",
    "scaling.data.text.sources": "",
    "scaling.data.text": "scaling.base scaling.data.batches scaling.data.text.sources",
    "scaling.data.images": "scaling.base scaling.data.batches scaling.data.text.sources",
    "scaling.data": "scaling.base scaling.data.batches scaling.data.text scaling.data.text.sources "
    "scaling.data.images",
    "scaling.spec_parts": "scaling.base",
    "scaling.spec_checks": "scaling.base scaling.families scaling.spec_parts",
    "scaling.spec": "scaling.base scaling.families scaling.data scaling.spec_parts "
    "scaling.spec_checks",
    "scaling.program_spec": "scaling.base",
    "scaling.imported_spec": "scaling.base scaling.schema",
    "scaling.specs": "scaling.spec scaling.program_spec scaling.imported_spec",
    "scaling.schedule": "scaling.spec_parts",
    "scaling.run": "scaling.world scaling.base scaling.schema scaling.spec scaling.specs "
    "scaling.schedule",
    "scaling.tracking": "scaling.base scaling.schema scaling.spec scaling.run",
    "scaling.training": "scaling.base scaling.schema scaling.families scaling.data "
    "scaling.data.batches "
    "scaling.spec_parts scaling.spec scaling.schedule scaling.run",
    "scaling.counting": "scaling.data scaling.data.batches scaling.schedule scaling.schema "
    "scaling.spec scaling.run",
    "scaling.programs.readers": "scaling.base scaling.tracking",
    "scaling.programs": "scaling.base scaling.reporting scaling.program_spec scaling.run "
    "scaling.programs.readers",
    "scaling.reporting": "",
    "scaling.trainers": "scaling.base scaling.spec scaling.specs scaling.program_spec scaling.run "
    "scaling.training scaling.counting scaling.programs",
    "scaling.weights": "scaling.base scaling.families scaling.data scaling.data.text "
    "scaling.schema scaling.spec_parts scaling.spec scaling.run scaling.training",
    "scaling.table_file": "",
    "scaling.importing": "scaling.base scaling.schema scaling.imported_spec scaling.run "
    "scaling.table_file scaling.tracking scaling.programs.readers",
    "scaling.cli": "*",
    "scaling.__main__": "scaling.cli",
}
MODELS = (
    "scaling.base scaling.families scaling.families.vision scaling.data scaling.spec_parts "
    "scaling.spec"
)
RUNS = (
    "scaling.base scaling.schema scaling.spec scaling.program_spec scaling.imported_spec "
    "scaling.specs scaling.schedule scaling.run"
)
WORLD = "scaling.world"
SWEEPS = {
    "sweeps.document": "scaling.base",
    "sweeps.data_size": "scaling.base",
    "sweeps.derive": "scaling.base",
    "sweeps.resources": "scaling.base",
    "sweeps.policy": "scaling.base",
    "sweeps.constraints": "scaling.base scaling.spec scaling.specs",
    "sweeps.unread": "scaling.base scaling.spec scaling.specs",
    "sweeps.naming": "scaling.specs",
    "sweeps.values": "scaling.base sweeps.document",
    "sweeps.kinds": f"{MODELS} scaling.schema sweeps.document sweeps.values",
    "sweeps.sweep": f"{RUNS} sweeps.naming sweeps.policy sweeps.resources",
    "sweeps.strategies": f"{MODELS} scaling.spec sweeps.document sweeps.data_size sweeps.kinds "
    "sweeps.values",
    "sweeps.programs": f"{MODELS} scaling.schema scaling.program_spec scaling.run scaling.programs "
    "sweeps.document sweeps.data_size sweeps.derive sweeps.resources sweeps.values sweeps.sweep",
    "sweeps.warnings": "scaling.base scaling.schema scaling.spec scaling.program_spec "
    "scaling.specs sweeps.resources sweeps.sweep",
    "sweeps.estimate": f"{MODELS} {RUNS} scaling.training sweeps.resources sweeps.sweep",
    "sweeps.design": f"{MODELS} scaling.program_spec scaling.run sweeps.document "
    "sweeps.data_size sweeps.derive sweeps.policy sweeps.resources sweeps.constraints "
    "sweeps.values sweeps.kinds sweeps.programs sweeps.strategies sweeps.sweep sweeps.estimate",
    "sweeps.expansion": f"{MODELS} scaling.schema scaling.program_spec scaling.specs "
    "sweeps.document sweeps.data_size sweeps.derive sweeps.constraints sweeps.values "
    "sweeps.programs sweeps.resources sweeps.sweep sweeps.unread sweeps.design",
    "sweeps.search": "scaling.base scaling.program_spec sweeps.document sweeps.sweep "
    "sweeps.estimate sweeps.strategies sweeps.design sweeps.expansion",
    "sweeps.load": "scaling.base scaling.run scaling.spec sweeps.document sweeps.sweep "
    "sweeps.estimate sweeps.design sweeps.expansion sweeps.search",
    "sweeps.cli": "scaling.base sweeps.programs sweeps.sweep sweeps.warnings sweeps.estimate "
    "sweeps.expansion sweeps.load sweeps.search",
}
SWEEP = "sweeps.sweep sweeps.policy sweeps.resources sweeps.load sweeps.search sweeps.strategies"
CLUSTER = {
    "cluster.slurm": f"{WORLD} scaling.base {SWEEP}",
    "cluster.work": f"{WORLD} {RUNS} scaling.programs scaling.training scaling.trainers {SWEEP} "
    "sweeps.estimate cluster.slurm",
    "cluster.status": f"{WORLD} {RUNS} {SWEEP} cluster.slurm cluster.work",
    "cluster.tracking": f"{WORLD} {RUNS} scaling.tracking {SWEEP} cluster.slurm cluster.work "
    "cluster.status",
    "cluster.launch": f"{RUNS} scaling.data scaling.importing scaling.programs {SWEEP} "
    "sweeps.programs cluster.slurm cluster.work cluster.status cluster.tracking",
    "cluster.commands": f"{RUNS} {SWEEP} cluster.work cluster.status "
    "cluster.tracking cluster.launch",
    "cluster.cli": f"{RUNS} {SWEEP} cluster.slurm cluster.work cluster.status cluster.tracking "
    "cluster.launch cluster.commands",
}
QUESTION = "analysis.intervals analysis.wording analysis.laws analysis.tables"
ANSWERS = f"{QUESTION} analysis.fits analysis.forecasts analysis.compute"
LAWS = (
    "analysis.laws.one_input analysis.laws.size_data analysis.laws.architecture "
    "analysis.laws.experts analysis.laws.data analysis.laws.training analysis.laws.downstream"
)
ANALYSIS = {
    "analysis.intervals": "",
    "analysis.wording": "",
    **dict.fromkeys(LAWS.split(), ""),
    "analysis.laws": f"scaling.base scaling.schema {LAWS}",
    "analysis.tables.reading": "scaling.schema scaling.table_file",
    "analysis.tables": "scaling.base scaling.schema scaling.families scaling.spec "
    "scaling.specs scaling.run scaling.table_file scaling.tracking analysis.tables.reading "
    "analysis.wording",
    "analysis.fits": f"scaling.base scaling.schema {QUESTION}",
    "analysis.forecasts": f"scaling.base scaling.schema {QUESTION} analysis.fits",
    "analysis.compute": f"scaling.base scaling.families scaling.spec {QUESTION} analysis.fits "
    "analysis.forecasts",
    "analysis.designs": f"scaling.base {ANSWERS}",
    "analysis.efficiency": f"scaling.base {QUESTION}",
    "analysis.diagnosis": f"scaling.schema {QUESTION} analysis.forecasts",
    "analysis.plotting": f"scaling.base {ANSWERS} analysis.designs analysis.efficiency",
    "analysis.report": f"scaling.base scaling.schema {ANSWERS} analysis.designs analysis.plotting",
    "analysis.commands": f"{RUNS} scaling.families scaling.table_file {ANSWERS} "
    "analysis.designs analysis.efficiency analysis.diagnosis analysis.plotting analysis.report",
    "analysis.arguments": "scaling.schema scaling.table_file analysis.commands",
    "analysis.cli": "scaling.base analysis.arguments",
}
MAY_IMPORT = {
    room: set(row.split()) for room, row in (SCALING | SWEEPS | CLUSTER | ANALYSIS).items()
}

TORCH = {  # beside scaling/training and *_module.py
    "scaling/run/checkpoint.py": "a checkpoint is what torch.save writes",
    "scaling/weights/code_tasks.py": "asks a model without gradients",
    "scaling/weights/data_task.py": "the same",
    "scaling/cli/weights.py": "says which devices are here",
    "scaling/cli/doctor.py": "says which torch and which GPUs are here",
    "sweeps/estimate/made_up.py": "measures this machine by a few steps of a model",
    "cluster/work/memory.py": "asks how much memory of the GPU is left for another run",
}


def test_every_room_has_a_row_and_every_row_a_room():
    assert set(rooms()) == set(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_what_its_row_says(room):
    allowed = set(rooms()) if MAY_IMPORT[room] == {"*"} else MAY_IMPORT[room]
    unknown = allowed - set(rooms())
    assert not unknown, f"the row of {room} names {unknown}, which are no rooms"
    wrong = [
        f"{one.file}:{one.line} imports {one.target}: {one.room} is not in the row of {room}"
        for one in imports()
        if room_of(one.source) == room
        and one.room in rooms()
        and one.room not in allowed
        and not within(room, one.room)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_circle_between_rooms():
    assert set(TopologicalSorter(arrows()).static_order()) == set(rooms())


def test_packages_point_one_way():
    below = {
        "scaling": {"scaling"},
        "sweeps": {"sweeps", "scaling"},
        "cluster": {"cluster", "sweeps", "scaling"},
        "analysis": {"analysis", "scaling"},
    }
    for one in imports():
        package, other = one.source.split(".")[0], one.target.split(".")[0]
        if other in PACKAGES and not within(one.source, "scaling.cli"):
            assert other in below[package], one


def test_only_the_front_door_names_all_four():
    found = {one.target.split(".")[0] for one in imports() if within(one.source, "scaling.cli")}
    assert set(PACKAGES) <= found


def is_command(module: str) -> bool:
    return bool({"cli", "commands"} & set(module.split(".")))


def test_another_room_is_entered_through_its_door():
    wrong = [
        f"{one.file}:{one.line} imports the file {one.target}: "
        f"import from {folder_of(one.target)}, which says what is for others"
        for one in imports()
        if one.room
        and not is_door(one.target)
        and not within(folder_of(one.source), folder_of(one.target))
        and not is_command(one.target)  # the test below
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_imports_a_command_line_but_the_front_door():
    for one in imports():
        if one.room and is_command(one.target):
            package = one.source.split(".")[0]
            siblings = folder_of(one.source) == folder_of(one.target)
            own = one.source == f"{package}.cli" and within(one.target, f"{package}.commands")
            front = within(one.source, "scaling.cli") or one.source == "scaling.__main__"
            assert (siblings and one.target != f"{package}.cli") or own or front, one


def test_torch_is_for_training_and_modules():
    found = {
        one.file
        for one in imports()
        if within(one.target, "torch")
        and not one.typing
        and not within(one.source, "scaling.training")
        and not one.file.endswith("_module.py")
    }
    assert found == set(TORCH)


def test_mlflow_is_for_tracking_and_tables():
    rooms_of_mlflow = {
        room_of(one.source) for one in imports() if within(one.target, "mlflow") and not one.typing
    }
    assert rooms_of_mlflow <= {"scaling.tracking", "analysis.tables", "cluster.tracking"}


def test_every_file_is_read():
    paths = {path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert set(modules().values()) == paths


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import sweeps; sweeps.load_sweep", ("torch", "mlflow")),
        ("import analysis; analysis.fit, analysis.load_runs", ("torch", "mlflow")),
        ("import cluster.status; cluster.status.sweep_status", ("torch", "mlflow")),
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
