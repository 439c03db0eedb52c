"""A run's weights as a folder: whole, of the right step, and what ``transformers`` loads."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from scaling.data import find_prepared, open_data
from scaling.data.text import write_tokenizer
from scaling.run import kept
from scaling.spec import RunSpec
from scaling.training import train
from scaling.weights import export, load_model


def test_a_transformer_is_what_the_library_loads_with_its_tokenizer(llama, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ours = load_model(llama)
    done = export(ours, tmp_path / "out")
    assert (done.form, done.architecture) == ("transformers", "LlamaForCausalLM")
    assert done.tokenizer
    assert done.num_tokens == 64 * 128
    assert json.loads((done.path / "spec.json").read_text()) == ours.spec.to_dict()
    theirs = AutoModelForCausalLM.from_pretrained(done.path)
    tokenizer = AutoTokenizer.from_pretrained(done.path)
    text = "abcdefgh ijklmno\nß\t日"
    tokens = tokenizer(text, return_tensors="pt").input_ids
    assert tokens.tolist() == [list(text.encode())]
    assert tokenizer.decode(tokens[0]) == text
    assert tokenizer.eos_token_id == theirs.config.eos_token_id == 0
    with torch.no_grad():
        torch.testing.assert_close(theirs(tokens).logits, ours.model(tokens), rtol=1e-5, atol=1e-5)


def test_our_own_names_are_the_kept_tensors(llama, tmp_path):
    done = export(load_model(llama, step=20), tmp_path / "out", "scaling")
    assert (done.form, done.architecture, done.num_tokens) == ("scaling", "transformer", 20 * 128)
    written, original = load_file(done.path / "model.safetensors"), kept(llama)[0].load()
    assert written.keys() == original.keys()
    assert all(torch.equal(written[name], original[name]) for name in original)
    config = json.loads((done.path / "config.json").read_text())
    assert config == {"family": "transformer", "model": load_model(llama).spec.model.to_dict()}


def test_what_has_no_namesake_keeps_our_names_and_says_why(perceptron, tmp_path):
    kept_model = load_model(perceptron)
    done = export(kept_model, tmp_path / "out")
    assert (done.form, done.architecture) == ("scaling", "mlp")
    assert "no architecture that computes what family mlp does" in done.why_not
    with pytest.raises(ValueError, match="no architecture"):
        export(kept_model, tmp_path / "other", "transformers")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]  # nothing half-made is left


def test_a_folder_that_holds_something_is_not_written_to(llama, tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match="is there already and not empty: name another folder"):
        export(load_model(llama), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_weights_that_are_not_there_are_refused_with_what_there_is(llama, tiny, tmp_path):
    with pytest.raises(ValueError, match=r"not keep the weights of step 7: .* of steps 20, 64"):
        load_model(llama, step=7)
    train(RunSpec.resolve(**tiny), tmp_path / "plain")
    with pytest.raises(ValueError, match=r"plain \(done\) kept no weights: put `keep: final` into"):
        load_model(tmp_path / "plain")
    with pytest.raises(ValueError, match=r"has no spec.json: it is not a run's folder"):
        load_model(tmp_path)


def test_a_bpe_is_what_the_library_encodes_with(texts, tmp_path):
    from transformers import AutoTokenizer

    assert write_tokenizer(*find_prepared("cats", texts), tmp_path) == 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    stream = open_data("cats", texts).heldout.tolist()
    document = stream[: stream.index(0)]  # as it was prepared, up to its separator
    text = tokenizer.decode(document)
    assert text.startswith("the cat no.")
    assert tokenizer(text).input_ids == document
