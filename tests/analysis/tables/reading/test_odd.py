"""Tables as pandas, web pages, accounts and people in a hurry leave them."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from analysis.tables import load_runs, proposal

N = [70e6, 70e6, 160e6, 160e6, 1.4e9, 1.4e9]
D = [1.4e9, 5.6e9, 1.4e9, 5.6e9, 1.4e9, 5.6e9]
LOSS = [3.912, 3.701, 3.425, 3.213, 2.904, 2.618]
TABLE = pd.DataFrame({"params": N, "tokens": D, "loss": LOSS})
LEVELS = [("size", "params"), ("size", "tokens"), ("val", "loss")]


def is_planted(table):
    table = table[table["exclude_reason"] == ""].sort_values(["num_params", "num_tokens"])
    for column, values in (("num_params", N), ("num_tokens", D), ("loss", LOSS)):
        np.testing.assert_allclose(table[column].to_numpy(dtype=float), values, rtol=1e-6)
    return True


def with_levels(index=None, names=None):
    table = TABLE.set_axis(pd.MultiIndex.from_tuples(LEVELS, names=names), axis=1)
    return table.rename_axis(index=index)


SEEDS = pd.concat([TABLE.assign(loss=TABLE["loss"] + shift) for shift in (-0.01, 0.01)])
GROUPED = SEEDS.groupby(["params", "tokens"]).agg({"loss": ["mean", "std"]})
FRAMES = {
    "levels": with_levels(),
    "named": with_levels("run"),
    "all named": with_levels("run", ["group", "what"]),
    "grouped": GROUPED,
    "grouped, flat": GROUPED.reset_index(),
    "pivoted": TABLE.pivot_table(index="params", columns="tokens", values=["loss"]),
    "crossed": TABLE.pivot(index="params", columns="tokens", values="loss"),
    "three levels": TABLE.set_axis(
        pd.MultiIndex.from_tuples([(f"{top} of", top, name) for top, name in LEVELS]),
        axis=1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("write", ["csv", "html", "xlsx"])
@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_with_levels_opens_as_pandas_writes_it(tmp_path, name, write):
    frame, path = FRAMES[name], tmp_path / f"a.{write}"
    {"csv": frame.to_csv, "html": frame.to_html, "xlsx": frame.to_excel}[write](path)
    assert is_planted(load_runs(path))


def test_a_cross_table_of_two_values_opens_once_the_loss_is_named(tmp_path):
    two = SEEDS.pivot_table("loss", "params", "tokens", aggfunc=["mean", "std"])
    two.to_csv(tmp_path / "a.csv")
    assert is_planted(load_runs(tmp_path / "a.csv", columns={"loss": "mean"}))


PAGE = """<!DOCTYPE html><html><style>td {}</style><script>"<table><tr><td>"</script>
<table><tr><td>a<td>b<tr><td>menu<table><tr><td>x<td>y</table><td>z</table>
<table class=wikitable><tr><th rowspan=2>Model<th rowspan=2>Params<th colspan=2>Loss
<th rowspan=2>Tokens<tr><th>train<th>val
<tr><td>A<td rowspan=2>70M<td>4.0<sup>[1]</sup><td>3.912<td>1.4&times;10<sup>9</sup>
<tr><td>B<td>3.9<td>3.701<sup>a</sup><td>5.6&nbsp;billion</tr>
"""


def test_the_largest_table_of_a_web_page_is_read(tmp_path):
    (tmp_path / "a.HTML").write_text(PAGE)
    table = load_runs(tmp_path / "a.HTML")
    assert table["num_params"].tolist() == [70e6, 70e6]
    assert table["num_tokens"].tolist() == [1.4e9, 5.6e9]
    assert table["loss"].tolist() == [3.912, 3.701]
    assert "the largest of 2 tables is read" in table.attrs["notes"]
    (tmp_path / "b.html").write_text(PAGE.replace("3.701", "bad"))
    with pytest.raises(ValueError, match=r"row 2 of the table, column 'Loss.val': 'bad"):
        load_runs(tmp_path / "b.html")
    (tmp_path / "c.html").write_text("<html><p>Not found</html>")
    with pytest.raises(ValueError, match="there is no <table> in this page; download the file"):
        load_runs(tmp_path / "c.html")


ROWS = [*zip(N, D, LOSS, strict=True)]
TEXTS = {
    "remark.csv": TABLE.to_csv(index=False) + "# preliminary\n",
    "mean.csv": "params,tokens,loss (mean ± std)\n"
    + "".join(f"{n},{d},{x} ± .1\n" for n, d, x in ROWS),
    "sections.csv": "model,params,tokens,loss\nfirst,7e7,1.4e9,3.912\nPythia,,,\n"
    + "".join(f"m,{n},{d},{x}\n" for n, d, x in ROWS[1:]),
    "typeset.csv": "family,params,tokens,loss\n"
    + "".join(f"Pythia,{n / 1e6}×10^6,{d / 1e9} x 10^9,{x}±0.1\n" for n, d, x in ROWS),
    "schema.json": TABLE.to_json(orient="table", index=False),
    "braces.tex": r"\begin{tabular}{SSS}{Params} & {Tokens} & {Loss} \\ \midrule "
    + "".join(rf"\num{{{n}}} & {d} & {x} \\" for n, d, x in ROWS) + r"\end{tabular}",
    "wide.tex": r"\begin{tabularx}{9cm}{l*{2}{X}}{Params} & Tokens & \textbf{Loss} \\ "
    + "".join(rf"{n} & {d} & {x} \\" for n, d, x in ROWS) + r"\end{tabularx}",
    "powers.csv": "N (×10⁶),D (x10^9),loss\n"
    + "".join(f"{n / 1e6},{d / 1e9},{x}\n" for n, d, x in ROWS),
    "double.dat": "params tokens loss\n"
    + "".join(f"{n:.4E} {d:.4E} {x:.4E}\n".replace("E", "D") for n, d, x in ROWS),
    "interval.csv": "params,tokens,loss\n"
    + "".join(f'{n},{d},"{x} [{x - 0.1:.3f}, {x + 0.1:.3f}]"\n' for n, d, x in ROWS),
    "outline.org": "* Runs\n| params | tokens | loss |\n|--------+--------+------|\n"
    + "".join(f"| {n} | {d} | {x} |\n" for n, d, x in ROWS),
    "run.log": "".join(
        f"[12:00] INFO params={n / 1e6:g}M tokens={d / 1e9:g}B loss={x}\n" for n, d, x in ROWS
    ),
    "runs.jl": TABLE.to_json(orient="records", lines=True),
    "bare.tex": r"\textbf{Params} & Tokens & \textbf{Loss} \\ "
    + "".join(rf"{n} & {d} & {x} \\" for n, d, x in ROWS),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_opens_as_people_write_it(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name])
    assert is_planted(load_runs(tmp_path / name))


def test_two_tables_in_one_file_are_asked_apart(tmp_path):
    other = "params,loss\n7e7,3.0\n"
    (tmp_path / "a.csv").write_text(f"{TABLE.to_csv(index=False)}\n{other}")
    with pytest.raises(ValueError, match=r"line 9, .* is its name again: are there two tables"):
        load_runs(tmp_path / "a.csv")


def written(tmp_path, **columns):
    TABLE.astype(object).assign(**columns).to_csv(tmp_path / "a.csv", index=False)
    return tmp_path / "a.csv"


def test_brackets_are_left_out_where_all_have_them(tmp_path):
    path = written(tmp_path, loss=[f"({x})" for x in LOSS])
    table = load_runs(path)
    assert is_planted(table)
    assert (
        "brackets around 'loss' are left out; if they mean below 0: --loss-col '0 - loss'"
        in str(table.attrs["notes"])
    )
    assert load_runs(path, columns={"loss": "0 - loss"})["loss"].tolist() == [-x for x in LOSS]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("(3.1)", r"line 4, .*'\(3.1\)' is in brackets, as not all are: below 0 or an aside"),
        ("3.5-3.6", "line 4, column 'loss': '3.5-3.6' is a range; write one number"),
        ("3.5 – 3.6", "is a range"),
        ("banana", "is not a number"),
    ],
)
def test_what_is_not_one_number_is_asked(tmp_path, cell, says):
    path = written(tmp_path, loss=[*LOSS[:2], cell, *LOSS[3:]])
    with pytest.raises(ValueError, match=says) as caught:
        load_runs(path)
    where = re.search(r'--where "(.*)"', str(caught.value))[1]
    assert len(load_runs(path, where=where)) == 5


def test_a_column_of_ranges_is_asked_at_once(tmp_path):
    path = written(tmp_path, loss=[f"{x}-{x + 0.1:.3f}" for x in LOSS])
    with pytest.raises(ValueError, match="nor is that of any other row a number: write one number"):
        load_runs(path)


def test_words_in_place_of_a_loss_leave_the_row_out_with_the_reason(tmp_path):
    words = ["diverged", "OOM", "NaN (diverged)", "didn't converge", "n/a", 2.618]
    table = load_runs(written(tmp_path, loss=words))
    told = ["diverged", "oom", "diverged", "did not converge"]
    assert table["exclude_reason"].tolist() == [
        *(f"loss is '{word}'" for word in told), "loss missing", "",
    ]  # fmt: skip
    assert "left out, loss is 'diverged': 2 rows (lines 2, 4)" in table.attrs["notes"]
    with pytest.raises(ValueError, match="'diverged' is not a number"):  # of a size it is a fault
        load_runs(written(tmp_path, params=["diverged", *N[1:]]))


@pytest.mark.parametrize(
    "form", ["{0}M (active {1}M)", "{0}M-A{1}M", "{0}M ({1}M active)", "{0}M total, {1}M active"]
)
def test_all_and_active_parameters_are_two_columns(tmp_path, form):
    sizes = [form.format(int(n / 1e6), int(n / 1e7)) for n in N[:5]]
    table = load_runs(written(tmp_path, params=[*sizes, "1400M"]))
    assert is_planted(table)
    active = [*(n / 10 for n in N[:5]), N[5]]
    assert table["num_params_active"].tolist() == active
    np.testing.assert_allclose(table["flops"], 6 * np.array(active) * D)


@pytest.mark.parametrize("name", ["it's a.pkl", "$a b.yaml", "n.npz"])
def test_the_command_that_another_file_is_answered_with_works_as_it_stands(tmp_path, name):
    path = tmp_path / name
    if name.endswith("pkl"):
        TABLE.to_pickle(path)
    elif name.endswith("npz"):
        np.savez(path, **TABLE)
    else:
        rows = ("params: {}, tokens: {}, loss: {}".format(*row) for row in TABLE.to_numpy())
        path.write_text("".join(f"- {{{row}}}\n" for row in rows))
    with pytest.raises(ValueError, match="is not read; ") as caught:
        load_runs(path)
    command = re.search("python (-c .*)", str(caught.value))[1]
    subprocess.run(["bash", "-c", f"{sys.executable} {command}"], check=True)
    assert is_planted(load_runs(f"{path}.json" if name.endswith("yaml") else f"{path}.csv"))


def test_a_workbook_of_another_kind_is_answered_in_one_line(tmp_path):
    (tmp_path / "a.ods").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"save it as \.xlsx or \.csv, or pip install python-calamine"
    ):
        load_runs(tmp_path / "a.ods")


def test_losses_of_seeds_are_a_row_each_by_their_usual_names(tmp_path):
    for name in ("loss_s{}", "loss_trial{}", "val_loss_seed{}"):
        two = TABLE.drop(columns="loss").assign(**{name.format(i): LOSS for i in (1, 2)})
        two.to_csv(tmp_path / "a.csv", index=False)
        table = load_runs(tmp_path / "a.csv")
        assert (len(table), sorted(set(table["seed"]))) == (2 * len(LOSS), [1, 2])


def test_runs_that_are_marked_as_diverged_are_said(tmp_path):
    path = written(tmp_path, diverged=[True] + [False] * 5)
    note = "column 'diverged' is true in 1 rows, which are used; --where 'not diverged'"
    assert note in str(load_runs(path).attrs["notes"])
    assert len(load_runs(path, where="not diverged")) == 5


@pytest.mark.parametrize(
    ("columns", "of", "said"),
    [
        ({"epochs": [1, 4] * 3, "dataset_tokens": 1.4e9}, "tokens",
         "say --tokens-col 'epochs * dataset_tokens';"),
        ({"d_model": [256, 256, 512, 512, 1024, 1024], "n_layers": 8}, "params",
         "say --params-col '12 * n_layers * d_model**2' (a transformer's parameters without"),
    ],
)  # fmt: skip
def test_sizes_in_other_terms_are_proposed_as_formulas(tmp_path, columns, of, said):
    """Width alone is no number of parameters, and is not proposed as one."""
    TABLE.drop(columns=of).assign(**columns).to_csv(tmp_path / "a.csv", index=False)
    assert said in proposal(load_runs(tmp_path / "a.csv"), f"num_{of}")
