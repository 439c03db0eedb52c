"""Tokenizers of others give the tokens that their own libraries give."""

from __future__ import annotations

import base64
import io
import json
import random
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import regex
import sentencepiece
import tiktoken
import tiktoken_ext.openai_public as openai
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from scaling.cli import main
from scaling.data import open_data
from scaling.data.text.hugging_face import write_tokenizer
from scaling.data.text.prepare import prepare_tokens
from scaling.data.text.sources import TextFiles
from scaling.data.text.tokenizer_file import PATTERNS, FileTokenizer, TokenizerFile

WORDS = [
    "scale",
    "law",
    "loss",
    "naïve",
    "η",
    "=",
    "0.1",
    "1234567",
    "\n\n  ",
    "don't",
    "漢字",
    "🙂",
]
SPECIAL = "<|endoftext|>"


def texts(number: int = 60) -> list[str]:
    rng = random.Random(0)
    return [" ".join(rng.choices([*WORDS, SPECIAL], k=rng.randint(9, 60))) for _ in range(number)]


def json_file(folder: Path) -> Path:
    """A WordPiece that lowers case, pads, cuts at 8 tokens and adds [CLS] and [SEP]."""
    library = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    library.normalizer = normalizers.Lowercase()
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[UNK]", "[CLS]", "[SEP]", SPECIAL]
    library.train_from_iterator(texts(), trainers.WordPieceTrainer(special_tokens=special))
    library.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    library.enable_truncation(8)
    library.enable_padding(length=16)
    library.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def sentencepiece_file(folder: Path) -> Path:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(t.replace(SPECIAL, "") for t in texts(300)),
        model_writer=model,
        vocab_size=40,
        minloglevel=2,
    )
    (folder / "own.model").write_bytes(model.getvalue())
    return folder / "own.model"


def ranks() -> dict[bytes, int]:
    merged = [b"sc", b"al", b"scal", b" l", b" la", b" law", b"12", "漢".encode()]
    return {token: i for i, token in enumerate([*(bytes([i]) for i in range(256)), *merged])}


def tiktoken_file(folder: Path) -> Path:
    lines = (base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks().items())
    (folder / "own.tiktoken").write_bytes(b"".join(lines))
    return folder / "own.tiktoken"


def by_json(path: Path, text: str) -> list[int]:
    content = json.loads(path.read_text())
    content |= {"truncation": None, "padding": None, "added_tokens": content["added_tokens"][:1]}
    return Tokenizer.from_str(json.dumps(content)).encode(text, add_special_tokens=False).ids


def by_sentencepiece(path: Path, text: str) -> list[int]:
    return sentencepiece.SentencePieceProcessor(model_file=str(path)).encode(text)


def by_tiktoken(path: Path, text: str) -> list[int]:
    library = tiktoken.Encoding(
        "x", pat_str=openai.r50k_pat_str, mergeable_ranks=ranks(), special_tokens={}
    )
    return library.encode_ordinary(text)


KINDS = {
    "tokenizer.json": (json_file, by_json, {}, 3),
    "sentencepiece": (sentencepiece_file, by_sentencepiece, {}, 2),
    "tiktoken": (tiktoken_file, by_tiktoken, {"pattern": "gpt2"}, 264),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_the_library_and_a_separator(tmp_path, kind):
    make, reference, options, separator = KINDS[kind]
    path = make(tmp_path)
    asked = TokenizerFile(path, **options)
    tokenizer = FileTokenizer(asked)
    assert tokenizer.kind == kind
    found = tokenizer.encode([text.encode() for text in texts()])
    for text, tokens in zip(texts(), found, strict=True):
        assert tokens.tolist() == [*reference(path, text), separator]
        assert tokens[:-1].max(initial=0) < tokenizer.vocab_size

    documents = []
    for i, text in enumerate(texts()):
        (one := tmp_path / f"{i}.txt").write_text(text)
        documents.append(one)
    info = prepare_tokens(
        "own", TextFiles(tuple(documents)), tmp_path / "data", tokenizer=asked, heldout=0.2
    )
    data = open_data("own", tmp_path / "data")
    whole = np.concatenate([data.train, data.heldout])
    assert len(whole) == sum(len(tokens) for tokens in found)
    assert int((whole == separator).sum()) == 60
    assert (info.tokenizer, info.vocab_size) == (kind, tokenizer.vocab_size)
    held = [t for t in texts() if _in(data.heldout.tolist(), [*reference(path, t), separator])]
    size = sum(len(t.encode()) + 1 for t in held)
    assert info.bytes_per_token == pytest.approx(size / info.heldout_size)


def _in(tokens: list[int], row: list[int]) -> bool:
    return any(tokens[i : i + len(row)] == row for i in range(len(tokens)))


def test_the_tokenizer_is_part_of_the_fingerprint(tmp_path):
    path = tiktoken_file(tmp_path)
    documents = []
    for i, text in enumerate(texts()):
        (one := tmp_path / f"{i}.txt").write_text(text)
        documents.append(one)
    source, home = TextFiles(tuple(documents)), tmp_path / "data"
    one = prepare_tokens("one", source, home, tokenizer=TokenizerFile(path, None, "gpt2"))
    (moved := tmp_path / "else").write_bytes(path.read_bytes())
    same = prepare_tokens("same", source, home, tokenizer=TokenizerFile(moved, None, "gpt2"))
    assert same.fingerprint == one.fingerprint
    unused = base64.b64encode("字漢".encode()) + b" 264\n"
    path.write_bytes(path.read_bytes() + unused)  # no text needs it
    asked = TokenizerFile(path, "264", "gpt2")
    other = prepare_tokens("other", source, home, tokenizer=asked)
    assert (home / "one/train.bin").read_bytes() == (home / "other/train.bin").read_bytes()
    assert other.fingerprint != one.fingerprint
    with pytest.raises(ValueError, match="other is another data set already"):
        prepare_tokens("other", source, home, tokenizer=TokenizerFile(moved, None, "gpt2"))


@pytest.mark.parametrize(
    ("name", "make"),
    [("gpt2", "r50k_base"), ("cl100k", "cl100k_base"), ("o200k", "o200k_base")],
)
def test_patterns_split_words_as_openai_s_do(monkeypatch, name, make):
    monkeypatch.setattr(openai, "load_tiktoken_bpe", lambda *_, **__: {})
    theirs = getattr(openai, make)()["pat_str"]
    rng = random.Random(2)
    letters = [chr(rng.randrange(1, 0x3000)) for _ in range(300)]
    letters = [c for c in letters if unicodedata.category(c) not in ("Cn", "Cs")]
    for _ in range(2000):
        text = "".join(rng.choices([*letters, *" \n\r\t'sdLL09aZé/-"], k=rng.randint(1, 30)))
        assert regex.findall(PATTERNS[name], text) == regex.findall(theirs, text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--tokenizer none.json", "no such file; give bytes, bpe, or a tokenizer's file"),
        ("--tokenizer words.txt", "is no tokenizer: give bytes, bpe"),
        ("--tokenizer vocab.json", "is no tokenizer.json"),
        ("--tokenizer broken.model", "is no SentencePiece model"),
        ("--tokenizer own.tiktoken", "264 ranks, which tells no known .* add --pattern"),
        ("--tokenizer own.tiktoken --pattern [", "with --pattern '\\['"),
        ("--tokenizer cut.tiktoken --pattern gpt2", "has no rank for some byte"),
        ("--tokenizer bad.tiktoken --pattern gpt2", r"bad.tiktoken, line 2: b'x y z'"),
        ("--tokenizer tokenizer.json --pattern gpt2", "--pattern is for tiktoken's files"),
        ("--tokenizer tokenizer.json --separator <none>", "'<none>' is no token of"),
        ("--tokenizer tokenizer.json --separator 999999", "'999999' is no token of"),
        ("--tokenizer tokenizer.json --vocab-size 300", "--vocab-size 300 is for --tokenizer bpe"),
        ("--tokenizer bare.json", "has none of .*with --separator"),
        ("--separator x", "--separator is for --tokenizer FILE, not for bytes"),
    ],
)
def test_tokenizers_that_cannot_be_used_are_refused(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    path, whole = json_file(tmp_path), tiktoken_file(tmp_path).read_bytes()
    bare = json.loads(path.read_text())
    bare["model"]["vocab"] = {"[UNK]": 0, "a": 1}
    bare |= {"added_tokens": [], "post_processor": None}
    Path("bare.json").write_text(json.dumps(bare))
    Path("words.txt").write_text("one two three")
    Path("vocab.json").write_text('{"a": 1}')
    Path("broken.model").write_bytes(b"\n\x05abc")
    Path("cut.tiktoken").write_bytes(whole[:2000].rsplit(b"\n", 1)[0] + b"\n")
    Path("bad.tiktoken").write_bytes(whole.split(b"\n")[0] + b"\nx y z\n")
    command = ["data", "prepare", "own", "--text", "words.txt", *arguments.split()]
    assert main(command) == 2
    lines = [e for e in capsys.readouterr().err.splitlines() if e.startswith("scaling data:")]
    assert len(lines) == 1
    assert regex.search(says, lines[0]), lines[0]


@pytest.mark.parametrize(("kind", "library"), [("sentencepiece",) * 2, ("tiktoken",) * 2])
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, kind, library):
    make, _, options, _ = KINDS[kind]
    path = make(tmp_path)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=f"pip install {library}"):
        FileTokenizer(TokenizerFile(path, **options))


def test_a_separator_by_text_or_number(tmp_path):
    path = json_file(tmp_path)
    assert FileTokenizer(TokenizerFile(path)).separator == 3
    assert FileTokenizer(TokenizerFile(path, "[SEP]")).separator == 2
    assert FileTokenizer(TokenizerFile(path, "0")).separator == 0


def test_transformers_reads_the_tokenizer_of_a_data_set(tmp_path, monkeypatch):
    from transformers import PreTrainedTokenizerFast

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path, home, out = json_file(tmp_path), tmp_path / "data", tmp_path / "out"
    (tmp_path / "a.txt").write_text("\n".join(texts(900)))
    source = TextFiles((tmp_path / "a.txt",), blocks=True)
    info = prepare_tokens("own", source, home, tokenizer=TokenizerFile(path, "[SEP]"))
    out.mkdir()
    assert write_tokenizer(home / "own", info, out) == 2
    library = PreTrainedTokenizerFast.from_pretrained(out)
    assert (library.eos_token, library.eos_token_id) == ("[SEP]", 2)
    assert library("scale law 0.1", add_special_tokens=False).input_ids == by_json(
        path, "scale law 0.1"
    )
