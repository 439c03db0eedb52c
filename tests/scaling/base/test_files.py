"""Files that take each other's place."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor

from scaling.base import replacing, write_atomic


def test_two_writers_with_one_process_id_do_not_meet(tmp_path):
    """As in two containers on one home, where process ids are the same."""
    file = tmp_path / "state.json"
    with replacing(file) as slow:
        slow.write(b"slow, ")
        with replacing(file) as quick:
            quick.write(b"quick")
        assert file.read_bytes() == b"quick"
        slow.write(b"and whole")
    assert file.read_bytes() == b"slow, and whole"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_pipe_or_device_stays_what_it_is(tmp_path):
    """``-o /dev/null`` by root would otherwise be its end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        write_atomic(pipe, "all of it")
        assert read.result(timeout=30) == "all of it"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]
