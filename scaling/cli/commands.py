"""The commands of the package ``scaling``: quickstart, model, data, weights, import, doctor."""

from __future__ import annotations

import argparse


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands; nothing heavy is imported."""
    quickstart = subparsers.add_parser(
        "quickstart", help="the whole loop on this machine, real data, a few minutes"
    )
    quickstart.add_argument("--out", metavar="DIR", help="root folder (default: SCALING_HOME)")
    quickstart.add_argument("--workers", type=int, default=2, metavar="N", help="processes (2)")
    quickstart.add_argument("--seed", type=int, default=0, help="seed of every run (0)")
    quickstart.add_argument("--json", action="store_true", help="one JSON document on stdout")
    quickstart.set_defaults(run=_quickstart)

    model = subparsers.add_parser("model", help="exact parameters, MACs, FLOPs of a model")
    model.add_argument("model", metavar="FAMILY[:PRESET]")
    model.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    model.add_argument("--json", action="store_true", help="one JSON document on stdout")
    model.add_argument(
        "--draw",
        metavar="FILE",
        help="a figure of its graph (randwire, genetic, darts): .png, .pdf, .svg",
    )
    model.set_defaults(run=_model)

    from scaling.cli.describing import add_command as add_describe
    from scaling.data.cli import add_commands as add_data_commands

    add_describe(add_data_commands(subparsers))
    _add_weights(subparsers)

    from scaling.cli.importing import add_command as add_import

    add_import(subparsers)

    from scaling.cli.watch import add_command as add_watch

    add_watch(subparsers)

    doctor = subparsers.add_parser("doctor", help="what works here")
    doctor.add_argument("--json", action="store_true", help="one JSON document on stdout")
    doctor.set_defaults(run=_doctor)


def _add_weights(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = subparsers.add_parser(
        "export", help="a run's kept weights as a folder, for transformers where that can be"
    )
    export.add_argument("run_id", metavar="RUN", help="a run's id, its beginning, name or folder")
    export.add_argument("-o", "--out", required=True, metavar="DIR", help="a new folder")
    export.add_argument("--step", type=int, metavar="N", help="optimiser steps (the end)")
    export.add_argument(
        "--format",
        choices=("auto", "transformers", "scaling"),
        default="auto",
        help="transformers: as Hugging Face loads it; scaling: our own names; auto (default): the "
        "former where the architecture exists there",
    )
    export.add_argument("--root", metavar="DIR", help="root folder (default: SCALING_HOME)")
    export.add_argument("--json", action="store_true", help="one JSON document on stdout")
    export.set_defaults(run=_export)

    evaluate = subparsers.add_parser("eval", help="evaluate the weights that a sweep's runs kept")
    evaluate.add_argument("sweep", metavar="SWEEP", help="a submitted sweep's name, folder or file")
    what = evaluate.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--task",
        metavar="DATA|MODULE:FUNCTION",
        help="a data set, for the loss on its held-out part, or a function (model, spec) that "
        "returns numbers by name",
    )
    what.add_argument(
        "--command",
        metavar="WORDS",
        dest="words",
        help="a command that ends with a line of JSON; {model} in it is the exported folder",
    )
    evaluate.add_argument("--as", metavar="NAME", dest="name", help="columns are eval/NAME/METRIC")
    evaluate.add_argument(
        "--limit", type=int, default=0, metavar="N", help="held-out tokens or examples (0: all)"
    )
    evaluate.add_argument("--every", action="store_true", help="all kept steps, not only the end")
    evaluate.add_argument("--device", default="auto", help="auto, cpu, cuda (auto)")
    evaluate.add_argument("--root", metavar="DIR", help="root folder (default: SCALING_HOME)")
    evaluate.add_argument("--tracking-uri", metavar="URI")
    evaluate.add_argument("--json", action="store_true", help="one JSON document on stdout")
    evaluate.set_defaults(run=_eval)


def _export(args: argparse.Namespace) -> int:
    from scaling.cli.weights import run_export

    return run_export(args.run_id, args.out, args.step, args.format, args.root, as_json=args.json)


def _eval(args: argparse.Namespace) -> int:
    from scaling.cli.weights import Asked, run_eval

    names = ("task", "words", "name", "limit", "every", "device", "root", "tracking_uri")
    asked = Asked(**{name: getattr(args, name) for name in names})
    return run_eval(args.sweep, asked, as_json=args.json)


def _model(args: argparse.Namespace) -> int:
    from scaling.base import (
        is_import_path,
        parse_settings,
        print_json,
        print_table,
        stated,
        unread,
    )
    from scaling.families import (
        family_names,
        get_family,
        option_names,
        refuse_both,
        with_preset,
    )
    from scaling.spec_parts import PART_OF

    name, _, preset = args.model.partition(":")
    if name not in family_names() and is_import_path(args.model):
        name, preset = args.model, ""
    family = get_family(name)
    options = with_preset(family, preset) if preset else {}
    given = parse_settings(args.settings)
    for key in given.keys() & PART_OF.keys() - set(option_names(family)):
        raise ValueError(f"{key} is of training, not of the model: give it in a sweep file")
    refuse_both(family.either, given)
    config = family.resolve({**options, **given})
    for option in unread(config, given):
        if option.value != option.default:
            raise ValueError(str(option))
    cost = family.cost(config)
    if args.draw:
        from scaling.cli.describing import draw_wiring

        draw_wiring(args.model, family, config, args.draw)
    result = {
        "family": name,
        **cost.to_dict(),
        "input_shape": family.input_shape(config),
        "config": stated(config),
    }
    if args.json:
        print_json(result)
        return 0
    shape = ", ".join(f"{k}={v}" for k, v in stated(config).items())
    print(f"{name}: {shape}")
    counts = [(k, v) for k, v in cost.to_dict().items() if k != "per"]
    print_table(
        f"FLOPs, MACs and activations are per {cost.unit}",
        ("count", "value"),
        [(k, f"{v:,}") for k, v in counts],
    )
    return 0


def _quickstart(args: argparse.Namespace) -> int:
    from scaling.cli.quickstart import run

    return run(args.out, workers=args.workers, seed=args.seed, as_json=args.json)


def _doctor(args: argparse.Namespace) -> int:
    from scaling.base import print_json, print_table
    from scaling.cli.doctor import checks

    found = checks()
    if args.json:
        print_json({"checks": found})
    else:
        rows = [(c["what"], "yes" if c["works"] else "no", c["detail"]) for c in found]
        print_table("", ("what", "works", "detail"), rows)
    return 0
