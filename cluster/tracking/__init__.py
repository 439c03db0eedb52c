"""From journals to the tracking store: the shipper, delivery, servers of the UI and a team."""

from __future__ import annotations

from cluster.tracking.address import remember, told_address
from cluster.tracking.delivery import (
    delete_experiment,
    deliver,
    deliver_in_time,
    prepare_tracking,
    take_over,
)
from cluster.tracking.notices import check_notify
from cluster.tracking.results import law_text
from cluster.tracking.rule import check_rule
from cluster.tracking.server import serve
from cluster.tracking.shipper import ship_sweep, start_shipper, without_shippers
from cluster.tracking.team import TeamServer, check_team, serve_team

__all__ = [
    "TeamServer",
    "check_notify",
    "check_rule",
    "check_team",
    "delete_experiment",
    "deliver",
    "deliver_in_time",
    "law_text",
    "prepare_tracking",
    "remember",
    "serve",
    "serve_team",
    "ship_sweep",
    "start_shipper",
    "take_over",
    "told_address",
    "without_shippers",
]
