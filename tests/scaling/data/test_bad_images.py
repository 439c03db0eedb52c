"""What is wrong with images and their files is counted, named and said in one line."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.cli import main
from tests.scaling.images_on_disk import (
    CLASSES,
    encoded,
    folder_of,
    parquet_of,
    pictures,
    prepared,
    spoil,
)


def test_bad_images_are_counted_named_and_skipped_only_when_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    bad = spoil(folder_of(tmp_path / "f", pictures()))
    command = ["data", "prepare", "mine", "--from", str(tmp_path / "f")]
    for _ in range(2):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "2 of 30 examples cannot be used" in said
        assert "--skip-bad" in said
        assert all(str(path.relative_to(tmp_path / "f")) in said for path in bad)
        assert not (tmp_path / "data" / "mine").exists()
    assert main([*command, "--skip-bad", "--json"]) == 0
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert printed["train_size"] + printed["heldout_size"] == 28
    assert printed["skipped"] == 2
    assert "2 of 30 examples cannot be used" in err
    meta = json.loads((tmp_path / "data" / "mine" / "meta.json").read_text())
    assert {path for path, _ in meta["skipped"]} == {
        str(p.relative_to(tmp_path / "f")) for p in bad
    }
    assert meta["classes"] == list(CLASSES)
    assert main(command) == 2  # made before, but not without leave


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: (d / "a").mkdir(), "has 1 folders; .* one for each of 2 classes"),
        (lambda d: (folder_of(d, pictures(4)), (d / "fox").mkdir()), "fox has no images"),
        (lambda d: (folder_of(d, pictures(4)), (d / "x.png").touch()), "x.png lies in no class"),
        (
            lambda d: folder_of(folder_of(d, pictures(2), "train"), pictures(3), "val"),
            "no class 'eel' to train on",
        ),
        (
            lambda d: (
                folder_of(d, pictures(3)),
                (d / "cat" / "b.png").write_bytes(encoded(pictures(1, shape=(3, 3, 3))[0])),
            ),
            "differ in size.*--resolution",
        ),
        (lambda d: (d / "a.parquet").write_bytes(b"PAR1"), "a.parquet: no Parquet file"),
        (
            lambda d: parquet_of(d / "a.parquet", pictures()).write_bytes(
                (d / "a.parquet").read_bytes()[:-200]
            ),
            "a.parquet: no Parquet file",
        ),
        (
            lambda d: pq.write_table(pa.table({"image": [b"x"], "y": [1]}), d / "a.parquet"),
            "no column 'label'; it has image, y: choose one with --label-column",
        ),
        (
            lambda d: pq.write_table(pa.table({"image": ["x"], "label": [1]}), d / "a.parquet"),
            "column 'image' holds string, not the bytes of images",
        ),
        (
            lambda d: pq.write_table(pa.table({"image": [b"x"], "label": [0.5]}), d / "a.parquet"),
            "column 'label' holds double, not numbers or names",
        ),
        (
            lambda d: pq.write_table(
                pa.table({"image": [b"x", b"y"], "label": [0, None]}), d / "a.parquet"
            ),
            "row 1 \\(its label is missing\\)",
        ),
        (lambda d: (d / "a.npz").write_bytes(b"PK\3\4 no archive"), "cannot be read as arrays"),
        (lambda d: np.savez(d / "a.npz", inputs=pictures(3)), "has no labels beside it"),
        (lambda d: np.savez(d / "a.npz", stuff=np.zeros(3)), "neither inputs nor labels"),
        (
            lambda d: np.savez(d / "a.npz", x=pictures(3), y=np.zeros(4, int)),
            r"of shape \(3, 6, 5, 3\) and y of shape \(4,\) do not go together",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.zeros((3, 2, 2), int), y=np.zeros(3, int)),
            "x holds int64: images are uint8",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.zeros((3, 9, 4, 7), np.uint8), y=np.zeros(3, int)),
            "1 or 3 channels second or last",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.full((3, 2), np.nan), y=np.zeros(3, int)),
            "x: row 0 is not finite",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.eye(3), y=np.array([0, 1, -1])),
            "goes from -1 to 1 over 3 examples",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.eye(3), y=np.array([0, 0.5, 1])),
            "y holds float64, not whole numbers",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.eye(3), y=np.array([0, {}, 1])),
            "cannot be read as arrays of numbers",
        ),
        (lambda d: np.savez(d / "a.npz", x=np.ones((9, 2)), y=np.arange(9)), "1 of them distinct"),
        (lambda d: (d / "images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bno"), "is damaged"),
        (
            lambda d: (d / "images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0"),
            "ends within its head",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys, make, message):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    folder = tmp_path / "given"
    folder.mkdir()
    make(folder)
    assert main(["data", "prepare", "mine", "--from", str(folder)]) == 2
    lines = [e for e in capsys.readouterr().err.splitlines() if e.startswith("scaling data:")]
    assert len(lines) == 1
    assert re.search(message, lines[0]), lines[0]
    assert not (tmp_path / "data" / "mine").exists()


def test_files_that_are_no_images_are_left_out_and_said(tmp_path, capsys):
    folder = folder_of(tmp_path / "f", pictures(6))
    (folder / "cat" / "notes.txt").write_text("x")
    data = prepared("a", tmp_path / "home", folder)
    assert data.info.train_size + data.info.heldout_size == 6
    assert "1 files that do not end as images do are left out" in capsys.readouterr().err


@settings(max_examples=15)
@given(at=st.floats(0, 1), flips=st.integers(1, 255))
def test_a_damaged_parquet_file_is_one_clear_error_or_bad_images(tmp_path_factory, at, flips):
    tmp_path = tmp_path_factory.mktemp("damaged")
    path = parquet_of(tmp_path / "a.parquet", pictures(12))
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= flips
    path.write_bytes(content)
    try:
        data = prepared("a", tmp_path / "home", path)
    except ValueError as error:
        assert str(path) in str(error) or "cannot be used" in str(error) or "label" in str(error)
        assert not (tmp_path / "home" / "a").exists()
    else:  # the byte was in statistics, in names of no use here, or in a pixel
        assert data.info.train_size + data.info.heldout_size == 12


def test_rows_without_a_label_are_skipped_as_bad_images_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    images = [encoded(picture) for picture in pictures(12)]
    labels = [None, *(f"class {i % 2}" for i in range(1, 12))]
    for kind in (pa.string(), pa.dictionary(pa.int8(), pa.string()), pa.string_view()):
        plain = pa.array(labels, pa.string())
        column = (
            plain.dictionary_encode().cast(kind)
            if pa.types.is_dictionary(kind)
            else plain.cast(kind)
        )
        pq.write_table(pa.table({"image": images, "label": column}), "a.parquet")
        command = [
            "data",
            "prepare",
            f"own-{kind.id}",
            "--from",
            "a.parquet",
            "--heldout",
            "0.3",
            "--json",
        ]
        assert main(command) == 2
        assert "a.parquet, row 0 (its label is missing)" in capsys.readouterr().err
        assert main([*command, "--skip-bad"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed["train_size"] + printed["heldout_size"] == 11
        assert printed["num_classes"] == 2
        assert printed["skipped_by_reason"] == {"its label is missing": 1}
