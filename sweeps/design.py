"""The sweep file: YAML, validated key by key, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from scaling import LARGEST_SEED, PARTS, TOP_OPTIONS, Counts, Program
from scaling.base import refuse_unknown
from scaling.families import get_family, option_names
from scaling.run import NOTHING, Keep
from sweeps.constraints import BOUNDS, ON_VIOLATION, QUANTITIES, Constraint
from sweeps.data_size import DATA_SIZES
from sweeps.derive import Derivation, find_rule
from sweeps.document import Document, Where, kind, read_document
from sweeps.estimate import Prices
from sweeps.kinds import generators
from sweeps.policy import NONE, POLICY_KEYS, Policy
from sweeps.programs import (
    PROGRAM_KEYS,
    ProgramBlock,
    ProgramRuns,
    read_program,
    refuse_outside,
)
from sweeps.resources import ResourceRules, Resources
from sweeps.strategies import Plan, read_plan
from sweeps.sweep import check_name
from sweeps.values import number, values

TOP_KEYS = (
    *("name", "data", "family", "preset", *PROGRAM_KEYS),
    *("seeds", "fixed", "derive", "constraints", "strategy"),
)
LAST_KEYS = ("estimate", "resources", "keep", "policy")  # no part of what the runs are


@dataclass(frozen=True)
class Design:
    """A validated sweep file.

    Attributes
    ----------
    name : str
    shape : str
        The generator's name: ``grid``, ``isoflop``, ...
    points : tuple of dict
        What the generator gave: flat options, one mapping a point.
    fixed : dict
        Options of every point; a point's own come first.
    seeds : tuple of int
    derive : tuple of Derivation
    constraints : tuple of Constraint
    refuse : bool
        Whether a run outside the constraints is an error.
    prices : Prices
        What the estimate assumes.
    resources : dict
        What the launcher will read; not looked at here.
    keep : Keep
        Which weights last.
    policy : Policy
        What the sweep as a whole may use, and who is told.
    document : Document
        Where errors point to.
    program : ProgramBlock or None
        The program that trains; None for runs of our own.
    plan : Plan or None
        How runs are chosen by the results so far; ``points`` is then one of the space.
    """

    name: str
    shape: str
    points: tuple[dict[str, Any], ...]
    fixed: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    derive: tuple[Derivation, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    refuse: bool = False
    prices: Prices = field(default_factory=Prices)
    resources: Mapping[str, Any] = field(default_factory=dict)
    keep: Keep = NOTHING
    policy: Policy = NONE
    document: Document = field(default_factory=lambda: Document(None))
    program: ProgramBlock | None = None
    plan: Plan | None = None


def read_design(path: Path, *, info: Any = None) -> Design:
    """The design in the sweep file ``path``; see ``docs/sweeps.md`` for its keys.

    ``info`` is what is known of the data; looked up by name when left out.

    Raises
    ------
    ValueError
        For a wrong key or value; the message names file, line, and what is valid.
    OSError
        If the file cannot be read.
    """
    return design(replace(read_document(path), info=info), default_name=path.stem)


def design(
    document: Document, default_name: str | None = None, kept: Program | None = None
) -> Design:
    """The design that a document's content describes; ``kept``: see :func:`read_program`."""
    refuse_outside(document, document.value)
    known = generators()
    content = document.mapping(document.value, (), (*TOP_KEYS, *known, *LAST_KEYS))
    shapes = [key for key in known if key in content]
    if len(shapes) != 1:
        found = f"both {' and '.join(shapes)}" if shapes else "none of them"
        document.refuse(
            (shapes[1],) if shapes else (),
            f"a sweep has one of {', '.join(known)}; this one has {found}",
        )
    try:
        name = check_name(content.get("name", default_name))
    except ValueError as error:
        document.refuse(("name",), str(error))

    program = read_program(document, content, kept)
    fixed = document.mapping(content.get("fixed", {}), ("fixed",))
    for key in ("data", "family", "preset"):
        if key in content:
            if key in fixed:
                document.refuse(("fixed", key), f"{key} is given twice: keep the one at the top")
            fixed[key] = content[key]
    if program:
        program.check_fixed(document, fixed)
    for key in () if program else ("data", "family", "preset"):
        if key in fixed and not isinstance(fixed[key], str):
            document.refuse((key,), f"{key} must be a name, not {kind(fixed[key])}")
    shape = shapes[0]
    derive = _derive(document, content.get("derive", {}), renamed=program is not None)
    plan = None
    if "strategy" in content:
        plan = read_plan(document, _counts(document, program, fixed, derive) if program else None)
        points = [plan.first]
    else:
        own = program.as_own(document, shape) if program else document
        points = known[shape](own, content[shape], (shape,))
    if program:
        points = program.points(document, shape, points)
    _check_options(document, shape, fixed, points, derive, program)
    constraints, refuse = _constraints(document, content.get("constraints", {}))
    resources = _resources(document, content.get("resources", {}))
    if program:
        program.check_bounds(document, [constraint.quantity for constraint in constraints])
        resources = program.with_resources(document, resources)
    return Design(
        name=name,
        shape=shape,
        points=tuple(points),
        fixed=fixed,
        seeds=_seeds(document, content.get("seeds", [0])),
        derive=derive,
        constraints=constraints,
        refuse=refuse,
        prices=_prices(document, content.get("estimate", {})),
        resources=resources,
        keep=_keep(document, content.get("keep"), program),
        policy=_policy(document, content.get("policy", {})),
        document=document,
        program=program,
        plan=plan,
    )


def _counts(
    document: Document,
    program: ProgramBlock,
    fixed: Mapping[str, Any],
    derive: tuple[Derivation, ...],
) -> Callable[[Mapping[str, Any]], Counts]:
    """What counts the points of a space that a program's runs are searched in."""
    program.check_searched(document)
    runs = ProgramRuns(program, derive, document.info)
    return lambda point: runs.resolve({**fixed, **point})[0].counts


def _check_options(
    document: Document,
    shape: str,
    fixed: Mapping[str, Any],
    points: list[dict[str, Any]],
    derive: tuple[Derivation, ...],
    program: ProgramBlock | None,
) -> None:
    """Refuse options that no run understands, or that are set in two ways."""
    used: dict[str, Where] = {}
    for i, point in enumerate(points):
        for key in point:
            if key not in used and key != "labels":
                used[key] = place(document, shape, key, i)
    places = {key: ("fixed", key) for key in fixed} | used
    places |= {d.target: ("derive", d.target) for d in derive}
    if program:
        program.check_options(document, places, [d.target for d in derive if not d.rule.on_shape])
    else:
        _check_ours(document, fixed, points, places)
    for key, where in places.items():
        if key == "seed" and shape != "runs":
            document.refuse(where, "seed is not an option of a point: list seeds under seeds:")
    for d in derive:
        if d.target in used or d.target in fixed:
            document.refuse(
                ("derive", d.target), f"{d.target} is set and derived: remove one of the two"
            )
    if shape != "runs":
        _one_place(document, shape, fixed, used, places)
    if not any(key in places for key in DATA_SIZES):
        document.refuse((), f"no data size: give one of {', '.join(DATA_SIZES)} under fixed")


def _check_ours(
    document: Document,
    fixed: Mapping[str, Any],
    points: list[dict[str, Any]],
    places: Mapping[str, Where],
) -> None:
    """Refuse options that no run of ours understands."""
    families = {str(p.get("family", fixed.get("family", "transformer"))) for p in points}
    for name in families:
        try:
            get_family(name)
        except ValueError as error:
            varies = any("family" in point for point in points)
            document.refuse(places["family"] if varies else ("family",), str(error))
    valid = {o for name in families for o in option_names(get_family(name))}
    valid |= {f.name for part in PARTS.values() for f in fields(part)}
    valid = (valid | {*TOP_OPTIONS, *DATA_SIZES}) - {"fingerprint"}
    for key, where in places.items():
        if key not in valid:
            refuse_unknown(key, valid, "option", document.at(where))


def _one_place(
    document: Document,
    shape: str,
    fixed: Mapping[str, Any],
    used: Mapping[str, Where],
    places: Mapping[str, Where],
) -> None:
    """Refuse an option that is both fixed and varied, and a data size that is set twice."""
    both = next((key for key in fixed if key in used), None)
    if both:
        document.refuse(
            places[both], f"{both} is fixed and varied by {shape}: remove one of the two"
        )
    given = [key for key in DATA_SIZES if key in used] + [k for k in DATA_SIZES if k in fixed]
    if len(given) > 1:
        document.refuse(
            places[given[1]],
            f"{given[0]} and {given[1]} both set the data size: remove one of the two",
        )


def place(document: Document, shape: str, key: str, i: int) -> Where:
    """Where in the file an option that the generator gives to point ``i`` stands."""
    if (shape, i, key) in document.lines:
        return (shape, i, key)
    for where in document.lines:
        if where[:1] == (shape,) and where[-1] == key:
            return where
    return (shape, i)


def _seeds(document: Document, block: Any) -> tuple[int, ...]:
    seeds = values(document, block, ("seeds",))
    for i, seed in enumerate(seeds):
        whole = isinstance(seed, int) and not isinstance(seed, bool)
        if not whole or not 0 <= seed <= LARGEST_SEED:
            document.refuse(
                ("seeds", i), f"seed {seed!r} is not a whole number from 0 to {LARGEST_SEED}"
            )
        if seed in seeds[:i]:
            document.refuse(("seeds", i), f"seed {seed} is listed twice")
    return tuple(seeds)


def _derive(document: Document, block: Any, *, renamed: bool) -> tuple[Derivation, ...]:
    """The rules; where options may be ``renamed``, ``as`` says which of ours one is."""
    found = []
    for target, value in document.mapping(block, ("derive",)).items():
        where = ("derive", target)
        settings = (
            {"rule": value} if isinstance(value, str) else dict(document.mapping(value, where))
        )
        name = settings.pop("rule", None)
        if not isinstance(name, str):
            document.refuse(where, f"derive {target} has no rule: give rule: NAME")
        ours = settings.pop("as", target) if renamed else target
        rule = find_rule(name, str(ours), document.at((*where, "rule")))
        document.mapping(settings, where, tuple(dict.fromkeys(("scale", *rule.needs))))
        for need in rule.needs:
            if need not in settings:
                document.refuse(where, f"rule {name} needs {need}: {target} = {rule.formula}")
        for key, setting in settings.items():
            if key == "of":
                if not isinstance(setting, str):
                    document.refuse((*where, key), f"of must be a name, not {kind(setting)}")
            elif number(document, setting, (*where, key)) <= 0 and key == "scale":
                document.refuse((*where, key), f"scale {setting} must be above 0")
        found.append(Derivation(target, rule, {"scale": 1, **settings}))
    return tuple(found)


def _constraints(document: Document, block: Any) -> tuple[tuple[Constraint, ...], bool]:
    where: Where = ("constraints",)
    chosen = document.mapping(block, where, (*QUANTITIES, "on_violation"))
    action = chosen.pop("on_violation", "drop")
    if action not in ON_VIOLATION:
        document.refuse((*where, "on_violation"), f"on_violation {action!r} is not drop or error")
    found = []
    for quantity, bounds in chosen.items():
        at = (*where, quantity)
        limits = document.mapping(bounds, at, BOUNDS)
        if not limits:
            document.refuse(at, f"{quantity} has no bound: give min, max, or both")
        for bound, limit in limits.items():
            limits[bound] = number(document, limit, (*at, bound))
            found.append(Constraint(quantity, bound, limit))
        if limits.get("min", float("-inf")) > limits.get("max", float("inf")):
            document.refuse(at, f"{quantity} has min {limits['min']:g} above max {limits['max']:g}")
    return tuple(found), action == "error"


def _resources(document: Document, block: Any) -> dict[str, Any]:
    """What workers may use, checked where it stands; it is the launcher's to interpret."""
    at: Where = ("resources",)
    settings = tuple(f.name for f in fields(Resources))
    found = document.mapping(block, at, (*settings, "rules"))
    listed = found.get("rules", ())
    for i, rule in enumerate(listed if isinstance(listed, list) else ()):
        document.mapping(rule, (*at, "rules", i), (*settings, "from_params"))
    try:
        ResourceRules.parse(found)
    except ValueError as error:
        document.refuse(at, str(error))
    return found


def _policy(document: Document, block: Any) -> Policy:
    document.mapping(block, ("policy",), POLICY_KEYS)
    try:
        return Policy.parse(block)
    except ValueError as error:
        found = next((key for key in block if str(error).startswith(f"{key} ")), None)
        document.refuse(("policy", found) if found else ("policy",), str(error))


def _keep(document: Document, value: Any, program: ProgramBlock | None) -> Keep:
    if value is not None and program:
        document.refuse(("keep",), "keep is for our training: a program keeps its own weights")
    try:
        return Keep.parse(value)
    except ValueError as error:
        document.refuse(("keep",), str(error))


def _prices(document: Document, block: Any) -> Prices:
    names = tuple(f.name for f in fields(Prices))
    chosen = document.mapping(block, ("estimate",), names)
    for key, value in chosen.items():
        number(document, value, ("estimate", key), low=0)
    try:
        return Prices(**chosen)
    except ValueError as error:
        document.refuse(("estimate",), str(error))
