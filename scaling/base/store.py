"""Where things are kept: one root folder with runs, trunks, sweeps, data and the tracking store.

```
ROOT/runs/<run_id>/       spec.json, metrics.jsonl, state.json, checkpoints, kept weights
ROOT/trunks/<trunk_id>/   constant-rate checkpoints that cooldown branches share
ROOT/sweeps/<name>/       sweep.jsonl, sweep.json, logs, report.html
ROOT/data/<name>/         prepared shards
ROOT/programs/<digest>/   code of programs, as it was when their runs were submitted
ROOT/mlflow.db            the tracking store
```
A run's folder is named by its identity, so a run that two sweeps ask for is done once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from scaling.world import path_at


def default_root() -> Path:
    """``$SCALING_HOME``, or ``.scaling`` in the user's home folder."""
    return Path(os.environ.get("SCALING_HOME") or Path.home() / ".scaling").expanduser().resolve()


@dataclass(frozen=True)
class Store:
    """The folders under one ``root``."""

    root: Path

    @classmethod
    def at(cls, root: str | os.PathLike[str] | None = None) -> Store:
        """The store at ``root``, or at ``$SCALING_HOME``, or ``~/.scaling``."""
        return cls(path_at(root).expanduser().resolve() if root else default_root())

    def run_dir(self, run_id: str) -> Path:
        """The folder of one run."""
        return self.root / "runs" / run_id

    def trunk_dir(self, trunk_id: str) -> Path:
        """The folder of one constant-rate trunk."""
        return self.root / "trunks" / trunk_id

    def sweep_dir(self, name: str) -> Path:
        """The folder of one sweep."""
        return self.root / "sweeps" / name

    @property
    def data_dir(self) -> Path:
        """Prepared data; shared by all roots of a user unless ``SCALING_DATA`` names another."""
        return Path(os.environ.get("SCALING_DATA") or default_root() / "data").expanduser()

    @property
    def tracking_uri(self) -> str:
        """The default tracking store: ``$MLFLOW_TRACKING_URI`` or SQLite in the root."""
        return os.environ.get("MLFLOW_TRACKING_URI") or self.own_tracking_uri

    @property
    def own_tracking_uri(self) -> str:
        """The tracking store in the root."""
        return f"sqlite:///{self.root / 'mlflow.db'}"
