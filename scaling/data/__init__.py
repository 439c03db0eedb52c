"""Data sets by name: what they hold, their fingerprints, and their batches (numpy).

None of it needs torch.

>>> from scaling.data import describe_data, open_data
>>> info = describe_data("teacher")
>>> data = open_data("teacher")
>>> inputs, labels = data.batch(0, batch_size=4, seed=0)
>>> inputs.shape == (4, *info.input_shape)
True
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
