"""Commands of the package, as far as they do not stand in ``cluster/cli.py``."""

__all__: list[str] = []
