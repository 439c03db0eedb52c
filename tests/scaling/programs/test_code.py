"""The content of a program's code: what counts, what does not, and the copy that runs use."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from scaling.base import Store
from scaling.programs import Content, code_folder, content, snapshot
from scaling.programs import code as counted

SWEEP = "name: a\nprogram:\n  command: [python, train.py]\ngrid: {product: {lr: [1, 2]}}\n"


def git(folder, *words):
    me = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    subprocess.run(["git", "-C", folder, *me, *words], check=True, capture_output=True)


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "trainer"
    (folder / "model" / "logs").mkdir(parents=True)
    (folder / "train.py").write_text("print('train')\n")
    (folder / "model" / "net.py").write_text("width = 1\n")
    (folder / "model" / "logs" / "table.py").write_text("")
    return folder


FILES = ("model/logs/table.py", "model/net.py", "train.py")


def test_names_modes_and_bytes_count(code, tmp_path):
    digest, files = content(code)
    assert files == FILES and len(digest) == 16
    other = shutil.copytree(code, tmp_path / "elsewhere")
    assert content(other) == (digest, files)
    os.utime(other / "train.py", (1, 1))
    assert content(other).digest == digest
    found = {digest}
    for change in (
        lambda: (other / "model" / "net.py").write_text("width = 2\n"),
        lambda: (other / "train.py").rename(other / "run.py"),
        lambda: (other / "run.py").chmod(0o755),
        lambda: (other / "train.py").symlink_to("run.py"),
        lambda: ((other / "train.py").unlink(), (other / "train.py").symlink_to("gone.py")),
    ):
        change()
        found.add(content(other).digest)
    assert len(found) == 6


def test_what_a_run_or_an_editor_leaves_there_does_not_count(code):
    before = content(code)
    left = [
        "__pycache__/train.pyc", "model/__pycache__/net.pyc", "outputs/2026/log.jsonl",
        "runs/events.out.tfevents.1", "model/last.pt", ".vscode/settings.json", "train.log",
        "store/sweeps/a/sweep.jsonl", "store/runs/1/notes.txt",
    ]  # fmt: skip
    for name in left:
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text("x")
    (code / "sweep.yaml").write_text(SWEEP)
    (code / "runs.jsonl").write_text('{"run_id": "1", "sweep": "a", "spec": {}}\n')
    assert content(code) == before
    git(code, "init")
    assert content(code) == before
    (code / "model" / "settings.yaml").write_text("train: {lr: 0.1}\ngrid: 3\n")
    (code / "runs" / "__init__.py").write_text("")
    assert set(content(code).files) - set(FILES) == {"model/settings.yaml", "runs/__init__.py"}


def test_git_says_what_counts(code):
    git(code, "init")
    (code / ".gitignore").write_text("*.bin\n")
    (code / "weights.bin").write_text("big")
    (code / "kept.log").write_text("tracked")
    git(code, "add", "-f", ".gitignore", "train.py", "model", "kept.log")
    git(code, "commit", "-m", "first")
    first = content(code)
    assert first.files == (".gitignore", "kept.log", *FILES)
    (code / "new.py").write_text("")
    (code / "train.py").write_text("print('changed')\n")
    changed = content(code)
    assert "new.py" in changed.files and changed.digest != first.digest
    git(code, "add", "-A")
    git(code, "commit", "-m", "second")
    assert content(code) == changed
    (code / "kept.log").unlink()
    assert "kept.log" not in content(code).files
    assert content(code / "model").files == ("logs/table.py", "net.py")
    ignored = code / "build.bin"
    ignored.mkdir()
    (ignored / "made.py").write_text("")
    assert content(ignored).files == ("made.py",)


def test_a_submodule_counts_with_its_files(code, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "lib.py").write_text("")
    git(inner, "init")
    git(inner, "add", "-A")
    git(inner, "commit", "-m", "lib")
    git(code, "init")
    git(code, "-c", "protocol.file.allow=always", "submodule", "add", inner, "lib")
    assert "lib/lib.py" in content(code).files
    shutil.copytree(inner, code / "untracked")
    assert "untracked/lib.py" in content(code).files


def test_the_copy_is_read_only_and_stays(code, tmp_path):
    (code / "go.sh").write_text("#!/bin/sh\n")
    (code / "go.sh").chmod(0o755)
    (code / "near.py").symlink_to("model/net.py")
    (tmp_path / "far.txt").write_text("far")
    (code / "far.txt").symlink_to("../far.txt")
    store = Store.at(tmp_path / "store")
    digest = content(code).digest
    copy = snapshot(store, code, digest)
    assert copy == code_folder(store, digest, str(code)) == store.root / "programs" / digest
    assert (copy / "train.py").stat().st_mode & 0o777 == 0o444
    assert (copy / "go.sh").stat().st_mode & 0o777 == 0o555
    assert (copy / "near.py").readlink().as_posix() == "model/net.py"
    assert (copy / "far.txt").read_text() == "far"
    (code / "train.py").write_text("print('later')\n")
    assert snapshot(store, code, digest) == copy
    assert (copy / "train.py").read_text() == "print('train')\n"
    assert [path.name for path in copy.parent.iterdir()] == [digest]


def test_code_that_changed_since_is_refused_and_leaves_nothing(code, tmp_path):
    store, digest = Store.at(tmp_path / "store"), content(code).digest
    (code / "train.py").write_text("print('later')\n")
    with pytest.raises(ValueError, match=rf"{digest} then, .* expand the sweep file again"):
        snapshot(store, code, digest)
    assert list((store.root / "programs").iterdir()) == []


def test_where_a_run_finds_its_code(tmp_path):
    store = Store.at(tmp_path)
    assert code_folder(store, "version:1.2", "/opt/trainer").as_posix() == "/opt/trainer"
    assert code_folder(store, "module:0123456789abcdef", "") is None
    assert code_folder(store, "", "") is None


def test_what_cannot_be_counted_is_refused(code, tmp_path, monkeypatch):
    assert isinstance(content(code), Content)
    with pytest.raises(ValueError, match="is a file: give its folder"):
        content(code / "train.py")
    with pytest.raises(ValueError, match="is no folder"):
        content(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no files"):
        content(tmp_path / "empty")
    monkeypatch.setattr(counted, "MAX_FILES", 2)
    with pytest.raises(ValueError, match=r"more than 2 files.*declare version:"):
        content(code)
    monkeypatch.setattr(counted, "MAX_FILES", 20)
    monkeypatch.setattr(counted, "MAX_BYTES", 10.0)
    with pytest.raises(ValueError, match=r"0 MB, the limit"):
        content(code)
    monkeypatch.setattr(counted, "MAX_BYTES", 1e6)
    (code / "sweeps" / "a").mkdir(parents=True)
    (code / "sweeps" / "a" / "sweep.jsonl").write_text("")
    with pytest.raises(ValueError, match="is a store of runs"):
        content(code)
    broken = tmp_path / "broken"
    (broken / ".git").mkdir(parents=True)
    (broken / "a.py").write_text("")
    with pytest.raises(ValueError, match=r"cannot be listed \(.*declare version:"):
        content(broken)
