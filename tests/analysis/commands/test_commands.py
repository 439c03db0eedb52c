"""What all commands on a table share: mistakes are one line, and they are light to describe."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fit", "nothing.csv"], "No such file"),
        (["fit", "nothing"], "no file, no sweep"),
        (["fit", "{table}", "--loss-col", "foo"], "no column 'foo' for loss"),
        (["fit", "{table}", "--law", "foo"], "foo"),
        (["fit", "{table}", "--where", "lss > 1"], "no column 'lss'"),
        (["fit", "{table}", "--x-col", "foo"], "no column 'foo'"),
        (["fit", "{table}", "--where", "loss < 0"], "0 usable"),
        (["fit", "{table}", "--delta", "-1"], "not a positive number"),
        (["plan", "{table}", "--flops", "many"], "--flops"),
        (["plan", "{table}", "--flops", "nan"], "not a positive number"),
        (["plot", "{table}", "pie", "-o", "x.png"], "unknown kind of figure 'pie'"),
        (["plot", "{table}", "scaling", "-o", "x.gif"], ".png, .pdf, .svg"),
        (["report", "{table}", "-o", "x.txt"], "written as .html"),
        (["runs", "{table}", "-o", "x.txt"], ".csv, .jsonl or .parquet"),
        (["runs", "{table}", "--filter", "loss>1", "--where", "loss>1"], "give one"),
        (["runs", "{table}", "--limit", "-3"], "--limit: -3 is below 0"),
        (["fit", "{table}", "--seed", "-1"], "--seed: -1 is below 0"),
        (["fit", "{table}", "--bootstrap", "1e3"], "--bootstrap: '1e3' is not a whole number"),
        (["fit", "{table}", "--level", "abc"], "--level: 'abc' is not a number"),
        (["fit", "{table}", "--latex", "--checklist"], "leave out --json and --checklist"),
        (["fit", "{table}", "--law", "L = E + A/C**a", "--x-col", "N"], "formula is one of flops"),
        (["plan", "{table}", "--family", "vit", "--set", "foo=3"], "unknown vit option 'foo'"),
        (["plan", "{table}", "--family", "mlp", "--set", "depth=x"], "depth 'x' is not"),
        (["plan", "{table}", "--set", "context=64"], "--family NAME: give both"),
        (["next", "{table}", "--flops", "1e15", "--reach", "1e-6"], "reach 1e-06 is below 1"),
        (["plot", "{table}", "frontier", "--where", "N>1e99", "-o", "x.png"], "none of 0 rows"),
        (["plot", "{table}", "cloud", "--bootstrap", "0", "-o", "x.png"], "(--bootstrap 1000)"),
        (
            ["plot", "{table}", "scaling", "--by=N", "--x-col=D", "--where=N>1e99", "-o=x.png"],
            "--by N: no row has a value",
        ),
        (["edf", "{table}", "--parameter", "kind"], "column 'kind': 'old' is not a number"),
        (["fit", "{table}", "--weights", "kind", "--where", "N>1e5"], "line 17, column 'kind'"),
        (["backtest", "{table}", "--train-col", "kind", "--where", "N>1e5"], "line 17, column"),
    ],
)
def test_a_callers_mistake_is_one_line_and_exit_2(scaling_command, table, words, says):
    words = [word.replace("{table}", str(table)) for word in words]
    code, out, err = scaling_command(*words)
    last = err.strip().splitlines()[-1]
    assert code == 2
    assert out == ""
    assert says in last
    assert last.startswith(f"scaling {words[0]}:")
    assert "Traceback" not in err


def test_describing_the_commands_loads_nothing_heavy():
    code = (
        "import argparse, sys, analysis, analysis.cli as c;"
        "c.add_commands(argparse.ArgumentParser().add_subparsers());"
        "print([m for m in ('numpy', 'pandas', 'scipy', 'matplotlib', 'torch', 'mlflow')"
        " if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
