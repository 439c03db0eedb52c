"""The planted table in documents, archives and databases, and as people mark and merge it."""

from __future__ import annotations

import io
import json
import re
import shlex
import sqlite3
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest

from analysis.tables import load_runs, proposal

N = [70e6, 70e6, 160e6, 160e6, 1.4e9, 1.4e9]
D = [1.4e9, 5.6e9, 3.2e9, 8.2e9, 7e9, 28e9]
LOSS = [3.912, 3.701, 3.425, 3.213, 2.904, 2.618]
TABLE = pd.DataFrame({"params": N, "tokens": D, "loss": LOSS})
ROWS = [*zip([f"{n / 1e6:g}M" for n in N], [f"{d / 1e9:g}B" for d in D], LOSS, strict=True)]

MARKDOWN = "".join(f"| **m{i}** | {n} | {d} | {x} |\n" for i, (n, d, x) in enumerate(ROWS))
LATEX = "".join(f"m{i} & {n} & {d} & ${x} \\pm 0.01$ \\\\\n" for i, (n, d, x) in enumerate(ROWS))
MULTIROW = "".join(
    (rf"\multirow{{2}}{{*}}{{{n}}}" if i % 2 == 0 else "") + rf" & {d} & \textbf{{{x}}} \\[2pt] "
    for i, (n, d, x) in enumerate(ROWS)
)
TEXTS = {
    "a.md": "| Model | Params | Tokens | Loss |\n|:--|--:|---|:-:|\n" + MARKDOWN,
    "README.md": "# Runs\n\nText, with | bars.\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\n"
    "| Model | Params | Tokens | `Loss` |\n|---|---|---|---|\n" + MARKDOWN + "\nMore.\n",
    "bare.md": "Params | Tokens | Loss\n--- | --- | ---\n"
    + "".join(f"{n} | {d} | {x}\n" for n, d, x in ROWS),
    "a.tex": "\\begin{table}\n\\begin{tabular}{l@{}rrr}\n\\toprule\n% old & 1 \\\\\nModel & $N$ & "
    "$D$ & Val.\\ loss $\\downarrow$ \\\\\n\\cmidrule(lr){2-3}\n" + LATEX
    + "\\bottomrule\n\\end{tabular}",
    "merged.tex": r"\begin{tabular}{lrr} \multicolumn{2}{c}{\textbf{Size}} & Losses \\ \hline "
    r"params & tokens & loss \\ \midrule " + MULTIROW + r"\end{tabular}",
    "no_suffix": TABLE.to_csv(index=False),
    "list.txt": json.dumps(TABLE.to_dict("records"), indent=1),
    "lines.txt": TABLE.to_json(orient="records", lines=True),
    "wandb.jsonl": "".join(
        json.dumps({"config": {"n_params": {"value": n, "desc": None}, "tokens": {"value": d}},
                    "summary": {"loss": x, "_step": 3}}) + "\n"
        for n, d, x in zip(N, D, LOSS, strict=True)
    ),
    "r.txt": '"n params" "tokens" "loss"\n'
    + "".join(f'"{i}" {n} {d} {x}\n' for i, (n, d, x) in enumerate(ROWS, 1)),
    "marks.csv": "params,tokens,loss\n" + "".join(
        f"{n}{'†' * (i == 1)},{d},{x}{mark}\n"
        for i, ((n, d, x), mark) in enumerate(
            zip(ROWS, ["*", "^a", "[1]", " (b)", "²", " ± .01"], strict=True))
    ),
    "brackets.csv": "params,tokens,loss\n" + "".join(f"{n},{d},{x} (.010)\n" for n, d, x in ROWS),
    "ditto.csv": "params,tokens,loss\n"
    + "".join(f"{n * (i % 2 == 0)},{d},{x}\n" for i, (n, d, x) in enumerate(ROWS)),
    "logs.csv": "log2(params),log2(tokens),PPL (val)\n"
    + "".join(f"{np.log2(n)},{np.log2(d)},{np.exp(x)}\n"
              for n, d, x in zip(N, D, LOSS, strict=True)),
    "train.log": "starting\n" + "".join(
        f"[2024-01-01 10:0{i}:00] params: {n:.0f} | tokens {d:.0f} | loss={x}, saved\n"
        for i, (n, d, x) in enumerate(zip(N, D, LOSS, strict=True))
    ),
    "pairs.txt": "".join(
        f"params={n:g} tokens={d:g} loss={x}\n" for n, d, x in zip(N, D, LOSS, strict=True)
    ),
    "remarks.csv": "params,tokens,loss\n"
    + "".join(f"{n},{d},{x}{'  # again' * (i == 1)}\n" for i, (n, d, x) in enumerate(ROWS)),
    "quoted.csv": '"params";"tokens";"loss"\n'
    + "".join(f'"{n}";"{d}";"{x:.3f}"\n'.replace(".", ",") for n, d, x in ROWS),
    "french.csv": "Params (M);Tokens (Md);Loss\n"
    + "".join(f"{n / 1e6:g};{d / 1e9:g};{x:.2f}0\n".replace(".", ",")
              for n, d, x in zip(N, D, LOSS, strict=True)),
    "epoch.csv": "Model,Parameters,Training dataset size (tokens),Test loss\n"
    + "".join(f"m{i},{n},{d},{x}\n" for i, (n, d, x) in enumerate(ROWS)),
}  # fmt: skip


def matches(table, tolerance=1e-9):
    table = table[table["exclude_reason"] == ""]
    for name, values in (("num_params", N), ("num_tokens", D), ("loss", LOSS)):
        np.testing.assert_allclose(table[name], values, rtol=tolerance)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_planted_table_opens_wherever_it_stands(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name], encoding="utf-8")
    matches(load_runs(tmp_path / name), 1e-9 if name != "french.csv" else 5e-3)


def test_what_was_done_with_a_document_is_said(tmp_path):
    for name, said in (
        ("README.md", "the largest of 2 tables is read"),
        ("marks.csv", "the marks of footnotes in 'loss' are left out"),
        ("ditto.csv", "3 empty cells of 'params' take the value above, as if merged"),
    ):
        (tmp_path / name).write_text(TEXTS[name], encoding="utf-8")
        assert said in load_runs(tmp_path / name).attrs["notes"]
    (tmp_path / "a.md").write_text(TEXTS["a.md"].replace("| 3.213 |", "| oops |"))
    with pytest.raises(ValueError, match="line 6, column 'Loss': 'oops' is not a number"):
        load_runs(tmp_path / "a.md")
    (tmp_path / "a.tex").write_text(TEXTS["a.tex"].replace("$3.213", "oops"))
    with pytest.raises(ValueError, match=r"line 10, column 'Val. loss': 'oops"):
        load_runs(tmp_path / "a.tex")


def test_tables_that_pandas_wrote_open(tmp_path):
    TABLE.to_feather(tmp_path / "a.feather")
    TABLE.to_stata(tmp_path / "a.dta", write_index=False)
    TABLE.set_index(["params", "tokens"]).to_parquet(tmp_path / "a.parquet")
    for name in ("a.feather", "a.dta", "a.parquet"):
        matches(load_runs(tmp_path / name))


def test_the_fullest_table_of_a_database_is_read(tmp_path):
    with sqlite3.connect(tmp_path / "a.sqlite") as store:
        TABLE.to_sql("my runs", store, index=False)
        pd.DataFrame({"key": ["version"], "value": [1]}).to_sql("meta", store, index=False)
    store.close()
    table = load_runs(tmp_path / "a.sqlite")
    matches(table)
    assert "table 'my runs' is read, as it is the fullest; not 'meta'" in table.attrs["notes"]


def test_a_store_of_mlflow_is_named_by_its_experiment(tmp_path):
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        for name in ("runs", "metrics", "params"):
            store.execute(f"CREATE TABLE {name} (a)")
        store.execute("CREATE TABLE experiments (name)")
        store.execute("INSERT INTO experiments VALUES ('ladder')")
    store.close()
    with pytest.raises(ValueError, match=r"experiments \(ladder\) with --tracking-uri sqlite:///"):
        load_runs(tmp_path / "mlflow.db")


def test_an_archive_is_the_table_or_the_folder_in_it(tmp_path):
    one, many, packed = (tmp_path / name for name in ("a.csv.zip", "runs.zip", "runs.tar.gz"))
    with zipfile.ZipFile(one, "w") as archive:
        archive.writestr("data/runs.csv", TABLE.to_csv(index=False))
        archive.writestr("__MACOSX/._runs.csv", "x")
        archive.writestr("README.md", "# about")
    matches(load_runs(one))
    with zipfile.ZipFile(many, "w") as archive, tarfile.open(packed, "w:gz") as tar:
        for size, part in TABLE.groupby("params"):
            text = part.drop(columns="params").to_csv(index=False)
            archive.writestr(f"runs/m-{size / 1e6:g}M.csv", text)
            member = tarfile.TarInfo(f"./runs/m-{size / 1e6:g}M.csv")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    for path in (many, packed):
        table = load_runs(path)
        assert table["num_params"].nunique() == 3
        assert sorted(table["loss"]) == sorted(LOSS)
        assert "3 files are the table; name is the file's name" in table.attrs["notes"]


def test_an_archive_without_tables_or_that_is_none_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../out.csv", "x")
        archive.writestr("about.pdf", "x")
    with pytest.raises(ValueError, match=r"a.zip: it has no table in it"):
        load_runs(tmp_path / "a.zip")
    assert not (tmp_path.parent / "out.csv").exists()
    (tmp_path / "b.tar").write_text("x")
    with pytest.raises(ValueError, match=r"b.tar: it cannot be unpacked"):
        load_runs(tmp_path / "b.tar")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("c.csv", "params,tokens,loss\n70M,1B,x\n160M,1B,2\n")
    with pytest.raises(ValueError, match=r"c.zip: line 2, column 'loss': 'x' is not a number"):
        load_runs(tmp_path / "c.zip")


def test_the_state_of_a_trainer_is_its_log(tmp_path):
    log = [{"epoch": 0.1 * i, "loss": 3.0 - 0.1 * i, "step": 100 * i} for i in range(1, 9)]
    log.append({"eval_loss": 2.2, "step": 800})
    state = {"epoch": 0.8, "global_step": 800, "num_input_tokens_seen": 0, "log_history": log}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    table = load_runs(tmp_path / "trainer_state.json")
    assert table["step"].tolist() == [*range(100, 900, 100), 800]
    assert "num_tokens" not in table
    assert "no column like it" in proposal(table, "num_params")


def test_groups_of_a_chart_and_seeds_of_a_loss_are_columns(tmp_path):
    chart = {"Step": [1, 2, 3]}
    for size in (7e7, 1.6e8):
        for end in ("", "__MIN", "__MAX"):
            chart[f"n_params: {size:.0f} - eval/loss{end}"] = [4.0, 3.5, 3.2]
            chart[f"n_params: {size:.0f} - _step{end}"] = [1, 2, 3]
    pd.DataFrame(chart).to_csv(tmp_path / "chart.csv", index=False)
    table = load_runs(tmp_path / "chart.csv")
    assert sorted({*table["num_params"]}) == [7e7, 1.6e8]
    assert set(table["name"]) == {"n_params: 70000000", "n_params: 160000000"}
    assert not [name for name in table.columns if "_step" in name]
    seeds = {"N": N, "D": D, "loss_seed0": LOSS, "loss_seed1": [x + 0.01 for x in LOSS]}
    pd.DataFrame(seeds).to_csv(tmp_path / "seeds.csv", index=False)
    table = load_runs(tmp_path / "seeds.csv")
    assert table["loss"].tolist() == [*LOSS, *seeds["loss_seed1"]]
    assert sorted({*table["seed"]}) == [0, 1]


def test_a_size_in_brackets_of_a_loss_is_that_of_its_column(tmp_path):
    (tmp_path / "a.csv").write_text("tokens,loss (N=70M),loss (N=1.4B)\n1e9,4,3\n2e9,3.5,2.8\n")
    table = load_runs(tmp_path / "a.csv")
    assert table["loss"].tolist() == [4, 3.5, 3, 2.8]
    assert table["num_params"].tolist() == [7e7, 7e7, 1.4e9, 1.4e9]


def test_a_size_that_one_line_of_a_log_says_is_that_of_all(tmp_path):
    rows = [{"event": "config", "n_params": 7e7}]
    rows += [{"event": "step", "tokens": 1e6 * i, "loss": 4.0 / i} for i in range(1, 5)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = load_runs(tmp_path / "log.jsonl")
    assert table["num_params"].tolist() == [7e7] * 5
    assert "num_params is 7e+07 in all rows, as one line alone says" in table.attrs["notes"]


@pytest.mark.parametrize("name", ["loss", "Val loss", "loss `x`"[:4] + " (nats)"])
@pytest.mark.parametrize("word", ["<1.9", "didn't run", "$3"])
def test_the_condition_that_is_proposed_works_as_it_stands(tmp_path, name, word):
    table = TABLE.rename(columns={"loss": name}).astype({name: object})
    table.loc[2, name] = word + "!"
    table.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ValueError, match="--where") as caught:
        load_runs(tmp_path / "a.csv")
    (_, condition) = shlex.split(re.search(r"--where .*", str(caught.value))[0])
    assert len(load_runs(tmp_path / "a.csv", where=condition)) == len(TABLE) - 1
