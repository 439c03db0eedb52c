"""Tables of reStructuredText and terminals; rows too long, too short, or of no run."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from analysis.tables import load_runs, proposal

N = [70e6, 70e6, 160e6, 160e6, 1.4e9, 1.4e9]
D = [1.4e9, 5.6e9, 3.2e9, 8.2e9, 7e9, 28e9]
LOSS = [3.912, 3.701, 3.425, 3.213, 2.904, 2.618]
ROWS = [*zip(N, D, LOSS, strict=True)]
SHORT = [(f"{n / 1e6:g}M", f"{d / 1e9:g}B", f"{x}") for n, d, x in ROWS]
NAMES = ("Model size", "Training tokens", "Val loss")


def columns(names, rows):
    """A simple table of reStructuredText."""
    rule = "  ".join("=" * 24 for _ in names)
    body = ["  ".join(f"{cell:24}" for cell in row).rstrip() for row in rows]
    return "\n".join([rule, "  ".join(f"{name:24}" for name in names), rule, *body, rule]) + "\n"


def grid(names, rows, inner=True):
    """A grid, as reStructuredText has it, and ``prettytable`` without the ``inner`` lines."""
    rule = "+" + "+".join("-" * 18 for _ in names) + "+"
    lines = ["|" + "|".join(f" {cell:17}" for cell in row) + "|" for row in (names, *rows)]
    body = (f"\n{rule}\n" if inner else "\n").join(lines[1:])
    return f"{rule}\n{lines[0]}\n{rule.replace('-', '=')}\n{body}\n{rule}\n"


def csv(names, rows):
    return "".join(",".join(map(str, row)) + "\n" for row in (names, *rows))


SIZES = ("params", "tokens", "loss")
PLAIN = csv(SIZES, ROWS)
DRAWN = str.maketrans({"|": "│", "-": "─", "=": "━", "+": "┼"})
TEXTS = {
    "simple.rst": f"Runs\n====\n\nText.\n\n{columns(NAMES, SHORT)}\nMore.\n",
    "indented.rst": ".. table:: Runs\n\n   " + columns(NAMES, SHORT).replace("\n", "\n   "),
    "grid.rst": f"Runs\n====\n\n{grid(NAMES, SHORT)}\n",
    "marked.rst": columns(NAMES, [(f"**{n}**", rf"{d[:-1]}\ x 10\ :sup:`9`", x)
                                  for n, d, x in SHORT]),
    "list.RST": ".. list-table:: Runs\n   :header-rows: 1\n\n" + "".join(
        f"   * - {n}\n     - {d}\n     - {x}\n" for n, d, x in (NAMES, *SHORT)),
    "csv.rst": '.. csv-table:: Runs\n   :header: "Params", "Tokens", "Loss"\n\n   '
    + csv(SHORT[0], SHORT[1:]).replace("\n", "\n   "),
    "pretty.txt": grid(NAMES, SHORT, inner=False),
    "terminal.txt": grid(NAMES, SHORT, inner=False).translate(DRAWN),
    "links.md": "| Params | Tokens | Loss |\n|---|---|---|\n" + "".join(
        f"| [{n}](https://x.org/{n}) | {d[:-1]}x10<sup>9</sup> | *{x}* |\n" for n, d, x in SHORT),
    "trailing.csv": PLAIN.replace("\n", ",\n").replace("loss,", "loss", 1),
    "both.csv": PLAIN.replace("\n", ",\n"),
    "remark.csv": PLAIN.replace("3.425\n", "3.425,again, twice\n"),
    "first.csv": PLAIN.replace("3.912\n", "3.912,again\n"),
    "short.csv": csv((*SIZES, "note"), [(*ROWS[0], "a"), *ROWS[1:]]),
    "frame.txt": pd.DataFrame(ROWS, columns=SIZES).to_string() + "\n",
    "names.csv": csv(SIZES, [(f"run{i}", *row) for i, row in enumerate(ROWS)]),
    "matlab.txt": "% params tokens loss\n" + csv(ROWS[0], ROWS[1:]).replace(",", " "),
    "slashes.csv": "// ours\n" + PLAIN.replace("3.425\n", "3.425\n// more\n"),
    "swiss.csv": csv(SIZES, [(f"{n:,.0f}".replace(",", "’"), d, x) for n, d, x in ROWS]),
    "total.csv": PLAIN + "Total,5.34e10,\n",
    "mean.csv": csv(("run", *SIZES), [(f"r{i}", *row) for i, row in enumerate(ROWS)])
    + "Average,1e9,1e10,3.3\nMedian,1e9,1e10,3.3\n",
    "log.csv": csv(("logN", "log(D)", "loss"), [(np.log(n), np.log(d), x) for n, d, x in ROWS]),
    "log10.csv": csv(("log N", "log D", "L"), [(np.log10(n), np.log10(d), x) for n, d, x in ROWS]),
    "log_loss.csv": PLAIN.replace("loss", "log_loss"),
    "ratio.csv": csv((*SIZES[:1], "C", "flops/token", "flops/params", "loss"),
                     [(n, 6 * n * d, 6 * n, d / n, x) for n, d, x in ROWS]),
    "unit.csv": PLAIN.replace("loss", "Validation loss (nats per token)"),
    "set.csv": PLAIN.replace("loss", "Loss (C4)"),
    "pairs.csv": "loss_70M,tokens_70M,loss_160M,tokens_160M,loss_1.4B,tokens_1.4B\n" + "".join(
        ",".join(f"{LOSS[i + k]},{D[i + k]}" for i in (0, 2, 4)) + "\n" for k in (0, 1)),
    "slash.csv": csv(("Params/M", "Billion tokens", "loss"),
                     [(n / 1e6, d / 1e9, x) for n, d, x in ROWS]),
    "glued.csv": csv(("paramsM", "BTokens", "lm loss"),
                     [(n / 1e6, d / 1e9, x) for n, d, x in ROWS]),
    "three.csv": csv(("Model", "Data", "Result"), [("params", "tokens", "loss"),
                     ("(M)", "(B)", "-"), *((n / 1e6, d / 1e9, x) for n, d, x in ROWS)]),
    "powers.csv": csv(("params_log2", "tokens", "loss"),
                      [(np.log2(n), f"{d / 1e9}*10**9", x) for n, d, x in ROWS]),
    "cross.csv": "".join(f"{line}\n" for line in (
        ",Tokens,,,,,", "Params," + ",".join(d for _, d, _ in SHORT), *(
            ",".join([n, *(x if i == k else "" for i in range(6))])
            for k, (n, _, x) in enumerate(SHORT)))),
    "export.csv": csv(("parameters/n_params", "parameters/tokens", "metrics/train/loss (last)",
                       "metrics/val/loss (last)"), [(n, d, 9, x) for n, d, x in ROWS]),
    "tensors.csv": csv(SIZES, [(n, d, f"tensor({x})") for n, d, x in ROWS]),
    "ppl.csv": csv(("params", "tokens", "train_ppl", "val_ppl"),
                   [(n, d, 9, np.exp(x)) for n, d, x in ROWS]),
    "source.csv": PLAIN + "\nSource: ours\n",
    "lines.json": "".join(json.dumps(dict(zip(SIZES, row, strict=True))) + "\n" for row in ROWS),
    "jq.json": "\n".join(json.dumps(dict(zip(SIZES, row, strict=True)), indent=1) for row in ROWS),
    "lists.json": json.dumps({n: [{"tokens": d, "loss": x} for m, d, x in SHORT if m == n]
                              for n, _, _ in SHORT}),
    "cells.csv": pd.DataFrame(
        {"name": ["a"] * 6, "config": [{"n_params": n, "tokens": d, "x": None} for n, d, _ in ROWS],
         "summary": [{"loss": x, "lr": float("nan")} for x in LOSS]}).to_csv(),
    "server.json": json.dumps({"runs": [
        {"info": {"run_id": f"{i}"}, "data": {
            "metrics": [{"key": "val_loss", "value": x, "step": 3}],
            "params": [{"key": "n_params", "value": f"{n:.0f}"},
                       {"key": "tokens", "value": str(d)}]}}
        for i, (n, d, x) in enumerate(ROWS)]}),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_planted_table_opens(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name], encoding="utf-8")
    table = load_runs(tmp_path / name)
    table = table[table["exclude_reason"] == ""]
    for column, values in (("num_params", N), ("num_tokens", D), ("loss", LOSS)):
        np.testing.assert_allclose(table[column], values, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("source.csv", "left out, a remark: 1 row (line 9)"),
        ("remark.csv", "line 4 have more fields than there are names: such as 'again' is not read"),
        ("total.csv", "left out, 'total' of other rows: 1 row (line 8)"),
        ("mean.csv", "left out, 'average', 'median' of other rows: 2 rows (lines 8, 9)"),
        ("log.csv", "num_params is 2.71828**logN"),
    ],
)
def test_what_was_left_out_is_said(tmp_path, name, said):
    (tmp_path / name).write_text(TEXTS[name], encoding="utf-8")
    assert said in [str(note) for note in load_runs(tmp_path / name).attrs["notes"]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PLAIN.replace("3.425\n", "3.425,0.02\n"), "line 4 has 4 fields, the line of names 3"),
        (PLAIN.replace(".", ","), "fields, the line of names 3: .* decimal commas"),
        (csv(SIZES, [(*row, 0.02) for row in ROWS]), "line 2 has 4 fields, the line of names 3"),
    ],
)
def test_a_number_without_a_name_is_refused_with_its_line(tmp_path, text, says):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=says):
        load_runs(tmp_path / "a.csv")


def test_a_document_without_a_table_is_refused(tmp_path):
    (tmp_path / "a.rst").write_text("Runs\n====\n\nNone.\n")
    with pytest.raises(ValueError, match="there is no table in it"):
        load_runs(tmp_path / "a.rst")


def test_a_line_of_a_restructured_table_is_that_of_its_document(tmp_path):
    text = TEXTS["simple.rst"].replace("3.425", "what?")
    (tmp_path / "a.rst").write_text(text)
    line = text[: text.index("what?")].count("\n") + 1
    with pytest.raises(ValueError, match=f"line {line}, column 'Val loss': 'what"):
        load_runs(tmp_path / "a.rst")


def test_one_amount_by_another_is_neither(tmp_path):
    """Tokens a parameter are no parameters, and FLOPs a token no tokens."""
    (tmp_path / "a.csv").write_text(csv(("Size (M)", "tokens/params", "loss"), [
        (n / 1e6, d / n, x) for n, d, x in ROWS]))  # fmt: skip
    table = load_runs(tmp_path / "a.csv")
    assert "num_tokens" not in table
    assert table["num_params"].tolist() == [n for n, *_ in ROWS]
    assert "say --tokens-col 'num_params * `tokens/params`';" in proposal(table, "num_tokens")


@pytest.mark.parametrize(
    ("n", "d", "found"),
    [
        ("Size (B)", "Data (B tokens)", {"num_params", "num_tokens"}),
        ("Size (B)", "Training data (T tokens)", {"num_params", "num_tokens"}),
        ("Size (M)", "D_T", {"num_params"}),
        ("Size (B)", "Data (B)", {"num_params"}),  # of bytes?
        ("Size", "Data (tokens)", {"num_tokens"}),  # of what?
        ("N", "B", {"num_params"}),  # a batch
        ("N", "Batch (B tokens)", {"num_params"}),
    ],
)
def test_a_unit_in_a_header_tells_what_is_sized(tmp_path, n, d, found):
    units = {"(M)": 1e6, "(B)": 1e9, "(B tokens)": 1e9, "(T tokens)": 1e12, "D_T": 1e12}
    by, of = (next((u for end, u in units.items() if c.endswith(end)), 1.0) for c in (n, d))
    (tmp_path / "a.csv").write_text(csv((n, d, "loss"), [(a / by, b / of, x) for a, b, x in ROWS]))
    table = load_runs(tmp_path / "a.csv")
    assert {"num_params", "num_tokens"} & {*table.columns} == found
    for name, values in zip(("num_params", "num_tokens"), zip(*ROWS, strict=False), strict=False):
        assert name not in found or table[name].tolist() == pytest.approx(values)


def test_what_a_unit_does_not_tell_is_proposed(tmp_path):
    (tmp_path / "a.csv").write_text(csv(("Size (M)", "D_T", "loss"), [
        (n / 1e6, d / 1e12, x) for n, d, x in ROWS]))  # fmt: skip
    said = proposal(load_runs(tmp_path / "a.csv"), "num_tokens")
    assert "say --tokens-col 'D_T * 1e12' (if its T is trillions)" in said
    (tmp_path / "a.csv").write_text(csv(("Size (B)", "loss"), [(n, x) for n, _, x in ROWS]))
    assert "num_params" not in load_runs(tmp_path / "a.csv")  # a file's size, in bytes


def test_statistics_in_rows_are_no_totals(tmp_path):
    """Where means stand beside deviations, a table is not one of runs and some totals."""
    rows = [(what, *row) for row in ROWS for what in ("mean", "std", "n")]
    (tmp_path / "a.csv").write_text(csv(("what", *SIZES), rows))
    assert len(load_runs(tmp_path / "a.csv")) == len(rows)


def test_utf16_without_a_mark_opens(tmp_path):
    for encoding in ("utf-16-le", "utf-16-be"):
        (tmp_path / "a.csv").write_text(PLAIN, encoding=encoding)
        assert load_runs(tmp_path / "a.csv")["loss"].tolist() == LOSS


def test_files_of_a_folder_may_have_names_of_their_own(tmp_path):
    (tmp_path / "a.csv").write_text(csv(SIZES, ROWS[:3]))
    (tmp_path / "b.csv").write_text(csv(("N", "D", "val_loss"), ROWS[3:]))
    (tmp_path / ".hidden.csv").write_text("x,y\n1,2\n")
    table = load_runs(tmp_path)
    assert table[["num_params", "num_tokens", "loss"]].to_numpy().tolist() == [[*r] for r in ROWS]
    assert "num_params is 'params' or 'N', as a file has it" in table.attrs["notes"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("C", "D", "loss"), "--params-col 'C / (6 * D)'"),
        (("N", "TFLOPs", "loss"), "--flops-col 'TFLOPs * 1e12'"),
        (("N", "iters", "bs", "ctx", "loss"), "--tokens-col 'iters * batch_size * ctx'"),
    ],
)
def test_what_is_proposed_gives_the_planted_table(tmp_path, names, says):
    flops = 6 * np.array(N) * D
    table = pd.DataFrame({"N": N, "D": D, "loss": LOSS, "C": flops, "TFLOPs": flops / 1e12})
    table = table.assign(iters=np.array(D) / 2**16, bs=64, ctx=1024)[[*names]]
    table.to_csv(tmp_path / "a.csv", index=False)
    missing = "num_params" if "N" not in names else "num_tokens"
    assert says in proposal(load_runs(tmp_path / "a.csv"), missing)
    flag, formula = says.split(" ", 1)
    column = {"--params-col": "num_params", "--flops-col": "flops", "--tokens-col": "num_tokens"}
    found = load_runs(tmp_path / "a.csv", columns={column[flag]: formula.strip("'")})
    np.testing.assert_allclose(found["num_params"], N)
    np.testing.assert_allclose(found["num_tokens"], D)


def test_a_row_a_metric_is_asked_for_by_its_name(tmp_path):
    rows = [(n, d, what, v) for n, d, x in ROWS for what, v in (("train_loss", 9), ("val_loss", x))]
    (tmp_path / "a.csv").write_text(csv(("params", "tokens", "metric", "value"), rows))
    said = proposal(load_runs(tmp_path / "a.csv"), "loss")
    assert """--loss-col value --where 'metric == "val_loss"'""" in said
    found = load_runs(tmp_path / "a.csv", columns={"loss": "value"}, where='metric == "val_loss"')
    assert found["loss"].tolist() == LOSS


@pytest.mark.parametrize("by", [(1e9, 1e9), (1e6, 1e9), (1, 1e9)])
def test_units_that_look_wrong_are_answered_with_columns_and_factors(tmp_path, by):
    rows = [(n / by[0], d / by[1], x) for n, d, x in ROWS]
    (tmp_path / "a.csv").write_text(csv(("size", "toks", "loss"), rows))
    told = {"num_params": "size", "num_tokens": "toks"}
    note = next(str(note) for note in load_runs(tmp_path / "a.csv", columns=told).attrs["notes"]
                if "plain counts" in note)  # fmt: skip
    formulas = dict(re.findall(r"--(params|tokens)-col '([^']*)'", note))
    found = load_runs(tmp_path / "a.csv", columns=told | {
        f"num_{name}": formula for name, formula in formulas.items()})  # fmt: skip
    np.testing.assert_allclose(found["num_params"], N)
    np.testing.assert_allclose(found["num_tokens"], D)


@pytest.mark.parametrize("name", ["train_loss", "aux_loss", "loss_std", "z loss", "router/loss x"])
def test_other_losses_are_not_taken_for_the_loss(tmp_path, name):
    (tmp_path / "a.csv").write_text(csv(("params", "tokens", name), ROWS))
    assert "loss" not in load_runs(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["batch_tokens", "unique_tokens", "val_tokens", "context (tokens)",
                                  "tokens/step", "vocab tokens", "tokens_per_batch"])  # fmt: skip
def test_other_tokens_are_not_taken_for_d(tmp_path, name):
    (tmp_path / "a.csv").write_text(csv(("params", name, "loss"), ROWS))
    assert "num_tokens" not in load_runs(tmp_path / "a.csv")
