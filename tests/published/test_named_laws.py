"""Named laws on the tables they were published with, and the constants that were printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import LAWS, Estimand, Fit, backtest, fit
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


@pytest.mark.parametrize(
    ("table", "law", "y_col", "by"),
    [
        ("moe_sbase", "moe_routing", "loss", ()),
        ("lr_schedules_25m", "annealing", "loss", ()),
        ("downstream_ladder", "chinchilla", "task_loss", ("group",)),
    ],
)
def test_a_forecast_by_a_named_law_lies_in_its_interval(table, law, y_col, by) -> None:
    runs = pd.read_csv(DATA / f"{table}.csv")
    found = backtest(runs, law=law, y_col=y_col, by=by, train_col="is_training")
    for group in found.groups:
        assert group.status == "ok"
        for split in group.splits:
            assert ((split.low < split.predicted) & (split.predicted < split.high)).all()


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


def test_routing_by_compute_and_parameters_is_as_good_on_the_same_runs() -> None:
    """Clark et al. 2022, eq. 2: of FLOPs and parameters, it fits a router as eq. 1 does."""
    fitted, held_out = (
        part.assign(
            flops_forward=2 * part.dense_params,
            parameter_ratio=part.total_params / part.dense_params,
        )
        for part in read("moe_sbase")
    )
    f = fit("moe_utilisation", fitted, starts=4)
    assert f.r2 > 0.99
    assert rmse(f, held_out) < 0.0209  # a peer's by eq. 1
    assert f.params["a"] == pytest.approx(-0.082, abs=0.002)  # of dense models, table 3


def test_sparsity_tells_routed_models_as_well_as_their_own_law() -> None:
    """Abnar et al. 2025, eq. 6, on Clark et al.'s runs, all on the same data: their eq. 1 has
    .0209 by another program. Of one expert a token the share that idles is 1 - 1 / experts."""
    fitted, held_out = (
        table.assign(
            num_params=table.total_params, num_tokens=1.0, sparsity=1 - 1 / table.num_experts
        )
        for table in read("moe_sbase")
    )
    law = LAWS["moe_sparsity"].hold({"b": 1e-10, "beta": 1.0})  # E has the term of data
    assert rmse(fit(law, fitted, starts=4), held_out) < 0.0209


def test_granularity_gives_the_losses_that_were_printed() -> None:
    """Krajewski et al. 2024, table 2: 64 x N of 4.37B to 7.94T tokens, by the rounded constants of
    table 1; N = (8 64 + 4) / 12 active parameters, their sec. 6.1."""
    active = np.array([0.1, 1, 3, 7, 70, 300, 1000]) * 1e9
    tokens = np.array([4.37, 28.94, 72.9, 137.6, 941.07, 2960, 7940]) * 1e9
    given = published("moe_granularity", "expansion_64", num_params=active * (8 * 64 + 4) / 12,
                      num_tokens=tokens, granularity=[8, 16, 16, 32, 32, 64, 64])  # fmt: skip
    np.testing.assert_allclose(given, [3.133, 2.491, 2.245, 2.076, 1.694, 1.503, 1.367], rtol=0.01)


def test_transfer_is_what_its_paper_works_out() -> None:
    """Hernandez et al. 2021: sec. 6.2, one character and GPT-3's size, and 300 characters over one;
    sec. 1.1, ten times the parameters are worth about a hundred times the data."""
    known = {"text_to_python": (3.7e8, 2.8), "text_and_code_to_python": (4.1e9, 1.7)}
    for constants, (few_shot, multiplied) in known.items():
        given = published("transfer", constants, num_params=[1.75e11] * 2, sft_data_size=[1, 300])
        assert given[0] == pytest.approx(few_shot, rel=0.05)
        assert given[1] / given[0] == pytest.approx(multiplied, abs=0.05)
    at = {"num_params": [1e8, 1e9, 1e8], "sft_data_size": [1e6, 1e6, 1e8]}
    base, larger, more = published("transfer", "text_to_python", **at)
    assert larger / base == pytest.approx(more / base, rel=0.05)


def test_critical_batches_of_step_law_are_those_of_kaplan() -> None:
    """Steps to a loss by batch size, between Step Law's lengths of training, least over rates."""
    table = pd.read_csv(DATA / "steplaw_lr_batch.csv").query("num_params == 214663680")
    least = table.groupby(["batch_size", "num_tokens"]).loss.min().unstack()
    for loss in (2.48, 2.5, 2.54):
        rows = []
        for batch, curve in least.iterrows():
            known = curve.dropna()
            if len(known) > 2 and known.iloc[0] > loss and (known.diff().dropna() < 0).all():
                tokens = np.exp(np.interp(-loss, -known, np.log(known.index)))
                rows.append({"batch_size": 2048 * batch, "num_steps": tokens / (2048 * batch)})
        f = fit("batch_steps", pd.DataFrame(rows), starts=1)
        assert f.r2 > 0.99
        (kaplan,) = published("critical_batch", "kaplan", loss=loss)
        assert 0.5 < f.params["B_crit"] / kaplan < 2.0


def test_seven_bits_are_the_best_to_train_in() -> None:
    """Kumar et al. 2024: with cost N D P the best precision is 7 to 8 bits at any compute."""
    bits = np.linspace(4, 16, 241)
    per_bit = 1e20 / 6 / bits  # N D for the same cost
    n = np.exp(np.linspace(np.log(1e7), np.log(1e11), 400))[:, None]
    less = {"weight_bits": 0.812, "activation_bits": 3.110, "kv_bits": 2.316}
    at = {name: np.broadcast_to(bits - shift, (400, 241)).ravel() for name, shift in less.items()}
    given = published("precision", "kumar", num_params=np.broadcast_to(n, (400, 241)).ravel(),
                      num_tokens=(per_bit / n).ravel(), **at)  # fmt: skip
    best = bits[given.reshape(400, 241).min(axis=0).argmin()]
    assert 7.0 <= best <= 8.0


def test_larger_models_deserve_larger_vocabularies() -> None:
    """Tao et al. 2024: at the compute of Llama 2 70B the best vocabulary has at least 216K words.

    The constants are of their ``optimal_Nv_predict.py``, sizes in millions; there D follows from
    compute, by which the law's H is chosen here.
    """
    alpha, alpha_2 = 0.44660634152009615, 0.6707374679896795
    law = LAWS["vocabulary"]
    a, a_2, b = 1.8313851559554126, 0.19584238398665638, 2.1241123120064955
    values = (-5.5327846803337435, a * 1e6**alpha, alpha, a_2 * 1e6**alpha_2, alpha_2,
              b * 1e9**alpha, alpha)  # fmt: skip
    params = law.vector(dict(zip(law.names, values, strict=True)))
    words = np.linspace(2e4, 6e5, 5801)
    n, width = 70e9, 8192.0
    compute = (n / np.exp(-2.4846510161625193)) ** 2  # at which N is the best size
    logs = np.log(words)
    tokens = compute / (6 * (n + words * width))
    characters = tokens / (0.00639222 * logs**2 - 0.15811069 * logs + 1.20470122)
    loss = law.predict(params, np.full_like(words, n), words, np.full_like(words, width),
                       characters)  # fmt: skip
    assert 216e3 <= words[loss.argmin()] < 220e3


def test_farseers_best_ratio_of_tokens_to_parameters_rises() -> None:
    """Li et al. 2025: D / N of the best models grows with compute, beyond 1e20 to 1e21 FLOPs."""
    ratio = np.exp(np.linspace(np.log(2), np.log(400), 600))
    best = []
    for compute in (1e20, 1e21, 1e22):
        n = np.sqrt(compute / 6 / ratio)
        given = published("farseer", "li", num_params=n, num_tokens=n * ratio)
        best.append(ratio[given.argmin()])
    assert 5 < best[0] < best[1] < best[2] < 20


def test_the_critical_batch_of_step_laws_runs_is_that_of_kaplan() -> None:
    """Kaplan et al. 2020, eq. 1.4: 2e8 / L^4.76 tokens, 3.8M at a loss of 2.3; here from the
    least loss over learning rates of each batch from the best on (sequences of 2,048 tokens)."""
    runs = pd.read_csv(DATA / "steplaw_lr_batch.csv")
    cells = ["num_params", "num_tokens"]
    best = runs.loc[runs.groupby([*cells, "batch_size"]).loss.idxmin()]
    least = best.loc[best.groupby(cells).loss.idxmin(), [*cells, "batch_size"]]
    best = best.merge(least, on=cells, suffixes=("", "_best"))
    best = best[best.batch_size >= best.batch_size_best]
    f = fit("batch_data", best.assign(batch_size=2048.0 * best.batch_size), starts=2)
    kaplan = published("critical_batch", "kaplan", loss=best.loss.median())[0]
    assert f.r2 > 0.97
    assert 0.5 < f.params["B_crit"] / kaplan < 2


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


def test_few_schedules_extrapolate_better_with_what_a_fall_takes_off_held() -> None:
    """Luo et al. 2025 print B 363.8 for the 25M model; free, these three curves say 652."""
    fitted, held_out = read("lr_schedules_25m")
    at_once = fit("annealing_at_once", fitted, starts=2)
    assert at_once.params["B"] == pytest.approx(363.8, rel=0.05)
    f = fit(LAWS["multi_power"].hold({"B": at_once.params["B"]}), fitted, starts=1)
    assert rmse(f, held_out) < 0.0021


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
        # by hand: .94 + 16612.5 / 2.3195e5 + 5455.67 / 11800 + .4598 .1^.1666 + 17.26 1.446 / 27.26
        ("moe_sparsity", "abnar", {"num_params": 1e9, "num_tokens": 2e10, "sparsity": 0.9}, 2.702),
        # by hand: e^(-.021 33.22 - .091) + e^(88.01 .12589 - 6.287) (2e10)^-e^(-.124 12.79 + .424)
        ("farseer", "li", {"num_params": 1e9, "num_tokens": 2e10}, 0.5272),
        # by hand: .0598 (2.6e10)^.5068 (2.2e8)^-.3439 e^(-4 / .5907)
        (
            "precision_after",
            "kumar",
            {"num_params": 2.2e8, "num_tokens": 2.6e10, "weight_bits": 4},
            0.01759,
        ),
        # by hand: 1.79 (1e9)^-.713 (1e11)^.307
        ("step_law_lr", "li", {"num_params": 1e9, "num_tokens": 1e11}, 1.632e-3),
    ],
)
def test_constants_are_in_the_units_of_the_inputs(
    law: str, constants: str, inputs: dict[str, float], expected: float
) -> None:
    assert published(law, constants, **inputs)[0] == pytest.approx(expected, rel=2e-3)
