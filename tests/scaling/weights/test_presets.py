"""Language models of the literature beside ``transformers``: every parameter, and the logits."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from scaling.families import get_family
from scaling.families.parts_module import alibi_slopes
from scaling.weights import to_hugging_face
from scaling.weights.hugging_face_configs import config_of
from scaling.weights.hugging_face_kinds import KINDS, kind_of

FAMILY = get_family("transformer")
# Of the published weights, as their pages and papers have them; Gemma 3's of the part for text.
PUBLISHED = {
    "gpt2-124m": 124_439_808,
    "gpt2-355m": 354_823_168,
    "gpt2-774m": 774_030_080,
    "gpt2-1.5b": 1_557_611_200,
    "pythia-14m": 14_067_712,
    "pythia-70m": 70_426_624,
    "pythia-160m": 162_322_944,
    "pythia-410m": 405_334_016,
    "pythia-1b": 1_011_781_632,
    "pythia-1.4b": 1_414_647_808,
    "pythia-2.8b": 2_775_208_960,
    "pythia-6.9b": 6_857_302_016,
    "pythia-12b": 11_846_072_320,
    "opt-125m": 125_239_296,
    "opt-350m": 331_196_416,
    "opt-1.3b": 1_315_758_080,
    "opt-6.7b": 6_658_473_984,
    "llama-7b": 6_738_415_616,
    "llama-65b": 65_285_660_672,
    "llama2-7b": 6_738_415_616,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "llama3.2-1b": 1_235_814_400,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-72b": 72_706_203_648,
    "qwen2-0.5b": 494_032_768,
    "qwen1.5-moe-a2.7b": 14_315_784_192,
    "qwen3-0.6b": 596_049_920,
    "qwen3-8b": 8_190_735_360,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
    "deepseek-v2": 235_741_434_880,
    "deepseek-v2-lite": 15_706_484_224,
    "gemma-2b": 2_506_172_416,
    "gemma2-2b": 2_614_341_888,
    "gemma2-27b": 27_227_128_320,
    "gemma3-1b": 999_885_952,
    "gemma3-27b": 27_009_346_304,
    "olmo2-7b": 7_298_617_344,
    "olmo2-32b": 32_234_279_936,
    "smollm-135m": 134_515_008,
    "smollm-1.7b": 1_711_376_384,
}


@pytest.fixture(scope="module")
def theirs():
    """``transformers``; importing it takes seconds."""
    import transformers

    transformers.logging.disable_progress_bar()
    return transformers


def counted(theirs, config) -> int:
    """Parameters of their model of a configuration, on the meta device."""
    told = config_of(config)
    with torch.device("meta"):
        kind = theirs.AutoConfig.for_model(**told)
        model = theirs.AutoModelForCausalLM.from_config(kind)
    assert type(model).__name__ == told["architectures"][0]
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("preset", [name for name in FAMILY.presets if "rotary" not in name])
def test_every_parameter_of_a_preset_is_there(theirs, preset):
    config = FAMILY.resolve(FAMILY.presets[preset])
    count = FAMILY.cost(config).num_params
    assert count == PUBLISHED.get(preset, count)
    # Layers are alike, so that models of one and of two layers say what all of them have.
    first = config.dense_layers + 1
    sizes = (counted(theirs, replace(config, depth=depth)) for depth in (first, first + 1))
    one, two = sizes
    assert count == one + (config.depth - first) * (two - one)


def test_active_parameters_are_what_a_token_passes():
    # Jiang et al. 2024, sec. 1: 47B parameters, 13B active; the Qwen 3 report: 3.3B and 22B.
    active = {"mixtral-8x7b": 12.9, "qwen3-30b-a3b": 3.3, "qwen3-235b-a22b": 22.2}
    active["deepseek-v2-lite"] = 2.66  # 2.4 in the paper, without the embedding
    active["deepseek-v2"] = 21.4
    active |= {"qwen1.5-moe-a2.7b": 2.69, "qwen2-57b-a14b": 14.2}
    for preset, billions in active.items():
        cost = FAMILY.cost(FAMILY.resolve(FAMILY.presets[preset]))
        assert cost.num_params_active / 1e9 == pytest.approx(billions, abs=0.06)


def small(preset, **more):
    """A preset's options at a size that is computed in no time, in four layers."""
    options = {**FAMILY.presets[preset], "depth": 4, "width": 24, "mlp_width": 40, "context": 32}
    options |= {"vocab_size": 40, "heads": 4, "kv_heads": 2 if options["kv_heads"] else 0}
    options |= {"window": 5} if "window" in options else {}
    options |= {"head_width": 12} if "head_width" in options else {}
    return FAMILY.resolve({**options, **more})


SMALL = {
    "gpt2-124m": {},
    "pythia-14m": {"rope_fraction": 1 / 3},
    "opt-125m": {},
    "opt-350m": {"embedding_width": 12},
    "llama3-8b": {},
    "llama3.1-8b": {"rope_original": 8},
    "mistral-7b": {},
    "mixtral-8x7b": {},
    "qwen2.5-0.5b": {},
    "qwen1.5-moe-a2.7b": {
        "experts": 6,
        "experts_per_token": 2,
        "expert_width": 20,
        "shared_experts": 2,
    },
    "qwen3-0.6b": {},
    "qwen3-30b-a3b": {"experts": 6, "experts_per_token": 2, "expert_width": 20, "dense_layers": 1},
    "gemma-2b": {},
    "gemma2-27b": {"score_width": 9},
    "gemma3-4b": {"attention": "local*2, global"},
    "olmo2-32b": {},
    "deepseek-v2-lite": {
        "experts": 6,
        "experts_per_token": 2,
        "expert_width": 20,
        "kv_latent": 10,
        "query_latent": 14,
        "rope_head_width": 6,
        "routed_scale": 2.0,
    },
}
SMALL["deepseek-v2"] = {
    **SMALL["deepseek-v2-lite"],
    "experts": 12,
    "router_groups": 4,
    "router_groups_kept": 2,
    "experts_per_token": 3,
}


@pytest.mark.parametrize(("preset", "more"), SMALL.items(), ids=SMALL)
def test_the_logits_are_theirs(theirs, tmp_path, preset, more):
    config = small(preset, **more)
    torch.manual_seed(1)
    model = FAMILY.build(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    exported = to_hugging_face("transformer", model)
    (tmp_path / "config.json").write_text(json.dumps(exported.config))
    weights = {name: tensor.contiguous() for name, tensor in exported.weights.items()}
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    loaded, told = theirs.AutoModelForCausalLM.from_pretrained(
        tmp_path, output_loading_info=True, attn_implementation="eager"
    )
    assert not any(told.values()), told  # no key is missing, unexpected or of another shape
    count = sum(parameter.numel() for parameter in loaded.parameters())
    assert count == FAMILY.cost(config).num_params
    tokens = torch.randint(0, 40, (3, 32))
    with torch.no_grad():
        ours, other = model(tokens), loaded.eval()(tokens).logits
    assert ours.abs().max() > 1
    torch.testing.assert_close(other, ours, rtol=1e-4, atol=1e-4)


def test_every_architecture_has_a_model_here():
    plain = {"LlamaForCausalLM", "ArceeForCausalLM", "Starcoder2ForCausalLM", "StableLmForCausalLM"}
    found = {kind_of(small(preset, **more)).name for preset, more in SMALL.items()}
    assert {kind.name for kind in KINDS} - plain == found - plain


def test_what_no_architecture_computes_is_refused():
    config = FAMILY.resolve({"depth": 1, "width": 32, "positions": "alibi", "mlp": "relu2"})
    with pytest.raises(ValueError, match="computes norm rmsnorm, mlp relu2, positions alibi"):
        config_of(config)


@pytest.mark.parametrize("heads", [1, 4, 6, 12, 16])
def test_slopes_are_those_of_bloom(theirs, heads):
    alibi = theirs.models.bloom.modeling_bloom.build_alibi_tensor
    expected = alibi(torch.ones(1, 2), heads, torch.float32)[:, 0, 1]
    torch.testing.assert_close(alibi_slopes(heads), expected)
