"""``scaling laws``, ``scaling predict`` without runs, and ``scaling chain``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis import LAWS
from scaling.cli import main

DATA = Path(__file__).parents[2] / "published" / "data"


def test_laws_lists_all_of_them_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["laws", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found] == list(LAWS)
    assert all(one["examples"][0].startswith("scaling fit ") for one in found)
    assert all(one["source"] and one["latex"] and one["formula"] for one in found)
    assert main(["laws"]) == 0
    text = capsys.readouterr().out
    assert all(law.formula in text for law in LAWS.values())


@pytest.mark.parametrize("name", sorted(LAWS))
def test_laws_shows_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["laws", name]) == 0
    text = capsys.readouterr().out
    assert LAWS[name].latex in text
    assert all(p.means in " ".join(text.split()) for p in LAWS[name].parameters[:1])


def test_published_constants_are_of_the_law_and_within_its_bounds() -> None:
    for law in LAWS.values():
        for constants in law.published.values():
            assert {*constants} == {*law.names}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        # by hand: 2e8 / 2.6^4.7619
        (
            ["critical_batch", "--constants", "kaplan", "--at", "loss=2.6"],
            "critical_batch_size 2.11333e+06 tokens at loss 2.6 nats/token",
        ),
        (
            ["farseer", "--constants", "li", "-N", "1e9", "-D", "2e10"],
            "bits/character at num_params 1e+09 parameters, num_tokens 2e+10 tokens",
        ),
        (  # whose unit nobody knows
            ["loss = E + A/num_params^a", "--set", "E=1", "A=2", "a=.3", "-N", "1e9"],
            "loss 1.00399 at num_params 1e+09 parameters",
        ),
    ],
)
def test_predictions_carry_the_units_that_a_law_knows(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--law", *words]) == 0
    assert says in capsys.readouterr().out.splitlines()[0]
    assert main(["predict", "--law", *words, "--json"]) == 0
    units = json.loads(capsys.readouterr().out)["units"]
    assert all(unit in says for unit in units.values())


def test_units_are_of_a_law_s_own_columns() -> None:
    for law in LAWS.values():
        assert {*law.column_units} <= {law.output, *law.inputs}


def test_predict_takes_sizes_and_constants_as_people_write_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Hoffmann et al.'s law at Chinchilla's own size: 1.69 + 406.4 / N^.34 + 410.7 / D^.28."""
    constants = ["E=1.69", "A=406.4", "B=410.7", "alpha=.34", "beta=.28"]
    words = ["predict", "--law", "chinchilla", "--set", *constants, "--json"]
    expected = 1.69 + 406.4 / 70e9**0.34 + 410.7 / 1.4e12**0.28
    for point in (["-N", "70B", "-D", "1.4T"], ["--at", "num_params=70e9,num_tokens=1.4T"]):
        assert main([*words, *point]) == 0
        assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(expected)


def test_a_law_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["laws", "chinchila"]) == 2
    assert "did you mean 'chinchilla'" in capsys.readouterr().err


def test_predict_from_constants(capsys: pytest.CaptureFixture[str]) -> None:
    settings = [w for s in ("E=1.69", "A=406.4", "B=410.7", "alpha=.34", "beta=.28")
                for w in ("--set", s)]  # fmt: skip
    words = ["predict", "--law", "chinchilla", "-N", "70e9", "-D", "1.4e12", "--json"]
    assert main([*words, *settings]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["loss"] == pytest.approx(1.69 + 406.4 / 70e9**0.34 + 410.7 / 1.4e12**0.28)
    assert main([*words, "--constants", "hoffmann"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == found["loss"]
    assert main([*words, "--constants", "hoffmann", "--set", "E=2"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(found["loss"] + 0.31)
    assert main(["predict", "--constants", "hoffmann", "--at", "N=70e9, D=1.4e12"]) == 0
    assert "loss 1.93" in capsys.readouterr().out
    assert main(["predict", "--law", "y = a * depth", "--set", "a=2", "--at", "depth=3"]) == 0
    assert "y 6 at" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-N", "1e9", "-D", "1e10"], "--constants hoffmann|besiroglu"),
        (["--constants", "hofmann", "-N", "1e9", "-D", "1e10"], "did you mean 'hoffmann'"),
        (["--constants", "hoffmann", "-N", "1e9"], "--at 'num_tokens=VALUE'"),
        (["--constants", "hoffmann", "--at", "N=1e9,D=many"], "--at D=many is not a number"),
        (["--constants", "hoffmann", "--at", "N"], "is not COLUMN=VALUE"),
        (["--constants", "hoffmann", "--at", "width=3"], "unknown input of chinchilla 'width'"),
        (["--set", "Alpha=3"], "did you mean 'alpha'"),
        (["--law", "m3", "--constants", "x"], "m3 has no published constants here"),
        (["--constants", "hoffmann", "--schedule", "x.csv"], "takes no schedule"),
        (["--law", "multi_power", "--constants", "luo_25m", "--at", "lr=1"], "--schedule FILE"),
    ],
)
def test_predict_refuses_in_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_text("step,lr\n1,1e-3\n10,1e-4\n")
    assert main(["predict", *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_predict_along_a_schedule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Luo et al. 2025, 25M: a WSD schedule of 24,000 steps ends near 3.28."""
    path = tmp_path / "schedule.csv"
    path.write_text("step,lr\n0,0\n2160,3e-4\n20000,3e-4\n24000,3e-5\n")
    words = ["predict", "--law", "multi_power", "--constants", "luo_25m", "--schedule", str(path)]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["loss"] == found["curve"][-1]["loss"] == pytest.approx(3.277, rel=6e-3)
    assert main(words) == 0
    assert "at the end: loss 3.2" in capsys.readouterr().out
    path.write_text("step,lr\n0,0\n2160,3e-4\n24000,0\n")  # to nothing
    assert main([*words, "--json"]) == 0
    to_zero = json.loads(capsys.readouterr().out)["loss"]
    assert to_zero == pytest.approx(3.304, rel=6e-3)  # of its cosine schedule of that length
    path.write_text("step,lr\n0,0\n10,1e-4\n10,2e-4\n")
    assert main(words) == 2
    assert "step 10 twice" in capsys.readouterr().err
    path.write_text("step,rate\n0,0\n")
    assert main(words) == 2
    assert "no 'lr'" in capsys.readouterr().err


def test_a_chain_predicts_each_task(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["chain", str(DATA / "downstream_ladder.csv"), "--loss-col", "task_loss"]
    words += ["--where", "is_training == 1 and group == 'piqa_val'", "--by", "group"]
    words += ["--bootstrap", "20"]
    assert main([*words, "--metric", "accuracy", "-N", "7e9", "-D", "4e12", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["group"] == "piqa_val"
    assert found["metric_ci"][0] < found["metric"] < found["metric_ci"][1]
    assert found["metric"] == pytest.approx(0.82, abs=0.05)
    assert main([*words, "--metric", "acuracy", "-N", "7e9", "-D", "4e12"]) == 2
    assert "no column 'acuracy'" in capsys.readouterr().err
    assert main(words) == 2
    assert "--metric accuracy" in capsys.readouterr().err


def test_predict_from_runs_is_the_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    """Chinchilla's own model, 9 times the largest run: Hoffmann et al. 2022 print no loss of it."""
    words = ["predict", str(DATA / "chinchilla.csv"), "--where", "excluded == False", "--json"]
    assert main([*words, "-N", "70e9", "-D", "1.4e12"]) == 0
    found = json.loads(capsys.readouterr().out)
    low, high = found["loss_ci"]
    assert low < found["loss"] < high
    assert found["loss"] == pytest.approx(
        1.817 + 477.8 / 70e9**0.3473 + 2143 / 1.4e12**0.3672, 0.02
    )
    assert found["beyond"] > 5
    assert {m["law"] for m in found["forecast"]["members"]} >= {"chinchilla", "kaplan"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "E=2", "-N", "1e9", "-D", "1e10"], "for a law without any"),
        ([], "a prediction needs a point"),
        (["--at", "width=3"], "no column 'width'"),
        (["--delta", "1e-2", "-N", "1e9", "-D", "1e10"], "auto averages several"),
    ],
)
def test_predict_refuses(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(DATA / "chinchilla.csv"), *words]) == 2
    assert says in capsys.readouterr().err
