"""From a point's options to the spec of a program's run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from scaling import LARGEST_SEED, PLACES, ProgramSpec
from scaling.base import OptionError, Store, convert, fill, whole
from sweeps.data_size import DATA_SIZES, data_size
from sweeps.derive import Derivation, Facts
from sweeps.document import PlacedError
from sweeps.programs.block import ProgramBlock
from sweeps.programs.counted import Counted, Setting
from sweeps.programs.data import DataSets


class ProgramRuns:
    """The runs of one program; each set of options that its count depends on is counted once.

    Parameters
    ----------
    block : ProgramBlock
    derive : sequence of Derivation
    info : DataInfo, optional
        What is known of the data; looked up by name when left out.
    root : path, optional
        The store.
    """

    def __init__(
        self,
        block: ProgramBlock,
        derive: Sequence[Derivation],
        info: Any = None,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        self.block = block
        self.on_shape = [d for d in derive if d.rule.on_shape]
        self.later = [d for d in derive if not d.rule.on_shape]
        self.data = DataSets(info)
        self.store = Store.at(root)
        self.known: dict[str, Counted] = {}

    def resolve(self, options: dict[str, Any]) -> tuple[ProgramSpec, float, float | None]:
        """The run that ``options`` and the rules give, D as asked, and the budget if one sets D.

        Raises
        ------
        ValueError
            If the options do not go together, or a formula or a word has no value for them.
        """
        seed = convert("int", "seed", options.get("seed", 0))
        if not 0 <= seed <= LARGEST_SEED:
            raise OptionError(f"seed {seed} is not in [0, {LARGEST_SEED}]", "seed")
        data, info = self._data(options.get("data"))
        own = {
            key: whole(value)
            for key, value in options.items()
            if key not in ("data", "seed", *DATA_SIZES)
        }
        counted = self._counted(own, info)
        size, budget = data_size(options, counted.counts)
        if size < 1:
            raise OptionError(f"num_tokens {size:g} is below 1", "num_tokens")
        chosen = {**counted.options, **({"data": data["name"]} if "name" in data else {})}
        counts = counted.counts.to_dict()
        for d in self.later:
            facts = Facts({**counted.facts, **chosen}, counts, size, counted.units_per_item)
            chosen[d.target] = whole(d.value(facts))
        step = self._step({**counts, **chosen})
        spec = ProgramSpec(
            program=self.block.program,
            options=chosen,
            counts=counted.counts,
            num_tokens=max(1, round(size / step)) * step if step else round(size),
            tokens_per_step=step,
            data=data,
            seed=seed,
            name=self.block.name,
        )
        self._check_words(spec)
        return spec, size, budget

    def only_info(self) -> Any:
        """What is known of the data if all runs are on one set of ours; else None."""
        return self.data.only()

    def _data(self, value: Any) -> tuple[dict[str, Any], Any]:
        """The spec's data, and what is known of them."""
        if isinstance(value, str):
            info = self.data.info(value)
            return {"name": info.name, "fingerprint": info.fingerprint}, info
        if not isinstance(value, Mapping | None):
            raise OptionError(f"data {value!r} is no name of a data set", "data")
        return dict(value or {}), None

    def _counted(self, options: dict[str, Any], info: Any) -> Counted:
        key = repr((sorted(options.items(), key=lambda item: item[0]), info))
        if key not in self.known:
            setting = Setting(self._shaped, info, self.block.wanted, self.store)
            self.known[key] = self.block.counting.model(options, setting)
        return self.known[key]

    def _shaped(self, options: dict[str, Any]) -> dict[str, Any]:
        """``options`` with those that rules for the model's shape derive."""
        for d in self.on_shape:
            options[d.target] = whole(d.value(Facts(options)))
        return options

    def _step(self, values: Mapping[str, Any]) -> int:
        """Tokens of a step; 0 where nobody says."""
        formula = self.block.tokens_per_step
        if formula is None:
            return 0
        step = formula.value(values)
        if step != int(step):
            said = formula.arithmetic.text
            raise PlacedError(f"tokens_per_step {said!r} gives {step}: not whole", formula.where)
        return int(step)

    def _check_words(self, spec: ProgramSpec) -> None:
        """Refuse a run that has no value for a word, or one that its format cannot write."""
        values = {**dict.fromkeys(PLACES, 0), **spec.values()}
        for word in self.block.words:
            if missing := [name for name in word.names if name not in values]:
                raise PlacedError(f"{word.text!r}: it sets no {missing[0]}", word.where)
            if ":" in word.text:
                try:
                    fill(word.text, values)
                except ValueError as error:
                    raise PlacedError(str(error), word.where) from None
        if spec.program.options_format == "toml" and (
            none := next((k for k, v in spec.options.items() if v is None), None)
        ):
            raise OptionError(f"{none} is null, which TOML cannot write: leave it out", none)
