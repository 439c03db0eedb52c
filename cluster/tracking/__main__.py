"""``python -m cluster.tracking``: the shipper, by a name that its package does not import."""

from __future__ import annotations

import sys

from cluster.tracking.shipper import main

if __name__ == "__main__":
    sys.exit(main())
