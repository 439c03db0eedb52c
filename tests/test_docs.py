"""The pages tell of files that exist, and of every room."""

from __future__ import annotations

import re

import pytest

from docs.rooms import ROOT, rooms

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
PAGES += ["README.md", "CONTRIBUTING.md"]
FOLDERS = "scaling|sweeps|cluster|analysis|tests|docs|benchmarks|examples"


@pytest.mark.parametrize("page", PAGES)
def test_paths_that_a_page_names_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(rf"(?<![\w/.~-])(?:{FOLDERS})/[\w./*-]*[\w/]", text)
    missing = [name for name in named if not (list(ROOT.glob(name.rstrip("/"))))]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:\s]+)[^):]*\)", text):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_drawing_and_the_table_have_every_room():
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = (ROOT / "docs" / "images" / "rooms.svg").read_text(encoding="utf-8")
    listed = {name.rstrip("/").removesuffix(".py").replace("/", ".")
              for name in re.findall(r"^\| `([\w/.]+)` \|", table, re.M)}  # fmt: skip
    assert listed == set(rooms()), "make rooms"
    for room in set(rooms()) - {"scaling.__main__"}:
        assert f">{room.partition('.')[2]}<" in drawing, "make rooms"
