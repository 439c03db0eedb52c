"""What GPUs can do at most, by the names that they report."""

from __future__ import annotations

from typing import Literal

PEAKS: dict[str, tuple[float, float]] = {
    # name, as far as it tells: dense FLOP/s of tensor cores in bfloat16, and in TF32. Data sheets
    # print twice as much, "with sparsity", from A100 on. The first name that fits counts.
    "H100 PCIe": (756e12, 378e12),  # NVIDIA H100 Tensor Core GPU data sheet (2022)
    "H100 NVL": (835e12, 417e12),  # the same, of 2023
    "H100": (989e12, 494e12),  # SXM; the same
    "H200 NVL": (835e12, 417e12),  # NVIDIA H200 Tensor Core GPU data sheet
    "GH200": (989e12, 494e12),  # NVIDIA GH200 Grace Hopper Superchip data sheet
    "H200": (989e12, 494e12),  # NVIDIA H200 Tensor Core GPU data sheet
    "H800": (989e12, 494e12),  # as H100, but for its NVLink and double precision
    "H20": (148e12, 74e12),  # NVIDIA H20 data sheet
    "B200": (2250e12, 1125e12),  # NVIDIA DGX B200 data sheet, an eighth of it
    "A100": (312e12, 156e12),  # NVIDIA A100 Tensor Core GPU data sheet
    "A800": (312e12, 156e12),
    "A40": (149.7e12, 74.8e12),  # NVIDIA A40 data sheet
    "A30": (165e12, 82e12),  # NVIDIA A30 Tensor Core GPU data sheet
    "A10G": (70e12, 35e12),  # AWS G5: NVIDIA A10G data sheet
    "A10": (125e12, 62.5e12),  # NVIDIA A10 Tensor Core GPU data sheet
    "L40S": (362e12, 183e12),  # NVIDIA L40S data sheet
    "L40": (181e12, 90.5e12),  # NVIDIA L40 data sheet
    "L4": (121e12, 60e12),  # NVIDIA L4 data sheet
    "RTX 4090": (165.2e12, 82.6e12),  # NVIDIA Ada GPU architecture, appendix A; float32 sums
    "RTX 3090": (71e12, 35.6e12),  # NVIDIA Ampere GA102 GPU architecture, appendix A; the same
}


def peak_flops(card: str, arithmetic: str) -> float | None:
    """The card's dense FLOP/s in ``bfloat16`` or ``tf32``; None for a card that is not listed.

    >>> peak_flops("NVIDIA H100 80GB HBM3", "bfloat16")
    989000000000000.0
    """
    words = f" {card} ".replace("-", " ")
    for name, (bfloat16, tf32) in PEAKS.items():
        if f" {name} " in words:
            return {"bfloat16": bfloat16, "tf32": tf32}.get(arithmetic)
    return None


BEFORE_BFLOAT16 = ("k80", "m60", "p40", "p100", "v100", "t4", "2080", "1080", "titan")
"""In the names of cards whose tensor cores, if any, have no bfloat16: those before Ampere."""


def has_bfloat16(kind: str) -> bool:
    """Whether GPUs that a site calls so multiply in bfloat16; true of a name that says nothing.

    >>> has_bfloat16("a100"), has_bfloat16("tesla_v100"), has_bfloat16("")
    (True, False, True)
    """
    return not any(old in kind.lower() for old in BEFORE_BFLOAT16)


EAGER_SHARE = 0.3  # of a card's peak that a model reaches without being compiled
USUAL_PEAK = 1e14  # FLOP/s of a card that is not listed
WORTH_SECONDS = 180.0  # compiling takes 45 of them for 12 blocks, and saves a quarter of the rest
BLOCK_SECONDS = 3.75  # to compile one block of a whole model, on an H100's host
BY_BLOCK = 0.01  # of its time that a step takes longer whose blocks are compiled one by one


def how_compiled(
    asked: str, flops: float, card: str, arithmetic: str, processes: int = 1, blocks: int = 1
) -> Literal["", "blocks", "whole"]:
    """How a run of so many FLOPs is compiled, if at all.

    ``auto`` does so where a run takes minutes of a GPU, and block by block, which compiles equal
    ones once, where the whole model's compiling would take longer than its faster steps save.

    Parameters
    ----------
    asked : {"auto", "always", "blocks", "never"}
    card : str
        The GPU's name; empty on a CPU.
    blocks : int
        How many the model has that are equal.
    """
    if asked != "auto":
        given: dict[str, Literal["blocks", "whole"]] = {"always": "whole", "blocks": "blocks"}
        return given.get(asked, "")
    if not card:
        return ""
    peak = peak_flops(card, arithmetic) or USUAL_PEAK
    seconds = flops / (EAGER_SHARE * peak * processes)
    if seconds <= WORTH_SECONDS:
        return ""
    return "blocks" if BY_BLOCK * seconds < BLOCK_SECONDS * (blocks - 1) else "whole"
