"""What a model's counts are, whoever gives them, and how a formula is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from scaling import Counts
from scaling.base import Arithmetic, OptionError, Store, refuse_unknown
from sweeps.document import Document, PlacedError, Where, called, kind

Options = Mapping[str, Any]

TARGET = "num_params"
NO_TARGET = (
    "num_params is a target, and nothing says which option meets it: give counts: {..., size: "
    "{option: width, multiple_of: 16}} or counts: {family: NAME}, or the models by their options"
)


@dataclass(frozen=True)
class Setting:
    """What a count is made with beside a run's options.

    Attributes
    ----------
    shape : callable
        Options with those added that rules for a model's shape derive.
    info : DataInfo or None
        What is known of the data; None where they are not ours.
    wanted : collection of str
        Of the options that the count can set, those that become the run's.
    store : Store
    """

    shape: Callable[[dict[str, Any]], dict[str, Any]]
    info: Any
    wanted: Collection[str]
    store: Store


@dataclass(frozen=True)
class Counted:
    """A model that was counted.

    Attributes
    ----------
    counts : Counts
    options : dict
        The run's options, those that follow from the count among them.
    facts : dict
        What rules may ask beside them.
    units_per_item : int
        Tokens of one sequence, 1 where nobody says or an item is an example.
    """

    counts: Counts
    options: dict[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    units_per_item: int = 1


class Counting(Protocol):
    """How a sweep's models are counted."""

    @property
    def name(self) -> str:
        """What the table calls the family, where the sweep file does not say."""

    @property
    def sets(self) -> tuple[str, ...]:
        """Options that it can set, by the program's names for them."""

    @property
    def sized(self) -> tuple[str, ...]:
        """Those that a program which sees all its options is to see too."""

    @property
    def has_body(self) -> bool:
        """Whether it gives ``num_params_non_embedding``."""

    @property
    def takes_target(self) -> bool:
        """Whether ``num_params`` may be asked for."""

    def check(self, document: Document, options: Collection[str]) -> None:
        """Refuse what it asks for that is none of ``options``, nor can be."""

    def model(self, options: Options, setting: Setting) -> Counted:
        """The model that ``options`` describe.

        Raises
        ------
        ValueError
            If they describe none.
        """


@dataclass(frozen=True)
class Formula:
    """Arithmetic in a sweep file, and where it stands."""

    arithmetic: Arithmetic
    where: Where

    @classmethod
    def read(cls, document: Document, value: Any, where: Where) -> Formula:
        """A number or a text as a formula.

        Raises
        ------
        ValueError
            If it is none.
        """
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            document.refuse(
                where, f"{called(where)} must be a number or a formula, not {kind(value)}"
            )
        try:
            return cls(Arithmetic(value if isinstance(value, str) else repr(value)), where)
        except ValueError as error:
            document.refuse(where, str(error))

    def check(self, document: Document, known: Collection[str]) -> None:
        """Refuse a name that is none of ``known``."""
        for name in self.arithmetic.names:
            if name not in known:
                at = f"{document.at(self.where)}{self.arithmetic.text!r}: "
                refuse_unknown(name, known, "name", at)

    def value(self, values: Options) -> float:
        """Its value, above 0.

        Raises
        ------
        ValueError
            If it has none, or not above 0.
        """
        try:
            found = self.arithmetic.value(values)
        except ValueError as error:
            raise PlacedError(str(error), self.where) from None
        if not found > 0:
            raise PlacedError(
                f"{called(self.where)} {self.arithmetic.text!r} gives {found:g}, which is not "
                "above 0",
                self.where,
            )
        return found


def no_target() -> OptionError:
    """The refusal of a target size that nothing can meet."""
    return OptionError(NO_TARGET, TARGET)
