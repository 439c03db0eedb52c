"""From journals to the tracking store: the shipper, delivery, the server of the UI."""

from __future__ import annotations

from cluster.tracking.delivery import deliver, deliver_in_time, prepare_tracking, take_over
from cluster.tracking.server import serve
from cluster.tracking.shipper import ship_sweep, start_shipper

__all__ = [
    "deliver",
    "deliver_in_time",
    "prepare_tracking",
    "serve",
    "ship_sweep",
    "start_shipper",
    "take_over",
]
