"""Tables of the kinds that people have, opened by a command or refused in one line."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest

CASES = Path(__file__).parents[1] / "cases"
NANOCHAT, SEMICOLONS = (
    (CASES / name).read_text(encoding="utf-8") for name in ("nanochat_results.csv", "semi.csv")
)


@pytest.fixture
def fit(scaling_command, tmp_path):
    def run(name, text, *words):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        code, out, err = scaling_command("fit", path, "--bootstrap", 0, *words)
        assert "Traceback" not in err
        return code, out, err

    return run


def test_a_table_shows_what_was_taken_for_what_before_the_result(fit):
    code, out, _ = fit("nano.csv.gz", NANOCHAT)
    assert code == 0
    taken, _, result = " ".join(out.split()).partition("L = ")
    assert "the column 'flops_budget'" in taken and "val_bpb, in bits/byte" in taken
    assert "irreducible loss" in result


def test_the_law_is_said_with_why_and_the_next_command_follows(fit):
    code, out, _ = fit("nano.csv", NANOCHAT)
    assert code == 0
    said = " ".join(out.split())
    assert "law: chinchilla, as both N and D vary; scaling laws lists all" in said
    assert said.endswith(("nano.csv", "nano.csv'"))
    assert "next: scaling " in said
    one = "Params (M);Tokens (B);loss\n" + "".join(f"70;{d};{2 + d**-0.3}\n" for d in range(1, 9))
    code, out, _ = fit("one.csv", one)
    assert code == 0
    assert "law: power_floor of num_tokens, as num_params is 7e+07 in all rows" in out
    assert "--x-col num_tokens --at num_tokens=8e+10" in out


ROUTED = "params,num_experts,loss\n" + "".join(
    f"{n:g},{e},{12.3 * n**-0.08 * e ** (-0.09 + 0.0035 * math.log(n)):.6f}\n"
    for n in (16e6, 57e6, 368e6, 1.3e9)
    for e in (1, 2, 8, 64, 512)
)
BILINEAR = "loss = K*params**a*num_experts**b*num_experts**(c*log(params))"


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        (ROUTED, ("--law", "moe_routing", "--col", "dense_params=params"), "dense_params is"),
        (ROUTED, ("--law", BILINEAR, "--signed", "a,b,c"), "R2 1.00000"),
        (ROUTED, ("--law", BILINEAR), "or --signed a if it may be negative"),
        (
            "x,loss\n" + "".join(f"{x},{-math.exp(-x / 3)}\n" for x in range(9)),
            ("--law", "loss = a*exp(-k*x)", "--signed", "a"),
            "residuals are linear: loss is negative in 9 of 9 rows",
        ),
        (
            "x,loss\n" + "".join(f"{x},{max(0, x - 6)}\n" for x in range(12)),
            ("--law", "loss = a/(1+exp(-k*(x-c)))"),
            "residuals are linear: loss is 0 in 7 of 12 rows",
        ),
        (
            "Step,a - t/avg_loss,a - t/avg_loss__MIN,a - t/avg_loss__MAX\n"
            + "".join(f"{s},{9 - s},{9 - s},{9 - s}\n" for s in range(1, 7)),
            ("--loss-col", "t/avg_loss", "--x-col", "Step"),
            "are not used; --unpivot none leaves them",
        ),
    ],
    ids=["routing", "bilinear", "unsigned", "negative", "zeros", "wandb"],
)  # fmt: skip
def test_a_law_of_other_inputs_takes_its_table(fit, text, words, says):
    code, out, err = fit("a.csv", text, *words)
    assert code == 0
    assert says in " ".join((out + err).split())


def test_parameters_carry_the_unit_of_the_loss(fit):
    _, out, _ = fit("nano.csv", NANOCHAT)
    assert "bits/byte irreducible loss" in " ".join(out.split())
    code, out, _ = fit("nano.csv", NANOCHAT, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["units"] == {"loss": "bits/byte"}
    assert "flops is the column 'flops_budget'" in found["notes"]


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        (ROUTED, ("--law", "moe_routing"), "say --col dense_params=params"),
        (ROUTED, ("--law", "K*params**a"), "a formula says what it gives, as in 'loss = K*"),
        (ROUTED, ("--law", "auto"), "auto averages laws to forecast"),
        (ROUTED, ("--x-col", "params,num_experts"), "a fit takes one variable"),
        (ROUTED, ("--law", "loss = a*foo(params)"), "has the function 'foo', which is not known"),
        (ROUTED, ("--law", "loss = a + b/num_expert"), "has 0 inputs"),
        (
            "N,D,loss,who\n" + "".join(f"{n}e7,{n}e9,{5 - n / 9},w{n}\n" for n in range(1, 9)),
            ("--pool", "who"),
            "8 of 8 groups of who have one row ('w1')",
        ),
        ("N,D,loss\n1e7,1e9,3\n", (), "has 5 parameters and the table 1 usable row of 1; add runs"),
        (
            "a,b\nx,y\n",
            (),
            "no num_params and no column like it (--params-col names one); no num_tokens",
        ),
        ("N,D,loss\n70M,2e7,3\n160,3e7,2\n", (), "line 3, column 'N': '160' has no unit"),
        ("N,D,loss\n70M,2e7,3\n", ("--frontier", "--flops-col", "tanh(N)"), "is not allowed"),
        ("N,D,loss\n70M,2e7,3\n", ("--last-by", "who"), "unknown column of --last-by 'who'"),
        ("N,D,loss\n70M,2e7,3\n", ("--unpivot", "x"), "is no pattern"),
        ("N,D,loss\n70M,2e7,3\n", ("--decimal", "x"), "is neither . nor ,"),
    ],
)
def test_what_cannot_be_fitted_says_the_one_thing_to_do(fit, text, words, says):
    code, out, err = fit("a.csv", text, *words)
    assert code == 2
    assert out == ""
    assert says in err
    assert len(err.splitlines()[-1]) < 400


def test_rows_that_a_fit_leaves_out_are_one_line_a_reason(fit):
    text = SEMICOLONS + "G;70;1;5e17;-1\nH;70;1;5e17;-2\nI;70;1;5e17;\nJ;70;1;5e17;\n"
    code, _, err = fit("a.csv", text, "--space", "log")
    assert code == 0
    assert "left out, loss missing: 2 rows (lines 10, 11)" in err
    assert "left out, loss not positive: 2 rows (lines 8, 9)" in err


def test_runs_takes_the_same_options(scaling_command, tmp_path):
    (tmp_path / "w.csv").write_text("tokens,70M,160M\n1e9,4.5,4.2\n2e9,4.0,3.7\n")
    code, out, _ = scaling_command("runs", tmp_path / "w.csv", "--last-by", "num_params", "--json")
    assert code == 0
    assert [row["loss"] for row in json.loads(out)] == [4.0, 3.7]


def test_a_response_that_the_table_lacks_is_asked_for(scaling_command, tmp_path):
    """Its loss is not taken for it, nor for a law's loss what that law predicts of it."""
    (tmp_path / "a.csv").write_text("num_params,loss,acc\n" + "".join(
        f"{1e7 * 2**i:.0f},{3 - 0.1 * i:.2f},{0.25 + 0.5 / (1 + math.exp(-i / 2 + 2)):.4f}\n"
        for i in range(9)))  # fmt: skip
    by_size = "accuracy = E + A/num_params^a"
    for words, said in (
        (("--law", by_size), "'accuracy', which the formula predicts: say --col accuracy=COL or"),
        (("--law", "sigmoid"), "'accuracy', which sigmoid predicts: say --col accuracy=COL"),
        (("--law", "sigmoid", "--x-col", "loss", "--loss-col", "acc", "--col", "accuracy=acc"),
         "--loss-col is the column 'accuracy', which sigmoid predicts from the loss"),
        (("--law", "loss = E + A/num_paras^a"), "is num_paras num_params?"),
    ):  # fmt: skip
        code, _, err = scaling_command("fit", tmp_path / "a.csv", "--bootstrap", 0, *words)
        assert (code, said in err) == (2, True), err
    code, out, err = scaling_command(
        "fit", tmp_path / "a.csv", "--bootstrap", 0, "--law", "sigmoid", "--col", "accuracy=acc"
    )
    assert code == 0 and "metric = " in out, err
