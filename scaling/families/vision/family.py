"""What all families of labelled examples share: options from the data, dials, counts, building."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from scaling.base import Cost, OptionError, Unit, convert, typed
from scaling.families.base import DEEPEST, ModelConfig, Options, cached_cost, check_options
from scaling.families.vision.counts import count
from scaling.families.vision.layers import ALIASES, Network

if TYPE_CHECKING:
    from torch import nn

C = TypeVar("C", bound="VisionConfig")
SMALL = 64  # pixels: below, stems keep the resolution unless told otherwise
SMALLEST_SIDE = 4  # positions a side that strides of small networks leave to the last stage
LARGEST = 100_000  # channels of a stage: nothing larger is meant
LARGEST_MULTIPLIER = 1000.0
MULTIPLIERS = ("depth_multiplier", "width_multiplier", "resolution_multiplier")
TARGETS = ("num_params", "flops_forward")
TARGET_OR_WIDTH = tuple((target, "width") for target in TARGETS)


@dataclass(frozen=True, kw_only=True)
class VisionConfig(ModelConfig):
    """What every vision model has.

    Attributes
    ----------
    resolution : int
        Pixels along a side of the input.
    in_channels, num_classes : int
    dropout : float
        Before the last layer.
    init : str
        How kernels start: a name of ``scaling.families.vision.layers_module.INITS``; ``xavier`` is
        ``glorot``, ``kaiming`` is ``he``.
    """

    resolution: int = 224
    in_channels: int = 3
    num_classes: int = 1000
    dropout: float = 0.0
    init: str = "he"

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, list):  # as JSON and YAML have them
                object.__setattr__(self, name, tuple(value))
            if isinstance(value, int) and value > LARGEST:
                raise OptionError(f"{name} {value} is above {LARGEST}", name)
        object.__setattr__(self, "init", ALIASES.get(self.init, self.init))
        for name in ("resolution", "in_channels", "num_classes"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)} is below 1", name)
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout {self.dropout} is not in [0, 1)", "dropout")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.in_channels, self.resolution, self.resolution


class VisionFamily(ABC):
    """A family of classifiers: subclasses say ``config``, ``presets``, ``network``, ``scaled``.

    A model is chosen by the configuration's fields, a preset's among them; on top of these the
    dials ``depth_multiplier``, ``width_multiplier`` and ``resolution_multiplier`` scale it by
    the paper's rounding (Tan and Le 2019), or a target ``num_params`` or ``flops_forward``
    is met as nearly as the width's rounding allows. The resolution is that of the data unless
    it is given.
    """

    name: ClassVar[str]
    unit: ClassVar[Unit] = "example"
    config: ClassVar[type[Any]]
    dials: ClassVar[tuple[str, ...]] = (*MULTIPLIERS, *TARGETS)
    presets: ClassVar[Mapping[str, Options]]
    either: ClassVar[tuple[tuple[str, str], ...]] = ()

    def configure(self, options: dict[str, Any]) -> Any:
        """The configuration for options other than the common dials."""
        return typed(self.config, options)

    @abstractmethod
    def network(self, config: Any) -> Network:
        """The layers of ``config``."""

    @abstractmethod
    def scaled(self, config: Any, depth: float, width: float) -> Any:
        """``config`` with depth and width multiplied, rounded as in the paper."""

    def resolve(self, options: Options) -> Any:
        """The configuration that ``options`` describe.

        Raises
        ------
        ValueError
            For an unknown option, an impossible shape, or a target out of reach.
        """
        check_options(self, options)
        chosen = dict(options)
        depth, width, resolution = (_positive(name, chosen.pop(name, 1.0)) for name in MULTIPLIERS)
        for name, value in zip(MULTIPLIERS, (depth, width, resolution), strict=True):
            if value > LARGEST_MULTIPLIER:
                raise OptionError(f"{name} {value:g} is above {LARGEST_MULTIPLIER:g}", name)
        targets = {n: _positive(n, chosen.pop(n)) for n in TARGETS if n in chosen}
        if len(targets) > 1:
            raise OptionError(
                "num_params and flops_forward both set the width: give one",
                "num_params",
                "flops_forward",
                "width",
            )
        config = self.configure(chosen)
        if resolution != 1:
            config = replace(config, resolution=round(config.resolution * resolution))
        if depth != 1:
            config = self.scaled(config, depth, 1.0)
        blocks = sum(getattr(config, "depths", ())) or config.depth
        if blocks > DEEPEST:
            raise OptionError(f"depth {blocks} is above {DEEPEST} blocks: take fewer", "depth")
        for name, target in targets.items():
            config = self._nearest(config, name, target, width)
        if width != 1 and not targets:
            config = self.scaled(config, 1.0, width)
        cached_cost(self, config)  # refuses shapes that do not fit
        return config

    def _nearest(self, config: Any, name: str, target: float, width: float) -> Any:
        """``config`` at the width whose count ``name`` is nearest to ``target``, in ratio."""
        if width != 1:
            raise OptionError(
                f"{name} sets the width: give it or width_multiplier, not both",
                name,
                "width",
                "width_multiplier",
            )

        def at(log_width: float) -> tuple[float, Any]:
            candidate = self.scaled(config, 1.0, math.exp(log_width))
            return float(getattr(self.cost(candidate), name)), candidate

        low, high = bracket(lambda x: at(x)[0], target)
        ends = [at(low), at(high)]
        found, best = min(ends, key=lambda end: abs(math.log(end[0] / target)))
        if not 0.5 <= found / target <= 2:
            raise OptionError(
                f"{name} {target:.4g} is out of reach by width alone: the nearest {self.name} "
                f"of this depth has {found:.4g}: change the depth or the preset",
                name,
                "width",
                "depth",
                "preset",
            )
        return best

    def cost(self, config: Any) -> Cost:
        """Exact counts per example."""
        return count(self.network(config))

    def data_options(self, info: Any) -> dict[str, Any]:
        """Classes, channels and resolution of the data."""
        shape = info.input_shape
        if len(shape) != 3:
            raise OptionError(
                f"family {self.name} sees images, data set {info.name!r} has inputs of shape "
                f"{tuple(shape)}: choose another of the two",
                "family",
                "data",
            )
        return {
            "num_classes": info.num_classes,
            "in_channels": shape[0],
            "resolution": max(shape[1:]),
        }

    def units_per_item(self, config: Any) -> int:
        """One example."""
        return 1

    def input_shape(self, config: Any) -> list[int]:
        """The shape of one example, channels first."""
        return list(config.input_shape)

    def build(self, config: Any) -> nn.Module:
        """The torch module."""
        from scaling.families.vision.layers_module import NetworkModule

        return NetworkModule(self.network(config))


def bracket(
    count_at: Callable[[float], float], target: float, reach: float = 8.0
) -> tuple[float, float]:
    """Two neighbouring points of [-reach, reach] between which the rising ``count_at`` passes."""
    low, high = -reach, reach
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if count_at(middle) <= target else (low, middle)
    return low, high


def round_width(width: float, divisor: int = 8) -> int:
    """The nearest multiple of ``divisor``, and no more than 10 % below ``width``.

    ``round_filters`` of the code of Tan and Le 2019 (Sandler et al. 2018).
    """
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


def round_depth(depth: float) -> int:
    """ceil(depth), as ``round_repeats`` of the code of Tan and Le 2019."""
    return max(1, math.ceil(depth - 1e-9))


def whole_tuple(name: str, values: Any) -> tuple[int, ...]:
    """``values`` as a tuple of whole numbers."""
    if not isinstance(values, list | tuple):
        raise OptionError(f"{name} {values!r} is not a list of whole numbers", name)
    return tuple(convert("int", name, value) for value in values)


def stage_values(config: VisionConfig, names: tuple[str, ...]) -> None:
    """Make the fields ``names`` tuples of whole numbers of at least 1: call it on construction."""
    for name in names:
        values = whole_tuple(name, getattr(config, name))
        if not values or not 1 <= min(values) <= max(values) <= LARGEST:
            raise OptionError(f"{name} {list(values)} is empty or not within [1, {LARGEST}]", name)
        object.__setattr__(config, name, values)


def same_length(config: VisionConfig, names: tuple[str, ...]) -> None:
    """Refuse fields that differ in the number of stages."""
    stages = {name: len(getattr(config, name)) for name in names}
    if len(set(stages.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in stages.items())
        raise ValueError(f"the stages differ in number: {told}: give each one number a stage")


def small_strides(resolution: int, strides: Any) -> tuple[int, ...]:
    """``strides`` with ones first, until ``resolution`` divided by them all is at least 4."""
    left = [convert("int", "strides", stride) for stride in strides]
    for i in range(len(left)):
        side = resolution
        for stride in left:
            side = -(-side // stride)
        if side >= SMALLEST_SIDE:
            break
        left[i] = 1
    return tuple(left)


def scaled_widths(widths: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """``widths`` times ``factor``, to multiples of 8 (of 2 if one comes below 16); 1 keeps them."""
    if factor == 1:
        return widths
    exact = tuple(factor * width for width in widths)
    step = 8 if min(exact) >= 16 else 2
    return tuple(round_width(width, step) for width in exact)


def _positive(name: str, value: Any) -> float:
    number = float(convert("float", name, value))
    if not number > 0:
        raise OptionError(f"{name} {number:g} is not above 0", name)
    return number
