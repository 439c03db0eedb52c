"""The law of vocabulary: its parameters are a term of their own, its words compress the data."""

from __future__ import annotations

from analysis.laws.base import Parameter
from analysis.laws.named import named_law


def _size(name: str, of: str) -> Parameter:
    return Parameter(name, f"size of the term of {of}", 1e-12, 1e12, unit="nats/token")


def _exponent(name: str, of: str) -> Parameter:
    return Parameter(name, f"exponent of {of}", 1e-3, 5.0, (0.05, 1.5))


VOCABULARY = named_law(
    name="vocabulary",
    formula="L = E + A_1 / N^alpha_1 + A_2 / (V*d)^alpha_2 + B / D^beta, "
    "D = H * (0.00639222*v^2 - 0.15811069*v + 1.20470122), v = log(V)",
    latex=r"L_u = E + \frac{A_1}{N^{\alpha_1}} + \frac{A_2}{(V d)^{\alpha_2}}"
    r" + \frac{B}{D^{\beta}},\quad D = H\,(0.00639 \ln^2 V - 0.158 \ln V + 1.205)",
    source="Tao et al. 2024 (arXiv 2407.13623), approach 3; N without the vocabulary's V d, D "
    "tokens that their tokenizers make of H characters, loss less that of unigrams; the constants "
    "in their code are of a D in which V counts thousands, and no constants of this D",
    inputs={
        "N": "non_vocab_params", "V": "vocab_size", "d": "embed_dim", "H": "num_characters"
    },
    parameters=(
        Parameter("E", "loss at infinite size, below that of unigrams", -1e3, 1e3,
                  unit="nats/token", scale="linear"),
        _size("A_1", "the other parameters"),
        _exponent("alpha_1", "the other parameters"),
        _size("A_2", "the vocabulary's parameters"),
        _exponent("alpha_2", "the vocabulary's parameters"),
        _size("B", "data"),
        _exponent("beta", "data"),
    ),
    units={"A_1": {"N": "-alpha_1"}, "A_2": {"d": "-alpha_2"}, "B": {"H": "-beta"}},
    output="unigram_normalized_loss",
    column_units={
        "unigram_normalized_loss": "nats/token",
        "non_vocab_params": "parameters",
        "num_characters": "characters",
    },
    space="linear",
)  # fmt: skip
