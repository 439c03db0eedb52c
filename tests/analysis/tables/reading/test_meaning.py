"""What columns mean: metrics and their units, budgets, losses that rise, proposals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.tables import load_runs, one_variable, proposal

N, D = np.geomspace(1e7, 1e9, 6), np.geomspace(2e9, 4e10, 6)
LOSS = 1.8 + 400 / N**0.34 + 400 / D**0.28


def read(tmp_path, own, **asked):
    frame = pd.DataFrame({"params": N, "tokens": D[::-1]} | own)
    frame.to_csv(tmp_path / "a.csv", index=False)
    return load_runs(tmp_path / "a.csv", **asked)


def about(table, column):
    return " | ".join(n for n in table.attrs["notes"] if getattr(n, "about", "") == column)


@pytest.mark.parametrize(
    ("name", "values", "loss", "unit"),
    [
        ("Validation perplexity", np.exp(LOSS), LOSS, "nats/token"),
        ("wikitext ppl", np.exp(LOSS), LOSS, "nats/token"),
        ("log_ppl", LOSS, LOSS, "nats/token"),
        ("val_bpb", LOSS / 3, LOSS / 3, "bits/byte"),
        ("test bpc", LOSS, LOSS, "bits/character"),
        ("loss (bits)", LOSS, LOSS, "bits/token"),
        ("Val loss (nats)", LOSS, LOSS, "nats/token"),
    ],
)
def test_the_loss_of_another_name_has_its_unit_named(tmp_path, name, values, loss, unit):
    table = read(tmp_path, {name: values})
    np.testing.assert_allclose(table["loss"], loss)
    assert table.attrs["units"]["loss"] == unit
    assert unit in about(table, "loss")


def test_perplexity_goes_before_bits_and_the_other_is_named(tmp_path):
    table = read(tmp_path, {"val_bpb": LOSS / 3, "c4 ppl": np.exp(LOSS)})
    np.testing.assert_allclose(table["loss"], LOSS)
    assert "'c4 ppl' is perplexity; another is --loss-col val_bpb" in about(table, "loss")


def test_two_perplexities_are_not_chosen_between(tmp_path):
    table = read(tmp_path, {"a_ppl": np.exp(LOSS), "b_ppl": np.exp(LOSS)})
    assert "loss" not in table
    assert "--loss-col a_ppl or --loss-col b_ppl" in proposal(table, "loss")


def test_a_stated_perplexity_stays_and_its_unit_is_said(tmp_path):
    table = read(tmp_path, {"ppl": np.exp(LOSS)}, columns={"loss": "ppl"})
    np.testing.assert_allclose(table["loss"], np.exp(LOSS))
    assert "in perplexity; --loss-col 'log(ppl)' is in nats/token" in about(table, "loss")


@pytest.mark.parametrize(
    ("formula", "loss"),
    [("1 - miou", 1 - 1 / LOSS), ("a + b", LOSS), ("log(`my ppl`)", LOSS), ("2*a / 2", LOSS / 2)],
)
def test_a_column_may_be_a_formula(tmp_path, formula, loss):
    columns = {"miou": 1 / LOSS, "a": LOSS / 2, "b": LOSS / 2, "my ppl": np.exp(LOSS)}
    table = read(tmp_path, columns, columns={"loss": formula})
    np.testing.assert_allclose(table["loss"], loss)
    assert table.attrs["units"]["loss"] == formula


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("1 - mio", "there is no column '1 - mio' for loss"),
        ("nothing(a)", "--loss-col 'nothing(a)': 'nothing(a)' is not allowed"),
        ("a +", "--loss-col 'a +' cannot be read"),
        ("a.b", "'a.b' is not allowed"),
        ("__import__('os').system('a')", "is not allowed"),
    ],
)
def test_a_formula_that_cannot_be_read_is_named(tmp_path, formula, says):
    with pytest.raises(ValueError, match=r"a\.csv") as caught:
        read(tmp_path, {"miou": LOSS, "a": LOSS}, columns={"loss": formula})
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["flops_budget", "compute_budget", "Training FLOPs", "C"])
def test_a_budget_is_taken_as_it_is(tmp_path, name):
    table = read(tmp_path, {name: 8 * N * D, "loss": LOSS})
    np.testing.assert_allclose(table["flops"], 8 * N * D)


def test_what_looks_like_a_budget_is_not_replaced_unasked(tmp_path):
    columns = {"num_compute": N * D / 1e18, "loss": LOSS}
    table = read(tmp_path, columns)
    assert "flops" not in table
    assert (
        "flops is not made up, as 'num_compute' may be it: say --flops-col num_compute or "
        "--flops-col '6 * num_params * num_tokens'"
    ) in table.attrs["notes"]
    asked = read(tmp_path, columns, columns={"flops": "6 * num_params * num_tokens"})
    np.testing.assert_allclose(asked["flops"], 6 * N * D[::-1])


@pytest.mark.parametrize("name", ["flops_per_token", "tokens_per_flop", "mfu_flops"])
def test_a_rate_is_no_budget(tmp_path, name):
    assert "flops" in read(tmp_path, {name: np.arange(6.0), "loss": LOSS})


def test_a_loss_that_rises_is_said(tmp_path):
    rising = read(tmp_path, {"loss": LOSS[::-1] / 9})
    assert "loss rises with num_params" in about(rising, "loss")
    assert "--loss-col '1 - COL'" in about(rising, "loss")
    assert "rises" not in about(read(tmp_path, {"loss": LOSS}), "loss")


def test_words_under_a_name_of_ours_that_no_law_needs_are_left(tmp_path):
    table = read(tmp_path, {"activations": "gelu", "loss": LOSS})
    assert set(table["activations"]) == {"gelu"}
    said = "not taken for activations: line 2, column 'activations': 'gelu' is not a number"
    assert said in table.attrs["notes"]


def test_names_that_are_there_twice_are_noted(tmp_path):
    (tmp_path / "a.csv").write_text("N,D,loss,loss\n1e6,2e7,3,4\n")
    table = load_runs(tmp_path / "a.csv")
    assert table["loss"].tolist() == [3]
    assert (
        "2 columns are called 'loss': they are loss, loss.1; --loss-col loss.1 takes the second"
        in table.attrs["notes"]
    )
    assert load_runs(tmp_path / "a.csv", columns={"loss": "loss.1"})["loss"].tolist() == [4]


def test_other_columns_that_may_be_the_loss_are_noted(tmp_path):
    table = read(tmp_path, {"loss": LOSS, "val_loss": LOSS + 0.1})
    assert "loss is 'loss' of several: --loss-col val_loss takes another" in table.attrs["notes"]


def test_inputs_of_other_laws_are_taken_as_they_are_named(tmp_path):
    columns = {"experts": "4 k", "who": "a", "loss": LOSS}
    asked = {"num_experts": "experts", "group": "who", "ratio": "tokens / params"}
    table = read(tmp_path, columns, columns=asked)
    assert set(table["num_experts"]) == {4000.0}
    assert set(table["group"]) == {"a"}
    np.testing.assert_allclose(table["ratio"], D[::-1] / N)


def test_two_units_in_one_column_are_told_by_their_gap(tmp_path):
    mixed = np.where(np.arange(6) % 2, D, D / 1e9)
    pd.DataFrame({"N": N, "D": mixed, "loss": LOSS}).to_csv(tmp_path / "a.csv", index=False)
    (note,) = (x for x in load_runs(tmp_path / "a.csv").attrs["notes"] if "a unit may differ" in x)
    assert "--where 'num_tokens " in note


def test_negative_and_zero_losses_stay(tmp_path):
    table = read(tmp_path, {"loss": [-1.0, 0, 1, 2, np.nan, np.inf]})
    assert table["exclude_reason"].tolist() == ["", "", "", "", "loss missing", "loss is inf"]
    said = "loss is zero or below in 2 rows (lines 2, 3)"
    assert any(note.startswith(said) for note in table.attrs["notes"])


def test_sizes_in_the_names_of_models_are_taken(tmp_path):
    text = "model,loss\npythia-70m,3.5\npythia-1.4b,2.6\nPythia 12B,2.2\n"
    (tmp_path / "a.csv").write_text(text)
    assert load_runs(tmp_path / "a.csv")["num_params"].tolist() == [70e6, 1.4e9, 12e9]
    (tmp_path / "a.csv").write_text(text.replace("70m", "70m-300b"))
    assert "num_params" not in load_runs(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("columns", "missing", "says"),
    [
        ({"MMLU": [0.3, 0.5]}, "loss", "say --loss-col '1 - MMLU'"),
        ({"ARC-C": [30.0, 50.0]}, "loss", "say --loss-col '1 - `ARC-C`/100'"),
        ({"c4 loss": [3.0, 2.0]}, "loss", "say --loss-col 'c4 loss'"),
        ({"Non_vocab_parameters": [1e6, 2e6]}, "num_params", "--params-col Non_vocab_parameters"),
        ({"num_characters": [1e6, 2e6]}, "num_tokens", "say --tokens-col num_characters"),
        ({"num_params": [1e6], "tpp": [20]}, "num_tokens", "say --tokens-col 'num_params * tpp'"),
        ({"Step": [1, 2]}, "num_tokens", "say --tokens-col 'Step * 524288' (524288 stands"),
        (
            {"steps": [1, 2], "batch_size": [8, 8], "seq_len": [9, 9]},
            "num_tokens",
            "say --tokens-col 'steps * batch_size * seq_len'",
        ),
        (
            {"num_params": [1, 2], "IsoFLOP budget": [1e18, 2e18]},
            "num_tokens",
            "say --flops-col 'IsoFLOP budget'",
        ),
        ({"A100 hours": [1, 2]}, "flops", "'`A100 hours` * 3600 * 1e+14' makes it one"),
        ({"train": [3.0, 2.0], "val": [3.1, 2.1]}, "loss", "say --loss-col val;"),
        ({"x": [1.0, 2.0]}, "loss", "no loss: say --loss-col x; its columns are x"),
        ({"Größe": [1e7, 2e7]}, "num_params", "say --params-col 'Größe'"),
        ({"log_likelihood": [-3.0, -2.0]}, "loss", "say --loss-col '0 - log_likelihood'"),
        ({"x": ["a", "b"]}, "loss", "no loss and no column like it (--loss-col names one)"),
    ],
)
def test_a_failure_proposes_the_options(columns, missing, says):
    assert says in proposal(pd.DataFrame(columns), missing)


def test_of_two_sizes_each_is_proposed_for_what_its_name_hints_at():
    table = pd.DataFrame({"size_b": [0.1, 0.4, 1.5], "data_b": [2.0, 8.0, 20.0], "loss": [4, 3, 2]})
    said = proposal(table, "num_params", "num_tokens")
    assert "no num_params: say --params-col size_b;" in said
    assert "no num_tokens: say --tokens-col data_b" in said and "data_b or" not in said


def test_the_variable_of_a_law_of_one_is_proposed():
    assert one_variable(pd.DataFrame({"loss": [1, 2], "Step": [1, 2]})) == "Step"
    assert one_variable(pd.DataFrame({"a": [1, 2], "flops": [1, 2]})) == "flops"
    assert one_variable(pd.DataFrame({"name": ["a", "b"]})) is None


def test_a_size_in_another_language_is_proposed_and_has_its_unit(tmp_path):
    own = {"Größe (M)": N / 1e6, "Tokens (B)": D[::-1] / 1e9, "loss": LOSS}
    frame = pd.DataFrame(own)
    assert "no num_params: say --params-col 'Größe (M)';" in proposal(frame, "num_params")
    frame.to_csv(tmp_path / "a.csv", index=False)
    table = load_runs(tmp_path / "a.csv", columns={"num_params": "Größe (M)"})
    np.testing.assert_allclose(table["num_params"], N)
