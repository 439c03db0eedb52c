"""The columns of the run table and of the curve table: names, units, meaning, spellings.

The run table has one tidy row per run; a run that failed, diverged or lost its loss stays in
it, with ``status`` and ``exclude_reason`` saying so. Whoever reads or writes a column takes its
name from here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column: ``name``, ``kind`` (``str``, ``int``, ``float``), ``unit``, what it ``means``.

    Counts are ``int``; a table in memory holds them as floats, for some of a file are missing.

    ``spellings`` are other names (compared in lower case, without spaces, dashes or
    underscores) under which somebody else's file may hold the same quantity.
    """

    name: str
    kind: str
    unit: str
    means: str
    spellings: tuple[str, ...] = ()


_SPELLINGS = {
    "num_params": (
        "n", "params", "parameters", "nparams", "nparameters", "numparameters", "modelsize",
        "totalparams", "paramstotal", "numparamstotal", "totalparameters", "parametercount",
        "paramcount", "modelparams", "modelparameters", "trainableparams", "param", "parameter",
        "numberofparameters", "numberofparams",
    ),
    "num_tokens": (
        "d", "tokens", "ntokens", "numtoken", "trainingtokens", "traintokens",
        "tokenstrained", "tokensseen", "totaltokens", "numtrainingtokens", "numtraintokens",
        "token", "numexamples", "examples", "datasize", "trainingdatasize", "trainingdatasetsize",
        "pretrainingdatasize", "pretrainingtokens", "samplesseen", "examplesseen",
        "datasetsize", "totaltokensseen", "consumedtokens", "tokensconsumed", "inputtokensseen",
        "numinputtokensseen", "tokensprocessed", "pretraintokens", "imagesseen",
        "numberoftokens", "numberoftrainingtokens",
    ),
    "flops": (
        "c", "compute", "trainingflops", "trainflops", "totalflops", "flop", "budget",
        "computebudget", "flopsbudget", "flopbudget", "budgetflops", "trainingcompute",
        "traincompute", "totalcompute", "numflops", "nflops", "computeflops", "flopstotal",
    ),
    "loss": (
        "l", "finalloss", "valloss", "validationloss", "testloss", "evalloss",
        "finalvalloss", "finalvalidationloss", "finaltestloss", "finalevalloss",
        "heldoutloss", "lossval", "lossvalidation", "losstest", "losseval",
        "logloss", "negativeloglikelihood", "avgnegativeloglikelihood", "valcrossentropy",
        "crossentropy", "crossentropyloss", "valnll", "nll", "devloss",
        "lossfinal",
    ),
}  # fmt: skip

RUN_COLUMNS: tuple[Column, ...] = (
    Column("run_id", "str", "", "hash of everything that affects the result", ("id",)),
    Column("name", "str", "", "a readable label; no part of identity", ("runname",)),
    Column("sweep", "str", "", "the sweep that asked for the run"),
    Column("family", "str", "", "model family"),
    Column(
        "num_params",
        "int",
        "parameters",
        "N: all trainable parameters, embeddings and output head included",
        _SPELLINGS["num_params"],
    ),
    Column(
        "num_params_active",
        "int",
        "parameters",
        "N that one token passes: num_params without the experts that it is not sent to",
        ("activeparams", "paramsactive", "nactive", "activatedparams"),
    ),
    Column(
        "num_params_non_embedding",
        "int",
        "parameters",
        "N without token embeddings and without the output head (Kaplan et al. 2020, sec. 2.1)",
        ("nonembeddingparams", "paramsnonembedding", "nnonemb"),
    ),
    Column(
        "num_params_matmul",
        "int",
        "parameters",
        "weights that enter a matrix product: blocks and output head",
    ),
    Column("num_experts", "int", "", "experts that a token may be sent to, in each layer"),
    Column("sparsity", "float", "fraction", "experts that one token passes by"),
    Column("granularity", "float", "", "width of a dense layer over that of an expert"),
    Column("num_params_block", "int", "parameters", "matrices of the blocks (12 L d^2)"),
    Column(
        "num_params_unpadded",
        "int",
        "parameters",
        "N without the tokens that pad a vocabulary, where vocab_multiple adds any",
    ),
    Column(
        "num_tokens",
        "int",
        "tokens or examples (data_unit)",
        "D: training tokens (examples for families that see examples), repeats counted",
        _SPELLINGS["num_tokens"],
    ),
    Column(
        "num_tokens_planned",
        "int",
        "tokens or examples",
        "D that was asked for, where runs stopped before it; num_tokens is what was trained",
    ),
    Column("data_unit", "str", "", "what num_tokens counts: token or example"),
    Column(
        "num_unique_tokens",
        "int",
        "tokens or examples",
        "U: distinct training tokens (examples) among num_tokens, each by its place in the data",
        ("u", "uniquetokens"),
    ),
    Column(
        "epochs",
        "float",
        "",
        "passes over the training data: num_tokens over the tokens (examples) of one pass",
    ),
    Column(
        "flops",
        "int",
        "FLOPs",
        "C: training FLOPs of this run by itself, of exact counts (1 MAC = 2 FLOPs) and, by "
        "convention, 3 x forward",
        _SPELLINGS["flops"],
    ),
    Column(
        "flops_exact",
        "int",
        "FLOPs",
        "flops without the gradients that no step computes: of the data, and of a bias's input",
    ),
    Column("flops_unpadded", "int", "FLOPs", "flops without the tokens that pad a vocabulary"),
    Column(
        "flops_dense", "int", "FLOPs", "flops if attention were over all pairs, where it is not"
    ),
    Column(
        "flops_asked",
        "float",
        "FLOPs",
        "the budget C that num_tokens_planned was chosen for, where a sweep has budgets",
    ),
    Column("flops_planned", "int", "FLOPs", "C of num_tokens_planned"),
    Column("flops_6nd", "int", "FLOPs", "6 x num_params_active x num_tokens"),
    Column(
        "flops_kaplan",
        "int",
        "FLOPs",
        "3 (2 N_non_embedding + 2 L T d) D (Kaplan et al. 2020, eq. 2.2)",
    ),
    Column(
        "flops_chinchilla",
        "int",
        "FLOPs",
        "3 x forward with embeddings, logits and softmax (Hoffmann et al. 2022, appendix F)",
    ),
    Column("flops_spent", "int", "FLOPs", "FLOPs computed for this run (a shared trunk once)"),
    Column(
        "loss",
        "float",
        "nats/token or nats/example",
        "L: final held-out loss",
        _SPELLINGS["loss"],
    ),
    Column("loss_se", "float", "as loss", "sampling error of loss over held-out contexts"),
    Column(
        "perplexity",
        "float",
        "",
        "exp(loss), where data are tokens (Jelinek et al. 1977)",
    ),
    Column(
        "bits_per_byte",
        "float",
        "bits/byte",
        "loss / (ln 2 x bytes per token)",
        ("bpb", "valbpb", "finalvalbpb", "testbpb", "evalbpb", "bpbval"),
    ),
    Column("error", "float", "fraction", "held-out classification error (top 1)", ("errorrate",)),
    Column(
        "loss_train",
        "float",
        "as loss",
        "loss at the end on data of the last pass, evaluated as those held out are (option "
        "train_eval: on how many)",
    ),
    Column("loss_train_se", "float", "as loss", "sampling error of loss_train"),
    Column("error_train", "float", "fraction", "error on the data of loss_train"),
    Column(
        "macs_forward", "int", "MACs", "multiply-accumulates of a forward pass, per unit of data"
    ),
    Column("activations", "int", "elements", "outputs of all products of a forward pass, per unit"),
    Column(
        "expert_load",
        "float",
        "",
        "what the fullest expert got over an even share, on held-out data, mean over the layers",
    ),
    Column(
        "tokens_dropped",
        "float",
        "fraction",
        "choices of experts that found no place, on held-out data",
    ),
    Column("axis", "str", "", "what was scaled: base, depth, width, resolution, compound, search"),
    Column("phi", "float", "", "compound coefficient (Tan & Le 2019, eq. 3)"),
    Column("depth_multiplier", "float", "", "asked depth over the base model's"),
    Column("width_multiplier", "float", "", "asked width over the base model's"),
    Column("resolution_multiplier", "float", "", "asked resolution over the base model's"),
    Column("flops_depth", "float", "", "FLOPs with this depth alone over the base model's"),
    Column("flops_width", "float", "", "FLOPs with this width alone over the base model's"),
    Column("flops_resolution", "float", "", "FLOPs with this resolution alone over the base's"),
    Column("space", "str", "", "design space that the model was drawn from"),
    Column("strategy", "str", "", "what chose the run by the results before it: random, asha, ..."),
    Column("strategy_seed", "int", "", "seed of the strategy"),
    Column("generation", "int", "", "mutations between the run and one drawn at random"),
    Column("rung", "int", "", "promotions before the run, each to more data"),
    Column("parent", "str", "", "run that this one is a mutation, or the continuation, of"),
    Column(
        "search_flops",
        "float",
        "FLOPs",
        "C of the search up to this run and with it, in the order of proposals, what runs share "
        "once",
    ),
    Column("seed", "int", "", "seed of initialisation; of the data's order too, without data_seed"),
    Column("data_seed", "int", "", "seed of the data's order and augmentation, where it was given"),
    Column("lr", "float", "", "peak learning rate", ("learningrate",)),
    Column("batch_size", "int", "tokens or examples", "tokens (examples) per step", ("bs",)),
    Column("seconds", "float", "s", "time spent training this run"),
    Column(
        "inference_seconds",
        "float",
        "s/token or s/example",
        "a forward pass at the end, the median over batches of 2,048 tokens or 64 examples, "
        "of 32 times as many on CUDA",
    ),
    Column("device", "str", "", "kind of device that it was trained on: cpu, cuda"),
    Column(
        "ensemble",
        "int",
        "",
        "most runs that it trained with as one computation: its last bits are not a run's alone",
    ),
    Column(
        "status", "str", "", "planned, running, done, diverged, failed, stopped early", ("state",)
    ),
    Column("exclude_reason", "str", "", "why the row is not used; empty if it is"),
)

CURVE_COLUMNS: tuple[Column, ...] = (
    Column("run_id", "str", "", "the run"),
    Column("step", "int", "tokens or examples", "tokens (examples) seen"),
    Column("loss", "float", "as loss", "held-out loss"),
    Column("train_loss", "float", "as loss", "mean training loss since the point before"),
    Column("lr", "float", "", "learning rate"),
    Column("seconds", "float", "s", "time since the run began, pauses left out"),
)

BUDGET = "flops_asked"
# What a sweep says of a run beyond its spec; no part of a run's identity.
LABELS = (
    "axis",
    "phi",
    *(f"{axis}_multiplier" for axis in ("depth", "width", "resolution")),
    *(f"flops_{axis}" for axis in ("depth", "width", "resolution")),
    "space",
    *("strategy", "strategy_seed", "generation", "rung", "parent", "search_flops"),
    BUDGET,
)

EVAL_PREFIX = "eval/"
"""Of columns of other data than that which a run holds out: ``eval/NAME/METRIC``, as
``eval/noise/loss``. They come from further sets of its own data, or from its kept weights."""
FOUND_PREFIX = "found/"
"""Of columns of text that a run ends with, such as the cell that a search found."""


def eval_column(name: str, quantity: str) -> str:
    """The column of a quantity (``loss``, ``loss_se``, ``bits_per_byte``) on the set ``name``."""
    return f"{EVAL_PREFIX}{name}/{quantity}"


COLUMNS = {column.name: column for column in RUN_COLUMNS}

COLUMN_FLAGS = {
    "num_params": "--params-col",
    "num_tokens": "--tokens-col",
    "flops": "--flops-col",
    "loss": "--loss-col",
}
"""The option of commands that names somebody's column for one of the run table's."""


def normalise(name: str) -> str:
    """A column name without case, spaces, dashes and underscores."""
    return "".join(c for c in name.lower() if c.isalnum())


def find_column(wanted: str, names: list[str]) -> str | None:
    """The member of ``names`` that holds column ``wanted``, by its name or a known spelling."""
    by_form = {normalise(name): name for name in reversed(names)}
    for form in (normalise(wanted), *COLUMNS[wanted].spellings):
        if form in by_form:
            return by_form[form]
    return None
