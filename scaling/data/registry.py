"""Data sets by name: which there are, what they hold, how to get them."""

from __future__ import annotations

import difflib
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.base import WorkError, note, note_once, read_json
from scaling.data.folder import data_home
from scaling.data.info import META, DataInfo, read_info
from scaling.data.own import open_own, own_data
from scaling.data.text import Package, unpacked

if TYPE_CHECKING:
    from scaling.data.batches import ExampleData, TokenData


@dataclass(frozen=True)
class Dataset:
    """A data set that has a name here: ``make`` names the function ``module:function``.

    Without a ``package`` the function takes ``(name, home)`` and needs only what is installed;
    with one it takes the package's files too. A ``generated`` set is a function of the options
    in its name and is never written. ``changes`` names a function of what ``meta.json`` says it
    was made of, which says in words what is otherwise now.
    """

    about: str
    make: str
    package: Package | None = None
    generated: bool = False
    changes: str = ""

    def call(self, *args: Any) -> Any:
        """Call the function that makes the data set."""
        return _function(self.make)(*args)

    def older(self, folder: Path) -> str:
        """What the data set in ``folder`` was made of that is otherwise now; empty if nothing."""
        origin = (read_json(folder / META) or {}).get("origin") if self.changes else None
        return str(_function(self.changes)(origin)) if origin else ""


def _function(name: str) -> Callable[..., Any]:
    """``module:function`` of this package."""
    module, _, function = name.partition(":")
    found: Callable[..., Any]
    found = getattr(importlib.import_module(f"scaling.data.{module}"), function)
    return found


DATASETS: dict[str, Dataset] = {
    "python-source": Dataset(
        "Python sources of the installed pandas, SciPy, NumPy, MLflow, Matplotlib, scikit-learn",
        "text.python_source:prepare",
        changes="text.python_source:changes",
    ),
    "dict-gcide": Dataset(
        "English dictionary (GCIDE), 40 MB",
        "text.corpora:by_block",
        Package(
            "dict-gcide",
            "gcide.dict.dz",
            "802beb667e1fb666203e750f1faea60d5c202ac5430c2083c4180494609f10a7",
        ),
    ),
    "linux-doc": Dataset(
        "Linux kernel documentation, 24 MB",
        "text.corpora:by_file",
        Package(
            "linux-doc-6.1",
            "Documentation/*.rst.gz",
            "5dd7bff4fdaad9a440f5a20dfa6443f9150d8ad2286518d81b2d9889bace94cc",
        ),
    ),
    "python-doc": Dataset(
        "Python documentation, 11 MB",
        "text.corpora:by_file",
        Package(
            "python3.11-doc",
            "_sources/*.rst.txt",
            "2dea1ccb90e86b3fbebe17711d2de5549483bfdc30bb7bd1644ac013eca9c413",
        ),
    ),
    "metamath": Dataset(
        "formal proofs (set.mm), 41 MB",
        "text.corpora:by_block",
        Package(
            "metamath-databases",
            "set.mm",
            "4d93307bc81337a621031739acfffb4159175f94fb90e727f4a231401091e45b",
        ),
    ),
    "fashion-mnist": Dataset(
        "70,000 images of clothes, 28 x 28, ten classes",
        "images.fashion_mnist:build",
        Package(
            "dataset-fashion-mnist",
            "*-ubyte.gz",
            "6aa5bbd1e024faff58196aae7a773da7a0958db7d2241c6e9b42a6966d3c7baa",
        ),
    ),
    "python-packages": Dataset(
        "labelled texts: 256 bytes of Python, and which of six packages they are from",
        "text.python_packages:prepare",
        changes="text.python_source:changes",
    ),
    "digits": Dataset("1,797 images of handwritten digits, 8 x 8", "images.digits:prepare"),
    "teacher": Dataset(
        "examples labelled by a random network; teacher:features=16,noise=0.1,...",
        "batches.teacher:generate",
        generated=True,
    ),
    "vowels": Dataset(
        "speech-like sequences: words of vowels by many voices; vowels:words=10,noise=1,...",
        "batches.vowels:generate",
        generated=True,
    ),
}


def describe_data(name: str, data_dir: str | os.PathLike[str] | None = None) -> DataInfo:
    """What data set ``name`` is; made on the fly where that needs nothing from elsewhere.

    Raises
    ------
    FileNotFoundError
        When it is not there; the message says how to get it.
    """
    base, _, options = name.partition(":")
    known = DATASETS.get(base)
    if known is None and own_data(name)[0]:
        own: DataInfo = open_own(name).info
        return own
    if known is not None and known.generated:
        generated: ExampleData = known.call(options)
        return generated.info
    home = data_home(data_dir)
    info = read_info(home / name)
    if info is not None:
        if known is not None and (older := known.older(home / name)):
            note_once(
                f"data set {name} was made from {older} and stays as it is: remove {home / name} "
                "to have it made anew, for new runs"
            )
        return info
    if known is None or options:
        raise FileNotFoundError(_unknown(name, home))
    if known.package is not None:
        raise FileNotFoundError(
            f"the data set {name} is not in {home} yet; {known.package.how_to_get(name)}"
        )
    made: DataInfo = known.call(name, home)
    return made


def make_ready(names: Iterable[str]) -> None:
    """Make those data sets that are made when first used, each in a process of its own.

    Several processes that need one then find it there, and none keeps the memory that it took.

    Raises
    ------
    WorkError
        When one could not be made; why is on stderr.
    """
    home = data_home(None)
    for name in names:
        known = DATASETS.get(name)
        if known is None or known.package or known.generated or read_info(home / name):
            continue
        note(f"making the data set {name} ...")
        command = [sys.executable, "-m", "scaling", "data", "fetch", name]
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
            raise WorkError(f"the data set {name} could not be made: see above")


def open_data(name: str, data_dir: str | os.PathLike[str] | None = None) -> TokenData | ExampleData:
    """Data set ``name``, ready for batches."""
    from scaling.data.batches import open_examples, open_tokens  # they load numpy

    base, _, options = name.partition(":")
    known = DATASETS.get(base)
    if known is None and own_data(name)[0]:
        own: TokenData | ExampleData = open_own(name)
        return own
    if known is not None and known.generated:
        generated: ExampleData = known.call(options)
        return generated
    info = describe_data(name, data_dir)
    folder = data_home(data_dir) / name
    return open_tokens(folder, info) if info.unit == "token" else open_examples(folder, info)


def open_same(
    name: str, fingerprint: str, data_dir: str | os.PathLike[str] | None = None
) -> TokenData | ExampleData:
    """Data set ``name``, if it is here what a run was told of it.

    Raises
    ------
    ValueError
        If its fingerprint is another one.
    """
    data = open_data(name, data_dir)
    if data.info.fingerprint != fingerprint:
        raise ValueError(
            f"data set {name!r} has fingerprint {data.info.fingerprint} here, the run "
            f"asks for {fingerprint}: prepare the same data, or expand the sweep again"
        )
    return data


def fetch_data(
    name: str,
    source: str | os.PathLike[str] | None = None,
    sha256: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> DataInfo:
    """Get the named data set, from the path ``source`` or by ``apt-get download``.

    Raises
    ------
    FileNotFoundError
        When the source is missing; the message says how to get it.
    ValueError
        When its content is not the one with the pinned sum, or with ``sha256``.
    """
    home = data_home(data_dir)
    if name not in DATASETS:
        raise ValueError(_unknown(name, home))
    package = DATASETS[name].package
    if package is None:
        if source is not None or sha256 is not None:
            raise ValueError(f"{name} is made here and takes neither --from nor --sha256")
        return describe_data(name, data_dir)
    if source is None and (info := read_info(home / name)) is not None:
        return info
    path = None if source is None else Path(source).expanduser()
    if path is not None and not path.exists():
        raise FileNotFoundError(f"{path} does not exist; {package.how_to_get(name)}")
    with unpacked(name, package, path, sha256) as files:
        made: DataInfo = DATASETS[name].call(name, home, files)
    return made


def list_data(data_dir: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """One row per data set, here or to be had: ``name``, ``state``, ``info``, ``about``, ``older``.

    States: ``ready``; ``on demand`` (made when first used); ``fetch`` (has to be fetched).
    ``older`` says what one was made of that is otherwise now.
    """
    home = data_home(data_dir)
    rows = []
    for name in [*DATASETS, *(n for n in prepared_names(home) if n not in DATASETS)]:
        known, info = DATASETS.get(name), read_info(home / name)
        if info is not None:
            state = "ready"
        else:
            state = "fetch" if known is not None and known.package else "on demand"
        about = known.about if known else ""
        older = known.older(home / name) if known else ""
        rows.append({"name": name, "state": state, "info": info, "about": about, "older": older})
    return rows


def find_prepared(
    name: str, data_dir: str | os.PathLike[str] | None = None
) -> tuple[Path, DataInfo] | None:
    """Folder and content of data set ``name`` if it is there; nothing is made."""
    folder = data_home(data_dir) / name
    info = read_info(folder)
    return (folder, info) if info is not None else None


def prepared_names(home: Path) -> list[str]:
    """Names of the data sets in ``home``."""
    return sorted(path.parent.name for path in home.glob("[!.]*/meta.json"))


def _unknown(name: str, home: Path) -> str:
    base = name.partition(":")[0]
    if base in DATASETS and base != name:
        return f"data set {base} takes no options, as {name!r} has them: write data: {base}"
    known = [*DATASETS, *(n for n in prepared_names(home) if n not in DATASETS)]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}."
    return f"no data set {name!r} in {home}: {hint} Or make it: scaling data prepare {name} --help"
