"""``scaling data describe``: runs of tokens of a data set; ``scaling model --draw``: a graph."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling.counting import OrderFacts


def add_command(verbs: Any) -> None:
    """Add the verb to those of ``scaling data``."""
    describe = verbs.add_parser(
        "describe", help="unigrams, bigrams, trigrams and Zipf's law of a data set of tokens"
    )
    describe.add_argument("name")
    describe.add_argument(
        "--limit", type=int, default=0, metavar="N", help="the first N tokens to train on (0: all)"
    )
    describe.add_argument("--top", type=int, default=10, metavar="N", help="runs to show (10)")
    describe.add_argument("-o", "--output", metavar="FILE", help="a figure: .png, .pdf, .svg")
    describe.add_argument("--json", action="store_true", help="one JSON document")
    describe.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print, and draw where a file is named."""
    from scaling.base import print_json, print_table
    from scaling.counting import describe_tokens
    from scaling.data import TokenData, open_data

    for name, value, least in (("limit", args.limit, 0), ("top", args.top, 1)):
        if value < least:
            raise ValueError(f"--{name} {value} is below {least}")
    path = _figure_path(args.output, "-o")
    data = open_data(args.name)
    if not isinstance(data, TokenData):
        raise ValueError(
            f"{args.name} has examples, and describe counts tokens: name a data set of text"
        )
    found = describe_tokens(data, args.limit, args.top)
    text = data.info.tokenizer == "bytes"
    if path is not None:
        _draw(args.name, found, text, path)
    if args.json:
        orders = [one.to_dict() for one in found]
        print_json({"name": args.name, "vocab_size": data.info.vocab_size, "orders": orders})
        return 0
    header = ("tokens", "runs", "distinct", "once", "bits of the last", "Zipf's exponent")
    rows = [
        [
            one.order,
            f"{one.tokens:,}",
            f"{one.distinct:,}",
            f"{one.once:,}",
            f"{one.entropy:.3f}",
            f"{one.zipf_exponent:.2f}",
        ]
        for one in found
    ]
    print_table(args.name, header, rows)
    top = [
        [f"{label(run, text)}  {count:,}" for run, count in level]
        for level in zip(*(one.top for one in found), strict=False)
    ]
    print_table("most frequent", ("unigrams", "bigrams", "trigrams"), top)
    return 0


def _figure_path(output: str | None, option: str) -> Path | None:
    from analysis.plotting import FORMATS

    if output is None:
        return None
    path = Path(output)
    if path.suffix.lstrip(".") not in FORMATS:
        raise ValueError(f"{option} {output}: a figure is written as .png, .pdf, .svg")
    return path


def _draw(name: str, found: list[OrderFacts], text: bool, path: Path) -> None:
    from analysis.plotting import Spread, save, zipf
    from scaling.base import note

    spreads = [
        Spread(
            one.order,
            one.ranks.tolist(),
            one.counts.tolist(),
            one.zipf_exponent,
            [label(run, text) for run, _ in one.top],
            [count for _, count in one.top],
        )
        for one in found
    ]
    note(f"written to {save(zipf(spreads, name), path)}")


def draw_wiring(name: str, family: Any, config: Any, output: str) -> None:
    """The graphs of a model, as ``family.wiring(config)`` has them, in the file ``output``."""
    path = _figure_path(output, "--draw")
    if not hasattr(family, "wiring"):
        raise ValueError(
            f"--draw: {name} has no graph to draw: randwire, genetic and darts have one"
        )
    from analysis.plotting import Wiring, save, wiring
    from scaling.base import note

    assert path is not None
    graphs = [Wiring(*graph) for graph in family.wiring(config)]
    note(f"written to {save(wiring(graphs, name), path)}")


def label(run: tuple[int, ...], text: bool) -> str:
    """A run as text where its tokens are bytes, else as numbers."""
    return repr(bytes(run))[1:] if text else " ".join(map(str, run))
