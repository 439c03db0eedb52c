"""``scaling export`` and ``scaling eval``: what kept weights are taken out for.

Part of the front door: it names the other packages, and imports them when it is run.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.base import Store, note, print_json, print_table
from scaling.run import SPEC, find_sweep_file, numbered_rows, read_rows, sweep_paths

if TYPE_CHECKING:
    from scaling.weights import EvalTask, Evaluated

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")  # of a column, and of a metric in every tracking store
MANY = 5  # runs that an ambiguous name lists


def run_export(
    run: str, out: str, step: int | None, form: str, root: str | None, *, as_json: bool
) -> int:
    """Write the kept weights of one run to a new folder."""
    from scaling.weights import export, load_model

    if step is not None and step < 1:
        raise ValueError(f"--step {step} is below 1: leave it out for the end")
    done = export(load_model(_run_dir(run, Store.at(root)), step), Path(out), form)
    if as_json:
        print_json(done.to_dict())
        return 0
    print(f"{done.architecture} after {done.num_tokens:,} tokens or examples in {done.path}")
    if done.form == "transformers":
        tokenizer = "with its tokenizer" if done.tokenizer else "without a tokenizer"
        print(f"AutoModelForCausalLM.from_pretrained({str(done.path)!r}) loads it, {tokenizer}")
    elif done.why_not:
        print(f"not for transformers: {done.why_not}")
    return 0


def _run_dir(run: str, store: Store) -> Path:
    """The folder of the run that a path, an id, its beginning or a name means.

    Raises
    ------
    ValueError
        If there is none, or several.
    """
    if (Path(run) / SPEC).is_file():
        return Path(run)
    found = {path.parent for path in store.root.glob(f"runs/*/{SPEC}")}
    matching = {path for path in found if path.name.startswith(run)}
    if not matching:
        rows = (row for path in sweep_paths(store) for _, row in numbered_rows(path))
        matching = {store.run_dir(row["run_id"]) for row in rows if row["name"] == run}
    if len(matching) == 1:
        return matching.pop()
    ids = ", ".join(sorted(path.name for path in matching)[:MANY])
    raise ValueError(
        f"{len(matching)} runs under {store.root} match {run!r}"
        + (f" ({ids}{', ...' if len(matching) > MANY else ''})" if matching else "")
        + ": give one of the ids that `scaling runs SWEEP` lists, or a run's folder"
    )


@dataclass(frozen=True)
class Asked:
    """What kept weights are asked, and where: ``task`` or ``words`` of a command."""

    task: str | None
    words: str | None
    name: str | None
    limit: int
    every: bool
    device: str
    root: str | None
    tracking_uri: str | None

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError(f"--limit {self.limit} is below 0: leave it out for all there is")
        if self.name is not None and not NAME.fullmatch(self.name):
            raise ValueError(f"--as {self.name!r}: use letters, digits, dots, dashes, underscores")
        if self.words is not None and self.name is None:
            raise ValueError("--command needs --as NAME: its columns are eval/NAME/METRIC")
        if self.words is not None and self.limit:
            raise ValueError("--limit is for data sets: a command sees the whole model")

    def make_task(self, device: str) -> EvalTask:
        """The task."""
        from scaling.weights import CommandTask, find_task

        if self.words is None:
            return find_task(str(self.task), self.name, self.limit)
        return CommandTask(self.words, str(self.name), device)


def run_eval(sweep: str, asked: Asked, *, as_json: bool) -> int:
    """Evaluate what a sweep's runs kept; 1 if that failed for some that kept any.

    Raises
    ------
    ValueError
        If no run of the sweep kept its weights.
    """
    from scaling.weights import evaluate

    store, name = Store.at(asked.root), _sweep_name(sweep)
    rows = read_rows(store, name)
    device = _device(asked.device)
    task = asked.make_task(device)
    results: list[Evaluated] = []
    for i, row in enumerate(rows, start=1):
        for one in evaluate(store.run_dir(row["run_id"]), task, every=asked.every, device=device):
            results.append(one)
            said = one.problem or ", ".join(f"{k} {v:.4g}" for k, v in one.values.items())
            note(f"[{i}/{len(rows)}] {row['name']}: {said}{'' if one.is_new else ' (known)'}")
    if not any(one.step for one in results):
        raise ValueError(f"nothing to evaluate in sweep {name!r}: {results[0].problem}")
    _deliver(store, name, asked.tracking_uri)
    columns = list(dict.fromkeys(key for one in results for key in one.values))
    if as_json:
        print_json({"sweep": name, "columns": columns, "runs": [one.to_dict() for one in results]})
    else:
        names = {row["run_id"]: row["name"] for row in rows}
        print_table(
            f"sweep {name}, evaluated by {task.name}",
            ("run_id", "name", "step", *columns, "problem"),
            [
                (
                    one.run_id,
                    names[one.run_id],
                    one.step,
                    *map(one.values.get, columns),
                    one.problem,
                )
                for one in results
            ],
        )
        if columns:
            print(f"columns of `scaling runs {name}`; `scaling fit {name} --loss-col {columns[0]}`")
    return 1 if any(one.step and one.problem for one in results) else 0


def _sweep_name(sweep: str) -> str:
    """A sweep's name from its name, its folder or its file."""
    from sweeps import load_sweep

    path = Path(sweep)
    if path.is_file():
        return load_sweep(path).name
    found = find_sweep_file(path)
    return path.resolve().name if found and found.parent == path else sweep


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name}: {str(error).splitlines()[0]}") from None
    return name


def _deliver(store: Store, name: str, tracking_uri: str | None) -> None:
    """Carry the new numbers to the tracking store; the journals keep them in any case."""
    from cluster.tracking import ship_sweep
    from scaling.tracking import TrackingError

    try:
        problem = ship_sweep(name, root=str(store.root), tracking_uri=tracking_uri).problem
    except TrackingError as error:
        problem = str(error)
    if problem:
        note(f"warning: {problem}; `scaling sync {shlex.quote(name)}` ships the numbers later")
