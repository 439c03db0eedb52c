"""A program's folder, and sweeps of it from the text of a sweep file."""

from __future__ import annotations

import pytest

from scaling.data.info import DataInfo
from sweeps.design import design
from sweeps.document import parse_document
from sweeps.expansion import expand

TEXT = """\
name: x
program:
  command: [python, train.py, --dim, "{width}"]
  code: {path: trainer}
  counts: {num_params: 12*width**2}
  tokens_per_step: 1024
fixed: {num_tokens: 1e6}
grid: {product: {width: [32, 64]}}
"""


@pytest.fixture
def trainer(tmp_path):
    folder = tmp_path / "trainer"
    folder.mkdir()
    (folder / "train.py").write_text("print('hello')\n")
    (folder / "lib.py").write_text("def run(options, run): ...\nhidden = 1\n")
    return folder


@pytest.fixture
def expansion(trainer):
    """``expansion((old, new), ..., info=None)``: of :data:`TEXT` with words replaced."""

    def of(*changes, text=TEXT, info: DataInfo | None = None, root=trainer.parent / "store"):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        read = parse_document(text, "sweep.yaml", trainer.parent)
        return expand(design(read), info=info, root=root)

    return of


@pytest.fixture
def specs(expansion):
    """The specs of :func:`expansion`."""
    return lambda *changes, **more: [e.spec for e in expansion(*changes, **more).sweep]
