"""ProgramSpec: a run of training that is not ours; its hash is ``run_id``, as a RunSpec's is.

What affects the result: the command, the content of its code (or a declared version), its
options, seed, number of tokens, the data, and how the loss is read. What a run may use, where
its code lies and how it is asked to stop is the launcher's (:class:`sweeps.Resources`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from scaling.base import OptionError, Unit, Unread, digest, jsonable, whole

PROGRAM_SCHEMA = 1
COUNTED = (
    "num_params",
    "flops_per_token",
    "num_params_non_embedding",
    "unit",
    "flops",
    "tokens_per_step",
    "num_tokens",
    "num_steps",
    "seed",
)
"""What a ``{name}`` may be beside options; :meth:`ProgramSpec.values` fills these."""
PLACES = {
    "run_dir": "the program's own folder of this run: checkpoints, logs",
    "options_file": "its options as one file",
    "report_file": "where it appends its reports, one JSON object a line",
    "data_dir": "where prepared data sets are kept",
    "code_dir": "the copy of its code, not to be written to",
    "python": "the Python that runs this",
    "attempt": "how often the run was begun, this time included",
    "threads": "CPU threads that it may use",
    "gpus": "GPUs of a node that it may use",
    "nodes": "nodes of its job",
    "node_rank": "this node's number among them",
    "rank": "this process's number among all of the run",
    "local_rank": "its number among those of the node",
    "world_size": "processes of the run",
    "master_addr": "an address of the first node",
    "master_port": "a port that is free there",
}
"""What else a ``{name}`` may be, and what it stands for: whoever starts the run fills it."""


@dataclass(frozen=True)
class Counts:
    """What a model costs, as its program's sweep file says.

    Attributes
    ----------
    num_params : int
        N: all trainable parameters.
    flops_per_token : float
        Training FLOPs per token (example).
    num_params_non_embedding : int or None
        N without embeddings and output head; None where nobody says.
    unit : {"token", "example"}
    """

    num_params: int
    flops_per_token: float
    num_params_non_embedding: int | None = None
    unit: Unit = "token"

    def __post_init__(self) -> None:
        for name in ("num_params", "flops_per_token"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} {getattr(self, name)} is not above 0")

    @property
    def flops_train(self) -> float:
        """Training FLOPs per token (example)."""
        return self.flops_per_token

    def to_dict(self) -> dict[str, Any]:
        """All that is known, by name."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def run_columns(self, num_tokens: int) -> dict[str, Any]:
        """The run table's columns that follow from the counts and ``num_tokens``."""
        body = self.num_params_non_embedding
        return {
            "num_params": self.num_params,
            **({} if body is None else {"num_params_non_embedding": body}),
            "num_tokens": num_tokens,
            "data_unit": self.unit,
            "flops": whole(self.flops_per_token * num_tokens),
            "flops_6nd": 6 * self.num_params * num_tokens,
        }


@dataclass(frozen=True)
class Program:
    """A program that trains, and where it says what came of it.

    Attributes
    ----------
    command : tuple of str
        Words with ``{name}`` for options, counts and paths; with ``shell``, one shell line.
    function : str
        ``module:name`` of a Python function of (options, run), in place of a command.
    shell : bool
    code : str
        Hash of the content of its code, or ``version:`` and what the user declares; empty for
        a program that is installed.
    env : dict
        Variables of its environment, with ``{name}`` as in the command.
    reports : dict
        Where the loss is read and by what names (``scaling.programs.Reports``); empty for
        ``scaling.report``.
    options_format : {"json", "yaml", "toml"}
        Of ``{options_file}``.
    """

    command: tuple[str, ...] = ()
    function: str = ""
    shell: bool = False
    code: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    reports: Mapping[str, Any] = field(default_factory=dict)
    options_format: str = "json"


@dataclass(frozen=True)
class ProgramSpec:
    """One run of a program, fully resolved; equal specs are one run.

    Attributes
    ----------
    program : Program
    options : dict
        Everything that a ``{name}`` may be beside counts and paths, as plain values.
    counts : Counts
        Name the run's N and C; no part of identity.
    num_tokens : int
        D: a whole number of steps where ``tokens_per_step`` is known.
    tokens_per_step : int
        Tokens (examples) of an optimiser step; 0 for unknown.
    data : dict
        The data set's name and fingerprint, or what the user declares of it.
    seed : int
    name : str
        What the table calls its family; no part of identity.
    """

    program: Program
    options: Mapping[str, Any]
    counts: Counts
    num_tokens: int
    tokens_per_step: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    name: str = "program"
    schema_version: int = PROGRAM_SCHEMA

    @property
    def family(self) -> str:
        """What the table calls it."""
        return self.name

    @property
    def cost(self) -> Counts:
        """The counts, by the name that a :class:`RunSpec` has for them."""
        return self.counts

    @property
    def num_params(self) -> int:
        """N."""
        return self.counts.num_params

    @property
    def units_per_step(self) -> int:
        """Tokens (examples) of an optimiser step; all of them where that is unknown."""
        return self.tokens_per_step or self.num_tokens

    @property
    def num_steps(self) -> int:
        """Optimiser steps; 1 where nobody says how many tokens one takes."""
        return self.num_tokens // self.units_per_step

    @property
    def flops(self) -> float:
        """C: training FLOPs of the run by its counts."""
        flops: float = whole(self.counts.flops_train * self.num_tokens)
        return flops

    @property
    def run_id(self) -> str:
        """16 hexadecimal digits of SHA-256 over the canonical JSON of what affects the result."""
        counted = {k: v for k, v in self.to_dict().items() if k not in ("counts", "name")}
        return digest({"kind": "program", **counted})

    @property
    def trunk_id(self) -> None:
        """None: nobody else knows what a program's checkpoints share."""
        return None

    def unread(self, options: Mapping[str, Any]) -> list[Unread]:
        """None: what a program reads is not known."""
        return []

    def check_num_tokens(self, asked: float) -> None:
        """Refuse data of less than a step, which would be trained on all the same.

        Raises
        ------
        ValueError
            If ``asked`` is below ``tokens_per_step``.
        """
        if asked < self.tokens_per_step:
            raise OptionError(
                f"num_tokens {asked:,.0f} is less than one step of {self.tokens_per_step:,} "
                f"{self.counts.unit}s: lower tokens_per_step, or ask for more",
                "num_tokens",
            )

    @property
    def plugins(self) -> Mapping[str, str]:
        """None: a program's code is its own affair."""
        return {}

    def values(self) -> dict[str, Any]:
        """What a ``{name}`` of the command may be, paths left out."""
        steps = {"num_steps": self.num_steps} if self.tokens_per_step else {}
        return {
            **self.counts.to_dict(),
            **self.options,
            **steps,
            "tokens_per_step": self.tokens_per_step,
            "num_tokens": self.num_tokens,
            "flops": self.flops,
            "seed": self.seed,
        }

    def settings(self) -> dict[str, Any]:
        """Its options by name, for labels of runs."""
        return {**self.options, "seed": self.seed}

    def columns(self) -> dict[str, Any]:
        """The run table's columns that are known before the run, options included."""
        counted = self.counts.run_columns(self.num_tokens)
        size = {"batch_size": self.tokens_per_step} if self.tokens_per_step else {}
        known = {
            "run_id": self.run_id,
            "family": self.family,
            **counted,
            "seed": self.seed,
            **size,
        }
        own = {k: v for k, v in self.options.items() if isinstance(v, str | int | float)}
        return {**known, **{k: v for k, v in own.items() if k not in known}}

    def columns_after(self, num_tokens: int) -> dict[str, Any]:
        """The columns that are otherwise for a run that ended after ``num_tokens``."""
        if num_tokens == self.num_tokens:
            return {}
        planned = self.counts.run_columns(self.num_tokens)
        trained = self.counts.run_columns(num_tokens)
        return {
            **{name: value for name, value in trained.items() if value != planned[name]},
            **{f"{name}_planned": planned[name] for name in ("num_tokens", "flops")},
        }

    def with_tokens(self, num_tokens: int) -> ProgramSpec:
        """The same run on another number of tokens."""
        return replace(self, num_tokens=num_tokens)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values; :meth:`from_dict` inverts it exactly."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ProgramSpec:
        """The spec that :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            If a key is unknown or missing, or the schema is of a later version.
        """
        if (version := value.get("schema_version", PROGRAM_SCHEMA)) > PROGRAM_SCHEMA:
            raise ValueError(
                f"spec has program schema version {version}, this release reads up to "
                f"{PROGRAM_SCHEMA}: upgrade scaling-lab"
            )
        try:
            program = {**value["program"], "command": tuple(value["program"]["command"])}
            rest = {k: v for k, v in value.items() if k not in ("program", "counts")}
            return cls(program=Program(**program), counts=Counts(**value["counts"]), **rest)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a program's spec: {error}") from None
