"""Searches at equal FLOPs by hand, and ranks by scale against SciPy and what was planted."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.designs import compare_searches, rank_correlations
from analysis.designs.ranks import _alike, _resampled
from analysis.plotting import draw, ranks, search
from scaling.cli import main


def runs_of(rows, columns):
    table = pd.DataFrame(rows, columns=columns)
    table["run_id"] = [f"{i:016x}" for i in range(len(table))]
    return table.assign(exclude_reason="")


SEARCHES = runs_of(
    [
        *(("random", 0, 10.0 * i, loss) for i, loss in enumerate([4.0, 3.0, 3.5, 2.0], 1)),
        *(("random", 1, 10.0 * i, loss) for i, loss in enumerate([5.0, 2.5, 2.6, 2.4], 1)),
        *(("asha", 0, 5.0 * i, loss) for i, loss in enumerate([6.0, 1.5, 1.9, 1.0], 1)),
        *(("asha", 1, 5.0 * i, loss) for i, loss in enumerate([6.0, 2.5, 1.7, 1.2], 1)),
    ],
    ["strategy", "strategy_seed", "search_flops", "loss"],
)


def test_the_best_so_far_at_the_last_budget_that_all_reached():
    """asha ends at 20 FLOPs: there random has 3.0 and 2.5, asha 1.0 and 1.2."""
    found = compare_searches(SEARCHES)
    asha, random = found.curves
    assert (asha.strategy, random.strategy) == ("asha", "random")
    assert (asha.flops[-1], random.flops[-1]) == (20.0, 20.0)
    assert (asha.final, random.final) == ((1.0, 1.2), (3.0, 2.5))
    assert asha.runs == (4, 4)
    low, high = stats.t.interval(0.9, 1, loc=2.75, scale=stats.sem([3.0, 2.5]))
    assert (random.low[-1], random.high[-1]) == pytest.approx((low, high))
    assert (np.diff(asha.best) <= 0).all()
    assert asha.best[np.searchsorted(asha.flops, 12.0)] == pytest.approx((1.5 + 2.5) / 2)


def test_random_begins_where_its_first_run_ends():
    _, random = compare_searches(SEARCHES).curves
    assert random.flops[0] >= 10.0
    assert random.best[0] == 4.5


def test_a_table_without_a_search_says_so():
    with pytest.raises(ValueError, match="no runs of a search: the table has no strategy"):
        compare_searches(SEARCHES.drop(columns="strategy"))


def ladder(noise, seed=0, n=30):
    """The same designs at three sizes of data, their ranks disturbed the more the smaller."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(1, 2, n)
    rows = [
        (i, tokens, float(q + noise * rng.normal() / tokens + 1 / tokens))
        for tokens in (1, 2, 4)
        for i, q in enumerate(quality)
    ]
    return runs_of(rows, ["width", "num_tokens", "loss"])


def test_ranks_are_scipys_over_the_designs_that_both_scales_have():
    table = ladder(1.0)
    table.loc[3, "exclude_reason"] = "diverged"
    found = rank_correlations(table, ["width"])
    assert [one.scale for one in found.correlations] == [1, 2]
    small, large = (
        table[(table["num_tokens"] == t) & (table["width"] != 3)]["loss"].to_numpy() for t in (1, 4)
    )
    one = found.correlations[0]
    assert one.n_designs == 29
    assert one.spearman == pytest.approx(stats.spearmanr(small, large).statistic)
    assert one.kendall == pytest.approx(stats.kendalltau(small, large).statistic)
    assert one.spearman_ci[0] < one.spearman < one.spearman_ci[1]
    assert one.rank_of_best == stats.rankdata(large)[small.argmin()]
    assert one.regret == pytest.approx(large[small.argmin()] - large.min())


def test_a_resample_has_scipys_rho_and_tau_ties_and_all():
    both = np.random.default_rng(0).integers(0, 6, (12, 2)).astype(float)
    picks = np.random.default_rng(1).integers(12, size=(20, 12))
    for pick, (rho, tau) in zip(picks, _resampled(both, picks), strict=True):
        assert rho == pytest.approx(stats.spearmanr(*both[pick].T).statistic)
        assert tau == pytest.approx(stats.kendalltau(*both[pick].T).statistic)


def test_sizes_in_whole_steps_of_several_batches_are_one_scale():
    table = ladder(0.0)
    table["num_tokens"] = 1000.0 * table["num_tokens"] + table["width"]
    assert [one.n_designs for one in rank_correlations(table, ["width"]).correlations] == [30, 30]
    runs = pd.DataFrame({"rung": [0, 1, 2]})
    assert list(_alike(runs["rung"].to_numpy(float))) == [0, 1, 2]


def test_without_noise_ranks_agree_fully_and_the_best_stays_the_best():
    for one in rank_correlations(ladder(0.0), ["width"]).correlations:
        assert (one.spearman, one.kendall, one.rank_of_best, one.regret) == (1.0, 1.0, 1, 0.0)


def test_the_interval_holds_what_many_other_designs_have():
    """Of 40 draws of 30 designs the rho of a population lies in 90 % of the intervals, about."""
    truth = rank_correlations(ladder(0.5, n=3000), ["width"], draws=2).correlations[0].spearman
    inside = 0
    for seed in range(40):
        low, high = (
            rank_correlations(ladder(0.5, seed), ["width"], draws=100).correlations[0].spearman_ci
        )
        inside += low <= truth <= high
    assert 29 <= inside <= 40


def test_promotions_are_one_design():
    rows = [(f"r{i}", "", 0, 1.0 + i) for i in range(8)]
    rows += [(f"s{i}", f"r{i}", 1, 0.5 + i * i) for i in range(6)]
    table = pd.DataFrame(rows, columns=["run_id", "parent", "rung", "loss"])
    found = rank_correlations(table.assign(exclude_reason=""))
    (one,) = found.correlations
    assert (found.scale, found.is_selected) == ("rung", True)
    assert (one.n_designs, one.spearman) == (6, 1.0)


@pytest.mark.parametrize(
    ("by", "says"),
    [
        ((), "--by depth,width"),
        (("widht",), "unknown column 'widht'"),
        (("num_tokens",), "shares 5 designs"),
    ],
)
def test_what_cannot_be_ranked(by, says):
    with pytest.raises(ValueError, match=says):
        rank_correlations(ladder(0.1), by)


def test_the_command_and_the_figures(tmp_path, capsys):
    ladder(0.3).to_csv(tmp_path / "ladder.csv", index=False)
    searches = tmp_path / "searches.csv"
    SEARCHES.to_csv(searches, index=False)
    wide = ["--by", "width", "--draws", "100"]
    assert main(["ranks", str(tmp_path / "ladder.csv"), *wide, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["n_designs"] for one in told["correlations"]] == [30, 30]
    assert main(["ranks", str(tmp_path / "ladder.csv"), *wide]) == 0
    assert "Spearman" in capsys.readouterr().out
    for kind, source, more in (
        ("search", searches, []),
        ("ranks", tmp_path / "ladder.csv", wide[:2]),
    ):
        out = tmp_path / f"{kind}.png"
        assert main(["plot", str(source), kind, "-o", str(out), *more, "--data"]) == 0
        assert out.stat().st_size > 10_000
        assert (tmp_path / f"{kind}.csv").exists()


def test_figures_have_a_line_a_strategy_and_a_point_a_scale():
    picture = search(compare_searches(SEARCHES))
    assert [layer.label for layer in picture.panel.layers if layer.kind == "line"] == [
        "asha (4 to 4 runs, 2 seeds)",
        "random (4 to 4 runs, 2 seeds)",
    ]
    assert draw(picture) is not None
    drawn = ranks(rank_correlations(ladder(0.3), ["width"], draws=50))
    assert drawn.panel.x.names == ["1", "2"]
