"""What the name of a column says of its unit: ``Params (M)``, ``tokens_b``, ``log10 FLOPs``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_POWERS = {
    "k": 1e3, "thousand": 1e3, "thousands": 1e3,
    "m": 1e6, "mm": 1e6, "mn": 1e6, "mio": 1e6, "mil": 1e6, "million": 1e6, "millions": 1e6,
    "b": 1e9, "bn": 1e9, "g": 1e9, "billion": 1e9, "billions": 1e9, "mrd": 1e9, "md": 1e9,
    "t": 1e12, "tn": 1e12, "trillion": 1e12, "trillions": 1e12,
}  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_LETTERS = {"g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21, "y": 1e24}
DAY = 86400.0
LOSS_UNITS = {
    "nats": "nats/token", "nat": "nats/token", "nats/token": "nats/token",
    "bits": "bits/token", "bit": "bits/token", "bits/token": "bits/token",
    "bits/byte": "bits/byte", "bpb": "bits/byte", "bits/char": "bits/character",
    "bits/character": "bits/character", "%": "percent", "percent": "percent",
}  # fmt: skip
"""The units of a loss as names of columns have them, and in our words."""

_BRACKETS = re.compile(r"^(.*?)[\s_]*[(\[]\s*(.+?)\s*[)\]]$")
_LOG = re.compile(
    r"^(log10|log_10|lg|ln|log2|log)(?:[\s_]+(?:of[\s_]+)?|\s*\(|(?=[NDC]$))(.+?)\)?$",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"#|count|params|parameters|tokens|examples|flops?", re.IGNORECASE)
"""What is counted, one by one: ``D (tokens)``."""
_OF_LOSS = re.compile(
    r"^(.*?)(?:\s*,\s*|[\s_]+in[\s_]+|(?<=loss)[\s_]+)(nats?\b.*|bits?\b.*|bpb)$", re.IGNORECASE
)
_DIVIDED = re.compile(
    r"^(.+?)\s*/\s*(1e\d+|10\^\d+|10\*\*\d+|[kmbgt]|(?:m|b|tr)illions?)$", re.IGNORECASE
)
_BEFORE = re.compile(
    r"^([kmbgt]|thousands?|(?:m|b|tr)illions?)\s*(?:of\s+)?(params?|parameters|tokens?|toks?)$",
    re.IGNORECASE,
)
_GLUED = re.compile(r"^(params|parameters|tokens|[ND](?=_[MB]))_?([KMBGT])$")
_LOG_OF = re.compile(r"^(.{2,}?)[\s_]+(log10|log2|ln|log)$", re.IGNORECASE)
_ENDING = re.compile(
    r"^(.{2,}?)[\s_,-]+(?:in[\s_-]+)?(k|m|mn|mil|b|bn|t|thousands?|millions?|billions?"
    r"|trillions?|[x×]?\s*(?:1e|10\^|10\*\*)\d+)$",
    re.IGNORECASE,
)
_LETTER = r"(?:giga|tera|peta|exa|zetta|yotta|[gtpezy])"
_FLOPS = re.compile(
    r"^(?:(.*?)[\s_-])??(?:in[\s_-]+)?"
    rf"((?:peta|exa|zetta|[pez])[\s-]?flops?|{_LETTER}[\s-]?f(?:lops?)?(?:/?s)?[\s_-]*days?)$",
    re.IGNORECASE,
)
"""Amounts of compute; GFLOPs and TFLOPs are of a forward pass, or a rate, as a rule."""
_LOGS = {"log10": 10.0, "log_10": 10.0, "lg": 10.0, "log2": 2.0, "ln": 2.718281828459045}


@dataclass(frozen=True)
class Header:
    """A column's name without its unit, and the unit.

    Attributes
    ----------
    base : str
        The rest of the name.
    factor : float
        What one of the column's numbers counts.
    log : float or None
        The base of the logarithm that the column holds; 0 where the name does not say which.
    unit : str
        Of a loss.
    """

    base: str
    factor: float = 1.0
    log: float | None = None
    unit: str = ""

    @property
    def says(self) -> str:
        """How values follow from the column, for a note: `` x 1e+06``; empty where they are it."""
        return f" x {self.factor:g}" if self.factor != 1 else ""


def header_of(name: str) -> Header:
    """What ``name`` says.

    >>> header_of("Model Size (B)")
    Header(base='Model Size', factor=1000000000.0, log=None, unit='')
    >>> header_of("log10_flops").log, header_of("FLOPs (1E21)").factor
    (10.0, 1e+21)
    """
    if found := _BRACKETS.match(name):
        base, inner = found[1], found[2]
        if _COUNTED.fullmatch(inner) and base.lower() not in (*_LOGS, "log"):
            return Header(base)
        if unit := _unit_of_loss(inner):
            return Header(base, unit=unit)
        if inner.lower() in _LOGS or inner.lower() == "log":
            return Header(base, log=_LOGS.get(inner.lower(), 0.0))
        if base.lower() not in (*_LOGS, "log") and (factor := _factor(inner)):
            return Header(base, factor)
    if (found := _OF_LOSS.match(name)) and (unit := _unit_of_loss(found[2])):
        return Header(found[1], unit=unit)
    if found := _LOG.match(name):
        return Header(found[2], log=_LOGS.get(found[1].lower(), 0.0))
    if found := _LOG_OF.match(name):
        return Header(found[1], log=_LOGS.get(found[2].lower(), 0.0))
    if found := _BEFORE.match(name):
        return Header(found[2], _POWERS[found[1].lower()])
    if found := _GLUED.match(name):
        return Header(found[1], _POWERS[found[2].lower()])
    if (found := _DIVIDED.match(name)) and (factor := _factor(found[2])):
        return Header(found[1], factor)
    if found := _ENDING.match(name):
        return Header(found[1], _factor(found[2]))
    if found := _FLOPS.match(name):
        return Header(f"{found[1] or ''} flops".strip(), _factor(found[2]))
    return Header(name)


def _unit_of_loss(text: str) -> str:
    return LOSS_UNITS.get(re.sub(r"[\s_]+per[\s_]+", "/", text.lower()), "")


def _factor(text: str) -> float:
    """The number that a unit such as ``B``, ``1E21``, ``10^9`` or ``PF-days`` is; 0 if none."""
    text = re.sub(r"^(in|[x×*·]|\\times)\s*", "", text.strip(" .").lower())
    text = re.sub(r"(?<=^[kmbgt])t(ok(en)?s?)?$", "", text)
    text = re.sub("10([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda found: f"10^{found[1].translate(_RAISED)}", text)
    text = re.sub(r"\s*(of )?\b(params|parameters|tokens|flops?|examples)$", "", text)
    if text in _POWERS:
        return _POWERS[text]
    if found := re.fullmatch(rf"({_LETTER})(?:[\s-]?f(?:lops?)?)?(/?s)?([\s_-]*days?)?", text):
        is_rate = bool(found[2]) and not found[3]
        return 0.0 if is_rate else _LETTERS[found[1][0]] * (DAY if found[3] else 1.0)
    if found := re.fullmatch(r"10\s*(?:\^|\*\*)\s*(\d+)", text):
        return 10.0 ** int(found[1])
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 1 < number < float("inf") else 0.0
