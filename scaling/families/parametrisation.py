"""How a transformer starts and learns at other sizes than that of a base model.

Each parametrisation is the standard one at the base. ``mup``: Yang et al. 2022 (arXiv 2203.03466),
table 8. ``completep``: Dey et al. 2025 (arXiv 2505.01618), table 1 with alpha = 1.
"""

from __future__ import annotations

import math

from scaling.base import OptionError, read_where

PARAMETRISATIONS = ("standard", "mup", "completep")
WITH_BASE = read_where(parametrisation=PARAMETRISATIONS[1:])
BASE_WIDTH = 64
BASE_DEPTH = 2  # as in Dey et al. 2025


class Parametrised:
    """What is multiplied in a model, from the fields of its configuration."""

    parametrisation: str
    depth: int
    width: int
    heads: int
    base_depth: int
    base_width: int
    base_head_dim: int
    head_width: int
    score_width: int
    rope_head_width: int

    @property
    def head_dim(self) -> int:
        """The width of a head."""
        return self.head_width or self.width // self.heads

    @property
    def width_scale(self) -> float:
        """``base_width`` / width: of Adam's rates of hidden matrices, and of the logits.

        It is also how small gradients are, whatever the weights (table 8: they pass the output's
        multiplier). 1 for ``standard``.
        """
        return 1.0 if self.parametrisation == "standard" else self.base_width / self.width

    @property
    def depth_scale(self) -> float:
        """``base_depth`` / depth: of each residual branch. 1 but for ``completep``."""
        return self.base_depth / self.depth if self.parametrisation == "completep" else 1.0

    @property
    def attention_scale(self) -> float:
        """Of the products of queries and keys: 1 / d for ``mup``, as 1 / sqrt(d) at the base."""
        mup = self.parametrisation != "standard"
        shrink: float = math.sqrt(self.base_head_dim / self.head_dim) if mup else 1.0
        width = self.score_width or self.head_dim + self.rope_head_width
        return float(width**-0.5) * shrink

    def check_base(self) -> None:
        """Refuse a base of this width with other heads.

        Raises
        ------
        ValueError
            If ``base_head_dim`` is not the head width of this model, which is the base.
        """
        at_base = self.parametrisation != "standard" and self.width == self.base_width
        if at_base and self.base_head_dim not in (0, self.head_dim):
            raise OptionError(
                f"base_head_dim {self.base_head_dim} is not the head width {self.head_dim} of this "
                f"model, which has base_width {self.base_width}: leave base_head_dim out",
                "base_head_dim",
                "base_width",
                "heads",
            )

    def check_rules(self) -> None:
        """Refuse rules that are gone.

        Raises
        ------
        ValueError
            For muP without the base model's head width, so from before it was asked.
        """
        if self.parametrisation != "standard" and not self.base_head_dim:
            raise OptionError(
                f"{self.parametrisation} without base_head_dim is of an earlier release, with "
                "other rules: such a run can be read, not trained; submit its sweep file again",
                "base_head_dim",
                "parametrisation",
            )
