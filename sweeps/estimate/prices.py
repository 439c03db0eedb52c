"""What an estimate of hours, money, energy and CO2e assumes."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.base import KG_CO2E_PER_KWH, PUE


@dataclass(frozen=True)
class Prices:
    """The ``estimate`` block of a sweep file.

    Attributes
    ----------
    workers : int
        Runs at a time; the command line's ``--workers`` comes first.
    flops_per_second : float, optional
        Exact training FLOPs a second of one worker, in place of a measurement.
    devices : int, optional
        Machines or accelerators that are held all the time: without it one machine on CPUs,
        one accelerator a worker elsewhere.
    price_per_hour : float
        Of one device.
    watts : float, optional
        Of one device; by its kind if not given (``WATTS``).
    pue : float
        Power usage effectiveness: what a data centre draws over what its devices draw.
    kg_co2e_per_kwh : float
    """

    workers: int = 1
    flops_per_second: float | None = None
    devices: int | None = None
    price_per_hour: float = 0.0
    watts: float | None = None
    pue: float = PUE
    kg_co2e_per_kwh: float = KG_CO2E_PER_KWH

    def __post_init__(self) -> None:
        for name in ("workers", "devices"):
            value = getattr(self, name)
            if value is not None and (value < 1 or value != int(value)):
                raise ValueError(f"{name} {value} is not a whole number from 1")
        if self.flops_per_second is not None and self.flops_per_second <= 0:
            raise ValueError(f"flops_per_second {self.flops_per_second} must be above 0")
        if self.pue < 1:
            raise ValueError(f"pue {self.pue} is below 1: no data centre draws less than it uses")
