"""A value's short table: aligned as text, escaped as HTML."""

from __future__ import annotations

from html.parser import HTMLParser

from scaling.base import Display

SHOWN = Display(
    "Two <runs>", ("name", "N", "90 %"), [("a", 12, "1 to 2"), ("b'<i>", 3.25e9, "")], ["1 & more"]
)


def test_text_is_aligned_numbers_to_the_right():
    assert SHOWN.text.splitlines() == [
        "Two <runs>",
        "name          N  90 %",
        "a            12  1 to 2",
        "b'<i>  3.25e+09",
        "1 & more",
    ]


def test_no_rows_leave_the_header():
    assert Display("none", ("name", "N"), []).text == "none\nname  N"
    assert "<tbody>" in Display("none", ("name", "N"), []).html


def test_html_says_the_same_words_and_obeys_none():
    words, tags = [], set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.add(tag)
    parser.handle_data = lambda text: words.append(text.strip())
    parser.feed(SHOWN.html)
    assert tags == {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td"}
    assert [w for w in words if w] == [
        "Two <runs>", "name", "N", "90 %", "a", "12", "1 to 2", "b'<i>", "3.25e+09", "1 & more",
    ]  # fmt: skip
