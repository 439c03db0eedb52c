"""``write_report``: one page of one sweep, or of several side by side."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from analysis.compute import compare, method_bias
from analysis.fits import checklist
from analysis.forecasts import out_of_sample
from analysis.plotting import used
from analysis.report import sections
from analysis.report.beside import beside
from analysis.report.figures import figures, side_by_side
from analysis.report.findings import Findings
from analysis.report.headline import headline, weaknesses
from analysis.report.pictures import embedded, numbers, shades
from analysis.tables import records
from analysis.wording import cut
from scaling.base import NoAnswerError, jsonable, template, write_atomic

if TYPE_CHECKING:
    from analysis.plotting import Picture

SCRIPTS = ("uPlot.iife.min.js", "report.js")
_STYLES = ("uPlot.min.css", "report.css")


def write_report(
    path: Path,
    found: Findings | Sequence[Findings],
    *,
    drawn: Mapping[str, Picture] | None = None,
    title: str = "Scaling laws",
    how_to_run: str = "",
) -> Path:
    """Write the report to ``path`` and return it.

    Parameters
    ----------
    path : Path
        An ``.html`` file; its folder is made.
    found : Findings, or a sequence of them
        Several are compared first, and then each has its part.
    drawn : mapping, optional
        Pictures to show, of a single one; left out: :func:`figures`.
    title, how_to_run : str
        The heading, and the commands that make the report again.

    Raises
    ------
    ValueError
        If ``path`` has another suffix, or there is nothing found.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: a report is written as .html")
    several = [found] if isinstance(found, Findings) else list(found)
    if not several:
        raise ValueError("a report needs findings of at least one sweep")
    pictures: dict[str, Picture] = {}
    parts = []
    for i, one in enumerate(several):
        own = figures(one) if drawn is None or len(several) > 1 else drawn
        prefix = f"{i}-" if len(several) > 1 else ""
        pictures |= {f"{prefix}{name}": picture for name, picture in own.items()}
        parts.append(
            {"name": one.name, "short": cut(one.name), "id": prefix, **part(one, own, prefix)}
        )
    compared = None
    if len(several) > 1:
        together = side_by_side(several)
        if together.panel.layers:
            pictures = {"together": together, **pictures}
        compared = {
            "table": beside(several),
            "shown": sections.show("together", together, "Each sweep's runs and lowest losses.")
            if together.panel.layers
            else None,
        }
    page = rendered(
        "report.html",
        SCRIPTS,
        pictures,
        title=title,
        compared=compared,
        parts=parts,
        how_to_run=how_to_run,
    )
    write_atomic(path, page)
    return path


def rendered(
    name: str, scripts: Sequence[str], pictures: Mapping[str, Picture], **told: Any
) -> str:
    """A page by its template, with its styles, its scripts and no others, and its pictures."""
    texts = [_data(script) for script in scripts]
    return template("analysis.report", name).render(
        style=Markup("\n".join([shades(), *map(_data, _STYLES)])),
        scripts=[Markup(text) for text in texts],
        hashes=" ".join(map(_hash, texts)),
        data=embedded(numbers(pictures)),
        **told,
    )


def part(found: Findings, drawn: Mapping[str, Picture], prefix: str = "") -> dict[str, Any]:
    """What the page says of one sweep, as the template ``part.html`` takes it."""
    runs, fit, level = found.runs, found.headline, found.level
    plan, trouble = found.next
    curves = found.curves is not None and len(found.curves) > 0
    captions = sections.captions(fit, curves)
    shown = {f"{prefix}{shown.name}": shown for shown in sections.gallery(drawn, captions)}
    return {
        "headline": headline(found),
        "subject": sections.subject(runs),
        "tiles": sections.tiles(runs, fit, found.holdout, plan, level),
        "laws": [
            sections.law(one, level, one is fit, out_of_sample(one, runs)) for one in found.fits
        ],
        "no_law": found.no_law,
        "held_out": sections.held_out(found.holdout, level) if found.holdout else None,
        "predictions": sections.show("predictions", drawn["predictions"], "")
        if "predictions" in drawn
        else None,
        "plan": sections.next_runs(plan, runs, level) if plan else None,
        "expected": found.beyond.says if found.beyond is not None else "",
        "no_plan": trouble,
        "gallery": shown,
        "minima": sections.minima(found.isoflop, level) if found.isoflop is not None else None,
        "approaches": _approaches(found),
        "weak": weaknesses(runs),
        "care": sections.care(runs, found.fits),
        "checklist": checklist(fit, runs, level) if fit is not None else [],
        "excluded": sections.excluded(runs, found.fits),
        "run_table": sections.run_table(runs),
        "csv": _link(runs.to_csv(index=False, float_format="%.12g"), "text/csv"),
        "json": _link(json.dumps(values(found), separators=(",", ":")), "application/json"),
    }


def values(found: Findings) -> dict[str, Any]:
    """What a report holds as plain values, for whoever goes on from it."""
    plan, _ = found.next
    laws = []
    for fit in found.fits:
        told = fit.to_dict()
        laws.append({name: told[name] for name in told if name not in _NOT_TOLD})
    held: Any = list(found.holdout)
    whole = {
        "headline": headline(found),
        "laws": laws,
        "plan": [a.to_dict() for a in plan],
        "held_out": held,
        "runs": records(found.runs),
    }
    told = jsonable(whole)
    return dict(told)


_NOT_TOLD = ("draws", "inputs", "observed", "weights", "excluded")


def _data(name: str) -> str:
    return (files("analysis.report") / "templates" / name).read_text("utf-8").strip()


def _hash(text: str) -> str:
    """What allows a script of the page, and no other, to run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _link(text: str, kind: str) -> str:
    """A file inside its own address."""
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


def _approaches(found: Findings) -> sections.Told | None:
    """The approaches side by side, if at least two have an answer, and what the second costs."""
    runs, fit, minima = found.runs, found.headline, found.isoflop
    if fit is None or not fit.in_plane or "flops" not in runs.columns:
        return None
    both = compare(runs, curves=found.curves, isoflop=minima, fit=fit, level=found.level)
    if sum(np.isfinite(approach.a) for approach in both) < 2:
        return None
    bias = None
    if minima is not None:
        with suppress(ValueError, NoAnswerError):  # the table stands without it
            bias = method_bias(used(runs), fit, minima.method)
    return sections.approaches(both, bias, found.level)
