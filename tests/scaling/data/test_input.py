"""Bad input is one clear line; known data sets come from where the user says."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scaling.base import WorkError
from scaling.cli import main
from scaling.data import describe_data, fetch_data, make_ready
from scaling.data.images.arrays import read_idx
from scaling.data.info import DataInfo, write_info
from scaling.data.registry import prepared_names
from scaling.data.text.packages import Package, content_sum, unpacked
from scaling.data.text.python_source import GENERATED, python_files


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    good = json.dumps({"text": "good"})
    Path("broken.jsonl").write_text(f"{good}\n\n{{oops\n")
    Path("field.jsonl").write_text(f'{good}\n{{"body": "x"}}\n')
    Path("number.jsonl").write_text('{"text": 3}\n')
    Path("list.jsonl").write_text("[1, 2]\n")
    Path("empty.txt").write_bytes(b"")
    Path("one.txt").write_bytes(b"one document")
    Path("short.bin").write_bytes(b"abc")
    Path("big.bin").write_bytes(np.array([1, 2, 999, 3], "<u2").tobytes())
    Path("text.parquet").write_bytes(b"no parquet at all")
    pq.write_table(pa.table({"n": [1, 2], "t": ["a", "b"]}), "rows.parquet")
    Path("file").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--text none.txt", "none.txt: no such file"),
        ("--text no*match", r"no\*match: no such file"),
        ("--text empty.txt", "1 files hold 0 bytes"),
        ("--text one.txt", "1 documents, 1 of them distinct.*needs 2"),
        ("--text .", "is a folder"),
        ("--jsonl broken.jsonl", "broken.jsonl, line 3: no valid JSON"),
        ("--jsonl field.jsonl", "line 2: no field 'text'; it has body"),
        ("--jsonl number.jsonl", "line 1: field 'text' holds int, not text"),
        ("--jsonl list.jsonl", "line 1: .* is no JSON object"),
        ("--parquet rows.parquet", "no column 'text'; it has n, t"),
        ("--parquet rows.parquet --column n", "column 'n' holds int64, not text"),
        ("--parquet text.parquet", "no Parquet file"),
        ("--shards big.bin", "needs --vocab-size"),
        ("--shards big.bin --vocab-size 999", "does not say the type of its tokens: add --dtype"),
        ("--shards big.bin --dtype uint16 --vocab-size 999", "token 999 at 2 is not below"),
        ("--shards short.bin --dtype uint16 --vocab-size 9", "3 bytes are no whole number"),
        ("--text one.txt --heldout 0.9", "heldout 0.9 must be above 0 and at most 0.5"),
        ("--text one.txt --vocab-size 300", "--vocab-size 300 is for --tokenizer bpe: add that"),
        ("--text one.txt --resolution 8", "--resolution is for --from, not for --text: leave it"),
        ("--text one.txt --field body", "--field is for --jsonl, not for --text"),
        ("--jsonl field.jsonl --label-column x", "--label-column is for --from, not for --jsonl"),
        ("--shards big.bin --column x", "--column is for --parquet and --from, not for --shards"),
        ("--from one.txt --tokenizer bpe", "--tokenizer is for texts with labels: add --context"),
        ("--text one.txt --tokenizer bpe --vocab-size 9", "vocab_size 9 must be 257"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(files, arguments, message, capsys):
    assert main(["data", "prepare", "own", *arguments.split()]) == 2
    lines = [e for e in capsys.readouterr().err.splitlines() if e.startswith("scaling data:")]
    assert len(lines) == 1
    assert re.search(message, lines[0]), lines[0]
    assert not (files / "data" / "own").exists()


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b"])
def test_names_that_are_no_folder_are_refused(files, name, capsys):
    assert main(["data", "prepare", name, "--text", "one.txt"]) == 2
    assert "use up to 100 letters" in capsys.readouterr().err


def test_a_known_name_is_not_taken(files, capsys):
    assert main(["data", "prepare", "digits", "--text", "one.txt"]) == 2
    assert "digits is the name of a known data set" in capsys.readouterr().err


def test_a_home_that_is_no_folder(files, monkeypatch, capsys):
    monkeypatch.setenv("SCALING_DATA", str(files / "file" / "below"))
    assert main(["data", "prepare", "own", "--text", "one.txt"]) == 2
    assert "Not a directory" in capsys.readouterr().err


def test_prepare_fetch_and_list_print_json(files, capsys):
    Path("poem.txt").write_text("".join(f"line {i}\n" for i in range(20_000)))
    assert main(["data", "prepare", "poem", "--text", "poem.txt", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["fingerprint"] == describe_data("poem").fingerprint
    assert main(["data", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["poem"]["state"] == "ready"
    assert rows["poem"]["info"]["train_size"] == printed["train_size"]
    assert rows["dict-gcide"]["state"] == "fetch"
    assert rows["digits"]["state"] == "on demand"
    assert main(["data", "list"]) == 0
    assert "fashion-mnist" in capsys.readouterr().out


def test_a_missing_data_set_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"scaling data fetch dict-gcide --from FILE.deb"):
        describe_data("dict-gcide", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"did you mean digits\?"):
        describe_data("digit", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none.deb does not exist; on Debian"):
        fetch_data("metamath", tmp_path / "none.deb", data_dir=tmp_path)
    with pytest.raises(ValueError, match="digits is made here"):
        fetch_data("digits", tmp_path, data_dir=tmp_path)


def test_what_is_made_here_is_made_by_another_process(files, capfd):
    make_ready(["teacher:features=3", "dict-gcide", "digits", "digits"])
    assert capfd.readouterr().err.count("making the data set digits ...") == 1
    assert prepared_names(files / "data") == ["digits"]
    (files / "data" / "digits").rename(files / "other")
    (files / "data" / ".digits.lock").unlink()
    (files / "data").rmdir()
    (files / "data").write_text("no folder")
    with pytest.raises(WorkError, match="the data set digits could not be made: see above"):
        make_ready(["digits"])
    assert "data: File exists" in capfd.readouterr().err


def deb_of(path: Path, files: dict[str, bytes]) -> Path:
    """A Debian package by the format's own description, deb(5)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": data.getvalue()}
    whole = b"!<arch>\n"
    for name, content in parts.items():
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        whole += head + content + b"\n" * (len(content) % 2)
    path.write_bytes(whole)
    return path


def test_a_package_a_folder_and_a_file_hold_the_same(tmp_path):
    text = b"a dictionary\n" * 100
    deb = deb_of(tmp_path / "p.deb", {"usr/share/x/words.dz": gzip.compress(text), "usr/y": b"no"})
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "words").write_bytes(text)
    package = Package("p", "words.dz", "0" * 64)

    expected = hashlib.sha256(text).hexdigest()
    for source in (deb, tmp_path / "tree", tmp_path / "tree" / "words"):
        with unpacked("w", package, source, expected) as files:
            assert [path.read_bytes() for path in files] == [text]
            assert content_sum(files) == expected
        with (
            pytest.raises(ValueError, match=f"has sha256 {expected}, expected 000000"),
            unpacked("w", package, source, None),
        ):
            pass


def test_damaged_packages_are_named(tmp_path):
    package = Package("p", "words.dz", "0" * 64)
    bad = {
        "not.deb": (b"hello", "is no Debian package"),
        "cut.deb": (b"!<arch>\n", "holds no data.tar"),
    }
    for name, (content, message) in bad.items():
        (tmp_path / name).write_bytes(content)
        with (
            pytest.raises(ValueError, match=message),
            unpacked("w", package, tmp_path / name, None),
        ):
            pass
    deb = deb_of(tmp_path / "p.deb", {"usr/words.dz": gzip.compress(b"x" * 999)[:-9]})
    with (
        pytest.raises(ValueError, match=r"words.dz is damaged"),
        unpacked("w", package, deb, None),
    ):
        pass
    empty = deb_of(tmp_path / "e.deb", {"usr/other": b""})
    with (
        pytest.raises(FileNotFoundError, match=r"holds no words.dz"),
        unpacked("w", package, empty, None),
    ):
        pass


def test_idx_files_are_read_and_checked(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    head = b"\0\0\x08\x03" + np.array(values.shape, ">u4").tobytes()
    (tmp_path / "x").write_bytes(head + values.tobytes())
    np.testing.assert_array_equal(read_idx(tmp_path / "x"), values)
    (tmp_path / "y").write_bytes(head + values.tobytes()[:-1])
    with pytest.raises(ValueError, match=r"y has 23 bytes of values, its head says \(2, 3, 4\)"):
        read_idx(tmp_path / "y")
    (tmp_path / "z").write_bytes(b"\0\0\x07\x01")
    with pytest.raises(ValueError, match="z is no IDX file"):
        read_idx(tmp_path / "z")


def test_the_default_corpus_leaves_generated_files_out():
    names = {path.name for path in python_files()}
    assert {"frame.py", "test_stats.py"} <= names
    assert not names & {"version.py", "_version.py", "__config__.py", "service_pb2.py"}
    assert not GENERATED.fullmatch("conversion.py")
    assert sum(path.stat().st_size for path in python_files()) > 50e6


def test_a_corpus_of_other_versions_of_its_packages_is_said_so_and_stays(files, capsys):
    folder = files / "data" / "python-source"
    info = DataInfo("python-source", "0" * 16, "token", 9, 1, 256)
    write_info(folder, info, origin={"numpy": np.__version__, "pandas": "0.1", "no-such": "2"})
    for _ in range(2):
        assert describe_data("python-source") == info
    older = f"no-such 2 (now not installed), pandas 0.1 (now {pandas.__version__})"
    assert capsys.readouterr().err.count(f"python-source was made from {older} and stays") == 1
    assert main(["data", "list"]) == 0
    assert f"python-source was made from {older}: runs keep to it" in capsys.readouterr().out
    write_info(folder, info, origin={"numpy": np.__version__})
    assert main(["data", "list"]) == 0
    assert "made from" not in capsys.readouterr().out


@pytest.mark.slow  # the whole corpus: what is held out is large enough
def test_the_default_corpus_holds_out_enough(tmp_path):
    info = describe_data("python-source", tmp_path)
    assert info.vocab_size == 256
    assert info.heldout_size > 4e6
    assert 0.09 <= info.heldout_size / (info.train_size + info.heldout_size) < 0.1
