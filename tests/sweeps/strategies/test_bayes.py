"""TPE as we rebuild it, against a study that Optuna keeps itself."""

from __future__ import annotations

import random

import numpy as np
import pytest

from sweeps.kinds.spaces import Parameter, Space
from sweeps.strategies import SearchSpace, bayes
from sweeps.strategies.bayes import Bayes
from tests.sweeps.strategies.conftest import SPACE, loss, search

optuna = pytest.importorskip("optuna")


def test_its_proposals_are_those_of_a_study_that_optuna_keeps(space):
    """One study, asked and told as its manual has it, with the same sampler's seed each time."""
    trials, _, _ = search(Bayes(startup=6), space, 0, 25)
    dials = {
        "lr": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
        "width": optuna.distributions.IntDistribution(1, 32, log=True),
        "depth": optuna.distributions.IntDistribution(1, 12),
        "norm": optuna.distributions.CategoricalDistribution(("none", "batch", "layer")),
    }
    study = optuna.create_study()
    for number, trial in enumerate(trials):
        params = dict(trial.options)
        if number >= 6:
            seed = int(np.random.default_rng([0, number]).integers(2**31))
            study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=6, multivariate=True, seed=seed
            )
            asked = study.ask(dials)
            found = {**asked.params, "width": 8 * asked.params["width"]}
            assert found == trial.options
            study.tell(asked, loss(trial.options))
            continue
        params["width"] //= 8
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=dials, value=trial.loss)
        )


def test_with_open_runs_and_such_as_failed_it_still_depends_on_these_alone(space):
    def told(options, rung):
        return float("inf") if options["depth"] == 5 else loss(options)

    once, again = (
        search(Bayes(5), space, 0, 20, workers=3, order=random.Random(1), told=told)[0]
        for _ in range(2)
    )
    assert once == again
    assert len({str(trial.options) for trial in once}) == 20


def test_stages_ties_orders_and_powers_come_out_as_the_space_has_them():
    space = SearchSpace(
        Space(
            "stages",
            "",
            {
                "widths": Parameter("log", (8, 64), 8, each=3, order="increasing"),
                "depths": Parameter("uniform", (1, 4), 1, each=3),
                "ratio": Parameter("choices", (1, 2, 4), each=3, tied=True),
                "batch": Parameter("power2", (16, 128)),
                "dropout": Parameter("uniform", (0.0, 0.5), 0.1),
            },
        )
    )
    trials, _, _ = search(Bayes(3), space, 0, 15, told=lambda o, _: sum(o["widths"]))
    for trial in trials[3:]:
        options = trial.options
        assert options["widths"] == sorted(options["widths"])
        assert all(width % 8 == 0 for width in options["widths"])
        assert len(set(options["ratio"])) == 1
        assert options["batch"] in (16, 32, 64, 128)
        assert options["dropout"] in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(bayes, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="strategy bayes needs Optuna: pip install"):
        Bayes()


def test_every_dial_of_the_space_is_one_of_optunas():
    assert [
        (name, type(dial).__name__)
        for key, parameter in SPACE.parameters.items()
        for name, dial in bayes.dials_of(key, parameter, optuna).items()
    ] == [
        ("lr", "FloatDistribution"),
        ("width", "IntDistribution"),
        ("depth", "IntDistribution"),
        ("norm", "CategoricalDistribution"),
    ]
