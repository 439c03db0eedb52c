"""Tokens a second of the training loop, beside plain loops written here, in the same run.

    OMP_NUM_THREADS=1 python benchmarks/training_speed.py          # one CPU thread
    python benchmarks/training_speed.py --device cuda              # one GPU of 80 GB
    python benchmarks/training_speed.py --device cuda --profile    # and where the time goes
    python benchmarks/training_speed.py --device cuda --only 124m  # or ways, 350m, 1300m, ...
    python benchmarks/training_speed.py --dry                      # that the GPU's parts run

The GPU's parts took half a minute (tiny), one (1300m, 124m) and two (350m); ways was stopped before
its end, and images has not been run on one. ``--dry`` does each of them on a CPU, at sizes that
take seconds and without the compiler, and says nothing of speed.

On the CPU the peer is a minimal loop over the same module, its batches made before: what it is
ahead by is what our loop costs. Processor time is compared, which other work disturbs least. On a
GPU the peer is nanoGPT's model and loop (Karpathy 2022), written out below: GPT-2 of 124M, context
1024, bfloat16, compiled, fused AdamW, pinned batches, the better of two micro-batches. Ours trains
the same model, and one with rotary positions, with default settings; ``ways`` changes one of them
at a time, and says what the default is of the best. Steps are timed where no
evaluation lies between, and not the first ones, which compile. Utilisation is exact FLOPs over the
rate of a bfloat16 product of 8192 x 8192 matrices, measured first, on the same card.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.data.text import TokenShards, prepare_tokens
from scaling.families import get_family
from scaling.spec import RunSpec
from scaling.training import make_optimizer, train
from scaling.training.task import NextToken

VOCABULARY = 50257
COMMON = {"lr": 6e-4, "schedule": "constant", "curve_tokens": 1024, "final_tokens": 1024}
GPT2 = {"vocab_multiple": 128, "context": 1024, "norm": "layernorm", "tied": True}
# Name: options, how often ours and the peer take turns, steps that are timed.
CPU_RUNS: dict[str, tuple[dict[str, Any], int, int]] = {
    "tiny: depth 2, width 32": ({"depth": 2, "width": 32, "context": 32, "batch_size": 16}, 9, 18),
    "small: depth 4, width 128": (
        {"depth": 4, "width": 128, "context": 128, "batch_size": 8},
        7,
        4,
    ),
}
GPU_124M = {"depth": 12, "width": 768, "heads": 12, "batch_size": 256, **GPT2}
LEARNED = {"positions": "learned"}  # as GPT-2 and the peer have them; else rotary
GPU_350M = {"depth": 24, "width": 1024, "heads": 16, "batch_size": 128, **GPT2}
GPU_1300M = {"depth": 24, "width": 2048, "heads": 16, "batch_size": 64, **GPT2}
GPU_TINY = {"depth": 4, "width": 256, "context": 256, "batch_size": 64}
IMAGES = {"data": "digits", "lr": 1e-3, "curve_examples": 64, "final_tokens": 64}
GPU_IMAGES = {
    "ViT, 5.4M": {"family": "vit", "resolution": 32, "batch_size": 512, "depth": 12, "width": 192},
    "ConvNeXt, 28M": {
        "family": "convnext",
        "resolution": 32,
        "batch_size": 256,
        "depths": [3, 3, 9, 3],
        "widths": [96, 192, 384, 768],
    },
}
NO_SAVING = {"checkpoint_seconds": 1e9}
PARTS = ("124m", "ways", "350m", "1300m", "tiny", "images")


class Machine:
    """Where the GPU's parts run: a GPU, or dry on a CPU.

    Attributes
    ----------
    device : str
    dry : bool
        At sizes that take seconds, and never compiled.
    """

    def __init__(self, *, dry: bool) -> None:
        self.dry, self.device = dry, "cpu" if dry else "cuda"

    def sized(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options, or few of everything."""
        if not self.dry:
            return options
        few = {"depth": 1, "width": 32, "heads": 2, "batch_size": 4, "context": 16}
        few |= {"depths": [1], "widths": [8], "resolution": 8, "batch_size": 4}
        return {name: few.get(name, value) for name, value in options.items()}

    def layout(self, layout: dict[str, Any]) -> dict[str, Any]:
        """How a run is computed."""
        return {**layout, "compile": "never"} if self.dry else layout


class Timed(Exception):
    """Ends a run that has been timed: to stop it would write a checkpoint, of 16 GB at 1.3B."""


class Clock:
    """Times ``timed`` steps of ``train`` by its question whether to stop, and then ends it.

    They are those after a point of the curve, at 2^(k/2) steps, with none between.
    """

    def __init__(self, timed: int, device: str, profile: Any = None) -> None:
        self.first = next(first for first, gap in ((11, 4), (23, 8), (45, 18)) if timed <= gap)
        self.last = self.first + timed
        self.device, self.profile = device, profile
        self.step, self.began, self.seconds = 0, 0.0, math.nan

    def __call__(self) -> bool:
        self.step += 1
        if self.step == self.first:
            self.began = now(self.device)
            if self.profile is not None:
                self.profile.start()
        if self.step == self.last:
            self.seconds = (now(self.device) - self.began) / (self.last - self.first)
            if self.profile is not None:
                self.profile.stop()
            raise Timed
        return False


def now(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def spec_of(options: dict[str, Any], data: str, **more: Any) -> RunSpec:
    model = {"precision": "float32", "data": data, **COMMON, **options, **more}
    if "family" in options:  # of images
        del model["curve_tokens"]
    tokens = 200 * model["batch_size"] * model.get("context", 1)
    return RunSpec.resolve(num_tokens=tokens, **model)


def ours(spec: RunSpec, timed: int, device: str, profile: Any = None, **layout: Any) -> float:
    """Seconds of a step of ours."""
    clock = Clock(timed, device, profile)
    with TemporaryDirectory() as folder:
        with contextlib.suppress(Timed):
            train(spec, Path(folder), device=device, should_stop=clock, **NO_SAVING, **layout)
        told = (Path(folder) / "metrics.jsonl").read_text().splitlines()[0]
    keys = ("card", "arithmetic", "micro_batch", "recomputed_blocks", "compiled", "replayed")
    if device == "cuda":
        print("   ", {k: v for k, v in json.loads(told).items() if k in keys})
    return clock.seconds


def minimal_loop(spec: RunSpec, timed: int) -> float:
    """Seconds of a step of the least that trains the same module: no journal, no lease, no stop."""
    torch.manual_seed(0)
    model = get_family(spec.family).build(spec.model)
    optimizer = make_optimizer(spec, model)
    generator = torch.Generator().manual_seed(0)
    shape = (spec.train.batch_size, spec.model.context + 1)
    batches = [
        torch.randint(spec.model.vocab_size, shape, generator=generator) for _ in range(timed + 5)
    ]
    for i, tokens in enumerate(batches):
        if i == 5:
            began = now("cpu")
        logits = model(tokens[:, :-1])
        F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), spec.optim.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return (now("cpu") - began) / timed


class PeerBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.c_attn = nn.Linear(width, 3 * width, bias=False)
        self.c_proj = nn.Linear(width, width, bias=False)
        self.c_fc = nn.Linear(width, 4 * width, bias=False)
        self.c_out = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, time_, width = x.shape
        q, k, v = (
            part.view(batch, time_, self.heads, -1).transpose(1, 2)
            for part in self.c_attn(self.ln_1(x)).split(width, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).contiguous().view(batch, time_, width))
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x))))


class PeerGPT(nn.Module):
    """nanoGPT's ``model.py`` without biases and dropout, as its ``train.py`` sets it."""

    def __init__(self, depth: int, width: int, heads: int, context: int, rows: int) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(rows, width), nn.Embedding(context, width)
        self.h = nn.ModuleList(PeerBlock(width, heads) for _ in range(depth))
        self.ln_f = nn.LayerNorm(width, bias=False)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                out = name.endswith(("c_proj.weight", "c_out.weight"))
                nn.init.normal_(p, std=0.02 / (math.sqrt(2 * depth) if out else 1))

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.h:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


def peer_gpt(
    options: dict[str, Any], tokens: np.ndarray, micro: int, timed: int, machine: Machine
) -> float:
    """Tokens a second of nanoGPT's loop on the GPU; 0 where it has too little memory."""
    device = machine.device
    torch.manual_seed(0)
    torch.compiler.reset()  # or the second micro-batch's size is compiled as one of many
    torch.set_float32_matmul_precision("high")
    context, rows = options["context"], -(-VOCABULARY // 128) * 128
    sizes = (options["depth"], options["width"], options["heads"], context, rows)
    model = PeerGPT(*sizes).to(device)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95), fused=True)
    compiled = model if machine.dry else torch.compile(model)
    parts, draw = options["batch_size"] // micro, np.random.default_rng(0)

    def batch() -> tuple[Tensor, Tensor]:
        starts = draw.integers(0, len(tokens) - context - 1, micro)
        rows_ = np.stack([tokens[i : i + context + 1] for i in starts]).astype(np.int64)
        sent = torch.from_numpy(rows_)
        if device == "cuda":
            sent = sent.pin_memory().to("cuda", non_blocking=True)
        return sent[:, :-1], sent[:, 1:]

    x, y = batch()
    try:
        for step in range(timed + 4):
            if step == 4:
                began = now(device)
            for _ in range(parts):
                with torch.autocast(device, torch.bfloat16):
                    loss = compiled(x, y) / parts
                x, y = batch()  # while the GPU works
                loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return timed * options["batch_size"] * context / (now(device) - began)
    except torch.OutOfMemoryError:
        return 0.0
    finally:
        del model, compiled, optimizer
        torch.cuda.empty_cache()


def matmul_peak(machine: Machine) -> float:
    """FLOP/s of a bfloat16 product of two 8192 x 8192 matrices, the best of five."""
    device, size = machine.device, 64 if machine.dry else 8192
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(6):
        began = now(device)
        for _ in range(10):
            a @ b
        best = max(best, 10 * 2 * size**3 / (now(device) - began))
    return best


def profiled(spec: RunSpec, device: str, timed: int, **layout: Any) -> None:
    """Where the time of some steps goes, by kernel."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    profiler = profile(activities=[getattr(ProfilerActivity, device.upper())])
    ours(spec, timed, device, profiler, **layout)
    by = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    own = DeviceType.CUDA if device == "cuda" else DeviceType.CPU  # or kernels count twice
    found = [row for row in profiler.key_averages() if row.device_type == own]
    rows = sorted(found, key=lambda row: -getattr(row, by))
    total = sum(getattr(row, by) for row in rows)
    print(f"\n{total / timed / 1e3:.1f} ms a step\n\n| kernel | share | calls a step |")
    print("| --- | --- | --- |")
    for row in rows[:14]:
        share = getattr(row, by) / total
        print(f"| `{row.key[:60]}` | {100 * share:.1f} % | {row.count / timed:.0f} |")
    if device == "cuda":
        waits(profiler, timed)
    print()


def waits(profiler: Any, timed: int) -> None:
    """How long the GPU does nothing between two kernels, by the one that comes next."""
    from torch.autograd import DeviceType

    kernels = [event for event in profiler.events() if event.device_type == DeviceType.CUDA]
    kernels.sort(key=lambda event: event.time_range.start)
    idle: dict[tuple[str, str], list[float]] = defaultdict(list)
    last = kernels[0]
    for event in kernels[1:]:
        gap = event.time_range.start - last.time_range.end
        if gap > 0:
            idle[last.name[:40], event.name[:40]].append(gap)
        last = max(last, event, key=lambda one: one.time_range.end)
    print(f"\nidle {sum(map(sum, idle.values())) / timed / 1e3:.2f} ms a step")
    for (before, after), gaps in sorted(idle.items(), key=lambda item: -sum(item[1]))[:14]:
        told = f"{sum(gaps) / timed / 1e3:.2f} ms in {len(gaps) / timed:.0f}"
        print(f"{told}, longest {max(gaps) / 1e3:.2f}: {before} -> {after}")


def on_cpu(data: str, profile: bool) -> None:
    print(f"torch {torch.__version__}, one thread\n")
    print("| run | ours (ms a step) | minimal loop | speed, ours over minimal: median (range) |")
    print("| --- | --- | --- | --- |")
    for name, (options, turns, timed) in CPU_RUNS.items():
        spec = spec_of(options, data)
        pairs = [(ours(spec, timed, "cpu"), minimal_loop(spec, timed)) for _ in range(turns)]
        mine, theirs = np.median(pairs, axis=0)
        ratios = sorted(peer / own for own, peer in pairs)
        middle = float(np.median(ratios))
        print(
            f"| {name} | {1e3 * mine:.2f} | {1e3 * theirs:.2f} "
            f"| {middle:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}) |"
        )
    if profile:
        for name, (options, _, _) in CPU_RUNS.items():
            print(f"\n{name}")
            profiled(spec_of(options, data), "cpu", 4)


def on_gpu(
    data: str, wide: str, tokens: np.ndarray, only: str, profile: bool, machine: Machine
) -> None:
    device = machine.device
    peak = matmul_peak(machine)
    card = "dry, on a CPU" if machine.dry else torch.cuda.get_device_name()
    print(f"{card}, torch {torch.__version__}")
    print(f"bfloat16 product of 8192: {peak / 1e12:.0f} TFLOP/s\n")
    small = machine.sized(GPU_124M)

    def run(
        name: str,
        options: dict[str, Any],
        timed: int,
        peer: float = math.nan,
        of: str = wide,
        **layout: Any,
    ) -> float:
        """Tokens (examples) a second."""
        spec = spec_of({"precision": "bfloat16", **machine.sized(options)}, of)
        rate = spec.units_per_step / ours(spec, timed, device, **machine.layout(layout))
        used = spec.cost.flops_exact * rate / peak
        beside = "" if math.isnan(peer) else f", {rate / peer:.3f} times the peer"
        print(
            f"{name}: {rate:,.0f} {spec.cost.unit}s/s, {100 * used:.1f} % of the product{beside}\n"
        )
        return rate

    if only in ("", "124m"):
        micros = (2, 4) if machine.dry else (32, 64)
        each = {micro: peer_gpt(small, tokens, micro, 10, machine) for micro in micros}
        print(f"peer, by micro-batch: { {m: f'{rate:,.0f} tokens/s' for m, rate in each.items()} }")
        for name, options in (("learned", {**GPU_124M, **LEARNED}), ("rotary", GPU_124M)):
            run(f"124M, {name} positions", options, 8, max(each.values()), compile="always")
    if only in ("", "ways"):
        default = run("124M, default settings", GPU_124M, 4, compile="always")
        rates = {}
        rates["block by block"] = run("124M, block by block", GPU_124M, 4, compile="blocks")
        for rows in (1, 2) if machine.dry else (16, 32):
            name = f"124M, {rows} rows at a time"
            rates[name] = run(name, GPU_124M, 4, compile="always", micro_batch=rows)
        rates["not compiled"] = run("124M, not compiled", GPU_124M, 4, compile="never")
        alike = {**GPU_124M, "precision": "float32"}
        run("124M, float32 (TF32)", alike, 4, compile="never")
        with patch.object(NextToken, "_is_fused", lambda self, model: False):
            rows = 1 if machine.dry else 16
            name = "124M, all logits"
            rates[name] = run(name, GPU_124M, 4, compile="always", micro_batch=rows)
        best = max(rates, key=lambda name: rates[name])
        print(f"default settings reach {default / rates[best]:.3f} of the best other: {best}\n")
    if only in ("", "350m"):
        run("350M, block by block", GPU_350M, 4, compile="blocks")
        run("350M, compiled as a whole", GPU_350M, 4, compile="always")
    if only in ("", "1300m"):
        run("1.3B, block by block", GPU_1300M, 4, compile="blocks")
    if only in ("", "tiny"):
        for name, how in (
            ("replayed", "auto"),
            ("kernel by kernel", "never"),
            ("compiled", "always"),
        ):
            run(f"tiny (depth 4, width 256), {name}", GPU_TINY, 18, of=data, compile=how)
    if only in ("", "images"):
        for name, options in GPU_IMAGES.items():
            for said, how in (("not compiled", "never"), ("compiled", "always")):
                run(f"{name}, {said}", {**IMAGES, **options}, 8, compile=how)
    if profile:
        spec = spec_of({"precision": "bfloat16", **small, **LEARNED}, wide)
        profiled(spec, device, 3, **machine.layout({"compile": "always"}))


def prepared(folder: Path, name: str, vocabulary: int, count: int) -> np.ndarray:
    """Random tokens as a data set: what they are takes no time."""
    tokens = np.random.default_rng(0).integers(0, vocabulary, count, dtype=np.uint16)
    tokens.tofile(folder / f"{name}.bin")
    source = TokenShards((folder / f"{name}.bin",), "uint16", vocabulary)
    prepare_tokens(name, source, folder / "data")
    return tokens


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", choices=("", *PARTS), default="")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--dry", action="store_true", help="each part for a GPU, on a CPU, tiny")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here: leave --device out for the CPU's part")
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        os.environ["SCALING_HOME"] = folder
        prepared(Path(folder), "narrow", 256, 1 << 20)
        if args.device == "cpu" and not args.dry:
            on_cpu("narrow", args.profile)
        else:
            tokens = prepared(Path(folder), "wide", VOCABULARY, 1 << (16 if args.dry else 24))
            on_gpu("narrow", "wide", tokens, args.only, args.profile, Machine(dry=args.dry))
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
