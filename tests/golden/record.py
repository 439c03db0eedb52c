"""The golden record: what the commands of ``cases.txt`` answer, from a checkout, to a file.

    python tests/golden/record.py before.json      # in the old checkout
    python tests/golden/record.py after.json       # in the new one
    diff before.json after.json

It knows the command line and the file names of a run's folder, nothing of how the code lies, so
the same file records any commit: run it with ``PYTHONPATH`` at that checkout. Paths, durations and
dates are left out; every number stands as it was printed, losses to their last bit.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = HERE.parent / "published" / "data"

TINY = "data: tiny\nfamily: transformer\n"
FIXED = "fixed: {depth: 1, context: 32, batch_size: 4, lr: 0.01}\n"
IMAGES = (
    "data: digits\nfamily: efficientnet\nfixed: {depths: [1, 1], widths: [8, 16],\n"
    "  strides: [1, 2], expansions: [1, 4],\n"
    "  resolution: 8, lr: 0.004, num_examples: 512, batch_size: 64}\n"
)
SWEEPS = {
    "grid": TINY
    + "fixed: {depth: 1, context: 32, batch_size: 4, schedule: wsd, warmup_tokens: 1024}\n"
    + "grid: {product: {width: [8, 12, 16, 24], num_tokens: [8192, 16384, 32768]}}\n"
    + "derive: {lr: {rule: 1/width, scale: 0.08}}\n",
    "isoflop": TINY
    + "fixed: {context: 32, batch_size: 4, aspect: 8, lr: 0.02}\n"
    + "isoflop: {budgets: [2e8, 8e8], sizes: {num_params: {log: [5e3, 8e4, 6]}}}\n",
    "ladder": TINY
    + "fixed: {context: 32, schedule: wsd}\n"
    + "ladder: {sizes: {depth: [1, 2], width: [8, 16]}, tokens_per_param: [1, 2]}\n"
    + "derive: {lr: {rule: olmo-ladder, scale: 0.2}, batch_size: {rule: step-law, scale: 0.1}}\n",
    "plan": TINY
    + "fixed: {context: 32, batch_size: 8, aspect: 16}\nruns: {file: plan.csv}\n"
    + "derive: {lr: {rule: 1/width, scale: 0.18}}\n",
    "digits": "data: digits\nfamily: mlp\nfixed: {depth: 2, batch_size: 32, lr: 0.003}\n"
    "seeds: [0, 1]\ngrid: {product: {width: [8, 16], num_tokens: [1024, 4096]}}\n",
    "compound": IMAGES + "compound: {phi: [0, 1], alpha: 1.2, beta: 1.1, gamma: 1.15}\n",
    "axes": IMAGES
    + "single_axis: {flops: [1, 2, 4], axes: [depth, width, resolution, compound]}\n",
    "search": IMAGES
    + "coefficient_search: {alpha: {linear: [1, 2, 4]}, beta: {linear: [1, 1.4, 4]},\n"
    + "  gamma: {linear: [1, 1.4, 4]}, tolerance: 0.3}\n",
    "space": "data: digits\nfamily: anynet\n"
    "fixed: {resolution: 8, lr: 0.004, num_examples: 256, batch_size: 64}\n"
    "design_space: {space: anynetx-a, models: 5, ranges: {macs_forward: [1e5, 2e5]}}\n",
    "bad-key": TINY + FIXED + "grid: {product: {widht: [8]}}\n",
    "bad-family": "data: tiny\nfamily: transfomer\ngrid: {product: {width: [8]}}\n",
    "bad-value": TINY + FIXED + "grid: {product: {width: [eight], num_tokens: [8192]}}\n",
    "bad-rule": TINY
    + "grid: {product: {width: [8], num_tokens: [8192]}}\nderive: {lr: {rule: 1/depht}}\n",
    "bad-resources": TINY
    + FIXED
    + "grid: {product: {width: [8], num_tokens: [8192]}}\nresources: {gpu: 1}\n",
    "bad-kind": TINY + FIXED + "gird: {product: {width: [8]}}\n",
}
TABLES = {
    "empty.csv": "num_params,num_tokens,loss\n",
    "words.csv": "a,b\nx,y\n",
    "two.csv": "num_params,num_tokens,loss\n1e6,1e7,3.0\n2e6,1e7,2.9\n",
}
VOLATILE = re.compile(
    r'"?[\w.]*(seconds|hours|started|ended|created|updated|mtime|time|host|pid'
    r"|version|tracking_uri|per_second|estimate|heartbeat|job_id|machine|date|memory|kwh|co2e|watts"
    r'|flops_per_s)\w*"?: .*'
)
DURATION = re.compile(r"\b\d+(\.\d+)?(e[-+]\d+)? ?(s|ms|min|h|hours|seconds|minutes)\b")
CLOCK = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?\S*")


def prepare(work: Path) -> None:
    """Texts, sweep files and small tables, the same on every machine."""
    import numpy as np

    (work / "text").mkdir()
    rng = np.random.default_rng(0)
    for i in range(64):
        text = np.tile(np.frombuffer(b"abcdefgh ijklmno\n", np.uint8), 30)
        noise = rng.random(len(text)) < 0.1
        text = np.where(noise, rng.integers(97, 123, len(text)), text).astype(np.uint8)
        (work / "text" / f"{i:02d}.txt").write_bytes(text.tobytes())
    for name, text in SWEEPS.items():
        (work / f"{name}.yaml").write_text(f"name: {name}\n{text}")
    (work / "plan.csv").write_text((HERE / "plan.csv").read_text())
    for name, text in TABLES.items():
        (work / name).write_text(text)


def run(words: list[str]) -> dict[str, Any]:
    """Exit code, stdout and stderr of one command, in this process."""
    from scaling.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: Any = main(words)
        except SystemExit as stop:
            code = stop.code
    return {"code": code, "out": out.getvalue().splitlines(), "err": err.getvalue().splitlines()}


def plain(line: str, work: Path) -> str:
    """``line`` without what differs between two runs of the same code."""
    line = line.replace(str(work), "{work}").replace(str(DATA), "{data}")
    line = line.replace(str(HERE), "{here}")
    line = CLOCK.sub("<clock>", VOLATILE.sub("<volatile>", line))
    line = re.sub(r"^(time|energy) .*", r"\1 <volatile>", line)
    return re.sub(r"\[\d+/(\d+)\]", r"[i/\1]", DURATION.sub("<duration>", line))


def journals(work: Path) -> dict[str, Any]:
    """Each run's files, and its journal without clocks."""
    found: dict[str, Any] = {}
    for path in sorted((work / "home" / "runs").rglob("metrics.jsonl")):
        lines = []
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            lines.append({k: v for k, v in entry.items() if not VOLATILE.match(f"{k}: ")})
        spec = (path.parent / "spec.json").read_bytes()
        found[path.parent.name] = {
            "files": sorted(re.sub("-[0-9a-f]{12}", "-*", p.name) for p in path.parent.iterdir()),
            "spec": hashlib.sha256(spec).hexdigest(),
            "journal": lines,
        }
    return found


def pages(work: Path) -> dict[str, list[str]]:
    """The words of each report, its pictures left out, and each figure's length in lines."""
    found: dict[str, list[str]] = {}
    for path in sorted(work.glob("*.html")):
        text = re.sub(r"<(svg|style)\b.*?</\1>", "", path.read_text(), flags=re.S)
        text = re.sub(r"data:[\w/+;=,-]+[A-Za-z0-9+/=]*", "<data>", text)
        words = [plain(" ".join(w.split()), work) for w in re.split(r"<[^>]*>", text)]
        found[path.name] = [
            w for w in words if w and not re.fullmatch(r"\d+\.\d", w)
        ]  # seconds of a run
    for path in sorted(work.glob("*.svg")):
        drawn = re.sub(
            r"<metadata>.*?</metadata>|id=\"\w+\"|#\w+", "", path.read_text(), flags=re.S
        )
        found[path.name] = [hashlib.sha256(drawn.encode()).hexdigest()]
    return found


def record(only: str = "") -> dict[str, Any]:
    """Every case whose line contains ``only``, then the runs and the pages they left."""
    answers: dict[str, Any] = {}
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="golden") as folder:
        work = Path(folder).resolve()
        prepare(work)
        os.environ |= {
            "SCALING_HOME": str(work / "home"),
            "SCALING_DATA": str(work / "data"),
            "COLUMNS": "120",
        }
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        os.chdir(work)
        for line in (HERE / "cases.txt").read_text().splitlines():
            if not line.strip() or line.startswith("#") or only not in line:
                continue
            command = line.removeprefix("!").strip()
            words = [
                w.replace("{work}", str(work)).replace("{data}", str(DATA))
                for w in shlex.split(command)
            ]
            words = [
                x
                for w in words
                for x in (sorted(map(str, Path(w).parent.glob("*.txt"))) if "/text/*" in w else [w])
            ]
            print(command, file=sys.stderr)
            answer = run(words)
            if line.startswith("!") and answer["code"] not in (1, 2):
                print(f"  not refused: {answer['code']}", file=sys.stderr)
            number = sum(key.split("  #")[0] == command for key in answers)
            answers[command + (f"  #{number + 1}" if number else "")] = {
                "code": answer["code"],
                "out": [plain(text, work) for text in answer["out"]],
                "err": sorted(plain(text, work) for text in answer["err"] if "%" not in text[-2:]),
            }
        found = {"answers": answers, "runs": journals(work), "pages": pages(work)}
        os.chdir(before)
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    Path(sys.argv[1]).write_text(json.dumps(record(only), indent=1, sort_keys=True) + "\n")
