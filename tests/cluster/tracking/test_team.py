"""``scaling server``: what it refuses before it starts, on a PostgreSQL of the test's own."""

from __future__ import annotations

import json
import socket
import tomllib
from importlib.metadata import EntryPoint
from types import FunctionType

import pytest

from cluster.tracking import team
from cluster.tracking.listening import hosts_allowed
from docs.rooms import ROOT
from scaling.cli import main
from tests.postgres import PASSWORD, PROGRAMS, Postgres, free_port

ADMIN = "a-password-of-the-admin"
needs_postgres = pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL here")


@pytest.fixture(scope="module")
def postgres():
    made = Postgres()
    yield made
    made.stop()


@pytest.fixture
def secrets_given(tmp_path, monkeypatch):
    """A file of credentials as it should be."""
    for name in ("PGPASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "credentials"
    file.write_text(f"# of the lab\n\nPGPASSWORD={PASSWORD}\nMLFLOW_AUTH_ADMIN_PASSWORD={ADMIN}\n")
    file.chmod(0o600)
    return file


def refused(capsys, *words):
    assert main(["server", *map(str, words)]) in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    # MLflow logs its tables where it was imported before we could set its level.
    [err] = [line for line in lines if " INFO mlflow." not in line]
    assert PASSWORD not in err and ADMIN not in err
    return err


AWAY = ("--database", "postgresql://mlflow@127.0.0.1:9/x", "--artifacts", "a")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*AWAY, "--port", "70000"), "port 70000 is not in 1 ... 65535"),
        ((*AWAY, "--workers", "0"), "--workers 0 is not at least 1"),
        ((*AWAY, "--host", "0.0.0.0"), "with --allowed-host"),
        ((*AWAY, "--host", "192.0.2.1"), "192.0.2.1 is no address of this machine"),
        ((*AWAY, "--allowed-host", "*"), "--allowed-host '*' is not a host's name"),
        ((*AWAY[2:], "--database", "sqlite:///x.db"), "`scaling ui`"),
        ((*AWAY[2:], "--database", "postgresql://h"), "names no database"),
        (
            (*AWAY[2:], "--database", f"postgresql://ann:{PASSWORD}@h/x"),
            "'postgresql://***@h/x' can be read by everybody",
        ),
        (
            (*AWAY[2:], "--database", f"postgresql://ann@h/x?password={PASSWORD}"),
            "can be read by everybody",
        ),
        (("--database", AWAY[1], "--artifacts", "/proc/x"), "/proc/x"),
        (AWAY, "does not answer: connection to server at"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_anything_starts(
    words, said, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    port = () if "--port" in words else ("--port", free_port())
    assert said in refused(capsys, *words, *port)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("PGPASSWORD=s3cret", 0o640, "may be read by others (mode 640): chmod 600"),
        ("PGPASSWORD s3cret", 0o600, "line 1 of"),
        ("\nHOME=s3cret", 0o600, "line 2 of"),
        ("PGPASSWORD=", 0o600, "line 1 of"),
    ],
)
def test_a_file_of_credentials_is_its_owners_and_is_never_quoted(
    text, mode, said, tmp_path, capsys
):
    file = tmp_path / "c"
    file.write_text(text)
    file.chmod(mode)
    err = refused(capsys, *AWAY, "--credentials", file)
    assert said in err and "s3cret" not in err


def test_a_port_in_use_is_refused(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        err = refused(capsys, *AWAY, "--port", taken.getsockname()[1])
    assert "choose another with --port" in err


@needs_postgres
def test_the_database_is_looked_at_before_the_server_starts(
    postgres, secrets_given, tmp_path, capsys
):
    address = postgres.create("lab")
    words = ["--artifacts", tmp_path / "files", "--port", free_port()]

    def said(database=address, file=secrets_given, *more):
        return refused(capsys, "--database", database, *words, "--credentials", file, *more)

    wrong = tmp_path / "wrong"
    wrong.write_text("PGPASSWORD=another\n")
    wrong.chmod(0o600)
    assert 'password authentication failed for user "mlflow"' in said(address, wrong)
    assert 'database "none" does not exist' in said(postgres.address("none"))
    wrong.write_text(f"PGPASSWORD={PASSWORD}\n")
    assert "the server has no user 'admin' yet" in said(address, wrong)
    wrong.write_text(f"PGPASSWORD={PASSWORD}\nMLFLOW_AUTH_ADMIN_PASSWORD=short\n")
    assert "is shorter than 12 characters" in said(address, wrong)

    check = ["server", "--check", "--database", address, *map(str, words)]
    check += ["--credentials", str(secrets_given)]
    assert main(check) == 0
    url = f"http://127.0.0.1:{words[-1]}"
    assert url in capsys.readouterr().out
    assert main([*check, "--json"]) == 0
    out = capsys.readouterr().out
    ready = json.loads(out)
    assert (ready["database"].endswith("/lab"), ready["url"]) == (True, url)
    assert PASSWORD not in out and ADMIN not in out
    assert main([word for word in [*check, "--json"] if word != "--check"]) == 2
    assert "--json is for --check" in capsys.readouterr().err
    postgres.ask("UPDATE alembic_version SET version_num = 'ffffffffffff'", "lab")
    assert "tables of a newer MLflow (revision ffffffffffff" in said()


@needs_postgres
def test_older_tables_are_brought_up_to_date_when_that_is_asked_for(
    postgres, secrets_given, tmp_path, capsys
):
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    address, config = postgres.create("old"), _get_alembic_config("")
    newest, older, *_ = ScriptDirectory.from_config(config).walk_revisions()
    driver = postgres.address("old", PASSWORD).replace(":", "+psycopg2:", 1)
    engine = create_engine(driver)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, older.revision)
    engine.dispose()
    words = ["--database", address, "--artifacts", tmp_path, "--port", free_port()]
    words += ["--credentials", secrets_given, "--check"]
    err = refused(capsys, *words)
    assert f"revision {older.revision}, this one needs {newest.revision}" in err
    assert "back it up, then start with --upgrade" in err
    assert main(["server", *map(str, words), "--upgrade"]) == 0
    assert postgres.ask("SELECT version_num FROM alembic_version", "old") == [(newest.revision,)]


def test_mlflow_is_told_of_our_app_by_the_installation(tmp_path, monkeypatch, capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [(name, factory)] = project["entry-points"]["mlflow.app"].items()
    assert isinstance(EntryPoint(name, factory, "").load(), FunctionType)  # as MLflow asks
    monkeypatch.setattr(team, "entry_points", lambda **asked: ())
    assert team._app() == "basic-auth"
    assert "pip install it again" in capsys.readouterr().err
    monkeypatch.undo()
    package = tmp_path / "lab-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Name: lab\nVersion: 1\n")
    (package / "entry_points.txt").write_text(f"[mlflow.app]\n{name} = {factory}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert team._app() == name
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "true")
    assert team._app() == "basic-auth"


def test_hosts_are_those_that_were_named_as_mlflow_reads_them():
    from mlflow.server.security_utils import is_allowed_host_header

    allowed = hosts_allowed("::1", "mlflow.lab.org").split(",")
    for good in ("127.0.0.1:5000", "localhost", "localhost:8000", "[::1]:5000", "mlflow.lab.org"):
        assert is_allowed_host_header(allowed, good)
    for bad in ("", "evil.org", "10.0.0.7:5000", "mlflow.lab.org.evil.org", "evil.org:5000"):
        assert not is_allowed_host_header(allowed, bad)
