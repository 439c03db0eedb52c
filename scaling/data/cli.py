"""``scaling data``: list, fetch and prepare data sets."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling.data.info import DataInfo
    from scaling.data.text import Source

FEW_FILES = 20  # below this, whole files are too few documents to hold some out
LONG_FILE = 16 << 20  # bytes; a longer text is cut, for it would be read at once
TEXTS = ("text", "jsonl", "parquet")
SOURCES = {**{name: name for name in (*TEXTS, "shards")}, "examples": "from"}
IMAGES = ("resolution", "fit", "channels", "label_column", "skip_bad")
BELONGS: dict[str, tuple[str, ...]] = {
    "field": ("jsonl",),
    "column": ("parquet", "examples"),
    "dtype": ("shards",),
    "blocks": ("text",),
    "tokenizer": TEXTS,
    "vocab_size": (*TEXTS, "shards"),
    **dict.fromkeys(IMAGES, ("examples",)),
}
"""Which sources an option is for."""


def add_commands(subparsers: Any) -> None:
    """Add the command ``data``."""
    data = subparsers.add_parser("data", help="list, fetch and prepare data sets")
    verbs = data.add_subparsers(dest="verb", metavar="VERB", required=True)

    listing = verbs.add_parser("list", help="data sets, their sizes and fingerprints")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.set_defaults(run=run_list)

    fetch = verbs.add_parser("fetch", help="get a data set by name")
    fetch.add_argument("name")
    fetch.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="a .deb, a folder or a file that you have (default: apt-get download)",
    )
    fetch.add_argument("--sha256", metavar="HEX", help="the content's sum, if not the pinned one")
    fetch.add_argument("--json", action="store_true", help="one JSON document")
    fetch.set_defaults(run=run_fetch)

    prepare = verbs.add_parser(
        "prepare",
        help="your own data, as memory-mapped tokens or examples",
        description="Make a data set NAME of your own files. Killed, it goes on where it was; "
        "the same content makes the same fingerprint, whatever the paths.",
    )
    prepare.add_argument("name")
    kinds = prepare.add_mutually_exclusive_group(required=True)
    kinds.add_argument(
        "--text", nargs="+", metavar="FILE", help="text files or patterns; a file is a document"
    )
    kinds.add_argument("--jsonl", nargs="+", metavar="FILE", help="JSON Lines; see --field")
    kinds.add_argument("--parquet", nargs="+", metavar="FILE", help="Parquet; see --column")
    kinds.add_argument(
        "--shards", nargs="+", metavar="FILE", help="raw tokens; see --dtype, --vocab-size"
    )
    kinds.add_argument(
        "--from",
        dest="examples",
        nargs="+",
        metavar="PATH",
        help="labelled examples: a folder with a folder of images per class (or with train/ and "
        "val/ of such), or .npz, .npy, IDX or .parquet files",
    )
    prepare.add_argument("--field", default="text", help="JSON field with the text (text)")
    prepare.add_argument(
        "--column", help="Parquet column with the text (text), or with the images (image)"
    )
    prepare.add_argument("--dtype", choices=("uint16", "uint32"), help="type of the tokens")
    prepare.add_argument(
        "--blocks",
        action=argparse.BooleanOptionalAction,
        help="cut text files into documents of about 8 KiB (default: if there are fewer than "
        f"{FEW_FILES} files or one is longer than {LONG_FILE >> 20} MiB)",
    )
    prepare.add_argument(
        "--tokenizer",
        choices=("bytes", "bpe"),
        default="bytes",
        help="bytes takes any bytes; bpe turns those that are not UTF-8 into U+FFFD (bytes)",
    )
    prepare.add_argument(
        "--vocab-size", type=int, metavar="V", help="tokens of the BPE (8192), or of the shards"
    )
    prepare.add_argument(
        "--heldout", type=float, metavar="SHARE", help="of the bytes or examples (0.05)"
    )
    images = prepare.add_argument_group("images (--from)")
    images.add_argument(
        "--resolution", metavar="PIXELS", help="a side, or HxW, to resize to (all are of one size)"
    )
    images.add_argument(
        "--fit",
        choices=("crop", "stretch"),
        default="crop",
        help="scale the short side and cut out the centre, or scale both sides (crop)",
    )
    images.add_argument(
        "--channels", type=int, choices=(1, 3), default=3, help="of encoded images: grey, RGB (3)"
    )
    images.add_argument("--label-column", default="label", help="Parquet column (label)")
    images.add_argument(
        "--skip-bad", action="store_true", help="go on without images that cannot be decoded"
    )
    prepare.add_argument("--json", action="store_true", help="one JSON document")
    prepare.set_defaults(run=run_prepare, default=prepare.get_default)


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
    if args.examples:
        return _prepare_examples(args)
    info = prepare_tokens(
        args.name,
        _source(args),
        data_home(None),
        tokenizer=args.tokenizer,
        vocab_size=8192 if args.vocab_size is None else args.vocab_size,
        heldout=0.05 if args.heldout is None else args.heldout,
    )
    return _show(info, args.json)


def _refuse_strangers(args: argparse.Namespace) -> None:
    """Refuse options that the source, or its tokenizer, has no use for."""
    source = next(name for name in SOURCES if getattr(args, name))
    for name, sources in BELONGS.items():
        if source not in sources and getattr(args, name) != args.default(name):
            option = name.replace("_", "-")
            named = " and ".join(f"--{SOURCES[other]}" for other in sources)
            raise ValueError(
                f"--{option} is for {named}, not for --{SOURCES[source]}: leave it out"
            )
    if source in TEXTS and args.tokenizer == "bytes" and args.vocab_size is not None:
        raise ValueError(
            f"--vocab-size {args.vocab_size} is for --tokenizer bpe: add that, or leave it out"
        )


def _prepare_examples(args: argparse.Namespace) -> int:
    from scaling.base import read_json
    from scaling.data.folder import data_home
    from scaling.data.images import prepare_labelled, source_of
    from scaling.data.info import META

    source = source_of(
        _files(args.examples),
        image_column=args.column or "image",
        label_column=args.label_column,
    )
    info = prepare_labelled(
        args.name,
        source,
        data_home(None),
        resolution=_resolution(args.resolution),
        fit=args.fit,
        channels=args.channels,
        heldout=args.heldout,
        skip_bad=args.skip_bad,
    )
    meta = read_json(data_home(None) / args.name / META) or {}
    return _show(info, args.json, skipped=len(meta["skipped"]))


def _resolution(text: str | None) -> tuple[int, int] | None:
    """Height and width of ``224`` or ``192x256``."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if not all(side.isdecimal() for side in sides) or len(sides) > 2:
        raise ValueError(f"--resolution {text!r}: give pixels, as in 224 or 192x256")
    return int(sides[0]), int(sides[-1])


def _source(args: argparse.Namespace) -> Source:
    from scaling.base import note
    from scaling.data.text import JsonLines, ParquetColumn, TextFiles, TokenShards

    if args.jsonl:
        return JsonLines(_files(args.jsonl), args.field)
    if args.parquet:
        return ParquetColumn(_files(args.parquet), args.column or "text")
    if args.shards:
        if args.dtype is None or args.vocab_size is None:
            raise ValueError("--shards needs --dtype uint16|uint32 and --vocab-size V")
        return TokenShards(_files(args.shards), args.dtype, args.vocab_size)
    files = _files(args.text)
    blocks = args.blocks
    if blocks is None:
        blocks = len(files) < FEW_FILES or any(p.stat().st_size > LONG_FILE for p in files)
        if blocks:
            note(f"{args.name}: few or long files: each block of about 8 KiB is a document")
    return TextFiles(files, blocks)


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


def _show(info: DataInfo, as_json: bool, **more: Any) -> int:
    from scaling.base import print_json, print_table

    facts = {key: value for key, value in asdict(info).items() if value not in (None, ())} | more
    if as_json:
        print_json(facts)
    else:
        print_table("", ("data set", info.name), [[k, str(v)] for k, v in facts.items()][1:])
    return 0
