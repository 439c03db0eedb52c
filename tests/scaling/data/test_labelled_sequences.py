"""Texts and frames with labels: files of every kind become the same bytes; the made set is even."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from scaling.cli import main
from scaling.data import describe_data, open_data
from scaling.data.images import prepare_labelled, source_of
from scaling.spec import RunSpec
from scaling.training.loop import train

TEXTS = [f"{word} {i} café" for i in range(20) for word in ("good", "bad")]
LABELS = ["pos", "neg"] * 20


def _prepared(name, home, *paths, **options):
    given = {"column": None, "context": 12} | options
    prepare_labelled(name, source_of(paths, **given), home, heldout=0.2)
    return open_data(name, home)


def test_every_kind_of_file_gives_the_same_examples(tmp_path):
    table = pd.DataFrame({"text": TEXTS, "label": LABELS})
    table.to_csv(tmp_path / "a.csv", index=False)
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "b.tsv", index=False, sep="\t")
    table.to_json(tmp_path / "c.jsonl", orient="records", lines=True)
    table.to_parquet(tmp_path / "d.parquet")
    for i, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True)):
        (tmp_path / "e" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "e" / label / f"{i}.txt").write_text(text)
    found = [
        _prepared(path.name[0], tmp_path / "home", path)
        for path in sorted(tmp_path.iterdir())
        if path.name != "home"
    ]
    first = found[0]
    assert (first.info.vocab_size, first.info.num_classes) == (256, 2)
    assert first.info.input_shape == (12,)
    assert {data.info.fingerprint for data in found} == {first.info.fingerprint}
    whole = {
        (bytes(row).rstrip(b"\0"), int(label))
        for inputs, labels in (
            (first.train_inputs, first.train_labels),
            (first.heldout_inputs, first.heldout_labels),
        )
        for row, label in zip(inputs, labels, strict=True)
    }
    assert whole == {
        (text.encode()[:12], int(label == "pos")) for text, label in zip(TEXTS, LABELS, strict=True)
    }


def test_a_text_without_a_label_is_counted(tmp_path):
    rows = [{"text": text, "label": i % 2} for i, text in enumerate(TEXTS)]
    rows[3]["label"] = None
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match="row 3"):
        _prepared("a", tmp_path / "home", path)
    source = source_of((path,), context=12)
    info = prepare_labelled("a", source, tmp_path / "home", heldout=0.2, skip_bad=True)
    assert info.train_size + info.heldout_size == len(TEXTS) - 1


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ("review,label", {}, "no column 'text'; it has review, label: choose one with --column"),
        ("text,stars", {}, "choose one with --label-column"),
        ("text,label", {"context": 0}, "--context 0 is not in"),
        ("text,label", {"context": None}, "add --context BYTES"),
        ("text,label", {"frames": True}, "leave one out"),
    ],
)
def test_bad_requests_are_refused_in_a_line(tmp_path, header, options, message):
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\na,1\nb,0\n")
    with pytest.raises(ValueError, match=message):
        _prepared("a", tmp_path / "home", path, **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\n", "has no rows"),
        ("", "has no rows"),
        ("text,label\na,b,1\nc,0\n", "more fields than its head: quote texts"),
        ("text,label\na,7\nb,7\n", "2 texts, labels are all 7"),
        ("text,label\na,\n", "none has a label"),
        (b"text,label\ncaf\xe9,1\n", "is not UTF-8"),
        ('{"text": 1, "label": 0}\n', "holds int64, no texts: choose one with --column"),
        ('{"text": "a", "label": [0, 1]}\n', "row 0 has several labels"),
    ],
)
def test_bad_tables_are_refused_in_a_line(tmp_path, content, message):
    raw = content if isinstance(content, bytes) else content.encode()
    path = tmp_path / ("a.jsonl" if raw.startswith(b"{") else "a.csv")
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        source_of((path,), context=8)


def test_what_holds_nothing_of_the_kind_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ValueError, match="holds no folders"):
        source_of((tmp_path,), context=8)
    with pytest.raises(ValueError, match="holds no arrays"):
        source_of((tmp_path,), frames=True)
    np.savez(
        tmp_path / "b.npz",
        inputs=np.random.default_rng(0).random((9, 2, 3)),
        labels=np.zeros(9, int),
    )
    with pytest.raises(ValueError, match="all labels are 0: give two classes"):
        prepare_labelled("b", source_of((tmp_path / "b.npz",), frames=True), tmp_path / "home")
    np.savez(tmp_path / "a.npz", inputs=np.zeros((4, 0, 3)), labels=np.arange(4))
    with pytest.raises(ValueError, match=r"of shape \(4, 0, 3\) is empty"):
        source_of((tmp_path / "a.npz",), frames=True)


@pytest.mark.parametrize("by", ["table", "folders"])
def test_texts_by_a_tokenizer_of_another_library(tmp_path, monkeypatch, capsys, by):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    library = Tokenizer(models.BPE(byte_fallback=False))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["[PAD]", "</s>"], initial_alphabet=alphabet
    )
    library.train_from_iterator(TEXTS, trainer)
    library.save(str(tmp_path / "t.json"))
    if by == "table":
        given = tmp_path / "a.csv"
        pd.DataFrame({"text": TEXTS, "label": LABELS}).to_csv(given, index=False)
    else:
        given = tmp_path / "f"
        for i, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True)):
            (given / label).mkdir(parents=True, exist_ok=True)
            (given / label / f"{i}.txt").write_text(text)
    command = ["data", "prepare", "own", "--from", str(given), "--context", "5", "--tokenizer"]
    assert main([*command, str(tmp_path / "t.json")]) == 0
    data = open_data("own")
    size = library.get_vocab_size()
    assert (data.info.vocab_size, data.info.tokenizer) == (size, "tokenizer.json")
    assert (data.info.dtype, data.info.input_shape) == ("uint16", (5,))
    assert (tmp_path / "data" / "own" / "tokenizer.json").is_file()
    found = {tuple(map(int, row)) for row in (*data.train_inputs, *data.heldout_inputs)}
    ids = [library.encode(text).ids[:5] for text in TEXTS]
    assert found == {(*row, *[1] * (5 - len(row))) for row in ids}
    assert 1 in {row[-1] for row in found}
    shape = {"depth": 1, "width": 8, "pool": "mean", "batch_size": 8}
    spec = RunSpec.resolve(family="encoder", data="own", num_examples=480, lr=1e-2, seed=1, **shape)
    assert spec.model.vocab_size == size
    assert train(spec, tmp_path).loss < 0.5  # by chance ln 2
    assert main([*command, "bpe"]) == 2
    assert "give the tokenizer.json in its folder" in capsys.readouterr().err


def test_classes_without_an_example_are_said(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"a {i},{(0, 2)[i % 2]}\n" for i in range(20)))
    _prepared("a", tmp_path / "home", path)
    assert "1 of 3 classes have no training example: 1" in capsys.readouterr().err
    path.write_text("text,label\n" + "".join(f"a {i},{i % 2}\n" for i in range(20)))
    _prepared("b", tmp_path / "home", path)
    assert "classes" not in capsys.readouterr().err


def test_arrays_of_frames(tmp_path):
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(30, 7, 4)).astype("float32"), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", inputs=inputs, labels=labels)
    data = _prepared("a", tmp_path / "home", tmp_path / "a.npz", context=None, frames=True)
    assert (data.info.input_shape, data.info.vocab_size) == ((7, 4), None)
    kept = {row.tobytes() for row in (*data.train_inputs, *data.heldout_inputs)}
    assert kept == {row.tobytes() for row in inputs}


def test_vowels_are_pinned_and_even():
    options = "vowels:words=5,length=2,examples=1000,heldout=500,noise=0"
    info, data = describe_data(options), open_data(options)
    assert info == data.info
    assert (info.input_shape, info.num_classes) == ((48, 20), 5)
    assert np.bincount(data.train_labels).min() > 150
    more = open_data(options.replace("1000", "1100"))
    np.testing.assert_array_equal(more.heldout_inputs, data.heldout_inputs)

    # Nearest class means in the middle of each half tell words apart; by chance .8 is wrong.
    def features(inputs):
        return inputs.reshape(len(inputs), 4, 12, 20).mean(2).reshape(len(inputs), -1)

    seen, held = features(data.train_inputs), features(data.heldout_inputs)
    means = np.stack([seen[data.train_labels == i].mean(0) for i in range(5)])
    found = ((held[:, None] - means) ** 2).sum(2).argmin(1)
    assert (found != data.heldout_labels).mean() < 0.2


@pytest.mark.parametrize("options", ["words=1", "words=200,length=1", "loud=3", "noise=x"])
def test_bad_options_of_vowels_are_refused(options):
    with pytest.raises(ValueError, match="vowels: "):
        describe_data(f"vowels:{options}")
