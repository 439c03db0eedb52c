"""From a file, a sweep or an MLflow experiment to a run table."""

from __future__ import annotations

from analysis.tables.costs import metric_of, rated_watts, unusable, usable, with_complexity
from analysis.tables.designs import PARAMETERS, with_design
from analysis.tables.reading import (
    NATS,
    Note,
    TableReading,
    alike,
    counted,
    is_error,
    is_score,
    numbers,
    one_variable,
    place,
    proposal,
    read_rows,
)
from analysis.tables.responses import RESPONSE, stacked
from analysis.tables.show import RunTable, said
from analysis.tables.sources import (
    is_file,
    load_curves,
    load_designs,
    load_models,
    load_runs,
    load_specs,
)
from analysis.tables.structure import Structure, structure
from analysis.tables.writing import records, write_table

__all__ = [
    "NATS",
    "PARAMETERS",
    "RESPONSE",
    "Note",
    "RunTable",
    "Structure",
    "TableReading",
    "alike",
    "counted",
    "is_error",
    "is_file",
    "is_score",
    "load_curves",
    "load_designs",
    "load_models",
    "load_runs",
    "load_specs",
    "metric_of",
    "numbers",
    "one_variable",
    "place",
    "proposal",
    "rated_watts",
    "read_rows",
    "records",
    "said",
    "stacked",
    "structure",
    "unusable",
    "usable",
    "with_complexity",
    "with_design",
    "write_table",
]
