"""What one run is, and how it is trained: ``RunSpec``, model families, data, ``train``."""

from __future__ import annotations

try:
    import lazy_loader
except ImportError:  # in the environment of somebody's program, which has but the report
    from scaling.reporting import report as report
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
