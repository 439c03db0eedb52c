"""The command ``scaling laws``: the laws that have a name, or all that is known of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.commands.options import read
from analysis.laws import LAWS, Law, find_law
from scaling.base import print_json, print_table

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True)
class Options:
    """Which law; all of them without one."""

    name: str | None = None
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling laws``."""
    asked = read(Options, args)
    if asked.name is None:
        described = [law_values(law) for law in LAWS.values()]
        if asked.json:
            print_json(described)
            return 0
        for one in described:
            print(f"{one['name']}\n    {one['formula']}\n    of {', '.join(one['inputs'])}")
            print(f"    {one['source']}\n    {one['examples'][0]}\n")
        print("scaling laws NAME shows one with its parameters; --law also takes a formula")
        return 0
    law = find_law(asked.name)
    values = law_values(law)
    if asked.json:
        print_json(values)
        return 0
    _print_law(law, values)
    return 0


def law_values(law: Law) -> dict[str, Any]:
    """What is known of a law, as the plain values that ``scaling laws --json`` prints."""
    return {
        "name": law.name,
        "formula": law.formula,
        "latex": law.latex,
        "source": law.source,
        "inputs": list(law.inputs),
        "output": law.output,
        "units": {name: law.unit(name) for name in (law.output, *law.inputs)},
        "space": law.space,
        "assumes": law.assumes,
        "parameters": [
            {
                "name": p.name,
                "means": p.means,
                "unit": p.unit,
                "low": p.low,
                "high": p.high,
                "start": list(p.start),
                "scale": p.scale,
            }
            for p in law.parameters
        ],
        "published": {name: dict(values) for name, values in law.published.items()},
        "examples": examples(law),
    }


def measured(name: str, law: Law, mark: str = "{}") -> str:
    """A column as ``mark`` shows it, with its unit behind it in brackets if that is known."""
    unit = law.unit(name)
    return mark.format(name) + (f" ({unit})" if unit else "")


def examples(law: Law) -> list[str]:
    """Command lines with the law: a fit, and a prediction where constants were published."""
    fit = f"scaling fit runs.csv --law {law.name}"
    if len(law.inputs) == 1:
        fit += f" --x-col {law.inputs[0]}"
    if "loss" in law.inputs:  # --loss-col would name that
        fit += f" --col {law.output}={law.output}"
    elif law.output != "loss":
        fit += f" --loss-col {law.output}"
    found = [fit]
    if law.published:
        constants = next(iter(law.published))
        at = ", ".join(f"{name}=..." for name in law.inputs)
        where = "-N 7e10 -D 1.4e12" if law.in_plane and len(law.inputs) == 2 else f"--at '{at}'"
        where = where if law.derive is None else "--schedule schedule.csv"
        found.append(f"scaling predict --law {law.name} --constants {constants} {where}")
    if law.shares:
        found.append("scaling mixture runs.csv --loss-col loss_a,loss_b")
    return found


def _print_law(law: Law, values: dict[str, Any]) -> None:
    """All that is known of one law."""
    rows = [
        (p.name, f"{p.low:g}", f"{p.high:g}", f"{p.start[0]:g} to {p.start[1]:g}"
         if p.name not in law.linear else "solved for", p.unit, p.means)
        for p in law.parameters
    ]  # fmt: skip
    print_table(law.formula, ("", "from", "to", "starts", "unit", "meaning"), rows)
    scaled = [name for name in law.inputs if law.rescale is not None and name not in law.unscaled]
    over = f"{', '.join(scaled)} over its geometric mean" if scaled else "the inputs as they are"
    print(f"from, to, starts: with {over}")
    output, *inputs = (measured(name, law) for name in (law.output, *law.inputs))
    print(f"predicts {output} of {', '.join(inputs)}; residuals are {law.space}")
    print(f"source: {law.source}")
    print(f"assumes {law.assumes}")
    print(f"LaTeX: {law.latex}")
    for name, constants in law.published.items():
        print(f"published, {name}: " + ", ".join(f"{k} {v:g}" for k, v in constants.items()))
    for line in values["examples"]:
        print(f"  {line}")
