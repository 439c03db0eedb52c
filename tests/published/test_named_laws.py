"""Named laws on the tables they were published with, and the constants that were printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import LAWS, Estimand, Fit, fit
from analysis.forecasts import chain
from analysis.laws import with_schedule_sums

DATA = Path(__file__).parent / "data"
LEAST_SQUARES = Estimand("mse")


def read(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to fit and the rows to predict."""
    table = pd.read_csv(DATA / f"{name}.csv")
    return table[table.is_training == 1], table[table.is_training == 0]


def rmse(f: Fit, held_out: pd.DataFrame) -> float:
    """Of the logarithm."""
    return float(np.sqrt(np.mean(np.log(f.predict(held_out) / held_out[f.y_col]) ** 2)))


def published(law: str, constants: str, **inputs: object) -> np.ndarray:
    """What a law gives with constants that were printed."""
    known = LAWS[law]
    at = [np.atleast_1d(np.asarray(inputs[name], dtype=float)) for name in known.inputs]
    return known.predict(known.vector(dict(known.published[constants])), *at)


def test_routing_predicts_the_largest_models_as_well_as_a_peer() -> None:
    """Least squares with the paper's law by another program: held-out RMSE .0209, R2 .737."""
    fitted, held_out = read("moe_sbase")
    f = fit("moe_routing", fitted, LEAST_SQUARES)
    assert rmse(f, held_out) == pytest.approx(0.0209, abs=1e-4)
    assert rmse(fit("moe_routing", fitted), held_out) < 0.0209


def test_routing_constants_are_those_of_the_paper() -> None:
    """Clark et al. 2022, the table of solutions to eq. 1, gives S-BASE's losses to 2 %."""
    both = pd.concat(read("moe_sbase"))
    given = published("moe_routing", "s_base", **both)
    assert np.sqrt(np.mean(np.log(given / both.loss) ** 2)) < 0.02


def test_routers_rank_as_their_paper_says() -> None:
    """Clark et al. 2022: S-BASE is the best of the three, all are better than the dense model."""
    at = {"dense_params": [1.3e9, 1.3e9], "num_experts": [1, 128]}
    dense, routed = np.array(
        [published("moe_routing", x, **at) for x in ("s_base", "rl_r", "hash")]
    ).T
    np.testing.assert_allclose(dense, dense.mean(), rtol=0.05)
    assert (routed[0] < routed[1:]).all()
    assert (routed < dense).all()


def test_streams_give_the_losses_that_were_reported() -> None:
    """Chen et al. 2025: losses on Stack-V2-Python of four of its models, to the fit's own error."""
    reported = {
        (535813376, 1): 1.1722,
        (1571472384, 1): 1.0817,
        (545340552, 8): 1.1231,
        (4414502408, 8): 0.9794,
    }
    n, streams = np.array(list(reported)).T
    given = published("parallel", "stack_v2_python", num_params=n, parallel_size=streams)
    np.testing.assert_allclose(given, list(reported.values()), rtol=5e-3)


def test_the_rectified_law_is_as_good_as_a_peer_on_three_models() -> None:
    fitted, held_out = read("sft_flan")
    errors = []
    for name in ("bart-base", "gpt2", "opt-1.3b"):
        f = fit("fine_tuning", fitted[fitted.group == name], LEAST_SQUARES, starts=4)
        plain = fit("power_floor", fitted[fitted.group == name],
                    Estimand("mse", x_col="sft_data_size"), starts=4)  # fmt: skip
        part = held_out[held_out.group == name]
        errors.append(rmse(f, part))
        assert errors[-1] < rmse(plain, part)
    assert np.mean(errors) < 0.03


def test_schedules_lead_to_other_schedules_and_lengths() -> None:
    fitted, held_out = read("lr_schedules_25m")
    annealing = fit("annealing", fitted)
    assert rmse(annealing, held_out) < 0.003
    f = fit("multi_power", fitted, starts=1)
    assert rmse(f, held_out) < 0.0035
    for name, part in held_out.groupby("curve"):  # the whole fall to the end
        end = part[part.step == part.step.max()]
        assert f.predict(part)[-1] == pytest.approx(float(end.loss.iloc[0]), rel=6e-3), name


def test_multi_power_constants_are_those_of_the_paper() -> None:
    """Luo et al. 2025: mean RMSE .00465 over its test curves at 25M; with rows thinned here."""
    both = pd.concat(read("lr_schedules_25m"))
    given = published("multi_power", "luo_25m", **with_schedule_sums(both))
    errors = (given - both.loss) ** 2
    assert np.sqrt(errors.groupby(both.curve).mean()).mean() < 0.0075


def test_sums_over_a_schedule_are_those_of_every_step() -> None:
    """The table's were made from the rate at each of the 24,000 steps."""
    both = pd.concat(read("lr_schedules_25m"))
    made = with_schedule_sums(both.drop(columns=["lr_sum", "lr_anneal_sum"]))
    np.testing.assert_allclose(made.lr_sum, both.lr_sum, rtol=0.012)
    smooth = both.curve != "wsdcon_9"  # whose sudden fall is somewhere in 256 steps
    off = np.abs(made.lr_anneal_sum - both.lr_anneal_sum)
    assert off[smooth].max() < 0.003
    assert off.max() < 0.02


def test_easy_questions_turn_as_a_cubic_says() -> None:
    """A cubic in log compute by another program: held-out RMSE .083, R2 .81."""
    fitted, held_out = read("easy_questions")
    wrong = []
    for name, part in held_out.groupby("group"):
        f = fit("polynomial3", fitted[fitted.group == name],
                Estimand("mse", y_col="brier_score"), starts=0)  # fmt: skip
        wrong.append(f.predict(part) - part.brier_score)
    assert np.sqrt(np.mean(np.concatenate(wrong) ** 2)) == pytest.approx(0.083, abs=1e-3)


def test_two_steps_to_a_metric_carry_both_errors() -> None:
    """The task's loss is predicted to .082 by a peer; accuracy to .179."""
    fitted, held_out = read("downstream_ladder")
    losses, metrics, inside = [], [], []
    for name in ("arc_easy_test", "openbookqa_test", "piqa_val"):
        part = held_out[held_out.group == name]
        steps = chain(fitted[fitted.group == name], "task_loss", "accuracy", bootstrap=60)
        losses.append(np.log(steps.first.predict(part) / part.task_loss))
        metrics.append(steps.predict(part) - part.accuracy)
        low, high = steps.predict_ci(part)
        inside.append((low < part.accuracy) & (part.accuracy < high))
        alone = steps.second.predict_ci({"task_loss": steps.first.predict(part)})
        assert (high - low > alone[1] - alone[0]).all()  # the first step's error is in it
    assert np.sqrt(np.mean(np.concatenate(losses) ** 2)) < 0.082
    assert np.sqrt(np.mean(np.concatenate(metrics) ** 2)) < 0.179
    assert np.mean(inside) >= 0.6


def test_width_and_depth_tell_more_of_gemstones_than_their_product() -> None:
    runs = pd.read_csv(DATA / "gemstones_cool_end.csv")
    plain, shaped = fit("chinchilla", runs), fit("width_depth", runs, starts=2)
    assert shaped.objective < 0.8 * plain.objective


@pytest.mark.parametrize(
    ("law", "constants", "inputs", "expected"),
    [
        # by hand: 1.69 + 406.4 / 4867.8 + 410.7 / 2517.2
        ("chinchilla", "hoffmann", {"num_params": 70e9, "num_tokens": 1.4e12}, 1.9366),
        # by hand: 2e8 / 2.6^4.7619
        ("critical_batch", "kaplan", {"loss": 2.6}, 2.11e6),
        # by hand: e^(5.039 + 0.0555 48)
        ("width_of_depth", "levine", {"depth": 48}, 2214),
        # by hand: 1.79 (1e9)^-.713 (1e11)^.307
        ("step_law_lr", "li", {"num_params": 1e9, "num_tokens": 1e11}, 1.632e-3),
    ],
)
def test_constants_are_in_the_units_of_the_inputs(
    law: str, constants: str, inputs: dict[str, float], expected: float
) -> None:
    assert published(law, constants, **inputs)[0] == pytest.approx(expected, rel=2e-3)
