"""A fit as text: a table for a paper in LaTeX, its certificate, its checklist, the approaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from analysis.compute import Approach
from analysis.fits import Fit, Item
from analysis.forecasts import missed
from analysis.tables import NATS, Note, counted
from analysis.wording import span
from scaling import COLUMN_FLAGS, COLUMNS
from scaling.base import NoAnswerError, note, print_table

if TYPE_CHECKING:
    import pandas as pd


def print_taken(table: pd.DataFrame) -> bool:
    """What was taken for N, D, C and the loss of a table that names them its own way.

    False where it names them as we do, and nothing is printed.
    """
    notes = _taken(table)
    said = {line.about: line.removeprefix(f"{line.about} is ") for line in notes}
    if not said:
        return False
    units = {"loss": f"{NATS} (assumed)", **table.attrs.get("units", {})}
    rows = []
    for name in COLUMN_FLAGS:
        if name in table.columns:
            values = table[name].dropna()
            what = said.get(name, f"the column {name!r}")
            low, high = (values.min(), values.max()) if len(values) else (None, None)
            rows.append((name, what, low, high, units.get(name, COLUMNS[name].unit)))
    print_table("taken for", ("", "is", "from", "to", "unit"), rows)
    for name, what in said.items():
        if name not in COLUMN_FLAGS:
            note(f"{name} is {what}")
    return True


def say_taken(table: pd.DataFrame) -> None:
    """The same as lines on stderr, where there is no result to show it with."""
    for line in _taken(table):
        note(line)


def _taken(table: pd.DataFrame) -> list[Note]:
    return [line for line in table.attrs["notes"] if isinstance(line, Note) and line.taken]


def left_out(fit: Fit, table: pd.DataFrame) -> list[str]:
    """Rows that this fit could not use and the table's notes do not name, one line a reason."""
    known = table["exclude_reason"].tolist()
    rows: dict[str, list[int]] = {}
    for line in fit.excluded:
        if not known[line["row"]]:
            name, value, _ = line["reason"].partition(" is ")
            reason = f"{name} not positive" if value else line["reason"]
            rows.setdefault(reason, []).append(int(table.index[line["row"]]))
    return [f"left out, {reason}: {counted(table, which)}" for reason, which in rows.items()]


def latex_table(fit: Fit, level: float = 0.9) -> str:
    """The parameters with their intervals as a ``booktabs`` table, the law as its caption.

    Examples
    --------
    >>> print(latex_table(fit))  # doctest: +SKIP
    \\begin{table}
    ...
    """
    ci = fit.ci(level) if fit.draws is not None else {}
    rows = [
        (f"${p.latex}$", fit.params[p.name], ci.get(p.name), p.means) for p in fit.law.parameters
    ]
    if fit.in_plane:
        with suppress(NoAnswerError):  # the law has no best size
            both = fit.exponents_ci(level) if fit.draws is not None else {}
            star = "^*" if fit.exponent_names != ("a", "b") else ""  # the law's own a is another
            for name, value, size in zip("ab", fit.exponents(), "ND", strict=True):
                means = f"${size}^* \\propto C^{{{name}{star}}}$"
                rows.append((f"${name}{star}$", value, both.get(name), means))
    body = [
        f"{symbol} & {number(value)} & {interval(at)} & {escape(means)} \\\\"
        for symbol, value, at, means in rows
    ]
    caption = (
        f"${fit.law.latex}$ fitted to {fit.n_runs} runs ({fit.loss_fn} on {fit.space} residuals"
        + (f", $\\delta = {fit.delta:g}$" if fit.loss_fn in ("huber", "tukey") else "")
        + f"; $R^2 = {fit.r2:.4f}$"
        + (f"; {fit.resample} bootstrap, {len(fit.draws)} draws" if fit.draws is not None else "")
        + ")."
    )
    return "\n".join(
        [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{caption}}}",
            "\\begin{tabular}{llll}",
            "\\toprule",
            f"& value & {100 * level:g}\\,\\% interval & \\\\",
            "\\midrule",
            *body,
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
        ]
    )


def number(value: float) -> str:
    """Four significant digits; a power of ten where there are many."""
    text = f"{value:.4g}"
    if "e" not in text:
        return f"${text}$"
    digits, exponent = text.split("e")
    return f"${digits} \\times 10^{{{int(exponent)}}}$"


def interval(ends: tuple[float, float] | None) -> str:
    """``$1.2$ to $3.4$``; empty if it is not known."""
    return "" if ends is None else " to ".join(number(end) for end in ends)


def escape(text: str) -> str:
    """``text`` without LaTeX's special characters, but for mathematics."""
    return text if "$" in text else text.translate({ord(c): f"\\{c}" for c in "%&#_"})


def certificate(fit: Fit) -> str:
    """What stands behind the optimum and its intervals, in one line."""
    found = fit.diagnostics
    starts = (
        f"{found['agree']:.0%} of {found['starts']} random starts end at this optimum, the best "
        f"of them {found['objective_gap']:.1g} above it"
        if found["starts"]
        else "no random starts"
    )
    return (
        f"certificate: {starts}; gradient {found['gradient_norm']:.1g} of the objective; condition "
        f"number {found['condition']:.3g}; at bounds: {', '.join(found['at_bounds']) or 'none'}"
        + _drawn(fit)
    )


def _drawn(fit: Fit) -> str:
    """What the intervals were drawn from; nothing where there are none."""
    if fit.draws is None:
        return ""
    failed, groups = fit.diagnostics["failed_draws"], fit.diagnostics["groups"]
    return (
        f"; {len(fit.draws)} draws of {fit.resample}"
        + (f" ({groups})" if fit.resample == "cluster" else "")
        + (f", {failed} more failed" if failed else "")
    )


def print_checklist(items: Sequence[Item]) -> None:
    """Questions and answers as Markdown on stdout; nothing if there are none."""
    section = ""
    for item in items:
        if item.section != section:
            section = item.section
            print(f"\n## {section.capitalize()}\n")
        print(f"- **{item.question}** {item.answer}")
    if items:
        left = sum(item.open for item in items)
        print(f"\n{len(items)} questions after Li et al. 2025 (arXiv 2502.18969), table 1")
        note(f"{left} of them are left to the author" if left else "all are answered")


def tested(tests: Sequence[Mapping[str, Any]]) -> str:
    """How far the law missed runs that it had not seen, one line."""
    if not tests:
        return "out of sample: the runs leave too few below any cut-off to test the law on"
    return (
        f"out of sample: fitted below {len(tests)} cut-off{'s' * (len(tests) > 1)}, it missed the "
        f"runs next above by {missed(tests)} (scaling backtest tells more)"
    )


def print_approaches(approaches: Sequence[Approach], level: float = 0.9) -> None:
    """The approaches side by side on stdout; nothing if there are none."""
    if not approaches:
        return
    percent = f"{100 * level:g} %"
    rows = [(x.name, x.method, x.a, span(x.a_ci), x.b, span(x.b_ci), x.status) for x in approaches]
    header = ("approach", "by", "a", percent, "b", percent, "status")
    print_table("N* ~ C^a and D* ~ C^b by each approach", header, rows)
