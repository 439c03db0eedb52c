"""Writes the page of the named laws from the registry, and draws each over its public table.

    python docs/draw_laws.py [--figures [NAME ...]] [--tables FOLDER]

writes ``docs/laws.md``; with ``--figures`` also ``docs/images/laws/NAME.png`` of each law: over a
table in ``tests/published/data``, or over one that is public but states no licence and is not
here: FOLDER has it, and without FOLDER that picture is left as it is. A law without measurements
is drawn alone, at constants that were published for it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from analysis.commands.laws import examples, measured  # noqa: E402
from analysis.laws import LAWS, Law  # noqa: E402

PAGE, FIGURES = ROOT / "docs" / "laws.md", ROOT / "docs" / "images" / "laws"
DATA = ROOT / "tests" / "published" / "data"


@dataclass(frozen=True)
class Shown:
    """A law over a table: the rows of ``where`` are fitted, those of ``only`` drawn along ``x``.

    ``fitted`` are those that are fitted of what is made of the table, if not all are; ``each``
    group by itself, some constants held at ``hold``. ``source`` is where a table is that states no
    licence, ``note`` what a reader must know of it.
    """

    table: str
    x: str
    group: str = ""
    where: str = ""
    only: str = ""
    x_col: str | None = None
    y_col: str | None = None
    loss_fn: str = "huber"
    fitted: str = ""
    each: bool = False
    hold: dict[str, float] = field(default_factory=dict)
    source: str = ""
    note: str = ""
    make: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table


def by_compute(table: pd.DataFrame) -> pd.DataFrame:
    """Routed models by FLOPs of a forward pass, and by their parameters over the dense model's."""
    ratio = table.total_params / table.dense_params
    return table.assign(flops_forward=2 * table.dense_params, parameter_ratio=ratio)


def best_settings(table: pd.DataFrame) -> pd.DataFrame:
    """The run of the least loss of each size and length; batches in tokens (2,048 a sequence)."""
    best = table.loc[table.groupby(["num_params", "num_tokens"]).loss.idxmin()]
    return best.assign(batch_size=2048 * best.batch_size)


def best_rates(table: pd.DataFrame) -> pd.DataFrame:
    """The least loss of each size, length and batch, from the best batch up; in tokens."""
    best = table.loc[table.groupby(["num_params", "num_tokens", "batch_size"]).loss.idxmin()]
    least = best.loc[best.groupby(["num_params", "num_tokens"]).loss.idxmin()]
    from_best = best.merge(least[["num_params", "num_tokens", "batch_size"]],
                           on=["num_params", "num_tokens"], suffixes=("", "_best"))  # fmt: skip
    kept = from_best[from_best.batch_size >= from_best.batch_size_best]
    return kept.assign(batch_size=2048 * kept.batch_size)


def steps_to_loss(table: pd.DataFrame) -> pd.DataFrame:
    """Steps to some losses by size and batch, in tokens: the least loss over learning rates,
    between the lengths of training as log D has it; losses that eight batches reach."""
    import pandas as pd

    rows = []
    least = table.groupby(["num_params", "batch_size", "num_tokens"]).loss.min().unstack()
    for target in np.arange(2.3, 2.62, 0.02):
        for (size, batch), curve in least.iterrows():
            known = curve.dropna()
            if len(known) > 2 and known.iloc[0] > target > known.iloc[-1] and (
                known.diff().dropna() < 0).all():  # fmt: skip
                tokens = np.exp(np.interp(-target, -known, np.log(known.index)))
                rows.append((size, round(target, 2), 2048 * batch, tokens / (2048 * batch)))
    found = pd.DataFrame(rows, columns=["num_params", "loss", "batch_size", "num_steps"])
    return found.groupby(["num_params", "loss"]).filter(lambda part: len(part) >= 8)


def critical_batches() -> pd.DataFrame:
    """The critical batch of each size and loss of ``steps_to_loss``, a fit of its steps."""
    import pandas as pd

    from analysis import fit

    table = steps_to_loss(pd.read_csv(DATA / "steplaw_lr_batch.csv"))
    rows = [
        (*at, fit("batch_steps", part, starts=1).params["B_crit"])
        for at, part in table.groupby(["num_params", "loss"])
    ]
    return pd.DataFrame(rows, columns=["num_params", "loss", "critical_batch_size"])


def printed_granularities() -> pd.DataFrame:
    """Krajewski et al. 2024, table 2: compute-optimal losses; N as in their sec. 6.1."""
    import pandas as pd

    active = np.array([0.1, 1, 3, 7, 70, 300, 1000]) * 1e9
    return pd.DataFrame({
        "num_params": active * (8 * 64 + 4) / 12,
        "num_tokens": np.array([4.37, 28.94, 72.9, 137.6, 941.07, 2960, 7940]) * 1e9,
        "granularity": [8, 16, 16, 32, 32, 64, 64],
        "loss": [3.133, 2.491, 2.245, 2.076, 1.694, 1.503, 1.367],
    })  # fmt: skip


def routed_by_sparsity(table: pd.DataFrame) -> pd.DataFrame:
    """Routed models of one expert a token: all parameters, and the share of experts that idle."""
    return table.assign(num_params=table.total_params, num_tokens=1.0,
                        sparsity=1 - 1 / table.num_experts)  # fmt: skip


def quantised_in_training(table: pd.DataFrame) -> pd.DataFrame:
    """QuEST's runs in whole numbers of bits, of weights alone or of activations too."""
    kind = table.w_quant
    whole = kind.str.contains("Hadamard") & ~kind.str.contains("FP4|FourEight")
    return table[whole | (kind == "NoQuantizer")].assign(
        num_params=table.non_embedding_parameters, num_tokens=table.tokens,
        weight_bits=table.w_bits, activation_bits=table.a_bits, kv_bits=16,
    )  # fmt: skip


def models_of_streams(table: pd.DataFrame) -> pd.DataFrame:
    """Streams add some parameters to a model: which it is, its place by size tells."""
    return table.assign(model=table.groupby("parallel_size").num_params.rank().astype(int))


def share_of_code(table: pd.DataFrame) -> pd.DataFrame:
    """Loss on GitHub by the shares of GitHub, StackExchange and the other five domains."""
    github, stack = table.weight_github, table.weight_stackexchange
    run = table.model_size.map("{:.3g}".format) + github.map(", {:.3f}".format)
    return table.assign(num_params=table.model_size, num_tokens=table.n_tokens,
                        loss=table.github_loss, proportion_1=github, proportion_2=stack,
                        proportion_3=1 - github - stack,
                        run=run + stack.map(", {:.3f}".format))  # fmt: skip


ONE_CURVE = Shown("learning_curves_vision", "num_examples", "task",
                  "task == 'inet_5' and model == 'MiX/B/16'", x_col="num_examples")  # fmt: skip
SHOWN = {
    **dict.fromkeys(
        ("power", "power_floor", "m3", "m4", "bnsl0", "bnsl1", "bnsl2", "bnsl3"), ONE_CURVE
    ),
    **dict.fromkeys(
        ("kaplan", "chinchilla", "chinchilla_symmetric", "gadre", "farseer"),
        Shown("isoflop_chinchilla", "num_params", "flops", "not outlier"),
    ),
    **dict.fromkeys(
        ("repeated_data", "overfitting"),
        Shown("datablations_repeated_data", "num_tokens", "num_params",
              only="num_unique_tokens == 100000000 and num_params in "
              "(14100000, 44000000, 82700000, 146500000, 421200000)"),
    ),
    "width_depth": Shown("gemstones_cool_end", "num_tokens", "run_name",
                         only="width in (256, 512, 1024, 2048) and depth < 28"),
    "step_law_loss": Shown("steplaw_lr_batch", "lr", "batch_size",
                           where="loss < 2.6",
                           only="num_params == 429260800 and num_tokens == 50000000000 and "
                           "batch_size in (64, 256, 736)"),
    "moe_sparsity": Shown("moe_sbase", "num_experts", "dense_params", make=routed_by_sparsity,
                          hold={"b": 1e-10, "beta": 1.0},
                          note="Abnar et al. released no runs that we know of; these are Clark et "
                          "al.'s, all trained on the same data, so `b` is held at 0 and `E` has "
                          "the term of data."),
    "parallel": Shown("parallel_stack", "parallel_size", "model", make=models_of_streams,
                      source="the losses in `parametric_fit.py` of QwenLM/ParScale"),
    "vocabulary": Shown("vocab_small", "num_characters", "vocab_size",
                        only="non_vocab_params == non_vocab_params.max() and "
                        "vocab_size in (4096, 10240, 32768, 96256)",
                        source="`exp_data.csv` of sail-sg/scaling-with-vocab",
                        note="540 runs of three sizes are fitted, those of the largest drawn. The "
                        "term of the vocabulary's parameters goes to its bound: these runs do not "
                        "tell the best vocabulary by this law."),
    "mixture": Shown("mixture_pile5", "predicted", "group", y_col="loss_internet", each=True,
                     source="`data/5Mix` of yegcjs/mixinglaws"),
    "mixture_additive": Shown("dmsl_llm_slimpajama", "num_tokens", "run", make=share_of_code,
                              source="`data/dmsl_llm_slimpajama.csv` of apple/ml-scalefit",
                              note="The loss on GitHub by the shares of GitHub, StackExchange and "
                              "the other five domains; a line is a run. The picture has 71 rows "
                              "of 16 runs of two sizes, so the exponent of `N` is not told."),
    "precision": Shown("quest_runs_for_scaling", "weight_bits", "num_params",
                       make=quantised_in_training, hold={"gamma_kv": 0.9578},
                       only="num_tokens > 90 * num_params and activation_bits == weight_bits",
                       source="`for_plots/runs_for_scaling.json` of IST-DASLab/QuEST (Panferov et "
                       "al. 2025, arXiv 2502.05003)",
                       note="Kumar et al. released no runs that we know of; these are 70 of "
                       "another paper, whose key-value cache is of 16 bits, 16 of them with "
                       "weights quantised alone; drawn are those with equal bits of both and 100 "
                       "tokens a parameter. QuEST's own fit has a free worth for each number of "
                       "bits."),
    "moe_routing": Shown("moe_sbase", "num_experts", "dense_params"),
    "moe_utilisation": Shown("moe_sbase", "parameter_ratio", "dense_params", make=by_compute),
    "step_law_lr": Shown("steplaw_lr_batch", "num_tokens", "num_params", y_col="lr",
                         make=best_settings),
    "step_law_batch": Shown("steplaw_lr_batch", "num_tokens", "num_params", x_col="num_tokens",
                            y_col="batch_size", make=best_settings),
    "batch_data": Shown("steplaw_lr_batch", "batch_size", "num_tokens",
                        only="num_params == 429260800",
                        make=best_rates),
    "batch_steps": Shown("steplaw_lr_batch", "batch_size", "loss", make=steps_to_loss,
                         only="num_params == 214663680 and loss == 2.5",
                         where="num_params == 214663680", fitted="loss == 2.5"),
    "fine_tuning": Shown("sft_flan", "sft_data_size", "group", "group == 'bart-base'"),
    **dict.fromkeys(
        ("annealing", "annealing_at_once", "multi_power"),
        Shown("lr_schedules_25m", "step", "curve", only="step > 5000"),
    ),
    "sigmoid": Shown("downstream_ladder", "task_loss", "group", "group == 'arc_easy_test'",
                     x_col="task_loss", y_col="accuracy", loss_fn="mse"),
    "polynomial2": Shown("easy_questions", "flops", "group", "group == 'mmlu'",
                         y_col="brier_score_hard", loss_fn="mse"),
    **dict.fromkeys(
        ("polynomial3", "polynomial5"),
        Shown("easy_questions", "flops", "group", "group == 'mmlu'", y_col="brier_score",
              loss_fn="mse"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A law that is not fitted: its values along ``x``, a line for each of ``values`` of ``line``.

    ``constants`` is the name of published ones; ``at`` has the other inputs. ``points`` are
    measurements to draw, ``of`` what they are of; inputs that are not ``at`` a value are then the
    points' own. ``over`` says where along ``x`` the law was measured.
    """

    constants: str
    x: str
    span: tuple[float, float]
    line: str = ""
    values: tuple[float, ...] = ()
    at: dict[str, float] = field(default_factory=dict)
    points: Callable[[], pd.DataFrame] | None = None
    of: str = ""
    over: str = ""


DRAWN = {
    "width_of_depth": Drawn("levine", "depth", (6, 48), over="the depths that they trained"),
    "precision_after": Drawn("kumar", "num_tokens", (1e9, 2.6e10), "weight_bits", (3, 4, 5),
                             {"num_params": 1e9},
                             over="lengths that they trained, at 1e9 parameters"),
    "moe_granularity": Drawn("expansion_64", "num_params", (4e9, 5e13),
                             points=printed_granularities,
                             of="the seven losses printed in the paper's table 2, each at its own "
                             "tokens and granularity: the authors' use of the law, not runs"),
    "transfer": Drawn("text_to_python", "sft_data_size", (1e5, 1e9), "num_params",
                      (1e7, 1e8, 1e9)),
    "critical_batch": Drawn("kaplan", "loss", (1.8, 5.0), points=critical_batches,
                            of="what `batch_steps` finds at each size and loss of "
                            "`steplaw_lr_batch`, where eight batches reach it"),
}  # fmt: skip


def page() -> str:
    """The page, in Markdown."""
    parts = [
        "# Named laws",
        "<!-- made by `python docs/draw_laws.py` from the registry `analysis.laws.LAWS` -->",
        "`scaling laws` lists them and `scaling laws NAME` shows one with its bounds; `--law` "
        "takes a name, or a formula of your own ([Laws, fits, plans, predictions](analysis.md)). "
        "Points in the figures are measurements, lines the law fitted to the filled ones; hollow "
        "points were held out. Tables are in `tests/published/data`, but for those that are public "
        "and state no licence: a law's entry says where they are.",
        "\n".join(["| law | predicts | public table |", "| --- | --- | --- |",
                   *(f"| `{law.name}` | `{law.output}` | {_shown_over(law)} |"
                     for law in LAWS.values())]),
    ]  # fmt: skip
    for law in LAWS.values():
        parts += [f"## {law.name}", _entry(law)]
    return "\n\n".join(parts) + "\n"


def _shown_over(law: Law) -> str:
    if law.name in SHOWN:
        shown = SHOWN[law.name]
        return f"`{shown.table}`" + (", not here" if shown.source else "")
    return "printed or derived" if DRAWN[law.name].points else "none known"


def _entry(law: Law) -> str:
    rows = [f"| `{p.name}` | {p.means} | {p.unit} |" for p in law.parameters]
    output, *inputs = (measured(name, law, "`{}`") for name in (law.output, *law.inputs))
    lines = [
        f"$${law.latex}$$",
        f"{output} of {', '.join(inputs)}. {law.source}.",
        "\n".join(["| parameter | meaning | unit |", "| --- | --- | --- |", *rows]),
    ]
    for name, values in law.published.items():
        lines.append(
            f"Published, `{name}`: " + ", ".join(f"{k} {v:.6g}" for k, v in values.items())
        )
    lines.append("```\n" + "\n".join(examples(law)) + "\n```")
    if law.name in SHOWN:
        shown = SHOWN[law.name]
        if shown.source:
            lines.append(
                f"Drawn over {shown.source}, which states no licence and is not here; with "
                f"`{shown.table}` in FOLDER, `python docs/draw_laws.py --figures {law.name} "
                "--tables FOLDER` draws it again."
            )
        if shown.note:
            lines.append(shown.note)
        lines.append(f"![{law.name} over {shown.table}](images/laws/{law.name}.png)")
    else:
        drawn = DRAWN[law.name]
        shows = (
            f"Points are {drawn.of}; the line is"
            if drawn.points
            else "No public measurements are known to us; drawn"
        )
        over = f", over {drawn.over}" if drawn.over else ""
        lines.append(f"{shows} at its published constants `{drawn.constants}`{over}.")
        lines.append(f"![{law.name}, not fitted](images/laws/{law.name}.png)")
    return "\n\n".join(lines)


def read(shown: Shown, folder: Path) -> pd.DataFrame | None:
    """The table of a law, of the one format it has; none if FOLDER lacks it."""
    import pandas as pd

    found = next(iter(sorted(folder.glob(f"{shown.table}.*"))), None)
    if found is None:
        return None
    return pd.read_json(found) if found.suffix == ".json" else pd.read_csv(found, comment="#")


def draw(name: str, shown: Shown, table: pd.DataFrame) -> None:
    """The figure of a law: points, and what it gives at them, a line a group."""
    import pandas as pd
    from matplotlib.figure import Figure

    from analysis import Estimand, fit

    table = shown.make(table.query(shown.where) if shown.where else table)
    table = table.query(shown.fitted) if shown.fitted else table
    if "is_training" not in table:
        table = table.assign(is_training=1)
    estimand = Estimand(shown.loss_fn, x_col=shown.x_col, y_col=shown.y_col)
    law = LAWS[name].hold(shown.hold) if shown.hold else name
    parts = []
    for _, part in table.groupby(shown.group) if shown.each else [("", table)]:
        train = part["is_training"].astype(bool)
        f = fit(law, part[train], estimand, starts=4)
        parts.append(part.assign(predicted=f.predict(part), train=train))
    table = pd.concat(parts).sort_values(shown.x)
    table = table.query(shown.only) if shown.only else table
    fitted = pd.concat(parts).query("train")
    level = fitted.groupby(shown.group if shown.each else "train")[f.y_col].transform("mean")
    r2 = (
        1
        - ((fitted[f.y_col] - fitted.predicted) ** 2).sum() / ((fitted[f.y_col] - level) ** 2).sum()
    )
    figure = Figure(figsize=(5.2, 3.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    groups = list(table.groupby(shown.group))
    for i, (group, part) in enumerate(groups):
        colour = _colour(i, len(groups))
        axes.plot(part[shown.x], part["predicted"], color=colour, lw=1.2)
        for hollow, some in ((False, part[part.train]), (True, part[~part.train])):
            axes.plot(some[shown.x], some[f.y_col], "o", ms=3.2, mew=0.7, color=colour,
                      mfc="white" if hollow else colour, alpha=0.75,
                      label=None if hollow and part.train.any() else _named(group))  # fmt: skip
    if shown.x not in ("step", "task_loss", "predicted", "parallel_size"):
        axes.set_xscale("log", base=2 if shown.x == "weight_bits" else 10)
        if 10 < table[shown.x].max() / table[shown.x].min() < 100:
            axes.xaxis.set_minor_formatter("")  # they would overlap
    if shown.x == "step":
        axes.locator_params(axis="x", nbins=5)  # labels would overlap
    low, high = table[f.y_col].min(), table[f.y_col].max()  # a law may leave the points far behind
    if f.space == "log" and f.law.output not in ("loss", "accuracy"):
        axes.set_yscale("log")
        axes.set_ylim(0.7 * low, 1.4 * high)
    else:
        axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    axes.set(xlabel=shown.x, ylabel=f.y_col, title=f"{name}: R² {r2:.4f} where fitted")
    axes.title.set_fontsize(9)
    if len(groups) <= 9:
        figure.legend(fontsize=6, title=shown.group, title_fontsize=6, frameon=False,
                      loc="outside right upper")  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / f"{name}.png")


def draw_alone(name: str, drawn: Drawn) -> None:
    """The figure of a law that has no table: its values from constants."""
    from matplotlib.figure import Figure

    law, own = LAWS[name], drawn.constants
    params = law.vector(dict(law.published[own]))
    wide = drawn.span[0] > 0 and drawn.span[1] > 20 * drawn.span[0]
    x = np.geomspace(*drawn.span, 200) if wide else np.linspace(*drawn.span, 200)
    figure = Figure(figsize=(5.2, 3.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    points = drawn.points() if drawn.points else None
    own_inputs = [] if points is None else [c for c in law.inputs if c not in (drawn.x, *drawn.at)]
    if points is not None and own_inputs:  # the law is drawn where the points are
        points = points.sort_values(drawn.x)
        x = points[drawn.x].to_numpy()
    values: tuple[float | None, ...] = drawn.values or (None,)
    for i, value in enumerate(values):
        given = {**drawn.at, drawn.x: x, **({} if value is None else {drawn.line: value})}
        given |= {c: points[c].to_numpy() for c in own_inputs}
        arrays = np.broadcast_arrays(*(np.asarray(given[c], dtype=float) for c in law.inputs))
        axes.plot(x, law.predict(params, *arrays), color=_colour(i, len(values)), lw=1.4,
                  label=None if value is None else _named(value))  # fmt: skip
    if wide:
        axes.set_xscale("log")
    if law.space == "log" and law.output != "loss":
        axes.set_yscale("log")
    if points is not None:
        sizes = list(points.groupby("num_params")) if not own_inputs else [("", points)]
        for i, (size, part) in enumerate(sizes):
            axes.plot(part[drawn.x], part[law.output], "o", ms=4, alpha=0.8,
                      color=_colour(i, len(sizes)),
                      label=_named(size) if size else None)  # fmt: skip
        if len(sizes) > 1:
            axes.legend(fontsize=6, title="num_params", title_fontsize=6, frameon=False)
    what = "no measurements" if points is None else "not fitted"
    axes.set(xlabel=measured(drawn.x, law), ylabel=measured(law.output, law),
             title=f"{name}\n{what}, published constants {own}")  # fmt: skip
    axes.title.set_fontsize(9)
    if drawn.values:
        figure.legend(fontsize=6, title=drawn.line, title_fontsize=6, frameon=False,
                      loc="outside right upper")  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(FIGURES / f"{name}.png")


def _colour(i: int, many: int) -> tuple[float, ...]:
    from matplotlib import colormaps

    return tuple(colormaps["viridis"](0.0 if many == 1 else 0.9 * i / (many - 1)))


def _named(group: object) -> str:
    return f"{group:.3g}" if isinstance(group, int | float | np.number) else str(group)


def main(arguments: list[str] | None = None) -> None:
    """Write the page, and the figures if they are asked for."""
    parser = argparse.ArgumentParser(description="the page of the named laws, and its figures")
    parser.add_argument("--figures", nargs="*", metavar="NAME", help="of all laws, or of these")
    parser.add_argument("--tables", type=Path, metavar="FOLDER", help="of tables without a licence")
    given = parser.parse_args(arguments)
    PAGE.write_text(page(), encoding="utf-8")
    if given.figures is None:
        return
    for name in given.figures or list(LAWS):
        if name not in SHOWN:
            draw_alone(name, DRAWN[name])
            continue
        shown = SHOWN[name]
        folder = given.tables if shown.source else DATA
        table = None if folder is None else read(shown, folder)
        if table is None:
            print(f"{name}: its picture is left as it is; --tables FOLDER with {shown.table}, from "
                  f"{shown.source}, draws it", file=sys.stderr)  # fmt: skip
        else:
            draw(name, shown, table)


if __name__ == "__main__":
    main()
