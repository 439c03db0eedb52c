"""Counts by one of our families: exact, from the options of a program that it knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from scaling import LABELS, Counts
from scaling.base import jsonable, refuse_unknown
from scaling.families import (
    cached_cost,
    get_family,
    option_names,
    refuse_both,
    with_preset,
)
from sweeps.document import Document, Where, called, kind
from sweeps.programs.counted import TARGET, Counted, Options, Setting, no_target


@dataclass(frozen=True)
class FamilyCounts:
    """Counts of a family.

    Attributes
    ----------
    name : str
        The family's.
    preset, given : dict
        Its options that no run varies: of a preset, and those that ``counts`` gives.
    names : dict
        Option of the family -> what the program calls it, where that is another name.
    """

    name: str
    preset: Mapping[str, Any]
    given: Mapping[str, Any]
    names: Mapping[str, str]

    @classmethod
    def read(cls, document: Document, keys: Mapping[str, Any], where: Where) -> FamilyCounts:
        """From the ``counts`` of a sweep file.

        Raises
        ------
        ValueError
            For a family, a preset or an option that is not known.
        """
        name = keys["family"]
        try:
            get_family(str(name))
        except ValueError as error:
            document.refuse((*where, "family"), str(error))
        family = get_family(name)
        known = option_names(family)
        preset: dict[str, Any] = {}
        if "preset" in keys:
            try:
                preset = with_preset(family, keys["preset"])
            except ValueError as error:
                document.refuse((*where, "preset"), str(error))
        names = document.mapping(keys.get("names", {}), (*where, "names"))
        for key, other in names.items():
            at = (*where, "names", key)
            if key not in known:
                refuse_unknown(key, known, f"{name} option", document.at(at))
            if not isinstance(other, str):
                document.refuse(at, f"{called(at)} must be a name, not {kind(other)}")
        given = {k: v for k, v in keys.items() if k not in ("family", "preset", "names")}
        for key in given:
            if key not in known:
                valid = (*known, "preset", "names")
                refuse_unknown(key, valid, f"{name} option", document.at((*where, key)))
        return cls(name, preset, given, names)

    @property
    def sets(self) -> tuple[str, ...]:
        """All fields of the resolved model."""
        return tuple(self.names.get(f.name, f.name) for f in fields(get_family(self.name).config))

    @property
    def sized(self) -> tuple[str, ...]:
        """The fields without a default, which make a model's size."""
        return tuple(
            self.names.get(f.name, f.name)
            for f in fields(get_family(self.name).config)
            if f.default is MISSING and f.default_factory is MISSING
        )

    @property
    def has_body(self) -> bool:
        """Always."""
        return True

    @property
    def takes_target(self) -> bool:
        """Whether the family has that dial."""
        return TARGET in get_family(self.name).dials

    def check(self, document: Document, options: Collection[str]) -> None:
        """Refuse an option that ``counts`` sets too, and two that are one of the family's."""
        for key in options:
            own = self._own(key)
            if own in self.given:
                where: Where = ("program", "counts", own)
                document.refuse(where, f"{own} is set here and by option {key}: keep one")
            if own != key and own in options:
                where = ("program", "counts", "names", own)
                document.refuse(where, f"options {own} and {key} are both its {own}: rename one")

    def model(self, options: Options, setting: Setting) -> Counted:
        """The family's model for the options that it knows, and its fields as options."""
        family = get_family(self.name)
        full = setting.shape(dict(options))
        if TARGET in full and not self.takes_target:
            raise no_target()
        chosen = self.known(full)
        refuse_both(family.either, chosen)
        from_data = {} if setting.info is None else family.data_options(setting.info)
        config = family.resolve({**self.preset, **from_data, **self.given, **chosen})
        cost = cached_cost(family, config)
        counts = Counts(
            num_params=cost.num_params,
            flops_per_token=cost.flops_train,
            num_params_non_embedding=cost.num_params_non_embedding,
            unit=family.unit,
        )
        resolved = jsonable(asdict(config))
        full.pop(TARGET, None)
        for dial in LABELS:  # they act by the fields; cells that round to one model are one run
            if dial not in setting.wanted:
                full.pop(dial, None)
        for f in fields(family.config):
            name = self.names.get(f.name, f.name)
            if name in full or name in setting.wanted or f.name in self.names:
                full[name] = resolved[f.name]
        facts = {**self.given, **chosen, **resolved}
        return Counted(counts, full, facts, family.units_per_item(config))

    def known(self, options: Options) -> dict[str, Any]:
        """Those of a program's options that the family knows, by its names."""
        valid = option_names(get_family(self.name))
        return {own: v for key, v in options.items() if (own := self._own(key)) in valid}

    def as_own(self, document: Document) -> Document:
        """The sweep file as the shapes that scale a family's model read it."""
        content: Mapping[str, Any] = document.value
        fixed = content.get("fixed", {})
        known = self.known(fixed) if isinstance(fixed, Mapping) else {}
        data = content.get("data") if isinstance(content.get("data"), str) else None
        own = {"family": self.name, "fixed": {**self.preset, **self.given, **known}, "data": data}
        return replace(document, value={**content, **own})

    def _own(self, option: str) -> str:
        """The family's name for a program's option."""
        return next((own for own, name in self.names.items() if name == option), option)
