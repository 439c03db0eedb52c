"""A table in somebody's file, of any usual kind and packing, as it stands there."""

from __future__ import annotations

from scaling.table_file.archives import is_archive, unpacked
from scaling.table_file.cells import opened, value_in
from scaling.table_file.charts import curves_of_chart
from scaling.table_file.delimited import REMARKS
from scaling.table_file.lines import Lines
from scaling.table_file.nested import json_objects, json_value
from scaling.table_file.numbers import number_of, plain_value
from scaling.table_file.packed import bare_name, kind_of
from scaling.table_file.reading import TABLE_SUFFIXES, is_table, read_frame

__all__ = [
    "REMARKS",
    "TABLE_SUFFIXES",
    "Lines",
    "bare_name",
    "curves_of_chart",
    "is_archive",
    "is_table",
    "json_objects",
    "json_value",
    "kind_of",
    "number_of",
    "opened",
    "plain_value",
    "read_frame",
    "unpacked",
    "value_in",
]
