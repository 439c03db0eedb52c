"""Where and how a program is called: its folders, its command, its environment."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.base import Store, fill
from scaling.program_spec import ProgramSpec
from scaling.programs.code import is_copied
from scaling.programs.means import Means
from scaling.programs.options import filled, variables, write_options
from scaling.programs.ranks import Ranks

OWN_FOLDER, WORKING_FOLDER, LIBRARY = "program", "cwd", "lib"
KEPT = ("SCALING_HOME", "SCALING_DATA")  # of our own variables, those that are the user's
PACKAGE = Path(__file__).parents[1]  # scaling


@dataclass(frozen=True)
class Setting:
    """One attempt at a run, as its processes are called.

    Attributes
    ----------
    spec : ProgramSpec
    run_dir : Path
        The run's folder; the program has ``program`` in it for itself, and works in ``cwd``.
    means : Means
    attempt : int
    master : tuple of str and int
        Address and port of the first node.
    """

    spec: ProgramSpec
    run_dir: Path
    means: Means
    attempt: int
    master: tuple[str, int]

    @property
    def folder(self) -> Path:
        """The program's own folder, ``{run_dir}``."""
        return self.run_dir / OWN_FOLDER

    @property
    def report_file(self) -> Path:
        """Where ``scaling.report`` appends."""
        return self.folder / "reports.jsonl"

    @property
    def working_folder(self) -> Path:
        """Where it is started."""
        return self.run_dir / WORKING_FOLDER

    def prepare(self) -> None:
        """Make the folders: the working folder has links to the code, so that it can be read there.

        What the program writes beside the links stays with the run.

        Raises
        ------
        ValueError
            If the code is not there, or the options cannot be written.
        """
        code = self.means.code
        if code is not None and not code.is_dir():
            raise ValueError(
                f"the program's code is not in {code}: submit the sweep again from where it lies"
            )
        for folder in (self.folder, self.working_folder, self.run_dir / LIBRARY):
            folder.mkdir(parents=True, exist_ok=True)
        _link(self.run_dir / LIBRARY / PACKAGE.name, PACKAGE)
        if code:
            _link_all(self.working_folder, code, deep=is_copied(self.spec.program.code))
        write_options(self.folder, self.options(), self._format)

    def values(self, ranks: Ranks) -> dict[str, Any]:
        """What a ``{name}`` of the command stands for."""
        values, places = self.spec.values(), self._places(ranks)
        return {**places, **filled(values, {**values, **places})}

    def options(self) -> dict[str, Any]:
        """The options, texts in them filled with counts and paths that are every rank's."""
        known = {**self.spec.values(), **self._paths()}
        return filled(self.spec.options, known)

    def command(self, ranks: Ranks) -> list[str]:
        """The words of the command.

        Raises
        ------
        ValueError
            If there is no command, or a ``{name}`` in it stands for nothing.
        """
        program, values = self.spec.program, self.values(ranks)
        if program.function:
            return [sys.executable, "-m", "scaling.programs.call", program.function]
        if not program.command:
            raise ValueError("the program has neither a command nor a function")
        if program.shell:
            quoted = {k: shlex.quote(v) if isinstance(v, str) else v for k, v in values.items()}
            return ["/bin/sh", "-c", fill(" ".join(program.command), quoted)]
        return [fill(word, values) for word in program.command]

    def environment(self, ranks: Ranks, told: Mapping[str, str]) -> dict[str, str]:
        """The variables of its environment; ``told`` are those of the source of its reports.

        Raises
        ------
        ValueError
            If a ``{name}`` in the sweep file's ``env`` stands for nothing.
        """
        values, spec = self.values(ranks), self.spec
        ours = {name for name in os.environ if name.startswith("SCALING_")} - set(KEPT)
        inherited = {name: v for name, v in os.environ.items() if name not in ours}
        inherited.pop("PYTHONSAFEPATH", None)  # the folder of a script is where its modules are
        inherited.setdefault("PYTHONUNBUFFERED", "1")
        inherited.setdefault("PYTHONDONTWRITEBYTECODE", "1")  # into the copy of the code
        resume = {"SCALING_RESUME": "1"} if self.attempt > 1 else {}
        if not ranks.leads:  # whose reports alone are read
            told = {name: value for name, value in told.items() if name != "SCALING_REPORT"}
        steps = {"SCALING_NUM_STEPS": str(spec.num_steps)} if spec.tokens_per_step else {}
        return {
            **inherited,
            "PATH": _path(inherited),
            "PYTHONPATH": self._python_path(inherited),
            "OMP_NUM_THREADS": str(self.means.threads),
            **_rank_variables(ranks, self.master),
            **variables(self.options()),
            "SCALING_RUN_DIR": str(self.folder),
            "SCALING_OPTIONS_FILE": str(values["options_file"]),
            "SCALING_RUN_ID": spec.run_id,
            "SCALING_SEED": str(spec.seed),
            "SCALING_NUM_TOKENS": str(spec.num_tokens),
            "SCALING_TOKENS_PER_STEP": str(spec.tokens_per_step),
            "SCALING_ATTEMPT": str(self.attempt),
            "SCALING_STOP_SIGNAL": self.means.stop_signal,
            **steps,
            **resume,
            **told,
            **{name: fill(text, values) for name, text in spec.program.env.items()},
        }

    @property
    def _format(self) -> str:
        program = self.spec.program
        return "json" if program.function else program.options_format

    def _paths(self) -> dict[str, Any]:
        return {
            "run_dir": str(self.folder),
            "options_file": str(self.folder / f"options.{self._format}"),
            "report_file": str(self.report_file),
            "code_dir": str(self.means.code or self.working_folder),
            "data_dir": str(Store.at().data_dir),
            "python": sys.executable,
        }

    def _places(self, ranks: Ranks) -> dict[str, Any]:
        address, port = self.master
        return {
            **self._paths(),
            "attempt": self.attempt,
            "threads": self.means.threads,
            "gpus": self.means.gpus,
            "nodes": ranks.place.nodes,
            "node_rank": _node_rank(ranks),
            "rank": ranks.place.rank,
            "local_rank": ranks.place.local_rank,
            "world_size": ranks.size,
            "master_addr": address,
            "master_port": port,
        }

    def _python_path(self, inherited: Mapping[str, str]) -> str:
        """The program's code, the caller's path, and last our own package, and nothing beside it.

        Where we are installed lie other packages too, and the program may have another Python.
        """
        before = [p for p in inherited.get("PYTHONPATH", "").split(os.pathsep) if p]
        own = str(PACKAGE.parent)
        code = [str(self.means.code)] if self.means.code else []
        library = str(self.run_dir / LIBRARY)
        return os.pathsep.join([*code, *(path for path in before if path != own), library])


def forget(run_dir: Path) -> None:
    """Throw away what a program has in a run's folder."""
    for name in (OWN_FOLDER, WORKING_FOLDER, LIBRARY):
        shutil.rmtree(run_dir / name, ignore_errors=True)


def _link(link: Path, target: Path) -> None:
    """Make a symbolic link anew if it leads elsewhere; what the program put there stays."""
    if link.is_symlink() and link.readlink() != target:
        link.unlink()
    if not link.is_symlink() and not link.exists():
        link.symlink_to(target)


def _link_all(folder: Path, code: Path, *, deep: bool) -> None:
    """Link to what is in ``code``; with ``deep``, to files alone, in folders of the run's own.

    So what a program writes into a folder of its code stays with the run too. A user's own folder,
    of a declared version, may hold data without end: links to its folders do there.
    """
    for path in code.iterdir():
        link = folder / path.name
        if path.name in (".git", "__pycache__"):
            continue
        if deep and path.is_dir() and not path.is_symlink():
            link.mkdir(exist_ok=True)
            _link_all(link, path, deep=deep)
        else:
            _link(link, path)


def _path(inherited: Mapping[str, str]) -> str:
    """``python`` is the user's where an environment is active, else this one."""
    path = inherited.get("PATH", os.defpath)
    if inherited.get("VIRTUAL_ENV") or inherited.get("CONDA_PREFIX"):
        return path
    return f"{Path(sys.executable).parent}{os.pathsep}{path}"


def _node_rank(ranks: Ranks) -> int:
    return ranks.place.rank // max(1, ranks.size // ranks.place.nodes)


def _rank_variables(ranks: Ranks, master: tuple[str, int]) -> dict[str, str]:
    """What torch.distributed's ``env://`` asks for, where there are several processes."""
    if ranks.size == 1:
        return {}
    values = {
        "RANK": ranks.place.rank,
        "LOCAL_RANK": ranks.place.local_rank,
        "WORLD_SIZE": ranks.size,
        "LOCAL_WORLD_SIZE": ranks.size // ranks.place.nodes,
        "NODE_RANK": _node_rank(ranks),
        "MASTER_ADDR": master[0],
        "MASTER_PORT": master[1],
    }
    return {name: str(value) for name, value in values.items()}
