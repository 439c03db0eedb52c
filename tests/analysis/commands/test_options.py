"""What a command line asks for: checked before any work, passed on as values."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

import pytest

import analysis.commands
import scaling.cli
from analysis import plotting
from analysis.commands.kept import Kept
from analysis.commands.options import FIGURE, FitOptions, Source, changed, read
from analysis.commands.report import command

ROOM = Path(analysis.commands.__file__).parent


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("runs nothing.csv -o x.txt", "-o x.txt: a table is written as .csv, .jsonl or .parquet"),
        ("runs nothing.csv --filter loss>1 --where loss>1", "are the same: give one"),
        ("fit nothing.csv --law chinchila", "unknown law 'chinchila'"),
        ("fit nothing.csv --law power --x-col N --signed E", "from a formula; power has its own"),
        ("fit nothing.csv --start E=1,2", "from a formula; chinchilla has its own"),
        ("fit nothing.csv --cluster N --resample residual", "none: give one"),
        ("fit nothing.csv --latex --json", "leave out --json and --checklist"),
        ("plan nothing.csv -o x.txt", "-o x.txt: a table is written as"),
        ("plan nothing.csv --set context=3", "--set is of the models of --family NAME: give both"),
        ("plan nothing.csv --family nothing", "unknown family 'nothing'"),
        ("plan nothing.csv --family vit --set foo=3", "unknown vit option 'foo'"),
        ("next nothing.csv --flops 1e9 -o x.txt", "-o x.txt: a sweep file is written as .yaml"),
        ("backtest nothing.csv --law nothing", "unknown law 'nothing'"),
        ("backtest nothing.csv --pool N", "--pool N: it is of one law's fit"),
        ("plot nothing.csv cloud -o x.gif", "-o x.gif: a figure is written as .png, .pdf, .svg"),
        ("plot nothing.csv edf -o x.gif", "-o x.gif: a figure is written as"),
        ("plot nothing.csv residuals -o x.svg --law nothing", "unknown law 'nothing'"),
        ("plot nothing.csv funnel -o x.svg --law nothing", "unknown law 'nothing'"),
        ("plot nothing.csv scaling -o x.svg --by N", "name its column with --x-col"),
        ("report nothing.csv -o x.txt", "report: x.txt: a report is written as .html"),
        ("report nothing.csv -o x.html --law nothing", "unknown law 'nothing'"),
        ("compound nothing.csv -o x.gif", "-o x.gif: a figure is written as"),
        ("edf nothing.csv -o x.gif", "-o x.gif: a figure is written as"),
        ("edf nothing.csv nothing.csv", "is given twice: a comparison needs two sources"),
        ("pareto nothing.csv -o x.gif", "-o x.gif: a figure is written as"),
    ],
)
def test_what_can_be_checked_is_checked_before_the_source_is_read(capsys, words, says):
    assert scaling.cli.main(shlex.split(words)) == 2
    assert says in capsys.readouterr().err


def test_a_law_that_no_plan_can_be_made_by_is_not_fitted(capsys, monkeypatch, tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("num_params,num_tokens,loss\n1e6,1e7,3.0\n2e6,1e7,2.9\n")
    monkeypatch.setattr("analysis.commands.loading.fit_law", pytest.fail)
    for words in (["plan", str(path)], ["plot", str(path), "plan", "-o", "x.svg"]):
        assert scaling.cli.main([*words, "--law", "power", "--x-col", "num_params"]) == 2
        assert "a plan needs a law of loss in num_params and num_tokens" in capsys.readouterr().err


def test_the_command_of_a_report_makes_the_same_values():
    words = shlex.split(
        "report 'my runs.csv' -o r.html --loss-col 'val loss' --params-col N --where 'N > 1e6'"
        " --root here --law 'L = E + A/N**a' --start E=1,2 --start A=1.0,3.5 --signed E --signed A"
        " --loss-fn mse --delta 0.01 --asymmetry 2 --space log --weights w --bootstrap 7"
        " --cluster g --level 0.8 --seed 3 --title 'A title'"
    )
    args = scaling.cli.parser().parse_args(words)
    source, options = read(Source, args), read(FitOptions, args)
    assert source.columns == (("loss", "val loss"), ("num_params", "N"))
    again = command(source, Kept(options, 2), Path(args.output), args.title)
    assert again.startswith("scaling report 'my runs.csv' -o r.html --params-col N --loss-col")
    args = scaling.cli.parser().parse_args(shlex.split(again)[1:])
    assert (read(Source, args).taken, read(FitOptions, args)) == (source.taken, options)
    assert (args.name, args.root, args.where) == (source.name, source.root, source.where)
    assert args.title == "A title" and args.hold_out == 2
    plain = command(Source("runs"), Kept(FitOptions()), Path("r.html"), None)
    assert plain == "scaling report runs -o r.html"


def test_only_what_was_given_is_set():
    args = scaling.cli.parser().parse_args(["fit", "runs.csv", "--seed", "3", "--loss-col", "y"])
    assert changed(read(FitOptions, args)) == {"seed": 3}
    assert read(Source, args) == Source("runs.csv", columns=(("loss", "y"),))


def test_names_that_stand_in_two_places_agree():
    assert FIGURE.suffixes == tuple(f".{kind}" for kind in plotting.FORMATS)


def test_arguments_end_where_a_command_begins():
    """Below ``run(args)`` there are values only, and no other room knows of a command line."""
    described = ("cli.py", "arguments.py")
    outside = [p for p in ROOM.parent.rglob("*.py") if p.parent != ROOM and p.name not in described]
    assert len(outside) > 50
    assert [p for p in outside if "argparse" in p.read_text(encoding="utf-8")] == []
    takers = {
        (path.name, node.name)
        for path in ROOM.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        for argument in node.args.args
        if argument.annotation is not None and "Namespace" in ast.unparse(argument.annotation)
    }
    described = {"choice", "fit_text", "forecasting", "loading", "options", "kept", "search"}
    described |= {"__init__"}
    commands = {p.stem for p in ROOM.glob("*.py")} - described
    entries = {(f"{name}.py", "run") for name in commands}
    assert takers == entries | {
        ("options.py", "read"),
        ("options.py", "output_of"),
        ("kept.py", "fit_options"),
    }


def test_a_backtest_answers_every_option_of_a_fit(capsys, tmp_path):
    commands = scaling.cli.parser()._subparsers._group_actions[0].choices
    of_fit, of_backtest = (
        {word for action in commands[name]._actions for word in action.option_strings}
        for name in ("fit", "backtest")
    )
    assert of_fit <= of_backtest
    path = tmp_path / "runs.csv"
    rows = [f"{10**k},{2 * 10**k},{1 + 10 ** (-0.1 * k)}" for k in range(3, 13)]
    path.write_text("\n".join(["width,depth,loss", *rows]))
    words = ["backtest", str(path), "--law", "L = E + A / width**a"]
    assert scaling.cli.main([*words, "--latex", "--bootstrap", "9"]) == 0
    said = capsys.readouterr().err
    assert "--latex is of one fit" in said
    assert "--bootstrap is of a law's own draws" in said
    assert scaling.cli.main([*words, "--x-col", "depth"]) == 2
    assert "write depth in it, or leave --x-col out" in capsys.readouterr().err
