"""The default corpus: the Python sources of the pinned dependencies, as installed.

pandas, SciPy, NumPy, MLflow, Matplotlib and scikit-learn: about 90 MB of real code under
permissive licences, the same for everyone with the same versions of these packages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from scaling.data.info import DataInfo
from scaling.data.text.prepare import prepare_tokens
from scaling.data.text.sources import TextFiles

PACKAGES = ("pandas", "scipy", "numpy", "mlflow", "matplotlib", "scikit-learn")
HELDOUT = 0.09  # of the bytes: 8 MB, 63,000 windows of 128
# Written when a package is built, hence not the same on every platform, or by a compiler.
GENERATED = re.compile(
    r"(_?version|_version_meson|__config__|_distributor_init\w*|\w+_pb2|\w+_pb2_grpc)\.py"
)


def python_files(packages: Sequence[str] = PACKAGES) -> tuple[Path, ...]:
    """The ``*.py`` files that installed packages list as theirs, generated ones left out."""
    found = []
    for package in packages:
        try:
            files = metadata.distribution(package).files
        except metadata.PackageNotFoundError:
            files = None
        if not files:
            raise FileNotFoundError(
                f"the Python sources of this data set need {package} as installed by pip: "
                "pip install -c constraints.txt scaling-lab"
            )
        found += [
            Path(str(file.locate()))
            for file in files
            if file.suffix == ".py" and ".." not in file.parts
            if not GENERATED.fullmatch(file.name)
        ]
    return tuple(path for path in found if path.is_file())


def changes(origin: Mapping[str, str]) -> str:
    """The packages that have another version now than in ``origin``, in words; empty if none."""
    found = []
    for package, version in origin.items():
        now = _installed(package)
        if now != version:
            found.append(f"{package} {version} (now {now})")
    return ", ".join(found)


@cache
def _installed(package: str) -> str:
    """A package's version, read once: six of them take a worker as long as a run's start."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def prepare(name: str, home: Path) -> DataInfo:
    """Make the corpus: byte-level, split by file."""
    return prepare_tokens(
        name,
        TextFiles(python_files()),
        home,
        heldout=HELDOUT,
        origin={package: metadata.version(package) for package in PACKAGES},
    )
