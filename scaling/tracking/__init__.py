"""The only writer to MLflow."""

from __future__ import annotations

from scaling.tracking.address import masked, without_password
from scaling.tracking.content import OURS
from scaling.tracking.errors import DeletedError, TrackingError, UnsureError, reason
from scaling.tracking.experiments import has_experiment, prints, stored_runs, without_binders
from scaling.tracking.histories import histories, metric_histories
from scaling.tracking.law import log_law
from scaling.tracking.many import ship_many
from scaling.tracking.moved import follow_store
from scaling.tracking.notes import cell, with_sections
from scaling.tracking.ready import connect, prepare, reported, set_environment, sqlite_path
from scaling.tracking.remote import LARGEST, ROUTE, answer
from scaling.tracking.report import log_report
from scaling.tracking.state import store_state
from scaling.tracking.stored import History, StoredRun
from scaling.tracking.tracker import Tracker
from scaling.tracking.values import curve_metrics, flat, spec_of, swept
from scaling.tracking.view import VIEW_TAG, chart_url, colours

__all__ = [
    "LARGEST",
    "OURS",
    "ROUTE",
    "VIEW_TAG",
    "DeletedError",
    "History",
    "StoredRun",
    "Tracker",
    "TrackingError",
    "UnsureError",
    "answer",
    "cell",
    "chart_url",
    "colours",
    "connect",
    "curve_metrics",
    "flat",
    "follow_store",
    "has_experiment",
    "histories",
    "log_law",
    "log_report",
    "masked",
    "metric_histories",
    "prepare",
    "prints",
    "reason",
    "reported",
    "set_environment",
    "ship_many",
    "spec_of",
    "sqlite_path",
    "store_state",
    "stored_runs",
    "swept",
    "with_sections",
    "without_binders",
    "without_password",
]
