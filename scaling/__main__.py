"""``python -m scaling`` is the command ``scaling``."""

import sys

from scaling.cli import main

sys.exit(main())
