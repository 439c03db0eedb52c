"""What the verbs of ``scaling data`` do."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling.data.images import Vocabulary
    from scaling.data.info import DataInfo
    from scaling.data.text import Source, TokenizerFile

FEW_FILES = 20  # below this, whole files are too few documents to hold some out
LONG_FILE = 16 << 20  # bytes; a longer text is cut, for it would be read at once
DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
TEXTS = ("text", "jsonl", "parquet")
SOURCES = {**{name: name for name in (*TEXTS, "shards")}, "examples": "from"}
IMAGES = ("resolution", "fit", "channels", "label_column", "context", "frames")
BELONGS: dict[str, tuple[str, ...]] = {
    "field": ("jsonl",),
    "column": ("parquet", "examples"),
    "dtype": ("shards",),
    "blocks": ("text",),
    **dict.fromkeys(("tokenizer", "separator", "pattern"), (*TEXTS, "examples")),
    "vocab_size": (*TEXTS, "shards"),
    "evals": (*TEXTS, "shards"),
    "skip_bad": (*TEXTS, "examples"),
    **dict.fromkeys(IMAGES, ("examples",)),
}
"""Which sources an option is for."""

OPTIONS = {"evals": "eval"}  # where the option is called otherwise than its argument
_EVAL = re.compile(r"([^=/]+)=(.+)")


def run_list(args: argparse.Namespace) -> int:
    """Print the data sets."""
    from scaling.base import print_json, print_table
    from scaling.data.registry import list_data

    rows = list_data()
    if args.json:
        print_json([{**row, "info": asdict(row["info"]) if row["info"] else None} for row in rows])
        return 0
    header = ("name", "state", "unit", "train", "held out", "vocabulary", "fingerprint", "about")
    table = []
    for row in rows:
        info: DataInfo | None = row["info"]
        facts: list[Any] = [None] * 5
        if info is not None:
            classes = f"{info.num_classes} classes"
            facts = [
                info.unit,
                f"{info.train_size:,}",
                f"{info.heldout_size:,}",
                f"{info.vocab_size:,}" if info.vocab_size else classes,
                info.fingerprint,
            ]
        table.append([row["name"], row["state"], *facts, row["about"]])
    print_table("", header, table)
    for row in rows:
        if row["older"]:
            print(f"{row['name']} was made from {row['older']}: runs keep to it as it is")
    return 0


def run_fetch(args: argparse.Namespace) -> int:
    """Fetch a data set and print what it is."""
    from scaling.data.registry import fetch_data

    return _show(fetch_data(args.name, args.source, args.sha256), args.json)


def run_prepare(args: argparse.Namespace) -> int:
    """Prepare a data set and print what it is."""
    from scaling.data.folder import data_home
    from scaling.data.registry import DATASETS
    from scaling.data.text import prepare_tokens

    if args.name in DATASETS:
        raise ValueError(f"{args.name} is the name of a known data set: choose another")
    _refuse_strangers(args)
    share, held = _heldout(args.heldout)
    if args.examples:
        return _prepare_examples(args, share)
    evals = {name: _files(found) for name, found in _evals(args.evals).items()}
    source, *others = _sources(
        args, [_given(args), *([_files(held)] if held else []), *evals.values()]
    )
    heldout: float | Source = 0.05 if share is None else share
    if held:
        heldout, *others = others
    info = prepare_tokens(
        args.name,
        source,
        data_home(None),
        tokenizer=_tokenizer(args, source.is_text),
        vocab_size=8192 if args.vocab_size is None else args.vocab_size,
        heldout=heldout,
        evals=dict(zip(evals, others, strict=True)),
        skip_bad=args.skip_bad,
    )
    return _show(info, args.json, **_dropped(args.name))


def _refuse_strangers(args: argparse.Namespace) -> None:
    """Refuse options that the source has no use for."""
    source = next(name for name in SOURCES if getattr(args, name))
    for name, sources in BELONGS.items():
        if source not in sources and getattr(args, name) != args.default(name):
            option = OPTIONS.get(name, name).replace("_", "-")
            named = " and ".join(f"--{SOURCES[other]}" for other in sources)
            raise ValueError(
                f"--{option} is for {named}, not for --{SOURCES[source]}: leave it out"
            )


def _heldout(given: Sequence[str] | None) -> tuple[float | None, Sequence[str]]:
    """The share to hold out, or the files."""
    if given is None:
        return None, ()
    if len(given) == 1:
        try:
            return float(given[0]), ()
        except ValueError:
            pass
    return None, given


def _evals(given: Sequence[Sequence[str]] | None) -> dict[str, list[str]]:
    """Name -> files or patterns, of ``NAME=FILE [FILE ...]``."""
    found: dict[str, list[str]] = {}
    for words in given or ():
        name = ""
        for word in words:
            match = _EVAL.fullmatch(word)
            if match:
                name, word = match.groups()
                if name in found:
                    raise ValueError(f"--eval {name} is given twice: name its files together")
            elif not name:
                raise ValueError(f"--eval {word!r}: give NAME=FILE, as in wiki=wiki/*.jsonl")
            found.setdefault(name, []).append(word)
    return found


def _tokenizer(args: argparse.Namespace, is_text: bool) -> str | TokenizerFile:
    """What turns text into tokens; options without use are refused."""
    from scaling.data.text import TokenizerFile

    kind: str = args.tokenizer
    file = None if kind in ("bytes", "bpe") else Path(kind).expanduser()
    if not is_text:
        if kind != args.default("tokenizer") or args.separator or args.pattern:
            raise ValueError(
                "--tokenizer, --separator and --pattern are for text; these files hold tokens: "
                "leave them out"
            )
        return kind
    if args.vocab_size is not None and kind != "bpe":
        raise ValueError(
            f"--vocab-size {args.vocab_size} is for --tokenizer bpe: add that, or leave it out"
        )
    if file is None:
        for option in ("separator", "pattern"):
            if getattr(args, option) is not None:
                raise ValueError(
                    f"--{option} is for --tokenizer FILE, not for {kind}: leave it out"
                )
        return kind
    if not file.is_file():
        raise FileNotFoundError(
            f"--tokenizer {kind}: no such file; give bytes, bpe, or a tokenizer's file"
        )
    return TokenizerFile(file, args.separator, args.pattern)


def _prepare_examples(args: argparse.Namespace, share: float | None) -> int:
    from scaling.base import read_json
    from scaling.data.folder import data_home
    from scaling.data.images import prepare_labelled, source_of
    from scaling.data.info import META

    if args.heldout and share is None:
        raise ValueError(
            "--heldout FILE is for text and tokens; examples to hold out come in folders or files "
            "called val or test: give a share, or leave it out"
        )
    vocabulary = _vocabulary(args)
    source = source_of(
        _files(args.examples),
        column=args.column,
        label_column=args.label_column,
        context=args.context,
        frames=args.frames,
        vocabulary=vocabulary,
    )
    info = prepare_labelled(
        args.name,
        source,
        data_home(None),
        resolution=_resolution(args.resolution),
        fit=args.fit,
        channels=args.channels,
        heldout=share,
        skip_bad=args.skip_bad,
    )
    meta = read_json(data_home(None) / args.name / META) or {}
    reasons = Counter(why for _, why in meta["skipped"])
    return _show(
        info,
        args.json,
        skipped=reasons.total(),
        **({"skipped_by_reason": dict(reasons)} if reasons else {}),
    )


def _vocabulary(args: argparse.Namespace) -> Vocabulary | None:
    """What turns labelled texts into tokens; None for bytes."""
    from scaling.data.images import Vocabulary
    from scaling.data.text import FileTokenizer, TokenizerFile

    if args.context is None and args.tokenizer != args.default("tokenizer"):
        raise ValueError(
            "--tokenizer is for texts with labels: add --context TOKENS, or leave it out"
        )
    if args.tokenizer == "bpe":
        raise ValueError(
            "--tokenizer bpe is trained on text without labels: prepare that first, with --text "
            "or --jsonl, and give the tokenizer.json in its folder"
        )
    asked = _tokenizer(args, is_text=True)
    if not isinstance(asked, TokenizerFile):
        return None
    opened = FileTokenizer(asked)
    files = {opened.file_name: asked.path.read_bytes()}
    return Vocabulary(opened.encode, opened.vocab_size, opened.kind, asked.facts(), files)


def _resolution(text: str | None) -> tuple[int, int] | None:
    """Height and width of ``224`` or ``192x256``."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if not all(side.isdecimal() for side in sides) or len(sides) > 2:
        raise ValueError(f"--resolution {text!r}: give pixels, as in 224 or 192x256")
    return int(sides[0]), int(sides[-1])


def _given(args: argparse.Namespace) -> tuple[Path, ...]:
    """The files to train on."""
    return _files(next(given for name in SOURCES if (given := getattr(args, name))))


def _sources(args: argparse.Namespace, files: Sequence[tuple[Path, ...]]) -> list[Source]:
    """A source for each tuple of files, all read the same way."""
    from scaling.base import note
    from scaling.data.text.sources import (
        JsonLines,
        ParquetColumn,
        ParquetTokens,
        TextFiles,
        TokenShards,
        column_kind,
        is_json_lines,
        is_longer,
        shard_files,
    )

    if args.jsonl:
        return [JsonLines(found, args.field) for found in files]
    if args.parquet:
        column = args.column or "text"
        if column_kind(files[0][0], column) == "text":
            return [ParquetColumn(found, column) for found in files]
        if args.vocab_size is None:
            raise ValueError(f"column {column!r} holds tokens: add --vocab-size V")
        return [ParquetTokens(found, column, args.vocab_size) for found in files]
    if args.shards:
        if args.vocab_size is None:
            raise ValueError("--shards needs --vocab-size V, and raw tokens --dtype TYPE")
        return [TokenShards(shard_files(found), args.dtype, args.vocab_size) for found in files]
    first = files[0][0]
    if first.is_file() and is_json_lines(first):
        note(f"{args.name}: {first} holds JSON Lines: --jsonl takes the text out of their field")
    blocks = args.blocks
    if blocks is None:
        blocks = len(files[0]) < FEW_FILES or any(
            is_longer(path, LONG_FILE) for found in files for path in found
        )
        if blocks:
            note(f"{args.name}: few or long files: each block of about 8 KiB is a document")
    return [TextFiles(found, blocks) for found in files]


def _files(patterns: Sequence[str]) -> tuple[Path, ...]:
    """The files that paths and patterns (``**`` for any depth) name, each once."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        matches = [path]
        if not path.exists():
            root = Path(path.anchor)
            matches = sorted(p for p in root.glob(str(path.relative_to(root))) if p.is_file())
        if not matches:
            raise FileNotFoundError(f"{pattern}: no such file; check the path")
        found.update(dict.fromkeys(matches))
    return tuple(found)


def _dropped(name: str) -> dict[str, Any]:
    """How many documents were dropped and skipped when a data set was made, where it says so."""
    from scaling.base import read_json
    from scaling.data.folder import data_home
    from scaling.data.info import META

    tallies = (read_json(data_home(None) / name / META) or {}).get("documents")
    if tallies is None:
        return {}
    skipped: Counter[str] = Counter()
    for tally in tallies.values():
        skipped += Counter(tally["skipped"])
    facts: dict[str, Any] = {
        f"dropped_{kind}": sum(tally[kind] for tally in tallies.values())
        for kind in ("duplicates", "empty", "repeated_files")
    }
    facts["skipped"] = skipped.total()
    if skipped:
        facts["skipped_by_reason"] = dict(skipped)
    if len(tallies) > 1:
        facts["trained_on"] = {k: v["trained_on"] for k, v in tallies.items() if k != "train"}
    return facts


def _show(info: DataInfo, as_json: bool, **more: Any) -> int:
    from scaling.base import print_json, print_table

    facts = {key: value for key, value in asdict(info).items() if value not in (None, ())} | more
    if as_json:
        print_json(facts)
        return 0
    rows = [[key, str(value)] for key, value in facts.items() if key not in ("name", "evals")]
    for one in info.evals:
        rows.append([f"eval/{one.name}", f"{one.size} tokens in {one.documents} documents"])
    print_table("", ("data set", info.name), rows)
    return 0
