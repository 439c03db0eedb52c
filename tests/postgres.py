"""A PostgreSQL of its own: a new cluster in a folder, with one password, and nothing kept."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

USER, PASSWORD = "mlflow", "s3cret-of-the-database"


def _programs() -> Path | None:
    found = [Path(p).parent for p in (shutil.which("pg_ctl"),) if p]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return found[-1] if found else None


PROGRAMS = _programs()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """Started at once; whoever asks at 127.0.0.1 gives the password."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="scaling-postgres-"))  # pytest's are root's own
        self.data, self.port = folder / "data", free_port()
        self._as: list[str] = []
        if not os.geteuid():  # it refuses root
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            shutil.chown(folder, "postgres")
        words = folder / "password"
        words.write_text(PASSWORD)
        words.chmod(0o644)
        self._call("initdb", "-D", self.data, "-U", USER, "-A", "scram-sha-256", "--no-sync",
                   f"--pwfile={words}", "--locale=C", "--encoding=UTF8")  # fmt: skip
        words.unlink()
        settings = f"-p {self.port} -k {folder} -h 127.0.0.1 -c fsync=off"
        log = folder / "log"
        self._call("pg_ctl", "-D", self.data, "-o", settings, "-l", log, "-w", "start")

    def _call(self, program: str, *words: object) -> None:
        command = [*self._as, str(PROGRAMS / program), *map(str, words)]  # type: ignore[operator]
        # Its output to a file: a daemon would keep a pipe open.
        with (self.data.parent / "out").open("ab") as out:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True,
                           cwd=self.data.parent)  # fmt: skip

    def address(self, database: str = "postgres", password: str = "") -> str:
        secret = f":{password}" if password else ""
        return f"postgresql://{USER}{secret}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """A new, empty database; its address, without the password."""
        self.ask(f"CREATE DATABASE {database}")
        return self.address(database)

    def ask(self, question: str, database: str = "postgres") -> list[tuple]:
        import psycopg2

        connection = psycopg2.connect(self.address(database, PASSWORD))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(question)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def stop(self) -> None:
        """End it, and remove all of it."""
        self._call("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        shutil.rmtree(self.data.parent)
