"""Our transformers as ``transformers`` computes them: the same logits, by the real library."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from scaling.families import get_family
from scaling.weights import to_hugging_face

ARCHITECTURES = {
    "rmsnorm swiglu": "LlamaForCausalLM",
    "rmsnorm gelu": "ArceeForCausalLM",
    "layernorm gelu": "Starcoder2ForCausalLM",
    "layernorm swiglu": "StableLmForCausalLM",
}


@pytest.fixture(scope="module")
def auto():
    """``AutoModelForCausalLM``; importing it takes seconds."""
    import transformers

    transformers.logging.disable_progress_bar()
    return transformers.AutoModelForCausalLM


def trained_like(config):
    """A model whose every tensor, gains and biases too, is away from where it starts."""
    torch.manual_seed(1)
    model = get_family("transformer").build(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("parametrisation", ["standard", "completep"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_logits_are_the_same(auto, tmp_path, kind, tied, parametrisation):
    norm, mlp = kind.split()
    family = get_family("transformer")
    config = family.resolve(
        {
            "depth": 2, "width": 24, "head_dim": 8, "vocab_size": 40, "context": 32, "norm": norm,
            "mlp": mlp, "tied": tied, "parametrisation": parametrisation, "base_width": 10,
            "dropout": 0.1, "vocab_multiple": 16, "base_depth": 1,
        }
    )  # fmt: skip
    model = trained_like(config)
    theirs = to_hugging_face("transformer", model)
    (tmp_path / "config.json").write_text(json.dumps(theirs.config))
    weights = {name: tensor.contiguous() for name, tensor in theirs.weights.items()}
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    loaded, told = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded).__name__ == ARCHITECTURES[kind]
    assert not any(told.values()), told  # no key is missing, unexpected or of another shape
    count = sum(parameter.numel() for parameter in loaded.parameters())
    assert count == family.cost(config).num_params
    tokens = torch.randint(0, 40, (3, 32))
    with torch.no_grad():
        ours, other = model(tokens), loaded.eval()(tokens).logits
    assert ours.abs().max() > 1
    torch.testing.assert_close(other, ours, rtol=1e-5, atol=1e-5)


def test_a_family_without_a_namesake_is_refused():
    with pytest.raises(ValueError, match="no architecture that computes what family mlp does"):
        to_hugging_face("mlp", None)
