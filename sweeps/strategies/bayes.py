"""``bayes``: the tree-structured Parzen estimator, by Optuna.

Source: Bergstra et al. 2011 (NeurIPS 24), sec. 4; Optuna's ``TPESampler``. Its study is built anew
from the runs so far for every proposal: they are its only state. Open runs count as bad ones, so
that neighbours of what is being tried are not proposed at the same time ("constant liar").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from scaling.families.vision import write_code
from sweeps.kinds import Parameter
from sweeps.strategies.space import SearchSpace
from sweeps.strategies.trials import Next, Options, Proposal, Seen, Trial, key, none_left

ASKED = 50  # times, for a point that fits and is new; after that it is drawn at random
INSTALL = "strategy bayes needs Optuna: pip install 'scaling-lab[search]'"


@dataclass(frozen=True)
class Bayes:
    """TPE, with joint densities of the parameters (Falkner et al. 2018).

    Attributes
    ----------
    startup : int
        Runs that end before it is asked; points are random until then.

    Raises
    ------
    ValueError
        If ``startup`` is below 1, or Optuna is not installed.
    """

    startup: int = 10
    rungs: ClassVar[int] = 1
    eta: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.startup < 1:
            raise ValueError(f"startup {self.startup} is below 1")
        if find_spec("optuna") is None:
            raise ValueError(INSTALL)

    def propose(self, space: SearchSpace, seen: Seen, seed: int) -> Next:
        """What TPE asks for; at random for the first ``startup`` runs."""
        rng = seen.rng(seed)
        point = None
        if len(seen.finished) >= self.startup:
            point = self._asked(space, seen, rng)
        if point is None:
            point = space.draw(rng, seen.tried)
        if point is None:
            return none_left(seen, "every point of the space that fits was tried")
        return Proposal(point)

    def _asked(self, space: SearchSpace, seen: Seen, rng: Any) -> Options | None:
        optuna = _optuna()
        dials = {
            name: dial
            for parameter_name, parameter in space.space.parameters.items()
            for name, dial in dials_of(parameter_name, parameter, optuna).items()
        }
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=self.startup,
            multivariate=True,
            constant_liar=True,
            seed=int(rng.integers(2**31)),
        )
        study = optuna.create_study(sampler=sampler)
        study.add_trials([_told(trial, space, dials, optuna) for trial in seen.finished])
        study.add_trials([_told(trial, space, dials, optuna) for trial in seen.open])
        for _ in range(ASKED):
            asked = study.ask(dials)
            point = space.check(_point(space, asked.params))
            if point is not None and key(point) not in seen.tried:
                return point
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        return None


def _optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def dials_of(name: str, parameter: Parameter, optuna: Any) -> dict[str, Any]:
    """Optuna's distributions of a parameter: one, or one a stage.

    Of a code each bit is one. Numbers in multiples of a step are counted in steps, powers of two
    by their exponent; a logarithmic one is so in its own values.
    """
    if parameter.distribution == "codes":
        bit = optuna.distributions.CategoricalDistribution(("0", "1"))
        return {
            f"{name}.{i}.{j}": bit
            for i, nodes in enumerate(parameter.values)
            for j in range(math.comb(nodes, 2))
        }
    if parameter.each and not parameter.tied:
        one = _dial(parameter, optuna)
        return {f"{name}.{i}": one for i in range(parameter.each)}
    return {name: _dial(parameter, optuna)}


def _dial(parameter: Parameter, optuna: Any) -> Any:
    distributions = optuna.distributions
    if parameter.distribution == "choices":
        return distributions.CategoricalDistribution(parameter.values)
    low, high = parameter.values
    if parameter.distribution == "power2":
        return distributions.IntDistribution(round(math.log2(low)), round(math.log2(high)))
    log = parameter.distribution == "log"
    if not parameter.multiple_of:
        return distributions.FloatDistribution(low, high, log=log)
    first, last = round(low / parameter.multiple_of), round(high / parameter.multiple_of)
    return distributions.IntDistribution(max(first, 1) if log else first, last, log=log)


def _point(space: SearchSpace, told: Mapping[str, Any]) -> Options:
    """A point from what Optuna says; stages in order where the space has them so."""
    point: Options = {}
    for name, parameter in space.space.parameters.items():
        if parameter.distribution == "codes":
            point[name] = [
                write_code("".join(told[f"{name}.{i}.{j}"] for j in range(math.comb(nodes, 2))))
                for i, nodes in enumerate(parameter.values)
            ]
        elif not parameter.each:
            point[name] = _setting(parameter, told[name])
        elif parameter.tied:
            point[name] = [_setting(parameter, told[name])] * parameter.each
        else:
            stages = [_setting(parameter, told[f"{name}.{i}"]) for i in range(parameter.each)]
            if parameter.order:
                stages.sort(reverse=parameter.order == "decreasing")
            point[name] = stages
    return point


def _setting(parameter: Parameter, value: Any) -> Any:
    if parameter.distribution == "choices":
        return value
    if parameter.distribution == "power2":
        return 2**value
    if not parameter.multiple_of:
        return value
    low, high = parameter.values
    number = min(max(value * parameter.multiple_of, low), high)
    whole = all(float(v) == int(v) for v in (low, high, parameter.multiple_of))
    return round(number) if whole else round(number, 12)


def _told(trial: Trial, space: SearchSpace, dials: Mapping[str, Any], optuna: Any) -> Any:
    """A trial as Optuna is told of it; one that ended without a loss was pruned."""
    params: dict[str, Any] = {}
    for name, parameter in space.space.parameters.items():
        value = trial.options[name]
        if parameter.distribution == "codes":
            for i, code in enumerate(value):
                params |= {f"{name}.{i}.{j}": b for j, b in enumerate(code.replace("-", ""))}
            continue
        if not parameter.each or parameter.tied:
            params[name] = _value(parameter, value[0] if parameter.each else value)
        else:
            params |= {f"{name}.{i}": _value(parameter, v) for i, v in enumerate(value)}
    for name, dial in dials.items():  # what was fixed up after the draw may lie outside
        if hasattr(dial, "low"):
            params[name] = min(max(params[name], dial.low), dial.high)
    state = optuna.trial.TrialState
    if trial.loss is None:
        return optuna.trial.create_trial(state=state.RUNNING, params=params, distributions=dials)
    if math.isinf(trial.value):
        return optuna.trial.create_trial(state=state.PRUNED, params=params, distributions=dials)
    return optuna.trial.create_trial(value=trial.value, params=params, distributions=dials)


def _value(parameter: Parameter, setting: Any) -> Any:
    if parameter.distribution == "power2":
        return round(math.log2(setting))
    if parameter.distribution != "choices" and parameter.multiple_of:
        return round(setting / parameter.multiple_of)
    return setting
