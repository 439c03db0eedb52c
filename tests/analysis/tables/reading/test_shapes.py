"""One planted table in every shape that people write it in: the same run table each time."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma

import numpy as np
import pandas as pd
import pytest
import zstandard

from analysis.tables import TableReading, load_runs

N = [70e6, 160e6, 410e6, 1.4e9, 2.8e9, 70e6, 410e6, 1.4e9]
D = [1.4e9, 3.2e9, 8.2e9, 28e9, 56e9, 5.6e9, 30e9, 7e9]
LOSS = [3.91, 3.42, 2.98, 2.6, 2.47, 3.7, 2.8, 2.9]
TABLE = pd.DataFrame({"params": N, "tokens": D, "loss": LOSS})


def lines(*columns, separator=","):
    """The rows of columns, without names."""
    return "".join(separator.join(map(str, row)) + "\n" for row in zip(*columns, strict=True))


def short(value):
    return f"{value / 1e9:g}B" if value >= 1e9 else f"{value / 1e6:g}M"


def csv(names, columns, separator=","):
    return separator.join(names) + "\n" + lines(*columns, separator=separator)


def comma(values):
    return [f"{value:.12g}".replace(".", ",") for value in values]


def thousands(values, mark=","):
    return [f'"{value:,.0f}"'.replace(",", mark) for value in values]


M, B = [n / 1e6 for n in N], [d / 1e9 for d in D]
PLAIN = csv(["params", "tokens", "loss"], [N, D, LOSS])
SUFFIXES = csv(["Model Size", "Tokens", "val/loss"], [map(short, N), map(short, D), LOSS])
TEXTS = {
    "plain.csv": PLAIN,
    "UP.CSV": PLAIN,
    "suffixes.csv": SUFFIXES,
    "lower.csv": SUFFIXES.lower(),
    "words.csv": csv(
        ["n_params", "tokens", "loss"],
        [[f"{m:g} million" for m in M], [f"{b:g} billion tokens" for b in B], LOSS],
    ),
    "header.csv": csv(["Params (M)", "Tokens [B]", "Loss (nats)"], [M, B, LOSS]),
    "ending.csv": csv(["params_m", "tokens_in_billions", "valid.loss"], [M, B, LOSS]),
    "divided.csv": csv(["N / 1e6", "D/1e9", "L"], [M, B, LOSS]),
    "powers.csv": csv(["N (10^6)", "D (1E9)", "final_val_loss"], [M, B, LOSS]),
    "scaled.csv": csv(
        ["N", "D", "loss"], [[f"{m:g}x10^6" for m in M], [f"{b:g} × 10**9" for b in B], LOSS]
    ),
    "thousands.csv": csv(["params", "tokens", "loss"], [thousands(N), thousands(D), LOSS]),
    "blanks.csv": csv(["params", "tokens", "loss"], [thousands(N, " "), thousands(D, "'"), LOSS]),
    "semicolons.csv": csv(
        ["Params (M)", "Tokens (B)", "loss"], [comma(M), comma(B), comma(LOSS)], ";"
    ),
    "european.csv": csv(
        ["N", "D", "loss"], [thousands(N, "."), thousands(D, "."), comma(LOSS)], ";"
    ),
    "excel.csv": csv(["sep=;\nN", "D", "loss"], [N, D, comma(LOSS)], ";").replace("\n", "\r\n"),
    "tabs.tsv": csv(["N", "D", "loss"], [N, D, LOSS], "\t"),
    "pipes.txt": csv(["N", "D", "loss"], [N, D, LOSS], "|"),
    "white.txt": csv(["N", "D", "loss"], [N, D, LOSS], "   "),
    "aligned.dat": TABLE.to_string(index=False) + "\n",
    "spaced.txt": csv(["Model Size (M)", "Tokens (B)", "val loss"], [M, B, LOSS], "   "),
    "savetxt.txt": "# N D loss\n" + lines(N, D, LOSS, separator=" "),
    "units.csv": csv(["Params", "Tokens", "Loss"], [["M", *M], ["B", *B], ["nats", *LOSS]]),
    "groups.csv": csv(["model", "model", "val"], [["params", *N], ["tokens", *D], ["loss", *LOSS]]),
    "merged.csv": csv(["model", "", "val"], [["params", *N], ["tokens", *D], ["loss", *LOSS]]),
    "turned.csv": csv(
        ["", *"abcdefgh"],
        zip(["Params", *map(short, N)], ["tokens", *D], ["val loss", *LOSS], strict=True),
    ),
    "exported.csv": csv(
        ["Name", "config.model.n_params", "config.tokens", "end.eval/loss", "end.train/loss"],
        ["abcdefgh", N, D, LOSS, D],
    ),
    "broken.csv": csv(['"Params\n(M)"', "D", '"Val loss\n(nats)"'], [M, D, LOSS]),
    "within.json": json.dumps({"data": {"rows": TABLE.to_dict("records")}, "meta": {"seed": 1}}),
    "comments.csv": "# from a paper\n\n" + PLAIN,
    "title.csv": "Table 1: our runs\n" + PLAIN,
    "spread.csv": csv(["params", "tokens", "loss"], [N, D, [f"{v} ± 0.02" for v in LOSS]]),
    "hash.csv": "#" + csv(["Params (M)", "D", "loss"], [M, D, LOSS]),
    "named.csv": "# name,N,D,loss\n" + lines(["a", *"bcdefgh"], N, D, LOSS),
    "repeated.csv": PLAIN.replace("\n", "\n,,\n", 3) + "params,tokens,loss\n",
    "log10.csv": csv(["log10(N)", "log10_tokens", "loss"], [np.log10(N), np.log10(D), LOSS]),
    "ln.csv": csv(["ln N", "ln D", "loss"], [np.log(N), np.log(D), LOSS]),
    "logs.csv": csv(
        ["params", "tokens", "flops", "loss"],
        [np.log10(N), np.log10(D), np.log10(6 * np.array(N) * D), LOSS],
    ),
    "perplexity.csv": csv(["params", "tokens", "val_ppl"], [N, D, np.exp(LOSS)]),
    "markdown.txt": "| N | D | loss |\n|---|---:|---|\n"
    + "".join(f"| {n:g} | {d:g} | {y} |\n" for n, d, y in zip(N, D, LOSS, strict=True)),
    "database.txt": "    N    |    D    | loss\n---------+---------+------\n"
    + lines(N, D, LOSS, separator=" | ") + "(8 rows)\n",
    "raised.csv": csv(
        ["params", "tokens", "loss"],
        [[f"{m:g}×10⁶" for m in M], [rf"${b:g} \times 10^{{9}}$" for b in B], LOSS],
    ),
    "narrow.csv": csv(
        ["N", "D", "loss"], [thousands(N, "\u202f"), thousands(D, "\u2009"), LOSS], ";"
    ),
    "said.csv": csv(
        ["Params, M", "Tokens, billions", "Loss, nats"], [M, B, [f"{y}(2)" for y in LOSS]], ";"
    ),
    "spans.csv": csv(
        ["PF-days", "params_m", "final_loss"],
        [6 * np.array(N) * D / 8.64e19, M, LOSS],
    ),
    "percent.csv": csv(["params", "tokens", "loss"], [N, D, [f"{100 * v:.12g} %" for v in LOSS]]),
    "rows.jsonl": TABLE.to_json(orient="records", lines=True),
    "rows.ndjson": TABLE.to_json(orient="records", lines=True),
    "rows.json": TABLE.to_json(orient="records"),
    "columns.json": TABLE.to_json(orient="columns"),
    "split.json": TABLE.to_json(orient="split"),
    "lists.json": json.dumps({name: values.tolist() for name, values in TABLE.items()}),
    "arrays.json": json.dumps([["params", "tokens", "loss"], *TABLE.to_numpy().tolist()]),
    "names.json": json.dumps({f"run {i}": row for i, row in enumerate(TABLE.to_dict("records"))}),
    "nested.json": json.dumps(
        {"paper": "x", "runs": [
            {"config": {"model": {"params": short(n)}, "tokens": d}, "end": {"val": {"loss": y}}}
            for n, d, y in zip(N, D, LOSS, strict=True)
        ]}
    ),
    "nested.jsonl": "".join(
        json.dumps({"config": {"params": n, "tokens": d}, "eval": {"loss": y}}) + "\n"
        for n, d, y in zip(N, D, LOSS, strict=True)
    ),
}  # fmt: skip
BYTES = {
    "bom.csv": b"\xef\xbb\xbf" + PLAIN.encode(),
    "utf16.csv": PLAIN.encode("utf-16"),
    "windows.csv": csv(["Modèle", "N", "D", "loss"], ["é" * 8, N, D, LOSS]).encode("cp1252"),
    "packed.csv.gz": gzip.compress(SUFFIXES.encode()),
    "packed.CSV.GZ": gzip.compress(PLAIN.encode()),
    "packed.jsonl.zst": zstandard.compress(TEXTS["rows.jsonl"].encode()),
    "packed.json.bz2": bz2.compress(TEXTS["nested.json"].encode()),
    "packed.tsv.xz": lzma.compress(TEXTS["tabs.tsv"].encode()),
} | {name: text.encode() for name, text in TEXTS.items()}


def matches(table, tokens=True):
    table = table[table["exclude_reason"] == ""]
    np.testing.assert_allclose(table["num_params"], N, rtol=1e-12)
    np.testing.assert_allclose(table["loss"], LOSS, rtol=1e-12)
    if tokens:
        np.testing.assert_allclose(table["num_tokens"], D, rtol=1e-12)
        np.testing.assert_allclose(table["flops"], 6 * np.array(N) * D, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(BYTES))
def test_a_planted_table_opens_in_every_shape(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BYTES[name])
    matches(load_runs(path))
    assert len(load_runs(path, where="num_params > 1e9 and loss < 2.7")) == 2


def test_a_workbook_opens(tmp_path):
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "runs.xlsx") as book:
        TABLE.rename(columns={"params": "Params (M)"}).assign(**{"Params (M)": M}).to_excel(
            book, index=False, sheet_name="runs"
        )
        TABLE.to_excel(book, index=False, sheet_name="old")
    with pd.ExcelWriter(tmp_path / "titled.xlsx") as book:
        TABLE.to_excel(book, index=False, startrow=3)
        book.sheets["Sheet1"]["A1"] = "Our runs"
    matches(load_runs(tmp_path / "titled.xlsx"))
    table = load_runs(tmp_path / "runs.xlsx")
    matches(table)
    assert "sheet 'runs' is read, as it is the fullest; not 'old'" in table.attrs["notes"]
    with pd.ExcelWriter(tmp_path / "about.xlsx") as book:
        pd.DataFrame({"about": ["our runs", "of May"]}).to_excel(book, sheet_name="About")
        TABLE.to_excel(book, index=False, sheet_name="runs")
    matches(load_runs(tmp_path / "about.xlsx"))


def test_a_parquet_file_with_suffixes_opens(tmp_path):
    TABLE.assign(params=[*map(short, N)]).to_parquet(tmp_path / "runs.parquet")
    matches(load_runs(tmp_path / "runs.parquet"))


# --- a column a run or a size ---

STEPS = [1e9, 2e9, 4e9]
CURVES = {"70M": [4.5, 4.0, 3.6], "160M": [4.2, 3.7, 3.3], "1.4B": [3.6, 3.1, 2.8]}
SIZES = np.repeat([70e6, 160e6, 1.4e9], 3)
LOSSES = np.concatenate([*CURVES.values()])


@pytest.mark.parametrize(
    ("names", "unpivot"),
    [
        ("{}", None),
        ("loss_{}", None),
        ("{} - val/loss", None),
        ("size={} loss", "size={num_params} loss"),
        ("run {}", "run {name} -> loss"),
    ],
)
def test_a_column_a_size_becomes_a_row_a_point(tmp_path, names, unpivot):
    wide = {names.format(size): values for size, values in CURVES.items()}
    pd.DataFrame({"tokens": STEPS, **wide}).to_csv(tmp_path / "w.csv", index=False)
    table = load_runs(tmp_path / "w.csv", how=TableReading(unpivot=unpivot))
    np.testing.assert_allclose(table["num_params"], SIZES)
    np.testing.assert_allclose(table["loss"], LOSSES)
    np.testing.assert_allclose(table["num_tokens"], STEPS * 3)
    assert any("3 columns, such as" in note for note in table.attrs["notes"])


def test_columns_of_sizes_beside_n_are_numbers_of_tokens(tmp_path):
    (tmp_path / "w.csv").write_text("params,1B,2B,4B\n70M,4.5,4.0,3.6\n1.4B,3.6,,2.8\n")
    table = load_runs(tmp_path / "w.csv", where="num_tokens > 1.5e9")
    assert table["num_tokens"].tolist() == [2e9, 4e9, 4e9]
    assert table["num_params"].tolist() == [70e6, 70e6, 1.4e9]


@pytest.mark.parametrize("corner", ["N \\ D", "params/tokens", "Params | Tokens"])
def test_a_cross_table_has_n_down_and_d_across(tmp_path, corner):
    (tmp_path / "w.csv").write_text(f'"{corner}",1e9,2B\n70M,4.5,4.0\n1.4B,3.6,2.8\n')
    table = load_runs(tmp_path / "w.csv")
    assert table["num_params"].tolist() == [70e6, 1.4e9] * 2
    assert table["num_tokens"].tolist() == [1e9, 1e9, 2e9, 2e9]
    assert table["loss"].tolist() == [4.5, 3.6, 4.0, 2.8]


def test_columns_of_budgets_are_compute(tmp_path):
    (tmp_path / "w.csv").write_text("params,loss_1e18,loss_3e18\n70M,4.5,4\n1.4B,3.6,2.8\n")
    table = load_runs(tmp_path / "w.csv")
    assert table["flops"].tolist() == [1e18, 1e18, 3e18, 3e18]
    assert table["num_params"].tolist() == [70e6, 1.4e9] * 2


def test_curves_in_lists_of_one_length_are_rows(tmp_path):
    run = {"params": "70M", "betas": [0.9, 0.95], "curve": {"tokens": [1, 2, 4], "loss": [5, 4, 3]}}
    (tmp_path / "a.json").write_text(json.dumps({"a": run, "b": {**run, "params": "1B"}}))
    table = load_runs(tmp_path / "a.json")
    assert table["num_tokens"].tolist() == [1, 2, 4] * 2
    assert table["num_params"].tolist() == [7e7] * 3 + [1e9] * 3


def test_sizes_beside_models_that_say_theirs_are_of_data(tmp_path):
    (tmp_path / "w.csv").write_text("model,loss@1B,loss@2B\ngpt-70M,4.5,4\ngpt-1.4B,3.6,2.8\n")
    table = load_runs(tmp_path / "w.csv")
    assert table["num_params"].tolist() == [70e6, 1.4e9] * 2
    assert table["num_tokens"].tolist() == [1e9, 1e9, 2e9, 2e9]


def test_lists_in_lines_of_json_are_rows(tmp_path):
    run = {"params": 7e7, "history": [{"tokens": 1e9, "loss": 3.5}, {"tokens": 2e9, "loss": 3}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(run) + "\n")
    table = load_runs(tmp_path / "a.jsonl")
    assert table["num_tokens"].tolist() == [1e9, 2e9]
    assert table["num_params"].tolist() == [7e7, 7e7]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<!DOCTYPE html><html><body>404</body></html>", "a web page, not a table"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "git lfs pull"),
        ("N,D,loss\n\x00\x01\x80,2,3\n", "is not UTF-8 text"),
    ],
)
def test_what_a_download_gives_in_a_tables_stead_is_named(tmp_path, text, says):
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=says):
        load_runs(tmp_path / "a.csv")


def test_columns_stay_where_they_are_asked_to(tmp_path):
    (tmp_path / "w.csv").write_text("tokens,70M,160M\n1e9,4.5,4.2\n")
    table = load_runs(tmp_path / "w.csv", how=TableReading(unpivot="none"))
    assert {"70M", "160M"} <= set(table.columns)
    with pytest.raises(ValueError, match=r"fits no column; there are tokens, 70M, 160M"):
        load_runs(tmp_path / "w.csv", how=TableReading(unpivot="loss_{n}"))
    with pytest.raises(ValueError, match="is no pattern"):
        load_runs(tmp_path / "w.csv", how=TableReading(unpivot="loss"))


def test_a_fault_in_a_wide_table_names_its_line_and_column(tmp_path):
    (tmp_path / "w.csv").write_text("tokens,70M,160M\n1e9,4.5,bad\n")
    with pytest.raises(ValueError, match="line 2 of '160M', column 'loss': 'bad' is not a number"):
        load_runs(tmp_path / "w.csv")


def test_a_chart_of_wandb_becomes_a_row_a_point(tmp_path):
    wide = {"Step": [1, 2, 3]}
    for size, values in CURVES.items():
        for end in ("", "__MIN", "__MAX"):
            wide[f"gpt-{size} - val/loss{end}"] = values
        wide[f"gpt-{size} - _step"] = [1, 2, 3]
    pd.DataFrame(wide).to_csv(tmp_path / "w.csv", index=False)
    table = load_runs(tmp_path / "w.csv")
    np.testing.assert_allclose(table["num_params"], SIZES)
    np.testing.assert_allclose(table["loss"], LOSSES)
    last = load_runs(tmp_path / "w.csv", how=TableReading(last_by="name"))
    assert last["loss"].tolist() == [3.6, 3.3, 2.8]


# --- a folder with one file a run ---


def test_a_folder_of_one_file_a_run_is_a_table(tmp_path):
    for size, values in CURVES.items():
        frame = pd.DataFrame({"tokens": STEPS, "loss": values})
        frame.to_csv(tmp_path / f"run-{size}.csv.gz", index=False)
    (tmp_path / "README").write_text("mine")
    table = load_runs(tmp_path)
    assert sorted(table["num_params"].unique()) == [70e6, 160e6, 1.4e9]
    assert set(table["name"]) == {"run-70M", "run-160M", "run-1.4B"}
    assert (
        "3 files are the table; name is the file's name; 1 other files are not read"
        in (table.attrs["notes"])
    )
    last = load_runs(tmp_path, how=TableReading(last_by="name"))
    assert sorted(last["loss"]) == [2.8, 3.3, 3.6]


def test_a_folder_of_folders_takes_their_names(tmp_path):
    for size in ("70M", "160M"):
        (tmp_path / size).mkdir()
        (tmp_path / size / "log.jsonl").write_text('{"tokens": 1e9, "loss": 4.0}\n')
    assert load_runs(tmp_path)["num_params"].tolist() == [160e6, 70e6]


def test_files_of_tensorboard_are_joined_by_their_steps(tmp_path):
    for size, values in CURVES.items():
        for tag, column in (("val_loss", values), ("tokens", STEPS)):
            frame = pd.DataFrame({"Wall time": [1.0, 2, 3], "Step": [1, 2, 3], "Value": column})
            frame.to_csv(tmp_path / f"run-{size}-tag-{tag}.csv", index=False)
    table = load_runs(tmp_path).sort_values(["num_params", "num_tokens"])
    np.testing.assert_allclose(table["num_params"], SIZES)
    np.testing.assert_allclose(table["num_tokens"], STEPS * 3)
    np.testing.assert_allclose(table["loss"], LOSSES)


def test_files_of_one_name_and_two_kinds_are_both_read(tmp_path):
    (tmp_path / "a.csv").write_text("N,D,loss\n1e6,2e7,3\n")
    (tmp_path / "a.jsonl").write_text('{"N": 2e6, "D": 2e7, "loss": 2.9, "name": "mine"}\n')
    table = load_runs(tmp_path)
    assert table["name"].tolist() == ["a", "mine"]
    assert table["num_params"].tolist() == [1e6, 2e6]


def test_a_fault_in_a_folder_names_file_and_line(tmp_path):
    (tmp_path / "a.csv").write_text("N,D,loss\n1e6,2e7,3\n")
    (tmp_path / "b.csv").write_text("N,D,loss\n1e6,2e7,three\n")
    with pytest.raises(ValueError, match=r"b.csv, line 2, column 'loss': 'three' is not a number"):
        load_runs(tmp_path)
