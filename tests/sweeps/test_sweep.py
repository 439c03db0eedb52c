"""Sweep: JSON Lines there and back, names, refusals, where a sweep is found."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data.info import DataInfo
from scaling.spec import RunSpec
from sweeps.load import load_sweep
from sweeps.naming import short
from sweeps.sweep import Sweep

SPECS = st.lists(
    st.fixed_dictionaries(
        {
            "depth": st.integers(1, 3),
            "width": st.sampled_from([8, 16, 24]),
            "num_tokens": st.sampled_from([1e4, 1.01e4, 3e6]),
            "lr": st.floats(1e-6, 1),
            "seed": st.integers(0, 2),
            "mlp": st.sampled_from(["gelu", "swiglu"]),
        }
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture
def tiny(sweep):
    return sweep("""
        name: tiny
        seeds: [0, 1]
        fixed: {depth: 1, context: 32}
        grid: {product: {width: [8, 16], num_tokens: [1e4, 2e4]}}
        derive: {lr: {rule: 1/width, scale: 0.2}}
    """)


@settings(max_examples=40, deadline=None)
@given(options=SPECS)
def test_round_trip_is_exact(options, info, tmp_path_factory):
    specs = [RunSpec.resolve(info=info, context=32, **chosen) for chosen in options]
    sweep = Sweep.of("x", specs)
    path = tmp_path_factory.mktemp("sweep") / "x.jsonl"
    sweep.write(path)
    assert Sweep.read(path) == sweep
    assert load_sweep(path).to_jsonl() == sweep.to_jsonl()


@settings(max_examples=40, deadline=None)
@given(options=SPECS)
def test_runs_are_kept_in_order_each_once_with_names_of_their_own(options, info):
    specs = [RunSpec.resolve(info=info, context=32, **chosen) for chosen in options]
    sweep = Sweep.of("x", specs)
    assert [entry.spec for entry in sweep] == list(dict.fromkeys(specs))
    assert len({entry.name for entry in sweep}) == len(sweep)
    assert all(entry.run_id == entry.spec.run_id for entry in sweep)


def test_a_line_has_identity_spec_and_columns(tiny, tmp_path):
    tiny.write(tmp_path / "tiny.jsonl")
    lines = (tmp_path / "tiny.jsonl").read_text().splitlines()
    assert len(lines) == len(tiny) == 8
    for line, entry in zip(lines, tiny, strict=True):
        value = json.loads(line)
        assert value["run_id"] == entry.run_id
        assert value["sweep"] == "tiny"
        assert RunSpec.from_dict(value["spec"]) == entry.spec
        assert value | entry.spec.columns() == value


def test_names_have_what_varies(tiny):
    assert [entry.name for entry in tiny][:3] == [
        "N=4.89k D=9.98k seed=0",
        "N=4.89k D=9.98k seed=1",
        "N=4.89k D=20k seed=0",
    ]
    spec = tiny.entries[0].spec
    warmer = replace(spec, optim=replace(spec.optim, lr=0.1))
    assert [e.name for e in Sweep.of("x", [spec, warmer])] == [
        "N=4.89k D=9.98k lr=0.025",
        "N=4.89k D=9.98k lr=0.1",
    ]
    assert [e.name for e in Sweep.of("x", [spec])] == ["N=4.89k D=9.98k"]


def test_names_take_more_digits_before_anything_else(info):
    specs = [
        RunSpec.resolve(info=info, depth=1, width=64, lr=0.1, num_tokens=tokens, context=32)
        for tokens in (1_000_000, 1_001_000)
    ]
    assert [e.name for e in Sweep.of("x", specs)] == ["N=82.1k D=999.9k", "N=82.1k D=1.001M"]


@pytest.mark.parametrize(
    ("number", "text"),
    [(999, "999"), (1000, "1k"), (999_499, "999k"), (999_600, "1M"), (26.2e9, "26.2B"), (7, "7")],
)
def test_short_numbers(number, text):
    assert short(number) == text


def change(line, **values):
    return json.dumps({**json.loads(line), **values})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: [lines[0], "{"], ":2: not JSON"),
        (lambda lines: ["[1]"], ":1: not a run of a sweep: a line is one JSON object"),
        (lambda lines: ['{"run_id": "a", "name": "b"}'], "it has no sweep, spec"),
        (lambda lines: [change(lines[0], run_id="0" * 16)], "run_id 0000000000000000 does not"),
        (lambda lines: [lines[0].replace('"width": 8', '"width": 24')], "does not match its spec"),
        (lambda lines: [change(lines[0], spec={})], "not a run spec"),
        (lambda lines: [lines[0], change(lines[1], sweep="y")], ":2: a run of sweep 'y' in a file"),
        (lambda lines: [lines[0], lines[0]], "has run_id .* twice"),
        (lambda lines: [], "has no runs"),
        (lambda lines: [change(lines[0], sweep="../y")], "cannot name a folder"),
    ],
)
def test_an_edited_file_is_refused(tiny, tmp_path, edit, message):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(edit(tiny.to_jsonl().splitlines())))
    with pytest.raises(ValueError, match=message):
        load_sweep(path)


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not a text file"):
        load_sweep(tmp_path / "x.jsonl")


def test_from_dict_is_the_file(info, tmp_path):
    content = {
        "name": "x",
        "fixed": {"depth": 1, "num_tokens": 1e5, "lr": 0.01},
        "grid": {"product": {"width": [8, 16]}},
    }
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps(content))  # JSON is YAML
    assert load_sweep(content, info=info) == load_sweep(path, info=info)


def test_the_name_of_a_file_without_one(info, tmp_path):
    path = tmp_path / "widths.yaml"
    path.write_text("fixed: {num_tokens: 1e5, lr: 0.1, depth: 1}\ngrid: {product: {width: [8]}}")
    assert load_sweep(path, info=info).name == "widths"


def test_found_by_path_folder_and_name(tiny, home, tmp_path):
    folder = home / "sweeps" / "tiny"
    tiny.write(folder / "sweep.jsonl")
    tiny.write(tmp_path / "sweeps" / "tiny" / "sweep.jsonl")
    assert load_sweep(folder) == load_sweep("tiny") == load_sweep("tiny", tmp_path) == tiny
    with pytest.raises(ValueError, match="no sweep nope"):
        load_sweep("nope")
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(ValueError, match=r"is neither \.yaml nor \.jsonl"):
        load_sweep(tmp_path / "x.txt")


def test_data_are_looked_up_by_name(monkeypatch):

    asked = []

    def describe(name):
        asked.append(name)
        return mine

    mine = DataInfo("mine", "f" * 16, "token", 10**6, 10**5, vocab_size=256)
    monkeypatch.setattr("sweeps.expansion.describe_data", describe)
    content = {
        "name": "x",
        "data": "mine",
        "fixed": {"depth": 1, "num_tokens": 1e5, "lr": 0.01},
        "grid": {"product": {"width": [8, 16]}},
    }
    sweep = load_sweep(content)
    assert asked == ["mine"]
    assert {entry.spec.data.fingerprint for entry in sweep} == {"f" * 16}


def test_a_sweep_is_shown_as_its_ranges_flops_and_first_runs(tiny):
    lines = repr(tiny).splitlines()
    assert lines[0].startswith("Sweep tiny: 8 runs, N ")
    assert f"{float(tiny.flops):.4g} FLOPs" in lines[0]
    for line, entry in zip(lines[2:8], tiny, strict=False):
        assert line.startswith(entry.run_id[:8])
        assert entry.name in line
    assert lines[8:] == ["and 2 more"]
    assert tiny._repr_html_().count("<tr>") == 7
    assert repr(replace(tiny, entries=())).startswith("Sweep tiny: 0 runs")
