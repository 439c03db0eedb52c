"""What a program in a sweep file may not say: refused by its line, with the remedy."""

from __future__ import annotations

import re

import pytest

WORDS = '[python, train.py, --dim, "{width}"]'
COUNTS = "{num_params: 12*width**2}"
CODE = "  code: {path: trainer}\n"
STEP = "  tokens_per_step: 1024\n"
NAME = "name: x"
FIXED = "num_tokens: 1e6"


def also(line):
    return ("  code:", f"  {line}\n  code:")


def top(line):
    return (NAME, f"{NAME}\n{line}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([(WORDS, "python train.py")], "3: command must be a list of words, .* shell: true beside"),
        ([(WORDS, "[]")], "3: command must be .* not an empty list"),
        ([('"{width}"', "{width}")], r'3: item 4 of command is a mapping: quote it, as "{width}"'),
        ([('"{width}"', '"${width}"')], r"3: '\${width}': write {width} without \$"),
        ([('"{width}"', '"{widht}"')], "3: '{widht}': unknown name 'widht': did you mean 'width'"),
        ([('"{width}"', '"{width"')], "3: '{width': .* write {{ and }} for braces"),
        ([('"{width}"', '"{width:q}"')], "3: run width=32: '{width:q}': width = 32: Unknown"),
        ([("--dim", "null")], "3: item 3 of command must be a text, not nothing"),
        ([also("shell: true")], "3: with shell: true a command is one text, not a list"),
        ([also("shell: yes please")], "4: shell must be true or false, not a text"),
        ([(f"  command: {WORDS}\n", "")], "2: a program has a command: .* this one has neither"),
        ([also("function: lib:run")], "2: .* this one has both: keep one"),
        ([also("cod: x")], "4: unknown key 'cod': did you mean 'code'"),
        ([top("program_: 1")], "2: unknown key 'program_': did you mean 'program'"),
        ([top("counts: 1")], "2: counts is a key of program: move it there"),
        ([(CODE, "")], "3: train.py is a relative path, and no code says where it lies: give code"),
        ([("path: trainer", "path: trainr")], r"4: code trainr \(.*\) is no folder"),
        ([("trainer", "trainer/train.py")], "4: code trainer/train.py .* is a file: give its fold"),
        ([("train.py", "trian.py")], "3: there is no trian.py in code .*: did you mean 'train.py'"),
        ([("{path: trainer}", "{version: 1.10}")], "4: version of code must be a text, not a num"),
        ([("{path: trainer}", "{}")], "4: code is empty: give code"),
        ([(f"  counts: {COUNTS}\n", "")], "2: a program has no counts, so N and FLOPs are not kn"),
        ([("num_params:", "num_param:")], "5: unknown key 'num_param': did you mean 'num_params'"),
        ([(COUNTS, "{flops_per_token: 3}")], "5: counts has no num_params"),
        ([("12*width**2", "12*width**")], r"5: '12\*width\*\*' cannot be read as arithmetic"),
        ([("12*width**2", "[1]")], "5: num_params must be a number or a formula, not a list"),
        ([("12*width**2", "12*widht")], "5: '12.*': unknown name 'widht': did you mean 'width'"),
        ([("12*width**2", "width-64")], "5: run width=32: num_params 'width-64' gives -32, which"),
        ([("12*width**2", "width**width**9")], "5: run width=32: .* is beyond 1e"),
        ([("12*width**2", "width/1000")], "5: run width=32: num_params is 0.032, below 1"),
        (
            [(COUNTS, "{num_params: flops_per_token, flops_per_token: num_params}")],
            "5: counts go in a circle: flops_per_token needs num_params needs flops_per_token|"
            "5: counts go in a circle: num_params needs flops_per_token needs num_params",
        ),
        ([(COUNTS, "{num_params: 1, unit: word}")], "5: unknown unit 'word'"),
        ([(COUNTS, "{num_params: 1, size: {}}")], "5: size has no option"),
        ([(COUNTS, "{num_params: 1, size: {option: w, multiple_of: 1.5}}")], "5: multiple_of 1.5"),
        ([(COUNTS, "{family: transformr}")], "5: unknown family 'transformr': did you mean 'tran"),
        ([(COUNTS, "{family: transformer, preset: gpt3}")], "5: unknown transformer preset 'gpt3'"),
        ([(COUNTS, "{family: transformer, contxt: 3}")], "5: unknown transformer option 'contxt'"),
        ([(COUNTS, "{family: transformer, width: 3}")], "5: width is set here and by option width"),
        ([(COUNTS, "{family: transformer, names: {wdth: w}}")], "5: unknown transformer option 'w"),
        ([(COUNTS, "{family: transformer, names: {width: 3}}")], "5: width must be a name, not a"),
        (
            [(COUNTS, "{family: transformer, names: {width: n}}"), (FIXED, f"{FIXED}, n: 3")],
            "5: options width and n are both its width: rename one",
        ),
        ([(COUNTS, "{family: transformer}")], "8: run width=32: no size: give depth"),
        ([(COUNTS, "{command: [nopython]}")], "5: run width=32: the counting command 'nopyt"),
        ([(COUNTS, '{command: [python, "{num_steps}"]}')], "5: .* the model is counted before"),
        ([top("family: transformer")], "2: family of a program: give it under program: counts"),
        ([(FIXED, f"{FIXED}, family: vit")], "7: family of a program: give it under program: coun"),
        ([(FIXED, f"{FIXED}, num_steps: 3")], "7: num_steps is no name for an option: .* count of"),
        ([(FIXED, f"{FIXED}, rank: 3")], "7: rank is no name .* this process's number among all"),
        ([(FIXED, f"{FIXED}, device: cpu")], "7: device is no name .* a column of the run table"),
        ([(FIXED, f'{FIXED}, "a b": 3')], "7: option 'a b' is no name"),
        ([(FIXED, f"{FIXED}, a: 3, a.b: 4")], "7: a.b is inside of option a: keep one"),
        ([(FIXED, f"{FIXED}, a: .inf")], "7: a inf is not finite"),
        ([(FIXED, f"{FIXED}, a: [2024-01-02]")], "7: 2024-01-02 is date .* quote it"),
        ([(FIXED, f"{FIXED}, num_params: 3")], "7: num_params is a target, and nothing says which"),
        ([(FIXED, "lr: 1")], "1: no data size"),
        ([(FIXED, "num_tokens: 0.2")], "7: run width=32: num_tokens 0.2 is below 1"),
        ([("1024", "1024/3")], "6: run width=32: tokens_per_step '1024/3' gives 341.*: not whole"),
        ([("1024", "batch*2")], "6: .* unknown name 'batch'"),
        ([("1024", "1e7")], "7: run width=32: num_tokens 1,000,000 is less than one step of 10"),
        ([(STEP, ""), ('"{width}"', '"{num_steps}"')], "3: .* say how many tokens a step takes"),
        ([also("stop: {signal: SIGKILL}")], "4: unknown signal 'SIGKILL'"),
        ([also("stop: {grace_seconds: 0}")], "4: grace_seconds 0 is not above 0"),
        ([also("stop: {signal: SIGINT}"), top("resources: {stop_signal: SIGINT}")], "2: stop_sign"),
        ([also("env: {A-B: x}")], "4: 'A-B' is no name of a variable"),
        ([also("env: {SCALING_X: x}")], "4: SCALING_X: variables SCALING_... are set for each run"),
        ([also('env: {A: "{foo}"}')], "4: '{foo}': unknown name 'foo'"),
        ([also("options_format: jsn")], "4: unknown options_format 'jsn': did you mean 'json'"),
        ([also("options_format: toml"), (FIXED, f"{FIXED}, a: null")], "8: .* which TOML cannot"),
        ([also("name: 3")], "4: name must be a text"),
        ([also("reports: {fil: x}")], "4: unknown key of reports 'fil': did you mean 'file'"),
        ([also('reports: {file: "{run_dr}/x.jsonl"}')], "4: .* unknown name 'run_dr': did"),
        ([also("reports: {unit: steps}"), (STEP, "")], "4: reports count steps: say how many tok"),
        ([top("data: [a]")], "2: data must be the name of a data set, or a mapping"),
        ([top("data: {}")], "2: data is an empty mapping"),
        ([top("data: {name: c4, version: 2024-01-02}")], "2: 2024-01-02 is date"),
        ([top("constraints: {memory_bytes: {max: 1}}")], "2: memory_bytes is not known"),
        ([top("constraints: {num_params_non_embedding: {max: 1}}")], "2: .* give it a formula und"),
        ([top("constraints: {steps: {min: 1}}"), (STEP, "")], "2: steps is not known: say how ma"),
        ([("grid: {product: {width: [32, 64]}}", "compound: {phi: [0]}")], "8: compound scales"),
        ([top("derive: {lr: step-law}")], "2: run width=32: .* needs num_params_non_embedding"),
        ([top("derive: {rate: {rule: step-law, as: lrr}}")], "2: rule 'step-law' gives lr, batch_"),
        ([(f"command: {WORDS}", "function: lib")], "3: function 'lib' is none: write it as module"),
        ([(f"command: {WORDS}", "function: lib:rum")], "3: unknown function of lib 'rum': did you"),
        ([(f"command: {WORDS}", "function: lip:run")], "3: module lip is not in code .*: giv"),
        ([(f"command: {WORDS}", "function: lib.a:run")], "3: there is no module lib.a in"),
        ([top("train: lib:run"), also("function: lib:run")], "2: train and program: .* are one"),
    ],
)  # fmt: skip
def test_it_is_refused_with_its_line(expansion, changes, said):
    with pytest.raises(ValueError, match=rf"sweep\.yaml:({said})") as caught:
        expansion(*changes)
    assert "\n" not in str(caught.value)


def test_the_form_of_others_is_refused_with_the_remedy(expansion):
    text = 'name: script\nprogram: train.py\ncommand: [python, train.py, --lr, "${lr}"]\n'
    with pytest.raises(ValueError, match=re.escape("sweep.yaml:3: command is a key of program")):
        expansion(text=text + "grid: {product: {lr: [1e-3, 1e-4]}}\n")
    with pytest.raises(ValueError, match=r"sweep.yaml:2: program must be a mapping .*'train.py'"):
        expansion(text="name: script\nprogram: train.py\ngrid: {product: {lr: [1e-3, 1e-4]}}\n")


def test_a_name_of_data_that_is_not_here_is_refused(expansion, isolated_data):
    with pytest.raises(ValueError, match=r"yaml:2: .*no data set 'typo' .* data: {name: typo, ver"):
        expansion((NAME, f"{NAME}\ndata: typo"))


@pytest.fixture
def isolated_data(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
