"""The names that a run gives to its program's command, beside options and counts."""

from __future__ import annotations

RUN_NAMES: dict[str, str] = {
    "run_dir": "the program's own folder of this run: checkpoints, logs",
    "options_file": "its options as one file",
    "code_dir": "the copy of its code, not to be written to",
    "attempt": "how often the run was begun, this time included",
    "threads": "CPU threads that it may use",
    "gpus": "GPUs of a node that it may use",
    "nodes": "nodes of its job",
    "node_rank": "this node's number among them",
    "master_addr": "an address of the first node",
    "master_port": "a port that is free there",
}
"""What a ``{name}`` of a command may be beside options and counts -> what it stands for."""
