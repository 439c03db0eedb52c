"""Files that take each other's place."""

from __future__ import annotations

from scaling.base import replacing


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
