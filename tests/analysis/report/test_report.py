"""The report: one file, complete, without network."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from analysis import Estimand, fit, plotting
from analysis.compute.approach2 import isoflop
from analysis.forecasts import forecast_of, predict_held_out
from analysis.report import Findings, figures, write_report
from analysis.report.sections import captions, excluded, tiles

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Text, tables and tags of a page; fails on a tag that closes another."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data.strip())


def stills(text):
    return text[: text.index("<footer>")].count("<svg")


@pytest.fixture(scope="module")
def found(planted_runs):
    """Of the planted runs, the three largest held out and one diverged."""
    runs = planted_runs.copy()
    runs.loc[0, ["status", "exclude_reason", "name"]] = ["diverged", "diverged: <nan>", "a<b>"]
    held = runs.tail(3)
    runs.loc[held.index, "exclude_reason"] = "held out"
    runs.attrs = {"notes": ["1 of 30 runs not used: diverged"]}
    law = fit("chinchilla", runs, bootstrap=100)
    return Findings(runs, fits=[law], holdout=predict_held_out(forecast_of(law), held))


def written(found, path):
    words = {"title": "A <title> & more", "how_to_run": "make quickstart"}
    return write_report(path, found, **words)


@pytest.fixture(scope="module")
def made(found, tmp_path_factory):
    """A report, its law and what was predicted."""
    path = written(found, tmp_path_factory.mktemp("report") / "sub" / "report.html")
    return path, found.fits[0], found.holdout


def test_the_number_of_runs_used_is_the_laws(planted_runs):
    """A run without its D has no reason in the table, and the law does not use it."""
    runs = planted_runs.copy()
    runs.loc[4, "num_tokens"] = float("nan")
    law = fit("chinchilla", runs)
    assert tiles(runs, law, (), None, 0.9)[0] == ("29 of 30", "runs used")
    [[_, _, why]] = excluded(runs, [law]).rows
    assert why.text == "num_tokens missing"


def test_predictions_of_held_out_runs_are_honest(made, planted_runs):
    _, law, rows = made
    assert len(rows) == 3
    for row, (_, run) in zip(rows, planted_runs.tail(3).iterrows(), strict=True):
        columns = {k: [run[k]] for k in ("num_params", "num_tokens")}
        predicted = float(forecast_of(law).predict(columns)[0])
        assert row["actual"] == run["loss"]
        assert row["predicted"] == pytest.approx(predicted)
        assert row["relative_error"] == pytest.approx(predicted / run["loss"] - 1)
        assert row["ci"][0] < row["predicted"] < row["ci"][1]
        assert row["run_id"] == run["run_id"]


def test_the_page_is_well_formed_and_self_contained(made):
    text = made[0].read_text(encoding="utf-8")
    page = Page(text)
    for tag, attrs in page.tags:
        assert tag not in {"link", "iframe", "img", "object"}
        assert tag != "script" or attrs in ({}, {"type": "application/json", "id": "pictures"})
        for key in ("src", "href", "xlink:href"):
            assert attrs.get(key, "#").startswith(("#", "data:"))
    assert not re.search(r"url\((?!#|'#|\"#)", text)
    assert "@import" not in text


def test_the_page_says_all_that_was_promised(made):
    path, law, rows = made
    text = path.read_text(encoding="utf-8")
    words = " ".join(Page(text).words)
    for heading in (
        "The law",
        "Held-out runs: prediction and truth",
        "What to train next",
        "Figures",
        "To be read with care",
        "Left out",
        "The run table",
        "Run it again",
    ):
        assert heading in words
    assert law.formula().replace(" ", "") in text.replace(" ", "")  # read to those who cannot see
    for value in (law.params["A"], law.ci()["alpha"][0]):
        assert f"{value:.4g}" in words
    for row in rows:
        assert f"{row['predicted']:.4f}" in words
        assert f"{row['actual']:.4f}" in words
        assert f"{100 * row['relative_error']:+.2f} %" in words
    assert words.count("held out") >= 3
    assert "diverged: <nan>" in words
    assert "make quickstart" in words
    assert "A <title> & more" in words
    assert "26 of 30" in words
    assert stills(text) == 10  # formula, predictions, frontier, scaling, 3 residuals, 3 plan


def test_colours_follow_the_reader_light_or_dark(made):
    text = made[0].read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    assert "var(--ink)" in drawings
    assert "#24292f" not in drawings


def test_runs_alone_make_a_report(planted_runs, tmp_path):
    text = write_report(tmp_path / "r.html", Findings(planted_runs)).read_text(encoding="utf-8")
    assert "Nothing: every run was used." in text
    assert stills(text) == 1


def test_a_law_that_has_no_best_size_says_so_instead_of_a_plan(planted_runs, tmp_path):
    one = planted_runs[planted_runs["num_tokens"] == planted_runs["num_tokens"].max()]
    law = fit("power_floor", one, bootstrap=20)
    text = write_report(tmp_path / "r.html", Findings(one, fits=[law])).read_text(encoding="utf-8")
    assert "What to train next" not in text
    assert law.law.source in text


def test_captions_say_what_is_drawn(planted_runs):
    plane = fit("chinchilla", planted_runs, starts=0)
    line = fit("power_floor", planted_runs, Estimand(x_col="num_tokens"), starts=0)
    assert "Thin lines are learning curves. Points" in captions(plane, True)["frontier"]
    assert "Thin lines" not in captions(plane, False)["frontier"]
    assert "lowest losses measured" in captions(line, False)["frontier"]
    assert "one amount of data" in captions(plane, False)["scaling"]
    assert captions(line, False)["scaling"] == "Loss against num_tokens; the line is the law."


def test_iso_flop_minima_have_their_section(planted_runs, tmp_path):
    import numpy as np

    runs = planted_runs.assign(
        flops=np.repeat(np.geomspace(1e12, 1e13, 5), 6),
        loss=np.tile([3.0, 2.5, 2.2, 2.3, 2.6, 3.1], 5),
        num_params=np.tile(np.geomspace(1e4, 1e6, 6), 5),
    )
    found = isoflop(runs)
    text = write_report(tmp_path / "r.html", Findings(runs, isoflop=found)).read_text(
        encoding="utf-8"
    )
    assert "Iso-FLOP minima" in text
    assert f"a = {found.a:.3f}" in text


def test_a_report_counts_budgets_without_a_minimum_and_has_no_exponent_of_two(tmp_path):
    n = np.geomspace(1e6, 1e7, 5)
    rows = [(c, m, 2 + np.log(m / 3e6) ** 2) for c in (1e17, 1e18) for m in n]
    rows += [(1e19 * 2**i, 1e7, 2.0) for i in range(12)]
    runs = pd.DataFrame(rows, columns=["flops", "num_params", "loss"])
    path = write_report(tmp_path / "r.html", Findings(runs, isoflop=isoflop(runs)))
    text = path.read_text(encoding="utf-8")
    section = text[text.index("Iso-FLOP minima") :]
    section = section[: section.index("</p>")]
    assert section.count("<tr") == 3
    assert "no exponent: 2 budgets have a minimum, and it needs 3" in section
    assert "12 of 14 budgets have no minimum: 12 too few sizes (parabola needs 3)" in section
    assert "a = " not in section


def test_the_same_input_gives_the_same_page(made, found, tmp_path):
    again = written(replace(found), tmp_path / "b.html")  # with nothing kept from the first
    assert again.read_bytes() == made[0].read_bytes()


def test_figures_have_names(planted_runs):
    law = fit("chinchilla", planted_runs)
    assert set(figures(Findings(planted_runs, fits=[law]))) == {
        "frontier",
        "scaling",
        "residuals",
        "plan",
    }


def test_hostile_names_are_words(planted_runs, tmp_path):
    """A name, title, note or prediction that holds tags and quotes is shown, never obeyed."""
    evil = "<script>alert('x')</script>\"><img src=x onerror=\"y"
    runs = planted_runs.assign(name=evil, status=evil)
    runs.loc[0, "exclude_reason"] = evil
    runs.attrs = {"notes": [evil]}
    law = fit("chinchilla", runs, bootstrap=20)
    [row] = predict_held_out(forecast_of(law), runs.tail(1))
    held = [{**row, "num_params": None, "num_tokens": None, "name": evil}]
    found = Findings(runs, fits=[law], holdout=held)
    bars = plotting.predictions([evil], [row["predicted"]], [row["ci"]], [row["actual"]])
    drawn = {"predictions": bars, evil: figures(Findings(runs, fits=[law]))["plan"]}
    path = write_report(tmp_path / "r.html", found, drawn=drawn, title=evil, how_to_run=evil)
    page = Page(path.read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 3 and "img" not in tags  # the page's own
    numbers = re.search(r'id="pictures">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)[1]
    assert not set("<>&") & set(numbers) and json.loads(numbers)["pictures"][evil]
    assert all(not key.startswith("on") for _, attrs in page.tags for key in attrs)
    assert sum(evil[:40] in words for words in page.words) >= 6 + 2 * len(runs)
    assert sum(attrs.get("title") == evil for _, attrs in page.tags) >= 2 * len(runs)


def test_a_formula_that_cannot_be_typeset_is_escaped(planted_runs, tmp_path):
    law = fit("chinchilla", planted_runs, starts=0)
    odd = replace(law.law, latex=r"\nothing{", formula="L = E + A / N^alpha <b>")
    found = Findings(planted_runs, fits=[replace(law, law=odd)])
    text = write_report(tmp_path / "r.html", found, drawn={}).read_text(encoding="utf-8")
    formula = text[text.index('class="formula"') :]
    formula = formula[: formula.index("</div>")]
    assert "N^" not in formula and "<sup>0." in formula
    assert "&lt;b&gt;</div>" in text


def test_another_suffix_is_refused(planted_runs, tmp_path):
    with pytest.raises(ValueError, match=r"written as .html"):
        write_report(tmp_path / "r.pdf", Findings(planted_runs))


def test_what_is_downloaded_is_what_was_found(made, planted_runs):
    path, law, rows = made
    links = re.findall(
        r'download="(\S+)" href="data:[\w/]+;base64,([^"]+)"', path.read_text("utf-8")
    )
    files = {name: base64.b64decode(text).decode() for name, text in links}
    table = pd.read_csv(io.StringIO(files["runs.csv"]))
    np.testing.assert_allclose(table["loss"], planted_runs["loss"], rtol=1e-11)
    told = json.loads(files["report.json"])
    assert told["laws"][0]["params"] == law.params
    assert [row["predicted"] for row in told["held_out"]] == [row["predicted"] for row in rows]
    assert len(told["runs"]) == 30 and 4 <= len(told["headline"]) <= 5
    assert path.stat().st_size < 1e6  # of 30 runs


@pytest.mark.slow
def test_a_report_of_500_runs_with_curves_is_under_3_megabytes(tmp_path):
    """It protects the size of what people send around."""
    rng = np.random.default_rng(0)
    n = np.exp(rng.uniform(np.log(1e6), np.log(1e9), 500))
    d = n * np.exp(rng.uniform(np.log(5), np.log(100), 500))
    loss = 1.7 + 400 / n**0.34 + 400 / d**0.28
    ids = [f"{i:016x}" for i in range(500)]
    known = {"run_id": ids, "name": [f"N={a:.4g} D={b:.4g}" for a, b in zip(n, d, strict=True)]}
    runs = pd.DataFrame({**known, "num_params": n, "num_tokens": d, "flops": 6 * n * d,
                         "loss": loss * np.exp(0.003 * rng.standard_normal(500)), "seed": 0,
                         "data_unit": "token", "status": "done", "exclude_reason": ""})  # fmt: skip
    points = [
        (run, tokens * share, last * (1.4 - 0.4 * share))
        for run, tokens, last in zip(ids, d, loss, strict=True)
        for share in np.geomspace(0.01, 1, 100)
    ]
    curves = pd.DataFrame(points, columns=["run_id", "step", "loss"])
    law = fit("chinchilla", runs, starts=0)
    path = write_report(tmp_path / "r.html", Findings(runs, fits=[law], curves=curves))
    assert path.stat().st_size < 3e6
