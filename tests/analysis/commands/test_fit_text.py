"""A fit as text: the LaTeX table and the certificate."""

from __future__ import annotations

import re

import pytest

from analysis import fit, formula_law
from analysis.commands.fit_text import certificate, latex_table, number
from tests.analysis.planted import table


def test_the_latex_table_has_a_row_for_each_parameter_and_exponent():
    law = fit("chinchilla", table("chinchilla", n=40, noise=0.01), bootstrap=30)
    text = latex_table(law)
    rows = re.findall(r"^\$(.+?)\$ & (.*?) & (.*?) & (.*) \\\\$", text, re.MULTILINE)
    assert [row[0] for row in rows] == ["E", "A", "B", r"\alpha", r"\beta", "a", "b"]
    assert all(" to " in row[2] for row in rows)
    assert rows[3][1] == number(law.params["alpha"])
    assert text.count("{") == text.count("}")
    assert text.count("$") % 2 == 0


def test_exponents_are_not_taken_for_parameters_of_the_same_name():
    text = latex_table(fit("gadre", table("gadre", n=40, noise=0.01), bootstrap=20))
    symbols = re.findall(r"^\$(.+?)\$ &", text, re.MULTILINE)
    assert symbols == ["E", "a", "b", r"\eta", "a^*", "b^*"]


@pytest.mark.parametrize(
    ("formula", "latex"),
    [
        ("L = E + A_x / num_params**a", r"L = E + \frac{\mathrm{A\_x}}{\mathrm{num\_params}^{a}}"),
        ("L = (A1 - N)**2**alpha", r"L = \left(A_{1} - N\right)^{2^{\alpha}}"),
        ("L = a - (b - 1e20*N)", r"L = a - \left(b - 10^{20} \cdot N\right)"),
        ("L = N - -(a + sqrt(N))", r"L = N - \left(-\left(a + \sqrt{N}\right)\right)"),
        ("L = (a**b)**log(N)", r"L = \left(a^{b}\right)^{\log\left(N\right)}"),
    ],
)
def test_a_formula_in_latex(formula, latex):
    assert formula_law(formula).latex == latex


def test_numbers_take_the_place_of_whole_names_only():
    runs = table("power_floor", n=20)
    text = fit("L = A + A_x / num_params**a", runs, starts=0).formula("latex", digits=2)
    assert text == r"L = 1.7 + \frac{4 \times 10^{2}}{\mathrm{num\_params}^{0.34}}"


def test_without_draws_or_best_size_there_are_no_intervals_and_no_exponents():
    text = latex_table(fit("power_floor", table("power_floor", n=20, noise=0.01)))
    assert " to " not in text.split("midrule")[1]
    assert "N^*" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.34731, "$0.3473$"), (2143.4, "$2143$"), (1.5e7, r"$1.5 \times 10^{7}$")],
)
def test_numbers_in_latex(value, text):
    assert number(value) == text


def test_the_certificate_says_how_many_starts_agree():
    runs = table("chinchilla", n=40, noise=0.01)
    words = certificate(fit("chinchilla", runs))
    assert words.startswith("certificate: 100% of 12 random starts end at this optimum")
    assert "at bounds: none" in words
    assert "no random starts" in certificate(fit("chinchilla", runs, starts=0))
