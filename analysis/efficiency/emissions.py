"""Energy and CO2e of all runs of a sweep together, against what people know."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from analysis.tables import numbers, rated_watts
from scaling.base import KG_CO2E_PER_KWH, KG_PER_POUND, PUE, STRUBELL, kwh_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Emissions:
    """What the runs of a sweep took together.

    Attributes
    ----------
    runs, without : int
        Runs whose seconds are known, and others, which are not counted.
    seconds : float
        Of all runs, each as if it had its device to itself.
    kwh, kg_co2e : float
        By seconds x watts x PUE, and the grid's intensity (Strubell et al. 2019, eq. 1 and 2).
    flops : float
        Training FLOPs of all runs; NaN if they are not known.
    watts : float or None
        None for the rated power of each run's kind of device.
    pue, kg_co2e_per_kwh : float
    """

    runs: int
    without: int
    seconds: float
    kwh: float
    kg_co2e: float
    flops: float
    watts: float | None
    pue: float
    kg_co2e_per_kwh: float

    @property
    def beside(self) -> dict[str, float]:
        """kg CO2e of what Strubell et al. 2019, table 1, compare with."""
        return {name: KG_PER_POUND * pounds for name, pounds in STRUBELL.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values; ``share_of``: of each line of Strubell et al.'s table."""
        shares = {name: self.kg_co2e / kg for name, kg in self.beside.items()}
        return {**asdict(self), "share_of": shares}


def emissions(
    runs: pd.DataFrame,
    *,
    watts: float | None = None,
    pue: float = PUE,
    kg_co2e_per_kwh: float = KG_CO2E_PER_KWH,
) -> Emissions:
    """Energy and CO2e of ``runs``, failed and diverged ones too.

    Raises
    ------
    ValueError
        If no run's seconds are known.
    """
    seconds = numbers(runs["seconds"], "seconds") if "seconds" in runs.columns else None
    if seconds is None or not (seconds > 0).any():
        raise ValueError(
            "energy is seconds x watts, and no run says its seconds: --col seconds=COL names a "
            "column, or a formula as in 'seconds=3600*gpu_hours'"
        )
    known = runs[seconds > 0].assign(seconds=seconds[seconds > 0])
    power = watts if watts is not None else rated_watts(known)
    kwh = float(kwh_of(known["seconds"], power, pue).sum())
    flops = float(known["flops"].sum()) if "flops" in known.columns else float("nan")
    return Emissions(
        len(known), len(runs) - len(known), float(known["seconds"].sum()), kwh,
        kwh * kg_co2e_per_kwh, flops, watts, pue, kg_co2e_per_kwh,
    )  # fmt: skip
