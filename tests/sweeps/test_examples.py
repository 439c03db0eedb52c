"""The example sweep files are valid, and free of what they would be warned about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sweeps.design import design, read_design
from sweeps.document import read_document
from sweeps.expansion import expand
from sweeps.kinds.registry import GENERATORS
from sweeps.load import load_sweep
from sweeps.search import begin
from sweeps.warnings import design_warnings
from tests.sweeps.kinds.test_compound import IMAGES

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
ON_GPUS = sorted((ROOT / "examples" / "gpu").glob("*.yaml"))
COMPARISONS = {
    "attention_equal_flops",
    "darts_random",
    "darts_search",
    "randwire",
}  # no law is asked
FRAMES = replace(IMAGES, num_classes=50, input_shape=(48, 20), dtype="float32")
TEXTS = replace(IMAGES, num_classes=6, input_shape=(256,), vocab_size=256)
IMAGENET = replace(IMAGES, num_classes=1000, input_shape=(3, 224, 224), train_size=1_281_167)


def known(path, info):
    """What is known of an example's data."""
    text = path.read_text(encoding="utf-8")
    infos = {"fashion": IMAGES, "imagenet": IMAGENET, "vowels": FRAMES, "packages": TEXTS}
    return next((i for name, i in infos.items() if name in text), info)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, info):
    info = known(path, info)
    asked = read_design(path, info=info)
    if asked.plan:  # a search: its first run, and how many will follow
        assert begin(asked, info=info).search.runs >= 40
        assert asked.name == path.stem
        return
    found = expand(asked, info=info)
    assert found.sweep == load_sweep(path, info=info)
    assert found.sweep.name.replace("-", "_") == path.stem
    if path.stem in COMPARISONS:
        return
    assert 5 <= len(found.sweep) <= 60
    assert design_warnings(found.sweep, found.budgets) == []


@pytest.mark.parametrize("path", ON_GPUS, ids=lambda path: path.stem)
def test_on_gpus(path, info):
    """Each is the same kind of sweep as the small one, with far more compute in every run."""
    document = replace(read_document(path), info=known(path, info))
    if "design_space" in document.value:
        document.value["design_space"]["models"] = 5  # the 500 of the file take some seconds
    large = design(document)
    sweep = expand(large, info=document.info).sweep
    assert sweep.name == path.stem.replace("_", "-") + "-gpu"
    small = read_design(path.parents[1] / path.name, info=IMAGES)
    assert small.shape == large.shape
    most = max(e.spec.flops for e in expand(small, info=IMAGES).sweep)
    assert min(e.spec.flops for e in sweep) > 100 * most


def test_there_is_one_for_every_shape(info):
    shapes = {read_design(path, info=known(path, info)).shape for path in EXAMPLES}
    assert shapes >= set(GENERATORS) - {"compound"}  # single_axis has compound as one of its axes
