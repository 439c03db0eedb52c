"""ImportedSpec: a run that was trained elsewhere and taken over; its hash is ``run_id`` too.

Its identity is what its source holds of it, and how its result was read there. It is never
trained here: nobody knows how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from scaling.base import digest, jsonable
from scaling.schema import COLUMNS

IMPORTED_SCHEMA = 1
_ALSO_THEIRS = ("batch_size", "device")  # columns whose values are taken as a source has them
_TAKEN = ("spec", "resources", "keep")  # of a line of a sweep's file


@dataclass(frozen=True)
class ImportedSpec:
    """One run that was trained elsewhere, as its source tells it.

    Attributes
    ----------
    source : str
        What it was read from: ``wandb``, ``tensorboard``, ``mlflow``, ``logs``, ``table``.
    run : str
        Its id there, or its name where it has none; empty for a nameless row of a table.
    options : dict
        Its configuration, flat and as the source has it (``model.width``).
    final : dict
        The last values of its other numbers and texts.
    result : dict
        Its journal's ``end``: ``status``, and ``loss``, ``tokens``, ``seconds`` where known;
        ``status`` is ``running`` or ``planned`` too.
    counts : dict
        Columns of the run table that were found or worked out (``num_params``, ``flops``, ``lr``,
        ``seed``, ...), and ``exclude_reason``. No part of identity, so that they can be corrected.
    """

    source: str
    run: str
    options: Mapping[str, Any]
    final: Mapping[str, Any]
    result: Mapping[str, Any]
    counts: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = IMPORTED_SCHEMA

    @property
    def family(self) -> str:
        """What the table calls it: its source."""
        return self.source

    @property
    def num_tokens(self) -> int | None:
        """D: tokens (examples) that it was trained on; None where nobody says."""
        return self.result.get("tokens")

    @property
    def flops(self) -> float:
        """C: its training FLOPs, 6 N D where its source has none; 0 where that is not known."""
        found: float = self.counts.get("flops", self._flops_6nd.get("flops_6nd", 0))
        return found

    @property
    def _flops_6nd(self) -> dict[str, Any]:
        n, d = self.counts.get("num_params"), self.num_tokens
        return {} if n is None or d is None else {"flops_6nd": 6 * n * d}

    @property
    def is_finished(self) -> bool:
        """Whether it had ended when it was imported."""
        return self.result["status"] not in ("running", "planned")

    @property
    def run_id(self) -> str:
        """16 hexadecimal digits of SHA-256 over the canonical JSON of all but its counts."""
        counted = {k: v for k, v in self.to_dict().items() if k != "counts"}
        return digest({"kind": "imported", **counted})

    @property
    def trunk_id(self) -> None:
        """None: it has no checkpoints here."""
        return None

    def settings(self) -> dict[str, Any]:
        """Its options by name, for labels of runs."""
        return dict(self.options)

    def columns(self) -> dict[str, Any]:
        """The run table's columns beside its result; its options and final values among them."""
        tokens = {} if self.num_tokens is None else {"num_tokens": self.num_tokens}
        known = {"family": self.family, **self.counts, **tokens, **self._flops_6nd}
        theirs = {
            k: v
            for k, v in {**self.options, **self.final}.items()
            if (k not in COLUMNS or k in _ALSO_THEIRS)
            and k not in known
            and k not in _TAKEN
            and isinstance(v, str | int | float)
        }
        return {"run_id": self.run_id, **known, **theirs}

    def columns_after(self, num_tokens: int) -> dict[str, Any]:
        """Nothing: D is what it was trained on."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values; :meth:`from_dict` inverts it exactly."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ImportedSpec:
        """The spec that :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            If a key is unknown or missing, or the schema is of a later version.
        """
        if (version := value.get("schema_version", IMPORTED_SCHEMA)) > IMPORTED_SCHEMA:
            raise ValueError(
                f"spec has schema version {version} of imported runs, this release reads up to "
                f"{IMPORTED_SCHEMA}: upgrade scaling-lab"
            )
        try:
            return cls(**value)
        except TypeError as error:
            raise ValueError(f"not the spec of an imported run: {error}") from None
