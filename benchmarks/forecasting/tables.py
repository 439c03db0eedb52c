"""The public tables, what is asked of each, and where each is cut.

A table with ``is_training`` is cut there, as its authors or SLDBench (Lin et al. 2025, arXiv
2507.21184) did. Others are cut at 1/4, 1/16 and 1/64 of their largest N D, and no run stands on
both sides of a cut (``analysis.tables.structure``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import Law, formula_law, load_runs
from analysis.forecasts.cutoffs import cutoffs, log_size, sized
from analysis.tables import structure
from scaling.base import note

FLAG = "is_training"
PLANE = ("num_params", "num_tokens")
OCTAVES, CUTS = 1.0, 3
"""Cuts lie 1, 2 and 3 octaves of N and of D below the largest."""

IN_VIEW = {
    "addition_3_digits_grid",
    "addition_4_digits",
    "assocmem_isoflop",
    "benchmark_families",
    "bytes_wikitext_fixed_isoflop",
    "bytes_wikitext_matched_isoflop",
    "chinchilla",
    "climbmix_ar_isoflop",
    "climbmix_block_diffusion_isoflop",
    "clip_zeroshot",
    "compression_dna_grid",
    "compression_images_grid",
    "compression_speech_grid",
    "compute_optimal_chess",
    "cs336_api_isoflop",
    "cs336_fineweb_edu_isoflop",
    "datablations_repeated_data",
    "downstream_ladder",
    "easy_questions",
    "flow_matching_grid",
    "gadre_overtraining",
    "galah_bytes_isoflop",
    "gemstones_cool_end",
    "gemstones_hot",
    "gemstones_slim_chinchilla",
    "greek_grid",
    "inference_time_llama2",
    "insurance_grid",
    "isoflop_epochai_chinchilla__massivetext__chinchilla",
    "isoflop_ml_scalefit__massivetext__chinchilla",
    "kempner_fineweb_100b_isoflop",
    "kempner_fineweb_edu_100b_isoflop",
    "kempner_proof_pile_2_isoflop",
    "kempner_slimpajama_chunk1_isoflop",
    "kempner_smollm_corpus_isoflop",
    "kempner_starcoder_isoflop",
    "learning_curves_lang",
    "learning_curves_vision",
    "llama3_isoflop",
    "llama_dclm_grid",
    "lr_schedule_25m_100m",
    "marin_comma_isoflop",
    "marin_dclm_isoflop",
    "marin_moe_v16_isoflop",
    "marin_nemotron_isoflop",
    "minchilla_chars_isoflop",
    "misfitting_fineweb_c4_isoflop",
    "mixture_pile5",
    "moe_lr_spm",
    "moe_sbase",
    "mt_deen_grid",
    "mt_ruen_grid",
    "mt_zhen_grid",
    "oellm_dense_best",
    "parallel_stack",
    "pile_0_7_grid",
    "pile_0_8_grid",
    "porian_rw__base__long__kaplan__attention__train",
    "porian_rw__base__long__kaplan__kaplan__train",
    "porian_rw__base__long__kaplan__standard__val",
    "porian_rw__base__short__chinchilla__attention__train",
    "porian_rw__base__short__chinchilla__standard__val",
    "porian_rw__base__short__kaplan__attention__train",
    "porian_rw__base__short__kaplan__standard__val",
    "porian_rw__tuned__long__const__kaplan__train",
    "porian_rw__tuned__short__const__attention__train",
    "porian_rw__tuned__short__const__standard__val",
    "protein_clm_isoflop",
    "protein_mlm_isoflop",
    "ptycho_isoflop",
    "sciml_midpoint_grid",
    "sciml_plain_grid",
    "sft_flan",
    "shakespeare_block_diffusion_isoflop",
    "slimpajama_isoflop",
    "steplaw_lr_batch",
    "teacher_student_grid",
    "teacher_student_isoflop",
    "vision_ecoset_resnet_grid",
    "vision_imagenet_resnet_grid",
    "vocab_small",
    "xlstm_dclm_grid",
}
"""Tables whose results were looked at when the forecast's rules were chosen. A table by another
name is blind."""


@dataclass(frozen=True)
class Question:
    """What is predicted of a table, and from what.

    Attributes
    ----------
    x_cols, y_col : tuple of str, str
        Inputs and what is predicted.
    law : Law, optional
        The authors' law, where it is a formula in these inputs.
    by : tuple of str
        Columns; each combination of their values is a table by itself.
    space : "log" or "linear"
        Of errors: of the logarithm, or of what is negative itself.
    """

    x_cols: tuple[str, ...] = PLANE
    y_col: str = "loss"
    law: Law | None = None
    by: tuple[str, ...] = ()
    space: str = "log"

    @property
    def x_col(self) -> str | None:
        """The inputs as ``analysis.forecast`` takes them: it finds N and D itself."""
        return None if self.x_cols[:2] == PLANE else ",".join(self.x_cols)


CURVES = Question(("num_examples",), by=("domain", "task", "model"))


def _formula(text: str, *x_cols: str, signed: str = "", **more: Any) -> Question:
    """The question of a table whose law is a formula; ``signed`` has its parameters of any sign."""
    return Question(x_cols, law=formula_law(text, x_cols, tuple(signed.split())), **more)


QUESTIONS = {
    "gadre_overtraining": Question(y_col="loss_c4_val", by=("dataset",)),
    "datablations_repeated_data": Question((*PLANE, "num_unique_tokens")),
    "addition_4_digits": Question(("num_examples",)),
    "learning_curves_lang": CURVES,
    "learning_curves_vision": CURVES,
    "benchmark_families": Question(("flops",), "hellaswag_error"),
    "clip_zeroshot": Question(("num_compute",), "error", by=("group",)),
    "compute_optimal_chess": Question(("num_compute",)),
    "downstream_ladder": Question(y_col="task_loss", by=("group",)),
    "easy_questions": Question(("flops",), "brier_score", by=("group",)),
    "sft_flan": Question(("sft_data_size",), by=("group",)),
    "inference_time_llama2": _formula(
        "L = K * num_params**a * batch_size**b * prefill_length**c",
        "num_params", "batch_size", "prefill_length", y_col="time_to_first_token",
    ),
    "lr_schedule_25m_100m": _formula(
        "L = E + A / lr_sum**a - B * lr_anneal_sum", "lr_sum", "lr_anneal_sum", by=("group",)
    ),
    "mixture_pile5": _formula(
        "L = c + k * exp(t1*proportion_1 + t2*proportion_2 + t3*proportion_3 + t4*proportion_4)",
        *(f"proportion_{i}" for i in range(1, 6)),
        signed="t1 t2 t3 t4", y_col="loss_internet", by=("group",),
    ),
    "moe_lr_spm": _formula(
        "L = K * dense_params**a * num_experts**b * lr**c",
        "dense_params", "num_experts", "lr", signed="a b c",
    ),
    "moe_sbase": _formula(
        "L = K * dense_params**a * num_experts**b * num_experts**(c*log(dense_params))",
        "dense_params", "num_experts", signed="a b c",
    ),
    "parallel_stack": _formula(
        "L = E + (A / (num_params * (k*log(parallel_size) + 1)))**alpha",
        "num_params", "parallel_size",
    ),
    "vocab_small": _formula(
        "L = E + A / non_vocab_params**a + V / (vocab_size*embed_dim)**v + B / num_characters**b",
        "non_vocab_params", "vocab_size", "embed_dim", "num_characters",
        signed="E", y_col="unigram_normalized_loss", space="linear",
    ),
}  # fmt: skip
"""What is asked of a table that is not simply one of loss in N and D.

Formulas are those of the papers: Chen et al. 2025 (parallel), Clark et al. 2022, eq. 1 without
saturation (moe_sbase), Ye et al. 2024 (mixture), Tissue et al. 2024 (lr_schedule), Tao et al. 2024
(vocab). Where a paper's law is no formula in the columns, or there is none: a product of powers.
"""


@dataclass(frozen=True)
class Split:
    """Rows to fit and rows to predict, of one group of a table, and what is asked."""

    table: str
    group: str
    cut: int
    question: Question
    train: pd.DataFrame
    test: pd.DataFrame


def tables(folder: Path, only: tuple[str, ...] = ()) -> dict[str, pd.DataFrame]:
    """The tables of ``folder`` and of its subfolder ``laws``, without rows that their makers flag.

    Step Law's table is its best run of each (N, D).
    """
    found = {}
    for path in sorted([*folder.glob("*.csv"), *folder.glob("laws/*.csv")]):
        name = path.stem
        if only and name not in only:
            continue
        question = QUESTIONS.get(name, Question())
        runs = load_runs(path) if question.x_cols[:2] == PLANE else pd.read_csv(path, comment="#")
        for flag in {"outlier", "excluded"} & set(runs.columns):
            runs = runs[~runs[flag].astype(bool)]
        if name.startswith("steplaw"):
            runs = runs.loc[runs.groupby(list(PLANE))["loss"].idxmin()]
        if question.y_col == "hellaswag_error":
            runs = runs.assign(hellaswag_error=1 - runs["hellaswag"])
        missing = {*question.x_cols, question.y_col} - set(runs.columns)
        if missing:
            note(f"{name} has no {', '.join(sorted(missing))}: say in tables.py what to ask of it")
            continue
        found[name] = runs.reset_index(drop=True)
    return found


def splits(name: str, runs: pd.DataFrame) -> Iterator[Split]:
    """All cuts of a table, of each of its groups."""
    question = QUESTIONS.get(name, Question())
    groups = runs.groupby(list(question.by), sort=False) if question.by else [("all", runs)]
    for key, group in groups:
        label = ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
        for cut, (fitted, held_out) in enumerate(_cuts(group)):
            yield Split(name, label, cut, question, group[fitted], group[held_out])


def _cuts(runs: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if FLAG in runs:
        fitted = runs[FLAG].to_numpy(dtype=bool)
        yield fitted, ~fitted
        return
    inputs = {name: runs[name].to_numpy(dtype=float) for name in PLANE}
    by, together = sized(inputs), structure(runs).labels
    for cut in cutoffs(
        log_size(inputs, by), len(by), step=OCTAVES, depth=CUTS, window=None, labels=together
    ):
        yield cut.seen, cut.ahead
