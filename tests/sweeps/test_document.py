"""YAML with lines: what is read, what is refused, and where the error points."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from sweeps.document import MAX_VALUES, _Loader, parse_document, read_document

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


class Quoting(yaml.SafeDumper):
    """Quotes every text that we would read as a number, such as ``1e6``."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


@given(PLAIN)
@example({"0E0": None, "x": ["1e6", "-2E-3"]})
def test_reads_what_pyyaml_reads(value):
    text = yaml.dump(value, Dumper=Quoting)
    assert parse_document(text).value == yaml.safe_load(text)


def test_exponents_that_pyyaml_takes_for_text_are_text_in_quotes_alone():
    assert yaml.safe_load("0E0: 1e6") == {"0E0": "1e6"}
    assert parse_document("x: 0E0").value == {"x": 0.0}
    assert parse_document("'0E0': '1e6'").value == {"0E0": "1e6"}


@pytest.mark.parametrize("text", ["1e6", "1E6", "+1e+6", "1.0e6", "1.e6", "1_000e3"])
def test_exponents_are_numbers_as_in_yaml_1_2(text):
    assert parse_document(f"x: {text}").value == {"x": 1e6}


@pytest.mark.parametrize("text", ["1e", "e6", "0x1e6z", "1e6m"])
def test_other_words_with_an_e_stay_text(text):
    assert parse_document(f"x: {text}").value == {"x": text}


def test_lines_of_keys_and_items():
    document = parse_document("a:\n  b: 1\n  c:\n    - 2\n    - 3\n", "f.yaml")
    assert document.at(("a", "c")) == "f.yaml:3: "
    assert document.at(("a", "c", 1)) == "f.yaml:5: "
    assert document.at(("a", "c", 7, "x")) == "f.yaml:3: "


def test_anchors_and_merges():
    text = "base: &base {x: 1, y: 2}\nown:\n  <<: *base\n  y: 3\nsame: *base\n"
    value = parse_document(text).value
    assert value == {"base": {"x": 1, "y": 2}, "own": {"x": 1, "y": 3}, "same": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: key 'a' was given before, in line 1"),
        ("a: !!python/name:os.system x", "f.yaml:1: tag .*python.* is not allowed"),
        ("a: 1\nb: !mine {}\n", "f.yaml:2: tag '!mine' is not allowed"),
        ("a: !!set {x, y}", "f.yaml:1: tag .*set' is not allowed"),
        ("a: &a [1, *a]", "f.yaml:1: an anchor contains itself"),
        ("[" * 1200, "f.yaml.*nested too deeply"),
        ("a: [1, 2", "f.yaml:1: not YAML: "),
        ("a: b: c", "f.yaml:1: not YAML: "),
        ("a: 1\nb: 2024-13-45", "f.yaml:2: '2024-13-45' is no date or number .*: quote it"),
        ("2024-13-45: 1", "f.yaml:1: '2024-13-45' is no date"),
        (f"a: {'9' * 5000}", "f.yaml:1: '9{40}...' is no date or number"),
        ("a: *b", "f.yaml:1: not YAML: found undefined alias"),
        ("? [1, 2]\n: 3\n", "f.yaml:1: a key must be a name"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: not YAML: "),
    ],
)
def test_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_document(text, "f.yaml")


def test_aliases_of_aliases_do_not_fill_the_memory():
    lines = ["a0: &a0 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]"]
    for i in range(1, 9):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    with pytest.raises(ValueError, match=f"more than {MAX_VALUES} values"):
        parse_document("\n".join(lines), "f.yaml")


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not a text file"):
        read_document(path)
