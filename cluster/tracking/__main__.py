"""``python -m cluster.tracking``: the shipper, by a name that its package does not import."""

from __future__ import annotations

import os
import sys

from cluster.tracking.shipper import main

if __name__ == "__main__":
    os.nice(19)  # what trains goes first
    sys.exit(main())
