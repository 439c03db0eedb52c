"""What docs/security.md claims and no other test says: names stay in their folder, no pickles."""

from __future__ import annotations

import ast
import zipfile

import pytest

from cluster.launch.archive import restore
from docs.rooms import PACKAGES, ROOT
from scaling.base import Store
from scaling.cli import main
from scaling.data.folder import check_name as check_data
from scaling.run.archive import archive_path
from scaling.tracking import ROUTE
from scaling.tracking.values import metric_key
from sweeps import check_name as check_sweep

LEADING_OUT = ["../../x", "..", ".", "/etc/x", "a/b", "a\0b", "x" * 5000, "", "-rf", "~", "a\nb"]


PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
LOADERS = ("torch.load", "np.load", "yaml.", "pickle", *PICKLES)


def test_nothing_is_unpickled():
    """Checkpoints are read as plain weights, arrays without objects, YAML without types."""
    seen = set()
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if any(word in text for word in LOADERS) else ():
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                assert not names & PICKLES, path
            elif isinstance(node, ast.ClassDef):  # a loader of YAML
                bases = {ast.unparse(base) for base in node.bases}
                assert all(base == "yaml.SafeLoader" for base in bases if "yaml" in base), path
            elif isinstance(node, ast.Call):
                called, given = ast.unparse(node.func), {k.arg: k.value for k in node.keywords}
                seen.add(called)
                if called == "torch.load":
                    assert ast.literal_eval(given["weights_only"]) is True, path
                elif called == "np.load":  # without it numpy refuses objects
                    assert not ast.literal_eval(given.get("allow_pickle", "False")), path
                elif called == "yaml.load":
                    assert len(node.args) == 2, path
                assert called not in ("yaml.unsafe_load", "yaml.full_load", "pd.read_pickle"), path
    assert {"torch.load", "np.load", "yaml.load"} <= seen


def test_one_route_is_ours_among_mlflows_and_is_one_of_its_interface():
    """Under ``/api/`` MLflow refuses pages of elsewhere; who may ask is tested in test_app.py."""
    adding = ("add_url_rule", "add_api_route", "add_route", "include_router", "route")
    found = [
        (path.relative_to(ROOT).as_posix(), ast.unparse(node.args[0]))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if any(word in path.read_text() for word in adding)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in adding
    ]
    assert found == [("cluster/tracking/app.py", "ROUTE")]
    assert ROUTE.startswith("/api/")


@pytest.mark.parametrize("name", LEADING_OUT, ids=range(len(LEADING_OUT)))
def test_no_name_leads_out_of_its_folder(name, home, capsys, tmp_path):
    with pytest.raises(ValueError, match="name"):
        check_sweep(name)
    with pytest.raises(ValueError, match="name"):
        check_data(name)
    before = sorted(tmp_path.rglob("*"))
    outside = home / "x"  # as ../../x of the sweeps' folder might be
    outside.mkdir()
    (outside / "sweep.jsonl").write_text('{"run_id": "../../x", "name": "x", "spec": {}}\n')
    for command in ("status", "remove", "cancel", "sync", "archive"):
        if name != "-rf":
            assert main([command, name.replace("../../x", "../x")]) == 2
            err = capsys.readouterr().err
            assert len(err.strip().splitlines()) <= 2 and "Traceback" not in err, err
    assert sorted(tmp_path.rglob("*")) == before and (outside / "sweep.jsonl").exists()


@pytest.mark.parametrize(
    ("told", "key"),
    [
        ("program/../../x", "program/__/__/x"),
        ("/etc/passwd", "etc/passwd"),
        ("program/./a//b", "program/a/b"),
        ("program/a\0b\n", "program/a_b_"),
        ("./", "_"),
        ("eval/code/loss", "eval/code/loss"),
    ],
)
def test_what_a_run_calls_its_metrics_is_no_path(told, key):
    from mlflow.utils.validation import _validate_metric_name

    assert metric_key(told) == key
    for hostile in (told, "program/" + told * 999):
        _validate_metric_name(metric_key(hostile))


@pytest.mark.parametrize(
    "inside", ["../x", "../../x/y", "/etc/x", "ab/../../x", "ab//x", "x", ".."]
)
def test_an_archive_of_somebody_else_writes_nowhere_else(inside, home):
    store = Store.at(home)
    path = archive_path(store, "s")
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("good/metrics.jsonl", "{}")
        package.writestr(inside, "evil")
    with pytest.raises(ValueError, match="is no archive of runs"):
        restore(store, "s")
    assert sorted(p.name for p in home.rglob("*") if p.is_file()) == ["s.zip"]
