"""RunSpec: everything that affects a run's result, and nothing else; its hash is ``run_id``.

No paths, names, resources or log intervals. A spec is fully resolved: defaults, seed, the
data's fingerprint and the exact number of tokens are in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from scaling.base import (
    OPTIMIZER_DEFAULTS,
    Cost,
    OptionError,
    ReadBy,
    Unread,
    as_read,
    as_written,
    convert,
    digest,
    hashed,
    path_of,
    refuse_unknown,
    sources,
    stated,
    typed,
    unread,
)
from scaling.data import describe_data, own_data
from scaling.families import (
    cached_cost,
    families_with,
    get_family,
    option_names,
    refuse_both,
    with_preset,
)
from scaling.spec_checks import check_data, check_model
from scaling.spec_parts import (
    BY_EXAMPLES,
    PART_OF,
    PARTS,
    DataSpec,
    OptimSpec,
    ScheduleSpec,
    TrainSpec,
    by_field,
    check_parts,
    with_curve,
)

SCHEMA_VERSION = 1
LARGEST_SEED = 2**63 - 1
TOP_OPTIONS = (
    "family",
    "preset",
    "seed",
    "data_seed",
    "tokens_per_param",
    "warmup_fraction",
    *BY_EXAMPLES,
)
DEFAULT_DATA = "python-source"
COUNTED_OPTIM, COUNTED_SCHEDULE = OptimSpec(lr=0.0), ScheduleSpec("constant")
READ_BY_COUNTING = ("num_tokens", "batch_size", "final_tokens", "windows", "train_eval")
"""Of training, what a run of a model reads that is counted and does not learn."""
PLANNED_COLUMNS = ("num_tokens", "flops")  # kept as planned too, for a run that ended before


def _data_seed_before(spec: RunSpec) -> int | None:
    """What ``data_seed`` is where it has no effect: left out, or the same as ``seed``."""
    return spec.data_seed if spec.data_seed == spec.seed else None


def _has_stacks(spec: RunSpec) -> bool:
    """Whether Muon meets matrices of experts."""
    return spec.optim.optimizer == "muon" and bool(getattr(spec.model, "experts", 0))


@dataclass(frozen=True)
class RunSpec:
    """One run, fully resolved; equal specs give equal results.

    Attributes
    ----------
    family : str
    model, data, optim, schedule, train
        The parts; options that nothing in the run reads stand at their defaults.
    seed : int
        Of initialisation and dropout, and of the data's order where ``data_seed`` is None.
    data_seed : int, optional
        Of the data's order and augmentation.
    by_expert : bool
        Whether Muon takes each expert's matrix by itself; False in specs of an earlier release,
        which took a layer's as one.

    Examples
    --------
    >>> spec = RunSpec.resolve(depth=2, width=32, num_tokens=1 << 16, lr=0.005)  # doctest: +SKIP
    >>> spec.run_id  # doctest: +SKIP
    '...'
    """

    family: str
    model: Any
    data: DataSpec
    optim: OptimSpec
    schedule: ScheduleSpec
    train: TrainSpec
    seed: int = 0
    schema_version: int = field(default=SCHEMA_VERSION)
    data_seed: int | None = field(default=None, metadata={"before": _data_seed_before})
    plugins: Mapping[str, str] = field(default_factory=dict, hash=False, metadata={"before": {}})
    by_expert: bool = field(default=True, metadata={"before": False, "counts": _has_stacks})

    @classmethod
    def resolve(
        cls, *, info: Any = None, model: Any = None, alone: bool = True, **options: Any
    ) -> RunSpec:
        """A spec from flat options: the family's, and the fields of the four parts.

        Parameters
        ----------
        info : DataInfo, optional
            What is known of the data set; looked up by its name when left out.
        model : ModelConfig, optional
            A resolved model of the family, in place of model options.
        alone : bool
            Whether to refuse an option that nothing in this run reads, and data of less than a
            step. Who resolves the many runs of a sweep asks :meth:`unread` and
            :meth:`check_num_tokens` when all are known.
        **options
            ``family`` (default ``transformer``), ``preset``, ``seed``, ``data_seed``, ``data``;
            model options; any field of a part; ``num_tokens`` (alias ``num_examples``) or
            ``tokens_per_param`` x ``num_params``; ``warmup_fraction`` of ``num_tokens``;
            ``curve_examples``, ``final_examples`` and ``warmup_examples``, which are the same of
            ``_tokens`` where data are examples.

        Raises
        ------
        ValueError
            For an unknown option, a value out of range, or a missing size, data size or rate.
        """
        everything = dict(options)
        if "num_examples" in options:
            options["num_tokens"] = options.pop("num_examples")
        examples = {name: options.pop(name) for name in BY_EXAMPLES if name in options}
        family_name = options.pop("family", "transformer")
        family = get_family(family_name)
        preset = options.pop("preset", None)
        seed = convert("int", "seed", options.pop("seed", 0))
        data_seed = options.pop("data_seed", None)
        if data_seed is not None:
            data_seed = convert("int", "data_seed", data_seed)
        per_param = options.pop("tokens_per_param", None)
        warmup_fraction = options.pop("warmup_fraction", None)
        model_names = option_names(family)
        for name in options:
            if name not in model_names and name not in PART_OF:
                valid = (*model_names, *PART_OF, *TOP_OPTIONS)
                refuse_unknown(name, valid, "option", hint=families_with(name))
        if info is None:
            info = describe_data(options.get("data", DEFAULT_DATA))
        options |= by_field(examples, options, info.unit)
        given = {k: v for k, v in options.items() if k in model_names}
        if model is None:
            refuse_both(family.either, given)
            base = with_preset(family, preset) if preset else {}
            model = family.resolve({**base, **family.data_options(info), **given})
        elif given or preset:
            raise ValueError(f"the model is given, so {preset or ', '.join(given)} has no effect")
        vocab_size = getattr(model, "vocab_size", None)
        if vocab_size and info.vocab_size and vocab_size < info.vocab_size:
            raise OptionError(
                f"vocab_size {vocab_size} is below the data's {info.vocab_size}", "vocab_size"
            )

        chosen: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
        for name, value in options.items():
            if name in PART_OF and name not in given:
                chosen[PART_OF[name]][name] = value
        chosen["data"] = {"data": info.name, "fingerprint": info.fingerprint}
        if per_param is not None:
            if "num_tokens" in options:
                raise OptionError(
                    "tokens_per_param sets num_tokens: give either, not both",
                    "tokens_per_param",
                    "num_tokens",
                )
            per_param = convert("float", "tokens_per_param", per_param)
            chosen["train"]["num_tokens"] = per_param * cached_cost(family, model).num_params
        if "num_tokens" not in chosen["train"]:
            raise OptionError(
                "no data size: give num_tokens or tokens_per_param",
                "num_tokens",
                "tokens_per_param",
            )
        if getattr(family, "counted", False):
            chosen["optim"].setdefault("lr", COUNTED_OPTIM.lr)
        if "lr" not in chosen["optim"]:
            raise OptionError("no learning rate: give lr, or a rule under derive", "lr")
        batch_size = convert("int", "batch_size", options.get("batch_size", TrainSpec.batch_size))
        if batch_size < 1:
            raise OptionError(f"batch_size {batch_size} is not in [1, inf]", "batch_size")
        step = batch_size * family.units_per_item(model)
        asked = convert("float", "num_tokens", chosen["train"]["num_tokens"])
        if asked < 1:
            raise OptionError(f"num_tokens {asked:g} is not in [1, inf]", "num_tokens")
        num_tokens = max(1, round(asked / step)) * step
        chosen["train"]["num_tokens"] = num_tokens
        if warmup_fraction is not None:
            warmup_fraction = convert("float", "warmup_fraction", warmup_fraction)
            if "warmup_tokens" in chosen["schedule"]:
                raise OptionError(
                    "warmup_fraction sets warmup_tokens: give either, not both",
                    "warmup_fraction",
                    "warmup_tokens",
                )
            if not 0 <= warmup_fraction <= 1:
                raise OptionError(
                    f"warmup_fraction {warmup_fraction} is not in [0, 1]", "warmup_fraction"
                )
            chosen["schedule"]["warmup_tokens"] = round(warmup_fraction * num_tokens)
        chosen["train"] = with_curve(chosen["train"])
        usual = OPTIMIZER_DEFAULTS.get(str(chosen["optim"].get("optimizer")), {})
        chosen["optim"] = {**usual, **chosen["optim"]}
        parts: dict[str, Any] = {part: typed(kind, chosen[part]) for part, kind in PARTS.items()}
        outside = (
            path_of("family", family_name),
            own_data(info.name)[0],
            parts["train"].task,
        )
        spec = cls(
            family=family_name,
            model=model,
            seed=seed,
            data_seed=data_seed,
            plugins=sources(outside),
            **parts,
        )
        spec.check()
        check_data(family, model, spec.train, info)
        if alone:
            spec.check_num_tokens(asked)
            for option in spec.unread(everything):
                if option.value != option.default:
                    raise OptionError(str(option), option.name)
        return spec.as_read()

    def unread(self, options: Mapping[str, Any]) -> list[Unread]:
        """Those of the flat options of this run that nothing in it reads."""
        if self.is_counted:
            return unread(self.model, options) + self._unread_by_counting(options)
        return [found for part in self._parts().values() for found in unread(part, options)]

    def _unread_by_counting(self, options: Mapping[str, Any]) -> list[Unread]:
        """Options of how a network learns, in a run of a model that is counted."""
        by = ReadBy("family", (self.family,), among=False)
        found = []
        for part in (COUNTED_OPTIM, COUNTED_SCHEDULE, TrainSpec(1)):
            for f in fields(part):
                if f.name in options and f.name not in READ_BY_COUNTING:
                    value, default = options[f.name], getattr(part, f.name)
                    value = value if value is None else convert(str(f.type), f.name, value)
                    found.append(Unread(f.name, value, default, by, self.family))
        return found

    def as_read(self) -> RunSpec:
        """This run with the options that nothing in it reads at their defaults."""
        read = {name: as_read(part) for name, part in self._parts().items()}
        if self.is_counted:
            train = TrainSpec(**{name: getattr(self.train, name) for name in READ_BY_COUNTING})
            if train.train_eval:  # counted models did not read it when it was False or True
                train = replace(train, train_eval=None)
            read |= {"optim": COUNTED_OPTIM, "schedule": COUNTED_SCHEDULE, "train": train}
        return replace(self, **read)

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("model", *PARTS)}

    def check_num_tokens(self, asked: float) -> None:
        """Refuse data of less than a step, which would be trained on all the same.

        Raises
        ------
        ValueError
            If ``asked`` is below ``units_per_step``.
        """
        step, unit = self.units_per_step, get_family(self.family).unit
        if asked < step:
            raise OptionError(
                f"num_tokens {asked:,.0f} is less than one step of {step:,} {unit}s "
                f"(batch_size {self.train.batch_size:,}): lower batch_size, or ask for more",
                "num_tokens",
                "batch_size",
            )

    def check_code(self) -> None:
        """Refuse to go on with other code than the spec's.

        Raises
        ------
        ValueError
            If the source of what is plugged in is another one now, or a rule of this package is.
        """
        if _has_stacks(self) and not self.by_expert:
            raise ValueError(
                "Muon with experts is of an earlier release here, which took the experts of a "
                "layer as one matrix: expand the sweep again"
            )
        for path, source in sources(self.plugins).items():
            if source != self.plugins[path]:
                raise ValueError(
                    f"{path} is of {source} here, the run asks for {self.plugins[path]}: its code "
                    "changed since the sweep was expanded; expand it again"
                )

    def check(self) -> None:
        """Refuse values out of range.

        Raises
        ------
        ValueError
            With the value, the limit and the remedy.
        """
        for name, value in (("seed", self.seed), ("data_seed", self.order_seed)):
            if not 0 <= value <= LARGEST_SEED:
                raise OptionError(f"{name} {value} is not in [0, {LARGEST_SEED}]", name)
        check_parts(self.optim, self.schedule, self.train)
        check_model(self.model, self.cost, self.optim, self.train)

    @property
    def cost(self) -> Cost:
        """Exact counts of the model, per token or example."""
        return cached_cost(get_family(self.family), self.model).on(self.train.num_tokens)

    @property
    def is_counted(self) -> bool:
        """Whether the model is counted from the data: nothing learns, no weights."""
        return bool(getattr(get_family(self.family), "counted", False))

    @property
    def equal_blocks(self) -> int:
        """How many blocks can be compiled as one; 1 for images, whose blocks differ."""
        return int(getattr(self.model, "depth", 1)) if self.cost.unit == "token" else 1

    @property
    def order_seed(self) -> int:
        """The seed of the data's order and augmentation."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def num_params(self) -> int:
        """N: all trainable parameters."""
        return self.cost.num_params

    @property
    def num_tokens(self) -> int:
        """D: training tokens (examples)."""
        return self.train.num_tokens

    @cached_property
    def units_per_step(self) -> int:
        """Tokens (examples) per optimiser step."""
        return self.train.batch_size * get_family(self.family).units_per_item(self.model)

    @cached_property
    def num_steps(self) -> int:
        """Optimiser steps."""
        return self.train.num_tokens // self.units_per_step

    @property
    def flops(self) -> int:
        """C: exact training FLOPs of the run by itself."""
        return self.cost.flops_train * self.train.num_tokens

    @cached_property
    def run_id(self) -> str:
        """16 hexadecimal digits of SHA-256 over the canonical JSON of the resolved spec."""
        return digest(hashed(self))

    @cached_property
    def trunk_id(self) -> str | None:
        """The identity of the constant-rate trunk that the run shares; None if it has none.

        Runs that differ in ``num_tokens`` and ``cooldown_fraction`` alone share a trunk.
        """
        if self.schedule.schedule != "wsd" or self.train.early_stopping:
            return None
        shared = hashed(self)
        del shared["train"]["num_tokens"], shared["schedule"]["cooldown_fraction"]
        del shared["train"]["final_tokens"]
        shared["train"].pop("train_eval", None)
        if self.train.curve_share is not None:  # its checkpoints hold the curve so far
            shared["train"]["curve_share"] = self.train.curve_share
        return digest(shared)

    def settings(self) -> dict[str, Any]:
        """What the run was told, as far as it reads it, by name; for labels of runs."""
        settings: dict[str, Any] = {"family": self.family, **stated(self.model)}
        for part in PARTS:
            settings |= getattr(self, part).__dict__
        settings["seed"] = self.seed
        if self.data_seed is not None:
            settings["data_seed"] = self.data_seed
        for option in self.unread(settings):
            del settings[option.name]
        return settings

    def columns(self) -> dict[str, Any]:
        """The run table's columns that are known before the run."""
        return {
            "run_id": self.run_id,
            "family": self.family,
            **self.cost.run_columns(self.train.num_tokens),
            "seed": self.seed,
            **({} if self.data_seed is None else {"data_seed": self.data_seed}),
            **({} if self.is_counted else {"lr": self.optim.lr}),
            "batch_size": self.units_per_step,
        }

    def columns_after(self, num_tokens: int) -> dict[str, Any]:
        """The columns that are otherwise for a run that ended after ``num_tokens``.

        D and all counts of FLOPs are those of what was trained; the planned ones stand beside
        them. Empty for a run that went to its planned end.
        """
        if num_tokens == self.train.num_tokens:
            return {}
        planned = self.columns()
        trained = self.cost.run_columns(num_tokens)
        return {
            **{name: value for name, value in trained.items() if value != planned[name]},
            **{f"{name}_planned": planned[name] for name in PLANNED_COLUMNS},
        }

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values; :meth:`from_dict` inverts it exactly."""
        written = {**asdict(self), "model": stated(self.model)}
        if self.data_seed is None:
            del written["data_seed"]
        if self.by_expert and not _has_stacks(self):
            del written["by_expert"]
        return written

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> RunSpec:
        """The spec that :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            If a key is unknown or missing, or the schema is of a later version.
        """
        version = value.get("schema_version", SCHEMA_VERSION)
        if version > SCHEMA_VERSION:
            raise ValueError(
                f"spec has schema version {version}, this release reads up to {SCHEMA_VERSION}: "
                "upgrade scaling-lab"
            )
        try:
            family = get_family(value["family"])
            given = {k: tuple(v) if isinstance(v, list) else v for k, v in value["model"].items()}
            model = as_written(family.config, given)
            parts: dict[str, Any] = {
                part: as_written(kind, value[part]) for part, kind in PARTS.items()
            }
            spec = cls(
                family=value["family"],
                model=model,
                seed=value["seed"],
                data_seed=value.get("data_seed"),
                schema_version=version,
                plugins=value.get("plugins", {}),
                **parts,
            )
            return replace(spec, by_expert=value.get("by_expert", not _has_stacks(spec)))
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a run spec: {error}") from None

    def with_tokens(self, num_tokens: int) -> RunSpec:
        """The same run on another number of tokens."""
        return replace(self, train=replace(self.train, num_tokens=num_tokens))
