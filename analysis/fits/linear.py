"""Linear algebra that has an answer where the matrix is singular or not finite."""

from __future__ import annotations

import numpy as np

from analysis.laws import Array


def solve(matrix: Array, right: Array) -> Array:
    """x ``(k, p)`` of ``matrix (k, p, p)`` x = ``right (k, p)``, of unit diagonals.

    Where one is singular all get 1e-10 on the diagonal, which a Newton step does not miss.
    """
    try:
        return np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0])
    except np.linalg.LinAlgError:
        firm = np.where(np.isfinite(matrix), matrix, 0.0) + 1e-10 * np.eye(matrix.shape[-1])
        return np.asarray(np.linalg.solve(firm, right[..., None])[..., 0])


def eigen(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues ``(p,)``, rising, and vectors ``(p, p)`` of a symmetric ``matrix (p, p)``.

    Rows and columns that are not finite count as zero: flat directions.
    """
    firm = np.isfinite(np.diagonal(matrix))
    firm = firm & np.isfinite(np.where(firm, matrix, 0.0)).all(axis=-1)
    values, vectors = np.linalg.eigh(np.where(firm[:, None] & firm, matrix, 0.0))
    return values, vectors
