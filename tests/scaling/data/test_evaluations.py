"""What is held out may come in files of its own, and further sets may be evaluated beside it."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scaling.data.text.overlap as overlap
import scaling.data.text.prepare as prepare
from scaling.cli import main
from scaling.data import describe_data, open_data
from scaling.data.info import EvalInfo
from scaling.data.text.prepare import prepare_tokens
from scaling.data.text.sources import JsonLines, TextFiles
from scaling.spec import RunSpec


def texts(number: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [
        " ".join(f"{rng.random():.6f}" for _ in range(rng.randint(9, 60))) for _ in range(number)
    ]


def rows(path: Path, documents: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    return path


TRAIN, HELD, WIKI, CODE = (texts(n, seed) for seed, n in enumerate([60, 7, 5, 9]))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    for name, documents in {"train": TRAIN, "held": HELD, "wiki": WIKI, "code": CODE}.items():
        rows(Path(f"{name}.jsonl"), documents)
    Path("code.jsonl").write_bytes(gzip.compress(Path("code.jsonl").read_bytes()))
    return tmp_path


def joined(documents: list[str]) -> bytes:
    return b"".join(text.encode() + b"\0" for text in documents)


COMMAND = ["data", "prepare", "own", "--jsonl", "train.jsonl", "--json"]
SETS = ["--heldout", "held.jsonl", "--eval", "wiki=wiki.jsonl", "--eval", "code-1=code.jsonl"]


def test_held_out_files_and_further_sets_are_kept_apart(files, capsys):
    assert main([*COMMAND, *SETS]) == 0
    printed = json.loads(capsys.readouterr().out)
    data = open_data("own")
    found = {"": data.heldout, **data.evals}
    for name, documents in {"": HELD, "wiki": WIKI, "code-1": CODE}.items():
        assert found[name].astype(np.uint8).tobytes() == joined(documents)
    assert data.train.astype(np.uint8).tobytes() == joined(TRAIN)
    assert data.info.evals == (
        EvalInfo("wiki", len(joined(WIKI)), 5, 1.0),
        EvalInfo("code-1", len(joined(CODE)), 9, 1.0),
    )
    assert (printed["train_documents"], printed["heldout_documents"]) == (60, 7)
    assert printed["evals"][1]["name"] == "code-1"
    assert describe_data("own") == data.info
    assert main([*COMMAND, *SETS]) == 0  # and again: made already


def test_every_set_is_part_of_the_fingerprint(files):
    def made(name, **options):
        train = JsonLines((files / "train.jsonl",), "text")
        return prepare_tokens(name, train, files / "data", **options).fingerprint

    held, wiki, code = (
        JsonLines((files / f"{n}.jsonl",), "text") for n in ("held", "wiki", "code")
    )
    prints = [
        made("a"),
        made("b", heldout=held),
        made("c", heldout=wiki),
        made("d", heldout=held, evals={"x": wiki}),
        made("e", heldout=held, evals={"y": wiki}),
        made("f", heldout=held, evals={"x": code}),
        made("g", evals={"x": code}),
    ]
    assert len(set(prints)) == len(prints)
    assert made("again", heldout=held, evals={"x": wiki}) == prints[3]


@pytest.mark.parametrize("option", ["--heldout", "--eval"])
def test_what_is_trained_on_is_not_evaluated(files, capsys, option):
    rows(files / "both.jsonl", [*WIKI, TRAIN[30], TRAIN[3], TRAIN[3]])
    value = "both.jsonl" if option == "--heldout" else "x=both.jsonl"
    assert main([*COMMAND, option, "wiki.jsonl", value] if option == "--heldout"
                else [*COMMAND, "--heldout", "held.jsonl", option, value]) == 2  # fmt: skip
    said = capsys.readouterr().err
    label = "heldout" if option == "--heldout" else "eval/x"
    assert f"2 of 7 documents of {label} are among those to train on (one in both.jsonl)" in said
    assert not (files / "data" / "own").exists()


def test_a_set_may_have_what_is_held_out_by_share_but_not_what_is_trained_on(files, capsys):
    assert main([*COMMAND[:2], "first", *COMMAND[3:], "--heldout", "0.2"]) == 0
    data = open_data("first")
    sides = [
        [d.decode() for d in tokens.astype(np.uint8).tobytes().split(b"\0")[:-1]]
        for tokens in (data.train, data.heldout)
    ]
    for side, code in zip(sides, (2, 0), strict=True):
        rows(files / "part.jsonl", side[:3])
        assert main([*COMMAND, "--heldout", "0.2", "--eval", "part=part.jsonl"]) == code


@pytest.mark.parametrize("bad", ["wiki.jsonl", "../x=wiki.jsonl", "a b=wiki.jsonl", "=wiki.jsonl"])
def test_a_set_has_a_name_that_can_be_a_column(files, capsys, bad):
    assert main([*COMMAND, "--eval", bad]) == 2
    said = capsys.readouterr().err
    assert "give NAME=FILE" in said or "use up to 100 letters" in said or "no such file" in said


def test_a_set_takes_several_files_and_patterns(files):
    Path("more").mkdir()
    for i, text in enumerate(WIKI):
        rows(Path(f"more/{i}.jsonl"), [text])
    sets = ["--eval", "a=more/[01].jsonl", "more/2.jsonl", "b=code.jsonl"]
    assert main([*COMMAND, *sets]) == 0
    assert [(e.name, e.documents) for e in describe_data("own").evals] == [("a", 3), ("b", 9)]


def test_a_set_given_twice_or_for_images_is_refused(files, capsys):
    assert main([*COMMAND, "--eval", "a=wiki.jsonl", "--eval", "a=code.jsonl"]) == 2
    assert "--eval a is given twice" in capsys.readouterr().err
    assert main(["data", "prepare", "own", "--from", ".", "--eval", "a=wiki.jsonl"]) == 2
    assert "--eval is for --text and --jsonl" in capsys.readouterr().err
    assert main(["data", "prepare", "own", "--from", ".", "--heldout", "wiki.jsonl"]) == 2
    assert "give a share, or leave it out" in capsys.readouterr().err


def test_a_context_that_a_set_does_not_fill_is_refused_before_the_run(files):
    assert main([*COMMAND, *SETS]) == 0
    options = {"data": "own", "depth": 1, "width": 8, "num_tokens": 1 << 16, "lr": 0.1}
    shortest = len(joined(WIKI))
    RunSpec.resolve(**options, context=shortest - 1)
    with pytest.raises(ValueError, match=rf"own has {shortest} in wiki: choose a shorter context"):
        RunSpec.resolve(**options, context=shortest)


@pytest.mark.parametrize("tokenizer", ["bytes", "bpe"])
def test_a_preparation_that_breaks_off_goes_on_to_the_same_bits(files, monkeypatch, tokenizer):
    def made(home):
        source, held, wiki, code = (
            JsonLines((files / f"{name}.jsonl",), "text")
            for name in ("train", "held", "wiki", "code")
        )
        options = {"tokenizer": tokenizer, "vocab_size": 300, "heldout": held}
        prepare_tokens("own", source, files / home, evals={"w": wiki, "c": code}, **options)

    made("whole")
    monkeypatch.setattr(prepare, "PART", 2000)
    monkeypatch.setattr(prepare, "BATCH", 500)
    real, calls, states = prepare.write_atomic, 0, set()

    def write(path, text):
        nonlocal calls
        real(path, text)
        calls += path.name == "state.json"
        if path.name == "state.json" and calls % 2 == 0:
            states.add(json.loads(text)["file"])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepare, "write_atomic", write)
    for _ in range(40):
        try:
            made("parts")
        except OSError:
            continue
        break
    assert len(states) >= 3  # it broke off in several of the four sets
    whole, parts = (
        {p.name: p.read_bytes() for p in (files / h / "own").iterdir()} for h in ("whole", "parts")
    )
    assert parts == whole


def test_long_held_out_text_is_cut_as_the_rest(files):
    for name, seed in (("a", 5), ("b", 6)):
        Path(f"{name}.txt").write_text("\n".join(texts(900, seed)))
    assert main(["data", "prepare", "own", "--text", "a.txt", "--heldout", "b.txt"]) == 0
    source = TextFiles((files / "b.txt",), blocks=True)
    expected = b"".join(bytes(block) + b"\0" for block, _ in source.read(files / "b.txt", 0))
    assert open_data("own").heldout.astype(np.uint8).tobytes() == expected


@pytest.mark.parametrize("shift", [1, 4001, 20_000])
@pytest.mark.parametrize("kind", ["text", "shards"])
def test_an_excerpt_is_found_wherever_it_begins(files, capsys, kind, shift):
    values = np.random.default_rng(0).integers(97, 123, 60_000)
    other = np.random.default_rng(1).integers(97, 123, 20_000)
    parts = {"all": values, "half": np.concatenate([values[shift : shift + 12_000], other[:9000]])}
    parts["tenth"] = np.concatenate([values[shift : shift + 2000], other[:18_000]])
    for name, part in parts.items():
        Path(name).write_bytes(part.astype(np.uint8 if kind == "text" else "<u2").tobytes())
    options = [] if kind == "text" else ["--dtype", "uint16", "--vocab-size", "123"]
    command = ["data", "prepare", "own", f"--{kind}", "all", *options, "--json", "--heldout"]
    assert main([*command, "half"]) == 2
    said = capsys.readouterr().err
    share = int(said.split("own: ")[-1].split("% of heldout is in the files to train on")[0])
    assert 50 <= share <= 64  # of a share of 57 %, by a sample of its windows
    assert main([*command, "tenth"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["trained_on"]["heldout"] == pytest.approx(0.1, abs=0.04)
    assert "of their text is in the files to train on too" in err


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 2**32), st.integers(0, 300), st.sampled_from([np.uint8, np.uint16, np.uint32])
)
def test_windows_are_told_by_what_they_hold(seed, before, kind):
    """The same windows in another place have the same marks, whatever pieces they are hashed in."""
    draws = np.random.default_rng(seed)
    inside, around = (draws.integers(0, 200, n).astype(kind) for n in (3000, before))
    moved = np.concatenate([around, inside, around])
    pair = (inside.tobytes(), moved.tobytes()) if kind is np.uint8 else (inside, moved)
    one, other = map(overlap.marks_of, pair)
    assert set(one) <= set(other)
    assert 40 < len(one) < 160  # about one in 32
    whole, overlap.PIECE = overlap.PIECE, 1024
    try:
        assert set(overlap.marks_of(pair[1])) == set(other)
    finally:
        overlap.PIECE = whole
