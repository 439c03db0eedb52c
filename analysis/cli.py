"""The commands of ``analysis``: runs, fit, isoflop, plan, backtest, plot, report, compound, ...

Only arguments are described here. What a command does, and its defaults, are in the file of its
name in :mod:`analysis.commands`, which is opened when the command is run.
"""

from __future__ import annotations

import argparse
from typing import Any

from analysis.arguments import add_source as _add_source
from analysis.arguments import command as _command
from analysis.arguments import count as _count
from analysis.arguments import parser_of as _parser
from analysis.arguments import positive as _positive
from analysis.arguments import positives as _positives
from analysis.arguments import rate as _rate
from analysis.arguments import share as _share
from scaling.base import KG_CO2E_PER_KWH, PUE


def add_commands(subparsers: Any) -> None:
    """Describe the commands."""
    runs = _command(subparsers, "runs", "the run table of a source")
    runs.add_argument("--filter", metavar="EXPR", help="the same as --where")
    runs.add_argument("-o", "--output", metavar="FILE", help="write .csv, .jsonl or .parquet")
    runs.add_argument("--limit", type=_count, metavar="K", help="rows shown (60)")

    fit = _command(subparsers, "fit", "fit a scaling law and say how sure it is")
    _add_fit(fit)
    fit.add_argument(
        "--checklist",
        action="store_true",
        help="answer the questions of Li et al. 2025, (Mis)Fitting, for this fit",
    )
    fit.add_argument(
        "--keep",
        action="store_true",
        help="keep the law and its options with the sweep, for later fits and reports",
    )
    fit.add_argument("--latex", action="store_true", help="a table for a paper, in LaTeX")

    iso = _command(subparsers, "isoflop", "the best size at each budget, and N* = k C^a")
    iso.add_argument("--method", choices=("parabola", "akima", "powers"))
    iso.add_argument("--noise", type=float, help="relative noise of the loss (estimated)")
    iso.add_argument("--draws", type=_count, help="draws of what the losses allow (1000)")
    iso.add_argument(
        "--flops",
        type=_positive,
        nargs="+",
        action="extend",
        metavar="C",
        help="budgets beyond the runs (1, 10 and 100 times the largest)",
    )
    iso.add_argument(
        "--exponent",
        type=float,
        metavar="A",
        help="N* there if a were A, beside what is found (0.5)",
    )
    iso.add_argument("--seed", type=_count)

    plan = _command(subparsers, "plan", "N*, D* and loss at compute budgets")
    _add_fit(plan, law="auto, the average of several")
    plan.add_argument(
        "--flops",
        type=_positive,
        nargs="+",
        action="extend",
        metavar="C",
        help="budgets in FLOPs (10, 100 and 1000 times the largest run)",
    )
    plan.add_argument(
        "--cost",
        type=_positive,
        metavar="X",
        help="C = X N D (6; the runs' own exact FLOPs where they have a family)",
    )
    plan.add_argument(
        "--inference-tokens",
        type=_positive,
        metavar="T",
        help="tokens served over the model's life, paid from the budget (Sardana et al. 2024)",
    )
    plan.add_argument(
        "--unique-tokens", type=_positive, metavar="U", help="distinct tokens there are"
    )
    plan.add_argument(
        "--family",
        metavar="NAME",
        help="show the real models next to N* (a sweep's own family without this)",
    )
    plan.add_argument(
        "--set", action="append", metavar="KEY=VALUE", dest="settings",
        help="what models of --family share, such as context=1024",
    )  # fmt: skip
    given = plan.add_mutually_exclusive_group()
    given.add_argument("--num-params", type=_positive, metavar="N", help="N is given")
    given.add_argument("--num-tokens", type=_positive, metavar="D", help="D is given")
    plan.add_argument("-o", "--output", metavar="FILE", help="write .csv or .jsonl")

    hopeless = _command(
        subparsers, "hopeless", "runs in progress that will not be the best of their size"
    )
    hopeless.add_argument(
        "--rule", choices=("median", "forecast"), help="of finished peers, or of the curve (median)"
    )
    hopeless.add_argument("--level", type=_share, help="of the forecast's interval (0.9)")

    following = _command(subparsers, "next", "the runs that make a number most certain")
    _add_fit(following, draws=False)
    following.add_argument(
        "--flops", type=_positive, required=True, metavar="B", help="for all new runs together"
    )
    following.add_argument(
        "--target",
        metavar="NAME",
        help="num_params, num_tokens or loss of the best run, a, b, or a parameter (num_params)",
    )
    following.add_argument(
        "--at", type=_positive, metavar="C", help="compute of the target (100 x the largest run)"
    )
    following.add_argument("--runs", type=_count, metavar="K", help="number of runs at most (20)")
    following.add_argument(
        "--reach", type=_positive, metavar="X",
        help="N, D and D/N to X times what was run (16)",
    )  # fmt: skip
    following.add_argument(
        "--trust-law", action="store_true",
        help="choose as if the law were true, not by the forecast",
    )  # fmt: skip
    following.add_argument(
        "--cost", type=_positive, metavar="X", help="C = X N D (6; a family's exact FLOPs)"
    )
    following.add_argument("-o", "--output", metavar="FILE.yaml", help="write a sweep file")

    backtest = _command(subparsers, "backtest", "fit the small, predict the held-out large")
    _add_fit(backtest, law="auto, the average of several")
    backtest.add_argument("--by", metavar="COL,COL", help="one fit for each group")
    backtest.add_argument("--train-col", metavar="COL", help="fit rows where it is true")
    for shown in ("--checklist", "--keep", "--latex"):  # answered with what they are of
        backtest.add_argument(shown, action="store_true", help=argparse.SUPPRESS)
    backtest.add_argument(
        "--within-runs", action="store_true",
        help="rows of one run may be fitted and others of it predicted",
    )  # fmt: skip

    mixture = _command(subparsers, "mixture", "the shares of a data mixture of least loss")
    mixture.add_argument("--law", metavar="NAME", help="mixture or mixture_additive (mixture)")
    mixture.add_argument(
        "--weights", type=_positives, metavar="X,X", help="what each loss counts (the same)"
    )
    _add_point(mixture)
    mixture.add_argument("--bootstrap", type=_count, metavar="K", help="draws (200)")
    mixture.add_argument("--level", type=_share, metavar="P", help="of intervals (0.9)")
    mixture.add_argument("--seed", type=_count, help="of the draws (0)")

    chain = _command(subparsers, "chain", "a downstream metric from sizes, by way of a loss")
    chain.add_argument("--metric", metavar="COL", help="the metric, such as accuracy")
    chain.add_argument("--by", metavar="COL", help="both steps for each group, such as a task")
    chain.add_argument("--law", metavar="NAME", help="of the loss (chinchilla)")
    _add_point(chain)
    chain.add_argument("--bootstrap", type=_count, metavar="K", help="draws (300)")
    chain.add_argument("--level", type=_share, metavar="P", help="of intervals (0.9)")
    chain.add_argument("--seed", type=_count, help="of the draws (0)")

    _add_laws(subparsers)

    plot = _command(subparsers, "plot", "one figure, for a paper", json=False)
    plot.add_argument(
        "kind",
        metavar="KIND",
        help="what is drawn, such as scaling, curves, isoflop, plan; a name that is not known is "
        "answered with all of them",
    )
    plot.add_argument("-o", "--output", required=True, metavar="FILE", help=".png, .pdf or .svg")
    plot.add_argument("--style", metavar="NAME", help="paper or slides (paper)")
    plot.add_argument(
        "--width", metavar="W",
        help="89mm, 8.9cm, 3.5in, or a journal's column: single, double, icml, neurips, acl, ...",
    )  # fmt: skip
    plot.add_argument("--font-size", type=_positive, metavar="PT", help="of the text, in points")
    plot.add_argument("--data", action="store_true", help="its numbers too, as .csv beside it")
    plot.add_argument("--method", choices=("parabola", "akima", "powers"))
    plot.add_argument(
        "--by", metavar="COL", help="scaling, funnel: a law for each value; ranks: a design"
    )
    plot.add_argument("--train-col", metavar="COL", help="funnel: fit rows where it is true")
    _add_fit(plot)
    plot.add_argument("--other", metavar="SOURCE2", help="edf: a second space, to compare")
    plot.add_argument("--also", metavar="SOURCE2", action="append", help="search: another search")
    plot.add_argument("--scale", metavar="COL", help="ranks: the column of the scale")
    plot.add_argument(
        "--metric", metavar="COL", help="compound, edf, pareto, ranks, search: error, else loss"
    )

    report = _command(subparsers, "report", "one self-contained HTML file", json=False)
    report.add_argument("others", metavar="SOURCE2", nargs="*", help="others, side by side with it")
    report.add_argument("-o", "--output", required=True, metavar="FILE.html")
    report.add_argument("--title", help="the heading (the source's name)")
    report.add_argument(
        "--hold-out", type=_count, metavar="K",
        help="predict the K largest runs from the others (0; what is kept with the sweep)",
    )  # fmt: skip
    _add_fit(report)

    _add_design(subparsers)
    _add_effective(subparsers)
    _add_diagnose(subparsers)


def _add_laws(subparsers: Any) -> None:
    """The commands that need no runs; ``predict`` takes some, too."""
    laws = _parser(subparsers, "laws", "the laws: formula, inputs, source, example")
    laws.add_argument("name", metavar="NAME", nargs="?", help="all that is known of one law")
    predict = _parser(subparsers, "predict", "the loss to expect at a point")
    _add_source(predict, nargs="?")
    _add_fit(predict, draws=False, law="auto from runs; chinchilla with given constants")
    predict.add_argument("--level", type=_share, metavar="P", help="of the interval (0.9)")
    predict.add_argument("--constants", metavar="NAME", help="published ones, see scaling laws LAW")
    predict.add_argument(
        "--set",
        action="extend",
        nargs="+",
        metavar="PARAM=VALUE",
        dest="settings",
        help="constants",
    )
    _add_point(predict)
    predict.add_argument("--at", action="append", metavar="COL=VALUE,...", help="the law's inputs")
    predict.add_argument(
        "--schedule", metavar="FILE", help="a table of step and lr: the loss at each of its rows"
    )


def _add_point(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-N", "--num-params", type=_positive, metavar="N", help="parameters")
    parser.add_argument("-D", "--num-tokens", type=_positive, metavar="D", help="tokens")


def _add_fit(
    parser: argparse.ArgumentParser,
    draws: bool = True,
    law: str = "chinchilla; power_floor with --x-col",
) -> None:
    """What a fit is; with ``draws``, what its intervals are too."""
    parser.add_argument(
        "--law",
        metavar="NAME",
        help=f"a law or a formula ({law})",
    )
    parser.add_argument(
        "--start", action="append", type=_start, metavar="NAME=LOW,HIGH",
        help="where starting values of a formula's parameter are sought (0.03 to 2)",
    )  # fmt: skip
    parser.add_argument(
        "--signed", action="append", metavar="NAME",
        help="a formula's parameter that may be negative",
    )  # fmt: skip
    parser.add_argument(
        "--hold", action="append", type=_held, metavar="NAME=VALUE",
        help="a parameter of the law that is not fitted but has this value",
    )  # fmt: skip
    parser.add_argument(
        "--pool", metavar="COL[:NAME,NAME]",
        help="a value for each group of COL, drawn towards their mean, of these parameters (of "
        "all that the law is linear in)",
    )  # fmt: skip
    parser.add_argument("--loss-fn", choices=("huber", "lad", "mse", "tukey"))
    parser.add_argument(
        "--delta", type=_positive, metavar="X",
        help="Huber's delta (1e-3; of linear residuals three of their standard deviations)",
    )  # fmt: skip
    parser.add_argument(
        "--asymmetry", type=_positive, metavar="X",
        help="runs above the law count X times (1)",
    )  # fmt: skip
    parser.add_argument("--space", choices=("log", "linear"), help="of the residuals (log)")
    parser.add_argument("--weights", metavar="COL", help="a column of weights")
    parser.add_argument("--x-col", metavar="COL", help="the variable of a one-variable law")
    parser.add_argument("--seed", type=_count, help="of starts and draws (0)")
    if not draws:
        return
    parser.add_argument("--bootstrap", type=_count, metavar="K", help="draws for intervals (1000)")
    parser.add_argument(
        "--resample", choices=("auto", "pairs", "residual"),
        help="what is drawn: rows, or runs whose checkpoints they are (auto)",
    )  # fmt: skip
    parser.add_argument("--cluster", metavar="COL", help="draw whole groups of rows; none: rows")
    parser.add_argument("--level", type=_share, metavar="P", help="of intervals (0.9)")


def _add_design(subparsers: Any) -> None:
    """The commands on architectures."""
    compound = _command(subparsers, "compound", "depth, width and resolution: balance, comparison")
    edf = _command(subparsers, "edf", "error distributions of design spaces")
    edf.add_argument("other", metavar="SOURCE2", nargs="?", help="a second space, to compare")
    edf.add_argument(
        "--parameter", action="append", metavar="COL", help="a design parameter (all that vary)"
    )
    pareto = _command(subparsers, "pareto", "how good each model is for what it costs")
    pareto.add_argument("--watts", type=_positive, metavar="W", help="of what one run holds")
    pareto.add_argument("--pue", type=_positive, metavar="X", help=f"of the data centre ({PUE})")
    ranks = _command(subparsers, "ranks", "are designs that are best when small best when large?")
    ranks.add_argument("--by", metavar="COL,COL", help="what makes a design (promotions)")
    ranks.add_argument("--scale", metavar="COL", help="rung where there is one, else num_tokens")
    for parser in (compound, edf, pareto, ranks):
        parser.add_argument("-o", "--output", metavar="FILE", help="figure: .png, .pdf or .svg")
        parser.add_argument("--metric", metavar="COL", help="error where there is one, else loss")
    for parser in (compound, edf, ranks):
        parser.add_argument("--draws", type=_count, metavar="K", help="bootstrap draws (2000)")
        parser.add_argument("--level", type=_share, metavar="P", help="(0.9)")
        parser.add_argument("--seed", type=_count, help="of the draws (0)")


def _add_effective(subparsers: Any) -> None:
    """The commands on what compute is worth, and what it emits."""
    efficiency = _command(
        subparsers, "efficiency", "compute to reach a loss, by date, recipe, family or optimiser"
    )
    efficiency.add_argument("others", metavar="SOURCE2", nargs="*", help="others, each a group")
    efficiency.add_argument(
        "--target", type=_rate, metavar="X",
        help="the loss or error to reach; without it FLOPs are what each row took to reach it",
    )  # fmt: skip
    efficiency.add_argument("--by", metavar="COL", help="the groups (sources, families, names)")
    efficiency.add_argument("--date-col", metavar="COL", help="dates of the groups (date)")
    efficiency.add_argument("--baseline", metavar="GROUP", help="what factors are over (earliest)")
    efficiency.add_argument("--metric", metavar="COL", help="of the target (loss)")
    efficiency.add_argument("--level", type=_share, metavar="P", help="of intervals (0.9)")
    energy = _command(subparsers, "energy", "energy and CO2e of all runs, against what is known")
    energy.add_argument("--watts", type=_positive, metavar="W", help="of what one run holds")
    energy.add_argument("--pue", type=_positive, metavar="X", help=f"of the data centre ({PUE})")
    energy.add_argument(
        "--grid", type=_positive, metavar="KG",
        help=f"kg CO2e per kWh (the U.S. grid of 2018: {KG_CO2E_PER_KWH:.3f})",
    )  # fmt: skip
    for parser in (efficiency, energy):
        parser.add_argument("-o", "--output", metavar="FILE", help="figure: .png, .pdf or .svg")


def _add_diagnose(subparsers: Any) -> None:
    diagnose = _parser(subparsers, "diagnose", "bias and variance, and what would help most")
    _add_source(diagnose, nargs="?")
    _add_fit(diagnose, draws=False, law="auto, the average of several")
    diagnose.add_argument(
        "--human", "--human-error", "--bayes-error", "--irreducible", type=_rate, metavar="X",
        dest="irreducible", help="what nobody can be below, as in 1%% (E of the law)",
    )  # fmt: skip
    diagnose.add_argument("--train", type=_rate, metavar="X", help="error on training data")
    diagnose.add_argument("--dev", type=_rate, metavar="X", help="error on held-out data")
    diagnose.add_argument(
        "--examples", type=_positive, metavar="K", help="that --train and --dev are of: intervals"
    )
    diagnose.add_argument("--metric", metavar="COL", help="loss, or error where --human is given")
    _add_point(diagnose)
    diagnose.add_argument("--factor", type=_positive, metavar="X", help="how much more (2)")
    diagnose.add_argument("--level", type=_share, metavar="P", help="of intervals (0.9)")
    diagnose.add_argument(
        "-o", "--output", metavar="FILE", help="figure, or the runs with their parts as .csv, ..."
    )


def _start(text: str) -> tuple[str, tuple[float, float]]:
    name, _, values = text.partition("=")
    try:
        low, high = map(float, values.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not as N0=1e6,1e9") from None
    return name.strip(), (low, high)


def _held(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not as beta=0.594") from None
