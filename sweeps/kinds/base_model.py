"""The model that a sweep file describes outside its generator, counted with options on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaling import DEFAULT_DATA
from scaling.base import Cost, refuse_unknown
from scaling.data import describe_data
from scaling.families import FAMILIES, cached_cost, get_family, option_names, with_preset
from sweeps.document import Document

COUNTS = ("num_params", "macs_forward", "flops_forward", "activations")


@dataclass(frozen=True)
class BaseModel:
    """A family and the options that all runs of a sweep share: preset, data, ``fixed``."""

    family: Any
    options: Mapping[str, Any]

    def config(self, options: Mapping[str, Any]) -> Any:
        """The configuration with ``options`` on top; ``ValueError`` if it cannot be."""
        return self.family.resolve({**self.options, **options})

    def cost(self, options: Mapping[str, Any]) -> Cost:
        """Exact counts of :meth:`config`."""
        return cached_cost(self.family, self.config(options))


def base_model(document: Document, needs: tuple[str, ...] = ()) -> BaseModel:
    """The base model of a sweep file.

    Parameters
    ----------
    document : Document
    needs : tuple of str
        Options that the family must have.

    Raises
    ------
    ValueError
        If there is no such family or preset, or the family lacks an option.
    """
    content = document.value
    fixed = document.mapping(content.get("fixed", {}), ("fixed",))
    shared = {**fixed, **{k: content[k] for k in ("data", "family", "preset") if k in content}}
    name = shared.get("family", "transformer")
    try:
        family = get_family(str(name))
    except ValueError as error:
        document.refuse(("family",), str(error))
    known = option_names(family)
    missing = [option for option in needs if option not in known]
    if missing:
        able = [other for other, f in FAMILIES.items() if set(needs) <= set(option_names(f))]
        if not able:
            refuse_unknown(missing[0], known, f"{name} option", document.at(("family",)))
        document.refuse(
            ("family",),
            f"family {name} has no {', '.join(missing)}; those that have: {', '.join(able)}",
        )
    info, data = document.info, shared.get("data", DEFAULT_DATA)
    if info is None and data is not None:  # None: a program's data, of which nothing is known
        try:
            info = describe_data(data)
        except FileNotFoundError as error:
            document.refuse(("data",), str(error))
    base = with_preset(family, shared["preset"]) if "preset" in shared else {}
    chosen = {key: value for key, value in fixed.items() if key in known}
    from_data = {} if info is None else family.data_options(info)
    return BaseModel(family, {**base, **from_data, **chosen})
