"""What every room stands on: errors, names, typed values, identity, cost, the terminal."""

from __future__ import annotations

from scaling.base.arithmetic import Arithmetic
from scaling.base.cards import BLOCK_SECONDS, PEAKS, has_bfloat16, how_compiled, peak_flops
from scaling.base.collector import uncollected
from scaling.base.cost import (
    MAX_EPOCHS,
    Cost,
    Routing,
    Sized,
    Unit,
    nearest_size,
    tokens_for_flops,
    training_memory,
)
from scaling.base.display import Display
from scaling.base.energy import (
    KG_CO2E_PER_KWH,
    KG_PER_POUND,
    PUE,
    STRUBELL,
    WATTS,
    kwh_of,
    of_a_flight,
)
from scaling.base.errors import (
    NoAnswerError,
    OptionError,
    WorkerLostError,
    WorkError,
    describe,
    is_full,
)
from scaling.base.files import beside, read_json, replacing, write_atomic
from scaling.base.identity import as_written, digest, hashed, stated
from scaling.base.names import refuse_unknown
from scaling.base.placeholders import as_word, fill, placeholders, whole
from scaling.base.plugins import (
    GROUPS,
    is_import_path,
    load,
    own_folders,
    path_of,
    plugged,
    search_in,
    source_files,
    source_of,
    sources,
)
from scaling.base.reading import ReadBy, Unread, as_read, read_unless, read_where, unread
from scaling.base.settings import parse_settings
from scaling.base.spec_names import (
    ONLY_DECOUPLED,
    OPTIMIZER_DEFAULTS,
    OPTIMIZERS,
    OWN_OPTIMIZERS,
    SCHEDULES,
    optimizers_with,
)
from scaling.base.store import Store
from scaling.base.templates import template
from scaling.base.terminal import (
    abridged,
    console,
    format_value,
    jsonable,
    note,
    note_once,
    print_json,
    print_table,
    progress,
)
from scaling.base.typed import convert, finite_number, typed
from scaling.base.units import flops_text, pfs_days

__all__ = [
    "BLOCK_SECONDS",
    "GROUPS",
    "KG_CO2E_PER_KWH",
    "KG_PER_POUND",
    "MAX_EPOCHS",
    "ONLY_DECOUPLED",
    "OPTIMIZERS",
    "OPTIMIZER_DEFAULTS",
    "OWN_OPTIMIZERS",
    "PEAKS",
    "PUE",
    "SCHEDULES",
    "STRUBELL",
    "WATTS",
    "Arithmetic",
    "Cost",
    "Display",
    "NoAnswerError",
    "OptionError",
    "ReadBy",
    "Routing",
    "Sized",
    "Store",
    "Unit",
    "Unread",
    "WorkError",
    "WorkerLostError",
    "abridged",
    "as_read",
    "as_word",
    "as_written",
    "beside",
    "console",
    "convert",
    "describe",
    "digest",
    "fill",
    "finite_number",
    "flops_text",
    "format_value",
    "has_bfloat16",
    "hashed",
    "how_compiled",
    "is_full",
    "is_import_path",
    "jsonable",
    "kwh_of",
    "load",
    "nearest_size",
    "note",
    "note_once",
    "of_a_flight",
    "optimizers_with",
    "own_folders",
    "parse_settings",
    "path_of",
    "peak_flops",
    "pfs_days",
    "placeholders",
    "plugged",
    "print_json",
    "print_table",
    "progress",
    "read_json",
    "read_unless",
    "read_where",
    "refuse_unknown",
    "replacing",
    "search_in",
    "source_files",
    "source_of",
    "sources",
    "stated",
    "template",
    "tokens_for_flops",
    "training_memory",
    "typed",
    "uncollected",
    "unread",
    "whole",
    "write_atomic",
]
