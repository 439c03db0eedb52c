"""What does runs: workers, the foreman of a SLURM job, leases, tasks, trunks."""

from __future__ import annotations

from cluster.work.array_task import BEGAN, work_in_slurm
from cluster.work.canary import canary_failures, choose, try_out
from cluster.work.causes import NAMES, Fault, fault_of_end, fault_of_job
from cluster.work.early import EARLY, read_reasons, stop_early
from cluster.work.lease import Holder, claim, holder, now_of
from cluster.work.ledger import cap_reached, caps_of, entries, used_of_caps, user_name
from cluster.work.logs import job_log, last_words, logs_dir
from cluster.work.policed import take_turns, work
from cluster.work.process import ProcessId
from cluster.work.search import Outlook, ended_runs, outlook
from cluster.work.stage import clean_up
from cluster.work.stalled import last_stall
from cluster.work.starting import is_starting, starting
from cluster.work.submission import Queue, ask_about, count_ends, read_queues
from cluster.work.sweep_file import rewriting, written
from cluster.work.tasks import Task, lease_dir, make_tasks
from cluster.work.trunks import tidy_up_after, trunks_of
from cluster.work.turns import check_after, jobs_before
from cluster.work.worker import run_queue, stop_on_signals

__all__ = [
    "BEGAN",
    "EARLY",
    "NAMES",
    "Fault",
    "Holder",
    "Outlook",
    "ProcessId",
    "Queue",
    "Task",
    "ask_about",
    "canary_failures",
    "cap_reached",
    "caps_of",
    "check_after",
    "choose",
    "claim",
    "clean_up",
    "count_ends",
    "ended_runs",
    "entries",
    "fault_of_end",
    "fault_of_job",
    "holder",
    "is_starting",
    "job_log",
    "jobs_before",
    "last_stall",
    "last_words",
    "lease_dir",
    "logs_dir",
    "make_tasks",
    "now_of",
    "outlook",
    "read_queues",
    "read_reasons",
    "rewriting",
    "run_queue",
    "starting",
    "stop_early",
    "stop_on_signals",
    "take_turns",
    "tidy_up_after",
    "trunks_of",
    "try_out",
    "used_of_caps",
    "user_name",
    "work",
    "work_in_slurm",
    "written",
]
