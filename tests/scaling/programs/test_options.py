"""A program's options as one file of three formats, and texts in them that are filled."""

from __future__ import annotations

import json
import tomllib

import pytest
import yaml

from scaling.programs.options import filled, nested, write_options

OPTIONS = {
    "model.width": 8,
    "model.act": 'a "b"\n\\é',
    "model.norm.eps": 1e-05,
    "lr": 0.1,
    "wide": 1e22,
    "on": True,
    "sizes": [1, 2.5, "x"],
    "layers": [{"kind": "mlp", "width": 3}],
    "odd key": {"inner": 1, "more": {"x": False}},
}


@pytest.mark.parametrize(
    ("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load), ("toml", tomllib.loads)]
)
def test_each_format_says_the_same_to_its_own_reader(tmp_path, form, read):
    path = write_options(tmp_path, OPTIONS, form)
    assert path.name == f"options.{form}" and read(path.read_text(encoding="utf-8")) == {
        "model": {"width": 8, "act": 'a "b"\n\\é', "norm": {"eps": 1e-05}},
        "lr": 0.1,
        "wide": 1e22,
        "on": True,
        "sizes": [1, 2.5, "x"],
        "layers": [{"kind": "mlp", "width": 3}],
        "odd key": {"inner": 1, "more": {"x": False}},
    }


def test_what_a_format_cannot_say_is_refused(tmp_path):
    with pytest.raises(ValueError, match="option stop is null, and TOML has no word for it"):
        write_options(tmp_path, {"stop": None}, "toml")


@pytest.mark.parametrize("options", [{"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}])
def test_a_name_that_is_an_option_and_holds_others_is_refused(options):
    with pytest.raises(ValueError, match="option a"):
        nested(options)


def test_texts_are_filled_as_far_as_all_their_names_are_known():
    options = {"a": "{n}", "b": "{n}/{m}", "c": "{epoch}-{n}", "d": "{", "e": "{}", "f": 3}
    assert filled(options, {"n": 5, "m": "x"}) == {
        **options,
        "a": 5,
        "b": "5/x",
    }
