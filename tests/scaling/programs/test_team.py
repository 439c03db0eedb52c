"""A program that several processes start together: who it is told to be, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import time

from scaling.run import STATE, end, read_journal
from scaling.trainers import train_together
from tests.scaling.processes import run_team, start_team
from tests.scaling.programs.scripts import program, quick

PLACES = """
    import json, os, socket, sys, time
    names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE NODE_RANK MASTER_ADDR MASTER_PORT"
    told = {name: os.environ[name] for name in names.split()}
    with open(f"place-{os.environ['RANK']}.json", "w") as file:
        json.dump([told, sys.argv[1:], "SCALING_REPORT" in os.environ], file)
    master = (told["MASTER_ADDR"], int(told["MASTER_PORT"]))
    if told["RANK"] == "0":
        with socket.create_server(master) as server:  # the port is free, the others reach it
            for _ in range(2):
                server.accept()[0].close()
        from scaling import report
        report(step=100, loss=2.5)
    else:
        for _ in range(200):
            try:
                socket.create_connection(master).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
"""


def test_every_process_is_told_its_place_and_the_leader_alone_reads_reports(tmp_path):
    spec = program(PLACES)
    words = ("{rank}", "{world_size}", "{nodes}", "{node_rank}", "{master_port}")
    spec = program(PLACES, command=(*spec.program.command, *words))

    def lead(team):
        outcome = train_together(team, spec, tmp_path / "run", means=quick(threads=2))
        assert (outcome.status, outcome.loss) == ("done", 2.5)

    assert run_team(tmp_path / "meet", 3, lead) == [0, 0, 0]
    for rank in range(3):
        place = tmp_path / "run" / "cwd" / f"place-{rank}.json"
        told, said, listened = json.loads(place.read_text())
        assert (told["RANK"], told["WORLD_SIZE"]) == (str(rank), "3")
        assert told["MASTER_ADDR"] == "127.0.0.1" and listened == (rank == 0)
        assert said == [str(rank), "3", "1", "0", told["MASTER_PORT"]]
    (start,) = [e for e in read_journal(tmp_path / "run") if e["event"] == "start"]
    assert start["processes"] == 3
    assert (tmp_path / "run" / "log-2.txt").exists()


def test_what_fails_on_one_fails_the_run_and_the_team_does_the_next(tmp_path):
    script = """
        import os, time
        if os.environ["RANK"] == "1":
            raise RuntimeError("of rank 1")
        time.sleep(600)
    """
    good = """
        import os
        from scaling import report
        if os.environ["RANK"] == "0":
            report(step=100, loss=1)
    """

    def lead(team):
        outcome = train_together(team, program(script), tmp_path / "a", means=quick())
        assert outcome.status == "failed"
        assert outcome.values["reason"] == "exit code 1: RuntimeError: of rank 1"
        spec = program("", command=("no-such-trainer",))
        outcome = train_together(team, spec, tmp_path / "b", means=quick())
        assert outcome.values["reason"].startswith("command not found: 'no-such-trainer'")
        assert train_together(team, program(good), tmp_path / "c", means=quick()).loss == 1

    began = time.monotonic()
    assert run_team(tmp_path / "meet", 2, lead) == [0, 0]
    assert time.monotonic() - began < 100


def test_one_process_that_is_asked_to_stop_stops_all(tmp_path):
    script = """
        import os, signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (open(os.environ["RANK"], "w"), sys.exit()))
        open(f"ready-{os.environ['RANK']}", "w")
        time.sleep(600)
    """
    folder = tmp_path / "run" / "cwd"

    def lead(team):
        outcome = train_together(team, program(script), tmp_path / "run", means=quick())
        assert outcome.status == "stopped"

    def stop(rank):
        return rank == 1 and all((folder / f"ready-{i}").exists() for i in range(2))

    assert run_team(tmp_path / "meet", 2, lead, stop) == [0, 0]
    assert (folder / "0").exists() and (folder / "1").exists()
    assert end(read_journal(tmp_path / "run")) is None


def test_a_process_that_dies_takes_its_program_and_the_run_can_go_on(tmp_path):
    script = """
        import os, time
        with open(f"pid-{os.environ['RANK']}.new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(f"pid-{os.environ['RANK']}.new", f"pid-{os.environ['RANK']}")
        time.sleep(600)
    """
    folder = tmp_path / "run" / "cwd"

    def lead(team):
        train_together(team, program(script), tmp_path / "run", means=quick())

    pids = start_team(tmp_path / "meet", 2, lead)
    places = [folder / f"pid-{i}" for i in range(2)]
    while not all(place.exists() for place in places):
        time.sleep(0.05)
    programs = [int(place.read_text()) for place in places]
    os.kill(pids[1], signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    for pid in programs:
        for _ in range(200):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"program {pid} is still there")
    assert end(read_journal(tmp_path / "run")) is None
    assert (tmp_path / "run" / STATE).exists()
