"""Every file of ``tests/analysis/cases``: opened as it is, or refused with the thing to do, which
then opens it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CASES = Path(__file__).parents[1] / "cases"

OPENED = {
    "UP.CSV": (8, ["num_params is the column 'N (M)' x 1e+06",
                   "num_tokens is the column 'D (B)' x 1e+09"]),
    "semi.csv": (6, ["numbers have decimal commas", "num_params is the column 'Params (M)' x 1e+06",
                     "num_tokens is the column 'Tokens (B)' x 1e+09",
                     "flops is the column 'FLOPs'", "loss is the column 'Val loss'"]),
    "duphead.csv": (6, ["2 columns are called 'loss': they are loss, loss.1; --loss-col loss.1 "
                        "takes the second"]),
    "nanochat_results.csv": (28, ["num_params is the column 'params_total'",
                                  "num_tokens is the column 'tokens_trained'",
                                  "flops is the column 'flops_budget'",
                                  "loss is val_bpb, in bits/byte"]),
    "oellm.csv": (51, ["num_params is the column 'N'", "num_tokens is the column 'D'",
                       "flops is the column 'C'"]),
    "opt_perplexity.csv": (15, ["num_params is the column 'model_size'",
                                "num_tokens is the column 'num_token'",
                                "loss is log(ppl), in nats/token"]),
    "opt_traj_log10_suffix.csv": (8, ["num_params is the column 'model_size'",
                                      "num_tokens is 10**num_token: 9 to 10.18 are logarithms",
                                      "flops is 10**flops: 17.88 to 19.05 are logarithms",
                                      "loss is log(ppl), in nats/token"]),
}  # fmt: skip
"""Rows that are fitted, and what is said of the columns."""

BILINEAR = "loss = K*params**a*num_experts**b*num_experts**(c*log(params))"
REFUSED = {
    "obs_units_in_header.csv": (
        "no loss: say --loss-col '1 - MMLU' or --loss-col '1 - `ARC-C`'",
        19, ("--loss-col", "1 - MMLU"),
    ),
    "suffix_4B_64B.csv": (
        "line 12, column 'tokens_seen': 'Pile' is not a number; write it plainly, such as 1.2e9, "
        "leave unknown values empty, or leave the row out: --where \"tokens_seen != 'Pile'\"",
        11, ("--where", "tokens_seen != 'Pile'"),
    ),
    "clark_sbase_bilinear.csv": (
        "no num_tokens and no column like it (--tokens-col names one)",
        87, ("--law", BILINEAR, "--signed", "a,b,c"),
    ),
    "negative_loss.csv": (
        "no num_params: say --params-col Non_vocab_parameters; no num_tokens: say --tokens-col "
        "num_characters; no loss: say --loss-col Lossu",
        30, ("--params-col", "Non_vocab_parameters", "--loss-col", "Lossu",
             "--law", "loss = E + A / num_params**a", "--signed", "E"),
    ),
    "negatives_double_exp.csv": (
        "loss is zero or below in 100 rows (lines 2, 3, 4, 5, 6, 7, ...): laws on its logarithm "
        "leave these out, a level of any sign fits them, as --law 'loss = E + A / x**a' --signed E",
        100, ("--law", "loss = E + A / x**a", "--signed", "E"),
    ),
    "zeros_linear.csv": (
        "loss is zero or below in 15 rows (lines 2, 3, 4, 5, 6, 8, ...)",
        26, ("--law", "loss = E + A / x**a", "--signed", "E"),
    ),
    "music_overfit.csv": (
        "loss rises with num_params: laws have it falling; is it a score, or of runs that overfit?",
        9, ("--x-col", "num_params"),
    ),
    "wandb_export_wide.csv": (
        "no num_tokens: say --tokens-col 'Step * 524288' (524288 stands for your tokens a step); "
        "no loss: say --loss-col test-tokens/avg_loss",
        20, ("--loss-col", "test-tokens/avg_loss", "--x-col", "Step"),
    ),
}  # fmt: skip
"""What is said of a file that is refused; the rows that are fitted with words that it proposes, or
(experts) with the law of the file's source."""


def test_every_file_has_its_outcome() -> None:
    files = {path.name for path in CASES.iterdir()} - {"README.md"}
    assert files == {*OPENED, *REFUSED}


@pytest.mark.parametrize("name", OPENED)
def test_a_file_opens_as_it_is(scaling_command, name) -> None:
    rows, says = OPENED[name]
    code, out, err = scaling_command("fit", CASES / name, "--bootstrap", 0, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["n_runs"] == rows
    notes = "\n".join(found["notes"])
    assert [one for one in says if one not in notes] == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_with_what_to_do_and_then_opens(scaling_command, name) -> None:
    says, rows, words = REFUSED[name]
    code, out, err = scaling_command("fit", CASES / name, "--bootstrap", 0)
    assert (code, out) == (2, "")
    assert says in err
    code, out, err = scaling_command("fit", CASES / name, "--bootstrap", 0, "--json", *words)
    assert code == 0, err
    assert json.loads(out)["n_runs"] == rows
