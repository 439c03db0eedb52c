"""Settings that follow from a model's size and its data, by rules with names and sources."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scaling.base import OptionError, convert, refuse_unknown


@dataclass(frozen=True)
class Facts:
    """What a rule may ask.

    Attributes
    ----------
    options : mapping
        The run's options so far; for a rule on shape (``depth``, ``width``) the model is not
        known yet, and these are all there is.
    counts : mapping
        The model's exact counts by name, empty as long as it is not known.
    num_tokens : float
        D; nan as long as the model is not known.
    units_per_item : int
        Tokens of one sequence; 1 where an item is one example.
    """

    options: Mapping[str, Any]
    counts: Mapping[str, Any] = field(default_factory=dict)
    num_tokens: float = math.nan
    units_per_item: int = 1

    def option(self, name: str) -> float:
        """A number among the options.

        Raises
        ------
        ValueError
            If it is not set, or no number.
        """
        if name not in self.options:
            raise OptionError(f"needs {name}, which the run does not set", name)
        number: float = convert("float", name, self.options[name])
        return number

    def quantity(self, name: str) -> float:
        """``num_tokens``, a count of the model such as ``num_params``, or an option."""
        if name == "num_tokens":
            return self.num_tokens
        return self.counts[name] if name in self.counts else self.option(name)


@dataclass(frozen=True)
class Rule:
    """``gives`` = ``value(facts, settings)``.

    Attributes
    ----------
    name, gives : str
        The option that it sets; ``""`` for any.
    formula, source : str
    value : callable
    needs : tuple of str
        Settings without a default. ``scale`` is a setting of every rule, 1 if not given.
    on_shape : bool
        Whether it comes before the model is known, since it chooses the model's shape.
    whole : bool
        Whether the result is rounded, to at least 1.
    """

    name: str
    gives: str
    formula: str
    source: str
    value: Callable[[Facts, Mapping[str, Any]], float]
    needs: tuple[str, ...] = ()
    on_shape: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Derivation:
    """One line of ``derive``: set ``target`` by ``rule`` with ``settings``."""

    target: str
    rule: Rule
    settings: Mapping[str, Any]

    def value(self, facts: Facts) -> float:
        """The value for one run.

        Raises
        ------
        ValueError
            If the rule needs what the run does not have, or gives no finite number.
        """
        try:
            result = self.rule.value(facts, self.settings)
        except OverflowError:
            raise OptionError(
                f"derive {self.target} by {self.rule.name}: the result is too large: "
                "take a smaller scale or exponent",
                self.target,
            ) from None
        except (ValueError, ZeroDivisionError) as error:
            message = f"derive {self.target} by {self.rule.name}: {error}"
            raise OptionError(message, self.target) from None
        if isinstance(result, complex) or not math.isfinite(result):
            message = f"derive {self.target} by {self.rule.name}: gives {result}"
            raise OptionError(message, self.target)
        return max(1, round(result)) if self.rule.whole else result


BODY = "num_params_non_embedding"
_STEP = "Li et al. 2025 (Step Law, arXiv 2503.04715); N without embeddings"
_OLMO = "Bhagia et al. 2024 (OLMo ladder), after Porian et al. 2024; N without embeddings"
_NANOCHAT = "Karpathy 2025, nanochat: base_train.py, gpt.py; AdamW's rate, tuned at width 768"


def _olmo(facts: Facts) -> float:
    return facts.quantity(BODY) / 108e6


_RULES = (
    Rule(
        "1/width",
        "lr",
        "scale / width",
        "Yang et al. 2022 (muP), table 8: Adam's rate of hidden matrices",
        lambda f, s: s["scale"] / f.option("width"),
        needs=("scale",),
    ),
    Rule(
        "step-law",
        "lr",
        "scale x 1.79 N^-0.713 D^0.307",
        _STEP,
        lambda f, s: s["scale"] * 1.79 * f.quantity(BODY) ** -0.713 * f.num_tokens**0.307,
    ),
    Rule(
        "step-law",
        "batch_size",
        "scale x 0.58 D^0.571 tokens, in sequences of the run's context",
        _STEP,
        lambda f, s: s["scale"] * 0.58 * f.num_tokens**0.571 / f.units_per_item,
        whole=True,
    ),
    Rule(
        "olmo-ladder",
        "lr",
        "scale x 0.0047 (N / 108e6)^(-1/3)",
        _OLMO,
        lambda f, s: s["scale"] * 0.0047 * _olmo(f) ** (-1 / 3),
    ),
    Rule(
        "olmo-ladder",
        "batch_size",
        "scale x 160 (N / 108e6)^(2/3) sequences of 2048 tokens, in those of the run's context",
        _OLMO,
        lambda f, s: s["scale"] * 160 * _olmo(f) ** (2 / 3) * 2048 / f.units_per_item,
        whole=True,
    ),
    Rule(
        "olmo-ladder",
        "warmup_tokens",
        "scale x N",
        _OLMO,
        lambda f, s: s["scale"] * f.quantity(BODY),
        whole=True,
    ),
    Rule(
        "nanochat",
        "lr",
        "scale (width / 768)^(-1/2)",
        _NANOCHAT,
        lambda f, s: s["scale"] * (f.option("width") / 768) ** -0.5,
        needs=("scale",),
    ),
    Rule(
        "nanochat",
        "width",
        "scale x 64 depth",
        _NANOCHAT,
        lambda f, s: s["scale"] * 64 * f.option("depth"),
        on_shape=True,
        whole=True,
    ),
    Rule(
        "aspect",
        "depth",
        "width / scale",
        "Kaplan et al. 2020, fig. 5: the loss depends little on width / depth",
        lambda f, s: f.option("width") / s["scale"],
        needs=("scale",),
        on_shape=True,
        whole=True,
    ),
    Rule(
        "levine",
        "depth",
        "scale x (ln width - 5.039) / 0.0555",
        "Levine et al. 2020 (arXiv 2006.12467); fitted to depths from 6 to 48, so to "
        "widths from about 215 to 2200",
        lambda f, s: s["scale"] * (math.log(f.option("width")) - 5.039) / 0.0555,
        on_shape=True,
        whole=True,
    ),
    Rule(
        "power",
        "",
        "scale x of^exponent; of: num_tokens, num_params, another count, or an option",
        "the user's own",
        lambda f, s: s["scale"] * f.quantity(s["of"]) ** s["exponent"],
        needs=("scale", "of", "exponent"),
    ),
)
RULES: dict[tuple[str, str], Rule] = {(rule.name, rule.gives): rule for rule in _RULES}


def find_rule(name: str, target: str, where: str = "") -> Rule:
    """The rule called ``name`` that gives ``target``.

    Raises
    ------
    ValueError
        If there is none; the message has those that there are.
    """
    rule = RULES.get((name, target)) or RULES.get((name, ""))
    if rule:
        return rule
    gives = [gives for known, gives in RULES if known == name]
    if gives:
        raise OptionError(f"{where}rule {name!r} gives {', '.join(gives)}, not {target}", name)
    return refuse_unknown(name, {known for known, _ in RULES}, "rule", where)
