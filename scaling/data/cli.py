"""``scaling data``: list, fetch and prepare data sets."""

from __future__ import annotations

import argparse
from typing import Any

from scaling.data.commands import (
    DTYPES,
    FEW_FILES,
    LONG_FILE,
    run_fetch,
    run_list,
    run_prepare,
)


def add_commands(subparsers: Any) -> Any:
    """Add the command ``data``; its verbs, for more of them."""
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
        "--text",
        nargs="+",
        metavar="FILE",
        help="text files or patterns; a file is a document; also gzip, zstd, xz, bzip2, told by "
        "content",
    )
    kinds.add_argument(
        "--jsonl", nargs="+", metavar="FILE", help="JSON Lines, compressed or not; see --field"
    )
    kinds.add_argument(
        "--parquet", nargs="+", metavar="FILE", help="Parquet with text or tokens; see --column"
    )
    kinds.add_argument(
        "--shards",
        nargs="+",
        metavar="FILE",
        help="tokens: NumPy, Megatron .bin with its .idx, llm.c, or raw with --dtype; and "
        "--vocab-size",
    )
    kinds.add_argument(
        "--from",
        dest="examples",
        nargs="+",
        metavar="PATH",
        help="labelled examples: a folder with a folder of images per class (or with train/ and "
        "val/ of such), or .npz, .npy, IDX or .parquet files; with --context texts: such folders "
        "of text files, or .csv, .tsv, .jsonl or .parquet files",
    )
    prepare.add_argument(
        "--field", default="text", help="JSON field with the text, data.text for one inside (text)"
    )
    prepare.add_argument(
        "--column",
        help="column with the text or lists of tokens (text), or with the images (image)",
    )
    prepare.add_argument("--dtype", choices=DTYPES, help="type of raw tokens, little end first")
    prepare.add_argument(
        "--blocks",
        action=argparse.BooleanOptionalAction,
        help="cut text files into documents of about 8 KiB (default: if there are fewer than "
        f"{FEW_FILES} files or one is longer than {LONG_FILE >> 20} MiB)",
    )
    prepare.add_argument(
        "--tokenizer",
        default="bytes",
        metavar="bytes|bpe|FILE",
        help="bytes as they are; a BPE trained on the text; or a tokenizer.json, a SentencePiece "
        "model, tiktoken's ranks. All but bytes turn what is not UTF-8 into U+FFFD (bytes)",
    )
    prepare.add_argument(
        "--separator",
        metavar="TOKEN",
        help="token, by text or number, after each document (the tokenizer file's end of text)",
    )
    prepare.add_argument(
        "--pattern",
        metavar="NAME|REGEX",
        help="how tiktoken's ranks split words: gpt2, cl100k, o200k, qwen (by the ranks' number)",
    )
    prepare.add_argument(
        "--vocab-size", type=int, metavar="V", help="tokens of the BPE (8192), or of the shards"
    )
    prepare.add_argument(
        "--heldout",
        nargs="+",
        metavar="SHARE|FILE",
        help="share of the bytes or examples (0.05), or files of the same kind",
    )
    prepare.add_argument(
        "--eval",
        dest="evals",
        action="append",
        nargs="+",
        metavar="NAME=FILE",
        help="a further set to evaluate on, of the same kind; its loss is eval/NAME/loss",
    )
    prepare.add_argument(
        "--skip-bad",
        action="store_true",
        help="go on without rows, files and images that cannot be read; they are counted by reason",
    )
    images = prepare.add_argument_group("labelled examples (--from)")
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
    images.add_argument("--label-column", default="label", help="column of the labels (label)")
    images.add_argument(
        "--context",
        type=int,
        metavar="LENGTH",
        help="the examples are texts: bytes, or tokens of the --tokenizer, that are kept of each; "
        "shorter ones are filled up",
    )
    images.add_argument(
        "--frames",
        action="store_true",
        help="arrays of floats (n, time, features) are sequences, such as spectra of speech",
    )
    prepare.add_argument("--json", action="store_true", help="one JSON document")
    prepare.set_defaults(run=run_prepare, default=prepare.get_default)
    return verbs
