"""Which of a table's own columns may be N, D, C or the loss, as the options that say so."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from analysis.tables.reading.header import header_of
from analysis.tables.reading.notes import quoted
from analysis.tables.reading.numbers import parsed
from scaling import COLUMN_FLAGS, COLUMNS, find_column, normalise

if TYPE_CHECKING:
    import pandas as pd

MOST, SHOWN = 3, 24
"""Proposals for one column; names that a message lists."""

_LOOKS = {
    "num_params": r"param|modelsize|^size$|weights",
    "num_tokens": r"token|sample|example|images|seen|data(set|size)?$|character|corpus",
    "flops": r"flo[ps]|compute|budget|pfday|macs",
    "loss": r"loss|ppl|perplex|bpb|bitsper|nll|crossent|xent|err|brier|"
    r"^(value|val|valid|validation|eval|test|dev)$",
}
_HINTS = {"num_params": "size|model", "num_tokens": "data|train"}
"""In a name that tells little: which of two sizes it may be."""
_SPARE = {"loss": ("error", "bits_per_byte")}
"""The run table's columns that may stand for another."""
_NO_AMOUNT = re.compile(
    r"per|batch|time|rate|/s$|frac|ratio|share|prop|mfu|(?<!non)(?<!non_)vocab|forward|unique|tokenizer|loss"
)
_STEPS = (
    "step",
    "steps",
    "numsteps",
    "nsteps",
    "trainsteps",
    "trainingsteps",
    "totalsteps",
    "globalstep",
    "maxsteps",
    "iter",
    "iters",
    "iterations",
    "numiterations",
    "updates",
)
_BATCH = ("batchsize", "globalbatchsize", "bs", "trainbatchsize", "batch")
_LENGTH = (
    "seqlen",
    "sequencelength",
    "seqlength",
    "contextlength",
    "contextlen",
    "blocksize",
    "ctx",
    "ctxlen",
    "ctxlength",
    "maxseqlen",
)
_PER_STEP = (
    "tokensperstep",
    "tokensperbatch",
    "batchtokens",
    "batchsizetokens",
    "tokensperupdate",
    "batchsizeintokens",
)
_RATIO = (
    "tokensperparam",
    "tokensperparameter",
    "tokenperparam",
    "tpp",
    "tokenparamratio",
    "tokensparams",
    "tokenmultiplier",
    "dn",
    "dnratio",
)
_EPOCHS = ("epochs", "epoch", "numepochs", "nepochs", "passes")
_DATASET = (
    "datasettokens",
    "numuniquetokens",
    "uniquetokens",
    "datasetsize",
    "traintokens",
    "corpustokens",
    "tokensperepoch",
    "numexamples",
    "trainsize",
)
_WIDTH = (
    "dmodel",
    "width",
    "hiddensize",
    "hiddendim",
    "nembd",
    "embeddim",
    "embeddingdim",
    "modeldim",
)
_DEPTH = ("nlayers", "numlayers", "nlayer", "layers", "depth", "numhiddenlayers", "numblocks")
STEP, SEQUENCE, RATE = 524_288, 2048, 1e14
_YOURS = {
    f"* {STEP}": f"{STEP} stands for your tokens a step",
    f"* {SEQUENCE}": f"{SEQUENCE} stands for your tokens a sequence",
    "D_T * 1e12": "if its T is trillions",
    "12 * ": "a transformer's parameters without embeddings, where feed-forward layers are four "
    "times as wide",
}
"""Numbers in proposals that only the reader knows, and what they stand for."""
_COUNT, _LOSSES = 1e3, (0.0, 100.0)
"""A column of another name may be a size where its median is above, a loss between these."""
_METRIC = ("metric", "metricname", "tag", "variable", "key")
"""Names of the column that says what a value is, in a table with a row a value."""
_HOURS = re.compile(r"([gt]pu|device|accelerator|node|[avh]\d{2,3})s?hours?")
_LIKELIHOOD = re.compile(r"loglik|logprob|^ll$")
SCORE = re.compile(r"acc|score|miou|top1|f1|bleu|mmlu|arc|hella|wino|gsm|piqa|recall|map$|auc")


def lookalikes(frame: pd.DataFrame, column: str) -> list[str]:
    """The table's own columns of numbers whose names look like ``column``, in their order.

    >>> import pandas as pd
    >>> lookalikes(pd.DataFrame({"num_compute": [1.0, 2.0], "lr": [0.1, 0.2]}), "flops")
    ['num_compute']
    """
    looks = re.compile(_LOOKS[column])
    names = [str(name) for name in frame.columns]
    own = {spare for spare in _SPARE.get(column, ()) if find_column(spare, _others(names, spare))}
    return [
        name
        for name in names
        if (name not in COLUMNS or name in {*_SPARE.get(column, ())} - own)
        and looks.search(normalise(name))
        and (column == "loss" or not (_NO_AMOUNT.search(name.lower()) or is_ratio(name, names)))
        and varies(frame[name], name)
    ]


def is_ratio(name: str, names: Iterable[str] = ()) -> bool:
    """Whether a name is of one amount for each of another; not where several of the ``names`` are
    ``parameters/...``, as Neptune calls them.

    >>> is_ratio("flops/token"), is_ratio("train/loss")
    (True, False)
    """
    group = name.split("/")[0] + "/"
    is_group = group in _GROUPS and sum(one.startswith(group) for one in names) > 1
    return _is_by(name) and not is_group


_GROUPS = ("parameters/", "params/")


@lru_cache(maxsize=1 << 14)
def _is_by(name: str) -> bool:
    """Whether the last two parts of a name are both amounts."""
    both = name.split("/")[-2:]
    return len(both) == 2 and all(any(find_column(a, [one]) for a in COLUMN_FLAGS) for one in both)


def alike(wanted: str, frame: pd.DataFrame) -> str:
    """The column whose name has most of the words of ``wanted``; ``COL`` where none has any.

    >>> import pandas as pd
    >>> alike("non_vocab_params", pd.DataFrame(columns=["Vocab", "Non_vocab_parameters", "loss"]))
    'Non_vocab_parameters'
    """
    words = _words(wanted)
    shared = {name: len(words & _words(name)) / len(words | _words(name))
              for name in map(str, frame.columns)}  # fmt: skip
    best = max(shared, key=lambda name: shared[name], default="COL")
    return best if shared.get(best) else "COL"


def _words(name: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    found = re.findall(r"[a-z]+", spaced.replace("parameters", "params"))
    return {word for word in found if word not in ("num", "n", "of")}


def _others(names: Sequence[str], but: str) -> list[str]:
    return [header_of(name).base for name in names if name != but]


def likely(frame: pd.DataFrame, column: str) -> list[str]:
    """Up to three expressions that may be ``column``: its lookalikes, and scores turned round."""
    found = lookalikes(frame, column)
    if column == "num_tokens":
        made = _tokens(frame)
        found = made + found if any("epoch" in one.lower() for one in made) else found + made
        found = found or [f"{name} * 1e12" for name in map(str, frame.columns) if name == "D_T"]
    if column == "num_params" and not found:
        found = _sized(frame) or _by_compute(frame) or _shaped(frame)
    if column != "loss":
        return found[:MOST]
    scores = [name for name in map(str, frame.columns) if _is_score(frame, name)]
    turned = [_turned(frame[name], name) for name in scores if name not in found]
    turned += [f"0 - {quoted(name)}" for name in map(str, frame.columns)
               if name not in found and _LIKELIHOOD.search(normalise(name))
               and "neg" not in name.lower()]  # fmt: skip
    return [*found, *turned][:MOST]


def flags(column: str, expressions: Iterable[str]) -> list[str]:
    """Each expression with the option that says it, quoted for a shell.

    >>> flags("loss", ["val ppl"])
    ["--loss-col 'val ppl'"]
    """
    return [f"{COLUMN_FLAGS[column]} {shlex.quote(expression)}" for expression in expressions]


def proposal(frame: pd.DataFrame, *missing: str) -> str:
    """What a table lacks of N, D, C and the loss, and the options that may say where it is."""
    said = []
    for column in missing:
        found = flags(column, likely(frame, column))
        if column == "num_tokens" and "num_params" in frame and "flops" not in frame.columns:
            found += flags("flops", map(_counted, lookalikes(frame, "flops")[:1]))  # D = C / 6 N
        if column == "loss" and (long := _of_long_table(frame)):
            found = [long]
        others = {one for other in missing if other != column for one in likely(frame, other)}
        rest = [name for name in _rest(frame, column) if name not in others]
        hint = _HINTS.get(column, "")
        rest = [name for name in rest if re.search(hint, name.lower())] or rest
        ways = " or ".join(found[:MOST] or flags(column, rest))
        yours = [words for number, words in _YOURS.items() if number in ways]
        said.append(
            f"no {column}: say {ways}{''.join(f' ({words})' for words in yours)}"
            if ways
            else f"no {column} and no column like it ({COLUMN_FLAGS[column]} names one)"
        )
    hours = next((n for n in map(str, frame.columns) if _HOURS.search(normalise(n))), None)
    if hours and "flops" not in frame.columns and {"num_tokens", "flops"} & {*missing}:
        by = flags("flops", [f"{quoted(hours)} * 3600 * {RATE:.0e}"])[0]
        said.append(
            f"{hours!r} is no count of FLOPs: {by} makes it one ({RATE:.0e} stands for your FLOPs "
            "a second)"
        )
    own = [name for name in map(str, frame.columns) if name not in COLUMNS]
    names = own or [str(name) for name in frame.columns]
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return f"the table has {'; '.join(said)}; its columns are {', '.join(names[:SHOWN])}{more}"


def _counted(name: str) -> str:
    """A column of compute as FLOPs: that of GFLOPs and TFLOPs, which are a rate as a rule."""
    found = re.search(r"(?:^|[^a-z])([gt])flops?$", name.lower())
    return f"{quoted(name)} * {'1e9' if found[1] == 'g' else '1e12'}" if found else name


def _of_long_table(frame: pd.DataFrame) -> str:
    """The options for a loss among the metrics of a table with a row for each of them."""
    by_form = {normalise(str(name)): str(name) for name in frame.columns}
    value = by_form.get("value")
    for form in _METRIC:
        name = by_form.get(form)
        if value is None or name is None:
            continue
        said = [str(cell) for cell in frame[name].unique()]
        losses = [one for one in said if likely_loss(one)]
        losses.sort(key=lambda one: "train" in one.lower())
        if losses and len(said) > 1:
            where = shlex.quote(f'{quoted(name)} == "{losses[0]}"')
            return f"{flags('loss', [value])[0]} --where {where}"
    return ""


def _tokens(frame: pd.DataFrame) -> list[str]:
    """D as a product of what the table has: tokens per parameter, or steps and what a step
    takes."""
    ratio, steps, batch, length, step, epochs, dataset = (
        _named(frame, forms)
        for forms in (_RATIO, _STEPS, _BATCH, _LENGTH, _PER_STEP, _EPOCHS, _DATASET)
    )
    if ratio and "num_params" in frame.columns:
        return [f"num_params * {ratio}"]
    if not steps:
        return [f"{epochs} * {dataset}"] if epochs and dataset else []
    if not step and batch:
        step = f"{batch} * {length or SEQUENCE}"
    return [f"{steps} * {step or STEP}"]


def _shaped(frame: pd.DataFrame) -> list[str]:
    """N of a transformer by its width and depth, without embeddings."""
    width, depth = _named(frame, _WIDTH), _named(frame, _DEPTH)
    return [f"12 * {depth} * {width}**2"] if width and depth else []


def _named(frame: pd.DataFrame, forms: Sequence[str]) -> str | None:
    """The first column of the table by one of these names, as a formula has it."""
    by_form = {normalise(name): quoted(name) for name in reversed([*map(str, frame.columns)])}
    return next((by_form[form] for form in forms if form in by_form), None)


def _rest(frame: pd.DataFrame, column: str) -> list[str]:
    """Up to three columns of numbers whose names say nothing and that may be ``column``."""
    looks = re.compile("|".join(_LOOKS.values()))
    found = []
    for name in map(str, frame.columns):
        form = normalise(name)
        known = looks.search(form) or SCORE.search(form) or form in (
            *_STEPS, *_BATCH, *_LENGTH, *_EPOCHS, *_WIDTH, *_DEPTH
        )  # fmt: skip
        no_size = column != "loss" and _NO_AMOUNT.search(name.lower())
        if known or no_size or name in COLUMNS:
            continue
        values, faults = parsed(frame[name], name, ",", header_of(name).factor)
        if 2 * len(faults) >= len(values) or values.nunique() < 2 or _is_taken(frame, values):
            continue
        low, high = _LOSSES
        is_size = values.median() >= _COUNT
        if is_size if column != "loss" else values.dropna().between(low, high).all():
            found.append(name)
    return found[:MOST]


def _is_taken(frame: pd.DataFrame, values: pd.Series) -> bool:
    """Whether numbers are those of N, D, C or the loss already."""
    return any(name in frame and values.equals(frame[name]) for name in COLUMN_FLAGS)


def _by_compute(frame: pd.DataFrame) -> list[str]:
    """N of compute and data, where the table has these plainly."""
    own = {
        name: next((n for n in map(str, frame.columns) if frame[n].equals(frame[name])), name)
        for name in ("flops", "num_tokens")
        if name in frame
    }
    return [f"{quoted(own['flops'])} / (6 * {quoted(own['num_tokens'])})"] if len(own) == 2 else []


def _sized(frame: pd.DataFrame) -> list[str]:
    """Columns whose names have a unit such as ``(M)`` in brackets, and look like no other."""
    others = re.compile("|".join(looks for of, looks in _LOOKS.items() if of != "num_params"))
    return [
        name
        for name in map(str, frame.columns)
        if name.endswith((")", "]"))
        and header_of(name).factor in (1e6, 1e9)
        and not others.search(normalise(name))
        and varies(frame[name], name)
    ]


def one_variable(frame: pd.DataFrame) -> str | None:
    """The column that a law of one variable would take: N, D or C, else the first that varies."""
    there = [name for name in COLUMN_FLAGS if name != "loss" and name in frame.columns]
    own = [name for name in map(str, frame.columns) if name not in (*COLUMNS, *there)]
    rest = [name for name in own if not likely_loss(name)]
    rest.sort(key=_rank)
    return next((name for name in (*there, *rest) if varies(frame[name], name)), None)


def _rank(name: str) -> int:
    """Steps tell most of a run, epochs less than what was set, scores nothing."""
    form = normalise(name)
    return (form not in _STEPS) + form.startswith("epoch") + 2 * bool(SCORE.search(form))


def likely_loss(name: str) -> bool:
    """Whether a name is like that of a loss."""
    return bool(re.search(_LOOKS["loss"], normalise(name)))


def _is_score(frame: pd.DataFrame, name: str) -> bool:
    return name not in COLUMNS and bool(SCORE.search(normalise(name))) and varies(frame[name], name)


def _turned(values: pd.Series, name: str) -> str:
    """The error that a score leaves, which is in percent where it is above 1."""
    found, _ = parsed(values, name)
    return f"1 - {quoted(name)}" + ("/100" if found.max() > 1 else "")


def varies(values: pd.Series, name: str) -> bool:
    """Whether a column holds numbers, and more than one."""
    found, faults = parsed(values, name)
    return 2 * len(faults) < len(values) and found.nunique() > 1
