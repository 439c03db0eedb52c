"""The command ``scaling energy``: energy and CO2e of all runs, against what people know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.commands.loading import table_of
from analysis.commands.options import FIGURE, Source, output_of, read
from analysis.efficiency import emissions
from analysis.plotting import emissions as draw
from analysis.plotting import save_all
from scaling.base import KG_CO2E_PER_KWH, PUE, flops_text, note, print_json, print_table

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True)
class Options:
    """What power a run and its data centre draw, and what the grid emits."""

    watts: float | None = None
    pue: float = PUE
    grid: float = KG_CO2E_PER_KWH
    json: bool = False


def run(args: argparse.Namespace) -> int:
    """``scaling energy``."""
    source, asked, output = read(Source, args), read(Options, args), output_of(args, FIGURE)
    table = table_of(source)
    found = emissions(table, watts=asked.watts, pue=asked.pue, kg_co2e_per_kwh=asked.grid)
    if output:
        for path in save_all({"emissions": draw(found, Path(source.name).name)}, output):
            note(f"written to {path}")
    if asked.json:
        print_json(found.to_dict())
        return 0
    watts = "the rated power of its device" if asked.watts is None else f"{asked.watts:g} W"
    print(f"{source.name}: {found.kwh:.3g} kWh, {found.kg_co2e:.3g} kg CO2e")
    print(
        f"{found.runs} runs, {found.seconds / 3600:.3g} hours x {watts} x PUE {asked.pue:g} x "
        f"{asked.grid:.3f} kg/kWh, as if each run had its device to itself"
    )
    if found.flops > 0:
        print(flops_text(found.flops))
    if found.without:
        print(f"not counted: {found.without} runs whose seconds are not known")
    rows = [(name, f"{kg:,.0f}", f"{found.kg_co2e / kg:.2g}") for name, kg in found.beside.items()]
    print_table("beside Strubell et al. 2019, table 1", ("", "kg CO2e", "the sweep is of it"), rows)
    return 0
