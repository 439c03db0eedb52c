"""``TorchFamily``: any ``nn.Module`` with a frozen configuration, as a family.

Its counts come from the module itself, on the meta device; see ``own_module``.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from scaling.base import Cost, OptionError, Unit, convert, load, nearest_size, typed
from scaling.families.base import Family, Options, check_options

if TYPE_CHECKING:
    from torch import nn

FROM_DATA = ("vocab_size", "num_classes", "input_shape", "in_channels", "resolution")
MANY = 1 << 16  # multiples of the option that a target size is met by


class TorchFamily:
    """A family of ``module(config)``, whose options are the fields of the configuration.

    The module may say more, all of it optional:

    ``unit``
        ``"token"`` or ``"example"``; else token where the configuration has a ``context``.
    ``presets``
        Options by name.
    ``size_by``, ``multiple_of``
        The option that a target ``num_params`` is met by, in steps of so much.
    ``cost(config)``
        Its own :class:`~scaling.base.Cost`, where counting it on the meta device does not do.
    ``data_options(info)``, ``input_shape(config)``, ``units_per_item(config)``
        As :class:`Family` has them.

    Parameters
    ----------
    path : str
        ``module:name``.
    module : type
        An ``nn.Module`` whose first argument is annotated with a frozen dataclass.

    Raises
    ------
    ValueError
        If it is not.
    """

    def __init__(self, path: str, module: Any) -> None:
        self.name, self.module = path, module
        self.config = _config_of(path, module)
        names = {f.name for f in fields(self.config)}
        self.unit: Unit = getattr(module, "unit", "token" if "context" in names else "example")
        if self.unit not in ("token", "example"):
            raise ValueError(f"{path}: unit {self.unit!r} is neither token nor example")
        if self.unit == "token" and not {"context", "vocab_size"} <= names:
            raise ValueError(
                f"{path}: a model of tokens needs context and vocab_size in {self.config.__name__}"
            )
        self.size_by: str = getattr(module, "size_by", "")
        if self.size_by and self.size_by not in names:
            raise ValueError(f"{path}: size_by {self.size_by!r} is no field of its configuration")
        self.dials = ("num_params",) if self.size_by else ()
        self.presets: Mapping[str, Options] = getattr(module, "presets", {})
        self.either = (("num_params", self.size_by),) if self.size_by else ()

    def resolve(self, options: Options) -> Any:
        """The configuration that ``options`` describe, a target ``num_params`` met by a search."""
        check_options(cast(Family, self), options)
        chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        target = chosen.pop("num_params", None)
        if target is None:
            return self._config(chosen)
        wanted = convert("float", "num_params", target)
        step = int(getattr(self.module, "multiple_of", 1))

        def at(multiples: int) -> Any:
            return self._config({**chosen, self.size_by: step * multiples})

        def count(multiples: int) -> int:
            return self.cost(at(multiples)).num_params

        high = 1
        while high < MANY and count(high) < wanted:
            high *= 2
        best = at(nearest_size(count, wanted, 1, max(2, high)))
        found = self.cost(best).num_params
        if not 0.5 <= found / wanted <= 2:
            raise OptionError(
                f"num_params {wanted:.4g} is out of reach: the nearest {self.name} has {found}",
                "num_params",
            )
        return best

    def cost(self, config: Any) -> Cost:
        """The module's own ``cost``, or its counts on the meta device."""
        own = getattr(self.module, "cost", None)
        if own is not None:
            stated: Cost = own(config)
            return stated
        from scaling.families.own_module import count

        return count(self, config)

    def data_options(self, info: Any) -> dict[str, Any]:
        """Fields of the configuration that the data determine, by their usual names."""
        own = getattr(self.module, "data_options", None)
        if own is not None:
            return dict(own(info))
        shape = tuple(info.input_shape)
        image = {"in_channels": shape[0], "resolution": shape[-1]} if len(shape) == 3 else {}
        known = {"vocab_size": info.vocab_size, "num_classes": info.num_classes, **image}
        if shape:
            known["input_shape"] = shape
        names = {f.name for f in fields(self.config)}
        return {k: v for k, v in known.items() if k in names and v is not None}

    def units_per_item(self, config: Any) -> int:
        """The context for tokens, 1 for examples."""
        own = getattr(self.module, "units_per_item", None)
        if own is not None:
            return int(own(config))
        return int(config.context) if self.unit == "token" else 1

    def input_shape(self, config: Any) -> list[int]:
        """The shape of one item of a batch."""
        own = getattr(self.module, "input_shape", None)
        if own is not None:
            return list(own(config))
        if self.unit == "token":
            return [config.context]
        if hasattr(config, "input_shape"):
            return list(config.input_shape)
        if hasattr(config, "in_channels") and hasattr(config, "resolution"):
            return [config.in_channels, config.resolution, config.resolution]
        raise ValueError(
            f"{self.name}: what shape has an example? Give its configuration input_shape, or "
            "in_channels and resolution, or the module an input_shape(config)"
        )

    def build(self, config: Any) -> nn.Module:
        """The module, initialised from torch's global generator."""
        built: nn.Module = self.module(config)
        return built

    def _config(self, options: Options) -> Any:
        try:
            return typed(self.config, options)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.name}: {error}") from None


def own_family(path: str) -> Family:
    """The family at an import path: a :class:`Family`, or a module made one.

    Raises
    ------
    ValueError
        If it is neither.
    """
    found = load(path)
    if isinstance(found, type) and _is_module(found):
        return cast(Family, TorchFamily(path, found))
    family = found() if isinstance(found, type) else found
    missing = [name for name in FAMILY if not hasattr(family, name)]
    if missing:
        raise ValueError(
            f"{path} is neither an nn.Module nor a family: it has no {', '.join(missing)}"
        )
    return cast(Family, family)


FAMILY = ("config", "unit", "dials", "presets", "either", "resolve", "cost", "build")


def _is_module(found: type) -> bool:
    return any(f"{kind.__module__}.{kind.__name__}" == MODULE for kind in found.__mro__)


MODULE = "torch.nn.modules.module.Module"  # by name: torch need not be loaded to ask


def _config_of(path: str, module: Any) -> Any:
    """The class of a module's first argument."""
    first = next(iter(list(inspect.signature(module.__init__).parameters)[1:]), None)
    try:
        kind = typing.get_type_hints(module.__init__).get(first) if first else None
    except NameError as error:
        raise ValueError(f"{path}: its annotations cannot be read: {error}") from None
    settings = getattr(kind, "__dataclass_params__", None)
    if settings is None or not settings.frozen:
        raise ValueError(
            f"{path}: the first argument of {module.__name__} must be annotated with a frozen "
            "dataclass, its configuration: def __init__(self, config: Config)"
        )
    return kind
